/* Initials of strangers: tokens, admission, new connections (RFC 9000 5.2.2, 7.2, 8.1, 14.1). */
#include "quic/crypto/anti_replay.h"
#include "quic/crypto/keys.h"
#include "quic/endpoint/endpoint_internal.h"

#define INITIAL_DCID_LEN_MIN 8u /* RFC 9000 7.2 */
#define STRANGERS_CALM_NS    (QUIC_RETRY_CALM_SECONDS * QUIC_NS_PER_S)

const quic_accept_config *quic_endpoint_listener(const quic_endpoint *ep, uint32_t socket)
{
    for (uint32_t i = 0; i < QUIC_ENDPOINT_LISTENERS_MAX; i++) {
        if (ep->listeners[i].used && ep->listeners[i].socket == socket) {
            return &ep->listeners[i].config;
        }
    }
    return NULL;
}

quic_rc quic_endpoint_listen(quic_endpoint *ep, uint32_t socket, const quic_accept_config *config)
{
    quic_listener_entry *free_entry = NULL;
    quic_endpoint_note_limits(ep, &config->limits);
    for (uint32_t i = 0; i < QUIC_ENDPOINT_LISTENERS_MAX; i++) {
        quic_listener_entry *entry = &ep->listeners[i];
        if (entry->used && entry->socket == socket) {
            entry->config = *config;
            return QUIC_OK;
        }
        if (!entry->used && free_entry == NULL) {
            free_entry = entry;
        }
    }
    if (free_entry == NULL) {
        return QUIC_E_LIMIT;
    }
    free_entry->used = true;
    free_entry->socket = socket;
    free_entry->config = *config;
    return QUIC_OK;
}

void quic_endpoint_unlisten(quic_endpoint *ep, uint32_t socket)
{
    for (uint32_t i = 0; i < QUIC_ENDPOINT_LISTENERS_MAX; i++) {
        if (ep->listeners[i].used && ep->listeners[i].socket == socket) {
            memset(&ep->listeners[i], 0, sizeof(ep->listeners[i]));
        }
    }
}

/* What the token of an Initial is worth. */
typedef enum token_worth {
    TOKEN_NONE,    /* none, or as good as none */
    TOKEN_RETRY,   /* the client got our Retry where it says it is */
    TOKEN_NEW,     /* it was there in an earlier connection */
    TOKEN_INVALID, /* meant to be a Retry token: the client will not take a second Retry */
} token_worth;

typedef struct opened_token {
    token_worth worth;
    quic_token_retry retry; /* what a TOKEN_RETRY says */
} opened_token;

/* RFC 9000 8.1.3, 8.1.4: each is good for one connection; one that cannot be remembered for none. */
static bool take_new_token(quic_endpoint *ep, const quic_accept_config *accept,
                           const quic_addr *from, const quic_long_header *h, quic_ns now)
{
    quic_token_new token;
    const quic_ns wall = now + ep->env.wall_offset_ns;
    if (accept->token_register == NULL ||
        quic_token_new_open(&ep->env.token_keys, &token, h->token, h->token_len, from, h->version,
                            accept->limits.new_token_lifetime_ns, wall) != QUIC_OK) {
        return false;
    }
    const quic_ns issued = token.issued < wall ? token.issued : wall; /* clocks differ a little */
    return quic_anti_replay_take(accept->token_register, token.id, sizeof(token.id), issued,
                                 wall) == QUIC_OK;
}

static token_worth judge_token(quic_endpoint *ep, const quic_accept_config *accept,
                               quic_token_retry *out_retry, const quic_addr *from,
                               const quic_long_header *h, quic_ns now)
{
    if (h->token_len == 0) {
        return TOKEN_NONE;
    }
    quic_rc rc = quic_token_retry_open(&ep->env.token_keys, out_retry, h->token, h->token_len, from,
                                       h->version, QUIC_RETRY_TOKEN_LIFETIME_NS,
                                       now + ep->env.wall_offset_ns);
    if (rc != QUIC_E_DROP) {
        bool good = rc == QUIC_OK && quic_cid_is(&out_retry->retry_scid, h->dcid, h->dcid_len);
        ep->counters.drop_token += good ? 0 : 1;
        return good ? TOKEN_RETRY : TOKEN_INVALID;
    }
    bool good = take_new_token(ep, accept, from, h, now);
    ep->counters.tokens_accepted += good ? 1 : 0;
    ep->counters.tokens_refused += good ? 0 : 1;
    return good ? TOKEN_NEW : TOKEN_NONE;
}

