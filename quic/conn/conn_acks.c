/* What became of packets: ACK frames, losses, probe timeouts; and through them of the frames the
 * packets carried (RFC 9002 5-7, RFC 9000 13.3). */
#include "quic/conn/conn_internal.h"
#include "quic/wire/frame_decode.h"

void quic_conn_apply_send_facts(quic_conn *conn, quic_stream *s,
                                const quic_stream_send_facts *facts)
{
    QURING_ASSERT(conn->send_held_bytes >= facts->freed_bytes);
    conn->send_held_bytes -= facts->freed_bytes;
    uint32_t events = 0;
    if (facts->released) {
        s->ev_released_off = facts->released_off;
        events |= QUIC_STREAM_EV_RELEASED;
    }
    if (facts->writable) {
        events |= QUIC_STREAM_EV_WRITABLE;
    }
    if (facts->finished) {
        events |= QUIC_STREAM_EV_FINISHED;
    }
    if (QUIC_UNLIKELY(facts->done && s->send_state == QUIC_SEND_RESET_RECVD)) {
        events |= QUIC_STREAM_EV_RESET_ACKED;
    }
    if (events != 0) {
        quic_conn_raise_stream(conn, s, events);
    }
    if (facts->done) {
        quic_conn_maybe_closed_stream(conn, s);
    }
}

/* A write was cut short, and there is room again: in the connection's budget, or perhaps in memory. */
static void wake_starved(quic_conn *conn)
{
    if (conn->send_starved == 0 ||
        (conn->send_starved == QUIC_STARVED_OF_BUDGET &&
         conn->send_held_bytes > conn->limits.conn_send_buf_bytes / 4 * 3)) {
        return;
    }
    conn->send_starved = 0;
    for (quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL;
         s = quic_stream_table_next(&conn->streams, s)) {
        if (s->write_blocked && quic_stream_writable(s) > 0) {
            s->write_blocked = false;
            quic_conn_raise_stream(conn, s, QUIC_STREAM_EV_WRITABLE);
        }
    }
}

void quic_conn_retry_writes(quic_conn *conn)
{
    const bool fits = conn->send_held_bytes == 0
                          ? quic_mem_would_fit(&conn->mem, QUIC_SEND_RING_MIN)
                          : quic_mem_bulk_would_fit(&conn->mem, QUIC_SEND_RING_MIN);
    if (fits && conn->recovery.in_flight_bytes == 0) {
        wake_starved(conn);
    }
}

/* ---- frames that arrived ------------------------------------------------------------------------- */

/* Neighbouring STREAM frames of one ACK are reported to their stream as one. */
typedef struct stream_run {
    uint64_t id;
    uint64_t off;
    uint64_t len;
    bool fin;
    bool used;
} stream_run;

static void flush_run(quic_conn *conn, stream_run *run)
{
    if (!run->used) {
        return;
    }
    run->used = false;
    quic_stream *s = quic_stream_table_find(&conn->streams, run->id);
    if (s == NULL) {
        return;
    }
    quic_stream_send_facts facts;
    memset(&facts, 0, sizeof(facts));
    uint64_t before = s->send.acked_off;
    quic_stream_on_acked(s, run->off, run->len, run->fin, &facts);
    conn->stream_bytes_acked += s->send.acked_off - before;
    if (QUIC_UNLIKELY(quic_send_buf_has_lost(&s->send))) {
        quic_conn_schedule(conn, s); /* what could not be remembered as acknowledged goes again */
    }
    quic_conn_apply_send_facts(conn, s, &facts);
}

static inline void add_run(quic_conn *conn, stream_run *run, const quic_sent_frame *frame)
{
    bool fin = (frame->flags & QUIC_SF_FIN) != 0;
    if (QUIC_LIKELY(run->used && run->id == frame->id)) {
        if (frame->off + frame->len == run->off) { /* packets come newest first */
            run->off = frame->off;
            run->len += frame->len;
            run->fin = run->fin || fin;
            return;
        }
        if (run->off + run->len == frame->off) {
            run->len += frame->len;
            run->fin = run->fin || fin;
            return;
        }
    }
    flush_run(conn, run);
    run->used = true;
    run->id = frame->id;
    run->off = frame->off;
    run->len = frame->len;
    run->fin = fin;
}

