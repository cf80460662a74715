/* One port and several processes: a port belongs to the process that bound it first, or to all of them that
 * set SO_REUSEPORT before. Every process here is a child that has seen no QUIC socket before. */
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/message.h"

using namespace compat;

/* A process that tells and is told numbers. */
class Child
{
  public:
    explicit Child(const std::function<int(Child *)> &run)
    {
        int up[2];
        int down[2];
        EXPECT_EQ(0, pipe(up));
        EXPECT_EQ(0, pipe(down));
        pid_ = fork();
        if (pid_ == 0) {
            alarm(120);
            to_ = up[1];
            from_ = down[0];
            _exit(run(this));
        }
        close(up[1]);
        close(down[0]);
        to_ = down[1];
        from_ = up[0];
    }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;
    ~Child()
    {
        finish(SIGKILL);
        close(to_);
        close(from_);
    }
    void tell(int number)
    {
        EXPECT_EQ(static_cast<ssize_t>(sizeof(number)), write(to_, &number, sizeof(number)));
    }
    int hear()
    {
        int number = -1;
        return read(from_, &number, sizeof(number)) == sizeof(number) ? number : -1;
    }
    /* Waits for the end, after a signal if it is one; its exit status, or -1. */
    int finish(int signal = 0)
    {
        int status = 0;
        if (pid_ <= 0) {
            return -1;
        }
        if (signal != 0) {
            kill(pid_, signal);
        }
        pid_t got = waitpid(pid_, &status, 0);
        bool exited = got == pid_ && WIFEXITED(status);
        pid_ = -1;
        return exited ? WEXITSTATUS(status) : -1;
    }

  private:
    pid_t pid_ = -1;
    int to_ = -1;
    int from_ = -1;
};

/* 0, or the errno of binding to the port. */
static int bind_error(int port, bool reuseport = false, const char *alpn = nullptr)
{
    Fd fd = quic_socket();
    int on = 1;
    if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
        return errno;
    }
    if (alpn != nullptr && setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, alpn,
                                      static_cast<socklen_t>(strlen(alpn))) != 0) {
        return errno;
    }
    Address at = loopback(static_cast<uint16_t>(port));
    return bind(fd, at.ptr(), at.len) == 0 ? 0 : errno;
}

/* Listens, says where, and serves `count` connections, one after the other: a stream of each is sent back,
 * and their number told. */
static int serve(Child *self, int port = 0, const char *alpn = nullptr, bool reuseport = true,
                 int count = 1)
{
    Fd fd = quic_socket();
    int on = reuseport ? 1 : 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (alpn != nullptr) {
        setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, alpn, static_cast<socklen_t>(strlen(alpn)));
    }
    Address at = loopback(static_cast<uint16_t>(port));
    int rc = bind(fd, at.ptr(), at.len);
    /* The kernel takes down the ring of a process that was killed in its own time. */
    for (int i = 0; i < 500 && rc != 0 && errno == EADDRINUSE && port != 0; i++) {
        usleep(10000);
        rc = bind(fd, at.ptr(), at.len);
    }
    if (rc != 0 || listen(fd, 4) != 0) {
        self->tell(-errno);
        return 1;
    }
    self->tell(name_of(fd).port());
    for (int i = 0; i < count; i++) {
        Fd conn(accept(fd, nullptr, nullptr));
        if (conn < 0 || quic_server_handshake(conn, key_file(), cert_file()) != 0) {
            return 2;
        }
        const std::string got = read_bytes(conn, 4);
        if (count > 1) { /* before its client ends: this process may then, too */
            self->tell(i + 1);
        }
        if (send(conn, got.data(), got.size(), MSG_SYN | MSG_FIN) != 4) {
            return 3;
        }
        char c;
        while (recv(conn, &c, 1, 0) >= 0) {
        }
    }
    return 0;
}

static Address free_address()
{
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback();
    EXPECT_EQ(0, bind(udp, at.ptr(), at.len));
    return name_of(udp);
}

/* Connects, moves to another port if it shall, and says when; waits for the end of the connection unless it
 * ends it itself. */
static int ask(Child *self, int port, bool stay, bool moves = false)
{
    Fd fd = quic_socket();
    quic_transport_param p = {};
    p.max_idle_timeout = 2000000; /* whose peer dies, or leaves by _exit, hears of it soon */
    p.certificate_request = 3;
    Address to = loopback(static_cast<uint16_t>(port));
    if (set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p) != 0 ||
        connect(fd, to.ptr(), to.len) != 0 || quic_client_handshake(fd, nullptr, nullptr) != 0) {
        return 1;
    }
    Address there = free_address();
    if (moves &&
        setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_MIGRATION, there.ptr(), there.len) != 0) {
        return 4;
    }
    if (send(fd, "ping", 4, MSG_SYN | MSG_FIN) != 4 || read_bytes(fd, 4) != "ping") {
        return 2;
    }
    self->tell(0);
    char c;
    while (stay && recv(fd, &c, 1, 0) >= 0) {
    }
    return stay && errno != ENOTCONN ? 3 : 0;
}

