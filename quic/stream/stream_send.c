#include "quic/stream/stream_send.h"

#include "quic/base/check.h"
#include "quic/wire/frame_encode.h"
#include "quic/wire/varint.h"

/* ---- application ----------------------------------------------------------------------------- */

quic_rc quic_stream_write(quic_stream *s, size_t *out_accepted, const uint8_t *data, size_t len,
                          uint32_t flags, uint64_t conn_room)
{
    if ((s->send_state != QUIC_SEND_READY && s->send_state != QUIC_SEND_SEND) || s->fin_written ||
        s->reset_at) {
        return QUIC_E_STATE;
    }
    bool lend = (flags & QUIC_STREAM_WRITE_LEND) != 0;
    uint64_t held = quic_send_buf_held(&s->send);
    uint64_t held_max = s->send_buf_bytes;
    if (held_max > held && held_max - held > conn_room) {
        held_max = held + conn_room;
    }
    size_t accepted;
    quic_rc rc = quic_send_buf_write(&s->send, &accepted, data, len, lend, held_max);
    if (rc != QUIC_OK) {
        return rc;
    }
    *out_accepted = accepted;
    s->ever_lent = s->ever_lent || (lend && accepted != 0);
    if (accepted < len) {
        s->write_blocked = true;
        return accepted != 0 ? QUIC_OK : QUIC_E_AGAIN;
    }
    if ((flags & QUIC_STREAM_WRITE_FIN) != 0) {
        s->fin_written = true;
    }
    return QUIC_OK;
}

uint64_t quic_stream_writable(const quic_stream *s)
{
    if ((s->send_state != QUIC_SEND_READY && s->send_state != QUIC_SEND_SEND) || s->fin_written ||
        s->reset_at) {
        return 0;
    }
    uint64_t held = quic_send_buf_held(&s->send);
    return held < s->send_buf_bytes ? s->send_buf_bytes - held : 0;
}

quic_rc quic_stream_reset(quic_stream *s, uint64_t app_error, quic_stream_send_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (!quic_send_state_may((quic_send_state)s->send_state, QUIC_SEND_RESET_SENT)) {
        return QUIC_E_STATE;
    }
    facts->freed_bytes = quic_send_buf_held(&s->send);
    facts->released = quic_send_buf_is_lending(&s->send);
    facts->released_off = s->send.write_off;
    quic_send_buf_abandon(&s->send);
    s->write_blocked = false;
    s->fin_lost = false;
    s->reset_error = s->reset_at ? s->reset_error : app_error; /* Reliable Stream Resets 5.2 */
    s->reset_at = false;                                       /* nothing is promised any more */
    s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_DATA_BLOCKED;
    s->ctrl_pending |= QUIC_STREAM_CTRL_RESET;
    quic_stream_set_send_state(s, QUIC_SEND_RESET_SENT);
    return QUIC_OK;
}

/* What must arrive did, and the peer knows where it ends: like the acknowledgement of a FIN (Reliable Stream
 * Resets 5.3). */
static void maybe_finish_reset_at(quic_stream *s, quic_stream_send_facts *facts)
{
    if (s->send_state != QUIC_SEND_DATA_SENT || !s->reset_at_acked ||
        s->send.acked_off < s->reliable_size) {
        return;
    }
    facts->freed_bytes += quic_send_buf_held(&s->send);
    facts->released = facts->released || quic_send_buf_is_lending(&s->send);
    facts->released_off = s->send.write_off;
    quic_send_buf_abandon(&s->send);
    quic_stream_set_send_state(s, QUIC_SEND_DATA_RECVD);
    facts->done = true;
}

/* Everything that is still to be sent has left: RESET_STREAM_AT can say the final size. */
static void maybe_send_reset_at(quic_stream *s)
{
    if (quic_stream_unsent(s) == 0 && !s->reset_at_acked) {
        if (s->send_state == QUIC_SEND_SEND) {
            quic_stream_set_send_state(s, QUIC_SEND_DATA_SENT);
        }
        s->ctrl_pending |= QUIC_STREAM_CTRL_RESET;
    }
}

