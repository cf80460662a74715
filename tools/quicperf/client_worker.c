#include "tools/quicperf/client_worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/quicperf/asked.h"
#include "tools/quicperf/close_text.h"
#include "tools/quicperf/dgram.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

#define QP_OPENING_MAX   64u /* handshakes under way per worker: more would only wait in queues */
#define QP_SCRATCH_BYTES (128u * 1024u)
#define QP_SUBMIT_TEXT   64u

/* One stream slot of a connection: the transfer or request it carries now. */
typedef struct qp_slot {
    qp_cconn *conn;
    quring_stream stream;
    qp_pump pump;
    uint64_t began_ns;
    uint64_t got; /* bytes read */
    bool live;    /* a stream is open */
    bool counted; /* tput: it has ended and was counted out */
} qp_slot;

struct qp_cconn {
    qp_cworker *worker;
    qp_cconn *prev;
    qp_cconn *next;
    quring_conn conn;
    uint64_t began_ns;
    bool established;
    bool closing;
    bool warm; /* there for its ticket and token only */
    bool wants_ticket;
    bool wants_token;
    bool shows_token;
    qp_dgram dgram;
    uint64_t moved; /* bytes since the last key update */
    bool moving;
    bool at_preferred;
    uint32_t slot_count;
    qp_slot slots[];
};

static void qp_cconn_event(const quring_event *ev);
static void qp_slot_begin(qp_slot *slot);
static void qp_cconn_begin_slots(qp_cconn *c);

static void qp_wake(const qp_cworker *w)
{
    uint64_t one = 1;
    (void)!write(w->plan->wake_fd, &one, sizeof(one));
}

static void qp_cworker_fail(qp_cworker *w, const char *text)
{
    if (atomic_exchange(&w->plan->error_taken, 1) == 0) {
        (void)snprintf(w->plan->error, sizeof(w->plan->error), "%s", text);
        atomic_store(&w->plan->failed, 1);
    }
    qp_wake(w);
}

static void qp_cworker_done(qp_cworker *w)
{
    if (atomic_load_explicit(&w->done, memory_order_relaxed) == 0) {
        atomic_store(&w->done_ns, quring_now_ns());
        atomic_store(&w->done, 1);
        qp_wake(w);
    }
}

static bool qp_is_dgram(const qp_cworker *w)
{
    return w->plan->options->mode == QP_MODE_DGRAM;
}

static bool qp_is_up(const qp_cworker *w)
{
    return w->plan->options->mode == QP_MODE_TPUT && w->plan->options->direction == QP_UP;
}

/* ---- connections ------------------------------------------------------------------------------- */

static void qp_cconn_unlink(qp_cconn *c)
{
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        c->worker->list = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
}

static void qp_cconn_begin(qp_cworker *w)
{
    const qp_client_plan *plan = w->plan;
    uint32_t slots = plan->options->mode == QP_MODE_CRR    ? 1
                     : plan->options->mode == QP_MODE_IDLE ? 0
                     : qp_is_dgram(w)                      ? 1
                                                           : plan->options->streams;
    qp_cconn *c = calloc(1, sizeof(*c) + slots * sizeof(c->slots[0]));
    if (c == NULL) {
        qp_cworker_fail(w, "out of memory");
        return;
    }
    c->worker = w;
    c->warm = w->warming;
    c->wants_ticket = plan->options->resume || plan->options->zero_rtt;
    c->wants_token = plan->options->token;
    c->slot_count = slots;
    for (uint32_t i = 0; i < slots; i++) {
        c->slots[i].conn = c;
    }
    c->began_ns = quring_now_ns();
    quring_connect_options options;
    memset(&options, 0, sizeof(options));
    options.remote = plan->remote;
    options.local = plan->local;
    options.server_name = plan->server_name;
    options.tls = plan->tls;
    options.on_event = qp_cconn_event;
    options.ctx = c;
    if (!w->warming && c->wants_ticket) {
        options.session = qp_tickets_take(&w->tickets);
        options.zero_rtt = plan->options->zero_rtt;
    }
    if (!w->warming && c->wants_token) {
        options.token = qp_tickets_take(&w->tokens);
        c->shows_token = options.token.len > 0;
    }
    quring_error err;
    memset(&err, 0, sizeof(err));
    quring_status status = quring_connect(&c->conn, &options, &err);
    if (status != QURING_OK) {
        char text[sizeof(err.message) + QP_SUBMIT_TEXT];
        (void)snprintf(text, sizeof(text), "cannot open a connection: %s",
                       err.message[0] != '\0' ? err.message : quring_status_text(status));
        free(c);
        w->errors++;
        qp_cworker_fail(w, text);
        return;
    }
    c->next = w->list;
    if (c->next != NULL) {
        c->next->prev = c;
    }
    w->list = c;
    w->opening++;
    w->issued += plan->options->mode == QP_MODE_CRR && !c->warm ? 1 : 0;
    atomic_fetch_add(&w->open, 1);
}

