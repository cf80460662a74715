// How much stack a thread has left, and whose it is.
#include <functional>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/stack.h"

namespace
{

constexpr size_t kKiB = 1024;

void Call(void *ctx)
{
    (*static_cast<std::function<void()> *>(ctx))();
}

// Runs fn on a thread with a stack of `bytes`.
void OnStackOf(size_t bytes, std::function<void()> fn)
{
    pthread_attr_t attr;
    pthread_t thread;
    ASSERT_EQ(pthread_attr_init(&attr), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attr, bytes), 0);
    ASSERT_EQ(pthread_create(
                  &thread, &attr,
                  [](void *ctx) -> void * {
                      Call(ctx);
                      return nullptr;
                  },
                  &fn),
              0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attr);
}

// In steps of 16 KiB; what lies on a thread's stack before it runs, and its least size, are the C library's.
size_t Left()
{
    size_t left = 0;
    while (rt_stack_has(left + 16 * kKiB)) {
        left += 16 * kKiB;
    }
    return left;
}

TEST(Stack, TheFirstThreadAndOthers)
{
    EXPECT_GT(Left(), 64 * kKiB);
    OnStackOf(8192 * kKiB, [] {
        EXPECT_GT(Left(), 4096 * kKiB);
        EXPECT_LE(Left(), 8192 * kKiB);
    });
    OnStackOf(128 * kKiB, [] { EXPECT_LT(Left(), 4096 * kKiB); });
}

// Less is left further down.
__attribute__((noinline)) size_t LeftDeeper()
{
    volatile char room[400 * kKiB];
    room[0] = 0;
    room[sizeof(room) - 1] = room[0];
    return Left();
}

TEST(Stack, WhatIsUsedIsNotLeft)
{
    OnStackOf(8192 * kKiB, [] { EXPECT_LT(LeftDeeper() + 350 * kKiB, Left()); });
}

bool in_handler;

TEST(Stack, NotThatOfASignalHandler)
{
    std::vector<char> memory(256 * kKiB);
    stack_t stack = {};
    stack_t none = {};
    stack.ss_sp = memory.data();
    stack.ss_size = memory.size();
    none.ss_flags = SS_DISABLE;
    ASSERT_EQ(sigaltstack(&stack, nullptr), 0);
    struct sigaction action = {};
    struct sigaction old = {};
    action.sa_handler = [](int) { in_handler = rt_stack_has(1); };
    action.sa_flags = SA_ONSTACK;
    ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    ASSERT_TRUE(rt_stack_has(1));
    in_handler = true;
    raise(SIGUSR1);
    EXPECT_FALSE(in_handler);
    ASSERT_EQ(sigaction(SIGUSR1, &old, nullptr), 0);
    ASSERT_EQ(sigaltstack(&none, nullptr), 0);
}

bool in_coroutine;

TEST(Stack, NotThatOfACoroutine)
{
    std::vector<char> memory(256 * kKiB);
    ucontext_t here;
    ucontext_t there;
    ASSERT_EQ(getcontext(&there), 0);
    there.uc_stack.ss_sp = memory.data();
    there.uc_stack.ss_size = memory.size();
    there.uc_link = &here;
    makecontext(
        &there, [] { in_coroutine = rt_stack_has(1); }, 0);
    in_coroutine = true;
    ASSERT_EQ(swapcontext(&here, &there), 0);
    EXPECT_FALSE(in_coroutine);
}

} // namespace
