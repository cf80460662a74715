// Two tables joined by a way that loses, repeats and reorders frames: bytes arrive intact and in
// order, every sum holds at every step, credit is never overdrawn, and memory is free in the end.

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/scheduler.h"
#include "quic/stream/stream_recv.h"
#include "quic/stream/stream_send.h"
#include "quic/stream/stream_table.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

struct Frame {
    uint64_t id;
    uint64_t off;
    std::vector<uint8_t> data;
    bool fin;
};

class Pair
{
  public:
    explicit Pair(uint64_t seed) : rng_(seed)
    {
        quic_stream_limits limits = {};
        limits.send_buf_bytes = 1 + rng_.Below(20000);
        limits.recv_window_bytes = 100 + rng_.Below(5000);
        limits.recv_window_max_bytes = limits.recv_window_bytes * 4;
        limits.streams_bidi_max = 8;
        limits.streams_uni_max = 8;
        limits.gaps_max = static_cast<uint32_t>(1 + rng_.Below(16));
        quic_stream_table_init(&client_, &memory_.mem, QUIC_CLIENT, &limits, seed);
        quic_stream_table_init(&server_, &memory_.mem, QUIC_SERVER, &limits, seed);
        const quic_stream_peer_limits peer = {8, 8, limits.recv_window_bytes,
                                              limits.recv_window_bytes, limits.recv_window_bytes};
        quic_stream_table_set_peer_limits(&client_, &peer);
        const uint64_t window = 500 + rng_.Below(20000);
        quic_flow_recv_init(&conn_recv_, window, window * 2);
        quic_flow_send_init(&conn_send_, window);
        quic_scheduler_init(&sched_);
    }

