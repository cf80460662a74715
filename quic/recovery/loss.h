/* quic/recovery/loss.h: loss detection and probe timeouts of one connection, over its three packet
 * number spaces.
 *
 * Shape:  one sent_map per space, one RTT estimate. Everything is asked for, nothing is called back:
 *           quic_recovery_ack a;
 *           rc = quic_recovery_ack_begin(rec, &a, space, largest, ack_delay_ns, now);
 *           for each range of the frame, highest first:
 *               rc = quic_recovery_ack_range(&a, lo, hi);
 *               while ((p = quic_recovery_ack_next(&a)) != NULL) { its frames arrived; and perhaps
 *                   while (quic_recovery_ack_next_run(&a, kind, &run)) { so did those below it } }
 *           quic_recovery_ack_end(&a, &result);            (runs loss detection)
 *           while ((p = quic_recovery_next_lost(rec, space)) != NULL) { its frames are lost }
 *         The result then goes to congestion control.
 * Owner:  the connection.
 * Spec:   RFC 9002 5, 6, 7.6 and appendix A.
 */
#ifndef QUIC_RECOVERY_LOSS_H
#define QUIC_RECOVERY_LOSS_H

#include "quic/base/mem.h"
#include "quic/base/types.h"
#include "quic/recovery/rtt.h"
#include "quic/recovery/sent_map.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_PACKET_THRESHOLD                3u /* RFC 9002 6.1.1 */
#define QUIC_PERSISTENT_CONGESTION_THRESHOLD 3u /* RFC 9002 7.6.1 */

/* What the connection knows; it sets rec->facts whenever one changes. */
typedef struct quic_recovery_facts {
    bool is_client;
    bool has_handshake_keys;
    bool peer_validated_address; /* client: a Handshake packet was acknowledged or the handshake is
                                    confirmed; server: always true (RFC 9002 6.2.2.1) */
    bool handshake_confirmed;    /* RFC 9001 4.1.2 */
} quic_recovery_facts;

typedef struct quic_recovery_space {
    quic_sent_map map;
    uint64_t largest_acked_pn; /* QUIC_PN_NONE before the first */
    quic_ns last_eliciting_sent_ns;
    quic_ns loss_time_ns; /* when the next packet passes the time threshold, or NEVER */
    quic_ns run_first_ns; /* run of lost ack-eliciting packets: the first one's sent time */
    uint64_t lost_pn;     /* where quic_recovery_next_lost goes on */
    uint32_t lost_pending_count;
    bool discarded;
} quic_recovery_space;

typedef struct quic_recovery {
    quic_recovery_space spaces[QUIC_SPACE_COUNT];
    quic_rtt rtt;
    quic_recovery_facts facts;
    uint64_t in_flight_bytes; /* over all spaces */
    uint64_t
        delivered_bytes; /* acknowledged of what was in flight, of an earlier path while it was in use only */
    quic_ns delivered_ns;  /* when that was reached */
    quic_ns first_sent_ns; /* when the newest of them left */
    uint64_t lost_bytes;   /* declared lost, the same; probes for the MTU left out */
    uint64_t
        app_limited_bytes; /* samples count as app-limited until so much is delivered; 0 = none */
    quic_ns max_ack_delay_ns; /* the peer's transport parameter; 25 ms before it is known */
    quic_ns path_start_ns;    /* packets sent before belong to an earlier path */
    uint64_t path_start_pn;   /* the same as a 1-RTT packet number: nobody moves before */
    quic_ns timer_base_ns;    /* last progress: where a client's anti-deadlock timer starts */
    uint32_t pto_count;       /* backoff */
    quic_ns last_pto_ns;      /* when the last one fired */
    quic_ns epoch_start_ns;   /* of the last congestion epoch, to tell spurious ones */
    quic_ns epoch_sent_ns;    /* the oldest packet lost in it left then */
    uint32_t epoch_lost_count;
    uint32_t epoch_spurious_count;
    uint64_t lost_total; /* packets, ever */
    uint64_t spurious_total;
    uint64_t pto_total;
    uint64_t held_pn; /* given out by an iterator, ended at the next call; or NONE */
    uint64_t held_lo;
    quic_space held_space;
} quic_recovery;

