#define QUIC_NO_GNUTLS
#include "tools/quicperf/sockets/client_thread.h"

#include <errno.h>
#include <netinet/quic.h>
#include <stdio.h>
#include <string.h>

#include "quring/runtime.h"

#include "tools/quicperf/asked.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/sockets/conn.h"

static const uint8_t qp_sock_pattern[QP_MESSAGE_BYTES] = {'q', 'p'};

void qp_sock_plan_fail(qp_sock_plan *plan, const char *text)
{
    if (!atomic_load(&plan->stopped) && atomic_exchange(&plan->error_taken, 1) == 0) {
        (void)snprintf(plan->error, sizeof(plan->error), "%s", text);
        atomic_store(&plan->failed, 1);
    }
    qp_meter_wake(plan->meter);
}

static bool qp_sock_stopped(const qp_sock_thread *t)
{
    return atomic_load_explicit(&t->plan->stopped, memory_order_relaxed) ||
           atomic_load_explicit(&t->plan->failed, memory_order_relaxed) != 0;
}

/* Only this thread writes its counters. */
static void qp_sock_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* A call on the connection failed: that is an error until the end. */
static bool qp_sock_broken(qp_sock_thread *t, const char *call)
{
    char text[128];
    char at[64];
    int error = errno;
    if (!qp_sock_stopped(t)) {
        qp_sock_count(&t->errors, 1);
        (void)snprintf(text, sizeof(text), "the connection to %s was lost: %s: %s",
                       quring_addr_format(&t->plan->server, at, sizeof(at)), call, strerror(error));
        qp_sock_plan_fail(t->plan, text);
    }
    return false;
}

/* ---- requests ----------------------------------------------------------------------------------------- */

static bool qp_sock_is_tput(const qp_options *o)
{
    return o->mode == QP_MODE_TPUT;
}

static bool qp_sock_is_up(const qp_options *o)
{
    return qp_sock_is_tput(o) && o->direction == QP_UP;
}

/* -n counts requests down; without it there are always more. */
static bool qp_sock_may_begin(qp_sock_thread *t)
{
    return t->plan->options->amount == 0 || atomic_fetch_sub(&t->plan->quota, 1) > 0;
}

