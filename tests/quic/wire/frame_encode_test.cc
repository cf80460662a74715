#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/frame_decode.h"
#include "quic/wire/frame_encode.h"
#include "tests/quic/base/test_mem.h"

namespace
{

using Encoder = std::function<size_t(uint8_t *, size_t)>;

const uint8_t kEight[8] = {1, 2, 3, 4, 5, 6, 7, 8};
const uint8_t kSixteen[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Encodes with exactly the room needed, checks that any less is refused, and decodes. */
quic_frame RoundTrip(const Encoder &encode, std::vector<uint8_t> *keep)
{
    uint8_t big[256];
    quic_frame frame = {};
    size_t n = encode(big, sizeof(big));
    EXPECT_GT(n, 0u);
    for (size_t room = 0; room < n; room++) {
        std::vector<uint8_t> small(room);
        EXPECT_EQ(encode(small.data(), room), 0u) << "room " << room << " of " << n;
    }
    keep->assign(n, 0xee);
    EXPECT_EQ(encode(keep->data(), n), n);
    size_t len = 0;
    EXPECT_EQ(quic_frame_decode_ext(&frame, &len, keep->data(), n, QUIC_EXT_ALL), QUIC_OK);
    EXPECT_EQ(len, n);
    return frame;
}

/* Values at the edges of each integer length. */
const uint64_t kValues[] = {0, 63, 64, 16383, 16384, (1ull << 30) - 1, 1ull << 30, QUIC_VARINT_MAX};

TEST(FrameEncode, OneAndTwoIntegers)
{
    std::vector<uint8_t> b;
    for (uint64_t v : kValues) {
        auto one = [&](size_t (*f)(uint8_t *, size_t, uint64_t)) {
            return RoundTrip([&](uint8_t *p, size_t room) { return f(p, room, v); }, &b);
        };
        auto two = [&](size_t (*f)(uint8_t *, size_t, uint64_t, uint64_t)) {
            return RoundTrip([&](uint8_t *p, size_t room) { return f(p, room, 4, v); }, &b);
        };
        EXPECT_EQ(one(quic_frame_encode_max_data).max_data.max, v);
        EXPECT_EQ(one(quic_frame_encode_data_blocked).data_blocked.max, v);
        EXPECT_EQ(one(quic_frame_encode_retire_connection_id).retire_connection_id.seq, v);
        EXPECT_EQ(two(quic_frame_encode_max_stream_data).max_stream_data.max, v);
        EXPECT_EQ(two(quic_frame_encode_stream_data_blocked).stream_data_blocked.max, v);
        EXPECT_EQ(two(quic_frame_encode_stop_sending).stop_sending.error, v);
        quic_frame f = RoundTrip(
            [&](uint8_t *p, size_t room) {
                return quic_frame_encode_reset_stream(p, room, 8, v, 77);
            },
            &b);
        EXPECT_EQ(f.type, QUIC_FRAME_RESET_STREAM);
        EXPECT_EQ(f.reset_stream.id, 8u);
        EXPECT_EQ(f.reset_stream.error, v);
        EXPECT_EQ(f.reset_stream.final_size, 77u);
    }
}

TEST(FrameEncode, StreamCounts)
{
    std::vector<uint8_t> b;
    for (bool uni : {false, true}) {
        quic_frame f = RoundTrip(
            [&](uint8_t *p, size_t room) {
                return quic_frame_encode_max_streams(p, room, uni, QUIC_STREAMS_LIMIT_MAX);
            },
            &b);
        EXPECT_EQ(f.type, uni ? QUIC_FRAME_MAX_STREAMS_UNI : QUIC_FRAME_MAX_STREAMS_BIDI);
        EXPECT_EQ(f.max_streams.max, QUIC_STREAMS_LIMIT_MAX);
        EXPECT_EQ(f.max_streams.uni, uni);
        f = RoundTrip(
            [&](uint8_t *p, size_t room) {
                return quic_frame_encode_streams_blocked(p, room, uni, 100);
            },
            &b);
        EXPECT_EQ(f.type, uni ? QUIC_FRAME_STREAMS_BLOCKED_UNI : QUIC_FRAME_STREAMS_BLOCKED_BIDI);
        EXPECT_EQ(f.streams_blocked.max, 100u);
    }
}

TEST(FrameEncode, FramesWithBytes)
{
    std::vector<uint8_t> b;
    quic_frame f = RoundTrip(
        [](uint8_t *p, size_t room) { return quic_frame_encode_new_token(p, room, kSixteen, 16); },
        &b);
    EXPECT_EQ(f.type, QUIC_FRAME_NEW_TOKEN);
    ASSERT_EQ(f.new_token.len, 16u);
    EXPECT_EQ(memcmp(f.new_token.token, kSixteen, 16), 0);
    f = RoundTrip(
        [](uint8_t *p, size_t room) {
            return quic_frame_encode_new_connection_id(p, room, 70, 69, kEight, 8, kSixteen);
        },
        &b);
    EXPECT_EQ(f.new_connection_id.seq, 70u);
    EXPECT_EQ(f.new_connection_id.retire_prior_to, 69u);
    EXPECT_TRUE(quic_cid_is(&f.new_connection_id.cid, kEight, 8));
    EXPECT_EQ(memcmp(f.new_connection_id.reset_token, kSixteen, 16), 0);
    f = RoundTrip(
        [](uint8_t *p, size_t room) { return quic_frame_encode_path_challenge(p, room, kEight); },
        &b);
    EXPECT_EQ(f.type, QUIC_FRAME_PATH_CHALLENGE);
    EXPECT_EQ(memcmp(f.path.data, kEight, 8), 0);
    f = RoundTrip(
        [](uint8_t *p, size_t room) { return quic_frame_encode_path_response(p, room, kEight); },
        &b);
    EXPECT_EQ(f.type, QUIC_FRAME_PATH_RESPONSE);
}

TEST(FrameEncode, FramesWithoutFields)
{
    std::vector<uint8_t> b;
    EXPECT_EQ(RoundTrip(quic_frame_encode_ping, &b).type, QUIC_FRAME_PING);
    EXPECT_EQ(RoundTrip(quic_frame_encode_handshake_done, &b).type, QUIC_FRAME_HANDSHAKE_DONE);
    quic_frame f = RoundTrip(
        [](uint8_t *p, size_t room) { return quic_frame_encode_padding(p, room, 9); }, &b);
    EXPECT_EQ(f.padding.count, 9u);
}

TEST(FrameEncode, StreamHeaders)
{
    for (uint64_t id : kValues) {
        for (uint64_t off : kValues) {
            for (unsigned bits = 0; bits < 4; bits++) {
                const size_t data_len = off == QUIC_VARINT_MAX ? 0 : 20;
                const bool fin = (bits & 1) != 0;
                const bool with_len = (bits & 2) != 0;
                uint8_t p[QUIC_FRAME_STREAM_HEADER_MAX + 20];
                size_t n = quic_frame_encode_stream_header(p, QUIC_FRAME_STREAM_HEADER_MAX, id, off,
                                                           data_len, fin, with_len);
                ASSERT_GT(n, 0u);
                ASSERT_EQ(
                    quic_frame_encode_stream_header(p, n - 1, id, off, data_len, fin, with_len),
                    0u);
                quic_frame_stream f = {};
                ASSERT_EQ(quic_frame_decode_stream(&f, p, n + data_len), n + data_len);
                ASSERT_EQ(f.id, id);
                ASSERT_EQ(f.off, off);
                ASSERT_EQ(f.len, data_len);
                ASSERT_EQ(f.fin, fin);
                ASSERT_EQ(f.data, p + n);
            }
        }
    }
}

TEST(FrameEncode, RoomForDataIsExact)
{
    std::vector<uint8_t> buf(17000);
    for (uint64_t off : {0ull, 1ull, 100000ull}) {
        for (size_t room = 0; room < 16500; room += room < 200 || room > 16350 ? 1 : 37) {
            for (bool with_len : {false, true}) {
                size_t fits = quic_frame_stream_room(room, 8, off, with_len);
                if (fits == 0) {
                    continue;
                }
                size_t n = quic_frame_encode_stream_header(buf.data(), room, 8, off, fits, false,
                                                           with_len);
                ASSERT_GT(n, 0u);
                ASSERT_LE(n + fits, room);
                n = quic_frame_encode_stream_header(buf.data(), room + 8, 8, off, fits + 1, false,
                                                    with_len);
                ASSERT_GT(n + fits + 1, room) << "one byte more would fit";
            }
            size_t fits = quic_frame_crypto_room(room, off);
            if (fits > 0) {
                size_t n = quic_frame_encode_crypto_header(buf.data(), room, off, fits);
                ASSERT_GT(n, 0u);
                ASSERT_LE(n + fits, room);
            }
        }
    }
}

TEST(FrameEncode, ReasonIsCutToFit)
{
    const std::string reason(300, 'r');
    for (size_t room = 0; room < 320; room++) {
        std::vector<uint8_t> p(room);
        for (bool app : {false, true}) {
            size_t n = app ? quic_frame_encode_connection_close_app(p.data(), room, 5,
                                                                    reason.data(), reason.size())
                           : quic_frame_encode_connection_close(p.data(), room, 5, 6, reason.data(),
                                                                reason.size());
            if (room < (app ? 3u : 4u)) {
                ASSERT_EQ(n, 0u);
                continue;
            }
            ASSERT_GT(n, 0u);
            ASSERT_LE(n, room);
            quic_frame f;
            size_t len = 0;
            ASSERT_EQ(quic_frame_decode(&f, &len, p.data(), n), QUIC_OK);
            ASSERT_EQ(len, n);
            EXPECT_EQ(f.close.app, app);
            EXPECT_EQ(f.close.error, 5u);
            EXPECT_EQ(f.close.frame_type, app ? 0u : 6u);
            EXPECT_LE(f.close.reason_len, reason.size());
            EXPECT_GE(f.close.reason_len + 7, room < 305 ? room : 305);
        }
    }
    uint8_t p[8];
    EXPECT_EQ(quic_frame_encode_connection_close(p, 8, 1, 0, nullptr, 0), 4u);
}

class AckEncodeTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_range_set_init(&set, &tm.mem, 64);
    }

