/* compat/front/borrow.h: what the calls on a borrowed socket share (lend.h says what that is).
 *
 * Files:  borrow       borrowing, and the calls that ask once
 *         borrow_io    sending, receiving, handshakes: those that wait
 */
#ifndef COMPAT_FRONT_BORROW_H
#define COMPAT_FRONT_BORROW_H

#include "compat/front/lend_wire.h"
#include "compat/front/table.h"

/* What the table has as the qs_sock of a borrowed socket. */
typedef struct qf_borrowed {
    uint32_t lender;
    uint32_t id; /* the lender's number for it */
    int fd;      /* one that stands for it; -1: none at the moment; the way's lock */
    ino_t ino;
    dev_t dev;
    qf_entry *entry;
} qf_borrowed;

typedef struct qf_asking {
    qf_ask ask;
    int fds[QF_WIRE_FDS];
    uint32_t fd_count;
    int cancel;
} qf_asking;

/* A call: begin gives the body to fill in, with a lock that end gives back; now asks, and the body is what was told.
 * In between the thread is not cancelled. */
qf_body *qf_ask_begin(qf_borrowed *b, qf_asking *asking, qf_verb verb);
int64_t qf_ask_now(qf_borrowed *b, const qf_asking *asking, qf_told *told, int *out_fd);
void qf_ask_end(qf_borrowed *b, const qf_asking *asking);

/* After EAGAIN: waits for POLLIN or POLLOUT, at most until `deadline_ns` of the monotonic clock (0: for ever). 0: ask
 * again; -EAGAIN: the socket does not block, or the time is over; -EINTR. A point of cancellation. */
int qf_borrowed_wait(const qf_borrowed *b, short events, uint64_t deadline_ns);
/* The same for an option that waits for the peer, which no descriptor tells. */
int qf_borrowed_nap(const qf_borrowed *b, int level, int name);

ssize_t qf_borrowed_sendmsg(qs_sock *sock, const struct msghdr *msg, int flags);
ssize_t qf_borrowed_recvmsg(qs_sock *sock, struct msghdr *msg, int flags);
int qf_borrowed_handshake(qs_sock *sock, const qs_handshake_args *args);

#endif /* COMPAT_FRONT_BORROW_H */
