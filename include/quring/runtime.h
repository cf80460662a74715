/* quring/runtime.h: workers, listeners, life cycle, and calls from foreign threads.
 *
 * Model:   a runtime has N worker threads. A connection lives on one worker from birth to death; its
 *          callbacks run there, and calls on it are made there. Other threads use quring_post.
 * Order:   create -> listen / connect -> drain -> stop -> destroy. create starts the threads.
 * Waiting: calls that must not be made on a worker wait for the workers, and so for callbacks under way:
 *          who makes them holds no lock that a callback takes.
 */
#ifndef QURING_RUNTIME_H
#define QURING_RUNTIME_H

#include "quring/config.h"
#include "quring/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quring_runtime quring_runtime;
typedef struct quring_listener quring_listener;

/* quring_runtime_create checks `config`, starts exactly config->workers threads and returns when
 * all of them run. One log line says which I/O back end was chosen and why
 * (level 2; level 1 when it is a fallback).
 *
 * Returns QURING_OK; QURING_E_INVAL (message names the field); QURING_E_NOT_SUPPORTED (io_uring or ipsec-mb
 * demanded, refused); QURING_E_LIMIT (255 workers of a process, over all runtimes); QURING_E_OS;
 * QURING_E_NOMEM. On failure nothing is left behind. */
QURING_EXPORT QURING_NODISCARD quring_status quring_runtime_create(quring_runtime **out,
                                                                   const quring_config *config,
                                                                   quring_error *err);

/* quring_runtime_drain refuses connections of new clients and lets the present ones finish; it returns at once.
 * Their peers are not told, and quring_connect still works: an application closes those that do nothing itself
 * (examples/file_server.c), or they are waited for until their idle timeout. Where listeners are
 * QURING_LISTEN_SHARED, new clients go to the others.
 * quring_runtime_await waits until a drained runtime has no connection left, at most `timeout_ns` (0: it only looks)
 * and the turns that its workers are in; *out_left (may be NULL) is how many there are still, of which some may only
 * wait for packets of a peer that has not heard of their end yet. Those that a peer has ended are not waited for.
 * Then, or when there is no more time, stop. Returns QURING_OK (none is left, and CLOSED was told of all);
 * QURING_E_AGAIN; QURING_E_STATE (it is not drained); QURING_E_INVAL; QURING_E_THREAD (on a worker).
 * quring_runtime_stop closes every connection with application error `app_error` (0 if above 2^62-1), waits
 * at most `timeout_ns` for the close frames to leave, and joins the threads. CLOSED is told of every connection,
 * and what was posted has run, before it returns; timers that were not due never run.
 * quring_runtime_destroy stops (if that was not done, with error 0 and a second's time) and frees, listeners
 * included; no other call with the runtime, or with a listener of it, may be under way or follow. None may be
 * called on a worker. */
QURING_EXPORT void quring_runtime_drain(quring_runtime *rt);
QURING_EXPORT QURING_NODISCARD quring_status quring_runtime_await(quring_runtime *rt,
                                                                  uint64_t timeout_ns,
                                                                  uint64_t *out_left);
QURING_EXPORT void quring_runtime_stop(quring_runtime *rt, uint64_t app_error, uint64_t timeout_ns);
QURING_EXPORT void quring_runtime_destroy(quring_runtime *rt);

/* ---- descriptors, and fork -------------------------------------------------------------------- */

/* A runtime's descriptors are closed by exec and have numbers from 512 on where the process may have as
 * many. quring_owns_fd tells whether `fd` is one, of any runtime of this process, or of one that a forked
 * child has from its parent: who closes everything for a program leaves them out. Any thread. */
QURING_EXPORT bool quring_owns_fd(int fd);

/* quring_hold_fds_to_fork and quring_let_fds are for who forks while a runtime is there, before it and after it in the
 * parent (handlers of pthread_atfork, by the thread that forks); in the child it is quring_abandon. Between them no
 * descriptor of this library is made or closed. Without them a child may keep one that it does not know of, and with it
 * a port, for as long as it lives: fork copies descriptors before the memory that says whose they are. Who has others
 * that such a child has to know of makes and closes them between quring_hold_fds and quring_let_fds. Everybody waits
 * two seconds at most and then goes on, as who forks may wait for a worker. What the first gives is for
 * quring_let_fds; a thread may hold more than once. */
