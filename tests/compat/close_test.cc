/* close and shutdown: draft sections 3.1.6 and 3.1.7. */
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/relay.h"

using namespace compat;

static void want_close_events(int fd)
{
    quic_event_option event = {QUIC_EVENT_CONNECTION_CLOSE, 1};
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &event, sizeof(event)));
}

/* errcode and phrase for the peer. */
static void set_close(int fd, uint32_t code, const char *phrase)
{
    char buf[128] = {};
    memcpy(buf, &code, 4);
    strcpy(buf + 5, phrase);
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, buf,
                            static_cast<socklen_t>(8 + strlen(phrase) + 1)));
}

/* Takes no more, for longer than a moment. Returns what it took. */
static size_t fill(int fd)
{
    const std::string block = pattern(65536);
    size_t total = 0;
    do {
        ssize_t n;
        while ((n = send(fd, block.data(), block.size(), MSG_DONTWAIT)) > 0) {
            total += static_cast<size_t>(n);
        }
    } while (poll_for(fd, POLLOUT, 100));
    return total;
}

TEST(Close, C058_DataThenTheEnd)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send(pair.client, "last", 4, MSG_SYN | MSG_FIN));
    pair.client.reset();
    EXPECT_EQ("last", read_bytes(pair.server, 4));
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(pair.server, &c, 1, 0));
    EXPECT_ERRNO(ENOTCONN, recv(pair.server, &c, 1, 0));
}

TEST(Close, C058_TheEventComesFirst)
{
    PairOptions options;
    options.listener = want_close_events;
    Pair pair = make_pair(options);
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLIN | POLLHUP));
    uint8_t buf[128];
    uint32_t flags = 0;
    ssize_t n = quic_recvmsg(pair.server, buf, sizeof(buf), nullptr, &flags);
    ASSERT_GT(n, 5);
    EXPECT_NE(0u, flags & QUIC_STREAM_FLAG_NOTIFICATION);
    EXPECT_EQ(QUIC_EVENT_CONNECTION_CLOSE, buf[0]);
}

TEST(Close, C059_CodeAndPhrase)
{
    PairOptions options;
    options.listener = want_close_events;
    Pair pair = make_pair(options);
    set_close(pair.client, 77, "enough");
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLIN | POLLHUP));
    uint8_t buf[128];
    ssize_t n = recv(pair.server, buf, sizeof(buf), 0);
    ASSERT_GT(n, 6);
    uint32_t code = 0;
    memcpy(&code, buf + 1, 4);
    EXPECT_EQ(77u, code);
    EXPECT_STREQ("enough", reinterpret_cast<char *>(buf) + 6);
    char info[128] = {};
    socklen_t len = sizeof(info);
    ASSERT_EQ(0, getsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, info, &len));
    memcpy(&code, info, 4);
    EXPECT_EQ(77u, code);
    EXPECT_STREQ("enough", info + 5);
}

TEST(Close, C060_AMegabyteBeforeIt)
{
    Pair pair = make_pair();
    const std::string data = pattern(1u << 20, 3);
    ASSERT_EQ(static_cast<ssize_t>(data.size()),
              send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    pair.client.reset();
    EXPECT_EQ(data, read_bytes(pair.server, data.size()));
}

TEST(Close, C061_AndThenExit)
{
    Fd fd = listener();
    cert_file();
    Address to = name_of(fd);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "close_test", "--as-client", std::to_string(to.port()).c_str(),
              nullptr);
        _exit(1);
    }
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    EXPECT_EQ("goodbye", read_bytes(server, 7));
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, WEXITSTATUS(status));
}

/* What of 200000 bytes arrives at a server with little room that reads slowly, from a program that ends behind
 * sending them. */
