// The small parts of a worker: clock, CPU, heap, randomness.
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/heap_alloc.h"
#include "runtime/core/random.h"

TEST(Clock, RunsForward)
{
    quic_ns a = rt_clock_now();
    quic_ns b = rt_clock_now();
    EXPECT_GE(b, a);
    EXPECT_GT(rt_clock_unix_s(), 1600000000);
}

TEST(Cpu, PinsNamesAndCounts)
{
    EXPECT_GE(rt_cpu_count(), 1u);
    EXPECT_LT(rt_cpu_pin_self(-1), 0);
    EXPECT_LT(rt_cpu_pin_self(1000000), 0);
    std::thread t([] {
        EXPECT_EQ(rt_cpu_pin_self(0), 0);
        rt_cpu_name_self("a name that is much too long");
        char name[32];
        ASSERT_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
        EXPECT_STREQ(name, "a name that is ");
    });
    t.join();
}

TEST(Cpu, ClockOfAnotherThread)
{
    rt_cpu_clock clock = rt_cpu_clock_self();
    uint64_t start = rt_cpu_self_ns();
    while (rt_cpu_self_ns() - start < 5000000) {
    }
    std::thread t([&] { EXPECT_GE(rt_cpu_clock_ns(clock), start + 5000000); });
    t.join();
    rt_cpu_clock ended = 0;
    std::thread u([&] { ended = rt_cpu_clock_self(); });
    u.join(); // the kernel may still be taking it down
    const quic_ns patience = rt_clock_now() + 60 * QUIC_NS_PER_S;
    while (rt_cpu_clock_ns(ended) != 0 && rt_clock_now() < patience) {
        std::this_thread::yield();
    }
    EXPECT_EQ(rt_cpu_clock_ns(ended), 0u);
}

TEST(HeapAlloc, GivesAlignedMemory)
{
    rt_heap heap;
    ASSERT_TRUE(rt_heap_init(&heap));
    quic_allocator a = rt_heap_allocator(&heap);
    for (size_t size : {1, 8, 15, 16, 17, 100, 4096, 70000, 1 << 20}) {
        void *p = a.alloc(a.ctx, size);
        ASSERT_NE(p, nullptr);
        EXPECT_EQ((uintptr_t)p % 16, 0u) << size;
        memset(p, 0xab, size);
        a.free(a.ctx, p, size);
    }
    rt_heap_deinit(&heap);
}

TEST(HeapAlloc, CollectKeepsWhatIsInUse)
{
    rt_heap heap;
    ASSERT_TRUE(rt_heap_init(&heap));
    quic_allocator a = rt_heap_allocator(&heap);
    uint8_t *kept = static_cast<uint8_t *>(a.alloc(a.ctx, 4096));
    void *gone = a.alloc(a.ctx, 4 << 20);
    ASSERT_NE(kept, nullptr);
    ASSERT_NE(gone, nullptr);
    memset(kept, 0xab, 4096);
    memset(gone, 0xab, 4 << 20);
    a.free(a.ctx, gone, 4 << 20);
    rt_heap_collect(&heap);
    EXPECT_EQ(kept[4095], 0xab);
    void *again = a.alloc(a.ctx, 4 << 20);
    ASSERT_NE(again, nullptr);
    memset(again, 0xcd, 4 << 20);
    EXPECT_EQ(kept[0], 0xab);
    a.free(a.ctx, again, 4 << 20);
    a.free(a.ctx, kept, 4096);
    rt_heap_deinit(&heap);
}

TEST(Random, H120_NeverRepeatsAndErasesWhatItGave)
{
    rt_random random;
    rt_random_init(&random);
    quic_rng rng = rt_random_rng(&random);
    std::set<uint64_t> seen;
    for (int i = 0; i < 10000; i++) {
        EXPECT_TRUE(seen.insert(quic_rng_u64(&rng)).second);
    }
    for (uint32_t i = 0; i < random.used; i++) {
        EXPECT_EQ(random.buf[i], 0);
    }
    uint8_t big[1000] = {};
    quic_rng_fill(&rng, big, sizeof(big));
    int zeros = 0;
    for (uint8_t b : big) {
        zeros += b == 0;
    }
    EXPECT_LT(zeros, 50);
    quic_rng_fill(&rng, big, 0);
}
