/* runtime/server/tokens.h: the register that makes NEW_TOKEN tokens single-use, one for all workers of
 * a runtime.
 *
 * Shape:  made by the first listener that gives tokens. A restarted server knows nothing of the uses
 *         before: a token may prove its address once more there, which costs no more than a Retry saved.
 * Owner:  the runtime; made under its lock, freed after the workers ended.
 * Spec:   RFC 9000 8.1.4.
 */
#ifndef RUNTIME_SERVER_TOKENS_H
#define RUNTIME_SERVER_TOKENS_H

#include "quic/crypto/anti_replay.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_TOKENS_SLOTS 262144u /* uses remembered per lifetime: 4 MiB; more count as no token */

typedef struct rt_tokens {
    quic_anti_replay *used; /* in wall-clock time; NULL before the first rt_tokens_open */
    void *memory;
} rt_tokens;

/* rt_tokens_open makes the register, for tokens that live so long, unless it is there. QUIC_E_NOMEM.
 * rt_tokens_close frees it. */
QUIC_NODISCARD quic_rc rt_tokens_open(rt_tokens *tokens, quic_ns lifetime);
void rt_tokens_close(rt_tokens *tokens);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_TOKENS_H */
