#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace
{

uint64_t trace_of(uint64_t seed)
{
    sim::SeedGuard guard(seed, sim::Tls::kScript);
    sim::Stats stats;
    std::string failure;
    EXPECT_TRUE(sim::run_seed(seed, sim::Tls::kScript, &stats, &failure)) << failure;
    return stats.trace_hash;
}

TEST(Determinism, SameSeedSendsTheSameBytesAtTheSameMoments)
{
    for (uint64_t seed = 1000; seed < 1050; seed++) {
        EXPECT_EQ(trace_of(seed), trace_of(seed)) << seed;
    }
}

TEST(Determinism, OtherSeedsDiffer)
{
    EXPECT_NE(trace_of(1), trace_of(2));
}

/* Packets that are traced are built one by one, the others of a train of bulk data together: nobody may see which. */
TEST(Determinism, PacketsOfARunAreThoseBuiltOneByOne)
{
    uint64_t datagrams = 0;
    for (uint64_t seed = 2000; seed < 2800; seed++) {
        sim::Options o = sim::draw_options(seed, sim::Tls::kScript);
        if (o.may_run_out) { /* records of packets are memory, too */
            continue;
        }
        uint64_t hashes[2];
        for (int traced = 0; traced < 2; traced++) {
            o.server.limits.trace_packets = traced != 0 ? 1 : 0;
            for (sim::HostOptions &h : o.clients) {
                h.limits.trace_packets = traced != 0 ? 1 : 0;
            }
            sim::World world(o);
            EXPECT_TRUE(world.run()) << seed << ": " << world.failure();
            hashes[traced] = world.stats().trace_hash;
            datagrams += world.stats().datagrams;
        }
        EXPECT_EQ(hashes[0], hashes[1]) << seed;
    }
    EXPECT_GT(datagrams, 50000u);
}

} // namespace
