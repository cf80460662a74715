#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/spares.h"
#include "quic/stream/recv_buf.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

class RecvBuf : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_recv_buf_init(&rb_, &memory_.mem, 4);
    }
    void TearDown() override
    {
        quic_recv_buf_deinit(&rb_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    quic_rc Put(uint64_t off, const std::string &data)
    {
        fresh_ = 99999;
        return quic_recv_buf_insert(&rb_, &fresh_, off,
                                    reinterpret_cast<const uint8_t *>(data.data()), data.size());
    }
    std::string Take(uint64_t len)
    {
        quic_recv_span spans[2];
        quic_recv_buf_peek(&rb_, spans);
        std::string out(reinterpret_cast<const char *>(spans[0].data), spans[0].len);
        out.append(reinterpret_cast<const char *>(spans[1].data), spans[1].len);
        out.resize(len);
        quic_recv_buf_consume(&rb_, len);
        return out;
    }
    Memory memory_;
    quic_recv_buf rb_;
    uint64_t fresh_ = 0;
};

TEST_F(RecvBuf, CostsNothingUntilTheFirstByte)
{
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    ASSERT_EQ(QUIC_OK, Put(0, "a"));
    EXPECT_EQ(QUIC_RECV_RING_MIN, memory_.mem.used_bytes);
    EXPECT_EQ("a", Take(1));
    quic_recv_buf_trim(&rb_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    ASSERT_EQ(QUIC_OK, Put(1, "b"));
    EXPECT_EQ("b", Take(1));
}

TEST_F(RecvBuf, LandingIsWhereTheNextBytesBelong)
{
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, 1)); /* no ring */
    ASSERT_EQ(QUIC_OK, Put(0, "a"));
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, 1)); /* too little in front */
    ASSERT_EQ(QUIC_OK, Put(1, std::string(99, 'b')));
    uint8_t *at = quic_recv_buf_landing(&rb_, 0, 50);
    ASSERT_NE(nullptr, at);
    memset(at, 'c', 50);
    ASSERT_EQ(QUIC_OK, quic_recv_buf_insert(&rb_, &fresh_, 100, at, 50));
    EXPECT_EQ(50u, fresh_);
    EXPECT_EQ("a" + std::string(99, 'b') + std::string(50, 'c'), Take(150));
}

TEST_F(RecvBuf, LandingHasItsRoomToItself)
{
    const uint64_t cap = QUIC_RECV_RING_MIN;
    ASSERT_EQ(QUIC_OK, Put(0, std::string(1000, 'a')));
    EXPECT_NE(nullptr, quic_recv_buf_landing(&rb_, 0, cap - 1000 - QUIC_RECV_LANDING_HEAD));
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, cap - 1000 - QUIC_RECV_LANDING_HEAD + 1));
    quic_recv_buf_consume(&rb_, 500);
    EXPECT_NE(nullptr, quic_recv_buf_landing(&rb_, 0, cap - 1000)); /* to the ring's end */
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, cap - 1000 + 1));
    ASSERT_EQ(QUIC_OK, Put(1000, std::string(cap - 1000 + 100, 'b'))); /* around it */
    EXPECT_NE(nullptr, quic_recv_buf_landing(&rb_, 0, 400 - QUIC_RECV_LANDING_HEAD));
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, 400 - QUIC_RECV_LANDING_HEAD + 1));
    /* What has landed and is not inserted yet takes its room, too. */
    EXPECT_EQ(quic_recv_buf_landing(&rb_, 0, 1) + 300,
              quic_recv_buf_landing(&rb_, 300, 100 - QUIC_RECV_LANDING_HEAD));
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 300, 100 - QUIC_RECV_LANDING_HEAD + 1));
    ASSERT_EQ(QUIC_OK, Put(cap + 150, "ahead"));
    EXPECT_EQ(nullptr, quic_recv_buf_landing(&rb_, 0, 1));
    Take(cap - 400);
}

