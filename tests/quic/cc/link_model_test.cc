#include <cstdio>

#include <gtest/gtest.h>

#include "quic/cc/bbr.h"
#include "quic/cc/cubic.h"
#include "quic/cc/newreno.h"
#include "tests/quic/cc/link_model.h"

namespace
{

using link_model::Flow;
using link_model::LinkConfig;
using link_model::Model;

constexpr quic_ns kS = QUIC_NS_PER_S;

/* The share of the line, in percent, that one flow has after its start. */
double Single(const quic_cc_vtable *cc, const LinkConfig &c, quic_ns span = 20 * kS)
{
    Model m(c);
    Flow &f = m.add(cc);
    m.run(4 * kS);
    double share = m.share(f, span);
    printf("%-8s %4.0f Mbit/s %3.0f ms loss %.1f %%: %5.1f %% of the line, RTT %.1f ms\n", cc->name,
           static_cast<double>(c.bits_per_s) / 1e6, static_cast<double>(c.rtt_ns) / 1e6,
           c.loss * 100, share, static_cast<double>(f.rec.rtt.smoothed_ns) / 1e6);
    return share;
}

struct Two {
    double a, b;
    double fairness() const /* Jain's index of two shares */
    {
        return (a + b) * (a + b) / (2 * (a * a + b * b));
    }
};

Two Pair(const quic_cc_vtable *a, const quic_cc_vtable *b, const LinkConfig &c)
{
    Model m(c);
    Flow &fa = m.add(a);
    Flow &fb = m.add(b, 3 * kS);
    m.run(30 * kS);
    uint64_t before = fb.received_bytes;
    quic_ns span = 60 * kS;
    Two t{};
    t.a = m.share(fa, span);
    t.b = 100.0 * static_cast<double>(fb.received_bytes - before) * 8 * 1e9 /
          (static_cast<double>(c.bits_per_s) * static_cast<double>(span));
    printf("%-8s %5.1f %%   %-8s %5.1f %%   Jain %.3f\n", a->name, t.a, b->name, t.b, t.fairness());
    return t;
}

TEST(LinkModel, BbrFillsALineThatLosesOnePercent)
{
    LinkConfig c;
    c.loss = 0.01;
    for (double bdps : {0.25, 1.0, 4.0}) {
        c.queue_bytes = static_cast<uint64_t>(bdps * 625000);
        EXPECT_GE(Single(&quic_bbr_vtable, c), 80.0) << bdps;
    }
    c.queue_bytes = 0;
    EXPECT_LT(Single(&quic_cubic_vtable, c), 20.0); /* what the others make of it */
    EXPECT_LT(Single(&quic_newreno_vtable, c), 20.0);
}

TEST(LinkModel, EveryoneFillsACleanLine)
{
    LinkConfig c;
    EXPECT_GE(Single(&quic_cubic_vtable, c), 95.0);
    EXPECT_GE(Single(&quic_newreno_vtable, c), 95.0);
    EXPECT_GE(Single(&quic_bbr_vtable, c), 95.0);
    c.bits_per_s = 1000000;
    c.queue_bytes = 30000;
    EXPECT_GE(Single(&quic_cubic_vtable, c), 95.0);
    EXPECT_GE(Single(&quic_newreno_vtable, c), 95.0);
    EXPECT_GE(Single(&quic_bbr_vtable, c), 95.0);
}

TEST(LinkModel, AShallowQueueIsEnoughForCubicAndBbr)
{
    LinkConfig c;
    c.queue_bytes = 625000 / 5;
    EXPECT_GE(Single(&quic_cubic_vtable, c), 95.0);
    EXPECT_GE(Single(&quic_newreno_vtable, c), 80.0);
    EXPECT_GE(Single(&quic_bbr_vtable, c), 93.0);
}

TEST(LinkModel, BbrKeepsTheQueueShort)
{
    LinkConfig c;
    c.queue_bytes = 5000000; /* 400 ms */
    Model m(c);
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(10 * kS);
    EXPECT_LT(f.rec.rtt.smoothed_ns, 90 * QUIC_NS_PER_MS);
    EXPECT_EQ(f.lost_packets, 0u);
}

TEST(LinkModel, TwoFlowsShare)
{
    LinkConfig c;
    c.bits_per_s = 20000000;
    c.rtt_ns = 40 * QUIC_NS_PER_MS;
    c.queue_bytes = 100000;
    const quic_cc_vtable *all[] = {&quic_newreno_vtable, &quic_cubic_vtable, &quic_bbr_vtable};
    for (const quic_cc_vtable *a : all) {
        for (const quic_cc_vtable *b : all) {
            Two t = Pair(a, b, c);
            EXPECT_GE(t.a + t.b, 85.0);
            if (a == b) {
                EXPECT_GE(t.fairness(), a == &quic_newreno_vtable ? 0.9 : 0.85) << a->name;
            }
            EXPECT_GE(t.a, 2.0) << a->name << " with " << b->name; /* nobody starves */
            EXPECT_GE(t.b, 2.0) << b->name << " with " << a->name;
        }
    }
}

} // namespace
