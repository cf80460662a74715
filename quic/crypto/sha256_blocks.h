/* quic/crypto/sha256_blocks.h: SHA-256's compression function, by the CPU's own instructions where it has them and
 * BoringSSL otherwise. Deriving keys is little else, and every connection derives some.
 *
 * Owner:  nobody; any thread.    Spec: FIPS 180-4 6.2.
 */
#ifndef QUIC_CRYPTO_SHA256_BLOCKS_H
#define QUIC_CRYPTO_SHA256_BLOCKS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SHA256_BLOCK_LEN 64u

/* quic_sha256_init sets the initial hash value. quic_sha256_blocks takes `count` whole blocks into `state`. */
void quic_sha256_init(uint32_t state[8]);
void quic_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_SHA256_BLOCKS_H */
