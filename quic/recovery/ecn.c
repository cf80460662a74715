#include "quic/recovery/ecn.h"

#include "quic/base/check.h"

void quic_ecn_init(quic_ecn *ecn, bool enabled)
{
    memset(ecn, 0, sizeof(*ecn));
    ecn->state = enabled ? QUIC_ECN_STATE_TESTING : QUIC_ECN_STATE_OFF;
}

void quic_ecn_restart(quic_ecn *ecn)
{
    if (ecn->state != QUIC_ECN_STATE_OFF) {
        ecn->state = QUIC_ECN_STATE_TESTING;
        ecn->sent_total = 0;
        ecn->lost_total = 0;
    }
}

void quic_ecn_on_sent(quic_ecn *ecn, quic_space space)
{
    QURING_ASSERT(space < QUIC_SPACE_COUNT);
    ecn->sent[space]++;
    if (ecn->state == QUIC_ECN_STATE_TESTING && ++ecn->sent_total >= QUIC_ECN_TESTING_MAX) {
        ecn->state = QUIC_ECN_STATE_UNKNOWN;
    }
}

static bool is_active(const quic_ecn *ecn)
{
    return ecn->state != QUIC_ECN_STATE_OFF && ecn->state != QUIC_ECN_STATE_FAILED;
}

/* The rules of RFC 9000 13.4.2.1 for one frame with counts. */
static bool counts_are_valid(const quic_ecn *ecn, quic_space space, const quic_ecn_counts *counts,
                             uint32_t ect0_acked_count)
{
    const quic_ecn_counts *last = &ecn->last[space];
    if (counts->ect0 < last->ect0 || counts->ect1 < last->ect1 || counts->ce < last->ce) {
        return false;
    }
    /* More than we ever sent: somebody marks on the way. We never send ECT(1). */
    if (counts->ect0 > ecn->sent[space] || counts->ect1 > 0) {
        return false;
    }
    return (counts->ect0 - last->ect0) + (counts->ce - last->ce) >= ect0_acked_count;
}

uint64_t quic_ecn_on_acked(quic_ecn *ecn, quic_space space, const quic_ecn_counts *counts,
                           uint32_t ect0_acked_count, uint32_t ect0_path_acked_count,
                           bool largest_increased)
{
    QURING_ASSERT(space < QUIC_SPACE_COUNT);
    /* RFC 9000 13.4.2.1: a reordered frame must not make validation fail. */
    if (!is_active(ecn) || !largest_increased) {
        return 0;
    }
    if (counts == NULL) {
        if (ect0_acked_count > 0) {
            ecn->state = QUIC_ECN_STATE_FAILED;
        }
        return 0;
    }
    if (!counts_are_valid(ecn, space, counts, ect0_acked_count)) {
        ecn->state = QUIC_ECN_STATE_FAILED;
        return 0;
    }
    uint64_t ce = counts->ce - ecn->last[space].ce;
    ecn->last[space] = *counts;
    if (ecn->state != QUIC_ECN_STATE_CAPABLE && ect0_path_acked_count > 0) {
        ecn->state = QUIC_ECN_STATE_CAPABLE;
    }
    return ce;
}

void quic_ecn_on_lost(quic_ecn *ecn, uint32_t ect0_lost_count)
{
    if (ecn->state != QUIC_ECN_STATE_TESTING && ecn->state != QUIC_ECN_STATE_UNKNOWN) {
        return;
    }
    ecn->lost_total += ect0_lost_count;
    if (ecn->state == QUIC_ECN_STATE_UNKNOWN && ecn->lost_total >= ecn->sent_total) {
        ecn->state = QUIC_ECN_STATE_FAILED; /* RFC 9000 13.4.2: all of the first were lost */
    }
}
