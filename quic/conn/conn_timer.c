/* One deadline from many, and what happens when it comes. */
#include "quic/conn/conn_internal.h"

static inline quic_ns earlier(quic_ns a, quic_ns b)
{
    return a < b ? a : b;
}

void quic_conn_set_timer(quic_conn *conn, quic_ns at)
{
    if (conn->state == QUIC_CONN_DEAD) {
        return;
    }
    if (at == QUIC_NS_NEVER) {
        quic_heap_remove(&conn->env->timers, &conn->timer);
        return;
    }
    quic_rc rc = quic_heap_set(&conn->env->timers, &conn->timer, at);
    QURING_ASSERT(rc == QUIC_OK); /* room was reserved when the connection was made */
}

void quic_conn_on_activity(quic_conn *conn, quic_ns now)
{
    conn->last_recv_ns = now;
    conn->idle_base_ns = now;
    conn->sent_eliciting_since_recv = false;
    conn->trimmed = false;
}

/* RFC 9000 10.1: never shorter than three probe timeouts, whatever was announced. 0: none. */
static quic_ns idle_ns(const quic_conn *conn)
{
    if (conn->idle_timeout_ns == 0) {
        return 0;
    }
    quic_ns floor = 3 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP);
    return conn->idle_timeout_ns > floor ? conn->idle_timeout_ns : floor;
}

static quic_ns idle_deadline(const quic_conn *conn)
{
    quic_ns idle = idle_ns(conn);
    return idle != 0 ? conn->idle_base_ns + idle : QUIC_NS_NEVER;
}

static quic_ns keep_alive_deadline(const quic_conn *conn)
{
    /* What was sent and not answered yet asks already; its probes go on asking. */
    if (conn->limits.keep_alive_ns == 0 || !conn->handshake_complete ||
        conn->sent_eliciting_since_recv || (conn->pending & QUIC_PEND_PING) != 0) {
        return QUIC_NS_NEVER;
    }
    /* RFC 9000 10.1.2: a peer that bears less silence has to hear in time. */
    quic_ns half = idle_ns(conn) / 2;
    return conn->idle_base_ns +
           (half != 0 && half < conn->limits.keep_alive_ns ? half : conn->limits.keep_alive_ns);
}

/* Once per rest: when nothing waits for an acknowledgement, what only a burst needs can go. */
static quic_ns trim_deadline(const quic_conn *conn)
{
    if (conn->trimmed || !conn->handshake_complete || conn->recovery.in_flight_bytes != 0) {
        return QUIC_NS_NEVER;
    }
    return conn->idle_base_ns + QUIC_CONN_TRIM_AFTER_NS;
}

static void trim(quic_conn *conn)
{
    conn->trimmed = true;
    quic_recovery_trim(&conn->recovery);
    quic_stream_table_trim(&conn->streams);
    quic_conn_trim_datagrams(conn);
    quic_conn_rest_keys(conn);
    if (quic_conn_closing_period(conn) < QUIC_CONN_TRIM_AFTER_NS) { /* three probe timeouts */
        quic_ack_tracker_on_rest(&conn->spaces[QUIC_SPACE_APP].acks);
    }
    if (conn->spaces[QUIC_SPACE_APP].crypto != NULL) {
        quic_crypto_stream_trim(conn->spaces[QUIC_SPACE_APP].crypto);
    }
}

static quic_ns ack_deadline(const quic_conn *conn)
{
    quic_ns at = QUIC_NS_NEVER;
    for (int i = conn->handshake_confirmed ? QUIC_SPACE_APP : QUIC_SPACE_INITIAL;
         i < QUIC_SPACE_COUNT; i++) {
        if (!conn->spaces[i].discarded && conn->spaces[i].tx != NULL) {
            at = earlier(at, quic_ack_tracker_deadline(&conn->spaces[i].acks));
        }
    }
    return at;
}

/* When the pacer lets the next burst out, if that is all that holds it back. */
static quic_ns pacing_deadline(const quic_conn *conn, quic_ns now)
{
    if (!conn->handshake_complete || !quic_conn_has_app_work(conn) ||
        conn->recovery.in_flight_bytes + conn->path.udp_payload_bytes > conn->cc.cwnd_bytes) {
        return QUIC_NS_NEVER;
    }
    quic_pacer pacer = conn->pacer;
    return quic_pacer_next_send(&pacer, now);
}

