/* Random calls in random states, by two threads on the same descriptors, under signals; in some rounds
 * allocations fail (sanitizer builds). Nothing is expected of a single call but that it comes back; a
 * sanitizer, an assertion or fuzz_watch.h finds what is wrong, and descriptors must all be gone at the end.
 *
 *     fuzz_test --cpu-seconds=N [--seed=S] [--alloc=0|1] [--jobs=J]   rounds until so much CPU time is used
 *     fuzz_test --rounds=N [--seed=S] [--alloc=0|1] [--jobs=J]        J at a time
 */
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <time.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fuzz_alloc.h"
#include "tests/compat/fuzz_calls.h"
#include "tests/compat/fuzz_watch.h"
#include "tests/compat/rights.h"

using namespace compat;

#if defined(QURING_TSAN)
/* To close a number that others still use is what this test is about; ThreadSanitizer calls it a race of the
 * accesses it believes close, fstat and their kind to make. */
extern "C" const char *__tsan_default_options()
{
    return "ignore_interceptors_accesses=1";
}
#endif

namespace
{

constexpr int kThreads = 2;
constexpr int kCallsOfAThread = 400;

std::atomic<uint64_t> g_rounds{0};
std::atomic<uint64_t> g_calls{0};
std::atomic<uint64_t> g_handshakes{0};
std::atomic<uint64_t> g_received{0};
std::atomic<unsigned> g_signals{0};

/* Some stay for a while: what the thread was doing then lasts, as on a machine that has given it no turn. */
void on_signal(int)
{
    const int error = errno;
    const unsigned count = ++g_signals;
    if (count % 16 == 0) {
        const timespec stay = {0, static_cast<long>(count % 7 * 700000)};
        (void)nanosleep(&stay, nullptr);
    }
    errno = error;
}

/* Answers clients, as a server does. */
void serve(FuzzWorld &world, int listen_fd, uint64_t seed)
{
    Random random(seed);
    fcntl(listen_fd, F_SETFL, O_NONBLOCK);
    while (!world.over) {
        pollfd p = {listen_fd, POLLIN, 0};
        FuzzStep step("serve", world.seed, 0);
        int fd = poll(&p, 1, 5) > 0 ? accept(listen_fd, nullptr, nullptr) : -1;
        if (fd >= 0) {
            world.put(random, fd);
            world.handshakes += quic_server_handshake(fd, key_file(), cert_file()) == 0;
        }
    }
}

void close_all(FuzzWorld &world)
{
    FuzzStep step("close_all", world.seed, 0);
    for (auto &slot : world.slots) {
        int fd = slot.exchange(-1);
        if (fd >= 0) {
            FuzzStep::on(fd);
            (void)close(fd);
        }
    }
}

void call_at_random(FuzzWorld &world, uint64_t seed, bool allocations_fail)
{
    Random random(seed);
    for (int i = 0; i < kCallsOfAThread; i++) {
        if (allocations_fail && random.one_in(10)) {
            fuzz_alloc_fail_at(1 + random.below(60), random.one_in(4) ? 20 : 1);
        }
        fuzz_call(world, random);
    }
    world.running--;
}

Fd some_listener()
{
    for (int i = 0; i < 100; i++) { /* allocations may fail for another round's sake */
        Fd fd(socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC));
        Address at = loopback();
        fuzz_be_impatient(fd);
        if (fd >= 0 && bind(fd, at.ptr(), at.len) == 0 && listen(fd, 4) == 0) {
            return fd;
        }
    }
    perror("listener");
    abort();
}

