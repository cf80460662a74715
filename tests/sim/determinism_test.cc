#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
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

} // namespace
