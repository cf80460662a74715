/* runtime/core/worker.h: one thread, one I/O back end, one endpoint, one mailbox, its timers.
 *
 * Turn:    units in -> mailbox -> due timers -> events out -> units to send; then sleep until the
 *          earliest deadline. Each step does bounded work. The clock is read once per turn.
 * Threads: everything runs on the worker's thread except what says "any thread".
 * Life:    create -> set_peers -> start (any thread) ... stop -> join -> destroy. A test calls open
 *          instead of start and drives rt_worker_turn itself.
 */
#ifndef RUNTIME_CORE_WORKER_H
#define RUNTIME_CORE_WORKER_H

#include "quring/config.h"

#include "quic/endpoint/endpoint.h"
#include "runtime/core/mailbox.h"
#include "runtime/io/io.h"
#include "runtime/io/io_select.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_worker rt_worker;
struct rt_relay; /* runtime/core/relay.h */

/* What the layer above is told, always on the worker's thread or on one that stands in for it. */
typedef struct rt_worker_hooks {
    /* One event of the endpoint. */
    void (*on_event)(void *ctx, rt_worker *worker, const quic_event *event);
    /* Another thread begins (or has ended) to run turns in the worker's place; may be NULL. */
    void (*on_visit)(void *ctx, bool inside);
    /* The last call before the endpoint goes away; may be NULL. */
    void (*on_exit)(void *ctx, rt_worker *worker);
    void *ctx;
} rt_worker_hooks;

typedef struct rt_worker_config {
    uint32_t index;   /* 0-based */
    uint32_t count;   /* workers in all, 1..QURING_WORKERS_MAX */
    int32_t cpu;      /* -1: not pinned */
    uint32_t spin_ns; /* as quring_config.spin_ns */
    bool visits;      /* rt_worker_visit may be used */
    bool cpu_shared;  /* other workers run on its CPU, too */
    quring_io_backend backend;
    rt_io_config io;
    /* worker_id and worker_count are set from index and count. allocator.alloc == NULL: the worker's
     * own heap; rng.fill == NULL: the system's randomness. */
    quic_endpoint_config endpoint;
    rt_worker_hooks hooks;
    rt_io *lent_io; /* not NULL: use this one (the simulator's); the worker does not destroy it */
} rt_worker_config;

/* rt_worker_create copies `config`; no thread runs yet. NULL without memory.
 * rt_worker_destroy: after join (or rt_worker_close); NULL is fine. */
rt_worker *rt_worker_create(const rt_worker_config *config);
void rt_worker_destroy(rt_worker *worker);

/* rt_worker_set_peers names all workers, by index, for forwarding; before start. The array must
 * outlive the workers. */
void rt_worker_set_peers(rt_worker *worker, rt_worker *const *peers, uint32_t count);

/* rt_worker_start runs the thread and returns when it is ready or has failed. Returns 0 or a
 * negative errno (the thread is gone then); rt_worker_backend_why tells more. */
QUIC_NODISCARD int rt_worker_start(rt_worker *worker);

/* rt_worker_stop asks the thread to close every connection with `app_error`, to keep turning until
 * their close frames have left or `timeout_ns` has passed, and to end. Any thread; returns at once;
 * only the first call counts. rt_worker_join waits for the end. */
void rt_worker_stop(rt_worker *worker, uint64_t app_error, uint64_t timeout_ns);
void rt_worker_join(rt_worker *worker);

/* rt_worker_post runs fn(ctx) on the worker. Any thread, the worker included. QUIC_OK; QUIC_E_AGAIN
 * (RT_MAILBOX_CAP waiting); QUIC_E_STATE (ended). What was accepted runs, at the latest before the
 * thread ends. */
QUIC_NODISCARD quic_rc rt_worker_post(rt_worker *worker, rt_task_fn fn, void *ctx);

/* rt_worker_visit runs fn(ctx) on the calling thread as if on the worker's, while that one sleeps, and sends
 * what came of it; events that came of it are the worker's, which is woken for them. Signals and cancellation
 * of the thread wait meanwhile. QUIC_OK; QUIC_E_AGAIN: the worker does not sleep, or queued sends have not
 * left: post; QUIC_E_STATE: it ended, or visits are not configured. */
QUIC_NODISCARD quic_rc rt_worker_visit(rt_worker *worker, rt_task_fn fn, void *ctx);