/* What loss detection found. */
typedef struct quic_loss_result {
    uint32_t lost_count;
    uint32_t mtu_probe_lost_count;
    uint32_t lost_ect0_count;     /* of these, marked ECT(0), on the current path */
    uint64_t lost_bytes;          /* were in flight */
    uint64_t prior_lost_bytes;    /* rec->lost_bytes before */
    quic_ns largest_lost_sent_ns; /* of the newest whose loss means congestion; 0 = none did */
    bool persistent_congestion;   /* RFC 9002 7.6 */
} quic_loss_result;

typedef struct quic_ack_result {
    uint32_t acked_count;           /* newly acknowledged packets, late ones included */
    uint32_t ect0_acked_count;      /* of these, sent with ECT(0) */
    uint32_t ect0_path_acked_count; /* of these, on the current path */
    uint64_t acked_bytes;           /* newly acknowledged, were in flight, on the current path */
    uint64_t prior_in_flight_bytes; /* before this ACK */
    uint64_t largest_acked_pn;      /* of the newly acknowledged; QUIC_PN_NONE when nothing was */
    quic_ns largest_acked_sent_ns;  /* sent time of that one */
    bool largest_increased;         /* the ACK raised the largest acknowledged of the space */
    bool has_rtt_sample;
    bool app_limited; /* the largest newly acknowledged was sent without need */
    quic_ns rtt_sample_ns;
    /* Delivery rate (draft-ietf-ccwg-bbr 4.1): rate_bytes arrived in rate_ns, the longer of the time
     * they took to leave and to be acknowledged; 0 = unknown. */
    uint64_t rate_bytes;
    quic_ns rate_ns;
    uint64_t prior_delivered_bytes; /* delivered_bytes when the largest newly acknowledged left */
    uint64_t tx_in_flight_bytes;    /* in flight then, itself included; exact to 1/1024 */
    uint64_t lost_since_bytes;      /* declared lost since, this ACK's losses included */
    uint32_t spurious_count;        /* of acked_count, were thought lost */
    bool spurious_congestion;       /* every loss of the last congestion epoch proved spurious */
    quic_loss_result loss;
} quic_ack_result;

/* quic_recovery_init: `packets_max` as for quic_sent_map_init; memory comes from `mem` (kept).
 * quic_recovery_deinit frees all of it. */
void quic_recovery_init(quic_recovery *rec, quic_mem *mem, uint32_t packets_max,
                        quic_ns initial_rtt_ns, bool is_client);
void quic_recovery_deinit(quic_recovery *rec);

static inline quic_sent_map *quic_recovery_map(quic_recovery *rec, quic_space space)
{
    return &rec->spaces[space].map;
}

/* quic_recovery_has_eliciting: whether ack-eliciting packets of `space` are unacknowledged. */
static inline bool quic_recovery_has_eliciting(const quic_recovery *rec, quic_space space)
{
    return rec->spaces[space].map.eliciting_count > 0;
}

/* quic_recovery_on_sent records the open packet of quic_sent_map_add as sent.
 *   bytes   its size on the wire, 1..65535
 *   flags   QUIC_SENT_ACK_ELICITING, _IN_FLIGHT, _ECT0, _APP_LIMITED, _MTU_PROBE */
void quic_recovery_on_sent(quic_recovery *rec, quic_space space, quic_sent_packet *packet,
                           uint32_t bytes, uint32_t flags, quic_ns now);

/* quic_recovery_on_sent_run is as many quic_sent_map_add and quic_recovery_on_sent: `count` (> 0) packets of `bytes`
 * each, with the next numbers. The first carries `first`, each of the others a frame like it first->len further on.
 * Within quic_sent_map_room, and none is open. */
void quic_recovery_on_sent_run(quic_recovery *rec, quic_space space, const quic_sent_frame *first,
                               uint32_t count, uint32_t bytes, uint32_t flags, quic_ns now);

/* quic_recovery_on_sent_elsewhere records the open packet as one that left on another path than the one
 * measured here: it is never lost, asks for no probe, and its acknowledgement tells nothing. */
void quic_recovery_on_sent_elsewhere(quic_recovery *rec, quic_space space, quic_sent_packet *packet,
                                     uint32_t bytes, quic_ns now);

/* quic_recovery_on_app_limited: there is room to send and nothing to be sent. Delivery rates measured
 * with what is in flight now, and until that is acknowledged, say nothing about the path. */
static inline void quic_recovery_on_app_limited(quic_recovery *rec)
{
    uint64_t until = rec->delivered_bytes + rec->in_flight_bytes;
    rec->app_limited_bytes = until > 0 ? until : 1;
}

