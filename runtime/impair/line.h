/* runtime/impair/line.h: decides what one direction of a bad network does to each datagram.
 *
 * Shape:  pure: time and seed come in, a verdict goes out; nothing is stored but the state of the
 *         line. The queue is known by the times its packets leave, a ring the owner lends.
 * Owner:  the proxy, one per direction.
 */
#ifndef RUNTIME_IMPAIR_LINE_H
#define RUNTIME_IMPAIR_LINE_H

#include "quring/impair.h"

#include "quic/base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LINE_QUEUE_MIN     25u
#define RT_LINE_QUEUE_NS      (50 * QUIC_NS_PER_MS) /* what the default queue holds */
#define RT_LINE_CORRUPT_BYTES 51u /* the altered byte is one of so many first ones */

typedef struct rt_line {
    quring_impair_link spec;
    quic_rng_seeded_state rng;
    quic_ns *leaves; /* ring of `cap` times: packets in the queue and on the line */
    uint32_t cap;
    uint32_t head;
    uint32_t count;
    quic_ns began_ns;  /* of the first datagram */
    quic_ns busy_ns;   /* the line is busy until then */
    quic_ns newest_ns; /* what keeps the order arrives no earlier than that */
    uint64_t left;     /* datagrams that left the line */
    uint32_t loss_run;
    uint32_t corrupt_run;
    bool is_bad; /* Gilbert-Elliott */
} rt_line;

typedef struct rt_line_verdict {
    quic_ns at_ns; /* when it arrives, if it passed */
    quring_impair_fate fate;
    bool twice; /* a copy arrives with it */
    bool late;
    bool mark_ce;
    uint8_t flip; /* XOR of the byte at `flip_at`; 0: intact */
    uint32_t flip_at;
} rt_line_verdict;

/* rt_line_queue_len: how many times the ring of a line with this spec holds; 0 without a rate. */
uint32_t rt_line_queue_len(const quring_impair_link *spec);

/* rt_line_init: `leaves` has rt_line_queue_len places, may be NULL when that is 0, and is kept. */
void rt_line_init(rt_line *line, const quring_impair_link *spec, quic_ns *leaves, uint64_t seed);

/* rt_line_begin: the clock of pass_ns and hole_ns starts. */
static inline void rt_line_begin(rt_line *line, quic_ns now)
{
    line->began_ns = now;
}

/* rt_line_judge decides about the datagram data[0..len) that came in at `now`, which never goes back.
 *   header_bytes   of IP and UDP
 *   ecn            its two bits */
void rt_line_judge(rt_line *line, rt_line_verdict *out, const uint8_t *data, size_t len,
                   uint32_t header_bytes, uint8_t ecn, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IMPAIR_LINE_H */
