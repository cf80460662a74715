/* One UDP datagram there and back, between two threads that do nothing else. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quring/limit.h"

#include "runtime/limit/limit_check.h"
#include "runtime/limit/limit_io.h"
#include "runtime/limit/limit_run.h"
#include "runtime/server/error.h"

#define RT_PINGPONG_BYTES_DEFAULT 64u
#define RT_PINGPONG_SOCKET_BUF    (256u << 10)
#define RT_PINGPONG_LOOKS         64u /* polls between two looks at the clock */

typedef struct rt_pingpong {
    quring_pingpong_options options;
    rt_limit_side ask;
    rt_limit_side answer;
    uint8_t *bufs[2];
    _Atomic int ended;
    uint64_t rounds;
    uint64_t lost;
    uint64_t took_ns;
} rt_pingpong;

void quring_pingpong_options_init(quring_pingpong_options *options)
{
    memset(options, 0, sizeof(*options));
    options->bytes = RT_PINGPONG_BYTES_DEFAULT;
    options->duration_ns = RT_LIMIT_DURATION_DEFAULT;
    options->cpu_ask = -1;
    options->cpu_answer = -1;
}

static void rt_pingpong_fail(rt_pingpong *run, rt_limit_side *side, const char *what)
{
    side->what = what;
    side->os_errno = errno;
    atomic_store(&run->ended, 1);
}

/* Waits for a datagram, as asked for; its length, or -1 with EAGAIN after RT_LIMIT_WAIT_NS, or another
 * error. */
static ssize_t rt_pingpong_recv(const rt_pingpong *run, int fd, uint8_t *buf)
{
    if (!run->options.spin) {
        return recv(fd, buf, run->options.bytes, 0); /* SO_RCVTIMEO ends it */
    }
    uint64_t until = rt_limit_now_ns() + RT_LIMIT_WAIT_NS;
    for (;;) {
        for (unsigned n = 0; n < RT_PINGPONG_LOOKS; n++) {
            ssize_t len = recv(fd, buf, run->options.bytes, MSG_DONTWAIT);
            if (len >= 0 || errno != EAGAIN) {
                return len;
            }
        }
        if (rt_limit_now_ns() >= until) {
            errno = EAGAIN;
            return -1;
        }
    }
}

static void *rt_pingpong_answer(void *ctx)
{
    rt_pingpong *run = ctx;
    rt_limit_side *side = &run->answer;
    rt_limit_side_begin(side);
    while (atomic_load_explicit(&run->ended, memory_order_relaxed) == 0) {
        ssize_t len = rt_pingpong_recv(run, side->fd, run->bufs[1]);
        if (len == 0) {
            break; /* the other side has finished */
        }
        if (len < 0 && errno != EAGAIN && errno != EINTR) {
            rt_pingpong_fail(run, side, "recv");
        } else if (len > 0 && send(side->fd, run->bufs[1], (size_t)len, 0) < 0) {
            rt_pingpong_fail(run, side, "send");
        }
    }
    rt_limit_side_end(side);
    return NULL;
}

/* An answer that came too late must not be taken for the next one. */
static void rt_pingpong_drain(const rt_pingpong *run)
{
    for (unsigned n = 0; n < RT_PINGPONG_LOOKS; n++) {
        if (recv(run->ask.fd, run->bufs[0], run->options.bytes, MSG_DONTWAIT) < 0) {
            return;
        }
    }
}

static void rt_pingpong_round(rt_pingpong *run)
{
    rt_limit_side *side = &run->ask;
    uint64_t began = rt_limit_now_ns();
    if (send(side->fd, run->bufs[0], run->options.bytes, 0) < 0) {
        rt_pingpong_fail(run, side, "send");
        return;
    }
    ssize_t len = rt_pingpong_recv(run, side->fd, run->bufs[0]);
    if (len > 0) {
        uint64_t took = rt_limit_now_ns() - began;
        run->rounds++;
        if (run->options.on_round != NULL) {
            run->options.on_round(run->options.ctx, took);
        }
    } else if (len < 0 && errno != EAGAIN && errno != EINTR) {
        rt_pingpong_fail(run, side, "recv");
    } else {
        run->lost++;
        rt_pingpong_drain(run);
    }
}

static void *rt_pingpong_ask(void *ctx)
{
    rt_pingpong *run = ctx;
    rt_limit_side_begin(&run->ask);
    uint64_t began = rt_limit_now_ns();
    uint64_t until = began + run->options.duration_ns;
    while (rt_limit_now_ns() < until && atomic_load(&run->ended) == 0) {
        rt_pingpong_round(run);
    }
    run->took_ns = rt_limit_now_ns() - began;
    atomic_store(&run->ended, 1);
    (void)send(run->ask.fd, run->bufs[0], 0, 0); /* wakes the other side */
    rt_limit_side_end(&run->ask);
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
    const rt_limit_side *bad = run->ask.what != NULL ? &run->ask : &run->answer;
    return bad->what == NULL ? QURING_OK
                             : rt_error_os(err, QURING_E_OS, bad->os_errno, "%s failed", bad->what);
}

static quring_status rt_pingpong_check(const quring_pingpong_options *o, quring_error *err)
{
    if (o->bytes < 1 || o->bytes > RT_LIMIT_UDP_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "bytes is %u, allowed are 1..65507",
                            (unsigned)o->bytes);
    }
    if (o->duration_ns == 0 || o->duration_ns > RT_LIMIT_DURATION_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "duration_ns must be more than 0, at most a day");
    }
    quring_status status = rt_limit_check_cpu(o->cpu_ask, "cpu_ask", err);
    return status != QURING_OK ? status : rt_limit_check_cpu(o->cpu_answer, "cpu_answer", err);
}

static quring_status rt_pingpong_measure(quring_pingpong_result *out, rt_pingpong *run,
                                         quring_error *err)
{
    int fds[2];
    int rc = rt_limit_socket_pair(fds, run->options.bytes, 1, RT_PINGPONG_SOCKET_BUF);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, -rc, "cannot set up two UDP sockets on loopback");
    }
    run->ask.fd = fds[0];
    run->answer.fd = fds[1];
    quring_status status = rt_pingpong_threads(run, err);
    (void)close(fds[0]);
    (void)close(fds[1]);
    if (status == QURING_OK) {
        memset(out, 0, sizeof(*out));
        out->rounds = run->rounds;
        out->lost = run->lost;
        out->seconds = (double)run->took_ns / 1e9;
        out->cpu_ask_s = run->ask.cpu_s;
        out->cpu_answer_s = run->answer.cpu_s;
    }
    return status;
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
    run->ask.cpu = options->cpu_ask;
    run->answer.cpu = options->cpu_answer;
    run->bufs[0] = calloc(1, options->bytes);
    run->bufs[1] = calloc(1, options->bytes);
    status = run->bufs[0] != NULL && run->bufs[1] != NULL
                 ? rt_pingpong_measure(out, run, err)
                 : rt_error_set(err, QURING_E_NOMEM, "no memory for two datagrams");
    free(run->bufs[0]);
    free(run->bufs[1]);
    free(run);
    return status;
}
