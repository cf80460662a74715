/* signal(7) on a socket that a child of fork has from its parent: which calls go on after a handler, and which end. */
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

void on_signal(int)
{
}

volatile sig_atomic_t signals_counted;

void on_counted_signal(int)
{
    signals_counted = signals_counted + 1;
}

/* As programs do that are to end with the second one. */
void on_last_signal(int sig)
{
    signal(sig, SIG_IGN);
}

int set_handler(int flags, void (*handler)(int) = on_signal)
{
    struct sigaction action {
    };
    action.sa_handler = handler;
    action.sa_flags = flags;
    return sigaction(SIGUSR1, &action, nullptr);
}

bool has_ended(pid_t pid)
{
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid == pid;
}

/* Not one that could run and does not come to it. */
bool is_asleep(pid_t pid)
{
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), stat);
    const size_t name_end = stat.rfind(") ");
    return name_end != std::string::npos && stat[name_end + 2] == 'S';
}

} // namespace

TEST(BorrowSignal, TimeLimits)
{
    Pair pair = make_pair();
    Gate ended;
    signal(SIGUSR1, SIG_IGN);
    Child child([&] {
        char c;
        set_recv_timeout(pair.server, 50);
        errno = 0;
        CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == EAGAIN);
        set_recv_timeout(pair.server, 0);
        CHECK_CHILD(set_handler(0) == 0);
        errno = 0;
        CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == EINTR);
        CHECK_CHILD(set_handler(SA_RESTART) == 0);
        ended.open();
        CHECK_CHILD(read(pair.server, &c, 1) == 1 && c == 'r');
        return 0;
    });
    bool interrupted = false;
    std::thread watcher([&] {
        ended.pass();
        __atomic_store_n(&interrupted, true, __ATOMIC_RELEASE);
    });
    while (!__atomic_load_n(&interrupted, __ATOMIC_ACQUIRE)) {
        kill(child.pid(), SIGUSR1); /* ignored at first; one comes while it waits */
        usleep(20000);
    }
    watcher.join();
    for (int i = 0; i < 5; i++) {
        kill(child.pid(), SIGUSR1);
        usleep(5000);
    }
    ASSERT_EQ(1, send(pair.client, "r", 1, kNew));
    EXPECT_EQ(0, child.wait());
    signal(SIGUSR1, SIG_DFL);
}

/* A send that waits goes on after a handler with SA_RESTART, and nothing leaves twice. */
TEST(BorrowSignal, Sends)
{
    Pair pair = make_pair();
    const std::string data = pattern(32u << 20); /* more than there is room for at both ends */
    Gate next;
    Gate read;
    signal(SIGUSR1, SIG_IGN);
    Child child([&] {
        const int fd = pair.server;
        pair.client.reset();
        CHECK_CHILD(set_handler(SA_RESTART) == 0);
        next.open();
        CHECK_CHILD(send(fd, data.data(), data.size(), kNew) == static_cast<ssize_t>(data.size()));
        read.pass();
        CHECK_CHILD(set_handler(0) == 0);
        next.open();
        ssize_t n = 1;
        for (int flags = MSG_SYN; n > 0; flags = 0) { /* until there is no room */
            n = send(fd, data.data(), 65536, flags);
        }
        CHECK_CHILD(errno == EINTR);
        return 0;
    });
    const pid_t pid = child.pid();
    set_recv_timeout(pair.client, 20000);
    next.pass();
    for (int i = 0; i < 100; i++) {
        usleep(5000);
        kill(pid, SIGUSR1);
    }
    EXPECT_TRUE(read_bytes(pair.client, data.size()) == data);
    read.open();
    next.pass();
    EXPECT_TRUE(comes_true([&] {
        kill(pid, SIGUSR1);
        return has_ended(pid);
    }));
    EXPECT_EQ(0, child.wait());
    signal(SIGUSR1, SIG_DFL);
}

