#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/impair_options.h"
#include "tools/quicperf/option_rules.h"

#define QP_SOCK_THREADS_MAX 4096u

/* A program of sockets, and TCP, can do less: the rows say what. */
static bool qp_check_able(qp_parser *p, unsigned able, const char *who)
{
    for (size_t i = 0; i < qp_rule_count; i++) {
        if (p->given[i] && (qp_rules[i].commands & able) == 0) {
            return qp_wrong(p, "%s does not take %s", who, qp_rules[i].name);
        }
    }
    return true;
}

static bool qp_check_sockets(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->api != QP_API_SOCKETS) {
        return o->quic_lib == NULL || qp_wrong(p, "--quic-lib is for --api sockets");
    }
    if (!qp_check_able(p, o->command == QP_CMD_SERVER ? QP_SOCK_S : QP_SOCK_C, "--api sockets")) {
        return false;
    }
    if (o->mode == QP_MODE_DGRAM || o->mode == QP_MODE_LATENCY || o->mode == QP_MODE_FAIR) {
        return qp_wrong(p, "--api sockets takes tput, rr, crr, hps, idle and script, not %s",
                        qp_mode_name(o->mode));
    }
    if (o->command == QP_CMD_CLIENT && o->version == QP_VERSION_UPGRADE) {
        return qp_wrong(p, "--api sockets takes --version any, 1 and 2");
    }
    if (o->conns > QP_SOCK_THREADS_MAX && o->mode != QP_MODE_IDLE) {
        return qp_wrong(p, "--api sockets has a thread for each connection: -c is at most %u",
                        QP_SOCK_THREADS_MAX);
    }
    return true;
}

/* NULL: it is not. */
static const qp_rule *qp_given(const qp_parser *p, const char *name)
{
    for (size_t i = 0; i < qp_rule_count; i++) {
        if (p->given[i] && strcmp(qp_rules[i].name, name) == 0) {
            return &qp_rules[i];
        }
    }
    return NULL;
}

static bool qp_is_given(const qp_parser *p, const char *name)
{
    return qp_given(p, name) != NULL;
}

/* Of HOST:PORT; NULL: it says only where the host is. */
static const char *qp_target_port(const char *target)
{
    const char *end = target[0] == '[' ? strchr(target, ']') : target;
    const char *colon = end != NULL ? strchr(end, ':') : NULL;
    return colon != NULL && strchr(colon + 1, ':') == NULL ? colon + 1 : NULL;
}

/* What each command works on. */
static bool qp_check_operands(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->command == QP_CMD_CLIENT && o->target == NULL) {
        return qp_wrong(p,
                        "client needs a host: quicperf client HOST:PORT [" QP_MODES "] [options]");
    }
    if (o->mode == QP_MODE_SCRIPT && o->operand_count < 3) {
        return qp_wrong(p, "script needs a file: quicperf client HOST:PORT script FILE [options]");
    }
    if (o->command == QP_CMD_REPORT && o->operand_count == 0) {
        return qp_wrong(p, "report needs files that --json wrote: quicperf report FILE...");
    }
    const char *port = o->command == QP_CMD_CLIENT ? qp_target_port(o->target) : NULL;
    if (port != NULL && qp_is_given(p, "-p") && strtoul(port, NULL, 10) != o->port) {
        return qp_wrong(p, "-p %u and %s contradict each other: allowed is one of them", o->port,
                        o->target);
    }
    if (o->command == QP_CMD_CLIENT && o->port == 0) {
        return qp_wrong(p, "-p 0 is not possible for client: allowed are 1..65535");
    }
    return true;
}

/* ---- what a mode has no use for ------------------------------------------------------------------ */

#define QP_IN(mode)  (1u << QP_MODE_##mode)
#define QP_REQUESTS  (QP_IN(RR) | QP_IN(CRR) | QP_IN(LATENCY))
#define QP_TRANSFERS (QP_IN(TPUT) | QP_IN(FAIR))
#define QP_ALL_MODES ((1u << QP_MODE_SCRIPT) - 1)

