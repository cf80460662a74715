#include "tools/quicperf/sockets/target.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QP_ADDRESSES_MAX 8u
#define QP_REFUSAL_MS    50

static socklen_t qp_sockaddr_of(struct sockaddr_storage *out, const quring_addr *addr)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope_id};
    memcpy(&in6.sin6_addr, addr->ip, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

/* Nobody listens there, or there is no way there. Silence is no refusal. */
static bool qp_refuses(const quring_addr *addr)
{
    struct sockaddr_storage to;
    const socklen_t len = qp_sockaddr_of(&to, addr);
    const int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return true;
    }
    bool refused = connect(fd, (const struct sockaddr *)&to, len) != 0 || send(fd, "", 1, 0) < 0;
    if (!refused) {
        struct pollfd wait = {.fd = fd};
        refused = poll(&wait, 1, QP_REFUSAL_MS) == 1 && (wait.revents & POLLERR) != 0;
    }
    (void)close(fd);
    return refused;
}

quring_status qp_target_find(quring_addr *out, const char *text, uint16_t default_port,
                             quring_error *err)
{
    quring_addr all[QP_ADDRESSES_MAX];
    size_t count = 0;
    const quring_status status =
        quring_addr_resolve(all, QP_ADDRESSES_MAX, &count, text, default_port, err);
    if (status != QURING_OK) {
        return status;
    }
    *out = all[0];
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !qp_refuses(&all[i])) {
            *out = all[i];
            break;
        }
    }
    return QURING_OK;
}
