#include "tools/quicperf/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/quicperf/asked.h"
#include "tools/quicperf/client_worker.h"
#include "tools/quicperf/close_text.h"
#include "tools/quicperf/impair_options.h"
#include "tools/quicperf/meter.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/target.h"
#include "tools/quicperf/units.h"

#define QP_GRACE_NS      (2 * QP_NS_PER_S) /* beyond the handshake timeout, and for closing */
#define QP_DRAIN_MAX_NS  (5 * QP_NS_PER_S) /* up: for the last bytes to be acknowledged */
#define QP_SAMPLE_MAX_NS QP_NS_PER_S
#define QP_TICKET_MAX_NS (3 * QP_NS_PER_S) /* a session ticket follows the handshake at once */
#define QP_HOST_MAX      256u

typedef struct qp_client {
    const qp_client_run *run;
    qp_result *result;
    quring_runtime *rt;
    quring_impair *proxy; /* NULL: straight to the server */
    quring_addr server;
    qp_client_plan plan;
    char host[QP_HOST_MAX];
    qp_cworker workers[QURING_WORKERS_MAX];
    uint32_t worker_count;
    uint32_t samples_asked;
    bool interrupted;

    uint64_t t0_ns;
    qp_sample last; /* of the previous interval */
    uint64_t lost;  /* now, as of the latest sum of samples */
    uint64_t last_lost;
    uint64_t first_lost;
    double cpu_s; /* now */
    double last_cpu_s;
    double first_cpu_s;
    double first_peer_cpu_s;
    double spin_s; /* now */
    double first_spin_s;
    quring_stats first_stats;
} qp_client;

typedef enum qp_wait { QP_WAIT_READY, QP_WAIT_TIME, QP_WAIT_BROKEN } qp_wait;

/* ---- waiting ----------------------------------------------------------------------------------- */

static bool qp_client_is_broken(const qp_client *cl)
{
    return cl->interrupted || atomic_load(&cl->plan.failed) != 0;
}

static void qp_client_poll(qp_client *cl, uint64_t wait_ns)
{
    struct pollfd fds[2] = {{.fd = cl->plan.wake_fd, .events = POLLIN},
                            {.fd = cl->run->signal_fd, .events = POLLIN}};
    int wait_ms = (int)((wait_ns + 999999) / 1000000);
    uint64_t count;
    if (poll(fds, 2, wait_ms) > 0) {
        if ((fds[0].revents & POLLIN) != 0) {
            (void)!read(cl->plan.wake_fd, &count, sizeof(count));
        }
        if ((fds[1].revents & POLLIN) != 0 && qp_signals_take(cl->run->signal_fd) != 0) {
            if (cl->interrupted) {
                _exit(QP_EXIT_INTERRUPTED);
            }
            cl->interrupted = true;
        }
    }
}

/* Waits until `ready` says so, the time has come, or (unless `stubborn`) something broke. */
static qp_wait qp_client_wait(qp_client *cl, bool (*ready)(const qp_client *), uint64_t until_ns,
                              bool stubborn)
{
    for (;;) {
        uint64_t now = quring_now_ns();
        if (ready != NULL && ready(cl)) {
            return QP_WAIT_READY;
        }
        if (!stubborn && qp_client_is_broken(cl)) {
            return QP_WAIT_BROKEN;
        }
        if (now >= until_ns) {
            return QP_WAIT_TIME;
        }
        uint64_t left = until_ns - now;
        qp_client_poll(cl, left < QP_NS_PER_S ? left : QP_NS_PER_S);
    }
}

static void qp_client_post(qp_client *cl, quring_task_fn task)
{
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        while (quring_post(cl->rt, i, task, &cl->workers[i]) == QURING_E_AGAIN) {
            struct timespec pause = {.tv_nsec = 1000000};
            (void)nanosleep(&pause, NULL);
        }
    }
}

static bool qp_all_connected(const qp_client *cl)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        count += atomic_load(&cl->workers[i].established);
    }
    return count == cl->run->options->conns;
}

static bool qp_all_warm(const qp_client *cl)
{
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        if (atomic_load(&cl->workers[i].warm) == 0 || atomic_load(&cl->workers[i].open) != 0) {
            return false;
        }
    }
    return true;
}

