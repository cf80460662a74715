/* One call after the other on a socket that a child of fork has from its parent. */
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

PairOptions with_datagrams()
{
    PairOptions options;
    options.listener = options.client = [](int fd) {
        quic_transport_param param{};
        param.max_datagram_frame_size = 1200;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    };
    return options;
}

} // namespace

/* More than one message to the lender holds, on one stream that ends where it should. */
TEST(Borrow, LongMessages)
{
    Pair pair = make_pair();
    const std::string data = pattern(5u << 20);
    Child child([&] {
        char head[] = "head";
        iovec iov[2] = {{head, 4}, {const_cast<char *>(data.data()), data.size()}};
        msghdr msg{};
        msg.msg_iov = iov;
        msg.msg_iovlen = 2;
        CHECK_CHILD(sendmsg(pair.server, &msg, kNew) == static_cast<ssize_t>(data.size()) + 4);
        /* By its number. */
        CHECK_CHILD(quic_sendmsg(pair.server, data.data(), data.size(), 5, kNew) ==
                    static_cast<ssize_t>(data.size()));
        std::string in(data.size(), '\0');
        CHECK_CHILD(read_bytes(pair.server, data.size()) == data);
        return 0;
    });
    set_recv_timeout(pair.client, 60000);
    std::string got[2];
    bool ended[2] = {false, false};
    while (!ended[0] || !ended[1]) {
        Message m = receive(pair.client);
        ASSERT_GE(m.rc, 0);
        ASSERT_TRUE(m.id == 1 || m.id == 5) << m.id;
        ASSERT_FALSE(ended[m.id == 5]);
        got[m.id == 5] += m.bytes;
        ended[m.id == 5] = (m.flags & MSG_FIN) != 0;
    }
    EXPECT_TRUE(got[0] == "head" + data);
    EXPECT_TRUE(got[1] == data);
    ASSERT_EQ(static_cast<ssize_t>(data.size()), send(pair.client, data.data(), data.size(), kNew));
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(alive(pair));
}

TEST(Borrow, OptionsNamesAndCounts)
{
    Pair pair = make_pair();
    const Address name = name_of(pair.server);
    const Address peer = peer_of(pair.server);
    ASSERT_EQ(5, send(pair.client, "hello", 5, kNew));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    Child child([&] {
        CHECK_CHILD(name_of(pair.server).text() == name.text());
        CHECK_CHILD(peer_of(pair.server).text() == peer.text());
        sockaddr_storage small{};
        socklen_t len = 2; /* cut off, as of any socket */
        CHECK_CHILD(getsockname(pair.server, reinterpret_cast<sockaddr *>(&small), &len) == 0);
        CHECK_CHILD(len == sizeof(sockaddr_in) && small.ss_family == AF_INET);
        int count = 0;
        CHECK_CHILD(ioctl(pair.server, FIONREAD, &count) == 0 && count == 5);
        int value = 0;
        len = sizeof(value);
        CHECK_CHILD(getsockopt(pair.server, SOL_SOCKET, SO_TYPE, &value, &len) == 0 &&
                    value == SOCK_DGRAM && len == sizeof(value));
        value = 300000;
        CHECK_CHILD(setsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)) == 0);
        CHECK_CHILD(params_of(pair.server, true).max_data > 0);
        errno = 0;
        CHECK_CHILD(setsockopt(pair.server, SOL_QUIC, 9999, &value, sizeof(value)) < 0 &&
                    errno == ENOPROTOOPT);
        errno = 0;
        CHECK_CHILD(listen(pair.server, 1) < 0 && errno != EBADF);
        return 0;
    });
    EXPECT_EQ(0, child.wait());
    int value = 0;
    socklen_t len = sizeof(value);
    ASSERT_EQ(0, getsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &value, &len));
    EXPECT_GE(value, 300000); /* one socket */
}

