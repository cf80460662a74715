#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "quic/stream/stream.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;

TEST(Stream, SendStatesFollowFigure2) // RFC 9000 3.1
{
    const std::set<std::pair<int, int>> edges = {
        {QUIC_SEND_READY, QUIC_SEND_SEND},
        {QUIC_SEND_READY, QUIC_SEND_RESET_SENT},
        {QUIC_SEND_SEND, QUIC_SEND_DATA_SENT},
        {QUIC_SEND_SEND, QUIC_SEND_RESET_SENT},
        {QUIC_SEND_DATA_SENT, QUIC_SEND_DATA_RECVD},
        {QUIC_SEND_DATA_SENT, QUIC_SEND_RESET_SENT},
        {QUIC_SEND_RESET_SENT, QUIC_SEND_RESET_RECVD},
    };
    for (int from = 0; from < QUIC_SEND_STATE_COUNT; from++) {
        for (int to = 0; to < QUIC_SEND_STATE_COUNT; to++) {
            EXPECT_EQ(edges.count({from, to}) != 0,
                      quic_send_state_may(static_cast<quic_send_state>(from),
                                          static_cast<quic_send_state>(to)))
                << from << " -> " << to;
        }
    }
}

TEST(Stream, RecvStatesFollowFigure3) // RFC 9000 3.2
{
    const std::set<std::pair<int, int>> edges = {
        {QUIC_RECV_RECV, QUIC_RECV_SIZE_KNOWN},       {QUIC_RECV_RECV, QUIC_RECV_RESET_RECVD},
        {QUIC_RECV_SIZE_KNOWN, QUIC_RECV_DATA_RECVD}, {QUIC_RECV_SIZE_KNOWN, QUIC_RECV_RESET_RECVD},
        {QUIC_RECV_DATA_RECVD, QUIC_RECV_DATA_READ},  {QUIC_RECV_RESET_RECVD, QUIC_RECV_RESET_READ},
    };
    for (int from = 0; from < QUIC_RECV_STATE_COUNT; from++) {
        for (int to = 0; to < QUIC_RECV_STATE_COUNT; to++) {
            EXPECT_EQ(edges.count({from, to}) != 0,
                      quic_recv_state_may(static_cast<quic_recv_state>(from),
                                          static_cast<quic_recv_state>(to)))
                << from << " -> " << to;
        }
    }
}

TEST(StreamDeathTest, WrongEdgeIsOurMistake)
{
    Memory memory;
    quic_stream s;
    quic_stream_init(&s, &memory.mem, 0, 1);
    EXPECT_DEATH(quic_stream_set_send_state(&s, QUIC_SEND_SEND), "assertion failed");
}

TEST(Stream, IdsNameTheirOpenerAndDirection) // RFC 9000 2.1, table 1
{
    EXPECT_TRUE(quic_stream_id_is_local(0, QUIC_CLIENT));
    EXPECT_FALSE(quic_stream_id_is_local(0, QUIC_SERVER));
    EXPECT_TRUE(quic_stream_id_is_local(5, QUIC_SERVER));
    EXPECT_FALSE(quic_stream_id_is_uni(5));
    EXPECT_TRUE(quic_stream_id_is_uni(6));
    EXPECT_EQ(3u, quic_stream_id_type(7));
}

TEST(Stream, AnIdleStreamIsSmallAndOwnsNothing)
{
    Memory memory;
    quic_stream s;
    quic_stream_init(&s, &memory.mem, 4, 8);
    EXPECT_LE(sizeof(s), 512u);
    EXPECT_EQ(0u, memory.mem.used_bytes);
    EXPECT_TRUE(quic_stream_is_closed(&s));
    quic_stream_check_invariants(&s);
    quic_stream_deinit(&s);
}

} // namespace
