#include "tests/sim/loop.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "quic/crypto/tls_script.h"
#include "runtime/core/worker.h"
#include "runtime/io/io_sim.h"
#include "tests/sim/app.h"
#include "tests/sim/identity.h"
#include "tests/sim/inspect.h"
#include "tests/sim/loop_options.h"
#include "tests/sim/oracle.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;
constexpr uint16_t kServerPort = 443;
constexpr uint64_t kStepsMax = 3000000;
constexpr uint32_t kBusyMax = 200000; /* turns at one moment */

quic_addr address(uint8_t last, uint16_t port)
{
    quic_addr a{};
    a.family = 4;
    a.ip[0] = 10;
    a.ip[3] = last;
    a.port = port;
    return a;
}

class LoopWorld;

/* One worker and whose it is. */
struct Node {
    LoopWorld *world = nullptr;
    rt_io *io = nullptr;
    rt_worker *worker = nullptr;
    quic_rng_seeded_state rng{};
    uint32_t socket = 0;
    bool server = false;
    bool woken = false; /* its back end has something for it: completions, or a signal */
};

class LoopWorld : public AppHost
{
  public:
    explicit LoopWorld(uint64_t seed);
    ~LoopWorld() override;
    bool run();
    const std::string &failure() const
    {
        return failure_;
    }
    std::string report() const;
    LoopStats stats();

    quic_ns now() const override
    {
        return now_;
    }
    void fail(const std::string &what) override
    {
        if (failure_.empty()) {
            failure_ = "at " + std::to_string(now_ / 1000) + " us: " + what;
        }
    }
    void wake_app(App *app, quic_ns at) override;
    bool memory_may_fail() const override
    {
        return false;
    }
    void both_done(ConnState *) override
    {
    }
    void count_delivered(uint64_t bytes) override
    {
        stats_.stream_bytes += bytes;
    }

  private:
    struct Tick {
        LoopWorld *world;
        App *app;
        quic_ns at;
    };
    struct Start {
        LoopWorld *world;
        uint32_t index;
    };
    static void on_event(void *ctx, rt_worker *worker, const quic_event *event);
    static void on_tick(void *ctx);
    static void on_posted_tick(void *ctx);
    static void on_start(void *ctx);
    static void on_noise(void *)
    {
    }
    void open(Node &node, uint32_t index, uint32_t count, const HostOptions &host,
              const rt_io_config &io);
    void bind(Node &node, const quic_addr &local, uint32_t group);
    void add_timer(rt_worker *worker, Tick *tick);
    App *adopt(quic_conn *conn, rt_worker *worker);
    void hand(Node &node, const quic_event &event);
    void on_closed(App *app);
    void connect(uint32_t index);
    quic_ns step();
    void heal();
    void flood();
    bool finished() const;
    void check_end();

    LoopOptions options_;
    Identity identity_;
    Rng rng_;
    rt_sim_net *net_;
    std::vector<std::unique_ptr<Node>> nodes_; /* servers first */
    std::vector<rt_worker *> peers_;
    std::vector<std::unique_ptr<ConnState>> conns_;
    std::vector<std::unique_ptr<Start>> starts_;
    std::vector<rt_worker *> server_of_;            /* per connection: the worker that has it */
    std::map<Tick *, std::unique_ptr<Tick>> ticks_; /* timers and mail hold the address */
    std::vector<Tick *> unposted_;
    quic_ns now_ = kS;
    quic_ns last_start_ = 0;
    uint32_t started_ = 0;
    uint32_t open_ = 0;
    bool healed_ = false;
    std::string failure_;
    LoopStats stats_;
};

