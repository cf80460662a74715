/* What a child of fork may say to its lender, which lends its sockets to others, too: forged questions, descriptors,
 * lengths, and more of everything than is good. */
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

/* A child's way to its lender. */
int way_to_lender()
{
    for (int fd : open_fds()) {
        int type = 0;
        socklen_t size = sizeof(type);
        if (fd >= 512 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
            type == SOCK_SEQPACKET) {
            return fd;
        }
    }
    return -1;
}

/* So many words of a message there, and descriptors. */
void say(int way, const std::array<uint32_t, 16> &words, size_t count,
         const std::vector<int> &passed = {})
{
    iovec iov = {const_cast<uint32_t *>(words.data()), count * sizeof(words[0])};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (!passed.empty()) {
        const size_t len = passed.size() * sizeof(int);
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(len);
        cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(c), passed.data(), len);
    }
    (void)!sendmsg(way, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The lender's answer. */
struct Told {
    std::array<uint32_t, 64> words{};
    int fd = -1; /* that came with it */
    int result() const
    {
        return static_cast<int>(words[0]);
    }
    uint32_t id() const
    {
        return words[4];
    }
    uint32_t put() const
    {
        return words[8];
    }
};

Told hear(int way)
{
    Told told;
    iovec iov = {told.words.data(), sizeof(told.words)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    told.words[0] = static_cast<uint32_t>(-EPIPE);
    const ssize_t got = recvmsg(way, &msg, MSG_CMSG_CLOEXEC);
    const cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&msg) : nullptr;
    if (c != nullptr && c->cmsg_type == SCM_RIGHTS) {
        memcpy(&told.fd, CMSG_DATA(c), sizeof(told.fd));
    }
    return told;
}

Told ask(int way, const std::array<uint32_t, 16> &words, size_t count,
         const std::vector<int> &passed = {})
{
    say(way, words, count, passed);
    return hear(way);
}

enum : uint32_t {
    kBorrow = 1,
    kWay = 3,
    kSend = 10,
    kReceive = 11,
    kCount = 14,
    kFix = 17,
    kHandshake = 18,
};
constexpr size_t kHead = 12; /* words */

Told shake(int way, int fd)
{
    const uint32_t id = ask(way, {kBorrow}, kHead, {fd}).id();
    return ask(way, {kHandshake, id, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 60000, 0, 0}, kHead + 4);
}

/* Clients of a peer that says nothing. */
struct Silence {
    Fd silent = Fd(::socket(AF_INET, SOCK_DGRAM, 0));
    std::vector<Fd> clients;
    explicit Silence(size_t count)
    {
        Address to = loopback();
        EXPECT_EQ(0, ::bind(silent, to.ptr(), to.len));
        to = name_of(silent);
        cert_file();
        for (size_t i = 0; i < count; i++) {
            clients.push_back(quic_socket());
            EXPECT_EQ(0, connect(clients.back(), to.ptr(), to.len));
        }
    }
};

/* At the descriptor itself, whatever stands for it. */
bool put_byte(int fd)
{
    return syscall(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0) == 1;
}

} // namespace

/* A child may say what it likes on its way to the lender: that ends the way, and nothing else. */
TEST(Lend, NoiseForTheLender)
{
    Pair pair = make_pair();
    Child steady([&] {
        pair.client.reset();
        return echo(pair.server);
    });
    for (size_t len : {1u, 16u, 44u, 45u, 64u, 4096u, 65536u}) {
        for (int fill : {0, 1, 0x41, 0xff}) {
            Child noisy([&] {
                const std::string noise(len, static_cast<char>(fill));
                for (int fd : open_fds()) {
                    int type = 0;
                    socklen_t size = sizeof(type);
                    if (fd >= 512 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                        type == SOCK_SEQPACKET) {
                        for (int i = 0; i < 50; i++) { /* and hears nothing of what is said */
                            (void)!send(fd, noise.data(), noise.size(),
                                        MSG_DONTWAIT | MSG_NOSIGNAL);
                        }
                    }
                }
                char c;
                (void)!recv(pair.server, &c, 1, MSG_DONTWAIT);
                return 0;
            });
            EXPECT_EQ(0, noisy.wait());
        }
    }
    EXPECT_TRUE(echoes(pair.client, 1000));
    pair.client.reset();
    EXPECT_EQ(0, steady.wait());
}

