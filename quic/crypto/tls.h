/* quic/crypto/tls.h: the handshake for a connection: CRYPTO bytes in, CRYPTO bytes and secrets out.
 *
 * Shape:  a table of functions; BoringSSL (tls_boring.h) and a scripted one for tests
 *         (tls_script.h).
 * Owner:  a connection owns its quic_tls and destroys it; one worker. The sink is called only from
 *         within start and provide.
 * Spec:   RFC 9001 4 (carrying TLS), 8 (QUIC-specific adjustments).
 */
#ifndef QUIC_CRYPTO_TLS_H
#define QUIC_CRYPTO_TLS_H

#include "quic/base/mem.h"
#include "quic/base/rng.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* TLS alerts that are named in our code (RFC 8446 6, RFC 7301 3.2); on the wire 0x100 + alert. */
enum {
    QUIC_ALERT_UNEXPECTED_MESSAGE = 10,
    QUIC_ALERT_HANDSHAKE_FAILURE = 40,
    QUIC_ALERT_BAD_CERTIFICATE = 42,
    QUIC_ALERT_CERTIFICATE_EXPIRED = 45,
    QUIC_ALERT_CERTIFICATE_UNKNOWN = 46,
    QUIC_ALERT_ILLEGAL_PARAMETER = 47,
    QUIC_ALERT_UNKNOWN_CA = 48,
    QUIC_ALERT_DECODE_ERROR = 50,
    QUIC_ALERT_DECRYPT_ERROR = 51,
    QUIC_ALERT_PROTOCOL_VERSION = 70,
    QUIC_ALERT_INTERNAL_ERROR = 80,
    QUIC_ALERT_MISSING_EXTENSION = 109,
    QUIC_ALERT_UNRECOGNIZED_NAME = 112,
    QUIC_ALERT_CERTIFICATE_REQUIRED = 116,
    QUIC_ALERT_NO_APPLICATION_PROTOCOL = 120,
};

typedef struct quic_tls quic_tls; /* each implementation has its own */
struct quic_anti_replay;          /* quic/crypto/anti_replay.h */
struct quic_ticket_keys;          /* quic/crypto/session_ticket.h */

/* What became of 0-RTT (RFC 9001 4.6). A client that offered it learns the answer with the server's
 * flight; a server knows it when the ClientHello was taken. */
typedef enum quic_early_status {
    QUIC_EARLY_NONE = 0, /* not offered */
    QUIC_EARLY_OFFERED,  /* client: no answer yet */
    QUIC_EARLY_ACCEPTED,
    QUIC_EARLY_REJECTED,
} quic_early_status;

/* The register that makes 0-RTT single-use. A ticket is good for 0-RTT only where its own register
 * is asked (RFC 8446 8.1): after a restart, or at another server, it is good for resumption only. */
typedef struct quic_early_gate {
    struct quic_anti_replay *replay;
    uint64_t id; /* random, not 0 */
} quic_early_gate;

/* Where a handshake's products go. Both functions answer QUIC_OK or negative, which ends the
 * handshake: start or provide returns that value. `secret` and `data` are borrowed for the call. */
typedef struct quic_tls_sink {
    void *ctx;
    /* A traffic secret: suite is 0x1301..0x1303, len 32 or 48. */
    quic_rc (*on_secret)(void *ctx, quic_level level, bool is_write, uint16_t suite,
                         const uint8_t *secret, size_t len);
    /* Bytes to send in CRYPTO frames of `level`, after those given before. */
    quic_rc (*on_crypto)(void *ctx, quic_level level, const uint8_t *data, size_t len);
    /* Client: a ticket arrived; the bytes are for args.tickets.session of a later handshake. NULL:
     * nobody wants to know. */
    void (*on_session)(void *ctx, const uint8_t *data, size_t len);
} quic_tls_sink;

/* Session tickets and 0-RTT; all zero: neither. */
typedef struct quic_tls_tickets {
    /* server; keys and gate outlive the quic_tls */
    const struct quic_ticket_keys *keys; /* NULL: no tickets are given or taken */
    const quic_early_gate *gate;         /* NULL: 0-RTT is refused */
    const uint8_t
        *early_context; /* not empty with a gate: 0-RTT is refused to a ticket that was made
                                     under another one (RFC 9000 7.4.1) */
    size_t early_context_len;
    quic_ns now;
    uint32_t version;       /* of QUIC, in use: tickets given are for it (RFC 9369 5) ... */
    uint32_t version_first; /* ... and those taken must be for that of the client's first flight */
    /* client */
    const uint8_t
        *session; /* what on_session gave; NULL: none. One that cannot be used is ignored */
    size_t session_len;
    bool early; /* offer 0-RTT if the session allows it */
} quic_tls_tickets;

