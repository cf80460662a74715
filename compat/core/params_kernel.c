/* Transport parameters and configuration in the kernel's layout: shorter structures count as if zeros
 * followed, members that are 0 leave things as they are, and every range is checked. */
#include <errno.h>
#include <string.h>

#include "compat/core/opts.h"

#define QS_K_IDLE_MIN_US     1000000u
#define QS_K_WINDOW_MIN      1200u
#define QS_K_DATA_MAX        (INT32_MAX / 4)
#define QS_K_STREAM_MAX      (INT32_MAX / 8)
#define QS_K_STREAMS_MAX     4096u
#define QS_K_ACK_DELAY_MAX   16384000u
#define QS_K_PROBE_MIN_US    5000000u
#define QS_K_RTT_MIN_US      1000u
#define QS_K_RTT_MAX_US      10000000u
#define QS_K_CERTIFICATE_MAX 3u
#define QS_K_CONTROL_MAX     2u

#define QS_TAKE(field, value) ((void)((value) != 0 ? (field) = (value) : 0))

static bool qs_is_within(uint64_t value, uint64_t min, uint64_t max)
{
    return value == 0 || (value >= min && value <= max);
}

static int qs_copy_in_struct(void *to, size_t size, const void *value, size_t len)
{
    memset(to, 0, size);
    memcpy(to, value, len < size ? len : size);
    return len == 0 ? -EINVAL : 0;
}

static int qs_copy_out_struct(const void *from, size_t size, void *value, socklen_t *len)
{
    size = *len < size ? *len : size;
    memcpy(value, from, size);
    *len = (socklen_t)size;
    return 0;
}

/* ---- TRANSPORT_PARAM ----------------------------------------------------------------------------------- */

static bool qs_param_is_fine(const qs_wire_param_kernel *w)
{
    return qs_is_within(w->max_udp_payload_size, 1200, 65527) && w->ack_delay_exponent <= 20 &&
           w->max_ack_delay < QS_K_ACK_DELAY_MAX &&
           qs_is_within(w->active_connection_id_limit, 2, 8) &&
           qs_is_within(w->max_idle_timeout, QS_K_IDLE_MIN_US, UINT32_MAX) &&
           qs_is_within(w->max_datagram_frame_size, 1200, UINT16_MAX) &&
           qs_is_within(w->max_data, QS_K_WINDOW_MIN, QS_K_DATA_MAX) &&
           qs_is_within(w->max_stream_data_bidi_local, QS_K_WINDOW_MIN, QS_K_STREAM_MAX) &&
           qs_is_within(w->max_stream_data_bidi_remote, QS_K_WINDOW_MIN, QS_K_STREAM_MAX) &&
           qs_is_within(w->max_stream_data_uni, QS_K_WINDOW_MIN, QS_K_STREAM_MAX) &&
           w->max_streams_bidi <= QS_K_STREAMS_MAX && w->max_streams_uni <= QS_K_STREAMS_MAX;
}

static void qs_param_take(qs_params *p, const qs_wire_param_kernel *w)
{
    QS_TAKE(p->disable_active_migration, w->disable_active_migration);
    QS_TAKE(p->grease_quic_bit, w->grease_quic_bit);
    QS_TAKE(p->stateless_reset, w->stateless_reset);
    QS_TAKE(p->disable_1rtt_encryption, w->disable_1rtt_encryption);
    QS_TAKE(p->disable_compatible_version, w->disable_compatible_version);
    QS_TAKE(p->active_connection_id_limit, w->active_connection_id_limit);
    QS_TAKE(p->ack_delay_exponent, w->ack_delay_exponent);
    QS_TAKE(p->max_datagram_frame_size, w->max_datagram_frame_size);
    QS_TAKE(p->max_udp_payload_size, w->max_udp_payload_size);
    QS_TAKE(p->max_idle_timeout_us, w->max_idle_timeout);
    QS_TAKE(p->max_ack_delay_us, w->max_ack_delay);
    QS_TAKE(p->max_streams_bidi, w->max_streams_bidi);
    QS_TAKE(p->max_streams_uni, w->max_streams_uni);
    QS_TAKE(p->max_data, w->max_data);
    QS_TAKE(p->max_stream_data_bidi_local, w->max_stream_data_bidi_local);
    QS_TAKE(p->max_stream_data_bidi_remote, w->max_stream_data_bidi_remote);
    QS_TAKE(p->max_stream_data_uni, w->max_stream_data_uni);
}