static void qp_cworker_open_more(qp_cworker *w)
{
    while (w->to_open > 0 && w->opening < QP_OPENING_MAX && !w->stopped &&
           atomic_load_explicit(&w->plan->failed, memory_order_relaxed) == 0) {
        w->to_open--;
        qp_cconn_begin(w);
    }
}

/* A CONNECTION_CLOSE from the server after we have stopped is the end we wanted. */
static void qp_cconn_closed(qp_cconn *c, const quring_close_info *close)
{
    qp_cworker *w = c->worker;
    qp_cconn_unlink(c);
    qp_dgram_stop(&c->dgram);
    w->opening -= c->established ? 0 : 1;
    if (!c->closing && !w->stopped) {
        char text[1024];
        qp_close_text(text, sizeof(text), close, &w->plan->remote, w->plan->options->timeout_ns);
        w->errors++;
        qp_cworker_fail(w, text);
    }
    free(c);
    if (atomic_fetch_sub(&w->open, 1) == 1) {
        qp_wake(w);
    }
}

static void qp_cconn_close(qp_cconn *c)
{
    c->closing = true;
    (void)quring_conn_close(c->conn, QP_APP_DONE, NULL);
}

static void qp_cconn_count_facts(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    quring_conn_info info;
    if (quring_conn_get_info(c->conn, &info) != QURING_OK) {
        return;
    }
    const qp_options *o = w->plan->options;
    w->retried += info.retry_used ? 1 : 0;
    w->spared += c->shows_token && !info.retry_used ? 1 : 0;
    w->cert_shown += info.certificate_shown ? 1 : 0;
    w->version_count += qp_asked_version(o, info.version) ? 1 : 0;
    w->unencrypted += info.unencrypted ? 1 : 0;
    if (o->resume || o->zero_rtt) {
        w->resumed += info.resumed ? 1 : 0;
        w->zero_rtt += info.early_accepted ? 1 : 0;
        w->zero_rtt_bytes += info.zero_rtt_bytes;
    }
}

/* A connection made for its ticket and token has nothing more to wait for. */
static void qp_cconn_warmed(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    if (!c->warm || c->closing || c->wants_ticket || c->wants_token) {
        return;
    }
    qp_cconn_close(c);
    if (--w->warm_left == 0) {
        atomic_store(&w->warm, 1);
        qp_wake(w);
    }
}

static void qp_cconn_session(qp_cconn *c, quring_bytes session)
{
    qp_cworker *w = c->worker;
    if (!w->plan->options->resume && !w->plan->options->zero_rtt) {
        return;
    }
    qp_tickets_push(&w->tickets, session);
    c->wants_ticket = false;
    qp_cconn_warmed(c);
}

static void qp_cconn_token(qp_cconn *c, quring_bytes token)
{
    if (c->worker->plan->options->token) {
        qp_tickets_push(&c->worker->tokens, token);
        c->wants_token = false;
        qp_cconn_warmed(c);
    }
}

