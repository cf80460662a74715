/* poll, select, epoll and non-blocking sockets: the draft leaves them to what sockets do. */
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <liburing.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

constexpr short kAll = POLLIN | POLLOUT | POLLHUP | POLLERR | POLLRDHUP;

void set_buffers(Pair &pair, int bytes)
{
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
}

/* Full, and for longer than a moment. */
size_t fill(int fd)
{
    const std::string block = pattern(65536);
    size_t total = 0;
    for (int full = 0; full < 30;) {
        ssize_t n = send(fd, block.data(), block.size(), MSG_DONTWAIT | (total == 0 ? MSG_SYN : 0));
        if (n < 0) {
            EXPECT_EQ(EAGAIN, errno);
            full++;
            usleep(5000);
            continue;
        }
        full = 0;
        total += static_cast<size_t>(n);
    }
    return total;
}

/* What poll says, once it has said `want` (it may take a moment to come over the wire). */
short poll_settled(int fd, short want)
{
    short now = 0;
    for (int i = 0; i < 2000 && (now = poll_now(fd)) != want; i++) {
        usleep(5000);
    }
    return now;
}

class Epoll
{
  public:
    Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC))
    {
    }
    int fd() const
    {
        return fd_;
    }
    int control(int op, int fd, uint32_t events)
    {
        epoll_event event = {};
        event.events = events;
        event.data.fd = fd;
        return epoll_ctl(fd_, op, fd, &event);
    }
    /* The events of one descriptor, 0: none within the time. */
    uint32_t wait(int timeout_ms, int *out_fd = nullptr)
    {
        epoll_event event = {};
        int n;
        do { /* a stop of this process ends it, too (signal(7)) */
            n = epoll_wait(fd_, &event, 1, timeout_ms);
        } while (n < 0 && errno == EINTR);
        if (out_fd != nullptr) {
            *out_fd = n == 1 ? event.data.fd : -1;
        }
        return n == 1 ? event.events : 0;
    }

  private:
    Fd fd_;
};

constexpr int kSoon = 5000; /* comes, on a busy machine */
constexpr int kNot = 150;   /* would have come */

/* In a child of fork a socket of the parent would be ready, and give EBADF whatever is called, for ever. Returns the
 * line that failed, or 0. */
int waits_in_child(const Pair &pair, int pipe_end)
{
    pollfd fds[3] = {{pair.listen, POLLIN, 0}, {pipe_end, POLLIN, 0}, {-1, POLLIN, 0}};
    epoll_event event = {EPOLLIN, {nullptr}};
    Fd epoll(epoll_create1(0));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair.listen, &set);
    const auto is_bad = [](int rc) { return rc < 0 && errno == EBADF; };
    if (poll(fds, 3, -1) != 2 || fds[0].revents != POLLNVAL || fds[1].revents != POLLIN ||
        fds[2].revents != 0) {
        return __LINE__;
    }
    fds[1].fd = pair.server;
    if (ppoll(fds, 2, nullptr, nullptr) != 2 || fds[0].revents != POLLNVAL ||
        fds[1].revents != POLLNVAL) {
        return __LINE__;
    }
    if (!is_bad(select(pair.listen + 1, nullptr, &set, nullptr, nullptr)) ||
        !is_bad(pselect(pair.listen + 1, &set, nullptr, nullptr, nullptr, nullptr)) ||
        !is_bad(epoll_ctl(epoll, EPOLL_CTL_ADD, pair.listen, &event))) {
        return __LINE__;
    }
    /* A number that is another file's by now is that file's. */
    if (dup2(pipe_end, pair.listen) != pair.listen || poll(fds, 1, -1) != 1 ||
        fds[0].revents != POLLIN || select(pair.listen + 1, &set, nullptr, nullptr, nullptr) != 1 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, pair.listen, &event) != 0) {
        return __LINE__;
    }
    return 0;
}

} // namespace

