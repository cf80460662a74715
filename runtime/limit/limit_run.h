/* runtime/limit/limit_run.h: one measurement as its two threads see it.
 *
 * Shape:  the sender keeps a fixed window of packets under way; the receiver opens them and sends a
 *         small sealed acknowledgement every ack_every packets. No loss recovery: a lost
 *         packet is only counted, a lost acknowledgement costs one wait.
 * Owner:  quring_limit_run. Each rt_limit_side is written by its thread alone until it is joined.
 */
#ifndef RUNTIME_LIMIT_LIMIT_RUN_H
#define RUNTIME_LIMIT_LIMIT_RUN_H

#include <stdatomic.h>

#include "quring/limit.h"

#include "runtime/limit/limit_io.h"
#include "runtime/limit/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LIMIT_ACK_EVERY 64u /* packets, or a quarter of the window if that is less */

enum { RT_LIMIT_RUNNING = 0, RT_LIMIT_ENDING = 1, RT_LIMIT_ENDED = 2 };

typedef struct rt_limit_side {
    rt_limit_wire data; /* seals at the sender, opens at the receiver */
    rt_limit_wire acks; /* the other way round */
    int fd;
    int32_t cpu;
    double cpu_s;     /* used by the thread while measuring */
    int os_errno;     /* of a failing call, 0 when all went well */
    const char *what; /* that call */
} rt_limit_side;

typedef struct rt_limit_run {
    quring_limit_options options;
    bool uring;
    unsigned unit_packets;
    uint64_t window_packets; /* at least one unit */
    uint64_t ack_every;
    _Atomic int phase; /* RT_LIMIT_RUNNING ...; the sender moves it on, either side when it fails */
    rt_limit_side send;
    rt_limit_side recv;
    uint64_t began_ns;
    uint64_t ended_ns; /* when the last packet was acknowledged or given up */
} rt_limit_run;

/* The threads: ctx is the rt_limit_run. rt_limit_sender and rt_limit_receiver return NULL. */
void *rt_limit_sender(void *ctx);   /* limit_send.c */
void *rt_limit_receiver(void *ctx); /* limit_recv.c */

/* rt_limit_side_begin pins the thread and starts its CPU clock; _end stops it. */
void rt_limit_side_begin(rt_limit_side *side);
void rt_limit_side_end(rt_limit_side *side);

/* rt_limit_side_fail notes the first failure and ends the run. `error` is a negative errno. */
void rt_limit_side_fail(rt_limit_run *run, rt_limit_side *side, const char *what, int error);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_LIMIT_RUN_H */
