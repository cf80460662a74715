/* quic/crypto/self_signed.h: a throw-away certificate for tests and tools.
 *
 * Names:  "localhost", 127.0.0.1, ::1; P-256; valid from one hour before `now_unix_s` for ten days.
 */
#ifndef QUIC_CRYPTO_SELF_SIGNED_H
#define QUIC_CRYPTO_SELF_SIGNED_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SELF_SIGNED_PEM_CAP 4096u

/* quic_self_signed_make writes certificate and private key as 0-terminated PEM text; each buffer
 * holds QUIC_SELF_SIGNED_PEM_CAP bytes, the lengths exclude the final 0. The key comes from
 * BoringSSL's random source. Returns QUIC_OK; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_self_signed_make(char *out_cert_pem, size_t *out_cert_len,
                                             char *out_key_pem, size_t *out_key_len,
                                             uint64_t now_unix_s);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_SELF_SIGNED_H */
