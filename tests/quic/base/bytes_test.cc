#include <gtest/gtest.h>

#include "quic/base/bytes.h"

namespace
{

TEST(Bytes, WritesAndReadsBigEndian)
{
    uint8_t buf[18];
    quic_writer w = quic_writer_make(buf, sizeof(buf));
    const uint8_t tail[3] = {7, 8, 9};
    ASSERT_TRUE(quic_writer_u8(&w, 0x01));
    ASSERT_TRUE(quic_writer_u16(&w, 0x0203));
    ASSERT_TRUE(quic_writer_u32(&w, 0x04050607));
    ASSERT_TRUE(quic_writer_u64(&w, 0x08090a0b0c0d0e0full));
    ASSERT_TRUE(quic_writer_bytes(&w, tail, 3));
    EXPECT_EQ(quic_writer_left(&w), 0u);
    for (uint8_t i = 0; i < 15; i++) {
        EXPECT_EQ(buf[i], i + 1);
    }
    quic_reader r = quic_reader_make(buf, sizeof(buf));
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    const uint8_t *view;
    ASSERT_TRUE(quic_reader_u8(&r, &a) && quic_reader_u16(&r, &b) && quic_reader_u32(&r, &c) &&
                quic_reader_u64(&r, &d));
    EXPECT_EQ(a, 0x01);
    EXPECT_EQ(b, 0x0203);
    EXPECT_EQ(c, 0x04050607u);
    EXPECT_EQ(d, 0x08090a0b0c0d0e0full);
    ASSERT_TRUE(quic_reader_skip(&r, 1));
    ASSERT_TRUE(quic_reader_bytes(&r, &view, 1));
    EXPECT_EQ(*view, 8);
    ASSERT_TRUE(quic_reader_copy(&r, &a, 1));
    EXPECT_EQ(a, 9);
    EXPECT_EQ(quic_reader_left(&r), 0u);
}

TEST(Bytes, TooShortLeavesTheReaderAlone)
{
    const uint8_t buf[8] = {0};
    for (size_t len = 0; len < 8; len++) {
        quic_reader r = quic_reader_make(buf, len);
        uint8_t a = 42;
        uint16_t b = 42;
        uint32_t c = 42;
        uint64_t d = 42;
        const uint8_t *view = nullptr;
        uint8_t copy[8];
        EXPECT_EQ(quic_reader_u64(&r, &d), false);
        EXPECT_EQ(d, 42u);
        EXPECT_FALSE(quic_reader_bytes(&r, &view, len + 1));
        EXPECT_FALSE(quic_reader_copy(&r, copy, len + 1));
        EXPECT_FALSE(quic_reader_skip(&r, SIZE_MAX));
        EXPECT_EQ(quic_reader_left(&r), len);
        if (len < 4) {
            EXPECT_FALSE(quic_reader_u32(&r, &c));
            EXPECT_EQ(c, 42u);
        }
        if (len < 2) {
            EXPECT_FALSE(quic_reader_u16(&r, &b));
            EXPECT_EQ(b, 42u);
        }
        if (len < 1) {
            EXPECT_FALSE(quic_reader_u8(&r, &a));
            EXPECT_EQ(a, 42u);
        }
        EXPECT_EQ(quic_reader_left(&r), len);
    }
}

TEST(Bytes, NoRoomLeavesTheWriterAlone)
{
    uint8_t buf[8];
    for (size_t room = 0; room < 8; room++) {
        memset(buf, 0xee, sizeof(buf));
        quic_writer w = quic_writer_make(buf, room);
        EXPECT_FALSE(quic_writer_u64(&w, 0));
        EXPECT_EQ(quic_writer_u32(&w, 0xeeeeeeee), room >= 4);
        w = quic_writer_make(buf, room);
        EXPECT_EQ(quic_writer_u16(&w, 0xeeee), room >= 2);
        w = quic_writer_make(buf, room);
        EXPECT_EQ(quic_writer_u8(&w, 0xee), room >= 1);
        w = quic_writer_make(buf, room);
        EXPECT_FALSE(quic_writer_bytes(&w, buf, room + 1));
        EXPECT_TRUE(quic_writer_bytes(&w, nullptr, 0));
        EXPECT_EQ(quic_writer_left(&w), room);
        for (uint8_t byte : buf) {
            EXPECT_EQ(byte, 0xee);
        }
    }
}

} // namespace
