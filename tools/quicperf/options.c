#include "tools/quicperf/options.h"

#include <stdarg.h>
#include <string.h>

#include "tools/quicperf/impair_options.h"
#include "tools/quicperf/lb.h"
#include "tools/quicperf/option_rules.h"
#include "tools/quicperf/units.h"

#define QP_AT(field) offsetof(qp_options, field)
#define QP_HOUR      (3600 * QP_NS_PER_S)

const qp_rule qp_rules[] = {
    {"--api", NULL, QP_S | QP_C | QP_SOCK | QP_TCP_C, QP_CHOICE, QP_AT(api), 0, 0, "native|sockets",
     "what does the work: libquring, or a program of QUIC sockets on libquic.so"},
    {"--quic-lib", NULL, QP_S | QP_C | QP_SOCK, QP_TEXT, QP_AT(quic_lib), 0, 0, NULL,
     "sockets: the file of libquic.so; default: beside quicperf, or by LD_LIBRARY_PATH"},
    {"-p", "--port", QP_S | QP_C | QP_SOCK | QP_TCP_C, QP_U32, QP_AT(port), 0, 65535, "0..65535",
     "UDP port (server: 0 lets the kernel pick); default 4433"},
    {"-B", "--bind", QP_S | QP_C | QP_SOCK_S, QP_TEXT, QP_AT(bind), 0, 0, NULL,
     "local address; server default: 127.0.0.1 and ::1 (use -B :: for everywhere)"},
    {"--cert", NULL, QP_S | QP_C | QP_SOCK_S, QP_TEXT, QP_AT(cert), 0, 0, NULL,
     "PEM certificate chain; server default: self-signed, made in memory; client: to show"},
    {"--key", NULL, QP_S | QP_C | QP_SOCK_S, QP_TEXT, QP_AT(key), 0, 0, NULL,
     "PEM private key of --cert"},
    {"--retry", NULL, QP_S | QP_SOCK_S, QP_FLAG, QP_AT(retry), 0, 0, NULL,
     "validate addresses with Retry first"},
    {"--secret", NULL, QP_S, QP_TEXT, QP_AT(secret), 0, 0, NULL,
     "file (mode 0600) with the root secret: tokens, tickets and resets outlive a restart"},
    {"--lb", NULL, QP_S, QP_LB, QP_AT(lb), 0, 0, "CONFIG:SERVERID:NONCELEN[:KEY]",
     "QUIC-LB connection IDs: CONFIG:SERVERID:NONCELEN[:KEY], server ID and key in hex, e.g. "
     "0:0a31:8"},
    {"--limits", NULL, QP_S, QP_CHOICE, QP_AT(limits), 0, 0, "loopback|internet",
     "bounds on strangers: few, or those of a server on the Internet; default loopback"},
    {"--token", NULL, QP_C, QP_FLAG, QP_AT(token), 0, 0, NULL,
     "get tokens first, then measure connections that show one and skip Retry"},
    {"--resume", NULL, QP_C, QP_FLAG, QP_AT(resume), 0, 0, NULL,
     "get session tickets first, then measure connections that resume"},
    {"--0rtt", NULL, QP_S | QP_C, QP_FLAG, QP_AT(zero_rtt), 0, 0, NULL,
     "server: accept 0-RTT; client: --resume, and send requests in 0-RTT"},
    {"--version", NULL, QP_S, QP_CHOICE, QP_AT(version), 0, 0, "both|1|2",
     "versions of QUIC served; both: what the client likes best"},
    {"--version", NULL, QP_C | QP_SOCK_C, QP_CHOICE, QP_AT(version), 0, 0, "any|1|2|upgrade",
     "version of QUIC to use; upgrade: begin in 1, go on in 2"},
    {"--disable-encryption", NULL, QP_S | QP_C | QP_D | QP_SOCK, QP_FLAG, QP_AT(disable_encryption),
     0, 0, NULL, "DANGER: 1-RTT packets in the clear, if both sides ask for it"},
    {"--preferred", NULL, QP_S, QP_TEXT, QP_AT(preferred), 0, 0, NULL,
     "ADDR:PORT where clients shall go after the handshake (RFC 9000 9.6)"},
    {"--migrate", NULL, QP_C, QP_TIME, QP_AT(migrate_ns), 1000000, QP_HOUR, "1ms..1h",
     "move each connection to another local port every so often"},
    {"-1", "--one", QP_S | QP_SOCK_S, QP_FLAG, QP_AT(one), 0, 0, NULL,
     "exit after one connection has ended"},
    {"--max-streams", NULL, QP_S | QP_SOCK_S, QP_U32, QP_AT(max_streams), 1, 65536, "1..65536",
     "streams of each kind a client may have open; default 100"},
    {"--ca", NULL, QP_S | QP_C | QP_SOCK_C | QP_TCP_C, QP_TEXT, QP_AT(ca), 0, 0, NULL,
     "PEM trust anchors; client: verifies even on loopback; server: for --client-cert"},
    {"--client-cert", NULL, QP_S, QP_CHOICE, QP_AT(client_cert), 0, 0, "none|request|require",
     "ask clients for a certificate that --ca verifies"},
    {"--cipher", NULL, QP_S | QP_C | QP_SOCK_S, QP_CHOICE, QP_AT(cipher), 0, 0,
     "auto|aes128gcm|aes256gcm|chacha20|aes128ccm",
     "insist on a cipher suite (BoringSSL chooses by CPU: see the message)"},
    {"--insecure", NULL, QP_C | QP_SOCK_C | QP_TCP_C, QP_FLAG, QP_AT(insecure), 0, 0, NULL,
     "do not verify the server (loopback peers are not verified without --ca)"},
    {"-d", "--direction", QP_C | QP_SOCK_C | QP_TCP_C, QP_CHOICE, QP_AT(direction), 0, 0, "down|up",
     "tput, fair, dgram, --bulk: who sends; default down"},
    {"-n", "--amount", QP_C | QP_SOCK_C, QP_SIZE, QP_AT(amount), 1, 1ull << 50, "1..1024T",
     "end after so many bytes (tput), requests (rr, crr, latency) or handshakes (hps) in all"},
    {"--tcp", NULL, QP_S, QP_FLAG, QP_AT(tcp), 0, 0, NULL,
     "serve perf over TCP and TLS 1.3, too, on the TCP port of the same number"},
    {"--tcp", NULL, QP_C | QP_TCP_C, QP_FLAG, QP_AT(tcp), 0, 0, NULL,
     "tput, rr: TCP and TLS 1.3 instead of QUIC (a quicperf server needs --tcp)"},
    {"--tcp-cc", NULL, QP_S | QP_C | QP_X | QP_TCP_C, QP_TEXT, QP_AT(tcp_cc), 0, 0, NULL,
     "TCP: congestion control of what this end sends, e.g. cubic; default: the system's"},
    {"--rounds", NULL, QP_X, QP_U32, QP_AT(rounds), 1, 100, "1..100",
     "how often QUIC and TCP take turns; default 3"},
    {"-t", "--time", QP_C | QP_D | QP_L | QP_X | QP_SOCK_C | QP_TCP_C, QP_TIME, QP_AT(duration_ns),
     1000000, 24 * QP_HOUR, "1ms..24h", "length of a run; default 10s (demo, limit, compare: 3s)"},
    {"-c", "--conns", QP_C | QP_X | QP_SOCK_C | QP_TCP_C, QP_U32, QP_AT(conns), 1, QP_CONNS_MAX,
     "1..1000000", "connections; default 1"},
    {"-s", "--streams", QP_C | QP_SOCK_C | QP_TCP_C, QP_U32, QP_AT(streams), 1, 65536, "1..65536",
     "streams, or outstanding requests, per connection; default 1"},
    {"-R", "--request-rate", QP_C, QP_U32, QP_AT(request_rate), 1, 100000000, "1..100000000",
     "latency: requests per second in all, each measured from when it was due"},
    {"--req", NULL, QP_C | QP_L | QP_SOCK_C | QP_TCP_C, QP_SIZE, QP_AT(request_bytes), 0,
     1ull << 40, "0..1T",
     "rr, crr, latency: request bytes after the 8-byte header; --pingpong: in all; default 64"},
    {"--bulk", NULL, QP_C, QP_U32, QP_AT(bulk), 1, 65535, "1..65535",
     "rr, latency: endless transfers beside the requests, on each connection; -d says which way"},
    {"--urgent", NULL, QP_S | QP_C, QP_SIZE, QP_AT(urgent_bytes), 1, 1ull << 40, "1..1T",
     "streams on which at most so much is sent go before the others of their connection"},
    {"--resp", NULL, QP_C | QP_SOCK_C | QP_TCP_C, QP_SIZE, QP_AT(response_bytes), 0, 1ull << 40,
     "0..1T", "rr, crr, latency: response bytes; default 1K"},
    {"--dgram-size", NULL, QP_C, QP_U32, QP_AT(dgram_bytes), 8, 65527, "8..65527",
     "dgram: payload bytes; default: the most that a packet carries"},
    {"--dgram-rate", NULL, QP_C, QP_U32, QP_AT(dgram_rate), 1, 100000000, "1..100000000",
     "dgram: datagrams per second and connection; default: as fast as can be"},
    {"--key-update", NULL, QP_C, QP_SIZE, QP_AT(key_update_bytes), 1, 1ull << 50, "1..1024T",
     "update the keys of a connection each time so many bytes have moved on it"},
    {"--timeout", NULL, QP_S | QP_C | QP_SOCK_C | QP_TCP_C, QP_TIME, QP_AT(timeout_ns), 1000000,
     QP_HOUR, "1ms..1h", "give up on a handshake after this; default 10s"},
    {"--idle-timeout", NULL, QP_S | QP_C | QP_SOCK, QP_TIME, QP_AT(idle_timeout_ns), 1000000,
     24 * QP_HOUR, "1ms..24h", "give up on a silent peer after this; default 30s"},
    {"--keep-alive", NULL, QP_C, QP_TIME, QP_AT(keep_alive_ns), 1000000, 24 * QP_HOUR, "1ms..24h",
     "PING after so much silence; default never (idle: half of --idle-timeout)"},
    {"-w", "--workers", QP_S | QP_C | QP_SOCK | QP_TCP_C, QP_U32, QP_AT(workers), 1,
     QURING_WORKERS_MAX, "1..64", "worker threads; default one per CPU of --cpu, else 1"},
    {"--cpu", NULL, QP_RUNS | QP_SOCK | QP_TCP_C, QP_CPUS, 0, 0, 0, "CPU numbers such as 0,2-3",
     "pin the workers, in turn (demo, limit: sender,receiver)"},
    {"--io", NULL, QP_RUNS | QP_SOCK, QP_CHOICE, QP_AT(io), 0, 0, "auto|uring|epoll",
     "I/O back end"},
    {"--aead", NULL, QP_RUNS, QP_CHOICE, QP_AT(aead), 0, 0, "auto|boringssl|ipsec-mb",
     "who encrypts packets"},
    {"--payload", NULL, QP_RUNS, QP_U32, QP_AT(payload), 1200, 65507, "1200..65507",
     "UDP payload bytes of full packets"},
    {"--mtu-probe", NULL, QP_S | QP_C, QP_U32, QP_AT(mtu_probe), 1200, 65507, "1200..65507",
     "largest UDP payload to search for (RFC 8899); default 1472"},
    {"--cc", NULL, QP_S | QP_C | QP_D | QP_X | QP_SOCK, QP_CHOICE, QP_AT(cc), 0, 0,
     "cubic|reno|bbr", "congestion control"},
    {"--ack-frequency", NULL, QP_S | QP_C, QP_FLAG, QP_AT(ack_frequency), 0, 0, NULL,
     "ask the peer to acknowledge bulk data less often"},
    {"--no-pacing", NULL, QP_S | QP_C | QP_D | QP_X, QP_FLAG, QP_AT(no_pacing), 0, 0, NULL,
     "send as fast as the window allows"},
    {"--no-gso", NULL, QP_S | QP_C | QP_D, QP_FLAG, QP_AT(no_gso), 0, 0, NULL,
     "no UDP segmentation offload"},
    {"--no-gro", NULL, QP_S | QP_C | QP_D, QP_FLAG, QP_AT(no_gro), 0, 0, NULL,
     "no UDP receive offload"},
    {"--spin", NULL, QP_RUNS, QP_SPIN, QP_AT(spin_us), 0, 1000000, "off, auto and 0..1000000",
     "microseconds to poll before sleeping; auto: while it pays; default off"},
    {"--pingpong", NULL, QP_L, QP_FLAG, QP_AT(pingpong), 0, 0, NULL,
     "a UDP datagram there and back, sleeping or with --spin; with --io: waiting as workers do"},
    {"--sealed", NULL, QP_L, QP_FLAG, QP_AT(sealed), 0, 0, NULL,
     "--pingpong: each datagram is a packet, sealed and opened; --req is its payload then"},
    {"--window", NULL, QP_RUNS | QP_SOCK, QP_SIZE, QP_AT(window_bytes), 65536, 1ull << 32,
     "64K..4G", "largest receive window per stream (limit: bytes in flight)"},
    {"--loss", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_LOSS, 0, "0..100%[,RUN]",
     "lose so many datagrams each way, RUN in a row at most"},
    {"--burst-loss", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_BURST, 0,
     "BEGIN%,END%[,LOSS%]", "bursts of loss: they begin and end with these odds per datagram"},
    {"--delay", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_DELAY, 0, "0..1h",
     "delay each way"},
    {"--jitter", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_JITTER, 0, "0..1h",
     "up to so much more delay, in order"},
    {"--reorder", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_REORDER, 0, "0..100%",
     "so many datagrams are overtaken"},
    {"--duplicate", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_DUPLICATE, 0, "0..100%",
     "so many datagrams come twice"},
    {"--corrupt", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_CORRUPT, 0, "0..100%[,RUN]",
     "so many datagrams come with a byte altered, RUN in a row at most"},
    {"--rate", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_RATE, 0, "1K..1T",
     "bits per second of IP packets each way (K, M, G: powers of 1000)"},
    {"--queue", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_QUEUE, 0, "1..65536",
     "packets that wait for --rate; default 50 ms of it, at least 25"},
    {"--mtu", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_MTU, 0, "1280..65535",
     "drop larger IP packets"},
    {"--blackhole", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_BLACKHOLE, 0,
     "ON,OFF (times up to 1h)", "pass everything for ON, nothing for OFF, and again"},
    {"--rebind", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_REBIND, 0, "1ms..1h",
     "another port before the server every so often, as behind a NAT"},
    {"--seed", NULL, QP_C, QP_IMPAIR, QP_AT(impair), QP_IMPAIR_SEED, 0, "0..18446744073709551615",
     "of what happens by chance to datagrams; default 1"},
    {"-i", "--interval", (QP_RUNS & ~QP_L) | QP_SOCK | QP_TCP_C, QP_TIME, QP_AT(interval_ns), 0,
     QP_HOUR, "0 (off)..1h", "a line every so often; default 1s (server: off)"},
    {"-q", "--quiet", QP_RUNS | QP_SOCK | QP_TCP_C, QP_FLAG, QP_AT(quiet), 0, 0, NULL,
     "only the last line"},
    {"--json", NULL, QP_RUNS | QP_SOCK | QP_TCP_C, QP_TEXT, QP_AT(json), 0, 0, NULL,
     "write one JSON document to this file; - is stdout, text then goes to stderr"},
    {"--jsonl", NULL, QP_C | QP_SOCK_C | QP_TCP_C, QP_TEXT, QP_AT(jsonl), 0, 0, NULL,
     "a line of JSON for each interval, and one for the summary, to this file or -"},
    {"--jsonl", NULL, QP_S, QP_TEXT, QP_AT(jsonl), 0, 0, NULL,
     "a line of JSON with every counter for each interval (default 1s), and one for the summary"},
    {"--hdr", NULL, QP_C | QP_SOCK_C | QP_TCP_C, QP_TEXT, QP_AT(hdr), 0, 0, NULL,
     "rr, crr, hps, latency: percentiles as HdrHistogram's plotters read them (.hgrm)"},
    {"--qlog", NULL, QP_S | QP_C, QP_TEXT, QP_AT(qlog), 0, 0, NULL,
     "a qlog file per connection in this folder: packets, states, paths, keys, streams, metrics"},
    {"--plot", NULL, QP_R, QP_TEXT, QP_AT(plot), 0, 0, NULL,
     "draw the runs over time into this file (SVG); - is stdout, text then goes to stderr"},
    {"--md", NULL, QP_R, QP_FLAG, QP_AT(markdown), 0, 0, NULL, "tables in Markdown"},
    {"--keylog", NULL, QP_S | QP_C, QP_TEXT, QP_AT(keylog), 0, 0, NULL,
     "add the secrets of all handshakes to this file; default: SSLKEYLOGFILE, if it is set"},
};

