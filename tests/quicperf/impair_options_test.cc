#include <cstring>

#include <gtest/gtest.h>

#include "tools/quicperf/impair_options.h"

namespace
{

TEST(ImpairOptions, ReadsEach)
{
    qp_impair_options o{};
    EXPECT_FALSE(qp_impair_is_asked(&o));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_LOSS, "2%"));
    EXPECT_EQ(o.link.loss_ppm, 20000u);
    EXPECT_EQ(o.link.loss_run_max, 0u);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_LOSS, "30%,3"));
    EXPECT_EQ(o.link.loss_ppm, 300000u);
    EXPECT_EQ(o.link.loss_run_max, 3u);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_CORRUPT, "0.5%,2"));
    EXPECT_EQ(o.link.corrupt_ppm, 5000u);
    EXPECT_EQ(o.link.corrupt_run_max, 2u);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_BURST, "1%,25%"));
    EXPECT_EQ(o.link.burst_begin_ppm, 10000u);
    EXPECT_EQ(o.link.burst_end_ppm, 250000u);
    EXPECT_EQ(o.link.burst_loss_ppm, 0u);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_BURST, "1%,25%,80%"));
    EXPECT_EQ(o.link.burst_loss_ppm, 800000u);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_DELAY, "5ms"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_JITTER, "2ms"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_REORDER, "1%"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_DUPLICATE, "3%"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_RATE, "100M"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_QUEUE, "25"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_MTU, "1400"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_BLACKHOLE, "5s,2s"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_REBIND, "1s"));
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_SEED, "99"));
    quring_addr server{};
    server.family = 4;
    server.port = 4433;
    quring_impair_options p;
    qp_impair_to(&p, &o, &server);
    EXPECT_EQ(p.server.port, 4433u);
    EXPECT_EQ(p.seed, 99u);
    EXPECT_EQ(p.rebind_ns, 1000000000u);
    for (const quring_impair_link *l : {&p.to_server, &p.to_client}) {
        EXPECT_EQ(l->delay_ns, 5000000u);
        EXPECT_EQ(l->jitter_ns, 2000000u);
        EXPECT_EQ(l->reorder_ppm, 10000u);
        EXPECT_EQ(l->duplicate_ppm, 30000u);
        EXPECT_EQ(l->rate_bits_per_s, 100000000u);
        EXPECT_EQ(l->queue_packets, 25u);
        EXPECT_EQ(l->mtu_bytes, 1400u);
        EXPECT_EQ(l->pass_ns, 5000000000u);
        EXPECT_EQ(l->hole_ns, 2000000000u);
    }
}

TEST(ImpairOptions, RefusesWhatIsWrongAndKeepsWhatWas)
{
    const struct {
        qp_impair_kind kind;
        const char *value;
    } rows[] = {
        {QP_IMPAIR_LOSS, "101%"},    {QP_IMPAIR_LOSS, "many"},      {QP_IMPAIR_LOSS, "1%,0"},
        {QP_IMPAIR_LOSS, "1%,2,3"},  {QP_IMPAIR_LOSS, "1%,"},       {QP_IMPAIR_LOSS, ""},
        {QP_IMPAIR_BURST, "1%"},     {QP_IMPAIR_BURST, "1%,2%,0%"}, {QP_IMPAIR_BURST, "1,2,3,4"},
        {QP_IMPAIR_DELAY, "soon"},   {QP_IMPAIR_DELAY, "2h"},       {QP_IMPAIR_JITTER, "1ms,2ms"},
        {QP_IMPAIR_REORDER, "-1%"},  {QP_IMPAIR_DUPLICATE, "200"},  {QP_IMPAIR_CORRUPT, "1%,x"},
        {QP_IMPAIR_RATE, "10"},      {QP_IMPAIR_RATE, "2T"},        {QP_IMPAIR_RATE, "1MB"},
        {QP_IMPAIR_QUEUE, "0"},      {QP_IMPAIR_QUEUE, "65537"},    {QP_IMPAIR_MTU, "1279"},
        {QP_IMPAIR_BLACKHOLE, "5s"}, {QP_IMPAIR_BLACKHOLE, "1s,0"}, {QP_IMPAIR_REBIND, "1us"},
        {QP_IMPAIR_SEED, "0x10"},
    };
    for (const auto &row : rows) {
        qp_impair_options o{};
        qp_impair_options untouched{};
        EXPECT_FALSE(qp_impair_set(&o, row.kind, row.value)) << row.value;
        EXPECT_EQ(memcmp(&o, &untouched, sizeof(o)), 0) << row.value;
    }
}

TEST(ImpairOptions, NamesWhatDidNothing)
{
    qp_impair_options o{};
    quring_impair_counts c{};
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_DELAY, "5ms"));
    EXPECT_EQ(qp_impair_idle(&o, &c), nullptr);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_LOSS, "0%"));
    EXPECT_EQ(qp_impair_idle(&o, &c), nullptr);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_LOSS, "1%"));
    EXPECT_STREQ(qp_impair_idle(&o, &c), "--loss");
    c.fates[1][QURING_IMPAIR_LOST] = 1;
    EXPECT_EQ(qp_impair_idle(&o, &c), nullptr);
    EXPECT_TRUE(qp_impair_set(&o, QP_IMPAIR_REBIND, "1s"));
    EXPECT_STREQ(qp_impair_idle(&o, &c), "--rebind");
}

/* Whichever way it happened. */
TEST(ImpairOptions, WhatHappenedEitherWayIsNotIdle)
{
    qp_impair_options o = {};
    o.link.loss_ppm = o.link.burst_begin_ppm = o.link.reorder_ppm = 1;
    o.link.duplicate_ppm = o.link.corrupt_ppm = 1;
    quring_impair_counts c = {};
    const struct {
        qp_impair_kind kind;
        const char *name;
        uint64_t *done[2];
    } all[] = {
        {QP_IMPAIR_LOSS,
         "--loss",
         {&c.fates[0][QURING_IMPAIR_LOST], &c.fates[1][QURING_IMPAIR_LOST]}},
        {QP_IMPAIR_BURST,
         "--burst-loss",
         {&c.fates[0][QURING_IMPAIR_LOST_BURST], &c.fates[1][QURING_IMPAIR_LOST_BURST]}},
        {QP_IMPAIR_REORDER, "--reorder", {&c.reordered[0], &c.reordered[1]}},
        {QP_IMPAIR_DUPLICATE, "--duplicate", {&c.duplicated[0], &c.duplicated[1]}},
        {QP_IMPAIR_CORRUPT, "--corrupt", {&c.corrupted[0], &c.corrupted[1]}},
        {QP_IMPAIR_BLACKHOLE,
         "--blackhole",
         {&c.fates[0][QURING_IMPAIR_LOST_HOLE], &c.fates[1][QURING_IMPAIR_LOST_HOLE]}},
        {QP_IMPAIR_REBIND, "--rebind", {&c.rebinds, &c.rebinds}},
    };
    EXPECT_EQ(qp_impair_idle(&o, &c), nullptr); /* nothing was asked for */
    for (const auto &one : all) {
        o.asked = 1u << one.kind;
        EXPECT_STREQ(qp_impair_idle(&o, &c), one.name);
        for (uint64_t *done : one.done) {
            *done = 1;
            EXPECT_EQ(qp_impair_idle(&o, &c), nullptr) << one.name;
            *done = 0;
        }
    }
    o.asked = 1u << QP_IMPAIR_LOSS;
    o.link.loss_ppm = 0; /* asked for, and none */
    EXPECT_EQ(qp_impair_idle(&o, &c), nullptr);
}

} // namespace