/* Of the client's options those that only some modes look at. */
static const struct {
    const char *name;
    unsigned modes;
} qp_uses[] = {
    {"--bulk", QP_IN(RR) | QP_IN(LATENCY)}, /* before -d, which it gives a use */
    {"-s", QP_TRANSFERS | QP_IN(RR) | QP_IN(LATENCY)},
    {"-d", QP_TRANSFERS | QP_IN(DGRAM)},
    {"--req", QP_REQUESTS},
    {"--resp", QP_REQUESTS},
    {"--dgram-size", QP_IN(DGRAM)},
    {"--dgram-rate", QP_IN(DGRAM)},
    {"--hdr", QP_REQUESTS | QP_IN(HPS)},
    {"--urgent", QP_TRANSFERS | QP_REQUESTS},
    {"--key-update", QP_ALL_MODES & ~(QP_IN(IDLE) | QP_IN(HPS))},
    {"--migrate", QP_ALL_MODES & ~(QP_IN(CRR) | QP_IN(HPS))},
};

/* "tput, rr and crr" */
static const char *qp_mode_list(char *out, size_t cap, unsigned modes)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t mode = 0; modes != 0 && len < cap; mode++) {
        unsigned bit = 1u << mode;
        if ((modes & bit) != 0) {
            modes &= ~bit;
            const char *before = len == 0 ? "" : modes == 0 ? " and " : ", ";
            len += (size_t)snprintf(out + len, cap - len, "%s%s", before, qp_mode_name(mode));
        }
    }
    return out;
}

/* A default that the mode has no use for is none. Of the kinds of qp_uses. */
static void qp_take_back(qp_parser *p, const qp_rule *rule)
{
    qp_options plain;
    bool narrow = rule->kind == QP_U32 || rule->kind == QP_CHOICE;
    qp_options_init(&plain);
    memcpy((char *)p->out + rule->offset, (const char *)&plain + rule->offset,
           narrow ? sizeof(uint32_t) : sizeof(uint64_t));
    p->given[rule - qp_rules] = false;
}

static bool qp_check_uses(qp_parser *p)
{
    const qp_options *o = p->out;
    char list[96];
    for (size_t i = 0; i < sizeof(qp_uses) / sizeof(qp_uses[0]); i++) {
        const char *name = qp_uses[i].name;
        /* A script's runs are looked at one by one, their histograms never; --bulk has a direction. */
        bool used = (qp_uses[i].modes & 1u << o->mode) != 0 ||
                    (o->mode == QP_MODE_SCRIPT && strcmp(name, "--hdr") != 0) ||
                    (o->bulk != 0 && strcmp(name, "-d") == 0);
        const qp_rule *rule = qp_given(p, name);
        if (o->command != QP_CMD_CLIENT || used || rule == NULL) {
            continue;
        }
        if (p->own[rule - qp_rules]) {
            return qp_wrong(p, "%s is for %s, not %s", name,
                            qp_mode_list(list, sizeof(list), qp_uses[i].modes),
                            qp_mode_name(o->mode));
        }
        qp_take_back(p, rule);
    }
    return true;
}

/* limit measures one of two things. */
static bool qp_check_limit(qp_parser *p)
{
    static const char *const pingpong[] = {"--req", "--spin"};
    static const char *const one_way[] = {"--payload", "--window"};
    const qp_options *o = p->out;
    if (o->command != QP_CMD_LIMIT) {
        return true;
    }
    for (size_t i = 0; i < sizeof(pingpong) / sizeof(pingpong[0]); i++) {
        if (!o->pingpong && qp_is_given(p, pingpong[i])) {
            return qp_wrong(p, "%s goes with --pingpong", pingpong[i]);
        }
        if (o->pingpong && qp_is_given(p, one_way[i])) {
            return qp_wrong(p, "--pingpong does not take %s", one_way[i]);
        }
    }
    if (o->pingpong && !o->sealed && qp_is_given(p, "--aead")) {
        return qp_wrong(p, "--pingpong takes --aead with --sealed");
    }
    return true;
}

/* ---- what does not go together ------------------------------------------------------------------- */

/* What goes where. One file, or standard output, cannot be two of them. */
static bool qp_check_outputs(qp_parser *p)
{
    const qp_options *o = p->out;
    const struct {
        const char *name;
        const char *path;
    } all[] = {
        {"--json", o->json}, {"--jsonl", o->jsonl}, {"--hdr", o->hdr}, {"--keylog", o->keylog}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t k = 0; k < i; k++) {
            if (all[i].path != NULL && all[k].path != NULL &&
                strcmp(all[i].path, all[k].path) == 0 && strcmp(all[i].path, "/dev/null") != 0) {
                return qp_wrong(p, "%s %s and %s %s contradict each other: allowed is one of them",
                                all[k].name, all[k].path, all[i].name, all[i].path);
            }
        }
    }
    return true;
}

