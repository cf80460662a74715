/* tools/quicperf/tcp/link.h: TLS 1.3 over one non-blocking TCP socket: the control QUIC is measured
 * against.
 *
 * Shape:  BoringSSL reads from and writes to a buffer of many records, so that one system call moves
 *         QP_TCP_BUFFER bytes as it would in a server written for throughput.
 * Owner:  one thread.
 */
#ifndef TOOLS_QUICPERF_TCP_LINK_H
#define TOOLS_QUICPERF_TCP_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quring/base.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_TCP_BUFFER (256u * 1024u)

typedef struct qp_tcp_tls qp_tcp_tls; /* certificates and settings of one side */

typedef enum qp_tcp_rc {
    QP_TCP_OK,
    QP_TCP_AGAIN, /* when the socket is ready */
    QP_TCP_END,   /* the peer has closed */
    QP_TCP_FAILED
} qp_tcp_rc;

typedef struct qp_tcp_link {
    int fd;
    void *ssl;
    uint8_t *in;
    uint8_t *out;
    uint32_t in_at;
    uint32_t in_len;
    uint32_t out_at;
    uint32_t out_len;
    bool ended;
    bool wants_write;         /* AGAIN is for the socket to take more */
    uint64_t written;         /* bytes of the application */
    _Atomic uint64_t flushed; /* of these, handed to the kernel; other threads may read it */
    char error[160];
} qp_tcp_link;

/* qp_tcp_tls_create takes --cert, --key, --ca and --insecure as quicperf does for QUIC; `peer` is the
 * server's address at a client, NULL at a server. NULL with one line in `error`. */
qp_tcp_tls *qp_tcp_tls_create(const qp_options *options, const quring_addr *peer, char *error,
                              size_t cap);
void qp_tcp_tls_free(qp_tcp_tls *tls);

/* qp_tcp_tls_swap gives a server, for connections to come, the certificate and key of `fresh`, which it frees. From
 * any thread. */
void qp_tcp_tls_swap(qp_tcp_tls *tls, qp_tcp_tls *fresh);

/* qp_tcp_cc_set gives `fd`, and what a listener accepts, the kernel's congestion control of this name; NULL leaves the
 * system's. False: errno says why. qp_tcp_cc_check says before the first connection that there is none of that name:
 * false with one line in `error`. */
bool qp_tcp_cc_set(int fd, const char *name);
bool qp_tcp_cc_check(const char *name, char *error, size_t cap);

/* qp_tcp_link_open takes over `fd` (closed by qp_tcp_link_close, also when opening fails);
 * `server_name` is what a client verifies, or NULL. Returns false without memory. */
bool qp_tcp_link_open(qp_tcp_link *link, qp_tcp_tls *tls, int fd, const char *server_name);
void qp_tcp_link_close(qp_tcp_link *link);

/* These go as far as the socket lets them. OK: the handshake is complete; at least one byte was read;
 * everything was taken (though perhaps not sent: flush); everything has left. */
qp_tcp_rc qp_tcp_link_handshake(qp_tcp_link *link);
qp_tcp_rc qp_tcp_link_read(qp_tcp_link *link, size_t *got, uint8_t *to, size_t cap);
qp_tcp_rc qp_tcp_link_write(qp_tcp_link *link, size_t *taken, const uint8_t *data, size_t len);
qp_tcp_rc qp_tcp_link_flush(qp_tcp_link *link);

/* qp_tcp_link_acked is how many of the written bytes the peer's TCP has acknowledged (a little less: what
 * has not been counts with its TLS overhead). From any thread. */
uint64_t qp_tcp_link_acked(const qp_tcp_link *link);

/* What the kernel and TLS know of a link. */
typedef struct qp_tcp_facts {
    uint64_t rtt_ns;
    uint64_t min_rtt_ns;
    uint64_t cwnd_bytes;
    uint64_t retransmits;
    char cc[16];
    char cipher[40];
} qp_tcp_facts;
void qp_tcp_link_facts(const qp_tcp_link *link, qp_tcp_facts *out);
uint64_t qp_tcp_link_retransmits(const qp_tcp_link *link);

/* The request of the "perf" protocol, over TCP, which has no ends of streams: how many bytes to answer,
 * then how many bytes of payload follow (either may be QP_ENDLESS), 8 bytes each. */
#define QP_TCP_HEADER_LEN 16u

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TCP_LINK_H */
