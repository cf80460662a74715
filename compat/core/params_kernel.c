/* Transport parameters and configuration in the kernel's layout: shorter structures count as if zeros
 * followed, and every range is checked. */
#include <errno.h>
#include <string.h>

#include "compat/core/opts.h"

#define QS_K_IDLE_MIN_US  1000000u
#define QS_K_WINDOW_MIN   1200u
#define QS_K_DATA_MAX     (INT32_MAX / 4)
#define QS_K_STREAM_MAX   (INT32_MAX / 8)
#define QS_K_STREAMS_MAX  4096u
#define QS_K_PROBE_MIN_US 5000000u
#define QS_K_RTT_MIN_US   1000u
#define QS_K_RTT_MAX_US   10000000u

#define QS_TAKE_PARAM(ours, theirs) QS_TAKE(p->ours, w->theirs);
#define QS_GIVE_PARAM(ours, theirs) QS_GIVE(w.theirs, p->ours);
#define QS_TAKE_SETTING(member)     QS_TAKE(c->member, w.member);
#define QS_GIVE_SETTING(member)     QS_GIVE(w.member, c->member);

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
    if (!qs_is_within(w->max_udp_payload_size, QS_PAYLOAD_MIN, QS_PAYLOAD_MAX) ||
        w->ack_delay_exponent > QS_ACK_EXPONENT_MAX || w->max_ack_delay >= QS_ACK_DELAY_END_US) {
        return false;
    }
    if (w->remote != 0) {
        return true; /* what a server has said, not what we would */
    }
    return qs_is_within(w->active_connection_id_limit, 2, 8) &&
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
    QS_PARAM_MEMBERS(QS_TAKE_PARAM)
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
        qs_params_remember(s);
        return 0;
    }
    qs_param_take(&s->params, &w);
    if (w.max_data != 0) { /* draft section 8 */
        s->rx.limit = 2 * w.max_data;
    }
    return 0;
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
    QS_PARAM_MEMBERS(QS_GIVE_PARAM)
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
        w.congestion_control_algo > QS_CONTROL_MAX || w.certificate_request > QS_CERTIFICATE_MAX) {
        return -EINVAL;
    }
    qs_settings *c = &s->settings;
    w.version = qs_version_wanted(s, w.version);
    QS_SETTING_MEMBERS(QS_TAKE_SETTING)
    QS_TAKE(c->plpmtud_probe_us, w.plpmtud_probe_interval);
    QS_TAKE(c->initial_smoothed_rtt_us, w.initial_smoothed_rtt);
    QS_TAKE(c->congestion_control, w.congestion_control_algo);
    QS_TAKE(c->stream_data_nodelay, w.stream_data_nodelay);
    QS_TAKE(c->keepalive_us, w.keepalive_probe_interval);
    return 0;
}

int qs_get_config(const qs_sock *s, void *value, socklen_t *len)
{
    const qs_settings *c = &s->settings;
    qs_wire_config_kernel w;
    memset(&w, 0, sizeof(w));
    QS_SETTING_MEMBERS(QS_GIVE_SETTING)
    QS_GIVE(w.plpmtud_probe_interval, c->plpmtud_probe_us);
    QS_GIVE(w.initial_smoothed_rtt, c->initial_smoothed_rtt_us);
    QS_GIVE(w.congestion_control_algo, c->congestion_control);
    QS_GIVE(w.stream_data_nodelay, c->stream_data_nodelay);
    QS_GIVE(w.keepalive_probe_interval, c->keepalive_us);
    return qs_copy_out_struct(&w, sizeof(w), value, len);
}
