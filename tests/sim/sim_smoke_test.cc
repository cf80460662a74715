#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
#include "tests/sim/world.h"

namespace
{

void expect_pass(uint64_t seed)
{
    sim::SeedGuard guard(seed, sim::Tls::kScript);
    sim::Stats stats;
    std::string failure;
    EXPECT_TRUE(sim::run_seed(seed, sim::Tls::kScript, &stats, &failure))
        << failure << "\n"
        << sim::replay_command(seed, sim::Tls::kScript);
}

TEST(SimSmoke, KeepsItsPromisesOn500Seeds)
{
    for (uint64_t seed = 0; seed < 500 && !HasFailure(); seed++) {
        expect_pass(seed);
    }
}

/* seeds_regress.txt: one seed a line, what it once found behind it. */
TEST(SimSmoke, KeepsItsPromisesOnSeedsThatOnceFailed)
{
    std::ifstream file("tests/sim/seeds_regress.txt");
    ASSERT_TRUE(file.is_open());
    std::string line;
    uint64_t count = 0;
    while (std::getline(file, line)) {
        if (!line.empty() && line[0] >= '0' && line[0] <= '9') {
            expect_pass(std::stoull(line));
            count++;
        }
    }
    EXPECT_GT(count, 0u);
}

/* The oracles are not fooled by runs in which nothing happens. */
TEST(SimSmoke, MostConnectionsRunToTheirEnd)
{
    uint64_t conns = 0;
    uint64_t done = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        sim::Stats stats;
        std::string failure;
        sim::SeedGuard guard(seed, sim::Tls::kScript);
        ASSERT_TRUE(sim::run_seed(seed, sim::Tls::kScript, &stats, &failure)) << failure;
        conns += stats.conns;
        done += stats.conns_done;
    }
    EXPECT_GT(done * 10, conns * 7);
}

} // namespace
