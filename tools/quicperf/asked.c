#include "tools/quicperf/asked.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quring/base.h"

#include "tools/quicperf/impair_options.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/setup.h"

typedef struct qp_verdict {
    char *out;
    size_t cap;
    const qp_options *options;
    const qp_result *result;
} qp_verdict;

bool qp_asked_version(const qp_options *options, uint32_t version)
{
    return options->version == QP_VERSION_ANY ||
           version == (options->version == QP_VERSION_1 ? QURING_QUIC_V1 : QURING_QUIC_V2);
}

__attribute__((format(printf, 2, 3))) static bool qp_missed(const qp_verdict *v, const char *fmt,
                                                            ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(v->out, v->cap, fmt, args);
    va_end(args);
    return true;
}

/* How many connections an option about sessions must have served. crr uses each connection's ticket
 * for the next one, which may begin before it came: there, some are enough. */
static uint64_t qp_wanted(const qp_verdict *v)
{
    uint64_t all = v->result->connections;
    return v->options->mode == QP_MODE_CRR && all > 0 ? 1 : all;
}

static bool qp_missed_session(const qp_verdict *v)
{
    const qp_options *o = v->options;
    const qp_result *r = v->result;
    uint64_t want = qp_wanted(v);
    if ((o->resume || o->zero_rtt) && r->resumed_count < want) {
        return qp_missed(
            v, "%" PRIu64 " of %" PRIu64 " connections resumed: the server refused the rest",
            r->resumed_count, r->connections);
    }
    if (o->zero_rtt && r->zero_rtt_count < want) {
        return qp_missed(v,
                         "0-RTT was accepted on %" PRIu64 " of %" PRIu64
                         " connections (a quicperf server needs --0rtt)",
                         r->zero_rtt_count, r->connections);
    }
    if (o->token && r->token_count < want) {
        return qp_missed(v,
                         "%" PRIu64 " of %" PRIu64
                         " connections were spared a Retry: the server refused the other tokens",
                         r->token_count, r->connections);
    }
    return false;
}

static bool qp_missed_version(const qp_verdict *v)
{
    const qp_result *r = v->result;
    if (v->options->version != QP_VERSION_ANY && r->version_count < r->connections) {
        return qp_missed(
            v,
            "%" PRIu64 " of %" PRIu64 " connections speak version %d: the server does not want it",
            r->version_count, r->connections, v->options->version == QP_VERSION_1 ? 1 : 2);
    }
    return false;
}

static bool qp_missed_encryption(const qp_verdict *v)
{
    const qp_result *r = v->result;
    if (v->options->disable_encryption && r->unencrypted_count < r->connections) {
        return qp_missed(v,
                         "%" PRIu64 " of %" PRIu64
                         " connections go without encryption (a quicperf server needs "
                         "--disable-encryption)",
                         r->unencrypted_count, r->connections);
    }
    return false;
}

/* --cert and --cipher: so says the server's part of the handshake. */
static bool qp_missed_tls(const qp_verdict *v)
{
    const qp_options *o = v->options;
    const qp_result *r = v->result;
    const char *cipher = qp_cipher_name(o);
    if (o->cert != NULL && !r->client_cert) {
        return qp_missed(v,
                         "the certificate was shown on %" PRIu64 " of %" PRIu64
                         " connections: the server did not ask (a quicperf server needs "
                         "--client-cert)",
                         r->client_cert_count, r->connections);
    }
    if (cipher != NULL && strcmp(cipher, r->cipher) != 0) {
        return qp_missed(v, "the server chose %s, not %s", r->cipher, cipher);
    }
    return false;
}

static bool qp_missed_path(const qp_verdict *v)
{
    const qp_options *o = v->options;
    const qp_result *r = v->result;
    if (o->migrate_ns != 0 && r->migrations == 0) {
        return qp_missed(v, "no connection moved: %s",
                         r->move_refused == QURING_E_NOT_SUPPORTED ? "the server forbids it"
                         : r->move_refused != QURING_OK ? quring_status_text(r->move_refused)
                                                        : "the run was shorter than --migrate");
    }
    const char *idle = r->proxied ? qp_impair_idle(&o->impair, &r->proxy) : NULL;
    if (idle != NULL) {
        return qp_missed(v, "%s changed nothing: the run was too short for it", idle);
    }
    return false;
}

static bool qp_missed_priorities(const qp_verdict *v)
{
    const qp_options *o = v->options;
    if (o->bulk != 0 && v->result->bulk_bytes == 0) {
        return qp_missed(v, "not one byte of --bulk was transferred in the time given");
    }
    if (o->urgent_bytes != 0 && v->result->urgent_streams == 0) {
        return qp_missed(v, "--urgent changed nothing: no stream was short enough");
    }
    return false;
}

static bool qp_missed_frames(const qp_verdict *v)
{
    const qp_options *o = v->options;
    const qp_result *r = v->result;
    if (o->ack_frequency && r->ack_frequency == 0) {
        return qp_missed(v, "nobody was asked for fewer acknowledgements: the server does not take "
                            "part, or nobody's window left slow start");
    }
    if (o->key_update_bytes != 0 && r->key_updates == 0) {
        return qp_missed(v, "the keys were never updated: too few bytes moved, or too little time "
                            "passed, for --key-update");
    }
    return false;
}

/* What ended otherwise than by its answer ended the run. */
static bool qp_missed_answers(const qp_verdict *v)
{
    const qp_result *r = v->result;
    return r->errors > 0 &&
           qp_missed(v, "%" PRIu64 " of %" PRIu64 " answers had not the length that was asked for",
                     r->errors, r->errors + r->requests);
}

static bool qp_missed_work(const qp_verdict *v)
{
    const qp_result *r = v->result;
    switch (v->options->mode) {
    case QP_MODE_TPUT:
    case QP_MODE_FAIR:
        return r->bytes == 0 && qp_missed(v, "not one byte was transferred in the time given");
    case QP_MODE_RR:
    case QP_MODE_CRR:
    case QP_MODE_LATENCY:
        return r->requests == 0 && qp_missed(v, "no request was answered in the time given");
    case QP_MODE_DGRAM:
        return r->datagrams == 0 &&
               qp_missed(v, "not one datagram was delivered in the time given");
    case QP_MODE_HPS:
        return r->connections == 0 && qp_missed(v, "no handshake was completed in the time given");
    case QP_MODE_IDLE:
    case QP_MODE_SCRIPT:
        break;
    }
    return false;
}

bool qp_asked_but_missed(char *out, size_t cap, const qp_options *options, const qp_result *result)
{
    const qp_verdict v = {out, cap, options, result};
    return qp_missed_session(&v) || qp_missed_version(&v) || qp_missed_encryption(&v) ||
           qp_missed_tls(&v) || qp_missed_path(&v) || qp_missed_answers(&v) || qp_missed_work(&v) ||
           qp_missed_frames(&v) || qp_missed_priorities(&v);
}

const char *qp_asked_length(char *out, size_t cap, uint64_t asked, uint64_t got)
{
    (void)snprintf(out, cap, "the server %s after %" PRIu64 " bytes%s",
                   got > asked ? "goes on" : "ended a transfer", got,
                   asked == QP_ENDLESS ? " and not with the run"
                                       : ", which is not what it was asked for");
    return out;
}