TEST(Borrow, EventsDatagramsAndStreams)
{
    Pair pair = make_pair(with_datagrams());
    Child child([&] {
        CHECK_CHILD(quic_sendmsg(pair.server, "unreliable", 10, 0, MSG_DATAGRAM) == 10);
        Message m = receive(pair.server);
        CHECK_CHILD(m.rc == 3 && (m.flags & MSG_DATAGRAM) != 0);
        enable(pair.server, QUIC_EVENT_STREAM_UPDATE);
        CHECK_CHILD(send(pair.server, "x", 1, kNew) == 1);
        CHECK_CHILD(next_event(pair.server, QUIC_EVENT_STREAM_UPDATE).is_event());
        /* What fits nowhere. */
        const std::string big(70000, 'd');
        errno = 0;
        CHECK_CHILD(quic_sendmsg(pair.server, big.data(), big.size(), 0, MSG_DATAGRAM) < 0 &&
                    errno == EMSGSIZE);
        quic_stream_info info{};
        info.stream_id = UINT64_MAX;
        socklen_t len = sizeof(info);
        CHECK_CHILD(getsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &info, &len) == 0 &&
                    info.stream_id == 5);
        return 0;
    });
    Message m = receive(pair.client);
    EXPECT_EQ("unreliable", m.bytes);
    EXPECT_EQ(3, quic_sendmsg(pair.client, "dgm", 3, 0, MSG_DATAGRAM));
    EXPECT_EQ("x", read_bytes(pair.client, 1));
    EXPECT_EQ(0, child.wait());
}

