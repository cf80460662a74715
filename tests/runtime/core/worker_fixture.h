// tests/runtime/core/worker_fixture.h: a worker's configuration for tests.
#ifndef TESTS_RUNTIME_CORE_WORKER_FIXTURE_H
#define TESTS_RUNTIME_CORE_WORKER_FIXTURE_H

#include <atomic>
#include <functional>
#include <unistd.h>

#include <gtest/gtest.h>

#include "quring/config.h"

#include "quic/crypto/crypto.h"
#include "runtime/core/clock.h"
#include "runtime/core/worker.h"

constexpr quic_ns kPatience = 60 * QUIC_NS_PER_S;

// A task whose ctx is a std::function<void()>.
inline void Call(void *ctx)
{
    (*static_cast<std::function<void()> *>(ctx))();
}

inline bool Eventually(const std::function<bool()> &fact)
{
    const quic_ns end = rt_clock_now() + kPatience;
    while (!fact()) {
        if (rt_clock_now() > end) {
            return false;
        }
        usleep(100);
    }
    return true;
}

inline void IgnoreEvent(void *, rt_worker *, const quic_event *)
{
}

inline rt_worker_config WorkerConfig(quring_io_backend backend, uint32_t index = 0,
                                     uint32_t count = 1)
{
    rt_worker_config config = {};
    config.index = index;
    config.count = count;
    config.cpu = -1;
    config.backend = backend;
    rt_io_config_init(&config.io);
    config.endpoint.crypto = quic_crypto_shim();
    quring_limits_init(&config.endpoint.limits);
    quring_limits_for_loopback(&config.endpoint.limits);
    config.hooks.on_event = IgnoreEvent;
    return config;
}

// One worker of a back end, stopped at the end.
class OneWorker : public ::testing::TestWithParam<quring_io_backend>
{
  protected:
    rt_worker_config config = WorkerConfig(GetParam());
    rt_worker *worker = nullptr;

    void Start()
    {
        worker = rt_worker_create(&config);
        ASSERT_NE(worker, nullptr);
        ASSERT_EQ(rt_worker_start(worker), 0) << rt_worker_backend_why(worker);
    }

    // Runs fn on the worker and waits for it.
    void Run(const std::function<void()> &fn)
    {
        std::atomic<bool> over{false};
        std::function<void()> task = [&] {
            fn();
            over = true;
        };
        ASSERT_EQ(rt_worker_post(worker, Call, &task), QUIC_OK);
        ASSERT_TRUE(Eventually([&] { return over.load(); }));
    }

    quic_counters Stats()
    {
        quic_counters c;
        rt_worker_stats(worker, &c);
        return c;
    }

    void TearDown() override
    {
        if (worker != nullptr) {
            rt_worker_stop(worker, 0, QUIC_NS_PER_S);
            rt_worker_join(worker);
            rt_worker_destroy(worker);
        }
    }
};

#endif // TESTS_RUNTIME_CORE_WORKER_FIXTURE_H
