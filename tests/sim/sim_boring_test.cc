#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
#include "tests/sim/world.h"

namespace
{

TEST(SimBoring, KeepsItsPromisesOn100SeedsWithRealTls)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        sim::SeedGuard guard(seed, sim::Tls::kBoring);
        sim::Stats stats;
        std::string failure;
        ASSERT_TRUE(sim::run_seed(seed, sim::Tls::kBoring, &stats, &failure))
            << failure << "\n"
            << sim::replay_command(seed, sim::Tls::kBoring);
    }
}

} // namespace
