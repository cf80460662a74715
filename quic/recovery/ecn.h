/* quic/recovery/ecn.h: whether a path carries ECN marks, and what the peer's counts say.
 *
 * Shape:  mark the first packets ECT(0), wait, go on only if the counts came back right.
 * Owner:  the connection, one per path.    Spec: RFC 9000 13.4.2, A.4.
 */
#ifndef QUIC_RECOVERY_ECN_H
#define QUIC_RECOVERY_ECN_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_ECN_TESTING_MAX 10u /* packets marked before an answer, RFC 9000 13.4.2 */

enum { QUIC_ECN_NOT_ECT = 0, QUIC_ECN_ECT1 = 1, QUIC_ECN_ECT0 = 2, QUIC_ECN_CE = 3 };

typedef enum quic_ecn_state {
    QUIC_ECN_STATE_OFF = 0, /* never marks: switched off */
    QUIC_ECN_STATE_TESTING, /* marks the first packets */
    QUIC_ECN_STATE_UNKNOWN, /* marked enough, waits */
    QUIC_ECN_STATE_CAPABLE,
    QUIC_ECN_STATE_FAILED,
} quic_ecn_state;

typedef struct quic_ecn_counts {
    uint64_t ect0;
    uint64_t ect1;
    uint64_t ce;
} quic_ecn_counts;

typedef struct quic_ecn {
    uint8_t state;       /* quic_ecn_state */
    uint32_t sent_total; /* packets sent marked */
    uint32_t lost_total; /* of these, lost */
    uint64_t sent[QUIC_SPACE_COUNT];
    quic_ecn_counts last[QUIC_SPACE_COUNT];
} quic_ecn;

/* quic_ecn_init starts validation on a new path; `enabled` false never marks. quic_ecn_restart is for
 * another path of the same connection: the counts of the peer go on, the state does not. */
void quic_ecn_init(quic_ecn *ecn, bool enabled);
void quic_ecn_restart(quic_ecn *ecn);

/* quic_ecn_mark: the codepoint for the next packets, QUIC_ECN_NOT_ECT or QUIC_ECN_ECT0. */
static inline uint8_t quic_ecn_mark(const quic_ecn *ecn)
{
    return ecn->state == QUIC_ECN_STATE_TESTING || ecn->state == QUIC_ECN_STATE_CAPABLE
               ? QUIC_ECN_ECT0
               : QUIC_ECN_NOT_ECT;
}

/* quic_ecn_on_sent counts one packet that left with ECT(0). */
void quic_ecn_on_sent(quic_ecn *ecn, quic_space space);

/* quic_ecn_on_acked validates one ACK frame (RFC 9000 13.4.2.1).
 *   counts             those of the frame, NULL when it had none
 *   ect0_acked_count   newly acknowledged packets that were sent with ECT(0)
 *   ect0_path_acked_count  of these, sent on the present path: only they tell of it (RFC 9000 13.4.2)
 *   largest_increased  the frame raised the largest acknowledged; others are not looked at
 * Returns how many more CE marks it reports: more than 0 is a congestion event, unless validation
 * failed. */
uint64_t quic_ecn_on_acked(quic_ecn *ecn, quic_space space, const quic_ecn_counts *counts,
                           uint32_t ect0_acked_count, uint32_t ect0_path_acked_count,
                           bool largest_increased);

/* quic_ecn_on_lost counts marked packets declared lost; when all of the first were, ECN is off. */
void quic_ecn_on_lost(quic_ecn *ecn, uint32_t ect0_lost_count);

/* quic_ecn_on_pto: no answer so far; if the marks are why, the next packets leave without. */
static inline void quic_ecn_on_pto(quic_ecn *ecn)
{
    if (ecn->state == QUIC_ECN_STATE_TESTING && ecn->sent_total > 0) {
        ecn->state = QUIC_ECN_STATE_UNKNOWN;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_RECOVERY_ECN_H */
