#include "quic/stream/flow.h"

#include "quic/base/check.h"

#define FLOW_TUNE_RTTS 2u

/* Doubles the window when half of it was consumed within FLOW_TUNE_RTTS round trips. */
static void flow_tune(quic_flow_recv *flow, quic_ns srtt_ns, quic_ns now)
{
    if (flow->tune_start_ns != 0 && flow->consumed - flow->tune_from < flow->window / 2) {
        return; /* still measuring */
    }
    if (flow->tune_start_ns != 0 && now - flow->tune_start_ns < FLOW_TUNE_RTTS * srtt_ns) {
        flow->window = flow->window > flow->window_max / 2 ? flow->window_max : flow->window * 2;
    }
    flow->tune_from = flow->consumed;
    flow->tune_start_ns = now != 0 ? now : 1;
}

bool quic_flow_recv_on_consumed(quic_flow_recv *flow, uint64_t bytes, quic_ns srtt_ns, quic_ns now)
{
    flow->consumed += bytes;
    QURING_ASSERT(flow->consumed <= flow->received);
    if (srtt_ns != 0 && flow->window < flow->window_max) {
        flow_tune(flow, srtt_ns, now);
    }
    return quic_flow_recv_update_due(flow);
}
