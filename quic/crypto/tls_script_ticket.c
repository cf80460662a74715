/* The scripted handshake's tickets and 0-RTT. */
#include "quic/base/bytes.h"
#include "quic/crypto/anti_replay.h"
#include "quic/crypto/session_ticket.h"
#include "quic/crypto/tls_script_internal.h"

void quic_script_keep_tickets(quic_tls *tls, const quic_tls_tickets *tickets)
{
    const bool client = tls->role == QUIC_CLIENT;
    const uint8_t *from = client ? tickets->session : tickets->early_context;
    const size_t len = client ? tickets->session_len : tickets->early_context_len;
    const size_t head = client ? SESSION_HEAD : 0;
    tls->tickets = *tickets;
    tls->tickets.session = NULL;
    tls->tickets.early_context = NULL;
    if (from == NULL || len <= head || len > SESSION_LEN_MAX) {
        return;
    }
    if (client) {
        tls->psk_suite = quic_load_be16(from);
        memcpy(tls->psk, from + 2, PSK_LEN);
    }
    tls->context_len = len - head;
    memcpy(tls->context, from + head, tls->context_len);
}

void quic_script_take_offer(quic_tls *tls, const quic_script_extensions *offer)
{
    const quic_tls_tickets *t = &tls->tickets;
    uint8_t session[SESSION_LEN_MAX + SESSION_HEAD];
    quic_ticket_stamp stamp;
    size_t len = 0;
    tls->early = offer->early ? QUIC_EARLY_REJECTED : QUIC_EARLY_NONE;
    if (t->keys == NULL || offer->ticket.len == 0 ||
        quic_ticket_open(t->keys, session, &len, sizeof(session), &stamp, offer->ticket.data,
                         offer->ticket.len) != QUIC_OK ||
        stamp.version != t->version_first || len < SESSION_HEAD) {
        return;
    }
    tls->resumed = true;
    tls->psk_suite = quic_load_be16(session);
    memcpy(tls->psk, session + 2, PSK_LEN);
    if (offer->early && t->gate != NULL && stamp.register_id == t->gate->id &&
        len - SESSION_HEAD == tls->context_len && tls->context_len > 0 &&
        memcmp(session + SESSION_HEAD, tls->context, tls->context_len) == 0 &&
        quic_anti_replay_take(t->gate->replay, offer->ticket.data, QUIC_TICKET_ID_LEN, stamp.issued,
                              t->now) == QUIC_OK) {
        tls->early = QUIC_EARLY_ACCEPTED;
    }
}

quic_rc quic_script_emit_ticket(quic_tls *tls)
{
    uint8_t session[SESSION_HEAD + SESSION_LEN_MAX];
    uint8_t msg[4 + 1 + sizeof(session) + QUIC_TICKET_OVERHEAD];
    const quic_ticket_stamp stamp = {
        .register_id = tls->tickets.gate != NULL ? tls->tickets.gate->id : 0,
        .issued = tls->tickets.now,
        .version = tls->tickets.version,
    };
    size_t len = 0;
    quic_store_be16(session, tls->suite);
    quic_script_derive(session + 2, PSK_LEN, tls->client_random, tls->server_random, LABEL_PSK);
    memcpy(session + SESSION_HEAD, tls->context, tls->context_len);
    const quic_rc rc = quic_ticket_seal(tls->tickets.keys, msg + 5, &len, sizeof(msg) - 5, &stamp,
                                        session, SESSION_HEAD + tls->context_len, tls->rng);
    if (rc != QUIC_OK) {
        return rc;
    }
    msg[0] = QUIC_SCRIPT_TICKET;
    msg[1] = 0;
    quic_store_be16(msg + 2, (uint16_t)(len + 1));
    msg[4] = TICKET_MARK;
    return quic_script_emit(tls, QUIC_LEVEL_APP, msg, 5 + len);
}

quic_rc quic_script_on_ticket(quic_tls *tls)
{
    uint8_t blob[SESSION_HEAD + SESSION_LEN_MAX];
    const size_t len = tls->msg_len > 5 ? tls->msg_len - 5 : 0;
    if (tls->msg_len <= 5 || tls->msg[4] != TICKET_MARK) {
        return quic_script_is_filler(tls->msg, tls->msg_len) ? QUIC_OK : ALERT(DECODE_ERROR);
    }
    if (len <= SESSION_LEN_MAX && tls->sink.on_session != NULL) {
        quic_store_be16(blob, tls->suite);
        quic_script_derive(blob + 2, PSK_LEN, tls->client_random, tls->server_random, LABEL_PSK);
        memcpy(blob + SESSION_HEAD, tls->msg + 5, len);
        tls->sink.on_session(tls->sink.ctx, blob, SESSION_HEAD + len);
    }
    return QUIC_OK;
}
