/* Streams as the application uses them, and what a change in one means for the connection. */
#include "quic/conn/conn_internal.h"

_Static_assert((int)QUIC_WRITE_FIN == (int)QUIC_STREAM_WRITE_FIN, "flags pass through");
_Static_assert((int)QUIC_WRITE_LEND == (int)QUIC_STREAM_WRITE_LEND, "flags pass through");

uint64_t quic_stream_handle(const quic_stream *stream)
{
    return stream->handle;
}

void quic_stream_set_app_ctx(quic_stream *stream, void *ctx)
{
    stream->app_ctx = ctx;
}

void *quic_stream_app_ctx(const quic_stream *stream)
{
    return stream->app_ctx;
}

uint64_t quic_stream_id(const quic_stream *stream)
{
    return stream->id;
}

quic_conn *quic_stream_conn(const quic_stream *stream)
{
    return stream->owner;
}

/* ---- the connection's side of a stream ----------------------------------------------------------- */

quic_rc quic_conn_adopt_stream(quic_conn *conn, quic_stream *s)
{
    s->owner = conn;
    s->incremental =
        true; /* streams of one urgency share (RFC 9218 4.2 leaves the default to us) */
    return quic_handles_add(&conn->env->stream_handles, &s->handle, s);
}

static quic_ns turn_len(const quic_conn *conn)
{
    const quic_rtt *rtt = &conn->recovery.rtt;
    return quic_rtt_has_sample(rtt) ? rtt->smoothed_ns : QUIC_INITIAL_RTT_NS;
}

static void grant_streams(quic_conn *conn)
{
    conn->pending |=
        quic_stream_table_max_streams_due(&conn->streams, false) ? QUIC_PEND_MAX_STREAMS_BIDI : 0;
    conn->pending |=
        quic_stream_table_max_streams_due(&conn->streams, true) ? QUIC_PEND_MAX_STREAMS_UNI : 0;
    quic_conn_mark_dirty(conn);
}

/* One of the peer's streams has ended: whether another may take its place now. */
static bool may_replace(quic_conn *conn, quic_ns now)
{
    quic_ns len = turn_len(conn);
    if (now >= conn->turn_start_ns + len) {
        conn->turn_start_ns = now;
        conn->turn_closed = 0;
        if (QUIC_UNLIKELY(conn->turn_held)) {
            conn->turn_held = false;
            grant_streams(conn);
        }
    }
    conn->turn_closed++;
    uint64_t max = (uint64_t)QUIC_STREAM_TURNOVER_FACTOR *
                   ((uint64_t)conn->limits.streams_bidi_max + conn->limits.streams_uni_max);
    uint64_t floor = len * QUIC_STREAM_TURNOVER_PER_S / QUIC_NS_PER_S;
    return conn->turn_closed <= (max > floor ? max : floor);
}

quic_ns quic_conn_turn_deadline(const quic_conn *conn)
{
    return conn->turn_held ? conn->turn_start_ns + turn_len(conn) : QUIC_NS_NEVER;
}

void quic_conn_on_turn(quic_conn *conn, quic_ns now)
{
    if (now >= quic_conn_turn_deadline(conn)) {
        conn->turn_held = false;
        grant_streams(conn);
    }
}

void quic_conn_free_stream(quic_conn *conn, quic_stream *s)
{
    bool theirs = !quic_stream_id_is_local(s->id, (quic_role)conn->role);
    if (QUIC_UNLIKELY(s->scheduled)) {
        quic_conn_unschedule(conn, s);
    }
    quic_list_remove(&s->ctrl_node);
    quic_list_remove(&s->event_node);
    if (s->handle != 0) {
        (void)quic_handles_remove(&conn->env->stream_handles, s->handle);
    }
    conn->gap_count -= s->gaps_counted;
    uint64_t held = quic_send_buf_held(&s->send);
    conn->send_held_bytes -= held < conn->send_held_bytes ? held : conn->send_held_bytes;
    conn->lacking_count -= s->lacks_credit ? 1 : 0;
    bool too_fast = theirs && !may_replace(conn, conn->env->now);
    bool due = quic_stream_table_close(&conn->streams, s);
    if (QUIC_UNLIKELY(too_fast)) {
        conn->turn_held = true;
        quic_conn_mark_dirty(conn);
    } else if (due) {
        grant_streams(conn);
    }
}