/* Whatever a send that waits is doing at the moment: one signal is enough. */
TEST(BorrowSignal, NoSignalIsMissedBetweenTwoLooks)
{
    constexpr int kRounds = 100;
    Pair pair = make_pair();
    int ticks[2];
    ASSERT_EQ(0, pipe2(ticks, O_CLOEXEC));
    signal(SIGUSR1, SIG_IGN);
    Child child([&] {
        const std::string data = pattern(64u << 20);
        pair.client.reset();
        CHECK_CHILD(set_handler(0, on_counted_signal) == 0);
        CHECK_CHILD(name_of(pair.server).port() != 0); /* borrowed, before a signal comes */
        CHECK_CHILD(write(ticks[1], "", 1) == 1);
        for (int flags = MSG_SYN, round = 0; round < kRounds; flags = 0) {
            const ssize_t n = send(pair.server, data.data(), data.size(), flags);
            CHECK_CHILD(n > 0 || errno == EINTR);
            if (signals_counted > round) {
                round++;
                CHECK_CHILD(write(ticks[1], "", 1) == 1);
            }
        }
        return 0;
    });
    const pid_t pid = child.pid();
    close(ticks[1]);
    std::string sink(1u << 20, '\0');
    char tick;
    int missed = 0;
    EXPECT_EQ(1, read(ticks[0], &tick, 1));
    for (int round = 0; round < kRounds; round++) {
        using Clock = std::chrono::steady_clock;
        (void)comes_true([&] { return is_asleep(pid); }); /* in the call */
        const auto until = Clock::now() + std::chrono::microseconds(2000 + 37 * round);
        while (Clock::now() < until) {
            (void)recv(pair.client, &sink[0], sink.size(), MSG_DONTWAIT);
        }
        kill(pid, SIGUSR1);
        pollfd ticked = {ticks[0], POLLIN, 0};
        if (poll(&ticked, 1, 3000) != 1) {
            missed++;
            do { /* it is found by its room */
                (void)recv(pair.client, &sink[0], sink.size(), MSG_DONTWAIT);
            } while (poll(&ticked, 1, 1) != 1 && !has_ended(pid));
        }
        if (read(ticks[0], &tick, 1) != 1 || missed > 2) {
            break;
        }
    }
    EXPECT_EQ(0, missed);
    kill(pid, SIGKILL);
    (void)child.wait();
    close(ticks[0]);
    signal(SIGUSR1, SIG_DFL);
}

/* Nor by who waits for a stream, and looks again and again. */
TEST(BorrowSignal, NoSignalIsMissedByTheOpeningOfAStream)
{
    constexpr int kRounds = 400;
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_streams_uni = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    quic_stream_info first = {UINT64_MAX, QUIC_STREAM_FLAG_UNI};
    ASSERT_EQ(0, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &first));
    int ticks[2];
    ASSERT_EQ(0, pipe2(ticks, O_CLOEXEC));
    signal(SIGUSR1, SIG_IGN);
    Child child([&] {
        CHECK_CHILD(set_handler(0) == 0 && name_of(pair.client).port() != 0);
        for (;;) {
            CHECK_CHILD(write(ticks[1], "", 1) == 1);
            quic_stream_info info = {UINT64_MAX, QUIC_STREAM_FLAG_UNI};
            CHECK_CHILD(get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &info) < 0);
            CHECK_CHILD(errno == EINTR);
        }
    });
    close(ticks[1]);
    char tick;
    int missed = 0;
    bool ticking = read(ticks[0], &tick, 1) == 1;
    for (int round = 0; ticking && round < kRounds && missed < 3; round++) {
        (void)comes_true([&] { return is_asleep(child.pid()); });
        usleep(static_cast<useconds_t>(3000 + 7 * round));
        pollfd ticked = {ticks[0], POLLIN, 0};
        for (int times = 0; ticking && times < 5; times++) {
            kill(child.pid(), SIGUSR1);
            if (poll(&ticked, 1, 2000) == 1) {
                break;
            }
            missed++;
        }
        ticking = read(ticks[0], &tick, 1) == 1;
    }
    EXPECT_TRUE(ticking);
    EXPECT_EQ(0, missed);
    kill(child.pid(), SIGKILL);
    (void)child.wait();
    close(ticks[0]);
    signal(SIGUSR1, SIG_DFL);
}

/* The child that the lender has told of by `number`; when it is ready the lender stops. -1: that is not so. */
static pid_t stop_when_ready(const Child &lender, int number, Gate *ready)
{
    pid_t pid = 0;
    int status = 0;
    if (read(number, &pid, sizeof(pid)) != static_cast<ssize_t>(sizeof(pid))) {
        return -1;
    }
    ready->pass();
    kill(lender.pid(), SIGSTOP);
    return waitpid(lender.pid(), &status, WUNTRACED) == lender.pid() ? pid : -1;
}

