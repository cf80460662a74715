#include "quic/stream/stream_recv.h"

#include "quic/base/check.h"

static bool recv_is_open(const quic_stream *s)
{
    return s->recv_state == QUIC_RECV_RECV || s->recv_state == QUIC_RECV_SIZE_KNOWN;
}

/* Charges bytes up to `end` to both limits, after they were checked. */
static void charge(quic_stream *s, quic_flow_recv *conn_flow, uint64_t fresh)
{
    s->recv_flow.received += fresh;
    conn_flow->received += fresh;
}

/* Counts `bytes` as consumed without tuning any window: nobody read them. */
static void give_back(quic_stream *s, quic_flow_recv *conn_flow, uint64_t bytes,
                      quic_stream_recv_facts *facts)
{
    (void)quic_flow_recv_on_consumed(&s->recv_flow, bytes, 0, 0);
    facts->conn_update_due = quic_flow_recv_on_consumed(conn_flow, bytes, 0, 0);
}

/* Drops what is stored; from here on bytes are counted, not kept. */
static void discard(quic_stream *s, quic_flow_recv *conn_flow, quic_stream_recv_facts *facts)
{
    s->ctrl_pending &= (uint8_t) ~(QUIC_STREAM_CTRL_MAX_DATA | QUIC_STREAM_CTRL_STOP);
    give_back(s, conn_flow, quic_recv_buf_discard(&s->recv), facts);
}

/* The final size is known and nobody wants the bytes: straight to the end of RFC 9000 3.2. */
static void finish_discarded(quic_stream *s, quic_stream_recv_facts *facts)
{
    s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_STOP;
    if (s->recv_state == QUIC_RECV_RECV) {
        quic_stream_set_recv_state(s, QUIC_RECV_SIZE_KNOWN);
    }
    if (s->recv_state == QUIC_RECV_SIZE_KNOWN) {
        quic_stream_set_recv_state(s, QUIC_RECV_DATA_RECVD);
    }
    quic_stream_set_recv_state(s, QUIC_RECV_DATA_READ);
    facts->done = true;
}

/* What a frame did to a stream that somebody reads. */
static void note_arrival(quic_stream *s, quic_stream_recv_facts *facts)
{
    if (s->recv_state == QUIC_RECV_SIZE_KNOWN && quic_recv_buf_all_received(&s->recv) &&
        !s->peer_reset_at) {
        quic_stream_set_recv_state(s, QUIC_RECV_DATA_RECVD);
        facts->all_received = true;
    }
    facts->readable =
        quic_recv_buf_readable(&s->recv) != 0 || s->recv_state == QUIC_RECV_DATA_RECVD;
}

quic_rc quic_stream_on_data(quic_stream *s, quic_flow_recv *conn_flow, uint64_t off,
                            const uint8_t *data, size_t len, bool fin,
                            quic_stream_recv_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    uint64_t end = off + len;
    if (QUIC_UNLIKELY(!recv_is_open(s))) {
        facts->useless = true;
        return quic_recv_buf_check_end(&s->recv, end, fin, QUIC_VARINT_MAX);
    }
    quic_rc rc = quic_recv_buf_check_end(&s->recv, end, fin, s->recv_flow.limit);
    if (QUIC_UNLIKELY(rc != QUIC_OK)) {
        return rc;
    }
    if (QUIC_UNLIKELY(end > s->recv.end_off &&
                      end - s->recv.end_off > quic_flow_recv_credit(conn_flow))) {
        return QUIC_V_FLOW_CONTROL; /* RFC 9000 4.1: the connection's limit */
    }
    facts->useless =
        quic_recv_buf_is_known(&s->recv, off, end) && !(fin && s->recv_state == QUIC_RECV_RECV);
    if (QUIC_UNLIKELY(s->stop_asked)) {
        uint64_t skipped = quic_recv_buf_skip_to(&s->recv, end);
        charge(s, conn_flow, skipped);
        give_back(s, conn_flow, skipped, facts);
        if (fin) {
            quic_recv_buf_set_final(&s->recv, end);
            finish_discarded(s, facts);
        }
        return QUIC_OK;
    }
    uint64_t fresh;
    rc = quic_recv_buf_insert(&s->recv, &fresh, off, data, len);
    if (QUIC_UNLIKELY(rc != QUIC_OK)) {
        return rc;
    }
    charge(s, conn_flow, fresh);
    if (fin && s->recv_state == QUIC_RECV_RECV) {
        quic_recv_buf_set_final(&s->recv, end);
        quic_stream_set_recv_state(s, QUIC_RECV_SIZE_KNOWN);
        s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_MAX_DATA; /* no more credit needed, 3.2 */
        facts->size_known = !quic_recv_buf_all_received(&s->recv);
    }
    note_arrival(s, facts);
    return QUIC_OK;
}

