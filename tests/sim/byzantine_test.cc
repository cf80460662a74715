// Peers that break one rule are told which; rude ones are nobody else's trouble.
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/run.h"
#include "tests/sim/violations.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

// `honest` clients that upload and download, on a network without faults.
sim::Options honest_options(uint32_t honest)
{
    sim::Options o;
    o.seed = 9;
    o.heal_ns = 2 * kS;
    o.check_every = 1;
    o.server.limits = sim::sim_limits();
    sim::LinkOptions link;
    link.bytes_per_s = 2000000;
    link.queue_bytes = 100000;
    for (uint32_t i = 0; i <= honest; i++) {
        o.up.push_back(link);
        o.down.push_back(link);
        o.clients.push_back(o.server);
    }
    for (uint32_t i = 0; i < honest; i++) {
        sim::ConnPlan c;
        c.seed = i + 1;
        c.client = i;
        sim::StreamPlan s;
        s.size[0] = 200000;
        s.size[1] = 500000;
        c.streams.push_back(s);
        o.conns.push_back(c);
    }
    return o;
}

sim::ConnPlan byzantine_conn(uint32_t client, const sim::ByzantinePlan &plan)
{
    sim::ConnPlan c;
    c.seed = 77;
    c.client = client;
    c.close_ns = 5 * kS;
    c.byzantine = plan;
    c.byzantine.is_on = true;
    return c;
}

TEST(Byzantine, EachViolationIsAnsweredWithItsError)
{
    unsigned count = 0;
    for (size_t i = 0; i < sim::violations().size(); i++) {
        const sim::Violation &v = sim::violations()[i];
        for (bool by_server : {false, true}) {
            if (by_server && v.to_server_only) {
                continue;
            }
            SCOPED_TRACE(std::string(v.name) + (by_server ? ", by a server" : ", by a client"));
            sim::Options o = honest_options(1);
            sim::ByzantinePlan plan;
            plan.by_server = by_server;
            plan.violation = static_cast<int>(i);
            plan.count = 100;
            o.conns.push_back(byzantine_conn(1, plan));
            sim::Outcome out = sim::run(o);
            EXPECT_TRUE(out.ok) << out.text;
            EXPECT_EQ(out.stats.violations, 1u);
            EXPECT_EQ(out.stats.conns_done, 1u);
            count++;
        }
    }
    printf("%u violations answered\n", count);
}

TEST(Byzantine, HonestPeersFinishBesideEveryKindOfRudeness)
{
    sim::Options clean = honest_options(3);
    sim::Outcome base = sim::run(clean);
    ASSERT_TRUE(base.ok) << base.text;
    ASSERT_EQ(base.stats.conns_done, 3u);
    quic_ns clean_ns = base.stats.last_done_ns - kS; // the clock starts at one second
    for (uint64_t kind = 0; kind < sim::kRudeCount; kind++) {
        for (int rewrites = 0; rewrites < 4; rewrites++) {
            SCOPED_TRACE(std::to_string(kind) + " " + std::to_string(rewrites));
            sim::Options o = clean;
            sim::ByzantinePlan plan;
            plan.rude = static_cast<sim::Rude>(kind);
            plan.every_ns = kMs;
            plan.burst = 5;
            plan.count = 60;
            plan.no_acks = rewrites == 1;
            plan.tiny_acks = rewrites == 2;
            plan.no_credit = rewrites == 2;
            plan.shuffle = rewrites == 3;
            plan.repeat = rewrites == 3 ? 0.5 : 0;
            plan.drop = rewrites == 3 ? 0.1 : 0;
            o.conns.push_back(byzantine_conn(3, plan));
            sim::Outcome out = sim::run(o);
            EXPECT_TRUE(out.ok) << out.text;
            EXPECT_EQ(out.stats.conns_done, 3u);
            EXPECT_LE(out.stats.last_done_ns - kS, 3 * clean_ns);
            EXPECT_TRUE(out.stats.rude > 0 || kind == 0);
        }
    }
}

} // namespace
