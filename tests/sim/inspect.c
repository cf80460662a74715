#include "tests/sim/inspect.h"

#include <stdio.h>

#include "quic/conn/conn_internal.h"
#include "quic/conn/conn_paths.h"
#include "quic/endpoint/endpoint_internal.h"

/* The pacer's answer to "when" moves a little with the moment of asking: so much, and 1/1000. */
#define PACER_ROUNDING_NS (10 * QUIC_NS_PER_US)

static const char *check_streams(const quic_conn *conn)
{
    const uint64_t credit = quic_flow_send_credit(&conn->flow_send);
    /* Refused 0-RTT is sent again when the handshake is complete. */
    const bool starts_over = conn->early_status == QUIC_EARLY_REJECTED && !conn->handshake_complete;
    uint32_t waiting = 0;
    uint32_t lacking = 0;
    quic_scheduler_check_invariants(&conn->scheduler);
    quic_scheduler_check_invariants(&conn->waiting);
    for (const quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL;
         s = quic_stream_table_next(&conn->streams, s)) {
        quic_stream_check_invariants(s);
        waiting += s->waits ? 1 : 0;
        lacking += s->lacks_credit ? 1 : 0;
        const bool lacks = s->send_state <= QUIC_SEND_SEND && quic_stream_unsent(s) != 0 &&
                           quic_flow_send_credit(&s->send_flow) == 0;
        if (s->lacks_credit ? !lacks : lacks && !s->scheduled && !starts_over) {
            return "a stream that waits for credit of its own does not count as one, or one that "
                   "does not";
        }
        if (s->waits && (!s->scheduled || quic_stream_can_send(s, 0))) {
            return "a stream waits for credit that it does not need";
        }
        if (!s->scheduled && quic_stream_can_send(s, credit) && !starts_over) {
            return "a stream that may send has no place";
        }
        if (quic_send_buf_held(&s->send) > conn->send_held_bytes) {
            return "a stream holds more than its connection accounts for";
        }
    }
    if (lacking != conn->lacking_count) {
        return "streams that wait for credit of their own are miscounted";
    }
    if (waiting != conn->waiting.count || conn->flow_blocked != (waiting != 0)) {
        return "streams that wait for the connection's credit are not all in its queue";
    }
    return NULL;
}

/* Something must come: an open connection has a timer, no later than its earliest deadline, and what
 * asked for an acknowledgement has a probe behind it (RFC 9002 6.2). */
static const char *check_timer(const quic_conn *conn, quic_ns now)
{
    if (!quic_heap_is_queued(&conn->timer)) {
        return "a connection without a timer";
    }
    if (quic_list_is_linked(&conn->dirty_node)) {
        return NULL; /* its timer is set when it has been asked what to send */
    }
    quic_ns due = quic_conn_next_timeout(conn, now);
    if (due != QUIC_NS_NEVER && due > now &&
        quic_heap_key(&conn->env->timers, &conn->timer) >
            due + PACER_ROUNDING_NS + (due - now) / 1000) {
        return "a timer later than the deadline it is for";
    }
    if (!quic_conn_is_open(conn) || quic_conn_at_amplification_limit(conn)) {
        return NULL;
    }
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        bool counts = i != QUIC_SPACE_APP || conn->handshake_complete;
        if (counts && !conn->spaces[i].discarded &&
            quic_recovery_has_eliciting(&conn->recovery, (quic_space)i) &&
            quic_recovery_deadline(&conn->recovery, false) == QUIC_NS_NEVER) {
            return "packets wait for an acknowledgement and no probe is timed";
        }
    }
    return NULL;
}

/* The endpoint's table leads to this connection from each of its IDs; *count adds them up. */
static const char *check_cids(const quic_conn *conn, const quic_cid_table *table, uint32_t *count)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        const quic_cid_local_entry *e = &conn->cids_local.entries[i];
        if (!e->used) {
            continue;
        }
        live++;
        if (quic_cid_table_find(table, e->bytes, conn->cids_local.len) != conn) {
            return "a connection ID does not lead to its connection";
        }
    }
    if (live != conn->cids_local.live_count) {
        return "connection IDs are miscounted";
    }
    if (conn->initial_dcid_registered &&
        quic_cid_table_find(table, conn->initial_dcid.bytes, conn->initial_dcid.len) != conn) {
        return "the first DCID does not lead to its connection";
    }
    *count += live + (conn->initial_dcid_registered ? 1 : 0);
    return NULL;
}

