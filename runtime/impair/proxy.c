#define _GNU_SOURCE 1 /* recvmmsg */

#include "runtime/impair/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "runtime/core/clock.h"
#include "runtime/udp/cmsg.h"
#include "runtime/udp/sockaddr.h"

#define BATCH          32u
#define DATAGRAM_MAX   65536u
#define BATCHES_A_TURN 4u /* of one socket, before others have theirs */
#define EVENTS         64
#define SOCKET_BUF     (4u << 20)

/* What an epoll event is about; a flow is FLOW_0 + its index. */
enum { ABOUT_FRONT = 0, ABOUT_TIMER, ABOUT_BELL, ABOUT_FLOW_0 };

enum { TO_SERVER = 0, TO_CLIENT = 1 };

struct rt_impair_batch {
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    rt_sockaddr from[BATCH];
    _Alignas(struct cmsghdr) uint8_t control[BATCH][RT_CMSG_RX_BYTES];
    uint8_t data[BATCH][DATAGRAM_MAX];
};

static void count(_Atomic uint64_t *counter)
{
    /* One writer: no need for a locked instruction. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* ---- set-up ------------------------------------------------------------------------------------- */

static int watch(const quring_impair *p, int fd, uint64_t about)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = about};
    return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static int open_front(quring_impair *p, const quic_addr *local)
{
    rt_udp_options options = {.local = *local, .dual_stack = true, .buf_bytes = SOCKET_BUF};
    return rt_udp_open(&p->front, &options);
}

static int open_lines(quring_impair *p)
{
    const quring_impair_link *specs[2] = {&p->options.to_server, &p->options.to_client};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t len = rt_line_queue_len(specs[i]);
        p->leaves[i] = len == 0 ? NULL : calloc(len, sizeof(*p->leaves[i]));
        if (len != 0 && p->leaves[i] == NULL) {
            return -ENOMEM;
        }
        /* Each its own numbers: what happens one way must not depend on the traffic of the other. */
        rt_line_init(&p->lines[i], specs[i], p->leaves[i],
                     p->options.seed * 4 + i + 0x5bd1e995ull * (i + 1));
    }
    return 0;
}

static quic_addr loopback_of(uint8_t family)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    static const uint8_t v6[16] = {[15] = 1};
    return family == 4 ? rt_addr_from_in4(v4, 0) : rt_addr_from_in6(v6, 0, 0);
}

int rt_impair_open(quring_impair *p)
{
    quic_addr local = loopback_of(p->server.family);
    if (p->options.local.family != 0) {
        local.family = p->options.local.family;
        local.port = p->options.local.port;
        local.scope_id = p->options.local.scope_id;
        memcpy(local.ip, p->options.local.ip, sizeof(local.ip));
    }
    int rc = open_front(p, &local);
    if (rc != 0) {
        return rc;
    }
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    p->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->epoll_fd < 0 || p->timer_fd < 0 || p->bell_fd < 0) {
        return -errno;
    }
    rc = watch(p, p->front.fd, ABOUT_FRONT);
    rc = rc != 0 ? rc : watch(p, p->timer_fd, ABOUT_TIMER);
    rc = rc != 0 ? rc : watch(p, p->bell_fd, ABOUT_BELL);
    rc = rc != 0 ? rc : open_lines(p);
    if (rc != 0) {
        return rc;
    }
    p->batch = malloc(sizeof(*p->batch));
    p->rng.s = p->options.seed ^ 0x9e3779b97f4a7c15ull;
    p->rebind_at_ns = QUIC_NS_NEVER;
    rt_hold_init(&p->hold, p->options.held_bytes_max);
    return rt_flows_init(&p->flows, p->options.flows_max) && p->batch != NULL ? 0 : -ENOMEM;
}

void rt_impair_close(quring_impair *p)
{
    const int fds[3] = {p->epoll_fd, p->timer_fd, p->bell_fd};
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    rt_udp_close(&p->front);
    rt_flows_deinit(&p->flows);
    rt_hold_deinit(&p->hold);
    free(p->batch);
    free(p->leaves[0]);
    free(p->leaves[1]);
}

/* ---- paths to the server ------------------------------------------------------------------------ */

/* A socket at a new port, of another host address of 127.0.0.0/8 when that is asked for. */
static int open_path(quring_impair *p, bool new_host)
{
    rt_udp_options options = {.buf_bytes = SOCKET_BUF};
    rt_udp_socket sock;
    rt_sockaddr to;
    options.local.family = p->server.family;
    if (new_host) {
        quic_rng rng = quic_rng_seeded(&p->rng);
        uint64_t random = quic_rng_u64(&rng);
        options.local.ip[0] = 127;
        options.local.ip[1] = (uint8_t)(1 + random % 254);
        options.local.ip[2] = (uint8_t)(random >> 8);
        options.local.ip[3] = (uint8_t)(1 + (random >> 16) % 254);
    }
    int rc = rt_udp_open(&sock, &options);
    if (rc != 0) {
        return rc;
    }
    socklen_t len = rt_sockaddr_from(&to, &p->server, sock.is_v6);
    if (len == 0 || connect(sock.fd, &to.sa, len) != 0) {
        rc = len == 0 ? -EAFNOSUPPORT : -errno;
        rt_udp_close(&sock);
        return rc;
    }
    return sock.fd;
}