/* rt_worker_attend does a sleeping worker's work on the calling thread until done(ctx), which is asked with
 * every right of the worker's thread, or until `until`: it receives, dispatches events and sends, and waits in
 * between. What is posted, and the timers, stay with the worker's thread, which is parked meanwhile. Signals and
 * cancellation of the thread wait. QUIC_OK: done. QUIC_E_AGAIN: not done; *out_interrupted tells whether a
 * handler without SA_RESTART has run just now. QUIC_E_STATE: as for visits. */
typedef bool (*rt_check_fn)(void *ctx);
QUIC_NODISCARD quic_rc rt_worker_attend(rt_worker *worker, bool *out_interrupted, quic_ns until,
                                        rt_check_fn done, void *ctx);

/* rt_worker_recall: the worker, if parked, is no longer so, unless it is attended. Results as above. */
quic_rc rt_worker_recall(rt_worker *worker);

/* ---- on the worker ---------------------------------------------------------------------------- */

/* rt_worker_self: the worker whose turn runs on this thread, NULL on any other. */
rt_worker *rt_worker_self(void);

/* rt_worker_is_stopping: its connections were told to close. */
bool rt_worker_is_stopping(const rt_worker *worker);

/* rt_worker_now: the time of this turn. */
quic_ns rt_worker_now(const rt_worker *worker);
quic_endpoint *rt_worker_endpoint(rt_worker *worker);
rt_io *rt_worker_io(rt_worker *worker);
uint32_t rt_worker_index(const rt_worker *worker); /* any thread */
uint32_t rt_worker_count(const rt_worker *worker); /* any thread */

/* rt_worker_add_socket: as rt_io_add_socket. `group` (not 0) is the same number on all workers for
 * the sockets of one SO_REUSEPORT group, so that a forwarded datagram finds its socket; 0: alone. */
QUIC_NODISCARD int rt_worker_add_socket(rt_worker *worker, uint32_t *out_index,
                                        const rt_udp_socket *sock, uint32_t group);
void rt_worker_remove_socket(rt_worker *worker, uint32_t index);

/* rt_worker_share says of a socket of a group, before anything has been received from it, that other
 * processes receive at its address, too, or that it is the inbox for what they hand on. `relay`
 * outlives the socket. */
void rt_worker_share(rt_worker *worker, uint32_t index, struct rt_relay *relay, bool is_inbox);

/* rt_worker_defer runs fn(ctx) at the end of the turn, on the worker's thread but not as the worker: it is
 * for waking others, who find the worker asleep then. QUIC_E_AGAIN: do it at once, as the turn is a long
 * one or has deferred enough. */
QUIC_NODISCARD quic_rc rt_worker_defer(rt_worker *worker, rt_task_fn fn, void *ctx);

/* rt_worker_timer_add, _cancel: results as rt_app_timers_add and _cancel. */
QUIC_NODISCARD quic_rc rt_worker_timer_add(rt_worker *worker, uint64_t *out_id, quic_ns at,
                                           rt_task_fn fn, void *ctx);
quic_rc rt_worker_timer_cancel(rt_worker *worker, uint64_t id);

/* ---- any thread -------------------------------------------------------------------------------- */

/* rt_worker_stats: the counters as of the end of a recent turn; each is exact. */
void rt_worker_stats(const rt_worker *worker, quic_counters *out);
uint64_t rt_worker_cpu_ns(const rt_worker *worker); /* CPU time so far; stays after the end */

/* rt_worker_backend_name ("io_uring", "epoll", "sim"; "none" before open) and the reason for it; valid
 * once rt_worker_start has returned. */
const char *rt_worker_backend_name(const rt_worker *worker);
const char *rt_worker_backend_why(const rt_worker *worker);

/* ---- turn by turn -------------------------------------------------------------------------------- */

/* rt_worker_open makes heap, I/O back end and endpoint on the calling thread. Returns 0 or a negative
 * errno. rt_worker_close undoes it: runs what the mailbox still holds, calls on_exit, frees. */
QUIC_NODISCARD int rt_worker_open(rt_worker *worker);
void rt_worker_close(rt_worker *worker);

/* rt_worker_turn runs one turn at `now` and returns when the next one is needed: 0 for at once,
 * QUIC_NS_NEVER when only a datagram or a post can bring work. Sends are queued: the caller flushes
 * or waits (rt_io_flush, rt_io_wait on rt_worker_io). */
quic_ns rt_worker_turn(rt_worker *worker, quic_ns now);

/* rt_worker_is_finished: stop was asked for, and no connection has anything left to say or the time
 * for it has passed; the application has heard of everything. */
bool rt_worker_is_finished(const rt_worker *worker);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_WORKER_H */