/* Where a client is counted that proves nothing; NULL: nowhere, or it does. */
static quic_strangers *strangers_of(const quic_accept_config *accept, const opened_token *token)
{
    return token->worth == TOKEN_NONE && accept->limits.unproved_retry != 0 ? accept->strangers
                                                                            : NULL;
}

/* Takes `initial_rx`. */
static quic_conn *make_conn(quic_endpoint *ep, const quic_accept_config *accept,
                            const quic_rx_unit *unit, const quic_long_header *h,
                            quic_keys *initial_rx, const opened_token *token, quic_ns now)
{
    quic_conn_config config = {
        .role = QUIC_SERVER,
        .tls = accept->tls,
        .tls_config = accept->tls_config,
        .tickets = accept->tickets,
        .early_gate = accept->early_gate,
        .token_used = token->worth == TOKEN_NEW,
        .strangers = strangers_of(accept, token),
        .new_tokens = accept->token_register != NULL ? (uint8_t)accept->limits.new_tokens : 0,
        .limits = &accept->limits,
        .version = h->version,
        .initial_rx = initial_rx,
        .path = unit->path,
        .preferred_v4 = accept->preferred_v4,
        .preferred_v6 = accept->preferred_v6,
        .muted_events = accept->muted_events,
        .owner_ctx = accept->owner_ctx,
        .app_ctx = accept->app_ctx,
    };
    quic_cid_set(&config.initial_dcid, h->dcid, h->dcid_len);
    quic_cid_set(&config.peer_scid, h->scid, h->scid_len);
    config.original_dcid = config.initial_dcid;
    if (token->worth == TOKEN_RETRY) {
        config.original_dcid = token->retry.original_dcid;
        config.retry_scid = token->retry.retry_scid;
        config.retry_used = true;
    }
    quic_conn *conn = NULL;
    if (quic_conn_create(&conn, &ep->env, &config, now) != QUIC_OK) {
        ep->counters.drop_limit++;
        return NULL;
    }
    ep->conn_count++;
    quic_admission_opened(&ep->admission, &unit->path.remote, true);
    return conn;
}

/* Noise is told from a client before there is any state: a connection costs much more than the keys
 * that everybody can derive (RFC 9001 5.2). *out is what the connection goes on with. */
static bool open_initial(quic_endpoint *ep, quic_opened_initial *out, uint8_t *data,
                         const quic_long_header *h)
{
    quic_cid dcid;
    quic_keys *keys = NULL;
    quic_cid_set(&dcid, h->dcid, h->dcid_len);
    if (quic_keys_create_initial(&keys, NULL, ep->env.crypto, &ep->mem, h->version, &dcid) !=
        QUIC_OK) {
        return false;
    }
    uint8_t mask[16];
    quic_keys_hp_mask(keys, data + h->pn_offset + QUIC_PN_LEN_MAX, mask);
    data[0] ^= mask[0] & 0x0f;
    const uint8_t pn_len = quic_header_pn_len(data[0]);
    for (uint8_t i = 0; i < pn_len; i++) {
        data[h->pn_offset + i] ^= mask[1 + i];
    }
    out->keys = keys;
    out->pn = quic_pn_decode(quic_pn_load(data + h->pn_offset, pn_len), pn_len, 0);
    out->hdr_len = h->pn_offset + pn_len;
    if (!quic_keys_open(keys, out->pn, data, out->hdr_len, data + out->hdr_len,
                        h->packet_len - out->hdr_len)) {
        ep->counters.drop_undecryptable++;
        quic_keys_destroy(keys);
        return false;
    }
    return true;
}

