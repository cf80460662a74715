#include "tests/sim/profile.h"

#include <cstdio>
#include <ctime>

#include "tests/sim/guard.h"
#include "tests/sim/rng.h"
#include "tests/sim/world.h"

namespace sim
{
namespace
{

constexpr quic_ns kS = QUIC_NS_PER_S;

struct Profile {
    const char *name;
    uint32_t conns;
    quic_ns life_ns;       /* of each connection */
    quic_ns ping_ns;       /* application's PING; 0: none */
    quic_ns keep_alive_ns; /* the endpoint's own */
    uint64_t stream_bytes; /* each way, over one stream */
    uint64_t link_bytes_per_s;
};

Options make_options(const Profile &p)
{
    Rng r(1);
    Options o;
    o.seed = 1;
    o.heal_ns = kS;
    o.liveness_ns = p.life_ns * 2 + 1000 * kS;
    o.check_every = 0;
    o.server.limits = sim_limits();
    o.server.limits.connections_max = p.conns * 2;
    o.server.limits.half_open_max = p.conns * 2;
    o.server.limits.worker_mem_max_bytes = 4ull << 30;
    o.server.limits.idle_timeout_ns = 600 * kS;
    o.server.gro_max = 64;
    HostOptions client = o.server;
    client.limits.keep_alive_ns = p.keep_alive_ns;
    for (uint32_t i = 0; i < 4; i++) {
        LinkOptions l;
        l.delay_ns = 10 * QUIC_NS_PER_MS;
        l.bytes_per_s = p.link_bytes_per_s;
        l.queue_bytes = 100000;
        o.up.push_back(l);
        o.down.push_back(l);
        o.clients.push_back(client);
    }
    for (uint32_t i = 0; i < p.conns; i++) {
        ConnPlan c;
        c.seed = r.u64();
        c.client = i % 4;
        c.start_ns = r.below(kS);
        c.close_ns = p.life_ns;
        c.stay = true;
        c.ping_every_ns = p.ping_ns;
        if (p.stream_bytes > 0) {
            StreamPlan s;
            s.size[0] = p.stream_bytes;
            s.size[1] = p.stream_bytes;
            s.write_max = 65536;
            c.streams.push_back(s);
        }
        o.conns.push_back(c);
    }
    return o;
}

bool run(const Profile &p)
{
    SeedGuard guard(1, Tls::kScript);
    clock_t start = clock();
    World world(make_options(p));
    bool ok = world.run();
    double cpu = static_cast<double>(clock() - start) / CLOCKS_PER_SEC;
    const Stats &s = world.stats();
    double hours = s.conn_seconds / 3600;
    printf("%-11s %s: %u connections, %.1f connection hours, %llu datagrams, %.1f CPU s: %.1f "
           "connection hours and %.0f thousand datagrams per CPU minute\n",
           p.name, ok ? "passed" : world.failure().c_str(), s.conns, hours,
           static_cast<unsigned long long>(s.datagrams), cpu, hours / cpu * 60,
           static_cast<double>(s.datagrams) / cpu * 60 / 1000);
    fflush(stdout);
    return ok;
}

/* Fault seeds: small worlds with everything in them. */
bool run_seeds()
{
    constexpr uint64_t kSeeds = 3000;
    uint64_t datagrams = 0;
    double conn_seconds = 0;
    bool ok = true;
    clock_t start = clock();
    for (uint64_t seed = 0; seed < kSeeds && ok; seed++) {
        SeedGuard guard(seed, Tls::kScript);
        Stats stats;
        std::string failure;
        ok = run_seed(seed, Tls::kScript, &stats, &failure);
        datagrams += stats.datagrams;
        conn_seconds += stats.conn_seconds;
        if (!ok) {
            printf("FAILED %s\n%s\n", failure.c_str(), replay_command(seed, Tls::kScript).c_str());
        }
    }
    double cpu = static_cast<double>(clock() - start) / CLOCKS_PER_SEC;
    printf(
        "%-11s %s: %.0f seeds, %.0f thousand datagrams and %.1f connection hours per CPU minute\n",
        "fault seeds", ok ? "passed" : "FAILED", kSeeds / cpu * 60,
        static_cast<double>(datagrams) / cpu * 60 / 1000, conn_seconds / 3600 / cpu * 60);
    return ok;
}

} // namespace

bool run_profiles()
{
    const Profile profiles[] = {
        {"sparse", 1000, 24 * 3600 * kS, 150 * kS, 0, 0, 0},
        {"keep-alive", 1000, 3 * 3600 * kS, 0, 25 * kS, 0, 0},
        {"saturated", 8, 60 * kS, 0, 0, 1ull << 40, 12500000},
    };
    bool ok = true;
    for (const Profile &p : profiles) {
        ok = run(p) && ok;
    }
    return run_seeds() && ok;
}

} // namespace sim
