/* runtime/server/local.h: the calling worker as the public calls see it, and handles to objects.
 *
 * Shape:   one rt_local per worker thread, found through a thread-local pointer: a call made on any
 *          other thread finds NULL, a call with another worker's handle finds another tag.
 * Handles: the core's (worker << 56 | generation << 32 | index) with the worker byte replaced by a
 *          tag that is unique in the process, so that two runtimes' handles are never mixed up.
 * Owner:   the runtime; touched by its worker only, except for the tag table.
 */
#ifndef RUNTIME_SERVER_LOCAL_H
#define RUNTIME_SERVER_LOCAL_H

#include "quring/base.h"
#include "quring/runtime.h"

#include "quic/endpoint/endpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_HANDLE_TAG_SHIFT 56
#define RT_HANDLE_REST_MASK ((1ull << RT_HANDLE_TAG_SHIFT) - 1)
#define RT_TAG_COUNT        256u /* values of the top byte; tag 0 is never given out */

struct rt_worker;         /* runtime/core/worker.h */
struct rt_listen_slot;    /* runtime/server/listener.h */
struct rt_connect_socket; /* runtime/server/connect.h */
struct rt_connect_owner;

typedef struct rt_local {
    quic_endpoint *ep;
    uint32_t index; /* of the worker in its runtime: the top byte of the core's handles */
    uint32_t tag;   /* the top byte of public handles, 1..255 */
    struct quring_runtime *rt;
    struct rt_worker *worker;
    struct rt_listen_slot *listen_slots;       /* present and closing listeners */
    struct rt_connect_socket *connect_sockets; /* of clients */
    struct rt_connect_owner *connect_owners;
    uint32_t connect_owner_count;
    uint32_t connect_socket_count;
    uint32_t connect_turn;            /* whose turn it is among those for any port */
    uint32_t connect_sweep_at;        /* owners that make the next sweep due */
    uint32_t connect_socket_sweep_at; /* the same of sockets */
} rt_local;

/* The calling thread's, NULL on any thread that is no worker. Initial-exec: one load, no call. */
extern __thread rt_local *rt_local_self __attribute__((tls_model("initial-exec")));
/* ... and whether the thread only stands in for that worker: quring_visit, quring_attend. */
extern __thread bool rt_local_stands_in;

/* rt_tag_acquire gives a tag for a worker with this index; 0 when all 255 are taken (then handles of
 * that worker cannot be told apart from nobody's: the caller fails). rt_tag_release gives it back;
 * 0 is a no-op. Any thread. */
uint32_t rt_tag_acquire(uint32_t worker_index);
void rt_tag_release(uint32_t tag);
/* In a child after fork: none of the parent's workers is there. */
void rt_tag_release_all(void);
/* rt_tag_worker gives the worker index a tag was acquired for. */
uint32_t rt_tag_worker(uint32_t tag);

static inline uint64_t rt_handle_public(const rt_local *local, uint64_t core)
{
    return (core & RT_HANDLE_REST_MASK) | (uint64_t)local->tag << RT_HANDLE_TAG_SHIFT;
}

/* rt_handle_core turns a public handle into the core's. QURING_E_THREAD: not on its worker;
 * QURING_E_STATE: no handle. */
static inline quring_status rt_handle_core(uint64_t *out_core, const rt_local *local,
                                           uint64_t handle)
{
    if (QUIC_UNLIKELY(local == NULL)) {
        return QURING_E_THREAD;
    }
    if (QUIC_UNLIKELY(handle >> RT_HANDLE_TAG_SHIFT != local->tag)) {
        return handle == 0 ? QURING_E_STATE : QURING_E_THREAD;
    }
    *out_core = (handle & RT_HANDLE_REST_MASK) | (uint64_t)local->index << RT_HANDLE_TAG_SHIFT;
    return QURING_OK;
}

/* rt_local_conn and rt_local_stream find the object on the calling worker. QURING_E_THREAD;
 * QURING_E_STATE when it is gone. */
static inline quring_status rt_local_conn(quic_conn **out, quring_conn conn)
{
    uint64_t core = 0;
    quring_status status = rt_handle_core(&core, rt_local_self, conn.handle);
    if (QUIC_UNLIKELY(status != QURING_OK)) {
        return status;
    }
    *out = quic_endpoint_conn(rt_local_self->ep, core);
    return *out != NULL ? QURING_OK : QURING_E_STATE;
}

static inline quring_status rt_local_stream(quic_stream **out, quring_stream stream)
{
    uint64_t core = 0;
    quring_status status = rt_handle_core(&core, rt_local_self, stream.handle);
    if (QUIC_UNLIKELY(status != QURING_OK)) {
        return status;
    }
    *out = quic_endpoint_stream(rt_local_self->ep, core);
    return *out != NULL ? QURING_OK : QURING_E_STATE;
}

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_LOCAL_H */
