#define _GNU_SOURCE
#include "tools/quicperf/setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "tools/quicperf/keylog.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/qlog.h"

/* Connections share sockets, and the windows of all of them may be on their way at once. */
#define QP_SOCKET_BYTES_PER_CONN (256u * 1024u)
#define QP_SOCKET_BYTES_MAX      (32u * 1024u * 1024u)
#define QP_CONNS_PER_SOCKET      64u
#define QP_SOCKETS_MAX           32u
#define QP_SHARE_MIN             65536u /* a whole train */
#define QP_PEM_MAX               4096u
#define QP_REBIND_KEEP_ALIVE_NS  250000000ull

static void qp_log(void *ctx, int level, const char *line)
{
    const int *level_max = ctx;
    if (level <= *level_max) {
        (void)fprintf(stderr, "quicperf: %s\n", line);
    }
}

/* A client speaks both versions whatever it asks for: how it got there shows in the end. */
static void qp_versions_from(quring_limits *limits, const qp_options *o)
{
    if (o->version == QP_VERSION_ANY) {
        return;
    }
    if (o->command == QP_CMD_SERVER) {
        limits->versions = o->version == QP_VERSION_1 ? QURING_SPEAKS_V1 : QURING_SPEAKS_V2;
        return;
    }
    limits->version_first = o->version == QP_VERSION_1   ? QURING_QUIC_V1
                            : o->version == QP_VERSION_2 ? QURING_QUIC_V2
                                                         : 0; /* 1, or the session's */
    limits->version_preferred = o->version == QP_VERSION_1 ? QURING_QUIC_V1 : QURING_QUIC_V2;
}

static uint64_t qp_at_most(uint64_t value, uint64_t max)
{
    return value < max ? value : max;
}

static void qp_windows_to(quring_limits *limits, uint64_t stream, uint64_t conn)
{
    limits->stream_recv_window_max_bytes = stream;
    limits->stream_recv_window_bytes = qp_at_most(limits->stream_recv_window_bytes, stream);
    limits->conn_recv_window_max_bytes = conn;
    limits->conn_recv_window_bytes = qp_at_most(limits->conn_recv_window_bytes, conn);
}

static void qp_limits_from(quring_limits *limits, const qp_options *o)
{
    if (o->command != QP_CMD_SERVER || o->limits != QP_LIMITS_INTERNET) {
        quring_limits_for_loopback(limits);
    }
    limits->connections_max = QP_CONNS_MAX; /* memory is what bounds them */
    limits->handshake_timeout_ns = o->timeout_ns;
    limits->idle_timeout_ns = o->idle_timeout_ns;
    limits->keep_alive_ns = o->keep_alive_ns;
    limits->disable_1rtt_encryption = o->disable_encryption;
    qp_versions_from(limits, o);
    if (o->impair.rebind_ns != 0) {
        /* A server learns of a new path from what comes over it: one that only receives must speak. */
        limits->keep_alive_ns = QP_REBIND_KEEP_ALIVE_NS;
    }
    limits->ack_frequency = o->ack_frequency;
    limits->trace_packets = o->qlog != NULL ? QP_QLOG_PACKETS : 0;
    if (o->command == QP_CMD_SERVER || o->mode == QP_MODE_DGRAM) {
        limits->datagram_max_bytes = 65535; /* as large as packets are */
    }
    if (o->command == QP_CMD_SERVER) {
        limits->streams_bidi_max = o->max_streams;
        limits->streams_uni_max = o->max_streams;
    }
    if (o->payload != 0) {
        limits->udp_payload_bytes = o->payload;
        limits->udp_payload_max_bytes = o->payload;
        limits->mtu_probe_max_bytes = 0; /* the size is fixed */
    } else if (o->mtu_probe != 0) {
        limits->mtu_probe_max_bytes = o->mtu_probe;
    }
    if (o->window_bytes != 0) {
        qp_windows_to(limits, o->window_bytes, 2 * o->window_bytes);
    }
}

/* Many bulk transfers: as many sockets, and windows as small, as it takes for the receive buffers to hold what is
 * on its way. A quarter of them is for its bytes: packets that come alone take far more than theirs. */