/* What RESET_STREAM and RESET_STREAM_AT have in common: whether the end they tell may be one, and its
 * charge. */
static quic_rc take_final_size(quic_stream *s, quic_flow_recv *conn_flow, uint64_t app_error,
                               uint64_t final_size)
{
    if (s->peer_reset_at && app_error != s->peer_reset_error) {
        return QUIC_V_STREAM_STATE; /* Reliable Stream Resets 5.2 */
    }
    if (!recv_is_open(s)) {
        return quic_recv_buf_check_end(&s->recv, final_size, true, QUIC_VARINT_MAX);
    }
    quic_rc rc = quic_recv_buf_check_end(&s->recv, final_size, true, s->recv_flow.limit);
    if (rc != QUIC_OK) {
        return rc;
    }
    uint64_t fresh = final_size - s->recv.end_off;
    if (fresh > quic_flow_recv_credit(conn_flow)) {
        return QUIC_V_FLOW_CONTROL;
    }
    charge(s, conn_flow, fresh);
    s->recv.end_off = final_size; /* RFC 9000 4.5: all of it counts, sent or not */
    quic_recv_buf_set_final(&s->recv, final_size);
    return QUIC_OK;
}

/* The rest of the stream is of no interest to anybody. */
static void enter_reset(quic_stream *s, quic_flow_recv *conn_flow, quic_stream_recv_facts *facts)
{
    bool update_due = facts->conn_update_due;
    discard(s, conn_flow, facts);
    facts->conn_update_due = facts->conn_update_due || update_due;
    facts->readable = false;
    quic_stream_set_recv_state(s, QUIC_RECV_RESET_RECVD);
    if (s->stop_asked) { /* the application gave up on it before */
        facts->done = quic_stream_on_reset_read(s);
    } else {
        facts->reset = true;
    }
}

quic_rc quic_stream_on_reset(quic_stream *s, quic_flow_recv *conn_flow, uint64_t app_error,
                             uint64_t final_size, quic_stream_recv_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    facts->useless = !recv_is_open(s);
    quic_rc rc = take_final_size(s, conn_flow, app_error, final_size);
    if (rc == QUIC_OK && recv_is_open(s)) {
        s->peer_reset_error = app_error;
        s->reset_recv_err_valid = true;
        enter_reset(s, conn_flow, facts);
    }
    return rc;
}

/* The application has what was promised to it: now it hears of the reset. */
static bool is_reset_due(const quic_stream *s)
{
    return s->peer_reset_at && s->recv_state == QUIC_RECV_SIZE_KNOWN &&
           s->recv.read_off >= s->peer_reliable_size;
}

