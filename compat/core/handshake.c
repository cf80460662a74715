/* The built-in TLS on the raw path, in the thread that called quic_client_handshake or quic_server_handshake. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat/core/opts.h"
#include "compat/core/raw.h"

#define QS_ALPN_COUNT_MAX 10u
#define QS_ALPN_NONE      "quic-socket" /* what a client that has set nothing offers */
#define QS_ANCHORS        "/etc/ssl/certs/ca-certificates.crt"
#define QS_PARAMS_MAX     512u
#define QS_TICKET_WAIT_NS (3 * QS_NS_PER_S)

typedef struct qs_tls_run {
    qs_sock *s;
    quring_tls_session *session;
    bool params_set;
    bool early; /* client: 0-RTT is offered */
    uint64_t deadline;
} qs_tls_run;

static quring_status qs_status_of(int rc)
{
    return rc == 0 ? QURING_OK : QURING_E_STATE;
}

static quring_status qs_sink_secret(void *ctx, quring_level level, quring_direction dir,
                                    uint16_t suite, const uint8_t *secret, size_t len)
{
    qs_sock *s = (qs_sock *)ctx;
    return qs_status_of(qs_hs_install(s, level, dir, suite, secret, len));
}

static quring_status qs_sink_crypto(void *ctx, quring_level level, const uint8_t *data, size_t len)
{
    qs_sock *s = (qs_sock *)ctx;
    return qs_status_of(qs_hs_send(s, level, data, len));
}

/* Lock not held: in the thread of the handshake, or on the worker when a ticket comes later. The first one is the one,
 * also where it cannot be kept. */
static void qs_sink_session(void *ctx, const uint8_t *data, size_t len)
{
    qs_sock *s = (qs_sock *)ctx;
    pthread_mutex_lock(&s->lock);
    bool is_kept =
        !s->ticket_came && len <= QS_TICKET_LEN_MAX && qs_blob_set(&s->ticket, data, len) == 0;
    s->ticket_came = true;
    if (is_kept) {
        qs_rx_push_event(s, QS_EVENT_NEW_SESSION_TICKET, data, (uint32_t)len);
    }
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_ALL);
    qs_unlock(s);
}

/* The protocols of a comma separated list; `text` is changed and must live on. */
static size_t qs_split_alpn(char *text, const char **names)
{
    size_t count = 0;
    char *save = NULL;
    for (char *name = strtok_r(text, ",", &save); name != NULL && count < QS_ALPN_COUNT_MAX;
         name = strtok_r(NULL, ",", &save)) {
        name += strspn(name, " ");
        if (*name != 0) {
            names[count++] = name;
        }
    }
    return count;
}

/* draft section 6.1.3: what a client shows leads to one of the anchors that clients of this system trust. */
static void qs_ask_clients(quring_tls_options *options, uint8_t request)
{
    if (request != 1 && request != 2) {
        return;
    }
    const char *anchors = getenv("SSL_CERT_FILE");
    options->client_cert = request == 1 ? QURING_CLIENT_CERT_REQUEST : QURING_CLIENT_CERT_REQUIRE;
    options->ca_file = anchors != NULL ? anchors : QS_ANCHORS;
}

