#include "tests/sim/world.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "quic/crypto/anti_replay.h"
#include "tests/sim/byzantine.h"
#include "tests/sim/host.h"
#include "tests/sim/inspect.h"

namespace sim
{
namespace
{

constexpr uint16_t kServerPort = 443;
constexpr uint16_t kPreferredPort = 8443;
constexpr uint16_t kClientPort = 5000;
constexpr uint32_t kRegisterSlots = 64;
constexpr quic_ns kWallOffset = 1790000000ull * QUIC_NS_PER_S; /* the wall clock is so far ahead */

} // namespace

World::World(const Options &options)
    : options_(options), identity_(options_), rng_(options.seed ^ 0x5157),
      nat_(options.clients.size()),
      attacker_(options.attack, options.seed ^ 0x6576, identity_.crypto()), tx_buf_(65536),
      amplification_(identity_.scripted())
{
    make_host(0, options_.server, options_.workers);
    for (uint32_t i = 0; i < options_.clients.size(); i++) {
        make_host(i + 1, options_.clients[i], 1);
        up_.emplace_back(options_.up[i], rng_.u64());
        down_.emplace_back(options_.down[i], rng_.u64());
    }
    sessions_.resize(options_.clients.size());
    tokens_.resize(options_.clients.size());
    listen();
    quic_ns start = now_;
    for (const ConnPlan &plan : options_.conns) {
        add_conn(plan, start + plan.start_ns);
    }
    options_.heal_ns += start; /* the times of links are relative to 0: a second does not matter */
    for (uint32_t i = 0; i < options_.rebinds.size(); i++) {
        schedule(start + options_.rebinds[i].at_ns, Kind::kRebind, i, nullptr);
    }
    for (uint32_t i = 0; i < options_.crashes.size(); i++) {
        schedule(start + options_.crashes[i].at_ns, Kind::kCrash, i, nullptr);
    }
    schedule(options_.heal_ns, Kind::kHeal, 0, nullptr);
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            w->alloc.fail_at(h->options.alloc_fail_at, h->options.alloc_fail_count);
        }
    }
}

World::~World()
{
    for (auto &h : hosts_) { /* here, where the bytes lent to streams are still there */
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
        host->workers.push_back(std::make_unique<Worker>());
        host->workers.back()->rng.s = rng_.u64();
        start_worker(*host, i);
    }
    hosts_.push_back(std::move(host));
}

void World::start_worker(Host &host, uint32_t index)
{
    Worker &w = *host.workers[index];
    quic_endpoint_config config{};
    config.worker_id = static_cast<uint8_t>(index);
    config.worker_count = static_cast<uint8_t>(host.is_server() ? options_.workers : 1);
    config.allocator = w.alloc.table();
    config.rng = quic_rng_seeded(&w.rng);
    config.crypto = identity_.crypto();
    memset(config.root_secret, static_cast<int>(host.index + 1 + 16u * host.secret),
           sizeof(config.root_secret));
    if (options_.lb != 0) {
        config.cids.has_lb = true;
        config.cids.lb.server_id_len = 3;
        config.cids.lb.nonce_len = 4;
        config.cids.lb.has_key = options_.lb == 2;
    }
    config.wall_offset_ns = kWallOffset;
    config.limits = host.options.limits;
    config.cc = host.options.cc;
    config.pacing = host.options.pacing;
    if (quic_endpoint_create(&w.ep, &config) != QUIC_OK) {
        fail("endpoint");
    }
}

/* The server begins to take connections; what an earlier run of it took with 0-RTT is not known. */
void World::listen()
{
    quic_accept_config accept{};
    accept.tls = identity_.vtable();
    accept.tls_config = identity_.server_config();
    accept.limits = options_.server.limits;
    accept.retry = options_.retry;
    accept.tickets = options_.resume != Resume::kNever;
    if (options_.preferred != 0) {
        preferred_ = hosts_[0]->addr;
        preferred_.family = options_.preferred;
        preferred_.ip[2] = 1;
        preferred_.port = kPreferredPort;
        (options_.preferred == 6 ? accept.preferred_v6 : accept.preferred_v4) = preferred_;
    }
    if (options_.resume == Resume::kEarly) {
        const uint8_t key[16] = {1};
        bool again = !register_.empty();
        register_.assign(quic_anti_replay_size(kRegisterSlots) / sizeof(uint64_t) + 1, 0);
        gate_.replay = quic_anti_replay_init(register_.data(), kRegisterSlots, 3600 * QUIC_NS_PER_S,
                                             key, again ? now_ : 0, now_);
        gate_.id = 1;
        accept.early_gate = &gate_;
    }
    if (options_.tokens) { /* what was used before a restart is forgotten */
        const uint8_t key[16] = {2};
        used_tokens_.assign(quic_anti_replay_size(kRegisterSlots) / sizeof(uint64_t) + 1, 0);
        accept.token_register = quic_anti_replay_init(
            used_tokens_.data(), kRegisterSlots, 3600 * QUIC_NS_PER_S, key, 0, now_ + kWallOffset);
    }
    for (auto &w : hosts_[0]->workers) {
        if (quic_endpoint_listen(w->ep, 0, &accept) != QUIC_OK) {
            fail("listen");
        }
    }
}

