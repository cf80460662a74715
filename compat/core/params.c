/* Transport parameters and settings: the draft's, and the engine's (draft section 6.1.3). */
#include <errno.h>
#include <string.h>

#include "compat/core/opts.h"

#define QS_HANDSHAKE_MIN_NS (20 * QS_NS_PER_S) /* more than quic_client_handshake waits */
#define QS_WINDOW_MIN       1024u
#define QS_WINDOW_MAX       (1ull << 40)
#define QS_IDLE_MAX_US      (86400ull * 1000000ull)
#define QS_STREAMS_MAX      (1u << 16)   /* of a type that the draft's layout lets a program set */
#define QS_STREAMS_END      (1ull << 60) /* RFC 9000 4.6 */

/* RFC 9368: the first try, the wish, and what else is spoken. */
static void qs_versions_of(const qs_sock *s, quring_limits *out)
{
    uint32_t version = s->settings.version;
    bool known = version == QURING_QUIC_V1 || version == QURING_QUIC_V2;
    if (s->params.disable_compatible_version && known) {
        out->versions = version == QURING_QUIC_V1 ? QURING_SPEAKS_V1 : QURING_SPEAKS_V2;
    }
    if (s->is_server) {
        out->version_preferred = version == QURING_QUIC_V2 ? version : 0;
    } else if (version != QURING_QUIC_V1) {
        out->version_first = version;
    }
}

/* What the engine is told of these settings. */
void qs_limits_of(const qs_sock *s, quring_limits *out)
{
    const qs_params *p = &s->params;
    quring_limits_init(out);
    out->idle_timeout_ns = p->max_idle_timeout_us == 0
                               ? 0
                               : qs_between(p->max_idle_timeout_us, 1000, QS_IDLE_MAX_US) * 1000;
    /* How long a handshake may take is for its caller to say; the idle timeout is the other limit. */
    out->handshake_timeout_ns =
        out->idle_timeout_ns > QS_HANDSHAKE_MIN_NS ? out->idle_timeout_ns : QS_HANDSHAKE_MIN_NS;
    out->udp_payload_max_bytes =
        (uint32_t)qs_between(p->max_udp_payload_size, QS_PAYLOAD_MIN, QS_PAYLOAD_MAX);
    out->conn_recv_window_bytes = qs_between(p->max_data, QS_WINDOW_MIN, QS_WINDOW_MAX);
    if (out->conn_recv_window_bytes > out->conn_recv_window_max_bytes) {
        out->conn_recv_window_max_bytes = out->conn_recv_window_bytes;
    }
    const uint64_t local = qs_between(p->max_stream_data_bidi_local, QS_WINDOW_MIN, QS_WINDOW_MAX);
    const uint64_t remote =
        qs_between(p->max_stream_data_bidi_remote, QS_WINDOW_MIN, QS_WINDOW_MAX);
    const uint64_t uni = qs_between(p->max_stream_data_uni, QS_WINDOW_MIN, QS_WINDOW_MAX);
    out->stream_recv_window_bytes = remote;
    out->stream_recv_window_local_bytes = local;
    out->stream_recv_window_uni_bytes = uni;
    uint64_t most = local > remote ? local : remote;
    most = uni > most ? uni : most;
    if (most > out->stream_recv_window_max_bytes) {
        out->stream_recv_window_max_bytes = most;
    }
    out->streams_bidi_max = (uint32_t)qs_between(p->max_streams_bidi, 0, 1u << 20);
    out->streams_uni_max = (uint32_t)qs_between(p->max_streams_uni, 0, 1u << 20);
    out->ack_delay_ns = qs_between(p->max_ack_delay_us, 0, 16383000) * 1000;
    out->cids_active_max = (uint32_t)qs_between(p->active_connection_id_limit, 2, 8);
    out->datagram_max_bytes = (uint32_t)qs_between(p->max_datagram_frame_size, 0, 65535);
    out->disable_active_migration = p->disable_active_migration != 0;
    out->grease_quic_bit = p->grease_quic_bit != 0;
    out->disable_1rtt_encryption = p->disable_1rtt_encryption != 0;
    out->stream_send_buf_bytes = s->tx_limit + QS_CHUNK_BYTES;
    out->conn_send_buf_bytes = s->tx_limit + QS_CHUNK_BYTES;
    const qs_settings *c = &s->settings;
    static const uint32_t controls[] = {1 + QURING_CC_NEWRENO, 1 + QURING_CC_CUBIC,
                                        1 + QURING_CC_BBR};
    out->congestion_control =
        controls[c->congestion_control <= QS_CONTROL_MAX ? c->congestion_control : 0];
    out->initial_rtt_ns = qs_between(c->initial_smoothed_rtt_us, 100, 60000000) * 1000;
    out->keep_alive_ns = (uint64_t)c->keepalive_us * 1000;
    if (out->keep_alive_ns != 0 && out->keep_alive_ns < QS_NS_PER_MS) {
        out->keep_alive_ns = QS_NS_PER_MS;
    }
    qs_versions_of(s, out);
}

void qs_params_from(qs_params *out, const quring_transport_params *in)
{
    memset(out, 0, sizeof(*out));
    out->disable_active_migration = in->disable_active_migration;
    out->grease_quic_bit = in->grease_quic_bit;
    out->disable_1rtt_encryption = in->disable_1rtt_encryption;
    out->max_udp_payload_size = in->max_udp_payload_size;
    out->ack_delay_exponent = in->ack_delay_exponent;
    out->max_ack_delay_us = in->max_ack_delay_ms * 1000;
    out->active_connection_id_limit = in->active_connection_id_limit;
    out->max_idle_timeout_us = in->max_idle_timeout_ms * 1000;
    out->max_datagram_frame_size = in->max_datagram_frame_size;
    out->max_data = in->initial_max_data;
    out->max_stream_data_bidi_local = in->initial_max_stream_data_bidi_local;
    out->max_stream_data_bidi_remote = in->initial_max_stream_data_bidi_remote;
    out->max_stream_data_uni = in->initial_max_stream_data_uni;
    out->max_streams_bidi = in->initial_max_streams_bidi;
    out->max_streams_uni = in->initial_max_streams_uni;
}