static void on_ctrl_acked(quic_conn *conn, const quic_sent_frame *frame)
{
    if (frame->flags != QUIC_STREAM_CTRL_RESET) {
        return;
    }
    quic_stream *s = quic_stream_table_find(&conn->streams, frame->id);
    if (s != NULL) {
        quic_stream_send_facts facts;
        quic_stream_on_reset_acked(s, frame->off, &facts);
        quic_conn_apply_send_facts(conn, s, &facts);
    }
}

static void on_frame_acked(quic_conn *conn, quic_space space, const quic_sent_packet *packet,
                           const quic_sent_frame *frame)
{
    switch (frame->kind) {
    case QUIC_SF_CRYPTO:
        if (conn->spaces[space].crypto != NULL) {
            quic_crypto_stream_on_acked(conn->spaces[space].crypto, frame->off, frame->len);
            quic_conn_early_crypto_acked(conn, space);
        }
        break;
    case QUIC_SF_ACK:
        quic_ack_tracker_on_ack_acked(&conn->spaces[space].acks, frame->off);
        break;
    case QUIC_SF_STREAM_CTRL:
        on_ctrl_acked(conn, frame);
        break;
    case QUIC_SF_RETIRE_CID:
        quic_cid_peer_retire_acked(&conn->cids_peer, frame->id);
        break;
    case QUIC_SF_ACK_FREQUENCY:
        quic_conn_ack_frequency_acked(conn, frame);
        break;
    case QUIC_SF_DATAGRAM:
        quic_conn_datagram_acked(conn, packet->state == QUIC_SENT_LOST);
        break;
    default:
        break; /* limits, NEW_CONNECTION_ID, HANDSHAKE_DONE: nothing waits for the news */
    }
}

static void on_packet_acked(quic_conn *conn, quic_space space, const quic_sent_packet *packet,
                            stream_run *run)
{
    const quic_sent_map *map = &conn->recovery.spaces[space].map;
    quic_sent_frame_iter it = {0};
    const quic_sent_frame *frame;
    while ((frame = quic_sent_frame_next(map, packet, &it)) != NULL) {
        if (QUIC_LIKELY(frame->kind == QUIC_SF_STREAM)) {
            add_run(conn, run, frame);
        } else {
            on_frame_acked(conn, space, packet, frame);
        }
    }
}

/* ---- frames that did not ----------------------------------------------------------------------------- */

/* RFC 9000 13.3: whether a frame that was lost still says something. */
static bool pending_holds(const quic_conn *conn, uint32_t bit)
{
    switch (bit) {
    case QUIC_PEND_IMMEDIATE_ACK:
        return false; /* Acknowledgment Frequency 5: its moment is over */
    case QUIC_PEND_DATA_BLOCKED:
        return quic_flow_send_is_blocked(&conn->flow_send);
    case QUIC_PEND_STREAMS_BLOCKED_BIDI:
        return quic_stream_table_is_blocked(&conn->streams, false);
    case QUIC_PEND_STREAMS_BLOCKED_UNI:
        return quic_stream_table_is_blocked(&conn->streams, true);
    default:
        return true;
    }
}

static void requeue_frame(quic_conn *conn, quic_space space, const quic_sent_frame *frame)
{
    quic_stream *s;
    switch (frame->kind) {
    case QUIC_SF_STREAM:
        s = quic_stream_table_find(&conn->streams, frame->id);
        if (s != NULL &&
            quic_stream_on_lost(s, frame->off, frame->len, (frame->flags & QUIC_SF_FIN) != 0)) {
            quic_conn_schedule(conn, s);
        }
        break;
    case QUIC_SF_CRYPTO:
        if (conn->spaces[space].crypto != NULL) {
            (void)quic_crypto_stream_on_lost(conn->spaces[space].crypto, frame->off, frame->len);
        }
        break;
    case QUIC_SF_PEND:
        conn->pending |= pending_holds(conn, (uint32_t)frame->off) ? (uint32_t)frame->off : 0;
        break;
    case QUIC_SF_STREAM_CTRL:
        s = quic_stream_table_find(&conn->streams, frame->id);
        if (s != NULL && quic_stream_on_ctrl_lost(s, frame->flags)) {
            quic_conn_note_ctrl(conn, s);
        }
        break;
    case QUIC_SF_NEW_CID:
        quic_cid_local_lost(&conn->cids_local, frame->id);
        if (conn->cids_local.to_send_count > 0) {
            conn->pending |= QUIC_PEND_NEW_CID;
        }
        break;
    case QUIC_SF_NEW_TOKEN:
        (void)quic_conn_give_token(conn);
        break;
    case QUIC_SF_ACK_FREQUENCY:
        quic_conn_ack_frequency_lost(conn, frame);
        break;
    case QUIC_SF_RETIRE_CID:
        quic_cid_peer_retire_lost(&conn->cids_peer, frame->id);
        if (conn->cids_peer.to_send_count > 0) {
            conn->pending |= QUIC_PEND_RETIRE_CID;
        }
        break;
    default:
        break; /* an ACK is never repeated: the next one says more; nor is a datagram */
    }
}

