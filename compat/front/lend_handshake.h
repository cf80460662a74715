/* compat/front/lend_handshake.h: handshakes that a child asks for, each in a thread of its lender.
 *
 * Shape:  what was said (QF_SAYS_*) as strings in the order of the bits, each with its zero. Files are the child's to
 *         open, with its rights, and come as descriptors: the key's, then the certificate's.
 * Result: 0 or -errno, as an int64_t over the first descriptor.
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

/* 0: its result will come; -errno. */
int64_t qf_lend_handshake(qf_lend_call *call);

#endif /* COMPAT_FRONT_LEND_HANDSHAKE_H */
