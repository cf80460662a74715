/* What may leave now, and in which packets: one unit (a GSO train of equal datagrams) per call. */
#include "quic/conn/conn_datagram.h"
#include "quic/conn/packet_run.h"
#include "quic/conn/packetizer.h"

#define TRAIN_MAX 128u

bool quic_conn_at_amplification_limit(const quic_conn *conn)
{
    /* RFC 9000 8.1: too little credit for any useful packet is as good as none */
    return quic_conn_spare_credit(conn, quic_path_credit(&conn->path)) < QUIC_AEAD_TAG_LEN + 64u;
}

bool quic_conn_has_app_work(const quic_conn *conn)
{
    return !quic_scheduler_is_empty(&conn->scheduler) || quic_conn_has_other_work(conn);
}

static void set_unit(quic_conn *conn, quic_tx_unit *unit, size_t len, size_t seg_len,
                     uint32_t count)
{
    quic_conn_count_train(conn->env->counters, count);
    unit->len = (uint32_t)len;
    unit->seg_len = (uint32_t)seg_len;
    unit->ecn = conn->tx_ecn;
    unit->last = false;
    unit->alone = false;
    unit->conn = conn->handle;
    unit->path = conn->path.addr;
    conn->bytes_sent += len;
    quic_path_on_sent(&conn->path, len);
}

static inline void note_blocked(quic_conn *conn, quic_blocked_by by, quic_ns now)
{
    quic_conn_blocked_note(&conn->blocked, conn->env->counters, by, now);
}

/* Application data: streams, and datagrams where there are any. */
static inline void add_data(quic_conn *conn, quic_packet_build *b, quic_ns now)
{
    if (QUIC_UNLIKELY((conn->pending & QUIC_PEND_DATAGRAM) != 0)) {
        quic_conn_add_datagrams_and_streams(conn, b, now);
    } else {
        quic_packet_add_streams(conn, b);
    }
}

/* ---- handshake: one datagram of coalesced packets ------------------------------------------------- */

static bool handshake_space_wants(const quic_conn *conn, quic_space i, quic_ns now)
{
    const quic_conn_space *space = &conn->spaces[i];
    if (space->tx == NULL) {
        return false;
    }
    return quic_conn_space_has_crypto(space) || space->ping ||
           quic_ack_tracker_due(&space->acks, now);
}

/* Frames of one Initial, Handshake or 1-RTT packet in a coalesced datagram. */
static void fill_handshake_packet(quic_conn *conn, quic_packet_build *b, bool may_elicit,
                                  quic_ns now)
{
    quic_conn_space *space = &conn->spaces[b->space];
    if (quic_ack_tracker_pending(&space->acks)) {
        (void)quic_packet_add_ack(conn, b, now);
    }
    if (!may_elicit) {
        return;
    }
    (void)quic_packet_add_crypto(conn, b);
    if (b->space == QUIC_SPACE_APP && (conn->params_applied || b->early)) {
        if (quic_packet_add_pending(conn, b) && quic_packet_add_stream_ctrl(conn, b)) {
            add_data(conn, b, now);
        }
    }
    if (space->ping && !b->eliciting) {
        (void)quic_packet_add_ping(b);
    }
    if (b->eliciting) {
        space->ping = false;
        space->probes = space->probes > 0 ? (uint8_t)(space->probes - 1) : 0;
    }
}

/* How large a datagram of the handshake may be; 0: nothing may leave (RFC 9000 8.1). */
static size_t handshake_room(quic_conn *conn, const quic_tx_unit *unit, quic_ns now)
{
    size_t size = QUIC_MIN_INITIAL_LEN < unit->cap ? QUIC_MIN_INITIAL_LEN : unit->cap;
    uint64_t credit = quic_path_credit(&conn->path);
    if (credit >= size) {
        return size;
    }
    if (quic_conn_at_amplification_limit(conn)) {
        conn->env->counters->amplification_blocked++;
        note_blocked(conn, QUIC_BLOCKED_BY_AMPLIFICATION, now);
        return 0;
    }
    return credit;
}

/* What the packet takes so far, its tag included. */
static size_t packet_len(const quic_packet_build *b)
{
    return (size_t)(b->p - b->buf) + b->tag_len;
}

/* RFC 9001 5.4.2: packet number and payload have at least 4 bytes, for the sample. */
static void fill_sample(quic_packet_build *b)
{
    size_t body = b->pn_len + (size_t)(b->p - b->buf) - b->hdr_len;
    if (body < QUIC_PN_LEN_MAX) {
        memset(b->p, 0, QUIC_PN_LEN_MAX - body); /* PADDING */
        b->p += QUIC_PN_LEN_MAX - body;
    }
}