/* Sends `len` bytes of the message in one or more calls. Returns false when the stream takes no more. */
static bool qp_sock_send(qp_sock_thread *t, uint64_t stream, const uint8_t *data, size_t len,
                         uint32_t flags)
{
    do {
        ssize_t sent = t->plan->lib.send(atomic_load(&t->fds[0]), data, len, stream, flags);
        if (sent < 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
        flags &= ~(uint32_t)QUIC_STREAM_FLAG_NEW;
    } while (len > 0);
    return true;
}

/* Header and payload of slot's request in as few messages as they fit into; of an endless one the header. */
static bool qp_sock_begin(qp_sock_thread *t, qp_sock_slot *slot, uint64_t answer, uint64_t payload)
{
    size_t head = payload < QP_MESSAGE_BYTES - QP_HEADER_LEN ? (size_t)payload : 0;
    bool whole = head == payload;
    *slot = (qp_sock_slot){.stream = t->next_stream, .asked = answer, .live = true};
    slot->left = payload - head;
    slot->began_ns = quring_now_ns();
    t->next_stream += 4;
    t->live++;
    qp_header_encode(t->buf, answer);
    memset(t->buf + QP_HEADER_LEN, 'q', head);
    if (!qp_sock_send(t, slot->stream, t->buf, QP_HEADER_LEN + head,
                      QUIC_STREAM_FLAG_NEW | (whole ? QUIC_STREAM_FLAG_FIN : 0u))) {
        return qp_sock_broken(t, "quic_sendmsg");
    }
    return true;
}

/* One message more of slot's payload. */
static bool qp_sock_push(qp_sock_thread *t, qp_sock_slot *slot)
{
    size_t len = slot->left < QP_MESSAGE_BYTES ? (size_t)slot->left : QP_MESSAGE_BYTES;
    bool last = len == slot->left;
    if (!qp_sock_send(t, slot->stream, qp_sock_pattern, len, last ? QUIC_STREAM_FLAG_FIN : 0u)) {
        return qp_sock_broken(t, "quic_sendmsg");
    }
    slot->left -= slot->left != QP_ENDLESS ? len : 0;
    qp_sock_count(&t->bytes, qp_sock_is_up(t->plan->options) ? len : 0);
    return true;
}

static qp_sock_slot *qp_sock_find(const qp_sock_thread *t, uint64_t stream)
{
    const qp_options *o = t->plan->options;
    for (uint32_t i = 0; i < o->streams; i++) {
        if (t->slots[i].live && t->slots[i].stream == stream) {
            return &t->slots[i];
        }
    }
    return NULL;
}

/* More than was asked for need not come. */
static void qp_sock_refuse(const qp_sock_thread *t, const qp_sock_slot *slot)
{
    struct quic_errinfo stop = {.stream_id = slot->stream, .errcode = QP_APP_DONE};
    (void)t->plan->lib.setsockopt(atomic_load(&t->fds[0]), SOL_QUIC,
                                  QUIC_SOCKOPT_STREAM_STOP_SENDING, &stop, sizeof(stop));
}

/* The next message of any stream. *out_ended: the slot whose answer is whole now, or more than that; or NULL. */
static bool qp_sock_receive(qp_sock_thread *t, qp_sock_slot **out_ended)
{
    uint64_t stream = 0;
    uint32_t flags = 0;
    ssize_t got =
        t->plan->lib.recv(atomic_load(&t->fds[0]), t->buf, QP_MESSAGE_BYTES, &stream, &flags);
    *out_ended = NULL;
    if (got < 0) {
        return qp_sock_broken(t, "quic_recvmsg");
    }
    qp_sock_slot *slot = qp_sock_find(t, stream);
    if (slot != NULL) {
        bool up = qp_sock_is_up(t->plan->options);
        bool fin = (flags & QUIC_STREAM_FLAG_FIN) != 0;
        slot->got += (uint64_t)got;
        qp_sock_count(&t->bytes, up ? 0 : (uint64_t)got);
        if (fin || (!up && slot->got > slot->asked)) {
            if (!fin) {
                qp_sock_refuse(t, slot);
            }
            slot->live = false;
            t->live--;
            *out_ended = slot;
        }
    }
    return true;
}

static void qp_sock_answered(qp_sock_thread *t, const qp_sock_slot *slot)
{
    if (qp_sock_stopped(t)) {
        return;
    }
    if (slot->got == slot->asked) {
        qp_sock_count(&t->requests, 1);
        qp_hist_record(t->latency, quring_now_ns() - slot->began_ns);
    } else {
        qp_sock_count(&t->errors, 1);
    }
}

/* ---- modes -------------------------------------------------------------------------------------------- */

static void qp_sock_up(qp_sock_thread *t)
{
    const qp_options *o = t->plan->options;
    qp_sock_slot *ended;
    bool more = true;
    bool ok = true;
    while (ok && more && !qp_sock_stopped(t)) { /* the streams in turns, a message each */
        more = false;
        for (uint32_t i = 0; ok && i < o->streams && !qp_sock_stopped(t); i++) {
            if (t->slots[i].left > 0) {
                ok = qp_sock_push(t, &t->slots[i]);
                more = true;
            }
        }
    }
    while (ok && t->live > 0 && !qp_sock_stopped(t)) { /* -n: the server has it all when it ends */
        ok = qp_sock_receive(t, &ended);
    }
    atomic_store(&t->is_delivered, t->live == 0);
}

static void qp_sock_tput(qp_sock_thread *t)
{
    const qp_options *o = t->plan->options;
    bool up = qp_sock_is_up(o);
    bool ok = true;
    for (uint32_t i = 0; ok && i < o->streams; i++) {
        uint64_t share =
            o->amount == 0 ? QP_ENDLESS : t->share / o->streams + (i < t->share % o->streams);
        ok = qp_sock_begin(t, &t->slots[i], up ? 0 : share, up ? share : 0);
        if (up && t->slots[i].left == 0) {
            qp_sock_count(&t->bytes, share); /* it went with the header */
        }
    }
    if (ok && up) {
        qp_sock_up(t);
        return;
    }
    qp_sock_slot *ended;
    while (ok && t->live > 0 && !qp_sock_stopped(t)) {
        ok = qp_sock_receive(t, &ended);
        if (ok && ended != NULL && ended->got != ended->asked && !qp_sock_stopped(t)) {
            char text[128];
            qp_sock_count(&t->errors, 1);
            qp_sock_plan_fail(t->plan,
                              qp_asked_length(text, sizeof(text), ended->asked, ended->got));
        }
    }
}

static bool qp_sock_ask(qp_sock_thread *t, qp_sock_slot *slot)
{
    const qp_options *o = t->plan->options;
    bool ok = qp_sock_begin(t, slot, o->response_bytes, o->request_bytes);
    while (ok && slot->left > 0 && !qp_sock_stopped(t)) {
        ok = qp_sock_push(t, slot);
    }
    return ok;
}

static void qp_sock_rr(qp_sock_thread *t)
{
    const qp_options *o = t->plan->options;
    bool ok = true;
    for (uint32_t i = 0; ok && i < o->streams && qp_sock_may_begin(t); i++) {
        ok = qp_sock_ask(t, &t->slots[i]);
    }
    while (ok && t->live > 0 && !qp_sock_stopped(t)) {
        qp_sock_slot *ended;
        ok = qp_sock_receive(t, &ended);
        if (ok && ended != NULL) {
            qp_sock_answered(t, ended);
            ok = qp_sock_stopped(t) || !qp_sock_may_begin(t) || qp_sock_ask(t, ended);
        }
    }
}

/* Connects, into fds[index]. */
static bool qp_sock_open(qp_sock_thread *t, uint32_t index)
{
    qp_sock_plan *plan = t->plan;
    char why[256];
    if (!qp_sock_connect(&t->fds[index], &plan->lib, plan->options, &plan->server, plan->name, why,
                         sizeof(why))) {
        qp_sock_count(&t->errors, qp_sock_stopped(t) ? 0 : 1);
        qp_sock_plan_fail(plan, why);
        return false;
    }
    if (qp_sock_stopped(t)) {
        return false; /* too late to count */
    }
    qp_sock_facts facts;
    qp_sock_facts_get(&facts, &plan->lib, atomic_load(&t->fds[index]));
    atomic_store(&t->version, facts.version);
    qp_sock_count(&t->unencrypted, facts.unencrypted ? 1 : 0);
    qp_sock_count(&t->handshakes, 1);
    qp_sock_count(
        &t->version_count,
        qp_asked_version(plan->options, facts.version == 2 ? QURING_QUIC_V2 : QURING_QUIC_V1));
    t->next_stream = 0;
    return true;
}

static void qp_sock_close(qp_sock_thread *t, uint32_t index)
{
    int fd = atomic_exchange(&t->fds[index], -1);
    if (fd >= 0) {
        (void)t->plan->lib.close(fd);
    }
}

/* crr and hps: a connection after the other. */
static void qp_sock_series(qp_sock_thread *t)
{
    const qp_options *o = t->plan->options;
    bool ok = true;
    while (ok && !qp_sock_stopped(t) && qp_sock_may_begin(t)) {
        qp_sock_slot *ended = NULL;
        uint64_t began_ns = quring_now_ns();
        ok = qp_sock_open(t, 0);
        if (ok && o->mode == QP_MODE_HPS) {
            qp_hist_record(t->latency, quring_now_ns() - began_ns);
        } else if (ok) {
            ok = qp_sock_ask(t, &t->slots[0]);
            t->slots[0].began_ns = began_ns;
            while (ok && ended == NULL && !qp_sock_stopped(t)) {
                ok = qp_sock_receive(t, &ended);
            }
            if (ended != NULL) {
                qp_sock_answered(t, ended);
            }
        }
        qp_sock_close(t, 0);
    }
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/* Returns whether there is something to do. */
static bool qp_sock_await_go(qp_sock_thread *t)
{
    qp_sock_plan *plan = t->plan;
    (void)pthread_mutex_lock(&plan->lock);
    while (!plan->running && !qp_sock_stopped(t)) {
        (void)pthread_cond_wait(&plan->go, &plan->lock);
    }
    (void)pthread_mutex_unlock(&plan->lock);
    return !qp_sock_stopped(t);
}

void *qp_sock_thread_main(void *ctx)
{
    qp_sock_thread *t = ctx;
    qp_sock_plan *plan = t->plan;
    uint32_t mode = plan->options->mode;
    bool series = mode == QP_MODE_CRR || mode == QP_MODE_HPS;
    bool ok = true;
    for (uint32_t i = 0; ok && !series && i < t->conns && !qp_sock_stopped(t); i++) {
        ok = qp_sock_open(t, i);
        atomic_fetch_add(&plan->established, ok ? 1 : 0);
    }
    qp_meter_wake(plan->meter);
    if (ok && qp_sock_await_go(t)) {
        if (series) {
            qp_sock_series(t);
        } else if (mode == QP_MODE_RR) {
            qp_sock_rr(t);
        } else if (mode == QP_MODE_TPUT) {
            qp_sock_tput(t);
        }
    }
    atomic_fetch_add(&plan->done, 1);
    qp_meter_wake(plan->meter);
    return NULL;
}
