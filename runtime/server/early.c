#include "runtime/server/early.h"

#include <stdlib.h>
#include <string.h>

#include "quic/crypto/anti_replay.h"
#include "runtime/core/clock.h"
#include "runtime/core/random.h"

quic_rc rt_early_open(rt_early *early)
{
    uint8_t key[16];
    if (early->memory != NULL) {
        return QUIC_OK;
    }
    void *memory = calloc(1, quic_anti_replay_size(RT_EARLY_SLOTS));
    if (memory == NULL) {
        return QUIC_E_NOMEM;
    }
    rt_random_fill(key, sizeof(key));
    /* Nothing issued before this register is let in: its id says so. */
    early->gate.replay =
        quic_anti_replay_init(memory, RT_EARLY_SLOTS, RT_EARLY_WINDOW_NS, key, 0, rt_clock_now());
    explicit_bzero(key, sizeof(key));
    do {
        rt_random_fill(&early->gate.id, sizeof(early->gate.id));
    } while (early->gate.id == 0);
    early->memory = memory;
    return QUIC_OK;
}

void rt_early_close(rt_early *early)
{
    free(early->memory);
    memset(early, 0, sizeof(*early));
}