void quic_conn_requeue(quic_conn *conn, quic_space space, const quic_sent_packet *packet)
{
    const quic_sent_map *map = &conn->recovery.spaces[space].map;
    quic_sent_frame_iter it = {0};
    const quic_sent_frame *frame;
    while ((frame = quic_sent_frame_next(map, packet, &it)) != NULL) {
        requeue_frame(conn, space, frame);
    }
}

/* Controllers that model the path look at each loss. `lost` counts what was declared lost up to it. */
static void tell_lost(quic_conn *conn, const quic_sent_packet *packet, uint64_t lost, quic_ns now)
{
    quic_cc_loss loss = {
        .pn = packet->pn,
        .bytes = packet->bytes,
        .tx_in_flight_bytes = quic_recovery_tx_in_flight(packet),
        .lost_since_bytes = (uint32_t)((uint32_t)lost - packet->lost_low),
        .delivered_bytes = conn->recovery.delivered_bytes,
        .app_limited = (packet->flags & QUIC_SENT_APP_LIMITED) != 0,
    };
    quic_cc_on_lost(&conn->cc, &loss, now);
}

/* What the handshake waits for goes even where the window is full, as one packet may when a loss is found (RFC 9002
 * 7.3.2); or when nothing else of its space is under way: of the 1-RTT packets that fill the window none is
 * acknowledged before the handshake is complete, and none has a probe timeout (6.2.1). */
static void spare_handshake(quic_conn *conn, quic_space space, const quic_loss_result *loss)
{
    quic_conn_space *s = &conn->spaces[space];
    if (s->crypto != NULL && s->probes == 0 && quic_crypto_stream_can_send(s->crypto) &&
        (loss->lost_count > 0 || !quic_recovery_has_eliciting(&conn->recovery, space))) {
        s->probes = 1;
    }
}

static void take_lost(quic_conn *conn, quic_space space, const quic_loss_result *loss, quic_ns now)
{
    const quic_sent_packet *packet;
    bool tell = quic_cc_wants_losses(&conn->cc) && loss->largest_lost_sent_ns != 0;
    uint64_t lost = loss->prior_lost_bytes;
    conn->env->counters->packets_lost += loss->lost_count;
    while ((packet = quic_recovery_next_lost(&conn->recovery, space)) != NULL) {
        if (tell && (packet->flags & QUIC_SENT_MTU_PROBE) == 0 &&
            packet->sent_ns >= conn->recovery.path_start_ns) {
            lost += packet->bytes;
            tell_lost(conn, packet, lost, now);
        }
        if (QUIC_UNLIKELY(conn->trace != NULL)) {
            quic_conn_trace_add(conn, QURING_PACKET_LOST, quic_conn_level_of(space), packet->pn,
                                packet->bytes, now);
        }
        if (space == QUIC_SPACE_APP) {
            quic_conn_mtu_on_lost(conn, packet, now);
            quic_conn_datagrams_lost(conn, packet);
        }
        if ((packet->flags & QUIC_SENT_PROBED) == 0) {
            quic_conn_requeue(conn, space, packet);
        }
    }
    if (QUIC_UNLIKELY(space != QUIC_SPACE_APP)) {
        spare_handshake(conn, space, loss);
    }
    if (loss->lost_ect0_count > 0) {
        quic_ecn_on_lost(&conn->ecn, loss->lost_ect0_count);
    }
    if (loss->largest_lost_sent_ns != 0) {
        quic_cc_on_congestion(&conn->cc, loss->largest_lost_sent_ns, now);
        quic_pacer_know_burst(&conn->pacer, 0, conn->path.udp_payload_bytes);
    }
    if (loss->persistent_congestion) {
        quic_cc_on_persistent_congestion(&conn->cc);
    }
}

/* ---- ACK frames ---------------------------------------------------------------------------------------- */

