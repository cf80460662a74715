/* The network as the world sees it: datagrams into hosts, and out of them. */
#include <cstring>

#include "quic/wire/header.h"
#include "tests/sim/host.h"
#include "tests/sim/inspect.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

constexpr uint32_t kSteps = 100000; /* pulls at one moment: more is a livelock */
constexpr size_t kInboxMax = 20000;

uint32_t address_of(const quic_addr &a)
{
    return static_cast<uint32_t>(a.ip[3]) << 16 | a.port;
}

} // namespace

/* ---- in ------------------------------------------------------------------------------------------ */

void World::arrive(uint64_t slot)
{
    Datagram d = std::move(pool_[slot]);
    pool_free_.push_back(slot);
    Host &host = *hosts_[d.to.ip[3] - 1u];
    if (now_ < host.down_until || (!host.is_server() && !nat_.inward(&d.to))) {
        return; /* nobody is there */
    }
    if (host.inbox.size() >= kInboxMax) {
        return; /* the socket's buffer is full */
    }
    host.inbox.push_back(std::move(d));
    if (!host.rx_scheduled) {
        host.rx_scheduled = true;
        schedule(host.awake(now_ + host.options.rx_wait_ns), Kind::kRx, 0, &host);
    }
}

/* Everything in the inbox, neighbours of equal length and origin merged as GRO does. */
void World::receive(Host &host)
{
    host.rx_scheduled = false;
    std::vector<uint8_t> bytes;
    while (!host.inbox.empty() && failure_.empty()) {
        Datagram first = std::move(host.inbox.front());
        host.inbox.pop_front();
        bytes = first.bytes;
        uint32_t seg_len = static_cast<uint32_t>(bytes.size());
        uint32_t count = 1;
        size_t last = bytes.size();
        while (!host.inbox.empty() && count < host.options.gro_max && last == seg_len) {
            const Datagram &next = host.inbox.front();
            if (next.bytes.size() > seg_len || next.ecn != first.ecn ||
                !quic_addr_equal(&next.from, &first.from) ||
                !quic_addr_equal(&next.to, &first.to) || bytes.size() + next.bytes.size() > 65535) {
                break;
            }
            last = next.bytes.size();
            bytes.insert(bytes.end(), next.bytes.begin(), next.bytes.end());
            host.inbox.pop_front();
            count++;
        }
        deliver(host, bytes, seg_len, first);
        if (host.options.pull_each) {
            turn(host);
        }
    }
    if (!host.options.pull_each) {
        turn(host);
    }
}

void World::deliver(Host &host, std::vector<uint8_t> &bytes, uint32_t seg_len,
                    const Datagram &first)
{
    if (host.is_server()) {
        for (size_t off = 0; off < bytes.size(); off += seg_len) {
            size_t left = bytes.size() - off;
            amplification_.on_server_recv(first.from, bytes.data() + off,
                                          left < seg_len ? left : seg_len);
        }
    }
    /* A block of exactly the right size, so that sanitizers see the first byte too many. */
    auto data = std::make_unique<uint8_t[]>(bytes.size());
    memcpy(data.get(), bytes.data(), bytes.size());
    quic_rx_unit unit{};
    unit.data = data.get();
    unit.len = static_cast<uint32_t>(bytes.size());
    unit.seg_len = seg_len;
    unit.ecn = first.ecn;
    unit.path.local = first.to;
    unit.path.remote = first.from;
    unit.path.socket = socket_of(host, first.to);
    size_t at = rng_.below(host.workers.size()); /* wherever the kernel put it */
    uint32_t left = unit.len;
    while (left > 0) { /* its parts go to their owners */
        unit.len = left;
        size_t owner = quic_endpoint_route(host.workers[at]->ep, &unit);
        unit.len = quic_endpoint_route_len(host.workers[at]->ep, &unit);
        uint8_t *next = unit.data + unit.len;
        if (owner >= host.workers.size() || unit.len == 0 || unit.len > left) {
            fail("routed to nowhere");
            return;
        }
        left -= unit.len;
        quic_endpoint_recv(host.workers[owner]->ep, &unit, now_);
        unit.data = next;
    }
}