/* Certificates, and who verifies them. */
static bool qp_check_certificates(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->cert != NULL && o->key == NULL) {
        return qp_wrong(p, "--cert needs --key: allowed are both or neither");
    }
    if (o->key != NULL && o->cert == NULL) {
        return qp_wrong(p, "--key needs --cert: allowed are both or neither");
    }
    if (o->command == QP_CMD_SERVER && (o->ca != NULL) != (o->client_cert != 0)) {
        return qp_wrong(p, "--client-cert and --ca go together: allowed are both or neither");
    }
    if (o->ca != NULL && o->insecure) {
        return qp_wrong(p, "--ca and --insecure contradict each other: allowed is one of them");
    }
    return true;
}

/* What is measured, and for how long. */
static bool qp_check_work(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->amount != 0 && o->duration_ns != 0) {
        return qp_wrong(p, "-n and -t contradict each other: allowed is one of them");
    }
    if ((o->mode == QP_MODE_LATENCY) != (o->request_rate != 0)) {
        return qp_wrong(p, "latency and -R go together: allowed are both or neither");
    }
    if (o->mode == QP_MODE_HPS && o->zero_rtt) {
        return qp_wrong(p, "hps sends nothing that could go in 0-RTT: allowed is --resume");
    }
    if (o->amount != 0 &&
        (o->mode == QP_MODE_IDLE || o->mode == QP_MODE_DGRAM || o->mode == QP_MODE_FAIR)) {
        return qp_wrong(p, "%s takes no -n: allowed is -t", qp_mode_name(o->mode));
    }
    return true;
}

/* TCP instead of QUIC: of what only QUIC has nothing is done, and nothing may be said to have been. */
static bool qp_check_tcp(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->tcp_cc != NULL && !o->tcp && o->command != QP_CMD_COMPARE) {
        return qp_wrong(p, "--tcp-cc is for --tcp");
    }
    if (o->command != QP_CMD_CLIENT || !o->tcp || o->api == QP_API_SOCKETS) {
        return true;
    }
    if (o->amount != 0 || o->streams != 1 || (o->mode != QP_MODE_TPUT && o->mode != QP_MODE_RR)) {
        return qp_wrong(p, "--tcp takes tput or rr with -t, and one stream per connection");
    }
    if (o->mode == QP_MODE_RR && o->response_bytes == 0) {
        return qp_wrong(p,
                        "--tcp takes no --resp 0: nothing would tell that a request was answered");
    }
    return qp_check_able(p, QP_TCP_C, "--tcp");
}

/* Datagrams, the network in between, CPUs. */
static bool qp_check_line(qp_parser *p)
{
    const qp_options *o = p->out;
    if (o->payload != 0 && o->mtu_probe != 0) {
        return qp_wrong(p, "--payload and --mtu-probe contradict each other: allowed is one of "
                           "them");
    }
    if ((o->impair.asked & 1u << QP_IMPAIR_QUEUE) != 0 && o->impair.link.rate_bits_per_s == 0) {
        return qp_wrong(p, "--queue waits for --rate: allowed are both or --rate alone");
    }
    if (o->command == QP_CMD_LIMIT && o->pingpong &&
        (o->request_bytes < 1 || o->request_bytes > 65507)) {
        return qp_wrong(p, "--pingpong takes --req 1..65507");
    }
    if (o->sealed && (!o->pingpong || o->request_bytes < 8 || o->request_bytes > 65480)) {
        return qp_wrong(p, "--sealed goes with --pingpong and --req 8..65480");
    }
    if ((o->command & (QP_CMD_DEMO | QP_CMD_LIMIT | QP_CMD_COMPARE)) != 0 && o->cpu_count > 2) {
        return qp_wrong(p, "--cpu lists %zu CPUs: allowed are one or two", o->cpu_count);
    }
    return true;
}

/* What only the whole line shows to be wrong. */
bool qp_options_check(qp_parser *p)
{
    return qp_check_operands(p) && qp_check_uses(p) && qp_check_limit(p) && qp_check_outputs(p) &&
           qp_check_certificates(p) && qp_check_work(p) && qp_check_line(p) &&
           qp_check_sockets(p) && qp_check_tcp(p);
}