static void qp_sockets_for(quring_config *out, const qp_options *o)
{
    uint32_t conns = (o->conns + o->workers - 1) / o->workers;
    bool many = (o->mode == QP_MODE_TPUT || o->mode == QP_MODE_FAIR) && conns > QP_CONNS_PER_SOCKET;
    uint32_t sockets = many ? (conns + QP_CONNS_PER_SOCKET - 1) / QP_CONNS_PER_SOCKET : 1;
    out->client_sockets = sockets < QP_SOCKETS_MAX ? sockets : QP_SOCKETS_MAX;
    uint64_t want = (uint64_t)o->conns * QP_SOCKET_BYTES_PER_CONN;
    want = want < QP_SOCKET_BYTES_MAX ? want : QP_SOCKET_BYTES_MAX;
    out->socket_buf_bytes = want > out->socket_buf_bytes ? (uint32_t)want : out->socket_buf_bytes;
    uint64_t share = (uint64_t)out->client_sockets * out->socket_buf_bytes / 4 / conns;
    share = share > QP_SHARE_MIN ? share : QP_SHARE_MIN;
    if (many && o->window_bytes == 0 && share < out->limits.conn_recv_window_max_bytes) {
        qp_windows_to(&out->limits, qp_at_most(out->limits.stream_recv_window_max_bytes, share),
                      share);
    }
}

void qp_config_from(quring_config *out, const qp_options *options)
{
    /* The client's choices (not to verify on loopback, say) need no warning. */
    static int errors = 0, warnings = 1;
    bool warns = options->command == QP_CMD_SERVER && !options->quiet;
    quring_config_init(out);
    out->workers = options->workers;
    for (uint32_t i = 0; i < out->workers && options->cpu_count > 0; i++) {
        out->cpus[i] = options->cpus[i % options->cpu_count];
    }
    out->io = (quring_io_backend)options->io;
    out->aead = (quring_aead)options->aead;
    out->cc = (quring_cc)options->cc;
    out->gso = !options->no_gso;
    out->gro = !options->no_gro;
    out->pacing = !options->no_pacing;
    out->spin_ns = options->spin_us == QP_SPIN_AUTO ? QURING_SPIN_AUTO : options->spin_us * 1000u;
    out->log = qp_log;
    out->log_ctx = warns ? &warnings : &errors;
    out->lb = options->lb;
    qp_limits_from(&out->limits, options);
    if (options->command == QP_CMD_SERVER) {
        out->socket_buf_bytes = QP_SOCKET_BYTES_MAX; /* requests of thousands may come at once */
    } else if (options->conns > 1) {
        qp_sockets_for(out, options);
    }
}

/* ---- TLS --------------------------------------------------------------------------------------- */

static const char *const qp_alpn[] = {QP_ALPN};

/* What both sides take from the command line. */
static quring_tls_options qp_tls_options(const qp_options *options)
{
    quring_tls_options tls;
    memset(&tls, 0, sizeof(tls));
    tls.alpn = qp_alpn;
    tls.alpn_count = 1;
    tls.cert_file = options->cert;
    tls.key_file = options->key;
    tls.ca_file = options->ca;
    qp_keylog_use(&tls);
    tls.cipher_suite = options->cipher != 0 ? (uint16_t)(0x1300u + options->cipher) : 0;
    return tls;
}

