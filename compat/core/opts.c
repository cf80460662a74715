/* Socket options (draft section 6), in both layouts. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "compat/core/layout.h"
#include "compat/core/sock.h"

#define QS_WINDOW_DEFAULT    (65536u * 32u)
#define QS_STREAM_DEFAULT    (65536u * 4u)
#define QS_IDLE_DEFAULT_US   30000000u
#define QS_BUF_MAX           (256u << 20)
#define QS_OPTION_LEN_MAX    4096u
#define QS_PARAMS_EXT_MAX    512u
#define QS_SERVER_TICKET_LEN 64u

/* ---- defaults ---------------------------------------------------------------------------------------- */

void qs_opts_defaults(qs_sock *s)
{
    qs_params *p = &s->params;
    p->max_udp_payload_size = 65527;
    p->ack_delay_exponent = 3;
    p->max_ack_delay_us = 25000;
    p->active_connection_id_limit = 7;
    p->max_idle_timeout_us = QS_IDLE_DEFAULT_US;
    p->max_data = QS_WINDOW_DEFAULT;
    p->max_stream_data_bidi_local = QS_STREAM_DEFAULT;
    p->max_stream_data_bidi_remote = QS_STREAM_DEFAULT;
    p->max_stream_data_uni = QS_STREAM_DEFAULT;
    p->max_streams_bidi = 100;
    p->max_streams_uni = 100;
    s->settings.initial_smoothed_rtt_us = 333000;
    s->settings.version = 1;
    s->rx.limit = 2 * p->max_data;
    s->tx_limit = 2 * p->max_data;
}

void qs_opts_inherit(qs_sock *s, const qs_sock *listener)
{
    s->event_mask = listener->event_mask;
    s->params = listener->params;
    s->settings = listener->settings;
    memcpy(s->alpn, listener->alpn, sizeof(s->alpn));
    s->alpn_len = listener->alpn_len;
    s->rx.limit = listener->rx.limit;
    s->tx_limit = listener->tx_limit;
    s->rcvtimeo_ns = listener->rcvtimeo_ns;
    s->sndtimeo_ns = listener->sndtimeo_ns;
    s->v6only = listener->v6only;
}

int qs_blob_set(qs_blob *blob, const void *data, size_t len)
{
    uint8_t *copy = (uint8_t *)malloc(len > 0 ? len : 1);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, data, len);
    free(blob->data);
    blob->data = copy;
    blob->len = (uint32_t)len;
    return 0;
}

/* ---- small ones ------------------------------------------------------------------------------------------ */

static int qs_set_event(qs_sock *s, const void *value, size_t len)
{
    qs_wire_event_option w;
    if (len != sizeof(w)) {
        return -EINVAL;
    }
    memcpy(&w, value, sizeof(w));
    qs_event event = qs_layout_event_of(s->protocol, w.type);
    if (event == QS_EVENT_NONE) {
        return -EINVAL;
    }
    uint32_t bit = 1u << event;
    s->event_mask = w.on != 0 ? s->event_mask | bit : s->event_mask & ~bit;
    return 0;
}

static int qs_get_event(const qs_sock *s, void *value, socklen_t *len)
{
    qs_wire_event_option w;
    if (*len < sizeof(w)) {
        return -EINVAL;
    }
    memcpy(&w, value, sizeof(w));
    qs_event event = qs_layout_event_of(s->protocol, w.type);
    if (event == QS_EVENT_NONE) {
        return -EINVAL;
    }
    w.on = (s->event_mask & 1u << event) != 0;
    memcpy(value, &w, sizeof(w));
    *len = sizeof(w);
    return 0;
}

static int qs_set_close(qs_sock *s, const void *value, size_t len)
{
    const bool kernel = s->protocol == QS_PROTO_KERNEL;
    size_t head = kernel ? QS_CLOSE_KERNEL_HEAD : QS_CLOSE_DRAFT_HEAD;
    if (len < QS_CLOSE_DRAFT_SIZE) {
        return -EINVAL;
    }
    const char *phrase = (const char *)value + head;
    size_t room = len - head;
    size_t phrase_len = strnlen(phrase, room);
    if (phrase_len == room || phrase_len > QS_PHRASE_LEN_MAX) {
        return -EINVAL; /* not ended, or too long */
    }
    memcpy(&s->close_errcode, value, 4);
    memcpy(s->close_phrase, phrase, phrase_len + 1);
    return 0;
}

