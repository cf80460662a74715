#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/scheduler.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;

class Scheduler : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_scheduler_init(&sched_);
        for (size_t i = 0; i < 6; i++) {
            quic_stream_init(&s_[i], &memory_.mem, 4 * i, 1);
        }
    }
    // The stream whose turn it is sends `bytes` in one train. Its number.
    uint64_t Train(uint32_t bytes)
    {
        quic_stream *s = quic_scheduler_next(&sched_);
        s->send.next_off += bytes;
        quic_scheduler_end_train(&sched_);
        quic_scheduler_check_invariants(&sched_);
        return s->id / 4;
    }
    // Which streams send in the next `trains`, each a turn long.
    std::vector<uint64_t> Turns(int trains)
    {
        std::vector<uint64_t> out;
        for (int i = 0; i < trains && !quic_scheduler_is_empty(&sched_); i++) {
            out.push_back(Train(QUIC_SCHEDULER_TURN_BYTES));
        }
        return out;
    }
    void Add(size_t i, uint8_t urgency, bool incremental)
    {
        quic_scheduler_set_priority(&sched_, &s_[i], urgency, incremental);
        quic_scheduler_add(&sched_, &s_[i]);
    }
    Memory memory_;
    quic_scheduler sched_;
    quic_stream s_[6];
};

using Order = std::vector<uint64_t>;

TEST_F(Scheduler, StreamsThatAreNotIncrementalGoInOrderOfTheirIds) // RFC 9218 10
{
    EXPECT_EQ(nullptr, quic_scheduler_next(&sched_));
    for (size_t i : {3, 1, 4, 1}) {
        quic_scheduler_add(&sched_, &s_[i]);
    }
    EXPECT_EQ(3u, sched_.count);
    EXPECT_EQ((Order{1, 1, 1}), Turns(3));
    quic_scheduler_add(&sched_, &s_[0]); // had nothing to send until now
    EXPECT_EQ((Order{0, 0}), Turns(2));
    quic_scheduler_remove(&sched_, &s_[0]);
    quic_scheduler_remove(&sched_, &s_[0]);
    quic_scheduler_remove(&sched_, &s_[1]);
    EXPECT_EQ((Order{3}), Turns(1));
    quic_scheduler_add(&sched_, &s_[2]);
    EXPECT_EQ((Order{2}), Turns(1));
    quic_scheduler_remove(&sched_, &s_[2]);
    quic_scheduler_remove(&sched_, &s_[3]);
    EXPECT_EQ((Order{4}), Turns(1));
    quic_scheduler_remove(&sched_, &s_[4]);
    EXPECT_TRUE(quic_scheduler_is_empty(&sched_));
}

TEST_F(Scheduler, IncrementalStreamsTakeTurns)
{
    for (size_t i = 0; i < 3; i++) {
        Add(i, 3, true);
    }
    EXPECT_EQ((Order{0, 1, 2, 0, 1, 2, 0}), Turns(7));
}

TEST_F(Scheduler, ATurnIsSoManyBytes)
{
    Add(0, 3, true);
    Add(1, 3, true);
    const uint32_t third = QUIC_SCHEDULER_TURN_BYTES / 3 + 1;
    Order order;
    for (int i = 0; i < 9; i++) {
        order.push_back(Train(third));
    }
    EXPECT_EQ((Order{0, 0, 0, 1, 1, 1, 0, 0, 0}), order);
}

// A train of 64 KiB is four turns: the other stream has as many before.
TEST_F(Scheduler, WhatWasTooMuchIsMadeUpFor)
{
    Add(0, 3, true);
    Add(1, 3, true);
    uint64_t sent[2] = {0, 0};
    for (int i = 0; i < 2000; i++) { // long and short trains in lockstep
        const uint32_t bytes = i % 2 == 0 ? 65000 : 1200;
        sent[Train(bytes)] += bytes;
        const uint64_t apart = sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0];
        ASSERT_LE(apart, 65000u + 2 * QUIC_SCHEDULER_TURN_BYTES);
    }
}

