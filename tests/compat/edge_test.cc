/* Who opens a stream for each message, and was told EAGAIN where the peer allows no more of them (RFC 9000 4.6), is
 * told when it does, by level and by edge. */
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

using Send = ssize_t (*)(int fd, int number);

static ssize_t send_plainly(int fd, int)
{
    return send(fd, "x", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static ssize_t send_any(int fd, int)
{
    return quic_sendmsg(fd, "x", 1, -1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static ssize_t send_named(int fd, int number)
{
    return quic_sendmsg(fd, "x", 1, 4 * number + 2, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static void open_many(uint32_t edge, Send send_one = send_plainly)
{
    constexpr int kTotal = 600; /* of which the peer allows 100 at first */
    Pair pair = make_pair();
    ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLOUT | edge;
    ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, pair.client, &event));
    std::thread reader;
    int refused = 0;
    for (int sent = 0; sent < kTotal;) {
        if (send_one(pair.client, sent) == 1) {
            sent++;
            continue;
        }
        ASSERT_EQ(EAGAIN, errno);
        refused++;
        if (!reader.joinable()) {
            EXPECT_FALSE(poll_now(pair.client) & POLLOUT);
            reader = std::thread([&] { (void)read_bytes(pair.server, kTotal); });
        }
        if (epoll_wait(epoll, &event, 1, 10000) != 1) {
            ADD_FAILURE() << "nobody says that there may be more than " << sent;
            shutdown(pair.server, SHUT_RDWR);
            break;
        }
    }
    EXPECT_LT(refused, kTotal) << "asked again and again";
    reader.join();
}

TEST(Edge, AStreamThatThePeerAllows)
{
    open_many(EPOLLET);
}

TEST(Edge, AStreamThatThePeerAllowsByLevel)
{
    open_many(0);
}

/* Who names streams has no other to turn to, either. */
TEST(Edge, ANamedStreamThatThePeerAllows)
{
    for (Send send_one : {send_any, send_named}) {
        open_many(EPOLLET, send_one);
        open_many(0, send_one);
    }
}

/* Where there is one that takes bytes, of the program or of the peer, it is told so, whatever other it may not open. */
TEST(Edge, NoStreamMoreButAnotherThatTakesBytes)
{
    for (bool theirs : {false, true}) {
        Pair pair = make_pair();
        ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
        ASSERT_EQ(1, theirs ? 1 : quic_sendmsg(pair.client, "o", 1, 0, MSG_SYN));
        for (int sent = 0; send_named(pair.client, sent) == 1; sent++) {
        }
        ASSERT_EQ(EAGAIN, errno);
        if (theirs) {
            EXPECT_FALSE(poll_now(pair.client) & POLLOUT);
            ASSERT_EQ(1, quic_sendmsg(pair.server, "q", 1, 1, MSG_SYN));
        }
        EXPECT_TRUE(poll_for(pair.client, POLLOUT));
        EXPECT_EQ(1, quic_sendmsg(pair.client, "a", 1, theirs ? 1 : 0, MSG_FIN));
    }
}
