// Every allocation of every scenario fails once, and twenty in a row: nothing crashes, leaks or stops.
#include <string>

#include <gtest/gtest.h>

#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/sweep.h"
#include "tests/sim/world.h"

namespace
{

class Sweep : public testing::TestWithParam<std::string>
{
};

TEST_P(Sweep, SurvivesEveryFailingAllocation)
{
    for (bool server : {true, false}) {
        for (uint64_t count : {1, 20}) {
            uint64_t runs = 0;
            std::string failure;
            EXPECT_TRUE(sim::sweep(GetParam(), server, count, &runs, &failure)) << failure;
            EXPECT_GT(runs, 10u) << "nothing was allocated";
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Sweep, testing::ValuesIn(sim::sweep_scenarios()),
                         [](const testing::TestParamInfo<std::string> &p) {
                             std::string name = p.param;
                             for (char &c : name) {
                                 c = c == '-' ? '_' : c;
                             }
                             return name;
                         });

TEST(SweepEndpoint, IsMadeWholeOrNotAtAll)
{
    sim::Options options;
    sim::Identity identity(options);
    bool made = false;
    uint64_t k = 1;
    for (; !made && k < 100; k++) {
        sim::Alloc alloc;
        quic_rng_seeded_state state{1};
        quic_endpoint_config config{};
        config.worker_count = 1;
        config.allocator = alloc.table();
        config.rng = quic_rng_seeded(&state);
        config.crypto = identity.crypto();
        config.limits = sim::sim_limits();
        alloc.fail_at(k);
        quic_endpoint *ep = nullptr;
        quic_rc rc = quic_endpoint_create(&ep, &config);
        made = rc == QUIC_OK;
        EXPECT_EQ(made, !alloc.failed());
        if (made) {
            quic_endpoint_destroy(ep);
        } else {
            EXPECT_EQ(rc, QUIC_E_NOMEM);
        }
        EXPECT_EQ(alloc.bytes(), 0u);
        EXPECT_EQ(alloc.blocks(), 0u);
    }
    EXPECT_TRUE(made);
    EXPECT_GT(k, 3u);
}

} // namespace
