#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/crypto.h"
#include "runtime/limit/pingpong_wire.h"
#include "runtime/limit/wire.h"

namespace
{

// What is sealed by one end opens at the other, once it is whole, and nowhere else.
TEST(PingPongWire, APacketOpensAtTheOtherEnd)
{
    rt_pingpong_wire ask;
    rt_pingpong_wire answer;
    ASSERT_EQ(rt_pingpong_wire_init(&ask, quic_crypto_best(), 64, true), QUIC_OK);
    ASSERT_EQ(rt_pingpong_wire_init(&answer, quic_crypto_best(), 64, false), QUIC_OK);
    const uint32_t len = rt_pingpong_wire_len(&ask);
    EXPECT_EQ(len, 64 + RT_LIMIT_OVERHEAD);
    std::vector<uint8_t> first(len);
    for (int i = 0; i < 70000; i++) { // past the end of a 2-byte packet number
        rt_pingpong_wire_fill(&ask, first.data());
        ASSERT_TRUE(rt_pingpong_wire_take(&answer, first.data(), len)) << i;
    }
    std::vector<uint8_t> next(len);
    rt_pingpong_wire_fill(&ask, next.data());
    std::vector<uint8_t> own = next;
    EXPECT_FALSE(rt_pingpong_wire_take(&ask, own.data(), len));
    EXPECT_FALSE(rt_pingpong_wire_take(&answer, own.data(), len - 1));
    std::vector<uint8_t> bad = next;
    bad[len - 1] ^= 1;
    EXPECT_FALSE(rt_pingpong_wire_take(&answer, bad.data(), len));
    EXPECT_TRUE(rt_pingpong_wire_take(&answer, next.data(), len));
    rt_pingpong_wire_deinit(&ask);
    rt_pingpong_wire_deinit(&answer);
}

TEST(PingPongWire, WithoutEncryptionOnlyTheSizeCounts)
{
    rt_pingpong_wire wire;
    ASSERT_EQ(rt_pingpong_wire_init(&wire, nullptr, 3, true), QUIC_OK);
    std::vector<uint8_t> data(4, 7);
    EXPECT_EQ(rt_pingpong_wire_len(&wire), 3u);
    rt_pingpong_wire_fill(&wire, data.data());
    EXPECT_EQ(data, (std::vector<uint8_t>{0, 0, 0, 7}));
    EXPECT_TRUE(rt_pingpong_wire_take(&wire, data.data(), 3));
    EXPECT_FALSE(rt_pingpong_wire_take(&wire, data.data(), 4));
    rt_pingpong_wire_deinit(&wire);
}

} // namespace
