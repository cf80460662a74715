#include <set>

#include <gtest/gtest.h>

#include "quic/crypto/hash.h"

namespace
{

/* Vectors of the SipHash paper's reference code: key 00..0f, message 00..(n-1). */
TEST(Hash, MatchesSipHash24Vectors)
{
    uint8_t key[16];
    uint8_t msg[64];
    for (unsigned i = 0; i < 64; i++) {
        msg[i] = static_cast<uint8_t>(i);
        if (i < 16) {
            key[i] = static_cast<uint8_t>(i);
        }
    }
    EXPECT_EQ(quic_siphash(key, nullptr, 0), 0x726fdb47dd0e0e31ull);
    EXPECT_EQ(quic_siphash(key, msg, 1), 0x74f839c593dc67fdull);
    EXPECT_EQ(quic_siphash(key, msg, 8), 0x93f5f5799a932462ull);
    EXPECT_EQ(quic_siphash(key, msg, 15), 0xa129ca6149be45e5ull);
}

TEST(Hash, DependsOnKeyAndEveryByte)
{
    uint8_t key[16] = {1};
    uint8_t msg[20] = {0};
    std::set<uint64_t> seen = {quic_siphash(key, msg, sizeof(msg))};
    for (unsigned i = 0; i < sizeof(msg); i++) {
        msg[i] ^= 1;
        EXPECT_TRUE(seen.insert(quic_siphash(key, msg, sizeof(msg))).second);
        msg[i] ^= 1;
    }
    key[15] ^= 1;
    EXPECT_TRUE(seen.insert(quic_siphash(key, msg, sizeof(msg))).second);
}

} // namespace
