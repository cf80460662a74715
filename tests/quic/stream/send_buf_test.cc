#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/send_buf.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

class SendBuf : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_send_buf_init(&sb_, &memory_.mem);
    }
    void TearDown() override
    {
        quic_send_buf_deinit(&sb_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    size_t Write(const std::string &data, bool lend = false, uint64_t held_max = 1 << 20)
    {
        size_t accepted = 0;
        EXPECT_EQ(QUIC_OK, quic_send_buf_write(&sb_, &accepted,
                                               reinterpret_cast<const uint8_t *>(data.data()),
                                               data.size(), lend, held_max));
        return accepted;
    }
    std::string Copy(uint64_t off, size_t len)
    {
        std::string out(len, '\0');
        quic_send_buf_copy(&sb_, off, reinterpret_cast<uint8_t *>(&out[0]), len);
        return out;
    }
    // The next range as text: "L2-5" for lost bytes, "N0-3" for new ones.
    std::string Next()
    {
        uint64_t off = 0;
        uint64_t end = 0;
        bool lost = false;
        if (!quic_send_buf_next(&sb_, &off, &end, &lost)) {
            return "-";
        }
        return (lost ? "L" : "N") + std::to_string(off) + "-" + std::to_string(end);
    }
    Memory memory_;
    quic_send_buf sb_;
};

TEST_F(SendBuf, HoldsBytesUntilTheyAreAcknowledged)
{
    EXPECT_EQ(6u, Write("abcdef"));
    EXPECT_EQ("N0-6", Next());
    quic_send_buf_on_sent(&sb_, 0, 4);
    EXPECT_EQ("N4-6", Next());
    EXPECT_EQ("bcd", Copy(1, 3));
    EXPECT_EQ(4u, quic_send_buf_on_acked(&sb_, 0, 4));
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 0, 4));
    EXPECT_EQ(2u, quic_send_buf_held(&sb_));
    quic_send_buf_on_sent(&sb_, 4, 2);
    EXPECT_EQ(2u, quic_send_buf_on_acked(&sb_, 4, 2));
    quic_send_buf_trim(&sb_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
}

TEST_F(SendBuf, AcceptsAPrefixUpToTheBound)
{
    EXPECT_EQ(4u, Write("abcdef", false, 4));
    EXPECT_EQ(0u, Write("ef", false, 4));
    quic_send_buf_on_sent(&sb_, 0, 4);
    quic_send_buf_on_acked(&sb_, 0, 1);
    EXPECT_EQ(1u, Write("ef", false, 4));
    EXPECT_EQ("bcde", Copy(1, 4));
}

TEST_F(SendBuf, KnowsWhatItCanCopyWithoutMoreMemory)
{
    EXPECT_EQ(0u, quic_send_buf_spare(&sb_));
    EXPECT_EQ(3u, Write("abc"));
    EXPECT_EQ(QUIC_SEND_RING_MIN - 3, quic_send_buf_spare(&sb_));
    static const std::string lent(100, 'x');
    EXPECT_EQ(100u, Write(lent, true));
    EXPECT_EQ(QUIC_SEND_RING_MIN - 3, quic_send_buf_spare(&sb_));
    const uint64_t allocs = memory_.mem.alloc_count;
    EXPECT_EQ(QUIC_SEND_RING_MIN - 3, Write(std::string(QUIC_SEND_RING_MIN - 3, 'y')));
    EXPECT_EQ(allocs, memory_.mem.alloc_count);
    EXPECT_EQ(0u, quic_send_buf_spare(&sb_));
    quic_send_buf_on_sent(&sb_, 0, 103);
    quic_send_buf_on_acked(&sb_, 0, 103);
    EXPECT_EQ(3u, quic_send_buf_spare(&sb_));
}

