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
