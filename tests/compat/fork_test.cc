/* Sockets in children of fork: servers that fork for each connection, servers whose children accept, and what happens
 * to a socket as the processes that have it come and go. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

/* accept, fork, close: the oldest server there is. */
TEST(Fork, C214_AChildPerConnection)
{
    Fd listen = listener();
    for (int i = 0; i < 3; i++) {
        Visit visit(listen);
        Fd server(accept(listen, nullptr, nullptr));
        ASSERT_GE(server.get(), 0);
        Child child([&] {
            listen.reset();
            visit.client.reset();
            CHECK_CHILD(quic_server_handshake(server, key_file(), cert_file()) == 0);
            return echo(server);
        });
        server.reset(); /* the child's alone */
        ASSERT_TRUE(visit.succeeds());
        EXPECT_TRUE(echoes(visit.client, 100));
        EXPECT_TRUE(echoes(visit.client, 1u << 20, 2));
        visit.client.reset();
        EXPECT_EQ(0, child.wait());
    }
}

/* A raw clone is not seen: what it has copies of makes nobody wait for the end of a handshake. */
TEST(Fork, ARawCloneDuringAHandshake)
{
    Fd listen = listener();
    (void)cert_file();
    Fd client = quic_socket();
    Address to = name_of(listen);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    Child child([&] { return -quic_client_handshake(client, nullptr, nullptr); });
    ASSERT_TRUE(poll_for(listen, POLLIN));
    const auto clone = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    while (clone == 0) {
        pause();
    }
    ASSERT_GT(clone, 0);
    Fd server(accept(listen, nullptr, nullptr));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    EXPECT_EQ(0, child.wait());
    EXPECT_EQ(0, kill(clone, SIGKILL));
    EXPECT_EQ(clone, waitpid(clone, nullptr, 0));
}

/* fork, accept: workers that are there before their clients. */
TEST(Fork, C214_ChildrenAccept)
{
    Fd listen = listener();
    std::vector<Child> children;
    for (int i = 0; i < 3; i++) {
        children.emplace_back([&] {
            for (;;) {
                sockaddr_in from{};
                socklen_t len = sizeof(from);
                Fd server(accept4(listen, reinterpret_cast<sockaddr *>(&from), &len, SOCK_CLOEXEC));
                if (server < 0) {
                    return errno == EINVAL ? 0 : errno; /* it listens no more */
                }
                CHECK_CHILD(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && from.sin_port != 0);
                CHECK_CHILD((fcntl(server, F_GETFD) & FD_CLOEXEC) != 0);
                CHECK_CHILD(quic_server_handshake(server, key_file(), cert_file()) == 0);
                CHECK_CHILD(peer_of(server).port() == ntohs(from.sin_port));
                CHECK_CHILD(echo(server) == 0);
            }
        });
    }
    for (int round = 0; round < 3; round++) {
        std::vector<std::unique_ptr<Visit>> visits;
        for (int i = 0; i < 3; i++) { /* one each */
            visits.emplace_back(new Visit(listen));
        }
        for (auto &visit : visits) {
            ASSERT_TRUE(visit->succeeds());
            EXPECT_TRUE(echoes(visit->client, 10000));
        }
    }
    shutdown(listen, SHUT_RD); /* of one socket, whoever has it */
    for (Child &child : children) {
        EXPECT_EQ(0, child.wait());
    }
}

/* A socket is closed with its last descriptor, wherever that is. */
TEST(Fork, C212_TheLastCloseIsTheClose)
{
    Pair pair = make_pair();
    Gate told;
    Gate go;
    Child child([&] {
        told.pass();
        close(pair.server.release());
        told.open();
        go.pass();
        return 0;
    });
    told.open();
    EXPECT_TRUE(alive(pair)); /* the parent's still */
    pair.server.reset();
    EXPECT_TRUE(hears_close(pair));
    go.open();
    EXPECT_EQ(0, child.wait());

    pair = make_pair();
    Child other([&] {
        go.pass();
        return 0;
    });
    pair.server.reset();
    EXPECT_TRUE(hears_nothing(pair));
    go.open();
    EXPECT_EQ(0, other.wait()); /* ends with it open */
    EXPECT_TRUE(hears_close(pair));
}

/* What a child has written when it ends arrives. */
TEST(Fork, AChildThatWritesAndEnds)
{
    Pair pair = make_pair();
    const std::string data = pattern(3u << 20);
    Child child([&] {
        close(pair.client.release());
        CHECK_CHILD(send(pair.server, data.data(), data.size(), kNew) ==
                    static_cast<ssize_t>(data.size()));
        return 0;
    });
    pair.server.reset();
    EXPECT_TRUE(read_bytes(pair.client, data.size()) == data);
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(hears_close(pair));
}