/* Whether an Initial may begin a connection here; counts and answers what may not. */
static bool is_acceptable(quic_endpoint *ep, const quic_accept_config *accept,
                          const quic_rx_unit *unit, const quic_long_header *h, size_t datagram_len,
                          quic_ns now)
{
    if (accept == NULL) {
        ep->counters.drop_unknown_cid++;
        return false;
    }
    /* RFC 9287 3.1: without the QUIC bit only from clients that bring a token of ours */
    if (!quic_header_has_fixed_bit(h->first) &&
        (!accept->limits.grease_quic_bit || h->token_len == 0)) {
        ep->counters.drop_malformed++;
        return false;
    }
    if (datagram_len < QUIC_MIN_INITIAL_LEN) {
        ep->counters.drop_short_initial++; /* RFC 9000 14.1 */
        return false;
    }
    if (h->dcid_len < INITIAL_DCID_LEN_MIN) {
        ep->counters.drop_malformed++;
        return false;
    }
    if (!quic_endpoint_may_answer(ep, &unit->path, now)) {
        return false;
    }
    if (ep->refuse_new) {
        ep->counters.drop_limit++;
        quic_endpoint_answer_close(ep, &unit->path, h, QUIC_V_CONNECTION_REFUSED);
        return false;
    }
    return true;
}

static quic_admission_verdict judge(quic_endpoint *ep, const quic_accept_config *accept,
                                    const quic_addr *from, bool validated, quic_ns now)
{
    quic_admission_verdict verdict = quic_admission_judge(&ep->admission, from, validated, now);
    ep->counters.load_episodes = ep->admission.load_episodes;
    return verdict == QUIC_ADMIT && accept->retry && !validated ? QUIC_ADMIT_RETRY : verdict;
}

/* A connection for an Initial that may have one; NULL: it is noise after all, or nothing is left to make it of. */
static quic_conn *admit(quic_endpoint *ep, quic_opened_initial *out,
                        const quic_accept_config *accept, const quic_rx_unit *unit, uint8_t *data,
                        const quic_long_header *h, const opened_token *token, quic_ns now)
{
    quic_strangers *strangers = strangers_of(accept, token);
    const bool has_retry_token = token->worth == TOKEN_RETRY;
    if (has_retry_token && !quic_admission_may_open(&ep->admission, &unit->path.remote, now)) {
        ep->counters.drop_limit++;
        return NULL;
    }
    if (strangers != NULL &&
        !quic_strangers_enter(strangers, accept->limits.unproved_retry, STRANGERS_CALM_NS, now)) {
        quic_endpoint_answer_retry(ep, &unit->path, h, now);
        return NULL;
    }
    quic_conn *conn = NULL;
    if (open_initial(ep, out, data, h)) {
        conn = make_conn(ep, accept, unit, h, out->keys, token, now);
    } else if (has_retry_token) {
        quic_admission_was_broken(&ep->admission, &unit->path.remote, now);
    }
    if (conn == NULL && strangers != NULL) {
        quic_strangers_leave(strangers);
    }
    return conn;
}

quic_conn *quic_endpoint_accept(quic_endpoint *ep, quic_opened_initial *out,
                                const quic_rx_unit *unit, uint8_t *data, const quic_long_header *h,
                                size_t datagram_len, quic_ns now)
{
    const quic_accept_config *accept = quic_endpoint_listener(ep, unit->path.socket);
    if (!is_acceptable(ep, accept, unit, h, datagram_len, now)) {
        return NULL;
    }
    opened_token token;
    token.worth = judge_token(ep, accept, &token.retry, &unit->path.remote, h, now);
    if (token.worth == TOKEN_INVALID) {
        /* RFC 9000 8.1.3: the packet is good otherwise, so tell it, and it starts anew. To find that out takes keys,
         * and anybody can make up tokens that look like it. */
        if (!quic_admission_may_open_vainly(&ep->admission, now)) {
            ep->counters.drop_limit++;
        } else if (open_initial(ep, out, data, h)) {
            quic_keys_destroy(out->keys);
            quic_endpoint_answer_close(ep, &unit->path, h, QUIC_V_INVALID_TOKEN);
        }
        return NULL;
    }
    switch (judge(ep, accept, &unit->path.remote, token.worth != TOKEN_NONE, now)) {
    case QUIC_ADMIT:
        return admit(ep, out, accept, unit, data, h, &token, now);
    case QUIC_ADMIT_RETRY:
        quic_endpoint_answer_retry(ep, &unit->path, h, now);
        return NULL;
    case QUIC_ADMIT_REFUSE:
        ep->counters.drop_limit++;
        quic_endpoint_answer_close(ep, &unit->path, h, QUIC_V_CONNECTION_REFUSED);
        return NULL;
    case QUIC_ADMIT_DROP:
        break;
    }
    ep->counters.drop_limit++;
    return NULL;
}