TEST_F(RecvBuf, OrdersGapsDuplicatesAndOverlaps)
{
    ASSERT_EQ(QUIC_OK, Put(4, "efgh"));
    EXPECT_EQ(8u, fresh_); // RFC 9000 4.1 charges the highest offset
    EXPECT_EQ(0u, quic_recv_buf_readable(&rb_));
    ASSERT_EQ(QUIC_OK, Put(2, "cdef"));
    EXPECT_EQ(0u, fresh_);
    ASSERT_EQ(QUIC_OK, Put(0, "abcdefghij"));
    EXPECT_EQ(2u, fresh_);
    ASSERT_EQ(QUIC_OK, Put(3, "def"));
    EXPECT_EQ("abcdefghij", Take(10));
}

TEST_F(RecvBuf, RefusesTooManyGapsAndStaysAsItWas)
{
    for (uint64_t i = 0; i < 4; i++) {
        ASSERT_EQ(QUIC_OK, Put(10 + 10 * i, "x"));
    }
    EXPECT_EQ(QUIC_E_LIMIT, Put(100, "y"));
    EXPECT_EQ(99999u, fresh_);
    EXPECT_EQ(41u, rb_.end_off);
    ASSERT_EQ(QUIC_OK, Put(41, "z")); // touches the last range
    ASSERT_EQ(QUIC_OK, Put(0, std::string(50, 'q')));
    EXPECT_EQ(50u, quic_recv_buf_readable(&rb_));
    EXPECT_EQ(0u, rb_.ahead.count);
}

/* A window of which every other packet was lost. */
TEST_F(RecvBuf, HoldsTheGapsOfAWindowOfLostPackets)
{
    const std::string packet(1200, 'p');
    uint64_t end = 0;
    for (uint64_t i = 0; i < 50; i++) {
        ASSERT_EQ(QUIC_OK, Put(1200 + 2400 * i, packet)) << i;
        end = 2400 * (i + 1);
    }
    EXPECT_EQ(50u, rb_.ahead.count);
    ASSERT_EQ(QUIC_OK, Put(end + 10, "x")); /* the end of a stream may be short */
    EXPECT_EQ(51u, rb_.ahead.count);
    EXPECT_LE(memory_.mem.alloc_count, 30u);
    ASSERT_EQ(QUIC_OK, Put(0, std::string(end, 'q')));
    EXPECT_EQ(end, quic_recv_buf_readable(&rb_));
    EXPECT_EQ(1u, rb_.ahead.count);
    Take(end);
    for (uint64_t i = 0; i < 3; i++) { /* the one above, and then as many as ever */
        ASSERT_EQ(QUIC_OK, Put(end + 20 + 10 * i, "x"));
    }
    EXPECT_EQ(QUIC_E_LIMIT, Put(end + 50, "x"));
}

/* Two of three packets were lost. Where the first comes again in a packet with less room for it, its rest is in the
 * next one; if the first is lost once more, that rest lies alone. */
TEST_F(RecvBuf, HoldsAFewRestsOfPacketsThatWereCutUp)
{
    const std::string packet(1200, 'p');
    for (uint64_t i = 0; i < 50; i++) {
        ASSERT_EQ(QUIC_OK, Put(2400 + 3600 * i, packet)) << i;
    }
    for (uint64_t i = 0; i < 4; i++) {
        ASSERT_EQ(QUIC_OK, Put(3600 * i + 1140, std::string(40, 'r'))) << i;
    }
    EXPECT_EQ(54u, rb_.ahead.count);
    EXPECT_EQ(QUIC_E_LIMIT, Put(3600 * 4 + 1140, std::string(40, 'r')));
    EXPECT_EQ(99999u, fresh_);
    ASSERT_EQ(QUIC_OK, Put(3600 * 4 + 300, std::string(600, 'r'))) << "long enough";
    ASSERT_EQ(QUIC_OK, Put(3600 * 4 + 900, "x")) << "touches another";
    EXPECT_EQ(QUIC_E_LIMIT, Put(3600 * 50 + 10, "x")) << "behind all others";
    ASSERT_EQ(QUIC_OK, Put(3600 * 50 + 10, packet));
    EXPECT_EQ(56u, rb_.ahead.count);
    ASSERT_EQ(QUIC_OK, Put(0, std::string(3600 * 48, 'q')));
    EXPECT_EQ(3u, rb_.ahead.count); /* fewer than four: one more, and then as at the beginning */
    for (uint64_t i = 0; i < 5; i++) {
        ASSERT_EQ(QUIC_OK, Put(3600 * 48 + 100 * i + 10, "x")) << i;
    }
    EXPECT_EQ(QUIC_E_LIMIT, Put(3600 * 48 + 1000, "x"));
}

