/* One UDP datagram there and back, between two threads that do nothing else. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quring/limit.h"

#include "runtime/core/clock.h"
#include "runtime/limit/limit_check.h"
#include "runtime/limit/limit_io.h"
#include "runtime/limit/limit_run.h"
#include "runtime/limit/pingpong_io.h"
#include "runtime/limit/pingpong_wire.h"
#include "runtime/server/error.h"

#define RT_PINGPONG_BYTES_DEFAULT 64u
#define RT_PINGPONG_SOCKET_BUF    (256u << 10)
#define RT_PINGPONG_LOOKS         64u /* polls between two looks at the clock */
#define RT_PINGPONG_SEALED_MIN    8u
#define RT_PINGPONG_SEALED_MAX    (RT_LIMIT_UDP_MAX - RT_LIMIT_OVERHEAD)

typedef struct rt_pingpong_end {
    rt_limit_side side;
    rt_pingpong_io io; /* as_worker */
    uint8_t *buf;      /* otherwise, with side.fd */
    rt_pingpong_wire wire;
} rt_pingpong_end;

typedef struct rt_pingpong {
    quring_pingpong_options options;
    rt_pingpong_end ask;
    rt_pingpong_end answer;
    _Atomic int ended;
    uint64_t rounds;
    uint64_t lost;
    uint64_t took_ns;
    const char *aead;
} rt_pingpong;

void quring_pingpong_options_init(quring_pingpong_options *options)
{
    memset(options, 0, sizeof(*options));
    options->bytes = RT_PINGPONG_BYTES_DEFAULT;
    options->duration_ns = RT_LIMIT_DURATION_DEFAULT;
    options->cpu_ask = -1;
    options->cpu_answer = -1;
}

static void rt_pingpong_fail(rt_pingpong *run, rt_pingpong_end *end, const char *what, int error)
{
    end->side.what = what;
    end->side.os_errno = error;
    atomic_store(&run->ended, 1);
}

/* A plain poll. */
static ssize_t rt_pingpong_poll(const rt_pingpong_end *end, size_t room)
{
    uint64_t until = rt_clock_now() + RT_LIMIT_WAIT_NS;
    do {
        for (unsigned n = 0; n < RT_PINGPONG_LOOKS; n++) {
            ssize_t len = recv(end->side.fd, end->buf, room, MSG_DONTWAIT);
            if (len >= 0 || errno != EAGAIN) {
                return len;
            }
        }
    } while (rt_clock_now() < until);
    errno = EAGAIN;
    return -1;
}

/* Waits for a datagram, as asked for, at most RT_LIMIT_WAIT_NS. Whether one came. */
static bool rt_pingpong_recv(rt_pingpong *run, rt_pingpong_end *end)
{
    if (run->options.as_worker) {
        return rt_pingpong_io_recv(&end->io, &end->wire, run->options.spin, RT_LIMIT_WAIT_NS) > 0;
    }
    size_t room = rt_pingpong_wire_len(&end->wire);
    ssize_t len =
        run->options.spin ? rt_pingpong_poll(end, room) : recv(end->side.fd, end->buf, room, 0);
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        rt_pingpong_fail(run, end, "recv", errno);
    }
    return len > 0 && rt_pingpong_wire_take(&end->wire, end->buf, (size_t)len);
}

static void rt_pingpong_send(rt_pingpong *run, rt_pingpong_end *end)
{
    if (run->options.as_worker) {
        if (!rt_pingpong_io_send(&end->io, &end->wire)) {
            rt_pingpong_fail(run, end, "send", ENOBUFS);
        }
        return;
    }
    rt_pingpong_wire_fill(&end->wire, end->buf);
    if (send(end->side.fd, end->buf, rt_pingpong_wire_len(&end->wire), 0) < 0) {
        rt_pingpong_fail(run, end, "send", errno);
    }
}

static void rt_pingpong_begin(rt_pingpong *run, rt_pingpong_end *end)
{
    rt_limit_side_begin(&end->side);
    if (run->options.as_worker) {
        int rc = rt_pingpong_io_open(&end->io, run->options.io);
        if (rc != 0) {
            rt_pingpong_fail(run, end, "the I/O back end", -rc);
        }
    }
}