void run_round(uint64_t seed, bool allocations_fail)
{
    static const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    fuzz_alloc_fail_at(0, 0);
    FuzzWorld world;
    world.seed = seed;
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    Fd listen_fd = some_listener();
    world.server = name_of(listen_fd);
    world.slots[0] = some_listener().release();
    world.epoll = epoll;
    world.file = file;
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, world.rights));
    std::thread server([&] { serve(world, listen_fd, seed + 100); });
    world.running = kThreads;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            call_at_random(world, seed * 8 + static_cast<uint64_t>(t), allocations_fail);
        });
    }
    Random random(seed + 200);
    uint64_t seen = 0;
    int still = 0;
    while (world.running > 0) {
        still = world.calls == seen ? still + 1 : 0;
        seen = world.calls;
        if (still > 400) { /* both wait in handshakes that nobody answers */
            close_all(world);
        }
        for (std::thread &thread : threads) {
            (void)pthread_kill(thread.native_handle(), SIGUSR1);
        }
        usleep(static_cast<useconds_t>(300 + random.below(3000)));
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    fuzz_alloc_fail_at(0, 0);
    world.over = true;
    close_all(world);
    server.join();
    close_all(world);
    (void)close(world.rights[0]);
    (void)close(world.rights[1]);
    g_calls += world.calls;
    g_handshakes += world.handshakes;
    g_received += world.received;
    g_rounds++;
}

/* Ends of pairs, which are UNIX stream sockets; those the program had before do not count. The engine's, by which
 * processes at a shared address meet, is of datagrams and stays. */
int pairs_left()
{
    int count = 0;
    for (int fd = 3; fd < 2000; fd++) {
        int domain = 0;
        int type = 0;
        socklen_t len = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM) {
            count++;
        }
    }
    return count;
}

/* Connections take a moment to end; afterwards nothing is left of any socket. */
bool all_gone(int before)
{
    for (int i = 0; i < 300; i++) {
        if (pairs_left() <= before) {
            return true;
        }
        usleep(100000);
    }
    return false;
}

void prepare()
{
    struct sigaction action {
    };
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    signal(SIGPIPE, SIG_IGN);
    (void)cert_file();
    fuzz_watch();
}