static quic_ns ack_delay_ns(const quic_conn *conn, quic_space space, uint64_t raw)
{
    if (space != QUIC_SPACE_APP) {
        return 0; /* RFC 9002 5.3: ignored for Initial, and the exponent is not known yet */
    }
    uint64_t exponent = conn->params_applied ? conn->peer_ack_delay_exponent : 3;
    const uint64_t us_max = 1ull << 34;
    if (raw > us_max >> exponent) {
        return us_max * QUIC_NS_PER_US;
    }
    return (raw << exponent) * QUIC_NS_PER_US;
}

static void update_cc(quic_conn *conn, const quic_ack_result *r, quic_ns now)
{
    const quic_rtt *rtt = &conn->recovery.rtt;
    if (r->acked_bytes > 0) {
        quic_cc_sample sample = {
            .acked_bytes = r->acked_bytes,
            .prior_in_flight_bytes = r->prior_in_flight_bytes,
            .largest_acked_sent_ns = r->largest_acked_sent_ns,
            .rtt_ns = r->has_rtt_sample ? r->rtt_sample_ns : 0,
            .srtt_ns = rtt->smoothed_ns,
            .app_limited =
                !conn->window_used_up && !quic_cc_is_limiting(&conn->cc, r->prior_in_flight_bytes),
            .rate_app_limited = r->app_limited,
            .in_flight_bytes = conn->recovery.in_flight_bytes,
            .delivered_bytes = conn->recovery.delivered_bytes,
            .prior_delivered_bytes = r->prior_delivered_bytes,
            .tx_in_flight_bytes = r->tx_in_flight_bytes,
            .lost_since_bytes = r->lost_since_bytes,
            .rate_bytes = r->rate_bytes,
            .rate_ns = r->rate_ns,
            .min_rtt_ns = rtt->min_ns,
        };
        quic_cc_on_acked(&conn->cc, &sample, now);
        if (conn->cc.holds_back) {
            quic_recovery_on_app_limited(&conn->recovery);
        }
    }
    if (r->spurious_congestion) {
        quic_cc_on_spurious(&conn->cc);
    }
    quic_pacer_note_min_rtt(&conn->pacer, rtt->min_ns);
    if (conn->cc.pacing_rate_fp != 0) {
        quic_pacer_set_rate(&conn->pacer, conn->cc.pacing_rate_fp, rtt->smoothed_ns,
                            conn->path.udp_payload_bytes, now);
    } else {
        quic_pacer_update(&conn->pacer, conn->cc.cwnd_bytes, rtt->smoothed_ns,
                          quic_cc_in_slow_start(&conn->cc), conn->path.udp_payload_bytes, now);
    }
}

/* RFC 9001 6.1, 6.2: an update of ours is over when a packet of the new phase is acknowledged, and by then the
 * peer has answered with its own new keys. */
static quic_rc on_update_acked(quic_conn *conn, const quic_ack_result *r)
{
    if (r->acked_count == 0 || r->largest_acked_pn == QUIC_PN_NONE ||
        r->largest_acked_pn < conn->tx_phase_first_pn) {
        return QUIC_OK;
    }
    if (conn->tx_phase != conn->rx_phase) {
        return QUIC_V_KEY_UPDATE; /* has our new keys and goes on with its old ones */
    }
    conn->key_update_unacked = false;
    return QUIC_OK;
}