static int qs_get_close(const qs_sock *s, void *value, socklen_t *len)
{
    const bool kernel = s->protocol == QS_PROTO_KERNEL;
    size_t head = kernel ? QS_CLOSE_KERNEL_HEAD : QS_CLOSE_DRAFT_HEAD;
    uint8_t w[QS_CLOSE_KERNEL_SIZE + sizeof(s->close_info.reason)];
    memset(w, 0, sizeof(w));
    uint32_t errcode = s->closed_by_peer ? (uint32_t)s->close_info.code : s->close_errcode;
    const char *phrase = s->closed_by_peer ? s->close_info.reason : (const char *)s->close_phrase;
    size_t phrase_len = strlen(phrase);
    phrase_len = kernel && phrase_len > 63 ? 63 : phrase_len;
    memcpy(w, &errcode, 4);
    w[4] = s->closed_by_peer ? (uint8_t)s->close_info.frame_type : 0;
    memcpy(w + head, phrase, phrase_len);
    size_t size = kernel            ? QS_CLOSE_KERNEL_SIZE
                  : phrase_len == 0 ? QS_CLOSE_DRAFT_SIZE
                                    : head + phrase_len + 1;
    if (*len < size && !(kernel && *len >= QS_CLOSE_KERNEL_HEAD)) {
        return -EINVAL;
    }
    size = *len < size ? *len : size;
    memcpy(value, w, size);
    *len = (socklen_t)size;
    return 0;
}

static int qs_set_alpn(qs_sock *s, const void *value, size_t len)
{
    if (s->state == QS_LISTENING || s->state >= QS_ESTABLISHED) {
        return -EINVAL;
    }
    const char *text = (const char *)value;
    size_t text_len = strnlen(text, len); /* with or without its final 0 */
    if (text_len == 0 || text_len > QS_ALPN_LEN_MAX) {
        return -EINVAL;
    }
    memcpy(s->alpn, text, text_len);
    s->alpn[text_len] = 0;
    s->alpn_len = (uint32_t)text_len;
    return 0;
}

static int qs_get_bytes(const void *data, size_t have, void *value, socklen_t *len)
{
    if (*len < have) {
        return -EINVAL;
    }
    if (have > 0) {
        memcpy(value, data, have);
    }
    *len = (socklen_t)have;
    return 0;
}

static int qs_set_errinfo(qs_sock *s, bool stop, const void *value, size_t len)
{
    qs_wire_errinfo w;
    if (len != sizeof(w) || s->state != QS_ESTABLISHED) {
        return -EINVAL;
    }
    memcpy(&w, value, sizeof(w));
    qs_stream *st = qs_stream_find(s, w.stream_id);
    if (st == NULL || st->closed) {
        return -EINVAL;
    }
    if (stop) {
        if (!qs_id_receives(s, w.stream_id) || st->recv_state >= QS_RECV_RECVD) {
            return -EINVAL;
        }
        st->stop_asked = true;
        st->stop_code = w.errcode;
    } else {
        if (!qs_id_sends(s, w.stream_id) || st->send_state > QS_SEND_SENT || st->reset_asked) {
            return -EINVAL;
        }
        st->reset_asked = true;
        st->reset_code = w.errcode;
        if (s->active_id == st->id) {
            s->active_id = QS_STREAM_ANY;
        }
    }
    qs_stream_queue(s, st);
    qs_kick(s, QS_ASK_TX);
    return 0;
}

/* ---- the raw handshake ------------------------------------------------------------------------------------- */

/* The number of TLS 1.3 of a TLS_CIPHER_* type, and the length of its secrets; 0: none. */
static uint16_t qs_suite_of(uint32_t type, size_t *secret_len)
{
    *secret_len = type == 52 ? 48 : 32;
    switch (type) {
    case 51:
        return 0x1301;
    case 52:
        return 0x1302;
    case 53:
        return 0x1304;
    case 54:
        return 0x1303;
    default:
        return 0;
    }
}

