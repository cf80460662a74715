/* quic/crypto/anti_replay.h: a bounded register of ids that may be used once: 0-RTT attempts, NEW_TOKEN
 * tokens.
 *
 * Shape:  two open-addressed tables, one per generation of `window`; an id is remembered for at least
 *         one window after its use and its table is reused afterwards, without a sweep. 8 bytes per
 *         slot: a keyed 36-bit hash of the id next to the number of the generation.
 * Errors: never says yes twice: when it is full, or a thread was asleep for too long, it says no. A
 *         wrong no for a fresh id has a chance of about 2^-36.
 * Owner:  all workers of a process at once; lock-free (one compare-and-swap per use). The memory is the
 *         caller's and needs no release.
 * Spec:   RFC 8446 8.1, 8.2; RFC 9001 9.2; RFC 9000 8.1.4.
 */
#ifndef QUIC_CRYPTO_ANTI_REPLAY_H
#define QUIC_CRYPTO_ANTI_REPLAY_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_ANTI_REPLAY_SLOTS_MIN  64u
#define QUIC_ANTI_REPLAY_SLOTS_MAX  (1u << 24)
#define QUIC_ANTI_REPLAY_WINDOW_MIN QUIC_NS_PER_MS

typedef struct quic_anti_replay quic_anti_replay;

/* quic_anti_replay_size gives the bytes for a register with `slots` places per generation, a power of
 * two from SLOTS_MIN to SLOTS_MAX; 0 for other values. Twice the uses expected per window are enough. */
size_t quic_anti_replay_size(uint32_t slots);

/* quic_anti_replay_init makes an empty register in `memory` (quic_anti_replay_size(slots) bytes,
 * aligned to 8), before any other thread knows it.
 *
 *   window       longest time from an id's issue to its use, at least QUIC_ANTI_REPLAY_WINDOW_MIN
 *   key          16 secret random bytes
 *   accept_from  ids issued before this time are refused: `now` where an earlier run of this server, or
 *                another server, may have taken them already (RFC 8446 8.2); 0 where that cannot be
 * Returns the register, which is at `memory`; NULL for a wrong argument. */
QUIC_NODISCARD quic_anti_replay *quic_anti_replay_init(void *memory, uint32_t slots, quic_ns window,
                                                       const uint8_t key[16], quic_ns accept_from,
                                                       quic_ns now);

/* quic_anti_replay_take uses the id of `len` bytes, issued at `issued`: of all calls with the same id
 * at most one succeeds; none only if two were made at once just when a generation began. Times of one clock; `now`
 * may differ a little between threads.
 *
 * Returns QUIC_OK, this call is the one;
 *   QUIC_E_DROP   used already
 *   QUIC_E_STATE  issued more than a window ago, after `now`, or before accept_from; not recorded
 *   QUIC_E_LIMIT  no place left: refuse the id, as it cannot be remembered
 * Cost: a SipHash and about two cache misses. */
QUIC_NODISCARD quic_rc quic_anti_replay_take(quic_anti_replay *ar, const uint8_t *id, size_t len,
                                             quic_ns issued, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_ANTI_REPLAY_H */
