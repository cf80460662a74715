/* quic/crypto/hash.h: SipHash-2-4, the keyed hash of tables that peers may aim at.
 *
 * Owner:  none; pure function.    Not for authentication: see reset_token.h and token.h.
 */
#ifndef QUIC_CRYPTO_HASH_H
#define QUIC_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* quic_siphash hashes `len` bytes (data may be NULL when len is 0) under 16 random bytes.
 * Returns 64 uniformly distributed bits. Cost: about 20 ns for a connection ID. */
uint64_t quic_siphash(const uint8_t key[16], const void *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_HASH_H */