static int qs_set_secret(qs_sock *s, const void *value, size_t len)
{
    uint8_t level;
    bool send;
    uint32_t type;
    const uint8_t *secret = (const uint8_t *)value + 8;
    if (len != sizeof(qs_wire_secret_draft)) {
        return -EINVAL;
    }
    if (s->protocol == QS_PROTO_KERNEL) {
        qs_wire_secret_kernel w;
        memcpy(&w, value, sizeof(w));
        level = w.level, send = w.send != 0, type = w.type;
    } else {
        qs_wire_secret_draft w;
        memcpy(&w, value, sizeof(w));
        level = w.level, send = w.send != 0, type = w.type;
    }
    static const int levels[] = {[QS_LEVEL_APP] = QURING_LEVEL_APP,
                                 [QS_LEVEL_INITIAL] = -1,
                                 [QS_LEVEL_HANDSHAKE] = QURING_LEVEL_HANDSHAKE,
                                 [QS_LEVEL_EARLY] = QURING_LEVEL_EARLY};
    size_t secret_len = 0;
    uint16_t suite = qs_suite_of(type, &secret_len);
    if (level > QS_LEVEL_EARLY || levels[level] < 0 || suite == 0) {
        return -EINVAL;
    }
    return qs_hs_secret(s, (quring_level)levels[level], send ? QURING_DIR_WRITE : QURING_DIR_READ,
                        suite, secret, secret_len);
}

/* Options that wait for the worker, or for the peer; no lock held. */
static int qs_set_waiting(qs_sock *s, qs_opt opt, const void *value, size_t len)
{
    pthread_mutex_lock(&s->lock);
    bool connecting = s->state == QS_CONNECTING;
    pthread_mutex_unlock(&s->lock);
    if (!connecting) {
        return -EINVAL;
    }
    return opt == QS_OPT_CRYPTO_SECRET ? qs_set_secret(s, value, len)
                                       : qs_hs_set_params(s, value, len);
}

/* ---- QUIC's own level ------------------------------------------------------------------------------------------ */

static int qs_set_quic(qs_sock *s, qs_opt opt, const void *value, size_t len)
{
    switch (opt) {
    case QS_OPT_EVENT:
        return qs_set_event(s, value, len);
    case QS_OPT_STREAM_RESET:
        return qs_set_errinfo(s, false, value, len);
    case QS_OPT_STREAM_STOP_SENDING:
        return qs_set_errinfo(s, true, value, len);
    case QS_OPT_CONNECTION_CLOSE:
        return qs_set_close(s, value, len);
    case QS_OPT_TRANSPORT_PARAM:
        return s->protocol == QS_PROTO_DRAFT ? qs_set_param_draft(s, value, len) : -EOPNOTSUPP;
    case QS_OPT_TOKEN:
        if (s->is_server || len == 0 || len > QS_TOKEN_LEN_MAX) {
            return -EINVAL;
        }
        return qs_blob_set(&s->token_blob, value, len);
    case QS_OPT_ALPN:
        return qs_set_alpn(s, value, len);
    case QS_OPT_SESSION_TICKET:
        return len == 0 || len > QS_TICKET_LEN_MAX ? -EINVAL : qs_blob_set(&s->ticket, value, len);
    case QS_OPT_KEY_UPDATE:
    case QS_OPT_CONNECTION_MIGRATION:
        return -EOPNOTSUPP;
    default:
        return -ENOPROTOOPT;
    }
}

static int qs_get_quic(qs_sock *s, qs_opt opt, void *value, socklen_t *len)
{
    switch (opt) {
    case QS_OPT_EVENT:
        return qs_get_event(s, value, len);
    case QS_OPT_CONNECTION_CLOSE:
        return qs_get_close(s, value, len);
    case QS_OPT_TRANSPORT_PARAM:
        return s->protocol == QS_PROTO_DRAFT ? qs_get_param_draft(s, value, len) : -EOPNOTSUPP;
    case QS_OPT_TOKEN:
        return s->is_server ? -EINVAL
                            : qs_get_bytes(s->token_blob.data, s->token_blob.len, value, len);
    case QS_OPT_ALPN:
        return qs_get_bytes(s->alpn, s->alpn_len, value, len);
    case QS_OPT_SESSION_TICKET:
        return qs_get_bytes(s->ticket.data, s->ticket.len, value, len);
    default:
        return -ENOPROTOOPT;
    }
}

