/* compat/front/lend_handshake.h: handshakes that a child asks for, each in a thread of its lender.
 *
 * Shape:  the data is a head, then the name and the protocols as strings, each with its zero, where there are any, then
 *         what is in the files of the key and of the certificate: those are the child's to read, with its rights.
 * Result: 0 or -errno, as an int64_t over the descriptor that goes with the answer, and then its end. The lender makes
 *         both ends: what it has of a child's it would have to close, too, which may take as long as the child likes.
 * Secret: the key is wiped wherever it was.
 */
#ifndef COMPAT_FRONT_LEND_HANDSHAKE_H
#define COMPAT_FRONT_LEND_HANDSHAKE_H

#include "compat/front/lend_call.h"

enum {
    QF_SAYS_NAME = 1 << 0,
    QF_SAYS_ALPN = 1 << 1,
    QF_SAYS_KEY = 1 << 2,
    QF_SAYS_CERT = 1 << 3,
    QF_SAYS_SERVER = 1 << 4,
};

typedef struct qf_handshake_head {
    uint32_t says; /* QF_SAYS_* */
    uint32_t timeout_ms;
    uint32_t key_len;
    uint32_t cert_len;
} qf_handshake_head;

/* 0: its result will come; -errno, -EAGAIN for one too many at once. */
int64_t qf_lend_handshake(qf_lend_call *call);
/* In a child of fork: it has none of its parent's threads. */
void qf_lend_handshake_in_child(void);

#endif /* COMPAT_FRONT_LEND_HANDSHAKE_H */
