/* connect: draft section 3.1.5. */
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

TEST(Connect, C048_SendsNothing)
{
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback();
    ASSERT_EQ(0, bind(udp, at.ptr(), at.len));
    Address to = name_of(udp);
    Fd fd = quic_socket();
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    pollfd p = {udp, POLLIN, 0};
    EXPECT_EQ(0, poll(&p, 1, 300));
}

TEST(Connect, C049_BindsBySelf)
{
    Fd fd = quic_socket();
    Address to = loopback(4999);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    EXPECT_EQ("127.0.0.1:" + std::to_string(name_of(fd).port()), name_of(fd).text());
    EXPECT_NE(0, name_of(fd).port());
    EXPECT_EQ(to.text(), peer_of(fd).text());
}

TEST(Connect, C050_KeepsABoundAddress)
{
    Fd fd = quic_socket();
    Address at = loopback();
    ASSERT_EQ(0, bind(fd, at.ptr(), at.len));
    std::string bound = name_of(fd).text();
    Address to = loopback(4999);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    EXPECT_EQ(bound, name_of(fd).text());
}

TEST(Connect, C050_ThePeerSeesTheBoundAddress)
{
    Fd listening = listener();
    Fd fd = quic_socket();
    Address at = loopback();
    ASSERT_EQ(0, bind(fd, at.ptr(), at.len));
    Address to = name_of(listening);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    Fd server;
    ASSERT_TRUE(handshake(listening, fd, &server));
    EXPECT_EQ(name_of(fd).text(), peer_of(server).text());
}

TEST(Connect, C051_NonBlockingIsDoneAtOnce)
{
    Fd fd = quic_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
    Address to = loopback(4999);
    EXPECT_EQ(0, connect(fd, to.ptr(), to.len));
    EXPECT_NE(0, poll_now(fd) & POLLOUT);
    int error = -1;
    socklen_t len = sizeof(error);
    ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    EXPECT_EQ(0, error);
}

TEST(Connect, C052_OnlyOnce)
{
    Fd fd = quic_socket();
    Address to = loopback(4999);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    EXPECT_ERRNO(EINVAL, connect(fd, to.ptr(), to.len));
    Fd listening = listener();
    EXPECT_ERRNO(EINVAL, connect(listening, to.ptr(), to.len));
}

TEST(Connect, C053_AddressesThatCannotBe)
{
    Fd fd = quic_socket();
    Address to = loopback(4999);
    EXPECT_ERRNO(EINVAL, connect(fd, to.ptr(), 4));
    Address v6 = loopback(4999, AF_INET6);
    EXPECT_ERRNO(EINVAL, connect(fd, v6.ptr(), v6.len));
    Address none = any(4999);
    EXPECT_ERRNO(EINVAL, connect(fd, none.ptr(), none.len));
    sockaddr unspec{};
    unspec.sa_family = AF_UNSPEC;
    EXPECT_ERRNO(EOPNOTSUPP, connect(fd, &unspec, sizeof(unspec)));
    EXPECT_EQ(0, connect(fd, to.ptr(), to.len)) << "and still fit for use";
}

TEST(Connect, C054_NoMessageBeforeIt)
{
    Fd fd = quic_socket();
    char control[CMSG_SPACE(sizeof(quic_handshake_info))] = {};
    char byte = 1;
    iovec iov = {&byte, 1};
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof(control);
    cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
    cmsg->cmsg_level = SOL_QUIC;
    cmsg->cmsg_type = QUIC_HANDSHAKE_INFO;
    cmsg->cmsg_len = CMSG_LEN(sizeof(quic_handshake_info));
    *CMSG_DATA(cmsg) = QUIC_CRYPTO_INITIAL;
    EXPECT_ERRNO(EPIPE, sendmsg(fd, &m, MSG_NOSIGNAL));
    EXPECT_ERRNO(EPIPE, send(fd, "x", 1, MSG_NOSIGNAL));
}

