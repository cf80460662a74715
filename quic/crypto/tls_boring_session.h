/* quic/crypto/tls_boring_session.h: tickets, resumption and 0-RTT of a BoringSSL handshake.
 *
 * Shape:  quic_boring_session is the first member of what SSL_get_app_data gives for each SSL; the
 *         callbacks installed on the SSL_CTX find it there.
 * Owner:  tls_boring.c embeds it; everything it points to is the caller's of quic_tls_vtable.create.
 * Spec:   RFC 8446 4.2.10, 4.6.1, 8; RFC 9001 4.5, 4.6.
 */
#ifndef QUIC_CRYPTO_TLS_BORING_SESSION_H
#define QUIC_CRYPTO_TLS_BORING_SESSION_H

#include "quic/crypto/session_ticket.h"
#include "quic/crypto/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_ctx_st;
struct ssl_st;

typedef struct quic_boring_session {
    const quic_ticket_keys *keys;
    const quic_early_gate *gate;
    const quic_rng *rng;
    const quic_tls_sink *sink;
    quic_ns now;
    uint32_t version;
    uint32_t version_first;
    bool early_offered;  /* client: our ClientHello says so; server: the peer's does */
    bool early_rejected; /* client: and the server refused */
} quic_boring_session;

/* quic_boring_session_init_ctx installs the callbacks of `role`. The context of sessions, a hash of
 * the `identity` bytes, keeps tickets from crossing between configurations that differ in it.
 * Returns false without memory. */
bool quic_boring_session_init_ctx(struct ssl_ctx_st *ctx, quic_role role, const uint8_t *identity,
                                  size_t identity_len);

/* How names are compared with a certificate's (RFC 6125); of openssl/x509v3.h. */
#define QUIC_BORING_HOST_FLAGS                                                                     \
    (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* quic_boring_session_init sets one SSL up, whose app data `self` is. `sink` must outlive it. `name`, client:
 * whom a session has to be with; NULL: anybody. Returns QUIC_OK; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_boring_session_init(quic_boring_session *self, struct ssl_st *ssl,
                                                const quic_tls_args *args,
                                                const quic_tls_sink *sink, const char *name);

/* quic_boring_session_on_new_ctx follows SSL_set_SSL_CTX, which forgets whether 0-RTT is open. */
void quic_boring_session_on_new_ctx(struct ssl_st *ssl);

quic_early_status quic_boring_session_early(const quic_boring_session *self,
                                            const struct ssl_st *ssl, quic_role role);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_SESSION_H */