quic_rc quic_stream_reset_at(quic_stream *s, uint64_t app_error, uint64_t reliable_size,
                             quic_stream_send_facts *facts)
{
    if (reliable_size == 0 && (!s->reset_at || s->reset_error == app_error)) {
        return quic_stream_reset(s, app_error, facts);
    }
    memset(facts, 0, sizeof(*facts));
    if (s->send_state < QUIC_SEND_READY || s->send_state > QUIC_SEND_DATA_SENT) {
        return QUIC_E_STATE;
    }
    if (reliable_size > s->send.write_off ||
        (s->reset_at && (reliable_size > s->reliable_size || app_error != s->reset_error))) {
        return QUIC_E_INVAL; /* 5.2 */
    }
    uint64_t sent = s->send.next_off;
    bool lending = quic_send_buf_is_lending(&s->send);
    s->reset_at_acked = s->reset_at && s->reset_at_acked && reliable_size == s->reliable_size;
    s->reset_at = true;
    s->reset_error = app_error;
    s->reliable_size = reliable_size;
    s->write_blocked = false;
    s->fin_lost = false;
    s->fin_written = s->fin_sent;
    if (quic_stream_unsent(s) == 0) {
        s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_DATA_BLOCKED;
    }
    if (sent > reliable_size) { /* 5: SHOULD NOT be sent again: as good as acknowledged */
        facts->freed_bytes = quic_send_buf_on_acked(&s->send, reliable_size, sent - reliable_size);
        facts->released = lending && facts->freed_bytes != 0;
        facts->released_off = s->send.acked_off;
    }
    maybe_send_reset_at(s);
    return QUIC_OK;
}

/* ---- frames that arrive ---------------------------------------------------------------------- */

bool quic_stream_on_stop_sending(quic_stream *s, uint64_t app_error, quic_stream_send_facts *facts)
{
    if (quic_stream_reset(s, app_error, facts) != QUIC_OK) {
        return false; /* nothing left to stop */
    }
    s->stopped_by_peer = true;
    s->peer_stop_error = app_error;
    return true;
}

bool quic_stream_on_max_data(quic_stream *s, uint64_t limit)
{
    if (!quic_flow_send_on_limit(&s->send_flow, limit)) {
        return false;
    }
    s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_DATA_BLOCKED;
    return quic_stream_unsent(s) != 0;
}

/* ---- packets that leave ---------------------------------------------------------------------- */

/* Lays a frame of at most `n` data bytes at out->off into `room`. n == 0 is a bare end. */
static bool chunk_layout(const quic_stream *s, uint64_t n, size_t room, quic_stream_chunk *out)
{
    size_t fixed = 1 + quic_varint_len(s->id) + (out->off != 0 ? quic_varint_len(out->off) : 0);
    if (room < fixed + (n != 0 ? 1 : 0)) {
        return false;
    }
    size_t left = room - fixed;
    out->pad_len = 0;
    if (n >= left) { /* fills the packet: the length field is left out (RFC 9000 19.8) */
        out->len = (uint32_t)left;
        out->has_len = false;
        out->header_len = (uint16_t)fixed;
        return true;
    }
    size_t len_len = quic_varint_len(n);
    out->len = (uint32_t)n;
    out->has_len = n + len_len <= left;
    out->header_len = (uint16_t)(fixed + (out->has_len ? len_len : 0));
    if (!out->has_len) { /* the bytes fit, a length does not: up to 3 bytes of PADDING instead */
        out->pad_len = (uint8_t)(left - n);
    }
    return true;
}

bool quic_stream_send_next(quic_stream *s, uint64_t conn_credit, size_t room,
                           quic_stream_chunk *out)
{
    if (s->send_state < QUIC_SEND_READY || s->send_state > QUIC_SEND_DATA_SENT) {
        return false;
    }
    uint64_t off;
    uint64_t end;
    bool lost;
    bool any = quic_send_buf_next(&s->send, &off, &end, &lost);
    if (QUIC_UNLIKELY(s->reset_at) && any && !lost) { /* nothing behind the end */
        end = end < s->reliable_size ? end : s->reliable_size;
        any = off < end;
    }
    uint64_t n = any ? end - off : 0;
    if (any && !lost) {
        uint64_t credit = quic_flow_send_credit(&s->send_flow);
        if (credit == 0) {
            (void)quic_stream_note_blocked(s);
        }
        credit = credit < conn_credit ? credit : conn_credit;
        n = n < credit ? n : credit;
        if (n == 0) {
            any = false;
        }
    } else if (!any) {
        any = s->fin_written && (!s->fin_sent || s->fin_lost);
        off = s->send.write_off;
        n = 0;
        lost = s->fin_sent;
    }
    if (!any) {
        return false;
    }
    out->off = off;
    if (!chunk_layout(s, n, room, out)) {
        return false;
    }
    out->is_retransmit = lost;
    out->new_bytes = lost ? 0 : out->len;
    out->fin = s->fin_written && off + out->len == s->send.write_off;
    return true;
}

bool quic_stream_note_blocked(quic_stream *s)
{
    if (s->send_state > QUIC_SEND_SEND || quic_stream_unsent(s) == 0 ||
        !quic_flow_send_on_blocked(&s->send_flow)) {
        return false;
    }
    s->ctrl_pending |= QUIC_STREAM_CTRL_DATA_BLOCKED;
    return true;
}

