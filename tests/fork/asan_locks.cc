/* AddressSanitizer has an allocator with locks of its own, which clang's before version 17 leaves as they are over a
 * fork: a child of a process whose other threads allocate then waits forever for one that nobody holds. What its leak
 * check takes before it stops all threads is taken around each fork, in the same order. Where the sanitizer does not
 * have these functions (gcc's, and later ones of clang, which need no help), nothing is done. */
#if defined(QURING_ASAN)

#include <pthread.h>

namespace __lsan
{
__attribute__((weak)) void LockThreadRegistry();
__attribute__((weak)) void UnlockThreadRegistry();
__attribute__((weak)) void LockAllocator();
__attribute__((weak)) void UnlockAllocator();
} // namespace __lsan

namespace __sanitizer
{
__attribute__((weak)) void StackDepotLockAll();
__attribute__((weak)) void StackDepotUnlockAll();
} // namespace __sanitizer

namespace
{

void before_fork()
{
    __lsan::LockThreadRegistry();
    __lsan::LockAllocator();
    __sanitizer::StackDepotLockAll();
}

void after_fork()
{
    __sanitizer::StackDepotUnlockAll();
    __lsan::UnlockAllocator();
    __lsan::UnlockThreadRegistry();
}

/* The first of all handlers: the last before a fork, and the first after it, as the others may allocate. */
__attribute__((constructor(101))) void keep_locks()
{
    if (__lsan::LockThreadRegistry != nullptr && __lsan::UnlockThreadRegistry != nullptr &&
        __lsan::LockAllocator != nullptr && __lsan::UnlockAllocator != nullptr &&
        __sanitizer::StackDepotLockAll != nullptr && __sanitizer::StackDepotUnlockAll != nullptr) {
        (void)pthread_atfork(before_fork, after_fork, after_fork);
    }
}

} // namespace

#endif
