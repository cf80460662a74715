#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/app_timer.h"

namespace
{

void Nothing(void *)
{
}

struct Timers {
    rt_app_timers t;
    Timers()
    {
        rt_app_timers_init(&t);
    }
    ~Timers()
    {
        rt_app_timers_deinit(&t);
    }
    uint64_t Add(quic_ns at, uintptr_t ctx)
    {
        uint64_t id = 0;
        EXPECT_EQ(rt_app_timers_add(&t, &id, at, Nothing, (void *)ctx), QUIC_OK);
        EXPECT_NE(id, 0u);
        return id;
    }
};

} // namespace

TEST(AppTimer, FiresInOrderOfTimeThenOfAdding)
{
    Timers x;
    EXPECT_EQ(rt_app_timers_next(&x.t), QUIC_NS_NEVER);
    x.Add(30, 1);
    x.Add(10, 2);
    x.Add(20, 3);
    x.Add(10, 4);
    EXPECT_EQ(rt_app_timers_next(&x.t), 10u);
    rt_mail mail;
    EXPECT_FALSE(rt_app_timers_pop(&x.t, &mail, 9));
    std::vector<uintptr_t> order;
    while (rt_app_timers_pop(&x.t, &mail, 100)) {
        order.push_back((uintptr_t)mail.ctx);
    }
    EXPECT_EQ(order, (std::vector<uintptr_t>{2, 4, 3, 1}));
}

TEST(AppTimer, IdsDieWithTheirTimer)
{
    Timers x;
    uint64_t id = x.Add(10, 1);
    EXPECT_EQ(rt_app_timers_cancel(&x.t, id), QUIC_OK);
    EXPECT_EQ(rt_app_timers_cancel(&x.t, id), QUIC_E_STATE);
    uint64_t again = x.Add(10, 2); // the same slot
    EXPECT_NE(again, id);
    EXPECT_EQ(rt_app_timers_cancel(&x.t, id), QUIC_E_STATE);
    rt_mail mail;
    ASSERT_TRUE(rt_app_timers_pop(&x.t, &mail, 10));
    EXPECT_EQ(rt_app_timers_cancel(&x.t, again), QUIC_E_STATE);
    EXPECT_EQ(rt_app_timers_cancel(&x.t, 0), QUIC_E_STATE);
    EXPECT_EQ(rt_app_timers_cancel(&x.t, UINT64_MAX), QUIC_E_STATE);
}

TEST(AppTimer, MatchesAModelUnderRandomUse)
{
    Timers x;
    std::mt19937_64 rng(42);
    std::map<std::pair<quic_ns, uintptr_t>, uint64_t> model; // (at, serial) -> id
    uintptr_t serial = 0;
    quic_ns now = 0;
    for (int step = 0; step < 50000; step++) {
        switch (rng() % 4) {
        case 0:
        case 1: {
            quic_ns at = now + rng() % 1000;
            model[{at, serial}] = x.Add(at, serial);
            serial++;
            break;
        }
        case 2:
            if (!model.empty()) {
                auto it = model.lower_bound({now + rng() % 1000, 0});
                if (it == model.end()) {
                    it = model.begin();
                }
                ASSERT_EQ(rt_app_timers_cancel(&x.t, it->second), QUIC_OK);
                model.erase(it);
            }
            break;
        default: {
            now += rng() % 40;
            rt_mail mail;
            while (rt_app_timers_pop(&x.t, &mail, now)) {
                ASSERT_FALSE(model.empty());
                ASSERT_LE(model.begin()->first.first, now);
                ASSERT_EQ((uintptr_t)mail.ctx, model.begin()->first.second);
                model.erase(model.begin());
            }
        }
        }
        ASSERT_EQ(rt_app_timers_next(&x.t),
                  model.empty() ? QUIC_NS_NEVER : model.begin()->first.first);
    }
}