/* quic_float16: 11 bits of value and 5 of exponent, rounded down; up to 2^42. */
static inline uint16_t quic_float16(uint64_t v)
{
    uint32_t exp = v > 2047 ? 53u - (uint32_t)__builtin_clzll(v) : 0;
    return (uint16_t)(exp > 31 ? UINT16_MAX : ((exp << 11 | (uint32_t)(v >> exp)) & UINT16_MAX));
}

static inline uint64_t quic_float16_value(uint16_t f)
{
    return (uint64_t)(f & 2047u) << (f >> 11);
}

/* quic_recovery_tx_in_flight: bytes in flight when `packet` left, itself included. */
static inline uint64_t quic_recovery_tx_in_flight(const quic_sent_packet *packet)
{
    return quic_float16_value(packet->tx_in_flight);
}

/* ---- acknowledgements --------------------------------------------------------------------------- */

typedef struct quic_recovery_ack {
    quic_recovery *rec;
    quic_space space;
    quic_ns now;
    quic_ns ack_delay_ns;
    uint64_t largest;
    uint64_t lo, hi;  /* the range in work */
    uint64_t next_pn; /* where the walk goes on, down to lo */
    bool range_left;
    bool has_eliciting;
    bool largest_is_new;
    bool elsewhere; /* the largest newly acknowledged left on another path */
    quic_ns largest_sent_ns;
    quic_ns ack_elapsed_ns; /* rate interval of the largest newly acknowledged */
    quic_ns send_elapsed_ns;
    uint32_t lost_low;
    quic_ack_result out;
} quic_recovery_ack;

/* quic_recovery_ack_begin starts one ACK frame. ack_delay_ns: as decoded, no limit applied.
 * Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION when `largest` was never sent (RFC 9000 13.1);
 * QUIC_E_STATE when the space was discarded. */
quic_rc quic_recovery_ack_begin(quic_recovery *rec, quic_recovery_ack *ack, quic_space space,
                                uint64_t largest, quic_ns ack_delay_ns, quic_ns now);

/* quic_recovery_ack_range takes one range, lo <= hi <= largest, after quic_recovery_ack_begin has returned QUIC_OK.
 * What is left of the one before is finished unseen. Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION when it is above the
 * largest or holds a number that was skipped. */
quic_rc quic_recovery_ack_range(quic_recovery_ack *ack, uint64_t lo, uint64_t hi);

/* quic_recovery_ack_next gives the next newly acknowledged packet of the range, highest first, NULL at
 * the end. state is QUIC_SENT_LOST for one that was thought lost: its frames arrived all the same. The
 * packet and its records stay readable until the next call on the recovery.
 * Cost: constant each, amortised. */
quic_sent_packet *quic_recovery_ack_next(quic_recovery_ack *ack);

/* Packets with numbers in a row, each with one record, which goes on where that of the packet before ends. */
typedef struct quic_acked_run {
    quic_sent_frame frame; /* the records as one */
    uint64_t pn;           /* of the newest */
    uint32_t bytes;        /* of each packet */
} quic_acked_run;

/* quic_recovery_ack_next_run_slow is for quic_recovery_ack_next_run. */
bool quic_recovery_ack_next_run_slow(quic_recovery_ack *ack, uint8_t kind, quic_acked_run *out);

/* quic_recovery_ack_next_run gives, in place of as many quic_recovery_ack_next, packets of one size, below the one
 * given last and next to it, whose only records are of this kind, without flags, and go on one where the other ends.
 * They are forgotten then, and so is the one given last. False: there are none, `out` is untouched;
 * quic_recovery_ack_next goes on. */
static inline bool quic_recovery_ack_next_run(quic_recovery_ack *ack, uint8_t kind,
                                              quic_acked_run *out)
{
    /* Below base_pn is nothing: mostly so where requests and answers are a packet each. */
    return ack->next_pn >= ack->rec->spaces[ack->space].map.base_pn &&
           quic_recovery_ack_next_run_slow(ack, kind, out);
}

/* quic_recovery_ack_end takes the RTT sample, detects losses and fills `out`. */
void quic_recovery_ack_end(quic_recovery_ack *ack, quic_ack_result *out);