int qs_set_param_kernel(qs_sock *s, const void *value, size_t len)
{
    qs_wire_param_kernel w;
    int rc = qs_copy_in_struct(&w, sizeof(w), value, len);
    if (rc != 0 || s->state >= QS_ESTABLISHED || (w.remote != 0 && s->state != QS_CONNECTING) ||
        !qs_param_is_fine(&w)) {
        return -EINVAL;
    }
    if (w.remote != 0) {
        qs_param_take(&s->remote_params, &w);
        s->remote_known = true;
        s->streams_max[0] = s->remote_params.max_streams_bidi;
        s->streams_max[1] = s->remote_params.max_streams_uni;
        return 0;
    }
    qs_param_take(&s->params, &w);
    if (w.max_data != 0) { /* draft section 8 */
        s->rx.limit = 2 * w.max_data;
    }
    return 0;
}

static uint16_t qs_short(uint64_t value)
{
    return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

static uint32_t qs_word(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

int qs_get_param_kernel(const qs_sock *s, void *value, socklen_t *len)
{
    uint8_t remote = 0;
    if (*len < sizeof(remote)) {
        return -EINVAL;
    }
    memcpy(&remote, value, sizeof(remote));
    const qs_params *p = remote != 0 ? &s->remote_params : &s->params;
    qs_wire_param_kernel w;
    memset(&w, 0, sizeof(w));
    w.remote = remote;
    w.disable_active_migration = p->disable_active_migration;
    w.grease_quic_bit = p->grease_quic_bit;
    w.stateless_reset = p->stateless_reset;
    w.disable_1rtt_encryption = p->disable_1rtt_encryption;
    w.disable_compatible_version = p->disable_compatible_version;
    w.active_connection_id_limit = (uint8_t)p->active_connection_id_limit;
    w.ack_delay_exponent = (uint8_t)p->ack_delay_exponent;
    w.max_datagram_frame_size = qs_short(p->max_datagram_frame_size);
    w.max_udp_payload_size = qs_short(p->max_udp_payload_size);
    w.max_idle_timeout = qs_word(p->max_idle_timeout_us);
    w.max_ack_delay = qs_word(p->max_ack_delay_us);
    w.max_streams_bidi = qs_short(p->max_streams_bidi);
    w.max_streams_uni = qs_short(p->max_streams_uni);
    w.max_data = p->max_data;
    w.max_stream_data_bidi_local = p->max_stream_data_bidi_local;
    w.max_stream_data_bidi_remote = p->max_stream_data_bidi_remote;
    w.max_stream_data_uni = p->max_stream_data_uni;
    return qs_copy_out_struct(&w, sizeof(w), value, len);
}

/* ---- CONFIG -------------------------------------------------------------------------------------------------- */

int qs_set_config(qs_sock *s, const void *value, size_t len)
{
    qs_wire_config_kernel w;
    int rc = qs_copy_in_struct(&w, sizeof(w), value, len);
    if (rc != 0 || s->state >= QS_ESTABLISHED ||
        !qs_is_within(w.plpmtud_probe_interval, QS_K_PROBE_MIN_US, UINT32_MAX) ||
        !qs_is_within(w.initial_smoothed_rtt, QS_K_RTT_MIN_US, QS_K_RTT_MAX_US) ||
        (w.payload_cipher_type != 0 && qs_suite_of(w.payload_cipher_type) == 0) ||
        w.congestion_control_algo > QS_K_CONTROL_MAX ||
        w.certificate_request > QS_K_CERTIFICATE_MAX) {
        return -EINVAL;
    }
    qs_settings *c = &s->settings;
    QS_TAKE(c->version, w.version);
    QS_TAKE(c->plpmtud_probe_us, w.plpmtud_probe_interval);
    QS_TAKE(c->initial_smoothed_rtt_us, w.initial_smoothed_rtt);
    QS_TAKE(c->payload_cipher_type, w.payload_cipher_type);
    QS_TAKE(c->congestion_control, w.congestion_control_algo);
    QS_TAKE(c->validate_peer_address, w.validate_peer_address);
    QS_TAKE(c->stream_data_nodelay, w.stream_data_nodelay);
    QS_TAKE(c->receive_session_ticket, w.receive_session_ticket);
    QS_TAKE(c->certificate_request, w.certificate_request);
    QS_TAKE(c->keepalive_us, w.keepalive_probe_interval);
    return 0;
}

int qs_get_config(const qs_sock *s, void *value, socklen_t *len)
{
    const qs_settings *c = &s->settings;
    qs_wire_config_kernel w;
    memset(&w, 0, sizeof(w));
    w.version = c->version;
    w.plpmtud_probe_interval = c->plpmtud_probe_us;
    w.initial_smoothed_rtt = qs_word(c->initial_smoothed_rtt_us);
    w.payload_cipher_type = c->payload_cipher_type;
    w.congestion_control_algo = c->congestion_control;
    w.validate_peer_address = c->validate_peer_address;
    w.stream_data_nodelay = c->stream_data_nodelay;
    w.receive_session_ticket = c->receive_session_ticket;
    w.certificate_request = c->certificate_request;
    w.keepalive_probe_interval = c->keepalive_us;
    return qs_copy_out_struct(&w, sizeof(w), value, len);
}
