/* Frames that are decided together are those that would be decided one after the other. */
#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/stream_send.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;

struct Half {
    Half(uint64_t id, uint64_t limit)
    {
        quic_stream_init(&s, &memory.mem, id, 8);
        s.send_state = QUIC_SEND_READY;
        s.send_buf_bytes = 1u << 20;
        quic_flow_send_init(&s.send_flow, limit);
    }
    ~Half()
    {
        quic_stream_check_invariants(&s);
        quic_stream_deinit(&s);
        EXPECT_EQ(0u, memory.mem.used_bytes);
    }
    void Write(const std::string &data, uint32_t flags)
    {
        size_t taken = 0;
        ASSERT_EQ(QUIC_OK,
                  quic_stream_write(&s, &taken, reinterpret_cast<const uint8_t *>(data.data()),
                                    data.size(), flags, 1u << 30));
        ASSERT_EQ(data.size(), taken);
    }
    /* One frame; "": there is none. */
    std::string One(size_t room, uint64_t credit)
    {
        quic_stream_chunk chunk;
        if (!quic_stream_send_next(&s, credit, room, &chunk)) {
            return "";
        }
        std::string frame(quic_stream_chunk_size(&chunk), '\0');
        (void)quic_stream_chunk_encode(&s, &chunk, reinterpret_cast<uint8_t *>(&frame[0]));
        quic_stream_send_commit(&s, &chunk);
        new_bytes += chunk.new_bytes;
        return frame;
    }
    /* A run of them; the frames one behind the other. */
    std::string Run(size_t room, uint64_t credit, uint32_t max, uint32_t *count)
    {
        quic_stream_run run;
        std::string all;
        *count = 0;
        if (!quic_stream_send_run(&s, credit, room, max, &run)) {
            return all;
        }
        EXPECT_EQ(room, size_t{run.header_len} + run.len);
        for (uint32_t i = 0; i < run.count; i++) {
            std::string head(run.header_len, '\0');
            EXPECT_EQ(head.size(), quic_stream_run_encode_head(
                                       &s, &run, i, reinterpret_cast<uint8_t *>(&head[0])));
            all +=
                head + std::string(reinterpret_cast<const char *>(run.data) + size_t{i} * run.len,
                                   run.len);
        }
        quic_stream_send_run_commit(&s, &run);
        new_bytes += uint64_t{run.count} * run.len;
        *count = run.count;
        return all;
    }

    Memory memory;
    quic_stream s;
    uint64_t new_bytes = 0;
};

/* Two streams with the same bytes, written in the same pieces, some lent and some copied. */
TEST(SendRun, IsWhatComesOneByOne)
{
    stream_test::Rng rng(7);
    uint64_t together = 0;
    for (int round = 0; round < 400; round++) {
        const uint64_t id = round % 3 == 0 ? 4 : round % 3 == 1 ? 400 : 40000;
        const uint64_t limit = 20000 + rng.Below(60000);
        const uint64_t conn_credit = 20000 + rng.Below(60000);
        const std::vector<uint8_t> noise = rng.Bytes(60000);
        const std::string data(noise.begin(), noise.end());
        std::deque<std::string> pieces; /* lent ones stay */
        Half a(id, limit);
        Half b(id, limit);
        size_t at = 0;
        while (at < data.size()) {
            size_t len = std::min<size_t>(data.size() - at, 1 + rng.Below(30000));
            uint32_t flags = rng.Below(2) != 0 ? QUIC_STREAM_WRITE_LEND : 0;
            flags |= at + len == data.size() && round % 2 != 0 ? QUIC_STREAM_WRITE_FIN : 0;
            pieces.emplace_back(data, at, len);
            a.Write(pieces.back(), flags);
            b.Write(pieces.back(), flags);
            at += len;
        }
        for (;;) {
            const size_t room = 100 + rng.Below(1400);
            uint32_t count = 0;
            std::string run = b.Run(room, conn_credit - b.new_bytes,
                                    1 + static_cast<uint32_t>(rng.Below(50)), &count);
            std::string single;
            for (uint32_t i = 0; i < count; i++) {
                single += a.One(room, conn_credit - a.new_bytes);
            }
            ASSERT_EQ(single, run);
            ASSERT_EQ(a.s.send.next_off, b.s.send.next_off);
            ASSERT_EQ(a.s.send_flow.used, b.s.send_flow.used);
            if (count > 0) {
                ASSERT_TRUE(quic_stream_can_send(&b.s, conn_credit - b.new_bytes));
            }
            together += count;
            std::string next = a.One(room, conn_credit - a.new_bytes);
            ASSERT_EQ(next, b.One(room, conn_credit - b.new_bytes));
            if (next.empty()) {
                break;
            }
        }
        ASSERT_EQ(a.s.send_state, b.s.send_state);
        ASSERT_EQ(a.s.fin_sent, b.s.fin_sent);
    }
    EXPECT_GT(together, 5000u);
}

TEST(SendRun, IsNoneWhereBytesAreLostOrTheStreamIsReset)
{
    uint32_t count = 0;
    Half h(4, 1u << 20);
    const std::string data(50000, 'x');
    h.Write(data, 0);
    EXPECT_EQ("", h.Run(1000, 1u << 20, 10, &count)); /* the first frame has no offset */
    EXPECT_NE("", h.One(1000, 1u << 20));
    EXPECT_NE("", h.Run(1000, 1u << 20, 10, &count));
    EXPECT_EQ(10u, count);
    EXPECT_TRUE(quic_stream_on_lost(&h.s, 0, 500, false));
    EXPECT_EQ("", h.Run(1000, 1u << 20, 10, &count));
    EXPECT_NE("", h.One(1000, 1u << 20));
    EXPECT_NE("", h.Run(1000, 1u << 20, 3, &count));
    EXPECT_EQ(3u, count);
    quic_stream_send_facts facts;
    EXPECT_EQ(QUIC_OK, quic_stream_reset_at(&h.s, 7, 40000, &facts));
    EXPECT_EQ("", h.Run(1000, 1u << 20, 10, &count));
}

TEST(SendRun, LeavesSomethingOfEveryBound)
{
    uint32_t count = 0;
    const std::string data(10000, 'x');
    Half stream(4, 998 + 4000); /* its credit */
    stream.Write(data, 0);
    EXPECT_NE("", stream.One(1000, 1u << 20));
    EXPECT_NE("", stream.Run(1004, 1u << 20, 100, &count));
    EXPECT_EQ(3u, count);
    Half conn(4, 1u << 20); /* the connection's */
    conn.Write(data, 0);
    EXPECT_NE("", conn.One(1000, 1u << 20));
    EXPECT_EQ("", conn.Run(1004, 1000, 100, &count));
    EXPECT_NE("", conn.Run(1004, 1001, 100, &count));
    EXPECT_EQ(1u, count);
    EXPECT_EQ("", conn.Run(4, 1u << 20, 100, &count)); /* no room for a byte of data */
}

} // namespace