TEST_F(SendBuf, RepeatsOnlyWhatIsMissing)
{
    Write("0123456789");
    quic_send_buf_on_sent(&sb_, 0, 10);
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 2, 2));
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 6, 2));
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 0, 10));
    EXPECT_EQ("L0-2", Next());
    quic_send_buf_on_sent(&sb_, 0, 1);
    EXPECT_EQ("L1-2", Next());
    quic_send_buf_on_sent(&sb_, 1, 1);
    EXPECT_EQ("L4-6", Next());
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 4, 2)); // late: the loss was spurious
    EXPECT_EQ("L8-10", Next());
    EXPECT_EQ(8u, quic_send_buf_on_acked(&sb_, 0, 2));
    EXPECT_EQ(2u, quic_send_buf_on_acked(&sb_, 8, 2));
    EXPECT_EQ("-", Next());
    EXPECT_FALSE(quic_send_buf_on_lost(&sb_, 3, 4));
}

// The lent piece that was found last is looked at first: it has to be there still, and be the right one.
TEST_F(SendBuf, RemembersALentPieceOnlyWhileItIsThere)
{
    std::vector<std::string> pieces(40, std::string(10, '-'));
    for (size_t round = 0; round < 3; round++) { // the ring of pieces grows, and wraps
        const uint64_t start = round * 400;
        for (size_t i = 0; i < pieces.size(); i++) {
            pieces[i] = std::string(10, static_cast<char>('0' + i + round));
            Write(pieces[i], true);
            EXPECT_EQ(pieces[i], Copy(start + i * 10, 10));
            EXPECT_EQ(pieces[i / 2], Copy(start + i / 2 * 10, 10));
        }
        quic_send_buf_on_sent(&sb_, start, 400);
        for (size_t i = 0; i < pieces.size(); i++) {
            EXPECT_EQ(pieces[i], Copy(start + i * 10, 10));
            quic_send_buf_on_acked(&sb_, start + i * 10, 10);
        }
    }
    Write("copied");
    EXPECT_EQ("copied", Copy(1200, 6));
    quic_send_buf_abandon(&sb_);
    Write("anew");
    EXPECT_EQ("anew", Copy(1200, 4));
}

TEST_F(SendBuf, LendsWithoutCopying)
{
    const std::string body = "BODYBYTES";
    Write("head");
    Write(body, true);
    Write("tail");
    EXPECT_EQ("headBODYBYTEStail", Copy(0, 17));
    EXPECT_EQ("dBODYBYTESt", Copy(3, 11));
    const uint8_t *data = nullptr;
    size_t len = 0;
    quic_send_buf_span(&sb_, &data, &len, 5);
    EXPECT_EQ(reinterpret_cast<const uint8_t *>(body.data()) + 1, data);
    EXPECT_EQ(8u, len);
    quic_send_buf_span(&sb_, &data, &len, 0);
    EXPECT_EQ(4u, len);
    quic_send_buf_on_sent(&sb_, 0, 17);
    quic_send_buf_on_acked(&sb_, 0, 12);
    EXPECT_TRUE(quic_send_buf_is_lending(&sb_));
    quic_send_buf_on_acked(&sb_, 12, 1);
    EXPECT_FALSE(quic_send_buf_is_lending(&sb_));
    EXPECT_EQ("ail", Copy(14, 3));
}

TEST_F(SendBuf, BoundsLentSpansAndMergesNeighbours)
{
    const std::string bytes(1000, 'x');
    const uint8_t *p = reinterpret_cast<const uint8_t *>(bytes.data());
    size_t accepted = 0;
    for (size_t i = 0; i < 10; i++) { // one after another in memory: one span
        ASSERT_EQ(QUIC_OK, quic_send_buf_write(&sb_, &accepted, p + i, 1, true, 1000));
    }
    EXPECT_EQ(1u, sb_.lent_count);
    for (size_t i = 1; i < QUIC_SEND_LENT_MAX; i++) {
        ASSERT_EQ(QUIC_OK, quic_send_buf_write(&sb_, &accepted, p, 1, true, 1000));
        ASSERT_EQ(1u, accepted);
    }
    ASSERT_EQ(QUIC_OK, quic_send_buf_write(&sb_, &accepted, p, 1, true, 1000));
    EXPECT_EQ(0u, accepted);
}

TEST_F(SendBuf, LosesNothingWithoutMemoryForRanges)
{
    Write(std::string(4000, 'a'));
    quic_send_buf_on_sent(&sb_, 0, 4000);
    memory_.mem.limit_bytes = memory_.mem.used_bytes;
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 100, 100));
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 1000, 100));
    EXPECT_EQ("L100-1100", Next());
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 2000, 2000)); // cannot be remembered: sent again
    EXPECT_EQ("L100-4000", Next());
    quic_send_buf_on_sent(&sb_, 100, 3900);
    EXPECT_EQ("-", Next());
    EXPECT_EQ(4000u, quic_send_buf_on_acked(&sb_, 0, 4000));
}