static size_t arrives_slowly(const char *linger)
{
    Fd fd = listener(1, AF_INET, [](int s) {
        quic_transport_param p = {};
        p.max_data = 16384;
        const int room = 16384;
        ASSERT_EQ(0, setsockopt(s, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, sizeof(p)));
        ASSERT_EQ(0, setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)));
    });
    cert_file();
    const std::string port = std::to_string(name_of(fd).port());
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "close_test", "--as-client", port.c_str(), "200000", linger,
              nullptr);
        _exit(1);
    }
    Fd server(accept(fd, nullptr, nullptr));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    if (linger != nullptr) {
        EXPECT_EQ(1, send(server, "!", 1, MSG_SYN)); /* it may end now */
    }
    size_t got = 0;
    for (size_t some = 1; got < 200000 && some > 0; got += some) {
        usleep(got < 140000
                   ? 20000
                   : 150000); /* in the end it takes longer than an engine with nothing to do */
        some = read_bytes(server, 4000).size();
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, WEXITSTATUS(status));
    return got;
}

TEST(Close, C061_ExitWaitsForASlowReader)
{
    /* Whoever of both has no CPU for a second looks like one that is gone: then once more. */
    size_t got = 0;
    for (int tries = 0; tries < 4 && got != 200000; tries++) {
        got = arrives_slowly(nullptr);
    }
    EXPECT_EQ(200000u, got);
}

TEST(Close, C062_ExitDoesNotWaitWithATimeOfZero)
{
    EXPECT_GT(150000u, arrives_slowly("0"));
}

/* A program that has lingered may end at once, as with TCP: nothing of its process is needed any more. */
TEST(Close, C062_TheCloseHasLeftWhenALingeringCloseReturns)
{
#if defined(QURING_TSAN)
    GTEST_SKIP() << "no threads after fork under this sanitizer";
#endif
    for (uint32_t len : {4u, 100000u}) {
        Fd listen = listener();
        uint16_t port = name_of(listen).port();
        cert_file();
        pid_t child = fork();
        if (child == 0) {
            Fd fd = quic_socket();
            Address to = loopback(port);
            linger l = {1, 20};
            bool ok = connect(fd, to.ptr(), to.len) == 0 &&
                      quic_client_handshake(fd, nullptr, nullptr) == 0 &&
                      setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0;
            std::string bytes = pattern(len);
            ok = ok && send(fd, bytes.data(), len, 0) == (ssize_t)len;
            fd.reset();
            _exit(ok ? 0 : 1);
        }
        Fd server(accept(listen, nullptr, nullptr));
        ASSERT_EQ(0, quic_server_handshake(server, key_file(), cert_file())) << len;
        EXPECT_EQ(pattern(len), read_bytes(server, len));
        int status = -1;
        ASSERT_EQ(child, waitpid(child, &status, 0));
        EXPECT_EQ(0, status);
        set_recv_timeout(server, 10000); /* the idle timeout is longer */
        char byte;
        EXPECT_ERRNO(ENOTCONN, recv(server, &byte, 1, 0));
    }
}