static int qs_make_tls(qs_sock *s, quring_tls **out, const qs_handshake_args *args)
{
    char text[QS_ALPN_LEN_MAX + 1];
    const char *names[QS_ALPN_COUNT_MAX];
    quring_tls_options options;
    quring_error err;
    memset(&options, 0, sizeof(options));
    pthread_mutex_lock(&s->lock);
    memcpy(text, s->alpn, sizeof(text));
    uint8_t request = s->settings.certificate_request;
    options.cipher_suite = qs_suite_of(s->settings.payload_cipher_type);
    qs_unlock(s);
    if (args->alpn != NULL) {
        if (strlen(args->alpn) > QS_ALPN_LEN_MAX) {
            return -EINVAL;
        }
        strcpy(text, args->alpn);
    }
    options.alpn = names;
    options.alpn_count = qs_split_alpn(text, names);
    if (options.alpn_count == 0 && !args->is_server) {
        /* RFC 9001 8.1 wants a protocol to be agreed on; the draft does not. */
        names[options.alpn_count++] = QS_ALPN_NONE;
    }
    options.any_alpn = options.alpn_count == 0;
    options.cert_file = args->cert_file;
    options.key_file = args->key_file;
    options.cert_pem = (quring_bytes){(const uint8_t *)args->cert_pem, args->cert_len};
    options.key_pem = (quring_bytes){(const uint8_t *)args->key_pem, args->key_len};
    quring_status status;
    if (args->is_server) {
        qs_ask_clients(&options, request);
        status = quring_tls_create_server(out, &options, &err);
        if (status == QURING_E_NOT_SUPPORTED && options.cipher_suite != 0) {
            qs_say(1, "payload_cipher_type is not one this TLS library can be told to use");
            options.cipher_suite = 0;
            status = quring_tls_create_server(out, &options, &err);
        }
    } else {
        options.cipher_suite = 0; /* the server decides */
        options.verify = request == 3                ? QURING_VERIFY_NONE
                         : args->server_name != NULL ? QURING_VERIFY_PEER
                                                     : QURING_VERIFY_CHAIN;
        status = quring_tls_create_client(out, &options, &err);
    }
    if (status == QURING_OK) {
        return 0;
    }
    qs_say(2, "handshake: %s", err.message);
    return err.os_errno != 0 ? -err.os_errno : status == QURING_E_NOMEM ? -ENOMEM : -EINVAL;
}

/* Alerts about certificates (RFC 8446 6.2): 42 to 48, but for illegal_parameter, and certificate_required. */
static int qs_alert_errno(uint64_t alert)
{
    return (alert >= 42 && alert <= 48 && alert != 47) || alert == 116 ? -EKEYREJECTED : -EPROTO;
}

/* What errno is too short for. */
static void qs_hs_tell(const quring_close_info *info)
{
    const char *who =
        info->kind == QURING_CLOSE_PEER_TRANSPORT || info->kind == QURING_CLOSE_PEER_APP
            ? "the peer ended it"
        : info->kind == QURING_CLOSE_LOCAL_TRANSPORT ? "the peer broke the protocol"
                                                     : NULL;
    if (who == NULL) {
        return;
    }
    const char *colon = info->reason[0] != '\0' ? ": " : "";
    if (info->code >= QS_ERROR_CRYPTO && info->code < QS_ERROR_CRYPTO_END) {
        qs_say(2, "handshake: %s, TLS alert %u%s%s", who, (unsigned)(info->code - QS_ERROR_CRYPTO),
               colon, info->reason);
    } else {
        qs_say(2, "handshake: %s, error %#llx%s%s", who, (unsigned long long)info->code, colon,
               info->reason);
    }
}

/* What the end of a connection during the handshake means to who waits for it. */
static int qs_hs_errno(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    quring_close_info info = s->close_info;
    qs_unlock(s);
    qs_hs_tell(&info);
    if (info.kind == QURING_CLOSE_PEER_TRANSPORT && info.code == QS_ERROR_REFUSED) {
        return -ECONNREFUSED;
    }
    if (info.kind == QURING_CLOSE_LOCAL_TRANSPORT) {
        return -EPROTO; /* we found something wrong with the peer */
    }
    if (info.kind == QURING_CLOSE_HANDSHAKE_TIMEOUT || info.kind == QURING_CLOSE_IDLE_TIMEOUT) {
        return -ETIMEDOUT;
    }
    if (info.kind == QURING_CLOSE_PEER_TRANSPORT && info.code >= QS_ERROR_CRYPTO &&
        info.code < QS_ERROR_CRYPTO_END) {
        return qs_alert_errno(info.code - QS_ERROR_CRYPTO);
    }
    if (info.kind == QURING_CLOSE_VERSION) {
        return -EPROTONOSUPPORT;
    }
    return -ECONNRESET;
}

