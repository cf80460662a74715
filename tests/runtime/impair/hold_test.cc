#include <random>

#include <gtest/gtest.h>

#include "runtime/impair/hold.h"

namespace
{

TEST(Hold, GivesBackByTimeThenByOrder)
{
    rt_hold hold;
    rt_hold_init(&hold, 64u << 20);
    std::mt19937 random(1);
    for (uint32_t i = 0; i < 5000; i++) {
        rt_held like{};
        like.at_ns = random() % 100;
        ASSERT_NE(rt_hold_add(&hold, &like, reinterpret_cast<const uint8_t *>(&i), sizeof(i)),
                  nullptr);
    }
    quic_ns at = 0;
    uint32_t number = 0;
    while (hold.count > 0) {
        quic_ns next = rt_hold_next(&hold);
        rt_held *held = rt_hold_take(&hold);
        uint32_t i;
        ASSERT_EQ(held->len, sizeof(i));
        memcpy(&i, held->data, sizeof(i));
        EXPECT_EQ(held->at_ns, next);
        ASSERT_GE(held->at_ns, at);
        if (held->at_ns == at) {
            ASSERT_GE(i, number);
        }
        at = held->at_ns;
        number = i;
        rt_hold_free(&hold, held);
    }
    EXPECT_EQ(hold.bytes, 0u);
    EXPECT_EQ(rt_hold_next(&hold), QUIC_NS_NEVER);
    rt_hold_deinit(&hold);
}

TEST(Hold, RefusesBeyondItsBoundAndGoesOnAfterwards)
{
    rt_hold hold;
    uint8_t data[1000] = {};
    rt_held like{};
    rt_hold_init(&hold, 10000);
    int held = 0;
    while (rt_hold_add(&hold, &like, data, sizeof(data)) != nullptr) {
        held++;
        ASSERT_LE(hold.bytes, 10000u);
    }
    EXPECT_GE(held, 8);
    EXPECT_LE(held, 9);
    rt_hold_free(&hold, rt_hold_take(&hold));
    EXPECT_NE(rt_hold_add(&hold, &like, data, sizeof(data)), nullptr);
    rt_hold_deinit(&hold); /* what is left does not leak: asan looks */
}

} // namespace