/* What a handshake starts from. Everything is borrowed for the call of create, except what
 * tls_config is (it must outlive the quic_tls or be reference counted, see the implementation). */
typedef struct quic_tls_args {
    const void *tls_config;
    /* Not NULL: the configuration that this one has, and may be the last to have, is taken in place of
     * tls_config. */
    const quic_tls *like;
    quic_mem *mem; /* outlives the quic_tls */
    quic_role role;
    const char *server_name; /* client: name or IP address to ask for and verify; may be NULL */
    const uint8_t *params;   /* our transport parameters, encoded (RFC 9000 18) */
    size_t params_len;
    quic_tls_sink sink;
    const quic_rng *rng; /* scripted handshakes draw from it, and tickets their nonce */
    quic_tls_tickets tickets;
} quic_tls_args;

typedef struct quic_tls_vtable {
    const char *name;

    /* create. Returns QUIC_OK; QUIC_E_INVAL; QUIC_E_NOMEM; QUIC_E_CRYPTO. */
    quic_rc (*create)(quic_tls **out, const quic_tls_args *args);
    void (*destroy)(quic_tls *tls); /* NULL is a no-op */

    /* start makes a client's ClientHello; on a server it does nothing. Returns as provide does. */
    quic_rc (*start)(quic_tls *tls);

    /* provide takes the next bytes of the CRYPTO stream of `level`, in order, and goes on with the
     * handshake. After completion it takes post-handshake messages at QUIC_LEVEL_APP.
     * Returns QUIC_OK (also when more bytes are needed);
     *   QUIC_V_CRYPTO_BASE + alert   the handshake failed; KeyUpdate is 0x10a (RFC 9001 6)
     *   QUIC_V_PROTOCOL_VIOLATION    bytes at a level the handshake is not at (RFC 9001 4.1.3)
     *   QUIC_E_*                     ours, or what the sink answered
     * Any value but QUIC_OK is final. */
    quic_rc (*provide)(quic_tls *tls, quic_level level, const uint8_t *data, size_t len);

    /* is_complete: our Finished is sent and the peer's verified (RFC 9001 4.1.1). */
    bool (*is_complete)(const quic_tls *tls);

    /* peer_params gives the peer's transport parameters as soon as they are known (not
     * authenticated before is_complete), of no bytes as well; alpn the protocol agreed on. Views into `tls`;
     * false: none yet. */
    bool (*peer_params)(const quic_tls *tls, const uint8_t **out, size_t *out_len);
    bool (*alpn)(const quic_tls *tls, const uint8_t **out, size_t *out_len);

    const char *(*server_name)(const quic_tls *tls); /* SNI asked for; NULL if none */
    uint16_t (*suite)(const quic_tls *tls);          /* 0 before it is known */
    bool (*resumed)(const quic_tls *tls);

    /* peer_certificate gives the DER of the certificate the peer showed, now or in the handshake that
     * this one resumes, and whether its chain was verified. A view into `tls`; false: it showed none,
     * or the handshake is not complete. NULL: the implementation knows no certificates. */
    bool (*peer_certificate)(const quic_tls *tls, const uint8_t **out, size_t *out_len,
                             bool *out_verified);

    /* certificate_shown: our certificate went to the peer, which for a client's means that it was asked
     * for. NULL: the implementation knows no certificates. */
    bool (*certificate_shown)(const quic_tls *tls);

    /* export_keys derives `len` bytes for an application (RFC 8446 7.5), the same at both ends. Returns QUIC_OK;
     * QUIC_E_STATE (not complete); QUIC_E_INVAL (a label or a length that TLS does not take). NULL: the
     * implementation cannot. serves_exports: somebody may want that after the handshake, for which `tls` has to
     * stay; NULL: no. */
    quic_rc (*export_keys)(const quic_tls *tls, uint8_t *out, size_t len, const char *label,
                           const uint8_t *context, size_t context_len);
    bool (*serves_exports)(const quic_tls *tls);

    /* early_status. A client's handshake goes on by itself after a rejection, as one that never
     * offered 0-RTT; what was sent with the early secret has to be sent again (RFC 9001 4.6.2). */
    quic_early_status (*early_status)(const quic_tls *tls);

    /* error_text says for humans why the handshake failed ("certificate has expired"); never NULL,
     * "" when there is nothing to say. Valid until destroy. */
    const char *(*error_text)(const quic_tls *tls);
} quic_tls_vtable;

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_H */
