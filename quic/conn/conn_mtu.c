/* What the path carries: the datagram size (RFC 9000 14, RFC 8899) and ECN marks (RFC 9000 13.4). */
#include "quic/conn/conn_internal.h"

#define IPV6_HEADER_MORE 20u /* larger than an IPv4 header by this */

/* The size in use is the search's; congestion control counts in datagrams. */
static void apply(quic_conn *conn, bool changed)
{
    if (!changed) {
        return;
    }
    conn->path.udp_payload_bytes = conn->mtu.current;
    quic_cc_set_datagram(&conn->cc, conn->mtu.current);
    conn->env->counters->mtu_changes++;
    quic_conn_mark_dirty(conn);
}

static uint32_t at_most(uint32_t bytes, uint64_t max)
{
    return bytes <= max ? bytes : (uint32_t)max;
}

void quic_conn_start_mtu(quic_conn *conn, quic_ns now)
{
    const quring_limits *lim = &conn->limits;
    uint64_t peer_max = conn->peer_udp_payload_max; /* at least 1200, RFC 9000 18.2 */
    uint32_t fixed = at_most(lim->udp_payload_bytes, peer_max);
    if (fixed > QUIC_MTU_BASE || lim->mtu_probe_max_bytes <= QUIC_MTU_BASE) {
        quic_mtu_init(&conn->mtu, fixed < QUIC_MTU_BASE ? QUIC_MTU_BASE : fixed);
    } else {
        uint32_t less = conn->path.addr.remote.family == 6 ? IPV6_HEADER_MORE : 0;
        quic_mtu_start(&conn->mtu, at_most(lim->mtu_probe_max_bytes - less, peer_max), now);
    }
    conn->path.udp_payload_bytes = conn->mtu.current;
    quic_cc_set_datagram(&conn->cc, conn->mtu.current);
}

static bool sends_much(const quic_conn *conn)
{
    return conn->flow_send.used >= QUIC_MTU_PROBE_AFTER_BYTES ||
           (conn->datagrams != NULL && conn->datagrams->sent >= QUIC_MTU_PROBE_AFTER_DATAGRAMS);
}

uint32_t quic_conn_mtu_probe_size(quic_conn *conn, quic_ns now)
{
    if (!conn->handshake_confirmed || conn->trimmed || conn->recovery.pto_count > 0 ||
        !sends_much(conn)) {
        return 0;
    }
    uint32_t size = quic_mtu_probe_size(&conn->mtu, now);
    return quic_cc_available(&conn->cc, conn->recovery.in_flight_bytes) >= size ? size : 0;
}

void quic_conn_mtu_on_probe_acked(quic_conn *conn, const quic_sent_packet *packet, quic_ns now)
{
    if (packet->sent_ns >= conn->recovery.path_start_ns) { /* not of an earlier path */
        apply(conn, quic_mtu_on_probe_acked(&conn->mtu, packet->bytes, now));
    }
}

void quic_conn_mtu_on_lost(quic_conn *conn, const quic_sent_packet *packet, quic_ns now)
{
    if (packet->sent_ns < conn->recovery.path_start_ns) {
        return;
    }
    apply(conn, (packet->flags & QUIC_SENT_MTU_PROBE) != 0
                    ? quic_mtu_on_probe_lost(&conn->mtu, packet->bytes, now)
                    : quic_mtu_on_lost(&conn->mtu, packet->pn, packet->bytes, now));
}

void quic_conn_mtu_on_pto(quic_conn *conn, quic_ns now)
{
    apply(conn, quic_mtu_on_pto(&conn->mtu, conn->recovery.pto_count, now));
}

void quic_conn_on_send_too_big(quic_conn *conn, uint32_t len)
{
    /* A probe that was refused is not lost in any way that matters, but the next one may leave. */
    apply(conn, quic_mtu_on_too_big(&conn->mtu, len, conn->env->now));
    quic_conn_mark_dirty(conn);
}

void quic_conn_take_ecn(quic_conn *conn, quic_space space, const quic_frame_ack *frame,
                        const quic_ack_result *result, quic_ns now)
{
    quic_ecn_counts counts = {.ect0 = frame->ecn[0], .ect1 = frame->ecn[1], .ce = frame->ecn[2]};
    conn->ecn_acked += result->ect0_acked_count;
    uint64_t ce = quic_ecn_on_acked(&conn->ecn, space, frame->has_ecn ? &counts : NULL,
                                    result->ect0_acked_count, result->ect0_path_acked_count,
                                    result->largest_increased);
    if (QUIC_UNLIKELY(ce > 0)) {
        conn->env->counters->ecn_ce += ce;
        if (result->largest_acked_sent_ns >= conn->recovery.path_start_ns) { /* RFC 9000 9.4 */
            quic_cc_on_ce(&conn->cc, result->largest_acked_sent_ns, now);    /* RFC 9002 7.1 */
        }
    }
}