TEST(Poll, C214_WaitingTellsTheChildOfFork)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN | MSG_FIN));
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    ASSERT_EQ(1, write(pipes[1], "p", 1));
    fflush(stdout);
    pid_t child = _Fork(); /* which leaves it no way to the parent */
    if (child == 0) {
        alarm(60);
        _exit(waits_in_child(pair, pipes[0]) & 0xff);
    }
    int status = -1;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(0, WEXITSTATUS(status)) << "the line, modulo 256";
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_EQ("x", read_bytes(pair.server, 1));
    EXPECT_TRUE(alive(pair));
}

TEST(Poll, C121_Listener)
{
    Fd fd = listener();
    cert_file();
    EXPECT_EQ(0, poll_now(fd));
    Fd client = quic_socket();
    Address to = name_of(fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] { (void)quic_client_handshake(client, nullptr, nullptr); });
    ASSERT_TRUE(poll_for(fd, POLLIN));
    EXPECT_EQ(POLLIN, poll_now(fd));
    Fd server(accept(fd, nullptr, nullptr));
    EXPECT_EQ(0, poll_now(fd));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    other.join();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    EXPECT_ERRNO(EAGAIN, accept(fd, nullptr, nullptr));
}

TEST(Poll, C122_DuringTheHandshake)
{
    Fd fd = listener();
    cert_file();
    Fd client = quic_socket();
    Address to = name_of(fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    EXPECT_EQ(POLLOUT, poll_now(client));
    std::thread other([&] { (void)quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept(fd, nullptr, nullptr));
    EXPECT_EQ(POLLIN | POLLOUT, poll_settled(server, POLLIN | POLLOUT)); /* the ClientHello */
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    other.join();
    EXPECT_EQ(POLLOUT, poll_settled(server, POLLOUT));
}

TEST(Poll, C123_DataAndNone)
{
    Pair pair = make_pair();
    EXPECT_EQ(POLLOUT, poll_settled(pair.server, POLLOUT));
    EXPECT_EQ(POLLOUT, poll_settled(pair.client, POLLOUT));
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(2, send(pair.client, "xy", 2, i == 0 ? MSG_SYN : 0));
        EXPECT_EQ(POLLIN | POLLOUT, poll_settled(pair.server, POLLIN | POLLOUT));
        EXPECT_EQ(1u, read_bytes(pair.server, 1).size());
        EXPECT_EQ(POLLIN | POLLOUT, poll_now(pair.server));
        EXPECT_EQ(1u, read_bytes(pair.server, 1).size());
        EXPECT_EQ(POLLOUT, poll_now(pair.server));
    }
}

/* A descriptor that says more than the truth is mended before poll looks, whoever else's has to be, too. */
TEST(Poll, C123_NoneBesideOthersThatComeAndGo)
{
    Pair pair = make_pair();
    Pair busy = make_pair();
    std::atomic<bool> over{false};
    std::thread other([&] {
        char byte = 'b';
        bool first = true;
        while (!over) {
            ASSERT_EQ(1, send(busy.server, &byte, 1, first ? MSG_SYN : 0));
            ASSERT_EQ(1, recv(busy.client, &byte, 1, 0));
            first = false;
        }
    });
    char byte = 'a';
    int wrong = 0;
    for (int i = 0; i < 2000; i++) {
        ASSERT_EQ(1, send(pair.server, &byte, 1, i == 0 ? MSG_SYN : 0));
        ASSERT_EQ(1, recv(pair.client, &byte, 1, 0));
        wrong += (poll_now(pair.client) & POLLIN) != 0;
    }
    over = true;
    other.join();
    EXPECT_EQ(0, wrong);
}

namespace
{

std::atomic<int> g_polls;

void on_poll_signal(int)
{
    int error = errno;
    pollfd p = {-1, POLLIN, 0};
    poll(&p, 1, 0);
    g_polls++;
    errno = error;
}

} // namespace

/* POSIX: poll may be called in a handler, whatever call that interrupted, and of whichever socket. */
TEST(Poll, InAHandler)
{
    Pair pair = make_pair();
    struct sigaction act = {};
    act.sa_handler = on_poll_signal;
    act.sa_flags = SA_RESTART;
    ASSERT_EQ(0, sigaction(SIGUSR1, &act, nullptr));
    std::atomic<bool> over{false};
    std::atomic<bool> ended{false};
    g_polls = 0;
    std::thread talker([&] {
        char byte = 'a';
        for (bool first = true; !over; first = false) {
            EXPECT_EQ(1, send(pair.client, &byte, 1, first ? MSG_SYN : 0));
            while (recv(pair.server, &byte, 1, MSG_DONTWAIT) != 1) {
                (void)recv(pair.client, &byte, 1, MSG_DONTWAIT); /* mended there */
            }
        }
        ended = true;
    });
    for (int i = 0; i < 20000 && g_polls < 200; i++) {
        pthread_kill(talker.native_handle(), SIGUSR1);
        usleep(50);
    }
    over = true;
    for (int i = 0; i < 5000 && !ended; i++) {
        usleep(1000);
    }
    if (!ended) {
        fprintf(stderr, "a handler waits for the call that it interrupted\n");
        abort(); /* no thread can be joined */
    }
    talker.join();
    signal(SIGUSR1, SIG_DFL);
    EXPECT_GT(g_polls, 0);
}

TEST(Poll, C124_FullAndRoom)
{
    Pair pair = make_pair();
    set_buffers(pair, 65536);
    size_t full = fill(pair.client);
    EXPECT_EQ(0, poll_now(pair.client)); /* neither */
    ASSERT_EQ(1, send(pair.server, "x", 1, MSG_SYN));
    EXPECT_EQ(POLLIN, poll_settled(pair.client, POLLIN));
    EXPECT_EQ(full, read_bytes(pair.server, full).size());
    EXPECT_EQ(POLLIN | POLLOUT, poll_settled(pair.client, POLLIN | POLLOUT));
    EXPECT_EQ("x", read_bytes(pair.client, 1));
    EXPECT_EQ(POLLOUT, poll_now(pair.client));
}

TEST(Poll, C126_TheEnd)
{
    Pair pair = make_pair();
    std::thread closer([&] {
        usleep(100000);
        pair.client.reset();
    });
    pollfd p = {pair.server, POLLIN, 0};
    EXPECT_EQ(1, poll(&p, 1, 10000));
    closer.join();
    EXPECT_EQ(kAll, poll_settled(pair.server, kAll));
    char c;
    EXPECT_ERRNO(ENOTCONN, read(pair.server, &c, 1));
    EXPECT_EQ(kAll, poll_now(pair.server));
    int error = 1;
    socklen_t len = sizeof(error);
    EXPECT_EQ(0, getsockopt(pair.server, SOL_SOCKET, SO_ERROR, &error, &len));
    EXPECT_EQ(0, error);
    EXPECT_EQ(kAll, poll_now(pair.server));
}

TEST(Poll, C127_AnEdgeForEveryArrival)
{
    Pair pair = make_pair();
    ASSERT_EQ(POLLOUT, poll_settled(pair.server, POLLOUT));
    Epoll epoll;
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLET));
    EXPECT_EQ(0u, epoll.wait(0));
    for (int i = 0; i < 200; i++) { /* nothing of it is read */
        ASSERT_EQ(1, send(pair.client, "x", 1, i == 0 ? MSG_SYN : 0));
        ASSERT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon)) << i;
    }
    EXPECT_EQ(0u, epoll.wait(kNot)); /* no edge without news */
    EXPECT_EQ(199u, read_bytes(pair.server, 199).size());
    EXPECT_EQ(0u, epoll.wait(kNot));
    ASSERT_EQ(1, send(pair.client, "y", 1, 0));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon));
    EXPECT_EQ("xy", read_bytes(pair.server, 2));
    for (int i = 0; i < 200; i++) { /* all of it is read */
        ASSERT_EQ(1, send(pair.client, "z", 1, 0));
        ASSERT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon)) << i;
        ASSERT_EQ(1u, read_bytes(pair.server, 1).size());
    }
}