TEST(Connect, AfterListening)
{
    Fd listening = listener();
    Fd other = listener();
    set_recv_timeout(listening, 5000); /* of accept */
    Address to = name_of(listening);
    for (const char *end : {"shutdown", "backlog 0", "failed"}) {
        Fd client = quic_socket();
        Address at = *end == 'f' ? name_of(other) : loopback();
        ASSERT_EQ(0, bind(client, at.ptr(), at.len));
        ASSERT_EQ(*end == 'f' ? -1 : 0, listen(client, 4)) << end;
        ASSERT_EQ(0, *end == 's' ? shutdown(client, SHUT_RD) : *end == 'b' ? listen(client, 0) : 0);
        ASSERT_EQ(0, connect(client, to.ptr(), to.len)) << end;
        Fd server;
        EXPECT_TRUE(handshake(listening, client, &server)) << end;
    }
}

/* Whenever another thread closes it, before its connection is there or after: the server hears of the end. */
TEST(Connect, ClosedWhileTheHandshakeBegins)
{
    Fd listening = listener(256);
    Address to = name_of(listening);
    for (int i = 0; i < 120; i++) {
        Fd client = quic_socket();
        ASSERT_EQ(0, connect(client, to.ptr(), to.len));
        std::atomic<bool> begins{false};
        const int fd = client;
        std::thread knock([&] {
            begins = true;
            EXPECT_NE(0, quic_client_handshake(fd, nullptr, nullptr));
        });
        while (!begins) {
            sched_yield();
        }
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(i * 5);
        while (std::chrono::steady_clock::now() < until) {
        }
        client.reset();
        knock.join();
    }
    ASSERT_EQ(0, fcntl(listening, F_SETFL, O_RDWR | O_NONBLOCK));
    int left = 0;
    for (;;) {
        Fd server(accept(listening, nullptr, nullptr));
        if (server < 0) {
            break;
        }
        left += poll_for(server, POLLHUP, left == 0 ? 3000 : 0) ? 0 : 1;
    }
    EXPECT_EQ(0, left);
}

TEST(Connect, C055_Ipv4FromAnIpv6Socket)
{
    Fd listening = listener();
    uint16_t port = name_of(listening).port();
    Fd plain = quic_socket(AF_INET6);
    Address to = loopback(port);
    ASSERT_EQ(0, connect(plain, to.ptr(), to.len));
    Fd server;
    EXPECT_TRUE(handshake(listening, plain, &server));

    Fd mapped = quic_socket(AF_INET6);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr);
    ASSERT_EQ(0, connect(mapped, reinterpret_cast<sockaddr *>(&in6), sizeof(in6)));
    Fd other;
    EXPECT_TRUE(handshake(listening, mapped, &other));
    EXPECT_EQ(AF_INET, peer_of(mapped).storage.ss_family);
}

TEST(Connect, C056_TwoFromOnePort)
{
    Fd listening = listener();
    Address to = name_of(listening);
    Fd a = quic_socket();
    Address at = loopback();
    ASSERT_EQ(0, bind(a, at.ptr(), at.len));
    Fd b = quic_socket();
    Address same = name_of(a);
    ASSERT_EQ(0, bind(b, same.ptr(), same.len));
    Fd servers[2];
    ASSERT_EQ(0, connect(a, to.ptr(), to.len));
    ASSERT_EQ(0, connect(b, to.ptr(), to.len));
    ASSERT_TRUE(handshake(listening, a, &servers[0]));
    ASSERT_TRUE(handshake(listening, b, &servers[1]));
    ASSERT_EQ(1, send(a, "a", 1, MSG_SYN | MSG_FIN));
    ASSERT_EQ(1, send(b, "b", 1, MSG_SYN | MSG_FIN));
    EXPECT_EQ("a", read_bytes(servers[0], 1));
    EXPECT_EQ("b", read_bytes(servers[1], 1));
}
