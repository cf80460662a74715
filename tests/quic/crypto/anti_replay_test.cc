#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/crypto/anti_replay.h"

namespace
{

constexpr quic_ns kWindow = QUIC_NS_PER_S;
constexpr quic_ns kStart = 1000 * QUIC_NS_PER_S;
const uint8_t kKey[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

class Register
{
  public:
    explicit Register(uint32_t slots, quic_ns accept_from = 0, quic_ns window = kWindow)
        : memory_(quic_anti_replay_size(slots) / 8),
          ar_(quic_anti_replay_init(memory_.data(), slots, window, kKey, accept_from, kStart))
    {
    }
    quic_rc Take(uint64_t id, quic_ns issued, quic_ns now)
    {
        return quic_anti_replay_take(ar_, reinterpret_cast<const uint8_t *>(&id), sizeof(id),
                                     issued, now);
    }
    quic_anti_replay *get()
    {
        return ar_;
    }

  private:
    std::vector<uint64_t> memory_;
    quic_anti_replay *ar_;
};

TEST(AntiReplay, EachIdOnce)
{
    Register r(1024);
    ASSERT_NE(r.get(), nullptr);
    for (uint64_t id = 0; id < 500; id++) {
        EXPECT_EQ(r.Take(id, kStart, kStart), QUIC_OK);
        EXPECT_EQ(r.Take(id, kStart, kStart), QUIC_E_DROP);
    }
    for (uint64_t id = 0; id < 500; id++) {
        EXPECT_EQ(r.Take(id, kStart, kStart + kWindow), QUIC_E_DROP) << "the next generation";
    }
}

TEST(AntiReplay, OnlyWhatIsFresh)
{
    Register r(64, kStart + 5);
    EXPECT_EQ(r.Take(1, kStart + 4, kStart + 10), QUIC_E_STATE) << "before accept_from";
    EXPECT_EQ(r.Take(1, kStart + 11, kStart + 10), QUIC_E_STATE) << "from the future";
    EXPECT_EQ(r.Take(1, kStart + 9, kStart + 10 + kWindow), QUIC_E_STATE) << "too old";
    EXPECT_EQ(r.Take(1, kStart + 10, kStart + 10 + kWindow), QUIC_OK) << "just in time";
    EXPECT_EQ(r.Take(1, kStart + 10, kStart + 10 + kWindow), QUIC_E_DROP);
}

/* A thread whose clock lags behind a generation that another one began. */
TEST(AntiReplay, LaggingClock)
{
    Register r(64);
    EXPECT_EQ(r.Take(1, kStart, kStart + kWindow - 2), QUIC_OK);
    EXPECT_EQ(r.Take(2, kStart + kWindow, kStart + kWindow + 2), QUIC_OK);
    EXPECT_EQ(r.Take(1, kStart, kStart + kWindow - 1), QUIC_E_DROP);
    EXPECT_EQ(r.Take(3, kStart, kStart + kWindow - 1), QUIC_OK);
    EXPECT_EQ(r.Take(3, kStart, kStart + kWindow - 1), QUIC_E_DROP);
    EXPECT_EQ(r.Take(4, kStart + 3 * kWindow, kStart + 3 * kWindow), QUIC_OK);
    EXPECT_EQ(r.Take(1, kStart, kStart + kWindow - 1), QUIC_E_STATE) << "forgotten, so stale";
}

TEST(AntiReplay, FullMeansNo)
{
    Register r(64);
    std::set<uint64_t> taken;
    for (uint64_t id = 0; id < 1000; id++) {
        const quic_rc rc = r.Take(id, kStart, kStart);
        ASSERT_TRUE(rc == QUIC_OK || rc == QUIC_E_LIMIT);
        if (rc == QUIC_OK) {
            taken.insert(id);
        }
    }
    EXPECT_EQ(taken.size(), 64u) << "a probe reaches every slot of the smallest table";
    for (uint64_t id = 0; id < 1000; id++) {
        EXPECT_EQ(r.Take(id, kStart, kStart), taken.count(id) != 0 ? QUIC_E_DROP : QUIC_E_LIMIT);
    }
    EXPECT_EQ(r.Take(5000, kStart + kWindow, kStart + kWindow), QUIC_OK) << "the other table";
    EXPECT_EQ(r.Take(5001, kStart + 2 * kWindow, kStart + 2 * kWindow), QUIC_OK) << "reused";
}

TEST(AntiReplay, HalfFullNeverRefuses)
{
    Register r(1u << 16);
    for (uint64_t gen = 0; gen < 4; gen++) {
        const quic_ns now = kStart + gen * kWindow;
        for (uint64_t i = 0; i < 1u << 15; i++) {
            ASSERT_EQ(r.Take(gen << 32 | i, now, now), QUIC_OK) << gen << " " << i;
        }
    }
}

TEST(AntiReplay, WrongArguments)
{
    std::vector<uint64_t> memory(quic_anti_replay_size(64) / 8 + 1);
    EXPECT_EQ(quic_anti_replay_size(0), 0u);
    EXPECT_EQ(quic_anti_replay_size(32), 0u);
    EXPECT_EQ(quic_anti_replay_size(100), 0u);
    EXPECT_EQ(quic_anti_replay_size(2 * QUIC_ANTI_REPLAY_SLOTS_MAX), 0u);
    EXPECT_GT(quic_anti_replay_size(QUIC_ANTI_REPLAY_SLOTS_MAX), 16u * QUIC_ANTI_REPLAY_SLOTS_MAX);
    EXPECT_EQ(quic_anti_replay_init(memory.data(), 65, kWindow, kKey, 0, 0), nullptr);
    EXPECT_EQ(quic_anti_replay_init(memory.data(), 64, 1, kKey, 0, 0), nullptr);
    uint8_t *odd = reinterpret_cast<uint8_t *>(memory.data()) + 1;
    EXPECT_EQ(quic_anti_replay_init(odd, 64, kWindow, kKey, 0, 0), nullptr);
}

/* Against a model: a random walk through time and ids accepts no id twice, and refuses a fresh unused
 * one only when full. */
TEST(AntiReplay, RandomWalk)
{
    quic_rng_seeded_state state = {77};
    quic_rng rng = quic_rng_seeded(&state);
    Register r(4096, 0, 1000 * QUIC_NS_PER_MS);
    struct Issued {
        uint64_t id;
        quic_ns at;
        bool used;
    };
    std::vector<Issued> ids;
    quic_ns now = kStart;
    for (int i = 0; i < 200000; i++) {
        now += quic_rng_u64(&rng) % (2 * QUIC_NS_PER_MS);
        if (quic_rng_u64(&rng) % 1000 == 0) {
            now += quic_rng_u64(&rng) % (3 * kWindow);
        }
        if (ids.empty() || quic_rng_u64(&rng) % 2 == 0) {
            ids.push_back({quic_rng_u64(&rng), now, false});
        }
        const size_t back = quic_rng_u64(&rng) % 3000;
        Issued &one = ids[ids.size() - 1 - (back < ids.size() ? back : 0)];
        const bool fresh = now - one.at <= kWindow;
        const quic_rc rc = r.Take(one.id, one.at, now);
        ASSERT_EQ(rc, !fresh ? QUIC_E_STATE : one.used ? QUIC_E_DROP : QUIC_OK) << i;
        one.used = one.used || rc == QUIC_OK;
    }
}

/* All threads race for the same ids, a few apart, while generations pass and clocks disagree: never two
 * winners, and none only where a generation begins. */
TEST(AntiReplayThreads, OneWinnerPerId)
{
    constexpr unsigned kThreads = 4;
    constexpr uint64_t kIds = 10000;
    constexpr uint64_t kApart = 100;
    constexpr quic_ns kStep = QUIC_ANTI_REPLAY_WINDOW_MIN / 500; /* 500 ids per window */
    Register r(2048, 0, QUIC_ANTI_REPLAY_WINDOW_MIN);
    std::vector<std::atomic<int>> winners(kIds);
    std::vector<std::atomic<uint64_t>> reached(kThreads);
    std::atomic<int> strange{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            for (uint64_t id = 0; id < kIds; id++) {
                reached[t] = id;
                for (const std::atomic<uint64_t> &other : reached) {
                    while (other + kApart < id) {
                        std::this_thread::yield();
                    }
                }
                const quic_ns issued = kStart + id * kStep;
                const quic_rc rc = r.Take(id, issued, issued + t * 7 * kStep);
                winners[id] += rc == QUIC_OK;
                strange += rc != QUIC_OK && rc != QUIC_E_DROP;
            }
            reached[t] = UINT64_MAX / 2;
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(strange.load(), 0);
    uint64_t without = 0;
    for (uint64_t id = 0; id < kIds; id++) {
        ASSERT_LE(winners[id].load(), 1) << id;
        without += winners[id].load() == 0;
    }
    EXPECT_LE(without, kIds / 100);
}

} // namespace
