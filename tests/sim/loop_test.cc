// The worker loop on many seeds of faults below, inside and around its I/O back end.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/guard.h"
#include "tests/sim/loop.h"

namespace
{

sim::LoopStats expect_pass(uint64_t seed)
{
    std::string what = "--seed " + std::to_string(seed);
    sim::SeedGuard guard(what, "loop");
    sim::LoopStats stats;
    std::string failure;
    EXPECT_TRUE(sim::run_loop_seed(seed, &stats, &failure)) << failure << "\n"
                                                            << sim::replay_command(what, "loop");
    return stats;
}

#ifdef QURING_ASAN
constexpr uint64_t kSeeds = 100; /* ten times slower */
#else
constexpr uint64_t kSeeds = 400;
#endif

TEST(Loop, KeepsItsPromisesOnManySeeds)
{
    sim::LoopStats sum;
    for (uint64_t seed = 0; seed < kSeeds && !HasFailure(); seed++) {
        sim::LoopStats stats = expect_pass(seed);
        sum.conns += stats.conns;
        sum.conns_done += stats.conns_done;
        sum.forwarded += stats.forwarded;
        sum.again += stats.again;
        sum.no_buffers += stats.no_buffers;
        sum.mail_refused += stats.mail_refused;
    }
    // The faults did take place, and most connections came through them.
    EXPECT_GT(sum.conns_done * 10, sum.conns * 7);
    EXPECT_GT(sum.forwarded, kSeeds / 4);
    EXPECT_GT(sum.again, kSeeds / 4);
    EXPECT_GT(sum.no_buffers, kSeeds * 2);
    EXPECT_GT(sum.mail_refused, kSeeds / 133);
}

TEST(Loop, KeepsItsPromisesOnSeedsThatOnceFailed)
{
    std::ifstream file("tests/sim/loop_seeds_regress.txt");
    ASSERT_TRUE(file.is_open());
    std::string line;
    while (std::getline(file, line)) {
        if (!line.empty() && line[0] >= '0' && line[0] <= '9') {
            expect_pass(std::stoull(line));
        }
    }
}

TEST(Loop, EqualSeedsGiveEqualTraffic)
{
    for (uint64_t seed = 1000; seed < 1020; seed++) {
        EXPECT_EQ(expect_pass(seed).hash, expect_pass(seed).hash) << seed;
    }
    EXPECT_NE(expect_pass(1).hash, expect_pass(2).hash);
}

} // namespace
