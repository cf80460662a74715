#include "quring/tls_session.h"

#include <stdlib.h>
#include <string.h>

#include "quic/base/bytes.h"
#include "quic/conn/conn.h"
#include "quic/crypto/session_ticket.h"
#include "quic/crypto/tls_boring.h"
#include "runtime/core/clock.h"
#include "runtime/core/random.h"
#include "runtime/server/error.h"
#include "runtime/server/runtime.h"
#include "runtime/server/tls.h"

#define RT_TLS_SESSION_MEM_MAX (1u << 20)
#define RT_TICKET_MAGIC        0x51545331u /* "QTS1" */
#define RT_TICKET_HEAD         8u /* magic, and the version of QUIC that the ticket is for */

struct quring_tls_session {
    quic_tls *tls;
    quring_tls_sink sink;
    quring_status sink_status; /* what the sink refused with */
    uint32_t version; /* of our parameters: a client's first flight has it; 0: none is named */
    quic_ticket_keys keys;
    rt_random random;
    quic_rng rng;
    quic_mem mem;
};

static void *rt_session_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void rt_session_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

/* ---- the sink ------------------------------------------------------------------------------------ */

static quic_rc rt_session_refused(quring_tls_session *session, quring_status status)
{
    session->sink_status = status;
    return status == QURING_OK ? QUIC_OK : QUIC_E_STATE;
}

static quic_rc rt_session_on_secret(void *ctx, quic_level level, bool is_write, uint16_t suite,
                                    const uint8_t *secret, size_t len)
{
    quring_tls_session *session = (quring_tls_session *)ctx;
    return rt_session_refused(session,
                              session->sink.on_secret(session->sink.ctx, (quring_level)level,
                                                      is_write ? QURING_DIR_WRITE : QURING_DIR_READ,
                                                      suite, secret, len));
}

static quic_rc rt_session_on_crypto(void *ctx, quic_level level, const uint8_t *data, size_t len)
{
    quring_tls_session *session = (quring_tls_session *)ctx;
    return rt_session_refused(
        session, session->sink.on_crypto(session->sink.ctx, (quring_level)level, data, len));
}

/* RFC 9369 5: a ticket is for the version that was negotiated. A server that names none goes on with the client's. */
static uint32_t rt_session_negotiated(const quring_tls_session *session)
{
    const uint8_t *params = NULL;
    size_t len = 0;
    const bool known = quic_tls_boring()->peer_params(session->tls, &params, &len);
    const uint32_t version = known ? quic_params_version(params, len) : 0;
    return version != 0 ? version : session->version;
}

static void rt_session_on_session(void *ctx, const uint8_t *data, size_t len)
{
    const quring_tls_session *session = (const quring_tls_session *)ctx;
    if (session->sink.on_session == NULL) {
        return;
    }
    uint8_t *ticket = (uint8_t *)malloc(RT_TICKET_HEAD + len);
    if (ticket == NULL) {
        return; /* without it the next handshake is a full one */
    }
    quic_store_be32(ticket, RT_TICKET_MAGIC);
    quic_store_be32(ticket + 4, rt_session_negotiated(session));
    memcpy(ticket + RT_TICKET_HEAD, data, len);
    session->sink.on_session(session->sink.ctx, ticket, RT_TICKET_HEAD + len);
    explicit_bzero(ticket, RT_TICKET_HEAD + len);
    free(ticket);
}