QURING_EXPORT bool quring_hold_fds_to_fork(void);
QURING_EXPORT bool quring_hold_fds(void);
QURING_EXPORT void quring_let_fds(bool held);

/* quring_abandon is for a child after fork, as a handler of pthread_atfork or before anything else of this
 * library: threads are not copied, so that no runtime of the parent's works here. It closes their
 * descriptors, so that their ports are free when the parent ends, and touches nothing that both
 * processes see; the parent goes on. Memory stays until exec or exit. All handles are dead, and none
 * may be used, not even to destroy it; new runtimes may be created. */
QURING_EXPORT void quring_abandon(void);

/* What the runtime chose, for logs and reports. Pointers live as long as the runtime. */
typedef struct quring_runtime_info {
    const char *backend; /* "io_uring" or "epoll" */
    const char *
        backend_why; /* "asked for", "available", "io_uring refused: Operation not permitted" ... */
    const char *aead; /* "ipsec-mb" or "boringssl" */
    uint32_t workers;
} quring_runtime_info;
/* quring_runtime_get_info fills *out. Any thread. */
QURING_EXPORT void quring_runtime_get_info(const quring_runtime *rt, quring_runtime_info *out);

/* ---- listeners ------------------------------------------------------------------------------ */

typedef struct quring_listen_options {
    quring_addr local;           /* port 0: the kernel picks; see quring_listener_local */
    quring_tls *tls;             /* NULL only with QURING_LISTEN_EXTERNAL_TLS */
    quring_event_fn on_event;    /* for every connection accepted here: on all workers, at once */
    void *ctx;                   /* conn_ctx of each, until quring_conn_set_ctx */
    uint32_t flags;              /* QURING_LISTEN_* */
    const quring_limits *limits; /* NULL: the runtime's */
    /* Where clients shall go once the handshake is over (RFC 9000 9.6), one address of each family
     * at most, bound like `local`; family 0: they stay. Port 0: that of `local` */
    quring_addr preferred_v4;
    quring_addr preferred_v6;
    uint64_t muted_events; /* some of QURING_EVENTS_MUTABLE */
} quring_listen_options;

enum {
    QURING_LISTEN_RETRY = 1u << 0, /* demand address validation by Retry, RFC 9000 8.1.2 */
    QURING_LISTEN_EXTERNAL_TLS =
        1u << 1, /* the handshake is driven from outside: quring/handshake.h */
    QURING_LISTEN_NO_TICKETS =
        1u << 2, /* give no session tickets and resume nothing (RFC 9001 4.5) */
    QURING_LISTEN_ZERO_RTT =
        1u << 3, /* accept 0-RTT (RFC 9001 4.6): for applications whose first requests may be
                    repeated by an attacker without harm (9.2). A ticket is good for it once, within
                    an hour and 65536 uses an hour, at the runtime that gave it; otherwise the
                    client is refused 0-RTT and connects as usual */
    QURING_LISTEN_PAUSED =
        1u << 4, /* bound, but accepts nothing yet: see quring_listener_configure */
    QURING_LISTEN_SHARED =
        1u << 5, /* other processes of the same user, and other runtimes, may listen on the address,
                    too, if all say so: new connections are spread over those that accept, and
                    each connection stays with its runtime, also when the client moves or others
                    come and go. At most 256 runtimes of a user, one listener each for an address;
                    not with quring_config.lb. Tokens and tickets are understood by a runtime with
                    the same root_secret, but their registers are its own: 0-RTT, and a NEW_TOKEN,
                    can be used once at each. QURING_E_INVAL with lb; QURING_E_LIMIT */
};

/* quring_listen binds one UDP socket per worker (a SO_REUSEPORT group steered by connection ID) and
 * accepts connections there. Preferred addresses get such groups, too; they take connections over and
 * accept none. Not on a worker.
 *
 * `options` is borrowed for the call; tls gains a reference.
 *
 * Returns QURING_OK; QURING_E_ADDR_IN_USE; QURING_E_OS; QURING_E_INVAL; QURING_E_STATE (draining);
 * QURING_E_LIMIT (a worker takes 64 sockets, one for each address of a listener and those of clients; or see
 * QURING_LISTEN_SHARED); QURING_E_NOMEM; QURING_E_THREAD. */
QURING_EXPORT QURING_NODISCARD quring_status quring_listen(quring_runtime *rt,
                                                           quring_listener **out,
                                                           const quring_listen_options *options,
                                                           quring_error *err);

