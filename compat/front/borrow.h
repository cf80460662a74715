/* compat/front/borrow.h: what the calls on a borrowed socket share (lend.h says what that is).
 *
 * Files:  borrow            borrowing, and the calls that ask once
 *         borrow_io         sending, receiving, accepting: those that wait for the descriptor
 *         borrow_handshake  handshakes
 */
#ifndef COMPAT_FRONT_BORROW_H
#define COMPAT_FRONT_BORROW_H

#include "compat/front/lend_wire.h"
#include "compat/front/table.h"

/* What the table has as the qs_sock of a borrowed socket. */
typedef struct qf_borrowed {
    uint32_t lender;
    uint32_t id; /* the lender's number for it; 0: it was given back; the way's lock */
    int fd;      /* one that stands for it; -1: none at the moment; the way's lock */
    ino_t ino;
    dev_t dev;
    qf_entry *entry;
} qf_borrowed;

static inline qf_borrowed *qf_borrowed_of(qs_sock *sock)
{
    return (qf_borrowed *)(void *)sock;
}

typedef struct qf_asking {
    qf_ask ask;
    int fds[QF_WIRE_FDS];
    uint32_t fd_count;
    int cancel;
    bool late; /* bytes were put at the descriptor, after what called for them */
} qf_asking;

/* A call: begin gives the body to fill in, with a lock that end gives back; now asks, and the body is what was told.
 * In between the thread is not cancelled. */
qf_body *qf_ask_begin(qf_borrowed *b, qf_asking *asking, qf_verb verb);
int64_t qf_ask_now(qf_borrowed *b, qf_asking *asking, qf_told *told, int *out_fd);
void qf_ask_end(qf_borrowed *b, const qf_asking *asking);

/* Whether a descriptor that comes with an answer would find room: 0, or -errno. */
int qf_has_spare(void);

/* The entry for what was lent; NULL: no memory. */
qf_entry *qf_borrowed_entry(uint32_t lender, const qf_told *told, int fd);

/* One that was lent and cannot be taken. */
void qf_give_back_lost(uint32_t lender, const qf_told *told);

/* Whether a name can be written there, and writing it: at most *len bytes, of which there are more then. */
int qf_name_room(const struct sockaddr *addr, const socklen_t *len);
void qf_name_out(struct sockaddr *addr, socklen_t *len, qf_body *body, const qf_told *told);

/* Of one call that has to wait; zeros. */
typedef struct qf_patience {
    uint64_t deadline_ns; /* by SO_RCVTIMEO or SO_SNDTIMEO; 0: none */
    bool known;
    bool looked;
    bool ends; /* there was a handler that ends calls, when it was looked */
    bool holds;
    uint32_t turns;
    sigset_t mask; /* with `holds`: the thread's, which holds signals back but where it waits */
} qf_patience;

/* Waits for POLLIN or POLLOUT, or with 0 for what no descriptor tells. 0: ask again; -EAGAIN: the time is over; -EINTR;
 * -EBADF. A point of cancellation. */
int qf_be_patient(qf_patience *p, qf_borrowed *b, short events);

/* In a call that may wait signals are held back but where it waits: from begin to end, with a question asked in between
 * from ask to asked. */
void qf_patience_begin(qf_patience *p);
void qf_patience_ask(qf_patience *p);
void qf_patience_asked(void);
void qf_patience_end(qf_patience *p);

int qf_borrowed_getsockopt(qs_sock *sock, int level, int name, void *value, socklen_t *len);
int qf_getsockopt_once(qf_borrowed *b, int level, int name, void *value, socklen_t *len,
                       bool *out_waits);
ssize_t qf_borrowed_sendmsg(qs_sock *sock, const struct msghdr *msg, int flags);
ssize_t qf_borrowed_recvmsg(qs_sock *sock, struct msghdr *msg, int flags);
int qf_borrowed_handshake(qs_sock *sock, const qs_handshake_args *args);

#endif /* COMPAT_FRONT_BORROW_H */
