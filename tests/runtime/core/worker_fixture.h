// tests/runtime/core/worker_fixture.h: a worker's configuration for tests.
#ifndef TESTS_RUNTIME_CORE_WORKER_FIXTURE_H
#define TESTS_RUNTIME_CORE_WORKER_FIXTURE_H

#include "quring/config.h"

#include "quic/crypto/crypto.h"
#include "runtime/core/worker.h"

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

#endif // TESTS_RUNTIME_CORE_WORKER_FIXTURE_H