static bool qp_all_sampled(const qp_client *cl)
{
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        if ((int32_t)(atomic_load(&cl->workers[i].samples_taken) - cl->samples_asked) < 0) {
            return false;
        }
    }
    return true;
}

static bool qp_all_done(const qp_client *cl)
{
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        if (atomic_load(&cl->workers[i].done) == 0) {
            return false;
        }
    }
    return true;
}

static bool qp_all_closed(const qp_client *cl)
{
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        if (atomic_load(&cl->workers[i].open) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- figures ----------------------------------------------------------------------------------- */

static double qp_runtime_cpu_s(const quring_runtime *rt, uint32_t workers)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < workers; i++) {
        ns += quring_worker_cpu_ns(rt, i);
    }
    return (double)ns / 1e9;
}

static double qp_peer_cpu_s(const qp_client *cl)
{
    quring_runtime_info info;
    if (cl->run->peer == NULL) {
        return QP_UNKNOWN_S;
    }
    quring_runtime_get_info(cl->run->peer, &info);
    return qp_runtime_cpu_s(cl->run->peer, info.workers);
}

static double qp_spin_s(const qp_client *cl)
{
    quring_stats stats;
    return quring_stats_get(cl->rt, -1, &stats) == QURING_OK ? (double)stats.spin_ns / 1e9 : 0;
}

/* Packets declared lost here, and by the server when it is in this process. */
static uint64_t qp_lost(const qp_client *cl)
{
    quring_stats stats;
    uint64_t lost = quring_stats_get(cl->rt, -1, &stats) == QURING_OK ? stats.packets_lost : 0;
    if (cl->run->peer != NULL && quring_stats_get(cl->run->peer, -1, &stats) == QURING_OK) {
        lost += stats.packets_lost;
    }
    return lost;
}

/* What all workers have sampled, and what is known without them. */
static qp_sample qp_client_sum(qp_client *cl)
{
    qp_sample sum;
    memset(&sum, 0, sizeof(sum));
    cl->lost = qp_lost(cl);
    cl->spin_s = qp_spin_s(cl);
    cl->cpu_s = qp_runtime_cpu_s(cl->rt, cl->worker_count);
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        const qp_sample *s = &cl->workers[i].sample;
        sum.at_ns = s->at_ns > sum.at_ns ? s->at_ns : sum.at_ns;
        sum.bytes += s->bytes;
        sum.requests += s->requests;
        sum.handshakes += s->handshakes;
        sum.errors += s->errors;
        sum.datagrams += s->datagrams;
        sum.datagrams_lost += s->datagrams_lost;
        sum.bulk_bytes += s->bulk_bytes;
        if (sum.rtt_ns == 0) {
            sum.rtt_ns = s->rtt_ns;
            sum.min_rtt_ns = s->min_rtt_ns;
            sum.cwnd_bytes = s->cwnd_bytes;
        }
    }
    return sum;
}

static void qp_client_interval(qp_client *cl, const qp_sample *now)
{
    qp_interval interval;
    memset(&interval, 0, sizeof(interval));
    interval.t0_s = (double)(cl->last.at_ns - cl->t0_ns) / 1e9;
    interval.t1_s = (double)(now->at_ns - cl->t0_ns) / 1e9;
    interval.bytes = now->bytes > cl->last.bytes ? now->bytes - cl->last.bytes : 0;
    interval.requests = now->requests - cl->last.requests;
    interval.lost_packets = cl->lost - cl->last_lost;
    interval.rtt_ns = now->rtt_ns;
    interval.cwnd_bytes = now->cwnd_bytes;
    interval.cpu_local_s = cl->cpu_s - cl->last_cpu_s;
    cl->last = *now;
    cl->last_lost = cl->lost;
    cl->last_cpu_s = cl->cpu_s;
    qp_result_add_interval(cl->result, &interval);
    qp_report_interval(cl->run->out, cl->result, &interval);
    cl->interrupted = cl->interrupted || cl->run->out->gone;
}

/* ---- the run ----------------------------------------------------------------------------------- */