TEST_F(Scheduler, AloneAStreamOwesNothing)
{
    Add(0, 3, true);
    for (int i = 0; i < 1000; i++) {
        Train(65000);
    }
    Add(1, 3, true);
    Order order;
    for (int i = 0; i < 6; i++) {
        order.push_back(Train(QUIC_SCHEDULER_TURN_BYTES));
    }
    EXPECT_EQ((Order{0, 1, 0, 1, 0, 1}), order);
}

TEST_F(Scheduler, LowerUrgencyNumbersGoFirst) // RFC 9218 4.1
{
    for (size_t i = 0; i < 4; i++) {
        Add(i, static_cast<uint8_t>(7 - i), true);
    }
    EXPECT_EQ((Order{3, 3}), Turns(2));
    quic_scheduler_set_priority(&sched_, &s_[0], 0, false); // while queued
    EXPECT_EQ((Order{0, 0}), Turns(2));
    quic_scheduler_set_priority(&sched_, &s_[0], 200, false);
    EXPECT_EQ(7u, s_[0].urgency);
    EXPECT_EQ((Order{3}), Turns(1));
    EXPECT_EQ(4u, sched_.count);
}

// Whoever is interrupted by urgent streams again and again, still has its turn only, not every one.
TEST_F(Scheduler, UrgentStreamsDoNotProlongATurn)
{
    Add(0, 3, true);
    Add(1, 3, true);
    uint64_t sent[2] = {0, 0};
    for (int i = 0; i < 100; i++) {
        Add(5, 0, true);
        EXPECT_EQ(5u, Train(100));
        quic_scheduler_remove(&sched_, &s_[5]);
        sent[Train(8000)] += 8000;
    }
    EXPECT_NEAR(static_cast<double>(sent[0]), static_cast<double>(sent[1]), 24000);
}

TEST_F(Scheduler, BesideIncrementalStreamsAnotherHasEveryOtherTurn) // RFC 9218 10: nobody starves
{
    Add(0, 3, true);
    Add(1, 3, false);
    Add(4, 3, false); // and waits for the one before it
    Add(2, 3, true);
    Add(3, 4, true);
    EXPECT_EQ((Order{0, 1, 2, 1, 0, 1, 2, 1}), Turns(8));
    quic_scheduler_remove(&sched_, &s_[1]);
    EXPECT_EQ((Order{0, 4, 2}), Turns(3));
    EXPECT_EQ((Order{4}), Turns(1));
    quic_scheduler_add(&sched_, &s_[1]); // comes back while another one has a turn in between
    EXPECT_EQ((Order{0, 1, 2, 1}), Turns(4));
    quic_scheduler_remove(&sched_, &s_[0]);
    quic_scheduler_remove(&sched_, &s_[2]);
    EXPECT_EQ((Order{1, 1, 1}), Turns(3));
    Add(0, 3, true); // what was sent alone is not made up for
    EXPECT_EQ((Order{1, 0, 1, 0}), Turns(4));
}

// What a long train was too much, the others have in turns.
TEST_F(Scheduler, BothKindsGetTheSame)
{
    Add(0, 3, false);
    Add(1, 3, true);
    uint64_t sent[2] = {0, 0};
    for (int i = 0; i < 2000; i++) {
        const uint32_t bytes = i % 2 == 0 ? 65000 : 1200;
        sent[Train(bytes)] += bytes;
        const uint64_t apart = sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0];
        ASSERT_LE(apart, 65000u + 2 * QUIC_SCHEDULER_TURN_BYTES);
    }
}

