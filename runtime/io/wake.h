/* runtime/io/wake.h: wakes a worker that sleeps in its I/O back end; costs a busy one nothing.
 *
 * Protocol: the sleeper calls rt_wake_prepare, looks at its queues once more, sleeps, and calls
 *           rt_wake_done. A producer publishes its work first and then calls rt_wake_signal: at most
 *           one of them writes the eventfd, and only while the worker sleeps. Both sides exchange the
 *           same word, so one of the two always sees the other.
 */
#ifndef RUNTIME_IO_WAKE_H
#define RUNTIME_IO_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_wake {
    int fd;            /* eventfd; -1: none (simulation) */
    uint32_t sleeping; /* atomic: 1 from prepare until the first signal or done */
    uint64_t signals;  /* atomic: eventfd writes so far */
} rt_wake;

/* rt_wake_init opens the eventfd unless `without_fd`. Returns 0 or a negative errno. */
int rt_wake_init(rt_wake *wake, bool without_fd);
void rt_wake_deinit(rt_wake *wake);

/* rt_wake_prepare announces sleep; rt_wake_done takes it back. The sleeping thread only. */
void rt_wake_prepare(rt_wake *wake);
void rt_wake_done(rt_wake *wake);

/* rt_wake_signal wakes the worker if it sleeps. Any thread. */
void rt_wake_signal(rt_wake *wake);

/* rt_wake_ring adds one to an eventfd. The thread, which may hold locks, is not cancelled there. */
void rt_wake_ring(int fd);

/* rt_wake_count: eventfd writes so far. Any thread. */
uint64_t rt_wake_count(const rt_wake *wake);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_WAKE_H */