/* What it passes there is none of the lender's concern, however long its close would take. */
TEST(Lend, WhatIsPassedToTheLenderStallsNobody)
{
    Pair pair = make_pair();
    Child steady([&] {
        pair.client.reset();
        return echo(pair.server);
    });
    Fd listen(::socket(AF_INET, SOCK_STREAM, 0)); /* which takes nothing */
    ASSERT_EQ(0, ::listen(listen, 16));           /* at a port of the kernel's */
    auto pass = [&](size_t words, int before) {
        Fd slow(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        sockaddr_in to{};
        socklen_t len = sizeof(to);
        CHECK_CHILD(getsockname(listen, reinterpret_cast<sockaddr *>(&to), &len) == 0);
        (void)connect(slow, reinterpret_cast<sockaddr *>(&to), len);
        CHECK_CHILD(poll_for(slow, POLLOUT));
        const std::string data(1u << 20, 'x');
        while (send(slow, data.data(), data.size(), 0) > 0) {
        }
        const linger patient = {1, 30};
        CHECK_CHILD(setsockopt(slow, SOL_SOCKET, SO_LINGER, &patient, sizeof(patient)) == 0);
        const int way = way_to_lender();
        for (int i = 0; i < before; i++) {
            say(way, {}, 0); /* which is no end */
        }
        say(way, {kBorrow}, words, {slow});
        _exit(0); /* who ends does not linger: the lender has the last one */
        return 0;
    };
    EXPECT_EQ(0, Child([&] { return pass(kHead, 0); }).wait());
    EXPECT_EQ(0, Child([&] { return pass(1, 0); }).wait());
    for (int i = 0; i < 5; i++) { /* the lender is to find more than one of them */
        EXPECT_EQ(0, Child([&] { return pass(kHead, 5); }).wait());
    }
    set_recv_timeout(pair.client, 20000);
    EXPECT_TRUE(echoes(pair.client, 1000));
    pair.client.reset();
    EXPECT_EQ(0, steady.wait());
}

/* Who ends between the lender's answer and what it has to do then leaves the descriptor readable for nothing. Others
 * wait all the same, and do not burn a processor. */
TEST(Lend, ASignThatIsNotTrue)
{
    Pair pair = make_pair();
    Gate go;
    Child child([&] {
        pair.client.reset();
        go.pass();
        const std::string got = read_bytes(pair.server, 1);
        rusage used{};
        getrusage(RUSAGE_SELF, &used);
        CHECK_CHILD(got == "y");
        CHECK_CHILD(used.ru_utime.tv_sec + used.ru_stime.tv_sec == 0 &&
                    used.ru_utime.tv_usec + used.ru_stime.tv_usec < 600000);
        return 0;
    });
    ASSERT_EQ(1, send(pair.client, "x", 1, kNew));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    Gate closed;
    Child hasty([&] {
        closed.pass();
        const int way = way_to_lender();
        const uint32_t id = ask(way, {kBorrow}, kHead, {pair.server}).id();
        /* reads at most 16 bytes of any stream */
        CHECK_CHILD(ask(way, {kReceive, id, 0, 0, ~0u, ~0u, 0, 0, 0, 0, 0, 16}, kHead).result() ==
                    1);
        return 0;
    });
    pair.server.reset();
    closed.open();
    EXPECT_EQ(0, hasty.wait());
    go.open();
    usleep(1500000);
    ASSERT_EQ(1, send(pair.client, "y", 1, kNew));
    EXPECT_EQ(0, child.wait());
}

/* Lengths and parts of a handshake that are not there. */
TEST(Lend, AHandshakeThatIsNone)
{
    Fd listen = listener();
    Visit visit(listen);
    Fd server(accept(listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    struct Row {
        uint32_t len; /* of the data: a head of 16 bytes, and what follows */
        uint32_t says;
        uint32_t key_len;
        uint32_t cert_len;
    };
    for (const Row &row : {Row{8, 0, 0, 0}, Row{16, 1, 0, 0}, Row{16, 2, 0, 0}, Row{16, 28, 5, 0},
                           Row{16, 28, 0, 5}, Row{16, 28, ~0u, 1}, Row{16, 28, 1, ~0u}}) {
        EXPECT_EQ(0, Child([&] {
                         const int way = way_to_lender();
                         CHECK_CHILD(way >= 0);
                         const uint32_t id = ask(way, {kBorrow}, kHead, {server}).id();
                         const Told told = ask(way,
                                               {kHandshake, id, 0, 0, 0, 0, 0, 0, row.len, 0, 0, 0,
                                                row.says, 1000, row.key_len, row.cert_len},
                                               kHead + row.len / 4);
                         CHECK_CHILD(told.result() == -EINVAL && told.fd < 0);
                         return 0;
                     }).wait())
            << row.len << ' ' << row.says << ' ' << row.key_len << ' ' << row.cert_len;
    }
    server.reset();
    (void)visit.succeeds();
}

/* One child, with all that come of it, leaves descriptors for its lender and for others. */
TEST(Lend, OneChildDoesNotTakeAllDescriptors)
{
    Fd listen = listener();
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit few = old;
    few.rlim_cur = 1024;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
    Gate full;
    Gate go;
    auto take_all = [&] {
        const int way = way_to_lender();
        CHECK_CHILD(way >= 0);
        int count = 0;
        Told told = ask(way, {kWay}, kHead);
        for (; told.fd >= 0 && count < 1000; count++) {
            told = ask(way, {kWay}, kHead);
        }
        CHECK_CHILD(told.result() == -EMFILE && count == 768); /* three in four */
        errno = 0;
        CHECK_CHILD(accept(listen, nullptr, nullptr) < 0 && errno == EMFILE);
        Child last([&] {
            sockaddr_in name{};
            socklen_t len = sizeof(name);
            errno = 0; /* and is told why */
            CHECK_CHILD(getsockname(listen, reinterpret_cast<sockaddr *>(&name), &len) < 0 &&
                        errno == EMFILE);
            return 0;
        });
        return last.wait();
    };
    Child greedy([&] {
        const int rc = take_all();
        full.open();
        go.pass();
        return rc;
    });
    full.pass();
    Child other([&] {
        Fd server(accept(listen, nullptr, nullptr));
        CHECK_CHILD(server >= 0);
        CHECK_CHILD(quic_server_handshake(server, key_file(), cert_file()) == 0);
        return 0;
    });
    Visit visit(listen);
    EXPECT_TRUE(visit.succeeds());
    EXPECT_EQ(0, other.wait());
    go.open();
    EXPECT_EQ(0, greedy.wait());
    EXPECT_TRUE(comes_true([] { return open_fds().size() < 200; }));
    EXPECT_EQ(0, Child(take_all).wait()); /* another one has as many */
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* A way with nobody but the lender at either end would never be over. */
TEST(Lend, AWayToNobody)
{
    Pair pair = make_pair();
    EXPECT_EQ(0, Child([] { return 0; }).wait());
    const size_t before = open_fds().size();
    Child child([&] {
        const int way = way_to_lender();
        for (int i = 0; i < 20; i++) {
            int ends[2];
            CHECK_CHILD(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
            (void)ask(way, {kWay}, kHead, {ends[0]});
            (void)ask(way, {kWay}, kHead, {ends[1]});
        }
        return 0;
    });
    EXPECT_EQ(0, child.wait());
    EXPECT_TRUE(comes_true([&] { return open_fds().size() <= before; }));
    EXPECT_TRUE(alive(pair));
}

/* Nor does one child take all threads that shake hands, with peers that say nothing. */
TEST(Lend, OneChildDoesNotTakeAllThreads)
{
    Silence silence(258);
    const std::vector<Fd> &clients = silence.clients;
    Child child([&] {
        const int way = way_to_lender();
        for (int i = 0; i < 256; i++) {
            const Told told = shake(way, clients[static_cast<size_t>(i)]);
            CHECK_CHILD(told.result() == 0 && told.fd >= 0);
        }
        CHECK_CHILD(shake(way, clients[256]).result() == -EAGAIN);
        return 0;
    });
    EXPECT_EQ(0, child.wait());
    Child other([&] {
        CHECK_CHILD(shake(way_to_lender(), clients[257]).result() == 0);
        return 0;
    });
    EXPECT_EQ(0, other.wait());
}

/* What a process shakes hands for others when it forks is nothing to what its child lends. */
TEST(Lend, AChildLendsAnew)
{
    const size_t children = 4;
    const size_t each = 256; /* together all that one process has threads for */
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit many = old;
    many.rlim_cur = std::max<rlim_t>(old.rlim_cur, std::min<rlim_t>(old.rlim_max, 4096));
    if (!kThreadsAfterFork || many.rlim_cur < 4096) {
        GTEST_SKIP() << "no threads after fork under this sanitizer, or too few descriptors";
    }
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &many));
    Fd listen = listener();
    Silence silence(children * each + 1);
    for (size_t i = 0; i < children; i++) {
        EXPECT_EQ(0, Child([&] {
                         const int way = way_to_lender();
                         for (size_t j = i * each; j < (i + 1) * each; j++) {
                             CHECK_CHILD(shake(way, silence.clients[j]).result() == 0);
                         }
                         return 0;
                     }).wait());
    }
    Child child([&] {
        CHECK_CHILD(shake(way_to_lender(), silence.clients.back()).result() == -EAGAIN);
        Fd client = quic_socket();
        Address to = name_of(listen);
        CHECK_CHILD(connect(client, to.ptr(), to.len) == 0);
        return Child([&] {
                   CHECK_CHILD(quic_client_handshake(client, nullptr, nullptr) == 0);
                   return 0;
               })
            .wait();
    });
    if (poll_for(listen, POLLIN)) {
        Fd server(accept(listen, nullptr, nullptr));
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    }
    EXPECT_EQ(0, child.wait());
    silence.clients.clear();
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* Who is late to fill a descriptor, for which there has been room meanwhile, leaves too much there: that is taken away
 * also where it is to be full again. */
TEST(Lend, WhoIsLateLeavesNothing)
{
    PairOptions options;
    options.client = [](int fd) {
        quic_transport_param param{};
        param.max_data = 20000;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    };
    Pair pair = make_pair(options);
    const int room = 4096;
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)));
    const int rounds = 4;
    Gate closed;
    Gate full;
    Gate empty;
    Child child([&] {
        pair.client.reset();
        closed.pass();
        const int way = way_to_lender();
        const uint32_t id = ask(way, {kBorrow}, kHead, {pair.server}).id();
        uint32_t owed = 0;
        for (int i = 0; i < rounds; i++) {
            Told told;
            for (uint32_t flags = MSG_DONTWAIT | (i == 0 ? uint32_t{MSG_SYN} : 0u); told.put() == 0;
                 flags = MSG_DONTWAIT) {
                told = ask(way, {kSend, id, flags, 0, ~0u, ~0u, 0, 0, 16, 0, 0, 0, 1, 2, 3, 4},
                           kHead + 4);
                CHECK_CHILD(told.result() == 16 || told.put() != 0);
            }
            owed += told.put();
            if (i + 1 < rounds) {
                full.open();
                empty.pass();
                CHECK_CHILD(comes_true([&] {
                    return ask(way, {kCount, id, 1}, kHead).result() == 0;
                }));
            }
        }
        do { /* all of them are late */
            for (; owed > 0; owed--) {
                CHECK_CHILD(put_byte(pair.server));
            }
            owed = ask(way, {kFix, id}, kHead).put();
        } while (owed > 0);
        CHECK_CHILD((poll_now(pair.server) & POLLOUT) == 0);
        full.open();
        pollfd p = {pair.server, POLLOUT, 0};
        CHECK_CHILD(poll(&p, 1, 10000) == 1);
        return 0;
    });
    pair.server.reset();
    closed.open();
    set_recv_timeout(pair.client, 300);
    std::string sink(1u << 16, '\0');
    for (int i = 0; i < rounds; i++) {
        full.pass();
        while (recv(pair.client, &sink[0], sink.size(), 0) > 0) {
        }
        empty.open();
    }
    EXPECT_EQ(0, child.wait());
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