/* Readiness is the kernel's to tell, and true: also where nobody but children has the descriptor. */
TEST(Borrow, PollAndEpoll)
{
    Pair pair = make_pair();
    Gate done;
    Child child([&] {
        const int fd = pair.server;
        pair.client.reset();
        CHECK_CHILD(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        Fd epoll(epoll_create1(EPOLL_CLOEXEC));
        epoll_event event{};
        event.events = EPOLLIN;
        CHECK_CHILD(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
        for (int i = 0; i < 3; i++) {
            CHECK_CHILD(poll_now(fd) == POLLOUT);
            CHECK_CHILD(epoll_wait(epoll, &event, 1, 0) == 0);
            char c[8];
            errno = 0;
            CHECK_CHILD(read(fd, c, sizeof(c)) < 0 && errno == EAGAIN);
            done.open();
            CHECK_CHILD(epoll_wait(epoll, &event, 1, 20000) == 1);
            CHECK_CHILD(poll_now(fd) == (POLLIN | POLLOUT));
            CHECK_CHILD(read(fd, c, 3) == 3);
            CHECK_CHILD(poll_now(fd) == (POLLIN | POLLOUT)); /* two more */
            CHECK_CHILD(read(fd, c, 2) == 2);
        }
        /* Until there is no room, and until there is again. */
        const std::string data = pattern(1u << 20);
        ssize_t n;
        size_t total = 0;
        do { /* what the peer holds unread is room again */
            while ((n = send(fd, data.data(), data.size(), total == 0 ? MSG_SYN : 0)) > 0) {
                total += static_cast<size_t>(n);
            }
            CHECK_CHILD(errno == EAGAIN && total > 0);
            usleep(50000);
        } while ((poll_now(fd) & POLLOUT) != 0);
        done.open();
        CHECK_CHILD(poll_for(fd, POLLOUT, 20000));
        done.open();
        CHECK_CHILD(poll_for(fd, POLLIN | POLLHUP | POLLRDHUP, 20000));
        return 0;
    });
    pair.server.reset();
    for (int i = 0; i < 3; i++) {
        done.pass();
        ASSERT_EQ(5, send(pair.client, "hello", 5, kNew));
    }
    done.pass();
    set_recv_timeout(pair.client, 300);
    std::string sink(1u << 20, '\0');
    while (recv(pair.client, &sink[0], sink.size(), 0) > 0) {
    }
    done.pass();
    pair.client.reset();
    EXPECT_EQ(0, child.wait());
}

/* Who waits for a socket that another thread closes has nothing of the one that gets its place at the lender. */
TEST(Borrow, WhoIsLeftWaitingReadsNothingOfOthers)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Pair first = make_pair();
    Pair second = make_pair();
    ASSERT_EQ(1, send(second.client, "2", 1, kNew));
    ASSERT_TRUE(poll_for(second.server, POLLIN));
    Gate closed;
    Child child([&] {
        ssize_t got = 0;
        int error = 0;
        const int fd = first.server;
        CHECK_CHILD(name_of(fd).port() != 0);
        std::thread reader([&] {
            char c;
            got = read(fd, &c, 1);
            error = errno;
        });
        usleep(100000);
        close(first.server.release());
        CHECK_CHILD(name_of(second.server).port() != 0); /* from now on it is lent, too */
        closed.open();
        reader.join();
        CHECK_CHILD(got < 0 && error == EBADF);
        CHECK_CHILD(read_bytes(second.server, 1) == "2");
        return 0;
    });
    first.server.reset();
    closed.pass();
    errno = 0; /* or the end of the connection is here already */
    EXPECT_TRUE(send(first.client, "1", 1, kNew) == 1 || errno == EPIPE) << strerror(errno);
    EXPECT_EQ(0, child.wait());
}

TEST(Borrow, WaitingForAllOfIt)
{
    Pair pair = make_pair();
    const std::string data = pattern(200000);
    Gate ended;
    Child child([&] {
        std::string got(data.size(), 0);
        CHECK_CHILD(recv(pair.server, &got[0], got.size(), MSG_WAITALL) ==
                    static_cast<ssize_t>(got.size()));
        CHECK_CHILD(got == data);
        CHECK_CHILD(recv(pair.server, &got[0], 10, MSG_WAITALL) == 3); /* and its end */
        ended.open();
        CHECK_CHILD(recv(pair.server, &got[0], 10, MSG_WAITALL) == 1); /* another has begun */
        CHECK_CHILD(recv(pair.server, &got[0], 10, 0) == 1);
        return 0;
    });
    for (size_t at = 0; at < data.size(); at += 50000) {
        ASSERT_EQ(50000, quic_sendmsg(pair.client, &data[at], 50000, 0, at == 0 ? MSG_SYN : 0));
        usleep(10000);
    }
    ASSERT_EQ(3, quic_sendmsg(pair.client, "end", 3, 0, MSG_FIN));
    ended.pass(); /* a stream that comes before the rest of this one was read would end that call */
    ASSERT_EQ(1, quic_sendmsg(pair.client, "4", 1, 4, MSG_SYN));
    usleep(30000);
    ASSERT_EQ(1, quic_sendmsg(pair.client, "8", 1, 8, MSG_SYN));
    EXPECT_EQ(0, child.wait());
}

TEST(Borrow, APeerThatIsGone)
{
    Pair pair = make_pair();
    Child child([&] {
        char c;
        pair.client.reset();
        CHECK_CHILD(read(pair.server, &c, 1) == 1);
        CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == ENOTCONN);
        errno = 0;
        CHECK_CHILD(send(pair.server, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
        signal(SIGPIPE, SIG_DFL);
        (void)send(pair.server, "x", 1, 0);
        return 1; /* not reached */
    });
    pair.server.reset();
    ASSERT_EQ(1, send(pair.client, "x", 1, kNew));
    pair.client.reset();
    EXPECT_EQ(1000 + SIGPIPE, child.wait());
}

TEST(Borrow, ThreadsOfAChild)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Pair pair = make_pair();
    const std::string data = pattern(2u << 20);
    Gate read_all;
    Child child([&] {
        pair.client.reset();
        std::thread writer([&] { (void)send(pair.server, data.data(), data.size(), kNew); });
        bool same = read_bytes(pair.server, data.size()) == data;
        writer.join();
        CHECK_CHILD(same);
        /* A thread that waits is cancelled: what it held is free again. */
        pthread_t thread;
        int fd = pair.server;
        pthread_create(
            &thread, nullptr,
            [](void *arg) -> void * {
                char c;
                (void)!read(*static_cast<int *>(arg), &c, 1);
                return nullptr;
            },
            &fd);
        usleep(20000);
        pthread_cancel(thread);
        void *result = nullptr;
        pthread_join(thread, &result);
        CHECK_CHILD(result == PTHREAD_CANCELED);
        read_all.pass(); /* one stream does not wait for another */
        CHECK_CHILD(send(pair.server, "!", 1, kNew) == 1);
        close(pair.server.release());
        return 0;
    });
    pair.server.reset();
    std::thread writer([&] { (void)send(pair.client, data.data(), data.size(), kNew); });
    EXPECT_TRUE(read_bytes(pair.client, data.size()) == data);
    writer.join();
    read_all.open();
    EXPECT_EQ("!", read_bytes(pair.client, 1));
    EXPECT_TRUE(hears_close(pair));
    EXPECT_EQ(0, child.wait());
}

TEST(Borrow, CopiesInAChild)
{
    Pair pair = make_pair();
    Fd second(dup(pair.server));
    Child child([&] {
        Fd third(dup(pair.server));
        CHECK_CHILD(third >= 0);
        CHECK_CHILD(send(third, "3", 1, kNew) == 1);
        close(pair.server.release());
        third.reset();
        CHECK_CHILD(send(second, "2", 1, kNew) == 1); /* one of the parent's */
        int number = second;
        int pipes[2];
        CHECK_CHILD(pipe(pipes) == 0);
        CHECK_CHILD(dup2(pipes[1], number) == number); /* another file's now */
        CHECK_CHILD(write(number, "p", 1) == 1);
        char c = 0;
        CHECK_CHILD(read(pipes[0], &c, 1) == 1 && c == 'p');
        return 0;
    });
    pair.server.reset();
    second.reset();
    EXPECT_EQ("32", read_bytes(pair.client, 2));
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(hears_close(pair));
}

TEST(Borrow, AClientOfTheChild)
{
    Fd listen = listener();
    Fd client = quic_socket();
    Child child([&] {
        Address to = name_of(listen);
        CHECK_CHILD(connect(client, to.ptr(), to.len) == 0);
        CHECK_CHILD(quic_client_handshake(client, nullptr, nullptr) == 0);
        CHECK_CHILD(send(client, "c", 1, kNew) == 1);
        CHECK_CHILD(read_bytes(client, 1) == "s");
        CHECK_CHILD(shutdown(client, SHUT_RDWR) == 0);
        return 0;
    });
    Fd server(accept(listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    ASSERT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    EXPECT_EQ("c", read_bytes(server, 1));
    ASSERT_EQ(1, send(server, "s", 1, kNew));
    EXPECT_EQ(0, child.wait());
}

/* Files are the child's to open. */
TEST(Borrow, AHandshakeThatFails)
{
    Fd listen = listener();
    Visit visit(listen);
    Fd server(accept(listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    Child child([&] {
        CHECK_CHILD(quic_server_handshake(server, "/nonexistent", cert_file()) == -ENOENT);
        CHECK_CHILD(quic_server_handshake(server, cert_file(), cert_file()) < 0);
        const std::string key = key_file();
        const size_t slash = key.rfind('/');
        CHECK_CHILD(chdir(key.substr(0, slash + 1).c_str()) == 0);
        const int rc = quic_server_handshake(server, key.substr(slash + 1).c_str(), cert_file());
        CHECK_CHILD(rc != -ENOENT && rc != -EBADF);
        return 0;
    });
    EXPECT_EQ(0, child.wait());
    server.reset();
    (void)visit.succeeds();
}

/* What does not wait is not waited for, however it says so; and what waits, not longer than it may. */
TEST(Borrow, NoLongerThanAsked)
{
    Pair pair = make_pair();
    Child child([&] {
        const std::string data = pattern(1u << 20);
        ssize_t n = 1;
        for (int i = 0; i < 1000 && n > 0; i++) { /* in the ancillary data */
            n = quic_sendmsg(pair.server, data.data(), data.size(), 1,
                             (i == 0 ? uint32_t{MSG_SYN} : 0u) | MSG_DONTWAIT);
        }
        CHECK_CHILD(n < 0 && errno == EAGAIN);
        timeval tv = {0, 50000};
        CHECK_CHILD(setsockopt(pair.server, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
        for (int i = 0; i < 1000 && quic_sendmsg(pair.server, data.data(), 10000, 1, 0) > 0; i++) {
        }
        CHECK_CHILD(errno == EAGAIN);
        CHECK_CHILD(setsockopt(pair.listen, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
        errno = 0;
        CHECK_CHILD(accept(pair.listen, nullptr, nullptr) < 0 && errno == EAGAIN);
        /* A stream that the peer does not allow, and none will tell when it does. */
        errno = 0;
        for (uint64_t id = 1; id < 4000 && errno == 0; id += 4) {
            quic_stream_info info{};
            info.stream_id = UINT64_MAX;
            socklen_t len = sizeof(info);
            (void)getsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &info, &len);
        }
        CHECK_CHILD(errno == EAGAIN);
        return 0;
    });
    EXPECT_EQ(0, child.wait());
}

/* A record that is thrown away is written nowhere, and brings nobody else's bytes along. */
TEST(Borrow, BytesThrownAway)
{
    Pair pair = make_pair(with_datagrams());
    Child teller([&] {
        CHECK_CHILD(send(pair.server, std::string(5000, 's').data(), 5000, kNew) == 5000);
        return 0;
    });
    EXPECT_EQ(0, teller.wait());
    ASSERT_EQ(6, send(pair.client, "abcdef", 6, kNew));
    Gate told;
    Child child([&] {
        char buf[8] = "1234567";
        CHECK_CHILD(recv(pair.server, buf, 2, MSG_TRUNC) == 2);
        CHECK_CHILD(strcmp(buf, "1234567") == 0);
        CHECK_CHILD(recv(pair.server, nullptr, 2, MSG_TRUNC) == 2);
        CHECK_CHILD(recv(pair.server, buf, 2, 0) == 2 && memcmp(buf, "ef34567", 7) == 0);
        told.pass();
        CHECK_CHILD(poll_for(pair.server, POLLIN));
        errno = 0; /* datagrams are not */
        CHECK_CHILD(recv(pair.server, nullptr, 2, MSG_TRUNC) < 0 && errno == EFAULT);
        CHECK_CHILD(recv(pair.server, buf, 2, 0) == 2 && memcmp(buf, "dg", 2) == 0);
        socklen_t wild = static_cast<socklen_t>(-1);
        CHECK_CHILD(fcntl(pair.listen, F_SETFL, O_NONBLOCK) == 0);
        errno = 0;
        CHECK_CHILD(accept(pair.listen, nullptr, &wild) < 0 && errno == EAGAIN);
        return 0;
    });
    usleep(20000);
    ASSERT_EQ(2, quic_sendmsg(pair.client, "dg", 2, 0, MSG_DATAGRAM));
    told.open();
    EXPECT_EQ(0, child.wait());
}

/* Without a descriptor to spare a connection stays in the queue; a dup2 that fails changes nothing. */
TEST(Borrow, WithoutDescriptors)
{
    Fd listen = listener();
    Visit visit(listen);
    ASSERT_TRUE(poll_for(listen, POLLIN));
    Child child([&] {
        visit.client.reset();
        errno = 0;
        CHECK_CHILD(dup2(9999, listen) < 0 && errno == EBADF);
        CHECK_CHILD(name_of(listen).port() != 0);
        rlimit before{};
        CHECK_CHILD(getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit none = before;
        none.rlim_cur = 0;
        CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &none) == 0);
        errno = 0;
        CHECK_CHILD(accept(listen, nullptr, nullptr) < 0 && errno == EMFILE);
        CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &before) == 0);
        Fd server(accept(listen, nullptr, nullptr));
        CHECK_CHILD(server >= 0);
        CHECK_CHILD(quic_server_handshake(server, key_file(), cert_file()) == 0);
        return 0;
    });
    EXPECT_TRUE(visit.succeeds());
    EXPECT_EQ(0, child.wait());
}

/* A descriptor is filled while there is no room, and emptied as soon as there is some, which may be at that very
 * moment: who waits for it must not be left waiting. */
TEST(Borrow, WhoSendsMuchIsNotLeftWaiting)
{
    Pair pair = make_pair();
    const int rounds = 2000;
    int room = 4096;
    socklen_t len = sizeof(room);
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &room, len));
    ASSERT_EQ(0, getsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &room, &len));
    const std::string data = pattern(static_cast<size_t>(room)); /* each leaves none */
    Child child([&] {
        pair.client.reset();
        for (int i = 0; i < rounds; i++) {
            CHECK_CHILD(poll_for(pair.server, POLLOUT, 8000));
            CHECK_CHILD(send(pair.server, data.data(), data.size(), i == 0 ? MSG_SYN : 0) ==
                        static_cast<ssize_t>(data.size()));
        }
        return 0;
    });
    pair.server.reset();
    set_recv_timeout(pair.client, 8000);
    std::atomic<bool> over{false};
    std::thread stopper([&] { /* in the middle of whatever it does */
                              while (!over) {
                                  kill(child.pid(), SIGSTOP);
                                  usleep(300);
                                  kill(child.pid(), SIGCONT);
                                  usleep(300);
                              }
    });
    std::string sink(1u << 20, '\0');
    size_t left = data.size() * rounds;
    ssize_t got = 1;
    while (left > 0 && got > 0) {
        got = recv(pair.client, &sink[0], sink.size(), 0);
        left -= got > 0 ? static_cast<size_t>(got) : 0;
    }
    over = true;
    stopper.join();
    ASSERT_EQ(0u, left);
    EXPECT_EQ(0, child.wait());
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
