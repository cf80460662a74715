/* What children of fork held of their lender is there again when they have been waited for, or when they have closed
 * it: who forks or accepts at the limit of descriptors, one after the other, never finds it used up. */
#include <atomic>
#include <cerrno>
#include <csignal>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

/* Leaves room for so many descriptors, and for no number as large as `limit`. */
class Few
{
  public:
    explicit Few(size_t room, rlim_t limit = 1024)
    {
        EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &old_));
        rlimit few = old_;
        few.rlim_cur = limit;
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
        int fd;
        while ((fd = dup(STDIN_FILENO)) >= 0) {
            taken_.push_back(fd);
        }
        while (room-- > 0 && !taken_.empty()) {
            close(taken_.back());
            taken_.pop_back();
        }
    }
    ~Few()
    {
        for (int fd : taken_) {
            close(fd);
        }
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old_));
    }

  private:
    rlimit old_{};
    std::vector<int> taken_;
};

pthread_mutex_t programs_lock = PTHREAD_MUTEX_INITIALIZER;
std::atomic<bool> is_forking{false};

void before_fork()
{
    is_forking = true;
    (void)pthread_mutex_lock(&programs_lock);
}

void after_fork()
{
    (void)pthread_mutex_unlock(&programs_lock);
}

int ask_name(int fd)
{
    sockaddr_in name{};
    socklen_t len = sizeof(name);
    return getsockname(fd, reinterpret_cast<sockaddr *>(&name), &len) == 0 ? 0 : errno;
}

/* In a child: as many of its own as the lender has room for, which wait. */
std::vector<Child> take_all(int fd, Gate *go)
{
    std::vector<Child> held;
    int tell[2];
    int rc = pipe2(tell, O_CLOEXEC);
    while (rc == 0) {
        held.emplace_back([&] {
            rc = ask_name(fd);
            (void)!write(tell[1], &rc, sizeof(rc));
            go->pass();
            return 0;
        });
        rc = read(tell[0], &rc, sizeof(rc)) == sizeof(rc) ? rc : EIO;
    }
    if (rc != EMFILE) {
        abort();
    }
    held.pop_back();
    close(tell[0]);
    close(tell[1]);
    return held;
}

/* A process with so many clients of a listener, one after the other, each until its server is gone. */
class Clients
{
  public:
    explicit Clients(int count) : child_([=] { return run(count); })
    {
    }
    void start(int listen_fd)
    {
        const in_port_t to = name_of(listen_fd).port();
        EXPECT_EQ(static_cast<ssize_t>(sizeof(to)), write(port_.ends[1], &to, sizeof(to)));
    }
    int wait()
    {
        return child_.wait();
    }

  private:
    struct Pipe {
        int ends[2];
        Pipe()
        {
            EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
        }
        ~Pipe()
        {
            close(ends[0]);
            close(ends[1]);
        }
    };
    int run(int count)
    {
        in_port_t to = 0;
        CHECK_CHILD(read(port_.ends[0], &to, sizeof(to)) == sizeof(to));
        Address at = loopback(to);
        for (int i = 0; i < count; i++) {
            Fd client = quic_socket();
            CHECK_CHILD(connect(client, at.ptr(), at.len) == 0);
            CHECK_CHILD(quic_client_handshake(client, nullptr, nullptr) == 0);
            char c;
            CHECK_CHILD(recv(client, &c, 1, 0) < 0 && errno == ENOTCONN);
        }
        return 0;
    }
    Pipe port_;
    Child child_;
};

} // namespace

/* A child needs two for its way here, of which one stays, and one while it asks. */
TEST(Reaped, OneChildAfterTheOther)
{
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    Few few(2);
    for (int i = 0; i < forks(300); i++) {
        ASSERT_EQ(0, Child([&] { return ask_name(listen); }).wait()) << i;
    }
}