#define QP_RULE_COUNT (sizeof(qp_rules) / sizeof(qp_rules[0]))

_Static_assert(QP_RULE_COUNT <= QP_RULES_MAX, "room for what was given");

const size_t qp_rule_count = QP_RULE_COUNT;

static const struct {
    const char *name;
    qp_command command;
} qp_commands[] = {
    {"server", QP_CMD_SERVER},   {"client", QP_CMD_CLIENT},     {"demo", QP_CMD_DEMO},
    {"limit", QP_CMD_LIMIT},     {"compare", QP_CMD_COMPARE},   {"report", QP_CMD_REPORT},
    {"help", QP_CMD_HELP},       {"--help", QP_CMD_HELP},       {"-h", QP_CMD_HELP},
    {"version", QP_CMD_VERSION}, {"--version", QP_CMD_VERSION}, {"-V", QP_CMD_VERSION},
};

bool qp_wrong(qp_parser *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(p->message, p->message_cap, fmt, args);
    va_end(args);
    return false;
}

/* The index of `word` in "a|b|c", -1 when it is not there. */
static int qp_word_index(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (int index = 0;; index++) {
        const char *end = strchr(words, '|');
        size_t have = end == NULL ? strlen(words) : (size_t)(end - words);
        if (have == len && memcmp(words, word, len) == 0) {
            return index;
        }
        if (end == NULL) {
            return -1;
        }
        words = end + 1;
    }
}

