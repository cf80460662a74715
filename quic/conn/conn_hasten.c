/* A handshake that lost packets goes on before a probe timeout, which is a second where no round trip has been
 * measured yet (RFC 9002 6.2.3), and what a timeout does send goes twice (6.2.4). */
#include "quic/conn/conn_internal.h"

/* Again only after as much time as had passed until the last: the packets that one flight is made of, or its probes,
 * count once. */
static bool may_hasten(const quic_conn *conn, quic_ns now)
{
    if (conn->hasten_count == 0) {
        return conn->role == QUIC_CLIENT || now - conn->created_ns >= QUIC_HASTEN_AFTER_NS;
    }
    return conn->hasten_count < QUIC_HASTEN_MAX &&
           now - conn->hastened_ns >= conn->hastened_ns - conn->created_ns;
}

void quic_conn_hasten_handshake(quic_conn *conn, quic_ns now)
{
    const quic_crypto_stream *cs = conn->spaces[QUIC_SPACE_INITIAL].crypto;
    if (cs == NULL || quic_crypto_stream_can_send(cs) ||
        !quic_recovery_has_eliciting(&conn->recovery, QUIC_SPACE_INITIAL) ||
        !may_hasten(conn, now)) {
        return;
    }
    conn->hasten_count++;
    conn->hastened_ns = now;
    /* No probe is asked for: the congestion window and the limit of RFC 9000 8.1 hold. */
    quic_conn_repeat_oldest(conn, QUIC_SPACE_INITIAL, QUIC_HASTEN_PACKETS);
    if (conn->role == QUIC_SERVER) {
        /* What fits behind it. Should all of it be lost, the acknowledgement tells, in a round trip. */
        quic_conn_repeat_oldest(conn, QUIC_SPACE_HANDSHAKE, 1);
    }
    quic_conn_mark_dirty(conn);
}

void quic_conn_repeat_probe(quic_conn *conn, quic_space space)
{
    const quic_conn_space *s = &conn->spaces[space];
    if (s->probes > 0 && s->crypto != NULL && !quic_crypto_stream_can_send(s->crypto)) {
        quic_conn_repeat_oldest(conn, space, 1);
    }
}
