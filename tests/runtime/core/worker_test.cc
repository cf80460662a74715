// A worker's thread: start and stop, posts, timers, sleep, counters. No connection is needed here.
#include <atomic>
#include <errno.h>
#include <functional>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/core/worker.h"
#include "runtime/io/uring_internal.h"
#include "runtime/udp/sockaddr.h"
#include "tests/runtime/core/worker_fixture.h"

namespace
{

// A posted std::function that frees itself.
void CallAndFree(void *ctx)
{
    std::function<void()> *fn = static_cast<std::function<void()> *>(ctx);
    (*fn)();
    delete fn;
}

class WorkerTest : public OneWorker
{
  protected:
    void Post(std::function<void()> fn)
    {
        auto *copy = new std::function<void()>(std::move(fn));
        quic_rc rc;
        while ((rc = rt_worker_post(worker, CallAndFree, copy)) == QUIC_E_AGAIN) {
            std::this_thread::yield();
        }
        ASSERT_EQ(rc, QUIC_OK);
    }

    // Runs fn on the worker and waits for it.
    void Run(std::function<void()> fn)
    {
        std::atomic<bool> done{false};
        Post([&] {
            fn();
            done = true;
        });
        while (!done) {
            usleep(100);
        }
    }
};

void Nothing(void *)
{
}

// Whether a ring is looked past before and after a turn that another one follows at once.
struct AtOnce {
    rt_worker *worker;
    bool before = false;
    bool after = false;
    std::atomic<bool> over{false};

    bool Looks() const
    {
        return rt_uring_of(rt_worker_io(worker))->looking;
    }
    static void Begin(void *ctx)
    {
        AtOnce *self = static_cast<AtOnce *>(ctx);
        self->before = self->Looks();
        EXPECT_EQ(rt_worker_timer_add(self->worker, nullptr, rt_worker_now(self->worker), Due, ctx),
                  QUIC_OK);
    }
    static void Due(void *ctx) // the mailbox has been emptied
    {
        EXPECT_EQ(rt_worker_post(static_cast<AtOnce *>(ctx)->worker, End, ctx), QUIC_OK);
    }
    static void End(void *ctx)
    {
        AtOnce *self = static_cast<AtOnce *>(ctx);
        self->after = self->Looks();
        self->over = true;
    }
};

} // namespace

TEST_P(WorkerTest, StartsAndStops)
{
    Start();
    EXPECT_STREQ(rt_worker_backend_name(worker),
                 GetParam() == QURING_IO_EPOLL ? "epoll" : "io_uring");
    EXPECT_STREQ(rt_worker_backend_why(worker), "asked for");
    rt_worker_stop(worker, 0, QUIC_NS_PER_S);
    rt_worker_join(worker);
    EXPECT_EQ(rt_worker_post(worker, Nothing, nullptr), QUIC_E_STATE);
    EXPECT_GT(rt_worker_cpu_ns(worker), 0u);
}

TEST_P(WorkerTest, RefusedCpuFailsTheStart)
{
    config.cpu = 100000;
    worker = rt_worker_create(&config);
    EXPECT_LT(rt_worker_start(worker), 0);
    EXPECT_STREQ(rt_worker_backend_why(worker), "cannot run on CPU 100000");
}

TEST_P(WorkerTest, PostsRunInOrderOnTheWorker)
{
    Start();
    EXPECT_EQ(rt_worker_self(), nullptr);
    std::vector<int> order;
    for (int i = 0; i < 1000; i++) {
        Post([&, i] {
            EXPECT_EQ(rt_worker_self(), worker);
            order.push_back(i);
        });
    }
    Run([] {});
    ASSERT_EQ(order.size(), 1000u);
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(order[(size_t)i], i);
    }
}

TEST_P(WorkerTest, EveryAcceptedPostRunsWhenThreadsRaceTheStop)
{
    Start();
    std::atomic<int> accepted{0}, ran{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&] {
            for (;;) {
                quic_rc rc = rt_worker_post(
                    worker, [](void *ctx) { ++*static_cast<std::atomic<int> *>(ctx); }, &ran);
                if (rc == QUIC_E_STATE) {
                    return;
                }
                accepted += rc == QUIC_OK;
            }
        });
    }
    usleep(20000);
    rt_worker_stop(worker, 0, QUIC_NS_PER_S);
    for (std::thread &t : threads) {
        t.join();
    }
    rt_worker_join(worker);
    EXPECT_GT(accepted.load(), 0);
    EXPECT_EQ(ran.load(), accepted.load());
}

