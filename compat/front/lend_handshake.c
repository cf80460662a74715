#include "compat/front/lend_handshake.h"

#include <stdlib.h>
#include <string.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"

#define QF_HANDSHAKES_MAX 1024u /* threads at once, of all children */

typedef struct qf_lent_handshake {
    qf_entry *entry; /* a reference */
    qf_kin *kin;     /* a thread and a descriptor of its */
    qs_handshake_args args;
    int fd; /* where the result goes */
    uint32_t len;
    char data[]; /* behind the head */
} qf_lent_handshake;

static _Atomic uint32_t qf_handshake_count;

void qf_lend_handshake_in_child(void)
{
    atomic_store(&qf_handshake_count, 0);
}

/* What it took of its kin is free: before our end is closed, which is what its child waits for and may ask for the next
 * one then. Of all threads it is one until it ends. */
static void qf_lent_leave(qf_lent_handshake *h)
{
    qf_kin_give_fd(h->kin);
    qf_kin_give_thread(h->kin);
}

static void qf_lent_free(qf_lent_handshake *h)
{
    atomic_fetch_sub(&qf_handshake_count, 1);
    qf_put(h->entry);
    explicit_bzero(h->data, h->len);
    free(h);
}

static void *qf_lent_main(void *arg)
{
    qf_lent_handshake *h = arg;
    (void)pthread_setname_np(pthread_self(), "quic-lend-tls");
    int64_t rc = qf_engine()->handshake(h->entry->sock, &h->args);
    (void)QF_REAL(send)(h->fd, &rc, sizeof(rc), MSG_NOSIGNAL | MSG_DONTWAIT);
    qf_lent_leave(h);
    qf_own_shut(h->fd);
    qf_lent_free(h);
    return NULL;
}

/* The next string; *at behind it. NULL: there is none. */
static const char *qf_lent_string(const qf_lent_handshake *h, uint32_t *at)
{
    const char *text = h->data + *at;
    const char *end = memchr(text, '\0', h->len - *at);
    if (end == NULL) {
        return NULL;
    }
    *at += (uint32_t)(end - text) + 1;
    return text;
}

static bool qf_lent_args(qf_lent_handshake *h, const qf_handshake_head *head)
{
    uint32_t at = 0;
    if ((head->says & QF_SAYS_NAME) != 0 &&
        (h->args.server_name = qf_lent_string(h, &at)) == NULL) {
        return false;
    }
    if ((head->says & QF_SAYS_ALPN) != 0 && (h->args.alpn = qf_lent_string(h, &at)) == NULL) {
        return false;
    }
    const uint32_t left = h->len - at;
    if (head->key_len > left || head->cert_len != left - head->key_len) {
        return false;
    }
    h->args.is_server = (head->says & QF_SAYS_SERVER) != 0;
    h->args.timeout_ms = head->timeout_ms;
    h->args.key_pem = (head->says & QF_SAYS_KEY) != 0 ? h->data + at : NULL;
    h->args.key_len = head->key_len;
    h->args.cert_pem = (head->says & QF_SAYS_CERT) != 0 ? h->data + at + head->key_len : NULL;
    h->args.cert_len = head->cert_len;
    return true;
}

/* The program has nothing to do with our end, nor has a child of fork; nobody puts anything into it. */
static int qf_lent_ends(qf_lent_handshake *h, int *out_childs)
{
    const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
    int ends[2];
    int rc = QF_REAL(socketpair)(AF_UNIX, type, 0, ends);
    if (rc != 0) {
        qf_reclaim();
        rc = QF_REAL(socketpair)(AF_UNIX, type, 0, ends);
    }
    if (rc != 0) {
        return -errno;
    }
    h->fd = qf_own(ends[0]);
    if (h->fd < 0 || QF_REAL(shutdown)(h->fd, SHUT_RD) != 0) {
        qf_own_close(h->fd);
        QF_REAL(close)(ends[1]);
        return -EMFILE;
    }
    *out_childs = ends[1];
    return 0;
}

static int qf_lent_start(qf_lent_handshake *h, int *out_childs)
{
    int rc = qf_lent_ends(h, out_childs);
    if (rc == 0 && !qf_engine()->thread(qf_lent_main, h)) {
        qf_own_close(h->fd);
        QF_REAL(close)(*out_childs);
        *out_childs = -1;
        rc = -EAGAIN;
    }
    return rc;
}

/* What one takes of the lender; a child has it for some of its handshakes and no more, and so have all. */
static int qf_lent_room(qf_kin *kin)
{
    if (atomic_load(&qf_handshake_count) >= QF_HANDSHAKES_MAX || !qf_kin_take_thread(kin)) {
        return -EAGAIN;
    }
    if (!qf_lend_take_fd(kin)) {
        qf_kin_give_thread(kin);
        return -EMFILE;
    }
    atomic_fetch_add(&qf_handshake_count, 1);
    return 0;
}

int64_t qf_lend_handshake(qf_lend_call *call)
{
    qf_handshake_head head;
    uint32_t len = call->ask.len.data;
    if (len < sizeof(head)) {
        return -EINVAL;
    }
    len -= (uint32_t)sizeof(head);
    qf_lent_handshake *h = calloc(1, sizeof(*h) + len);
    int rc = h == NULL ? -ENOMEM : qf_lent_room(call->kin);
    if (rc != 0) {
        free(h);
        return rc;
    }
    h->kin = call->kin;
    h->entry = call->entry;
    qf_hold_entry(h->entry);
    h->len = len;
    memcpy(&head, call->body.bytes, sizeof(head));
    memcpy(h->data, call->body.bytes + sizeof(head), len);
    rc = qf_lent_args(h, &head) ? qf_lent_start(h, &call->out_fd) : -EINVAL;
    if (rc != 0) {
        qf_lent_leave(h);
        qf_lent_free(h);
    }
    return rc;
}
