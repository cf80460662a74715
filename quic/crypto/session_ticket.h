/* quic/crypto/session_ticket.h: how a server's session tickets are sealed: any worker, and a
 * restarted server with the same root secret, opens what another one made.
 *
 * Format: nonce (24) | XChaCha20-Poly1305(register (8) | issued (8) | version (4) | session). The nonce is random
 *         and names the ticket. The stamp is what 0-RTT needs (RFC 8446 8): which register of used
 *         tickets knows about this one, and its age.
 * Owner:  an endpoint keeps the keys, derived once from the root secret; immutable afterwards.
 * Spec:   RFC 8446 4.6.1, 8; RFC 9001 4.5, 4.6; RFC 5077 5.
 */
#ifndef QUIC_CRYPTO_SESSION_TICKET_H
#define QUIC_CRYPTO_SESSION_TICKET_H

#include "quic/base/rng.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_TICKET_ID_LEN   24u
#define QUIC_TICKET_OVERHEAD (QUIC_TICKET_ID_LEN + 20u + QUIC_AEAD_TAG_LEN)
#define QUIC_TICKET_LEN_MAX  65535u /* RFC 8446 4.6.1 */

typedef struct quic_ticket_keys {
    uint8_t current[32]; /* makes tickets, opens them */
    uint8_t previous[32];
    bool has_previous; /* `previous` opens tickets, too */
} quic_ticket_keys;

/* What a ticket says besides the session. */
typedef struct quic_ticket_stamp {
    uint64_t register_id; /* of the register that makes its 0-RTT single-use; 0: none */
    quic_ns issued;
    uint32_t version; /* of the connection that gave it: good for no other one (RFC 9369 5) */
} quic_ticket_stamp;

/* quic_ticket_keys_derive derives the keys from the root secret; there is no previous one.
 * quic_ticket_keys_rotate makes tickets with a new root secret from now on; those of the one before
 * it still open. */
void quic_ticket_keys_derive(quic_ticket_keys *keys, const uint8_t root_secret[32]);
void quic_ticket_keys_rotate(quic_ticket_keys *keys, const uint8_t root_secret[32]);

/* quic_ticket_seal writes the ticket for `session` (len bytes) to `out`, len + QUIC_TICKET_OVERHEAD
 * bytes; `out` and `session` may be equal. Allocates for the call.
 * Returns QUIC_OK; QUIC_E_LIMIT (cap, or QUIC_TICKET_LEN_MAX); QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_ticket_seal(const quic_ticket_keys *keys, uint8_t *out, size_t *out_len,
                                        size_t cap, const quic_ticket_stamp *stamp,
                                        const uint8_t *session, size_t len, const quic_rng *rng);

/* quic_ticket_open is the reverse. Returns QUIC_OK; QUIC_E_DROP (not a ticket of these keys: do a
 * full handshake); QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_ticket_open(const quic_ticket_keys *keys, uint8_t *out, size_t *out_len,
                                        size_t cap, quic_ticket_stamp *stamp, const uint8_t *ticket,
                                        size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_SESSION_TICKET_H */