void quic_conn_maybe_closed_stream(quic_conn *conn, quic_stream *s)
{
    if (quic_stream_is_closed(s) && (s->events_seen & QUIC_STREAM_TOLD_CLOSED) == 0) {
        quic_conn_raise_stream(conn, s, QUIC_STREAM_EV_CLOSED);
    }
}

/* The connection's credit is used up. Who has a turn that is not over goes on with it first next time, in the order
 * they had. */
static void let_wait(quic_conn *conn, quic_stream *s, bool has_turn)
{
    if (has_turn && (!s->incremental || !quic_scheduler_turn_is_over(s))) {
        quic_scheduler_resume_first(&conn->waiting, s, conn->last_first);
        conn->last_first = s->incremental ? s : conn->last_first;
    } else {
        quic_scheduler_add(&conn->waiting, s);
    }
    s->waits = true;
    conn->flow_blocked = true;
    if (quic_flow_send_on_blocked(&conn->flow_send)) {
        conn->pending |= QUIC_PEND_DATA_BLOCKED;
    }
    quic_conn_mark_dirty(conn);
}

void quic_conn_note_credit(quic_conn *conn, quic_stream *s)
{
    const bool lacks = s->send_state <= QUIC_SEND_SEND && quic_stream_unsent(s) != 0 &&
                       quic_flow_send_credit(&s->send_flow) == 0;
    if (lacks == s->lacks_credit) {
        return;
    }
    s->lacks_credit = lacks;
    if (lacks) {
        conn->lacking_count++;
        conn->blocked.stream_ms = (uint32_t)(conn->env->now / QUIC_NS_PER_MS);
    } else {
        conn->lacking_count--;
    }
}

static void schedule(quic_conn *conn, quic_stream *s, bool has_turn)
{
    if (quic_stream_can_send(s, quic_flow_send_credit(&conn->flow_send))) {
        if (QUIC_UNLIKELY(s->scheduled)) {
            quic_conn_unschedule(conn, s);
        }
        quic_scheduler_add(&conn->scheduler, s);
        quic_conn_mark_dirty(conn);
        return;
    }
    if (quic_stream_unsent(s) == 0) {
        return;
    }
    quic_conn_note_credit(conn, s);
    if (quic_stream_note_blocked(s)) {
        quic_conn_note_ctrl(conn, s);
    }
    if (!s->scheduled && quic_stream_can_send(s, UINT64_MAX)) {
        let_wait(conn, s, has_turn);
    }
}

void quic_conn_schedule(quic_conn *conn, quic_stream *s)
{
    if (!s->scheduled || s->waits) {
        schedule(conn, s, false);
    }
}

void quic_conn_reschedule(quic_conn *conn, quic_stream *s)
{
    if (!s->waits && quic_stream_can_send(s, UINT64_MAX)) {
        quic_scheduler_take(&conn->scheduler, s); /* it waits for credit, and its turn with it */
    } else {
        quic_conn_unschedule(conn, s);
    }
    schedule(conn, s, true);
}

void quic_conn_unschedule(quic_conn *conn, quic_stream *s)
{
    if (QUIC_LIKELY(!s->waits)) {
        quic_scheduler_remove(&conn->scheduler, s);
        return;
    }
    quic_scheduler_take(&conn->waiting, s);
    conn->last_first = conn->last_first == s ? NULL : conn->last_first;
    s->waits = false;
    conn->flow_blocked = !quic_scheduler_is_empty(&conn->waiting);
}

void quic_conn_wake_streams(quic_conn *conn)
{
    uint64_t credit = quic_flow_send_credit(&conn->flow_send);
    quic_stream *s;
    conn->last_first = NULL;
    while (credit > 0) {
        quic_scheduler_end_train(&conn->waiting); /* RFC 9218 10 */
        s = quic_scheduler_next(&conn->waiting);
        if (s == NULL) {
            break;
        }
        quic_conn_unschedule(conn, s);
        if (!quic_stream_can_send(s, credit)) {
            continue; /* stopped meanwhile */
        }
        uint64_t want = quic_stream_unsent(s);
        uint64_t own = quic_flow_send_credit(&s->send_flow);
        want = want < own ? want : own;
        want = want < QUIC_SCHEDULER_TURN_BYTES ? want : QUIC_SCHEDULER_TURN_BYTES;
        credit -= want < credit ? want : credit;
        quic_scheduler_resume(&conn->scheduler, s);
    }
    quic_conn_mark_dirty(conn);
}

