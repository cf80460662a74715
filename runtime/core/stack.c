#define _GNU_SOURCE 1 /* pthread_getattr_np */

#include "runtime/core/stack.h"

#include <pthread.h>
#include <stdint.h>

typedef struct stack_range {
    uintptr_t low;
    uintptr_t high; /* 0: not looked at yet */
} stack_range;

static _Thread_local stack_range own;

/* A thread whose stack nobody knows has none. */
static stack_range find(void)
{
    stack_range range = {.low = 1, .high = 1};
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) != 0) {
        return range;
    }
    void *low = NULL;
    size_t size = 0;
    if (pthread_attr_getstack(&attr, &low, &size) == 0) {
        range.low = (uintptr_t)low;
        range.high = range.low + size;
    }
    (void)pthread_attr_destroy(&attr);
    return range;
}

bool rt_stack_has(size_t bytes)
{
    if (own.high == 0) {
        own = find();
    }
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return here > own.low && here < own.high && here - own.low >= bytes;
}
