#define _GNU_SOURCE
#include "quring/limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/core/clock.h"
#include "runtime/limit/limit_check.h"
#include "runtime/limit/limit_run.h"
#include "runtime/server/error.h"

#define RT_LIMIT_PAYLOAD_DEFAULT    1452u
#define RT_LIMIT_WINDOW_DEFAULT     (2u << 20)
#define RT_LIMIT_SOCKET_BUF_DEFAULT (4u << 20)

enum { RT_LIMIT_LABEL_DATA = 'd', RT_LIMIT_LABEL_ACKS = 'a' };

void quring_limit_options_init(quring_limit_options *options)
{
    memset(options, 0, sizeof(*options));
    options->io = QURING_IO_AUTO;
    options->aead = QURING_AEAD_AUTO;
    options->udp_payload_bytes = RT_LIMIT_PAYLOAD_DEFAULT;
    options->duration_ns = RT_LIMIT_DURATION_DEFAULT;
    options->window_bytes = RT_LIMIT_WINDOW_DEFAULT;
    options->cpu_send = -1;
    options->cpu_recv = -1;
    options->socket_buf_bytes = RT_LIMIT_SOCKET_BUF_DEFAULT;
}

static quring_status rt_limit_check(const quring_limit_options *o, quring_error *err)
{
    if (o->udp_payload_bytes < 1200 || o->udp_payload_bytes > RT_LIMIT_UDP_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "udp_payload_bytes is %u, allowed are 1200..65507",
                            (unsigned)o->udp_payload_bytes);
    }
    if (o->duration_ns == 0 || o->duration_ns > RT_LIMIT_DURATION_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "duration_ns must be more than 0, at most a day");
    }
    if (o->window_bytes == 0 || o->window_bytes > (1ull << 32)) {
        return rt_error_set(err, QURING_E_INVAL, "window_bytes must be 1..4294967296");
    }
    if (o->socket_buf_bytes < 4096 || o->socket_buf_bytes > (1u << 30)) {
        return rt_error_set(err, QURING_E_INVAL, "socket_buf_bytes must be 4096..1073741824");
    }
    quring_status status = rt_limit_check_cpu(o->cpu_send, "cpu_send", err);
    return status != QURING_OK ? status : rt_limit_check_cpu(o->cpu_recv, "cpu_recv", err);
}

/* Tries a ring as the threads will need it; decides run->uring. */
static quring_status rt_limit_choose_io(rt_limit_run *run, quring_error *err)
{
    rt_limit_ring probe;
    if (run->options.io == QURING_IO_EPOLL) {
        return QURING_OK;
    }
    int rc = rt_limit_ring_open(&probe, run->send.fd, 1, 4096);
    rt_limit_ring_close(&probe);
    run->uring = rc == 0;
    if (rc != 0 && run->options.io == QURING_IO_URING) {
        return rt_error_os(err, QURING_E_NOT_SUPPORTED, -rc, "io_uring was asked for, but refused");
    }
    return QURING_OK;
}

static quring_status rt_limit_open(rt_limit_run *run, uint8_t *app[2], quring_error *err)
{
    const quic_crypto *crypto = rt_limit_crypto(run->options.aead);
    if (crypto == NULL) {
        return rt_limit_no_crypto(err);
    }
    unsigned fit = RT_LIMIT_UDP_MAX / run->options.udp_payload_bytes;
    run->unit_packets = fit < RT_LIMIT_UNIT_MAX ? fit : RT_LIMIT_UNIT_MAX;
    run->window_packets = run->options.window_bytes / run->options.udp_payload_bytes;
    if (run->window_packets < run->unit_packets) {
        run->window_packets = run->unit_packets;
    }
    run->ack_every =
        run->window_packets / 4 < RT_LIMIT_ACK_EVERY ? run->window_packets / 4 : RT_LIMIT_ACK_EVERY;
    int fds[2];
    int rc = rt_limit_socket_pair(fds, run->options.udp_payload_bytes, run->unit_packets,
                                  run->options.socket_buf_bytes);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, -rc, "cannot set up two UDP sockets on loopback");
    }
    run->send.fd = fds[0];
    run->recv.fd = fds[1];
    if (rt_limit_wire_init(&run->send.data, crypto, RT_LIMIT_LABEL_DATA, app[0]) != QUIC_OK ||
        rt_limit_wire_init(&run->recv.data, crypto, RT_LIMIT_LABEL_DATA, app[1]) != QUIC_OK ||
        rt_limit_wire_init(&run->send.acks, crypto, RT_LIMIT_LABEL_ACKS, NULL) != QUIC_OK ||
        rt_limit_wire_init(&run->recv.acks, crypto, RT_LIMIT_LABEL_ACKS, NULL) != QUIC_OK) {
        return rt_error_set(err, QURING_E_NOMEM, "cannot make packet protection keys");
    }
    return rt_limit_choose_io(run, err);
}

