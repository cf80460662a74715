/* Socket options (draft section 6), in both layouts. */
#include "compat/core/opts.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QS_WINDOW_DEFAULT    (65536u * 32u)
#define QS_STREAM_DEFAULT    (65536u * 4u)
#define QS_IDLE_DEFAULT_US   30000000u
#define QS_OPTION_LEN_MAX    4096u
#define QS_SERVER_TICKET_LEN 64u

/* ---- defaults ---------------------------------------------------------------------------------------- */

void qs_opts_defaults(qs_sock *s)
{
    qs_params *p = &s->params;
    p->max_udp_payload_size = QS_PAYLOAD_MAX;
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
    s->sndbuf_set = listener->sndbuf_set;
    s->v6only = listener->v6only;
    s->reuseport = listener->reuseport;
    s->reuseaddr = listener->reuseaddr;
    s->keepalive = listener->keepalive;
    s->linger_on = listener->linger_on;
    s->linger_s = listener->linger_s;
    if (listener->ticket.len > 0) {
        (void)qs_blob_set(&s->ticket, listener->ticket.data, listener->ticket.len);
    }
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

void qs_blob_wipe(qs_blob *blob)
{
    if (blob->data != NULL) {
        explicit_bzero(blob->data, blob->len);
        free(blob->data);
        blob->data = NULL;
        blob->len = 0;
    }
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
    if (len < QS_CLOSE_DRAFT_SIZE) {
        return -EINVAL;
    }
    /* A phrase of the kernel's older layout stands where the newer has nothing. */
    const bool fixed = s->protocol == QS_PROTO_KERNEL &&
                       (len == QS_CLOSE_KERNEL_SIZE || ((const uint8_t *)value)[5] == 0);
    size_t head = fixed ? QS_CLOSE_KERNEL_HEAD : QS_CLOSE_DRAFT_HEAD;
    const char *phrase = (const char *)value + head;
    size_t room = len - head;
    size_t phrase_len = strnlen(phrase, room);
    if (phrase_len == room && len == QS_CLOSE_DRAFT_SIZE) { /* none: the structure's padding */
        phrase = "";
        phrase_len = 0;
    } else if (phrase_len == room || phrase_len > QS_PHRASE_LEN_MAX) {
        return -EINVAL; /* not ended, or too long */
    }
    memcpy(&s->close_errcode, value, 4);
    /* An application's close has none; CRYPTO says that this is a TLS library's alert (events.c). */
    uint8_t frame = ((const uint8_t *)value)[4];
    s->close_frame = frame == QS_FRAME_CRYPTO ? frame : 0;
    memcpy(s->close_phrase, phrase, phrase_len + 1);
    return 0;
}

static int qs_get_close(const qs_sock *s, void *value, socklen_t *len)
{
    const bool kernel = s->protocol == QS_PROTO_KERNEL;
    size_t head = kernel ? QS_CLOSE_KERNEL_HEAD : QS_CLOSE_DRAFT_HEAD;
    uint8_t w[QS_CLOSE_KERNEL_SIZE + sizeof(s->close_info.reason)];
    memset(w, 0, sizeof(w));
    const bool ended =
        s->conn_over && s->close_info.kind != QURING_CLOSE_LOCAL_APP; /* as the event */
    uint32_t errcode = ended ? qs_close_code(&s->close_info) : s->close_errcode;
    const char *phrase = ended ? s->close_info.reason : (const char *)s->close_phrase;
    size_t phrase_len = strlen(phrase);
    phrase_len = kernel && phrase_len > 63 ? 63 : phrase_len;
    memcpy(w, &errcode, 4);
    w[4] = ended ? qs_close_frame(&s->close_info) : s->close_frame;
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

/* draft section 6.1.6: what seals tickets at servers whose TLS comes from outside: the same for all sockets of
 * the process that have not been given another. */
static int qs_get_ticket_key(void *value, socklen_t *len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint8_t key[QS_SERVER_TICKET_LEN];
    static bool made;
    pthread_mutex_lock(&lock);
    made = made || getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key);
    bool there = made;
    pthread_mutex_unlock(&lock);
    return there ? qs_get_bytes(key, sizeof(key), value, len) : -EAGAIN;
}

static int qs_get_ticket(const qs_sock *s, void *value, socklen_t *len)
{
    if (s->is_server && s->ticket.len == 0) {
        return qs_get_ticket_key(value, len);
    }
    return qs_get_bytes(s->ticket.data, s->ticket.len, value, len);
}

static int qs_set_ticket(qs_sock *s, const void *value, size_t len)
{
    if (len == 0 || len > QS_TICKET_LEN_MAX || (s->is_server && len != QS_SERVER_TICKET_LEN)) {
        return -EINVAL;
    }
    int rc = qs_blob_set(&s->ticket, value, len);
    if (rc == 0 && s->state == QS_ESTABLISHED) { /* what the TLS library outside waited for */
        qs_item *item;
        s->ticket_came = true;
        while ((item = qs_rx_remove_crypto(s)) != NULL) {
            free(item);
        }
        qs_ready_update(s);
    }
    return rc;
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

int qs_get_bytes(const void *data, size_t have, void *value, socklen_t *len)
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
        bool had = stop ? qs_id_receives(s, w.stream_id) : qs_id_sends(s, w.stream_id);
        return had && qs_id_is_over(s, w.stream_id) ? qs_over_errno(s) : -EINVAL;
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
        return s->protocol == QS_PROTO_DRAFT ? qs_set_param_draft(s, value, len)
                                             : qs_set_param_kernel(s, value, len);
    case QS_OPT_CONFIG:
        return qs_set_config(s, value, len);
    case QS_OPT_TOKEN:
        if (s->is_server || len == 0 || len > QS_TOKEN_LEN_MAX) {
            return -EINVAL;
        }
        return qs_blob_set(&s->token_blob, value, len);
    case QS_OPT_ALPN:
        return qs_set_alpn(s, value, len);
    case QS_OPT_SESSION_TICKET:
        return qs_set_ticket(s, value, len);
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
        return s->protocol == QS_PROTO_DRAFT ? qs_get_param_draft(s, value, len)
                                             : qs_get_param_kernel(s, value, len);
    case QS_OPT_CONFIG:
        return qs_get_config(s, value, len);
    case QS_OPT_TOKEN:
        return s->is_server ? -EINVAL
                            : qs_get_bytes(s->token_blob.data, s->token_blob.len, value, len);
    case QS_OPT_ALPN:
        return qs_get_bytes(s->alpn, s->alpn_len, value, len);
    case QS_OPT_SESSION_TICKET:
        return qs_get_ticket(s, value, len);
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

/* ---- the calls --------------------------------------------------------------------------------------------------- */

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
        bool takes_none = opt == QS_OPT_KEY_UPDATE || opt == QS_OPT_TOKEN ||
                          opt == QS_OPT_TRANSPORT_PARAM_EXT; /* RFC 9000 18 */
        if (value == NULL && (len > 0 || !takes_none)) {
            return len > 0 ? -EFAULT : -EINVAL;
        }
        switch (opt) { /* those that wait for the worker */
        case QS_OPT_CRYPTO_SECRET:
        case QS_OPT_TRANSPORT_PARAM_EXT:
            return qs_set_handshake_opt(s, opt, value, len);
        case QS_OPT_KEY_UPDATE:
            return qs_verb_update_keys(s);
        case QS_OPT_CONNECTION_MIGRATION:
            return qs_verb_migrate(s, value, len);
        case QS_OPT_TOKEN:
            if (len == 0 && s->is_server) {
                return qs_verb_give_token(s);
            }
            break;
        default:
            break;
        }
        pthread_mutex_lock(&s->lock);
        int rc = qs_set_quic(s, opt, value, len);
        bool tell = rc == 0 && (opt == QS_OPT_TRANSPORT_PARAM || opt == QS_OPT_CONFIG) &&
                    s->state == QS_LISTENING;
        qs_unlock(s);
        return tell ? qs_port_apply(s->port) : rc;
    }
    pthread_mutex_lock(&s->lock);
    int rc = level == SOL_SOCKET                            ? qs_set_socket(s, name, value, len)
             : level == IPPROTO_IP || level == IPPROTO_IPV6 ? qs_set_ip(s, level, name, value, len)
                                                            : -ENOPROTOOPT;
    qs_unlock(s);
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
        qs_unlock(s);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    int rc = -ENOPROTOOPT;
    if (level == SOL_SOCKET) {
        rc = qs_get_socket(s, name, value, len);
    } else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        rc = qs_get_int(s->v6only, value, len);
    }
    qs_unlock(s);
    return rc;
}