static void qp_cconn_connected(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    c->established = true;
    w->opening--;
    if (c->warm) {
        qp_cworker_open_more(w);
        return;
    }
    w->handshakes++;
    qp_cconn_count_facts(c);
    if (w->info.version == 0) {
        (void)quring_conn_get_info(c->conn, &w->info);
    }
    if (w->plan->options->mode == QP_MODE_CRR) {
        qp_slot_begin(&c->slots[0]);
        return;
    }
    if (atomic_fetch_add(&w->established, 1) + 1 == w->conns) {
        qp_wake(w);
    }
    if (w->measuring) { /* --0rtt: the run began with the first packet */
        qp_cconn_begin_slots(c);
    }
    qp_cworker_open_more(w);
}

/* ---- moving ------------------------------------------------------------------------------------ */

static void qp_cconn_went(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    quring_conn_info info;
    w->migrations += c->moving ? 1 : 0;
    c->moving = false;
    if (!c->at_preferred && quring_conn_get_info(c->conn, &info) == QURING_OK &&
        info.at_preferred_address) {
        c->at_preferred = true;
        w->preferred++;
    }
}

/* --migrate: every connection that can, moves; then again after the same time. */
static void qp_cworker_move(void *ctx)
{
    qp_cworker *w = ctx;
    const qp_client_plan *plan = w->plan;
    if (!w->measuring) {
        return;
    }
    quring_addr local = plan->local;
    local.port = 0;
    for (qp_cconn *c = w->list; c != NULL; c = c->next) {
        if (c->established && !c->closing && !c->moving) {
            quring_status status = quring_conn_migrate(c->conn, local.family != 0 ? &local : NULL);
            c->moving = status == QURING_OK;
            w->move_refused = c->moving ? w->move_refused : status;
        }
    }
    if (quring_timer(NULL, quring_now_ns() + plan->options->migrate_ns, qp_cworker_move, w) !=
        QURING_OK) {
        qp_cworker_fail(w, "out of memory");
    }
}

/* ---- transfers and requests -------------------------------------------------------------------- */

static bool qp_quota_left(const qp_cworker *w)
{
    return !w->limited || w->issued < w->quota;
}

/* tput with -n: the bytes of the slot that starts now; the slots share the quota evenly. */
static uint64_t qp_slot_share(qp_cworker *w)
{
    uint64_t slots = (uint64_t)w->conns * w->plan->options->streams;
    uint64_t share = w->quota / slots + (w->issued < w->quota % slots ? 1 : 0);
    w->issued++;
    return w->limited ? share : QP_ENDLESS;
}

static void qp_slot_prepare(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    const qp_options *o = w->plan->options;
    uint64_t payload = o->request_bytes;
    uint64_t answer = o->response_bytes;
    if (o->mode == QP_MODE_TPUT) {
        uint64_t share = qp_slot_share(w);
        payload = o->direction == QP_UP ? share : 0;
        answer = o->direction == QP_UP ? 0 : share;
    } else if (o->mode == QP_MODE_DGRAM) {
        payload = 0;
        answer = qp_dgram_request(o->dgram_bytes, o->dgram_rate);
    } else if (o->mode == QP_MODE_RR) {
        w->issued++;
    }
    qp_pump_init(&slot->pump, slot->stream, payload);
    qp_pump_add_header(&slot->pump, answer);
}

/* --key-update. What is not allowed yet (RFC 9001 6.1, 6.5) is tried again with the next bytes. */
static void qp_cconn_moved(qp_cconn *c, uint64_t bytes)
{
    uint64_t every = c->worker->plan->options->key_update_bytes;
    c->moved += bytes;
    if (every != 0 && c->moved >= every && quring_conn_update_keys(c->conn) == QURING_OK) {
        c->moved = 0;
    }
}