/* Each range raises what is allowed by one: not all of them are copied for each. */
TEST_F(RecvBuf, GrowsInStepsWhereEachRangeAllowsOneMore)
{
    const std::string some(QUIC_RECV_GAP_LEN, 's');
    for (uint64_t i = 1; i <= 4; i++) {
        ASSERT_EQ(QUIC_OK, Put(2 * i, "x"));
    }
    for (uint64_t i = 1; i <= 2000; i++) {
        ASSERT_EQ(QUIC_OK, Put(QUIC_RECV_GAP_SPAN * i, some)) << i;
        ASSERT_EQ(QUIC_E_LIMIT, Put(QUIC_RECV_GAP_SPAN * i + 600, some)) << i;
    }
    EXPECT_EQ(2004u, rb_.ahead.count);
    EXPECT_LE(memory_.mem.alloc_count, 100u);
}

/* Single bytes at the end of a large window, to be joined from below: each moves all behind it. */
TEST_F(RecvBuf, RefusesManyShortRangesHoweverFarOff)
{
    const uint64_t far = 1u << 20;
    for (uint64_t i = 0; i < 8; i++) { /* four, and as many more */
        ASSERT_EQ(QUIC_OK, Put(far + 2 * i, "x")) << i;
    }
    EXPECT_EQ(QUIC_E_LIMIT, Put(far + 16, "x"));
}

TEST_F(RecvBuf, ReportsRefusedMemoryAndStaysAsItWas)
{
    memory_.mem.limit_bytes = 10;
    EXPECT_EQ(QUIC_E_NOMEM, Put(0, "a"));
    EXPECT_EQ(0u, rb_.end_off);
    memory_.mem.limit_bytes = 1 << 20;
    EXPECT_EQ(QUIC_OK, Put(0, "a"));
}

TEST_F(RecvBuf, KeepsTheFinalSizeRules) // RFC 9000 4.5
{
    ASSERT_EQ(QUIC_OK, Put(0, "abcdef"));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, quic_recv_buf_check_end(&rb_, 5, true, 100));
    EXPECT_EQ(QUIC_OK, quic_recv_buf_check_end(&rb_, 6, true, 100));
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, quic_recv_buf_check_end(&rb_, 101, false, 100));
    quic_recv_buf_set_final(&rb_, 10);
    EXPECT_EQ(QUIC_OK, quic_recv_buf_check_end(&rb_, 10, true, 100));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, quic_recv_buf_check_end(&rb_, 9, true, 100));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, quic_recv_buf_check_end(&rb_, 11, true, 100));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, quic_recv_buf_check_end(&rb_, 11, false, 100));
    EXPECT_EQ(QUIC_OK, quic_recv_buf_check_end(&rb_, 3, false, 100));
}

TEST_F(RecvBuf, EmptyFrameBeyondTheEndCountsItsOffset)
{
    ASSERT_EQ(QUIC_OK, Put(0, "ab"));
    ASSERT_EQ(QUIC_OK, Put(9, ""));
    EXPECT_EQ(7u, fresh_);
    ASSERT_EQ(QUIC_OK, Put(2, "cd"));
    EXPECT_EQ(0u, fresh_);
    EXPECT_EQ(9u, rb_.end_off);
    EXPECT_EQ("abcd", Take(4));
}

TEST_F(RecvBuf, RestartsAtTheRingsBeginningWhenEmpty)
{
    for (uint64_t i = 0; i < 100; i++) {
        ASSERT_EQ(QUIC_OK, Put(i * 1000, std::string(1000, static_cast<char>('a' + i % 26))));
        quic_recv_span spans[2];
        ASSERT_EQ(1000u, quic_recv_buf_peek(&rb_, spans));
        EXPECT_EQ(rb_.ring, spans[0].data);
        EXPECT_EQ(0u, spans[1].len);
        quic_recv_buf_consume(&rb_, 1000);
    }
    EXPECT_EQ(1u, memory_.mem.alloc_count);
}