/* A program that execs has no use for its copies. */
TEST(Fork, C215_WhoExecsKeepsNothingOpen)
{
    Pair pair = make_pair();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execlp("sleep", "sleep", "60", nullptr);
        _exit(127);
    }
    EXPECT_TRUE(alive(pair));
    pair.server.reset();
    EXPECT_TRUE(hears_close(pair));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

/* What came before the end is there to be read, also when the parent had closed its descriptor meanwhile. */
TEST(Fork, WhatCameBeforeTheEnd)
{
    Pair pair = make_pair();
    Gate go;
    Gate closed;
    Child child([&] {
        pair.client.reset();
        closed.open();
        go.pass();
        CHECK_CHILD(read_bytes(pair.server, 5) == "hello");
        char c;
        CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == ENOTCONN);
        return 0;
    });
    ASSERT_EQ(5, send(pair.client, "hello", 5, kNew));
    closed.pass();
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLIN | POLLHUP | POLLRDHUP));
    pair.server.reset();
    EXPECT_EQ(0, Child([] { return 0; }).wait()); /* another's end changes nothing */
    go.open();
    EXPECT_EQ(0, child.wait());
}

/* With its lender a socket ends: at once, and with a word about it. */
TEST(Fork, TheLenderEnds)
{
    Gate made;
    Gate go;
    int report[2];
    ASSERT_EQ(0, pipe2(report, O_CLOEXEC));
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Child lender([&] {
        Pair pair = make_pair();
        fflush(stderr);
        if (fork() == 0) {
            alarm(kHangs);
            dup2(report[1], STDERR_FILENO);
            made.open();
            char c;
            const bool waited = read(pair.server, &c, 1) < 0 && errno == EBADF;
            errno = 0;
            const bool again = write(pair.server, "x", 1) < 0 && errno == EBADF;
            Fd own = quic_socket(); /* and has sockets of its own */
            const bool word = waited && again && own >= 0;
            (void)!write(report[1], word ? "+" : "-", 1);
            _exit(0);
        }
        go.pass();
        return 0;
    });
    made.pass();
    usleep(50000);
    go.open();
    EXPECT_EQ(0, lender.wait());
    close(report[1]);
    std::string said;
    char buf[1024];
    ssize_t n;
    while ((n = read(report[0], buf, sizeof(buf))) > 0) {
        said.append(buf, static_cast<size_t>(n));
    }
    close(report[0]);
    EXPECT_NE(std::string::npos, said.find("has ended")) << said;
    EXPECT_EQ('+', said.empty() ? '-' : said.back()) << said;
}

/* A child of the child has a way of its own to the lender. */
TEST(Fork, ChildrenOfChildren)
{
    Pair pair = make_pair();
    Child child([&] {
        char c;
        CHECK_CHILD(read(pair.server, &c, 1) == 1);
        Child grandchild([&] {
            CHECK_CHILD(read(pair.server, &c, 1) == 1);
            Child last([&] {
                CHECK_CHILD(read(pair.server, &c, 1) == 1 && c == '3');
                CHECK_CHILD(send(pair.server, "3", 1, kNew) == 1);
                return 0;
            });
            CHECK_CHILD(send(pair.server, "2", 1, kNew) == 1);
            return last.wait();
        });
        CHECK_CHILD(send(pair.server, "1", 1, kNew) == 1);
        return grandchild.wait();
    });
    pair.server.reset();
    for (const char *c : {"1", "2", "3"}) {
        ASSERT_EQ(1, send(pair.client, c, 1, kNew));
        EXPECT_EQ(c, read_bytes(pair.client, 1));
    }
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(hears_close(pair));
}

/* Between the call and the answer nobody may be left waiting, and nothing be lost that others could have had. */
TEST(Fork, AChildIsKilledInACall)
{
    Pair pair = make_pair();
    for (int i = 0; i < 5; i++) {
        Gate started;
        Child child([&] {
            started.open();
            char c;
            (void)read(pair.server, &c, 1);
            return 0;
        });
        started.pass();
        usleep(5000);
        kill(child.pid(), SIGKILL);
        child.wait();
        EXPECT_TRUE(alive(pair));
    }
    Child child([&] {
        pair.client.reset();
        return static_cast<int>(read_bytes(pair.server, 1u << 30).size());
    });
    pair.server.reset();
    const std::string data = pattern(1u << 20);
    ASSERT_GT(send(pair.client, data.data(), data.size(), MSG_SYN), 0);
    kill(child.pid(), SIGKILL);
    child.wait();
    EXPECT_TRUE(hears_close(pair));
}