const char *qp_cipher_name(const qp_options *options)
{
    static const char *const names[] = {NULL, "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                        "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"};
    return options->cipher < sizeof(names) / sizeof(names[0]) ? names[options->cipher] : NULL;
}

/* The library knows: an attempt without anything to verify and nothing to show. */
bool qp_cipher_is_possible(const qp_options *options, quring_error *err)
{
    quring_tls *tls = NULL;
    qp_options bare = *options;
    bare.cert = bare.key = bare.ca = NULL;
    quring_tls_options o = qp_tls_options(&bare);
    o.verify = QURING_VERIFY_NONE;
    if (options->cipher == 0) {
        return true;
    }
    char why[sizeof(err->message)];
    memset(err, 0, sizeof(*err));
    if (quring_tls_create_client(&tls, &o, err) == QURING_E_NOT_SUPPORTED) {
        (void)snprintf(why, sizeof(why), "--cipher is not possible: %.900s", err->message);
        memcpy(err->message, why, sizeof(why));
        return false;
    }
    quring_tls_release(tls);
    return true; /* whatever else is wrong shows when it is used */
}

static quring_tls_options qp_tls_server_options(const qp_options *options)
{
    quring_tls_options tls = qp_tls_options(options);
    tls.client_cert = (quring_client_cert)options->client_cert;
    return tls;
}

quring_status qp_tls_server_reload(quring_tls *tls, const qp_options *options, quring_error *err)
{
    memset(err, 0, sizeof(*err));
    if (options->cert == NULL) {
        (void)snprintf(err->message, sizeof(err->message),
                       "the certificate was made in memory: there is no file to read again");
        return err->status = QURING_E_STATE;
    }
    quring_tls_options o = qp_tls_server_options(options);
    return quring_tls_reload(tls, &o, err);
}

quring_status qp_tls_server(quring_tls **out, const qp_options *options, quring_error *err)
{
    char cert[QP_PEM_MAX];
    char key[QP_PEM_MAX];
    quring_tls_options tls = qp_tls_server_options(options);
    if (options->cert == NULL) {
        size_t cert_len = 0;
        size_t key_len = 0;
        quring_status status = quring_tls_self_signed(cert, &cert_len, key, &key_len);
        if (status != QURING_OK) {
            memset(err, 0, sizeof(*err));
            err->status = status;
            (void)snprintf(err->message, sizeof(err->message), "cannot make a certificate: %s",
                           quring_status_text(status));
            return status;
        }
        tls.cert_pem = (quring_bytes){(const uint8_t *)cert, cert_len};
        tls.key_pem = (quring_bytes){(const uint8_t *)key, key_len};
    }
    return quring_tls_create_server(out, &tls, err);
}

quring_status qp_tls_client(quring_tls **out, const qp_options *options, const quring_addr *peer,
                            quring_error *err)
{
    quring_tls_options tls = qp_tls_options(options);
    bool trusted = options->insecure || (options->ca == NULL && qp_addr_is_loopback(peer));
    tls.verify = trusted ? QURING_VERIFY_NONE : QURING_VERIFY_PEER;
    return quring_tls_create_client(out, &tls, err);
}

/* ---- addresses and CPUs ------------------------------------------------------------------------ */

bool qp_addr_is_loopback(const quring_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    return addr->family == 4 ? addr->ip[0] == 127
                             : addr->family == 6 && memcmp(addr->ip, one, sizeof(one)) == 0;
}

bool qp_host_name(char *out, size_t cap, const char *target)
{
    struct in_addr v4;
    const char *colon = strchr(target, ':');
    size_t len = colon == NULL ? strlen(target) : (size_t)(colon - target);
    bool is_v6 = target[0] == '[' || (colon != NULL && strchr(colon + 1, ':') != NULL);
    if (is_v6 || len == 0 || len >= cap) {
        return false;
    }
    memcpy(out, target, len);
    out[len] = '\0';
    return inet_pton(AF_INET, out, &v4) != 1;
}

size_t qp_cpus_allowed(int32_t *out, size_t cap)
{
    cpu_set_t set;
    size_t count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 0;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && count < cap; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            out[count++] = cpu;
        }
    }
    return count;
}

double qp_process_cpu_s(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0
               ? (double)now.tv_sec + (double)now.tv_nsec / 1e9
               : 0;
}

/* ---- messages and signals ---------------------------------------------------------------------- */

int qp_fail(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    (void)fprintf(stderr, "quicperf: %s\n", line);
    return QP_EXIT_FAILED;
}

static int qp_stdout_error;

static int qp_written(FILE *file, bool ok)
{
    int error = ok ? 0 : errno != 0 ? errno : EIO;
    if (file == stdout && qp_stdout_error == 0) {
        qp_stdout_error = error;
    }
    return error;
}

int qp_flush(FILE *file)
{
    return qp_written(file, fflush(file) == 0);
}

int qp_write(FILE *file, const char *text, size_t len)
{
    int error = qp_written(file, fwrite(text, 1, len, file) == len);
    int late = qp_flush(file);
    return error != 0 ? error : late;
}

int qp_flush_error(void)
{
    return qp_stdout_error;
}

static void qp_signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

int qp_signals_open(bool hangup)
{
    sigset_t set;
    qp_signal_set(&set);
    struct sigaction old;
    bool ignored = sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN; /* nohup(1) */
    if (hangup || !ignored) {
        sigaddset(&set, SIGHUP);
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe shows as a write error */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int qp_signals_take(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

static void qp_signal_exit(int number)
{
    (void)number;
    _exit(QP_EXIT_INTERRUPTED);
}

void qp_signals_exit_on_next(void)
{
    sigset_t set;
    qp_signal_set(&set);
    (void)signal(SIGINT, qp_signal_exit);
    (void)signal(SIGTERM, qp_signal_exit);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}