static int qs_get_stream_open(qs_sock *s, void *value, const socklen_t *len)
{
    qs_wire_stream_info w;
    if (*len < sizeof(w)) {
        return -EINVAL;
    }
    memcpy(&w, value, sizeof(w));
    int rc = qs_stream_open_opt(s, &w.stream_id, w.flags);
    if (rc == 0) {
        w.flags |= QS_MSG_NEW;
        memcpy(value, &w, sizeof(w));
    }
    return rc;
}

static int qs_get_params_ext(qs_sock *s, void *value, socklen_t *len)
{
    uint8_t buf[QS_PARAMS_EXT_MAX];
    size_t have = 0;
    int rc = qs_hs_get_params(s, buf, &have, sizeof(buf));
    return rc != 0 ? rc : qs_get_bytes(buf, have, value, len);
}

/* ---- the socket level -------------------------------------------------------------------------------------------- */

static int qs_get_int(int have, void *value, socklen_t *len)
{
    memcpy(value, &have, *len < sizeof(have) ? *len : sizeof(have));
    *len = *len < sizeof(have) ? *len : (socklen_t)sizeof(have);
    return 0;
}

static int qs_set_time(uint64_t *to, const void *value, size_t len)
{
    struct timeval tv;
    if (len < sizeof(tv)) {
        return -EINVAL;
    }
    memcpy(&tv, value, sizeof(tv));
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000) {
        return -EDOM;
    }
    *to = tv.tv_sec < 0 ? 0 : (uint64_t)tv.tv_sec * QS_NS_PER_S + (uint64_t)tv.tv_usec * 1000;
    return 0;
}

static int qs_get_time(uint64_t ns, void *value, socklen_t *len)
{
    struct timeval tv = {(time_t)(ns / QS_NS_PER_S), (suseconds_t)(ns % QS_NS_PER_S / 1000)};
    return qs_get_bytes(&tv, sizeof(tv), value, len);
}