static int qp_client_error(qp_client *cl, const char *text)
{
    (void)snprintf(cl->result->error, sizeof(cl->result->error), "%s", text);
    return QP_EXIT_FAILED;
}

/* What is due at a moment leaves at that moment: the kernel may let threads sleep 50 us longer than they ask, and they
 * inherit how much. */
static quring_status qp_client_start(qp_client *cl, quring_error *err)
{
    const qp_options *o = cl->run->options;
    int slack = prctl(PR_GET_TIMERSLACK);
    if (o->mode == QP_MODE_LATENCY) {
        (void)prctl(PR_SET_TIMERSLACK, 1ul);
    }
    quring_status status = quring_runtime_create(&cl->rt, cl->run->config, err);
    if (o->mode == QP_MODE_LATENCY && slack > 0) {
        (void)prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    }
    return status;
}

static int qp_client_open(qp_client *cl)
{
    const qp_options *o = cl->run->options;
    quring_error err;
    memset(&err, 0, sizeof(err));
    quring_status status = qp_target_find(&cl->plan.remote, o->target, (uint16_t)o->port, &err);
    if (status == QURING_OK && o->bind != NULL) {
        status = quring_addr_parse(&cl->plan.local, o->bind, 0, &err);
    }
    if (status == QURING_OK) {
        status = qp_tls_client(&cl->plan.tls, o, &cl->plan.remote, &err);
    }
    if (status == QURING_OK) {
        status = qp_client_start(cl, &err);
    }
    cl->server = cl->plan.remote;
    cl->plan.server = cl->server;
    if (status == QURING_OK && qp_impair_is_asked(&o->impair)) {
        quring_impair_options proxy;
        qp_impair_to(&proxy, &o->impair, &cl->server);
        status = quring_impair_start(&cl->proxy, &proxy, &err);
        cl->plan.remote = status == QURING_OK ? quring_impair_local(cl->proxy) : cl->server;
    }
    if (status != QURING_OK) {
        return qp_client_error(cl, qp_error_text(&err, status));
    }
    cl->plan.options = o;
    cl->plan.server_name = qp_host_name(cl->host, sizeof(cl->host), o->target) ? cl->host : NULL;
    return QP_EXIT_OK;
}

/* Shares connections, and what -n asks for, among the workers. */
static int qp_client_share(qp_client *cl)
{
    const qp_options *o = cl->run->options;
    uint64_t left = o->amount;
    uint32_t conns_left = o->conns;
    cl->worker_count = cl->run->config->workers;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        qp_cworker *w = &cl->workers[i];
        w->plan = &cl->plan;
        w->conns = conns_left / (cl->worker_count - i);
        w->limited = o->amount != 0;
        w->quota = i + 1 == cl->worker_count || conns_left == 0
                       ? left
                       : (uint64_t)((double)left * w->conns / conns_left);
        left -= w->quota;
        conns_left -= w->conns;
        w->latency = malloc(sizeof(*w->latency));
        if (w->latency == NULL) {
            return qp_client_error(cl, "out of memory");
        }
        qp_hist_init(w->latency);
    }
    return QP_EXIT_OK;
}

/* Nothing to do with a connection phase that did not end well but to say why. */
static int qp_client_not_connected(qp_client *cl)
{
    char peer[64];
    char text[128];
    if (cl->interrupted) {
        cl->result->interrupted = true;
        return QP_EXIT_INTERRUPTED;
    }
    if (atomic_load(&cl->plan.failed) != 0) {
        return qp_client_error(cl, cl->plan.error);
    }
    (void)snprintf(text, sizeof(text), "no answer from %s",
                   quring_addr_format(&cl->server, peer, sizeof(peer)));
    return qp_client_error(cl, text);
}