TEST(Poll, C127_AnEdgeAfterEagain)
{
    for (int round = 0; round < 20; round++) { /* the room may come before epoll_wait does */
        Pair pair = make_pair();
        set_buffers(pair, 16384);
        Epoll epoll;
        ASSERT_EQ(0, epoll.control(EPOLL_CTL_ADD, pair.client, EPOLLOUT | EPOLLET));
        EXPECT_EQ(static_cast<uint32_t>(EPOLLOUT), epoll.wait(kSoon));
        EXPECT_EQ(0u, epoll.wait(0));
        size_t full = fill(pair.client);
        EXPECT_EQ(full, read_bytes(pair.server, full).size());
        usleep(round % 2 == 0 ? 50000 : 0);
        ASSERT_EQ(static_cast<uint32_t>(EPOLLOUT), epoll.wait(kSoon)) << round;
    }
}

TEST(Poll, C128_OneShot)
{
    Pair pair = make_pair();
    Epoll epoll;
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLONESHOT));
    ASSERT_EQ(1, send(pair.client, "a", 1, MSG_SYN));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon));
    ASSERT_EQ(1, send(pair.client, "b", 1, 0));
    EXPECT_EQ(0u, epoll.wait(kNot));
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLONESHOT));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon)); /* what is there, is told */
    EXPECT_EQ("ab", read_bytes(pair.server, 2));
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLONESHOT));
    EXPECT_EQ(0u, epoll.wait(kNot)); /* what is gone, not */
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_MOD, pair.server, EPOLLOUT | EPOLLONESHOT));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLOUT), epoll.wait(kSoon));
}