/* The connection took no more. What ended it is told at the end of the worker's turn. */
static int qs_hs_broken(qs_sock *s)
{
    uint64_t until = qs_now_ns() + QS_NS_PER_S;
    pthread_mutex_lock(&s->lock);
    while (s->state != QS_CLOSED && qs_wait(s, QS_WAIT_ALL, until, NULL) != -EAGAIN) {
    }
    bool closed = s->state == QS_CLOSED;
    qs_unlock(s);
    return closed ? qs_hs_errno(s) : -EPROTO;
}

/* What the peer is told, 0: the connection itself has ended. */
static uint64_t qs_tls_code(quring_status status, uint8_t alert)
{
    return status == QURING_E_TLS         ? QS_ERROR_CRYPTO + alert
           : status == QURING_E_TOO_LARGE ? QS_ERROR_CRYPTO_BUFFER
           : status == QURING_E_INVAL     ? QS_ERROR_PROTOCOL
                                          : 0;
}

static int qs_tls_result(qs_tls_run *run, quring_status status, uint8_t alert,
                         const quring_error *err)
{
    if (status == QURING_OK) {
        return 0;
    }
    qs_say(2, "handshake: %s", err->message);
    uint64_t code = qs_tls_code(status, alert);
    if (code == 0) {
        return qs_hs_broken(run->s);
    }
    qs_hs_refuse(run->s, code);
    return status == QURING_E_TLS ? qs_alert_errno(alert) : -EPROTO;
}

/* The next CRYPTO bytes, into TLS; the peer's parameters, as soon as they are known, to the connection. */
static int qs_tls_step(qs_tls_run *run)
{
    int rc = 0;
    uint8_t alert = 0;
    quring_error err;
    qs_item *item = qs_rx_take_crypto(run->s, run->deadline, &rc);
    if (item == NULL) {
        return rc == -ECONNRESET ? qs_hs_errno(run->s) : rc;
    }
    quring_status status = quring_tls_session_provide(run->session, (quring_level)item->level,
                                                      item->data, item->len, &alert, &err);
    free(item);
    rc = qs_tls_result(run, status, alert, &err);
    quring_bytes params = quring_tls_session_peer_params(run->session);
    if (rc == 0 && !run->params_set && params.data != NULL) {
        run->params_set = true;
        if (run->early) {
            (void)qs_hs_early_answer(run->s, quring_tls_session_is_early_accepted(run->session));
        }
        rc = qs_hs_set_params(run->s, params.data, params.len);
        rc = rc == 0 ? 0 : qs_hs_broken(run->s);
    }
    return rc;
}

static int qs_tls_finish(qs_tls_run *run)
{
    qs_sock *s = run->s;
    quring_bytes alpn = quring_tls_session_alpn(run->session);
    bool is_none =
        alpn.len == strlen(QS_ALPN_NONE) && memcmp(alpn.data, QS_ALPN_NONE, alpn.len) == 0;
    if (alpn.len > 0 && alpn.len <= QS_ALPN_LEN_MAX && !is_none) {
        pthread_mutex_lock(&s->lock);
        memcpy(s->alpn, alpn.data, alpn.len);
        s->alpn[alpn.len] = 0;
        s->alpn_len = (uint32_t)alpn.len;
        qs_unlock(s);
    }
    int rc = qs_hs_complete(s);
    if (rc != 0) {
        return qs_hs_broken(s);
    }
    return qs_hs_await(s, run->deadline);
}

/* draft section 6.1.3: the call ends when a ticket is there; without one after a while it ends all the
 * same. */