TEST_P(WorkerTest, TimersFireOnTimeAndCanBeCancelled)
{
    Start();
    static std::atomic<quic_ns> fired;
    static std::atomic<int> cancelled_ran;
    cancelled_ran = 0;
    quic_ns late = QUIC_NS_NEVER;
    for (int tries = 0; tries < 5 && late >= 200 * QUIC_NS_PER_MS;
         tries++) { // others want the CPU, too
        fired = 0;
        quic_ns due = 0;
        Run([&] {
            quic_ns now = rt_worker_now(worker);
            due = now + 15 * QUIC_NS_PER_MS;
            EXPECT_EQ(rt_worker_timer_add(
                          worker, nullptr, due, [](void *) { fired = rt_clock_now(); }, nullptr),
                      QUIC_OK);
            uint64_t id = 0;
            EXPECT_EQ(rt_worker_timer_add(
                          worker, &id, now + 5 * QUIC_NS_PER_MS, [](void *) { cancelled_ran++; },
                          nullptr),
                      QUIC_OK);
            EXPECT_EQ(rt_worker_timer_cancel(worker, id), QUIC_OK);
            EXPECT_EQ(rt_worker_timer_cancel(worker, id), QUIC_E_STATE);
        });
        for (int i = 0; i < 5000 && fired == 0; i++) {
            usleep(1000);
        }
        ASSERT_GE(fired.load(), due);
        late = fired - due;
    }
    EXPECT_LT(late, 200 * QUIC_NS_PER_MS);
    EXPECT_EQ(cancelled_ran.load(), 0);
}

TEST_P(WorkerTest, IdleWorkerTurnsForDueTimersOnly)
{
    Start();
    Run([] {});
    usleep(50000);
    uint64_t before = Stats().loop_turns;
    uint64_t cpu = rt_worker_cpu_ns(worker);
    usleep(200000);
    EXPECT_LE(Stats().loop_turns - before, 1u);
    EXPECT_LT(rt_worker_cpu_ns(worker) - cpu, 5 * QUIC_NS_PER_MS);
}

TEST_P(WorkerTest, SleepingWorkerIsWokenAndABusyOneIsNot)
{
    Start();
    int late = 0;
    for (int i = 0; i < 20; i++) {
        usleep(2000);
        quic_ns start = rt_clock_now();
        Run([] {});
        late += rt_clock_now() - start >= 500 * QUIC_NS_PER_MS;
    }
    EXPECT_LE(late, 3); // others want the CPU, too
    EXPECT_GE(Stats().wakeups, 10u);
    uint64_t before = 0;
    Run([&] {
        before = Stats().wakeups;
        for (int i = 0; i < 100; i++) { // to itself: it is awake
            EXPECT_EQ(rt_worker_post(worker, Nothing, nullptr), QUIC_OK);
        }
    });
    Run([] {});
    EXPECT_LE(Stats().wakeups - before, 3u);
}

TEST_P(WorkerTest, FullMailboxSaysTryAgain)
{
    Start();
    std::atomic<bool> go{false}, held{false};
    Post([&] {
        held = true;
        while (!go) {
            usleep(100);
        }
    });
    while (!held) {
        usleep(100);
    }
    int accepted = 0;
    quic_rc rc;
    while ((rc = rt_worker_post(worker, Nothing, nullptr)) == QUIC_OK) {
        accepted++;
    }
    EXPECT_EQ(rc, QUIC_E_AGAIN);
    EXPECT_EQ((uint32_t)accepted, RT_MAILBOX_CAP);
    go = true;
    Run([] {});
}

TEST_P(WorkerTest, SpinningWorkerAnswersToo)
{
    config.spin_ns = 200000;
    Start();
    for (int i = 0; i < 50; i++) {
        Run([] {});
    }
    usleep(10000);
    Run([] {});
    quic_counters c = Stats();
    EXPECT_GT(c.spins, 0u);
    EXPECT_GE(c.spins, c.spin_hits);
    EXPECT_GT(c.spin_ns, 0u);
    EXPECT_EQ(c.spin_yields, 0u);
}

