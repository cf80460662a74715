/* The raw path that any TLS library can take (draft section 3.1.8): its steps, done on the worker. */
#include "compat/core/raw.h"

#include <errno.h>
#include <string.h>

#define QS_HS_WAIT_NS QS_NS_PER_S

typedef enum qs_hs_verb {
    QS_HS_SEND,
    QS_HS_SECRET,
    QS_HS_GET,
    QS_HS_SET,
    QS_HS_REMEMBER,
    QS_HS_EARLY_ANSWER,
    QS_HS_COMPLETE,
    QS_HS_REFUSE
} qs_hs_verb;

typedef struct qs_hs_task {
    qs_sock *s;
    qs_hs_verb verb;
    quring_level level;
    quring_direction dir;
    uint16_t suite;
    uint64_t code;
    const uint8_t *data;
    size_t len;
    uint8_t *out;
    size_t cap;
    size_t out_len;
    quring_limits limits;
    quring_transport_params params;
    bool accepted;
    quring_status status;
} qs_hs_task;

quring_status qs_hs_close(quring_conn conn, uint64_t code)
{
    return code >= QS_ERROR_CRYPTO && code < QS_ERROR_CRYPTO_END
               ? quring_handshake_fail(conn, (uint8_t)(code - QS_ERROR_CRYPTO))
               : quring_handshake_refuse(conn, code);
}

static quring_status qs_hs_do(qs_hs_task *task, quring_conn conn)
{
    switch (task->verb) {
    case QS_HS_SEND:
        return quring_handshake_send(conn, task->level, task->data, task->len);
    case QS_HS_SECRET:
        return quring_handshake_install_secret(conn, task->level, task->dir, task->suite,
                                               task->data, task->len);
    case QS_HS_GET:
        (void)quring_handshake_set_limits(conn, &task->limits);
        return quring_handshake_get_params(conn, task->out, &task->out_len, task->cap);
    case QS_HS_SET: /* a server has the peer's before it says its own, and must not change these any more */
        (void)quring_handshake_set_limits(conn, &task->limits);
        return quring_handshake_set_peer_params(conn, task->data, task->len);
    case QS_HS_REMEMBER:
        return quring_handshake_set_remembered(conn, &task->params);
    case QS_HS_EARLY_ANSWER:
        return quring_handshake_set_early_answer(conn, task->accepted);
    case QS_HS_COMPLETE:
        return quring_handshake_complete(conn);
    default:
        return qs_hs_close(conn, task->code);
    }
}

static void qs_hs_run(void *ctx)
{
    qs_hs_task *task = (qs_hs_task *)ctx;
    pthread_mutex_lock(&task->s->lock);
    quring_conn conn = task->s->conn;
    qs_unlock(task->s);
    task->status = conn.handle == 0 ? QURING_E_STATE : qs_hs_do(task, conn);
}

static int qs_hs_call(qs_sock *s, qs_hs_task *task)
{
    task->s = s;
    int rc = qs_ensure_conn(s);
    if (rc == 0) {
        rc = qs_call(s->worker, qs_hs_run, task);
    }
    if (rc == 0 && task->status != QURING_OK) {
        qs_say(2, "handshake: step %d: %s", (int)task->verb, quring_status_text(task->status));
    }
    return rc != 0 ? rc : -qs_errno_of(task->status);
}

int qs_hs_send(qs_sock *s, quring_level level, const uint8_t *data, size_t len)
{
    qs_hs_task task = {.verb = QS_HS_SEND, .level = level, .data = data, .len = len};
    pthread_mutex_lock(&s->lock);
    bool able = s->state == QS_CONNECTING || s->state == QS_ESTABLISHED;
    qs_unlock(s);
    return able ? qs_hs_call(s, &task) : -EPIPE;
}

int qs_hs_complete(qs_sock *s)
{
    qs_hs_task task = {.verb = QS_HS_COMPLETE};
    return qs_hs_call(s, &task);
}

int qs_hs_await(qs_sock *s, uint64_t deadline)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (s->state == QS_CONNECTING && rc == 0) {
        rc = qs_wait(s, QS_WAIT_ALL, deadline, NULL);
        rc = rc == -EINTR ? 0 : rc == -EAGAIN ? -ETIMEDOUT : rc;
    }
    qs_unlock(s);
    return rc;
}

int qs_hs_install(qs_sock *s, quring_level level, quring_direction dir, uint16_t suite,
                  const uint8_t *secret, size_t len)
{
    qs_hs_task task = {.verb = QS_HS_SECRET,
                       .level = level,
                       .dir = dir,
                       .suite = suite,
                       .data = secret,
                       .len = len};
    return qs_hs_call(s, &task);
}

