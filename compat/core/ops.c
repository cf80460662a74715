/* The one name this object exports. */
#include <errno.h>

#include "compat/core/behalf.h"
#include "compat/core/sock.h"

static void qs_op_set_nonblock(qs_sock *s, bool on)
{
    pthread_mutex_lock(&s->lock);
    s->nonblock = on;
    qs_unlock(s);
}

static int qs_op_inq(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool listening = s->state == QS_LISTENING;
    uint64_t bytes = 0;
    for (const qs_item *item = s->rx.head; item != NULL; item = item->next) {
        bytes += item->len - item->off;
    }
    qs_unlock(s);
    return listening ? -EINVAL : bytes > INT32_MAX ? INT32_MAX : (int)bytes;
}

static int qs_op_outq(qs_sock *s, bool unsent)
{
    (void)unsent;
    pthread_mutex_lock(&s->lock);
    uint64_t bytes = s->tx_bytes;
    bool listening = s->state == QS_LISTENING;
    qs_unlock(s);
    return listening ? -EINVAL : bytes > INT32_MAX ? INT32_MAX : (int)bytes;
}

const qs_host *qs_the_host;

static void qs_op_start(const qs_host *host)
{
    qs_the_host = host;
}

static const qs_ops qs_the_ops = {
    .version = QS_OPS_VERSION,
    .start = qs_op_start,
    .create = qs_op_create,
    .attach = qs_op_attach,
    .set_fd = qs_op_set_fd,
    .set_adrift = qs_op_set_adrift,
    .close = qs_op_close,
    .release = qs_unref,
    .bind = qs_op_bind,
    .listen = qs_op_listen,
    .accept = qs_op_accept,
    .unaccept = qs_op_unaccept,
    .connect = qs_op_connect,
    .shutdown = qs_op_shutdown,
    .getname = qs_op_getname,
    .sendmsg = qs_op_sendmsg,
    .recvmsg = qs_op_recvmsg,
    .setsockopt = qs_op_setsockopt,
    .getsockopt = qs_op_getsockopt,
    .set_nonblock = qs_op_set_nonblock,
    .inq = qs_op_inq,
    .outq = qs_op_outq,
    .handshake = qs_op_handshake,
    .watch_edges = qs_op_watch_edges,
    .fix = qs_op_fix,
    .fix_all = qs_op_fix_all,
    .fix_count = &qs_fix_count,
    .share = qs_op_share,
    .settle = qs_op_settle,
    .is_gone = qs_op_is_gone,
    .impatient = qs_op_impatient,
    .only_stream = qs_op_only_stream,
    .last_stream = qs_op_last_stream,
    .would_wait = qs_op_would_wait,
    .thread = qs_thread_start,
    .owns_fd = qs_op_owns_fd,
    .hold_fds_to_fork = quring_hold_fds_to_fork,
    .hold_fds = quring_hold_fds,
    .let_fds = quring_let_fds,
    .exit = qs_op_exit,
    .forked = qs_op_forked,
};

__attribute__((visibility("default"))) const qs_ops *qs_ops_get(void);

const qs_ops *qs_ops_get(void)
{
    return &qs_the_ops;
}
