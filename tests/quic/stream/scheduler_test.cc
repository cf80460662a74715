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
    // Which streams send in the next `turns` turns.
    std::vector<uint64_t> Turns(int turns)
    {
        std::vector<uint64_t> out;
        for (int i = 0; i < turns; i++) {
            quic_stream *s = quic_scheduler_next(&sched_);
            if (s == nullptr) {
                break;
            }
            out.push_back(s->id / 4);
            quic_scheduler_rotate(&sched_, s);
        }
        return out;
    }
    Memory memory_;
    quic_scheduler sched_;
    quic_stream s_[6];
};

using Order = std::vector<uint64_t>;

TEST_F(Scheduler, StreamsThatAreNotIncrementalGoOneAfterAnother)
{
    EXPECT_EQ(nullptr, quic_scheduler_next(&sched_));
    quic_scheduler_add(&sched_, &s_[1]);
    quic_scheduler_add(&sched_, &s_[0]);
    quic_scheduler_add(&sched_, &s_[1]);
    EXPECT_EQ(2u, sched_.count);
    EXPECT_EQ((Order{1, 1, 1}), Turns(3));
    quic_scheduler_remove(&sched_, &s_[1]);
    quic_scheduler_remove(&sched_, &s_[1]);
    EXPECT_EQ((Order{0, 0}), Turns(2));
    quic_scheduler_remove(&sched_, &s_[0]);
    EXPECT_TRUE(quic_scheduler_is_empty(&sched_));
}

TEST_F(Scheduler, IncrementalStreamsTakeTurns)
{
    for (size_t i = 0; i < 3; i++) {
        quic_scheduler_set_priority(&sched_, &s_[i], 3, true);
        quic_scheduler_add(&sched_, &s_[i]);
    }
    EXPECT_EQ((Order{0, 1, 2, 0, 1, 2, 0}), Turns(7));
}

TEST_F(Scheduler, LowerUrgencyNumbersGoFirst) // RFC 9218 4.1
{
    for (size_t i = 0; i < 4; i++) {
        quic_scheduler_set_priority(&sched_, &s_[i], static_cast<uint8_t>(7 - i), true);
        quic_scheduler_add(&sched_, &s_[i]);
    }
    EXPECT_EQ((Order{3, 3}), Turns(2));
    quic_scheduler_set_priority(&sched_, &s_[0], 0, false); // while queued
    EXPECT_EQ((Order{0, 0}), Turns(2));
    quic_scheduler_set_priority(&sched_, &s_[0], 200, false);
    EXPECT_EQ(7u, s_[0].urgency);
    EXPECT_EQ((Order{3}), Turns(1));
    EXPECT_EQ(4u, sched_.count);
}

// Every incremental stream of one urgency gets its share, whatever joins and leaves.
TEST_F(Scheduler, IsFair)
{
    Rng rng(7);
    std::map<uint64_t, int> turns;
    for (size_t i = 0; i < 6; i++) {
        quic_scheduler_set_priority(&sched_, &s_[i], 3, true);
        quic_scheduler_add(&sched_, &s_[i]);
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

} // namespace
