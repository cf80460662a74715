#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "quic/stream/stream_recv.h"
#include "quic/stream/stream_table.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

quic_stream_limits Limits(uint32_t bidi, uint32_t uni)
{
    quic_stream_limits limits = {};
    limits.send_buf_bytes = 10000;
    limits.recv_window_bytes = 2000;
    limits.recv_window_max_bytes = 4000;
    limits.streams_bidi_max = bidi;
    limits.streams_uni_max = uni;
    limits.gaps_max = 8;
    return limits;
}

const quic_stream_peer_limits kPeer = {3, 2, 100, 200, 300};

class StreamTable : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        Start(QUIC_SERVER, 8, 4);
    }
    void Start(quic_role role, uint32_t bidi, uint32_t uni)
    {
        const quic_stream_limits limits = Limits(bidi, uni);
        quic_stream_table_init(&table_, &memory_.mem, role, &limits, 12345);
    }
    void TearDown() override
    {
        quic_stream_table_deinit(&table_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    quic_rc Frame(uint64_t id, quic_stream_side side = QUIC_STREAM_SIDE_RECV)
    {
        s_ = nullptr;
        opened_ = false;
        return quic_stream_table_on_frame(&table_, &s_, &opened_, id, side);
    }
    Memory memory_;
    quic_stream_table table_;
    quic_stream *s_ = nullptr;
    bool opened_ = false;
};

/* RFC 9000 18.2: initial_max_stream_data_bidi_local, _bidi_remote and _uni. */
TEST(StreamTableWindows, EachKindOfStreamHasItsFirstLimit)
{
    Memory memory;
    quic_stream_limits limits = Limits(8, 4);
    limits.recv_window_local_bytes = 1500;
    limits.recv_window_uni_bytes = 1700;
    quic_stream_table table;
    quic_stream_table_init(&table, &memory.mem, QUIC_SERVER, &limits, 12345);
    (void)quic_stream_table_set_peer_limits(&table, &kPeer);
    quic_stream *s = nullptr;
    bool opened = false;
    ASSERT_EQ(QUIC_OK, quic_stream_table_on_frame(&table, &s, &opened, 0, QUIC_STREAM_SIDE_RECV));
    EXPECT_EQ(2000u, s->recv_flow.limit);
    ASSERT_EQ(QUIC_OK, quic_stream_table_on_frame(&table, &s, &opened, 2, QUIC_STREAM_SIDE_RECV));
    EXPECT_EQ(1700u, s->recv_flow.limit);
    ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table, &s, false));
    EXPECT_EQ(1500u, s->recv_flow.limit);
    quic_stream_table_deinit(&table);
}

TEST_F(StreamTable, CreatesWhatThePeerOpens)
{
    quic_stream_table_set_peer_limits(&table_, &kPeer);
    ASSERT_EQ(QUIC_OK, Frame(0));
    EXPECT_TRUE(opened_);
    quic_stream *first = s_;
    EXPECT_EQ(QUIC_SEND_READY, s_->send_state);
    EXPECT_EQ(QUIC_RECV_RECV, s_->recv_state);
    EXPECT_EQ(100u, s_->send_flow.limit); // their initial_max_stream_data_bidi_local
    EXPECT_EQ(2000u, s_->recv_flow.limit);
    ASSERT_EQ(QUIC_OK, Frame(0));
    EXPECT_FALSE(opened_);
    EXPECT_EQ(first, s_);
    ASSERT_EQ(QUIC_OK, Frame(2));
    EXPECT_EQ(QUIC_SEND_NONE, s_->send_state);
    EXPECT_EQ(first, quic_stream_table_find(&table_, 0));
    EXPECT_EQ(nullptr, quic_stream_table_find(&table_, 4));
}