quic_rc quic_stream_on_reset_at(quic_stream *s, quic_flow_recv *conn_flow, uint64_t app_error,
                                uint64_t final_size, uint64_t reliable_size,
                                quic_stream_recv_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (s->reset_recv_err_valid && app_error != s->peer_reset_error) {
        return QUIC_V_STREAM_STATE;
    }
    facts->useless =
        !recv_is_open(s) || (s->peer_reset_at && reliable_size >= s->peer_reliable_size);
    quic_rc rc = take_final_size(s, conn_flow, app_error, final_size);
    if (rc != QUIC_OK || !recv_is_open(s)) {
        return rc;
    }
    if (s->recv_state == QUIC_RECV_RECV) {
        quic_stream_set_recv_state(s, QUIC_RECV_SIZE_KNOWN);
        s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_MAX_DATA;
    }
    if (!s->peer_reset_at || reliable_size < s->peer_reliable_size) {
        s->peer_reliable_size = reliable_size;
    }
    s->peer_reset_at = true;
    s->peer_reset_error = app_error;
    s->reset_recv_err_valid = true;
    if (s->stop_asked || is_reset_due(s)) {
        enter_reset(s, conn_flow, facts);
    } else {
        facts->readable = quic_recv_buf_readable(&s->recv) != 0;
    }
    return QUIC_OK;
}

/* Whether the application may read: DATA_RECVD still has bytes or the end to hand over. */
static bool recv_is_readable_state(const quic_stream *s)
{
    return (recv_is_open(s) || s->recv_state == QUIC_RECV_DATA_RECVD) && !s->stop_asked;
}

quic_rc quic_stream_peek(const quic_stream *s, quic_recv_span out[2], bool *out_fin)
{
    if (!recv_is_readable_state(s)) {
        return QUIC_E_STATE;
    }
    uint64_t readable = quic_recv_buf_peek(&s->recv, out);
    *out_fin = s->recv_state == QUIC_RECV_DATA_RECVD;
    return readable != 0 || *out_fin ? QUIC_OK : QUIC_E_AGAIN;
}

quic_rc quic_stream_consume(quic_stream *s, quic_flow_recv *conn_flow, uint64_t len,
                            quic_ns srtt_ns, quic_ns now, quic_stream_recv_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (!recv_is_readable_state(s)) {
        return QUIC_E_STATE;
    }
    if (len > quic_recv_buf_readable(&s->recv)) {
        return QUIC_E_INVAL;
    }
    quic_recv_buf_consume(&s->recv, len);
    if (quic_flow_recv_on_consumed(&s->recv_flow, len, srtt_ns, now) &&
        s->recv_state == QUIC_RECV_RECV) {
        s->ctrl_pending |= QUIC_STREAM_CTRL_MAX_DATA;
    }
    facts->conn_update_due = quic_flow_recv_on_consumed(conn_flow, len, srtt_ns, now);
    facts->readable = quic_recv_buf_readable(&s->recv) != 0;
    if (s->recv_state == QUIC_RECV_DATA_RECVD && !facts->readable) {
        quic_stream_set_recv_state(s, QUIC_RECV_DATA_READ);
        facts->done = true;
    }
    if (QUIC_UNLIKELY(is_reset_due(s))) {
        enter_reset(s, conn_flow, facts);
    }
    return QUIC_OK;
}

quic_rc quic_stream_stop_sending(quic_stream *s, quic_flow_recv *conn_flow, uint64_t app_error,
                                 quic_stream_recv_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (!recv_is_readable_state(s)) {
        return QUIC_E_STATE;
    }
    discard(s, conn_flow, facts);
    s->stop_asked = true;
    s->stop_error = app_error;
    if (s->recv_state == QUIC_RECV_RECV) {
        s->ctrl_pending |= QUIC_STREAM_CTRL_STOP;
    } else { /* the final size is known, there is nothing to ask for */
        finish_discarded(s, facts);
    }
    return QUIC_OK;
}

bool quic_stream_on_reset_read(quic_stream *s)
{
    if (s->recv_state != QUIC_RECV_RESET_RECVD) {
        return false;
    }
    quic_stream_set_recv_state(s, QUIC_RECV_RESET_READ);
    return true;
}
