/* What befalls hosts: address translators that forget, crashes, wrong news about datagram sizes. */
#include "tests/sim/host.h"
#include "tests/sim/inspect.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

constexpr quic_ns kAgain = 200 * QUIC_NS_PER_MS;

} // namespace

bool World::settled(const ConnState &c) const
{
    if (c.client == nullptr || c.client->is_closed()) {
        return true;
    }
    return c.client->is_connected() && sim_inspect_confirmed(c.client->conn()) &&
           c.server != nullptr && c.server->is_connected();
}

bool World::settled() const
{
    for (const auto &c : conns_) {
        if (!settled(*c)) {
            return false;
        }
    }
    return true;
}

/* RFC 9000 9 knows no change of address before the handshake is confirmed: a network that is not harsh
 * waits for that. */
void World::rebind(const RebindPlan &plan)
{
    if (!options_.harsh) {
        for (const auto &c : conns_) {
            if (c->plan.client == plan.client && !settled(*c)) {
                if (now_ + kAgain < options_.heal_ns) {
                    schedule(now_ + kAgain, Kind::kRebind,
                             static_cast<uint64_t>(&plan - options_.rebinds.data()), nullptr);
                }
                return;
            }
        }
    }
    nat_.rebind(plan.client, plan.host, plan.keep_old);
    stats_.rebinds++;
    /* A server cannot find a client that has moved and has nothing to say (RFC 9308 3.2). */
    for (const auto &c : conns_) {
        if (c->plan.client == plan.client && c->client != nullptr) {
            c->client->poke();
        }
    }
    turn(*hosts_[plan.client + 1]);
}

/* All that a host had is gone, but for its root secret perhaps. Its clients begin anew: reconnect. */
void World::crash(const CrashPlan &plan)
{
    Host &host = *hosts_[plan.host];
    for (auto &w : host.workers) {
        stats_.path_changes += quic_endpoint_counters(w->ep)->path_changes;
        quic_endpoint_destroy(w->ep);
        w->ep = nullptr;
        if (w->alloc.bytes() != 0 || w->alloc.blocks() != 0) {
            fail("an endpoint kept memory beyond its end");
        }
        w->alloc.fail_at(0);
    }
    host.inbox.clear();
    host.down_until = now_ + plan.down_ns;
    host.secret = static_cast<uint8_t>(host.secret + (plan.keep_secret ? 0 : 1));
    for (uint32_t i = 0; i < host.workers.size(); i++) {
        start_worker(host, i);
    }
    if (host.is_server()) {
        amplification_.on_server_restart();
        listen();
    }
    size_t count = conns_.size(); /* reconnect adds */
    for (size_t i = 0; i < count; i++) {
        ConnState &c = *conns_[i];
        if (c.client == nullptr || (!host.is_server() && c.plan.client + 1 != plan.host)) {
            continue;
        }
        App *gone = host.is_server() ? c.server.get() : c.client.get();
        bool was_open = !c.client->is_closed();
        c.victim = true;
        if (gone != nullptr && !gone->is_closed()) {
            gone->vanish();
        }
        if (!host.is_server() && was_open) {
            open_clients_--;
            stats_.conn_seconds += static_cast<double>(now_) / 1e9;
            reconnect(c);
        }
    }
    if (!host.is_server()) {
        sessions_[plan.host - 1].clear();
    }
}

void World::reconnect(const ConnState &c)
{
    if (now_ > options_.heal_ns + options_.liveness_ns / 2 || c.byzantine != nullptr) {
        return;
    }
    Host &host = *hosts_[c.plan.client + 1];
    quic_ns at = host.down_until > now_ ? host.down_until : now_;
    ConnPlan plan = c.plan;
    plan.seed = mix64(plan.seed + 1);
    add_conn(plan, at + 10 * QUIC_NS_PER_MS);
}

/* ICMP, or a kernel that believed it: no datagram of that size gets through. It may be a lie. */
void World::lie_about_size(Host &host)
{
    if (host.last_len == 0 || !rng_.chance(options_.attack.too_big)) {
        return;
    }
    uint32_t len = static_cast<uint32_t>(rng_.range(1, host.last_len));
    for (auto &w : host.workers) {
        quic_endpoint_on_send_too_big(w->ep, host.last_conn, &host.last_path,
                                      rng_.chance(0.5) ? host.last_len : len);
    }
}

/* ---- moves ---------------------------------------------------------------------------------------- */

/* One socket per address. */
uint32_t World::socket_of(const Host &host, const quic_addr &local) const
{
    if (!host.is_server()) {
        return static_cast<uint32_t>(local.family) << 16 | local.port;
    }
    return preferred_.family != 0 && quic_addr_equal(&local, &preferred_) ? 1 : 0;
}

/* The server prefers an address of the other family, and the client may have one. */
void World::want_socket(Host &host, const quic_event &ev)
{
    quic_path_addr at{};
    at.local = host.addr;
    at.local.family = ev.level;
    at.local.port = next_port();
    at.socket = socket_of(host, at.local);
    quic_conn_give_socket(ev.conn, rng_.chance(0.8) ? &at : nullptr);
}

void World::migrate(App *app)
{
    ConnPlan &plan = app->state()->plan;
    const Host &host = *hosts_[plan.client + 1];
    quring_conn_info info;
    quic_conn_get_info(app->conn(), &info);
    quic_path_addr to{};
    to.local = host.addr;
    to.local.family = info.local.family;
    to.local.port = next_port();
    to.socket = socket_of(host, to.local);
    quic_rc rc = quic_conn_migrate(app->conn(), &to);
    plan.migrations -= rc == QUIC_OK ? 1 : 0;
    plan.migrations = rc == QUIC_E_FORBIDDEN ? 0 : plan.migrations;
}

} // namespace sim
