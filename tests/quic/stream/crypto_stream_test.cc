#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/crypto_stream.h"
#include "quic/wire/varint.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

class CryptoStream : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_crypto_stream_init(&cs_, &memory_.mem, 1000);
    }
    void TearDown() override
    {
        quic_crypto_stream_deinit(&cs_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    quic_rc Frame(uint64_t off, const std::string &data)
    {
        return quic_crypto_stream_on_frame(
            &cs_, off, reinterpret_cast<const uint8_t *>(data.data()), data.size());
    }
    quic_rc Write(const std::string &data)
    {
        return quic_crypto_stream_write(&cs_, reinterpret_cast<const uint8_t *>(data.data()),
                                        data.size());
    }
    Memory memory_;
    quic_crypto_stream cs_;
};

TEST_F(CryptoStream, OrdersWhatArrives)
{
    ASSERT_EQ(QUIC_OK, Frame(3, "def"));
    EXPECT_EQ(0u, quic_crypto_stream_peek(&cs_).len);
    EXPECT_TRUE(quic_crypto_stream_has_buffered(&cs_));
    ASSERT_EQ(QUIC_OK, Frame(0, "abcd"));
    const quic_recv_span span = quic_crypto_stream_peek(&cs_);
    EXPECT_EQ("abcdef", std::string(reinterpret_cast<const char *>(span.data), span.len));
    quic_crypto_stream_consume(&cs_, 6);
    EXPECT_FALSE(quic_crypto_stream_has_buffered(&cs_));
    EXPECT_EQ(QUIC_OK, Frame(0, "abcdef"));
    quic_crypto_stream_trim(&cs_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
}

TEST_F(CryptoStream, RefusesWhatGoesBeyondItsBuffer) // RFC 9000 7.5
{
    EXPECT_EQ(QUIC_V_CRYPTO_BUFFER_EXCEEDED, Frame(1000, "x"));
    EXPECT_EQ(QUIC_OK, Frame(999, "x"));
    ASSERT_EQ(QUIC_OK, Frame(0, std::string(500, 'a')));
    quic_crypto_stream_consume(&cs_, 500);
    EXPECT_EQ(QUIC_OK, Frame(1499, "x"));
    EXPECT_EQ(QUIC_V_CRYPTO_BUFFER_EXCEEDED, Frame(1500, "x"));
    EXPECT_EQ(QUIC_OK, Frame(0, std::string(400, 'a'))); // old bytes are no buffer
}

TEST_F(CryptoStream, BoundsWhatItQueues)
{
    ASSERT_EQ(QUIC_OK, Write(std::string(8000, 'a')));
    EXPECT_EQ(QUIC_E_LIMIT, Write("b"));
    EXPECT_EQ(8000u, quic_send_buf_held(&cs_.send));
}

TEST_F(CryptoStream, SendsRepeatsAndForgets)
{
    ASSERT_EQ(QUIC_OK, Write("0123456789"));
    uint64_t off = 99;
    size_t len = 99;
    EXPECT_FALSE(quic_crypto_stream_send_next(&cs_, 3, &off, &len));
    ASSERT_TRUE(quic_crypto_stream_send_next(&cs_, 9, &off, &len));
    EXPECT_EQ(0u, off);
    EXPECT_EQ(6u, len);
    uint8_t frame[64];
    ASSERT_EQ(9u, quic_crypto_stream_encode(&cs_, off, len, frame));
    const std::string expected("\x06\x00\x06"
                               "012345",
                               9);
    EXPECT_EQ(expected, std::string(reinterpret_cast<char *>(frame), 9));
    quic_crypto_stream_send_commit(&cs_, off, len);
    ASSERT_TRUE(quic_crypto_stream_send_next(&cs_, 100, &off, &len));
    EXPECT_EQ(6u, off);
    EXPECT_EQ(4u, len);
    quic_crypto_stream_send_commit(&cs_, off, len);
    EXPECT_FALSE(quic_crypto_stream_can_send(&cs_));
    quic_crypto_stream_on_acked(&cs_, 6, 4);
    EXPECT_TRUE(quic_crypto_stream_on_lost(&cs_, 0, 10)); // RFC 9002 6.2.4
    ASSERT_TRUE(quic_crypto_stream_send_next(&cs_, 100, &off, &len));
    EXPECT_EQ(0u, off);
    EXPECT_EQ(6u, len);
    quic_crypto_stream_send_commit(&cs_, off, len);
    quic_crypto_stream_on_acked(&cs_, 0, 6);
    EXPECT_FALSE(quic_crypto_stream_on_lost(&cs_, 0, 6));
    quic_crypto_stream_trim(&cs_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
}

TEST(CryptoStreamProperty, CarriesAFlightOverALossyWay)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Memory memory;
        Rng rng(seed);
        quic_crypto_stream from;
        quic_crypto_stream to;
        quic_crypto_stream_init(&from, &memory.mem, 4096);
        quic_crypto_stream_init(&to, &memory.mem, 16384);
        const std::vector<uint8_t> flight = rng.Bytes(1 + rng.Below(16000));
        ASSERT_EQ(QUIC_OK, quic_crypto_stream_write(&from, flight.data(), flight.size()));
        std::vector<uint8_t> got;
        for (int round = 0; round < 200 && got.size() < flight.size(); round++) {
            std::vector<std::pair<uint64_t, std::vector<uint8_t>>> flying;
            uint64_t off = 0;
            size_t len = 0;
            while (quic_crypto_stream_send_next(&from, 20 + rng.Below(1200), &off, &len)) {
                std::vector<uint8_t> frame(len + 25);
                const size_t n = quic_crypto_stream_encode(&from, off, len, frame.data());
                flying.push_back({off,
                                  {frame.begin() + static_cast<long>(n - len),
                                   frame.begin() + static_cast<long>(n)}});
                quic_crypto_stream_send_commit(&from, off, len);
            }
            for (size_t i = flying.size(); i > 1; i--) {
                std::swap(flying[i - 1], flying[rng.Below(i)]);
            }
            for (const auto &p : flying) {
                if (rng.OneIn(3) || quic_crypto_stream_on_frame(&to, p.first, p.second.data(),
                                                                p.second.size()) != QUIC_OK) {
                    quic_crypto_stream_on_lost(&from, p.first, p.second.size());
                } else {
                    quic_crypto_stream_on_acked(&from, p.first, p.second.size());
                }
            }
            quic_recv_span span;
            while ((span = quic_crypto_stream_peek(&to)).len != 0) {
                got.insert(got.end(), span.data, span.data + span.len);
                quic_crypto_stream_consume(&to, span.len);
            }
        }
        EXPECT_EQ(flight, got);
        quic_crypto_stream_trim(&from);
        quic_crypto_stream_trim(&to);
        EXPECT_EQ(0u, memory.mem.used_bytes);
    }
}

} // namespace