/* --resume, --0rtt, --token: a first round of connections brings tickets and tokens. */
static int qp_client_warm(qp_client *cl)
{
    const qp_options *o = cl->run->options;
    if (!o->resume && !o->zero_rtt && !o->token) {
        return QP_EXIT_OK;
    }
    uint64_t patience = o->timeout_ns < QP_TICKET_MAX_NS ? o->timeout_ns : QP_TICKET_MAX_NS;
    uint64_t until = quring_now_ns() + patience * (1 + o->conns / 64);
    qp_client_post(cl, qp_cworker_warm);
    if (qp_client_wait(cl, qp_all_warm, until, false) == QP_WAIT_READY) {
        return QP_EXIT_OK;
    }
    quring_stats stats;
    if (!cl->interrupted && atomic_load(&cl->plan.failed) == 0 &&
        quring_stats_get(cl->rt, -1, &stats) == QURING_OK && stats.conns_established > 0) {
        return qp_client_error(cl, o->token
                                       ? "the server gave no token to show, or no session ticket"
                                       : "nothing to resume: the server gave no session "
                                         "ticket");
    }
    return qp_client_not_connected(cl);
}

static int qp_client_connect(qp_client *cl)
{
    const qp_options *o = cl->run->options;
    int rc = qp_client_warm(cl);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    uint64_t began = quring_now_ns();
    qp_client_post(cl, qp_cworker_connect);
    if (o->mode == QP_MODE_CRR || o->mode == QP_MODE_HPS || o->zero_rtt) {
        return QP_EXIT_OK; /* requests leave with the first packets: the measuring begins now */
    }
    /* Handshakes start a few at a time: each has its own timeout, all together a longer one. */
    uint64_t until = began + o->timeout_ns * (1 + o->conns / 64) + QP_GRACE_NS;
    if (qp_client_wait(cl, qp_all_connected, until, false) != QP_WAIT_READY) {
        return qp_client_not_connected(cl);
    }
    double seconds = (double)(quring_now_ns() - began) / 1e9;
    cl->result->handshakes_per_s = seconds > 0 ? o->conns / seconds : 0;
    if (o->mode == QP_MODE_IDLE) {
        qp_out_line(cl->run->out, "holding %" PRIu32 " connections", o->conns);
    }
    return QP_EXIT_OK;
}

/* Until -n is done, -t is over, or something broke; a line each interval. */
static void qp_client_transfer(qp_client *cl)
{
    const qp_options *o = cl->run->options;
    cl->first_lost = cl->last_lost = qp_lost(cl);
    cl->first_cpu_s = cl->last_cpu_s = qp_runtime_cpu_s(cl->rt, cl->worker_count);
    cl->first_peer_cpu_s = qp_peer_cpu_s(cl);
    cl->first_spin_s = qp_spin_s(cl);
    if (quring_stats_get(cl->rt, -1, &cl->first_stats) != QURING_OK) {
        memset(&cl->first_stats, 0, sizeof(cl->first_stats));
    }
    cl->t0_ns = cl->plan.t0_ns = quring_now_ns();
    cl->last.at_ns = cl->t0_ns;
    qp_client_post(cl, qp_cworker_start);
    uint64_t end = o->amount != 0 ? UINT64_MAX : cl->t0_ns + o->duration_ns;
    uint64_t step = o->interval_ns != 0 ? o->interval_ns : UINT64_MAX / 2;
    for (uint64_t next = cl->t0_ns + step;; next = qp_meter_next(next, step)) {
        uint64_t until = next < end ? next : end;
        if (qp_client_wait(cl, qp_all_done, until, false) != QP_WAIT_TIME || until == end) {
            return;
        }
        cl->samples_asked++;
        qp_client_post(cl, qp_cworker_sample);
        if (qp_client_wait(cl, qp_all_sampled, quring_now_ns() + QP_SAMPLE_MAX_NS, false) !=
            QP_WAIT_READY) {
            if (qp_client_is_broken(cl)) {
                return;
            }
            continue; /* a worker is too busy: its sample counts for the next line */
        }
        if (o->amount != 0 && qp_all_done(cl)) {
            return; /* the last line is that of the end, before this sample */
        }
        qp_sample now = qp_client_sum(cl);
        qp_client_interval(cl, &now);
    }
}