/* Each path within its credit, with a connection ID that is there and counts as taken. */
static const char *check_paths(quic_conn *conn)
{
    bool limited = conn->role == QUIC_SERVER;
    if (limited && !conn->path.validated &&
        conn->path.bytes_sent > QUIC_AMPLIFICATION_FACTOR * conn->path.bytes_recv) {
        return "sent more than three times what came from the path in use";
    }
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        const quic_side_path *side = &conn->move->side[i];
        if (side->kind == QUIC_SIDE_FREE) {
            continue;
        }
        if (limited && !side->path.validated &&
            side->path.bytes_sent > QUIC_AMPLIFICATION_FACTOR * side->path.bytes_recv) {
            return "sent more than three times what came from another path";
        }
        if (side->tx_seq != QUIC_SEQ_NONE &&
            quic_cid_peer_find(&conn->cids_peer, side->tx_seq) == NULL) {
            return "a path has a connection ID that is not there";
        }
    }
    uint32_t reserved = 0;
    for (uint32_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &conn->cids_peer.entries[i];
        if (e->used && e->reserved) {
            reserved++;
            if (i == conn->cids_peer.current) {
                return "the connection ID in use counts as another path's";
            }
        }
    }
    return reserved <= QUIC_SIDE_PATHS_MAX ? NULL : "connection IDs of paths that are gone";
}

static const char *check_conn(quic_conn *conn)
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
    const char *wrong = check_paths(conn);
    if (wrong != NULL) {
        return wrong;
    }
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

/* The peer's connection IDs whose reset tokens are watched for. */
static uint32_t count_tokens(const quic_conn *conn, const quic_reset_table *tokens)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &conn->cids_peer.entries[i];
        if (e->used && e->has_token) {
            count += quic_reset_table_find(tokens, e->reset_token) == conn ? 1 : 0;
        }
    }
    return count;
}

const char *sim_inspect_check(quic_endpoint *ep)
{
    uint32_t count = 0;
    uint32_t cid_count = 0;
    uint32_t token_count = 0;
    uint64_t conn_bytes = 0;
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL;
         node = quic_list_next(&ep->env.all, node)) {
        quic_conn *conn = quic_conn_of_all(node);
        const char *wrong = check_conn(conn);
        wrong = wrong != NULL ? wrong : check_cids(conn, &ep->env.cids, &cid_count);
        if (wrong != NULL) {
            return wrong;
        }
        count++;
        token_count += count_tokens(conn, &ep->env.reset_tokens);
        conn_bytes += conn->mem.used_bytes + sizeof(*conn);
    }
    if (count != ep->conn_count || count != ep->admission.conn_count) {
        return "connections are miscounted";
    }
    if (cid_count != ep->env.cids.count) {
        return "the table of connection IDs holds others than those of its connections";
    }
    if (token_count < ep->env.reset_tokens.table.count) { /* two may have one token */
        return "the table of reset tokens holds those of connection IDs that are gone";
    }
    if (ep->admission.half_open_count > count) {
        return "half-open connections are miscounted";
    }
    if (conn_bytes > ep->mem.used_bytes) {
        return "connections hold more than their endpoint accounts for";
    }
    return NULL;
}