quic_rc quic_conn_on_ack(quic_conn *conn, quic_space space, const quic_frame_ack *frame,
                         quic_ns now)
{
    quic_recovery *rec = &conn->recovery;
    quic_recovery_ack ack;
    stream_run run = {0};
    const quic_sent_map *map = &rec->spaces[space].map;
    uint32_t eliciting = map->eliciting_count;
    conn->env->counters->acks_recv++;
    quic_rc rc = quic_recovery_ack_begin(rec, &ack, space, frame->largest,
                                         ack_delay_ns(conn, space, frame->delay_raw), now);
    if (rc != QUIC_OK) {
        quic_glitch_note(&conn->glitch, 1);
        return rc == QUIC_E_STATE ? QUIC_OK : rc; /* of a space that is gone: nothing to learn */
    }
    quic_ack_iter it = quic_ack_iter_make(frame);
    uint64_t lo = 0;
    uint64_t hi = 0;
    while (quic_ack_ranges_next(&it, &lo, &hi)) {
        rc = quic_recovery_ack_range(&ack, lo, hi);
        if (rc != QUIC_OK) {
            return rc;
        }
        const quic_sent_packet *packet;
        quic_acked_run bulk;
        while ((packet = quic_recovery_ack_next(&ack)) != NULL) {
            on_packet_acked(conn, space, packet, &run);
            if (QUIC_UNLIKELY((packet->flags & QUIC_SENT_MTU_PROBE) != 0)) {
                quic_conn_mtu_on_probe_acked(conn, packet, now);
            } else if (QUIC_LIKELY(space == QUIC_SPACE_APP)) {
                quic_mtu_on_acked(&conn->mtu, packet->pn, packet->bytes);
            }
            while (space == QUIC_SPACE_APP &&
                   quic_recovery_ack_next_run(&ack, QUIC_SF_STREAM, &bulk)) {
                add_run(conn, &run, &bulk.frame);
                quic_mtu_on_acked(&conn->mtu, bulk.pn, bulk.bytes);
            }
        }
    }
    flush_run(conn, &run);
    if (QUIC_UNLIKELY(!quic_glitch_is_clean(&conn->glitch))) {
        /* What asked for an acknowledgement may bring one that says nothing new. */
        quic_glitch_pay(&conn->glitch, eliciting - map->eliciting_count);
    }
    quic_ack_result result;
    quic_recovery_ack_end(&ack, &result);
    if (QUIC_UNLIKELY(conn->key_update_unacked) && space == QUIC_SPACE_APP) {
        rc = on_update_acked(conn, &result);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    if (QUIC_UNLIKELY(result.acked_count == 0)) {
        quic_glitch_note(&conn->glitch, 1);
    }
    if (result.acked_count > 0) {
        if (QUIC_UNLIKELY(result.loss.lost_count > 0 || space != QUIC_SPACE_APP)) {
            take_lost(conn, space, &result.loss, now);
        }
        if (conn->ecn.state != QUIC_ECN_STATE_OFF) {
            quic_conn_take_ecn(conn, space, frame, &result, now);
        }
        update_cc(conn, &result, now);
        if (QUIC_UNLIKELY(conn->ack_freq != NULL)) {
            quic_conn_review_ack_freq(conn);
        }
        wake_starved(conn);
    }
    if (space == QUIC_SPACE_HANDSHAKE) {
        quic_conn_update_facts(conn);
    }
    return QUIC_OK;
}

/* ---- the timer ------------------------------------------------------------------------------------------ */

void quic_conn_repeat_oldest(quic_conn *conn, quic_space space, uint32_t count)
{
    while (count-- > 0) {
        const quic_sent_packet *packet = quic_recovery_oldest_unacked(&conn->recovery, space);
        if (packet == NULL) {
            return;
        }
        quic_conn_requeue(conn, space, packet);
    }
}

/* RFC 9002 6.2.4: a probe repeats the oldest data; with nothing to repeat and nothing new a PING. */
static void queue_probes(quic_conn *conn, quic_space space, uint8_t count)
{
    conn->spaces[space].probes = count;
    conn->spaces[space].ping = true;
    quic_conn_repeat_oldest(conn, space, count);
}

void quic_conn_on_recovery_timeout(quic_conn *conn, quic_ns now)
{
    quic_timeout t;
    quic_recovery_on_timeout(&conn->recovery, &t, quic_conn_at_amplification_limit(conn), now);
    switch (t.kind) {
    case QUIC_TIMEOUT_NONE:
        break;
    case QUIC_TIMEOUT_LOSS:
        take_lost(conn, t.space, &t.loss, now);
        break;
    case QUIC_TIMEOUT_PTO:
        conn->env->counters->ptos++;
        quic_ecn_on_pto(&conn->ecn);
        quic_conn_mtu_on_pto(conn, now);
        if (QUIC_UNLIKELY(t.loss.lost_count > 0)) {
            take_lost(conn, t.space, &t.loss, now);
        }
        queue_probes(conn, t.space, t.probe_count);
        if (QUIC_UNLIKELY(conn->ack_freq != NULL) && t.space == QUIC_SPACE_APP) {
            conn->pending |= QUIC_PEND_IMMEDIATE_ACK; /* whatever was asked for before */
        }
        for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
            /* RFC 9002 6.2.4: other spaces with data in flight get a probe into the datagram too */
            if (i != (int)t.space && (t.eliciting_mask >> i & 1) != 0 &&
                conn->spaces[i].tx != NULL) {
                queue_probes(conn, (quic_space)i, 1);
            }
        }
        break;
    }
}