/* A socket needs two, of which one comes back from the child at this very moment. */
TEST(Reaped, ASocketAfterEachChild)
{
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    Few few(2);
    for (int i = 0; i < forks(1000); i++) {
        ASSERT_EQ(0, Child([&] { return ask_name(listen); }).wait()) << i;
        Fd one(socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC));
        ASSERT_GE(one.get(), 0) << i << ": " << strerror(errno);
    }
}

/* fork has handlers of the program that take its locks; who holds one and finds no descriptor waits for no fork. */
TEST(Reaped, AForkThatWaitsForTheProgram)
{
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    EXPECT_EQ(0, pthread_mutex_lock(&programs_lock));
    is_forking = false;
    std::thread forks([] { EXPECT_EQ(0, Child([] { return 0; }).wait()); });
    while (!is_forking) {
        usleep(100);
    }
    Few few(0);
    Fd one(socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC)); /* ports of before may come back */
    EXPECT_TRUE(one >= 0 || errno == EMFILE) << strerror(errno);
    EXPECT_EQ(0, pthread_mutex_unlock(&programs_lock));
    forks.join();
}

/* A connection needs two, a child one for its way here, and a handshake two. */
TEST(Reaped, OneConnectionAfterTheOther)
{
    constexpr int kClients = 100;
    Clients clients(kClients);
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    clients.start(listen);
    {
        Few few(5);
        for (int i = 0; i < kClients; i++) {
            Fd server(accept(listen, nullptr, nullptr));
            ASSERT_GE(server, 0) << i << ": " << strerror(errno);
            Child child([&] {
                listen.reset();
                return quic_server_handshake(server, key_file(), cert_file()) == 0 ? 0 : errno;
            });
            server.reset();
            ASSERT_EQ(0, child.wait()) << i;
        }
    }
    EXPECT_EQ(0, clients.wait());
}

/* What a child has of its lender is bounded (three in four descriptors), and it has it again: for children of its own,
 */
TEST(Reaped, AChildsChildren)
{
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    Few few(64, 64);
    Child child([&] {
        Gate go;
        std::vector<Child> held = take_all(listen, &go);
        CHECK_CHILD(held.size() == 48);
        held.pop_back();
        for (int i = 0; i < forks(300); i++) {
            CHECK_CHILD(Child([&] { return ask_name(listen); }).wait() == 0);
        }
        return 0;
    });
    EXPECT_EQ(0, child.wait());
}

/* and for what it accepts. */
TEST(Reaped, WhatAChildAccepts)
{
    constexpr int kClients = 100;
    Clients clients(kClients);
    Fd listen = listener();
    EXPECT_EQ(0, Child([&] { return ask_name(listen); }).wait());
    Few few(64, 64);
    Child child([&] {
        Gate go;
        std::vector<Child> held = take_all(listen, &go);
        held.pop_back();
        held.pop_back();
        clients.start(listen); /* none before, as they do not wait forever */
        for (int i = 0; i < kClients; i++) {
            Fd server(accept(listen, nullptr, nullptr));
            CHECK_CHILD(server >= 0);
            CHECK_CHILD(quic_server_handshake(server, key_file(), cert_file()) == 0);
        }
        return 0;
    });
    EXPECT_EQ(0, child.wait());
    EXPECT_EQ(0, clients.wait());
}

/* One that was closed while its last bytes wait for the peer. */
TEST(Reaped, AClosedOneThatHasBytesLeft)
{
    Pair pair = make_pair();
    const std::string data = pattern(1 << 20);
    uint32_t flags = kNew;
    while (send(pair.server, data.data(), data.size(), static_cast<int>(flags | MSG_DONTWAIT)) >=
           0) {
        flags = 0;
    }
    const size_t before = open_fds().size();
    pair.server.reset();
    EXPECT_EQ(before - 2, open_fds().size());
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (pthread_atfork(before_fork, after_fork, after_fork) != 0) {
        return 1;
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