static void qp_client_describe(qp_client *cl)
{
    qp_result *r = cl->result;
    quring_runtime_info info;
    quring_runtime_get_info(cl->rt, &info);
    (void)snprintf(r->backend, sizeof(r->backend), "%s", info.backend);
    (void)snprintf(r->backend_why, sizeof(r->backend_why), "%s", info.backend_why);
    (void)snprintf(r->aead, sizeof(r->aead), "%s", info.aead);
    r->payload_bytes = cl->run->config->limits.udp_payload_bytes;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        const quring_conn_info *conn = &cl->workers[i].info;
        if (conn->version != 0) {
            r->version = conn->version == QURING_QUIC_V2 ? 2 : 1;
            r->payload_bytes = conn->udp_payload_bytes;
            (void)snprintf(r->cipher, sizeof(r->cipher), "%s", conn->cipher ? conn->cipher : "");
            (void)snprintf(r->cc, sizeof(r->cc), "%s", conn->cc ? conn->cc : "");
            return;
        }
    }
}

/* What the workers have counted. */
static void qp_client_add_workers(const qp_client *cl)
{
    qp_result *r = cl->result;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        const qp_cworker *w = &cl->workers[i];
        r->resumed_count += w->resumed;
        r->client_cert_count += w->cert_shown;
        r->zero_rtt_count += w->zero_rtt;
        r->zero_rtt_bytes += w->zero_rtt_bytes;
        r->retry_count += w->retried;
        r->token_count += w->spared;
        r->version_count += w->version_count;
        r->unencrypted_count += w->unencrypted;
        r->migrations += w->migrations;
        r->preferred_count += w->preferred;
        r->urgent_streams += w->urgent_streams;
        r->unsent += w->load.unsent;
        r->unanswered += w->load.unanswered;
        qp_shares_merge(&r->shares, &w->shares);
        if (w->move_refused != QURING_OK) {
            r->move_refused = w->move_refused;
        }
    }
}

/* When it was over: a run that ended by itself ended with its last byte, unless a line has gone beyond that; any other
 * with its last sample. */
static uint64_t qp_client_end_ns(const qp_client *cl, const qp_sample *sum)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        uint64_t done = atomic_load(&cl->workers[i].done_ns);
        end = done > end ? done : end;
    }
    bool by_itself = cl->run->options->amount != 0 && end != 0 && qp_all_done(cl);
    return by_itself && end > cl->last.at_ns && end <= sum->at_ns ? end : sum->at_ns;
}

/* Of fewer connections than workers some have none: these have all the time there is. */
static uint32_t qp_client_busy_workers(const qp_client *cl)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        count += cl->workers[i].conns > 0 ? 1 : 0;
    }
    return count;
}

static void qp_client_conclude(qp_client *cl, const qp_sample *sum)
{
    const qp_options *o = cl->run->options;
    qp_result *r = cl->result;
    quring_stats stats;
    r->seconds = (double)(sum->at_ns - cl->t0_ns) / 1e9;
    r->bytes = sum->bytes;
    r->requests = sum->requests;
    r->connections = sum->handshakes;
    r->errors = sum->errors;
    r->datagrams = sum->datagrams;
    r->datagrams_lost = sum->datagrams_lost;
    r->bulk_bytes = sum->bulk_bytes;
    if ((o->mode == QP_MODE_CRR || o->mode == QP_MODE_HPS) && r->seconds > 0) {
        r->handshakes_per_s = (double)sum->handshakes / r->seconds;
    }
    r->rtt_ns = sum->rtt_ns;
    r->min_rtt_ns = sum->min_rtt_ns;
    r->cwnd_bytes = sum->cwnd_bytes;
    r->lost_packets = cl->lost - cl->first_lost;
    r->cpu_local_s = cl->cpu_s - cl->first_cpu_s;
    r->spin_s = cl->spin_s - cl->first_spin_s;
    double peer = qp_peer_cpu_s(cl);
    r->cpu_remote_s = peer < 0 ? QP_UNKNOWN_S : peer - cl->first_peer_cpu_s;
    if (quring_stats_get(cl->rt, -1, &stats) == QURING_OK) {
        qp_result_take_stats(r, &stats, &cl->first_stats);
    }
    qp_client_add_workers(cl);
    if (cl->proxy != NULL) {
        r->proxied = true;
        quring_impair_get_counts(cl->proxy, &r->proxy);
    }
    r->workers = qp_client_busy_workers(cl);
    r->retry = r->connections > 0 && r->retry_count == r->connections;
    r->client_cert = o->cert != NULL && r->connections > 0 &&
                     r->client_cert_count + r->resumed_count >= r->connections;
    r->resumed = r->connections > 0 && r->resumed_count == r->connections;
    r->interrupted = cl->interrupted;
    qp_client_describe(cl);
}