const char *qp_mode_name(uint32_t mode)
{
    static const char *const names[] = {"tput", "rr",      "crr",  "idle",  "dgram",
                                        "hps",  "latency", "fair", "script"};
    return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

static bool qp_set_number(qp_parser *p, const qp_rule *rule, const char *value)
{
    uint64_t number = 0;
    bool ok = rule->kind == QP_U32    ? qp_parse_u64(&number, value)
              : rule->kind == QP_SIZE ? qp_parse_size(&number, value)
                                      : qp_parse_time(&number, value);
    if (!ok || number < rule->min || number > rule->max) {
        return qp_wrong(p, "%s %s is not possible: allowed are %s", rule->name, value, rule->words);
    }
    void *at = (char *)p->out + rule->offset;
    if (rule->kind == QP_U32) {
        uint32_t narrow = (uint32_t)number;
        memcpy(at, &narrow, sizeof(narrow));
    } else {
        memcpy(at, &number, sizeof(number));
    }
    return true;
}

static bool qp_set(qp_parser *p, const qp_rule *rule, const char *value)
{
    void *at = (char *)p->out + rule->offset;
    if (rule->kind == QP_FLAG) {
        *(bool *)at = true;
        return true;
    }
    if (rule->kind == QP_TEXT) {
        if (value[0] == '\0') {
            return qp_wrong(p, "%s needs a value that is not empty", rule->name);
        }
        memcpy(at, &value, sizeof(value));
        return true;
    }
    if (rule->kind == QP_CHOICE) {
        int index = qp_word_index(rule->words, value);
        if (index < 0) {
            return qp_wrong(p, "%s %s is not possible: allowed are %s", rule->name, value,
                            rule->words);
        }
        uint32_t choice = (uint32_t)index;
        memcpy(at, &choice, sizeof(choice));
        return true;
    }
    if (rule->kind == QP_LB) {
        return qp_parse_lb(&p->out->lb, value) ||
               qp_wrong(p, "%s %s is not possible: allowed are %s", rule->name, value, rule->words);
    }
    if (rule->kind == QP_SPIN) {
        uint64_t us = strcmp(value, "auto") == 0 ? QP_SPIN_AUTO : 0;
        if (us == 0 && strcmp(value, "off") != 0 && (!qp_parse_u64(&us, value) || us > rule->max)) {
            return qp_wrong(p, "%s %s is not possible: allowed are %s", rule->name, value,
                            rule->words);
        }
        uint32_t narrow = (uint32_t)us;
        memcpy(at, &narrow, sizeof(narrow));
        return true;
    }
    if (rule->kind == QP_CPUS) {
        p->out->cpu_count = qp_parse_cpus(p->out->cpus, QURING_WORKERS_MAX, value);
        return p->out->cpu_count > 0 ||
               qp_wrong(p, "--cpu %s is not possible: allowed are %s, at most %d", value,
                        rule->words, QURING_WORKERS_MAX);
    }
    if (rule->kind == QP_IMPAIR) { /* `min` says which */
        return qp_impair_set(&p->out->impair, (qp_impair_kind)rule->min, value) ||
               qp_wrong(p, "%s %s is not possible: allowed are %s", rule->name, value, rule->words);
    }
    return qp_set_number(p, rule, value);
}

static const char *qp_command_name(qp_command command)
{
    for (size_t i = 0; i < sizeof(qp_commands) / sizeof(qp_commands[0]); i++) {
        if (qp_commands[i].command == command) {
            return qp_commands[i].name;
        }
    }
    return "?";
}

static bool qp_unknown_option(qp_parser *p, const char *arg)
{
    char known[512];
    size_t len = 0;
    known[0] = '\0';
    for (size_t i = 0; i < QP_RULE_COUNT; i++) {
        if ((qp_rules[i].commands & p->out->command) != 0 && len < sizeof(known)) {
            len += (size_t)snprintf(known + len, sizeof(known) - len, " %s", qp_rules[i].name);
        }
    }
    return qp_wrong(p, "unknown option %s: %s takes%s", arg, qp_command_name(p->out->command),
                    known);
}

/* The rule for `arg` ("-p", "--port", "--port=1"); *out_value is what follows the '=', else NULL. */
static const qp_rule *qp_find_rule(const char **out_value, unsigned command, const char *arg)
{
    const char *equals = strncmp(arg, "--", 2) == 0 ? strchr(arg, '=') : NULL;
    size_t len = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
    *out_value = equals == NULL ? NULL : equals + 1;
    for (size_t i = 0; i < QP_RULE_COUNT; i++) {
        const qp_rule *rule = &qp_rules[i];
        bool is_name = strlen(rule->name) == len && memcmp(rule->name, arg, len) == 0;
        bool is_alias =
            rule->alias != NULL && strlen(rule->alias) == len && memcmp(rule->alias, arg, len) == 0;
        if ((rule->commands & command) != 0 && (is_name || is_alias)) {
            return rule;
        }
    }
    return NULL;
}

static bool qp_parse_option(qp_parser *p, int *at, int argc, char *const *argv)
{
    const char *arg = argv[*at];
    const char *value;
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        p->out->help_for = p->out->command;
        p->out->command = QP_CMD_HELP;
        return true;
    }
    const qp_rule *rule = qp_find_rule(&value, p->out->command, arg);
    if (rule == NULL) {
        return qp_unknown_option(p, arg);
    }
    p->given[rule - qp_rules] = true;
    p->own[rule - qp_rules] |= *at >= p->own_from;
    if (rule->kind == QP_FLAG) {
        return value == NULL ? qp_set(p, rule, NULL)
                             : qp_wrong(p, "%s takes no value, but has \"%s\"", rule->name, value);
    }
    if (value == NULL) {
        if (*at + 1 >= argc) {
            return qp_wrong(p, "%s needs a value: %s", rule->name,
                            rule->words != NULL ? rule->words : rule->help);
        }
        value = argv[++*at];
    }
    if (rule->offset == QP_AT(interval_ns)) {
        p->out->interval_set = true;
    }
    return qp_set(p, rule, value);
}

