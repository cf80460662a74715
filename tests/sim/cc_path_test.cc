/* What congestion control has to reach, in virtual time: the same figures on every machine. */
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/sim/cc_path.h"

namespace
{

constexpr quic_ns kS = QUIC_NS_PER_S;

double alone(const sim::Cell &cell, quring_cc cc)
{
    sim::CcPath path(cell, {cc});
    path.start(0);
    path.run(3 * kS);
    return path.measure(20 * kS)[0].percent;
}

struct Shares {
    double first;
    double second;
};

Shares together(const sim::Cell &cell, quring_cc first, quring_cc second)
{
    sim::CcPath path(cell, {first, second});
    path.start(0);
    path.run(5 * kS);
    path.start(1);
    path.run(20 * kS);
    std::vector<sim::FlowFigures> figures = path.measure(40 * kS);
    return {figures[0].percent, figures[1].percent};
}

TEST(CcPath, BbrKeepsMostOfALossyLine)
{
    for (bool deep : {false, true}) {
        EXPECT_GE(alone({100, 50, 0.01, deep}, QURING_CC_BBR), 80) << deep;
    }
}

TEST(CcPath, CubicFillsACleanLine)
{
    for (bool deep : {false, true}) {
        EXPECT_GE(alone({100, 50, 0, deep}, QURING_CC_CUBIC), 95) << deep;
    }
}

TEST(CcPath, EachFillsACleanLineWithoutStandingOnTheQueue)
{
    for (quring_cc cc : {QURING_CC_NEWRENO, QURING_CC_CUBIC, QURING_CC_BBR}) {
        EXPECT_GE(alone({10, 20, 0, false}, cc), 85) << cc;
    }
    sim::CcPath path({10, 50, 0, true}, {QURING_CC_BBR});
    path.start(0);
    path.run(5 * kS);
    /* Four bandwidth-delay products of buffer are there; BBR leaves them empty. */
    EXPECT_LE(path.measure(10 * kS)[0].srtt_ms, 100);
}

TEST(CcPath, TwoAlikeShare)
{
    for (quring_cc cc : {QURING_CC_NEWRENO, QURING_CC_CUBIC, QURING_CC_BBR}) {
        for (bool deep : {false, true}) {
            Shares s = together({10, 50, 0, deep}, cc, cc);
            EXPECT_GE(s.first + s.second, 85) << cc;
            EXPECT_GE(std::min(s.first, s.second), 20) << cc << deep << s.first << " " << s.second;
        }
    }
}

TEST(CcPath, NobodyStarves)
{
    const std::pair<quring_cc, quring_cc> pairs[] = {
        {QURING_CC_CUBIC, QURING_CC_NEWRENO},
        {QURING_CC_CUBIC, QURING_CC_BBR},
        {QURING_CC_NEWRENO, QURING_CC_BBR},
    };
    for (const auto &p : pairs) {
        for (bool deep : {false, true}) {
            Shares s = together({10, 50, 0, deep}, p.first, p.second);
            EXPECT_GE(s.first + s.second, 85);
            EXPECT_GE(std::min(s.first, s.second), 5)
                << p.first << p.second << deep << " " << s.first << " " << s.second;
        }
    }
}

} // namespace
