/* ACK_FREQUENCY and IMMEDIATE_ACK (draft-ietf-quic-ack-frequency), both sides. */
#include "quic/conn/conn_ack_freq.h"

#include "quic/conn/packetizer.h"
#include "quic/wire/frame_encode.h"

#define MIN_ACK_DELAY_US     1000u /* finer delays than a turn of a busy loop mean nothing */
#define THRESHOLD_DEFAULT    1u    /* RFC 9000 13.2.2: every other packet */
#define THRESHOLD_MAX        64u
#define REORDERING_THRESHOLD 3u  /* RFC 9002 6.1.1 */
#define WINDOW_SHARE         8u  /* ACK frames per window at least */
#define FRAME_LEN_MAX        34u /* two bytes of type, four integers */

uint64_t quic_conn_min_ack_delay_us(const quic_conn *conn)
{
    uint64_t max_us = quic_conn_ack_delay_ms(conn) * 1000;
    return max_us < MIN_ACK_DELAY_US ? max_us : MIN_ACK_DELAY_US;
}

quic_rc quic_conn_on_ack_frequency(quic_conn *conn, const quic_frame_ack_frequency *frame)
{
    if (!quic_frame_ack_frequency_is_valid(frame, quic_conn_min_ack_delay_us(conn))) {
        return QUIC_V_PROTOCOL_VIOLATION; /* 4 */
    }
    conn->env->counters->ack_frequency_recv++;
    if (frame->seq < conn->ack_freq_next_seq) {
        return QUIC_OK; /* 4: obsolete */
    }
    conn->ack_freq_next_seq = frame->seq + 1;
    uint32_t threshold = frame->eliciting_threshold < UINT32_MAX
                             ? (uint32_t)frame->eliciting_threshold + 1
                             : UINT32_MAX;
    quic_ack_tracker_set_frequency(&conn->spaces[QUIC_SPACE_APP].acks, threshold,
                                   frame->max_ack_delay_us * QUIC_NS_PER_US,
                                   frame->reordering_threshold);
    return QUIC_OK;
}

/* ---- what we ask for --------------------------------------------------------------------------------- */

void quic_conn_start_ack_freq(quic_conn *conn, const quic_transport_params *p)
{
    if (!conn->limits.ack_frequency || !p->has_min_ack_delay || conn->ack_freq != NULL) {
        return;
    }
    conn->ack_freq = quic_mem_zalloc(&conn->mem, sizeof(*conn->ack_freq));
    if (conn->ack_freq != NULL) { /* without memory the peer acknowledges as usual */
        conn->ack_freq->min_delay_us = p->min_ack_delay_us;
        conn->ack_freq->max_delay_us = p->max_ack_delay_ms * 1000;
        conn->ack_freq->threshold = THRESHOLD_DEFAULT;
    }
}

void quic_conn_free_ack_freq(quic_conn *conn)
{
    quic_mem_free(&conn->mem, conn->ack_freq, sizeof(*conn->ack_freq));
    conn->ack_freq = NULL;
}

static uint64_t wanted_threshold(uint64_t packets)
{
    uint64_t threshold = THRESHOLD_DEFAULT;
    while (threshold < THRESHOLD_MAX && threshold * 2 * WINDOW_SHARE <= packets) {
        threshold *= 2;
    }
    return threshold;
}

/* Whether another delay is worth a frame. Nothing was asked for yet: only another threshold is. */
static bool is_another_delay(const quic_conn_ack_freq *af, uint64_t delay_us)
{
    return af->delay_us != 0 && (delay_us <= af->delay_us / 2 || delay_us / 2 >= af->delay_us);
}

/* When the window has moved by a factor of two, or the path is another one (8.4). Slow start grows by what is
 * acknowledged (8.1.1): not fewer in it, but more when the window fell so far that it begins again, after persistent
 * congestion. BBR has no end of slow start that it tells, and wants its samples: never fewer. */
void quic_conn_review_ack_freq(quic_conn *conn)
{
    quic_conn_ack_freq *af = conn->ack_freq;
    uint64_t cwnd = conn->cc.cwnd_bytes;
    const bool fell = cwnd <= af->window_bytes / 2;
    const bool grew = cwnd / 2 >= af->window_bytes && !quic_cc_in_slow_start(&conn->cc);
    if (!conn->handshake_confirmed || (!fell && !grew) ||
        !quic_rtt_has_sample(&conn->recovery.rtt)) {
        return;
    }
    af->window_bytes = cwnd;
    uint64_t threshold = wanted_threshold(cwnd / conn->path.udp_payload_bytes);
    uint64_t delay_us = conn->recovery.rtt.smoothed_ns / 4 / QUIC_NS_PER_US;
    delay_us = delay_us < af->max_delay_us ? delay_us : af->max_delay_us;
    delay_us = delay_us > af->min_delay_us ? delay_us : af->min_delay_us;
    if (threshold == af->threshold && !is_another_delay(af, delay_us)) {
        return;
    }
    af->threshold = threshold;
    af->delay_us = delay_us;
    conn->pending |= QUIC_PEND_ACK_FREQUENCY;
    quic_conn_mark_dirty(conn);
}

bool quic_packet_add_ack_frequency(quic_conn *conn, quic_packet_build *b)
{
    quic_conn_ack_freq *af = conn->ack_freq;
    quic_frame_ack_frequency frame = {.seq = af->next_seq,
                                      .eliciting_threshold = af->threshold,
                                      .max_ack_delay_us = af->delay_us,
                                      .reordering_threshold = REORDERING_THRESHOLD};
    quic_sent_frame record = {
        .kind = QUIC_SF_ACK_FREQUENCY, .id = af->next_seq, .off = af->delay_us};
    if (b->early || b->end - b->p < (ptrdiff_t)FRAME_LEN_MAX ||
        quic_sent_packet_add_frame(quic_recovery_map(&conn->recovery, b->space), b->sent,
                                   &record) != QUIC_OK) {
        return false;
    }
    b->p += quic_frame_encode_ack_frequency(b->p, (size_t)(b->end - b->p), &frame);
    b->eliciting = true;
    af->next_seq++;
    conn->pending &= ~(uint32_t)QUIC_PEND_ACK_FREQUENCY;
    conn->env->counters->ack_frequency_sent++;
    /* 7: until it is acknowledged the larger of both delays counts for probe timeouts. */
    quic_ns delay_ns = af->delay_us * QUIC_NS_PER_US;
    if (delay_ns > conn->recovery.max_ack_delay_ns) {
        conn->recovery.max_ack_delay_ns = delay_ns;
    }
    return true;
}

void quic_conn_ack_frequency_acked(quic_conn *conn, const quic_sent_frame *frame)
{
    if (conn->ack_freq != NULL && frame->id + 1 == conn->ack_freq->next_seq) {
        conn->recovery.max_ack_delay_ns = frame->off * QUIC_NS_PER_US;
    }
}

void quic_conn_ack_frequency_lost(quic_conn *conn, const quic_sent_frame *frame)
{
    if (conn->ack_freq != NULL && frame->id + 1 == conn->ack_freq->next_seq) {
        conn->pending |= QUIC_PEND_ACK_FREQUENCY; /* 4: again, under a new number */
    }
}
