#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/proto.h"

/* A stream that takes what the test allows and remembers it. */
static struct {
    std::vector<uint8_t> bytes;
    size_t room;
    size_t calls;
    bool ended;
    quring_status failure;
} fake;

static quring_status fake_take(size_t *out, const void *data, size_t len, uint32_t flags)
{
    fake.calls++;
    if (fake.failure != QURING_OK) {
        return fake.failure;
    }
    size_t take = std::min(len, fake.room);
    if (take == 0 && len > 0) {
        return QURING_E_AGAIN;
    }
    const uint8_t *bytes = static_cast<const uint8_t *>(data);
    fake.bytes.insert(fake.bytes.end(), bytes, bytes + take);
    fake.room -= take;
    fake.ended = (flags & QURING_WRITE_FIN) != 0 && take == len;
    *out = take;
    return QURING_OK;
}

quring_status quring_stream_write(quring_stream, size_t *out, const void *data, size_t len,
                                  uint32_t flags)
{
    return fake_take(out, data, len, flags);
}

quring_status quring_stream_lend(quring_stream, size_t *out, const void *data, size_t len,
                                 uint32_t flags)
{
    return fake_take(out, data, len, flags);
}

namespace
{

void Reset(size_t room)
{
    fake = {};
    fake.room = room;
}

TEST(Proto, EncodesBigEndian)
{
    uint8_t out[QP_HEADER_LEN];
    qp_header_encode(out, 0x0102030405060708);
    EXPECT_EQ(memcmp(out, "\1\2\3\4\5\6\7\10", 8), 0);
    qp_header_encode(out, QP_ENDLESS);
    EXPECT_EQ(memcmp(out, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
}

TEST(Proto, CollectsAHeaderSplitAnywhere)
{
    uint8_t data[20] = {0, 0, 0, 1, 0, 0, 2, 3};
    for (size_t first = 0; first <= 8; first++) {
        for (size_t second = first; second <= 8; second++) {
            qp_header header = {};
            EXPECT_EQ(qp_header_feed(&header, data, first), first);
            EXPECT_EQ(qp_header_is_complete(&header), first == 8);
            EXPECT_EQ(qp_header_feed(&header, data + first, second - first), second - first);
            EXPECT_EQ(qp_header_feed(&header, data + second, 20 - second), 8 - second);
            ASSERT_TRUE(qp_header_is_complete(&header));
            EXPECT_EQ(qp_header_value(&header), 0x0000000100000203u);
            EXPECT_EQ(qp_header_feed(&header, data, 20), 0u);
        }
    }
}

TEST(Proto, SendsASmallRequestInOneWrite)
{
    qp_pump pump;
    Reset(1 << 20);
    qp_pump_init(&pump, quring_stream{1}, 64);
    qp_pump_add_header(&pump, 1024);
    EXPECT_EQ(qp_pump_run(&pump), QURING_OK);
    EXPECT_EQ(fake.calls, 1u);
    EXPECT_EQ(fake.bytes.size(), 72u);
    EXPECT_EQ(memcmp(fake.bytes.data(), "\0\0\0\0\0\0\4\0", 8), 0);
    EXPECT_TRUE(fake.ended);
    EXPECT_EQ(qp_pump_run(&pump), QURING_OK);
    EXPECT_EQ(fake.calls, 1u);
}

TEST(Proto, SendsNothingButTheEnd)
{
    qp_pump pump;
    Reset(0);
    qp_pump_init(&pump, quring_stream{1}, 0);
    EXPECT_EQ(qp_pump_run(&pump), QURING_OK);
    EXPECT_TRUE(fake.ended);
    EXPECT_TRUE(fake.bytes.empty());
}

TEST(Proto, GoesOnWhereItWasCut)
{
    for (size_t step : {1u, 3u, 7u, 8u, 9u, 1000u, 1024u, 100000u}) {
        for (uint64_t payload : {0u, 1u, 64u, 1024u, 1025u, 5000u, 600000u}) {
            if (step < 1000 && payload > 5000) {
                continue;
            }
            qp_pump pump;
            Reset(0);
            qp_pump_init(&pump, quring_stream{1}, payload);
            qp_pump_add_header(&pump, 77);
            size_t rounds = 0;
            while (qp_pump_run(&pump) == QURING_E_AGAIN) {
                ASSERT_LT(rounds++, 100000u);
                fake.room += step;
            }
            ASSERT_TRUE(fake.ended) << step << " " << payload;
            ASSERT_EQ(fake.bytes.size(), payload + 8);
            ASSERT_EQ(fake.bytes[7], 77);
            ASSERT_EQ(pump.offset, payload);
        }
    }
}

TEST(Proto, RunsForeverUntilFinished)
{
    qp_pump pump;
    Reset(3 << 20);
    qp_pump_init(&pump, quring_stream{1}, QP_ENDLESS);
    EXPECT_EQ(qp_pump_run(&pump), QURING_E_AGAIN);
    EXPECT_EQ(fake.bytes.size(), 3u << 20);
    EXPECT_FALSE(fake.ended);
    qp_pump_finish(&pump);
    EXPECT_EQ(qp_pump_run(&pump), QURING_OK);
    EXPECT_TRUE(fake.ended);
    EXPECT_EQ(fake.bytes.size(), 3u << 20);
}

TEST(Proto, ReportsAStreamThatIsGone)
{
    for (uint64_t payload : {64u, 100000u}) {
        qp_pump pump;
        Reset(0);
        fake.failure = QURING_E_STATE;
        qp_pump_init(&pump, quring_stream{1}, payload);
        qp_pump_add_header(&pump, 1);
        EXPECT_EQ(qp_pump_run(&pump), QURING_E_STATE);
    }
}

} // namespace
