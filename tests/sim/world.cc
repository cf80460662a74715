#include "tests/sim/world.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/sim/host.h"
#include "tests/sim/inspect.h"

namespace sim
{
namespace
{

constexpr uint16_t kServerPort = 443;
constexpr uint16_t kClientPort = 5000;
constexpr uint32_t kSteps = 100000; /* pulls at one moment: more is a livelock */
constexpr size_t kInboxMax = 20000;

uint32_t address_of(const quic_addr &a)
{
    return static_cast<uint32_t>(a.ip[3]) << 16 | a.port;
}

} // namespace

World::World(const Options &options)
    : options_(options), identity_(options_), rng_(options.seed ^ 0x5157), tx_buf_(65536)
{
    make_host(0, options_.server, options_.workers);
    for (uint32_t i = 0; i < options_.clients.size(); i++) {
        make_host(i + 1, options_.clients[i], 1);
        up_.emplace_back(options_.up[i], rng_.u64());
        down_.emplace_back(options_.down[i], rng_.u64());
    }
    quic_accept_config accept{};
    accept.tls = identity_.vtable();
    accept.tls_config = identity_.server_config();
    accept.limits = options_.server.limits;
    accept.retry = options_.retry;
    for (auto &w : hosts_[0]->workers) {
        if (quic_endpoint_listen(w->ep, 0, &accept) != QUIC_OK) {
            fail("listen");
        }
    }
    quic_ns start = now_;
    for (uint32_t i = 0; i < options_.conns.size(); i++) {
        auto c = std::make_unique<ConnState>();
        c->plan = options_.conns[i];
        c->index = i;
        conns_.push_back(std::move(c));
        quic_ns at = start + options_.conns[i].start_ns;
        last_start_ = at > last_start_ ? at : last_start_;
        schedule(at, Kind::kConnect, i, nullptr);
    }
    options_.heal_ns += start;
    for (auto *links : {&options_.up, &options_.down}) {
        (void)links; /* their times are relative to 0; a second more or less does not matter */
    }
    schedule(options_.heal_ns, Kind::kHeal, 0, nullptr);
    stats_.conns = static_cast<uint32_t>(conns_.size());
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            w->alloc.fail_at(h->options.alloc_fail_at);
        }
    }
}

World::~World()
{
    for (auto &c : conns_) { /* lent bytes must outlive the endpoints */
        (void)c;
    }
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            quic_endpoint_destroy(w->ep);
        }
    }
}

void World::make_host(uint32_t index, const HostOptions &options, uint32_t workers)
{
    auto host = std::make_unique<Host>();
    host->index = index;
    host->options = options;
    host->addr.family = 4;
    host->addr.ip[0] = 10;
    host->addr.ip[3] = static_cast<uint8_t>(index + 1);
    host->addr.port = kServerPort;
    for (uint32_t i = 0; i < workers; i++) {
        auto w = std::make_unique<Worker>();
        w->rng.s = rng_.u64();
        quic_endpoint_config config{};
        config.worker_id = static_cast<uint8_t>(i);
        config.worker_count = static_cast<uint8_t>(workers);
        config.allocator = w->alloc.table();
        config.rng = quic_rng_seeded(&w->rng);
        config.crypto = identity_.crypto();
        memset(config.root_secret, static_cast<int>(index + 1), sizeof(config.root_secret));
        config.limits = options.limits;
        config.cc = options.cc;
        config.pacing = options.pacing;
        if (quic_endpoint_create(&w->ep, &config) != QUIC_OK) {
            fail("endpoint");
        }
        host->workers.push_back(std::move(w));
    }
    hosts_.push_back(std::move(host));
}

void World::fail(const std::string &what)
{
    if (failure_.empty()) {
        char at[64];
        snprintf(at, sizeof(at), "at %.6f s: ", static_cast<double>(now_) / 1e9);
        failure_ = at + what;
    }
}

/* ---- the clock ---------------------------------------------------------------------------------- */

void World::schedule(quic_ns at, Kind kind, uint64_t a, void *p)
{
    queue_.push(Event{at, order_++, kind, a, p});
}

void World::wake_app(App *app, quic_ns at)
{
    if (app->ticks.insert(at).second) {
        schedule(at, Kind::kApp, 0, app);
    }
}

bool World::run()
{
    while (failure_.empty() && !finished()) {
        if (queue_.empty()) {
            fail("nothing is timed, but connections are left");
            break;
        }
        Event ev = queue_.top();
        queue_.pop();
        now_ = ev.at;
        stats_.events++;
        dispatch(ev);
        quic_ns base = options_.heal_ns > last_start_ ? options_.heal_ns : last_start_;
        if (now_ > base + options_.liveness_ns) {
            fail("no end in sight: the network is good, and still not everything is over");
        }
    }
    if (failure_.empty()) {
        check_end();
    }
    stats_.end_ns = now_;
    return failure_.empty();
}