static size_t encode_head(const quic_stream *s, const quic_stream_chunk *chunk, uint8_t *dst)
{
    if (QUIC_UNLIKELY(chunk->pad_len != 0)) {
        memset(dst, 0, chunk->pad_len);
    }
    return chunk->pad_len + quic_frame_encode_stream_header(dst + chunk->pad_len, chunk->header_len,
                                                            s->id, chunk->off, chunk->len,
                                                            chunk->fin, chunk->has_len);
}

size_t quic_stream_chunk_encode(quic_stream *s, const quic_stream_chunk *chunk, uint8_t *dst)
{
    size_t n = encode_head(s, chunk, dst);
    if (chunk->len != 0) {
        quic_send_buf_copy(&s->send, chunk->off, dst + n, chunk->len);
    }
    return n + chunk->len;
}

size_t quic_stream_chunk_encode_head(quic_stream *s, const quic_stream_chunk *chunk, uint8_t *dst,
                                     const uint8_t **out_data)
{
    size_t straight;
    quic_send_buf_span(&s->send, out_data, &straight, chunk->off);
    return straight >= chunk->len ? encode_head(s, chunk, dst) : 0;
}

void quic_stream_send_commit(quic_stream *s, const quic_stream_chunk *chunk)
{
    quic_send_buf_on_sent(&s->send, chunk->off, chunk->len);
    s->send_flow.used += chunk->new_bytes;
    QURING_ASSERT(s->send_flow.used <= s->send_flow.limit);
    if (s->send_state == QUIC_SEND_READY) {
        quic_stream_set_send_state(s, QUIC_SEND_SEND);
    }
    if (chunk->fin) {
        s->fin_sent = true;
        s->fin_lost = false;
        if (s->send_state == QUIC_SEND_SEND) {
            quic_stream_set_send_state(s, QUIC_SEND_DATA_SENT);
        }
    }
    if (QUIC_UNLIKELY(s->reset_at) && !chunk->is_retransmit) {
        maybe_send_reset_at(s);
    }
}

bool quic_stream_send_run(quic_stream *s, uint64_t conn_credit, size_t room, uint32_t count_max,
                          quic_stream_run *out)
{
    const uint64_t off = s->send.next_off;
    const uint64_t unsent = quic_stream_unsent(s);
    if (s->send_state != QUIC_SEND_SEND || off == 0 || unsent == 0 || s->reset_at || s->fin_lost ||
        quic_send_buf_has_lost(&s->send)) {
        return false;
    }
    const size_t head = 1 + quic_varint_len(s->id) + quic_varint_len(off);
    if (room <= head) {
        return false;
    }
    const uint8_t *data;
    size_t straight;
    quic_send_buf_span(&s->send, &data, &straight, off);
    uint64_t bytes = unsent < conn_credit ? unsent : conn_credit;
    uint64_t credit = quic_flow_send_credit(&s->send_flow);
    bytes = bytes < credit ? bytes : credit;
    bytes = bytes > 0 ? bytes - 1 : 0; /* something is left */
    bytes = bytes < straight ? bytes : straight;
    const uint64_t len = room - head;
    uint64_t count = bytes / len;
    count = count < count_max ? count : count_max;
    while (count > 0 &&
           quic_varint_len(off + (count - 1) * len) != head - 1 - quic_varint_len(s->id)) {
        count /= 2; /* offsets grow by a byte or more within it */
    }
    if (count == 0) {
        return false;
    }
    out->data = data;
    out->off = off;
    out->len = (uint32_t)len;
    out->count = (uint32_t)count;
    out->header_len = (uint16_t)head;
    return true;
}

size_t quic_stream_run_encode_head(const quic_stream *s, const quic_stream_run *run, uint32_t i,
                                   uint8_t *dst)
{
    return quic_frame_encode_stream_header(
        dst, run->header_len, s->id, run->off + (uint64_t)i * run->len, run->len, false, false);
}

void quic_stream_send_run_commit(quic_stream *s, const quic_stream_run *run)
{
    const uint64_t bytes = (uint64_t)run->count * run->len;
    quic_send_buf_on_sent(&s->send, run->off, bytes);
    s->send_flow.used += bytes;
    QURING_ASSERT(s->send_flow.used <= s->send_flow.limit);
}

/* ---- what became of a packet ----------------------------------------------------------------- */