static void qs_tls_await_ticket(qs_tls_run *run)
{
    qs_sock *s = run->s;
    uint64_t until = qs_now_ns() + QS_TICKET_WAIT_NS;
    until = run->deadline != 0 && run->deadline < until ? run->deadline : until;
    bool waiting = true;
    pthread_mutex_lock(&s->lock);
    while (waiting && !(s->ticket_came && s->token_came)) {
        qs_item *item = qs_rx_remove_crypto(s);
        if (item == NULL) {
            waiting = s->state == QS_ESTABLISHED && qs_wait(s, QS_WAIT_ALL, until, NULL) != -EAGAIN;
            continue;
        }
        uint8_t alert = 0;
        quring_error err;
        qs_unlock(s);
        quring_status status = quring_tls_session_provide(run->session, (quring_level)item->level,
                                                          item->data, item->len, &alert, &err);
        free(item);
        waiting = status == QURING_OK;
        if (!waiting && qs_tls_code(status, alert) != 0) {
            qs_hs_refuse(s, qs_tls_code(status, alert));
        }
        pthread_mutex_lock(&s->lock);
    }
    qs_ready_update(s);
    qs_unlock(s);
}

/* A client's ticket, a copy as another thread may set a new one; and with the peer's parameters known, 0-RTT. */
static int qs_tls_take_ticket(qs_tls_run *run, qs_blob *ticket)
{
    qs_sock *s = run->s;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    bool remembers = s->remote_known;
    if (s->ticket.len > 0) {
        rc = qs_blob_set(ticket, s->ticket.data, s->ticket.len);
    }
    qs_unlock(s);
    run->early = rc == 0 && ticket->len > 0 && remembers && qs_hs_remember(s) == 0;
    return rc;
}

static int qs_tls_begin(qs_tls_run *run, const qs_handshake_args *args, quring_tls *tls)
{
    uint8_t params[QS_PARAMS_MAX];
    size_t params_len = 0;
    qs_sock *s = run->s;
    int os_errno = 0;
    quring_error err;
    qs_blob ticket = {NULL, 0};
    int rc = qs_hs_get_params(s, params, &params_len, sizeof(params));
    if (rc == 0 && !args->is_server) {
        rc = qs_tls_take_ticket(run, &ticket);
    }
    if (rc != 0) {
        return rc;
    }
    quring_tls_session_options options;
    memset(&options, 0, sizeof(options));
    options.tls = tls;
    options.server_name = args->server_name;
    options.params.data = params;
    options.params.len = params_len;
    options.tickets = args->is_server;
    options.runtime = qs_runtime(&os_errno);
    options.sink.ctx = s;
    options.sink.on_secret = qs_sink_secret;
    options.sink.on_crypto = qs_sink_crypto;
    options.sink.on_session = qs_sink_session;
    options.session.data = ticket.data;
    options.session.len = ticket.len;
    options.zero_rtt = args->is_server || run->early;
    quring_status status = quring_tls_session_create(&run->session, &options, &err);
    qs_blob_wipe(&ticket);
    if (status != QURING_OK) {
        qs_say(2, "handshake: %s", err.message);
        return status == QURING_E_NOMEM ? -ENOMEM : -EINVAL;
    }
    return 0;
}

static int qs_tls_drive(qs_tls_run *run, const qs_handshake_args *args, quring_tls *tls)
{
    uint8_t alert = 0;
    quring_error err;
    qs_sock *s = run->s;
    int rc = qs_tls_begin(run, args, tls);
    if (rc != 0) {
        return rc;
    }
    quring_status status = quring_tls_session_start(run->session, &alert, &err);
    rc = qs_tls_result(run, status, alert, &err);
    while (rc == 0 && !quring_tls_session_is_complete(run->session)) {
        rc = qs_tls_step(run);
    }
    rc = rc == 0 ? qs_tls_finish(run) : rc;
    pthread_mutex_lock(&s->lock);
    bool wants = !args->is_server && s->settings.receive_session_ticket != 0;
    qs_unlock(s);
    if (rc == 0 && wants) {
        qs_tls_await_ticket(run);
    }
    return rc;
}