/* quic_recovery_next_lost gives the next packet of `space` declared lost, lowest first, NULL at the
 * end. Its records stay readable until the next call. With QUIC_SENT_PROBED set its frames were
 * already sent again: nothing to repeat. */
quic_sent_packet *quic_recovery_next_lost(quic_recovery *rec, quic_space space);

/* ---- timer ---------------------------------------------------------------------------------------- */

/* quic_recovery_deadline: when quic_recovery_on_timeout is due, QUIC_NS_NEVER when not at all.
 * at_amplification_limit: a server that may send nothing before it receives more (RFC 9002 6.2.2.1).
 * May lie in the past once that limit is lifted. */
quic_ns quic_recovery_deadline(const quic_recovery *rec, bool at_amplification_limit);

typedef enum quic_timeout_kind {
    QUIC_TIMEOUT_NONE = 0, /* nothing was due */
    QUIC_TIMEOUT_LOSS, /* packets of `space` passed the time threshold: quic_recovery_next_lost */
    QUIC_TIMEOUT_PTO,  /* send probes */
} quic_timeout_kind;

typedef struct quic_timeout {
    quic_timeout_kind kind;
    quic_space space;       /* LOSS, PTO */
    uint8_t probe_count;    /* PTO: ack-eliciting packets to send at least, 1 or 2 */
    uint8_t eliciting_mask; /* PTO: bit per space with ack-eliciting packets in flight */
    quic_loss_result loss;  /* LOSS; PTO: packets of `space` given up for want of room */
} quic_timeout;

/* quic_recovery_on_timeout runs what is due at `now` and says what it was. On PTO the backoff doubles
 * (RFC 9002 6.2.1) and the deadline moves beyond `now`. When as many packets are tracked as may be, the oldest
 * are given up for the probes, without a sign of congestion: loss.lost_count of them for
 * quic_recovery_next_lost. */
void quic_recovery_on_timeout(quic_recovery *rec, quic_timeout *out, bool at_amplification_limit,
                              quic_ns now);

/* quic_recovery_oldest_unacked gives the oldest outstanding ack-eliciting packet that no probe has
 * repeated yet and marks it QUIC_SENT_PROBED: send its frames again. NULL when there is none: send new
 * data or a PING (RFC 9002 6.2.4). */
quic_sent_packet *quic_recovery_oldest_unacked(quic_recovery *rec, quic_space space);

/* quic_recovery_pto_ns: the PTO period of `space` without backoff, max_ack_delay included for APP once
 * the handshake is confirmed. Three of them are the closing period (RFC 9000 10.2). */
quic_ns quic_recovery_pto_ns(const quic_recovery *rec, quic_space space);

/* ---- spaces and paths ------------------------------------------------------------------------------ */

/* quic_recovery_discard_space forgets a space whose keys are gone (RFC 9002 6.4) and frees its memory;
 * backoff and timers start over. Nothing may be added to it again. Idempotent. */
void quic_recovery_discard_space(quic_recovery *rec, quic_space space, quic_ns now);

/* quic_recovery_take_next takes the oldest outstanding packet out of tracking without any verdict: on
 * Retry (RFC 9002 6.3) and for rejected 0-RTT (6.4). Its frames have to be queued again; they stay
 * readable until the next call. NULL at the end. Packet numbers go on. */
quic_sent_packet *quic_recovery_take_next(quic_recovery *rec, quic_space space);

/* quic_recovery_on_retry resets RTT, backoff and timers, after quic_recovery_take_next emptied the
 * spaces. Congestion control is reset by the caller. */
void quic_recovery_on_retry(quic_recovery *rec, quic_ns now);

/* quic_recovery_on_new_path starts RTT and backoff over; packets sent before `now` no longer give
 * RTT samples, acked_bytes or congestion facts (RFC 9000 9.4). */
void quic_recovery_on_new_path(quic_recovery *rec, quic_ns now);

/* quic_recovery_on_old_path goes on with the RTT known of a path used before; what was sent before
 * `now` counts no more than with quic_recovery_on_new_path. */
void quic_recovery_on_old_path(quic_recovery *rec, const quic_rtt *rtt, quic_ns now);

/* quic_recovery_trim gives back what memory an idle connection does not need. */
void quic_recovery_trim(quic_recovery *rec);

/* quic_recovery_check asserts that all sums fit together. Costly. */
void quic_recovery_check(const quic_recovery *rec);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_RECOVERY_LOSS_H */