/* quring_listener_local gives the bound address, on any thread. quring_listener_close stops accepting;
 * connections it accepted live on, with on_event and ctx. Not on a worker; the listener is freed. */
QURING_EXPORT quring_addr quring_listener_local(const quring_listener *listener);
QURING_EXPORT void quring_listener_close(quring_listener *listener);

/* quring_listener_configure changes what new connections meet from now on: of the flags RETRY and
 * PAUSED, and the limits (NULL: they stay). The other flags must be as they were. Connections there are
 * go on. Not on a worker.
 *
 * Returns QURING_OK; QURING_E_INVAL; QURING_E_STATE (a worker has ended); QURING_E_NOMEM;
 * QURING_E_THREAD. */
QURING_EXPORT quring_status quring_listener_configure(quring_listener *listener, uint32_t flags,
                                                      const quring_limits *limits,
                                                      quring_error *err);

/* ---- connecting ----------------------------------------------------------------------------- */

typedef struct quring_connect_options {
    quring_addr remote;
    /* family 0: the worker's shared client socket. Connections of a worker that ask for the same one share
     * it; with a port it is that worker's alone */
    quring_addr local;
    quring_listener *via; /* send from this listener's socket instead, so that its address is ours;
                                on_event is the listener's then. NULL: `local` decides */
    const char *server_name; /* SNI and the name verified; NULL: none sent, address verified */
    quring_tls *tls;         /* NULL only with external_tls */
    quring_event_fn on_event;
    void *ctx;
    bool external_tls;           /* quring/handshake.h */
    const quring_limits *limits; /* NULL: the runtime's */
    /* What a QURING_EV_SESSION gave, borrowed for the call; len 0: none. One for another server,
     * or that cannot be used, is ignored: the handshake is a full one. Not with external_tls */
    quring_bytes session;
    bool zero_rtt;      /* write before the handshake, if the session allows it (RFC 9001 4.6):
                      QURING_EV_EARLY_READY says that it does. An attacker can repeat such bytes */
    quring_bytes token; /* what a QURING_EV_TOKEN gave, borrowed for the call; len 0: none. One for
                           another server or version is ignored. Use each once: two connections that
                           show the same one can be told to be of one client */
    uint64_t muted_events; /* some of QURING_EVENTS_MUTABLE */
    /* With external_tls: the version that QURING_CLOSE_VERSION has brought, as the rest is the same, for the second
     * try, which then knows that it is one (RFC 9368 2.1, 4): there is no third, and a handshake whose server
     * would have been begun with otherwise ends with VERSION_NEGOTIATION_ERROR. 0: the first try */
    uint32_t version_listed;
} quring_connect_options;

/* quring_connect opens a connection on the calling worker and sends its first flight at the end of
 * the turn. CONNECTED or CLOSED follows as an event, before it EARLY_READY where 0-RTT is
 * possible. Only on a worker (in a callback or a posted call). `options` is borrowed; tls gains a reference.
 *
 * Returns QURING_OK; QURING_E_THREAD; QURING_E_LIMIT (connections_max, 64 sockets of a worker); QURING_E_OS (no
 * socket); QURING_E_STATE (the runtime is being stopped); QURING_E_INVAL; QURING_E_TLS; QURING_E_NOMEM. */
QURING_EXPORT QURING_NODISCARD quring_status quring_connect(quring_conn *out,
                                                            const quring_connect_options *options,
                                                            quring_error *err);

/* ---- worker threads ------------------------------------------------------------------------- */

typedef void (*quring_task_fn)(void *ctx);

/* quring_post runs fn(ctx) once on worker `worker` (0-based), in posting order per thread; from any
 * thread, workers included. What was taken runs, at the latest when the worker ends. Returns QURING_OK;
 * QURING_E_INVAL (no such worker); QURING_E_STATE (stopped); QURING_E_AGAIN (its mailbox of 4096 is full: try
 * again; on a worker in a later turn, by a timer perhaps, as two that wait here for one another wait for ever. Who
 * has many messages keeps them in a queue of its own, with a lock, and posts when that was empty: one task waits
 * then). */
QURING_EXPORT QURING_NODISCARD quring_status quring_post(quring_runtime *rt, uint32_t worker,
                                                         quring_task_fn fn, void *ctx);

