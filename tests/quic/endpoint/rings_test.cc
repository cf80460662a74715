/* The memory of streams that are empty: none of it stands in the way of those that have something to keep. */
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

/* Writes to an open stream, without its end. */
size_t put(Net &net, quic_stream *stream, const std::string &bytes, size_t from)
{
    size_t accepted = 0;
    (void)quic_conn_stream_write(net.client.conn, stream,
                                 reinterpret_cast<const uint8_t *>(bytes.data()) + from,
                                 bytes.size() - from, 0, &accepted);
    return accepted;
}

/* All of `bytes`, of which as much waits at the server as the windows allow. */
void fill(Net &net, quic_stream *stream, const std::string &bytes)
{
    size_t done = 0;
    for (int i = 0; i < 400 && done < bytes.size() && net.client.conn != nullptr; i++) {
        done += put(net, stream, bytes, done);
        net.run_for(20 * kMs);
    }
    net.run_for(100 * kMs);
    EXPECT_EQ(done, bytes.size());
}

TEST(Rings, StreamsThatWereFullOnceLeaveRoomForOthers)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    net.server.read_streams = false;
    const std::string bytes = bytes_of(256 * 1024);
    for (int i = 0; i < 100; i++) {
        quic_stream *stream = nullptr;
        ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &stream), QUIC_OK) << i;
        fill(net, stream, bytes);
        ASSERT_EQ(net.client.find(QURING_EV_CLOSED), nullptr) << i;
        net.read_unread(net.server);
        ASSERT_EQ(net.server.streams[quic_stream_id(stream)].bytes, bytes) << i;
    }
    EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
}

/* A window is no power of two, a ring is one; while it grows there are two of them. */
TEST(Rings, AWholeWindowHasRoom)
{
    Net net([](sim::Options &o) {
        quring_limits &l = o.server.limits;
        l.stream_recv_window_bytes = l.stream_recv_window_max_bytes = 9u << 20;
        l.conn_recv_window_bytes = l.conn_recv_window_max_bytes = 9u << 20;
        l.conn_send_buf_bytes = l.stream_send_buf_bytes = 64u << 10;
    });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    net.server.read_streams = false;
    const std::string bytes = bytes_of(9u << 20);
    quic_stream *stream = nullptr;
    ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &stream), QUIC_OK);
    fill(net, stream, bytes);
    ASSERT_EQ(net.client.find(QURING_EV_CLOSED), nullptr);
    net.read_unread(net.server);
    EXPECT_EQ(net.server.streams[quic_stream_id(stream)].bytes.size(), bytes.size());
}

/* The sender keeps as much, one stream after the other. */
TEST(Rings, AWriterWritesThoughOthersWroteBefore)
{
    Net net([](sim::Options &o) {
        o.clients[0].limits.stream_send_buf_bytes = 1u << 20;
        o.clients[0].limits.conn_send_buf_bytes = 1u << 20;
    });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    const std::string bytes = bytes_of(1u << 20);
    for (int i = 0; i < 20; i++) {
        quic_stream *stream = nullptr;
        size_t accepted = 0;
        ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &stream), QUIC_OK) << i;
        ASSERT_EQ(quic_conn_stream_write(net.client.conn, stream,
                                         reinterpret_cast<const uint8_t *>(bytes.data()),
                                         bytes.size(), 0, &accepted),
                  QUIC_OK)
            << i;
        EXPECT_EQ(accepted, bytes.size()) << i;
        net.run_for(500 * kMs);
    }
}

/* What a program outside says of its windows once a client has come is no less a promise. */
TEST(Rings, MemoryFollowsLimitsThatAreSetLater)
{
    Net net;
    quic_connect_config config{};
    config.path.local = net.client.addr;
    config.path.remote = net.server.addr;
    config.limits = net.options.clients[0].limits;
    quic_conn *conn = nullptr;
    ASSERT_EQ(quic_endpoint_connect(net.client.ep, &conn, &config, net.now), QUIC_OK);
    quring_limits more = config.limits;
    more.conn_recv_window_max_bytes = 256u << 20;
    ASSERT_EQ(quic_conn_hs_set_limits(conn, &more), QUIC_OK);
    EXPECT_GE(sim_inspect_mem_limit(conn), 2 * more.conn_recv_window_max_bytes);
}

} // namespace
