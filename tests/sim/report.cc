/* What a failing run tells, and the way from a seed to a verdict. */
#include "tests/sim/host.h"
#include "tests/sim/inspect.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

bool add_state(quic_conn *conn, void *ctx)
{
    char text[512];
    sim_inspect_state(conn, text, sizeof(text));
    static_cast<std::string *>(ctx)->append("  ").append(text).append("\n");
    return true;
}

} // namespace

std::string World::report()
{
    std::string out = describe(options_) + "\n";
    for (const auto &c : conns_) {
        if (c->client != nullptr && (!c->client->is_closed() || conns_.size() < 8)) {
            out += "  connection " + std::to_string(c->index) + " " + c->client->report() + "\n";
        }
        if (c->server != nullptr && (!c->server->is_closed() || conns_.size() < 8)) {
            out += "  connection " + std::to_string(c->index) + " " + c->server->report() + "\n";
        }
    }
    for (auto &h : hosts_) {
        for (auto &w : h->workers) {
            if (w->ep != nullptr) {
                quic_endpoint_each_conn(w->ep, add_state, &out);
            }
        }
    }
    return out;
}

bool run_seed(uint64_t seed, Tls tls, Stats *stats, std::string *failure)
{
    World world(draw_options(seed, tls));
    bool ok = world.run();
    if (!ok) {
        *failure = world.failure() + "\n" + world.report();
    }
    *stats = world.stats();
    return ok;
}

} // namespace sim
