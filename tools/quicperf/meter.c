#include "tools/quicperf/meter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

#define QP_READ_NS (QP_NS_PER_S / 10)

bool qp_meter_open(qp_meter *meter)
{
    meter->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return meter->wake_fd >= 0;
}

void qp_meter_close(qp_meter *meter)
{
    if (meter->wake_fd >= 0) {
        (void)close(meter->wake_fd);
    }
    meter->wake_fd = -1;
}

void qp_meter_wake(const qp_meter *meter)
{
    uint64_t one = 1;
    (void)!write(meter->wake_fd, &one, sizeof(one));
}

void qp_meter_wait(qp_meter *meter, bool (*ready)(void *ctx), uint64_t until_ns)
{
    while (!meter->interrupted && !meter->is_over(meter->ctx) &&
           (ready == NULL || !ready(meter->ctx))) {
        uint64_t now = quring_now_ns();
        if (now >= until_ns) {
            return;
        }
        struct pollfd fds[2] = {{.fd = meter->wake_fd, .events = POLLIN},
                                {.fd = meter->signal_fd, .events = POLLIN}};
        uint64_t left = until_ns - now < QP_NS_PER_S ? until_ns - now : QP_NS_PER_S;
        if (poll(fds, 2, (int)((left + 999999) / 1000000)) <= 0) {
            continue;
        }
        uint64_t drained;
        if ((fds[0].revents & POLLIN) != 0) {
            (void)!read(meter->wake_fd, &drained, sizeof(drained));
        }
        meter->interrupted =
            (fds[1].revents & POLLIN) != 0 && qp_signals_take(meter->signal_fd) != 0;
    }
}

/* Waits until `until_ns`, and reads now and then: a connection that is lost takes its last figures along. */
static void qp_meter_read_until(qp_meter *meter, qp_reading *now, uint64_t until_ns)
{
    uint64_t at;
    do {
        at = quring_now_ns();
        qp_meter_wait(meter, NULL, until_ns > at + QP_READ_NS ? at + QP_READ_NS : until_ns);
        meter->read(meter->ctx, now);
        at = quring_now_ns();
    } while (at < until_ns && !meter->interrupted && !meter->is_over(meter->ctx));
}

static void qp_meter_interval(qp_meter *meter, double t0_s, double t1_s, const qp_reading *last,
                              const qp_reading *now)
{
    qp_interval interval = {.t0_s = t0_s,
                            .t1_s = t1_s,
                            .bytes = now->bytes > last->bytes ? now->bytes - last->bytes : 0,
                            .requests = now->requests - last->requests,
                            .lost_packets = now->lost - last->lost,
                            .rtt_ns = now->rtt_ns,
                            .cwnd_bytes = now->cwnd_bytes,
                            .cpu_local_s = now->cpu_s - last->cpu_s};
    qp_result_add_interval(meter->result, &interval);
    qp_report_interval(meter->out, meter->result, &interval);
    meter->interrupted = meter->interrupted || meter->out->gone;
}

uint64_t qp_meter_next(uint64_t last_ns, uint64_t step_ns)
{
    uint64_t now = quring_now_ns();
    uint64_t next = last_ns + step_ns;
    return now < next ? next : next + (now - next + step_ns) / step_ns * step_ns;
}

void qp_meter_run(qp_meter *meter)
{
    const qp_options *o = meter->options;
    qp_reading first;
    qp_reading now;
    double t0_s = 0;
    meter->read(meter->ctx, &first);
    qp_reading last = first;
    uint64_t began = quring_now_ns();
    meter->go(meter->ctx); /* after that: what is done before the clock runs would be for nothing */
    uint64_t end = o->amount != 0 ? UINT64_MAX : began + o->duration_ns;
    uint64_t step = o->interval_ns != 0 ? o->interval_ns : UINT64_MAX / 2;
    for (uint64_t next = began + step;; next = qp_meter_next(next, step)) {
        qp_meter_read_until(meter, &now, next < end ? next : end);
        uint64_t at = quring_now_ns();
        double t1_s = (double)(at - began) / 1e9;
        bool over = at >= end || meter->is_over(meter->ctx);
        if (o->interval_ns !=
            0) { /* the last, too, however short: the lines add up to the summary */
            qp_meter_interval(meter, t0_s, t1_s, &last, &now);
        }
        last = now;
        t0_s = t1_s;
        if (over || meter->interrupted) {
            break;
        }
    }
    meter->result->seconds = t0_s;
    meter->result->bytes = now.bytes;
    meter->result->requests = now.requests;
    meter->result->lost_packets = now.lost - first.lost;
    meter->result->cpu_local_s = now.cpu_s - first.cpu_s;
}