static uint32_t flow_of(quring_impair *p, const quic_addr *client, quic_ns now)
{
    uint32_t i = rt_flows_find(&p->flows, client);
    if (i != RT_FLOW_NONE) {
        p->flows.at[i].used_ns = now;
        return i;
    }
    int fd = open_path(p, false);
    if (fd < 0) {
        return RT_FLOW_NONE;
    }
    i = rt_flows_add(&p->flows, client, fd, now);
    if (watch(p, fd, ABOUT_FLOW_0 + i) != 0) {
        return RT_FLOW_NONE; /* its answers are lost, and so is what it sends until it is forgotten */
    }
    count(&p->counters.flows);
    return i;
}

static void rebind_all(quring_impair *p)
{
    for (uint32_t i = 0; i < p->flows.count; i++) {
        rt_flow *flow = &p->flows.at[i];
        int fd = open_path(p, p->options.rebind_host);
        if (fd < 0) {
            continue; /* keeps the path it has */
        }
        if (watch(p, fd, ABOUT_FLOW_0 + i) != 0) {
            (void)close(fd);
            continue;
        }
        (void)close(flow->fd); /* what the server still sends there is lost */
        flow->fd = fd;
        flow->path++;
        count(&p->counters.rebinds);
    }
}

/* ---- in ----------------------------------------------------------------------------------------- */

static void begin(quring_impair *p, quic_ns now)
{
    p->began = true;
    rt_line_begin(&p->lines[TO_SERVER], now);
    rt_line_begin(&p->lines[TO_CLIENT], now);
    quic_ns first =
        p->options.rebind_first_ns != 0 ? p->options.rebind_first_ns : p->options.rebind_ns;
    p->rebind_at_ns = first != 0 ? now + first : QUIC_NS_NEVER;
}

static void show(const quring_impair *p, uint32_t flow, int way, const uint8_t *data, size_t len,
                 uint8_t ecn, const rt_line_verdict *v, quic_ns now)
{
    quring_impair_seen seen = {
        .data = {data, len},
        .at_ns = now,
        .fate = v->fate,
        .path = p->flows.at[flow].path,
        .ecn = ecn,
        .to_server = way == TO_SERVER,
        .corrupted = v->flip != 0,
        .duplicated = v->twice,
    };
    p->options.tap(p->options.tap_ctx, &seen);
}

static void hold_it(quring_impair *p, int way, const rt_held *like, const uint8_t *data, size_t len,
                    const rt_line_verdict *v)
{
    rt_held *held = rt_hold_add(&p->hold, like, data, len);
    if (held == NULL) {
        count(&p->counters.fates[way][QURING_IMPAIR_LOST_MEMORY]);
        return;
    }
    held->ecn = v->mark_ce ? 3 : held->ecn;
    if (v->flip != 0) {
        held->data[v->flip_at] ^= v->flip;
    }
}

static void take(quring_impair *p, uint32_t flow, int way, const uint8_t *data, size_t len,
                 uint8_t ecn, quic_ns now)
{
    rt_impair_counters *c = &p->counters;
    rt_line_verdict v;
    if (!p->began) {
        begin(p, now);
    }
    rt_line_judge(&p->lines[way], &v, data, len, p->server.family == 4 ? 28 : 48, ecn, now);
    if (p->options.tap != NULL) {
        show(p, flow, way, data, len, ecn, &v, now);
    }
    if (v.fate != QURING_IMPAIR_PASSED) {
        count(&c->fates[way][v.fate]);
        return;
    }
    rt_held like = {.at_ns = v.at_ns,
                    .flow = flow,
                    .generation = p->flows.at[flow].generation,
                    .ecn = ecn,
                    .to_server = way == TO_SERVER};
    hold_it(p, way, &like, data, len, &v);
    if (v.twice) {
        hold_it(p, way, &like, data, len, &v);
        count(&c->duplicated[way]);
    }
    if (v.flip != 0) {
        count(&c->corrupted[way]);
    }
    if (v.late) {
        count(&c->reordered[way]);
    }
    if (v.mark_ce) {
        count(&c->marked_ce[way]);
    }
}

/* Takes what one socket has; `flow` is RT_FLOW_NONE for the front socket. Without GRO the kernel hands
 * over each datagram by itself, however many of them were sent in one call. */