int qs_hs_remember(qs_sock *s)
{
    qs_hs_task task = {.verb = QS_HS_REMEMBER};
    pthread_mutex_lock(&s->lock);
    qs_params_to(&task.params, &s->remote_params);
    qs_unlock(s);
    return qs_hs_call(s, &task);
}

/* From outside: a client's 0-RTT packets keep to what the program remembers of the server. */
static int qs_hs_secret_early(qs_sock *s, quring_direction dir, uint16_t suite,
                              const uint8_t *secret, size_t len)
{
    pthread_mutex_lock(&s->lock);
    bool offers = !s->is_server && dir == QURING_DIR_WRITE && !s->early_offered;
    bool able = s->remote_known;
    qs_unlock(s);
    if (!offers) {
        return qs_hs_install(s, QURING_LEVEL_EARLY, dir, suite, secret, len);
    }
    if (!able) { /* nothing can be sent with it, which the kernel's library does not ask for before it resumes */
        return s->protocol == QS_PROTO_KERNEL ? 0 : -EINVAL;
    }
    int rc = qs_hs_remember(s);
    rc = rc == 0 ? qs_hs_install(s, QURING_LEVEL_EARLY, dir, suite, secret, len) : rc;
    pthread_mutex_lock(&s->lock);
    s->early_offered = rc == 0;
    qs_unlock(s);
    return rc;
}

/* From outside: with both secrets of 1-RTT packets there the TLS library is done. */
int qs_hs_secret(qs_sock *s, quring_level level, quring_direction dir, uint16_t suite,
                 const uint8_t *secret, size_t len)
{
    if (level == QURING_LEVEL_EARLY) {
        return qs_hs_secret_early(s, dir, suite, secret, len);
    }
    int rc = qs_hs_install(s, level, dir, suite, secret, len);
    if (rc != 0 || level != QURING_LEVEL_APP) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    *(dir == QURING_DIR_READ ? &s->app_read_secret : &s->app_write_secret) = true;
    bool both = s->app_read_secret && s->app_write_secret;
    qs_unlock(s);
    rc = both ? qs_hs_complete(s) : 0;
    return both && rc == 0 ? qs_hs_await(s, qs_now_ns() + QS_HS_WAIT_NS) : rc;
}

int qs_hs_get_params(qs_sock *s, uint8_t *buf, size_t *len, size_t cap)
{
    qs_hs_task task = {.verb = QS_HS_GET, .out = buf, .cap = cap};
    pthread_mutex_lock(&s->lock);
    qs_limits_of(s, &task.limits);
    qs_unlock(s);
    int rc = qs_hs_call(s, &task);
    *len = task.out_len;
    return rc;
}

int qs_hs_early_answer(qs_sock *s, bool accepted)
{
    qs_hs_task task = {.verb = QS_HS_EARLY_ANSWER, .accepted = accepted};
    return qs_hs_call(s, &task);
}

/* A TLS library that hands over what a second ClientHello says, behind its HelloRetryRequest, which is what the
 * first one said (RFC 8446 4.1.2). */
static bool qs_hs_knows_params(const qs_sock *s, const uint8_t *data, size_t len)
{
    quring_transport_params params;
    qs_params again;
    if (!s->is_server || !s->peer_params_set ||
        quring_transport_params_decode(&params, data, len, false) != QURING_OK) {
        return false;
    }
    qs_params_from(&again, &params);
    return memcmp(&again, &s->remote_params, sizeof(again)) == 0;
}

int qs_hs_set_params(qs_sock *s, const uint8_t *data, size_t len)
{
    qs_hs_task task = {.verb = QS_HS_SET, .data = data, .len = len};
    pthread_mutex_lock(&s->lock);
    qs_limits_of(s, &task.limits);
    bool offered = s->early_offered;
    bool taken = s->early_taken;
    bool known = qs_hs_knows_params(s, data, len);
    qs_unlock(s);
    if (known) {
        return 0;
    }
    if (offered) { /* RFC 9000 7.4.1: before the new parameters take the place of the remembered ones */
        (void)qs_hs_early_answer(s, taken);
    }
    int rc = qs_hs_call(s, &task);
    quring_transport_params params;
    if (rc == 0 && quring_transport_params_decode(&params, data, len, !s->is_server) == QURING_OK) {
        pthread_mutex_lock(&s->lock);
        qs_params_from(&s->remote_params, &params);
        s->remote_known = true;
        s->peer_params_set = true;
        qs_unlock(s);
    }
    return rc;
}

void qs_hs_refuse(qs_sock *s, uint64_t code)
{
    qs_hs_task task = {.verb = QS_HS_REFUSE, .code = code};
    (void)qs_hs_call(s, &task);
}