/* ---- out ----------------------------------------------------------------------------------------- */

/* One turn of the host's loop: timers, then events and datagrams until there are none. */
void World::turn(Host &host)
{
    if (host.in_turn || !failure_.empty()) {
        return;
    }
    host.in_turn = true;
    host.turns++;
    lie_about_size(host);
    speak_early(host);
    for (uint32_t i = 0; i < host.workers.size(); i++) {
        uint32_t steps = 0;
        bool again = true;
        while (again && failure_.empty()) {
            quic_endpoint_on_timeout(host.workers[i]->ep, now_);
            again = pull(host, i);
            quic_ns next = quic_endpoint_next_timeout(host.workers[i]->ep);
            again = again || next <= now_;
            if (++steps > kSteps) {
                fail("livelock: host " + std::to_string(host.index) + " never gets dry");
            }
        }
        const quic_mem *mem = quic_endpoint_mem(host.workers[i]->ep);
        const Alloc &alloc = host.workers[i]->alloc;
        if (mem->used_bytes != alloc.bytes()) {
            fail("accounted memory is not what the allocator gave");
        }
        if (mem->used_bytes > host.options.limits.worker_mem_max_bytes) {
            fail("memory cap exceeded");
        }
        if (options_.check_every != 0 && host.turns % options_.check_every == 0) {
            const char *wrong = sim_inspect_check(host.workers[i]->ep);
            wrong = wrong != nullptr ? wrong : sim_inspect_check_timers(host.workers[i]->ep, now_);
            if (wrong != nullptr) {
                fail(wrong);
            }
        }
    }
    if (options_.check_every != 0 && host.turns % options_.check_every == 0) {
        check_pairs();
    }
    host.in_turn = false;
    set_timer(host);
}

void World::pull_events(Host &host, uint32_t worker)
{
    quic_event ev;
    uint32_t steps = 0;
    while (failure_.empty() && quic_endpoint_poll_event(host.workers[worker]->ep, &ev, now_)) {
        hand_event(host, ev);
        if (++steps > kSteps) {
            fail("livelock: events without end");
        }
    }
}

/* Returns true when something was pulled. */
bool World::pull(Host &host, uint32_t worker)
{
    pull_events(host, worker);
    bool any = false;
    for (uint32_t steps = 0; failure_.empty(); steps++) {
        quic_tx_unit unit{};
        unit.buf = tx_buf_.data();
        unit.cap = host.options.tx_cap;
        unit.seg_max = host.options.seg_max;
        if (!quic_endpoint_send(host.workers[worker]->ep, &unit, now_)) {
            break;
        }
        any = true;
        send_unit(host, unit);
        if (steps > kSteps) {
            fail("livelock: datagrams without end");
        }
    }
    pull_events(host, worker);
    return any;
}

void World::send_unit(Host &host, const quic_tx_unit &unit)
{
    if (unit.len == 0 || unit.seg_len == 0 || unit.len > unit.cap || unit.seg_len > unit.len ||
        (unit.len + unit.seg_len - 1) / unit.seg_len > unit.seg_max) {
        fail("a unit that breaks its bounds");
        return;
    }
    host.last_path = unit.path;
    host.last_conn = unit.conn;
    host.last_len = unit.seg_len;
    for (uint32_t off = 0; off < unit.len; off += unit.seg_len) {
        uint32_t left = unit.len - off;
        uint32_t len = left < unit.seg_len ? left : unit.seg_len;
        Datagram d;
        d.bytes.assign(unit.buf + off, unit.buf + off + len);
        d.from = unit.path.local;
        d.to = unit.path.remote;
        d.ecn = unit.ecn;
        transmit(host, std::move(d));
    }
}

