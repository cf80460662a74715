/* Streams that the peer stops (RFC 9000 3.5) while their sender is at work. */
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/message.h"

using namespace compat;

namespace
{

constexpr uint32_t kNew = QUIC_STREAM_FLAG_NEW;

ssize_t send_on(int fd, uint64_t sid, uint32_t flags, const std::string &text)
{
    return quic_sendmsg(fd, text.data(), text.size(), sid, flags);
}

int stop_stream(int fd, uint64_t sid)
{
    quic_errinfo stop = {sid, 9};
    return setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_STOP_SENDING, &stop, sizeof(stop));
}

/* A page that whoever reads it waits for: in the signal's handler, until `open`. */
struct SlowPage {
    static std::atomic<bool> reached;
    static std::atomic<bool> open;
    static char *page;
    static void on_fault(int)
    {
        reached = true;
        while (!open) {
            usleep(1000);
        }
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
    }
    SlowPage()
    {
        reached = false;
        open = false;
        page = static_cast<char *>(
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        memset(page, 's', 4096);
        mprotect(page, 4096, PROT_NONE);
        struct sigaction action = {};
        action.sa_handler = on_fault;
        sigaction(SIGSEGV, &action, &old_);
    }
    ~SlowPage()
    {
        sigaction(SIGSEGV, &old_, nullptr);
        munmap(page, 4096);
    }

  private:
    struct sigaction old_ = {};
};
std::atomic<bool> SlowPage::reached;
std::atomic<bool> SlowPage::open;
char *SlowPage::page;

} // namespace

/* The peer's wish comes while a call copies its bytes. */
TEST(Stop, StoppedInTheMiddleOfACopy)
{
    Pair pair = make_pair();
    ASSERT_EQ(5, send_on(pair.client, 0, kNew, "hello"));
    ASSERT_EQ("hello", read_bytes(pair.server, 5));
    enable(pair.client, QUIC_EVENT_STREAM_UPDATE);
    SlowPage source;
    const auto old = signal(SIGPIPE, SIG_IGN);
    ssize_t result = 0;
    int error = 0;
    std::thread sender([&] {
        result = quic_sendmsg(pair.client, source.page, 4096, 0, 0);
        error = errno;
    });
    while (!source.reached) {
        usleep(1000);
    }
    EXPECT_EQ(0, stop_stream(pair.server, 0));
    EXPECT_TRUE(poll_for(pair.client, POLLIN)); /* the stop has come */
    source.open = true;
    sender.join();
    signal(SIGPIPE, old);
    EXPECT_EQ(-1, result);
    EXPECT_EQ(EPIPE, error);
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, 0, "more"));
    int held = -1; /* what came before may not be acknowledged yet */
    EXPECT_TRUE(comes_true([&] { return ioctl(pair.client, TIOCOUTQ, &held) == 0 && held == 0; }))
        << held;
}

/* What a stopped stream held back is room for the others: who polls is told, and who waits is woken. */
TEST(Stop, AStoppedStreamMakesRoom)
{
    const std::string piece = pattern(2000);
    for (bool waits : {false, true}) {
        Pair pair = make_pair();
        const int room = 1 << 20;
        ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)));
        ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_RDWR | O_NONBLOCK));
        ASSERT_EQ(2000, send_on(pair.client, 2, kNew, piece));
        for (int full = 0; full < 40;
             full++) { /* many chunks, most of which the engine has not got */
            while (send_on(pair.client, 2, 0, piece) > 0) {
                full = 0;
            }
            usleep(5000);
        }
        ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_RDWR));
        ssize_t sent = 0;
        std::thread waiter;
        if (waits) {
            waiter = std::thread([&] { sent = send_on(pair.client, 0, kNew, "room"); });
            usleep(50000);
        }
        EXPECT_EQ(0, poll_now(pair.client) & POLLOUT);
        EXPECT_EQ(0, stop_stream(pair.server, 2));
        EXPECT_TRUE(poll_for(pair.client, POLLOUT));
        if (waits) {
            waiter.join();
            EXPECT_EQ(4, sent);
        }
    }
}