/* Packets with something to say, one of each space that has keys. Returns how many; *out_pad: the datagram has to be
 * filled up (RFC 9000 14.1: one with an Initial is, a server's only when it elicits). */
static uint32_t build_handshake_packets(quic_conn *conn, quic_packet_build *built, bool *out_pad,
                                        uint8_t *buf, size_t size, quic_ns now)
{
    uint64_t window = quic_cc_available(&conn->cc, conn->recovery.in_flight_bytes);
    uint32_t count = 0;
    size_t len = 0;
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_packet_build *b = &built[count];
        bool may_elicit = window >= size || conn->spaces[i].probes > 0;
        if (i == QUIC_SPACE_INITIAL && size < QUIC_MIN_INITIAL_LEN) {
            may_elicit = false; /* RFC 9000 14.1: not in a datagram that cannot be filled up */
        }
        if (i == QUIC_SPACE_APP && !conn->handshake_complete && conn->role == QUIC_CLIENT &&
            !quic_conn_sends_early(conn)) {
            break;
        }
        if (!quic_packet_begin(conn, b, (quic_space)i, buf + len, size - len)) {
            continue;
        }
        fill_handshake_packet(conn, b, may_elicit, now);
        if (quic_packet_is_empty(b)) {
            quic_packet_cancel(conn, b);
            continue;
        }
        *out_pad = *out_pad || b->pad_datagram ||
                   (i == QUIC_SPACE_INITIAL && (conn->role == QUIC_CLIENT || b->eliciting));
        fill_sample(b);
        len += packet_len(b);
        count++;
        if (b->full) {
            break;
        }
    }
    return count;
}

static bool send_handshake_datagram(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    quic_packet_build built[QUIC_SPACE_COUNT];
    bool pad = false;
    size_t size = handshake_room(conn, unit, now);
    uint32_t count =
        size == 0 ? 0 : build_handshake_packets(conn, built, &pad, unit->buf, size, now);
    if (count == 0) {
        return false;
    }
    size_t len = 0;
    bool sent_handshake = false;
    for (uint32_t i = 0; i < count; i++) {
        quic_packet_build *b = &built[i];
        bool is_last = i + 1 == count;
        len += quic_packet_finish(conn, b, pad && is_last && size > len ? size - len : 0, now);
        quic_packet_protect(b);
        quic_conn_repeat_probe(conn, (quic_space)b->space);
        sent_handshake = sent_handshake || b->space == QUIC_SPACE_HANDSHAKE;
    }
    set_unit(conn, unit, len, len, 1);
    note_blocked(conn, QUIC_BLOCKED_BY_NOTHING, now);
    quic_recovery_on_app_limited(&conn->recovery); /* a handshake says nothing about bandwidth */
    if (sent_handshake && conn->role == QUIC_CLIENT) {
        quic_conn_discard_space(conn, QUIC_SPACE_INITIAL, now); /* RFC 9001 4.9.1 */
    }
    return true;
}

/* ---- 1-RTT: a train ---------------------------------------------------------------------------------- */

/* One packet of at most `size` bytes; 0 when there is nothing (more) to say. */
static size_t build_app_packet(quic_conn *conn, quic_packet_build *b, uint8_t *buf, size_t size,
                               bool may_elicit, quic_ns now)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (!quic_packet_begin(conn, b, QUIC_SPACE_APP, buf, size)) {
        return 0;
    }
    if (QUIC_UNLIKELY(quic_ack_tracker_pending(&app->acks))) {
        bool work = may_elicit && quic_conn_has_app_work(conn);
        if (work || quic_ack_tracker_due(&app->acks, now)) {
            (void)quic_packet_add_ack(conn, b, now);
            if (conn->ack_only_run >= QUIC_ACK_ONLY_RUN_MAX && !work) {
                (void)quic_packet_add_ping(b);
            }
        }
    }
    if (may_elicit) {
        bool room = true;
        if (QUIC_UNLIKELY(app->crypto != NULL)) {
            (void)quic_packet_add_crypto(conn, b);
        }
        if (QUIC_UNLIKELY(conn->pending != 0)) {
            room = quic_packet_add_pending(conn, b);
        }
        if (QUIC_UNLIKELY(!quic_list_is_empty(&conn->ctrl_streams)) && room) {
            room = quic_packet_add_stream_ctrl(conn, b);
        }
        if (QUIC_LIKELY(room)) {
            add_data(conn, b, now);
        }
        if (QUIC_UNLIKELY(app->ping) && !b->eliciting) {
            (void)quic_packet_add_ping(b);
        }
    }
    if (quic_packet_is_empty(b)) {
        quic_packet_cancel(conn, b);
        return 0;
    }
    if (QUIC_UNLIKELY(app->probes > 0) && b->eliciting) {
        app->probes--;
        app->ping = false;
    }
    size_t len_min = size < QUIC_MIN_INITIAL_LEN ? size : QUIC_MIN_INITIAL_LEN;
    return quic_packet_finish(conn, b, QUIC_UNLIKELY(b->pad_datagram) ? len_min : 0, now);
}