TEST_F(StreamTable, RefusesFramesForTheWrongHalf) // RFC 9000 19.4, 19.5, 19.8, 19.10
{
    quic_stream_table_set_peer_limits(&table_, &kPeer);
    EXPECT_EQ(QUIC_V_STREAM_STATE, Frame(2, QUIC_STREAM_SIDE_SEND)); // their unidirectional
    quic_stream *mine = nullptr;
    ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table_, &mine, true));
    EXPECT_EQ(3u, mine->id);
    EXPECT_EQ(QUIC_V_STREAM_STATE, Frame(3, QUIC_STREAM_SIDE_RECV)); // our unidirectional
    EXPECT_EQ(QUIC_OK, Frame(3, QUIC_STREAM_SIDE_SEND));
    EXPECT_EQ(QUIC_V_STREAM_STATE, Frame(3, QUIC_STREAM_SIDE_RECV)); // also when just looked up
    EXPECT_EQ(QUIC_V_STREAM_STATE, Frame(1));                        // ours, never opened
    EXPECT_EQ(QUIC_V_STREAM_STATE, Frame(7, QUIC_STREAM_SIDE_SEND));
    EXPECT_EQ(QUIC_OK, Frame(0, QUIC_STREAM_SIDE_SEND)); // MAX_STREAM_DATA may open theirs
    EXPECT_TRUE(opened_);
}

TEST_F(StreamTable, HoldsThePeerToOurLimit) // RFC 9000 4.6
{
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(8 * 4));
    EXPECT_EQ(QUIC_OK, Frame(7 * 4));
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(4 * 4 + 2));
    EXPECT_EQ(QUIC_OK, Frame(3 * 4 + 2));
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(QUIC_VARINT_MAX - 3));
}

TEST_F(StreamTable, OpensLowerIdsImplicitlyAndLazily) // RFC 9000 3.2
{
    ASSERT_EQ(QUIC_OK, Frame(5 * 4));
    EXPECT_EQ(1u, table_.live_count);
    EXPECT_TRUE(quic_stream_table_close(&table_, s_) == false);
    ASSERT_EQ(QUIC_OK, Frame(5 * 4)); // late frame of a closed stream
    EXPECT_EQ(nullptr, s_);
    EXPECT_FALSE(opened_);
    for (uint64_t seq : {2, 0, 4, 1, 3}) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        ASSERT_NE(nullptr, s_);
        EXPECT_TRUE(opened_);
        quic_stream_table_close(&table_, s_);
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        EXPECT_EQ(nullptr, s_);
    }
    ASSERT_EQ(QUIC_OK, Frame(6 * 4));
    EXPECT_TRUE(opened_);
}

/* Ranges of skipped streams are bounded; those that are named in order need none. */
TEST_F(StreamTable, HoldsABoundedNumberOfGaps)
{
    quic_stream_table_deinit(&table_);
    const uint32_t streams = 2 * QUIC_STREAMS_SKIPPED_MAX + 100;
    Start(QUIC_SERVER, streams, 4);
    ASSERT_EQ(QUIC_OK, Frame((streams - 1ull) * 4));
    uint64_t seq = streams - 3;
    for (uint32_t ranges = 2; ranges <= QUIC_STREAMS_SKIPPED_MAX; ranges++, seq -= 2) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
    }
    EXPECT_EQ(QUIC_E_LIMIT, Frame(seq * 4));
    const uint32_t live = table_.live_count;
    for (uint64_t below = 0; below <= seq; below++) {
        ASSERT_EQ(QUIC_OK, Frame(below * 4));
        ASSERT_TRUE(opened_);
    }
    EXPECT_EQ(live + seq + 1, table_.live_count);
}

/* RFC 9000 19.14: who says that he waits gets single streams. */
TEST_F(StreamTable, GivesOneBackToAPeerThatWaits)
{
    for (uint64_t seq = 0; seq < 8; seq++) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
    }
    EXPECT_FALSE(quic_stream_table_on_peer_blocked(&table_, false, 7)); // of before
    EXPECT_FALSE(quic_stream_table_on_peer_blocked(&table_, false, 9)); // made up
    EXPECT_FALSE(quic_stream_table_close(&table_, quic_stream_table_find(&table_, 0)));
    EXPECT_TRUE(quic_stream_table_on_peer_blocked(&table_, false, 8));
    EXPECT_EQ(9u, quic_stream_table_next_max_streams(&table_, false));
    quic_stream_table_on_max_streams_sent(&table_, false, 9);
    EXPECT_FALSE(quic_stream_table_close(&table_, quic_stream_table_find(&table_, 4)));
    EXPECT_FALSE(quic_stream_table_on_peer_blocked(&table_, true, 8));
    EXPECT_TRUE(quic_stream_table_on_peer_blocked(&table_, false, 9));
    quic_stream_table_on_max_streams_sent(&table_, false, 10);
    EXPECT_FALSE(quic_stream_table_on_peer_blocked(&table_, false, 10));
    EXPECT_TRUE(quic_stream_table_close(&table_, quic_stream_table_find(&table_, 8)));
}