LoopWorld::LoopWorld(uint64_t seed)
    : options_(draw_loop_options(seed)), identity_(options_.base), rng_(seed ^ 0x7374u),
      net_(rt_sim_net_create(seed))
{
    rt_sim_net_advance(net_, now_);
    rt_sim_net_set_faults(net_, &options_.faults);
    size_t count = options_.servers + options_.base.clients.size();
    for (size_t i = 0; i < count; i++) {
        nodes_.push_back(std::make_unique<Node>());
        Node &node = *nodes_.back();
        node.world = this;
        node.server = i < options_.servers;
        node.rng.s = rng_.u64();
        if (node.server) {
            open(node, static_cast<uint32_t>(i), options_.servers, options_.base.server,
                 options_.io[i]);
            peers_.push_back(node.worker);
        } else {
            open(node, 0, 1, options_.base.clients[i - options_.servers], options_.io[i]);
            bind(node, address(static_cast<uint8_t>(i - options_.servers + 2), 5000), 0);
        }
    }
    quic_accept_config accept{};
    accept.tls = identity_.vtable();
    accept.tls_config = identity_.server_config();
    accept.limits = options_.base.server.limits;
    accept.retry = options_.base.retry;
    for (uint32_t i : options_.bind_order) { /* the network steers by the order of bind */
        Node &node = *nodes_[i];
        rt_worker_set_peers(node.worker, peers_.data(), options_.servers);
        bind(node, address(1, kServerPort), 1);
        if (quic_endpoint_listen(rt_worker_endpoint(node.worker), node.socket, &accept) !=
            QUIC_OK) {
            fail("listen");
        }
    }
    for (uint32_t i = 0; i < options_.base.conns.size(); i++) {
        conns_.push_back(std::make_unique<ConnState>());
        conns_.back()->plan = options_.base.conns[i];
        conns_.back()->index = i;
        starts_.push_back(std::make_unique<Start>(Start{this, i}));
        quic_ns at = now_ + options_.base.conns[i].start_ns;
        last_start_ = std::max(last_start_, at);
        uint64_t id = 0;
        rt_worker *worker = nodes_[options_.servers + options_.base.conns[i].client]->worker;
        if (rt_worker_timer_add(worker, &id, at, on_start, starts_.back().get()) != QUIC_OK) {
            fail("no timer");
        }
    }
    server_of_.assign(conns_.size(), nullptr);
    options_.heal_ns += now_;
    stats_.conns = static_cast<uint32_t>(conns_.size());
}

LoopWorld::~LoopWorld()
{
    for (auto &node : nodes_) {
        rt_worker_close(node->worker);
        rt_worker_destroy(node->worker);
        rt_io_destroy(node->io);
    }
    rt_sim_net_destroy(net_);
}

void LoopWorld::open(Node &node, uint32_t index, uint32_t count, const HostOptions &host,
                     const rt_io_config &io)
{
    rt_worker_config config{};
    config.index = index;
    config.count = count;
    config.cpu = -1;
    config.io = io;
    config.endpoint.crypto = identity_.crypto();
    config.endpoint.limits = host.limits;
    config.endpoint.cc = host.cc;
    config.endpoint.pacing = host.pacing;
    config.endpoint.root_secret[0] = node.server ? 1 : 2;
    config.endpoint.rng = quic_rng_seeded(&node.rng);
    config.hooks.on_event = on_event;
    config.hooks.ctx = &node;
    node.io = rt_io_sim_create(net_, &io);
    config.lent_io = node.io;
    node.worker = rt_worker_create(&config);
    if (node.worker == nullptr || rt_worker_open(node.worker) != 0) {
        fail("no worker");
    }
}

void LoopWorld::bind(Node &node, const quic_addr &local, uint32_t group)
{
    rt_udp_socket sock{};
    sock.fd = -1;
    sock.local = local;
    if (rt_worker_add_socket(node.worker, &node.socket, &sock, group) != 0) {
        fail("no socket");
    }
}

/* ---- the applications --------------------------------------------------------------------------- */

void LoopWorld::on_tick(void *ctx)
{
    const Tick tick = *static_cast<Tick *>(ctx);
    tick.world->ticks_.erase(static_cast<Tick *>(ctx));
    tick.app->ticks.erase(tick.at);
    tick.app->on_tick();
}

void LoopWorld::on_posted_tick(void *ctx)
{
    Tick *tick = static_cast<Tick *>(ctx);
    tick->world->add_timer(rt_worker_self(), tick);
}

void LoopWorld::add_timer(rt_worker *worker, Tick *tick)
{
    uint64_t id = 0;
    if (rt_worker_timer_add(worker, &id, tick->at, on_tick, tick) != QUIC_OK) {
        fail("no timer");
    }
}

/* From its own worker a timer, from another one a message that sets it. */
void LoopWorld::wake_app(App *app, quic_ns at)
{
    uint32_t index = app->state()->index;
    rt_worker *worker = app->is_server()
                            ? server_of_[index]
                            : nodes_[options_.servers + app->state()->plan.client]->worker;
    if (!app->ticks.insert(at).second) {
        return;
    }
    Tick *tick = new Tick{this, app, at};
    ticks_[tick].reset(tick);
    if (worker == rt_worker_self()) {
        add_timer(worker, tick);
    } else if (rt_worker_post(worker, on_posted_tick, tick) != QUIC_OK) {
        stats_.mail_refused++;
        unposted_.push_back(tick);
    }
}

void LoopWorld::on_start(void *ctx)
{
    Start *start = static_cast<Start *>(ctx);
    start->world->connect(start->index);
}