/* The part of a ticket that is TLS's; none of one that is for another version than we begin with (RFC 9369 5). */
static quring_bytes rt_session_resumes(const quring_tls_session *session, quring_bytes ticket)
{
    quring_bytes out = {NULL, 0};
    if (ticket.data != NULL && ticket.len > RT_TICKET_HEAD &&
        quic_load_be32(ticket.data) == RT_TICKET_MAGIC &&
        quic_load_be32(ticket.data + 4) == session->version) {
        out.data = ticket.data + RT_TICKET_HEAD;
        out.len = ticket.len - RT_TICKET_HEAD;
    }
    return out;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static quring_status rt_session_check(const quring_tls_session_options *options, quring_error *err)
{
    if (options->tls == NULL || options->sink.on_secret == NULL ||
        options->sink.on_crypto == NULL || options->params.data == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "tls, params, or a function of the sink is NULL");
    }
    if (options->tickets && options->runtime == NULL) {
        return rt_error_set(err, QURING_E_INVAL,
                            "tickets are sealed by a runtime: runtime is NULL");
    }
    return QURING_OK;
}

static quic_rc rt_session_make(quring_tls_session *session,
                               const quring_tls_session_options *options)
{
    uint8_t context[QUIC_EARLY_CONTEXT_MAX];
    quic_role role = rt_tls_role(options->tls);
    quic_tls_args args;
    memset(&args, 0, sizeof(args));
    args.tls_config = options->tls;
    args.mem = &session->mem;
    args.role = role;
    args.server_name = options->server_name;
    args.params = options->params.data;
    args.params_len = options->params.len;
    args.sink.ctx = session;
    args.sink.on_secret = rt_session_on_secret;
    args.sink.on_crypto = rt_session_on_crypto;
    args.sink.on_session = rt_session_on_session;
    args.rng = &session->rng;
    args.tickets.now = rt_clock_now();
    session->version = quic_params_version(options->params.data, options->params.len);
    if (role == QUIC_CLIENT) {
        const quring_bytes resumes = rt_session_resumes(session, options->session);
        args.tickets.session = resumes.data;
        args.tickets.session_len = resumes.len;
        args.tickets.early = options->zero_rtt;
    } else if (options->tickets) {
        quring_runtime *rt = options->runtime;
        rt_runtime_ticket_keys(rt, &session->keys);
        args.tickets.keys = &session->keys;
        /* RFC 9369 5: tickets belong to a version. Here that is the one the connection goes on with. */
        args.tickets.version = session->version;
        args.tickets.version_first = session->version;
        if (options->zero_rtt) {
            pthread_mutex_lock(&rt->lock);
            quic_rc rc = rt_early_open(&rt->early);
            pthread_mutex_unlock(&rt->lock);
            if (rc != QUIC_OK) {
                return rc;
            }
            args.tickets.gate = &rt->early.gate;
            args.tickets.early_context = context;
            args.tickets.early_context_len = quic_early_context_of(
                context, sizeof(context), options->params.data, options->params.len);
        }
    }
    return rt_tls_vtable()->create(&session->tls, &args);
}

quring_status quring_tls_session_create(quring_tls_session **out,
                                        const quring_tls_session_options *options,
                                        quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", out == NULL ? "out" : "options");
    }
    quring_status status = rt_session_check(options, err);
    if (status != QURING_OK) {
        return status;
    }
    quring_tls_session *session = (quring_tls_session *)calloc(1, sizeof(*session));
    if (session == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a TLS session");
    }
    quic_allocator allocator = {rt_session_alloc, rt_session_free, NULL};
    quic_mem_init_root(&session->mem, &allocator, RT_TLS_SESSION_MEM_MAX);
    rt_random_init(&session->random);
    session->rng = rt_random_rng(&session->random);
    session->sink = options->sink;
    quic_rc rc = rt_session_make(session, options);
    if (rc != QUIC_OK) {
        quring_tls_session_destroy(session);
        status = rc == QUIC_E_CRYPTO ? QURING_E_TLS : rt_status_of(rc);
        return rt_error_set(err, status, "no TLS session: %s", quring_status_text(status));
    }
    *out = session;
    return QURING_OK;
}

void quring_tls_session_destroy(quring_tls_session *session)
{
    if (session == NULL) {
        return;
    }
    if (session->tls != NULL) {
        quic_tls_boring()->destroy(session->tls);
    }
    explicit_bzero(session, sizeof(*session));
    free(session);
}

