// A thread that waits for a worker's sockets in its place, and the worker meanwhile.
#include <algorithm>
#include <atomic>
#include <climits>
#include <csetjmp>
#include <cstdlib>
#include <functional>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/core/worker.h"
#include "runtime/io/io_guest.h"
#include "runtime/udp/sockaddr.h"
#include "tests/runtime/core/worker_fixture.h"

namespace
{

constexpr quic_ns kLong = 10 * QUIC_NS_PER_S;

bool Ask(void *ctx)
{
    return (*static_cast<std::function<bool()> *>(ctx))();
}

std::atomic<int> handled{0};

// What a signal does, until the end of the block.
class Handler
{
  public:
    explicit Handler(int flags)
    {
        struct sigaction action = {};
        action.sa_handler = [](int) { handled++; };
        action.sa_flags = flags;
        EXPECT_EQ(sigaction(SIGUSR1, &action, &old_), 0);
        handled = 0;
    }
    ~Handler()
    {
        sigaction(SIGUSR1, &old_, nullptr);
    }

  private:
    struct sigaction old_ = {};
};

class WorkerAttendTest : public OneWorker
{
  protected:
    rt_udp_socket sock = {};
    int peer = -1;
    bool interrupted = false;

    void Start(uint32_t sockets = 1)
    {
        config.visits = true;
        OneWorker::Start();
        Run([&] {
            for (uint32_t i = 0; i < sockets; i++) {
                rt_udp_options options = {};
                static const uint8_t loopback[4] = {127, 0, 0, 1};
                options.local = rt_addr_from_in4(loopback, 0);
                uint32_t index = 0;
                ASSERT_EQ(rt_udp_open(&sock, &options), 0);
                ASSERT_EQ(rt_worker_add_socket(worker, &index, &sock, 0), 0);
            }
        });
        peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ASSERT_GE(peer, 0);
    }

    void TearDown() override
    {
        OneWorker::TearDown();
        close(peer);
    }

    void SendOne()
    {
        rt_sockaddr to;
        socklen_t len = rt_sockaddr_from(&to, &sock.local, false);
        ASSERT_EQ(sendto(peer, "no packet of any kind", 21, 0,
                         reinterpret_cast<struct sockaddr *>(&to), len),
                  21);
    }

