#include "tools/quicperf/client_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/asked.h"
#include "tools/quicperf/close_text.h"

#define QP_OPENING_MAX 64u /* handshakes under way per worker: more would only wait in queues */
#define QP_SUBMIT_TEXT 64u

static void qp_cconn_event(const quring_event *ev);

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
    } else {
        c->worker->list_last = c->prev;
    }
}

static void qp_cconn_unlink_shaken(qp_cconn *c)
{
    qp_cconn **at = &c->worker->shaken;
    while (c->shaken && *at != c) {
        at = &(*at)->next_shaken;
    }
    if (c->shaken) {
        *at = c->next_shaken;
    }
}

static uint32_t qp_cconn_slots(const qp_options *o)
{
    uint32_t slots = o->mode == QP_MODE_CRR || o->mode == QP_MODE_DGRAM  ? 1
                     : o->mode == QP_MODE_IDLE || o->mode == QP_MODE_HPS ? 0
                                                                         : o->streams;
    return slots + o->bulk;
}

/* Opens it; with a ticket and a token, where they are asked for and there are any. */
static quring_status qp_cconn_connect(qp_cconn *c, quring_error *err)
{
    qp_cworker *w = c->worker;
    const qp_client_plan *plan = w->plan;
    quring_connect_options options;
    memset(&options, 0, sizeof(options));
    options.remote = plan->remote;
    options.local = plan->local;
    options.server_name = plan->server_name;
    options.tls = plan->tls;
    options.on_event = qp_cconn_event;
    options.ctx = c;
    if (!qp_is_up(w) && plan->options->qlog == NULL) {
        options.muted_events = QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED);
    }
    if (!w->warming && c->wants_ticket) {
        options.session = qp_tickets_take(&w->tickets);
        options.zero_rtt = plan->options->zero_rtt;
    }
    if (!w->warming && c->wants_token) {
        options.token = qp_tickets_take(&w->tokens);
        c->shows_token = options.token.len > 0;
    }
    memset(err, 0, sizeof(*err));
    return quring_connect(&c->conn, &options, err);
}

void qp_cconn_begin(qp_cworker *w)
{
    const qp_client_plan *plan = w->plan;
    uint32_t slots = qp_cconn_slots(plan->options);
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
        c->slots[i].bulk = i + plan->options->bulk >= slots;
    }
    c->began_ns = quring_now_ns();
    quring_error err;
    quring_status status = qp_cconn_connect(c, &err);
    if (status != QURING_OK) {
        char text[sizeof(err.message) + QP_SUBMIT_TEXT];
        (void)snprintf(text, sizeof(text), "cannot open a connection: %s",
                       qp_error_text(&err, status));
        free(c);
        w->errors++;
        qp_cworker_fail(w, text);
        return;
    }
    c->qlog = qp_qlog_begin(plan->options->qlog, c->conn, true);
    c->prev = w->list_last;
    *(c->prev == NULL ? &w->list : &c->prev->next) = c;
    w->list_last = c;
    w->opening++;
    w->issued += qp_is_short_lived(w) && !c->warm ? 1 : 0;
    atomic_fetch_add(&w->open, 1);
}

void qp_cworker_open_more(qp_cworker *w)
{
    while (w->to_open > 0 && w->opening < QP_OPENING_MAX && !w->stopped &&
           atomic_load_explicit(&w->plan->failed, memory_order_relaxed) == 0) {
        w->to_open--;
        qp_cconn_begin(w);
    }
}

/* What an upload had delivered when its connection ended counts. */
static void qp_cconn_keep_bytes(qp_cconn *c)
{
    for (uint32_t i = 0; i < c->slot_count && qp_is_up(c->worker); i++) {
        c->worker->bytes += c->slots[i].live ? qp_slot_acked(&c->slots[i]) : 0;
    }
}

