/* Requests and answers over blocking sockets, whose threads then do the worker's work. The server is a process of
 * its own: a worker that serves both ends is never alone with one. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

/* What a request begins with. */
constexpr char kEcho = 'e';  /* at once */
constexpr char kSoon = 's';  /* after a moment */
constexpr char kLate = 'l';  /* after a few milliseconds */
constexpr char kNever = 'n'; /* no answer */

/* Length, kind, filling; the answer is the same bytes. */
constexpr size_t kHead = 3;

bool read_all(int fd, char *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, to + got, len - got, 0);
        if (n > 0) {
            got += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool send_all(int fd, const std::string &bytes)
{
    for (size_t sent = 0; sent < bytes.size();) {
        ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, 0);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool read_request(int fd, std::string *out)
{
    out->resize(kHead);
    if (!read_all(fd, &(*out)[0], kHead)) {
        return false;
    }
    size_t len = (unsigned char)(*out)[0] * 256u + (unsigned char)(*out)[1];
    out->resize(len);
    return read_all(fd, &(*out)[kHead], len - kHead);
}

std::string request(char kind, size_t len, uint32_t seed)
{
    std::string s = pattern(len, seed);
    s[0] = (char)(len / 256);
    s[1] = (char)(len % 256);
    s[2] = kind;
    return s;
}

void serve(int fd)
{
    std::string r;
    while (read_request(fd, &r)) {
        if (r[2] == kSoon || r[2] == kLate) {
            usleep(r[2] == kSoon ? 100 : 3000);
        }
        if (r[2] != kNever && !send_all(fd, r)) {
            break;
        }
    }
    close(fd);
}

/* The server's process: a thread for each connection, until the pipe is closed. */
[[noreturn]] void server_main(int port_fd, int end_fd)
{
    Fd listen = listener();
    uint16_t port = name_of(listen).port();
    if (write(port_fd, &port, sizeof(port)) != sizeof(port)) {
        _exit(1);
    }
    std::thread([&listen] {
        for (;;) {
            int fd = accept(listen, nullptr, nullptr);
            if (fd >= 0 && quic_server_handshake(fd, key_file(), cert_file()) == 0) {
                std::thread(serve, fd).detach();
            } else if (fd >= 0) {
                close(fd);
            }
        }
    }).detach();
    char byte;
    while (read(end_fd, &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
}

std::atomic<int> handled{0};

class Answer : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        int port_pipe[2];
        int end_pipe[2];
        cert_file(); /* one pair for both processes */
        key_file();
        ASSERT_EQ(0, pipe(port_pipe));
        ASSERT_EQ(0, pipe(end_pipe));
        server_ = fork();
        if (server_ == 0) {
            close(end_pipe[1]);
            server_main(port_pipe[1], end_pipe[0]);
        }
        close(port_pipe[1]);
        close(end_pipe[0]);
        end_ = end_pipe[1];
        ASSERT_EQ((ssize_t)sizeof(port_), read(port_pipe[0], &port_, sizeof(port_)));
        close(port_pipe[0]);
    }
    static void TearDownTestSuite()
    {
        int status = -1;
        close(end_);
        ASSERT_EQ(server_, waitpid(server_, &status, 0));
        EXPECT_EQ(0, status);
    }

    static Fd Connect()
    {
        Fd fd = quic_socket();
        Address to = loopback(port_);
        EXPECT_EQ(0, connect(fd, to.ptr(), to.len)) << strerror(errno);
        EXPECT_EQ(0, quic_client_handshake(fd, nullptr, nullptr)) << strerror(errno);
        /* A worker that has just served others is left to itself for a while. */
        usleep(60000);
        return fd;
    }

    static bool Exchange(int fd, size_t len, uint32_t seed, char kind = kEcho)
    {
        std::string asked = request(kind, len, seed);
        std::string got(len, 0);
        return send_all(fd, asked) && read_all(fd, &got[0], len) && got == asked;
    }

  private:
    static pid_t server_;
    static int end_;
    static uint16_t port_;
};

pid_t Answer::server_ = -1;
int Answer::end_ = -1;
uint16_t Answer::port_ = 0;

/* The handler's count, and what the signal does besides, until the end of the block. */
class Handler
{
  public:
    explicit Handler(int flags)
    {
        struct sigaction action = {};
        action.sa_handler = [](int) { handled++; };
        action.sa_flags = flags;
        EXPECT_EQ(0, sigaction(SIGUSR1, &action, &old_));
        handled = 0;
    }
    ~Handler()
    {
        sigaction(SIGUSR1, &old_, nullptr);
    }

  private:
    struct sigaction old_ = {};
};

bool sleeps(pid_t thread)
{
    char path[64];
    char state = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    FILE *stat = fopen(path, "re");
    if (stat != nullptr) {
        if (fscanf(stat, "%*d (%*[^)]) %c", &state) != 1) {
            state = 0;
        }
        fclose(stat);
    }
    return state == 'S';
}

/* Signals this thread once it is about to wait, after `us`, and again while it does not hear. */
class Killer
{
  public:
    Killer(unsigned us, pthread_t whom)
        : thread_([this, us, whom, tid = gettid()] {
              usleep(us);
              slept_ = sleeps(tid);
              while (!over_) {
                  pthread_kill(whom, SIGUSR1);
                  sent_++;
                  for (int i = 0; i < 200 && !over_; i++) {
                      usleep(1000);
                  }
              }
          })
    {
    }
    ~Killer()
    {
        over_ = true;
        thread_.join();
    }
    int sent() const
    {
        return sent_;
    }
    /* Before the first one: as it waits, if it does nothing else that sleeps. */
    bool slept() const
    {
        return slept_;
    }

  private:
    std::atomic<bool> over_{false};
    std::atomic<bool> slept_{false};
    std::atomic<int> sent_{0};
    std::thread thread_;
};

TEST_F(Answer, EveryOneComes)
{
    Fd fd = Connect();
    for (uint32_t i = 0; i < 2000; i++) {
        ASSERT_TRUE(Exchange(fd, 3 + i % 5000, i)) << i;
    }
    for (uint32_t i = 0; i < 5; i++) { /* later than the thread does the worker's work */
        ASSERT_TRUE(Exchange(fd, 100, i, kLate)) << i;
        ASSERT_TRUE(Exchange(fd, 60000, i)) << i;
    }
}

TEST_F(Answer, SignalsEndAWaitAsForTcp)
{
    Fd fd = Connect();
    Handler handler(0);
    int waited = 0;
    int unheard = 0;
    constexpr int kRounds = 100;
    for (int i = 0; i < kRounds; i++) {
        for (uint32_t n = 0; n < 3; n++) { /* answers come quickly: the next may, too */
            ASSERT_TRUE(Exchange(fd, 64, n));
        }
        ASSERT_TRUE(send_all(fd, request(kNever, 10, 1)));
        char byte;
        Killer killer((unsigned)(50 + i * 37 % 900), pthread_self());
        EXPECT_ERRNO(EINTR, recv(fd, &byte, 1, 0));
        waited += killer.slept();
        unheard += killer.slept() && killer.sent() > 1; /* others may come before the call */
    }
#if !defined(QURING_TSAN) /* keeps signals back from a thread that waits in the kernel */
    EXPECT_GT(waited, 0);
    EXPECT_LE(unheard, waited / 4);
#else
    (void)unheard;
#endif
    EXPECT_GE(handled, kRounds);
}

TEST_F(Answer, ARestartedWaitGoesOn)
{
    Fd fd = Connect();
    Handler handler(SA_RESTART);
    for (int i = 0; i < 50; i++) {
        ASSERT_TRUE(Exchange(fd, 64, 1));
        ASSERT_TRUE(send_all(fd, request(kLate, 10, 2)));
        Killer killer((unsigned)(50 + i * 37 % 900), pthread_self());
        std::string got(10, 0);
        for (size_t have = 0; have < got.size();) {
            ssize_t n = recv(fd, &got[have], got.size() - have, 0);
            ASSERT_GT(n, 0) << strerror(errno);
            have += (size_t)n;
        }
        EXPECT_EQ(got, request(kLate, 10, 2));
    }
    EXPECT_GT(handled, 0);
}

TEST_F(Answer, OtherWaysOfWaitingBetween)
{
    Fd fd = Connect();
    for (uint32_t i = 0; i < 100; i++) {
        ASSERT_TRUE(Exchange(fd, 64, i));
        std::string asked = request(kEcho, 64, i + 1000);
        std::string got(64, 0);
        ASSERT_TRUE(send_all(fd, asked));
        switch (i % 3) {
        case 0: {
            pollfd p = {fd, POLLIN, 0};
            ASSERT_EQ(1, poll(&p, 1, 10000));
            break;
        }
        case 1:
            set_recv_timeout(fd, 10000);
            break;
        default:
            ASSERT_EQ(1, recv(fd, &got[0], 1, MSG_PEEK));
        }
        ASSERT_TRUE(read_all(fd, &got[0], got.size())) << strerror(errno);
        EXPECT_EQ(got, asked);
        set_recv_timeout(fd, 0);
    }
}

TEST_F(Answer, SeveralSocketsAndThreads)
{
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 3; t++) {
        threads.emplace_back([t] {
            Fd fd = Connect();
            for (uint32_t i = 0; i < 100; i++) {
                ASSERT_TRUE(Exchange(fd, 64 + i, t * 1000 + i));
                usleep(t * 100);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST_F(Answer, AThreadOfASmallStack)
{
    Fd fd = Connect();
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    ASSERT_EQ(0, pthread_attr_setstacksize(&attr, std::max<size_t>(80 * 1024, PTHREAD_STACK_MIN)));
    pthread_t thread;
    ASSERT_EQ(0, pthread_create(
                     &thread, &attr,
                     [](void *arg) -> void * {
                         for (uint32_t i = 0; i < 50; i++) {
                             EXPECT_TRUE(Exchange(*static_cast<Fd *>(arg), 64, i));
                         }
                         return nullptr;
                     },
                     &fd));
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attr);
    EXPECT_TRUE(Exchange(fd, 64, 1));
}

TEST_F(Answer, ACancelledThreadLeavesTheSocketToOthers)
{
    Fd fd = Connect();
    for (unsigned i = 0; i < 20; i++) {
        ASSERT_TRUE(Exchange(fd, 64, i));
        std::atomic<bool> waits{false};
        struct Waiter {
            int fd;
            std::atomic<bool> *waits;
        } waiter = {fd, &waits};
        pthread_t thread;
        ASSERT_EQ(0, pthread_create(
                         &thread, nullptr,
                         [](void *arg) -> void * {
                             auto *w = static_cast<Waiter *>(arg);
                             char byte;
                             EXPECT_TRUE(send_all(w->fd, request(kNever, 10, 1)));
                             *w->waits = true;
                             (void)!recv(w->fd, &byte, 1, 0);
                             ADD_FAILURE() << "not cancelled";
                             return nullptr;
                         },
                         &waiter));
        while (!waits) {
            usleep(10);
        }
        usleep(i * 40);
        pthread_cancel(thread);
        void *result = nullptr;
        pthread_join(thread, &result);
        EXPECT_EQ(PTHREAD_CANCELED, result);
    }
    EXPECT_TRUE(Exchange(fd, 64, 1));
}

/* Also where no wait ever comes to a sleep, as every answer is quick. */
TEST_F(Answer, AWaitIsAPointOfCancellationHoweverQuickTheAnswer)
{
    Fd fd = Connect();
    constexpr int kRounds = 40;
    std::atomic<int> waited{0};
    std::atomic<int> passed{0};
    struct Round {
        int fd;
        std::atomic<int> *waited;
        std::atomic<int> *passed;
    } round = {fd, &waited, &passed};
    for (int i = 0; i < kRounds; i++) {
        pthread_t thread;
        ASSERT_EQ(0, pthread_create(
                         &thread, nullptr,
                         [](void *arg) -> void * {
                             auto *r = static_cast<Round *>(arg);
                             char byte;
                             int old = 0;
                             for (uint32_t n = 0; n < 20; n++) {
                                 EXPECT_TRUE(Exchange(r->fd, 64, n));
                             }
                             EXPECT_TRUE(send_all(r->fd, request(kSoon, 3, 1)));
                             pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
                             pthread_cancel(pthread_self());
                             int there = 0;
                             EXPECT_EQ(0, ioctl(r->fd, FIONREAD, &there));
                             (*r->waited) += there == 0;
                             pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
                             (void)!recv(r->fd, &byte, 1, MSG_PEEK);
                             pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
                             (*r->passed) += there == 0; /* or the answer was there */
                             return nullptr;
                         },
                         &round));
        pthread_join(thread, nullptr);
        std::string got(3, 0);
        ASSERT_TRUE(read_all(fd, &got[0], got.size()));
    }
    EXPECT_GT(waited, 0);
    EXPECT_LE(passed, waited / 5);
}

TEST_F(Answer, ACloseElsewhereEndsTheWait)
{
    for (unsigned i = 0; i < 5; i++) {
        Fd fd = Connect();
        ASSERT_TRUE(Exchange(fd, 64, i));
        std::atomic<bool> waits{false};
        std::thread other([&] {
            while (!waits) {
                usleep(10);
            }
            usleep(i * 100);
            shutdown(fd, SHUT_RDWR);
        });
        char byte;
        ASSERT_TRUE(send_all(fd, request(kNever, 10, 1)));
        waits = true;
        EXPECT_LE(recv(fd, &byte, 1, 0), 0);
        other.join();
    }
}

TEST_F(Answer, AForkBetween)
{
    Fd fd = Connect();
    for (uint32_t i = 0; i < 20; i++) {
        ASSERT_TRUE(Exchange(fd, 64, i));
        pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        ASSERT_TRUE(Exchange(fd, 64, i));
        waitpid(child, nullptr, 0);
    }
}

} // namespace
