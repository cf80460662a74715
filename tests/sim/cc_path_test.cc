/* What congestion control has to reach, in virtual time: the same figures on every machine. */
#include <algorithm>
#include <tuple>

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

/* Of a window that overran the queue every other packet is lost: many gaps, of which the receiver knows what they
 * are, with the limits of a server on the Internet. */
TEST(CcPath, AnOverrunQueueEndsNoConnection)
{
    for (quring_cc cc : {QURING_CC_NEWRENO, QURING_CC_CUBIC, QURING_CC_BBR}) {
        for (double mbit : {100.0, 1000.0}) {
            sim::Cell cell{mbit, mbit == 100 ? 100.0 : 20.0};
            cell.recv_window = 6u << 20;
            sim::CcPath path(cell, {cc});
            path.start(0);
            path.run(3 * kS);
            EXPECT_GT(path.lost(), 500u);
            EXPECT_GT(path.measure(2 * kS)[0].percent, 20) << cc << " " << mbit;
        }
    }
}

/* ... nor of many streams in turns, with pieces of two in a packet, whose ends are where they may be. */
TEST(CcPath, AnOverrunQueueOfManyStreamsEndsNoConnection)
{
    sim::Cell cell{1000, 20};
    cell.recv_window = 6u << 20;
    cell.datagram = 1200;
    cell.streams = 20;
    sim::CcPath path(cell, {QURING_CC_CUBIC});
    path.start(0);
    path.run(3 * kS);
    EXPECT_GT(path.lost(), 500u);
    EXPECT_GT(path.measure(2 * kS)[0].percent, 20);
}

/* Packets on a path that became shorter overtake those before: 1.7 thousand are declared lost, and come twice. */
TEST(CcPath, AShorterPathEndsNoConnection)
{
    for (quring_cc cc : {QURING_CC_CUBIC, QURING_CC_BBR}) {
        sim::Cell cell{1000, 60};
        cell.buffer = 1;
        sim::CcPath path(cell, {cc});
        path.start(0);
        path.run(4 * kS);
        path.set_delay(10);
        EXPECT_GT(path.measure(kS)[0].percent, 80) << cc;
    }
}

/* ... nor does one that carries only small datagrams: large ones that were overtaken by the next words of an
 * application come again as eight times as many, or fifty times, most of them for nothing, as the way back is as long
 * as it was. */
TEST(CcPath, AShorterAndNarrowerPathEndsNoConnection)
{
    const std::tuple<uint32_t, quring_cc, quic_ns> flows[] = {
        {8952, QURING_CC_BBR, 1300 * QUIC_NS_PER_MS},
        {65507, QURING_CC_CUBIC, 1100 * QUIC_NS_PER_MS},
    };
    for (const auto &[datagram, cc, time] : flows) {
        sim::Cell cell{5000, 100};
        cell.buffer = 1;
        cell.send_buf = 20u << 20;
        cell.datagram = datagram;
        sim::CcPath path(cell, {cc});
        path.start(0);
        path.run(time);
        path.set_delay(5);
        path.set_interface_mtu(1500);
        path.say(0, 20000);
        path.run(3 * kS);
        path.say(0, 1000);
        EXPECT_EQ(path.measure(kS)[0].received, 1000u) << datagram;
    }
}

/* The queue is no place for what a receiver's window allows beyond what the path holds. */
TEST(CcPath, BbrKeepsTheQueueShortWhereTheReceiverLimitsIt)
{
    sim::Cell cell{100, 50, 0, true};
    cell.recv_window = cell.bdp() * 18 / 10;
    sim::CcPath path(cell, {QURING_CC_BBR});
    path.start(0);
    path.run(5 * kS);
    sim::FlowFigures f = path.measure(10 * kS)[0];
    EXPECT_GE(f.percent, 90);
    EXPECT_LE(f.srtt_mean_ms, 60);
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
