/* Peers that do not keep to the rules, among the others of a world. */
#include "tests/sim/byzantine.h"
#include "tests/sim/forge.h"
#include "tests/sim/host.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

App *liar_of(const ConnState &c)
{
    return c.byzantine->plan().by_server ? c.server.get() : c.client.get();
}

} // namespace

/* One datagram; false: none for now. The liar's core would have looked at the 3x limit, he does not: the
 * judge of that does not see it. */
bool World::say(ConnState &c, bool early)
{
    App *liar = liar_of(c);
    if (liar == nullptr || liar->conn() == nullptr || (!early && !liar->is_connected())) {
        return false;
    }
    Datagram d;
    d.bytes = c.byzantine->speak(liar->conn(), early);
    if (d.bytes.empty()) {
        return false;
    }
    const quic_path_addr *path = sim_forge_path(liar->conn());
    d.from = path->local;
    d.to = path->remote;
    trace(d);
    stats_.rude += c.byzantine->violation() == nullptr ? 1 : 0;
    bool to_server = !liar->is_server();
    uint32_t client = c.plan.client;
    if (is_attackers(d.to)) {
        return true;
    }
    if (to_server) {
        nat_.outward(&d.from);
    }
    launch(client, to_server, std::move(d));
    return true;
}

void World::speak(uint32_t index)
{
    ConnState &c = *conns_[index];
    const ByzantinePlan &plan = c.byzantine->plan();
    if ((c.client != nullptr && c.client->is_closed()) ||
        (c.server != nullptr && c.server->is_closed()) || c.spoken > plan.count ||
        (c.byzantine->violation() == nullptr && now_ >= options_.heal_ns)) {
        return;
    }
    Host &host = *hosts_[plan.by_server ? 0 : c.plan.client + 1];
    if (host.awake(now_) == now_ && now_ >= host.down_until) {
        for (auto &w : host.workers) {
            quic_endpoint_set_now(w->ep, now_);
        }
        bool spoke = false;
        for (uint32_t i = 0; i < plan.burst && say(c, false); i++) {
            spoke = true;
        }
        c.spoken += spoke ? 1 : 0;
    }
    schedule(now_ + plan.every_ns, Kind::kByzantine, index, nullptr);
}

/* What has to leave in front of everything else that the handshake has made ready. */
void World::speak_early(Host &host)
{
    for (uint32_t index : byzantine_) {
        ConnState &c = *conns_[index];
        if (c.byzantine->violation() != nullptr && !host.is_server() &&
            c.plan.client + 1 == host.index) {
            (void)say(c, true);
        }
    }
}

/* A liar's core sends: its datagram is changed on the way out. */
void World::rewrite(Host &host, Datagram &d)
{
    for (uint32_t index : byzantine_) {
        ConnState &c = *conns_[index];
        App *liar = liar_of(c);
        if (liar != nullptr && liar->conn() != nullptr && liar->is_connected() &&
            (liar->is_server() ? 0 : c.plan.client + 1) == host.index &&
            sim_forge_is_to_peer(liar->conn(), d.bytes.data(), d.bytes.size())) {
            c.byzantine->rewrite(liar->conn(), d.bytes);
            return;
        }
    }
}

/* Whether a handshake that nobody has adopted yet ended as a violation in it demands. */
bool World::answers_violation(const quring_close_info &info)
{
    for (uint32_t index : byzantine_) {
        const Byzantine &b = *conns_[index]->byzantine;
        if (b.violation() != nullptr && b.violation()->level == QUIC_LEVEL_HANDSHAKE &&
            b.said() > 0 && info.kind == QURING_CLOSE_LOCAL_TRANSPORT &&
            info.code == b.violation()->error) {
            stats_.violations++;
            return true;
        }
    }
    return false;
}

/* Who broke exactly one rule is told which; nobody's fault is ours. */
void World::judge_byzantine(const ConnState &c, bool by_server, const quring_close_info &info)
{
    const Violation *v = c.byzantine->violation();
    if (by_server == c.byzantine->plan().by_server) {
        return; /* the liar's end */
    }
    if (info.kind == QURING_CLOSE_INTERNAL && !options_.may_run_out) {
        fail("a byzantine peer caused an internal error");
    }
    if (v == nullptr || c.byzantine->said() == 0) {
        return;
    }
    bool answered = info.kind == QURING_CLOSE_LOCAL_TRANSPORT;
    bool must = v->level == QUIC_LEVEL_APP && !options_.harsh && !options_.may_run_out && !c.victim;
    /* The few bytes that show a wrong final size may be more than the connection's credit, too. */
    bool right = info.code == v->error ||
                 (v->error == QUIC_V_FINAL_SIZE && info.code == QUIC_V_FLOW_CONTROL);
    if (answered ? !right : must) {
        fail(std::string("\"") + v->name + "\" was answered with kind " +
             std::to_string(info.kind) + " code " + std::to_string(info.code) + " instead of " +
             std::to_string(v->error));
    }
    stats_.violations += answered ? 1 : 0;
}

} // namespace sim
