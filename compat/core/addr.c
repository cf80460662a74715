/* Addresses between the program's structures and the engine's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "compat/core/sock.h"

static const uint8_t qs_v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int qs_addr_in(quring_addr *out, const struct sockaddr *addr, socklen_t len)
{
    sa_family_t family;
    if (addr == NULL || len < sizeof(family)) {
        return -EINVAL;
    }
    memcpy(&family, &addr->sa_family, sizeof(family));
    memset(out, 0, sizeof(*out));
    if (family == AF_INET) {
        struct sockaddr_in in;
        if (len < sizeof(in)) {
            return -EINVAL;
        }
        memcpy(&in, addr, sizeof(in));
        out->family = 4;
        memcpy(out->ip, &in.sin_addr, 4);
        out->port = ntohs(in.sin_port);
        return 0;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 in6;
        if (len < 24) { /* without sin6_scope_id: RFC 2133 */
            return -EINVAL;
        }
        memset(&in6, 0, sizeof(in6));
        memcpy(&in6, addr, len < sizeof(in6) ? len : sizeof(in6));
        out->port = ntohs(in6.sin6_port);
        if (memcmp(&in6.sin6_addr, qs_v4_mapped, sizeof(qs_v4_mapped)) == 0) {
            out->family = 4;
            memcpy(out->ip, (const uint8_t *)&in6.sin6_addr + sizeof(qs_v4_mapped), 4);
            return 0;
        }
        out->family = 6;
        memcpy(out->ip, &in6.sin6_addr, 16);
        out->scope_id = in6.sin6_scope_id;
        return 0;
    }
    return -EAFNOSUPPORT;
}

static socklen_t qs_addr_fill(struct sockaddr_storage *to, const quring_addr *in)
{
    memset(to, 0, sizeof(*to));
    if (in->family == 6) {
        struct sockaddr_in6 in6;
        memset(&in6, 0, sizeof(in6));
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(in->port);
        memcpy(&in6.sin6_addr, in->ip, 16);
        in6.sin6_scope_id = in->scope_id;
        memcpy(to, &in6, sizeof(in6));
        return sizeof(in6);
    }
    struct sockaddr_in in4;
    memset(&in4, 0, sizeof(in4));
    in4.sin_family = AF_INET;
    in4.sin_port = htons(in->port);
    memcpy(&in4.sin_addr, in->ip, 4);
    memcpy(to, &in4, sizeof(in4));
    return sizeof(in4);
}

int qs_addr_room(const struct sockaddr *addr, const socklen_t *len)
{
    return addr == NULL || len == NULL ? -EFAULT : (int)*len < 0 ? -EINVAL : 0;
}

void qs_addr_out(struct sockaddr *addr, socklen_t *len, const quring_addr *in)
{
    struct sockaddr_storage whole;
    socklen_t size = qs_addr_fill(&whole, in);
    memcpy(addr, &whole, *len < size ? *len : size);
    *len = size;
}

bool qs_addr_equal(const quring_addr *a, const quring_addr *b)
{
    return a->family == b->family && a->port == b->port && a->scope_id == b->scope_id &&
           memcmp(a->ip, b->ip, a->family == 6 ? 16 : 4) == 0;
}

bool qs_addr_is_any(const quring_addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == 6 ? 16 : 4) == 0;
}

int qs_addr_route(quring_addr *out, const quring_addr *remote)
{
    struct sockaddr_storage to;
    struct sockaddr_storage from;
    socklen_t len = qs_addr_fill(&to, remote);
    socklen_t from_len = sizeof(from);
    int fd = socket(remote->family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int rc = connect(fd, (const struct sockaddr *)&to, len) != 0 ||
                     getsockname(fd, (struct sockaddr *)&from, &from_len) != 0
                 ? -errno
                 : 0;
    close(fd);
    return rc != 0 ? rc : qs_addr_in(out, (const struct sockaddr *)&from, from_len);
}