/* A CONNECTION_CLOSE from the server after we have stopped is the end we wanted. */
static void qp_cconn_closed(qp_cconn *c, const quring_close_info *close)
{
    qp_cworker *w = c->worker;
    qp_cconn_keep_bytes(c);
    qp_cconn_unlink(c);
    qp_cconn_unlink_shaken(c);
    qp_load_forget(c);
    qp_dgram_stop(&c->dgram);
    w->opening -= c->established ? 0 : 1;
    if (!c->closing && !w->stopped) {
        char text[1024];
        qp_close_text(text, sizeof(text), close, &w->plan->server, w->plan->options->timeout_ns);
        w->errors++;
        qp_cworker_fail(w, text);
    }
    free(c);
    if (atomic_fetch_sub(&w->open, 1) == 1) {
        qp_cworker_wake(w);
    }
}

void qp_cconn_close(qp_cconn *c)
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
        qp_cworker_wake(w);
    }
}

static void qp_cworker_close_shaken(void *ctx);

static void qp_cworker_arm_shaken(qp_cworker *w)
{
    if (w->shaken_armed || w->shaken == NULL) {
        return;
    }
    w->shaken_armed = true;
    if (quring_timer(NULL, quring_now_ns(), qp_cworker_close_shaken, w) != QURING_OK) {
        qp_cworker_fail(w, "out of memory");
    }
}

/* A handshake is over when the server has the client's Finished. A connection that is closed before that has left sends
 * both in one datagram, which is not what a handshake costs; one with a long flight (a certificate) leaves it out, and
 * has failed to the server. What is in flight now can be nothing else. */
static void qp_cworker_close_shaken(void *ctx)
{
    qp_cworker *w = ctx;
    qp_cconn **at = &w->shaken;
    w->shaken_armed = false;
    while (*at != NULL) {
        qp_cconn *c = *at;
        quring_conn_info info;
        if (quring_conn_get_info(c->conn, &info) == QURING_OK && info.in_flight_bytes == 0 &&
            !info.confirmed) {
            at = &c->next_shaken;
            continue;
        }
        *at = c->next_shaken;
        c->shaken = false;
        qp_cconn_close(c);
    }
    qp_cworker_arm_shaken(w);
}

static void qp_cconn_close_soon(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    c->shaken = true;
    c->next_shaken = w->shaken;
    w->shaken = c;
    qp_cworker_arm_shaken(w);
}

/* hps: one handshake is over, and with --resume its ticket is here for the next one. */
static void qp_cconn_shaken(qp_cconn *c)
{
    qp_cworker *w = c->worker;
    if (c->closing || c->shaken || c->warm || c->wants_ticket || !w->measuring) {
        return;
    }
    qp_cconn_close_soon(c);
    if (w->limited && w->handshakes >= w->quota) {
        qp_cworker_done(w);
    } else if (qp_quota_left(w)) {
        qp_cconn_begin(w);
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
    if (w->plan->options->mode == QP_MODE_HPS && c->established) {
        qp_cconn_shaken(c);
    }
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
    bool is_hps = w->plan->options->mode == QP_MODE_HPS;
    if (w->stopped) {
        return; /* too late to count, and the main thread reads the counters now */
    }
    w->handshakes++;
    qp_cconn_count_facts(c);
    if (w->info.version == 0) {
        (void)quring_conn_get_info(c->conn, &w->info);
    }
    if (is_hps) {
        qp_hist_record(w->latency, quring_now_ns() - c->began_ns);
        qp_cconn_shaken(c);
        return;
    }
    if (w->plan->options->mode == QP_MODE_CRR) {
        (void)qp_slot_begin(&c->slots[0]);
        return;
    }
    if (atomic_fetch_add(&w->established, 1) + 1 == w->conns) {
        qp_cworker_wake(w);
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
    bool asked = c->moving;
    c->moving = false;
    if (w->stopped) {
        return; /* the main thread reads the counters now */
    }
    w->migrations += asked ? 1 : 0;
    if (!c->at_preferred && quring_conn_get_info(c->conn, &info) == QURING_OK &&
        info.at_preferred_address) {
        c->at_preferred = true;
        w->preferred++;
    }
}

/* --migrate: every connection that can, moves; then again after the same time. */
void qp_cworker_move(void *ctx)
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

/* ---- events ------------------------------------------------------------------------------------ */

static void qp_cconn_event(const quring_event *ev)
{
    qp_cconn *c = ev->conn_ctx;
    qp_qlog_event(c->qlog, ev);
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