TEST(Poll, C129_AmongOthers)
{
    Pair pair = make_pair();
    Epoll inner;
    Epoll outer;
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    ASSERT_EQ(0, inner.control(EPOLL_CTL_ADD, pair.server, EPOLLIN));
    ASSERT_EQ(0, inner.control(EPOLL_CTL_ADD, pipes[0], EPOLLIN));
    ASSERT_EQ(0, inner.control(EPOLL_CTL_ADD, timer, EPOLLIN));
    ASSERT_EQ(0, outer.control(EPOLL_CTL_ADD, inner.fd(), EPOLLIN));
    int which = -1;
    EXPECT_EQ(0u, outer.wait(kNot));
    ASSERT_EQ(1, send(pair.client, "q", 1, MSG_SYN));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), outer.wait(kSoon, &which));
    EXPECT_EQ(inner.fd(), which);
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), inner.wait(0, &which));
    EXPECT_EQ(pair.server.get(), which);
    EXPECT_EQ("q", read_bytes(pair.server, 1));
    EXPECT_EQ(0u, outer.wait(0));
    ASSERT_EQ(1, write(pipes[1], "p", 1));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), inner.wait(kSoon, &which));
    EXPECT_EQ(pipes[0], which);
    char c;
    ASSERT_EQ(1, read(pipes[0], &c, 1));
    itimerspec soon = {{0, 0}, {0, 1000000}};
    timerfd_settime(timer, 0, &soon, nullptr);
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), inner.wait(kSoon, &which));
    EXPECT_EQ(timer.get(), which);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(Poll, C129_IoUringPoll)
{
    io_uring ring;
    if (io_uring_queue_init(8, &ring, 0) != 0) {
        GTEST_SKIP() << "no io_uring here";
    }
    Pair pair = make_pair();
    for (int i = 0; i < 20; i++) { /* the kernel is asked without us */
        char c;
        EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 1, MSG_DONTWAIT));
        io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_poll_add(sqe, pair.server, POLLIN);
        ASSERT_EQ(1, io_uring_submit(&ring));
        io_uring_cqe *cqe = nullptr;
        __kernel_timespec brief = {0, 20000000};
        int waited;
        do { /* the wait of a process that is stopped meanwhile ends with EINTR (signal(7)) */
            waited = io_uring_wait_cqe_timeout(&ring, &cqe, &brief);
        } while (waited == -EINTR);
        EXPECT_EQ(-ETIME, waited);
        ASSERT_EQ(1, send(pair.client, "u", 1, i == 0 ? MSG_SYN : 0));
        ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
        EXPECT_NE(0, cqe->res & POLLIN);
        io_uring_cqe_seen(&ring, cqe);
        EXPECT_EQ("u", read_bytes(pair.server, 1));
    }
    io_uring_queue_exit(&ring);
}

