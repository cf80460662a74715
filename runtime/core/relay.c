#include "runtime/core/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "runtime/core/clock.h"

#define FRESH_NS   QUIC_NS_PER_S         /* a process heard of this long ago is not asked yet */
#define PATIENT_NS QUIC_NS_PER_S         /* ... and answers within this */
#define AGAIN_NS   (50 * QUIC_NS_PER_MS) /* one that is not known is not asked again so soon */

#define JOIN_ROUNDS   50u /* announcements of one that joins, */
#define JOIN_ROUND_MS 20  /* ... and how long each waits for an answer */
#define JOIN_READ_MAX 64u /* messages read in a round */

enum {
    FLAG_ASKS = 1u << 0,
    FLAG_MEMBER = 1u << 1, /* the sender has the address by right: see rt_relay_join */
};

typedef struct message_head {
    uint8_t from;
    uint8_t flags;
} message_head;

/* Both ends are of this machine and of one format (rt_process' names). */
typedef struct record_head {
    quic_addr remote;
    quic_addr local;
    uint32_t len;
    uint32_t seg_len;
    uint8_t ecn;
    uint8_t hops;
    uint8_t pad[2];
} record_head;

/* Times are of the workers' clock, atomic; 0: never. */
typedef struct neighbour {
    quic_ns heard;
    quic_ns asked;  /* after that and unanswered, if later than heard */
    quic_ns vacant; /* nobody had the number */
} neighbour;

struct rt_relay {
    const rt_process *process;
    quic_addr addr;
    bool accepts;
    bool is_member;
    bool is_vouched; /* a member has answered */
    neighbour others[RT_PROCESSES_MAX];
};

int rt_relay_open(rt_relay **out, rt_udp_socket *out_inbox, const rt_process *process,
                  const quic_addr *addr, uint32_t flags)
{
    rt_relay *relay = (rt_relay *)calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return -ENOMEM;
    }
    int rc = rt_process_inbox(process, out_inbox, addr);
    if (rc != 0) {
        free(relay);
        return rc;
    }
    relay->process = process;
    relay->addr = *addr;
    relay->accepts = (flags & RT_RELAY_ACCEPTS) != 0;
    relay->is_member = (flags & RT_RELAY_FIRST) != 0;
    *out = relay;
    return 0;
}

void rt_relay_close(rt_relay *relay)
{
    free(relay);
}

uint8_t rt_relay_self(const rt_relay *relay)
{
    return relay->process->number;
}

bool rt_relay_accepts(const rt_relay *relay)
{
    return relay->accepts;
}

/* ---- who is there -------------------------------------------------------------------------------- */

