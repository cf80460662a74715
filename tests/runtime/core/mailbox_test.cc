#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/mailbox.h"

namespace
{

void Nothing(void *)
{
}

rt_mail Numbered(uintptr_t n)
{
    return {Nothing, (void *)n};
}

} // namespace

TEST(Mailbox, KeepsOrderAndRefusesWhenFull)
{
    rt_mailbox *box = rt_mailbox_create();
    rt_mail mail;
    EXPECT_TRUE(rt_mailbox_is_empty(box));
    EXPECT_FALSE(rt_mailbox_pop(box, &mail));
    for (int round = 0; round < 3; round++) {
        for (uintptr_t i = 0; i < RT_MAILBOX_CAP; i++) {
            ASSERT_EQ(rt_mailbox_push(box, Numbered(i)), QUIC_OK);
        }
        EXPECT_EQ(rt_mailbox_push(box, Numbered(0)), QUIC_E_AGAIN);
        EXPECT_FALSE(rt_mailbox_is_empty(box));
        for (uintptr_t i = 0; i < RT_MAILBOX_CAP; i++) {
            ASSERT_TRUE(rt_mailbox_pop(box, &mail));
            ASSERT_EQ((uintptr_t)mail.ctx, i);
        }
        EXPECT_FALSE(rt_mailbox_pop(box, &mail));
    }
    rt_mailbox_destroy(box);
}

TEST(Mailbox, ClosedRefusesButGivesWhatItHolds)
{
    rt_mailbox *box = rt_mailbox_create();
    ASSERT_EQ(rt_mailbox_push(box, Numbered(7)), QUIC_OK);
    rt_mailbox_close(box);
    EXPECT_EQ(rt_mailbox_push(box, Numbered(8)), QUIC_E_STATE);
    rt_mail mail;
    ASSERT_TRUE(rt_mailbox_pop(box, &mail));
    EXPECT_EQ((uintptr_t)mail.ctx, 7u);
    EXPECT_FALSE(rt_mailbox_pop(box, &mail));
    rt_mailbox_destroy(box);
}

TEST(Mailbox, ManyProducersLoseNothingAndKeepTheirOrder)
{
    constexpr uintptr_t kProducers = 4;
    constexpr uintptr_t kEach = 50000;
    rt_mailbox *box = rt_mailbox_create();
    std::vector<std::thread> threads;
    for (uintptr_t p = 0; p < kProducers; p++) {
        threads.emplace_back([box, p] {
            for (uintptr_t i = 0; i < kEach; i++) {
                while (rt_mailbox_push(box, Numbered(p << 32 | i)) != QUIC_OK) {
                    std::this_thread::yield();
                }
            }
        });
    }
    uintptr_t next[kProducers] = {};
    for (uintptr_t got = 0; got < kProducers * kEach;) {
        rt_mail mail;
        if (!rt_mailbox_pop(box, &mail)) {
            std::this_thread::yield();
            continue;
        }
        uintptr_t p = (uintptr_t)mail.ctx >> 32;
        ASSERT_LT(p, kProducers);
        ASSERT_EQ((uintptr_t)mail.ctx & 0xffffffff, next[p]);
        next[p]++;
        got++;
    }
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_TRUE(rt_mailbox_is_empty(box));
    rt_mailbox_destroy(box);
}

TEST(Mailbox, WhatWasAcceptedBeforeACloseIsThere)
{
    for (int round = 0; round < 50; round++) {
        rt_mailbox *box = rt_mailbox_create();
        std::atomic<uint32_t> accepted{0};
        std::vector<std::thread> threads;
        for (int p = 0; p < 3; p++) {
            threads.emplace_back([&] {
                while (rt_mailbox_push(box, Numbered(1)) != QUIC_E_STATE) {
                    accepted++;
                }
            });
        }
        std::this_thread::yield();
        rt_mailbox_close(box);
        for (std::thread &t : threads) {
            t.join();
        }
        uint32_t popped = 0;
        for (rt_mail mail; rt_mailbox_pop(box, &mail);) {
            popped++;
        }
        EXPECT_LE(popped, RT_MAILBOX_CAP);
        EXPECT_LE(popped, accepted.load()); // a refusal for fullness counts as accepted above
        EXPECT_GE(popped, accepted.load() < RT_MAILBOX_CAP ? accepted.load() : RT_MAILBOX_CAP);
        rt_mailbox_destroy(box);
    }
}