void quic_conn_note_ctrl(quic_conn *conn, quic_stream *s)
{
    if (s->ctrl_pending != 0 && !quic_list_is_linked(&s->ctrl_node)) {
        quic_list_push_back(&conn->ctrl_streams, &s->ctrl_node);
        quic_conn_mark_dirty(conn);
    }
}

void quic_conn_apply_recv_facts(quic_conn *conn, quic_stream *s,
                                const quic_stream_recv_facts *facts)
{
    uint32_t events = 0;
    if (QUIC_UNLIKELY(s->gaps_counted != s->recv.ahead.count)) {
        conn->gap_count += s->recv.ahead.count - s->gaps_counted;
        s->gaps_counted = s->recv.ahead.count;
    }
    if (QUIC_LIKELY(facts->readable) && (s->events_seen & QUIC_STREAM_TOLD_READABLE) == 0) {
        s->events_seen |= QUIC_STREAM_TOLD_READABLE;
        events |= QUIC_STREAM_EV_READABLE;
    }
    if (QUIC_UNLIKELY(facts->size_known)) {
        events |= QUIC_STREAM_EV_SIZE_KNOWN;
    }
    if (facts->all_received || facts->reset) {
        s->events &= ~(uint32_t)QUIC_STREAM_EV_SIZE_KNOWN; /* no longer true */
    }
    if (QUIC_UNLIKELY(facts->reset)) {
        s->events &= ~(uint32_t)QUIC_STREAM_EV_READABLE; /* unread bytes are gone */
        events |= QUIC_STREAM_EV_RESET;
    }
    if (events != 0) {
        quic_conn_raise_stream(conn, s, events);
    }
    if (facts->conn_update_due) {
        conn->pending |= QUIC_PEND_MAX_DATA;
        quic_conn_mark_dirty(conn);
    }
    if (s->ctrl_pending != 0) {
        quic_conn_note_ctrl(conn, s);
    }
    if (facts->done) {
        quic_conn_maybe_closed_stream(conn, s);
    }
}

/* ---- verbs ------------------------------------------------------------------------------------------ */

static bool usable(const quic_conn *conn)
{
    return (QUIC_LIKELY(conn->state == QUIC_CONN_ESTABLISHED) && conn->params_applied) ||
           quic_conn_is_early(conn);
}

/* RFC 9000 19.14 */
quic_rc quic_conn_streams_blocked(quic_conn *conn, bool uni)
{
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    if (quic_stream_table_blocked_due(&conn->streams, uni)) {
        conn->pending |= uni ? QUIC_PEND_STREAMS_BLOCKED_UNI : QUIC_PEND_STREAMS_BLOCKED_BIDI;
        quic_conn_mark_dirty(conn);
    }
    return QUIC_OK;
}

