/* Bytes through sockets, both ways, as TCP's programs do it. */
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

TEST(Transfer, SmallBothWays)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send(pair.client, "ping", 4, MSG_SYN | MSG_FIN));
    EXPECT_EQ("ping", read_bytes(pair.server, 4));
    ASSERT_EQ(4, send(pair.server, "pong", 4, MSG_SYN | MSG_FIN));
    EXPECT_EQ("pong", read_bytes(pair.client, 4));
}

TEST(Transfer, MegabytesInOneStream)
{
    Pair pair = make_pair();
    const std::string data = pattern(32u << 20);
    std::thread writer([&] {
        size_t done = 0;
        while (done < data.size()) {
            ssize_t n = send(pair.client, data.data() + done,
                             std::min<size_t>(65536, data.size() - done), done == 0 ? MSG_SYN : 0);
            ASSERT_GT(n, 0) << strerror(errno);
            done += static_cast<size_t>(n);
        }
    });
    EXPECT_EQ(data, read_bytes(pair.server, data.size()));
    writer.join();
}

TEST(Transfer, CloseDeliversWhatWasSent)
{
    Pair pair = make_pair();
    const std::string data = pattern(1u << 20, 7);
    ASSERT_EQ(static_cast<ssize_t>(data.size()),
              send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    pair.client.reset();
    EXPECT_EQ(data, read_bytes(pair.server, data.size()));
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(pair.server, &c, 1, 0));
}

/* A server with little room, and a client that has sent `data` and its end, and closes. */
static Pair sent_to_little_room(const std::string &data, int linger_s)
{
    PairOptions options;
    options.listener = [](int fd) {
        const int room = 65536;
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)));
        quic_transport_param p = {};
        p.max_data = 65536;
        p.max_stream_data_bidi_remote = 65536;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, sizeof(p)));
    };
    Pair pair = make_pair(options);
    const int all = 4 << 20;
    const linger l = {linger_s > 0 ? 1 : 0, linger_s};
    EXPECT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &all, sizeof(all)));
    EXPECT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    EXPECT_EQ(static_cast<ssize_t>(data.size()),
              send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    return pair;
}

/* Longer than close waits for a peer that is silent, but this one is not. */
TEST(Transfer, CloseDeliversToASlowReader)
{
    const std::string data = pattern(1u << 20, 8);
    Pair pair = sent_to_little_room(data, 0);
    pair.client.reset();
    std::string got;
    while (got.size() < data.size()) {
        usleep(32000);
        const std::string some = read_bytes(pair.server, 16384);
        got += some;
        if (some.size() < 16384) {
            break;
        }
    }
    EXPECT_EQ(data.size(), got.size());
    EXPECT_TRUE(data == got);
}

TEST(Transfer, CloseLingersForAReaderThatPauses)
{
    const std::string data = pattern(1u << 20, 9);
    Pair closed = sent_to_little_room(data, 20);
    Pair shut = sent_to_little_room(data, 20);
    ASSERT_EQ(0, shutdown(shut.client, SHUT_WR));
    usleep(20000); /* that wait has begun, and is without the time of this one */
    std::thread closer([&] { closed.client.reset(); });
    std::thread shutter([&] { shut.client.reset(); });
    usleep(1300000);
    EXPECT_EQ(data.size(), read_bytes(closed.server, data.size()).size());
    EXPECT_EQ(data.size(), read_bytes(shut.server, data.size()).size());
    closer.join();
    shutter.join();
}

TEST(Transfer, PollFollowsTheData)
{
    Pair pair = make_pair();
    EXPECT_EQ(POLLOUT, poll_now(pair.server));
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    EXPECT_TRUE(poll_for(pair.server, POLLIN | POLLOUT));
    EXPECT_EQ("x", read_bytes(pair.server, 1));
    EXPECT_EQ(POLLOUT, poll_now(pair.server));
    ASSERT_EQ(1, send(pair.client, "y", 1, 0));
    EXPECT_TRUE(poll_for(pair.server, POLLIN | POLLOUT));
    EXPECT_EQ("y", read_bytes(pair.server, 1));
    pair.client.reset();
    EXPECT_TRUE(poll_for(pair.server, POLLIN | POLLHUP | POLLRDHUP));
}
