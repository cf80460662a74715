/* compat/gnutls/wire.h: a QUIC socket as a TLS library outside of it sees it (draft sections 3.1.8, 4.3.2 and 6.1):
 * messages of a level, secrets, transport parameters, settings.
 *
 * Shape:   the options' numbers and structures come in two layouts; qg_wire_of gives a socket's.
 * Errors:  functions return 0 or more, or -errno.
 * Threads: any, one per socket.
 */
#ifndef COMPAT_GNUTLS_WIRE_H
#define COMPAT_GNUTLS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* enum quic_crypto_level, in both layouts. */
enum { QG_APP = 0, QG_INITIAL = 1, QG_HANDSHAKE = 2, QG_EARLY = 3 };

/* TLS_CIPHER_*, in both layouts. */
enum {
    QG_AES_GCM_128 = 51,
    QG_AES_GCM_256 = 52,
    QG_AES_CCM_128 = 53,
    QG_CHACHA20_POLY1305 = 54,
};

#define QG_FRAME_CRYPTO 0x06u /* RFC 9000 19.6 */

#define QG_SECRET_MAX  48u
#define QG_ALPN_MAX    128u
#define QG_PARAMS_MAX  512u
#define QG_TICKET_MAX  4096u
#define QG_MESSAGE_MAX 16384u /* of one call */

typedef enum qg_option { QG_OPT_ALPN, QG_OPT_TOKEN, QG_OPT_TICKET, QG_OPT_PARAMS } qg_option;

typedef struct qg_settings {
    uint32_t cipher_type; /* 0: any */
    uint8_t certificate_request;
    bool wants_ticket;
    /* Of QUIC: what a client begins with, of a server's connection what was agreed on; after the handshake that at both
     * (RFC 9368). */
    uint32_t version;
} qg_settings;

/* What a server promises to a later connection's 0-RTT data (RFC 9000 7.4.1). */
typedef struct qg_limits {
    uint64_t max_data;
    uint64_t max_stream_data[3];
    uint64_t max_streams[2];
    uint64_t max_datagram;
    uint64_t connection_ids;
} qg_limits;

/* What a connection ended with. Where no code came only the phrase says why. */
typedef struct qg_close {
    uint32_t code;
    uint8_t frame;
    char phrase[32]; /* of a longer one the beginning */
} qg_close;

typedef struct qg_wire {
    bool
        keeps_tickets; /* a ticket becomes the option's value, else it is a message of the program's */
    int (*get_settings)(int sd, qg_settings *out);
    int (*get_limits)(int sd, bool remote, qg_limits *out);
    int (*set_secret)(int sd, int level, bool send, uint32_t cipher_type, const void *secret,
                      size_t len);
    /* `len` goes in as the room and out as the bytes. */
    int (*get_bytes)(int sd, qg_option option, void *buf, size_t *len);
    int (*set_bytes)(int sd, qg_option option, const void *data, size_t len);
    /* The error code that the connection ended, or will be ended, with. */
    int (*get_close)(int sd, qg_close *out);
    int (*set_close)(int sd, uint32_t code);
} qg_wire;

extern const qg_wire qg_wire_draft;
extern const qg_wire qg_wire_kernel;

/* NULL and errno: it is no QUIC socket. */
const qg_wire *qg_wire_of(int sd);

uint64_t qg_now_ms(void);

int qg_send(int sd, int level, const void *data, size_t len);

/* qg_recv takes the next message, or a part of one, waiting until `deadline_ms` (0: for ever). `buf` has
 * QG_MESSAGE_MAX bytes. What else waits on the socket is left there. -ETIMEDOUT; -ENOTCONN when the
 * connection is over. qg_recv_now does not wait: -EAGAIN. */
int qg_recv(int sd, int *level, void *buf, size_t *len, uint64_t deadline_ms);
int qg_recv_now(int sd, int *level, void *buf, size_t *len);

/* Whether the connection is over, or is within a second: its end shows a little later than what it breaks. */
bool qg_is_over(int sd);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_GNUTLS_WIRE_H */
