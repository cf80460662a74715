/* quic/conn/glitch.h: what a peer's packets cost that bring nothing.
 *
 * A packet is useful when at least one of its frames brought something: new stream or CRYPTO bytes,
 * an acknowledgement of something that was not acknowledged, a state that changed. Useless packets run
 * up a debt; time pays it off, and so does useful work: what an honest peer repeats or acknowledges
 * twice under loss and reordering is never more than what it brought. It may come all at once: where the path
 * becomes shorter, new packets overtake a window of old ones, which is declared lost and sent again. A debt above
 * the limit and as many packets as were ever useful is a peer that keeps us busy on purpose. Packets, not what flow
 * control counts: a few bytes at a high offset, or the final size of a stream that is reset, are many there. Large
 * packets are as many as they would be of QUIC_GLITCH_PACKET_BYTES: as those their data comes again, where a path has
 * become narrower.
 *
 * Shape:  a leaky bucket per connection, in points; a useless packet is one point, and so are
 *         QUIC_GLITCH_FRAMES useless frames beyond the first few of any packet.
 * Owner:  the connection; time is an argument; no locks.    Spec: RFC 9000 21.9.
 */
#ifndef QUIC_CONN_GLITCH_H
#define QUIC_CONN_GLITCH_H

#include "quring/config.h"

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* So many useless frames are worth a point; a useful packet may hold one less for nothing. */
#define QUIC_GLITCH_FRAMES 16u
/* Useless frames that a PATH_RESPONSE to nothing counts as: nobody sends one by accident. */
#define QUIC_GLITCH_WRONG_RESPONSE 64u
/* ... and a key update long before RFC 9001 6.5 has its time for one: keys take longer to make than packets to take. */
#define QUIC_GLITCH_EARLY_UPDATE 256u

/* What every path carries (RFC 9000 14), and what of a packet is not its frames, at most. */
#define QUIC_GLITCH_PACKET_BYTES 1200u
#define QUIC_GLITCH_HEAD_BYTES   64u

typedef struct quic_glitch {
    uint32_t debt;    /* points */
    uint32_t useless; /* frames of the packet at hand that brought nothing */
    quic_ns last_ns;  /* the debt is that of this moment */
    uint64_t useful;  /* bytes of useful packets, ever, at least QUIC_GLITCH_PACKET_BYTES of each */
} quic_glitch;

/* quic_glitch_is_clean: nothing to settle: the packet path's one question. */
static inline bool quic_glitch_is_clean(const quic_glitch *g)
{
    return (g->debt | g->useless) == 0;
}

/* What packets of `bytes` together count. */
static inline uint64_t quic_glitch_worth(uint64_t packets, uint64_t bytes)
{
    const uint64_t least = packets * QUIC_GLITCH_PACKET_BYTES;
    return bytes > least ? bytes : least;
}

/* quic_glitch_begin says that packets of `bytes` are at hand, useful until they are settled. */
static inline void quic_glitch_begin(quic_glitch *g, uint64_t packets, uint64_t bytes)
{
    g->useful += quic_glitch_worth(packets, bytes);
}

/* quic_glitch_note says that `frames` frames' worth of the packet at hand brought nothing. */
static inline void quic_glitch_note(quic_glitch *g, uint32_t frames)
{
    g->useless += frames;
}

/* quic_glitch_pay takes `points` off the debt: so much useful work was done. */
static inline void quic_glitch_pay(quic_glitch *g, uint64_t points)
{
    g->debt = points < g->debt ? (uint32_t)(g->debt - points) : 0;
}

/* quic_glitch_settle ends a packet of `frames` frames (>= 1) in `len` bytes.
 *
 *   limits   glitch_burst, points; 0: there is no limit; glitch_per_s, points that a second pays off
 *
 * Returns false when the debt is above the limit now: glitch_burst and as many packets as were useful. */
QUIC_NODISCARD bool quic_glitch_settle(quic_glitch *g, uint32_t frames, size_t len,
                                       const quring_limits *limits, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_GLITCH_H */