static quic_ns load(const quic_ns *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(quic_ns *at, quic_ns value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static message_head head_of(const rt_relay *relay, bool asks)
{
    unsigned flags = (asks ? FLAG_ASKS : 0u) | (relay->is_member ? FLAG_MEMBER : 0u);
    message_head head = {relay->process->number, (uint8_t)flags};
    return head;
}

static int send_head(rt_relay *relay, uint8_t number, bool asks)
{
    message_head head = head_of(relay, asks);
    return rt_process_send(relay->process, number, &relay->addr, &head, sizeof(head));
}

void rt_relay_announce(rt_relay *relay, quic_ns now)
{
    for (uint32_t i = 0; i < RT_PROCESSES_MAX; i++) {
        if (i != relay->process->number && send_head(relay, (uint8_t)i, true) == 0) {
            store(&relay->others[i].asked, now);
        }
    }
}

/* Reads what has come; true when a member has sent something. */
static bool is_answered(rt_relay *relay, const rt_udp_socket *inbox)
{
    uint8_t head[64]; /* what follows it is for nobody here: there are no connections yet */
    rt_relay_reader reader;
    for (uint32_t i = 0; i < JOIN_READ_MAX; i++) {
        ssize_t len = rt_process_receive(inbox, head, sizeof(head));
        if (len == -EAGAIN) {
            break;
        }
        if (len > 0) {
            rt_relay_read(&reader, relay, head, (uint32_t)len, rt_clock_now());
        }
    }
    return relay->is_vouched;
}

int rt_relay_join(rt_relay *relay, const rt_udp_socket *inbox)
{
    for (uint32_t i = 0; i < JOIN_ROUNDS; i++) {
        struct pollfd wait = {.fd = inbox->fd, .events = POLLIN};
        rt_relay_announce(relay, rt_clock_now());
        (void)poll(&wait, 1, JOIN_ROUND_MS);
        if (is_answered(relay, inbox)) {
            relay->is_member = true;
            return 0;
        }
    }
    return -EADDRINUSE;
}

bool rt_relay_knows(const rt_relay *relay, uint8_t number)
{
    return number != relay->process->number && load(&relay->others[number].heard) != 0;
}

/* A question costs far more than the datagram that raises it, and anybody may send such. */
static bool is_recent(const quic_ns *at, quic_ns now)
{
    return load(at) != 0 && now < load(at) + AGAIN_NS;
}

rt_relay_owner rt_relay_find(rt_relay *relay, uint8_t number, quic_ns now)
{
    neighbour *n = &relay->others[number];
    if (rt_relay_knows(relay, number)) {
        return RT_RELAY_OTHER;
    }
    if (number == relay->process->number || is_recent(&n->vacant, now)) {
        return RT_RELAY_NOBODY;
    }
    if (is_recent(&n->asked, now)) {
        return RT_RELAY_UNSURE;
    }
    int rc = send_head(relay, number, true);
    store(rc == -ECONNREFUSED ? &n->vacant : &n->asked, now);
    return rc == -ECONNREFUSED ? RT_RELAY_NOBODY : RT_RELAY_UNSURE;
}

bool rt_relay_next(const rt_relay *relay, uint8_t *out_number)
{
    for (uint32_t i = 1; i < RT_PROCESSES_MAX; i++) {
        uint8_t number = (uint8_t)(relay->process->number + i);
        if (rt_relay_knows(relay, number)) {
            *out_number = number;
            return true;
        }
    }
    return false;
}

/* ---- sending ------------------------------------------------------------------------------------ */

void rt_relay_batch_deinit(rt_relay_batch *batch)
{
    free(batch->buf);
    memset(batch, 0, sizeof(*batch));
}

/* The last question was asked in vain. */
static bool is_gone(const neighbour *n, quic_ns now)
{
    quic_ns asked = load(&n->asked);
    return asked > load(&n->heard) && now > asked && now - asked > PATIENT_NS;
}

static bool must_ask(const neighbour *n, quic_ns now)
{
    quic_ns heard = load(&n->heard);
    return now > heard && now - heard > FRESH_NS && load(&n->asked) <= heard;
}

/* Not sent to any more. The answer may have found a full inbox, or only be late: a question of its own brings
 * one that is there back, which nobody else might ask. */
static void forget(rt_relay *relay, uint8_t number, quic_ns now)
{
    neighbour *n = &relay->others[number];
    store(&n->heard, 0);
    if (send_head(relay, number, true) == 0) {
        store(&n->asked, now);
    }
}

static int send_batch(const rt_relay_batch *batch, quic_ns now)
{
    rt_relay *relay = batch->relay;
    neighbour *to = &relay->others[batch->to];
    bool asks = must_ask(to, now);
    message_head head = head_of(relay, asks);
    memcpy(batch->buf, &head, sizeof(head));
    int rc = rt_process_send(relay->process, batch->to, &relay->addr, batch->buf, batch->len);
    if (rc == -ECONNREFUSED) {
        store(&to->heard, 0);
        store(&to->vacant, now);
    } else if (rc == 0 && asks) {
        store(&to->asked, now);
    }
    return rc;
}

static void send_waiting(rt_relay_batch *batch, quic_ns now)
{
    if (batch->units == 0) {
        return;
    }
    int rc = -ECONNREFUSED;
    if (is_gone(&batch->relay->others[batch->to], now)) {
        forget(batch->relay, batch->to, now);
    } else {
        rc = send_batch(batch, now);
    }
    *(rc == 0 ? &batch->sent : &batch->lost) += batch->units;
    batch->units = 0;
    batch->len = 0;
}

void rt_relay_flush(rt_relay_batch *batch, quic_ns now)
{
    send_waiting(batch, now);
    batch->early = 0;
}

/* Whether the next unit may be for process `number`. */
static bool turn_to(rt_relay_batch *batch, rt_relay *relay, uint8_t number, quic_ns now)
{
    if (batch->units > 0 && (batch->relay != relay || batch->to != number)) {
        if (batch->early == RT_RELAY_EARLY_MAX) {
            return false;
        }
        batch->early++;
        send_waiting(batch, now);
    }
    batch->relay = relay;
    batch->to = number;
    return true;
}

/* Puts as many of the datagrams at `unit` as there is room for; returns their bytes. */
static uint32_t put(rt_relay_batch *batch, const quic_rx_unit *unit, uint32_t off, uint32_t hops)
{
    uint32_t left = unit->len - off;
    uint32_t room = RT_RELAY_MESSAGE_MAX - batch->len;
    room = room > sizeof(record_head) ? room - (uint32_t)sizeof(record_head) : 0;
    uint32_t take = left <= room ? left : room / unit->seg_len * unit->seg_len;
    if (take == 0) {
        return 0;
    }
    record_head head;
    memset(&head, 0, sizeof(head));
    head.remote = unit->path.remote;
    head.local = unit->path.local;
    head.len = take;
    head.seg_len = unit->seg_len < take ? unit->seg_len : take;
    head.ecn = unit->ecn;
    head.hops = (uint8_t)hops;
    memcpy(batch->buf + batch->len, &head, sizeof(head));
    memcpy(batch->buf + batch->len + sizeof(head), unit->data + off, take);
    batch->len += (uint32_t)sizeof(head) + take;
    batch->units++;
    return take;
}

void rt_relay_add(rt_relay_batch *batch, rt_relay *relay, uint8_t number, const quic_rx_unit *unit,
                  uint32_t hops, quic_ns now)
{
    if (batch->buf == NULL) {
        batch->buf = (uint8_t *)malloc(RT_RELAY_MESSAGE_MAX);
    }
    if (batch->buf == NULL || unit->seg_len == 0 || !turn_to(batch, relay, number, now)) {
        batch->lost++;
        return;
    }
    for (uint32_t off = 0; off < unit->len;) {
        batch->len = batch->len == 0 ? (uint32_t)sizeof(message_head) : batch->len;
        uint32_t taken = put(batch, unit, off, hops);
        if (taken == 0 && batch->units == 0) { /* larger than a message */
            batch->lost++;
            return;
        }
        if (taken == 0) {
            send_waiting(batch, now);
        }
        off += taken;
    }
}

/* ---- receiving ----------------------------------------------------------------------------------- */

void rt_relay_read(rt_relay_reader *reader, rt_relay *relay, uint8_t *data, uint32_t len,
                   quic_ns now)
{
    message_head head;
    memset(reader, 0, sizeof(*reader));
    if (len < sizeof(head)) {
        return;
    }
    memcpy(&head, data, sizeof(head));
    if (head.from == relay->process->number) {
        return;
    }
    store(&relay->others[head.from].heard, now);
    relay->is_vouched = relay->is_vouched || (!relay->is_member && (head.flags & FLAG_MEMBER) != 0);
    if ((head.flags & FLAG_ASKS) != 0) {
        (void)!send_head(relay, head.from, false);
    }
    reader->at = data + sizeof(head);
    reader->left = len - (uint32_t)sizeof(head);
}

bool rt_relay_read_next(rt_relay_reader *reader, quic_rx_unit *out, uint32_t *out_hops)
{
    record_head head;
    if (reader->left < sizeof(head)) {
        return false;
    }
    memcpy(&head, reader->at, sizeof(head));
    uint32_t room = reader->left - (uint32_t)sizeof(head);
    bool good = head.len > 0 && head.len <= room && head.seg_len > 0 && head.seg_len <= head.len;
    good = good && (head.remote.family == 4 || head.remote.family == 6);
    if (!good) {
        reader->left = 0;
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->data = reader->at + sizeof(head);
    out->len = head.len;
    out->seg_len = head.seg_len;
    out->ecn = head.ecn & 3;
    out->path.remote = head.remote;
    out->path.local = head.local;
    *out_hops = head.hops;
    reader->at += sizeof(head) + head.len;
    reader->left = room - head.len;
    return true;
}
