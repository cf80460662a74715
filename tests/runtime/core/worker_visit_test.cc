// Other threads in a sleeping worker's place, and what a worker defers until it sleeps.
#include <atomic>
#include <functional>
#include <pthread.h>
#include <signal.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/core/worker.h"
#include "tests/runtime/core/worker_fixture.h"

namespace
{

class WorkerVisitTest : public OneWorker
{
  protected:
    void Start(bool visits = true)
    {
        config.visits = visits;
        OneWorker::Start();
    }

    // Visits as soon as the worker sleeps.
    bool Visit(std::function<void()> fn)
    {
        quic_rc rc = QUIC_E_AGAIN;
        return Eventually([&] {
                   rc = rt_worker_visit(worker, Call, &fn);
                   return rc != QUIC_E_AGAIN;
               }) &&
               rc == QUIC_OK;
    }
};

TEST_P(WorkerVisitTest, RunsInTheCallingThreadAndWakesNobody)
{
    Start();
    ASSERT_TRUE(Visit([] {})); // publishes; what a worker was woken for may run before it has
    const quic_counters before = Stats();
    for (uint64_t i = 1; i <= 100; i++) {
        pthread_t ran = {};
        rt_worker *self = nullptr;
        const quic_ns start = rt_clock_now();
        quic_ns now = 0;
        ASSERT_TRUE(Visit([&] {
            ran = pthread_self();
            self = rt_worker_self();
            now = rt_worker_now(worker);
        }));
        EXPECT_NE(pthread_equal(ran, pthread_self()), 0);
        EXPECT_EQ(self, worker);
        EXPECT_EQ(rt_worker_self(), nullptr);
        EXPECT_GE(now, start);
        EXPECT_EQ(Stats().visits, before.visits + i); // published before it returns
    }
    EXPECT_EQ(Stats().wakeups, before.wakeups);
}

TEST_P(WorkerVisitTest, AnAwakeWorkerIsNotVisited)
{
    Start();
    std::atomic<bool> entered{false};
    std::atomic<bool> leave{false};
    std::function<void()> task = [&] {
        entered = true;
        while (!leave) {
            usleep(100);
        }
    };
    ASSERT_EQ(rt_worker_post(worker, Call, &task), QUIC_OK);
    ASSERT_TRUE(Eventually([&] { return entered.load(); }));
    std::function<void()> never = [] { FAIL() << "ran beside the worker"; };
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(rt_worker_visit(worker, Call, &never), QUIC_E_AGAIN);
    }
    leave = true;
    EXPECT_TRUE(Visit([] {}));
}

TEST_P(WorkerVisitTest, OnlyWhereConfiguredAndUntilTheEnd)
{
    Start(false);
    std::function<void()> never = [] { FAIL(); };
    EXPECT_EQ(rt_worker_visit(worker, Call, &never), QUIC_E_STATE);
    TearDown();
    Start();
    rt_worker_stop(worker, 0, QUIC_NS_PER_S);
    rt_worker_join(worker);
    EXPECT_EQ(rt_worker_visit(worker, Call, &never), QUIC_E_STATE);
}

TEST_P(WorkerVisitTest, ANearerDeadlineReachesTheSleeper)
{
    Start();
    Run([] {});
    std::atomic<bool> fired{false};
    pthread_t ran = {};
    std::function<void()> timer = [&] {
        ran = pthread_self();
        fired = true;
    };
    ASSERT_TRUE(Visit([&] {
        uint64_t id = 0;
        EXPECT_EQ(rt_worker_timer_add(worker, &id, rt_worker_now(worker) + 5 * QUIC_NS_PER_MS, Call,
                                      &timer),
                  QUIC_OK);
    }));
    ASSERT_TRUE(Eventually([&] { return fired.load(); }));
    EXPECT_EQ(pthread_equal(ran, pthread_self()), 0); // the worker's own thread
}

std::atomic<int> handled{0};

TEST_P(WorkerVisitTest, SignalsWaitUntilItIsOver)
{
    Start();
    struct sigaction action = {};
    struct sigaction old = {};
    action.sa_handler = [](int) { handled++; };
    ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    handled = 0;
    int inside = -1;
    ASSERT_TRUE(Visit([&] {
        (void)pthread_kill(pthread_self(), SIGUSR1);
        inside = handled;
    }));
    EXPECT_EQ(inside, 0);
    EXPECT_EQ(handled, 1);
    ASSERT_EQ(sigaction(SIGUSR1, &old, nullptr), 0);
}

struct Cancelled {
    std::function<bool()> visit;
    std::atomic<bool> left{false};
};