static bool rt_pingpong_has_ended(rt_pingpong *run)
{
    return atomic_load_explicit(&run->ended, memory_order_relaxed) != 0;
}

static void *rt_pingpong_answer(void *ctx)
{
    rt_pingpong *run = ctx;
    rt_pingpong_begin(run, &run->answer);
    while (!rt_pingpong_has_ended(run)) {
        if (rt_pingpong_recv(run, &run->answer) && !rt_pingpong_has_ended(run)) {
            rt_pingpong_send(run, &run->answer);
        }
    }
    rt_limit_side_end(&run->answer.side);
    return NULL;
}

/* An answer that came too late must not be taken for the next one. */
static void rt_pingpong_drain(rt_pingpong *run)
{
    if (run->options.as_worker) {
        (void)rt_pingpong_io_recv(&run->ask.io, &run->ask.wire, true, 1);
        return;
    }
    for (unsigned n = 0; n < RT_PINGPONG_LOOKS; n++) {
        if (recv(run->ask.side.fd, run->ask.buf, rt_pingpong_wire_len(&run->ask.wire),
                 MSG_DONTWAIT) < 0) {
            return;
        }
    }
}

static void rt_pingpong_round(rt_pingpong *run)
{
    uint64_t began = rt_clock_now();
    rt_pingpong_send(run, &run->ask);
    if (rt_pingpong_recv(run, &run->ask)) {
        uint64_t took = rt_clock_now() - began;
        run->rounds++;
        if (run->options.on_round != NULL) {
            run->options.on_round(run->options.ctx, took);
        }
    } else if (!rt_pingpong_has_ended(run)) {
        run->lost++;
        rt_pingpong_drain(run);
    }
}

static void *rt_pingpong_ask(void *ctx)
{
    rt_pingpong *run = ctx;
    rt_pingpong_begin(run, &run->ask);
    uint64_t began = rt_clock_now();
    rt_limit_stop stop = {run->options.stop, run->options.ctx, 0};
    uint64_t until = began + run->options.duration_ns;
    uint64_t now = began;
    while (now < until && !rt_pingpong_has_ended(run) && !rt_limit_is_stopped(&stop, now)) {
        rt_pingpong_round(run);
        now = rt_clock_now();
    }
    run->took_ns = now - began;
    if (atomic_exchange(&run->ended, 1) ==
        0) { /* nothing has failed: one more, to wake the other end */
        rt_pingpong_send(run, &run->ask);
        if (run->options.as_worker) {
            rt_io_flush(run->ask.io.io);
        }
    }
    rt_limit_side_end(&run->ask.side);
    return NULL;
}

static quring_status rt_pingpong_threads(rt_pingpong *run, quring_error *err)
{
    pthread_t ask;
    pthread_t answer;
    int rc = pthread_create(&answer, NULL, rt_pingpong_answer, run);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, rc, "cannot start a thread");
    }
    rc = pthread_create(&ask, NULL, rt_pingpong_ask, run);
    if (rc == 0) {
        (void)pthread_join(ask, NULL);
    }
    atomic_store(&run->ended, 1);
    (void)pthread_join(answer, NULL);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, rc, "cannot start a thread");
    }
    const rt_limit_side *bad = run->ask.side.what != NULL ? &run->ask.side : &run->answer.side;
    return bad->what == NULL ? QURING_OK
                             : rt_error_os(err, QURING_E_OS, bad->os_errno, "%s failed", bad->what);
}

static quring_status rt_pingpong_check(const quring_pingpong_options *o, quring_error *err)
{
    if (o->bytes < 1 || o->bytes > RT_LIMIT_UDP_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "bytes is %u, allowed are 1..65507",
                            (unsigned)o->bytes);
    }
    if (o->sealed && (o->bytes < RT_PINGPONG_SEALED_MIN || o->bytes > RT_PINGPONG_SEALED_MAX)) {
        return rt_error_set(err, QURING_E_INVAL, "bytes is %u, allowed are 8..%u when sealed",
                            (unsigned)o->bytes, RT_PINGPONG_SEALED_MAX);
    }
    if ((int)o->aead < QURING_AEAD_AUTO || (int)o->aead > QURING_AEAD_IPSEC_MB) {
        return rt_error_set(err, QURING_E_INVAL, "aead is %d, allowed are 0..2", (int)o->aead);
    }
    if (o->duration_ns == 0 || o->duration_ns > RT_LIMIT_DURATION_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "duration_ns must be more than 0, at most a day");
    }
    if ((int)o->io < QURING_IO_AUTO || (int)o->io > QURING_IO_EPOLL) {
        return rt_error_set(err, QURING_E_INVAL, "io is %d, allowed are 0..2", (int)o->io);
    }
    quring_status status = rt_limit_check_cpu(o->cpu_ask, "cpu_ask", err);
    return status != QURING_OK ? status : rt_limit_check_cpu(o->cpu_answer, "cpu_answer", err);
}