TEST(Poll, C130_TwoSets)
{
    Pair pair = make_pair();
    Epoll a;
    Epoll b;
    Epoll exclusive;
    ASSERT_EQ(0, a.control(EPOLL_CTL_ADD, pair.server, EPOLLIN));
    ASSERT_EQ(0, b.control(EPOLL_CTL_ADD, pair.server, EPOLLIN));
    ASSERT_EQ(0, exclusive.control(EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLEXCLUSIVE));
    uint32_t got[3] = {};
    std::thread ta([&] { got[0] = a.wait(kSoon); });
    std::thread tb([&] { got[1] = b.wait(kSoon); });
    std::thread tc([&] { got[2] = exclusive.wait(kSoon); });
    usleep(50000);
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    ta.join();
    tb.join();
    tc.join();
    for (uint32_t events : got) {
        EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), events);
    }
}

TEST(Poll, C131_TheLastDuplicate)
{
    Pair pair = make_pair();
    Epoll epoll;
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_ADD, pair.server, EPOLLIN));
    Fd copy(dup(pair.server));
    pair.server.reset();
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    EXPECT_EQ(static_cast<uint32_t>(EPOLLIN), epoll.wait(kSoon));
    EXPECT_EQ("x", read_bytes(copy, 1));
    copy.reset();
    EXPECT_EQ(0u, epoll.wait(kNot));
    EXPECT_TRUE(poll_for(pair.client, POLLHUP));
}

static volatile sig_atomic_t g_signals;

/* ThreadSanitizer runs handlers when it likes. */
static void expect_signals(int count)
{
#if !defined(QURING_TSAN)
    EXPECT_EQ(count, g_signals);
#else
    EXPECT_GE(count, g_signals);
#endif
}