TEST(Fork, NothingIsLeftOfChildren)
{
    Pair pair = make_pair();
    EXPECT_EQ(0, Child([&] { return 0; }).wait());
    const std::set<int> before = open_fds();
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(0, Child([&] {
                         if (i % 2 == 0) {
                             CHECK_CHILD(name_of(pair.server).port() != 0);
                         }
                         const std::set<int> fds =
                             open_fds(); /* one way, and nothing of the engine */
                         CHECK_CHILD(std::count_if(fds.begin(), fds.end(),
                                                   [](int fd) { return fd >= 512; }) == 1);
                         return 0;
                     }).wait());
        EXPECT_TRUE(i % 3 != 0 || alive(pair)); /* idle it is not */
    }
    EXPECT_TRUE(comes_true([&] { return open_fds().size() <= before.size(); }));
    EXPECT_TRUE(alive(pair));
}

/* fork copies descriptors before it copies memory: what other threads make and close meanwhile a child has and knows,
 * or has not. */
TEST(Fork, WhileOtherThreadsOpenAndClose)
{
    const size_t len = 64u << 20; /* is copied between the two, below what says whose they are */
    void *memory = mmap(reinterpret_cast<void *>(uintptr_t{1} << 32), len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ASSERT_NE(MAP_FAILED, memory);
    Fd socket = quic_socket(); /* so that there is something to lend */
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
        threads.emplace_back([&over, i] {
            while (!over) {
                Fd fd = i == 0 ? listener() : quic_socket();
            }
        });
    }
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(0, Child([&] {
                         const std::set<int> fds = open_fds();
                         CHECK_CHILD(std::count_if(fds.begin(), fds.end(),
                                                   [](int fd) { return fd >= 512; }) == 1);
                         return 0;
                     }).wait());
    }
    over = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    munmap(memory, len);
}

/* What had come before the fork, and the end: the child's to read, whoever closes. */
TEST(Fork, AnEndBeforeTheFork)
{
    Pair pair = make_pair();
    Gate go;
    ASSERT_EQ(5, send(pair.client, "hello", 5, kNew));
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    Child other([&] { /* has a copy, too, and is gone before */
                      pair.server.reset();
                      return 0;
    });
    Child child([&] {
        go.pass();
        Child last([&] {
            go.pass();
            CHECK_CHILD(read_bytes(pair.server, 5) == "hello");
            char c;
            CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == ENOTCONN);
            return 0;
        });
        pair.server.reset();
        go.open();
        return last.wait();
    });
    EXPECT_EQ(0, other.wait());
    pair.server.reset();
    go.open();
    EXPECT_EQ(0, child.wait());
}

/* A lender that has no descriptor to spare has one in a moment. */
TEST(Fork, TheLenderIsOutOfDescriptors)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send(pair.client, "x", 1, kNew));
    Gate go;
    Child child([&] {
        go.pass();
        return read_bytes(pair.server, 1) == "x" ? 0 : errno;
    });
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit none = old;
    none.rlim_cur = 3;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    go.open();
    usleep(300000);
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
    EXPECT_EQ(0, child.wait());
}

/* A child for which there was none is told so. */
TEST(Fork, TheForkIsOutOfDescriptors)
{
    Pair pair = make_pair();
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit none = old;
    none.rlim_cur = 0;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    auto is_told = [&] {
        sockaddr_in name{};
        socklen_t len = sizeof(name);
        errno = 0;
        CHECK_CHILD(getsockname(pair.server, reinterpret_cast<sockaddr *>(&name), &len) < 0 &&
                    errno == EMFILE);
        return 0;
    };
    Child child([&] {
        const int rc = is_told();
        return rc != 0 ? rc : Child(is_told).wait();
    });
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(alive(pair));
}

/* A child is one of those that have the socket from the moment of its fork, also when another ends at that very
 * moment. */
TEST(Fork, ForksInThreads)
{
    Pair pair = make_pair();
    std::atomic<bool> over{false};
    std::thread forks([&] {
        while (!over) {
            pid_t pid = fork();
            if (pid == 0) {
                _exit(0);
            }
            waitpid(pid, nullptr, 0);
        }
    });
    for (int i = 0; i < 100; i++) {
        Fd copy = quic_socket();
        Gate go;
        Child child([&] {
            go.pass();
            int value = 0;
            socklen_t len = sizeof(value);
            CHECK_CHILD(getsockopt(copy, SOL_SOCKET, SO_TYPE, &value, &len) == 0);
            return 0;
        });
        copy.reset();
        usleep(500);
        go.open();
        EXPECT_EQ(0, child.wait());
        /* All of them may take longer than it may be idle. */
        EXPECT_TRUE(i % 10 != 0 || alive(pair));
    }
    over = true;
    forks.join();
    EXPECT_TRUE(alive(pair));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