void World::dispatch(const Event &ev)
{
    switch (ev.kind) {
    case Kind::kArrive:
        arrive(ev.a);
        break;
    case Kind::kRx:
        receive(*static_cast<Host *>(ev.p));
        break;
    case Kind::kTimer: {
        Host &host = *static_cast<Host *>(ev.p);
        if (host.timer_at == ev.at) {
            host.timer_at = QUIC_NS_NEVER;
            turn(host);
        }
        break;
    }
    case Kind::kApp: {
        App *app = static_cast<App *>(ev.p);
        app->ticks.erase(ev.at);
        Host &host = *hosts_[app->is_server() ? 0 : app->state()->plan.client + 1];
        quic_ns awake = host.awake(now_);
        if (awake > now_) {
            wake_app(app, awake);
            break;
        }
        /* Verbs act at the endpoint's last moment: let it know that time went by. */
        for (auto &w : host.workers) {
            quic_endpoint_on_timeout(w->ep, now_);
        }
        app->on_tick();
        perturb(app);
        turn(host);
        break;
    }
    case Kind::kConnect:
        connect(static_cast<uint32_t>(ev.a));
        break;
    case Kind::kHeal:
        for (size_t i = 0; i < up_.size(); i++) {
            up_[i].heal();
            down_[i].heal();
        }
        break;
    }
}

/* ---- connections -------------------------------------------------------------------------------- */

uint16_t World::port_of(uint32_t conn) const
{
    return static_cast<uint16_t>(kClientPort +
                                 (options_.shared_ports ? conns_[conn]->plan.client : conn));
}

void World::connect(uint32_t index)
{
    ConnState &c = *conns_[index];
    Host &host = *hosts_[c.plan.client + 1];
    char name[32];
    snprintf(name, sizeof(name), "c%u", index);
    quic_connect_config config{};
    config.tls = identity_.vtable();
    config.tls_config = identity_.client_config();
    config.server_name = identity_.scripted() ? name : "localhost";
    config.limits = host.options.limits;
    config.path.local = host.addr;
    config.path.local.port = port_of(index);
    config.path.remote = hosts_[0]->addr;
    quic_conn *conn = nullptr;
    started_++;
    quic_rc rc = quic_endpoint_connect(host.workers[0]->ep, &conn, &config, now_);
    if (rc != QUIC_OK) {
        if (!options_.may_run_out) {
            fail("connect failed");
        }
        return;
    }
    open_clients_++;
    stats_.conn_seconds -= static_cast<double>(now_) / 1e9;
    c.client = std::make_unique<App>(this, &c, false, conn);
    quic_conn_set_app_ctx(conn, c.client.get());
    turn(host);
}

/* Which plan a server's connection follows: the name asked for tells, or the client's port. */
App *World::adopt(quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    uint32_t index = identity_.scripted() ? static_cast<uint32_t>(atoi(info.server_name + 1))
                                          : info.remote.port - kClientPort;
    if (index >= conns_.size() || conns_[index]->server != nullptr) {
        fail("a second server connection for one client");
        return nullptr;
    }
    conns_[index]->server = std::make_unique<App>(this, conns_[index].get(), true, conn);
    quic_conn_set_app_ctx(conn, conns_[index]->server.get());
    return conns_[index]->server.get();
}

void World::hand_event(Host &host, const quic_event &ev)
{
    App *app = static_cast<App *>(quic_conn_app_ctx(ev.conn));
    if (app == nullptr && host.is_server() && ev.type == QURING_EV_CONNECTED) {
        app = adopt(ev.conn);
    }
    if (app != nullptr) {
        app->on_event(ev);
        if (ev.type == QURING_EV_CLOSED) {
            on_closed(app);
        } else if (ev.type == QURING_EV_CONNECTED) {
            perturb(app);
        }
        return;
    }
    if (!host.is_server() || ev.type != QURING_EV_CLOSED) {
        fail("an event of a connection nobody knows");
        return;
    }
    const quring_close_info *info = quic_conn_close_info(ev.conn);
    if (!close_is_acceptable(options_, *info, false, true)) {
        fail("a half-open connection ended with kind " + std::to_string(info->kind) + " code " +
             std::to_string(info->code) + " " + info->reason);
    }
}

