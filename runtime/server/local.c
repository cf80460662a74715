#include "runtime/server/local.h"

#include <stdatomic.h>

__thread rt_local *rt_local_self __attribute__((tls_model("initial-exec"))) = NULL;
__thread bool rt_local_stands_in = false;

/* 0: free, otherwise worker index + 1. The only mutable global of the runtime: handles have to be
 * told apart over all runtimes of the process. */
static _Atomic uint8_t rt_tags[RT_TAG_COUNT];

/* Where the next search starts: a tag given back is reused as late as possible. */
static _Atomic uint32_t rt_tag_next;

uint32_t rt_tag_acquire(uint32_t worker_index)
{
    for (uint32_t tried = 0; tried < RT_TAG_COUNT; tried++) {
        uint32_t tag = atomic_fetch_add(&rt_tag_next, 1u) % RT_TAG_COUNT;
        uint8_t expected = 0;
        if (tag != 0 &&
            atomic_compare_exchange_strong(&rt_tags[tag], &expected, (uint8_t)(worker_index + 1))) {
            return tag;
        }
    }
    return 0;
}

void rt_tag_release(uint32_t tag)
{
    if (tag != 0 && tag < RT_TAG_COUNT) {
        atomic_store(&rt_tags[tag], 0);
    }
}

void rt_tag_release_all(void)
{
    for (uint32_t tag = 1; tag < RT_TAG_COUNT; tag++) {
        rt_tag_release(tag);
    }
}

uint32_t rt_tag_worker(uint32_t tag)
{
    uint8_t entry = tag < RT_TAG_COUNT ? atomic_load(&rt_tags[tag]) : 0;
    return entry == 0 ? 0 : (uint32_t)entry - 1;
}

int quring_worker_self(void)
{
    return rt_local_self != NULL ? (int)rt_local_self->index : -1;
}

uint32_t quring_conn_worker(quring_conn conn)
{
    return rt_tag_worker((uint32_t)(conn.handle >> RT_HANDLE_TAG_SHIFT));
}
