#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/packet_number.h"

namespace
{

/* RFC 9000 A.2 */
TEST(PacketNumber, EncodedLength)
{
    EXPECT_EQ(quic_pn_encode_len(0xac5c02, 0xabe8b3), 2);
    EXPECT_EQ(quic_pn_encode_len(0xace8fe, 0xabe8b3), 3);
    EXPECT_EQ(quic_pn_encode_len(0, QUIC_PN_NONE), 1);
    EXPECT_EQ(quic_pn_encode_len(126, QUIC_PN_NONE), 1);
    EXPECT_EQ(quic_pn_encode_len(127, QUIC_PN_NONE), 2);
    EXPECT_EQ(quic_pn_encode_len(QUIC_VARINT_MAX, QUIC_VARINT_MAX - 1), 1);
    EXPECT_EQ(quic_pn_encode_len(0x10000000, 0), 4);
}

struct DecodeVector {
    uint64_t expected; /* largest received + 1 */
    uint64_t truncated;
    uint8_t len;
    uint64_t result;
};

/* The first is RFC 9000 A.3; the others are edges of its pseudocode. */
TEST(PacketNumber, Decode)
{
    const DecodeVector vectors[] = {
        {0xa82f30eb, 0x9b32, 2, 0xa82f9b32},
        {0, 0, 1, 0},
        {1, 1, 1, 1},
        {128, 128, 1, 128},
        {255, 0, 1, 256},
        {256, 255, 1, 255},
        {17, 240, 1, 240},
        {65536, 0, 2, 65536},
        {4611686018427387902ull, 254, 1, 4611686018427387902ull},
        {4611686018427387903ull, 255, 1, 4611686018427387903ull},
        {2860708623ull, 31, 1, 2860708639ull},
        {4294967296ull, 0, 4, 4294967296ull},
        {385, 127, 1, 383},
        {384, 0, 1, 512},
    };
    for (const DecodeVector &v : vectors) {
        EXPECT_EQ(quic_pn_decode(v.truncated, v.len, v.expected), v.result) << v.expected;
    }
    EXPECT_LE(quic_pn_decode(0, 1, QUIC_VARINT_MAX), QUIC_VARINT_MAX);
    EXPECT_LE(quic_pn_decode(0, 1, QUIC_VARINT_MAX + 1),
              QUIC_VARINT_MAX); /* that one was received */
    EXPECT_LE(quic_pn_decode(0xffffffff, 4, QUIC_VARINT_MAX + 1), QUIC_VARINT_MAX);
}

TEST(PacketNumber, RoundTripsWithinTheWindow)
{
    quic_rng_seeded_state state = {3};
    quic_rng rng = quic_rng_seeded(&state);
    for (int i = 0; i < 50000; i++) {
        uint64_t acked = quic_rng_u64(&rng) >> (2 + quic_rng_u64(&rng) % 62);
        uint64_t ahead = 1 + (quic_rng_u64(&rng) >> (34 + quic_rng_u64(&rng) % 30));
        uint64_t pn = acked + ahead;
        if (pn > QUIC_VARINT_MAX || ahead >= 1ull << 31) {
            continue;
        }
        uint8_t len = quic_pn_encode_len(pn, acked);
        uint8_t buf[4];
        ASSERT_EQ(quic_pn_encode(buf, pn, len), len);
        /* The receiver has seen some packet from the acknowledged one up to the one before. */
        uint64_t expected = acked + 1 + quic_rng_u64(&rng) % ahead;
        ASSERT_EQ(quic_pn_decode(quic_pn_load(buf, len), len, expected), pn);
    }
}

} // namespace