    void Run()
    {
        for (int step = 0; step < 400000 && !Done(); step++) {
            switch (rng_.Below(5)) {
            case 0:
                Write();
                break;
            case 1:
                Send();
                break;
            case 2:
            case 3:
                Deliver();
                break;
            default:
                Read();
                break;
            }
            if (::testing::Test::HasFatalFailure()) {
                return;
            }
        }
        ASSERT_TRUE(Done());
        EXPECT_EQ(0u, client_.live_count);
        EXPECT_EQ(0u, server_.live_count);
        EXPECT_EQ(conn_recv_.consumed, conn_recv_.received);
        EXPECT_EQ(conn_send_.used, conn_recv_.received);
        EXPECT_EQ(0u, held_);
        quic_stream_table_deinit(&client_);
        quic_stream_table_deinit(&server_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }

  private:
    static constexpr uint64_t kStreams = 25;

    bool Done() const
    {
        return finished_ == kStreams && client_.live_count == 0 && server_.live_count == 0;
    }

    void Write()
    {
        if (started_ < kStreams && rng_.OneIn(4)) {
            quic_stream *s = nullptr;
            if (quic_stream_table_open(&client_, &s, true) == QUIC_OK) {
                source_[s->id] = rng_.Bytes(rng_.OneIn(5) ? 0 : rng_.Below(30000));
                quic_scheduler_set_priority(&sched_, s, static_cast<uint8_t>(rng_.Below(8)),
                                            rng_.OneIn(2));
                started_++;
            }
        }
        for (quic_stream *s = quic_stream_table_first(&client_); s != nullptr;
             s = quic_stream_table_next(&client_, s)) {
            const std::vector<uint8_t> &source = source_[s->id];
            if (s->send_state > QUIC_SEND_SEND || s->fin_written || rng_.OneIn(2)) {
                continue;
            }
            const size_t at = s->send.write_off;
            const size_t len = std::min<size_t>(rng_.Below(8000), source.size() - at);
            uint32_t flags = 0;
            if (at + len == source.size()) {
                flags |= QUIC_STREAM_WRITE_FIN;
            }
            if (rng_.OneIn(3)) {
                flags |= QUIC_STREAM_WRITE_LEND;
            }
            size_t accepted = 0;
            const quic_rc rc =
                quic_stream_write(s, &accepted, source.data() + at, len, flags, 50000);
            ASSERT_TRUE(rc == QUIC_OK || rc == QUIC_E_AGAIN);
            held_ += accepted;
            Schedule(s);
        }
    }

    void Schedule(quic_stream *s)
    {
        if (quic_stream_can_send(s, 1)) {
            quic_scheduler_add(&sched_, s);
        }
    }

    void Send()
    {
        for (int i = 0; i < 4; i++) {
            quic_stream *s = quic_scheduler_next(&sched_);
            if (s == nullptr) {
                return;
            }
            quic_stream_chunk chunk;
            const size_t room = 30 + rng_.Below(1400);
            if (!quic_stream_send_next(s, quic_flow_send_credit(&conn_send_), room, &chunk)) {
                quic_scheduler_remove(&sched_, s);
                continue;
            }
            std::vector<uint8_t> wire(room);
            const size_t n = quic_stream_chunk_encode(s, &chunk, wire.data());
            ASSERT_LE(n, room);
            ASSERT_TRUE(chunk.has_len || n == room);
            flying_.push_back({s->id,
                               chunk.off,
                               {wire.begin() + static_cast<long>(n - chunk.len),
                                wire.begin() + static_cast<long>(n)},
                               chunk.fin});
            quic_stream_send_commit(s, &chunk);
            conn_send_.used += chunk.new_bytes;
            ASSERT_LE(conn_send_.used, conn_send_.limit);
            quic_stream_check_invariants(s);
            if (!quic_stream_can_send(s, quic_flow_send_credit(&conn_send_))) {
                quic_scheduler_remove(&sched_, s);
            }
            quic_scheduler_end_train(&sched_);
            quic_scheduler_check_invariants(&sched_);
        }
    }

    void Deliver()
    {
        if (flying_.empty()) {
            return;
        }
        const size_t i = rng_.OneIn(3) ? rng_.Below(flying_.size()) : 0;
        const Frame frame = flying_[i];
        if (rng_.OneIn(20)) { // the network repeats it
            flying_.push_back(frame);
        } else {
            flying_.erase(flying_.begin() + static_cast<long>(i));
        }
        const bool arrived = !rng_.OneIn(8) && Arrive(frame);
        quic_stream *s = quic_stream_table_find(&client_, frame.id);
        if (s == nullptr) {
            return;
        }
        if (!arrived) {
            quic_stream_on_lost(s, frame.off, frame.data.size(), frame.fin);
            Schedule(s);
            return;
        }
        quic_stream_send_facts facts;
        quic_stream_on_acked(s, frame.off, frame.data.size(), frame.fin, &facts);
        held_ -= facts.freed_bytes;
        quic_stream_check_invariants(s);
        if (facts.done) {
            quic_scheduler_remove(&sched_, s);
            quic_stream_table_close(&client_, s);
        }
    }

    // False: not acknowledged.
    bool Arrive(const Frame &frame)
    {
        quic_stream *s = nullptr;
        bool opened = false;
        EXPECT_EQ(QUIC_OK, quic_stream_table_on_frame(&server_, &s, &opened, frame.id,
                                                      QUIC_STREAM_SIDE_RECV));
        if (s == nullptr) {
            return true;
        }
        quic_stream_recv_facts facts;
        const quic_rc rc = quic_stream_on_data(s, &conn_recv_, frame.off, frame.data.data(),
                                               frame.data.size(), frame.fin, &facts);
        EXPECT_TRUE(rc == QUIC_OK || rc == QUIC_E_LIMIT) << rc;
        quic_stream_check_invariants(s);
        return rc == QUIC_OK;
    }

    void Read()
    {
        now_ += QUIC_NS_PER_MS;
        quic_stream *next = nullptr;
        for (quic_stream *s = quic_stream_table_first(&server_); s != nullptr; s = next) {
            next = quic_stream_table_next(&server_, s);
            quic_recv_span spans[2];
            bool fin = false;
            if (quic_stream_peek(s, spans, &fin) != QUIC_OK) {
                continue;
            }
            std::vector<uint8_t> &got = got_[s->id];
            const size_t readable = spans[0].len + spans[1].len;
            const size_t take = rng_.OneIn(2) ? readable : rng_.Below(readable + 1);
            const size_t first = std::min(take, spans[0].len);
            got.insert(got.end(), spans[0].data, spans[0].data + first);
            got.insert(got.end(), spans[1].data, spans[1].data + (take - first));
            quic_stream_recv_facts facts;
            ASSERT_EQ(QUIC_OK,
                      quic_stream_consume(s, &conn_recv_, take, QUIC_NS_PER_MS, now_, &facts));
            quic_stream_check_invariants(s);
            GiveCredit(s, facts.conn_update_due);
            if (facts.done) {
                ASSERT_EQ(source_[s->id], got);
                finished_++;
                if (quic_stream_table_close(&server_, s)) {
                    const uint64_t max = quic_stream_table_next_max_streams(&server_, true);
                    quic_stream_table_on_max_streams_sent(&server_, true, max);
                    quic_stream_table_on_max_streams(&client_, true, max);
                }
            }
        }
    }

    void GiveCredit(quic_stream *s, bool conn_due)
    {
        quic_stream *peer = quic_stream_table_find(&client_, s->id);
        if ((s->ctrl_pending & QUIC_STREAM_CTRL_MAX_DATA) != 0) {
            const uint64_t limit = quic_flow_recv_next_limit(&s->recv_flow);
            quic_flow_recv_on_update_sent(&s->recv_flow, limit);
            s->ctrl_pending = 0;
            if (peer != nullptr && quic_stream_on_max_data(peer, limit)) {
                Schedule(peer);
            }
        }
        if (conn_due) {
            const uint64_t limit = quic_flow_recv_next_limit(&conn_recv_);
            quic_flow_recv_on_update_sent(&conn_recv_, limit);
            quic_flow_send_on_limit(&conn_send_, limit);
            for (quic_stream *c = quic_stream_table_first(&client_); c != nullptr;
                 c = quic_stream_table_next(&client_, c)) {
                Schedule(c);
            }
        }
    }

    Memory memory_;
    Rng rng_;
    quic_stream_table client_;
    quic_stream_table server_;
    quic_flow_send conn_send_;
    quic_flow_recv conn_recv_;
    quic_scheduler sched_;
    std::map<uint64_t, std::vector<uint8_t>> source_;
    std::map<uint64_t, std::vector<uint8_t>> got_;
    std::deque<Frame> flying_;
    uint64_t started_ = 0;
    uint64_t finished_ = 0;
    uint64_t held_ = 0;
    quic_ns now_ = QUIC_NS_PER_S;
};

TEST(StreamPair, CarriesStreamsOverALossyWay)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Pair pair(seed);
        pair.Run();
        if (HasFailure()) {
            return;
        }
    }
}

} // namespace
