/* tools/quicperf/sockets/conn.h: QUIC sockets set up as the options say, both roles.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_CONN_H
#define TOOLS_QUICPERF_SOCKETS_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quring/base.h"

#include "tools/quicperf/options.h"
#include "tools/quicperf/sockets/lib.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_MESSAGE_BYTES (64u * 1024u)

/* The two files of a handshake: the options', or ones that exist in memory only. */
typedef struct qp_identity {
    char cert[64];
    char key[64];
    int fds[2]; /* -1: the options' files */
    const char *cert_file;
    const char *key_file;
} qp_identity;

bool qp_identity_open(qp_identity *out, const qp_options *options, char *why, size_t cap);
void qp_identity_close(qp_identity *identity);

/* qp_sock_connect connects and does the handshake; `name` is what the certificate must say where it is
 * verified (NULL: an address). *out_fd is the descriptor, -1 for none, as soon as there is one: another
 * thread may shut it down, and the caller closes it, also after a failure. */
bool qp_sock_connect(_Atomic int *out_fd, const qp_lib *lib, const qp_options *options,
                     const quring_addr *peer, const char *name, char *why, size_t cap);

/* qp_sock_listen gives a descriptor that listens on `addr`, -1 with one line in `why`; *out_port is the
 * port. */
int qp_sock_listen(const qp_lib *lib, const qp_options *options, const quring_addr *addr,
                   uint16_t *out_port, char *why, size_t cap);

/* What a connection says about itself. */
typedef struct qp_sock_facts {
    uint32_t version; /* of QUIC: 1, 2; 0: not known */
    bool unencrypted; /* both sides want 1-RTT packets in the clear */
} qp_sock_facts;

void qp_sock_facts_get(qp_sock_facts *out, const qp_lib *lib, int fd);

/* qp_sock_unacked is how many bytes the peer has not acknowledged yet. */
uint64_t qp_sock_unacked(const qp_lib *lib, int fd);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_CONN_H */
