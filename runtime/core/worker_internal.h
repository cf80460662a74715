/* runtime/core/worker_internal.h: the worker's struct, and the seams between its files: worker.c (the
 * turn), worker_life.c (threads, posts, counters), worker_visit.c and worker_attend.c (other threads in its place),
 * worker_forward.c (units for other workers), worker_relay.c (units for other processes).
 *
 * Threads: `gate_users`, `gate_closed`, `stop_*`, `forwards_waiting`, `published` and `cpu_*` are
 *          touched by other threads, with atomics; `mailbox` and `wake` inside the gate only. A visitor
 *          holds `door`, and with it all that a turn touches, save for the ring.
 */
#ifndef RUNTIME_CORE_WORKER_INTERNAL_H
#define RUNTIME_CORE_WORKER_INTERNAL_H

#include <pthread.h>

#include "runtime/core/app_timer.h"
#include "runtime/core/cpu.h"
#include "runtime/core/heap_alloc.h"
#include "runtime/core/mailbox.h"
#include "runtime/core/random.h"
#include "runtime/core/relay.h"
#include "runtime/core/spin.h"
#include "runtime/core/worker.h"

#define RT_DEFERRED_MAX 16u

struct rt_worker {
    rt_worker_config config;
    rt_io *io;
    quic_endpoint *endpoint;
    rt_mailbox *mailbox;
    quic_ns now;
    quic_ns stop_deadline;
    uint64_t turns;
    uint64_t forwarded;
    bool busy;       /* the last turn received or ran something: worth spinning for more */
    bool tx_blocked; /* the last turn ended for want of room to send */
    bool rx_full;    /* all buffers came filled in this turn: more is likely to wait */
    bool stopping;   /* close_all was called */
    rt_spin spin;
    rt_app_timers timers;
    rt_heap heap;
    uint64_t mem_high; /* bytes in use at most, since the heap was tidied last */
    uint64_t mem_last; /* after the last turn */
    quic_ns wall_at;   /* when the wall clock is looked at again */
    quic_ns tidy_at;   /* when to tidy unless memory moves again */
    rt_random random;
    uint32_t groups[RT_IO_SOCKETS_MAX];  /* of each socket; 0: none */
    rt_relay *relays[RT_IO_SOCKETS_MAX]; /* of those that other processes share; NULL: none */
    uint64_t inboxes;                    /* sockets that are a relay's inbox, by bit */
    rt_relay_batch batch;                /* for another process; empty between turns */

    rt_worker *const *peers;
    uint32_t peer_count;

    uint32_t gate_users;   /* atomic: other threads at mailbox or wake */
    uint32_t gate_closed;  /* atomic */
    uint32_t stop_claimed; /* atomic */
    uint32_t stop_asked;   /* atomic: the two below are written */
    uint64_t stop_app_error;
    uint64_t stop_timeout_ns;
    uint32_t forwards_waiting; /* atomic: units other workers queued here */

    pthread_t thread;
    bool thread_started;
    pthread_mutex_t start_mutex;
    pthread_cond_t start_cond;
    bool start_done;
    int start_rc;
    uint32_t cpu_running;   /* atomic: the thread's clock may be read */
    rt_cpu_clock cpu_clock; /* atomic */
    uint64_t cpu_ns;        /* atomic: CPU time at the end */
    /* Held by who runs turns: the thread while it does not sleep, or a visitor */
    pthread_mutex_t door;
    quic_ns sleeps_until; /* atomic; door: the thread comes back by itself then; 0: it is awake */
    uint64_t visits;      /* door */
    bool attended;        /* door: another thread waits for the sockets */
    bool parked; /* atomic: the thread sleeps outside its back end meanwhile, but for moments */
    quic_ns attended_until; /* atomic: ... and until then when it has left */
    uint32_t rx_units;      /* received in this turn */
    uint64_t rx_bytes;      /* ... */
    uint32_t deferred_count;
    rt_mail deferred[RT_DEFERRED_MAX]; /* for when the turn is over */
    char why[RT_IO_WHY_BYTES];
    const char *backend_name;

    quic_counters published; /* each word atomic */
};

/* worker.c: the thread's loop, until rt_worker_is_finished. */
void rt_worker_run(rt_worker *worker);

/* worker.c: parts of a turn. What arrived, one by one and then all of it; the events that came of it. */
void rt_worker_receive_unit(rt_worker *worker, quic_rx_unit *unit);
void rt_worker_receive_done(rt_worker *worker);
void rt_worker_dispatch(rt_worker *worker);

/* worker.c: whether something was posted, or the end is asked for. */
bool rt_worker_has_orders(const rt_worker *worker);

/* worker.c: the end of a turn: sends, publishes the counters, tells when the next turn is needed. */
quic_ns rt_worker_finish_turn(rt_worker *worker);
quic_ns rt_worker_next_turn(rt_worker *worker);

/* worker_life.c: while the gate is held mailbox and wake stay; false when it is closed. */
bool rt_worker_is_closed(const rt_worker *worker);
bool rt_worker_enter_gate(rt_worker *worker);
void rt_worker_leave_gate(rt_worker *worker);

/* worker_visit.c: runs what was deferred, with the door open if the worker has nothing else to do. `next`: when it
 * needs its next turn; returns when that is now. */
quic_ns rt_worker_run_deferred(rt_worker *worker, quic_ns next);

/* worker_attend.c: while another thread attends, and shortly after, the worker sleeps in rt_worker_park, until
 * `next` at most; returns the time. rt_worker_tell_attendant: a turn is over that may be news to it. */
bool rt_worker_is_attended(const rt_worker *worker, quic_ns now);
quic_ns rt_worker_park(rt_worker *worker, quic_ns now, quic_ns next);
void rt_worker_tell_attendant(rt_worker *worker);

/* worker.c: makes `worker` (or NULL) what rt_worker_self answers on this thread; returns the one
 * before. */
rt_worker *rt_worker_set_self(rt_worker *worker);

/* worker_life.c: copies the counters to where other threads read them. */
void rt_worker_publish(rt_worker *worker);

/* worker_forward.c: hands a copy of `unit` to worker `owner`; counts it when that worked. Beyond
 * RT_FORWARDS_MAX waiting there it is dropped, as the network may. */
#define RT_FORWARDS_MAX 256u
void rt_worker_forward(rt_worker *worker, const quic_rx_unit *unit, uint8_t owner);
/* rt_worker_find_socket gives the worker's own socket of a group. */
bool rt_worker_find_socket(const rt_worker *worker, uint32_t *out_index, uint32_t group);

/* worker_relay.c: a unit that came to a socket other processes share; a message of theirs, that came to an
 * inbox. */
void rt_worker_receive_shared(rt_worker *worker, quic_rx_unit *unit);
void rt_worker_receive_relayed(rt_worker *worker, const quic_rx_unit *message);

#endif /* RUNTIME_CORE_WORKER_INTERNAL_H */