/* RFC 9000 21.4: a number left out now and then; who acknowledges it makes acknowledgements up. */
static void maybe_skip_pn(quic_conn *conn, quic_ns now)
{
    quic_sent_map *map = quic_recovery_map(&conn->recovery, QUIC_SPACE_APP);
    uint64_t pn = quic_sent_map_next_pn(map);
    if (QUIC_LIKELY(pn < conn->next_skip_pn)) {
        return;
    }
    if (QUIC_UNLIKELY(pn >= QUIC_VARINT_MAX - QUIC_PN_RESERVE)) {
        quic_conn_end_silently(conn, QURING_CLOSE_INTERNAL, 0,
                               now); /* RFC 9000 12.3: no more numbers */
        return;
    }
    if (quic_sent_map_skip(map, pn)) {
        uint64_t window_packets = conn->cc.cwnd_bytes / conn->path.udp_payload_bytes + 64;
        if (window_packets > 1u << 17) {
            window_packets = 1u << 17;
        }
        conn->next_skip_pn = pn + window_packets / 4 +
                             quic_rng_u64(conn->env->rng) % (window_packets * 3 / 4 + 1) + 1;
    }
}

static bool send_close(quic_conn *conn, quic_tx_unit *unit, quic_ns now);

/* Why a train ended although it might have been longer: what was not allowed, or what there was none of. */
static quic_blocked_by blocked_by(const quic_conn *conn, bool may_elicit, bool window)
{
    if (!may_elicit) {
        return !quic_conn_has_app_work(conn) ? QUIC_BLOCKED_BY_NOTHING
               : !window                     ? QUIC_BLOCKED_BY_WINDOW
                                             : QUIC_BLOCKED_BY_PACING;
    }
    return conn->flow_blocked        ? QUIC_BLOCKED_BY_CONN_FLOW
           : conn->lacking_count > 0 ? QUIC_BLOCKED_BY_STREAM_FLOW
                                     : QUIC_BLOCKED_BY_NOTHING;
}

/* Where a path is near, or known to absorb a train (RFC 9002 7.7), what may leave is held back for longer trains:
 * what an acknowledgement or a little credit allows at once would leave in trains that are short, and stay
 * short. Only what more of one stream's data can fill waits, with nothing lost, nothing else to say and something
 * in flight, so that an answer is under way. */
static bool may_wait(const quic_conn *conn, const quic_stream *s, uint64_t train)
{
    return (conn->pacer.near || conn->pacer.known_bytes >= train) &&
           conn->recovery.in_flight_bytes > 0 && conn->pending == 0 &&
           quic_list_is_empty(&conn->ctrl_streams) && s != NULL &&
           !quic_send_buf_has_lost(&s->send);
}

/* A congestion window that was used up opens again for a train, or half of it, on a near path: a round trip there
 * is too short to be missed. Elsewhere it opens for a quarter of a train, or an eighth of the window. */
static bool waits_for_window(quic_conn *conn, uint64_t train)
{
    uint64_t cwnd = conn->cc.cwnd_bytes;
    uint64_t share = conn->pacer.near ? cwnd / 2 : cwnd / 8;
    uint64_t goal = conn->pacer.near ? train : train / 4;
    goal = share < goal ? share : goal;
    const quic_stream *s = quic_scheduler_next(&conn->scheduler);
    if (conn->recovery.in_flight_bytes + goal > cwnd && may_wait(conn, s, train) &&
        quic_send_buf_unsent(&s->send) >= goal && quic_flow_send_credit(&conn->flow_send) > 0) {
        return true;
    }
    conn->window_used_up = false;
    return false;
}