/* RFC 9000 6.2, RFC 9368 2.1: the server does not speak the version, but one of those that we do: with that there is
 * a new connection and a new ClientHello. The connection knows that it is the second try, and that there is no
 * third. */
static bool qs_begin_again(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool again = s->state == QS_CONNECTING && s->version_refused;
    if (again) {
        s->version_refused = false;
    }
    qs_unlock(s);
    return again;
}

/* A session has an SSL_CTX of its own, with all that the system trusts: it is there for the first ticket and no longer,
 * nor longer than the connection. Lock held. Returns what the caller is to destroy. */
quring_tls_session *qs_hs_forgo(qs_sock *s)
{
    quring_tls_session *session = s->session;
    if (!s->ticket_came && !s->conn_over) {
        return NULL;
    }
    s->session = NULL;
    return session;
}

int qs_op_handshake(qs_sock *s, const qs_handshake_args *args)
{
    quring_tls *tls = NULL;
    pthread_mutex_lock(&s->lock);
    /* With none for whom the program has ended it. */
    bool might = s->is_server == args->is_server && !s->shut_wr;
    bool able = might && s->state == QS_CONNECTING && !s->handshaking;
    /* The peer did not wait until somebody shook hands. */
    bool gone = might && s->conn_over && !s->peer_params_set;
    s->handshaking = s->handshaking || able;
    qs_unlock(s);
    if (!able) {
        return gone ? qs_hs_errno(s) : -EINVAL;
    }
    qs_tls_run run = {s, NULL, false, false, 0};
    if (args->timeout_ms > 0) {
        run.deadline = qs_now_ns() + args->timeout_ms * QS_NS_PER_MS;
    }
    qs_ref(s);
    int rc = qs_make_tls(s, &tls, args);
    rc = rc == 0 ? qs_tls_drive(&run, args, tls) : rc;
    if (rc == -EPROTONOSUPPORT && qs_begin_again(s)) {
        quring_tls_session_destroy(run.session);
        run = (qs_tls_run){s, NULL, false, false, run.deadline};
        rc = qs_tls_drive(&run, args, tls);
    }
    quring_tls_release(tls);
    pthread_mutex_lock(&s->lock);
    if (rc == 0 && !args->is_server) {
        s->session = run.session; /* for a ticket that comes later */
        run.session = qs_hs_forgo(s);
    }
    /* Tickets that were fast. What comes while a piece of one is read waits behind it. */
    qs_item *item;
    while (rc == 0 && (item = qs_rx_remove_crypto(s)) != NULL) {
        uint64_t code = qs_hs_late(s, (quring_level)item->level, item->data, item->len);
        free(item);
        if (code != 0) {
            qs_unlock(s);
            qs_hs_refuse(s, code);
            pthread_mutex_lock(&s->lock);
        }
    }
    s->handshaking = false;
    s->tls_is_ours = rc == 0;
    qs_ready_update(s);
    qs_unlock(s);
    quring_tls_session_destroy(run.session);
    qs_unref(s);
    return rc;
}

/* After the handshake the peer's messages are ours to take: until there is a ticket. Nothing else comes then
 * (quring/handshake.h). Lock held. Returns what the connection is to be closed with, 0: nothing. */
uint64_t qs_hs_late(qs_sock *s, quring_level level, const uint8_t *data, size_t len)
{
    uint8_t alert = 0;
    quring_error err;
    quring_tls_session *session = s->session;
    if (session == NULL || level != QURING_LEVEL_APP) {
        return 0;
    }
    s->session = NULL;
    qs_unlock(s);
    quring_status status = quring_tls_session_provide(session, level, data, len, &alert, &err);
    pthread_mutex_lock(&s->lock);
    if (status == QURING_OK) {
        s->session = session; /* part of a message: more is to come */
        session = qs_hs_forgo(s);
    }
    quring_tls_session_destroy(session);
    return qs_tls_code(status, alert);
}
