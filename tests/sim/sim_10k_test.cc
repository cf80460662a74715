#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
#include "tests/sim/world.h"

namespace
{

class Sim10k : public testing::TestWithParam<int>
{
};

TEST_P(Sim10k, KeepsItsPromises)
{
    uint64_t from = static_cast<uint64_t>(GetParam()) * 500;
    for (uint64_t seed = from; seed < from + 500; seed++) {
        sim::SeedGuard guard(seed, sim::Tls::kScript);
        sim::Stats stats;
        std::string failure;
        ASSERT_TRUE(sim::run_seed(seed, sim::Tls::kScript, &stats, &failure))
            << failure << "\n"
            << sim::replay_command(seed, sim::Tls::kScript);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Sim10k, testing::Range(0, 20));

} // namespace
