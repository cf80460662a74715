#include "tools/quicperf/dgram.h"

#include <string.h>

#include "quring/runtime.h"

#include "tools/quicperf/proto.h"

#define QP_DGRAM_LEN_MAX  65535u
#define QP_DGRAM_BURST    64u      /* at most so many at once: what the library queues */
#define QP_DGRAM_TICK_MAX 1000000u /* ns; with a rate: those that are due, every so often ... */
#define QP_DGRAM_TICK_MIN 50000u   /* ... so that they are half a burst, where that can be */
#define QP_DGRAM_SECOND   1000000000ull
#define QP_DGRAM_RATE_MAX 100000000u

static void qp_dgram_tick(void *ctx);

/* One more; what it says besides its number does not matter. */
static quring_status qp_dgram_send_one(qp_dgram *d)
{
    static __thread uint8_t bytes[QP_DGRAM_LEN_MAX];
    size_t max = 0;
    quring_status status = quring_datagram_max(d->conn, &max);
    if (status != QURING_OK) {
        return status;
    }
    if (d->size > max) { /* the path carries less than before */
        d->size = (uint32_t)max;
    }
    if (d->size < QP_DGRAM_LEN_MIN) {
        return QURING_E_TOO_LARGE;
    }
    qp_header_encode(bytes, d->next_number);
    status = quring_datagram_send(d->conn, bytes, d->size, 0,
                                  d->rate > 0 ? QURING_DATAGRAM_REPLACE : 0u);
    d->next_number += status == QURING_OK ? 1 : 0;
    return status;
}

static void qp_dgram_arm(qp_dgram *d)
{
    uint64_t tick_ns = QP_DGRAM_BURST / 2 * QP_DGRAM_SECOND / d->rate;
    tick_ns = tick_ns > QP_DGRAM_TICK_MIN ? tick_ns : QP_DGRAM_TICK_MIN;
    tick_ns = tick_ns < QP_DGRAM_TICK_MAX ? tick_ns : QP_DGRAM_TICK_MAX;
    uint64_t at_ns = quring_now_ns() + tick_ns;
    uint64_t due_ns =
        d->began_ns + 1 + (uint64_t)((double)d->next_number * (double)QP_DGRAM_SECOND / d->rate);
    at_ns = at_ns > due_ns ? at_ns : due_ns; /* a slow rate: nothing is to be done before */
    d->has_timer = quring_timer(&d->timer, at_ns, qp_dgram_tick, d) == QURING_OK;
}

/* With a rate: those due by now; the rest of a long pause is left out. */
static void qp_dgram_send_due(qp_dgram *d)
{
    uint64_t elapsed_ns = quring_now_ns() - d->began_ns;
    uint64_t due = (uint64_t)((double)elapsed_ns * d->rate / (double)QP_DGRAM_SECOND) + 1;
    uint32_t burst = 0;
    while (d->next_number < due && burst++ < QP_DGRAM_BURST) {
        if (qp_dgram_send_one(d) != QURING_OK) {
            break;
        }
    }
    if (d->next_number < due) {
        d->began_ns = quring_now_ns() -
                      (uint64_t)((double)d->next_number * (double)QP_DGRAM_SECOND / d->rate);
    }
}

static void qp_dgram_tick(void *ctx)
{
    qp_dgram *d = ctx;
    d->has_timer = false;
    if (d->sending) {
        qp_dgram_send_due(d);
        qp_dgram_arm(d);
    }
}

quring_status qp_dgram_start(qp_dgram *d, quring_conn conn, uint32_t size, uint32_t rate)
{
    size_t max = 0;
    quring_status status = quring_datagram_max(conn, &max);
    if (status != QURING_OK) {
        return status;
    }
    size = size == 0 ? (uint32_t)max : size;
    if (size < QP_DGRAM_LEN_MIN || size > max) {
        return QURING_E_TOO_LARGE;
    }
    memset(d, 0, sizeof(*d));
    d->conn = conn;
    d->size = size;
    d->rate = rate < QP_DGRAM_RATE_MAX ? rate : QP_DGRAM_RATE_MAX;
    d->sending = true;
    d->began_ns = quring_now_ns();
    if (rate > 0) {
        qp_dgram_send_due(d);
        qp_dgram_arm(d);
    } else {
        qp_dgram_go_on(d);
    }
    return QURING_OK;
}

quring_status qp_dgram_request_start(qp_dgram *d, quring_conn conn, uint64_t request)
{
    return qp_dgram_start(d, conn, (uint32_t)(request >> 32 & 0xffff), (uint32_t)request);
}

void qp_dgram_go_on(qp_dgram *d)
{
    if (d->sending && d->rate == 0) {
        while (qp_dgram_send_one(d) == QURING_OK) {
            /* ends: the library's queue is bounded, a full one says AGAIN */
        }
    }
}

void qp_dgram_stop(qp_dgram *d)
{
    d->sending = false;
    if (d->has_timer) {
        (void)quring_timer_cancel(d->timer);
        d->has_timer = false;
    }
}

uint64_t qp_dgram_take(qp_dgram *d, quring_conn conn)
{
    quring_bytes bytes;
    uint64_t total = 0;
    while (quring_datagram_peek(conn, &bytes) == QURING_OK) {
        qp_header header = {{0}, 0};
        total += bytes.len;
        d->received++;
        (void)qp_header_feed(&header, bytes.data, bytes.len);
        if (qp_header_is_complete(&header) && qp_header_value(&header) >= d->next_number) {
            d->next_number = qp_header_value(&header) + 1;
        }
        if (quring_datagram_consume(conn) != QURING_OK) {
            break;
        }
    }
    return total;
}

uint64_t qp_dgram_missing(const qp_dgram *d)
{
    return d->next_number > d->received ? d->next_number - d->received : 0;
}