void World::on_closed(App *app)
{
    ConnState *c = app->state();
    App *other = app->is_server() ? c->client.get() : c->server.get();
    bool peer_gone = other == nullptr || other->is_closed();
    const quring_close_info &info = app->close_info();
    if (!app->is_server()) {
        open_clients_--;
        stats_.conn_seconds += static_cast<double>(now_) / 1e9;
    }
    bool done = app->is_done() && other != nullptr && other->is_done();
    bool planned_silence = c->plan.never_close && done;
    if (info.kind == QURING_CLOSE_IDLE_TIMEOUT && !planned_silence && !peer_gone &&
        !options_.harsh && !options_.may_run_out) {
        fail("connection " + std::to_string(c->index) + ": idle timeout without a reason");
    }
    if (!close_is_acceptable(options_, info, app->closed_itself(), peer_gone)) {
        fail("connection " + std::to_string(c->index) + ": closed with kind " +
             std::to_string(info.kind) + " code " + std::to_string(info.code) + " frame " +
             std::to_string(info.frame_type) + " \"" + info.reason + "\"");
    }
    if (info.kind == QURING_CLOSE_LOCAL_APP && c->plan.close_ns == 0 && !done &&
        !options_.may_run_out) {
        fail("closed before everything was done");
    }
    if (!app->is_server() && done) {
        stats_.conns_done++;
    }
}

/* Key updates and changes of connection ID, at any moment and from either end. */
void World::perturb(App *app)
{
    ConnPlan &plan = app->state()->plan;
    if (app->conn() == nullptr || app->is_done()) {
        return;
    }
    if (plan.key_updates > 0 && rng_.chance(0.5)) {
        plan.key_updates--;
        sim_inspect_update_keys(app->conn());
    }
    if (plan.cid_rotations > 0 && rng_.chance(0.5)) {
        plan.cid_rotations -= sim_inspect_rotate_cid(app->conn()) ? 1 : 0;
    }
    if (plan.key_updates > 0 || plan.cid_rotations > 0) {
        wake_app(app, now_ + 1 + rng_.below(100 * QUIC_NS_PER_MS));
    }
}

/* ---- in ------------------------------------------------------------------------------------------ */

void World::arrive(uint64_t slot)
{
    Datagram d = std::move(pool_[slot]);
    pool_free_.push_back(slot);
    Host &host = *hosts_[d.to.ip[3] - 1u];
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
                !quic_addr_equal(&next.to, &first.to) ||
                bytes.size() + next.bytes.size() > 65535) {
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
            amplification_.on_server_recv(address_of(first.from), bytes.data() + off,
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
    size_t at = rng_.below(host.workers.size()); /* wherever the kernel put it */
    size_t owner = quic_endpoint_route(host.workers[at]->ep, &unit);
    if (owner >= host.workers.size()) {
        fail("routed to a worker that does not exist");
        return;
    }
    quic_endpoint_recv(host.workers[owner]->ep, &unit, now_);
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
            if (wrong != nullptr) {
                fail(wrong);
            }
        }
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

void World::transmit(Host &host, Datagram d)
{
    trace(d);
    uint32_t client = (host.is_server() ? d.to.ip[3] : d.from.ip[3]) - 2u;
    if (client >= up_.size()) {
        fail("a datagram to nowhere");
        return;
    }
    if (host.is_server() &&
        !amplification_.on_server_send(address_of(d.to), d.bytes.size())) {
        fail("amplification: more than three times what an unvalidated client sent");
    }
    carried_.clear();
    (host.is_server() ? down_ : up_)[client].carry(std::move(d), now_, carried_);
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

/* ---- the end -------------------------------------------------------------------------------------- */

bool World::finished() const
{
    if (started_ < conns_.size() || open_clients_ > 0) {
        return false;
    }
    for (const auto &h : hosts_) {
        for (const auto &w : h->workers) {
            if (quic_endpoint_conn_count(w->ep) > 0) {
                return false;
            }
        }
    }
    return true;
}

void World::check_end()
{
    /* What is still under way meets endpoints without connections. */
    while (!queue_.empty() && failure_.empty()) {
        Event ev = queue_.top();
        queue_.pop();
        if (ev.kind == Kind::kArrive || ev.kind == Kind::kRx) {
            now_ = ev.at;
            dispatch(ev);
        }
        if (!finished() && queue_.empty()) {
            break; /* a late Initial opened a connection that nobody answers */
        }
    }
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            if (quic_endpoint_conn_count(w->ep) > 0) {
                continue;
            }
            if (sim_inspect_half_open(w->ep) != 0) {
                fail("half-open connections are left in the books");
            }
            if (quic_endpoint_mem(w->ep)->used_bytes != sim_inspect_idle_bytes(w->ep)) {
                fail("memory is left: " + std::to_string(quic_endpoint_mem(w->ep)->used_bytes) +
                     " instead of " + std::to_string(sim_inspect_idle_bytes(w->ep)));
            }
        }
    }
    for (const auto &c : conns_) {
        if (c->client != nullptr && !c->client->is_closed()) {
            fail("a client never heard CLOSED");
        }
        if (c->server != nullptr && !c->server->is_closed()) {
            fail("a server never heard CLOSED");
        }
    }
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            quic_endpoint_destroy(w->ep);
            w->ep = nullptr;
            if (w->alloc.bytes() != 0 || w->alloc.blocks() != 0) {
                fail("an endpoint kept memory beyond its end");
            }
        }
    }
}

} // namespace sim
