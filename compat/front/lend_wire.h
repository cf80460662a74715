/* compat/front/lend_wire.h: what a child of fork and its lender say to each other, over SOCK_SEQPACKET.
 *
 * Shape:  a head, then control, name, data, as long as the head says; descriptors beside it. Both ends are the same
 *         program: numbers are the host's.
 * Bounds: QF_WIRE_*; a longer message breaks the connection.
 */
#ifndef COMPAT_FRONT_LEND_WIRE_H
#define COMPAT_FRONT_LEND_WIRE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define QF_WIRE_DATA    65536u
#define QF_WIRE_CONTROL 4096u
#define QF_WIRE_NAME    128u
#define QF_WIRE_FDS     1u

typedef enum qf_verb {
    QF_VERB_BORROW = 1, /* fds: the program's descriptor; told: id, protocol */
    QF_VERB_RETURN,
    QF_VERB_WAY, /* told: the end for a child's child */
    QF_VERB_BIND,
    QF_VERB_LISTEN,
    QF_VERB_ACCEPT, /* told: id, protocol, and the new descriptor */
    QF_VERB_CONNECT,
    QF_VERB_SHUTDOWN,
    QF_VERB_NAME,
    QF_VERB_SEND,
    QF_VERB_RECV,
    QF_VERB_SET,
    QF_VERB_GET,
    QF_VERB_NONBLOCK,
    QF_VERB_COUNT,
    QF_VERB_EDGES,
    QF_VERB_FIX,
    QF_VERB_HANDSHAKE, /* told: where its result comes; lend_handshake.h */
} qf_verb;

typedef struct qf_part_lens {
    uint32_t control;
    uint32_t name;
    uint32_t data;
} qf_part_lens;

typedef struct qf_ask {
    uint32_t verb;
    uint32_t id;
    int32_t arg[2];
    uint64_t stream_id; /* RECV: the only one to be read, UINT64_MAX for any */
    qf_part_lens len;
    qf_part_lens room; /* for what comes back */
} qf_ask;

typedef struct qf_told {
    int64_t result; /* or -errno */
    uint64_t stream_id;
    uint32_t id;
    int32_t protocol;
    int32_t flags;  /* of the message received */
    uint32_t take;  /* bytes that the asker takes from the descriptor, ... */
    uint32_t put;   /* ... and puts there, for it to tell the truth */
    uint32_t waits; /* EAGAIN is what who does not wait is told */
    qf_part_lens len;
} qf_told;

typedef struct qf_body {
    _Alignas(16) uint8_t bytes[QF_WIRE_CONTROL + QF_WIRE_NAME + QF_WIRE_DATA];
} qf_body;

static inline uint8_t *qf_body_control(qf_body *body)
{
    return body->bytes;
}

static inline uint8_t *qf_body_name(qf_body *body, const qf_part_lens *len)
{
    return body->bytes + len->control;
}

static inline uint8_t *qf_body_data(qf_body *body, const qf_part_lens *len)
{
    return body->bytes + len->control + len->name;
}

static inline bool qf_lens_fit(const qf_part_lens *len)
{
    return len->control <= QF_WIRE_CONTROL && len->name <= QF_WIRE_NAME &&
           len->data <= QF_WIRE_DATA;
}

static inline uint32_t qf_lens_total(const qf_part_lens *len)
{
    return len->control + len->name + len->data;
}

/* Both ends of a way, whose buffers hold the longest message; as socketpair. */
int qf_wire_pair(int ends[2]);

/* Both take `head_len` bytes of head. qf_wire_send: 0, or -errno; never waits with `dontwait`. qf_wire_recv: the body's
 * length; 0 descriptors or more in fds[], which are the caller's then; -errno; -EPIPE when nobody is there any more,
 * -EBADMSG when it is no message of this kind. */
int qf_wire_send(int fd, const void *head, size_t head_len, const qf_body *body, size_t body_len,
                 const int *fds, uint32_t fd_count, bool dontwait);
int qf_wire_recv(int fd, void *head, size_t head_len, qf_body *body, int fds[QF_WIRE_FDS],
                 uint32_t *out_fd_count, bool dontwait);
/* Whether a handler without SA_RESTART has run while the calling thread waited in one of them, since it asked last:
 * they go on, and the call that they are part of is to end where it would wait (signal(7)). */
bool qf_wire_interrupted(void);

/* With a mask, NULL for none, the calling thread waits for answers with that instead of its own, which holds signals
 * back: they run there, and nowhere unseen. `look`, if there is one, is called with `ctx` before they may, unless the
 * answer comes within some ms: then they wait. qf_wire_woken says whether one has run, of whatever kind, since it asked
 * last. */
void qf_wire_wait_with(const sigset_t *mask, void (*look)(void *ctx), void *ctx);
bool qf_wire_woken(void);
/* Nothing more comes: what waits is heard, and then -EPIPE, which an empty message is not mistaken for any more. */
void qf_wire_end(int fd);
/* The close of what came does not wait for what was sent there (SO_LINGER): who passed it may have wanted that. */
void qf_wire_close(int fd);

#endif /* COMPAT_FRONT_LEND_WIRE_H */
