/* compat/parts.h: the parts of a message (struct iovec), as the kernel judges them. */
#ifndef COMPAT_PARTS_H
#define COMPAT_PARTS_H

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define QS_IOV_MAX 1024u /* as Linux */

/* The bytes of all parts in *out. -EMSGSIZE, -EINVAL: too many of either; -EFAULT: a part is nowhere, and *out is
 * what it would be, as far as a size goes. */
static inline int qs_parts_total(const struct msghdr *msg, size_t *out)
{
    int rc = 0;
    *out = 0;
    if (msg->msg_iovlen > QS_IOV_MAX) {
        return -EMSGSIZE;
    }
    if (msg->msg_iovlen > 0 && msg->msg_iov == NULL) {
        return -EFAULT;
    }
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        if (iov->iov_len > (size_t)SSIZE_MAX - *out) {
            return rc != 0 ? rc : -EINVAL;
        }
        if (iov->iov_base == NULL && iov->iov_len > 0) {
            rc = -EFAULT;
        }
        *out += iov->iov_len;
    }
    return rc;
}

#endif /* COMPAT_PARTS_H */
