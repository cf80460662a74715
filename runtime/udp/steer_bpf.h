/* runtime/udp/steer_bpf.h: the kernel hands a datagram to the worker that its destination connection
 * ID names: classic BPF on a SO_REUSEPORT group.
 *
 * Rule:   the last byte of the DCID, modulo the number of sockets. A long header tells the DCID's length, in
 *         a short one it is that of all our connection IDs (quic/path/cid_format.h). The index is the order of bind,
 *         so worker i's socket is bound i-th and no socket of the group is closed or connected while others live.
 * Spec:   RFC 8999 5.1, 5.2. Needs no privilege.
 */
#ifndef RUNTIME_UDP_STEER_BPF_H
#define RUNTIME_UDP_STEER_BPF_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_steer_attach installs the program for `worker_count` (1..64) sockets on the group that `fd`
 * belongs to, with connection IDs of `cid_len` (1..20) bytes. Returns 0 or a negative errno; without it the kernel
 * spreads by address hash and misrouted datagrams are forwarded between workers. */
QUIC_NODISCARD int rt_steer_attach(int fd, uint32_t worker_count, uint32_t cid_len);

/* rt_steer_pick is the same rule in C: the index for a datagram; worker_count when the datagram is
 * too short for it (the kernel then falls back to its hash). */
uint32_t rt_steer_pick(const uint8_t *data, size_t len, uint32_t worker_count, uint32_t cid_len);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_STEER_BPF_H */