static void rt_limit_close(rt_limit_run *run)
{
    rt_limit_wire_deinit(&run->send.data);
    rt_limit_wire_deinit(&run->send.acks);
    rt_limit_wire_deinit(&run->recv.data);
    rt_limit_wire_deinit(&run->recv.acks);
    if (run->send.fd >= 0) {
        (void)close(run->send.fd);
        (void)close(run->recv.fd);
    }
}

static quring_status rt_limit_threads(rt_limit_run *run, quring_error *err)
{
    pthread_t sender;
    pthread_t receiver;
    run->began_ns = rt_clock_now();
    int rc = pthread_create(&receiver, NULL, rt_limit_receiver, run);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, rc, "cannot start a thread");
    }
    rc = pthread_create(&sender, NULL, rt_limit_sender, run);
    if (rc != 0) {
        atomic_store(&run->phase, RT_LIMIT_ENDED);
    } else {
        (void)pthread_join(sender, NULL);
    }
    (void)pthread_join(receiver, NULL);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, rc, "cannot start a thread");
    }
    const rt_limit_side *bad = run->send.what != NULL ? &run->send : &run->recv;
    return bad->what == NULL ? QURING_OK
                             : rt_error_os(err, QURING_E_OS, bad->os_errno, "%s failed", bad->what);
}

static void rt_limit_result(quring_limit_result *out, const rt_limit_run *run)
{
    const rt_limit_wire *sent = &run->send.data;
    const rt_limit_wire *got = &run->recv.data;
    uint64_t arrived = got->packets + got->bad;
    memset(out, 0, sizeof(*out));
    out->seconds = (double)(run->ended_ns - run->began_ns) / 1e9;
    out->goodput_bps = out->seconds > 0 ? (double)got->bytes * 8 / out->seconds : 0;
    out->packets = got->packets;
    out->packets_lost = sent->packets > arrived ? sent->packets - arrived : 0;
    out->packets_bad = got->bad;
    out->cpu_send_s = run->send.cpu_s;
    out->cpu_recv_s = run->recv.cpu_s;
    out->backend = run->uring ? "io_uring" : "syscalls";
    out->aead = rt_limit_crypto(run->options.aead)->name;
}

quring_status quring_limit_run(quring_limit_result *out, const quring_limit_options *options,
                               quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "out or options is NULL");
    }
    quring_status status = rt_limit_check(options, err);
    if (status != QURING_OK) {
        return status;
    }
    rt_limit_run *run = aligned_alloc(64, (sizeof(*run) + 63) & ~(size_t)63);
    uint8_t *app[2] = {aligned_alloc(4096, RT_LIMIT_APP_BYTES),
                       aligned_alloc(4096, RT_LIMIT_APP_BYTES)};
    if (run == NULL || app[0] == NULL || app[1] == NULL) {
        status = rt_error_set(err, QURING_E_NOMEM, "cannot have %u bytes", 2 * RT_LIMIT_APP_BYTES);
    } else {
        memset(run, 0, sizeof(*run));
        memset(app[0], 'a', RT_LIMIT_APP_BYTES);
        memset(app[1], 0, RT_LIMIT_APP_BYTES);
        run->options = *options;
        run->send.cpu = options->cpu_send;
        run->recv.cpu = options->cpu_recv;
        run->send.fd = run->recv.fd = -1;
        status = rt_limit_open(run, app, err);
        if (status == QURING_OK) {
            status = rt_limit_threads(run, err);
        }
        if (status == QURING_OK) {
            rt_limit_result(out, run);
        }
        rt_limit_close(run);
    }
    free(run);
    free(app[0]);
    free(app[1]);
    return status;
}