// What is acknowledged beyond so many ranges is forgotten, and sent again; so is what is lost, with more around it.
TEST_F(SendBuf, RemembersSoManyRangesAndNoMore)
{
    constexpr uint64_t kRanges = QUIC_SEND_RANGES_MAX;
    const uint64_t end = 4 * kRanges;
    ASSERT_EQ(end, Write(std::string(end, 'x')));
    quic_send_buf_on_sent(&sb_, 0, end);
    for (uint64_t i = 0; i < kRanges; i++) {
        ASSERT_EQ(0u, quic_send_buf_on_acked(&sb_, 2 * i + 1, 1));
    }
    EXPECT_EQ("-", Next());
    EXPECT_EQ(kRanges, sb_.acked.count);
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 2 * kRanges, 1)) << "touches the last";
    EXPECT_EQ("-", Next());
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 2 * kRanges + 2, 1)) << "one too many";
    EXPECT_EQ("L8194-8195", Next());
    EXPECT_EQ(kRanges, sb_.acked.count);
    EXPECT_EQ(2u, quic_send_buf_on_acked(&sb_, 0, 1)) << "room for another";
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 2 * kRanges + 4, 1));
    EXPECT_EQ(kRanges, sb_.acked.count);
    EXPECT_EQ("L8194-8195", Next());
    for (uint64_t i = 1; i < kRanges; i++) {
        ASSERT_TRUE(quic_send_buf_on_lost(&sb_, 2 * i, 1));
    }
    EXPECT_EQ(kRanges, sb_.lost.count);
    EXPECT_FALSE(quic_send_buf_on_lost(&sb_, 2 * kRanges + 4, 1)) << "acknowledged";
    ASSERT_TRUE(quic_send_buf_on_lost(&sb_, end - 2, 1)) << "one too many";
    ASSERT_TRUE(quic_send_buf_on_lost(&sb_, end - 9, 1));
    EXPECT_EQ(kRanges, sb_.lost.count);
    EXPECT_LE(memory_.mem.used_bytes, end + 2 * kRanges * sizeof(quic_range) * 5 / 4);
    // All of it leaves, and nothing that is held is forgotten.
    uint64_t repeated = 0;
    for (uint64_t off = 0, to = 0; repeated < end; repeated += to - off) {
        bool lost = false;
        if (!quic_send_buf_next(&sb_, &off, &to, &lost)) {
            break;
        }
        ASSERT_TRUE(lost);
        ASSERT_LT(off, to);
        quic_send_buf_on_sent(&sb_, off, to - off);
        (void)quic_send_buf_on_acked(&sb_, off, to - off);
    }
    EXPECT_EQ(kRanges - 1 + 1 + 8, repeated);
    EXPECT_EQ(2 * kRanges + 1, sb_.acked_off);
    EXPECT_FALSE(quic_send_buf_has_lost(&sb_));
    (void)quic_send_buf_on_acked(&sb_, 0, end);
    EXPECT_EQ(0u, quic_send_buf_held(&sb_));
}