void LoopWorld::connect(uint32_t index)
{
    ConnState &c = *conns_[index];
    Node &node = *nodes_[options_.servers + c.plan.client];
    std::string name = "c" + std::to_string(index);
    quic_connect_config config{};
    config.tls = identity_.vtable();
    config.tls_config = identity_.client_config();
    config.server_name = name.c_str();
    config.limits = options_.base.clients[c.plan.client].limits;
    config.path.local = address(static_cast<uint8_t>(c.plan.client + 2), 5000);
    config.path.remote = address(1, kServerPort);
    config.path.socket = node.socket;
    quic_conn *conn = nullptr;
    started_++;
    if (quic_endpoint_connect(rt_worker_endpoint(node.worker), &conn, &config, now_) != QUIC_OK) {
        fail("connect failed");
        return;
    }
    open_++;
    c.client = std::make_unique<App>(this, &c, false, conn);
    quic_conn_set_app_ctx(conn, c.client.get());
}

App *LoopWorld::adopt(quic_conn *conn, rt_worker *worker)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    uint32_t index = static_cast<uint32_t>(atoi(info.server_name + 1));
    if (index >= conns_.size() || conns_[index]->server != nullptr) {
        fail("a second server connection for one client");
        return nullptr;
    }
    server_of_[index] = worker;
    conns_[index]->server = std::make_unique<App>(this, conns_[index].get(), true, conn);
    quic_conn_set_app_ctx(conn, conns_[index]->server.get());
    return conns_[index]->server.get();
}

void LoopWorld::on_event(void *ctx, rt_worker *worker, const quic_event *event)
{
    Node *node = static_cast<Node *>(ctx);
    if (rt_worker_self() != worker || node->worker != worker) {
        node->world->fail("an event outside its worker's turn");
    }
    node->world->hand(*node, *event);
}

void LoopWorld::hand(Node &node, const quic_event &event)
{
    App *app = static_cast<App *>(quic_conn_app_ctx(event.conn));
    if (event.type == QURING_EV_SESSION) {
        return;
    }
    if (app == nullptr && node.server && event.type == QURING_EV_CONNECTED) {
        app = adopt(event.conn, node.worker);
    }
    if (app != nullptr) {
        app->on_event(event);
        if (event.type == QURING_EV_CLOSED) {
            on_closed(app);
        }
    } else if (!node.server || event.type != QURING_EV_CLOSED) {
        fail("an event of a connection nobody knows");
    }
}

void LoopWorld::on_closed(App *app)
{
    ConnState *c = app->state();
    App *other = app->is_server() ? c->client.get() : c->server.get();
    EndFacts facts;
    facts.closed_itself = app->closed_itself();
    facts.peer_gone = other == nullptr || other->is_closed();
    if (!close_is_acceptable(options_.base, app->close_info(), facts)) {
        fail("connection " + std::to_string(c->index) + ": closed with kind " +
             std::to_string(app->close_info().kind) + " code " +
             std::to_string(app->close_info().code) + " " + app->close_info().reason);
    }
    if (!app->is_server()) {
        open_--;
        stats_.conns_done += app->is_done() && other != nullptr && other->is_done() ? 1 : 0;
    }
}

/* ---- the machine -------------------------------------------------------------------------------- */

void LoopWorld::heal()
{
    rt_sim_faults good{};
    good.delay_min_ns = options_.faults.delay_min_ns;
    good.delay_max_ns = options_.faults.delay_min_ns;
    good.mtu_bytes = options_.faults.mtu_bytes;
    rt_sim_net_set_faults(net_, &good);
    options_.skip = 0;
    options_.flood = 0;
    healed_ = true;
}

void LoopWorld::flood()
{
    Node &node = *nodes_[rng_.below(nodes_.size())];
    for (uint64_t n = rng_.log_range(1, 2 * RT_MAILBOX_CAP); n > 0; n--) {
        if (rt_worker_post(node.worker, on_noise, nullptr) != QUIC_OK) {
            stats_.mail_refused++;
            return;
        }
    }
}