/* Streams that are read at once take turns at one ring, however many they are. */
TEST_F(RecvBuf, AnEmptyRingServesTheNextStream)
{
    constexpr size_t kStreams = 50;
    quic_spares spares;
    quic_spares_init(&spares, &memory_.mem);
    void *others = quic_spares_alloc(&memory_.mem, QUIC_SPARES_NEAR_BYTES);
    std::vector<quic_recv_buf> bufs(kStreams);
    for (quic_recv_buf &rb : bufs) {
        quic_recv_buf_init(&rb, &memory_.mem, 4);
    }
    const std::string bytes(10000, 'x');
    const auto *data = reinterpret_cast<const uint8_t *>(bytes.data());
    const uint8_t *ring = nullptr;
    for (uint64_t round = 0; round < 3; round++) {
        for (quic_recv_buf &rb : bufs) {
            uint64_t fresh = 0;
            quic_recv_span spans[2];
            ASSERT_EQ(QUIC_OK,
                      quic_recv_buf_insert(&rb, &fresh, round * bytes.size(), data, bytes.size()));
            ASSERT_EQ(bytes.size(), quic_recv_buf_peek(&rb, spans));
            ring = ring == nullptr ? spans[0].data : ring;
            EXPECT_EQ(ring, spans[0].data);
            EXPECT_EQ(bytes.size(), spans[0].len);
            quic_recv_buf_consume(&rb, bytes.size());
        }
    }
    EXPECT_EQ(2u, memory_.mem.alloc_count);
    for (quic_recv_buf &rb : bufs) {
        quic_recv_buf_deinit(&rb);
    }
    quic_spares_free(&memory_.mem, others, QUIC_SPARES_NEAR_BYTES);
    quic_spares_deinit(&spares);
}

/* What is unread, or lies ahead, stays where it is. */
TEST_F(RecvBuf, ARingWithBytesInItIsNotGivenAway)
{
    const std::string many(6000, 'x');
    quic_spares spares;
    quic_spares_init(&spares, &memory_.mem);
    void *others = quic_spares_alloc(&memory_.mem, QUIC_SPARES_NEAR_BYTES);
    ASSERT_EQ(QUIC_OK, Put(0, many));
    ASSERT_EQ(QUIC_OK, Put(6002, "cd"));
    (void)Take(5000);
    EXPECT_EQ(0u, spares.kept_bytes);
    (void)Take(1000);
    EXPECT_EQ(0u, spares.kept_bytes);
    ASSERT_EQ(QUIC_OK, Put(6000, "ab"));
    EXPECT_EQ("abcd", Take(4));
    EXPECT_EQ(8192u, spares.kept_bytes);
    quic_recv_buf_trim(&rb_);
    quic_spares_free(&memory_.mem, others, QUIC_SPARES_NEAR_BYTES);
    quic_spares_deinit(&spares);
}

/* A stream of a few bytes, a request say, keeps its ring for the next one. */
TEST_F(RecvBuf, ASmallRingStays)
{
    quic_spares spares;
    quic_spares_init(&spares, &memory_.mem);
    void *others = quic_spares_alloc(&memory_.mem, QUIC_SPARES_NEAR_BYTES);
    ASSERT_EQ(QUIC_OK, Put(0, "abc"));
    EXPECT_EQ("abc", Take(3));
    EXPECT_EQ(0u, spares.kept_bytes);
    EXPECT_NE(nullptr, rb_.ring);
    quic_recv_buf_trim(&rb_);
    quic_spares_free(&memory_.mem, others, QUIC_SPARES_NEAR_BYTES);
    quic_spares_deinit(&spares);
}

TEST_F(RecvBuf, DiscardConsumesEverythingAndFreesIt)
{
    ASSERT_EQ(QUIC_OK, Put(0, "abc"));
    ASSERT_EQ(QUIC_OK, Put(10, "k"));
    EXPECT_EQ(11u, quic_recv_buf_discard(&rb_));
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    EXPECT_EQ(0u, quic_recv_buf_skip_to(&rb_, 5));
    EXPECT_EQ(9u, quic_recv_buf_skip_to(&rb_, 20));
    EXPECT_EQ(0u, quic_recv_buf_readable(&rb_));
}