double cpu_seconds()
{
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

void run_rounds(uint64_t seed, int count, bool allocations_fail)
{
    for (int i = 0; i < count; i++, seed++) {
        const std::string replay = "replay: fuzz_test --rounds=1 --seed=" + std::to_string(seed) +
                                   (allocations_fail ? " --alloc=1" : " --alloc=0");
        SCOPED_TRACE(replay);
        const int before = pairs_left();
        run_round(seed, allocations_fail);
        EXPECT_TRUE(all_gone(before)) << pairs_left() - before << " sockets are left";
    }
}

/* How many rounds of which kind, from the arguments; nothing: the tests below. */
int run_long(uint64_t first, double seconds, int rounds, int alloc, int jobs)
{
    prepare();
    const int before = pairs_left();
    const uint64_t end = first + static_cast<uint64_t>(rounds);
    std::atomic<uint64_t> next{first};
    std::vector<std::thread> threads;
    for (int i = 0; i < jobs; i++) {
        threads.emplace_back([&] {
            for (uint64_t seed; (seed = next++) < end || cpu_seconds() < seconds;) {
                run_round(seed, alloc < 0 ? seed % 2 == 1 : alloc == 1);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    bool gone = all_gone(before);
    using ull = unsigned long long;
    printf(
        "fuzz: %llu rounds from seed %llu, %.0f s of CPU, %llu calls, %llu handshakes, %llu times "
        "bytes came, %u signals, %llu allocations failed, %d sockets left\n",
        static_cast<ull>(g_rounds.load()), static_cast<ull>(first), cpu_seconds(),
        static_cast<ull>(g_calls.load()), static_cast<ull>(g_handshakes.load()),
        static_cast<ull>(g_received.load()), g_signals.load(),
        static_cast<ull>(fuzz_alloc_failed()), gone ? 0 : pairs_left() - before);
    return gone ? 0 : 1;
}

/* Ports stay for three seconds after their last socket; the next bind takes them back. */
bool take_ports_back()
{
    usleep(3300000);
    Fd fd(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
    Address at = loopback();
    return fd >= 0 && bind(fd, at.ptr(), at.len) == 0;
}

} // namespace

TEST(Fuzz, H102_RandomCallsOfTwoThreads)
{
    run_rounds(1, 4, false);
    EXPECT_GT(g_handshakes.load(), 0u); /* they do reach something */
    EXPECT_GT(g_received.load(), 0u);
}

/* A program that never polls leaves nothing behind either, nor one whose descriptors travel. */
TEST(Fuzz, NothingIsLeftOfASocket)
{
    if (fuzz_alloc_can_fail() == 0) {
        GTEST_SKIP() << "only where the sanitizers' builds count what malloc gives";
    }
    const int pairs = 8;
    const int before = pairs_left();
    int64_t live[2] = {};
    int unix_fds[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fds));
    for (int64_t &at : live) {
        for (int i = 0; i < pairs; i++) {
            Pair pair = make_pair();
            ASSERT_EQ(5, send(pair.client, "hello", 5, MSG_SYN | MSG_FIN));
            ASSERT_EQ("hello", read_bytes(pair.server, 5));
            if (i % 2 == 0) { /* the end comes while nobody has it, or before */
                ASSERT_TRUE(send_fd(unix_fds[0], pair.server));
                pair.server.reset(i % 4 == 0 ? -1 : pair.server.release());
                pair.client.reset();
                Fd got(receive_fd(unix_fds[1]));
                ASSERT_GE(got.get(), 0);
                char c;
                while (recv(got, &c, 1, 0) >= 0) {
                }
                ASSERT_EQ(ENOTCONN, errno);
            }
        }
        ASSERT_TRUE(all_gone(before + 2));
        ASSERT_TRUE(take_ports_back());
        for (int i = 0; i < 100 && (at = fuzz_alloc_live(), i < 20 || at > live[0]); i++) {
            usleep(100000); /* the engine's own tables come to rest */
        }
    }
    EXPECT_LE(live[1], live[0]);
    close(unix_fds[0]);
    close(unix_fds[1]);
}

/* Nor does one that binds again and again, to more ports than there are places for. */
TEST(Fuzz, NothingIsLeftOfAPort)
{
    if (fuzz_alloc_can_fail() == 0) {
        GTEST_SKIP() << "only where the sanitizers' builds count what malloc gives";
    }
    int64_t live[2] = {};
    for (int64_t &at : live) {
        for (int i = 0; i < 200; i++) {
            Fd fd = quic_socket();
            Address to = loopback();
            ASSERT_EQ(0, bind(fd, to.ptr(), to.len)) << i << ": " << strerror(errno);
        }
        ASSERT_TRUE(take_ports_back());
        at = fuzz_alloc_live();
    }
    EXPECT_LE(live[1], live[0]);
}

TEST(Fuzz, H101_AndAllocationsFail)
{
    if (fuzz_alloc_can_fail() == 0) {
        GTEST_SKIP() << "only where the sanitizers' builds take memory from malloc";
    }
    run_rounds(1000, 4, true);
    EXPECT_GT(fuzz_alloc_failed(), 0u);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    double seconds = 0;
    int rounds = 0;
    int alloc = -1;
    int jobs = 1;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) == 0) {
            seed = strtoull(argv[i] + 7, nullptr, 10);
        } else if (strncmp(argv[i], "--cpu-seconds=", 14) == 0) {
            seconds = strtod(argv[i] + 14, nullptr);
        } else if (strncmp(argv[i], "--rounds=", 9) == 0) {
            rounds = atoi(argv[i] + 9);
        } else if (strncmp(argv[i], "--alloc=", 8) == 0) {
            alloc = atoi(argv[i] + 8);
        } else if (strncmp(argv[i], "--jobs=", 7) == 0) {
            jobs = atoi(argv[i] + 7);
        }
    }
    if (seconds > 0 || rounds > 0) {
        return run_long(seed, seconds, rounds, alloc, jobs);
    }
    testing::InitGoogleTest(&argc, argv);
    prepare();
    return RUN_ALL_TESTS();
}
