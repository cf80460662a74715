/* The peer's flow control (RFC 9000 4.1) as programs of the kernel implementation see it: a stream without credit takes
 * no more, while others do (ENOSPC, not EAGAIN), and a connection without is not writable. In the draft's layout
 * the send buffer alone decides.
 *
 * One byte more than the peer allows is taken: when it is acknowledged there is credit again, and the engine is asked
 * how much. Nothing else tells. */
#include "compat/core/sock.h"

static bool qs_is_out(uint64_t next, uint64_t max)
{
    return max != 0 && next > max;
}

bool qs_credit_stream_is_out(const qs_sock *s, const qs_stream *st)
{
    return s->protocol == QS_PROTO_KERNEL && qs_is_out(st->tx_next, st->tx_max);
}

bool qs_credit_conn_is_out(const qs_sock *s)
{
    return s->protocol == QS_PROTO_KERNEL && qs_is_out(s->tx_total, s->tx_total_max);
}

bool qs_credit_is_awaited(const qs_sock *s)
{
    const uint64_t id = s->starved_id;
    if (id == QS_STREAM_ANY || s->dgram_awaits) {
        return false;
    }
    const qs_stream *st = qs_stream_find(s, id);
    if (st == NULL) { /* to be opened, still */
        const bool uni = qs_id_is_uni(id);
        return id >= s->next_id[uni] && id >> 2 >= s->streams_max[uni];
    }
    return st->send_state < QS_SEND_RESET_SENT && !st->reset_asked &&
           qs_credit_stream_is_out(s, st);
}

static size_t qs_up_to(uint64_t next, uint64_t max, size_t len)
{
    uint64_t room = max == 0 ? UINT64_MAX : next <= max ? max + 1 - next : 0;
    return len < room ? len : (size_t)room;
}

size_t qs_credit_take(const qs_sock *s, const qs_stream *st, size_t len)
{
    if (s->protocol != QS_PROTO_KERNEL) {
        return len;
    }
    return qs_up_to(s->tx_total, s->tx_total_max, qs_up_to(st->tx_next, st->tx_max, len));
}

void qs_credit_begin(qs_sock *s, qs_stream *st)
{
    const qs_params *p = &s->remote_params;
    if (s->protocol != QS_PROTO_KERNEL || s->state != QS_ESTABLISHED) {
        return; /* 0-RTT: what was remembered may be too little */
    }
    st->tx_max = qs_id_is_uni(st->id)       ? p->max_stream_data_uni
                 : qs_id_is_ours(s, st->id) ? p->max_stream_data_bidi_remote
                                            : p->max_stream_data_bidi_local;
    s->tx_total_max = s->tx_total_max != 0 ? s->tx_total_max : p->max_data;
}

void qs_credit_learn(qs_sock *s, qs_stream *st)
{
    quring_stream_info info;
    if (s->protocol == QS_PROTO_KERNEL && s->state == QS_ESTABLISHED && st->handle.handle != 0 &&
        quring_stream_get_info(st->handle, &info) == QURING_OK) {
        st->tx_max = info.send_max;
        s->tx_total_max = info.conn_send_max;
    }
}

void qs_credit_reset(qs_sock *s, qs_stream *st)
{
    quring_stream_info info;
    if (s->protocol == QS_PROTO_KERNEL && quring_stream_get_info(st->handle, &info) == QURING_OK &&
        st->tx_next > info.bytes_sent) {
        uint64_t unsent = st->tx_next - info.bytes_sent;
        s->tx_total -= unsent < s->tx_total ? unsent : s->tx_total;
        st->tx_next = info.bytes_sent;
    }
}
