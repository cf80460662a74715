#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/server/local.h"

namespace
{

TEST(Local, TagsAreUniqueAndRememberTheWorker)
{
    std::set<uint32_t> tags;
    for (uint32_t i = 0; i < RT_TAG_COUNT - 1; i++) {
        const uint32_t tag = rt_tag_acquire(i % QURING_WORKERS_MAX);
        ASSERT_NE(tag, 0u);
        EXPECT_TRUE(tags.insert(tag).second);
        EXPECT_EQ(rt_tag_worker(tag), i % QURING_WORKERS_MAX);
    }
    EXPECT_EQ(rt_tag_acquire(0), 0u);
    const uint32_t one = *tags.begin();
    rt_tag_release(one);
    EXPECT_EQ(rt_tag_acquire(5), one);
    for (uint32_t tag : tags) {
        rt_tag_release(tag);
    }
    rt_tag_release(0);
    EXPECT_EQ(rt_tag_worker(0), 0u);
    EXPECT_EQ(rt_tag_worker(9999), 0u);
}

TEST(Local, HandlesGoThereAndBack)
{
    rt_local local = {};
    local.index = 3;
    local.tag = 200;
    const uint64_t core = (3ull << 56) | (0x123456ull << 32) | 0x89abcdefu;
    const uint64_t handle = rt_handle_public(&local, core);
    EXPECT_EQ(handle >> 56, 200u);
    uint64_t back = 0;
    EXPECT_EQ(rt_handle_core(&back, &local, handle), QURING_OK);
    EXPECT_EQ(back, core);
}

TEST(Local, ForeignHandlesAndThreadsAreToldApart)
{
    rt_local local = {};
    local.index = 0;
    local.tag = 7;
    uint64_t core = 0;
    EXPECT_EQ(rt_handle_core(&core, nullptr, 7ull << 56 | 1), QURING_E_THREAD);
    EXPECT_EQ(rt_handle_core(&core, &local, 8ull << 56 | 1), QURING_E_THREAD);
    EXPECT_EQ(rt_handle_core(&core, &local, 0), QURING_E_STATE);
    EXPECT_EQ(quring_worker_self(), -1);
}

TEST(Local, TheCurrentWorkerIsPerThread)
{
    rt_local local = {};
    local.index = 2;
    std::thread([&local] {
        rt_local_self = &local;
        EXPECT_EQ(quring_worker_self(), 2);
    }).join();
    EXPECT_EQ(quring_worker_self(), -1);
}

} // namespace