    // As rt_worker_attend, tried again while the worker is awake.
    quic_rc Attend(std::function<bool()> done, quic_ns ns = kLong)
    {
        std::atomic<int> asked{0};
        std::function<bool()> ask = [&] {
            asked++;
            return done();
        };
        quic_rc rc = QUIC_E_AGAIN;
        EXPECT_TRUE(Eventually([&] {
            rc = rt_worker_attend(worker, &interrupted, rt_clock_now() + ns, Ask, &ask);
            return rc != QUIC_E_AGAIN || asked > 0;
        }));
        return rc;
    }
};

TEST_P(WorkerAttendTest, ReceivesInTheWorkersPlace)
{
    Start();
    for (uint64_t i = 1; i <= 200; i++) {
        const quic_counters before = Stats();
        bool sent = false;
        ASSERT_EQ(Attend([&] {
                      if (!sent) {
                          sent = true; // the door is held: only this thread can take it
                          SendOne();
                      }
                      return Stats().io_rx_units > before.io_rx_units;
                  }),
                  QUIC_OK);
        EXPECT_EQ(Stats().io_rx_units, before.io_rx_units + 1);
        EXPECT_GE(Stats().visits + Stats().loop_turns, before.visits + before.loop_turns + 1);
    }
    EXPECT_GT(Stats().visits, 0u);
}

TEST_P(WorkerAttendTest, DoneAtOnceAndOutOfTime)
{
    Start();
    EXPECT_EQ(Attend([] { return true; }), QUIC_OK);
    const quic_ns began = rt_clock_now();
    EXPECT_EQ(Attend([] { return false; }, 2 * QUIC_NS_PER_MS), QUIC_E_AGAIN);
    EXPECT_GE(rt_clock_now() - began, 2 * QUIC_NS_PER_MS);
    EXPECT_FALSE(interrupted);
}

TEST_P(WorkerAttendTest, TheWorkerTakesItsPlaceAgain)
{
    Start();
    for (bool done : {false, true}) {
        for (bool recalled : {false, true}) {
            (void)Attend([&] { return done; }, QUIC_NS_PER_MS);
            if (recalled) {
                EXPECT_EQ(rt_worker_recall(worker), QUIC_OK);
            }
            const uint64_t before = Stats().io_rx_units;
            SendOne();
            EXPECT_TRUE(Eventually([&] { return Stats().io_rx_units > before; })) << done;
        }
    }
}

TEST_P(WorkerAttendTest, MessagesAreTheWorkersAndHeardOf)
{
    Start();
    std::atomic<bool> ran{false};
    std::atomic<bool> posted{false};
    pthread_t thread = {};
    std::function<void()> task = [&] {
        thread = pthread_self();
        ran = true;
    };
    std::thread other([&] {
        EXPECT_TRUE(Eventually([&] { return posted.load(); }));
        EXPECT_EQ(rt_worker_post(worker, Call, &task), QUIC_OK);
    });
    EXPECT_EQ(Attend([&] {
                  posted = true;
                  return ran.load();
              }),
              QUIC_OK);
    other.join();
    EXPECT_EQ(pthread_equal(thread, pthread_self()), 0);
}

TEST_P(WorkerAttendTest, TimersAreTheWorkersAndOnTime)
{
    Start();
    std::atomic<bool> fired{false};
    pthread_t thread = {};
    std::function<void()> timer = [&] {
        thread = pthread_self();
        fired = true;
    };
    Run([&] {
        EXPECT_EQ(rt_worker_timer_add(worker, nullptr, rt_worker_now(worker) + 5 * QUIC_NS_PER_MS,
                                      Call, &timer),
                  QUIC_OK);
    });
    EXPECT_EQ(Attend([&] { return fired.load(); }), QUIC_OK);
    EXPECT_EQ(pthread_equal(thread, pthread_self()), 0);
}

TEST_P(WorkerAttendTest, TheEndOfTheWorkerEndsIt)
{
    Start();
    std::atomic<bool> asked{false};
    std::thread other([&] {
        EXPECT_TRUE(Eventually([&] { return asked.load(); }));
        rt_worker_stop(worker, 0, 0);
    });
    const quic_rc rc = Attend([&] {
        asked = true;
        return false;
    });
    EXPECT_EQ(rc, QUIC_E_AGAIN);
    other.join();
    rt_worker_join(worker);
    std::function<bool()> never = [] {
        ADD_FAILURE();
        return true;
    };
    EXPECT_EQ(rt_worker_attend(worker, &interrupted, rt_clock_now() + kLong, Ask, &never),
              QUIC_E_STATE);
    EXPECT_EQ(rt_worker_recall(worker), QUIC_E_STATE);
}

TEST_P(WorkerAttendTest, OneAtATime)
{
    Start();
    std::atomic<bool> inside{false};
    std::atomic<bool> leave{false};
    std::thread first([&] {
        EXPECT_EQ(Attend([&] {
                      inside = true;
                      return leave.load();
                  }),
                  QUIC_OK);
    });
    ASSERT_TRUE(Eventually([&] { return inside.load(); }));
    std::function<bool()> never = [] {
        ADD_FAILURE();
        return true;
    };
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rt_worker_attend(worker, &interrupted, rt_clock_now() + kLong, Ask, &never),
                  QUIC_E_AGAIN);
    }
    // A visitor may come meanwhile; it has the place for itself.
    bool visited = false;
    std::function<void()> visit = [&] { visited = true; };
    EXPECT_TRUE(Eventually([&] { return rt_worker_visit(worker, Call, &visit) == QUIC_OK; }));
    EXPECT_TRUE(visited);
    leave = true;
    Run([] {}); // it looks again
    first.join();
}

TEST_P(WorkerAttendTest, AHandlerEndsTheWaitAsItEndsASystemCall)
{
    Start();
    for (int flags : {0, SA_RESTART}) {
        Handler handler(flags);
        int inside = -1;
        EXPECT_EQ(Attend(
                      [&] {
                          (void)pthread_kill(pthread_self(), SIGUSR1);
                          inside = handled;
                          return false;
                      },
                      QUIC_NS_PER_MS),
                  QUIC_E_AGAIN);
        EXPECT_EQ(inside, 0);
        EXPECT_EQ(handled, 1);
        EXPECT_EQ(interrupted, flags == 0);
    }
    // Not when there is an answer, nor by a signal nobody handles, nor by one that is held back anyhow.
    Handler handler(0);
    EXPECT_EQ(Attend([&] {
                  (void)pthread_kill(pthread_self(), SIGUSR1);
                  return true;
              }),
              QUIC_OK);
    EXPECT_EQ(handled, 1);
    EXPECT_FALSE(interrupted);
    sigset_t held;
    sigset_t old;
    sigemptyset(&held);
    sigaddset(&held, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &held, &old);
    EXPECT_EQ(Attend(
                  [&] {
                      (void)pthread_kill(pthread_self(), SIGUSR1);
                      (void)pthread_kill(pthread_self(), SIGCHLD);
                      return false;
                  },
                  QUIC_NS_PER_MS),
              QUIC_E_AGAIN);
    EXPECT_FALSE(interrupted);
    EXPECT_EQ(handled, 1);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    EXPECT_EQ(handled, 2);
}

