#include "compat/front/lend_call.h"

#include <string.h>

#include "compat/front/call.h"
#include "compat/front/lend_handshake.h"
#include "compat/front/socket.h"

static int64_t qf_lend_send(qf_lend_call *call)
{
    const qf_part_lens *len = &call->ask.len;
    struct iovec iov = {qf_body_data(&call->body, len), len->data};
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = len->control > 0 ? qf_body_control(&call->body) : NULL;
    msg.msg_controllen = len->control;
    return qf_engine()->sendmsg(call->entry->sock, &msg, call->ask.arg[0]);
}

/* Each part lies where it would if all of them were full; then they are moved together. */
static int64_t qf_lend_recv(qf_lend_call *call, qf_told *told)
{
    const qf_part_lens room = call->ask.room;
    struct iovec iov = {call->ask.arg[1] != 0 ? NULL : qf_body_data(&call->body, &room), room.data};
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = room.control > 0 ? qf_body_control(&call->body) : NULL;
    msg.msg_controllen = room.control;
    qf_engine()->only_stream(call->ask.stream_id);
    /* What others have said and been told lies here: nothing of it leaves but what is written over it. */
    memset(qf_body_control(&call->body), 0, room.control);
    int64_t got = qf_engine()->recvmsg(call->entry->sock, &msg, call->ask.arg[0]);
    if (got < 0) {
        return got;
    }
    told->flags = msg.msg_flags;
    told->len.control = (uint32_t)msg.msg_controllen;
    const bool thrown =
        (call->ask.arg[0] & MSG_TRUNC) != 0 && qf_engine()->last_stream() != UINT64_MAX;
    told->len.data = thrown ? 0 : (uint32_t)got < room.data ? (uint32_t)got : room.data;
    if (told->len.data > 0) {
        memmove(qf_body_data(&call->body, &told->len), iov.iov_base, told->len.data);
    }
    return got;
}

static int64_t qf_lend_name(qf_lend_call *call, qf_told *told)
{
    socklen_t room = call->ask.room.name;
    int64_t rc = qf_engine()->getname(call->entry->sock, call->ask.arg[0] != 0,
                                      (struct sockaddr *)call->body.bytes, &room);
    told->len.name = rc == 0 && room <= call->ask.room.name ? room : 0;
    return rc;
}

static int64_t qf_lend_get(qf_lend_call *call, qf_told *told)
{
    socklen_t len = call->ask.len.data;
    int64_t rc = qf_engine()->getsockopt(call->entry->sock, call->ask.arg[0], call->ask.arg[1],
                                         call->body.bytes, &len);
    told->len.data = rc == 0 && len <= call->ask.len.data ? len : 0;
    return rc;
}

static int64_t qf_lend_count(const qf_lend_call *call)
{
    const qs_ops *ops = qf_engine();
    qs_sock *sock = call->entry->sock;
    return call->ask.arg[0] == 0 ? ops->inq(sock) : ops->outq(sock, call->ask.arg[0] > 1);
}

/* The key does not stay. */
static int64_t qf_lend_keys(qf_lend_call *call)
{
    int64_t rc = qf_lend_handshake(call);
    explicit_bzero(call->body.bytes, call->ask.len.data);
    return rc;
}

static int64_t qf_lend_do(qf_lend_call *call, qf_told *told)
{
    const qs_ops *ops = qf_engine();
    const qf_ask *ask = &call->ask;
    qs_sock *sock = call->entry->sock;
    const struct sockaddr *name = (const struct sockaddr *)call->body.bytes;
    switch (ask->verb) {
    case QF_VERB_BIND:
        return ops->bind(sock, name, ask->len.name);
    case QF_VERB_CONNECT:
        return ops->connect(sock, name, ask->len.name);
    case QF_VERB_LISTEN:
        return ops->listen(sock, ask->arg[0]);
    case QF_VERB_SHUTDOWN:
        return ops->shutdown(sock, ask->arg[0]);
    case QF_VERB_NAME:
        return qf_lend_name(call, told);
    case QF_VERB_SEND:
        return qf_lend_send(call);
    case QF_VERB_RECV:
        return qf_lend_recv(call, told);
    case QF_VERB_SET:
        return ops->setsockopt(sock, ask->arg[0], ask->arg[1], call->body.bytes, ask->len.data);
    case QF_VERB_GET:
        return qf_lend_get(call, told);
    case QF_VERB_NONBLOCK:
        ops->set_nonblock(sock, ask->arg[0] != 0);
        return 0;
    case QF_VERB_COUNT:
        return qf_lend_count(call);
    case QF_VERB_EDGES:
        ops->watch_edges(sock);
        return 0;
    case QF_VERB_FIX:
        return 0; /* as with every answer */
    case QF_VERB_HANDSHAKE:
        return qf_lend_keys(call);
    default:
        return -ENOSYS;
    }
}

void qf_lend_make(qf_lend_call *call, qf_told *told)
{
    told->result = qf_lend_do(call, told);
    told->stream_id = qf_engine()->last_stream();
    told->waits = qf_engine()->would_wait();
}

void qf_lend_accepted(qf_lend_call *call, qf_told *told)
{
    socklen_t len = call->ask.room.name;
    struct sockaddr *name = len > 0 ? (struct sockaddr *)call->body.bytes : NULL;
    /* In this process none that is executed meanwhile gets it. */
    long fd = qf_accept(call->entry, name, &len, call->ask.arg[0] | SOCK_CLOEXEC);
    told->result = fd < 0 ? -errno : 0;
    told->waits = qf_engine()->would_wait();
    told->len.name = fd >= 0 && len <= call->ask.room.name ? len : 0;
    call->out_fd = (int)fd;
}
