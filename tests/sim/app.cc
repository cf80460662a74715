#include "tests/sim/app.h"

#include <cstdio>
#include <cstring>

namespace sim
{
namespace
{

uint64_t pattern_word(uint64_t key, uint64_t index)
{
    return (key + index) * 0x9e3779b97f4a7c15ull ^ (key >> 7);
}

} // namespace

void fill_pattern(uint64_t key, uint64_t offset, uint8_t *out, size_t len)
{
    while (len > 0) {
        uint64_t word = pattern_word(key, offset / 8);
        size_t skip = offset % 8;
        size_t n = 8 - skip < len ? 8 - skip : len;
        memcpy(out, reinterpret_cast<uint8_t *>(&word) + skip, n);
        out += n;
        offset += n;
        len -= n;
    }
}

bool is_pattern(uint64_t key, uint64_t offset, const uint8_t *data, size_t len)
{
    while (len > 0) {
        uint64_t word = pattern_word(key, offset / 8);
        size_t skip = offset % 8;
        size_t n = 8 - skip < len ? 8 - skip : len;
        if (memcmp(data, reinterpret_cast<uint8_t *>(&word) + skip, n) != 0) {
            return false;
        }
        data += n;
        offset += n;
        len -= n;
    }
    return true;
}

App::App(AppHost *host, ConnState *state, bool is_server, quic_conn *conn)
    : host_(host), state_(state), conn_(conn), rng_(state->plan.seed ^ (is_server ? 77 : 33)),
      is_server_(is_server)
{
    const auto &plans = state->plan.streams;
    for (uint32_t i = 0; i < plans.size(); i++) {
        (plans[i].by_server == is_server ? mine_ : theirs_)[plans[i].uni].push_back(i);
    }
}

uint64_t App::key(uint64_t id, int dir) const
{
    return mix64(state_->plan.seed + id * 2 + static_cast<uint64_t>(dir));
}

void App::fail(const AppStream *st, const char *what)
{
    char text[256];
    snprintf(text, sizeof(text), "connection %u %s stream %lld: %s (written %llu read %llu)",
             state_->index, is_server_ ? "server" : "client",
             st == nullptr ? -1ll : static_cast<long long>(st->id), what,
             static_cast<unsigned long long>(st == nullptr ? 0 : st->written),
             static_cast<unsigned long long>(st == nullptr ? 0 : st->read));
    host_->fail(text);
}

/* ---- events --------------------------------------------------------------------------------- */

void App::on_event(const quic_event &ev)
{
    if (closed_) {
        fail(nullptr, "an event after CLOSED");
        return;
    }
    if (state_->plan.byzantine.is_on) {
        on_lenient_event(ev);
        return;
    }
    switch (ev.type) {
    case QURING_EV_CONNECTED:
        on_connected();
        break;
    case QURING_EV_EARLY_READY:
        early_ = true;
        open_more();
        send_datagrams();
        break;
    case QURING_EV_EARLY_REJECTED:
        break;
    case QURING_EV_CLOSED:
        on_closed(ev);
        break;
    case QURING_EV_STREAMS_AVAILABLE:
        open_more();
        break;
    case QURING_EV_STREAM_LIMIT:
        break;                   /* STREAMS_AVAILABLE says it to who waits */
    case QURING_EV_KEYS_UPDATED: /* the phases take turns, RFC 9001 6 */
        if (ev.level == key_phase_) {
            fail(nullptr, "new keys in the phase of the old ones");
        }
        key_phase_ = ev.level;
        break;
    case QURING_EV_DATAGRAM_READABLE:
        read_datagrams();
        break;
    case QURING_EV_DATAGRAM_WRITABLE:
        send_datagrams();
        break;
    default:
        on_stream_event(ev);
        break;
    }
}

void App::on_connected()
{
    if (connected_) {
        fail(nullptr, "CONNECTED twice");
        return;
    }
    connected_ = true;
    connected_ns_ = host_->now();
    const ConnPlan &plan = state_->plan;
    bool closer = plan.close_by_server == is_server_;
    if (closer && plan.close_ns != 0) {
        host_->wake_app(this, connected_ns_ + plan.close_ns);
    }
    if (plan.ping_every_ns != 0) {
        next_ping_ns_ = connected_ns_ + plan.ping_every_ns;
        host_->wake_app(this, next_ping_ns_);
    }
    open_more();
    send_datagrams();
    host_->wake_app(this, connected_ns_); /* for what had to wait for it */
    maybe_close();
}

void App::on_closed(const quic_event &ev)
{
    close_info_ = *quic_conn_close_info(ev.conn);
    vanish();
    if (close_info_.kind == QURING_CLOSE_NONE) {
        fail(nullptr, "CLOSED without a reason");
    }
}

void App::on_stream_event(const quic_event &ev)
{
    if (ev.type == QURING_EV_STREAM_OPENED) {
        on_opened(ev);
        return;
    }
    AppStream *st = static_cast<AppStream *>(quic_stream_app_ctx(ev.stream));
    if (st == nullptr || st->closed || st->id != ev.stream_id) {
        fail(st, "an event of a stream that is not open");
        return;
    }
    switch (ev.type) {
    case QURING_EV_STREAM_READABLE:
        pump_read(st);
        break;
    case QURING_EV_STREAM_WRITABLE:
        pump_write(st);
        break;
    case QURING_EV_STREAM_RESET:
        on_reset(st, ev);
        break;
    case QURING_EV_STREAM_STOPPED:
        if (st->stopped || !st->can_send() || ev.app_error != kStopCode) {
            fail(st, "STOPPED twice or with a wrong code");
        }
        st->stopped = true;
        break;
    case QURING_EV_STREAM_RELEASED:
        release(st, ev.offset);
        break;
    case QURING_EV_STREAM_FINISHED:
        if (st->finished || !st->fin_written || st->reset_sent || st->stopped) {
            fail(st, "FINISHED out of place");
        }
        st->finished = true;
        break;
    case QURING_EV_STREAM_SIZE_KNOWN:
        if (!st->can_recv() || st->fin_read || ev.offset <= st->read) {
            fail(st, "SIZE_KNOWN out of place");
        }
        break;
    case QURING_EV_STREAM_RESET_ACKED:
        if (!st->reset_sent && !st->stopped) {
            fail(st, "RESET_ACKED of what was not reset");
        }
        break;
    case QURING_EV_STREAM_CLOSED:
        on_stream_closed(st);
        break;
    default:
        fail(st, "an unknown event");
        break;
    }
    if (st->recv_over() && st->plan->respond && !st->send_over()) {
        pump_write(st);
    }
    maybe_close();
}

void App::on_opened(const quic_event &ev)
{
    bool uni = (ev.stream_id & 2) != 0;
    bool by_server = (ev.stream_id & 1) != 0;
    uint64_t ordinal = ev.stream_id >> 2;
    if (by_server == is_server_ || ordinal >= theirs_[uni].size()) {
        fail(nullptr, "a stream was opened that nobody planned");
        return;
    }
    if (quic_stream_app_ctx(ev.stream) != nullptr) {
        fail(nullptr, "OPENED twice");
        return;
    }
    seen_[uni]++;
    auto st = std::make_unique<AppStream>();
    st->plan = &state_->plan.streams[theirs_[uni][ordinal]];
    st->app = this;
    st->stream = ev.stream;
    st->id = ev.stream_id;
    quic_stream_set_app_ctx(ev.stream, st.get());
    AppStream *raw = st.get();
    streams_.push_back(std::move(st));
    open_now_++;
    begin(raw);
}

void App::on_reset(AppStream *st, const quic_event &ev)
{
    int dir = st->recv_dir();
    bool planned =
        st->plan->reset_at[dir] >= 0 && ev.app_error == kResetCode + static_cast<uint64_t>(dir);
    if (st->reset_got || st->fin_read || st->stop_sent || !st->can_recv()) {
        fail(st, "RESET after the end, or twice");
    } else if (!planned) {
        fail(st, "RESET that nobody planned");
    } else if (st->read < st->plan->reliable[dir]) {
        fail(st, "RESET before what was promised");
    }
    st->reset_got = true;
}

void App::on_stream_closed(AppStream *st)
{
    if (!st->recv_over() || !st->send_over()) {
        fail(st, "CLOSED before both halves were over");
    }
    if (st->can_send() && st->fin_written && !st->finished && !st->stopped && !st->reset_sent) {
        fail(st, "CLOSED without FINISHED");
    }
    st->closed = true;
    st->stream = nullptr;
    st->lent.clear();
    open_now_--;
    closed_count_++;
    open_more();
}

void App::release(AppStream *st, uint64_t offset)
{
    if (offset > st->written) {
        fail(st, "RELEASED beyond what was written");
    }
    while (!st->lent.empty() && st->lent.front().end <= offset) {
        memset(st->lent.front().bytes.get(), 0xdd, st->lent.front().len); /* ours again */
        st->lent.pop_front();
    }
}

/* ---- time and the end --------------------------------------------------------------------------- */

void App::on_tick()
{
    if (closed_ || (!connected_ && !early_)) {
        return;
    }
    if (state_->plan.byzantine.is_on) {
        on_lenient_tick();
        return;
    }
    if (host_->now() >= next_ping_ns_) {
        (void)quic_conn_ping(conn_);
        next_ping_ns_ += state_->plan.ping_every_ns;
        host_->wake_app(this, next_ping_ns_);
    }
    send_datagrams();
    for (size_t i = 0; i < streams_.size(); i++) { /* may grow */
        AppStream *st = streams_[i].get();
        if (!st->closed) {
            pump(st);
        }
    }
    maybe_close();
}

void App::poke()
{
    if (!closed_) {
        (void)quic_conn_ping(conn_);
    }
}

void App::vanish()
{
    closed_ = true;
    conn_ = nullptr;
    for (auto &st : streams_) {
        st->stream = nullptr;
        st->lent.clear();
    }
}

bool App::is_done() const
{
    return connected_ && closed_count_ == state_->plan.streams.size();
}

void App::maybe_close()
{
    const ConnPlan &plan = state_->plan;
    if (closed_ || close_called_ || !connected_) {
        return;
    }
    quic_ns now = host_->now();
    App *other = is_server_ ? state_->client.get() : state_->server.get();
    bool both_done = is_done() && other != nullptr && other->is_done();
    if (both_done && !other->is_closed()) {
        host_->both_done(state_);
    }
    if (plan.close_by_server != is_server_) {
        if (both_done) {
            host_->wake_app(other, now);
        }
        return;
    }
    bool due = plan.close_ns != 0 && now >= connected_ns_ + plan.close_ns;
    if (both_done && !plan.never_close && !plan.stay) {
        if (done_ns_ == QUIC_NS_NEVER) {
            done_ns_ = now;
            host_->wake_app(this, now + plan.linger_ns);
        }
        due = due || now >= done_ns_ + plan.linger_ns;
    }
    if (due) {
        close_called_ = true;
        if (quic_conn_close(conn_, plan.close_code, "done") != QUIC_OK) {
            close_called_ = false; /* the peer was faster; CLOSED tells */
        }
    }
}

std::string App::report() const
{
    char text[256];
    snprintf(text, sizeof(text), "%s connected=%d closed=%d kind=%d code=%llu streams %u/%zu",
             is_server_ ? "server" : "client", connected_, closed_, close_info_.kind,
             static_cast<unsigned long long>(close_info_.code), closed_count_,
             state_->plan.streams.size());
    std::string out = text;
    for (const auto &st : streams_) {
        if (!st->closed) {
            snprintf(text, sizeof(text),
                     "\n    stream %llu written %llu/%llu fin=%d reset=%d stopped=%d finished=%d "
                     "read %llu/%llu fin=%d reset=%d stop=%d dead=%d%d",
                     static_cast<unsigned long long>(st->id),
                     static_cast<unsigned long long>(st->written),
                     static_cast<unsigned long long>(st->plan->size[st->send_dir()]),
                     st->fin_written, st->reset_sent, st->stopped, st->finished,
                     static_cast<unsigned long long>(st->read),
                     static_cast<unsigned long long>(st->plan->size[st->recv_dir()]), st->fin_read,
                     st->reset_got, st->stop_sent, st->write_dead, st->read_dead);
            out += text;
        }
    }
    return out;
}

} // namespace sim
