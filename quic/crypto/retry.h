/* quic/crypto/retry.h: the integrity tag of Retry packets. Pure functions.
 * Spec: RFC 9001 5.8, RFC 9369 3.3.3. */
#ifndef QUIC_CRYPTO_RETRY_H
#define QUIC_CRYPTO_RETRY_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_RETRY_PACKET_LEN_MAX 2048u /* longer packets are neither made nor believed */

/* quic_retry_tag_make computes the tag of a Retry packet of `version` and of `len` bytes (header and
 * token, without the tag) that answers an Initial sent to `original_dcid`.
 * Returns QUIC_OK; QUIC_E_INVAL (len above the maximum, version neither 1 nor 2); QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_retry_tag_make(uint8_t out[QUIC_AEAD_TAG_LEN], uint32_t version,
                                           const quic_cid *original_dcid, const uint8_t *packet,
                                           size_t len);

/* quic_retry_tag_check says whether the last 16 of `len` bytes are the right tag; constant time. */
bool quic_retry_tag_check(uint32_t version, const quic_cid *original_dcid, const uint8_t *packet,
                          size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_RETRY_H */