static int qs_set_socket(qs_sock *s, int name, const void *value, size_t len)
{
    int number = 0;
    if (name == SO_RCVTIMEO) {
        return qs_set_time(&s->rcvtimeo_ns, value, len);
    }
    if (name == SO_SNDTIMEO) {
        return qs_set_time(&s->sndtimeo_ns, value, len);
    }
    if (len < sizeof(number)) {
        return -EINVAL;
    }
    memcpy(&number, value, sizeof(number));
    switch (name) {
    case SO_RCVBUF:
        s->rx.limit = number < 1152                       ? 2304
                      : 2 * (uint64_t)number > QS_BUF_MAX ? QS_BUF_MAX
                                                          : 2 * (uint64_t)number;
        return 0;
    case SO_SNDBUF:
        s->tx_limit = number < 2304                       ? 4608
                      : 2 * (uint64_t)number > QS_BUF_MAX ? QS_BUF_MAX
                                                          : 2 * (uint64_t)number;
        return 0;
    case SO_REUSEPORT:
        s->reuseport = number != 0;
        return 0;
    case SO_LINGER: {
        struct linger linger;
        if (len < sizeof(linger)) {
            return -EINVAL;
        }
        memcpy(&linger, value, sizeof(linger));
        s->linger_on = linger.l_onoff != 0;
        s->linger_s = linger.l_linger < 0 ? 0 : (uint32_t)linger.l_linger;
        return 0;
    }
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
    case SO_PRIORITY:
    case SO_MARK:
    case SO_DONTROUTE:
    case SO_BUSY_POLL:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int qs_get_socket(const qs_sock *s, int name, void *value, socklen_t *len)
{
    switch (name) {
    case SO_TYPE:
        return qs_get_int(s->type, value, len);
    case SO_DOMAIN:
        return qs_get_int(s->domain, value, len);
    case SO_PROTOCOL:
        return qs_get_int(s->protocol, value, len);
    case SO_ACCEPTCONN:
        return qs_get_int(s->state == QS_LISTENING, value, len);
    case SO_ERROR:
        return qs_get_int(0, value, len);
    case SO_RCVBUF:
        return qs_get_int((int)s->rx.limit, value, len);
    case SO_SNDBUF:
        return qs_get_int((int)s->tx_limit, value, len);
    case SO_REUSEPORT:
        return qs_get_int(s->reuseport, value, len);
    case SO_RCVTIMEO:
        return qs_get_time(s->rcvtimeo_ns, value, len);
    case SO_SNDTIMEO:
        return qs_get_time(s->sndtimeo_ns, value, len);
    case SO_LINGER: {
        struct linger linger = {s->linger_on, (int)s->linger_s};
        return qs_get_bytes(&linger, sizeof(linger), value, len);
    }
    case SO_REUSEADDR:
    case SO_KEEPALIVE:
        return qs_get_int(0, value, len);
    default:
        return -ENOPROTOOPT;
    }
}

static int qs_set_ip(qs_sock *s, int level, int name, const void *value, size_t len)
{
    int number = 0;
    if (len < sizeof(number)) {
        return len >= 1 ? 0 : -EINVAL; /* some IP options take a byte */
    }
    memcpy(&number, value, sizeof(number));
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        if (s->bound || s->domain != AF_INET6) {
            return -EINVAL;
        }
        s->v6only = number != 0;
        return 0;
    }
    return 0; /* TOS, TTL, MTU discovery: the engine's sockets are shared and have their own */
}

/* ---- the calls ---------------------------------------------------------------------------------------------------- */

int qs_op_setsockopt(qs_sock *s, int level, int name, const void *value, socklen_t len)
{
    if (level != QS_SOL_QUIC && value == NULL) {
        return -EFAULT;
    }
    if (level == QS_SOL_QUIC) {
        qs_opt opt = qs_layout_opt(s->protocol, name);
        if (opt == QS_OPT_NONE) {
            return -ENOPROTOOPT;
        }
        if (len > QS_OPTION_LEN_MAX) {
            return -EINVAL;
        }
        bool takes_none = opt == QS_OPT_KEY_UPDATE || opt == QS_OPT_TOKEN;
        if (value == NULL && (len > 0 || !takes_none)) {
            return len > 0 ? -EFAULT : -EINVAL;
        }
        if (opt == QS_OPT_CRYPTO_SECRET || opt == QS_OPT_TRANSPORT_PARAM_EXT) {
            return qs_set_waiting(s, opt, value, len);
        }
        pthread_mutex_lock(&s->lock);
        int rc = qs_set_quic(s, opt, value, len);
        bool tell = rc == 0 && opt == QS_OPT_TRANSPORT_PARAM && s->state == QS_LISTENING;
        pthread_mutex_unlock(&s->lock);
        return tell ? qs_port_apply(s->port) : rc;
    }
    pthread_mutex_lock(&s->lock);
    int rc = level == SOL_SOCKET                            ? qs_set_socket(s, name, value, len)
             : level == IPPROTO_IP || level == IPPROTO_IPV6 ? qs_set_ip(s, level, name, value, len)
                                                            : -ENOPROTOOPT;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int qs_op_getsockopt(qs_sock *s, int level, int name, void *value, socklen_t *len)
{
    if (value == NULL || len == NULL) {
        return -EFAULT;
    }
    if ((int)*len < 0) {
        return -EINVAL;
    }
    if (level == QS_SOL_QUIC) {
        qs_opt opt = qs_layout_opt(s->protocol, name);
        if (opt == QS_OPT_STREAM_OPEN) {
            return qs_get_stream_open(s, value, len);
        }
        if (opt == QS_OPT_TRANSPORT_PARAM_EXT) {
            return qs_get_params_ext(s, value, len);
        }
        pthread_mutex_lock(&s->lock);
        int rc = qs_get_quic(s, opt, value, len);
        pthread_mutex_unlock(&s->lock);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    int rc = -ENOPROTOOPT;
    if (level == SOL_SOCKET) {
        rc = qs_get_socket(s, name, value, len);
    } else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        rc = qs_get_int(s->v6only, value, len);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}
