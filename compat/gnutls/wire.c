/* The options of a handshake in one layout: compiled once for each. */
#define QUIC_NO_GNUTLS
#include "compat/gnutls/wire.h"

#include <errno.h>
#include <netinet/quic.h>
#include <string.h>

/* The settings stand in a structure of their own, or among the parameters. */
#if QUIC_SOCKET_API == 2
#define QG_WIRE         qg_wire_kernel
#define QG_SETTINGS     struct quic_config
#define QG_OPT_SETTINGS QUIC_SOCKOPT_CONFIG
#else
#define QG_WIRE         qg_wire_draft
#define QG_SETTINGS     struct quic_transport_param
#define QG_OPT_SETTINGS QUIC_SOCKOPT_TRANSPORT_PARAM
#endif

#define QG_CLOSE_MAX 256u

_Static_assert((int)QG_APP == (int)QUIC_CRYPTO_APP && (int)QG_INITIAL == (int)QUIC_CRYPTO_INITIAL &&
                   (int)QG_HANDSHAKE == (int)QUIC_CRYPTO_HANDSHAKE &&
                   (int)QG_EARLY == (int)QUIC_CRYPTO_EARLY,
               "levels as the socket counts them");
_Static_assert((int)QG_AES_GCM_128 == TLS_CIPHER_AES_GCM_128 &&
                   (int)QG_CHACHA20_POLY1305 == TLS_CIPHER_CHACHA20_POLY1305,
               "ciphers as the socket counts them");

static int get(int sd, int name, void *value, socklen_t *len)
{
    return getsockopt(sd, SOL_QUIC, name, value, len) == 0 ? 0 : -errno;
}

static int set(int sd, int name, const void *value, size_t len)
{
    return setsockopt(sd, SOL_QUIC, name, value, (socklen_t)len) == 0 ? 0 : -errno;
}

static int get_settings(int sd, qg_settings *out)
{
    QG_SETTINGS s;
    socklen_t len = sizeof(s);
    memset(&s, 0, sizeof(s));
    int rc = get(sd, QG_OPT_SETTINGS, &s, &len);
    out->cipher_type = s.payload_cipher_type;
    out->certificate_request = s.certificate_request;
    out->wants_ticket = s.receive_session_ticket != 0;
    out->version = s.version;
    return rc;
}

static int get_limits(int sd, bool remote, qg_limits *out)
{
    struct quic_transport_param p;
    socklen_t len = sizeof(p);
    memset(&p, 0, sizeof(p));
    p.remote = remote ? 1 : 0;
    int rc = get(sd, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, &len);
    *out = (qg_limits){
        .max_data = p.max_data,
        .max_stream_data = {p.max_stream_data_bidi_local, p.max_stream_data_bidi_remote,
                            p.max_stream_data_uni},
        .max_streams = {p.max_streams_bidi, p.max_streams_uni},
        .max_datagram = p.max_datagram_frame_size,
        .connection_ids = p.active_connection_id_limit,
    };
    return rc;
}

static int set_secret(int sd, int level, bool send, uint32_t cipher_type, const void *secret,
                      size_t len)
{
    struct quic_crypto_secret s;
    if (len > sizeof(s.secret)) {
        return -EINVAL;
    }
    memset(&s, 0, sizeof(s));
    s.level = (uint8_t)level;
    s.send = send ? 1 : 0;
    s.type = cipher_type;
    memcpy(s.secret, secret, len);
    int rc = set(sd, QUIC_SOCKOPT_CRYPTO_SECRET, &s, sizeof(s));
    explicit_bzero(&s, sizeof(s));
    return rc;
}

static int number_of(qg_option option)
{
    static const int numbers[] = {[QG_OPT_ALPN] = QUIC_SOCKOPT_ALPN,
                                  [QG_OPT_TOKEN] = QUIC_SOCKOPT_TOKEN,
                                  [QG_OPT_TICKET] = QUIC_SOCKOPT_SESSION_TICKET,
                                  [QG_OPT_PARAMS] = QUIC_SOCKOPT_TRANSPORT_PARAM_EXT};
    return numbers[option];
}

static int get_bytes(int sd, qg_option option, void *buf, size_t *len)
{
    socklen_t room = (socklen_t)*len;
    int rc = get(sd, number_of(option), buf, &room);
    *len = rc == 0 ? room : 0;
    return rc;
}

static int set_bytes(int sd, qg_option option, const void *data, size_t len)
{
    return set(sd, number_of(option), data, len);
}

static int get_close(int sd, qg_close *out)
{
    const size_t phrase_at = offsetof(struct quic_connection_close, phrase);
    uint8_t info[QG_CLOSE_MAX];
    socklen_t len = sizeof(info);
    int rc = get(sd, QUIC_SOCKOPT_CONNECTION_CLOSE, info, &len);
    memset(out, 0, sizeof(*out));
    if (rc == 0 && len >= phrase_at) {
        memcpy(&out->code, info + offsetof(struct quic_connection_close, errcode),
               sizeof(out->code));
        out->frame = info[offsetof(struct quic_connection_close, frame)];
        const size_t phrase_len = len - phrase_at;
        const size_t room = sizeof(out->phrase) - 1;
        memcpy(out->phrase, info + phrase_at, phrase_len < room ? phrase_len : room);
    }
    return rc;
}

static int set_close(int sd, uint32_t code)
{
    struct quic_connection_close info;
    memset(&info, 0, sizeof(info));
    info.errcode = code;
    info.frame = QG_FRAME_CRYPTO;
    return set(sd, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, sizeof(info));
}

const qg_wire QG_WIRE = {
    .keeps_tickets = QUIC_SOCKET_API == 2,
    .get_settings = get_settings,
    .get_limits = get_limits,
    .set_secret = set_secret,
    .get_bytes = get_bytes,
    .set_bytes = set_bytes,
    .get_close = get_close,
    .set_close = set_close,
};