/* New credit comes a round trip after the old was used up, if the receiver reads. */
static bool reads_no_more(const quic_conn *conn, quic_ns now)
{
    uint32_t ms = (uint32_t)(now / QUIC_NS_PER_MS) - conn->blocked.stream_ms;
    return ms > 2 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP) / QUIC_NS_PER_MS;
}

/* draft-ietf-ccwg-bbr 4.1.1.3.1: a receiver that gives too little credit limits the rate as a link does, and is
 * measured like one: only who has nothing to send is limited by the application. A stream that nobody reads any more
 * limits nothing: what leaves beside it does so at a pace of its own. */
static inline void note_all_sent(quic_conn *conn, quic_blocked_by by, quic_ns now)
{
    if (by == QUIC_BLOCKED_BY_NOTHING ||
        (by == QUIC_BLOCKED_BY_STREAM_FLOW && reads_no_more(conn, now))) {
        quic_recovery_on_app_limited(&conn->recovery);
    }
}

/* Whether there is nothing to say, and something might leave if there were: then that is noted. Mostly so after a
 * packet that had room left, which is on its way when this is asked. */
static inline bool has_sent_all(quic_conn *conn, quic_ns now)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    const uint64_t room = conn->path.udp_payload_bytes;
    if (quic_conn_has_app_work(conn) || !conn->handshake_confirmed || !conn->path.validated ||
        conn->move != NULL || conn->window_used_up || app->probes != 0 ||
        quic_ack_tracker_due(&app->acks, now) ||
        conn->recovery.in_flight_bytes + room > conn->cc.cwnd_bytes ||
        quic_pacer_budget(&conn->pacer, now) == 0 || quic_mtu_is_due(&conn->mtu, now)) {
        return false;
    }
    const quic_blocked_by by = blocked_by(conn, true, true);
    note_all_sent(conn, by, now);
    note_blocked(conn, by, now);
    return true;
}

/* The peer's credit (RFC 9000 4.1) is less than a quarter of a train, than an eighth of what is in flight, and than
 * there is to send: reading what is in flight makes the peer raise it (4.2). What one credit left over goes with
 * the next one then, and whole trains stay whole. Should the peer not raise it, acknowledgements bring down what
 * is in flight, and the rest of the credit is used. */
static quic_blocked_by waits_for_credit(const quic_conn *conn, uint64_t train)
{
    const quic_stream *s = quic_scheduler_next(&conn->scheduler);
    uint64_t conn_credit = quic_flow_send_credit(&conn->flow_send);
    uint64_t credit = s != NULL ? quic_flow_send_credit(&s->send_flow) : 0;
    credit = credit < conn_credit ? credit : conn_credit;
    if (QUIC_LIKELY(credit >= train / 4) || s == NULL || conn->scheduler.count != 1 ||
        credit >= quic_send_buf_unsent(&s->send) || credit >= conn->recovery.in_flight_bytes / 8 ||
        !may_wait(conn, s, train)) {
        return QUIC_BLOCKED_BY_NOTHING;
    }
    return credit == conn_credit ? QUIC_BLOCKED_BY_CONN_FLOW : QUIC_BLOCKED_BY_STREAM_FLOW;
}

/* How many more packets of `size` bytes may follow in a train that has `len` bytes, as far as `left` goes. */
static uint32_t run_max(const quic_conn *conn, uint32_t left, size_t room, uint32_t size,
                        size_t len, uint64_t pace)
{
    const uint64_t in_flight = conn->recovery.in_flight_bytes;
    const uint64_t cwnd = conn->cc.cwnd_bytes;
    uint64_t bytes = in_flight < cwnd ? cwnd - in_flight : 0;
    bytes = bytes < room ? bytes : room;
    uint64_t count = bytes / size;
    uint64_t paced = len < pace ? (pace - len - 1) / size + 1 : 0; /* one may overdraw */
    count = count < paced ? count : paced;
    return count < left ? (uint32_t)count : left;
}