void quic_stream_on_acked(quic_stream *s, uint64_t off, uint64_t len, bool fin,
                          quic_stream_send_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (s->send_state < QUIC_SEND_SEND || s->send_state > QUIC_SEND_DATA_SENT) {
        return; /* reset since: the bytes are gone */
    }
    bool lending = quic_send_buf_is_lending(&s->send);
    facts->freed_bytes = quic_send_buf_on_acked(&s->send, off, len);
    facts->released = lending && facts->freed_bytes != 0;
    facts->released_off = s->send.acked_off;
    if (fin) {
        s->fin_acked = true;
        s->fin_lost = false;
    }
    if (QUIC_UNLIKELY(s->reset_at)) {
        maybe_finish_reset_at(s, facts);
        return;
    }
    if (s->fin_acked && quic_send_buf_held(&s->send) == 0) {
        quic_stream_set_send_state(s, QUIC_SEND_DATA_RECVD);
        if (s->send.ring_cap > QUIC_SEND_RING_MIN) { /* a small ring serves the next stream */
            quic_send_buf_trim(&s->send);
        }
        facts->finished = true;
        facts->done = true;
        return;
    }
    /* A quarter of the buffer is free, so that a blocked writer is not woken for every packet. */
    if (s->write_blocked && quic_stream_writable(s) >= s->send_buf_bytes / 4 &&
        quic_stream_writable(s) != 0) {
        s->write_blocked = false;
        facts->writable = true;
    }
}

bool quic_stream_on_lost(quic_stream *s, uint64_t off, uint64_t len, bool fin)
{
    if (s->send_state < QUIC_SEND_SEND || s->send_state > QUIC_SEND_DATA_SENT) {
        return false; /* RFC 9000 13.3: nothing is repeated after RESET_STREAM */
    }
    bool queued = len != 0 && quic_send_buf_on_lost(&s->send, off, len);
    if (fin && !s->fin_acked && !s->reset_at) {
        s->fin_lost = true;
        queued = true;
    }
    return queued;
}

void quic_stream_rewind(quic_stream *s)
{
    QURING_ASSERT(!s->scheduled);
    if (s->send_state == QUIC_SEND_NONE) {
        return;
    }
    quic_send_buf_rewind(&s->send);
    quic_flow_send_init(&s->send_flow, 0);
    s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_DATA_BLOCKED;
    if (s->send_state == QUIC_SEND_RESET_SENT) {
        s->ctrl_pending |= QUIC_STREAM_CTRL_RESET;
        return;
    }
    s->send_state = QUIC_SEND_READY;
    s->fin_sent = false;
    s->fin_lost = false;
}

void quic_stream_on_reset_acked(quic_stream *s, uint64_t reliable_size,
                                quic_stream_send_facts *facts)
{
    memset(facts, 0, sizeof(*facts));
    if (reliable_size != quic_stream_reliable_size(s)) {
        return; /* of a frame that promised more than counts now (Reliable Stream Resets 5.2) */
    }
    if (s->send_state == QUIC_SEND_RESET_SENT) {
        s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_RESET;
        quic_stream_set_send_state(s, QUIC_SEND_RESET_RECVD);
        facts->done = true;
    } else if (s->reset_at && s->send_state == QUIC_SEND_DATA_SENT) {
        s->ctrl_pending &= (uint8_t)~QUIC_STREAM_CTRL_RESET;
        s->reset_at_acked = true;
        maybe_finish_reset_at(s, facts);
    }
}

bool quic_stream_on_ctrl_lost(quic_stream *s, uint32_t ctrl)
{
    uint32_t again = 0;
    if ((ctrl & QUIC_STREAM_CTRL_MAX_DATA) != 0 && s->recv_state == QUIC_RECV_RECV &&
        !s->stop_asked) {
        again |= QUIC_STREAM_CTRL_MAX_DATA;
    }
    if ((ctrl & QUIC_STREAM_CTRL_DATA_BLOCKED) != 0 && s->send_state <= QUIC_SEND_SEND &&
        quic_stream_unsent(s) != 0 && quic_flow_send_is_blocked(&s->send_flow)) {
        again |= QUIC_STREAM_CTRL_DATA_BLOCKED;
    }
    if ((ctrl & QUIC_STREAM_CTRL_RESET) != 0 &&
        (s->send_state == QUIC_SEND_RESET_SENT ||
         (s->reset_at && s->send_state == QUIC_SEND_DATA_SENT && !s->reset_at_acked))) {
        again |= QUIC_STREAM_CTRL_RESET;
    }
    if ((ctrl & QUIC_STREAM_CTRL_STOP) != 0 && s->stop_asked && s->recv_state == QUIC_RECV_RECV) {
        again |= QUIC_STREAM_CTRL_STOP;
    }
    s->ctrl_pending |= (uint8_t)again;
    return again != 0;
}
