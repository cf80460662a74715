/* Whether a QUIC socket behaves as a TCP socket does: random calls on both (oracle.h).
 *
 *     oracle_test [--steps=N] [--seed=S]     so many steps, from that seed on
 *
 * Each seed is a pair of sockets from its beginning to its end.
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/compat/oracle.h"

using namespace compat;

namespace
{

const uint64_t kStepsOfASeed = 300; /* at most */

uint64_t g_seed = 1;
uint64_t g_steps = 1500;

} // namespace

TEST(Oracle, TheSameCallsOnTcpAndOnQuic)
{
    std::map<Kind, uint64_t> allowed;
    uint64_t steps = 0;
    uint64_t seed = g_seed;
    for (; steps < g_steps; seed++) {
        Oracle oracle(seed);
        for (uint64_t i = 0; i < kStepsOfASeed && !oracle.is_over(); i++, steps++) {
            ASSERT_TRUE(oracle.step())
                << oracle.why() << "\nreplay: tools/bazel run //tests/compat:oracle_"
                << (getenv("QUIC_IO") != nullptr ? getenv("QUIC_IO") : "uring")
                << "_test -- --steps=1 --seed=" << seed;
        }
        for (const auto &kind : oracle.allowed()) {
            allowed[kind.first] += kind.second;
        }
    }
    printf("oracle: %llu steps, seeds %llu to %llu agree", static_cast<unsigned long long>(steps),
           static_cast<unsigned long long>(g_seed), static_cast<unsigned long long>(seed - 1));
    for (const auto &kind : allowed) {
        printf(", %llu times difference %d", static_cast<unsigned long long>(kind.second),
               static_cast<int>(kind.first));
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    signal(SIGPIPE, SIG_IGN); /* write and writev know no MSG_NOSIGNAL */
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--steps=", 8) == 0) {
            g_steps = strtoull(argv[i] + 8, nullptr, 10);
        } else if (strncmp(argv[i], "--seed=", 7) == 0) {
            g_seed = strtoull(argv[i] + 7, nullptr, 10);
        }
    }
    return RUN_ALL_TESTS();
}