void World::trace(const Datagram &d)
{
    uint64_t h = stats_.trace_hash ^ mix64(now_ ^ address_of(d.to) ^ d.bytes.size() << 40);
    const uint8_t *p = d.bytes.data();
    size_t len = d.bytes.size();
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdull;
    }
    for (; len > 0; p++, len--) {
        h = (h ^ *p) * 0xff51afd7ed558ccdull;
    }
    stats_.trace_hash = mix64(h);
    stats_.datagrams++;
    stats_.datagram_bytes += d.bytes.size();
}

/* Somebody who sees a client's Initial answers it in the server's name, with any versions: RFC 9368 4
 * is about him. */
void World::forge_versions(uint32_t client, const Datagram &d)
{
    static const uint32_t names[] = {QURING_QUIC_V1, QURING_QUIC_V2, 0x1a2a3a4a, 0xff00001d};
    quic_long_header h;
    if (!quic_header_is_long(d.bytes[0]) ||
        quic_header_decode_long(&h, d.bytes.data(), d.bytes.size(), 0) != QUIC_OK ||
        h.type != QUIC_PACKET_UNKNOWN_VERSION || !rng_.chance(options_.forge_versions)) {
        return;
    }
    uint32_t list[3];
    size_t count = rng_.range(1, 3);
    for (size_t i = 0; i < count; i++) {
        list[i] = names[rng_.below(4)];
    }
    Datagram vn;
    vn.from = d.to;
    vn.to = d.from;
    vn.bytes.resize(600);
    vn.bytes.resize(quic_header_encode_vn(
        vn.bytes.data(), vn.bytes.size(), static_cast<uint8_t>(rng_.below(256)),
        quic_reader_make(h.scid, h.scid_len), quic_reader_make(h.dcid, h.dcid_len), list, count));
    launch(client, false, std::move(vn));
}

void World::transmit(Host &host, Datagram d)
{
    bool to_server = !host.is_server();
    if (!to_server && !amplification_.on_server_send(d.to, d.bytes.data(), d.bytes.size())) {
        fail("amplification: more than three times what came from an unvalidated address");
    }
    if (has_byzantine()) {
        rewrite(host, d); /* what a liar adds is not the core's fault */
    }
    trace(d);
    if (is_attackers(d.to)) {
        return;
    }
    uint32_t client = Nat::client_of(to_server ? d.from : d.to);
    if (client >= up_.size()) {
        fail("a datagram to nowhere");
        return;
    }
    if (to_server) {
        nat_.outward(&d.from);
    }
    if (options_.attack.forge > 0 || options_.attack.replay > 0) {
        attacker_.watch(d, to_server, settled(), forged_);
    }
    if (options_.forge_versions > 0 && to_server && now_ < options_.heal_ns) {
        forge_versions(client, d);
    }
    if (!attacker_.filters(d)) {
        launch(client, to_server, std::move(d));
    }
    for (Datagram &f : forged_) {
        launch(client, to_server, std::move(f));
    }
    forged_.clear();
}

void World::launch(uint32_t client, bool to_server, Datagram d)
{
    carried_.clear();
    (to_server ? up_ : down_)[client].carry(std::move(d), now_, carried_);
    for (Datagram &a : carried_) {
        size_t slot;
        if (pool_free_.empty()) {
            slot = pool_.size();
            pool_.emplace_back();
        } else {
            slot = pool_free_.back();
            pool_free_.pop_back();
        }
        quic_ns at = a.arrive_ns;
        pool_[slot] = std::move(a);
        schedule(at, Kind::kArrive, slot, nullptr);
    }
}

void World::set_timer(Host &host)
{
    quic_ns at = QUIC_NS_NEVER;
    for (auto &w : host.workers) {
        quic_ns next = quic_endpoint_next_timeout(w->ep);
        at = next < at ? next : at;
    }
    if (at == QUIC_NS_NEVER) {
        return;
    }
    if (at <= now_) {
        fail("a timer in the past after a turn");
        return;
    }
    if (host.options.late_wake_ns > 0) {
        at += rng_.below(host.options.late_wake_ns);
    }
    at = host.awake(at);
    if (at < host.timer_at) {
        host.timer_at = at;
        schedule(at, Kind::kTimer, 0, &host);
    }
}

} // namespace sim
