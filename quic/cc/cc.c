#include "quic/cc/cc.h"

#include "quic/base/check.h"

#define INITIAL_WINDOW_DATAGRAMS 10u
#define INITIAL_WINDOW_BYTES     14720u

uint64_t quic_cc_initial_cwnd(const quic_cc *cc)
{
    /* RFC 9002 7.2: ten datagrams, but no more than 14720 bytes or two datagrams if that is more. */
    uint64_t limit = quic_cc_min_cwnd(cc);
    if (limit < INITIAL_WINDOW_BYTES) {
        limit = INITIAL_WINDOW_BYTES;
    }
    uint64_t cwnd = (uint64_t)INITIAL_WINDOW_DATAGRAMS * cc->datagram_bytes;
    return cwnd < limit ? cwnd : limit;
}

void quic_cc_set_cwnd(quic_cc *cc, uint64_t cwnd_bytes)
{
    uint64_t min = quic_cc_min_cwnd(cc);
    if (cwnd_bytes > cc->cwnd_max_bytes) {
        cwnd_bytes = cc->cwnd_max_bytes;
    }
    cc->cwnd_bytes = cwnd_bytes < min ? min : cwnd_bytes;
}

void quic_cc_init(quic_cc *cc, const quic_cc_vtable *vtable, uint32_t datagram_bytes,
                  uint64_t cwnd_max_bytes, bool paced)
{
    QURING_ASSERT(datagram_bytes > 0 && datagram_bytes <= UINT16_MAX);
    memset(cc, 0, sizeof(*cc));
    cc->vtable = vtable;
    cc->datagram_bytes = datagram_bytes;
    cc->cwnd_max_bytes =
        cwnd_max_bytes == 0 || cwnd_max_bytes > QUIC_CWND_LIMIT ? QUIC_CWND_LIMIT : cwnd_max_bytes;
    cc->paced = paced;
    quic_cc_reset(cc);
}

void quic_cc_reset(quic_cc *cc)
{
    cc->ssthresh_bytes = QUIC_CC_SSTHRESH_NONE;
    cc->in_recovery = false;
    cc->has_recovered = false;
    cc->holds_back = false;
    cc->pacing_rate_fp = 0;
    quic_cc_set_cwnd(cc, quic_cc_initial_cwnd(cc));
    cc->vtable->init(cc);
}

void quic_cc_set_datagram(quic_cc *cc, uint32_t datagram_bytes)
{
    QURING_ASSERT(datagram_bytes > 0 && datagram_bytes <= UINT16_MAX);
    uint64_t before = quic_cc_initial_cwnd(cc);
    bool untouched = before == cc->cwnd_bytes && cc->ssthresh_bytes == QUIC_CC_SSTHRESH_NONE;
    cc->datagram_bytes = datagram_bytes;
    quic_cc_set_cwnd(cc, untouched ? quic_cc_initial_cwnd(cc) : cc->cwnd_bytes);
}

/* RFC 9002 B.5: packets sent up to the start of the recovery period belong to it. */
static bool is_in_recovery_period(const quic_cc *cc, quic_ns sent_ns)
{
    return cc->has_recovered && sent_ns <= cc->recovery_start_ns;
}

void quic_cc_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    bool in_period = is_in_recovery_period(cc, sample->largest_acked_sent_ns);
    cc->in_recovery = cc->in_recovery && in_period;
    if (cc->vtable->on_sample != NULL) {
        cc->vtable->on_sample(cc, sample, now);
        return;
    }
    if (in_period) {
        return;
    }
    if (sample->acked_bytes > 0) {
        cc->vtable->on_acked(cc, sample, now);
    }
}

static void reduce(quic_cc *cc, quic_ns sent_ns, bool can_undo, quic_ns now)
{
    if (is_in_recovery_period(cc, sent_ns)) {
        return;
    }
    cc->has_recovered = true;
    cc->in_recovery = true;
    cc->recovery_start_ns = now;
    cc->congestion_count++;
    cc->can_undo = can_undo;
    cc->vtable->on_congestion(cc, now);
    QURING_ASSERT(cc->cwnd_bytes >= quic_cc_min_cwnd(cc));
}

void quic_cc_on_congestion(quic_cc *cc, quic_ns sent_ns, quic_ns now)
{
    reduce(cc, sent_ns, true, now);
}

void quic_cc_on_ce(quic_cc *cc, quic_ns sent_ns, quic_ns now)
{
    if (is_in_recovery_period(cc, sent_ns)) {
        cc->can_undo = false; /* what began the period may turn out a mistake, these marks do not */
    }
    reduce(cc, sent_ns, false, now);
}

void quic_cc_on_persistent_congestion(quic_cc *cc)
{
    cc->has_recovered = false;
    cc->in_recovery = false;
    cc->can_undo = false;
    cc->vtable->on_persistent_congestion(cc);
    quic_cc_set_cwnd(cc, quic_cc_min_cwnd(cc));
}

void quic_cc_on_spurious(quic_cc *cc)
{
    if (!cc->can_undo || cc->vtable->on_spurious == NULL) {
        return;
    }
    cc->can_undo = false;
    cc->has_recovered = false;
    cc->in_recovery = false;
    cc->vtable->on_spurious(cc);
}
