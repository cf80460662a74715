/* What must be true of each connection, and of everything when a run is over. */
#include "tests/sim/host.h"
#include "tests/sim/inspect.h"
#include "tests/sim/world.h"

namespace sim
{

void World::both_done(ConnState *state)
{
    App *ends[2] = {state->client.get(), state->server.get()};
    for (int i = 0; i < 2; i++) {
        const char *wrong = sim_inspect_flow_settled(ends[i]->conn(), ends[1 - i]->conn());
        if (wrong != nullptr) {
            fail("connection " + std::to_string(state->index) + ": " + wrong);
        }
    }
}

void World::check_pairs()
{
    for (const auto &c : conns_) {
        const App *ends[2] = {c->client.get(), c->server.get()};
        for (int i = 0; i < 2 && ends[0] != nullptr && ends[1] != nullptr; i++) {
            if (ends[0]->conn() == nullptr || ends[1]->conn() == nullptr ||
                c->byzantine != nullptr) {
                break;
            }
            const char *wrong = sim_inspect_pair(ends[i]->conn(), ends[1 - i]->conn());
            if (wrong != nullptr) {
                fail("connection " + std::to_string(c->index) + ": " + wrong);
            }
        }
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
    if (c->byzantine != nullptr) {
        judge_byzantine(*c, app->is_server(), info);
        return;
    }
    bool done = app->is_done() && other != nullptr && other->is_done();
    bool planned_silence = c->plan.never_close && done;
    if (info.kind == QURING_CLOSE_IDLE_TIMEOUT && !planned_silence && !peer_gone &&
        !options_.harsh && !options_.may_run_out && !c->victim) {
        fail("connection " + std::to_string(c->index) + ": idle timeout without a reason");
    }
    EndFacts facts;
    facts.closed_itself = app->closed_itself();
    facts.peer_gone = peer_gone;
    facts.victim = c->victim;
    facts.secret_lost = hosts_[0]->secret != 0;
    stats_.resets += info.kind == QURING_CLOSE_STATELESS_RESET ? 1 : 0;
    if (!close_is_acceptable(options_, info, facts)) {
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
        stats_.last_done_ns = now_;
    } else if (!app->is_server() && c->victim && !app->closed_itself() &&
               info.kind != QURING_CLOSE_PEER_APP) {
        reconnect(*c);
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

/* Without faults of the network nothing is lost, and nobody has to probe. */
void World::check_clean(Host &host)
{
    uint64_t retries = 0; /* one for each Initial of a large ClientHello: the others are dropped */
    for (auto &w : hosts_[0]->workers) {
        retries += quic_endpoint_counters(w->ep)->sent_retry;
    }
    for (auto &w : host.workers) {
        const quic_counters *c = quic_endpoint_counters(w->ep);
        const struct {
            const char *name;
            uint64_t value;
        } zero[] = {
            {"ptos", c->ptos},
            {"packets_lost", c->packets_lost},
            {"drop_malformed", retries > 0 ? 0 : c->drop_malformed},
            {"drop_undecryptable", c->drop_undecryptable},
            {"drop_duplicate", c->drop_duplicate},
            {"sent_stateless_reset", c->sent_stateless_reset},
        };
        for (const auto &z : zero) {
            if (z.value != 0) {
                fail("a clean network, and host " + std::to_string(host.index) + " counts " +
                     std::to_string(z.value) + " " + z.name);
            }
        }
    }
}

bool World::alloc_failed() const
{
    for (const auto &h : hosts_) {
        for (const auto &w : h->workers) {
            if (w->alloc.failed()) {
                return true;
            }
        }
    }
    return false;
}

void World::check_end()
{
    /* What is still under way meets endpoints without connections. Nothing new is made up: every answer
     * to a repeated datagram could be repeated again. */
    heal();
    std::vector<const App *> served;
    for (const auto &c : conns_) {
        served.push_back(c->server.get());
    }
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
    for (auto &h : hosts_) {
        if (options_.clean) {
            check_clean(*h);
        }
    }
    for (size_t i = 0; i < conns_.size(); i++) {
        const auto &c = conns_[i];
        if (c->client != nullptr && !c->client->is_closed()) {
            fail("a client never heard CLOSED");
        }
        /* unless a late Initial opened it just now */
        if (c->server != nullptr && c->server.get() == served[i] && !c->server->is_closed()) {
            fail("a server never heard CLOSED");
        }
    }
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            stats_.path_changes += quic_endpoint_counters(w->ep)->path_changes;
            quic_endpoint_destroy(w->ep);
            w->ep = nullptr;
            if (w->alloc.bytes() != 0 || w->alloc.blocks() != 0) {
                fail("an endpoint kept memory beyond its end");
            }
        }
    }
}

} // namespace sim