TEST(Close, C062_Linger)
{
    Pair pair = make_pair();
    linger l = {1, 0};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    pair.client.reset();
    EXPECT_TRUE(poll_for(pair.server, POLLIN | POLLHUP));

    Pair slow = make_pair();
    l = {1, 5};
    ASSERT_EQ(0, setsockopt(slow.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    const std::string data = pattern(100000);
    ASSERT_EQ(static_cast<ssize_t>(data.size()),
              send(slow.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    slow.client.reset(); /* returns when the peer has everything */
    EXPECT_EQ(data, read_bytes(slow.server, data.size()));
}

/* Nobody lingers for those in a queue, whom the program has not seen. */
TEST(Close, C062_AQueueDoesNotLinger)
{
    Fd fd = listener();
    const linger lingering = {1, 20};
    ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &lingering, sizeof(lingering)));
    cert_file();
    Fd client = quic_socket();
    Address to = name_of(fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread knock([&] { EXPECT_NE(0, quic_client_handshake(client, nullptr, nullptr)); });
    ASSERT_TRUE(poll_for(fd, POLLIN));
    const auto before = std::chrono::steady_clock::now();
    fd.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
    knock.join();
}

/* Also when the time it has to wait is over long since for who has shut it down. */
TEST(Close, C062_AtOnceAfterShutdown)
{
    Pair pair = make_pair();
    linger l = {1, 20};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    fill(pair.client);
    ASSERT_EQ(0, shutdown(pair.client, SHUT_WR)); /* nobody reads: it waits for 20 seconds */
    l = {1, 0};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    pair.client.reset();
    EXPECT_TRUE(poll_for(pair.server, POLLHUP));
}

TEST(Close, C062_WhoWaitsIsWokenBeforeALingeringClose)
{
    Pair pair = make_pair();
    const linger l = {1, 20};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
    const size_t sent = fill(pair.client);
    std::atomic<bool> woken{false};
    std::atomic<bool> closed{false};
    std::thread reader([&, fd = pair.client.get()] {
        char c;
        EXPECT_EQ(-1, recv(fd, &c, 1, 0));
        woken = true;
    });
    usleep(50000);
    std::thread closer([&] {
        pair.client.reset();
        closed = true;
    });
    for (int i = 0; i < 500 && !woken; i++) {
        usleep(10000);
    }
    EXPECT_TRUE(woken);
    EXPECT_FALSE(closed);
    EXPECT_EQ(sent, read_bytes(pair.server, sent).size());
    reader.join();
    closer.join();
}

/* The end of a stream is part of what was sent. */
TEST(Close, TheEndOfAStreamArrives)
{
    std::atomic<int> lost{0}; /* the relay's thread looks at it to the end */
    RelayedPair pair = make_relayed_pair();
    ASSERT_EQ(4, send(pair.client, "data", 4, MSG_SYN));
    ASSERT_EQ("data", read_bytes(pair.server, 4));
    for (int held = 1; held > 0; usleep(1000)) {
        ASSERT_EQ(0, ioctl(pair.client, TIOCOUTQ, &held));
    }
    pair.relay->set_filter([&](bool to_server, std::string *) { return !to_server || lost++ > 0; });
    ASSERT_EQ(0, send(pair.client, "", 0, MSG_FIN));
    pair.client.reset();
    char c;
    EXPECT_EQ(0, recv(pair.server, &c, 1, 0)) << strerror(errno);
    EXPECT_ERRNO(ENOTCONN, recv(pair.server, &c, 1, 0));
    EXPECT_GT(lost, 1);
}

/* A client that has learned how slow the path is. */
static RelayedPair slow_pair(int delay_ms)
{
    RelayedPair pair = make_relayed_pair();
    pair.relay->set_delay(delay_ms);
    EXPECT_EQ(4, send(pair.client, "data", 4, MSG_SYN));
    EXPECT_EQ("data", read_bytes(pair.server, 4));
    for (int held = 1; held > 0; usleep(1000)) {
        EXPECT_EQ(0, ioctl(pair.client, TIOCOUTQ, &held));
    }
    return pair;
}

/* Where a round trip takes longer than close waits elsewhere. */
TEST(Close, C062_DeliversOverASlowPath)
{
    std::atomic<int> lost{0};
    RelayedPair pair = slow_pair(600);
    const std::string more =
        pattern(1000); /* neither an acknowledgement nor a probe of the path has this size */
    pair.relay->set_filter([&](bool to_server, std::string *datagram) {
        const bool carries = datagram->size() > 1000 && datagram->size() < 1150;
        return !to_server || !carries || lost++ > 0;
    });
    ASSERT_EQ(1000, send(pair.client, more.data(), more.size(), MSG_FIN));
    pair.client.reset();
    EXPECT_EQ(more, read_bytes(pair.server, more.size()));
    /* What brought them at last may have carried more, and have had another size. */
    EXPECT_GE(lost, 1);
}

/* However slow the path is, or the peer has made it look: exit waits for this. */
TEST(Close, C062_GivesUpASilentPeer)
{
    RelayedPair pair = slow_pair(2500);
    pair.relay->set_filter([](bool to_server, std::string *) { return to_server; });
    pair.relay->set_delay(0);
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(4, send(pair.client, "more", 4, MSG_FIN));
    pair.client.reset();
    EXPECT_EQ("more", read_bytes(pair.server, 4));
    EXPECT_TRUE(poll_for(pair.server, POLLHUP, 25000));
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_GT(took, std::chrono::seconds(10));
    EXPECT_LT(took, std::chrono::seconds(16));
}

TEST(Close, C063_NothingWorksAfterwards)
{
    Pair pair = make_pair();
    int fd = pair.client;
    pair.client.reset();
    char c = 0;
    EXPECT_ERRNO(EBADF, send(fd, &c, 1, 0));
    EXPECT_ERRNO(EBADF, recv(fd, &c, 1, 0));
    EXPECT_ERRNO(EBADF, close(fd));
    EXPECT_ERRNO(EBADF, listen(fd, 1));
}

TEST(Close, C064_InTheHandshake)
{
    Fd fd = listener();
    cert_file();
    Fd client = quic_socket();
    Address to = name_of(fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    int rc = 0;
    std::thread other([&] { rc = quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept(fd, nullptr, nullptr));
    time_t begin = time(nullptr);
    server.reset();
    other.join();
    EXPECT_LT(rc, 0);
    EXPECT_LT(time(nullptr) - begin, 5);
}

TEST(Shutdown, C065_ForWriting)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send(pair.server, "left", 4, MSG_SYN | MSG_FIN));
    ASSERT_TRUE(poll_for(pair.client, POLLIN));
    ASSERT_EQ(0, shutdown(pair.client, SHUT_WR));
    EXPECT_ERRNO(EPIPE, send(pair.client, "x", 1, MSG_NOSIGNAL));
    EXPECT_EQ("left", read_bytes(pair.client, 4));
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(pair.client, &c, 1, 0));
    EXPECT_TRUE(poll_for(pair.server, POLLIN | POLLHUP));
}

TEST(Shutdown, C066_MoreThanOnce)
{
    Pair pair = make_pair();
    ASSERT_EQ(0, shutdown(pair.client, SHUT_WR));
    EXPECT_EQ(0, shutdown(pair.client, SHUT_WR));
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    EXPECT_ERRNO(ENOTCONN, shutdown(pair.server, SHUT_WR));
}

TEST(Shutdown, C067_ForReading)
{
    Pair pair = make_pair();
    ASSERT_EQ(0, shutdown(pair.client, SHUT_RD));
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(pair.client, &c, 1, 0));
    ASSERT_EQ(2, send(pair.client, "ok", 2, MSG_SYN | MSG_FIN));
    EXPECT_EQ("ok", read_bytes(pair.server, 2));
    ASSERT_EQ(2, send(pair.server, "no", 2, MSG_SYN | MSG_FIN));
    EXPECT_ERRNO(ENOTCONN, recv(pair.client, &c, 1, 0));
}

/* What nobody will read holds nobody up. */
TEST(Shutdown, C067_TheSenderGoesOn)
{
    Pair pair = make_pair();
    const int small = 16384;
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
    const std::string data = pattern(8u << 20);
    ssize_t sent = 0;
    std::thread sender([&] { sent = send(pair.server, data.data(), data.size(), MSG_SYN); });
    usleep(200000); /* it waits for room */
    EXPECT_EQ(0, shutdown(pair.client, SHUT_RD));
    sender.join();
    EXPECT_EQ(static_cast<ssize_t>(data.size()), sent);
}

TEST(Shutdown, C068_WakesWhoWaits)
{
    Pair pair = make_pair();
    int error = 0;
    std::thread reader([&] {
        char c;
        error = recv(pair.client, &c, 1, 0) < 0 ? errno : 0;
    });
    usleep(100000);
    ASSERT_EQ(0, shutdown(pair.client, SHUT_RDWR));
    reader.join();
    EXPECT_EQ(ENOTCONN, error);
}

TEST(Shutdown, C069_WrongCalls)
{
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, shutdown(pair.client, 7));
    Fd fresh = quic_socket();
    EXPECT_ERRNO(ENOTCONN, shutdown(fresh, SHUT_WR));
    /* A listening socket has nothing to send, as with TCP: nothing happens. */
    ASSERT_EQ(0, shutdown(pair.listen, SHUT_WR));
    Fd client = quic_socket();
    Fd server;
    const Address at = name_of(pair.listen);
    ASSERT_EQ(0, connect(client, at.ptr(), at.len));
    EXPECT_TRUE(handshake(pair.listen, client, &server));
}

