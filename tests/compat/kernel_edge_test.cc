/* A socket of protocol 261 in an edge-triggered epoll. */
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#define QUIC_SOCKET_API 2
#include "tests/compat/kernel_fixture.h"

using namespace kernel;

/* The only stream has no credit of the peer's (RFC 9000 4.1), which reads: who sends on it without naming it was told
 * to wait, and is woken. */
TEST(KernelEdge, AStreamThatHasCreditAgain)
{
    const size_t total = 1 << 20;
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_stream_data_bidi_remote = 16384;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
    });
    ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event = {};
    event.events = EPOLLOUT | EPOLLET;
    ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, pair.client, &event));
    std::thread reader([&] {
        std::string sink(4096, 0);
        for (size_t got = 0; got < total;) {
            const ssize_t n = recv(pair.server, &sink[0], sink.size(), 0);
            ASSERT_GT(n, 0);
            got += static_cast<size_t>(n);
        }
    });
    const std::string data(total, 'e');
    size_t sent = 0;
    while (sent < total) {
        const int flags = sent == 0 ? MSG_QUIC_STREAM_NEW : 0;
        const ssize_t n = send(pair.client, data.data() + sent, total - sent, flags);
        sent += n > 0 ? static_cast<size_t>(n) : 0;
        if (n < 0) {
            ASSERT_EQ(EAGAIN, errno);
            if (epoll_wait(epoll, &event, 1, 10000) != 1) {
                ADD_FAILURE() << "nobody says that there is room again, after " << sent;
                break;
            }
        }
    }
    if (sent < total) {
        pair.client.reset();
        shutdown(pair.server, SHUT_RDWR);
    }
    reader.join();
}

/* The latest stream opened has room, which is where messages without a stream go now, whatever another waits for. */
TEST(KernelEdge, AStreamOpenedBesideOneWithoutCredit)
{
    const int small = 16384;
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_stream_data_bidi_remote = small;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
    });
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
    ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
    const std::string data(4096, 'o');
    pollfd polled = {pair.client, POLLOUT, 0};
    for (int flags = MSG_QUIC_STREAM_NEW; poll(&polled, 1, 300) == 1; flags = 0) {
        const ssize_t n = send(pair.client, data.data(), data.size(), flags);
        ASSERT_TRUE(n > 0 || errno == EAGAIN);
    }
    quic_stream_info open = {-1, 0, 0};
    socklen_t len = sizeof(open);
    ASSERT_EQ(0, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &open, &len));
    EXPECT_EQ(1, poll(&polled, 1, 0));
    EXPECT_EQ(1, send(pair.client, "x", 1, 0));
}