TEST_F(StreamTable, GivesStreamsBackByTheQuarter)
{
    for (uint64_t seq = 0; seq < 8; seq++) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
    }
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(8 * 4));
    EXPECT_FALSE(quic_stream_table_close(&table_, quic_stream_table_find(&table_, 0)));
    EXPECT_TRUE(quic_stream_table_close(&table_, quic_stream_table_find(&table_, 4)));
    EXPECT_EQ(10u, quic_stream_table_next_max_streams(&table_, false));
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(8 * 4)); // not told yet
    quic_stream_table_on_max_streams_sent(&table_, false, 10);
    EXPECT_FALSE(quic_stream_table_max_streams_due(&table_, false));
    EXPECT_EQ(QUIC_OK, Frame(9 * 4));
    EXPECT_EQ(QUIC_V_STREAM_LIMIT, Frame(10 * 4));
    EXPECT_FALSE(quic_stream_table_max_streams_due(&table_, true));
}

TEST_F(StreamTable, OpensWithinThePeersLimit) // RFC 9000 4.6, 19.14
{
    quic_stream *s = nullptr;
    EXPECT_EQ(QUIC_E_AGAIN, quic_stream_table_open(&table_, &s, false));
    EXPECT_TRUE(quic_stream_table_set_peer_limits(&table_, &kPeer));
    EXPECT_EQ(3u, quic_stream_table_local_max(&table_, false));
    for (uint64_t i = 0; i < 3; i++) {
        ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table_, &s, false));
        EXPECT_EQ(4 * i + 1, s->id);
        EXPECT_EQ(200u, s->send_flow.limit); // their initial_max_stream_data_bidi_remote
    }
    EXPECT_EQ(QUIC_E_AGAIN, quic_stream_table_open(&table_, &s, false));
    EXPECT_TRUE(quic_stream_table_blocked_due(&table_, false));
    EXPECT_FALSE(quic_stream_table_blocked_due(&table_, false));
    EXPECT_TRUE(quic_stream_table_is_blocked(&table_, false));
    EXPECT_FALSE(quic_stream_table_on_max_streams(&table_, false, 2));
    EXPECT_TRUE(quic_stream_table_on_max_streams(&table_, false, 4));
    EXPECT_FALSE(quic_stream_table_is_blocked(&table_, false));
    ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table_, &s, false));
    EXPECT_EQ(4u, quic_stream_table_local_max(&table_, false));
    ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table_, &s, true));
    EXPECT_EQ(3u, s->id);
    EXPECT_EQ(300u, s->send_flow.limit);
    EXPECT_EQ(QUIC_RECV_NONE, s->recv_state);
    quic_stream_table_close(&table_, s);
    ASSERT_EQ(QUIC_OK, Frame(3, QUIC_STREAM_SIDE_SEND)); // closed, not unknown
    EXPECT_EQ(nullptr, s_);
}

TEST_F(StreamTable, LaterPeerLimitsReachLiveStreams) // 0-RTT, RFC 9000 7.4.1
{
    quic_stream_table_deinit(&table_);
    Start(QUIC_CLIENT, 8, 4);
    quic_stream_table_set_peer_limits(&table_, &kPeer);
    quic_stream *s = nullptr;
    ASSERT_EQ(QUIC_OK, quic_stream_table_open(&table_, &s, false));
    EXPECT_EQ(0u, s->id);
    const quic_stream_peer_limits more = {3, 2, 1000, 5000, 300};
    EXPECT_TRUE(quic_stream_table_set_peer_limits(&table_, &more));
    EXPECT_EQ(5000u, s->send_flow.limit);
    EXPECT_FALSE(quic_stream_table_set_peer_limits(&table_, &kPeer));
}

