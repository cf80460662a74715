/* runtime/core/stack.h: how much stack the calling thread has left, before a stranger's thread runs ours. */
#ifndef RUNTIME_CORE_STACK_H
#define RUNTIME_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rt_stack_has tells whether `bytes` are left. False, too, on a stack that is not the thread's own: of a signal
 * handler, of a coroutine. Cheap after a thread's first call. */
bool rt_stack_has(size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_STACK_H */