TEST_F(SendBuf, AbandonsEverythingAtTheOffsetSent) // RFC 9000 4.5: the final size of RESET_STREAM
{
    const std::string body(5000, 'b');
    Write(body);
    Write(body, true);
    quic_send_buf_on_sent(&sb_, 0, 7000);
    quic_send_buf_abandon(&sb_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    EXPECT_EQ(7000u, sb_.next_off);
    EXPECT_EQ("-", Next());
    EXPECT_EQ(0u, quic_send_buf_on_acked(&sb_, 0, 7000));
    EXPECT_FALSE(quic_send_buf_is_lending(&sb_));
}

TEST_F(SendBuf, RewindsToNothingWhatWasAbandoned) // a stream reset in 0-RTT that the server rejects
{
    Write("abcdef");
    quic_send_buf_on_sent(&sb_, 0, 4);
    quic_send_buf_abandon(&sb_);
    quic_send_buf_rewind(&sb_);
    EXPECT_EQ(0u, quic_send_buf_held(&sb_));
    EXPECT_EQ("-", Next());
}

TEST_F(SendBuf, RewindsToTheFirstByteWithNothingLost) // 0-RTT was rejected, RFC 9001 4.6.2
{
    const std::string lent(10, 'l');
    Write(std::string(4000, 'a'));
    Write(lent, true);
    quic_send_buf_on_sent(&sb_, 0, 4005);
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 50, 20));
    memory_.mem.limit_bytes = memory_.mem.used_bytes;
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 100, 100));
    EXPECT_TRUE(quic_send_buf_on_lost(&sb_, 1000, 100));
    quic_send_buf_rewind(&sb_);
    EXPECT_EQ("N0-4010", Next());
    EXPECT_EQ("aalll", Copy(3998, 5));
    quic_send_buf_on_sent(&sb_, 0, 4010);
    EXPECT_EQ("-", Next());
}

struct Packet {
    uint64_t off;
    uint64_t len;
};

// Random writes (copied and lent), sends, losses and acknowledgements: whatever is sent is what was
// written at that offset, and in the end everything is acknowledged and free.
TEST(SendBufProperty, MatchesAPlainArray)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Memory memory;
        Rng rng(seed);
        const uint64_t total = 1 + rng.Below(100000);
        const uint64_t held_max = 1 + rng.Below(20000);
        const std::vector<uint8_t> source = rng.Bytes(total);
        const bool tight = rng.OneIn(4);
        std::vector<Packet> flying;
        quic_send_buf sb;
        quic_send_buf_init(&sb, &memory.mem);
        if (tight) {
            sb.acked.max = 2;
            sb.lost.max = 2;
        }
        uint64_t written = 0;
        std::vector<bool> acked(total, false);
        for (uint64_t step = 0; sb.acked_off < total && step < 1000000; step++) {
            const uint64_t what = rng.Below(4);
            if (what == 0 && written < total) {
                size_t accepted = 0;
                const size_t len = std::min<uint64_t>(rng.Below(5000), total - written);
                ASSERT_EQ(QUIC_OK, quic_send_buf_write(&sb, &accepted, source.data() + written, len,
                                                       rng.OneIn(3), held_max));
                written += accepted;
                ASSERT_EQ(written, sb.write_off);
                ASSERT_LE(quic_send_buf_held(&sb), held_max);
            } else if (what == 1) {
                uint64_t off = 0;
                uint64_t end = 0;
                bool lost = false;
                if (!quic_send_buf_next(&sb, &off, &end, &lost)) {
                    continue;
                }
                const uint64_t len = std::min<uint64_t>(1 + rng.Below(1500), end - off);
                std::vector<uint8_t> payload(len);
                quic_send_buf_copy(&sb, off, payload.data(), len);
                ASSERT_TRUE(std::equal(payload.begin(), payload.end(), source.begin() + off));
                quic_send_buf_on_sent(&sb, off, len);
                flying.push_back({off, len});
            } else if (!flying.empty()) {
                const size_t i = rng.OneIn(2) ? 0 : rng.Below(flying.size());
                const Packet p = flying[i];
                if (what == 2 || rng.OneIn(2)) {
                    const uint64_t before = sb.acked_off;
                    const uint64_t advance = quic_send_buf_on_acked(&sb, p.off, p.len);
                    ASSERT_EQ(before + advance, sb.acked_off);
                    std::fill_n(acked.begin() + static_cast<long>(p.off), p.len, true);
                } else {
                    quic_send_buf_on_lost(&sb, p.off, p.len);
                }
                if (!rng.OneIn(8)) { // now and then the same fate twice
                    flying.erase(flying.begin() + static_cast<long>(i));
                }
            }
            for (uint64_t i = sb.acked_off > 20 ? sb.acked_off - 20 : 0; i < sb.acked_off; i++) {
                ASSERT_TRUE(acked[i]);
            }
        }
        EXPECT_EQ(total, sb.acked_off);
        quic_send_buf_trim(&sb);
        EXPECT_EQ(0u, memory.mem.used_bytes);
        quic_send_buf_deinit(&sb);
    }
}

} // namespace