// RFC 9000 2.2: whoever changes its mind is held to what it said first.
TEST_F(RecvBuf, TheFirstCopyOfAByteCounts)
{
    ASSERT_EQ(QUIC_OK, Put(2, "cd"));
    ASSERT_EQ(QUIC_OK, Put(6, "gh"));
    ASSERT_EQ(QUIC_OK, Put(1, "bXXefXXij"));
    ASSERT_EQ(QUIC_OK, Put(0, "aXXXX"));
    ASSERT_EQ(QUIC_OK, Put(4, "XXXXXXk"));
    EXPECT_EQ("abcdefghijk", Take(11));
}

TEST_F(RecvBuf, OneByteBehindWhatIsThereCounts)
{
    ASSERT_EQ(QUIC_OK, Put(2, "34")); /* not the letters that other tests leave in this memory */
    ASSERT_EQ(QUIC_OK, Put(1, "2XX5"));
    ASSERT_EQ(QUIC_OK, Put(0, "1"));
    EXPECT_EQ("12345", Take(5));
}

// Any order, splits, duplicates and overlaps of one byte string come out as that string, even when
// bytes that are there already come again with another value.
TEST(RecvBufProperty, MatchesAPlainArray)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Memory memory;
        Rng rng(seed);
        const uint64_t total = 1 + rng.Below(60000);
        const uint64_t window = 1 + rng.Below(20000);
        const std::vector<uint8_t> source = rng.Bytes(total);
        std::vector<bool> got(total, false);
        std::vector<uint8_t> out;
        uint64_t highest = 0;
        quic_recv_buf rb;
        quic_recv_buf_init(&rb, &memory.mem, static_cast<uint32_t>(1 + rng.Below(40)));
        for (uint64_t step = 0; out.size() < total && step < 200000; step++) {
            uint64_t contiguous = out.size();
            while (contiguous < total && got[contiguous]) {
                contiguous++;
            }
            ASSERT_EQ(contiguous, rb.recv_off);
            const uint64_t limit = std::min<uint64_t>(total, out.size() + window);
            uint64_t off = rng.OneIn(3) ? contiguous : rng.Below(limit);
            off = std::min(off, limit);
            const uint64_t len = std::min<uint64_t>(rng.Below(3000), limit - off);
            uint64_t fresh = 0;
            std::vector<uint8_t> frame(source.begin() + static_cast<ptrdiff_t>(off),
                                       source.begin() + static_cast<ptrdiff_t>(off + len));
            for (uint64_t i = 0; i < len; i++) {
                frame[i] ^= got[off + i] ? 0xff : 0;
            }
            const quic_rc rc = quic_recv_buf_insert(&rb, &fresh, off, frame.data(), len);
            if (rc == QUIC_E_LIMIT) {
                continue;
            }
            ASSERT_EQ(QUIC_OK, rc);
            for (uint64_t i = off; i < off + len; i++) {
                got[i] = true;
            }
            ASSERT_EQ(fresh, off + len > highest ? off + len - highest : 0);
            highest = std::max(highest, off + len);
            if (rng.OneIn(2)) {
                quic_recv_span spans[2];
                const uint64_t readable = quic_recv_buf_peek(&rb, spans);
                ASSERT_EQ(readable, spans[0].len + spans[1].len);
                uint64_t take = rng.OneIn(2) ? readable : rng.Below(readable + 1);
                const uint64_t first = std::min<uint64_t>(take, spans[0].len);
                out.insert(out.end(), spans[0].data, spans[0].data + first);
                out.insert(out.end(), spans[1].data, spans[1].data + (take - first));
                quic_recv_buf_consume(&rb, take);
                if (rng.OneIn(10)) {
                    quic_recv_buf_trim(&rb);
                }
            }
        }
        EXPECT_EQ(source, out);
        EXPECT_LE(memory.mem.peak_bytes, 4 * (window + QUIC_RECV_RING_MIN) + 4096);
        quic_recv_buf_deinit(&rb);
        EXPECT_EQ(0u, memory.mem.used_bytes);
    }
}

} // namespace