/* quring_visit runs fn(ctx) at once, on the calling thread and in the place of worker `worker` while that one
 * sleeps, and sends what comes of it before it returns. It does what quring_post does for a task that has
 * little to do and little to send, without waking the worker. In fn the thread counts as the worker: calls on
 * its connections are made as in a posted one, save for quring_connect and quring_conn_migrate
 * (QURING_E_THREAD there). Events that follow are for the worker. The thread's signals wait until fn is over,
 * and so does its cancellation. fn must not wait for anything that another thread does in a call of this
 * library.
 *
 * Any thread but a worker. Returns QURING_OK: fn has run. Otherwise it has not and will not: QURING_E_AGAIN
 * (the worker is awake: use quring_post); QURING_E_INVAL (no such worker); QURING_E_STATE (stopped, or
 * quring_config.visits is not set); QURING_E_THREAD (on a worker). */
QURING_EXPORT QURING_NODISCARD quring_status quring_visit(quring_runtime *rt, uint32_t worker,
                                                          quring_task_fn fn, void *ctx);

/* quring_attend does the work of worker `worker` on the calling thread, while that one sleeps, until done(ctx)
 * returns true or the time (of quring_now_ns) is until_ns. It is for who has asked a peer something and waits
 * for the answer, which is soon to come: datagrams are received, events delivered and what they bring about sent
 * by the thread that wants the answer, without another thread between it and the kernel. What quring_visit says
 * of fn holds for the events' callbacks. done is asked at first, and whenever something may have changed; it may
 * make no call of this library. What is posted, and timers, are still run by the worker itself, which for up to
 * 0.3 ms after a call that was done leaves its sockets alone, for the next such call to find them (see
 * quring_recall). Signals and the thread's cancellation wait: until_ns should be less than a millisecond away.
 *
 * Any thread but a worker. Returns QURING_OK: done. QURING_E_AGAIN: it is not, and the worker looks after its
 * sockets again: the time is over, or there was nobody to stand in for (the worker is awake, or another thread
 * attends already). QURING_E_INTERRUPTED: the same, and a signal handler without SA_RESTART has run. The others
 * are those of quring_visit. */
typedef bool (*quring_check_fn)(void *ctx);
QURING_EXPORT QURING_NODISCARD quring_status quring_attend(quring_runtime *rt, uint32_t worker,
                                                           uint64_t until_ns, quring_check_fn done,
                                                           void *ctx);

/* quring_recall ends what a quring_attend that was done leaves behind: the worker looks after its sockets again
 * now. It costs next to nothing when there is nothing to end. Any thread. Returns QURING_OK; QURING_E_INVAL;
 * QURING_E_STATE, as quring_visit. */
QURING_EXPORT quring_status quring_recall(quring_runtime *rt, uint32_t worker);

/* quring_defer runs fn(ctx) on the calling worker once its turn is over, when it would go to sleep: then other
 * threads can visit it. It is for waking such threads; fn may make no other call of this library. Returns
 * QURING_OK; QURING_E_AGAIN: it is not worth it, as there is more to do in this turn; QURING_E_INVAL;
 * QURING_E_THREAD (not on a worker, or in a visit or attendance). */
QURING_EXPORT QURING_NODISCARD quring_status quring_defer(quring_task_fn fn, void *ctx);

/* quring_timer runs fn(ctx) once on the calling worker at `at_ns` of quring_now_ns or as soon after as
 * the worker gets to it; not if it ends before. Returns QURING_OK; QURING_E_THREAD; QURING_E_NOMEM;
 * QURING_E_LIMIT (1,048,576 of a worker). *out_id (may be NULL; never 0) cancels it on the same worker:
 * quring_timer_cancel answers QURING_E_STATE when it already ran, or runs, and QURING_E_THREAD elsewhere. */
QURING_EXPORT QURING_NODISCARD quring_status quring_timer(uint64_t *out_id, uint64_t at_ns,
                                                          quring_task_fn fn, void *ctx);
QURING_EXPORT quring_status quring_timer_cancel(uint64_t id);

/* quring_worker_self gives the calling worker's index, or -1 on any other thread.
 * quring_conn_worker gives the worker a connection lives on, or lived; of handle 0, 0. Any thread. Which of a
 * listener's workers gets a connection, the kernel decides. */
QURING_EXPORT int quring_worker_self(void);
QURING_EXPORT uint32_t quring_conn_worker(quring_conn conn);

#ifdef __cplusplus
}
#endif

#endif /* QURING_RUNTIME_H */
