/* The options of a handshake that another TLS library does (draft sections 6.1.7 and 6.1.8). */
#include <errno.h>
#include <string.h>

#include "compat/core/opts.h"

#define QS_PARAMS_EXT_MAX 512u

uint16_t qs_suite_of(uint32_t type)
{
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
    uint16_t suite = qs_suite_of(type);
    size_t secret_len = suite == 0x1302 ? 48 : 32;
    if (level > QS_LEVEL_EARLY || levels[level] < 0 || suite == 0) {
        return -EINVAL;
    }
    return qs_hs_secret(s, (quring_level)levels[level], send ? QURING_DIR_WRITE : QURING_DIR_READ,
                        suite, secret, secret_len);
}

/* Options that wait for the worker, or for the peer; no lock held. */
int qs_set_handshake_opt(qs_sock *s, qs_opt opt, const void *value, size_t len)
{
    pthread_mutex_lock(&s->lock);
    bool connecting = s->state == QS_CONNECTING;
    qs_unlock(s);
    if (!connecting) {
        return -EINVAL;
    }
    return opt == QS_OPT_CRYPTO_SECRET ? qs_set_secret(s, value, len)
                                       : qs_hs_set_params(s, value, len);
}

int qs_get_params_ext(qs_sock *s, void *value, socklen_t *len)
{
    uint8_t buf[QS_PARAMS_EXT_MAX];
    size_t have = 0;
    pthread_mutex_lock(&s->lock);
    bool ended = s->shut_wr && !s->peer_params_set; /* by the program, before a handshake */
    bool connecting = s->state == QS_CONNECTING;
    qs_unlock(s);
    if (ended) {
        return -EPIPE;
    }
    if (!connecting) {
        return -EINVAL; /* draft section 6.1.8: only for doing handshakes */
    }
    int rc = qs_hs_get_params(s, buf, &have, sizeof(buf));
    return rc != 0 ? rc : qs_get_bytes(buf, have, value, len);
}