/* What comes while the lender is asked, which may take a while, counts. */
TEST(BorrowSignal, ASignalWhileTheLenderIsAsked)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Gate ready;
    Gate go;
    int number[2];
    ASSERT_EQ(0, pipe2(number, O_CLOEXEC));
    Child lender([&] {
        Pair pair = make_pair();
        Child child([&] {
            CHECK_CHILD(set_handler(0) == 0);
            CHECK_CHILD(name_of(pair.server).port() != 0);
            ready.open();
            go.pass();
            char c;
            errno = 0;
            CHECK_CHILD(read(pair.server, &c, 1) < 0 && errno == EINTR);
            return 0;
        });
        const pid_t pid = child.pid();
        CHECK_CHILD(write(number[1], &pid, sizeof(pid)) == sizeof(pid));
        return child.wait();
    });
    const pid_t pid = stop_when_ready(lender, number[0], &ready);
    ASSERT_GT(pid, 0);
    go.open(); /* and awake: when it sleeps again, it waits for the answer */
    EXPECT_TRUE(comes_true([&] { return is_asleep(pid); }));
    for (int i = 0; i < 10; i++) {
        kill(pid, SIGUSR1);
        usleep(5000);
    }
    kill(lender.pid(), SIGCONT);
    EXPECT_EQ(0, lender.wait());
    close(number[0]);
    close(number[1]);
}

/* So does a handler that is no more when it has run. One that runs while there is still room ends nothing: what the
 * peer reads then lets that send return, and the next one has the handler again. */
TEST(BorrowSignal, AHandlerThatIsReplacedAsItRuns)
{
    Pair pair = make_pair();
    Gate full;
    Child child([&] {
        pair.client.reset();
        const std::string data = pattern(65536);
        for (int flags = MSG_SYN | MSG_DONTWAIT;
             send(pair.server, data.data(), data.size(), flags) > 0; flags = MSG_DONTWAIT) {
        }
        CHECK_CHILD(errno == EAGAIN);
        full.open();
        const auto whole = static_cast<ssize_t>(data.size());
        ssize_t n = whole;
        while (n == whole) {
            CHECK_CHILD(set_handler(0, on_last_signal) == 0);
            n = send(pair.server, data.data(), data.size(), 0);
        }
        CHECK_CHILD(n > 0 || errno == EINTR);
        return 0;
    });
    const pid_t pid = child.pid();
    std::string sink(1u << 20, '\0');
    signal(SIGUSR1, SIG_IGN);
    full.pass();
    for (int tries = 0; tries < 15 && !has_ended(pid); tries++) {
        usleep(500000); /* it waits */
        kill(pid, SIGUSR1);
        for (int i = 0; i < 100 && !has_ended(pid); i++) {
            usleep(10000);
        }
        while (!has_ended(pid) && recv(pair.client, &sink[0], sink.size(), MSG_DONTWAIT) > 0) {
        }
    }
    EXPECT_TRUE(has_ended(pid));
    kill(pid, SIGKILL);
    EXPECT_EQ(0, child.wait());
    signal(SIGUSR1, SIG_DFL);
}

/* The same while the lender is asked, by the first look of all: one signal, and a lender that takes its time. */
TEST(BorrowSignal, AHandlerThatIsReplacedWhileTheLenderIsAsked)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Gate ready;
    Gate go;
    Gate begun;
    int number[2];
    ASSERT_EQ(0, pipe2(number, O_CLOEXEC));
    Child lender([&] {
        Pair pair = make_pair();
        Child child([&] {
            const std::string data = pattern(65536);
            int flags = MSG_SYN | MSG_DONTWAIT;
            for (int times = 0; times < 10; times++) { /* what is on its way makes room yet */
                for (; send(pair.server, data.data(), data.size(), flags) > 0;
                     flags = MSG_DONTWAIT) {
                    times = 0;
                }
                CHECK_CHILD(errno == EAGAIN);
                usleep(20000);
            }
            CHECK_CHILD(set_handler(0, on_last_signal) == 0);
            ready.open();
            go.pass();
            begun.open();
            errno = 0;
            const ssize_t n = send(pair.server, data.data(), data.size(), 0);
            CHECK_CHILD(n < 0 && errno == EINTR);
            return 0;
        });
        const pid_t pid = child.pid();
        CHECK_CHILD(write(number[1], &pid, sizeof(pid)) == sizeof(pid));
        return child.wait();
    });
    const pid_t pid = stop_when_ready(lender, number[0], &ready);
    ASSERT_GT(pid, 0);
    go.open();
    begun.pass();
    EXPECT_TRUE(comes_true([&] { return is_asleep(pid); })); /* nowhere but in the call */
    kill(pid, SIGUSR1);
    usleep(200000);
    kill(lender.pid(), SIGCONT);
    EXPECT_TRUE(comes_true([&] { return has_ended(lender.pid()); }));
    kill(pid, SIGKILL);
    EXPECT_EQ(0, lender.wait());
    close(number[0]);
    close(number[1]);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
