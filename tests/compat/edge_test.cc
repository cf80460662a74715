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

static void open_many(uint32_t edge)
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
        if (send(pair.client, "x", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI) == 1) {
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
