#include "compat/front/lend_handshake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"

#define QF_FILE_NAME      32
#define QF_HANDSHAKES_MAX 1024u /* threads at once */

typedef struct qf_lent_handshake {
    qf_entry *entry; /* a reference */
    qs_handshake_args args;
    int fds[QF_WIRE_FDS]; /* the result's, the files' */
    uint32_t fd_count;
    char key[QF_FILE_NAME];
    char cert[QF_FILE_NAME];
    uint32_t text_len;
    char text[];
} qf_lent_handshake;

static _Atomic uint32_t qf_handshake_count;

static void qf_lent_free(qf_lent_handshake *h)
{
    atomic_fetch_sub(&qf_handshake_count, 1);
    for (uint32_t i = 0; i < h->fd_count; i++) {
        qf_wire_hasten(h->fds[i]);
        qf_own_close(h->fds[i]);
    }
    qf_put(h->entry);
    free(h);
}

static void *qf_lent_main(void *arg)
{
    qf_lent_handshake *h = arg;
    (void)pthread_setname_np(pthread_self(), "quic-lend-tls");
    int64_t rc = qf_engine()->handshake(h->entry->sock, &h->args);
    (void)QF_REAL(send)(h->fds[0], &rc, sizeof(rc), MSG_NOSIGNAL | MSG_DONTWAIT);
    qf_lent_free(h);
    return NULL;
}

/* The next string; *at behind it. NULL: there is none. */
static const char *qf_lent_string(const qf_lent_handshake *h, uint32_t *at)
{
    const char *text = h->text + *at;
    const char *end = memchr(text, '\0', h->text_len - *at);
    if (end == NULL) {
        return NULL;
    }
    *at += (uint32_t)(end - text) + 1;
    return text;
}

/* It is opened anew with this process's rights: the child has to have had them. */
static bool qf_lent_readable(int fd)
{
    const int mode = QF_REAL(fcntl)(fd, F_GETFL);
    return mode >= 0 && (mode & O_PATH) == 0 && (mode & O_ACCMODE) != O_WRONLY;
}

static bool qf_lent_args(qf_lent_handshake *h, int says)
{
    uint32_t at = 0;
    uint32_t file = 1;
    if ((says & QF_SAYS_NAME) != 0 && (h->args.server_name = qf_lent_string(h, &at)) == NULL) {
        return false;
    }
    if ((says & QF_SAYS_ALPN) != 0 && (h->args.alpn = qf_lent_string(h, &at)) == NULL) {
        return false;
    }
    for (uint32_t i = 1; i < h->fd_count; i++) {
        if (!qf_lent_readable(h->fds[i])) {
            return false;
        }
    }
    if ((says & QF_SAYS_KEY) != 0 && file < h->fd_count) {
        snprintf(h->key, sizeof(h->key), "/proc/self/fd/%d", h->fds[file++]);
        h->args.key_file = h->key;
    }
    if ((says & QF_SAYS_CERT) != 0 && file < h->fd_count) {
        snprintf(h->cert, sizeof(h->cert), "/proc/self/fd/%d", h->fds[file++]);
        h->args.cert_file = h->cert;
    }
    h->args.is_server = (says & QF_SAYS_SERVER) != 0;
    return file == h->fd_count;
}

int64_t qf_lend_handshake(qf_lend_call *call)
{
    const uint32_t len = call->ask.len.data;
    qf_lent_handshake *h = call->fd_count > 0 ? calloc(1, sizeof(*h) + len) : NULL;
    if (h == NULL) {
        return call->fd_count > 0 ? -ENOMEM : -EINVAL;
    }
    for (uint32_t i = 0; i < call->fd_count; i++) {
        h->fds[i] = qf_own(call->fds[i]); /* the program has nothing to do with them, nor has a child of fork */
    }
    h->fd_count = call->fd_count;
    call->fd_count = 0; /* the handshake's now */
    h->entry = call->entry;
    qf_hold_entry(h->entry);
    h->text_len = len;
    memcpy(h->text, call->body.bytes, len);
    h->args.timeout_ms = (uint32_t)call->ask.arg[1];
    const bool room = atomic_fetch_add(&qf_handshake_count, 1) < QF_HANDSHAKES_MAX;
    int64_t rc = !room ? -EAGAIN : qf_lent_args(h, call->ask.arg[0]) ? 0 : -EINVAL;
    if (rc == 0 && !qf_lend_thread(qf_lent_main, h)) {
        rc = -EAGAIN;
    }
    if (rc != 0) {
        qf_lent_free(h);
    }
    return rc;
}
