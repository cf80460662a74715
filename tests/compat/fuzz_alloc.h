/* tests/compat/fuzz_alloc.h: makes allocations of the engine and of the sockets fail.
 *
 * Only in builds that link both into the program and take memory from malloc (the sanitizers'): there the linker
 * sends their calls of malloc, calloc and free here (--wrap). What shared objects allocate is not touched, and nothing
 * of this is part of any object that is installed.
 */
#ifndef TESTS_COMPAT_FUZZ_ALLOC_H
#define TESTS_COMPAT_FUZZ_ALLOC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether this build can do it. */
int fuzz_alloc_can_fail(void);
/* The k-th allocation from now on fails (1: the next), and `count` - 1 behind it; k 0: none does. */
void fuzz_alloc_fail_at(uint64_t k, uint64_t count);
/* How many have failed since the program began. */
uint64_t fuzz_alloc_failed(void);
/* How many are not freed yet. */
int64_t fuzz_alloc_live(void);

#ifdef __cplusplus
}
#endif

#endif /* TESTS_COMPAT_FUZZ_ALLOC_H */
