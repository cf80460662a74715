#include "quic/conn/conn_blocked.h"

void quic_conn_blocked_account(quic_conn_blocked *b, quic_counters *counters, quic_ns now)
{
    uint64_t passed = now > b->since ? now - b->since : 0;
    switch ((quic_blocked_by)b->by) {
    case QUIC_BLOCKED_BY_WINDOW:
        counters->blocked_window_ns += passed;
        break;
    case QUIC_BLOCKED_BY_PACING:
        counters->blocked_pacing_ns += passed;
        break;
    case QUIC_BLOCKED_BY_CONN_FLOW:
        counters->blocked_conn_flow_ns += passed;
        break;
    case QUIC_BLOCKED_BY_STREAM_FLOW:
        counters->blocked_stream_flow_ns += passed;
        break;
    case QUIC_BLOCKED_BY_AMPLIFICATION:
        counters->blocked_amplification_ns += passed;
        break;
    case QUIC_BLOCKED_BY_NOTHING:
        break;
    }
    b->since = now;
}

void quic_conn_count_train(quic_counters *counters, uint32_t count)
{
    if (count < 2) {
        counters->trains_1++;
    } else if (count < 4) {
        counters->trains_2++;
    } else if (count < 8) {
        counters->trains_4++;
    } else if (count < 16) {
        counters->trains_8++;
    } else if (count < 32) {
        counters->trains_16++;
    } else {
        counters->trains_32++;
    }
}