static void qp_slot_push(qp_slot *slot)
{
    uint64_t before = slot->pump.offset;
    quring_status status = qp_pump_run(&slot->pump);
    qp_cconn_moved(slot->conn, slot->pump.offset - before);
    if (status != QURING_OK && status != QURING_E_AGAIN && !slot->conn->worker->stopped) {
        slot->conn->worker->errors++;
        qp_cworker_fail(slot->conn->worker, quring_status_text(status));
    }
}

/* Opens a stream in a free slot; when the peer allows none now, STREAMS_AVAILABLE brings us back. */
static void qp_slot_begin(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    bool is_rr = w->plan->options->mode == QP_MODE_RR;
    if (slot->live || slot->counted || !w->measuring || (is_rr && !qp_quota_left(w)) ||
        quring_stream_open(&slot->stream, slot->conn->conn, 0) != QURING_OK) {
        return;
    }
    slot->live = true;
    slot->got = 0;
    slot->began_ns = w->plan->options->mode == QP_MODE_CRR ? slot->conn->began_ns : quring_now_ns();
    (void)quring_stream_set_ctx(slot->stream, slot);
    qp_slot_prepare(slot);
    qp_slot_push(slot);
}

/* The whole answer is here. */
static void qp_slot_request_done(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    slot->live = false;
    if (!w->measuring) {
        return;
    }
    if (slot->got == w->plan->options->response_bytes) {
        w->requests++;
        qp_hist_record(w->latency, quring_now_ns() - slot->began_ns);
    } else {
        w->errors++;
    }
    if (w->limited && w->requests + w->errors >= w->quota) {
        qp_cworker_done(w);
    }
    if (w->plan->options->mode == QP_MODE_RR) {
        qp_slot_begin(slot);
        return;
    }
    qp_cconn_close(slot->conn);
    if (qp_quota_left(w)) {
        qp_cconn_begin(w);
    }
}

/* tput: this slot's transfer is over. */
static void qp_slot_transfer_done(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    quring_stream_info info;
    if (slot->counted) {
        return;
    }
    slot->counted = true;
    slot->live = false;
    if (qp_is_up(w) && quring_stream_get_info(slot->stream, &info) == QURING_OK) {
        w->bytes += info.bytes_acked > QP_HEADER_LEN ? info.bytes_acked - QP_HEADER_LEN : 0;
    }
    if (--w->active == 0) {
        qp_cworker_done(w);
    }
}

static void qp_slot_receive(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    bool fin = false;
    size_t got = QP_SCRATCH_BYTES;
    while (!fin && got == QP_SCRATCH_BYTES) { /* ends: a stream holds at most its window */
        got = 0;
        if (quring_stream_read(slot->stream, &got, &fin, w->scratch, QP_SCRATCH_BYTES) !=
            QURING_OK) {
            break;
        }
        slot->got += got;
        qp_cconn_moved(slot->conn, got);
        w->bytes += w->measuring && !qp_is_up(w) ? got : 0;
    }
    if (fin && w->plan->options->mode != QP_MODE_TPUT) {
        qp_slot_request_done(slot);
    } else if (fin && !qp_is_up(w)) {
        qp_slot_transfer_done(slot);
    }
}

/* ---- events ------------------------------------------------------------------------------------ */

static void qp_slot_broken(qp_slot *slot, uint64_t app_error)
{
    qp_cworker *w = slot->conn->worker;
    char text[128];
    if (w->stopped || slot->counted) {
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "the server refused a request (application error %" PRIu64 ")", app_error);
    w->errors++;
    qp_cworker_fail(w, text);
}

static void qp_slot_event(const quring_event *ev, qp_slot *slot)
{
    switch ((int)ev->type) {
    case QURING_EV_STREAM_READABLE:
        qp_slot_receive(slot);
        break;
    case QURING_EV_STREAM_WRITABLE:
    case QURING_EV_STREAM_RELEASED:
        qp_slot_push(slot);
        break;
    case QURING_EV_STREAM_FINISHED:
        if (qp_is_up(slot->conn->worker)) {
            qp_slot_transfer_done(slot);
        }
        break;
    case QURING_EV_STREAM_RESET:
    case QURING_EV_STREAM_STOPPED:
        qp_slot_broken(slot, ev->app_error);
        break;
    default:
        break;
    }
}