static void qp_client_merge_latency(qp_client *cl)
{
    uint32_t mode = cl->run->options->mode;
    if (mode != QP_MODE_RR && mode != QP_MODE_CRR && mode != QP_MODE_HPS &&
        mode != QP_MODE_LATENCY) {
        return;
    }
    cl->result->latency = malloc(sizeof(*cl->result->latency));
    if (cl->result->latency == NULL) {
        return;
    }
    qp_hist_init(cl->result->latency);
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        if (cl->workers[i].latency != NULL) {
            qp_hist_merge(cl->result->latency, cl->workers[i].latency);
        }
    }
}

static int qp_client_verdict(qp_client *cl)
{
    if (atomic_load(&cl->plan.failed) != 0) {
        return qp_client_error(cl, cl->plan.error);
    }
    if (cl->interrupted) {
        return QP_EXIT_INTERRUPTED;
    }
    char text[256];
    if (qp_asked_but_missed(text, sizeof(text), cl->run->options, cl->result)) {
        return qp_client_error(cl, text);
    }
    return QP_EXIT_OK;
}

static int qp_client_run_all(qp_client *cl)
{
    int rc = qp_client_open(cl);
    if (rc == QP_EXIT_OK) {
        rc = qp_client_share(cl);
    }
    if (rc == QP_EXIT_OK) {
        rc = qp_client_connect(cl);
    }
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    qp_client_transfer(cl);
    cl->samples_asked++;
    qp_client_post(cl, qp_cworker_stop);
    (void)qp_client_wait(cl, qp_all_sampled, quring_now_ns() + QP_GRACE_NS, true);
    qp_sample sum = qp_client_sum(cl);
    sum.at_ns = qp_client_end_ns(cl, &sum);
    if (cl->run->options->interval_ns != 0 && sum.at_ns > cl->last.at_ns) {
        qp_client_interval(cl, &sum); /* however short: the lines add up to the summary */
    }
    qp_client_conclude(cl, &sum);
    (void)qp_client_wait(cl, qp_all_done, quring_now_ns() + QP_DRAIN_MAX_NS, false);
    qp_client_post(cl, qp_cworker_close);
    (void)qp_client_wait(cl, qp_all_closed, quring_now_ns() + QP_GRACE_NS, true);
    return qp_client_verdict(cl);
}

int qp_client_measure(qp_result *result, const qp_client_run *run)
{
    qp_result_begin(result, run->options);
    qp_client *cl = calloc(1, sizeof(*cl));
    if (cl == NULL) {
        (void)snprintf(result->error, sizeof(result->error), "out of memory");
        return QP_EXIT_FAILED;
    }
    cl->run = run;
    cl->result = result;
    cl->plan.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = cl->plan.wake_fd < 0 ? qp_client_error(cl, strerror(errno)) : qp_client_run_all(cl);
    if (cl->rt != NULL) {
        quring_runtime_destroy(cl->rt);
        qp_client_merge_latency(cl);
    }
    if (cl->proxy != NULL) {
        result->proxied = true;
        quring_impair_get_counts(cl->proxy, &result->proxy);
        quring_impair_stop(cl->proxy);
    }
    if (cl->plan.tls != NULL) {
        quring_tls_release(cl->plan.tls);
    }
    for (uint32_t i = 0; i < cl->worker_count; i++) {
        free(cl->workers[i].scratch);
        free(cl->workers[i].latency);
        qp_tickets_deinit(&cl->workers[i].tickets);
        qp_tickets_deinit(&cl->workers[i].tokens);
    }
    if (cl->plan.wake_fd >= 0) {
        (void)close(cl->plan.wake_fd);
    }
    free(cl);
    return rc;
}
