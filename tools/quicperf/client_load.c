#include "tools/quicperf/client_conn.h"

static void qp_load_run(qp_cworker *w);

static uint64_t qp_load_due_ns(const qp_load *load, uint64_t k)
{
    return load->t0_ns + (uint64_t)((double)k * load->interval_ns);
}

static void qp_load_tick(void *ctx)
{
    qp_cworker *w = ctx;
    w->load.armed = false;
    qp_load_run(w);
}

/* Gives every request that is due a slot, as long as there are slots; then waits for the next one to be
 * due. Without a free slot there is nothing to wait for but an answer. */
static void qp_load_run(qp_cworker *w)
{
    qp_load *load = &w->load;
    uint64_t now = quring_now_ns();
    while (w->measuring && load->free != NULL && qp_quota_left(w)) {
        uint64_t due = qp_load_due_ns(load, load->planned);
        if (due > now) {
            if (!load->armed && quring_timer(NULL, due, qp_load_tick, w) == QURING_OK) {
                load->armed = true;
            } else if (!load->armed) {
                qp_cworker_fail(w, "out of memory");
            }
            return;
        }
        qp_slot *slot = load->free;
        load->free = slot->next_free;
        slot->free = false;
        slot->began_ns = due;
        if (qp_slot_begin(slot)) {
            load->planned++;
        } /* else STREAMS_AVAILABLE brings the slot back */
    }
}

void qp_load_start(qp_cworker *w)
{
    const qp_options *o = w->plan->options;
    double rate = (double)o->request_rate * w->conns / o->conns;
    w->load.interval_ns = 1e9 / rate;
    w->load.t0_ns = w->plan->t0_ns;
}

static void qp_load_append(qp_load *load, qp_slot *slot)
{
    slot->next_free = NULL;
    *(load->free == NULL ? &load->free : &load->free_last->next_free) = slot;
    load->free_last = slot;
}

void qp_load_free(qp_slot *slot)
{
    qp_cworker *w = slot->conn->worker;
    slot->free = true;
    qp_load_append(&w->load, slot);
    qp_load_run(w);
}

void qp_load_forget(const qp_cconn *c)
{
    qp_load *load = &c->worker->load;
    qp_slot *slot = load->free;
    load->free = NULL;
    while (slot != NULL) {
        qp_slot *next = slot->next_free;
        if (slot->conn != c) {
            qp_load_append(load, slot);
        }
        slot = next;
    }
}

void qp_load_stop(qp_cworker *w, uint64_t now)
{
    qp_load *load = &w->load;
    load->free = NULL;
    if (load->t0_ns == 0) {
        return; /* a worker without connections, or without requests */
    }
    uint64_t elapsed = now - load->t0_ns;
    uint64_t due = (uint64_t)((double)elapsed / load->interval_ns) + 1;
    if (w->limited && due > w->quota) {
        due = w->quota;
    }
    load->unsent = due > load->planned ? due - load->planned : 0;
    load->unanswered = load->planned - load->ended;
}
