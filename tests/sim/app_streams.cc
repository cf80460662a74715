/* What the application does with its streams. */
#include "tests/sim/app.h"

namespace sim
{
namespace
{

constexpr uint32_t kFin = QUIC_WRITE_FIN;
constexpr uint32_t kLend = QUIC_WRITE_LEND;

} // namespace

void App::open_more()
{
    bool progress = true;
    while ((connected_ || early_) && !closed_ && progress && open_now_ < state_->plan.concurrency) {
        progress = false;
        for (int uni = 0; uni < 2 && open_now_ < state_->plan.concurrency; uni++) {
            if (opened_[uni] >= mine_[uni].size()) {
                continue;
            }
            quic_stream *stream = nullptr;
            quic_rc rc = quic_conn_stream_open(conn_, uni != 0, &stream);
            if (rc == QUIC_E_AGAIN || rc == QUIC_E_STATE) {
                continue;
            }
            if (rc != QUIC_OK) {
                if (!host_->memory_may_fail()) {
                    fail(nullptr, "a stream could not be opened");
                }
                (void)quic_conn_close(conn_, 99, "memory");
                close_called_ = true;
                return;
            }
            auto st = std::make_unique<AppStream>();
            st->plan = &state_->plan.streams[mine_[uni][opened_[uni]]];
            st->app = this;
            st->opener = true;
            st->stream = stream;
            st->id = quic_stream_id(stream);
            if (st->id >> 2 != opened_[uni]) {
                fail(st.get(), "stream IDs are not handed out in order");
            }
            quic_stream_set_app_ctx(stream, st.get());
            opened_[uni]++;
            open_now_++;
            progress = true;
            AppStream *raw = st.get();
            streams_.push_back(std::move(st));
            begin(raw);
        }
    }
}

void App::prioritise(AppStream *st, uint32_t urgency)
{
    const bool incremental = st->plan->priority[st->send_dir()].incremental;
    if (quic_conn_stream_set_priority(conn_, st->stream, urgency, incremental) != QUIC_OK) {
        fail(st, "a stream takes no urgency");
    }
}

void App::begin(AppStream *st)
{
    const int urgency = st->plan->priority[st->send_dir()].urgency;
    if (st->can_send() && urgency >= 0) {
        prioritise(st, static_cast<uint32_t>(urgency));
    }
    pump(st);
}

void App::pump(AppStream *st)
{
    pump_write(st);
    pump_read(st);
    if (st->recv_over() && st->plan->respond) {
        pump_write(st); /* the answer that waited for the end, or for our giving up on it */
    }
}

void App::pump_write(AppStream *st)
{
    while (!closed_ && st->stream != nullptr && !st->send_over() && !st->write_dead &&
           write_some(st)) {
    }
}

quic_rc App::write_chunk(AppStream *st, size_t len, uint32_t flags, size_t *accepted)
{
    auto bytes = std::make_unique<uint8_t[]>(len > 0 ? len : 1);
    fill_pattern(key(st->id, st->send_dir()), st->written, bytes.get(), len);
    bool lend = st->plan->lend && len > 0;
    quic_rc rc = quic_conn_stream_write(conn_, st->stream, bytes.get(), len,
                                        flags | (lend ? kLend : 0u), accepted);
    if (lend && *accepted > 0) {
        st->lent.push_back(Lent{st->written + *accepted, std::move(bytes), len});
    }
    return rc;
}

/* One write; false: no more for now. */
bool App::write_some(AppStream *st)
{
    int dir = st->send_dir();
    if (dir == 1 && st->plan->respond && !st->recv_over()) {
        return false;
    }
    const PriorityPlan &priority = st->plan->priority[dir];
    if (!st->priority_changed && priority.change_at >= 0 &&
        st->written >= static_cast<uint64_t>(priority.change_at)) {
        st->priority_changed = true;
        prioritise(st, priority.then);
    }
    int64_t cut = st->plan->reset_at[dir];
    if (cut >= 0 && st->written >= static_cast<uint64_t>(cut)) {
        const uint64_t code = kResetCode + static_cast<uint64_t>(dir);
        quic_rc rc =
            st->plan->reliable[dir] == 0
                ? quic_conn_stream_reset(conn_, st->stream, code)
                : quic_conn_stream_reset_at(conn_, st->stream, code, st->plan->reliable[dir]);
        if (rc == QUIC_E_AGAIN && !connected_) {
            return false; /* 0-RTT is not answered yet: CONNECTED brings us back */
        }
        st->reset_sent = rc == QUIC_OK;
        st->write_dead = rc != QUIC_OK;
        return false;
    }
    uint64_t left = st->plan->size[dir] - st->written;
    if (cut >= 0) {
        left = static_cast<uint64_t>(cut) - st->written;
    }
    size_t len = rng_.range(1, st->plan->write_max);
    len = len < left ? len : left;
    bool last = cut < 0 && len == left && (!st->plan->late_fin || left == 0);
    size_t accepted = 0;
    quic_rc rc = write_chunk(st, len, last ? kFin : 0u, &accepted);
    st->written += accepted;
    if (rc == QUIC_E_STATE) {
        st->write_dead = true; /* stopped by the peer, or the connection ends: an event says so */
        return false;
    }
    if (rc == QUIC_E_NOMEM && host_->memory_may_fail()) {
        host_->wake_app(this, host_->now() + 10 * QUIC_NS_PER_MS);
        return false;
    }
    if (rc == QUIC_E_AGAIN || (rc == QUIC_OK && accepted < len)) {
        return false;
    }
    if (rc != QUIC_OK) {
        fail(st, "write failed");
        return false;
    }
    st->fin_written = last;
    return true;
}

void App::pump_read(AppStream *st)
{
    while (!closed_ && st->stream != nullptr && !st->recv_over() && !st->read_dead) {
        if (st->next_read_ns > host_->now()) {
            host_->wake_app(this, st->next_read_ns);
            return;
        }
        if (!read_some(st)) {
            return;
        }
    }
}

/* One read; false: no more for now. */
bool App::read_some(AppStream *st)
{
    int dir = st->recv_dir();
    int64_t cut = st->plan->stop_at[dir];
    if (cut >= 0 && st->read >= static_cast<uint64_t>(cut)) {
        quic_rc rc = quic_conn_stream_stop_sending(conn_, st->stream, kStopCode);
        st->stop_sent = rc == QUIC_OK;
        st->read_dead = rc != QUIC_OK;
        return false;
    }
    quic_span spans[2] = {};
    bool fin = false;
    quic_rc rc = quic_conn_stream_peek(conn_, st->stream, spans, &fin);
    if (rc == QUIC_E_AGAIN) {
        return false;
    }
    if (rc != QUIC_OK) {
        st->read_dead = true; /* RESET or CLOSED is on its way */
        return false;
    }
    uint64_t off = st->read;
    for (const quic_span &span : spans) {
        if (span.len > 0 && !is_pattern(key(st->id, dir), off, span.data, span.len)) {
            fail(st, "wrong bytes");
            return false;
        }
        off += span.len;
    }
    uint64_t shown = spans[0].len + spans[1].len;
    uint64_t take = shown < st->plan->read_max ? shown : st->plan->read_max;
    if (off > st->plan->size[dir] || (fin && off != st->plan->size[dir])) {
        fail(st, "the stream is too long or too short");
        return false;
    }
    if (quic_conn_stream_consume(conn_, st->stream, take) != QUIC_OK) {
        fail(st, "consume failed");
        return false;
    }
    st->read += take;
    host_->count_delivered(take);
    st->fin_read = fin && take == shown;
    if (st->plan->read_pause_ns > 0 && !st->fin_read) {
        st->next_read_ns = host_->now() + st->plan->read_pause_ns;
    }
    return true;
}

} // namespace sim