quic_ns quic_conn_next_timeout(const quic_conn *conn, quic_ns now)
{
    if (!quic_conn_is_open(conn)) {
        return conn->no_room ? earlier(now + QUIC_CONN_RETRY_NS, conn->close_deadline_ns)
                             : conn->close_deadline_ns;
    }
    bool blocked = quic_conn_at_amplification_limit(conn);
    quic_ns at = quic_recovery_deadline(&conn->recovery, blocked);
    at = earlier(at, idle_deadline(conn));
    at = earlier(at, keep_alive_deadline(conn));
    at = earlier(at, trim_deadline(conn));
    if (!conn->handshake_complete && conn->limits.handshake_timeout_ns != 0) {
        at = earlier(at, conn->created_ns + conn->limits.handshake_timeout_ns);
    }
    if (!blocked) {
        /* All that could leave has left: an ACK still due waits for room, not in a busy loop. */
        quic_ns ack = ack_deadline(conn);
        at = earlier(at, ack > now ? ack : now + QUIC_CONN_RETRY_NS);
        quic_ns pacing = pacing_deadline(conn, now);
        at = earlier(at, pacing > now ? pacing : QUIC_NS_NEVER);
        if (QUIC_UNLIKELY(conn->no_room) && conn->recovery.in_flight_bytes == 0) {
            at = earlier(at, now + QUIC_CONN_RETRY_NS); /* no ACK and no probe will bring a turn */
        }
    }
    at = earlier(at, quic_conn_path_deadline(conn, now));
    if (conn->rx_prev != NULL) {
        at = earlier(at, conn->rx_prev_until);
    }
    if (QUIC_UNLIKELY(conn->turn_held)) {
        at = earlier(at, quic_conn_turn_deadline(conn));
    }
    if (QUIC_UNLIKELY(conn->held != NULL)) {
        at = earlier(at, quic_conn_held_deadline(conn));
    }
    if (QUIC_UNLIKELY((conn->send_starved & QUIC_STARVED_OF_MEMORY) != 0) &&
        conn->recovery.in_flight_bytes == 0) {
        at = earlier(at, now + QUIC_CONN_MEM_RETRY_NS);
    }
    if (QUIC_UNLIKELY(conn->early != NULL) && conn->early->until_ns != 0) {
        at = earlier(at, conn->early->until_ns);
    }
    return at;
}

void quic_conn_on_timeout(quic_conn *conn, quic_ns now)
{
    quic_conn_mark_dirty(conn);
    conn->no_room = false;
    if (!quic_conn_is_open(conn)) {
        quic_conn_maybe_dead(conn, now);
        return;
    }
    if (!conn->handshake_complete && conn->limits.handshake_timeout_ns != 0 &&
        now >= conn->created_ns + conn->limits.handshake_timeout_ns) {
        quic_conn_end_silently(conn, QURING_CLOSE_HANDSHAKE_TIMEOUT, 0, now);
        return;
    }
    if (now >= idle_deadline(conn)) {
        quic_conn_end_silently(conn, QURING_CLOSE_IDLE_TIMEOUT, 0, now);
        return;
    }
    quic_conn_drop_old_keys(conn, now);
    quic_conn_expire_held(conn, now);
    quic_conn_on_turn(conn, now);
    if (QUIC_UNLIKELY((conn->send_starved & QUIC_STARVED_OF_MEMORY) != 0)) {
        quic_conn_retry_writes(conn);
    }
    quic_conn_on_path_timeout(conn, now);
    if (!quic_conn_is_open(conn)) {
        return;
    }
    if (now >= trim_deadline(conn)) {
        trim(conn);
    }
    if (now >= keep_alive_deadline(conn)) {
        conn->pending |= QUIC_PEND_PING;
    }
    if (now >= quic_recovery_deadline(&conn->recovery, quic_conn_at_amplification_limit(conn))) {
        quic_conn_on_recovery_timeout(conn, now);
    }
}

quic_rc quic_conn_ping(quic_conn *conn)
{
    if (conn->state != QUIC_CONN_ESTABLISHED) {
        return QUIC_E_STATE;
    }
    conn->pending |= QUIC_PEND_PING;
    quic_conn_mark_dirty(conn);
    return QUIC_OK;
}