/* While datagrams come one at a time a worker that polls looks for them itself; none is lost on the way there or
 * back. */
TEST_P(WorkerTest, SpinningWorkerLooksForWhatComesAlone)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    config.spin_ns = 500000000;
    Start();
    rt_udp_socket sock;
    Run([&] {
        rt_udp_options options = {};
        options.local = rt_addr_from_in4(loopback, 0);
        options.buf_bytes = 1u << 20;
        uint32_t index = 0;
        ASSERT_EQ(rt_udp_open(&sock, &options), 0);
        ASSERT_EQ(rt_worker_add_socket(worker, &index, &sock, 0), 0);
    });
    const int peer = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rt_sockaddr to;
    const socklen_t len = rt_sockaddr_from(&to, &sock.local, false);
    uint64_t sent = 0;
    const auto send = [&](uint64_t count) {
        for (uint64_t i = 0; i < count; i++, sent++) {
            ASSERT_EQ(sendto(peer, "no packet of any kind", 21, 0, &to.sa, len), 21);
        }
        ASSERT_TRUE(Eventually([&] { return Stats().datagrams_recv == sent; })) << sent;
    };
    const auto looks = [&] {
        bool is = false;
        Run([&] { is = rt_worker_io(worker)->plain != nullptr; });
        return is;
    };
    for (int i = 0; i < 50; i++) { // what other threads post are no datagrams
        EXPECT_FALSE(looks());
    }
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 2000 && (i < 50 || !looks()); i++) {
            send(1);
        }
        EXPECT_TRUE(looks());
        bool stays = GetParam() != QURING_IO_URING;
        for (int i = 0; i < 2000 && !stays; i++) {
            AtOnce turn{worker};
            send(1);
            ASSERT_EQ(rt_worker_post(worker, AtOnce::Begin, &turn), QUIC_OK);
            ASSERT_TRUE(Eventually([&] { return turn.over.load(); }));
            stays = turn.before && turn.after;
        }
        EXPECT_TRUE(stays);
        send(200);
    }
    close(peer);
}

TEST_P(WorkerTest, OnASharedCpuAutoNeverPolls)
{
    config.spin_ns = QURING_SPIN_AUTO;
    config.cpu_shared = true;
    Start();
    for (int i = 0; i < 200; i++) {
        Run([] {});
    }
    EXPECT_EQ(Stats().spins, 0u);
}

TEST_P(WorkerTest, CountersAreReadWhileItRuns)
{
    Start();
    std::atomic<bool> stop{false};
    std::thread reader([&] {
        uint64_t last = 0;
        while (!stop) {
            uint64_t turns = Stats().loop_turns;
            EXPECT_GE(turns, last);
            last = turns;
        }
    });
    for (int i = 0; i < 200; i++) {
        Run([] {});
    }
    stop = true;
    reader.join();
    EXPECT_GE(Stats().loop_turns, 2u);
}

TEST_P(WorkerTest, ExitHookIsTheLastCall)
{
    static std::atomic<int> exits;
    exits = 0;
    config.hooks.on_exit = [](void *, rt_worker *w) {
        EXPECT_EQ(rt_worker_self(), w);
        EXPECT_NE(rt_worker_endpoint(w), nullptr);
        exits++;
    };
    Start();
    rt_worker_stop(worker, 0, 0);
    rt_worker_join(worker);
    EXPECT_EQ(exits.load(), 1);
}

TEST_P(WorkerTest, SocketsComeAndGo)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    Start();
    Run([&] {
        rt_udp_options options = {};
        options.local = rt_addr_from_in4(loopback, 0);
        rt_udp_socket sock;
        ASSERT_EQ(rt_udp_open(&sock, &options), 0);
        uint32_t index = 99;
        ASSERT_EQ(rt_worker_add_socket(worker, &index, &sock, 7), 0);
        EXPECT_EQ(index, 0u);
        rt_worker_remove_socket(worker, index);
    });
    Run([] {});
}

INSTANTIATE_TEST_SUITE_P(Kernel, WorkerTest, ::testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const ::testing::TestParamInfo<quring_io_backend> &p) {
                             return std::string(p.param == QURING_IO_URING ? "io_uring" : "epoll");
                         });