/* dgram, up: no request is needed. */
static void qp_cconn_send_dgrams(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    const qp_options *o = w->plan->options;
    if (c->dgram.sending || !w->measuring) {
        return;
    }
    quring_status status = qp_dgram_start(&c->dgram, c->conn, o->dgram_bytes, o->dgram_rate);
    if (status != QURING_OK) {
        w->errors++;
        qp_cworker_fail(w, status == QURING_E_NOT_SUPPORTED
                               ? "the server takes no datagrams (RFC 9221)"
                           : status == QURING_E_TOO_LARGE
                               ? "no packet carries datagrams of this size (--dgram-size)"
                               : quring_status_text(status));
    }
}

static void qp_cconn_begin_slots(qp_cconn *c)
{
    if (qp_is_dgram(c->worker) && c->worker->plan->options->direction == QP_UP) {
        qp_cconn_send_dgrams(c);
        return;
    }
    for (uint32_t i = 0; i < c->slot_count; i++) {
        qp_slot_begin(&c->slots[i]);
    }
}

static void qp_cconn_event(const quring_event *ev)
{
    qp_cconn *c = ev->conn_ctx;
    if (ev->type == QURING_EV_CONNECTED) {
        qp_cconn_connected(c);
    } else if (ev->type == QURING_EV_CLOSED) {
        qp_cconn_closed(c, ev->close);
    } else if (ev->type == QURING_EV_PATH_CHANGED) {
        qp_cconn_went(c);
    } else if (ev->type == QURING_EV_PATH_FAILED) {
        c->moving = false;
    } else if (ev->type == QURING_EV_SESSION) {
        qp_cconn_session(c, ev->data);
    } else if (ev->type == QURING_EV_TOKEN) {
        qp_cconn_token(c, ev->data);
    } else if (ev->type == QURING_EV_STREAMS_AVAILABLE || ev->type == QURING_EV_EARLY_READY) {
        qp_cconn_begin_slots(c);
    } else if (ev->type == QURING_EV_DATAGRAM_READABLE) {
        uint64_t bytes = qp_dgram_take(&c->dgram, ev->conn);
        c->worker->bytes += c->worker->measuring ? bytes : 0;
        qp_cconn_moved(c, bytes);
    } else if (ev->type == QURING_EV_DATAGRAM_WRITABLE) {
        qp_dgram_go_on(&c->dgram);
    } else if (ev->stream_ctx != NULL) {
        qp_slot *slot = ev->stream_ctx;
        if (slot->stream.handle == ev->stream.handle) { /* else an older stream of the slot */
            qp_slot_event(ev, slot);
        }
    }
}

/* ---- tasks ------------------------------------------------------------------------------------- */

void qp_cworker_warm(void *ctx)
{
    qp_cworker *w = ctx;
    w->warming = true;
    w->to_open = w->conns;
    w->warm_left = w->conns;
    if (w->conns == 0) {
        atomic_store(&w->warm, 1);
        qp_wake(w);
    }
    qp_cworker_open_more(w);
}

void qp_cworker_connect(void *ctx)
{
    qp_cworker *w = ctx;
    w->warming = false;
    w->scratch = aligned_alloc(64, QP_SCRATCH_BYTES);
    if (w->scratch == NULL) {
        qp_cworker_fail(w, "out of memory");
        return;
    }
    w->to_open = w->plan->options->mode == QP_MODE_CRR ? 0 : w->conns;
    qp_cworker_open_more(w);
}