/* ---- progress -------------------------------------------------------------------------------------- */

static quring_status rt_session_result(const quring_tls_session *session, quic_rc rc,
                                       uint8_t *out_alert, quring_error *err)
{
    *out_alert = 0;
    if (rc == QUIC_OK) {
        return QURING_OK;
    }
    if (session->sink_status != QURING_OK) {
        return rt_error_set(err, session->sink_status, "the connection took no more: %s",
                            quring_status_text(session->sink_status));
    }
    if (rc == QUIC_V_PROTOCOL_VIOLATION) {
        const char *what = quic_tls_boring()->error_text(session->tls);
        return rt_error_set(err, QURING_E_INVAL, "the peer breaks the rules of TLS over QUIC%s%s",
                            what[0] != '\0' ? ": " : "", what);
    }
    if (rc == QUIC_V_CRYPTO_BUFFER_EXCEEDED) {
        return rt_error_set(err, QURING_E_TOO_LARGE, "a message is larger than any that is taken");
    }
    *out_alert = rc > QUIC_V_CRYPTO_BASE ? (uint8_t)(rc - QUIC_V_CRYPTO_BASE)
                                         : (uint8_t)QUIC_ALERT_INTERNAL_ERROR;
    const char *text = quic_tls_boring()->error_text(session->tls);
    return rt_error_set(err, QURING_E_TLS, "TLS alert %u%s%s", (unsigned)*out_alert,
                        text[0] != '\0' ? ": " : "", text);
}

quring_status quring_tls_session_start(quring_tls_session *session, uint8_t *out_alert,
                                       quring_error *err)
{
    rt_error_clear(err);
    if (session == NULL || out_alert == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "session or out_alert is NULL");
    }
    return rt_session_result(session, quic_tls_boring()->start(session->tls), out_alert, err);
}

quring_status quring_tls_session_provide(quring_tls_session *session, quring_level level,
                                         const uint8_t *data, size_t len, uint8_t *out_alert,
                                         quring_error *err)
{
    rt_error_clear(err);
    if (session == NULL || out_alert == NULL || (data == NULL && len > 0) ||
        (int)level < (int)QURING_LEVEL_INITIAL || (int)level > (int)QURING_LEVEL_APP) {
        return rt_error_set(err, QURING_E_INVAL, "session, data, level, or out_alert is wrong");
    }
    return rt_session_result(session,
                             quic_tls_boring()->provide(session->tls, (quic_level)level, data, len),
                             out_alert, err);
}

/* ---- facts ------------------------------------------------------------------------------------------- */

bool quring_tls_session_is_complete(const quring_tls_session *session)
{
    return session != NULL && quic_tls_boring()->is_complete(session->tls);
}

bool quring_tls_session_is_resumed(const quring_tls_session *session)
{
    return session != NULL && quic_tls_boring()->resumed(session->tls);
}

bool quring_tls_session_is_early_accepted(const quring_tls_session *session)
{
    return session != NULL && quic_tls_boring()->early_status(session->tls) == QUIC_EARLY_ACCEPTED;
}

static quring_bytes rt_session_view(const quring_tls_session *session,
                                    bool (*get)(const quic_tls *tls, const uint8_t **out,
                                                size_t *out_len))
{
    quring_bytes view = {NULL, 0};
    if (session != NULL && !get(session->tls, &view.data, &view.len)) {
        view.data = NULL;
        view.len = 0;
    }
    return view;
}

quring_bytes quring_tls_session_peer_params(const quring_tls_session *session)
{
    return rt_session_view(session, quic_tls_boring()->peer_params);
}

quring_bytes quring_tls_session_alpn(const quring_tls_session *session)
{
    return rt_session_view(session, quic_tls_boring()->alpn);
}

const char *quring_tls_session_server_name(const quring_tls_session *session)
{
    const char *name = session != NULL ? quic_tls_boring()->server_name(session->tls) : NULL;
    return name != NULL ? name : "";
}
