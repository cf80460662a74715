#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/handles.h"
#include "quic/base/rng.h"
#include "tests/quic/base/test_mem.h"

namespace
{

class HandlesTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_handles_init(&handles, &tm.mem, 7, 40);
    }

    void TearDown() override
    {
        quic_handles_deinit(&handles);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    test_mem tm;
    quic_handles handles;
};

TEST_F(HandlesTest, FindsWhatItNamed)
{
    int value = 0;
    uint64_t handle = 0;
    ASSERT_EQ(quic_handles_add(&handles, &handle, &value), QUIC_OK);
    EXPECT_NE(handle, 0u);
    EXPECT_EQ(quic_handle_worker(handle), 7);
    EXPECT_NE(quic_handle_generation(handle), 0u);
    EXPECT_EQ(quic_handles_get(&handles, handle), &value);
    EXPECT_EQ(quic_handles_get(&handles, 0), nullptr);
    EXPECT_EQ(quic_handles_get(&handles, UINT64_MAX), nullptr);
    EXPECT_EQ(quic_handles_get(&handles, handle ^ 1ull << 56), nullptr) << "another worker's";
    EXPECT_EQ(quic_handles_get(&handles, handle + (1ull << 32)), nullptr) << "another generation";
    EXPECT_EQ(quic_handles_remove(&handles, handle), &value);
    EXPECT_EQ(quic_handles_get(&handles, handle), nullptr);
    EXPECT_EQ(quic_handles_remove(&handles, handle), nullptr);
}

TEST_F(HandlesTest, BoundsAndRefusals)
{
    int value = 0;
    uint64_t handle = 0;
    tm.refuse = true;
    EXPECT_EQ(quic_handles_add(&handles, &handle, &value), QUIC_E_NOMEM);
    tm.refuse = false;
    std::vector<uint64_t> all;
    for (int i = 0; i < 40; i++) {
        ASSERT_EQ(quic_handles_add(&handles, &handle, &value), QUIC_OK);
        all.push_back(handle);
    }
    EXPECT_EQ(quic_handles_add(&handles, &handle, &value), QUIC_E_LIMIT);
    EXPECT_EQ(quic_handles_remove(&handles, all[3]), &value);
    EXPECT_EQ(quic_handles_add(&handles, &handle, &value), QUIC_OK);
    EXPECT_EQ(quic_handle_index(handle), quic_handle_index(all[3]));
    EXPECT_NE(handle, all[3]);
}

TEST_F(HandlesTest, GenerationSkipsZero)
{
    quic_handles one;
    quic_handles_init(&one, &tm.mem, 0, 1);
    int value = 0;
    uint64_t handle = 0;
    ASSERT_EQ(quic_handles_add(&one, &handle, &value), QUIC_OK);
    ASSERT_NE(quic_handles_remove(&one, handle), nullptr);
    one.slots[0].generation = 0xffffff;
    ASSERT_EQ(quic_handles_add(&one, &handle, &value), QUIC_OK);
    EXPECT_EQ(handle, 0xffffffull << 32);
    ASSERT_NE(quic_handles_remove(&one, handle), nullptr);
    ASSERT_EQ(quic_handles_add(&one, &handle, &value), QUIC_OK);
    EXPECT_EQ(handle, 1ull << 32);
    quic_handles_deinit(&one);
}

TEST_F(HandlesTest, MatchesANaiveModel)
{
    quic_rng_seeded_state state = {99};
    quic_rng rng = quic_rng_seeded(&state);
    std::vector<int> values(40);
    std::map<uint64_t, void *> live;
    std::set<uint64_t> dead;
    for (int step = 0; step < 20000; step++) {
        if (quic_rng_u64(&rng) % 2 == 0) {
            uint64_t handle = 0;
            void *value = &values[quic_rng_u64(&rng) % values.size()];
            quic_rc rc = quic_handles_add(&handles, &handle, value);
            ASSERT_EQ(rc, live.size() < 40 ? QUIC_OK : QUIC_E_LIMIT);
            if (rc == QUIC_OK) {
                ASSERT_EQ(live.count(handle) + dead.count(handle), 0u);
                live[handle] = value;
            }
        } else if (!live.empty()) {
            auto it = live.begin();
            std::advance(it, static_cast<long>(quic_rng_u64(&rng) % live.size()));
            ASSERT_EQ(quic_handles_remove(&handles, it->first), it->second);
            dead.insert(it->first);
            live.erase(it);
        }
        ASSERT_EQ(handles.count, live.size());
        for (const auto &entry : live) {
            ASSERT_EQ(quic_handles_get(&handles, entry.first), entry.second);
        }
        if (!dead.empty()) {
            ASSERT_EQ(quic_handles_get(&handles, *dead.rbegin()), nullptr);
            ASSERT_EQ(quic_handles_get(&handles, *dead.begin()), nullptr);
        }
    }
}

} // namespace
