#include <cstring>

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "quic/crypto/sha256_blocks.h"
#include "tests/quic/crypto/crypto_test_util.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::TestRng;

/* FIPS 180-4: "abc" is one block with its padding. */
TEST(Sha256Blocks, HashesAbc)
{
    const uint32_t want[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                              0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    uint8_t block[QUIC_SHA256_BLOCK_LEN] = {'a', 'b', 'c', 0x80};
    uint32_t state[8];
    block[63] = 24;
    quic_sha256_init(state);
    quic_sha256_blocks(state, block, 1);
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(state[i], want[i]) << i;
    }
}

TEST(Sha256Blocks, EqualBoringSslFromAnyStateAndPlace)
{
    TestRng rng(3);
    for (int round = 0; round < 2000; round++) {
        const size_t count = (size_t)round % 5;
        const size_t at = (size_t)round % 17; /* data need not be aligned */
        const Bytes data = rng.Take(at + count * QUIC_SHA256_BLOCK_LEN + 1);
        const Bytes start = rng.Take(32);
        uint32_t ours[8];
        uint32_t theirs[8];
        memcpy(ours, start.data(), sizeof(ours));
        memcpy(theirs, start.data(), sizeof(theirs));
        quic_sha256_blocks(ours, data.data() + at, count);
        if (count > 0) {
            SHA256_TransformBlocks(theirs, data.data() + at, count);
        }
        ASSERT_EQ(memcmp(ours, theirs, sizeof(ours)), 0) << round;
    }
}

} // namespace
