/* quic/crypto/tls_script_msg.h: the messages of the scripted handshake: making and checking them.
 *
 * Shape:  pure functions over byte buffers; every maker fills at most `cap` bytes and returns the
 *         length (0: does not fit). Linked only into tests.    Spec: RFC 8446 4 (the framing).
 */
#ifndef QUIC_CRYPTO_TLS_SCRIPT_MSG_H
#define QUIC_CRYPTO_TLS_SCRIPT_MSG_H

#include "quring/base.h"

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SCRIPT_RANDOM_LEN   32u
#define QUIC_SCRIPT_FINISHED_LEN 36u /* header and 32 bytes */
#define QUIC_SCRIPT_MSG_LEN_MAX  20480u

enum {
    QUIC_SCRIPT_CLIENT_HELLO = 1,
    QUIC_SCRIPT_SERVER_HELLO = 2,
    QUIC_SCRIPT_TICKET = 4,
    QUIC_SCRIPT_EXTENSIONS = 8,
    QUIC_SCRIPT_CERTIFICATE = 11, /* filler in place of a chain */
    QUIC_SCRIPT_FINISHED = 20,
};

/* What ClientHello and EncryptedExtensions carry. */
typedef struct quic_script_extensions {
    quring_bytes server_name; /* empty: none */
    quring_bytes alpn;        /* one protocol name; empty: none */
    quring_bytes params;
    bool has_params;
    quring_bytes ticket; /* ClientHello: offered */
    bool has_ticket;     /* EncryptedExtensions: accepted */
    bool early;          /* 0-RTT: offered, accepted */
} quic_script_extensions;

/* quic_script_make_client_hello makes a real ClientHello that offers the three suites, padded
 * (RFC 7685) to `pad_to` bytes. */
size_t quic_script_make_client_hello(uint8_t *out, size_t cap,
                                     const uint8_t random[QUIC_SCRIPT_RANDOM_LEN],
                                     const quic_script_extensions *ext, size_t pad_to);

/* quic_script_read_offer reads the ticket and `early` of a ClientHello that
 * quic_client_hello_parse has accepted. */
void quic_script_read_offer(const uint8_t *msg, size_t len, quic_script_extensions *out);

size_t quic_script_make_server_hello(uint8_t *out, size_t cap,
                                     const uint8_t random[QUIC_SCRIPT_RANDOM_LEN], uint16_t suite);
/* quic_script_read_server_hello refuses anything make would not have made. */
bool quic_script_read_server_hello(const uint8_t *msg, size_t len,
                                   uint8_t random[QUIC_SCRIPT_RANDOM_LEN], uint16_t *out_suite);

size_t quic_script_make_extensions(uint8_t *out, size_t cap, const quic_script_extensions *ext);
bool quic_script_read_extensions(const uint8_t *msg, size_t len, quic_script_extensions *out);

/* quic_script_make_filler makes a message of `type` and `total` bytes (>= 4) of a fixed pattern. */
size_t quic_script_make_filler(uint8_t *out, size_t cap, uint8_t type, size_t total);
bool quic_script_is_filler(const uint8_t *msg, size_t len);

/* quic_script_derive fills `out` from both randoms and a number; Finished and secrets use it. */
void quic_script_derive(uint8_t *out, size_t len,
                        const uint8_t client_random[QUIC_SCRIPT_RANDOM_LEN],
                        const uint8_t server_random[QUIC_SCRIPT_RANDOM_LEN], uint64_t label);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_SCRIPT_MSG_H */