    void TearDown() override
    {
        quic_range_set_deinit(&set);
    }

    /* Decodes an ACK frame and compares its ranges with the newest ones of the set. */
    void ExpectNewest(const uint8_t *p, size_t n, uint64_t delay, uint32_t *out_count)
    {
        quic_frame f;
        size_t len = 0;
        ASSERT_EQ(quic_frame_decode(&f, &len, p, n), QUIC_OK);
        ASSERT_EQ(len, n);
        ASSERT_EQ(f.ack.delay_raw, delay);
        quic_ack_iter it = quic_ack_iter_make(&f.ack);
        uint64_t lo = 0;
        uint64_t hi = 0;
        *out_count = 0;
        while (quic_ack_ranges_next(&it, &lo, &hi)) {
            ++*out_count;
            ASSERT_LE(*out_count, set.count);
            const quic_range *want = quic_range_set_at(&set, set.count - *out_count);
            ASSERT_EQ(lo, want->lo);
            ASSERT_EQ(hi, want->hi);
        }
    }

    test_mem tm;
    quic_range_set set;
};

TEST_F(AckEncodeTest, CutToMaxRangesAndToRoom)
{
    for (uint64_t i = 0; i < 50; i++) {
        ASSERT_EQ(quic_range_set_add(&set, i * 100, i * 100 + 70), QUIC_OK);
    }
    uint8_t p[512];
    uint32_t count = 0;
    size_t full = quic_frame_encode_ack(p, sizeof(p), &set, 9, nullptr, 64);
    ExpectNewest(p, full, 9, &count);
    EXPECT_EQ(count, 50u);
    size_t n = quic_frame_encode_ack(p, sizeof(p), &set, 9, nullptr, 1);
    ExpectNewest(p, n, 9, &count);
    EXPECT_EQ(count, 1u);
    uint32_t last = 0;
    for (size_t room = 0; room <= full; room++) {
        std::vector<uint8_t> small(room);
        n = quic_frame_encode_ack(small.data(), room, &set, 9, nullptr, 64);
        if (n == 0) {
            EXPECT_EQ(last, 0u);
            EXPECT_LT(room, 8u);
            continue;
        }
        ASSERT_LE(n, room);
        ExpectNewest(small.data(), n, 9, &count);
        EXPECT_GE(count, last);
        last = count;
    }
    EXPECT_EQ(last, 50u);
}

