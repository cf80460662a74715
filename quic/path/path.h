/* quic/path/path.h: one network path: its addresses, the 3x credit before validation, and path
 * challenges to answer.
 *
 * Owner:  the connection.    Spec: RFC 9000 8.1, 8.2, 9.3.
 */
#ifndef QUIC_PATH_PATH_H
#define QUIC_PATH_PATH_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_AMPLIFICATION_FACTOR 3u
#define QUIC_PATH_RESPONSES_MAX   4u

typedef struct quic_path {
    quic_path_addr addr;
    bool validated; /* the peer's address is validated: no 3x limit */
    uint8_t response_count;
    uint8_t responses[QUIC_PATH_RESPONSES_MAX][8]; /* PATH_CHALLENGE data to send back */
    uint64_t bytes_recv; /* in datagrams attributed to us, until validated */
    uint64_t bytes_sent;
    uint32_t udp_payload_bytes; /* datagram size in use */
} quic_path;

static inline void quic_path_init(quic_path *path, const quic_path_addr *addr, bool validated,
                                  uint32_t udp_payload_bytes)
{
    memset(path, 0, sizeof(*path));
    path->addr = *addr;
    path->validated = validated;
    path->udp_payload_bytes = udp_payload_bytes;
}

static inline void quic_path_on_recv(quic_path *path, uint64_t bytes)
{
    path->bytes_recv += bytes;
}

static inline void quic_path_on_sent(quic_path *path, uint64_t bytes)
{
    path->bytes_sent += bytes;
}

/* quic_path_credit is the choke point of RFC 9000 8.1: how many bytes may leave now. */
static inline uint64_t quic_path_credit(const quic_path *path)
{
    if (path->validated) {
        return UINT64_MAX;
    }
    uint64_t allowed = path->bytes_recv * QUIC_AMPLIFICATION_FACTOR;
    return allowed > path->bytes_sent ? allowed - path->bytes_sent : 0;
}

/* quic_path_on_challenge remembers PATH_CHALLENGE data to answer; beyond QUIC_PATH_RESPONSES_MAX the
 * oldest is dropped (RFC 9000 8.2.2 asks for one answer each, a flood gets fewer). */
void quic_path_on_challenge(quic_path *path, const uint8_t data[8]);

/* quic_path_pop_response gives the oldest data to answer; false when there is none. */
bool quic_path_pop_response(quic_path *path, uint8_t out[8]);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_PATH_H */
