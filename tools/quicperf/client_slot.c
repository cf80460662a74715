#include <inttypes.h>
#include <stdio.h>

#include "tools/quicperf/asked.h"
#include "tools/quicperf/client_conn.h"

/* ---- transfers and requests -------------------------------------------------------------------- */

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
    if (slot->bulk) {
        payload = o->direction == QP_UP ? QP_ENDLESS : 0;
        answer = o->direction == QP_UP ? 0 : QP_ENDLESS;
    } else if (qp_is_bulk(w)) {
        uint64_t share = qp_slot_share(w);
        payload = o->direction == QP_UP ? share : 0;
        answer = o->direction == QP_UP ? 0 : share;
    } else if (o->mode == QP_MODE_DGRAM) {
        payload = 0;
        answer = qp_dgram_request(o->dgram_bytes, o->dgram_rate);
    } else if (o->mode == QP_MODE_RR || o->mode == QP_MODE_LATENCY) {
        w->issued++;
    }
    slot->asked = answer;
    qp_pump_init(&slot->pump, slot->stream, payload);
    qp_pump_add_header(&slot->pump, answer);
    w->urgent_streams += qp_pump_hurry(&slot->pump, o->urgent_bytes) ? 1 : 0;
}

/* --key-update. What is not allowed yet (RFC 9001 6.1, 6.5) is tried again with the next bytes. */
void qp_cconn_moved(qp_cconn *c, uint64_t bytes)
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

bool qp_slot_begin(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    bool is_rr = w->plan->options->mode == QP_MODE_RR && !slot->bulk;
    if (slot->live || slot->counted || !w->measuring || (is_rr && !qp_quota_left(w)) ||
        quring_stream_open(&slot->stream, slot->conn->conn, 0) != QURING_OK) {
        return false;
    }
    uint32_t mode = w->plan->options->mode;
    slot->live = true;
    slot->got = 0;
    if (mode != QP_MODE_LATENCY) {
        slot->began_ns = mode == QP_MODE_CRR ? slot->conn->began_ns : quring_now_ns();
    }
    (void)quring_stream_set_ctx(slot->stream, slot);
    qp_slot_prepare(slot);
    qp_slot_push(slot);
    return true;
}

/* The whole answer is here. */
static void qp_slot_request_done(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    slot->live = false;
    if (!w->measuring) {
        return;
    }
    if (slot->got == slot->asked) {
        w->requests++;
        qp_hist_record(w->latency, quring_now_ns() - slot->began_ns);
    } else {
        w->errors++;
    }
    if (w->limited && w->requests + w->errors >= w->quota) {
        qp_cworker_done(w);
    }
    if (w->plan->options->mode == QP_MODE_RR) {
        (void)qp_slot_begin(slot);
        return;
    }
    if (w->plan->options->mode == QP_MODE_LATENCY) {
        w->load.ended++;
        qp_load_free(slot);
        return;
    }
    qp_cconn_close(slot->conn);
    if (qp_quota_left(w)) {
        qp_cconn_begin(w);
    }
}

uint64_t qp_slot_acked(const qp_slot *slot)
{
    quring_stream_info info;
    bool known = quring_stream_get_info(slot->stream, &info) == QURING_OK;
    return known && info.bytes_acked > QP_HEADER_LEN ? info.bytes_acked - QP_HEADER_LEN : 0;
}

static void qp_slot_failed(qp_slot *slot, const char *text)
{
    slot->conn->worker->errors++;
    qp_cworker_fail(slot->conn->worker, text);
}

/* Down: the server has sent another number of bytes than it was asked for, or an end to what has none. */
static void qp_slot_wrong(qp_slot *slot)
{
    char text[128];
    qp_slot_failed(slot, qp_asked_length(text, sizeof(text), slot->asked, slot->got));
}

/* tput: this slot's transfer is over. */
static void qp_slot_transfer_done(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    if (slot->counted) {
        return;
    }
    if (!qp_is_up(w) && w->measuring && slot->got != slot->asked) {
        qp_slot_wrong(slot);
    }
    slot->counted = true;
    slot->live = false;
    w->bytes += qp_is_up(w) ? qp_slot_acked(slot) : 0;
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
        uint64_t counts = w->measuring && !qp_slot_is_up(slot) ? got : 0;
        slot->got += got;
        slot->conn->bytes += counts;
        qp_cconn_moved(slot->conn, got);
        *(slot->bulk ? &w->bulk_bytes : &w->bytes) += counts;
    }
    bool over = fin || slot->got > slot->asked;
    if (!over || qp_slot_is_up(slot)) {
        return;
    }
    if (!fin) { /* more than was asked for need not come */
        (void)quring_stream_stop_sending(slot->stream, QP_APP_DONE);
    }
    if ((slot->bulk || qp_is_dgram(w)) && w->measuring) {
        qp_slot_wrong(slot); /* it ends with the run */
    } else if (!slot->bulk && qp_is_bulk(w)) {
        qp_slot_transfer_done(slot);
    } else if (!slot->bulk && !qp_is_dgram(w)) {
        qp_slot_request_done(slot);
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
    qp_slot_failed(slot, text);
}

void qp_slot_event(const quring_event *ev, qp_slot *slot)
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

static void qp_cconn_begin_slot(qp_slot *slot)
{
    if (slot->conn->worker->plan->options->mode != QP_MODE_LATENCY || slot->bulk) {
        (void)qp_slot_begin(slot);
    } else if (!slot->live && !slot->free) {
        qp_load_free(slot);
    }
}

void qp_cconn_begin_slots(qp_cconn *c)
{
    if (qp_is_dgram(c->worker) && c->worker->plan->options->direction == QP_UP) {
        qp_cconn_send_dgrams(c);
        return;
    }
    for (uint32_t i = 0; i < c->slot_count; i++) {
        qp_cconn_begin_slot(&c->slots[i]);
    }
}

void qp_cworker_begin_slots(qp_cworker *w)
{
    uint32_t turns = w->plan->options->mode == QP_MODE_LATENCY ? w->plan->options->streams : 0;
    for (uint32_t i = 0; i < turns; i++) {
        for (qp_cconn *c = w->list; c != NULL; c = c->next) {
            qp_cconn_begin_slot(&c->slots[i]);
        }
    }
    for (qp_cconn *c = w->list; c != NULL; c = c->next) {
        qp_cconn_begin_slots(c);
    }
}

void qp_slot_stop(qp_slot *slot)
{
    if (!slot->live) {
        return;
    }
    if (qp_slot_is_up(slot)) {
        qp_pump_finish(&slot->pump);
        qp_slot_push(slot);
        return;
    }
    (void)quring_stream_stop_sending(slot->stream, QP_APP_DONE);
    slot->live = false;
}
