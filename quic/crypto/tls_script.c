#include "quic/crypto/tls_script.h"

#include "quic/crypto/client_hello.h"
#include "quic/crypto/crypto.h"
#include "quic/crypto/hash.h"
#include "quic/crypto/tls_script_internal.h"
#include "quic/crypto/tls_script_msg.h"

#define CLIENT_HELLO_LEN_DEFAULT  300u
#define CLIENT_HELLO_LEN_MAX      8192u
#define SERVER_FLIGHT_LEN_DEFAULT 3000u
#define SERVER_FLIGHT_LEN_MAX     16384u
#define TICKET_LEN_MAX            8192u
#define PARAMS_LEN_MAX            QUIC_SCRIPT_PARAMS_LEN_MAX
#define NAME_LEN_MAX              QUIC_SCRIPT_NAME_LEN_MAX

/* ---- life ------------------------------------------------------------------------------------ */

static void script_destroy(quic_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    quic_mem_free(tls->mem, tls->msg, tls->msg_cap);
    quic_mem_free(tls->mem, tls, sizeof(*tls));
}

static quic_rc script_create(quic_tls **out, const quic_tls_args *args)
{
    const quic_tls_script_config *config = (const quic_tls_script_config *)args->tls_config;
    const size_t name_len = args->server_name != NULL ? strlen(args->server_name) : 0;
    if (config == NULL || args->rng == NULL || args->params_len > PARAMS_LEN_MAX ||
        name_len > NAME_LEN_MAX || config->client_hello_len > CLIENT_HELLO_LEN_MAX ||
        config->server_flight_len > SERVER_FLIGHT_LEN_MAX || config->ticket_len > TICKET_LEN_MAX) {
        return QUIC_E_INVAL;
    }
    quic_tls *tls = (quic_tls *)quic_mem_zalloc(args->mem, sizeof(*tls));
    if (tls == NULL) {
        return QUIC_E_NOMEM;
    }
    tls->config = config;
    tls->mem = args->mem;
    tls->sink = args->sink;
    tls->role = args->role;
    tls->state = args->role == QUIC_SERVER ? WAIT_CLIENT_HELLO : WAIT_START;
    tls->params_len = args->params_len;
    if (args->params_len > 0) {
        memcpy(tls->params, args->params, args->params_len);
    }
    tls->rng = args->rng;
    quic_script_keep_tickets(tls, &args->tickets);
    if (args->role == QUIC_CLIENT) {
        memcpy(tls->server_name, args->server_name != NULL ? args->server_name : "", name_len);
        quic_rng_fill(args->rng, tls->client_random, sizeof(tls->client_random));
    } else {
        quic_rng_fill(args->rng, tls->server_random, sizeof(tls->server_random));
    }
    *out = tls;
    return QUIC_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void absorb(quic_tls *tls, const uint8_t *msg, size_t len)
{
    uint8_t key[16] = {0};
    memcpy(key, &tls->transcript, sizeof(tls->transcript));
    tls->transcript = quic_siphash(key, msg, len);
}

quic_rc quic_script_emit(quic_tls *tls, quic_level level, const uint8_t *msg, size_t len)
{
    if (len == 0) {
        return QUIC_E_LIMIT;
    }
    absorb(tls, msg, len);
    return tls->sink.on_crypto(tls->sink.ctx, level, msg, len);
}

/* The same secret on both sides: `from` is the role that writes with it. */
static quic_rc give_secret(quic_tls *tls, quic_level level, quic_role from)
{
    uint8_t secret[48];
    const size_t len = tls->suite == QUIC_SUITE_AES_256_GCM_SHA384 ? 48 : 32;
    quic_script_derive(secret, len, tls->client_random, tls->server_random,
                       LABEL_SECRET + 2u * (uint64_t)level + (uint64_t)from);
    return tls->sink.on_secret(tls->sink.ctx, level, from == tls->role, tls->suite, secret, len);
}

static quic_rc give_secrets(quic_tls *tls, quic_level level)
{
    /* Write before read, so that what arrives can be acknowledged. */
    const quic_role peer = tls->role == QUIC_SERVER ? QUIC_CLIENT : QUIC_SERVER;
    const quic_rc rc = give_secret(tls, level, tls->role);
    return rc == QUIC_OK ? give_secret(tls, level, peer) : rc;
}

static void make_finished(const quic_tls *tls, uint8_t out[QUIC_SCRIPT_FINISHED_LEN],
                          uint64_t label)
{
    static const uint8_t head[4] = {QUIC_SCRIPT_FINISHED, 0, 0, QUIC_SCRIPT_FINISHED_LEN - 4};
    memcpy(out, head, sizeof(head));
    quic_script_derive(out + 4, QUIC_SCRIPT_FINISHED_LEN - 4, tls->client_random,
                       tls->server_random, label ^ tls->transcript);
}

static quic_rc emit_finished(quic_tls *tls, uint64_t label)
{
    uint8_t msg[QUIC_SCRIPT_FINISHED_LEN];
    make_finished(tls, msg, label);
    return quic_script_emit(tls, QUIC_LEVEL_HANDSHAKE, msg, sizeof(msg));
}

static quring_bytes alpn_of(const quic_tls_script_config *config)
{
    quring_bytes v = {(const uint8_t *)config->alpn,
                      config->alpn != NULL ? strlen(config->alpn) : 0};
    return v;
}

static quic_script_extensions our_extensions(const quic_tls *tls)
{
    quic_script_extensions ext;
    memset(&ext, 0, sizeof(ext));
    if (tls->role == QUIC_SERVER) {
        ext.has_ticket = tls->resumed;
        ext.early = tls->early == QUIC_EARLY_ACCEPTED;
    }
    if (tls->role == QUIC_CLIENT) {
        ext.ticket.data = tls->context;
        ext.ticket.len = tls->context_len;
        ext.early = tls->context_len > 0 && tls->tickets.early;
        ext.server_name.data = (const uint8_t *)tls->server_name;
        ext.server_name.len = strlen(tls->server_name);
        ext.alpn = alpn_of(tls->config);
    } else if (tls->alpn_agreed) {
        ext.alpn = alpn_of(tls->config);
    }
    ext.has_params = !tls->config->omit_params;
    ext.params.data = tls->params;
    ext.params.len = tls->params_len;
    return ext;
}

static quic_rc emit_filler(quic_tls *tls, quic_level level, uint8_t type, size_t total)
{
    uint8_t msg[SERVER_FLIGHT_LEN_MAX];
    return quic_script_emit(tls, level, msg,
                            quic_script_make_filler(msg, sizeof(msg), type, total));
}

static quic_rc give_early_secret(quic_tls *tls)
{
    uint8_t secret[48];
    const size_t len = tls->psk_suite == QUIC_SUITE_AES_256_GCM_SHA384 ? 48 : 32;
    quic_script_derive(secret, len, tls->psk, tls->client_random, LABEL_EARLY);
    return tls->sink.on_secret(tls->sink.ctx, QUIC_LEVEL_EARLY, tls->role == QUIC_CLIENT,
                               tls->psk_suite, secret, len);
}

static quic_rc emit_server_flight(quic_tls *tls)
{
    uint8_t msg[4096];
    size_t len = quic_script_make_server_hello(msg, sizeof(msg), tls->server_random, tls->suite);
    quic_rc rc = quic_script_emit(tls, QUIC_LEVEL_INITIAL, msg, len);
    if (rc == QUIC_OK) {
        rc = give_secrets(tls, QUIC_LEVEL_HANDSHAKE);
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    const quic_script_extensions ext = our_extensions(tls);
    len = quic_script_make_extensions(msg, sizeof(msg), &ext);
    rc = quic_script_emit(tls, QUIC_LEVEL_HANDSHAKE, msg, len);
    if (rc != QUIC_OK) {
        return rc;
    }
    const size_t want = tls->config->server_flight_len != 0 ? tls->config->server_flight_len
                                                            : SERVER_FLIGHT_LEN_DEFAULT;
    const size_t have = len + QUIC_SCRIPT_FINISHED_LEN;
    if (want >= have + 4 && !tls->resumed) {
        rc = emit_filler(tls, QUIC_LEVEL_HANDSHAKE, QUIC_SCRIPT_CERTIFICATE, want - have);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    rc = emit_finished(tls, LABEL_SERVER_FINISHED);
    return rc == QUIC_OK ? give_secret(tls, QUIC_LEVEL_APP, QUIC_SERVER) : rc;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static bool take_params(quic_tls *tls, quring_bytes params)
{
    if (params.len > PARAMS_LEN_MAX) {
        return false;
    }
    if (params.len > 0) {
        memcpy(tls->peer_params, params.data, params.len);
    }
    tls->peer_params_len = params.len;
    tls->has_peer_params = true;
    return true;
}

static bool same(quring_bytes a, quring_bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static quic_rc on_client_hello(quic_tls *tls)
{
    quic_client_hello hello;
    const quic_rc rc = quic_client_hello_parse(&hello, tls->msg, tls->msg_len);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (tls->config->fail_alert != 0) {
        return QUIC_V_CRYPTO_BASE + tls->config->fail_alert;
    }
    if (!hello.has_transport_params) {
        return ALERT(MISSING_EXTENSION); /* RFC 9001 8.2 */
    }
    if (!take_params(tls, hello.transport_params) || hello.server_name.len > NAME_LEN_MAX) {
        return ALERT(DECODE_ERROR);
    }
    quring_bytes name;
    const quring_bytes ours = alpn_of(tls->config);
    while (quic_client_hello_next_alpn(&hello.alpn, &name)) {
        tls->alpn_agreed = tls->alpn_agreed || same(name, ours);
    }
    if (ours.len > 0 && !tls->alpn_agreed) {
        return ALERT(NO_APPLICATION_PROTOCOL); /* RFC 9001 8.1 */
    }
    if (hello.server_name.len > 0) {
        memcpy(tls->server_name, hello.server_name.data, hello.server_name.len);
    }
    memcpy(tls->client_random, hello.random.data, sizeof(tls->client_random));
    tls->suite = tls->config->suite != 0 ? tls->config->suite : QUIC_SUITE_AES_128_GCM_SHA256;
    quic_script_extensions offer;
    quic_script_read_offer(tls->msg, tls->msg_len, &offer);
    quic_script_take_offer(tls, &offer);
    absorb(tls, tls->msg, tls->msg_len);
    tls->state = WAIT_FINISHED;
    const quic_rc early_rc = tls->early == QUIC_EARLY_ACCEPTED ? give_early_secret(tls) : QUIC_OK;
    return early_rc == QUIC_OK ? emit_server_flight(tls) : early_rc;
}

static quic_rc on_server_hello(quic_tls *tls)
{
    if (!quic_script_read_server_hello(tls->msg, tls->msg_len, tls->server_random, &tls->suite)) {
        return ALERT(DECODE_ERROR);
    }
    if ((unsigned)tls->suite - QUIC_SUITE_AES_128_GCM_SHA256 >= QUIC_SUITE_COUNT) {
        return ALERT(ILLEGAL_PARAMETER);
    }
    absorb(tls, tls->msg, tls->msg_len);
    tls->state = WAIT_EXTENSIONS;
    return give_secrets(tls, QUIC_LEVEL_HANDSHAKE);
}

static quic_rc on_extensions(quic_tls *tls)
{
    quic_script_extensions ext;
    if (!quic_script_read_extensions(tls->msg, tls->msg_len, &ext)) {
        return ALERT(DECODE_ERROR);
    }
    if (!ext.has_params) {
        return ALERT(MISSING_EXTENSION); /* RFC 9001 8.2 */
    }
    if (!take_params(tls, ext.params)) {
        return ALERT(DECODE_ERROR);
    }
    const quring_bytes ours = alpn_of(tls->config);
    if (ours.len > 0 && !same(ext.alpn, ours)) {
        return ALERT(NO_APPLICATION_PROTOCOL); /* RFC 9001 8.1 */
    }
    tls->alpn_agreed = ours.len > 0;
    tls->resumed = ext.has_ticket;
    if (tls->early == QUIC_EARLY_OFFERED) {
        tls->early = ext.early ? QUIC_EARLY_ACCEPTED : QUIC_EARLY_REJECTED;
    } else if (ext.early) {
        return ALERT(ILLEGAL_PARAMETER); /* RFC 8446 4.2: not asked for */
    }
    absorb(tls, tls->msg, tls->msg_len);
    tls->state = WAIT_CERTIFICATE;
    return QUIC_OK;
}

static quic_rc on_finished(quic_tls *tls)
{
    uint8_t want[QUIC_SCRIPT_FINISHED_LEN];
    const bool server = tls->role == QUIC_SERVER;
    make_finished(tls, want, server ? LABEL_CLIENT_FINISHED : LABEL_SERVER_FINISHED);
    if (tls->msg_len != sizeof(want) || memcmp(tls->msg, want, sizeof(want)) != 0) {
        return ALERT(DECRYPT_ERROR);
    }
    absorb(tls, tls->msg, tls->msg_len);
    tls->state = DONE;
    if (!server) {
        const quic_rc rc = emit_finished(tls, LABEL_CLIENT_FINISHED);
        return rc == QUIC_OK ? give_secrets(tls, QUIC_LEVEL_APP) : rc;
    }
    const quic_rc rc = give_secret(tls, QUIC_LEVEL_APP, QUIC_CLIENT);
    if (rc == QUIC_OK && tls->tickets.keys != NULL) {
        return quic_script_emit_ticket(tls);
    }
    if (rc != QUIC_OK || tls->config->ticket_len == 0) {
        return rc;
    }
    const size_t len = tls->config->ticket_len > 4 ? tls->config->ticket_len : 4;
    return emit_filler(tls, QUIC_LEVEL_APP, QUIC_SCRIPT_TICKET, len);
}

static quic_rc on_message(quic_tls *tls)
{
    const uint8_t type = tls->msg[0];
    switch (tls->state) {
    case WAIT_CLIENT_HELLO:
        return type == QUIC_SCRIPT_CLIENT_HELLO ? on_client_hello(tls) : ALERT(UNEXPECTED_MESSAGE);
    case WAIT_SERVER_HELLO:
        return type == QUIC_SCRIPT_SERVER_HELLO ? on_server_hello(tls) : ALERT(UNEXPECTED_MESSAGE);
    case WAIT_EXTENSIONS:
        return type == QUIC_SCRIPT_EXTENSIONS ? on_extensions(tls) : ALERT(UNEXPECTED_MESSAGE);
    case WAIT_CERTIFICATE:
        if (type == QUIC_SCRIPT_CERTIFICATE) {
            if (!quic_script_is_filler(tls->msg, tls->msg_len)) {
                return ALERT(BAD_CERTIFICATE);
            }
            absorb(tls, tls->msg, tls->msg_len);
            tls->state = WAIT_FINISHED;
            return QUIC_OK;
        }
        return type == QUIC_SCRIPT_FINISHED ? on_finished(tls) : ALERT(UNEXPECTED_MESSAGE);
    case WAIT_FINISHED:
        return type == QUIC_SCRIPT_FINISHED ? on_finished(tls) : ALERT(UNEXPECTED_MESSAGE);
    case DONE:
        if (type != QUIC_SCRIPT_TICKET || tls->role == QUIC_SERVER) {
            return ALERT(UNEXPECTED_MESSAGE); /* RFC 9001 6: KeyUpdate among them */
        }
        return quic_script_on_ticket(tls);
    case WAIT_START:
    default:
        return ALERT(UNEXPECTED_MESSAGE);
    }
}

static quic_level read_level(const quic_tls *tls)
{
    switch (tls->state) {
    case WAIT_START:
    case WAIT_CLIENT_HELLO:
    case WAIT_SERVER_HELLO:
        return QUIC_LEVEL_INITIAL;
    case WAIT_EXTENSIONS:
    case WAIT_CERTIFICATE:
    case WAIT_FINISHED:
        return QUIC_LEVEL_HANDSHAKE;
    case DONE:
    default:
        return QUIC_LEVEL_APP;
    }
}

/* Bytes the message in hand has once it is whole; 4 until its header is there. */
static size_t message_total(const quic_tls *tls)
{
    const uint8_t *m = tls->msg;
    return tls->msg_len < 4 ? 4 : 4 + ((size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3]);
}

static quic_rc reserve(quic_tls *tls, size_t cap)
{
    if (cap <= tls->msg_cap) {
        return QUIC_OK;
    }
    if (cap > QUIC_SCRIPT_MSG_LEN_MAX) {
        return ALERT(DECODE_ERROR);
    }
    uint8_t *grown = (uint8_t *)quic_mem_alloc(tls->mem, cap);
    if (grown == NULL) {
        return QUIC_E_NOMEM;
    }
    if (tls->msg_len > 0) {
        memcpy(grown, tls->msg, tls->msg_len);
    }
    quic_mem_free(tls->mem, tls->msg, tls->msg_cap);
    tls->msg = grown;
    tls->msg_cap = cap;
    return QUIC_OK;
}

static quic_rc consume(quic_tls *tls, quic_level level, const uint8_t *data, size_t len)
{
    while (len > 0) {
        if (level != read_level(tls)) {
            return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9001 4.1.3 */
        }
        const quic_rc rc = reserve(tls, message_total(tls));
        if (rc != QUIC_OK) {
            return rc;
        }
        const size_t need = message_total(tls) - tls->msg_len;
        const size_t take = len < need ? len : need;
        memcpy(tls->msg + tls->msg_len, data, take);
        tls->msg_len += take;
        data += take;
        len -= take;
        if (tls->msg_len < 4 || tls->msg_len < message_total(tls)) {
            continue;
        }
        const quic_rc msg_rc = on_message(tls);
        if (msg_rc != QUIC_OK) {
            return msg_rc;
        }
        tls->msg_len = 0;
    }
    return QUIC_OK;
}

static quic_rc script_provide(quic_tls *tls, quic_level level, const uint8_t *data, size_t len)
{
    if (tls->final_rc == QUIC_OK) {
        tls->final_rc = consume(tls, level, data, len);
    }
    return tls->final_rc;
}

static quic_rc script_start(quic_tls *tls)
{
    if (tls->state != WAIT_START) {
        return QUIC_OK;
    }
    uint8_t msg[CLIENT_HELLO_LEN_MAX + PARAMS_LEN_MAX + SESSION_LEN_MAX];
    const quic_script_extensions ext = our_extensions(tls);
    const size_t pad_to = tls->config->client_hello_len != 0 ? tls->config->client_hello_len
                                                             : CLIENT_HELLO_LEN_DEFAULT;
    const size_t len =
        quic_script_make_client_hello(msg, sizeof(msg), tls->client_random, &ext, pad_to);
    tls->state = WAIT_SERVER_HELLO;
    tls->final_rc = quic_script_emit(tls, QUIC_LEVEL_INITIAL, msg, len);
    if (tls->final_rc == QUIC_OK && ext.early) {
        tls->early = QUIC_EARLY_OFFERED;
        tls->final_rc = give_early_secret(tls);
    }
    return tls->final_rc;
}

/* ---- facts ----------------------------------------------------------------------------------- */

static bool script_is_complete(const quic_tls *tls)
{
    return tls->state == DONE;
}

static bool script_peer_params(const quic_tls *tls, const uint8_t **out, size_t *out_len)
{
    if (!tls->has_peer_params) {
        return false;
    }
    *out = tls->peer_params;
    *out_len = tls->peer_params_len;
    return true;
}

static bool script_alpn(const quic_tls *tls, const uint8_t **out, size_t *out_len)
{
    if (!tls->alpn_agreed) {
        return false;
    }
    const quring_bytes alpn = alpn_of(tls->config);
    *out = alpn.data;
    *out_len = alpn.len;
    return true;
}

static const char *script_server_name(const quic_tls *tls)
{
    return tls->server_name[0] != '\0' ? tls->server_name : NULL;
}

static uint16_t script_suite(const quic_tls *tls)
{
    return tls->suite;
}

static bool script_resumed(const quic_tls *tls)
{
    return tls->state == DONE && tls->resumed;
}

static quic_early_status script_early_status(const quic_tls *tls)
{
    return tls->early;
}

static const char *script_error_text(const quic_tls *tls)
{
    return tls->final_rc != QUIC_OK ? "scripted handshake failed" : "";
}

const quic_tls_vtable *quic_tls_script(void)
{
    static const quic_tls_vtable vtable = {
        .name = "script",
        .create = script_create,
        .destroy = script_destroy,
        .start = script_start,
        .provide = script_provide,
        .is_complete = script_is_complete,
        .peer_params = script_peer_params,
        .alpn = script_alpn,
        .server_name = script_server_name,
        .suite = script_suite,
        .resumed = script_resumed,
        .early_status = script_early_status,
        .error_text = script_error_text,
    };
    return &vtable;
}
