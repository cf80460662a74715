#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/varint.h"
#include "tests/quic/wire/hex.h"

namespace
{

struct Vector {
    const char *hex;
    uint64_t value;
};

/* RFC 9000 A.1, then the edges of each length, then encodings that are not the shortest. */
const Vector kVectors[] = {
    {"c2197c5eff14e88c", 151288809941952652ull},
    {"9d7f3e7d", 494878333},
    {"7bbd", 15293},
    {"25", 37},
    {"4025", 37},
    {"00", 0},
    {"3f", 63},
    {"4040", 64},
    {"7fff", 16383},
    {"80004000", 16384},
    {"bfffffff", 1073741823},
    {"c000000040000000", 1073741824},
    {"ffffffffffffffff", 4611686018427387903ull},
    {"4000", 0},
    {"80000000", 0},
    {"c000000000000000", 0},
};

TEST(Varint, DecodesTheVectors)
{
    for (const Vector &v : kVectors) {
        std::vector<uint8_t> bytes = FromHex(v.hex);
        uint64_t value = 0;
        EXPECT_EQ(quic_varint_decode(bytes.data(), bytes.data() + bytes.size(), &value),
                  bytes.size());
        EXPECT_EQ(value, v.value) << v.hex;
    }
}

TEST(Varint, EncodesTheShortestForm)
{
    for (const Vector &v : kVectors) {
        std::vector<uint8_t> bytes = FromHex(v.hex);
        if (bytes.size() == quic_varint_len(v.value)) {
            uint8_t out[8];
            ASSERT_EQ(quic_varint_encode(out, v.value), bytes.size());
            EXPECT_EQ(memcmp(out, bytes.data(), bytes.size()), 0) << v.hex;
        }
    }
}

TEST(Varint, ForcedWidths)
{
    uint8_t out[4];
    uint64_t value = 0;
    EXPECT_EQ(quic_varint_encode_2(out, 37), 2u);
    EXPECT_EQ(out[0], 0x40);
    EXPECT_EQ(out[1], 0x25);
    EXPECT_EQ(quic_varint_encode_4(out, 37), 4u);
    EXPECT_EQ(quic_varint_decode(out, out + 4, &value), 4u);
    EXPECT_EQ(value, 37u);
}

TEST(Varint, CutShortIsRefused)
{
    for (const Vector &v : kVectors) {
        std::vector<uint8_t> bytes = FromHex(v.hex);
        for (size_t len = 0; len < bytes.size(); len++) {
            uint64_t value = 77;
            EXPECT_EQ(quic_varint_decode(bytes.data(), bytes.data() + len, &value), 0u);
            EXPECT_EQ(value, 77u);
            quic_reader r = quic_reader_make(bytes.data(), len);
            EXPECT_FALSE(quic_reader_varint(&r, &value));
            EXPECT_EQ(quic_reader_left(&r), len);
        }
    }
}

TEST(Varint, CursorsRoundTrip)
{
    quic_rng_seeded_state state = {1};
    quic_rng rng = quic_rng_seeded(&state);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = quic_rng_u64(&rng) >> (2 + quic_rng_u64(&rng) % 62);
        uint8_t buf[8];
        size_t len = quic_varint_len(v);
        quic_writer small = quic_writer_make(buf, len - 1);
        ASSERT_FALSE(quic_writer_varint(&small, v));
        quic_writer w = quic_writer_make(buf, len);
        ASSERT_TRUE(quic_writer_varint(&w, v));
        ASSERT_EQ(quic_writer_left(&w), 0u);
        quic_reader r = quic_reader_make(buf, len);
        uint64_t back = 0;
        ASSERT_TRUE(quic_reader_varint(&r, &back));
        ASSERT_EQ(back, v);
        ASSERT_EQ(quic_reader_left(&r), 0u);
    }
}

} // namespace