TEST(Share, C017_APortBelongsToOneProcess)
{
    Child first([](Child *self) { return serve(self); });
    const int port = first.hear();
    ASSERT_GT(port, 0);
    Child second([=](Child *) { return bind_error(port); });
    EXPECT_EQ(EADDRINUSE, second.finish()) << "at once, not when it listens";
}

/* Both have to agree to it, whoever comes first. */
TEST(Share, C207_ReusePortIsNotForOneAlone)
{
    Child first([](Child *self) { return serve(self); });
    const int port = first.hear();
    ASSERT_GT(port, 0);
    Child plain([=](Child *) { return bind_error(port); });
    EXPECT_EQ(EADDRINUSE, plain.finish());
    Child other([](Child *self) { return serve(self, 0, nullptr, false); });
    const int alone = other.hear();
    ASSERT_GT(alone, 0);
    Child shares([=](Child *) { return bind_error(alone, true); });
    EXPECT_EQ(EADDRINUSE, shares.finish());
}

/* Both bind, both accept; a client that moves keeps its process; what is bound and does not listen takes no
 * clients away. */
TEST(Share, C207_TwoProcessesShareAPort)
{
    constexpr int kClients = 16;
    Child first([](Child *self) { return serve(self, 0, nullptr, true, kClients); });
    const int port = first.hear();
    ASSERT_GT(port, 0);
    Child second([=](Child *self) { return serve(self, port, nullptr, true, kClients); });
    EXPECT_EQ(port, second.hear());
    Child bound([=](Child *self) {
        const int rc = bind_error(port, true);
        self->tell(rc);
        return self->hear();
    });
    EXPECT_EQ(0, bound.hear());
    std::vector<std::unique_ptr<Child>> clients;
    for (int i = 0; i < kClients; i++) {
        clients.push_back(std::make_unique<Child>(
            [=](Child *self) { return ask(self, port, false, i % 2 == 0); }));
        EXPECT_EQ(0, clients.back()->hear());
        EXPECT_EQ(0, clients.back()->finish());
    }
    bound.tell(0);
    EXPECT_EQ(0, bound.finish());
    int served[2] = {0, 0};
    Child *servers[2] = {&first, &second};
    for (int i = 0; i < 2; i++) {
        servers[i]->finish(SIGKILL);
        for (int number = 0; (number = servers[i]->hear()) > 0;) {
            served[i] = number;
        }
    }
    EXPECT_EQ(kClients, served[0] + served[1]);
    EXPECT_GT(served[0], 0);
    EXPECT_GT(served[1], 0);
}

/* Who gets a client is decided by the process its packets come to: of different protocols on one port, only
 * those of one process are told apart (docs/sockets.md). */
TEST(Share, C206_ProtocolsOfOneProcessOnly)
{
    Child first([](Child *self) { return serve(self, 0, "a"); });
    const int port = first.hear();
    ASSERT_GT(port, 0);
    Child second([=](Child *) { return bind_error(port, false, "b"); });
    EXPECT_EQ(EADDRINUSE, second.finish());
    Child third([=](Child *) { return bind_error(port, true, "b"); });
    EXPECT_EQ(0, third.finish());
}

TEST(Share, C072_C208_TheNextOneServesWhenTheFirstHasDied)
{
    Child first([](Child *self) { return serve(self); });
    const int port = first.hear();
    ASSERT_GT(port, 0);
    Child client([=](Child *self) { return ask(self, port, true); });
    ASSERT_EQ(0, client.hear());
    first.finish(SIGKILL);
    Child second([=](Child *self) { return serve(self, port); });
    EXPECT_EQ(port, second.hear());
    Child other([=](Child *self) { return ask(self, port, false); });
    EXPECT_EQ(0, other.hear());
    EXPECT_EQ(0, other.finish());
    EXPECT_EQ(0, second.finish());
    EXPECT_EQ(0, client.finish()) << "the dead one's clients end by their idle timeout";
}

TEST(Share, C209_AClientOfAnotherProcessTakesAnotherPort)
{
    Child server([](Child *self) { return serve(self); });
    const int port = server.hear();
    ASSERT_GT(port, 0);
    Child bound([=](Child *) { return bind_error(port); });
    EXPECT_EQ(EADDRINUSE, bound.finish());
    Child client([=](Child *self) { return ask(self, port, false); });
    EXPECT_EQ(0, client.hear());
    EXPECT_EQ(0, client.finish());
    EXPECT_EQ(0, server.finish());
}
