/* quic/path/mtu_probe.h: how large a datagram one path carries, found out by probes of our own.
 *
 * Shape:  BASE (confirm 1200) -> SEARCH (probe between what works and what does not) -> COMPLETE (look
 *         again after a while); ERROR while not even the base gets through. One probe is in flight at a
 *         time; the caller sends it as a datagram of its own (PING and PADDING) and says what became of
 *         it. Functions return true when `current` changed.
 * Owner:  the connection, one per path; no clock, no I/O.
 * Spec:   RFC 8899 5, RFC 9000 14.3, 14.4.
 */
#ifndef QUIC_PATH_MTU_PROBE_H
#define QUIC_PATH_MTU_PROBE_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_MTU_BASE           QUIC_MIN_INITIAL_LEN  /* BASE_PLPMTU, RFC 9000 14.3 */
#define QUIC_MTU_MAX_PROBES     3u                    /* RFC 8899 5.1.2 */
#define QUIC_MTU_RAISE_NS       (600 * QUIC_NS_PER_S) /* PMTU_RAISE_TIMER, RFC 8899 5.1.1 */
#define QUIC_MTU_ERROR_RETRY_NS (10 * QUIC_NS_PER_S)  /* the base is asked for again */
#define QUIC_MTU_STEP           16u                   /* a search ends closer than this */
#define QUIC_MTU_BLACK_HOLE     6u                    /* lost in a row, larger than the base */
#define QUIC_MTU_BLACK_HOLE_PTO 2u                    /* probe timeouts in a row */

typedef enum quic_mtu_state {
    QUIC_MTU_OFF = 0, /* the size is fixed */
    QUIC_MTU_STATE_BASE,
    QUIC_MTU_STATE_SEARCH,
    QUIC_MTU_STATE_COMPLETE,
    QUIC_MTU_STATE_ERROR,
} quic_mtu_state;

typedef struct quic_mtu {
    quic_ns due_ns;      /* when the next probe may leave; NEVER while one is in flight, or off */
    uint32_t current;    /* datagram size in use: the largest that is known to work */
    uint32_t ceiling;    /* never probed beyond */
    uint32_t high;       /* the largest that may still work: what failed is above */
    uint32_t probe_size; /* of the probe in flight or the next one; 0 = none planned */
    uint64_t full_acked_pn; /* the newest packet of full size that was acknowledged */
    uint8_t state;          /* quic_mtu_state */
    uint8_t probe_count;    /* probes of probe_size that were lost */
    uint8_t suspect_count;  /* packets of full size lost since, all of them newer */
    bool in_flight;
} quic_mtu;

/* quic_mtu_init fixes the size at `bytes`: no probes, no black hole detection. */
void quic_mtu_init(quic_mtu *mtu, uint32_t bytes);

/* quic_mtu_start begins a search from the base, which the handshake has confirmed (RFC 9000 14.1), up
 * to `ceiling`: the smallest of what is wanted, what the peer takes and what the interface carries.
 * One that leaves nothing to search for switches the machine off at the base. */
void quic_mtu_start(quic_mtu *mtu, uint32_t ceiling, quic_ns now);

/* quic_mtu_resume goes on with a path after another one was in use: a probe in flight is forgotten. */
void quic_mtu_resume(quic_mtu *mtu, quic_ns now);

/* quic_mtu_is_due: a probe of mtu->probe_size should leave. */
static inline bool quic_mtu_is_due(const quic_mtu *mtu, quic_ns now)
{
    return mtu->due_ns <= now;
}

/* quic_mtu_probe_size plans: the size to probe with now, 0 when there is nothing (more) to search for.
 * Only while quic_mtu_is_due. */
uint32_t quic_mtu_probe_size(quic_mtu *mtu, quic_ns now);

/* quic_mtu_on_probe_sent: it left. _acked and _lost end it; a late acknowledgement of a probe that was
 * thought lost counts too (`bytes` says its size). */
void quic_mtu_on_probe_sent(quic_mtu *mtu);
bool quic_mtu_on_probe_acked(quic_mtu *mtu, uint32_t bytes, quic_ns now);
bool quic_mtu_on_probe_lost(quic_mtu *mtu, uint32_t bytes, quic_ns now);

/* quic_mtu_on_acked: an ordinary packet arrived; one of full size says that there is no black hole. */
static inline void quic_mtu_on_acked(quic_mtu *mtu, uint64_t pn, uint32_t bytes)
{
    if (pn > mtu->full_acked_pn && bytes >= mtu->current) {
        mtu->full_acked_pn = pn;
        mtu->suspect_count = 0;
    }
}

/* quic_mtu_on_lost: an ordinary packet was declared lost. QUIC_MTU_BLACK_HOLE of them in a row, of full
 * size and newer than any of full size that was acknowledged, mean a black hole: back to the base, to
 * be confirmed anew (RFC 8899 4.3). */
bool quic_mtu_on_lost(quic_mtu *mtu, uint64_t pn, uint32_t bytes, quic_ns now);

/* quic_mtu_on_pto: the `count`th probe timeout in a row: large packets in flight and no answer at all
 * look the same from here. */
bool quic_mtu_on_pto(quic_mtu *mtu, uint32_t count, quic_ns now);

/* quic_mtu_on_too_big: the interface refused a datagram of `bytes`. Works when off, too: back to the
 * base. */
bool quic_mtu_on_too_big(quic_mtu *mtu, uint32_t bytes, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_MTU_PROBE_H */
