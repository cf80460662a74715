/* The end of a connection in all its forms (RFC 9000 10). Nobody else decides that one ends. */
#include <stddef.h>

#include "quic/conn/conn_internal.h"

quic_ns quic_conn_closing_period(const quic_conn *conn)
{
    return 3 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP); /* RFC 9000 10.2 */
}

/* A peer's phrase goes into logs: no control characters (RFC 9000 19.19 promises UTF-8 only), neither those of
 * ASCII nor U+0080 to U+009F, which terminals take for them. */
static void copy_reason(char *out, size_t cap, const char *reason, size_t len)
{
    size_t n = len < cap - 1 ? len : cap - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)reason[i];
        bool c1 = i > 0 && (unsigned char)reason[i - 1] == 0xc2 && c >= 0x80 && c < 0xa0;
        out[i] = c < 0x20 || c == 0x7f || c1 ? '?' : (char)c;
        if (c1) {
            out[i - 1] = '?';
        }
    }
    out[n] = '\0';
}

static void enter(quic_conn *conn, quic_conn_state state, quring_close_kind kind, uint64_t code,
                  uint64_t frame_type, const char *reason, size_t reason_len, quic_ns now)
{
    if (!conn->handshake_complete) {
        conn->env->counters->handshakes_failed++;
    }
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        conn->close_pn[i] = quic_sent_map_next_pn(&conn->recovery.spaces[i].map);
    }
    /* The root account: the connection's own may be what ran out. */
    quring_close_info *info = quic_mem_zalloc(conn->env->mem, sizeof(*info));
    if (info != NULL) {
        info->kind = kind;
        info->code = code;
        info->frame_type = frame_type;
        copy_reason(info->reason, sizeof(info->reason), reason != NULL ? reason : "",
                    reason != NULL ? reason_len : 0);
    }
    conn->close_info = info;
    conn->close_deadline_ns = now + quic_conn_closing_period(conn);
    conn->state = (uint8_t)state;
    conn->close_recv_next = 1;
    quic_conn_free_held(conn);
    quic_conn_raise(conn, QUIC_CONN_EV_CLOSED);
    quic_conn_mark_dirty(conn);
}

void quic_conn_close_code(quic_conn *conn, quring_close_kind kind, uint64_t code,
                          uint64_t frame_type, const char *reason, size_t reason_len, quic_ns now)
{
    if (!quic_conn_is_open(conn)) {
        return;
    }
    enter(conn, QUIC_CONN_CLOSING, kind, code, frame_type, reason, reason_len, now);
    conn->close_to_send = true;
}

void quic_conn_fail(quic_conn *conn, quic_rc rc, uint64_t frame_type, const char *reason,
                    quic_ns now)
{
    QURING_ASSERT(rc != QUIC_OK);
    uint64_t code = rc > 0 ? (uint64_t)rc : QUIC_V_INTERNAL_ERROR;
    quring_close_kind kind =
        rc > 0 || rc == QUIC_E_LIMIT ? QURING_CLOSE_LOCAL_TRANSPORT : QURING_CLOSE_INTERNAL;
    quic_conn_close_code(conn, kind, code, frame_type, reason, strlen(reason), now);
}

quic_rc quic_conn_close(quic_conn *conn, uint64_t app_error, const char *reason)
{
    if (app_error > QUIC_VARINT_MAX) {
        return QUIC_E_INVAL;
    }
    if (!quic_conn_is_open(conn)) {
        return QUIC_E_STATE;
    }
    quic_conn_close_code(conn, QURING_CLOSE_LOCAL_APP, app_error, 0, reason,
                         reason != NULL ? strlen(reason) : 0, conn->env->now);
    return QUIC_OK;
}

/* Before it has the client's Finished a server reads nothing that a 1-RTT packet says (RFC 9001 5.7). */
bool quic_conn_leaves_at_once(const quic_conn *conn)
{
    return conn->role == QUIC_CLIENT && conn->handshake_complete && !conn->handshake_confirmed &&
           quic_conn_close_info(conn)->kind == QURING_CLOSE_LOCAL_APP;
}

