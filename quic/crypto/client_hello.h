/* quic/crypto/client_hello.h: reads what an acceptor wants to know from a ClientHello.
 *
 * Shape:  bounds-checked parse of one handshake message; views into the caller's bytes.
 * Spec:   RFC 8446 4.1.2, RFC 6066 3 (SNI), RFC 7301 3.1 (ALPN), RFC 9001 8.2 (0x39).
 */
#ifndef QUIC_CRYPTO_CLIENT_HELLO_H
#define QUIC_CRYPTO_CLIENT_HELLO_H

#include "quring/base.h"

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_client_hello {
    quring_bytes message;          /* handshake header included */
    quring_bytes random;           /* 32 bytes */
    quring_bytes server_name;      /* SNI host_name; empty if none */
    quring_bytes alpn;             /* ProtocolNameList without its 2-byte length; empty if none */
    quring_bytes transport_params; /* body of extension 0x39 */
    bool has_transport_params;     /* tells an empty extension from a missing one */
} quic_client_hello;

/* quic_client_hello_length reads the length of the whole message (header included) from its first
 * bytes. Returns QUIC_OK; QUIC_E_AGAIN (fewer than 4 bytes); QUIC_V_CRYPTO_BASE + 10
 * (unexpected_message: not a ClientHello). Only the bytes there are are judged. */
QUIC_NODISCARD quic_rc quic_client_hello_length(size_t *out_total, const uint8_t *data, size_t len);

/* quic_client_hello_parse reads the message at the start of `data`.
 * Returns QUIC_OK; QUIC_E_AGAIN (not complete yet); QUIC_V_CRYPTO_BASE + 10 (not a ClientHello);
 * QUIC_V_CRYPTO_BASE + 50 (decode_error); QUIC_V_CRYPTO_BASE + 47 (illegal_parameter: an extension
 * we read appears twice). */
QUIC_NODISCARD quic_rc quic_client_hello_parse(quic_client_hello *out, const uint8_t *data,
                                               size_t len);

/* quic_client_hello_next_alpn walks an ALPN list: takes the next name off *list.
 * Returns false at the end or at a malformed entry (parse has refused those already). */
bool quic_client_hello_next_alpn(quring_bytes *list, quring_bytes *out_name);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_CLIENT_HELLO_H */