TEST_F(AckEncodeTest, EcnCounts)
{
    ASSERT_EQ(quic_range_set_add(&set, 3, 3), QUIC_OK);
    const uint64_t ecn[3] = {1000, 2, 30000};
    uint8_t p[32];
    size_t n = quic_frame_encode_ack(p, sizeof(p), &set, 0, ecn, 4);
    EXPECT_EQ(quic_frame_encode_ack(p, n - 1, &set, 0, ecn, 4), 0u);
    quic_frame f;
    size_t len = 0;
    ASSERT_EQ(quic_frame_decode(&f, &len, p, n), QUIC_OK);
    EXPECT_EQ(f.type, QUIC_FRAME_ACK_ECN);
    EXPECT_EQ(memcmp(f.ack.ecn, ecn, sizeof(ecn)), 0);
}

TEST_F(AckEncodeTest, RandomSetsRoundTrip)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        quic_rng_seeded_state state = {seed};
        quic_rng rng = quic_rng_seeded(&state);
        quic_range_set_clear(&set);
        const unsigned shift = 2 + static_cast<unsigned>(quic_rng_u64(&rng) % 60);
        for (uint64_t i = quic_rng_u64(&rng) % 64 + 1; i > 0; i--) {
            uint64_t lo = quic_rng_u64(&rng) >> shift;
            uint64_t hi = lo + quic_rng_u64(&rng) % 10;
            ASSERT_EQ(quic_range_set_add(&set, lo, hi > QUIC_VARINT_MAX ? lo : hi), QUIC_OK);
        }
        std::vector<uint8_t> p(64 * 16 + 40);
        size_t n = quic_frame_encode_ack(p.data(), p.size(), &set, seed, nullptr, 64);
        ASSERT_GT(n, 0u);
        uint32_t count = 0;
        ExpectNewest(p.data(), n, seed, &count);
        ASSERT_EQ(count, set.count);
    }
}