/* RFC 9000 10.2.2: say nothing more. */
void quic_conn_on_peer_close(quic_conn *conn, const quic_frame_connection_close *frame, quic_ns now)
{
    enter(conn, QUIC_CONN_DRAINING,
          frame->app ? QURING_CLOSE_PEER_APP : QURING_CLOSE_PEER_TRANSPORT, frame->error,
          frame->frame_type, (const char *)frame->reason, frame->reason_len, now);
}

/* What a log line shows when nobody sent a phrase. */
static const char *silent_reason(quring_close_kind kind)
{
    switch (kind) {
    case QURING_CLOSE_IDLE_TIMEOUT:
        return "idle timeout";
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        return "handshake timed out";
    case QURING_CLOSE_STATELESS_RESET:
        return "stateless reset";
    case QURING_CLOSE_VERSION:
        return "no common version";
    default:
        return "";
    }
}

void quic_conn_end_silently(quic_conn *conn, quring_close_kind kind, uint64_t code, quic_ns now)
{
    if (!quic_conn_is_open(conn)) {
        return;
    }
    const char *reason = silent_reason(kind);
    enter(conn, QUIC_CONN_DRAINING, kind, code, 0, reason, strlen(reason), now);
    conn->close_deadline_ns = now; /* nobody is there any more to be told twice */
}

/* RFC 9000 10.2.1: an answer to the 1st, 2nd, 4th, 8th... packet that arrives. */
void quic_conn_on_recv_closing(quic_conn *conn)
{
    if (conn->state != QUIC_CONN_CLOSING) {
        return;
    }
    conn->close_recv_count++;
    if (conn->close_recv_count >= conn->close_recv_next) {
        conn->close_recv_next *= 2;
        conn->close_to_send = true;
        quic_conn_mark_dirty(conn);
    }
}

void quic_conn_maybe_dead(quic_conn *conn, quic_ns now)
{
    if (quic_conn_is_open(conn) || conn->state == QUIC_CONN_DEAD || !conn->closed_reported ||
        conn->close_to_send || now < conn->close_deadline_ns) {
        return;
    }
    conn->state = QUIC_CONN_DEAD;
    quic_list_remove(&conn->dirty_node);
    quic_list_remove(&conn->events_node);
    quic_heap_remove(&conn->env->timers, &conn->timer);
    quic_list_push_back(&conn->env->dead, &conn->dirty_node);
}

/* All connection IDs that the peer may send to. */
static void list_cids(const quic_conn *conn, quic_conn_remains *out)
{
    if (conn->initial_dcid_registered) {
        out->cids[out->cid_count++] = conn->initial_dcid;
    }
    for (uint32_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        const quic_cid_local_entry *entry = &conn->cids_local.entries[i];
        if (entry->used) {
            quic_cid_set(&out->cids[out->cid_count++], entry->bytes, conn->cids_local.len);
        }
    }
}

/* One more CONNECTION_CLOSE, for later: RFC 9000 10.2.1 lets the same packet be sent again. */
static bool keep_close(quic_conn *conn, quic_conn_remains *out, quic_ns now)
{
    quic_tx_unit unit = {.buf = out->close, .cap = sizeof(out->close), .seg_max = 1};
    quic_counters *counters = conn->env->counters;
    const uint64_t packets = counters->packets_sent;
    const uint64_t trains = counters->trains_1;
    if (conn->role == QUIC_CLIENT && !conn->handshake_confirmed) {
        return false; /* its Initials fill a whole datagram */
    }
    conn->close_to_send = true;
    bool ready = quic_conn_send(conn, &unit, now);
    counters->packets_sent = packets; /* counted when it leaves */
    counters->trains_1 = trains;
    out->close_len = ready ? unit.len : 0;
    return ready;
}

bool quic_conn_take_remains(quic_conn *conn, quic_conn_remains *out, quic_ns now)
{
    if (!quic_conn_has_ended(conn) || conn->state == QUIC_CONN_DEAD || quic_conn_is_busy(conn) ||
        now >= conn->close_deadline_ns) {
        return false;
    }
    memset(out, 0, offsetof(quic_conn_remains, close));
    out->until_ns = conn->close_deadline_ns;
    out->recv_count = conn->close_recv_count;
    out->recv_next = conn->close_recv_next;
    list_cids(conn, out);
    return conn->state == QUIC_CONN_DRAINING || keep_close(conn, out, now);
}