TEST_F(StreamTable, EveryPeerLimitCounts) // RFC 9000 18.2
{
    for (int which = 0; which < 5; which++) {
        quic_stream_table_deinit(&table_);
        Start(QUIC_CLIENT, 8, 4);
        quic_stream_table_set_peer_limits(&table_, &kPeer);
        quic_stream_peer_limits more = kPeer;
        uint64_t *const limits[] = {&more.max_streams_bidi, &more.max_streams_uni,
                                    &more.max_stream_data_bidi_local,
                                    &more.max_stream_data_bidi_remote, &more.max_stream_data_uni};
        ++*limits[which];
        EXPECT_TRUE(quic_stream_table_set_peer_limits(&table_, &more)) << which;
        EXPECT_FALSE(quic_stream_table_set_peer_limits(&table_, &more)) << which;
    }
}

TEST_F(StreamTable, ShortStreamsReuseTheirMemory)
{
    quic_flow_recv conn;
    quic_flow_recv_init(&conn, 1 << 20, 1 << 20);
    uint64_t allocs = 0;
    for (uint64_t seq = 0; seq < 200; seq++) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        quic_stream_recv_facts facts;
        const uint8_t request[64] = {1};
        ASSERT_EQ(QUIC_OK, quic_stream_on_data(s_, &conn, 0, request, 64, true, &facts));
        ASSERT_EQ(QUIC_OK, quic_stream_consume(s_, &conn, 64, 0, 0, &facts));
        if (quic_stream_table_close(&table_, s_)) {
            quic_stream_table_on_max_streams_sent(
                &table_, false, quic_stream_table_next_max_streams(&table_, false));
        }
        if (seq == 10) {
            allocs = memory_.mem.alloc_count;
        }
    }
    EXPECT_EQ(allocs, memory_.mem.alloc_count);
    quic_stream_table_trim(&table_);
    EXPECT_EQ(table_.cap * sizeof(void *), memory_.mem.used_bytes);
}

/* A search that finds nothing, for every packet of a peer that keeps memory full, costs no more the more streams
 * there are; what can go is found all the same. */
TEST_F(StreamTable, ASearchForRoomIsBounded)
{
    constexpr uint64_t kCount = 20 * QUIC_STREAM_TRIM_MAX;
    Start(QUIC_SERVER, kCount, 0);
    quic_flow_recv conn;
    quic_flow_recv_init(&conn, 1 << 20, 1 << 20);
    quic_stream_recv_facts facts;
    for (uint64_t seq = 0; seq < kCount; seq++) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        const uint8_t data[64] = {1};
        ASSERT_EQ(QUIC_OK, quic_stream_on_data(s_, &conn, 0, data, 64, false, &facts));
    }
    const uint64_t used = memory_.mem.used_bytes;
    quic_stream_table_make_room(&table_); /* all of it was new */
    EXPECT_EQ(used, memory_.mem.used_bytes);
    for (uint64_t seq : {kCount / 2, kCount - 1}) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        ASSERT_EQ(QUIC_OK, quic_stream_consume(s_, &conn, 64, 0, 0, &facts));
    }
    quic_stream_table_make_room(&table_);
    EXPECT_EQ(used, memory_.mem.used_bytes) << "they are further on";
    for (uint64_t n = 2; n <= kCount / QUIC_STREAM_TRIM_MAX; n++) {
        quic_stream_table_make_room(&table_);
    }
    EXPECT_EQ(used - 2ull * QUIC_RECV_RING_MIN, memory_.mem.used_bytes);
}

/* Growth pays for a search among all; and the one it would go on with may go. */
TEST_F(StreamTable, ASearchForRoomGoesOnBehindAStreamThatIsGone)
{
    constexpr uint64_t kCount = 2 * QUIC_STREAM_TRIM_MAX;
    Start(QUIC_SERVER, kCount, 0);
    quic_flow_recv conn;
    quic_flow_recv_init(&conn, 1 << 20, 1 << 20);
    quic_stream_recv_facts facts;
    const uint8_t data[64] = {1};
    for (uint64_t seq = 0; seq < kCount; seq++) {
        ASSERT_EQ(QUIC_OK, Frame(seq * 4));
        ASSERT_EQ(QUIC_OK, quic_stream_on_data(s_, &conn, 0, data, 64, true, &facts));
    }
    quic_stream_table_make_room(&table_);
    quic_stream_table_make_room(&table_); /* the first half */
    ASSERT_EQ(QUIC_OK, Frame(uint64_t{QUIC_STREAM_TRIM_MAX} * 4));
    EXPECT_EQ(table_.trim_at, s_);
    quic_stream *gone = s_;
    ASSERT_EQ(QUIC_OK, quic_stream_consume(s_, &conn, 64, 0, 0, &facts));
    (void)quic_stream_table_close(&table_, gone);
    const uint64_t used = memory_.mem.used_bytes;
    ASSERT_EQ(QUIC_OK, Frame(uint64_t{QUIC_STREAM_TRIM_MAX + 1} * 4));
    EXPECT_EQ(table_.trim_at, s_);
    ASSERT_EQ(QUIC_OK, quic_stream_consume(s_, &conn, 64, 0, 0, &facts));
    quic_stream_table_make_room(&table_);
    EXPECT_GE(used - QUIC_RECV_RING_MIN, memory_.mem.used_bytes);
}