void qs_params_learned(qs_sock *s)
{
    uint64_t window = s->remote_params.max_data;
    if (s->remote_known && !s->sndbuf_set && window > 0) {
        s->tx_limit = qs_between(2 * window, QS_SNDBUF_MIN, QS_BUF_MAX);
    }
}

void qs_params_to(quring_transport_params *out, const qs_params *in)
{
    memset(out, 0, sizeof(*out));
    out->max_udp_payload_size = in->max_udp_payload_size;
    out->active_connection_id_limit = in->active_connection_id_limit;
    out->max_datagram_frame_size = in->max_datagram_frame_size;
    out->initial_max_data = in->max_data;
    out->initial_max_stream_data_bidi_local = in->max_stream_data_bidi_local;
    out->initial_max_stream_data_bidi_remote = in->max_stream_data_bidi_remote;
    out->initial_max_stream_data_uni = in->max_stream_data_uni;
    out->initial_max_streams_bidi = in->max_streams_bidi;
    out->initial_max_streams_uni = in->max_streams_uni;
}

/* ---- transport parameters ------------------------------------------------------------------------------ */

#define QS_TAKE_PARAM(ours, theirs) QS_TAKE(p->ours, w->theirs);
#define QS_GIVE_PARAM(ours, theirs) QS_GIVE(w.theirs, p->ours);
#define QS_TAKE_SETTING(member)     QS_TAKE(c->member, w->member);
#define QS_GIVE_SETTING(member)     QS_GIVE(w.member, c->member);

/* A server of an earlier connection may have allowed any number. */
static uint64_t qs_streams_max(const qs_wire_param_draft *w)
{
    return w->remote != 0 ? QS_STREAMS_END : QS_STREAMS_MAX;
}

static bool qs_draft_is_fine(const qs_wire_param_draft *w)
{
    return w->max_ack_delay < QS_ACK_DELAY_END_US && w->ack_delay_exponent <= QS_ACK_EXPONENT_MAX &&
           w->max_streams_bidi <= qs_streams_max(w) && w->max_streams_uni <= qs_streams_max(w) &&
           (w->max_udp_payload_size == 0 || w->max_udp_payload_size >= QS_PAYLOAD_MIN) &&
           w->max_datagram_frame_size != 1 && /* RFC 9221 4: no frame is as small */
           w->congestion_control_alg <= QS_CONTROL_MAX &&
           w->certificate_request <= QS_CERTIFICATE_MAX &&
           (w->payload_cipher_type == 0 || qs_suite_of(w->payload_cipher_type) != 0);
}

static void qs_draft_take_params(qs_params *p, const qs_wire_param_draft *w)
{
    QS_PARAM_MEMBERS(QS_TAKE_PARAM)
}

static void qs_draft_take_settings(qs_settings *c, const qs_wire_param_draft *w)
{
    QS_SETTING_MEMBERS(QS_TAKE_SETTING)
    QS_TAKE(c->initial_smoothed_rtt_us, w->initial_smoothed_rtt);
    QS_TAKE(c->plpmtud_probe_us, w->plpmtud_probe_timeout);
    QS_TAKE(c->congestion_control, w->congestion_control_alg);
}

/* The peer's of an earlier connection, for 0-RTT. */
void qs_params_remember(qs_sock *s)
{
    s->remote_known = true;
    s->streams_max[0] = s->remote_params.max_streams_bidi;
    s->streams_max[1] = s->remote_params.max_streams_uni;
}

int qs_set_param_draft(qs_sock *s, const void *value, size_t len)
{
    qs_wire_param_draft w;
    if (len < sizeof(w)) {
        return -EINVAL;
    }
    memcpy(&w, value, sizeof(w));
    if (s->state == QS_ESTABLISHED || s->state == QS_CLOSED || !qs_draft_is_fine(&w)) {
        return -EINVAL;
    }
    if (w.remote != 0) {
        qs_draft_take_params(&s->remote_params, &w);
        qs_params_remember(s);
        return 0;
    }
    qs_draft_take_params(&s->params, &w);
    w.version = qs_version_wanted(s, w.version);
    qs_draft_take_settings(&s->settings, &w);
    if (w.max_data != 0) { /* draft section 8 */
        s->rx.limit = 2 * qs_at_most(w.max_data, QS_BUF_MAX / 2);
    }
    return 0;
}

int qs_get_param_draft(const qs_sock *s, void *value, socklen_t *len)
{
    qs_wire_param_draft w;
    if (*len < sizeof(w)) {
        return -EINVAL;
    }
    memcpy(&w, value, 1);
    bool remote = w.remote != 0;
    const qs_params *p = remote ? &s->remote_params : &s->params;
    const qs_settings *c = &s->settings;
    memset(&w, 0, sizeof(w));
    w.remote = remote;
    QS_PARAM_MEMBERS(QS_GIVE_PARAM)
    QS_SETTING_MEMBERS(QS_GIVE_SETTING)
    QS_GIVE(w.initial_smoothed_rtt, c->initial_smoothed_rtt_us);
    QS_GIVE(w.plpmtud_probe_timeout, c->plpmtud_probe_us);
    QS_GIVE(w.congestion_control_alg, c->congestion_control);
    memcpy(value, &w, sizeof(w));
    *len = sizeof(w);
    return 0;
}
