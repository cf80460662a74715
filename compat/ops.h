/* compat/ops.h: what libquic.so, which meets the program, asks of the engine object behind it.
 *
 * Shape:  libquic.so (front) owns descriptors: it interposes the calls of libc, keeps a table from
 *         descriptor to qs_sock, and passes on what concerns one. The engine object (core) owns
 *         sockets: it is loaded with the first of them, with its own malloc and TLS, and exports one
 *         name, qs_ops_get.
 * Errors: functions return 0 or more, or -errno.
 * Owner:  the front holds one reference per socket, given up by release.
 */
#ifndef COMPAT_OPS_H
#define COMPAT_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QS_OPS_VERSION 8u

/* Protocol numbers, which name the layouts a socket speaks. */
#define QS_PROTO_DRAFT  288 /* the draft's */
#define QS_PROTO_KERNEL 261 /* those of the kernel implementation */

typedef struct qs_sock qs_sock;

typedef struct qs_handshake_args {
    bool is_server;
    const char *key_file;
    const char *cert_file;
    const char *key_pem; /* what would be in the files, in their place */
    size_t key_len;
    const char *cert_pem;
    size_t cert_len;
    const char *server_name; /* client: asked for and verified; NULL: the chain only */
    const char *alpn;        /* comma separated; NULL: what the option says */
    uint32_t timeout_ms;     /* 0: none */
} qs_handshake_args;

/* What the engine object asks of the front. `cookie` is attach's. */
typedef struct qs_host {
    /* The kernel says that no descriptor of the socket is left. */
    void (*gone)(void *cookie, qs_sock *s);
    /* The connection has ended: from now on `gone` will not be told. With the engine's locks held: no call
     * of qs_ops. */
    void (*blind)(void *cookie);
    /* The thread was cancelled while it waited in a call: its count of calls under way ends. */
    void (*cancelled)(void *cookie);
    /* A line for whoever wants to know: 0 an error, 1 a warning, 2 information. With locks held. */
    void (*say)(int level, const char *line);
} qs_host;

typedef struct qs_ops {
    uint32_t version; /* QS_OPS_VERSION */

    void (*start)(const qs_host *host); /* once, before everything else; `host` stays */

    /* create makes a socket; attach gives it the engine's end of its pair of descriptors and the
     * program's. A socket that accept gave is attached in the same way. Whether `gone` will be told. */
    int (*create)(qs_sock **out, int domain, int type, int protocol);
    bool (*attach)(qs_sock *s, int engine_fd, int app_fd, void *cookie);
    /* The program's descriptor that stands for the socket changed (dup, close of one of several). */
    void (*set_fd)(qs_sock *s, int app_fd);
    /* The process has none left, but a copy may be under way over a UNIX socket. Whether `gone` will tell
     * when there is none of those any more, either; false once the connection has ended. */
    bool (*set_adrift)(qs_sock *s);
    /* close: the last descriptor is gone; who waits in a call leaves it. release: so has everybody. */
    void (*close)(qs_sock *s);
    void (*release)(qs_sock *s);

    int (*bind)(qs_sock *s, const struct sockaddr *addr, socklen_t len);
    int (*listen)(qs_sock *s, int backlog);
    int (*accept)(qs_sock *s, qs_sock **out, struct sockaddr *addr, socklen_t *len);
    void (*unaccept)(qs_sock *s, qs_sock *conn); /* back to the front of the queue */
    int (*connect)(qs_sock *s, const struct sockaddr *addr, socklen_t len);
    int (*shutdown)(qs_sock *s, int how);
    int (*getname)(qs_sock *s, bool peer, struct sockaddr *addr, socklen_t *len);

    ssize_t (*sendmsg)(qs_sock *s, const struct msghdr *msg, int flags);
    ssize_t (*recvmsg)(qs_sock *s, struct msghdr *msg, int flags);

    int (*setsockopt)(qs_sock *s, int level, int name, const void *value, socklen_t len);
    int (*getsockopt)(qs_sock *s, int level, int name, void *value, socklen_t *len);
    void (*set_nonblock)(qs_sock *s, bool on);
    /* inq gives the bytes that can be read, outq those not acknowledged yet (all, or not sent); -EINVAL of a
     * socket that listens. */
    int (*inq)(qs_sock *s);
    int (*outq)(qs_sock *s, bool unsent);

    int (*handshake)(qs_sock *s, const qs_handshake_args *args);

    /* Somebody waits for the descriptor with edge-triggered epoll: every arrival makes an edge. */
    void (*watch_edges)(qs_sock *s);
    /* fix makes the program's descriptor tell the truth before it is waited for; fix_all does so for
     * every socket whose descriptor may not. */
    void (*fix)(qs_sock *s);
    void (*fix_all)(void);
    /* 0 when fix_all has nothing to do. Read without a call. */
    const uint32_t *fix_count;

    /* For calls that are made in the name of other processes (compat/front/lend.h).
     * share: whether others may have copies of the descriptor; if so `gone` is told also when the connection has ended.
     * settle: how many bytes are to be taken from the program's end, and put in there, for it to tell the truth, where
     * this process has none. is_gone: whether `gone` will be told in a moment. impatient: whether calls of the calling
     * thread that would wait give EAGAIN from now on; and whether they did. would_wait: whether one has, since it was
     * asked last. only_stream: its next recvmsg is to be of that stream; ENODATA: something else has come, or that
     * stream is over. last_stream: the stream that its last message was of, UINT64_MAX for none. thread: one that
     * nobody waits for and that takes no signals; false: there is none. */
    void (*share)(qs_sock *s, bool on);
    void (*settle)(qs_sock *s, uint32_t *out_take, uint32_t *out_put);
    bool (*is_gone)(qs_sock *s);
    bool (*impatient)(bool on);
    void (*only_stream)(uint64_t stream_id);
    uint64_t (*last_stream)(void);
    bool (*would_wait)(void);
    bool (*thread)(void *(*run)(void *), void *arg);

    /* Whether a descriptor is the engine's own: nobody closes it for the program. */
    bool (*owns_fd)(int fd);
    /* For who forks, and for descriptors of the front's that a child has to know of (quring_hold_fds). */
    bool (*hold_fds_to_fork)(void);
    bool (*hold_fds)(void);
    void (*let_fds)(bool held);

    /* exit: the process ends: what was sent leaves, connections are closed; bounded in time.
     * forked: in the child; nothing of the parent's is touched any more. */
    void (*exit)(void);
    void (*forked)(void);
} qs_ops;

typedef const qs_ops *(*qs_ops_get_fn)(void);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_OPS_H */