TEST_F(StreamTable, RefusedMemoryLeavesTheIdUnopened)
{
    memory_.mem.limit_bytes = 1;
    EXPECT_EQ(QUIC_E_NOMEM, Frame(3 * 4));
    memory_.mem.limit_bytes = 16 * sizeof(void *) + sizeof(quic_stream); // not for the ranges
    EXPECT_EQ(QUIC_E_NOMEM, Frame(3 * 4));
    EXPECT_EQ(0u, table_.live_count);
    memory_.mem.limit_bytes = 1 << 20;
    ASSERT_EQ(QUIC_OK, Frame(3 * 4));
    EXPECT_TRUE(opened_);
    ASSERT_EQ(QUIC_OK, Frame(0));
    EXPECT_TRUE(opened_);
}

// Random opens, closes and late frames against plain sets.
TEST(StreamTableProperty, MatchesPlainSets)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Memory memory;
        Rng rng(seed);
        const uint32_t window = static_cast<uint32_t>(1 + rng.Below(60));
        const quic_stream_limits limits = Limits(window, window);
        quic_stream_table table;
        quic_stream_table_init(&table, &memory.mem, QUIC_SERVER, &limits, quic_rng_u64(&rng.rng));
        std::map<uint64_t, quic_stream *> live;
        std::set<uint64_t> closed;
        uint64_t max = window;
        for (int step = 0; step < 5000; step++) {
            const uint64_t lowest = max > 2 * window ? max - 2 * window : 0;
            const uint64_t id = (lowest + rng.Below(2 * window + 2)) * 4;
            quic_stream *s = nullptr;
            bool opened = false;
            if (rng.OneIn(3) && !live.empty()) {
                auto it = live.lower_bound(id);
                it = it == live.end() ? live.begin() : it;
                const bool due = quic_stream_table_close(&table, it->second);
                closed.insert(it->first);
                live.erase(it);
                const uint64_t next = closed.size() + window;
                ASSERT_EQ(next, quic_stream_table_next_max_streams(&table, false));
                ASSERT_EQ(next > max && next - max >= window / 4, due);
                if (due && !rng.OneIn(3)) {
                    quic_stream_table_on_max_streams_sent(&table, false, next);
                    max = next;
                }
                continue;
            }
            const quic_rc rc =
                quic_stream_table_on_frame(&table, &s, &opened, id, QUIC_STREAM_SIDE_RECV);
            if (id / 4 >= max) {
                ASSERT_EQ(QUIC_V_STREAM_LIMIT, rc);
            } else if (closed.count(id) != 0) {
                ASSERT_EQ(QUIC_OK, rc);
                ASSERT_EQ(nullptr, s);
            } else {
                ASSERT_EQ(QUIC_OK, rc);
                ASSERT_NE(nullptr, s);
                ASSERT_EQ(live.count(id) == 0, opened);
                live[id] = s;
            }
            ASSERT_EQ(live.size(), table.live_count);
            ASSERT_LE(live.size(), window);
            if (step % 64 == 0) {
                size_t count = 0;
                for (s = quic_stream_table_first(&table); s != nullptr;
                     s = quic_stream_table_next(&table, s)) {
                    ASSERT_EQ(s, live[s->id]);
                    ASSERT_EQ(s, quic_stream_table_find(&table, s->id));
                    count++;
                }
                ASSERT_EQ(live.size(), count);
            }
        }
        EXPECT_LE(memory.mem.peak_bytes, 1000u * (window + 20) + 8192);
        quic_stream_table_deinit(&table);
        EXPECT_EQ(0u, memory.mem.used_bytes);
    }
}

} // namespace
