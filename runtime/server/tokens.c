#include "runtime/server/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "quic/crypto/token.h"
#include "runtime/core/clock.h"
#include "runtime/core/random.h"

quic_rc rt_tokens_open(rt_tokens *tokens, quic_ns lifetime)
{
    uint8_t key[16];
    if (tokens->memory != NULL) {
        return QUIC_OK;
    }
    void *memory = calloc(1, quic_anti_replay_size(RT_TOKENS_SLOTS));
    if (memory == NULL) {
        return QUIC_E_NOMEM;
    }
    rt_random_fill(key, sizeof(key));
    tokens->used = quic_anti_replay_init(memory, RT_TOKENS_SLOTS, lifetime + QUIC_TOKEN_SKEW_NS,
                                         key, 0, rt_clock_now() + rt_clock_wall_offset());
    explicit_bzero(key, sizeof(key));
    tokens->memory = memory;
    return QUIC_OK;
}

void rt_tokens_close(rt_tokens *tokens)
{
    free(tokens->memory);
    memset(tokens, 0, sizeof(*tokens));
}
