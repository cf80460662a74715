#include "tests/quic/hostile/rows.h"

#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "tests/sim/inspect.h"

namespace hostile
{
namespace
{

struct Tally {
    std::map<std::string, std::set<int>> wanted;
    std::map<std::pair<std::string, int>, bool> ran; /* and nothing failed */
};

Tally &tally()
{
    static Tally t;
    return t;
}

/* Prints the counts when all tests have run; rows that nobody ran are a failure of their own. */
class Summary : public testing::Environment
{
    void TearDown() override
    {
        bool all = testing::GTEST_FLAG(filter) == "*";
        for (const auto &[section, rows] : tally().wanted) {
            size_t proved = 0;
            for (int row : rows) {
                auto it = tally().ran.find({section, row});
                bool ok = it != tally().ran.end() && it->second;
                proved += ok ? 1 : 0;
                if (!ok && all) {
                    ADD_FAILURE() << "hostile " << section << ": row " << row << " is not proved";
                }
            }
            printf("hostile %s: %zu of %zu\n", section.c_str(), proved, rows.size());
        }
    }
};

} // namespace

Rows::Rows(const char *section, int from, int to, std::initializer_list<int> elsewhere)
{
    static testing::Environment *summary = testing::AddGlobalTestEnvironment(new Summary);
    (void)summary;
    std::set<int> &rows = tally().wanted[section];
    for (int row = from; row <= to; row++) {
        rows.insert(row);
    }
    for (int row : elsewhere) {
        rows.erase(row);
    }
}

Row::Row(const char *section, int number) : section_(section), number_(number)
{
}

Row::~Row()
{
    bool ok = !testing::Test::HasFailure();
    auto [it, fresh] = tally().ran.insert({{section_, number_}, ok});
    it->second = it->second && ok;
    (void)fresh;
}

const quic_counters &counters(const Side &side)
{
    return *quic_endpoint_counters(side.ep);
}

void expect_sound(Net &net)
{
    for (Side *side : {&net.server, &net.client}) {
        EXPECT_EQ(sim_inspect_check(side->ep), nullptr);
        EXPECT_LE(quic_endpoint_mem(side->ep)->used_bytes,
                  (side == &net.server ? net.options.server : net.options.clients[0])
                      .limits.worker_mem_max_bytes);
    }
    const quic_counters &c = counters(net.server);
    if (c.conns_established == 0) {
        EXPECT_LE(c.bytes_sent, 3 * c.bytes_recv);
    }
}

void expect_nothing_left(Net &net)
{
    for (Side *side : {&net.server, &net.client}) {
        quic_endpoint_close_all(side->ep, 0, nullptr);
    }
    net.run_for(60 * kS);
    for (Side *side : {&net.server, &net.client}) {
        EXPECT_EQ(quic_endpoint_conn_count(side->ep), 0u);
        EXPECT_EQ(quic_endpoint_mem(side->ep)->used_bytes, sim_inspect_idle_bytes(side->ep));
    }
}

} // namespace hostile