TEST(Poll, C132_SelectAndSignals)
{
    Pair pair = make_pair();
    ASSERT_LT(pair.server.get(), FD_SETSIZE);
    fd_set in;
    fd_set out;
    auto ask = [&](timeval limit) {
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_SET(pair.server, &in);
        FD_SET(pair.server, &out);
        return select(pair.server + 1, &in, &out, nullptr, &limit);
    };
    EXPECT_EQ(1, ask({0, 0}));
    EXPECT_TRUE(FD_ISSET(pair.server, &out));
    EXPECT_FALSE(FD_ISSET(pair.server, &in));
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    EXPECT_EQ(2, ask({5, 0}));

    struct sigaction action {
    };
    action.sa_handler = [](int) { g_signals = g_signals + 1; };
    sigaction(SIGUSR1, &action, nullptr);
    sigset_t block;
    sigset_t old;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    EXPECT_EQ("x", read_bytes(pair.server, 1));
    g_signals = 0;
    raise(SIGUSR1); /* waits for a mask that lets it through */
    EXPECT_EQ(0, g_signals);
    pollfd p = {pair.server, POLLIN, 0};
    timespec limit = {5, 0};
    EXPECT_ERRNO(EINTR, ppoll(&p, 1, &limit, &old));
    expect_signals(1);
    raise(SIGUSR1);
    FD_ZERO(&in);
    FD_SET(pair.server, &in);
    EXPECT_ERRNO(EINTR, pselect(pair.server + 1, &in, nullptr, nullptr, &limit, &old));
    expect_signals(2);
    raise(SIGUSR1);
    Epoll epoll;
    ASSERT_EQ(0, epoll.control(EPOLL_CTL_ADD, pair.server, EPOLLIN));
    epoll_event event;
    EXPECT_ERRNO(EINTR, epoll_pwait(epoll.fd(), &event, 1, 5000, &old));
    expect_signals(3);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

TEST(Poll, C133_NonBlockingAtOnce)
{
    Pair pair = make_pair();
    Fd copy(dup(pair.server));
    char c;
    ASSERT_EQ(0, fcntl(copy, F_SETFL, O_NONBLOCK));
    EXPECT_EQ(O_NONBLOCK, fcntl(pair.server, F_GETFL) & O_NONBLOCK);
    EXPECT_ERRNO(EAGAIN, read(pair.server, &c, 1));
    int off = 0;
    ASSERT_EQ(0, ioctl(pair.server, FIONBIO, &off));
    EXPECT_EQ(0, fcntl(copy, F_GETFL) & O_NONBLOCK);
    set_recv_timeout(pair.server, 100);
    auto begin = std::chrono::steady_clock::now();
    EXPECT_ERRNO(EAGAIN, read(copy, &c, 1));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(90));
    int on = 1;
    ASSERT_EQ(0, ioctl(copy, FIONBIO, &on));
    EXPECT_ERRNO(EAGAIN, read(pair.server, &c, 1));
    Fd quick(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_QUIC));
    EXPECT_EQ(O_NONBLOCK, fcntl(quick, F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(FD_CLOEXEC, fcntl(quick, F_GETFD));
}

TEST(Poll, C134_HowMuch)
{
    Pair pair = make_pair();
    int bytes = -1;
    ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &bytes));
    EXPECT_EQ(0, bytes);
    ASSERT_EQ(5, send(pair.client, "12345", 5, MSG_SYN | MSG_FIN));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &bytes));
    EXPECT_EQ(5, bytes);
    for (int i = 0; i < 500 && bytes != 0; i++) {
        ASSERT_EQ(0, ioctl(pair.client, TIOCOUTQ, &bytes));
        usleep(bytes != 0 ? 10000 : 0);
    }
    EXPECT_EQ(0, bytes);
    EXPECT_ERRNO(EINVAL, ioctl(pair.listen, FIONREAD, &bytes));
    EXPECT_ERRNO(EINVAL, ioctl(pair.listen, TIOCOUTQ, &bytes));
    EXPECT_ERRNO(EFAULT, ioctl(pair.server, FIONREAD, nullptr));
    EXPECT_EQ("12345", read_bytes(pair.server, 5));
    ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &bytes));
    EXPECT_EQ(0, bytes);
    set_buffers(pair, 65536);
    fill(pair.client);
    ASSERT_EQ(0, ioctl(pair.client, TIOCOUTQ, &bytes));
    EXPECT_GT(bytes, 0);
}

/* A time limit is kept; the machine may be busy, so that only too early is wrong. */
TEST(Poll, C135_Time)
{
    Pair pair = make_pair();
    ASSERT_EQ(POLLOUT, poll_settled(pair.server, POLLOUT));
    pollfd p = {pair.server, POLLIN, 0};
    auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(0, poll(&p, 1, 100));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(100));
}

/* In the child: polls between two calls of getppid. */
static int poll_for_tracer()
{
    Pair pair = make_pair();
    pollfd p[2] = {{pair.server, POLLIN, 0}, {pair.client, POLLIN, 0}};
    poll(p, 2, 0);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    getppid();
    for (int i = 0; i < 10; i++) {
        poll(p, 2, 0);
    }
    getppid();
    _exit(0);
}

TEST(Poll, C135_OneSystemCall)
{
#if defined(QURING_ASAN) || defined(QURING_TSAN)
    GTEST_SKIP() << "counts system calls of the plain program";
#else
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "poll_test", "--polls", nullptr);
        _exit(1);
    }
    int status = 0;
    int calls = 0; /* between the marks */
    int marks = 0;
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) {
        GTEST_SKIP() << "no ptrace here";
    }
    ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD));
    for (;;) {
        ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, child, nullptr, nullptr));
        waitpid(child, &status, 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            break;
        }
        __ptrace_syscall_info info = {};
        ASSERT_LT(0, ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info));
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            bool mark = info.entry.nr == SYS_getppid;
            marks += mark;
            calls += !mark && marks == 1;
        }
    }
    EXPECT_EQ(2, marks);
    EXPECT_EQ(10, calls);
#endif
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--polls") == 0) {
        return poll_for_tracer();
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