quic_rc quic_conn_stream_open(quic_conn *conn, bool uni, quic_stream **out)
{
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    quic_rc rc = quic_stream_table_open(&conn->streams, out, uni);
    if (rc == QUIC_E_NOMEM) {
        quic_stream_table_make_room(&conn->streams); /* what is empty makes room */
        rc = quic_stream_table_open(&conn->streams, out, uni);
    }
    if (rc == QUIC_E_AGAIN) {
        conn->open_refused = true;
        (void)quic_conn_streams_blocked(conn, uni);
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    rc = quic_conn_adopt_stream(conn, *out);
    if (rc != QUIC_OK) {
        /* The id is used up; the peer will never hear of it. */
        (void)quic_stream_table_close(&conn->streams, *out);
        *out = NULL;
    }
    return rc;
}

/* The connection's budget is used up by streams that fill it again as fast as it empties: a little is each
 * stream's own, so that none waits for ever. The more streams there are when it writes, the less it is. */
static uint64_t own_room(const quic_conn *conn, const quic_stream *s, uint64_t room)
{
    uint64_t own = conn->limits.conn_send_buf_bytes / conn->streams.live_count;
    uint64_t held = quic_send_buf_held(&s->send);
    own = own < QUIC_STREAM_OWN_SEND_BYTES ? own : QUIC_STREAM_OWN_SEND_BYTES;
    return held < own && own - held > room ? own - held : room;
}

/* There is no memory for all of it. What fits into the stream's buffer as it is does for now, or a first buffer: be it
 * of the last memory, for a connection that holds nothing. WRITABLE follows in any case: what is acknowledged makes
 * room, of the stream itself or of another, or it is looked again after a while. */
static quic_rc write_scarce(quic_conn *conn, quic_stream *s, const uint8_t *data, size_t len,
                            uint32_t flags, size_t *out_accepted)
{
    const bool lend = (flags & QUIC_WRITE_LEND) != 0;
    uint64_t spare = lend ? 0 : quic_send_buf_spare(&s->send);
    if (!lend && quic_send_buf_held(&s->send) == 0 && spare == 0) {
        spare = conn->send_held_bytes > 0 || quic_send_buf_insist(&s->send, QUIC_SEND_RING_MIN)
                    ? QUIC_SEND_RING_MIN
                    : 0;
    }
    quic_rc rc = quic_stream_write(s, out_accepted, data, len, flags, spare);
    if (rc == QUIC_E_NOMEM) {
        s->write_blocked = true;
        rc = QUIC_E_AGAIN;
    }
    if (rc == QUIC_E_AGAIN || (rc == QUIC_OK && *out_accepted < len)) {
        conn->send_starved |= QUIC_STARVED_OF_MEMORY;
        quic_conn_mark_dirty(conn);
    }
    return rc;
}

quic_rc quic_conn_stream_write(quic_conn *conn, quic_stream *s, const uint8_t *data, size_t len,
                               uint32_t flags, size_t *out_accepted)
{
    *out_accepted = 0;
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    uint64_t cap = conn->limits.conn_send_buf_bytes;
    uint64_t room = cap > conn->send_held_bytes ? cap - conn->send_held_bytes : 0;
    if (QUIC_UNLIKELY(room < QUIC_STREAM_OWN_SEND_BYTES)) {
        room = own_room(conn, s, room);
    }
    flags &= QUIC_WRITE_FIN | QUIC_WRITE_LEND;
    quic_rc rc = quic_stream_write(s, out_accepted, data, len, flags, room);
    if (QUIC_UNLIKELY(rc == QUIC_E_NOMEM)) {
        quic_stream_table_make_room(&conn->streams);
        rc = quic_stream_write(s, out_accepted, data, len, flags, room);
        if (rc == QUIC_E_NOMEM) {
            rc = write_scarce(conn, s, data, len, flags, out_accepted);
        }
    }
    if (rc == QUIC_OK || rc == QUIC_E_AGAIN) {
        conn->send_held_bytes += *out_accepted;
        if (*out_accepted < len && quic_stream_writable(s) > 0) {
            conn->send_starved |= QUIC_STARVED_OF_BUDGET;
        }
        if ((flags & QUIC_WRITE_FIN) != 0 && rc == QUIC_OK && *out_accepted == len) {
            s->events &= ~(uint32_t)QUIC_STREAM_EV_WRITABLE; /* no longer true */
        }
        quic_conn_schedule(conn, s);
    }
    return rc;
}

quic_rc quic_conn_stream_peek(quic_conn *conn, quic_stream *s, quic_span out[2], bool *out_fin)
{
    (void)conn;
    quic_recv_span spans[2];
    quic_rc rc = quic_stream_peek(s, spans, out_fin);
    if (rc == QUIC_E_AGAIN) {
        s->events_seen &= ~QUIC_STREAM_TOLD_READABLE;
        return rc;
    }
    if (rc == QUIC_OK) {
        for (int i = 0; i < 2; i++) {
            out[i].data = spans[i].data;
            out[i].len = spans[i].len;
        }
    }
    return rc;
}

quic_rc quic_conn_stream_consume(quic_conn *conn, quic_stream *s, size_t len)
{
    quic_stream_recv_facts facts;
    memset(&facts, 0, sizeof(facts));
    const quic_rtt *rtt = &conn->recovery.rtt;
    quic_ns srtt_ns = quic_rtt_has_sample(rtt) ? rtt->smoothed_ns : 0;
    quic_rc rc = quic_stream_consume(s, &conn->flow_recv, len, srtt_ns, conn->env->now, &facts);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (quic_recv_buf_readable(&s->recv) == 0) {
        s->events_seen &= ~QUIC_STREAM_TOLD_READABLE;
    }
    quic_conn_apply_recv_facts(conn, s, &facts);
    return QUIC_OK;
}

quic_rc quic_conn_stream_reset(quic_conn *conn, quic_stream *s, uint64_t app_error)
{
    if (app_error > QUIC_VARINT_MAX) {
        return QUIC_E_INVAL;
    }
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    quic_stream_send_facts facts;
    memset(&facts, 0, sizeof(facts));
    quic_rc rc = quic_stream_reset(s, app_error, &facts);
    if (rc == QUIC_OK) {
        s->events &= ~(uint32_t)QUIC_STREAM_EV_WRITABLE; /* no longer true */
        quic_conn_note_credit(conn, s);
        quic_conn_apply_send_facts(conn, s, &facts);
        quic_conn_unschedule(conn, s);
        quic_conn_note_ctrl(conn, s);
    }
    return rc;
}

quic_rc quic_conn_stream_reset_at(quic_conn *conn, quic_stream *s, uint64_t app_error,
                                  uint64_t reliable_size)
{
    if (app_error > QUIC_VARINT_MAX) {
        return QUIC_E_INVAL;
    }
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    if (!conn->params_applied) {
        return QUIC_E_AGAIN; /* sent in 0-RTT it may have to be taken back */
    }
    if (!conn->peer_reset_stream_at) {
        return QUIC_E_NOT_SUPPORTED;
    }
    quic_stream_send_facts facts;
    quic_rc rc = quic_stream_reset_at(s, app_error, reliable_size, &facts);
    if (rc == QUIC_OK) {
        s->events &= ~(uint32_t)QUIC_STREAM_EV_WRITABLE;
        quic_conn_note_credit(conn, s);
        quic_conn_apply_send_facts(conn, s, &facts);
        quic_conn_unschedule(conn, s);
        quic_conn_schedule(conn, s); /* what is to arrive may be unsent, or lost */
        quic_conn_note_ctrl(conn, s);
    }
    return rc;
}

quic_rc quic_conn_stream_set_priority(quic_conn *conn, quic_stream *s, uint32_t urgency,
                                      bool incremental)
{
    if (urgency >= QUIC_STREAM_URGENCY_COUNT) {
        return QUIC_E_INVAL;
    }
    if (s->send_state == QUIC_SEND_NONE) {
        return QUIC_E_STATE;
    }
    conn->last_first = conn->last_first == s ? NULL : conn->last_first;
    quic_scheduler_set_priority(s->waits ? &conn->waiting : &conn->scheduler, s, (uint8_t)urgency,
                                incremental);
    return QUIC_OK;
}

quic_rc quic_conn_stream_stop_sending(quic_conn *conn, quic_stream *s, uint64_t app_error)
{
    if (app_error > QUIC_VARINT_MAX) {
        return QUIC_E_INVAL;
    }
    if (!usable(conn)) {
        return QUIC_E_STATE;
    }
    quic_stream_recv_facts facts;
    memset(&facts, 0, sizeof(facts));
    quic_rc rc = quic_stream_stop_sending(s, &conn->flow_recv, app_error, &facts);
    if (rc == QUIC_OK) {
        quic_conn_apply_recv_facts(conn, s, &facts);
    }
    return rc;
}

void quic_conn_stream_get_info(const quic_conn *conn, const quic_stream *s, quic_stream_info *out)
{
    memset(out, 0, sizeof(*out));
    out->bytes_written = s->send.write_off;
    out->bytes_sent = s->send.next_off;
    out->bytes_acked = s->send.acked_off;
    out->bytes_recv = s->recv.recv_off;
    out->bytes_read = s->recv.read_off;
    out->readable = quic_recv_buf_readable(&s->recv);
    out->writable = quic_stream_writable(s);
    out->send_max = s->send_flow.limit;
    out->conn_send_max = conn->flow_send.limit;
    out->urgency = s->urgency;
    out->incremental = s->incremental;
}