void qp_cworker_start(void *ctx)
{
    qp_cworker *w = ctx;
    const qp_options *o = w->plan->options;
    w->measuring = true;
    w->active = o->mode == QP_MODE_TPUT ? w->conns * o->streams : 0;
    if (o->migrate_ns != 0 &&
        quring_timer(NULL, quring_now_ns() + o->migrate_ns, qp_cworker_move, w) != QURING_OK) {
        qp_cworker_fail(w, "out of memory");
    }
    if (w->conns == 0 || (w->limited && w->quota == 0)) {
        qp_cworker_done(w);
        return;
    }
    if (o->mode == QP_MODE_CRR) {
        for (uint32_t i = 0; i < w->conns && (!w->limited || i < w->quota); i++) {
            qp_cconn_begin(w);
        }
        return;
    }
    for (qp_cconn *c = w->list; c != NULL; c = c->next) {
        qp_cconn_begin_slots(c);
    }
}

/* Down: what came, and the gaps between the numbers; up: what was acknowledged or declared lost. */
static void qp_cconn_sample_dgrams(const qp_cconn *c, qp_sample *s)
{
    quring_conn_info info;
    if (c->worker->plan->options->direction == QP_DOWN) {
        s->datagrams += c->dgram.received;
        s->datagrams_lost += qp_dgram_missing(&c->dgram);
    } else if (quring_conn_get_info(c->conn, &info) == QURING_OK) {
        s->datagrams += info.datagrams_acked;
        s->datagrams_lost += info.datagrams_lost + info.datagrams_discarded;
        s->bytes += info.datagrams_acked * c->dgram.size;
    }
}

void qp_cworker_sample(void *ctx)
{
    qp_cworker *w = ctx;
    qp_sample *s = &w->sample;
    memset(s, 0, sizeof(*s));
    s->at_ns = quring_now_ns();
    s->bytes = w->bytes;
    s->requests = w->requests;
    s->handshakes = w->handshakes;
    s->errors = w->errors;
    for (qp_cconn *c = w->list; c != NULL && qp_is_up(w); c = c->next) {
        for (uint32_t i = 0; i < c->slot_count; i++) {
            quring_stream_info info;
            if (c->slots[i].live &&
                quring_stream_get_info(c->slots[i].stream, &info) == QURING_OK &&
                info.bytes_acked > QP_HEADER_LEN) {
                s->bytes += info.bytes_acked - QP_HEADER_LEN;
            }
        }
    }
    for (qp_cconn *c = w->list; c != NULL && qp_is_dgram(w); c = c->next) {
        qp_cconn_sample_dgrams(c, s);
    }
    if (w->list != NULL && w->list->established &&
        quring_conn_get_info(w->list->conn, &w->info) == QURING_OK) {
        s->rtt_ns = w->info.srtt_ns;
        s->min_rtt_ns = w->info.min_rtt_ns;
        s->cwnd_bytes = w->info.cwnd_bytes;
    }
    atomic_fetch_add(&w->samples_taken, 1);
    qp_wake(w);
}

static void qp_slot_stop(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    if (!slot->live) {
        return;
    }
    if (qp_is_up(w)) {
        qp_pump_finish(&slot->pump);
        qp_slot_push(slot);
        return;
    }
    (void)quring_stream_stop_sending(slot->stream, QP_APP_DONE);
    slot->live = false;
}

void qp_cworker_stop(void *ctx)
{
    qp_cworker *w = ctx;
    qp_cworker_sample(w);
    w->measuring = false;
    w->stopped = true;
    for (qp_cconn *c = w->list; c != NULL; c = c->next) {
        qp_dgram_stop(&c->dgram);
        for (uint32_t i = 0; i < c->slot_count; i++) {
            qp_slot_stop(&c->slots[i]);
        }
    }
    if (!qp_is_up(w) || w->active == 0) {
        qp_cworker_done(w);
    }
}

void qp_cworker_close(void *ctx)
{
    qp_cworker *w = ctx;
    w->measuring = false;
    w->stopped = true;
    for (qp_cconn *c = w->list; c != NULL; c = c->next) {
        qp_cconn_close(c);
    }
    if (w->list == NULL) {
        qp_wake(w);
    }
}