static void receive(quring_impair *p, int fd, uint32_t flow)
{
    rt_impair_batch *b = p->batch;
    int way = flow == RT_FLOW_NONE ? TO_SERVER : TO_CLIENT;
    for (uint32_t round = 0; round < BATCHES_A_TURN; round++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            b->iovs[i] = (struct iovec){b->data[i], DATAGRAM_MAX};
            b->msgs[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                                 .msg_namelen = sizeof(b->from[i]),
                                                 .msg_iov = &b->iovs[i],
                                                 .msg_iovlen = 1,
                                                 .msg_control = b->control[i],
                                                 .msg_controllen = sizeof(b->control[i])};
        }
        int got = recvmmsg(fd, b->msgs, BATCH, MSG_DONTWAIT, NULL);
        quic_ns now = rt_clock_now();
        for (int i = 0; i < got; i++) {
            struct msghdr *msg = &b->msgs[i].msg_hdr;
            rt_cmsg_rx facts;
            quic_addr from;
            uint32_t of = flow;
            rt_cmsg_read(&facts, msg);
            count(&p->counters.received[way]);
            if (flow == RT_FLOW_NONE) {
                of = rt_sockaddr_to(&from, &b->from[i].sa, msg->msg_namelen)
                         ? flow_of(p, &from, now)
                         : RT_FLOW_NONE;
            }
            if (of == RT_FLOW_NONE) {
                count(&p->counters.fates[way][QURING_IMPAIR_LOST_SEND]);
                continue;
            }
            take(p, of, way, b->data[i], b->msgs[i].msg_len, facts.ecn, now);
        }
        if (got < (int)BATCH) {
            return; /* nothing more, or an error a send caused: it was taken note of there */
        }
    }
}

/* ---- out ---------------------------------------------------------------------------------------- */

static bool send_one(quring_impair *p, const rt_held *held)
{
    const rt_flow *flow = &p->flows.at[held->flow];
    _Alignas(struct cmsghdr) uint8_t control[RT_CMSG_TX_BYTES];
    rt_sockaddr to;
    struct iovec iov = {(void *)held->data, held->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (flow->generation != held->generation) {
        return false;
    }
    rt_cmsg_tx tx = {.marked = held->ecn != 0, .ecn = held->ecn, .remote_family = p->server.family};
    int fd = flow->fd;
    if (!held->to_server) {
        fd = p->front.fd;
        msg.msg_name = &to;
        msg.msg_namelen = rt_sockaddr_from(&to, &flow->client, p->front.is_v6);
        tx.remote_family = flow->client.family;
    }
    rt_cmsg_write(&msg, control, &tx);
    /* A refusal reported by ICMP belongs to an earlier datagram: one more try. */
    return sendmsg(fd, &msg, MSG_DONTWAIT) >= 0 ||
           (errno == ECONNREFUSED && sendmsg(fd, &msg, MSG_DONTWAIT) >= 0);
}

static void release(quring_impair *p, quic_ns now)
{
    while (rt_hold_next(&p->hold) <= now) {
        rt_held *held = rt_hold_take(&p->hold);
        bool sent = send_one(p, held);
        count(&p->counters.fates[held->to_server ? TO_SERVER : TO_CLIENT]
                                [sent ? QURING_IMPAIR_PASSED : QURING_IMPAIR_LOST_SEND]);
        rt_hold_free(&p->hold, held);
    }
    atomic_store_explicit(&p->counters.held_bytes, p->hold.bytes, memory_order_relaxed);
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void set_timer(const quring_impair *p)
{
    quic_ns at = rt_hold_next(&p->hold);
    at = p->rebind_at_ns < at ? p->rebind_at_ns : at;
    struct itimerspec when = {0};
    if (at != QUIC_NS_NEVER) {
        at = at == 0 ? 1 : at; /* 0 would disarm it */
        when.it_value.tv_sec = (time_t)(at / QUIC_NS_PER_S);
        when.it_value.tv_nsec = (long)(at % QUIC_NS_PER_S);
    }
    (void)timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_event(quring_impair *p, uint64_t about)
{
    uint64_t times;
    if (about == ABOUT_FRONT) {
        receive(p, p->front.fd, RT_FLOW_NONE);
    } else if (about == ABOUT_TIMER || about == ABOUT_BELL) {
        (void)!read(about == ABOUT_TIMER ? p->timer_fd : p->bell_fd, &times, sizeof(times));
    } else {
        uint32_t flow = (uint32_t)(about - ABOUT_FLOW_0);
        receive(p, p->flows.at[flow].fd, flow);
    }
}

static void rebind_if_due(quring_impair *p, quic_ns now)
{
    if (atomic_exchange(&p->rebind_asked, false)) {
        rebind_all(p);
    }
    if (now >= p->rebind_at_ns) {
        p->rebind_at_ns = p->options.rebind_ns != 0 ? now + p->options.rebind_ns : QUIC_NS_NEVER;
        rebind_all(p);
    }
}

void *rt_impair_thread(void *proxy)
{
    quring_impair *p = proxy;
    struct epoll_event events[EVENTS];
    while (!atomic_load(&p->stopping)) {
        set_timer(p);
        int got = epoll_wait(p->epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < got; i++) {
            on_event(p, events[i].data.u64);
        }
        quic_ns now = rt_clock_now();
        rebind_if_due(p, now);
        release(p, now);
    }
    return NULL;
}

void rt_impair_ring(const quring_impair *p)
{
    uint64_t one = 1;
    (void)!write(p->bell_fd, &one, sizeof(one));
}
