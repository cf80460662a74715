#include "tools/quicperf/client_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/quicperf/client_conn.h"

void qp_cworker_wake(const qp_cworker *w)
{
    uint64_t one = 1;
    (void)!write(w->plan->wake_fd, &one, sizeof(one));
}

void qp_cworker_fail(qp_cworker *w, const char *text)
{
    if (atomic_exchange(&w->plan->error_taken, 1) == 0) {
        (void)snprintf(w->plan->error, sizeof(w->plan->error), "%s", text);
        atomic_store(&w->plan->failed, 1);
    }
    qp_cworker_wake(w);
}

void qp_cworker_done(qp_cworker *w)
{
    if (atomic_load_explicit(&w->done, memory_order_relaxed) == 0) {
        atomic_store(&w->done_ns, quring_now_ns());
        atomic_store(&w->done, 1);
        qp_cworker_wake(w);
    }
}

/* ---- tasks ------------------------------------------------------------------------------------- */

void qp_cworker_warm(void *ctx)
{
    qp_cworker *w = ctx;
    w->warming = true;
    /* One in reserve: the next connection begins with the answer, and the ticket comes after that. */
    w->to_open = w->conns + (w->conns > 0 && qp_is_short_lived(w) ? 1 : 0);
    w->warm_left = w->to_open;
    if (w->conns == 0) {
        atomic_store(&w->warm, 1);
        qp_cworker_wake(w);
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
    w->to_open = qp_is_short_lived(w) ? 0 : w->conns;
    qp_cworker_open_more(w);
}

void qp_cworker_start(void *ctx)
{
    qp_cworker *w = ctx;
    const qp_options *o = w->plan->options;
    w->measuring = true;
    w->active = qp_is_bulk(w) ? w->conns * o->streams : 0;
    if (o->migrate_ns != 0 &&
        quring_timer(NULL, quring_now_ns() + o->migrate_ns, qp_cworker_move, w) != QURING_OK) {
        qp_cworker_fail(w, "out of memory");
    }
    if (w->conns == 0 || (w->limited && w->quota == 0)) {
        qp_cworker_done(w);
        return;
    }
    if (qp_is_short_lived(w)) {
        for (uint32_t i = 0; i < w->conns && (!w->limited || i < w->quota); i++) {
            qp_cconn_begin(w);
        }
        return;
    }
    if (o->mode == QP_MODE_LATENCY) {
        qp_load_start(w);
    }
    qp_cworker_begin_slots(w);
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

/* --bulk: delivered, down; acknowledged, up. */
static uint64_t qp_cworker_bulk_bytes(const qp_cworker *w)
{
    uint64_t bytes = w->bulk_bytes;
    for (const qp_cconn *c = w->list; c != NULL; c = c->next) {
        for (uint32_t i = c->slot_count - w->plan->options->bulk; i < c->slot_count; i++) {
            const qp_slot *slot = &c->slots[i];
            bytes += slot->live && qp_slot_is_up(slot) ? qp_slot_acked(slot) : 0;
        }
    }
    return bytes;
}

/* fair: what each connection got. */
static void qp_cworker_count_shares(qp_cworker *w)
{
    memset(&w->shares, 0, sizeof(w->shares));
    for (const qp_cconn *c = w->list; c != NULL; c = c->next) {
        qp_shares_add(&w->shares, c->bytes);
    }
}

/* The figures of one connection are those of the oldest that stands, so that one line can be compared with the next. */
static void qp_cworker_sample_first(qp_cworker *w, qp_sample *s)
{
    for (const qp_cconn *c = w->list; c != NULL; c = c->next) {
        if (c->established && !c->closing && quring_conn_get_info(c->conn, &w->info) == QURING_OK) {
            s->rtt_ns = w->info.srtt_ns;
            s->min_rtt_ns = w->info.min_rtt_ns;
            s->cwnd_bytes = w->info.cwnd_bytes;
            return;
        }
    }
}

static void qp_cworker_sample_at(qp_cworker *w, uint64_t now)
{
    qp_sample *s = &w->sample;
    memset(s, 0, sizeof(*s));
    s->at_ns = now;
    s->bytes = w->bytes;
    s->requests = w->requests;
    s->handshakes = w->handshakes;
    s->errors = w->errors;
    for (qp_cconn *c = w->list; c != NULL && qp_is_up(w); c = c->next) {
        c->bytes = 0;
        for (uint32_t i = 0; i < c->slot_count; i++) {
            c->bytes += c->slots[i].live ? qp_slot_acked(&c->slots[i]) : 0;
        }
        s->bytes += c->bytes;
    }
    for (qp_cconn *c = w->list; c != NULL && qp_is_dgram(w); c = c->next) {
        qp_cconn_sample_dgrams(c, s);
    }
    s->bulk_bytes = w->plan->options->bulk != 0 ? qp_cworker_bulk_bytes(w) : 0;
    qp_cworker_sample_first(w, s);
    if (w->plan->options->mode == QP_MODE_FAIR) {
        qp_cworker_count_shares(w);
    }
    atomic_fetch_add(&w->samples_taken, 1);
    qp_cworker_wake(w);
}

void qp_cworker_sample(void *ctx)
{
    qp_cworker_sample_at(ctx, quring_now_ns());
}

void qp_cworker_stop(void *ctx)
{
    qp_cworker *w = ctx;
    uint64_t now = quring_now_ns();
    if (w->plan->options->mode == QP_MODE_LATENCY) {
        qp_load_stop(w, now);
    }
    qp_cworker_sample_at(w, now);
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
        qp_cworker_wake(w);
    }
}