TEST(Close, C070_WhileAnotherThreadWaits)
{
    Pair pair = make_pair();
    int fd = pair.client;
    int error = 0;
    std::thread reader([&] {
        char c;
        error = recv(fd, &c, 1, 0) < 0 ? errno : 0;
    });
    usleep(100000);
    pair.client.reset();
    reader.join();
    EXPECT_TRUE(error == ENOTCONN || error == EBADF) << strerror(error);
}

TEST(Close, C071_IdleTimeout)
{
    PairOptions options;
    auto short_idle = [](int fd) {
        quic_transport_param param{};
        param.max_idle_timeout = 1000000;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, sizeof(param)));
    };
    options.listener = short_idle;
    options.client = short_idle;
    Pair pair = make_pair(options);
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(pair.client, &c, 1, 0));
    EXPECT_NE(0, poll_now(pair.client) & POLLHUP);
    EXPECT_TRUE(poll_for(pair.server, POLLHUP));
}

TEST(Close, C093_EpipeAndSigpipe)
{
    Pair pair = make_pair();
    pair.server.reset();
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    EXPECT_ERRNO(EPIPE, send(pair.client, "x", 1, MSG_NOSIGNAL));
    static volatile sig_atomic_t pipes;
    pipes = 0;
    struct sigaction action {
    };
    action.sa_handler = [](int) { pipes = pipes + 1; };
    struct sigaction old {
    };
    sigaction(SIGPIPE, &action, &old);
    EXPECT_ERRNO(EPIPE, send(pair.client, "x", 1, 0));
    EXPECT_EQ(1, pipes);
    EXPECT_ERRNO(EPIPE, write(pair.client, "x", 1));
    EXPECT_EQ(2, pipes);
    sigaction(SIGPIPE, &old, nullptr);
}

/* C061: another program, which sends, closes, and is gone; of more it leaves the close to its end. */
static int as_client(const char *port, const char *more, const char *linger_s)
{
    Fd fd = quic_socket();
    Address to = loopback(static_cast<uint16_t>(atoi(port)));
    const std::string data = more != nullptr ? pattern(strtoul(more, nullptr, 10)) : "goodbye";
    if (linger_s != nullptr) { /* with nearly all of it still to be sent */
        const linger l = {1, atoi(linger_s)};
        const int room = 1 << 20;
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    }
    if (connect(fd, to.ptr(), to.len) != 0 || quic_client_handshake(fd, nullptr, nullptr) != 0 ||
        send(fd, data.data(), data.size(), MSG_SYN | MSG_FIN) !=
            static_cast<ssize_t>(data.size())) {
        return 1;
    }
    char go;
    if (linger_s != nullptr && recv(fd, &go, 1, 0) != 1) {
        return 1;
    }
    if (more == nullptr) {
        fd.reset();
    }
    exit(0);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--as-client") == 0) {
        return as_client(argv[2], argc > 3 ? argv[3] : nullptr, argc > 4 ? argv[4] : nullptr);
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