const char *sim_inspect_check_timers(quic_endpoint *ep, quic_ns now)
{
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL;
         node = quic_list_next(&ep->env.all, node)) {
        const char *wrong = check_timer(quic_conn_of_all(node), now);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

uint64_t sim_inspect_idle_bytes(const quic_endpoint *ep)
{
    const quic_conn_env *env = &ep->env;
    return sizeof(*ep) + QUIC_ENDPOINT_LISTENERS_MAX * sizeof(*ep->listeners) +
           QUIC_ENDPOINT_ANSWERS_MAX * sizeof(*ep->answers) +
           (uint64_t)env->cids.cap * sizeof(*env->cids.slots) +
           (uint64_t)env->reset_tokens.table.cap * sizeof(*env->reset_tokens.table.slots) +
           (uint64_t)env->conn_handles.cap * sizeof(*env->conn_handles.slots) +
           (uint64_t)env->stream_handles.cap * sizeof(*env->stream_handles.slots) +
           (uint64_t)env->timers.cap * QUIC_HEAP_ENTRY_BYTES +
           (uint64_t)ep->tombstones.cids.cap * sizeof(*ep->tombstones.cids.slots) +
           (uint64_t)ep->tombstones.timers.cap * QUIC_HEAP_ENTRY_BYTES;
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

static bool same_secret(const quic_keys *a, const quic_keys *b)
{
    return a != NULL && b != NULL && a->secret_len == b->secret_len &&
           memcmp(a->secret, b->secret, a->secret_len) == 0;
}

const char *sim_inspect_pair(const quic_conn *from, const quic_conn *to)
{
    if (!quic_conn_is_open(from) || !quic_conn_is_open(to) || !from->handshake_complete ||
        !to->handshake_complete) {
        return NULL;
    }
    if (from->flow_send.limit > to->flow_recv.limit) {
        return "one end believes in more credit than the other gave";
    }
    if (to->flow_recv.received > from->flow_send.used) {
        return "one end received more than the other sent";
    }
    /* RFC 9001 6: never more than one update ahead of what the other end can open. Its next keys are
     * made when they are needed. */
    const quic_keys *tx = from->spaces[QUIC_SPACE_APP].tx;
    if (same_secret(tx, to->spaces[QUIC_SPACE_APP].rx) || same_secret(tx, to->rx_next) ||
        same_secret(tx, to->rx_prev)) {
        return NULL;
    }
    return to->rx_next == NULL && from->tx_phase != to->rx_phase
               ? NULL
               : "one end seals with keys that the other will never have";
}

bool sim_inspect_validated(const quic_conn *conn)
{
    return conn->path.validated;
}

bool sim_inspect_app_limited(const quic_conn *conn)
{
    return conn->recovery.app_limited_bytes != 0;
}

bool sim_inspect_confirmed(const quic_conn *conn)
{
    return conn->handshake_confirmed;
}

const quic_addr *sim_inspect_first_remote(const quic_conn *conn)
{
    return &conn->admitted;
}

bool sim_inspect_has_next_keys(const quic_conn *conn)
{
    return conn->rx_next != NULL && !quic_keys_is_resting(conn->rx_next);
}

uint8_t sim_inspect_held_first(const quic_conn *conn)
{
    return conn->held->data[0];
}

bool sim_inspect_expects_bulk(const quic_conn *conn)
{
    return conn->rx_head_len != 0;
}

bool sim_inspect_keys_rest(const quic_conn *conn)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    return quic_keys_is_resting(app->rx) && quic_keys_is_resting(app->tx);
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
             (unsigned long long)(quic_heap_is_queued(&conn->timer)
                                      ? quic_heap_key(&conn->env->timers, &conn->timer)
                                      : QUIC_NS_NEVER),
             (unsigned long long)conn->stream_bytes_acked, (unsigned long long)conn->flow_send.used,
             (unsigned long long)conn->flow_send.limit,
             (unsigned long long)conn->flow_recv.received,
             (unsigned long long)conn->flow_recv.limit, (unsigned long long)conn->send_held_bytes);
}

uint32_t sim_inspect_held_count(const quic_conn *conn)
{
    return conn->held_count;
}

quic_ns sim_inspect_ack_delay(const quic_conn *conn, quic_ns now)
{
    return quic_ack_tracker_delay_ns(&conn->spaces[QUIC_SPACE_APP].acks, now);
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

uint64_t sim_inspect_mem_limit(const quic_conn *conn)
{
    return conn->mem.limit_bytes;
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
    if (quic_conn_on_new_cid(conn, &frame, conn->env->now) != QUIC_OK) {
        return false;
    }
    quic_conn_mark_dirty(conn);
    return true;
}