/* Acknowledgment Frequency 4, 5; Reliable Stream Resets 4 */
TEST(FrameEncodeExt, AckFrequencyAndResetStreamAt)
{
    std::vector<uint8_t> b;
    for (uint64_t v : kValues) {
        const quic_frame_ack_frequency af = {v, 1, QUIC_VARINT_MAX - v, v};
        quic_frame f = RoundTrip(
            [&](uint8_t *p, size_t room) { return quic_frame_encode_ack_frequency(p, room, &af); },
            &b);
        EXPECT_EQ(b[0], 0x40);
        EXPECT_EQ(b[1], 0xaf);
        EXPECT_EQ(f.type, QUIC_FRAME_ACK_FREQUENCY);
        EXPECT_EQ(f.ack_frequency.seq, v);
        EXPECT_EQ(f.ack_frequency.eliciting_threshold, 1u);
        EXPECT_EQ(f.ack_frequency.max_ack_delay_us, QUIC_VARINT_MAX - v);
        EXPECT_EQ(f.ack_frequency.reordering_threshold, v);
        const quic_frame_reset_stream_at rs = {4, QUIC_VARINT_MAX - v, v, v / 2};
        f = RoundTrip([&](uint8_t *p,
                          size_t room) { return quic_frame_encode_reset_stream_at(p, room, &rs); },
                      &b);
        EXPECT_EQ(f.type, QUIC_FRAME_RESET_STREAM_AT);
        EXPECT_EQ(f.reset_stream_at.id, 4u);
        EXPECT_EQ(f.reset_stream_at.error, QUIC_VARINT_MAX - v);
        EXPECT_EQ(f.reset_stream_at.final_size, v);
        EXPECT_EQ(f.reset_stream_at.reliable_size, v / 2);
    }
    quic_frame f = RoundTrip(quic_frame_encode_immediate_ack, &b);
    EXPECT_EQ(f.type, QUIC_FRAME_IMMEDIATE_ACK);
    EXPECT_EQ(b.size(), 1u);
}

/* RFC 9221 4: the room function and the header agree for every size. */
TEST(FrameEncodeExt, DatagramFillsItsRoom)
{
    for (size_t room = 1; room < 20000; room += room < 300 ? 1 : 61) {
        for (bool with_len : {false, true}) {
            const size_t len = quic_frame_datagram_room(room, with_len);
            std::vector<uint8_t> b(room, 0xdd);
            const size_t n = quic_frame_encode_datagram_header(b.data(), room, len, with_len);
            if (with_len && room == 1) {
                EXPECT_EQ(len, 0u);
                EXPECT_EQ(n, 0u) << "no room for the Length field";
                continue;
            }
            ASSERT_GT(n, 0u) << room;
            ASSERT_LE(n + len, room);
            ASSERT_GE(n + len + (with_len ? 1 : 0), room) << "at most one byte unused";
            quic_frame f;
            size_t taken = 0;
            ASSERT_EQ(quic_frame_decode_ext(&f, &taken, b.data(), n + len, QUIC_EXT_DATAGRAM),
                      QUIC_OK);
            ASSERT_EQ(taken, n + len);
            ASSERT_EQ(f.datagram.len, len);
            ASSERT_EQ(f.datagram.data, b.data() + n);
        }
    }
    EXPECT_EQ(quic_frame_datagram_room(0, false), 0u);
    uint8_t none;
    EXPECT_EQ(quic_frame_encode_datagram_header(&none, 0, 0, false), 0u);
}

} // namespace
