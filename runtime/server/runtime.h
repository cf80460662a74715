/* runtime/server/runtime.h: the runtime as its own parts see it, and calls that wait for a worker.
 *
 * Threads: create, listen, drain, stop, destroy come from the application's threads and serialize on
 *          `lock`; what belongs to a worker is reached by rt_runtime_call. Workers never take `lock`.
 * Life:    create -> (listen, drain) -> stop -> destroy. The workers exist until destroy, ended or not.
 */
#ifndef RUNTIME_SERVER_RUNTIME_H
#define RUNTIME_SERVER_RUNTIME_H

#include <pthread.h>

#include "quring/runtime.h"

#include "quic/crypto/session_ticket.h"
#include "runtime/core/worker.h"
#include "runtime/server/early.h"
#include "runtime/server/local.h"
#include "runtime/server/log.h"
#include "runtime/server/tokens.h"
#include "runtime/udp/process.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

struct quring_runtime {
    quring_config config;
    rt_log log;
    const struct quic_crypto *crypto;
    quic_cid_format_config cids;            /* of config.lb */
    rt_worker *workers[QURING_WORKERS_MAX]; /* config.workers of them */
    rt_local locals[QURING_WORKERS_MAX];

    pthread_mutex_t lock;
    quring_listener *listeners; /* every handle not yet closed; under lock */
    rt_early early;             /* made under lock, by the first listener that takes 0-RTT */
    rt_tokens tokens;           /* made under lock, by the first listener that gives tokens */
    rt_process process;  /* opened under lock, by the first listener that shares its address */
    uint32_t next_group; /* names of SO_REUSEPORT groups, from 1; under lock */
    bool draining;       /* under lock */
    bool drained;        /* atomic: every worker has been told */
    bool stopped;        /* under lock */

    uint32_t warned; /* atomic: RT_WARNED_* said already */
};

enum {
    RT_WARNED_BUFFERS = 1u << 0,
    RT_WARNED_VERIFY = 1u << 1,
    RT_WARNED_PLAIN = 1u << 2,
};

/* rt_runtime_call runs fn(ctx) on worker `index` and waits for it. Not on a worker. Returns
 * QURING_OK; QURING_E_STATE when the worker has ended: fn did not and will not run. */
QURING_NODISCARD quring_status rt_runtime_call(quring_runtime *rt, uint32_t index, rt_task_fn fn,
                                               void *ctx);

/* rt_runtime_warn_once logs a warning unless one of the same kind (RT_WARNED_*) was logged. */
void rt_runtime_warn_once(quring_runtime *rt, uint32_t kind, const char *line);

/* rt_runtime_warn_plain warns of limits under which 1-RTT packets may go unencrypted; `who` is the
 * listener's or client's part of the line. */
void rt_runtime_warn_plain(quring_runtime *rt, const quring_limits *limits, const char *who);

/* rt_runtime_ticket_keys gives the keys session tickets are sealed and opened with: those of the workers. */
void rt_runtime_ticket_keys(const quring_runtime *rt, quic_ticket_keys *out);

/* rt_runtime_socket_options fills in what every socket of this runtime has in common. */
rt_udp_options rt_runtime_socket_options(const quring_runtime *rt, const quic_addr *local);

/* rt_runtime_check_buffers warns once when the kernel gave `sock` less than was asked for. */
void rt_runtime_check_buffers(quring_runtime *rt, const rt_udp_socket *sock);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_RUNTIME_H */
