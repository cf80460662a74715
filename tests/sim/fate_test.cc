// Crashes, rebindings and attackers one at a time, on a network that has no other faults.
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/run.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

// Two clients with two connections each that keep talking for `life`; a slow line keeps their streams
// busy for more than a second.
sim::Options quiet_options(quic_ns life, bool slow = false)
{
    sim::Options o;
    o.seed = 7;
    o.heal_ns = life;
    o.check_every = 1;
    o.server.limits = sim::sim_limits();
    o.server.limits.idle_timeout_ns = 5 * kS;
    sim::LinkOptions link;
    link.bytes_per_s = slow ? 1000000 : 0;
    link.queue_bytes = 100000;
    for (uint32_t i = 0; i < 2; i++) {
        o.up.push_back(link);
        o.down.push_back(link);
        o.clients.push_back(o.server);
    }
    for (uint32_t i = 0; i < 4; i++) {
        sim::ConnPlan c;
        c.seed = i + 1;
        c.client = i / 2;
        c.close_ns = life;
        c.stay = true;
        c.ping_every_ns = 100 * kMs;
        sim::StreamPlan s;
        s.size[0] = 20000;
        s.size[1] = slow ? 600000 : 50000;
        c.streams.push_back(s);
        o.conns.push_back(c);
    }
    return o;
}

TEST(Fate, WithItsSecretARestartedServerResetsEveryConnection)
{
    sim::Options o = quiet_options(20 * kS, true);
    sim::CrashPlan crash;
    crash.at_ns = 500 * kMs;
    crash.down_ns = 50 * kMs;
    o.crashes.push_back(crash);
    sim::Outcome out = sim::run(o);
    EXPECT_TRUE(out.ok) << out.text;
    EXPECT_EQ(out.stats.resets, 4u); // RFC 9000 10.3
    EXPECT_EQ(out.stats.conns, 8u);  // each began anew ...
    EXPECT_EQ(out.stats.conns_done, 4u);
}

TEST(Fate, WithoutItsSecretNobodyBelievesItAndConnectionsTimeOut)
{
    sim::Options o = quiet_options(20 * kS, true);
    sim::CrashPlan crash;
    crash.at_ns = 500 * kMs;
    crash.keep_secret = false;
    o.crashes.push_back(crash);
    sim::Outcome out = sim::run(o);
    EXPECT_TRUE(out.ok) << out.text;
    EXPECT_EQ(out.stats.resets, 0u); // RFC 9000 10.3.1
    EXPECT_EQ(out.stats.conns, 8u);
    EXPECT_EQ(out.stats.conns_done, 4u);
    EXPECT_GT(out.stats.end_ns, 5 * kS);
}

TEST(Fate, ACrashedClientComesBackAndItsOldConnectionsGo)
{
    sim::Options o = quiet_options(20 * kS, true);
    sim::CrashPlan crash;
    crash.host = 1;
    crash.at_ns = 500 * kMs;
    o.crashes.push_back(crash);
    sim::Outcome out = sim::run(o);
    EXPECT_TRUE(out.ok) << out.text;
    EXPECT_EQ(out.stats.conns, 6u);
    EXPECT_EQ(out.stats.conns_done, 4u);
}

TEST(Fate, ConnectionsOutliveEveryKindOfRebinding)
{
    for (int kind = 0; kind < 4; kind++) {
        SCOPED_TRACE(kind);
        sim::Options o = quiet_options(6 * kS);
        for (uint32_t i = 0; i < 4; i++) {
            sim::RebindPlan p;
            p.client = i % 2;
            p.at_ns = (i + 1) * kS;
            p.host = (kind & 1) != 0;
            p.keep_old = (kind & 2) != 0;
            o.rebinds.push_back(p);
        }
        sim::Outcome out = sim::run(o);
        EXPECT_TRUE(out.ok) << out.text;
        EXPECT_EQ(out.stats.rebinds, 4u);
        EXPECT_GE(out.stats.path_changes, 8u); // two connections moved each time
        EXPECT_EQ(out.stats.conns_done, 4u);
    }
}

TEST(Fate, WhatAttackersMakeUpEndsNoConnection)
{
    for (bool on_path : {false, true}) {
        sim::Options o = quiet_options(3 * kS);
        o.attack.on_path = on_path;
        o.attack.forge = 0.5;
        o.attack.replay = 0.3;
        sim::Outcome out = sim::run(o);
        EXPECT_TRUE(out.ok) << out.text;
        EXPECT_EQ(out.stats.conns, 4u);
        EXPECT_EQ(out.stats.conns_done, 4u);
        EXPECT_EQ(out.stats.resets, 0u);
    }
}

TEST(Fate, LiesAboutDatagramSizesCostNothingButSize)
{
    sim::Options o = quiet_options(3 * kS);
    o.attack.too_big = 0.2;
    sim::Outcome out = sim::run(o);
    EXPECT_TRUE(out.ok) << out.text;
    EXPECT_EQ(out.stats.conns_done, 4u);
}

} // namespace