static quring_status rt_pingpong_open_wires(rt_pingpong *run, quring_error *err)
{
    const quic_crypto *crypto = run->options.sealed ? rt_limit_crypto(run->options.aead) : NULL;
    if (run->options.sealed && crypto == NULL) {
        return rt_limit_no_crypto(err);
    }
    run->aead = crypto != NULL ? crypto->name : NULL;
    uint32_t bytes = run->options.bytes;
    if (rt_pingpong_wire_init(&run->ask.wire, crypto, bytes, true) != QUIC_OK ||
        rt_pingpong_wire_init(&run->answer.wire, crypto, bytes, false) != QUIC_OK) {
        return rt_error_set(err, QURING_E_NOMEM, "cannot make packet protection keys");
    }
    return QURING_OK;
}

static quring_status rt_pingpong_open(rt_pingpong *run, quring_error *err)
{
    int fds[2] = {-1, -1};
    quring_status status = rt_pingpong_open_wires(run, err);
    if (status != QURING_OK) {
        return status;
    }
    const uint32_t len = rt_pingpong_wire_len(&run->ask.wire);
    run->ask.buf = calloc(1, len);
    run->answer.buf = calloc(1, len);
    if (run->ask.buf == NULL || run->answer.buf == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for two datagrams");
    }
    int rc = run->options.as_worker ? rt_pingpong_io_bind(&run->ask.io, &run->answer.io)
                                    : rt_limit_socket_pair(fds, len, 1, RT_PINGPONG_SOCKET_BUF);
    run->ask.side.fd = fds[0];
    run->answer.side.fd = fds[1];
    return rc == 0
               ? QURING_OK
               : rt_error_os(err, QURING_E_OS, -rc, "cannot set up two UDP sockets on loopback");
}

static void rt_pingpong_close(rt_pingpong *run)
{
    rt_pingpong_end *const ends[2] = {&run->ask, &run->answer};
    for (int i = 0; i < 2; i++) {
        if (ends[i]->side.fd >= 0) {
            (void)close(ends[i]->side.fd);
        }
        rt_pingpong_io_close(&ends[i]->io);
        rt_pingpong_wire_deinit(&ends[i]->wire);
        free(ends[i]->buf);
    }
}

static void rt_pingpong_result(quring_pingpong_result *out, const rt_pingpong *run)
{
    memset(out, 0, sizeof(*out));
    out->rounds = run->rounds;
    out->lost = run->lost;
    out->aead = run->aead;
    out->seconds = (double)run->took_ns / 1e9;
    out->cpu_ask_s = run->ask.side.cpu_s;
    out->cpu_answer_s = run->answer.side.cpu_s;
}

quring_status quring_pingpong_run(quring_pingpong_result *out,
                                  const quring_pingpong_options *options, quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "out or options is NULL");
    }
    quring_status status = rt_pingpong_check(options, err);
    if (status != QURING_OK) {
        return status;
    }
    rt_pingpong *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory");
    }
    run->options = *options;
    run->ask.side.cpu = options->cpu_ask;
    run->answer.side.cpu = options->cpu_answer;
    run->ask.side.fd = run->answer.side.fd = -1;
    run->ask.io.sock.fd = run->answer.io.sock.fd = -1;
    status = rt_pingpong_open(run, err);
    if (status == QURING_OK) {
        status = rt_pingpong_threads(run, err);
    }
    if (status == QURING_OK) {
        rt_pingpong_result(out, run);
    }
    rt_pingpong_close(run);
    free(run);
    return status;
}