// Behind so many that go in order only those at the end are looked at.
TEST_F(Scheduler, ManyInOrderStarveNobody) // RFC 9218 10
{
    std::vector<quic_stream> many(100);
    for (size_t i = 0; i < many.size(); i++) {
        quic_stream_init(&many[i], &memory_.mem, 4 * (10 + i), 1);
        quic_scheduler_add(&sched_, &many[i]);
    }
    Add(0, 3, true);
    EXPECT_EQ((Order{10, 0, 10, 0, 10}), Turns(5));
    Add(1, 3, true);
    EXPECT_EQ((Order{0, 10, 1, 10, 0, 10, 1, 10}), Turns(8));
    std::vector<quic_stream> later(30);
    for (size_t i = 0; i < later.size(); i++) {
        quic_stream_init(&later[i], &memory_.mem, 4 * (200 + i), 1);
        quic_scheduler_add(&sched_, &later[i]);
    }
    EXPECT_EQ((Order{0, 10, 1, 10, 0, 10, 1}), Turns(7));
    while (!quic_scheduler_is_empty(&sched_)) {
        quic_scheduler_remove(&sched_, quic_scheduler_next(&sched_));
    }
}

// Of short ones that go in order there may always be more: they have one turn.
TEST_F(Scheduler, ShortOnesInOrderHaveOneTurn) // RFC 9218 10
{
    std::vector<quic_stream> shorts(100);
    for (size_t i = 0; i < shorts.size(); i++) {
        quic_stream_init(&shorts[i], &memory_.mem, 4 * (10 + i), 1);
        quic_scheduler_add(&sched_, &shorts[i]);
    }
    Add(0, 3, true);
    uint64_t in_order = 0;
    uint64_t shared = 0;
    while (sched_.count > 1) {
        quic_stream *s = quic_scheduler_next(&sched_);
        if (s == &s_[0]) {
            s->send.next_off += QUIC_SCHEDULER_TURN_BYTES;
            shared += QUIC_SCHEDULER_TURN_BYTES;
        } else {
            s->send.next_off += 3000; // all it has
            in_order += 3000;
            quic_scheduler_remove(&sched_, s);
        }
        quic_scheduler_end_train(&sched_);
        quic_scheduler_check_invariants(&sched_);
        ASSERT_LE(in_order, shared + 2 * QUIC_SCHEDULER_TURN_BYTES);
        ASSERT_LE(shared, in_order + 3 * QUIC_SCHEDULER_TURN_BYTES);
    }
    EXPECT_EQ(in_order, 300000u);
}

// Nor is it another one because the stream has had nothing to send for a moment.
TEST_F(Scheduler, WhoComesBackGoesOnWithTheTurn) // RFC 9218 10
{
    Add(1, 3, false);
    Add(2, 3, false);
    Add(0, 3, true);
    Order order;
    for (int i = 0; i < 9; i++) {
        quic_stream *s = quic_scheduler_next(&sched_);
        order.push_back(s->id / 4);
        s->send.next_off += s == &s_[0] ? QUIC_SCHEDULER_TURN_BYTES : 6000;
        if (s == &s_[1]) {
            quic_scheduler_remove(&sched_, s);
        }
        quic_scheduler_end_train(&sched_);
        quic_scheduler_add(&sched_, &s_[1]);
        quic_scheduler_check_invariants(&sched_);
    }
    EXPECT_EQ((Order{1, 1, 1, 0, 1, 1, 0, 1, 1}), order);
}

// Whichever is behind whom.
TEST_F(Scheduler, OrderIsKeptBesideIncrementalStreams) // RFC 9218 10
{
    Add(1, 3, false);
    Add(3, 3, false);
    Add(0, 3, true);
    Add(2, 3, false); // its bytes come last
    EXPECT_EQ((Order{1, 0}), Turns(2));
    quic_scheduler_remove(&sched_, &s_[1]);
    EXPECT_EQ((Order{2, 0}), Turns(2));
    quic_scheduler_remove(&sched_, &s_[2]);
    EXPECT_EQ((Order{3, 0, 3, 0}), Turns(4));
}

