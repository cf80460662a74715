/* The options that every socket has: SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "compat/core/opts.h"

#define QS_TIME_MAX_S      ((time_t)1 << 33) /* longer is without a limit */
#define QS_TIME_AT_ONCE_NS 1u

int qs_get_int(int have, void *value, socklen_t *len)
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
    if (tv.tv_sec < 0) { /* as for TCP: not at all */
        *to = QS_TIME_AT_ONCE_NS;
    } else if (tv.tv_sec > QS_TIME_MAX_S) {
        *to = 0;
    } else {
        *to = (uint64_t)tv.tv_sec * QS_NS_PER_S + (uint64_t)tv.tv_usec * 1000;
    }
    return 0;
}

static int qs_get_time(uint64_t ns, void *value, socklen_t *len)
{
    struct timeval tv = {(time_t)(ns / QS_NS_PER_S), (suseconds_t)(ns % QS_NS_PER_S / 1000)};
    return qs_get_bytes(&tv, sizeof(tv), value, len);
}

static uint64_t qs_buf_size(int asked, uint32_t min)
{
    return qs_between(asked < 0 ? 0 : 2 * (uint64_t)asked, min, QS_BUF_MAX);
}

int qs_set_socket(qs_sock *s, int name, const void *value, size_t len)
{
    int number = 0;
    if (name == SO_RCVTIMEO) {
        return qs_set_time(&s->rcvtimeo_ns, value, len);
    }
    if (name == SO_SNDTIMEO) {
        return qs_set_time(&s->sndtimeo_ns, value, len);
    }
    if (name == SO_BINDTODEVICE || name == SO_MARK || name == SO_DONTROUTE) {
        return -ENOPROTOOPT; /* which way datagrams take: the engine's sockets are shared */
    }
    if (len < sizeof(number)) {
        return -EINVAL;
    }
    memcpy(&number, value, sizeof(number));
    switch (name) {
    case SO_RCVBUF:
        s->rx.limit = qs_buf_size(number, QS_RCVBUF_MIN);
        return 0;
    case SO_SNDBUF:
        s->sndbuf_set = true;
        s->tx_limit = qs_buf_size(number, QS_SNDBUF_MIN);
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
    case SO_REUSEADDR: /* QUIC sockets share ports by other rules (draft section 3.1.3) */
        s->reuseaddr = number != 0;
        return 0;
    case SO_KEEPALIVE: /* the idle timeout decides (RFC 9000 10.1) */
        s->keepalive = number != 0;
        return 0;
    case SO_PRIORITY:
    case SO_BUSY_POLL:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int qs_get_socket(const qs_sock *s, int name, void *value, socklen_t *len)
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
        return qs_get_int(s->reuseaddr, value, len);
    case SO_KEEPALIVE:
        return qs_get_int(s->keepalive, value, len);
    default:
        return -ENOPROTOOPT;
    }
}

int qs_set_ip(qs_sock *s, int level, int name, const void *value, size_t len)
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
