#include "quic/stream/stream.h"

#include "quic/base/check.h"

#define SEND_TO(state) (uint8_t)(1u << QUIC_SEND_##state)
#define RECV_TO(state) (uint8_t)(1u << QUIC_RECV_##state)

/* RFC 9000 3.1, figure 2: from -> set of to. */
static const uint8_t send_edges[QUIC_SEND_STATE_COUNT] = {
    [QUIC_SEND_NONE] = 0,
    [QUIC_SEND_READY] = SEND_TO(SEND) | SEND_TO(RESET_SENT),
    [QUIC_SEND_SEND] = SEND_TO(DATA_SENT) | SEND_TO(RESET_SENT),
    [QUIC_SEND_DATA_SENT] = SEND_TO(DATA_RECVD) | SEND_TO(RESET_SENT),
    [QUIC_SEND_DATA_RECVD] = 0,
    [QUIC_SEND_RESET_SENT] = SEND_TO(RESET_RECVD),
    [QUIC_SEND_RESET_RECVD] = 0,
};

/* RFC 9000 3.2, figure 3. The optional edges between DATA_RECVD and RESET_RECVD are not used: once
 * everything arrived it is delivered. */
static const uint8_t recv_edges[QUIC_RECV_STATE_COUNT] = {
    [QUIC_RECV_NONE] = 0,
    [QUIC_RECV_RECV] = RECV_TO(SIZE_KNOWN) | RECV_TO(RESET_RECVD),
    [QUIC_RECV_SIZE_KNOWN] = RECV_TO(DATA_RECVD) | RECV_TO(RESET_RECVD),
    [QUIC_RECV_DATA_RECVD] = RECV_TO(DATA_READ),
    [QUIC_RECV_DATA_READ] = 0,
    [QUIC_RECV_RESET_RECVD] = RECV_TO(RESET_READ),
    [QUIC_RECV_RESET_READ] = 0,
};

bool quic_send_state_may(quic_send_state from, quic_send_state to)
{
    return (send_edges[from] & (1u << to)) != 0;
}

bool quic_recv_state_may(quic_recv_state from, quic_recv_state to)
{
    return (recv_edges[from] & (1u << to)) != 0;
}

void quic_stream_set_send_state(quic_stream *s, quic_send_state next)
{
    QURING_ASSERT(quic_send_state_may((quic_send_state)s->send_state, next));
    s->send_state = (uint8_t)next;
}

void quic_stream_set_recv_state(quic_stream *s, quic_recv_state next)
{
    QURING_ASSERT(quic_recv_state_may((quic_recv_state)s->recv_state, next));
    s->recv_state = (uint8_t)next;
}

_Static_assert(offsetof(quic_stream, send) == offsetof(quic_stream, recv) + sizeof(quic_recv_buf) &&
                   offsetof(quic_stream, reset_error) ==
                       offsetof(quic_stream, send) + sizeof(quic_send_buf),
               "nothing is left out by quic_stream_init");

/* Growth of the struct is a decision: a connection may have thousands of idle streams. */
_Static_assert(sizeof(quic_stream) <= 512, "an idle stream costs at most 512 bytes");

void quic_stream_init(quic_stream *s, quic_mem *mem, uint64_t id, uint32_t gaps_max)
{
    /* Two buffers in the middle clear themselves. */
    memset(s, 0, offsetof(quic_stream, recv));
    memset(&s->reset_error, 0, sizeof(*s) - offsetof(quic_stream, reset_error));
    s->id = id;
    s->urgency = QUIC_STREAM_URGENCY_DEFAULT;
    quic_send_buf_init(&s->send, mem);
    quic_recv_buf_init(&s->recv, mem, gaps_max);
}

void quic_stream_deinit(quic_stream *s)
{
    quic_send_buf_deinit(&s->send);
    quic_recv_buf_deinit(&s->recv);
}

void quic_stream_trim(quic_stream *s)
{
    quic_send_buf_trim(&s->send);
    quic_recv_buf_trim(&s->recv);
}

void quic_stream_check_invariants(const quic_stream *s)
{
    const quic_send_buf *sb = &s->send;
    const quic_recv_buf *rb = &s->recv;
    QURING_ASSERT(sb->acked_off <= sb->next_off && sb->next_off <= sb->write_off);
    QURING_ASSERT(s->send_flow.used == sb->next_off && s->send_flow.used <= s->send_flow.limit);
    QURING_ASSERT(!s->fin_sent || s->fin_written);
    QURING_ASSERT(!s->fin_acked || s->fin_sent);
    QURING_ASSERT(s->send_state != QUIC_SEND_DATA_RECVD || quic_send_buf_held(sb) == 0);
    QURING_ASSERT(!s->reset_at || s->reliable_size <= s->send.write_off);
    QURING_ASSERT(!s->peer_reset_at || s->stop_asked || s->peer_reliable_size <= rb->final_size);
    QURING_ASSERT(rb->read_off <= rb->recv_off && rb->recv_off <= rb->end_off);
    QURING_ASSERT(rb->end_off <= s->recv_flow.limit);
    QURING_ASSERT(s->recv_flow.received == rb->end_off);
    QURING_ASSERT(s->recv_flow.consumed == rb->read_off);
    QURING_ASSERT(rb->final_size >= rb->end_off);
    QURING_ASSERT(s->recv_state != QUIC_RECV_DATA_RECVD || quic_recv_buf_all_received(rb));
}
