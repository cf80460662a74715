/* What a peer can make a program hold that does not read: SO_RCVBUF bounds the bytes of it, but a peer chooses how few
 * of them stand together. */
#include <cerrno>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/message.h"

using namespace compat;

namespace
{

constexpr uint64_t kWindow = 65536;

Pair small_window_pair()
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_data = kWindow;
        p.max_datagram_frame_size = 1400;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    return make_pair(options);
}

/* All that was sent has been acknowledged, within `tries` times 5 ms. */
bool settled(int fd, int tries)
{
    int left = 1;
    for (int i = 0; i < tries && ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0; i++) {
        usleep(5000);
    }
    return left == 0;
}

/* Opens one-way streams that end at once until the other side allows no more for `tries` times 5 ms. */
int open_and_end(int fd, int most, int tries = 100)
{
    for (int opened = 0, waits = 0; opened < most;) {
        if (send(fd, "", 0, MSG_SYN | MSG_FIN | MSG_STREAM_UNI | MSG_DONTWAIT) >= 0) {
            opened++;
            waits = 0;
        } else if (errno != EAGAIN || waits++ == tries) {
            return opened;
        } else {
            usleep(5000);
        }
    }
    return most;
}

int ends_that_wait(int fd)
{
    int ends = 0;
    while (poll_for(fd, POLLIN, 500)) {
        Message m = receive(fd);
        if ((m.flags & QUIC_STREAM_FLAG_FIN) == 0 || !m.bytes.empty()) {
            return -1;
        }
        ends++;
    }
    return ends;
}

} // namespace

/* Streams that have nothing but an end hold no byte of a window, and cost all the same. */
TEST(Hoard, H097_EndsOfEmptyStreams)
{
    constexpr int kMost = 30000;
    Pair pair = small_window_pair();
    int opened = open_and_end(pair.client, kMost);
    EXPECT_LT(opened, kMost) << "as many as the client likes";
    EXPECT_GT(opened, 100);
    /* Those that found no room were kept back, and none is lost. */
    EXPECT_EQ(opened, ends_that_wait(pair.server));
    EXPECT_GT(open_and_end(pair.client, 200), 100) << "room again";
}

/* Who has shut down for reading is told nothing, and keeps nothing. */
TEST(Hoard, H097_EndsThatNobodyWillRead)
{
    Pair pair = make_pair();
    ASSERT_EQ(0, shutdown(pair.server, SHUT_RD));
    ASSERT_EQ(4000, open_and_end(pair.client, 4000, 4000));
    /* What both sides have of streams is there. */
    const long before = held_bytes();
    ASSERT_EQ(8000, open_and_end(pair.client, 8000, 4000));
    EXPECT_LT(held_bytes() - before, 200000) << "more than 300,000 bytes to remember them";
}

TEST(Hoard, H097_SmallDatagrams)
{
    constexpr int kMost = 20000;
    Pair pair = small_window_pair();
    for (int i = 0; i < kMost; i++) {
        ASSERT_EQ(1, send(pair.client, "d", 1, MSG_DATAGRAM));
        if (i % 32 == 31) {
            ASSERT_TRUE(settled(pair.client, 1000));
        }
    }
    int there = 0;
    while (poll_for(pair.server, POLLIN, 500)) {
        ASSERT_EQ(1, receive(pair.server).rc);
        there++;
    }
    EXPECT_GT(there, 1000);
    EXPECT_LT(there, kMost * 3 / 4) << "the others were dropped (RFC 9221 5.3)";
}

/* A byte of one stream, then a byte of another: each stands alone in the queue. */
TEST(Hoard, H097_BytesOfManyStreams)
{
    constexpr int kStreams = 50;
    constexpr int kRounds = 400;
    Pair pair = small_window_pair();
    for (uint64_t i = 0; i < kStreams; i++) {
        ASSERT_EQ(1, quic_sendmsg(pair.client, "b", 1, 4 * i, QUIC_STREAM_FLAG_NEW));
    }
    ASSERT_TRUE(settled(pair.client, 1000));
    const long before = held_bytes();
    for (int round = 1; round < kRounds; round++) {
        for (uint64_t i = 0; i < kStreams; i++) {
            ASSERT_EQ(1, quic_sendmsg(pair.client, "b", 1, 4 * i, 0));
        }
        ASSERT_TRUE(settled(pair.client, 1000));
    }
    EXPECT_LT(held_bytes() - before, 20 << 20) << "2 KiB for each of 20,000 bytes";
    EXPECT_EQ(std::string(size_t{kStreams} * kRounds, 'b'),
              read_bytes(pair.server, size_t{kStreams} * kRounds));
}
