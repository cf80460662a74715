#include "runtime/server/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/server/error.h"

#define RT_HOST_LEN_MAX 255u /* RFC 1035 2.3.4, and more than any literal needs */

static const uint8_t rt_mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool rt_addr_is_usable(const quring_addr *addr)
{
    return addr->family == 4 || addr->family == 6;
}

quic_addr rt_addr_to_core(const quring_addr *addr)
{
    quic_addr out;
    memset(&out, 0, sizeof(out));
    out.port = addr->port;
    if (addr->family == 4) {
        out.family = 4;
        memcpy(out.ip, addr->ip, 4);
    } else if (addr->family == 6 &&
               memcmp(addr->ip, rt_mapped_prefix, sizeof(rt_mapped_prefix)) == 0) {
        out.family = 4;
        memcpy(out.ip, addr->ip + sizeof(rt_mapped_prefix), 4);
    } else if (addr->family == 6) {
        out.family = 6;
        out.scope_id = addr->scope_id;
        memcpy(out.ip, addr->ip, 16);
    }
    return out;
}

quring_addr rt_addr_from_core(const quic_addr *addr)
{
    quring_addr out;
    memset(&out, 0, sizeof(out));
    out.family = addr->family;
    out.port = addr->port;
    out.scope_id = addr->scope_id;
    memcpy(out.ip, addr->ip, sizeof(out.ip));
    return out;
}

/* ---- text to address --------------------------------------------------------------------------- */

typedef struct rt_host_port {
    char host[RT_HOST_LEN_MAX + 1];
    uint16_t port;
    bool literal6; /* was written in brackets */
} rt_host_port;

static bool rt_port_parse(uint16_t *out, const char *text)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; text[digits] != '\0'; digits++) {
        if (text[digits] < '0' || text[digits] > '9' || digits == 5) {
            return false;
        }
        value = value * 10 + (uint32_t)(text[digits] - '0');
    }
    if (digits == 0 || value > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)value;
    return true;
}

/* Splits "host", "host:port", "[v6]", "[v6]:port", and a bare IPv6 literal (two colons or more). */
static bool rt_host_port_split(rt_host_port *out, const char *text, uint16_t default_port)
{
    const char *host = text;
    const char *host_end;
    const char *port = NULL;
    out->port = default_port;
    out->literal6 = text[0] == '[';
    if (out->literal6) {
        host = text + 1;
        host_end = strchr(host, ']');
        if (host_end == NULL || (host_end[1] != '\0' && host_end[1] != ':')) {
            return false;
        }
        port = host_end[1] == ':' ? host_end + 2 : NULL;
    } else {
        const char *colon = strchr(text, ':');
        bool one_colon = colon != NULL && strchr(colon + 1, ':') == NULL;
        out->literal6 = colon != NULL && !one_colon;
        host_end = one_colon ? colon : text + strlen(text);
        port = one_colon ? colon + 1 : NULL;
    }
    size_t len = (size_t)(host_end - host);
    if (len == 0 || len > RT_HOST_LEN_MAX) {
        return false;
    }
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    return port == NULL || rt_port_parse(&out->port, port);
}

static bool rt_addr_from_sockaddr(quring_addr *out, const struct sockaddr *sa, uint16_t port)
{
    quring_addr addr;
    memset(&addr, 0, sizeof(addr));
    addr.port = port;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        addr.family = 4;
        memcpy(addr.ip, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        addr.family = 6;
        addr.scope_id = in6.sin6_scope_id;
        memcpy(addr.ip, &in6.sin6_addr, 16);
    } else {
        return false;
    }
    /* The round trip turns an IPv4-mapped address into its IPv4 form. */
    quic_addr core = rt_addr_to_core(&addr);
    *out = rt_addr_from_core(&core);
    return true;
}

quring_status quring_addr_parse(quring_addr *out, const char *text, uint16_t default_port,
                                quring_error *err)
{
    size_t count = 0;
    return quring_addr_resolve(out, 1, &count, text, default_port, err);
}

quring_status quring_addr_resolve(quring_addr *out, size_t cap, size_t *out_count, const char *text,
                                  uint16_t default_port, quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || cap == 0 || out_count == NULL || text == NULL) {
        return rt_error_set(err, QURING_E_NAME, "no address text given, or no place for addresses");
    }
    *out_count = 0;
    rt_host_port hp;
    if (!rt_host_port_split(&hp, text, default_port)) {
        return rt_error_set(
            err, QURING_E_NAME,
            "\"%.100s\" is not an address: write host:port, 127.0.0.1:4433 or [::1]:4433", text);
    }
    struct addrinfo hints;
    memset(&hints, 0, sizeof(hints));
    hints.ai_family = hp.literal6 ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = hp.literal6 ? AI_NUMERICHOST : 0;
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(hp.host, NULL, &hints, &list);
    if (rc != 0) {
        return rt_error_set(err, QURING_E_NAME, "\"%.100s\" cannot be resolved: %s", hp.host,
                            gai_strerror(rc));
    }
    size_t count = 0;
    for (const struct addrinfo *ai = list; ai != NULL && count < cap; ai = ai->ai_next) {
        count += rt_addr_from_sockaddr(&out[count], ai->ai_addr, hp.port) ? 1 : 0;
    }
    freeaddrinfo(list);
    *out_count = count;
    if (count == 0) {
        return rt_error_set(err, QURING_E_NAME, "\"%.100s\" has no IPv4 or IPv6 address", hp.host);
    }
    return QURING_OK;
}

/* ---- address to text --------------------------------------------------------------------------- */

const char *quring_addr_format(const quring_addr *addr, char *buf, size_t buf_len)
{
    if (buf == NULL || buf_len == 0) {
        return buf;
    }
    char ip[INET6_ADDRSTRLEN];
    if (addr == NULL || !rt_addr_is_usable(addr)) {
        snprintf(buf, buf_len, "none");
    } else if (addr->family == 4) {
        inet_ntop(AF_INET, addr->ip, ip, sizeof(ip));
        snprintf(buf, buf_len, "%s:%u", ip, (unsigned)addr->port);
    } else {
        inet_ntop(AF_INET6, addr->ip, ip, sizeof(ip));
        if (addr->scope_id != 0) {
            snprintf(buf, buf_len, "[%s%%%u]:%u", ip, (unsigned)addr->scope_id,
                     (unsigned)addr->port);
        } else {
            snprintf(buf, buf_len, "[%s]:%u", ip, (unsigned)addr->port);
        }
    }
    return buf;
}