static bool send_app_train(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    uint8_t *packets[TRAIN_MAX];
    uint8_t pn_lens[TRAIN_MAX];
    quic_packet_build b;
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    uint32_t full =
        conn->path.udp_payload_bytes < unit->cap ? conn->path.udp_payload_bytes : unit->cap;
    uint32_t size = full;
    uint32_t seg_max = unit->seg_max < TRAIN_MAX ? unit->seg_max : TRAIN_MAX;
    uint64_t pace = quic_pacer_budget(&conn->pacer, now);
    uint64_t credit = quic_path_credit(&conn->path);
    quic_blocked_by by = QUIC_BLOCKED_BY_NOTHING;
    uint32_t count = 0;
    size_t len = 0;
    size_t seg_len = 0;
    bool last = false;
    if (QUIC_UNLIKELY(credit < size)) { /* RFC 9000 8.1: what may leave is small, but it may */
        credit = quic_conn_spare_credit(conn, credit);
        if (quic_conn_at_amplification_limit(conn)) {
            note_blocked(conn, QUIC_BLOCKED_BY_AMPLIFICATION, now);
            return false;
        }
        size = full = (uint32_t)credit;
    }
    if (QUIC_UNLIKELY(conn->trimmed) && !quic_conn_has_app_work(conn) && app->probes == 0 &&
        !quic_ack_tracker_due(&app->acks, now)) {
        return false; /* trying would take the memory back that a rest has freed */
    }
    quic_conn_maybe_update_keys(conn, now);
    if (QUIC_UNLIKELY(!quic_conn_is_open(conn))) {
        return send_close(conn, unit, now);
    }
    quic_conn_grease_next(conn);
    bool held = QUIC_UNLIKELY(conn->window_used_up) && waits_for_window(conn, unit->cap);
    quic_blocked_by flow = waits_for_credit(conn, unit->cap);
    while (count < seg_max && len + size <= unit->cap && len + size <= credit) {
        bool window = !held && conn->recovery.in_flight_bytes + size <= conn->cc.cwnd_bytes;
        conn->window_used_up = conn->window_used_up || !window;
        bool may_elicit =
            (window && len < pace && flow == QUIC_BLOCKED_BY_NOTHING) || app->probes > 0;
        if (QUIC_UNLIKELY(!may_elicit) && !quic_ack_tracker_due(&app->acks, now)) {
            by = flow != QUIC_BLOCKED_BY_NOTHING ? flow : blocked_by(conn, false, window);
            last = true;
            break;
        }
        maybe_skip_pn(conn, now);
        if (QUIC_UNLIKELY(!quic_conn_is_open(conn))) {
            break;
        }
        size_t n = build_app_packet(conn, &b, unit->buf + len, size, may_elicit, now);
        if (n == 0) {
            if (size < full) {
                break; /* what waits needs more room */
            }
            by = blocked_by(conn, may_elicit, window);
            if (may_elicit) {
                note_all_sent(conn, by, now);
            }
            last = true;
            break;
        }
        packets[count] = b.buf;
        pn_lens[count] = b.pn_len;
        seg_len = count == 0 ? n : seg_len;
        len += n;
        count++;
        if (n != seg_len || n < full) {
            if (n != seg_len || !quic_conn_next_datagram_is_alike(conn)) {
                break; /* a shorter one ends the train */
            }
            size = (uint32_t)n;
            continue;
        }
        size_t room = (credit < unit->cap ? (size_t)credit : unit->cap) - len;
        uint32_t left = held || flow != QUIC_BLOCKED_BY_NOTHING ? 0 : seg_max - count;
        uint32_t more = quic_packet_add_run(conn, &b, unit->buf + len, size,
                                            run_max(conn, left, room, size, len, pace), now);
        for (; more > 0; more--, count++, len += n) {
            packets[count] = unit->buf + len;
            pn_lens[count] = b.pn_len;
        }
    }
    note_blocked(conn, by, now);
    if (count == 0) {
        return false;
    }
    (void)quic_pacer_budget(&conn->pacer, now); /* notes that the bucket has run dry, if it has */
    size_t pn_off = 1 + quic_cid_peer_current(&conn->cids_peer)->len;
    quic_packet_protect_short(app->tx, packets, pn_lens, pn_off, count);
    set_unit(conn, unit, len, seg_len, count);
    /* Nobody waits for an acknowledgement alone: the rest is done at once. */
    unit->last = last || (!b.eliciting && has_sent_all(conn, now));
    quic_scheduler_end_train(&conn->scheduler);
    return true;
}

/* A search for a larger datagram size goes on: PING and PADDING, a datagram of its own (RFC 9000
 * 14.4). */
static bool send_mtu_probe(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    quic_packet_build b;
    uint32_t size = quic_conn_mtu_probe_size(conn, now);
    if (size == 0 || size > unit->cap || size > quic_path_credit(&conn->path) ||
        quic_pacer_budget(&conn->pacer, now) == 0 ||
        !quic_packet_begin(conn, &b, QUIC_SPACE_APP, unit->buf, size)) {
        return false;
    }
    (void)quic_packet_add_ping(&b);
    b.mtu_probe = true;
    size_t len = quic_packet_finish(conn, &b, size, now);
    quic_packet_protect(&b);
    set_unit(conn, unit, len, len, 1);
    unit->alone = true;
    quic_mtu_on_probe_sent(&conn->mtu);
    conn->env->counters->mtu_probes_sent++;
    return true;
}