// Finding a place looks at so many streams at most: then order is given up, not time.
TEST_F(Scheduler, OrderHasABound)
{
    std::vector<quic_stream> many(200);
    for (size_t i = 0; i < many.size(); i++) {
        quic_stream_init(&many[i], &memory_.mem, 4 * i, 1);
        if (i != 0 && i != 100) {
            quic_scheduler_add(&sched_, &many[i]);
        }
    }
    quic_scheduler_add(&sched_, &many[0]); // the front is always found
    EXPECT_EQ((Order{0, 0}), Turns(2));
    quic_scheduler_add(&sched_, &many[100]);
    quic_scheduler_check_invariants(&sched_);
    Order order;
    while (!quic_scheduler_is_empty(&sched_)) {
        quic_stream *s = quic_scheduler_next(&sched_);
        order.push_back(s->id / 4);
        quic_scheduler_remove(&sched_, s);
    }
    EXPECT_EQ(200u, order.size());
    EXPECT_EQ(100u, order[200 - 1 - 64]); // ahead of 64
}

// Every incremental stream of one urgency gets its share, whatever joins and leaves.
TEST_F(Scheduler, IsFair)
{
    Rng rng(7);
    std::map<uint64_t, int> turns;
    for (size_t i = 0; i < 6; i++) {
        Add(i, 3, true);
    }
    for (int i = 0; i < 60000; i++) {
        turns[Turns(1)[0]]++;
        if (rng.OneIn(50)) {
            quic_stream *s = &s_[rng.Below(6)];
            quic_scheduler_remove(&sched_, s);
            quic_scheduler_add(&sched_, s);
        }
    }
    for (const auto &entry : turns) {
        EXPECT_NEAR(10000, entry.second, 400);
    }
    EXPECT_EQ(6u, turns.size());
}

TEST_F(Scheduler, ATurnGoesOnInAnotherPlace)
{
    for (int i = 0; i < 3; i++) {
        Add(i, 3, true);
    }
    EXPECT_EQ(Train(QUIC_SCHEDULER_TURN_BYTES - 1024), 0u);
    quic_scheduler_put_last(&sched_, &s_[0]);
    quic_scheduler_remove(&sched_, &s_[1]);
    quic_scheduler_remove(&sched_, &s_[2]);
    quic_scheduler_resume_first(&sched_, &s_[1], nullptr);
    quic_scheduler_resume_first(&sched_, &s_[2], &s_[1]);  // they keep their order
    quic_scheduler_resume_first(&sched_, &s_[2], nullptr); // it is there already
    quic_scheduler_check_invariants(&sched_);
    Add(4, 2, true);
    Add(5, 3, true);
    quic_scheduler_remove(&sched_, &s_[5]);
    quic_scheduler_resume_first(&sched_, &s_[5], &s_[4]); // of another urgency: in front of its own
    for (int i : {4, 5, 1, 2, 0}) {
        ASSERT_EQ(quic_scheduler_next(&sched_), &s_[i]);
        EXPECT_FALSE(quic_scheduler_turn_is_over(&s_[i]));
        quic_scheduler_remove(&sched_, &s_[i]);
        quic_scheduler_check_invariants(&sched_);
    }
    quic_scheduler_resume(&sched_, &s_[0]);
    Add(1, 3, true);
    EXPECT_EQ(Train(1024), 0u); // all it had left
    EXPECT_EQ(quic_scheduler_next(&sched_), &s_[1]);
}

TEST_F(Scheduler, KnowsWhichOfTwoIsMoreUrgent)
{
    quic_scheduler other;
    quic_scheduler_init(&other);
    EXPECT_FALSE(quic_scheduler_is_more_urgent(&sched_, &other));
    Add(0, 3, true);
    EXPECT_TRUE(quic_scheduler_is_more_urgent(&sched_, &other));
    EXPECT_FALSE(quic_scheduler_is_more_urgent(&other, &sched_));
    s_[1].urgency = 3;
    quic_scheduler_add(&other, &s_[1]);
    EXPECT_FALSE(quic_scheduler_is_more_urgent(&sched_, &other));
    s_[2].urgency = 0;
    quic_scheduler_add(&other, &s_[2]);
    EXPECT_TRUE(quic_scheduler_is_more_urgent(&other, &sched_));
    EXPECT_FALSE(quic_scheduler_is_more_urgent(&sched_, &other));
    quic_scheduler_remove(&other, &s_[2]);
    quic_scheduler_remove(&other, &s_[1]);
}

} // namespace