/* Client: HOST:PORT, a mode, and script's file. */
static bool qp_parse_client_operand(qp_parser *p, size_t which, const char *arg)
{
    int mode = which == 1 ? qp_word_index(QP_MODES, arg) : 0;
    switch (which) {
    case 0:
        p->out->target = arg;
        return true;
    case 1:
        p->out->mode = (uint32_t)mode;
        return mode >= 0 || qp_wrong(p, "%s is no mode: allowed are " QP_MODES, arg);
    case 2:
        if (p->out->mode == QP_MODE_SCRIPT) {
            return true;
        }
        break;
    default:
        break;
    }
    return qp_wrong(p, "%s is one argument too many: client takes HOST:PORT and one of " QP_MODES,
                    arg);
}

static bool qp_parse_operand(qp_parser *p, int at, const char *arg)
{
    qp_options *o = p->out;
    if (o->command != QP_CMD_CLIENT && o->command != QP_CMD_REPORT) {
        return qp_wrong(p, "%s is one argument too many: %s takes only options", arg,
                        qp_command_name(o->command));
    }
    if (o->operand_count >= QP_OPERANDS_MAX) {
        return qp_wrong(p, "%s is one argument too many: at most %u are taken", arg,
                        QP_OPERANDS_MAX);
    }
    o->operand_at[o->operand_count] = at;
    o->operands[o->operand_count++] = arg;
    return o->command == QP_CMD_REPORT || qp_parse_client_operand(p, o->operand_count - 1, arg);
}