void World::add_conn(const ConnPlan &plan, quic_ns at)
{
    auto c = std::make_unique<ConnState>();
    c->plan = plan;
    c->index = static_cast<uint32_t>(conns_.size());
    last_start_ = at > last_start_ ? at : last_start_;
    schedule(at, Kind::kConnect, c->index, nullptr);
    if (plan.byzantine.is_on) {
        c->byzantine = std::make_shared<Byzantine>(plan.byzantine, plan.seed);
        byzantine_.push_back(c->index);
        schedule(at + plan.byzantine.every_ns, Kind::kByzantine, c->index, nullptr);
    }
    conns_.push_back(std::move(c));
    stats_.conns++;
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
        heal();
        break;
    case Kind::kRebind:
        rebind(options_.rebinds[ev.a]);
        break;
    case Kind::kCrash:
        crash(options_.crashes[ev.a]);
        break;
    case Kind::kByzantine:
        speak(static_cast<uint32_t>(ev.a));
        break;
    }
}

void World::heal()
{
    for (size_t i = 0; i < up_.size(); i++) {
        up_[i].heal();
        down_[i].heal();
    }
    attacker_.heal();
    options_.attack.too_big = 0;
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
    c.victim = c.victim || now_ < hosts_[0]->down_until;
    char name[32];
    snprintf(name, sizeof(name), "c%u", index);
    quic_connect_config config{};
    config.tls = identity_.vtable();
    config.tls_config = identity_.client_config();
    config.server_name = by_name() ? name : "localhost";
    const std::string &session = sessions_[c.plan.client];
    config.session = reinterpret_cast<const uint8_t *>(session.data());
    config.session_len = session.size();
    config.zero_rtt = options_.resume >= Resume::kEarly;
    const std::string &token = tokens_[c.plan.client]; /* perhaps used, or too old */
    config.token = reinterpret_cast<const uint8_t *>(token.data());
    config.token_len = token.size();
    config.limits = host.options.limits;
    config.path.local = host.addr;
    config.path.local.port = port_of(index);
    config.path.remote = hosts_[0]->addr;
    config.path.socket = socket_of(host, config.path.local);
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
    uint16_t port = Nat::inner_port(sim_inspect_first_remote(conn)->port, kClientPort);
    uint32_t index = by_name() ? static_cast<uint32_t>(atoi(info.server_name + 1))
                               : static_cast<uint32_t>(port - kClientPort);
    if (index < conns_.size() && conns_[index]->server != nullptr &&
        conns_[index]->server->is_closed() && !conns_[index]->server->is_connected()) {
        /* 0-RTT was accepted and the handshake died here; the client's next Initial begins anew. */
        retired_.push_back(std::move(conns_[index]->server));
    }
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
    if (ev.type == QUIC_EV_WANT_SOCKET) {
        want_socket(host, ev);
        return;
    }
    if (ev.type == QURING_EV_PATH_CHANGED || ev.type == QURING_EV_PATH_FAILED) {
        stats_.moves += ev.type == QURING_EV_PATH_CHANGED ? 1 : 0;
        return;
    }
    if (ev.type == QURING_EV_TOKEN) {
        if (app != nullptr) {
            tokens_[app->state()->plan.client].assign(reinterpret_cast<const char *>(ev.data),
                                                      ev.data_len);
        }
        return;
    }
    if (ev.type == QURING_EV_SESSION) {
        if (options_.resume != Resume::kNever && app != nullptr) {
            sessions_[app->state()->plan.client].assign(reinterpret_cast<const char *>(ev.data),
                                                        ev.data_len);
        }
        return;
    }
    if (app == nullptr && host.is_server() &&
        (ev.type == QURING_EV_CONNECTED || ev.type == QURING_EV_EARLY_READY)) {
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
    if (answers_violation(*info)) {
        return;
    }
    EndFacts facts;
    facts.peer_gone = true;
    facts.secret_lost = hosts_[0]->secret != 0;
    if (!is_attackers(*sim_inspect_first_remote(ev.conn)) &&
        !close_is_acceptable(options_, *info, facts)) {
        fail("a half-open connection ended with kind " + std::to_string(info->kind) + " code " +
             std::to_string(info->code) + " " + info->reason);
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
        quic_rc rc = quic_conn_update_keys(app->conn());
        plan.key_updates -= rc == QUIC_OK ? 1 : 0;
        if (rc != QUIC_OK && rc != QUIC_E_AGAIN && rc != QUIC_E_STATE && !options_.may_run_out) {
            fail("keys could not be updated");
        }
    }
    if (plan.cid_rotations > 0 && rng_.chance(0.5)) {
        plan.cid_rotations -= sim_inspect_rotate_cid(app->conn()) ? 1 : 0;
    }
    if (!app->is_server() && plan.migrations > 0 && rng_.chance(0.5)) {
        migrate(app);
    }
    if (plan.key_updates > 0 || plan.cid_rotations > 0 || plan.migrations > 0) {
        wake_app(app, now_ + 1 + rng_.below(100 * QUIC_NS_PER_MS));
    }
}

} // namespace sim
