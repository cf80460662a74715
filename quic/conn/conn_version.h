/* quic/conn/conn_version.h: the version a connection speaks, and how its two ends came to it.
 *
 * Terms:  of RFC 9368: the Chosen Version is that of the client's first flight, to which Retry, 0-RTT
 *         packets and the tickets used belong; the Negotiated Version is what the server made of it.
 * Owner:  version.c writes, the other files of this directory read.
 * Spec:   RFC 9368, RFC 9369 4, 5.
 */
#ifndef QUIC_CONN_CONN_VERSION_H
#define QUIC_CONN_CONN_VERSION_H

#include "quic/crypto/keys.h"
#include "quic/wire/header.h"
#include "quic/wire/transport_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_conn quic_conn;
struct quic_conn_config; /* conn_env.h */

/* Initial keys of a second version, while packets of both may arrive (RFC 9369 4.1). A server's: of
 * the Chosen Version, after a switch. A client's: of the version the server seems to have switched to. */
typedef struct quic_conn_other_version {
    uint32_t version;
    quic_keys *rx;
    quic_keys *tx; /* client */
} quic_conn_other_version;

typedef struct quic_conn_version {
    uint32_t current; /* of what we send; the Negotiated Version once it is settled */
    uint32_t chosen;
    uint32_t original; /* client: of its very first packet; differs from `chosen` when restarted */
    quic_conn_other_version *other; /* NULL: none */
    bool settled;                   /* `current` does not change any more */
    bool restarted; /* client: `chosen` was picked from a Version Negotiation packet */
} quic_conn_version;

/* A client's first version, with the session and token it has; a server's is its client's. */
void quic_conn_version_begin(quic_conn *conn, const struct quic_conn_config *config);
/* Keys are derived for a version: one that nobody knows is written like version 1. */
uint32_t quic_conn_version_of_keys(uint32_t version);

/* The version_information we send (RFC 9368 3). */
void quic_conn_version_info(const quic_conn *conn, quic_version_info *out);
/* Server, with the client's whole ClientHello and before it answers: the Negotiated Version.
 * Returns QUIC_OK; QUIC_V_TRANSPORT_PARAMETER (nothing in them); QUIC_E_NOMEM; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_conn_version_negotiate(quic_conn *conn, const uint8_t *client_hello,
                                                   size_t len);
/* What the peer says about versions against what was seen (RFC 9368 4).
 * Returns QUIC_OK; QUIC_V_VERSION_NEGOTIATION. */
QUIC_NODISCARD quic_rc quic_conn_version_check(const quic_conn *conn,
                                               const quic_transport_params *p);

/* The keys that open an Initial packet of `version`; NULL: none. */
quic_keys *quic_conn_version_initial_rx(quic_conn *conn, uint32_t version);
/* An Initial packet of `version` was opened: a client follows its server. */
void quic_conn_version_on_initial(quic_conn *conn, uint32_t version);
/* RFC 9369 4.1: a server's CRYPTO frames come in the negotiated version only, which is known with the first. */
void quic_conn_version_on_crypto(quic_conn *conn);
void quic_conn_version_free_other(quic_conn *conn);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_CONN_VERSION_H */