void qp_options_init(qp_options *o)
{
    memset(o, 0, sizeof(*o));
    o->port = QP_PORT_DEFAULT;
    o->conns = 1;
    o->streams = 1;
    o->request_bytes = 64;
    o->response_bytes = 1024;
    o->timeout_ns = 10 * QP_NS_PER_S;
    o->idle_timeout_ns = 30 * QP_NS_PER_S;
    o->max_streams = 100;
    o->rounds = 3;
}

static void qp_options_finish(qp_options *o)
{
    if (o->duration_ns == 0) {
        o->duration_ns = o->command == QP_CMD_CLIENT ? 10 * QP_NS_PER_S : 3 * QP_NS_PER_S;
    }
    if (o->mode == QP_MODE_IDLE && o->keep_alive_ns == 0) {
        o->keep_alive_ns = o->idle_timeout_ns / 2;
    }
    if (!o->interval_set) {
        o->interval_ns = o->command == QP_CMD_SERVER && o->jsonl == NULL ? 0 : QP_NS_PER_S;
    }
    if (o->workers == 0) {
        o->workers = o->cpu_count > 0 ? (uint32_t)o->cpu_count : 1;
    }
}

bool qp_options_parse(qp_options *out, char *message, size_t message_cap, int argc,
                      char *const *argv)
{
    return qp_options_parse_over(out, message, message_cap, argc, argv, 0);
}

