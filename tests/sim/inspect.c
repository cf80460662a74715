#include "tests/sim/inspect.h"

#include <stdio.h>

#include "quic/conn/conn_internal.h"
#include "quic/endpoint/endpoint_internal.h"

static const char *check_streams(const quic_conn *conn)
{
    for (const quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL;
         s = quic_stream_table_next(&conn->streams, s)) {
        quic_stream_check_invariants(s);
        if (quic_send_buf_held(&s->send) > conn->send_held_bytes) {
            return "a stream holds more than its connection accounts for";
        }
    }
    return NULL;
}

static const char *check_conn(const quic_conn *conn)
{
    if (conn->mem.used_bytes > conn->mem.limit_bytes) {
        return "a connection is above its memory cap";
    }
    if (conn->state == QUIC_CONN_DEAD) {
        return "a dead connection was not freed";
    }
    if (conn->streams.mem == NULL) {
        return NULL; /* released: only what the closing period needs is left */
    }
    quic_recovery_check(&conn->recovery);
    if (conn->flow_send.used > conn->flow_send.limit) {
        return "sent beyond the peer's MAX_DATA";
    }
    if (conn->flow_recv.received > conn->flow_recv.limit) {
        return "took more than our MAX_DATA";
    }
    if (conn->flow_recv.consumed > conn->flow_recv.received) {
        return "consumed more than was received";
    }
    if (conn->cc.cwnd_bytes < 2 * (uint64_t)QUIC_MIN_INITIAL_LEN) {
        return "congestion window below two datagrams";
    }
    return check_streams(conn);
}

const char *sim_inspect_check(quic_endpoint *ep)
{
    uint32_t count = 0;
    uint64_t conn_bytes = 0;
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL;
         node = quic_list_next(&ep->env.all, node)) {
        const quic_conn *conn = quic_conn_of_all(node);
        const char *wrong = check_conn(conn);
        if (wrong != NULL) {
            return wrong;
        }
        count++;
        conn_bytes += conn->mem.used_bytes + sizeof(*conn);
    }
    if (count != ep->conn_count || count != ep->admission.conn_count) {
        return "connections are miscounted";
    }
    if (ep->admission.half_open_count > count) {
        return "half-open connections are miscounted";
    }
    if (conn_bytes > ep->mem.used_bytes) {
        return "connections hold more than their endpoint accounts for";
    }
    return NULL;
}

uint64_t sim_inspect_idle_bytes(const quic_endpoint *ep)
{
    const quic_conn_env *env = &ep->env;
    return sizeof(*ep) + QUIC_ENDPOINT_LISTENERS_MAX * sizeof(*ep->listeners) +
           QUIC_ENDPOINT_ANSWERS_MAX * sizeof(*ep->answers) +
           (uint64_t)env->cids.cap * sizeof(*env->cids.slots) +
           (uint64_t)env->reset_tokens.cap * sizeof(*env->reset_tokens.slots) +
           (uint64_t)env->conn_handles.cap * sizeof(*env->conn_handles.slots) +
           (uint64_t)env->stream_handles.cap * sizeof(*env->stream_handles.slots) +
           (uint64_t)env->timers.cap * sizeof(*env->timers.entries);
}

const char *sim_inspect_flow_settled(const quic_conn *from, const quic_conn *to)
{
    if (!quic_conn_is_open(from) || !quic_conn_is_open(to)) {
        return NULL;
    }
    if (from->flow_send.used != to->flow_recv.received) {
        return "one end counts other bytes sent than the other end received";
    }
    if (to->flow_recv.consumed != to->flow_recv.received) {
        return "received bytes were never given back to the connection's credit";
    }
    if (from->send_held_bytes != 0) {
        return "send budget is held although all streams are over";
    }
    return NULL;
}

void sim_inspect_update_keys(quic_conn *conn)
{
    quic_keys *tx = conn->spaces[QUIC_SPACE_APP].tx;
    if (quic_conn_is_open(conn) && tx != NULL) {
        tx->sealed_count = QUIC_KEY_UPDATE_PACKETS;
        quic_conn_mark_dirty(conn);
    }
}

bool sim_inspect_key_phase(const quic_conn *conn)
{
    return conn->tx_phase;
}

void sim_inspect_state(const quic_conn *conn, char *out, size_t cap)
{
    const quic_recovery *rec = &conn->recovery;
    snprintf(out, cap,
             "%s state=%u complete=%d confirmed=%d in_flight=%llu cwnd=%llu pto=%u pending=0x%x "
             "dirty=%d timer=%llu streams=%llu flow_send=%llu/%llu flow_recv=%llu/%llu held=%llu",
             conn->role == QUIC_SERVER ? "server" : "client", conn->state, conn->handshake_complete,
             conn->handshake_confirmed, (unsigned long long)rec->in_flight_bytes,
             (unsigned long long)conn->cc.cwnd_bytes, rec->pto_count, conn->pending,
             quic_list_is_linked(&conn->dirty_node),
             (unsigned long long)(conn->timer.place != 0 ? conn->timer.key : QUIC_NS_NEVER),
             (unsigned long long)conn->stream_bytes_acked, (unsigned long long)conn->flow_send.used,
             (unsigned long long)conn->flow_send.limit,
             (unsigned long long)conn->flow_recv.received,
             (unsigned long long)conn->flow_recv.limit, (unsigned long long)conn->send_held_bytes);
}

uint32_t sim_inspect_held_count(const quic_conn *conn)
{
    return conn->held_count;
}

uint32_t sim_inspect_cids_local(const quic_conn *conn)
{
    return conn->cids_local.live_count;
}

uint32_t sim_inspect_cids_peer(const quic_conn *conn)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        count += conn->cids_peer.entries[i].used ? 1 : 0;
    }
    return count;
}

uint64_t sim_inspect_half_open(const quic_endpoint *ep)
{
    return ep->admission.half_open_count;
}

bool sim_inspect_rotate_cid(quic_conn *conn)
{
    const quic_cid_peer *set = &conn->cids_peer;
    const quic_cid_peer_entry *next = NULL;
    for (uint32_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &set->entries[i];
        if (e->used && e->has_token && e->seq > set->entries[set->current].seq &&
            (next == NULL || e->seq < next->seq)) {
            next = e;
        }
    }
    if (next == NULL || !quic_conn_is_open(conn)) {
        return false;
    }
    /* The same frame again, now with a higher Retire Prior To. */
    quic_frame_new_connection_id frame;
    memset(&frame, 0, sizeof(frame));
    frame.seq = next->seq;
    frame.retire_prior_to = next->seq;
    frame.cid = next->cid;
    memcpy(frame.reset_token, next->reset_token, sizeof(frame.reset_token));
    if (quic_conn_on_new_cid(conn, &frame) != QUIC_OK) {
        return false;
    }
    quic_conn_mark_dirty(conn);
    return true;
}