TEST_P(WorkerVisitTest, ACancelledThreadLeavesFirst)
{
    Start();
    Cancelled c;
    bool visited = false;
    c.visit = [&] {
        return Visit([&] {
            (void)pthread_cancel(pthread_self());
            pthread_testcancel();
            visited = true;
        });
    };
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, nullptr,
                  [](void *ctx) -> void * {
                      Cancelled *cc = static_cast<Cancelled *>(ctx);
                      cc->left = cc->visit();
                      pthread_testcancel();
                      return ctx;
                  },
                  &c),
              0);
    void *result = nullptr;
    ASSERT_EQ(pthread_join(thread, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
    EXPECT_TRUE(visited);
    EXPECT_TRUE(c.left);
    EXPECT_TRUE(Visit([] {})); // nobody holds the door
}

TEST_P(WorkerVisitTest, ManyThreadsAreNeverInsideTogether)
{
    Start();
    std::atomic<int> inside{0};
    uint64_t plain = 0; // no atomic: the visits and posts order it
    auto task = [&] {
        EXPECT_EQ(inside.fetch_add(1), 0);
        plain++;
        inside.fetch_sub(1);
    };
    constexpr int kThreads = 4;
    constexpr int kTasks = 500;
    std::atomic<int> posted_done{0};
    int posted = 0;
    std::vector<std::thread> threads;
    std::atomic<int> posts{0};
    std::function<void()> post = [&] {
        task();
        posted_done++;
    };
    for (int t = 0; t < kThreads; t++) {
        threads.emplace_back([&] {
            for (int i = 0; i < kTasks; i++) {
                std::function<void()> here = task;
                if (rt_worker_visit(worker, Call, &here) != QUIC_OK) {
                    posts++;
                    while (rt_worker_post(worker, Call, &post) != QUIC_OK) {
                        std::this_thread::yield();
                    }
                }
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    posted = posts;
    ASSERT_TRUE(Eventually([&] { return posted_done == posted; }));
    Run([&] { EXPECT_EQ(plain, static_cast<uint64_t>(kThreads) * kTasks); });
    EXPECT_EQ(Stats().visits, static_cast<uint64_t>(kThreads) * kTasks - posted);
}

TEST_P(WorkerVisitTest, WhoIsWokenAtTheEndOfATurnFindsTheDoorOpen)
{
    Start();
    bool visited = false;
    bool in_turn = true;
    std::atomic<bool> over{false};
    std::function<void()> deferred = [&] {
        EXPECT_FALSE(in_turn);
        std::function<void()> nothing = [] {};
        std::thread other([&] { visited = rt_worker_visit(worker, Call, &nothing) == QUIC_OK; });
        other.join();
        over = true;
    };
    Run([&] {
        EXPECT_EQ(rt_worker_defer(worker, Call, &deferred), QUIC_OK);
        EXPECT_FALSE(over);
        in_turn = false;
    });
    ASSERT_TRUE(Eventually([&] { return over.load(); }));
    EXPECT_TRUE(visited);
}

TEST_P(WorkerVisitTest, AVisitWhileSomethingIsDeferredMovesTheDeadline)
{
    Start();
    std::atomic<bool> fired{false};
    std::function<void()> timer = [&] { fired = true; };
    std::function<void()> add = [&] {
        EXPECT_EQ(rt_worker_timer_add(worker, nullptr, rt_worker_now(worker) + QUIC_NS_PER_MS, Call,
                                      &timer),
                  QUIC_OK);
    };
    std::function<void()> deferred = [&] {
        std::thread other([&] { EXPECT_EQ(rt_worker_visit(worker, Call, &add), QUIC_OK); });
        other.join();
    };
    Run([&] { EXPECT_EQ(rt_worker_defer(worker, Call, &deferred), QUIC_OK); });
    EXPECT_TRUE(Eventually([&] { return fired.load(); })); // or it would sleep for ever
}

TEST_P(WorkerVisitTest, OnlySoMuchIsDeferredAndAllOfItRuns)
{
    Start();
    std::atomic<int> ran{0};
    std::function<void()> count = [&] { ran++; };
    int taken = 0;
    Run([&] {
        while (taken < 1000 && rt_worker_defer(worker, Call, &count) == QUIC_OK) {
            taken++;
        }
        EXPECT_EQ(ran, 0);
    });
    EXPECT_GT(taken, 0);
    EXPECT_LT(taken, 1000);
    EXPECT_TRUE(Eventually([&] { return ran == taken; }));
    // In the last turn, too.
    std::function<void()> last = [&] {
        EXPECT_EQ(rt_worker_defer(worker, Call, &count), QUIC_OK);
        rt_worker_stop(worker, 0, 0);
    };
    ASSERT_EQ(rt_worker_post(worker, Call, &last), QUIC_OK);
    rt_worker_join(worker);
    EXPECT_EQ(ran, taken + 1);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WorkerVisitTest,
                         ::testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param) {
                             return param.param == QURING_IO_URING ? "io_uring" : "epoll";
                         });

} // namespace