sigjmp_buf away;

// A handler may never return: it runs when the worker is no longer held up.
TEST_P(WorkerAttendTest, AHandlerThatJumpsAwayLeavesTheWorkerFree)
{
    Start();
    struct sigaction action = {};
    struct sigaction old = {};
    action.sa_handler = [](int) { siglongjmp(away, 1); };
    ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    std::thread([this] {
        for (int i = 0; i < 20; i++) {
            static thread_local std::atomic<int> asked;
            asked = 0;
            if (sigsetjmp(away, 1) != 0) {
                continue;
            }
            while (asked == 0) {
                bool signal = false;
                (void)!rt_worker_attend(
                    worker, &signal, rt_clock_now() + kLong,
                    [](void *count) {
                        (*static_cast<std::atomic<int> *>(count))++;
                        return pthread_kill(pthread_self(), SIGUSR1) == 0;
                    },
                    &asked);
            }
            ADD_FAILURE() << "no signal";
        }
    }).join();
    std::atomic<bool> ended{false};
    std::thread end([&] {
        rt_worker_stop(worker, 0, 0);
        rt_worker_join(worker);
        ended = true;
    });
    if (!Eventually([&] { return ended.load(); })) {
        abort(); // what waits for the worker would wait for ever
    }
    end.join();
    ASSERT_EQ(sigaction(SIGUSR1, &old, nullptr), 0);
}

TEST_P(WorkerAttendTest, NotOnAShallowStack)
{
    Start();
    Run([] {});
    pthread_attr_t attr;
    ASSERT_EQ(pthread_attr_init(&attr), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attr, std::max<size_t>(96 * 1024, PTHREAD_STACK_MIN)), 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, &attr,
                  [](void *arg) -> void * {
                      rt_worker *w = static_cast<rt_worker *>(arg);
                      static std::function<bool()> ask = [] { return true; };
                      static std::function<void()> task = [] {};
                      bool signal = false;
                      for (int i = 0; i < 100; i++) {
                          EXPECT_EQ(rt_worker_attend(w, &signal, rt_clock_now() + kLong, Ask, &ask),
                                    QUIC_E_AGAIN);
                          EXPECT_EQ(rt_worker_visit(w, Call, &task), QUIC_E_AGAIN);
                          usleep(10);
                      }
                      return nullptr;
                  },
                  worker),
              0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attr);
}

TEST_P(WorkerAttendTest, NotWithManySockets)
{
    Start(RT_IO_GUEST_SOCKETS_MAX + 1);
    Run([] {});
    std::function<bool()> never = [] {
        ADD_FAILURE();
        return true;
    };
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rt_worker_attend(worker, &interrupted, rt_clock_now() + kLong, Ask, &never),
                  QUIC_E_AGAIN);
        usleep(10);
    }
}

TEST_P(WorkerAttendTest, ManyThreadsComeAndGo)
{
    Start();
    std::atomic<uint64_t> answers{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            unsigned seed = (unsigned)t;
            while (!over) {
                const uint64_t seen = Stats().io_rx_units;
                bool signal = false;
                std::function<bool()> news = [&] { return Stats().io_rx_units != seen; };
                std::function<void()> nothing = [] {};
                switch (rand_r(&seed) % 4) {
                case 0:
                    EXPECT_NE(rt_worker_visit(worker, Call, &nothing), QUIC_E_STATE);
                    break;
                case 1:
                    (void)rt_worker_recall(worker);
                    break;
                default:
                    answers += rt_worker_attend(worker, &signal, rt_clock_now() + QUIC_NS_PER_MS,
                                                Ask, &news) == QUIC_OK;
                }
            }
        });
    }
    const uint64_t before = Stats().io_rx_units;
    constexpr uint64_t kDatagrams = 500;
    for (uint64_t i = 0; i < kDatagrams; i++) {
        SendOne();
        if (i % 3 == 0) {
            Run([] {});
        }
        usleep(i % 7 * 50);
    }
    EXPECT_TRUE(Eventually([&] { return Stats().io_rx_units - before == kDatagrams; }));
    over = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_GT(answers, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WorkerAttendTest,
                         ::testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param) {
                             return param.param == QURING_IO_URING ? "io_uring" : "epoll";
                         });

} // namespace
