#include "tests/sim/sweep.h"

#include <cstdio>
#include <cstdlib>

#include "tests/sim/guard.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;
constexpr uint64_t kPointsMax = 20000; /* of one sweep: a scenario that allocates without end */

Options base()
{
    Options o;
    o.seed = 5;
    o.heal_ns = 2 * kS;
    o.may_run_out = true; /* connections may fail; nothing else may */
    o.check_every = 1;
    o.server.limits = sim_limits();
    o.server.limits.handshake_timeout_ns = 3 * kS;
    o.server.limits.idle_timeout_ns = 6 * kS;
    o.clients.push_back(o.server);
    o.up.emplace_back();
    o.down.emplace_back();
    o.conns.emplace_back();
    o.conns[0].seed = 11;
    return o;
}

StreamPlan stream(uint64_t size, bool uni = false)
{
    StreamPlan s;
    s.uni = uni;
    s.size[0] = size;
    s.size[1] = uni ? 0 : size;
    return s;
}

void add_transfer(ConnPlan &c)
{
    c.streams.push_back(stream(30000));
    c.streams.push_back(stream(3000, true));
    c.streams.push_back(stream(10));
    c.streams.push_back(stream(5000));
    c.streams[1].lend = true;
    c.streams[2].by_server = true;
    c.streams[3].reset_at[0] = 2000;
    c.streams[3].stop_at[1] = 100;
}

/* Two connections: the second one uses the ticket of the first. */
Options resumed(Resume how)
{
    Options o = base();
    o.resume = how;
    o.conns[0].streams.push_back(stream(100));
    o.conns.push_back(o.conns[0]);
    o.conns[1].seed = 12;
    o.conns[1].start_ns = kS;
    return o;
}

Options options_of(const std::string &scenario)
{
    Options o = base();
    ConnPlan &c = o.conns[0];
    if (scenario == "transfer") {
        add_transfer(c);
    } else if (scenario == "loss") {
        add_transfer(c);
        o.up[0].drop_every = 5;
        o.down[0].drop_every = 7;
        o.up[0].jitter_ns = o.down[0].jitter_ns = 3 * kMs;
        o.up[0].drop_until = o.down[0].drop_until = 60;
    } else if (scenario == "large-handshake") {
        o.client_hello_len = 3000;
        o.server_flight_len = 9000;
        o.down[0].drop_every = 3;
        o.down[0].drop_until = 12;
    } else if (scenario == "retry") {
        o.retry = true;
        c.streams.push_back(stream(100));
    } else if (scenario == "resume") {
        return resumed(Resume::kResume);
    } else if (scenario == "0rtt") {
        return resumed(Resume::kEarly);
    } else if (scenario == "0rtt-refused") {
        return resumed(Resume::kEarlyRefused);
    } else if (scenario == "close") {
        add_transfer(c);
        c.close_ns = 8 * kMs;
    } else if (scenario == "keys-cids") {
        add_transfer(c);
        c.key_updates = 3;
        c.cid_rotations = 3;
        c.linger_ns = kS;
    } else if (scenario == "rebind") {
        add_transfer(c);
        c.linger_ns = kS;
        for (int i = 0; i < 2; i++) {
            RebindPlan p;
            p.at_ns = (i == 0 ? 60 : 500) * kMs;
            p.host = i == 1;
            o.rebinds.push_back(p);
        }
    }
    return o;
}

} // namespace

std::string SweepPoint::name() const
{
    return scenario + (server ? ":server:" : ":client:") + std::to_string(at) + ":" +
           std::to_string(count);
}

const std::vector<std::string> &sweep_scenarios()
{
    static const std::vector<std::string> names = {
        "handshake", "transfer",     "loss",  "large-handshake", "retry", "resume",
        "0rtt",      "0rtt-refused", "close", "keys-cids",       "rebind"};
    return names;
}

bool parse_sweep_point(SweepPoint *out, const std::string &text)
{
    char scenario[32] = "";
    char host[8] = "";
    unsigned long long at = 0;
    unsigned long long count = 0;
    if (sscanf(text.c_str(), "%31[^:]:%7[^:]:%llu:%llu", scenario, host, &at, &count) != 4 ||
        at == 0 || count == 0) {
        return false;
    }
    out->scenario = scenario;
    out->server = std::string(host) == "server";
    out->at = at;
    out->count = count;
    for (const std::string &name : sweep_scenarios()) {
        if (name == out->scenario) {
            return out->server || std::string(host) == "client";
        }
    }
    return false;
}

bool run_sweep_point(const SweepPoint &point, bool *touched, std::string *failure)
{
    Options o = options_of(point.scenario);
    HostOptions &host = point.server ? o.server : o.clients[0];
    host.alloc_fail_at = point.at;
    host.alloc_fail_count = point.count;
    SeedGuard guard("--sweep=" + point.name());
    World world(o);
    bool ok = world.run();
    *touched = world.alloc_failed();
    if (!ok) {
        *failure = world.failure() + "\n" + world.report();
    } else if (!*touched && world.stats().conns_done < o.conns.size() &&
               point.scenario != "close") {
        *failure = "no allocation failed, and still not everything was done";
        ok = false;
    }
    return ok;
}

bool sweep(const std::string &scenario, bool server, uint64_t count, uint64_t *runs,
           std::string *failure)
{
    SweepPoint point;
    point.scenario = scenario;
    point.server = server;
    point.count = count;
    bool touched = true;
    for (point.at = 1; touched; point.at++) {
        if (point.at > kPointsMax || !run_sweep_point(point, &touched, failure)) {
            *failure = replay_command("--sweep=" + point.name()) + "\n" + *failure;
            return false;
        }
        ++*runs;
    }
    return true;
}

bool run_sweeps()
{
    bool ok = true;
    for (const std::string &scenario : sweep_scenarios()) {
        for (bool server : {true, false}) {
            for (uint64_t count : {1, 20}) {
                uint64_t runs = 0;
                std::string failure;
                bool passed = sweep(scenario, server, count, &runs, &failure);
                printf("%-16s %s, %2llu failing: %llu runs, %s\n", scenario.c_str(),
                       server ? "server" : "client", static_cast<unsigned long long>(count),
                       static_cast<unsigned long long>(runs),
                       passed ? "passed" : ("FAILED\n" + failure).c_str());
                fflush(stdout);
                ok = ok && passed;
            }
        }
    }
    return ok;
}

} // namespace sim