/* ---- the end --------------------------------------------------------------------------------------- */

/* The keys may be at rest, and memory to wake them short for a while: the peer is told later, as long as it may
 * still be asking (RFC 9000 10.2). */
static bool must_wait_for_memory(quic_conn *conn, quic_ns now)
{
    quic_keys *tx = conn->spaces[QUIC_SPACE_APP].tx;
    conn->no_room = tx != NULL && quic_keys_is_resting(tx) && quic_keys_wake(tx) != QUIC_OK &&
                    now < conn->close_deadline_ns;
    return conn->no_room;
}

/* RFC 9000 10.2.3: at every level the peer may be able to read. */
static bool send_close(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    size_t size = QUIC_MIN_INITIAL_LEN < unit->cap ? QUIC_MIN_INITIAL_LEN : unit->cap;
    uint64_t credit = quic_path_credit(&conn->path);
    size = credit < size ? credit : size;
    size_t len = 0;
    if (QUIC_UNLIKELY(must_wait_for_memory(conn, now))) {
        return false;
    }
    conn->close_to_send = false;
    conn->tx_ecn = QUIC_ECN_NOT_ECT; /* nobody waits for its acknowledgement */
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_packet_build b;
        if (conn->handshake_confirmed && i != QUIC_SPACE_APP) {
            continue;
        }
        /* A TLS outside may have said its last message before we hear that it is through: the server reads nothing
         * but 1-RTT packets then (RFC 9001 4.9.2). */
        if (conn->role == QUIC_CLIENT &&
            ((i == QUIC_SPACE_APP && !conn->handshake_complete && !conn->external) ||
             (i == QUIC_SPACE_INITIAL && conn->spaces[QUIC_SPACE_HANDSHAKE].tx != NULL))) {
            continue; /* a server has the Handshake keys when its client has */
        }
        if (!quic_packet_begin_closing(conn, &b, (quic_space)i, unit->buf + len, size - len)) {
            continue;
        }
        bool flight = i == QUIC_SPACE_HANDSHAKE && quic_conn_leaves_at_once(conn);
        if (!(flight && quic_packet_add_last_flight(conn, &b)) &&
            !quic_packet_add_close(conn, &b)) {
            continue;
        }
        /* a client's Initial fills its datagram, RFC 9000 14.1 */
        bool pad = i == QUIC_SPACE_INITIAL && conn->role == QUIC_CLIENT;
        len += quic_packet_finish_closing(conn, &b, pad ? size : 0);
        quic_packet_protect(&b);
    }
    if (len == 0) {
        return false;
    }
    note_blocked(conn, QUIC_BLOCKED_BY_NOTHING, now);
    set_unit(conn, unit, len, len, 1);
    return true;
}

bool quic_conn_send(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    unit->len = 0;
    if (QUIC_UNLIKELY(!quic_conn_is_open(conn))) {
        return conn->close_to_send && send_close(conn, unit, now);
    }
    conn->tx_ecn = quic_ecn_mark(&conn->ecn);
    if (QUIC_UNLIKELY(!conn->handshake_confirmed) || !conn->path.validated) {
        for (int i = 0; i < QUIC_SPACE_APP; i++) {
            if (handshake_space_wants(conn, (quic_space)i, now)) {
                return send_handshake_datagram(conn, unit, now);
            }
        }
        if (!conn->handshake_complete) {
            /* A server may have 1-RTT keys already; it says nothing at that level before the client
             * has proved its address. */
            return quic_conn_early_wants_send(conn, now) &&
                   send_handshake_datagram(conn, unit, now);
        }
    }
    if (conn->spaces[QUIC_SPACE_APP].tx == NULL) {
        return false;
    }
    if (has_sent_all(conn, now)) {
        return false;
    }
    if (QUIC_UNLIKELY(conn->move != NULL) && quic_conn_send_path(conn, unit, now)) {
        return true;
    }
    if (QUIC_UNLIKELY(quic_mtu_is_due(&conn->mtu, now)) && send_mtu_probe(conn, unit, now)) {
        return true;
    }
    return send_app_train(conn, unit, now);
}
