/* quic/crypto/tls_script.h: a handshake without cryptography for simulation and fuzzing.
 *
 * Shape:  the messages and levels of a TLS 1.3 handshake, with bytes that depend only on the seed
 *         and the configuration: ClientHello (a real one, readable by client_hello.h) - ServerHello
 *         - EncryptedExtensions, filler, Finished - client's Finished - optional ticket. Secrets
 *         are hashes of both randoms. Session tickets and 0-RTT as args.tickets asks. No security
 *         whatsoever; linked only into tests.
 * Use:    args.tls_config is a const quic_tls_script_config *, which outlives the handshake;
 *         args.rng gives the randoms.
 */
#ifndef QUIC_CRYPTO_TLS_SCRIPT_H
#define QUIC_CRYPTO_TLS_SCRIPT_H

#include "quic/crypto/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_tls_script_config {
    uint16_t suite;             /* server's choice; 0 = 0x1301 */
    const char *alpn;           /* the one protocol offered or served; NULL = none */
    uint32_t client_hello_len;  /* padded to this if shorter; 0 = 300; at most 8192 */
    uint32_t server_flight_len; /* bytes at HANDSHAKE level, padded; 0 = 3000; at most 16384 */
    uint32_t ticket_len; /* server: bytes of a post-handshake message; 0 = none; at most 8192 */
    uint8_t fail_alert;  /* server: refuse every ClientHello with this alert; 0 = no */
    bool omit_params;    /* leave the transport parameters out */
} quic_tls_script_config;

const quic_tls_vtable *quic_tls_script(void);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_SCRIPT_H */
