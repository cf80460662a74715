/* Initials of strangers: tokens, admission, new connections (RFC 9000 5.2.2, 7.2, 8.1, 14.1). */
#include "quic/endpoint/endpoint_internal.h"

#define INITIAL_DCID_LEN_MIN 8u /* RFC 9000 7.2 */

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

static quic_conn *make_conn(quic_endpoint *ep, const quic_accept_config *accept,
                            const quic_rx_unit *unit, const quic_long_header *h,
                            const quic_token_retry *token, quic_ns now)
{
    quic_conn_config config = {
        .role = QUIC_SERVER,
        .tls = accept->tls,
        .tls_config = accept->tls_config,
        .tickets = accept->tickets,
        .early_gate = accept->early_gate,
        .limits = &accept->limits,
        .path = unit->path,
        .owner_ctx = accept->owner_ctx,
        .app_ctx = accept->app_ctx,
    };
    quic_cid_set(&config.initial_dcid, h->dcid, h->dcid_len);
    quic_cid_set(&config.peer_scid, h->scid, h->scid_len);
    config.original_dcid = config.initial_dcid;
    if (token != NULL) {
        config.original_dcid = token->original_dcid;
        config.retry_scid = token->retry_scid;
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

quic_conn *quic_endpoint_accept(quic_endpoint *ep, const quic_rx_unit *unit,
                                const quic_long_header *h, size_t datagram_len, quic_ns now)
{
    const quic_accept_config *accept = quic_endpoint_listener(ep, unit->path.socket);
    if (accept == NULL) {
        ep->counters.drop_unknown_cid++;
        return NULL;
    }
    if (datagram_len < QUIC_MIN_INITIAL_LEN) {
        ep->counters.drop_short_initial++; /* RFC 9000 14.1 */
        return NULL;
    }
    if (h->dcid_len < INITIAL_DCID_LEN_MIN) {
        ep->counters.drop_malformed++;
        return NULL;
    }
    if (ep->refuse_new) {
        ep->counters.drop_limit++;
        quic_endpoint_answer_close(ep, &unit->path, h, QUIC_V_CONNECTION_REFUSED);
        return NULL;
    }
    quic_token_retry token;
    bool validated = false;
    if (h->token_len > 0) {
        quic_rc rc = quic_token_retry_open(&ep->token_keys, &token, h->token, h->token_len,
                                           &unit->path.remote, QUIC_RETRY_TOKEN_LIFETIME_NS, now);
        validated = rc == QUIC_OK && quic_cid_is(&token.retry_scid, h->dcid, h->dcid_len);
        if (rc == QUIC_V_INVALID_TOKEN || (rc == QUIC_OK && !validated)) {
            ep->counters.drop_token++; /* RFC 9000 8.1.3: tell it, so that it starts anew */
            quic_endpoint_answer_close(ep, &unit->path, h, QUIC_V_INVALID_TOKEN);
            return NULL;
        }
    }
    quic_admission_verdict verdict =
        quic_admission_judge(&ep->admission, &unit->path.remote, validated, now);
    if (verdict == QUIC_ADMIT && accept->retry && !validated) {
        verdict = QUIC_ADMIT_RETRY;
    }
    switch (verdict) {
    case QUIC_ADMIT:
        return make_conn(ep, accept, unit, h, validated ? &token : NULL, now);
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