/* Everybody who gets to run turns once; returns when something is due. */
quic_ns LoopWorld::step()
{
    quic_ns next = QUIC_NS_NEVER;
    std::vector<Tick *> unposted;
    unposted.swap(unposted_);
    for (Tick *tick : unposted) {
        tick->app->ticks.erase(tick->at);
        wake_app(tick->app, std::max(tick->at, now_));
        ticks_.erase(tick);
    }
    if (rng_.chance(options_.flood)) {
        flood();
    }
    size_t first = rng_.below(nodes_.size());
    for (size_t i = 0; i < nodes_.size(); i++) {
        Node &node = *nodes_[(first + i) % nodes_.size()];
        if (rng_.chance(options_.skip)) {
            next = std::min(next, now_ + rng_.log_range(1000, 5 * kMs));
            continue;
        }
        node.woken = false;
        rt_wake_done(rt_io_wake(node.io));
        next = std::min(next, rt_worker_turn(node.worker, now_));
        rt_wake_prepare(rt_io_wake(node.io)); /* it sleeps until `next`, or a signal */
        node.woken = rt_io_wait(node.io, now_, now_) != 0;
    }
    for (auto &node : nodes_) { /* messages from workers that turned later */
        node->woken = node->woken || (rt_io_wait(node->io, now_, now_) & RT_IO_WAKE) != 0;
        next = node->woken ? 0 : next;
    }
    if (!unposted_.empty()) {
        next = std::min(next, now_ + kMs);
    }
    return std::min(next, rt_sim_net_next(net_));
}

bool LoopWorld::run()
{
    uint32_t busy = 0;
    while (failure_.empty() && !finished()) {
        quic_ns next = step();
        if (next == QUIC_NS_NEVER) {
            if (finished()) {
                break;
            }
            fail("nothing is timed, but connections are left");
            break;
        }
        busy = next <= now_ ? busy + 1 : 0;
        if (busy > kBusyMax) {
            fail("a busy loop: turns without end at work that does not get done");
        }
        now_ = std::max(next, now_ + 1000); /* as long as a turn takes */
        if (!healed_ && now_ >= options_.heal_ns) {
            heal();
        }
        rt_sim_net_advance(net_, now_);
        if (++stats_.steps > kStepsMax ||
            now_ > std::max(options_.heal_ns, last_start_) + 300 * kS) {
            fail("no end in sight");
        }
    }
    if (failure_.empty()) {
        check_end();
    }
    return failure_.empty();
}

bool LoopWorld::finished() const
{
    if (started_ < conns_.size() || open_ > 0) {
        return false;
    }
    for (const auto &node : nodes_) {
        if (quic_endpoint_conn_count(rt_worker_endpoint(node->worker)) > 0) {
            return false;
        }
    }
    return true;
}

void LoopWorld::check_end()
{
    heal();
    for (int i = 0; i < 1000; i++) { /* what is still under way, and late completions */
        quic_ns next = rt_sim_net_next(net_);
        now_ = next == QUIC_NS_NEVER ? now_ + kMs : std::max(next, now_ + 1000);
        rt_sim_net_advance(net_, now_);
        (void)step();
    }
    for (const auto &node : nodes_) {
        if (rt_io_sim_tx_in_flight(node->io) != 0) {
            fail("room for sends did not come back");
        }
    }
    for (const auto &c : conns_) {
        if (c->client == nullptr || !c->client->is_closed() ||
            (c->server != nullptr && !c->server->is_closed())) {
            fail("somebody never heard CLOSED");
        }
    }
}

LoopStats LoopWorld::stats()
{
    stats_.datagrams = rt_sim_net_sent_count(net_);
    stats_.hash = rt_sim_net_hash(net_);
    for (const auto &node : nodes_) {
        quic_counters c;
        rt_worker_stats(node->worker, &c);
        stats_.forwarded += c.forwarded;
        stats_.again += rt_io_get_stats(node->io)->tx_again;
        stats_.no_buffers += rt_io_get_stats(node->io)->rx_nobufs;
    }
    return stats_;
}

bool add_state(quic_conn *conn, void *ctx)
{
    char text[512];
    sim_inspect_state(conn, text, sizeof(text));
    static_cast<std::string *>(ctx)->append("  ").append(text).append("\n");
    return true;
}

std::string LoopWorld::report() const
{
    std::string out = "loop " + describe(options_.base) + "\n  server workers " +
                      std::to_string(options_.servers) + "\n";
    for (const auto &c : conns_) {
        for (const App *app : {c->client.get(), c->server.get()}) {
            if (app != nullptr && !app->is_closed()) {
                out += "  connection " + std::to_string(c->index) + " " + app->report() + "\n";
            }
        }
    }
    for (const auto &node : nodes_) {
        quic_endpoint_each_conn(rt_worker_endpoint(node->worker), add_state, &out);
    }
    return out;
}

} // namespace

bool run_loop_seed(uint64_t seed, LoopStats *stats, std::string *failure)
{
    LoopWorld world(seed);
    bool ok = world.run();
    if (!ok) {
        *failure = world.failure() + "\n" + world.report();
    }
    *stats = world.stats();
    return ok;
}

} // namespace sim