bool qp_options_parse_over(qp_options *out, char *message, size_t message_cap, int argc,
                           char *const *argv, int own_from)
{
    qp_parser p = {
        .out = out, .message = message, .message_cap = message_cap, .own_from = own_from};
    bool only_operands = false;
    qp_options_init(out);
    out->argc = argc;
    out->argv = argv;
    if (argc < 2) {
        return qp_wrong(&p,
                        "a command is missing: allowed are server, client, demo, compare, report, "
                        "limit, --help, --version");
    }
    for (size_t i = 0; i < sizeof(qp_commands) / sizeof(qp_commands[0]); i++) {
        if (strcmp(argv[1], qp_commands[i].name) == 0) {
            out->command = qp_commands[i].command;
        }
    }
    if (out->command == 0) {
        return qp_wrong(
            &p,
            "%s is no command: allowed are server, client, demo, compare, report, limit, --help, "
            "--version",
            argv[1]);
    }
    for (int i = 2; i < argc && (out->command & (QP_RUNS | QP_R)) != 0; i++) {
        bool is_option = !only_operands && argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (is_option ? !qp_parse_option(&p, &i, argc, argv)
                             : !qp_parse_operand(&p, i, argv[i])) {
            return false;
        }
    }
    if (!qp_options_check(&p)) {
        return false;
    }
    qp_options_finish(out);
    return true;
}
