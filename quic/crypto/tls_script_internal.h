/* quic/crypto/tls_script_internal.h: the scripted handshake's state, shared by its two files: tls_script.c
 * (the messages) and tls_script_ticket.c (tickets and 0-RTT). Linked only into tests. */
#ifndef QUIC_CRYPTO_TLS_SCRIPT_INTERNAL_H
#define QUIC_CRYPTO_TLS_SCRIPT_INTERNAL_H

#include "quic/crypto/tls.h"
#include "quic/crypto/tls_script.h"
#include "quic/crypto/tls_script_msg.h"

#define QUIC_SCRIPT_PARAMS_LEN_MAX 1024u
#define QUIC_SCRIPT_NAME_LEN_MAX   255u
#define ALERT(name)                (QUIC_V_CRYPTO_BASE + QUIC_ALERT_##name)

/* What is derived from the randoms; levels and directions of secrets count from LABEL_SECRET. */
enum {
    LABEL_SERVER_FINISHED = 1,
    LABEL_CLIENT_FINISHED = 2,
    LABEL_EARLY = 3,
    LABEL_PSK = 4,
    LABEL_SECRET = 16,
};

/* A session: suite (2) | key (32) | and in a server's ticket its early context, in a client's blob
 * the ticket. A real ticket's message begins with a byte that no filler begins with. */
#define PSK_LEN         32u
#define SESSION_HEAD    (2u + PSK_LEN)
#define SESSION_LEN_MAX 1024u
#define TICKET_MARK     0xa5

typedef enum script_state {
    WAIT_START,        /* client, before start */
    WAIT_CLIENT_HELLO, /* server */
    WAIT_SERVER_HELLO, /* client */
    WAIT_EXTENSIONS,   /* client */
    WAIT_CERTIFICATE,  /* client; the filler may be left out */
    WAIT_FINISHED,     /* both */
    DONE,
} script_state;

struct quic_tls {
    const quic_tls_script_config *config;
    quic_mem *mem;
    quic_tls_sink sink;
    quic_role role;
    script_state state;
    quic_rc final_rc;
    uint16_t suite;
    uint64_t transcript; /* running hash of all messages in order */
    uint8_t client_random[QUIC_SCRIPT_RANDOM_LEN];
    uint8_t server_random[QUIC_SCRIPT_RANDOM_LEN];

    uint8_t *msg; /* the message being collected */
    size_t msg_len;
    size_t msg_cap;

    uint8_t params[QUIC_SCRIPT_PARAMS_LEN_MAX];
    size_t params_len;
    uint8_t peer_params[QUIC_SCRIPT_PARAMS_LEN_MAX];
    size_t peer_params_len;
    bool has_peer_params;
    bool alpn_agreed;

    const quic_rng *rng;
    quic_tls_tickets tickets; /* client: only `early` stays */
    quic_early_status early;
    bool resumed;
    uint16_t psk_suite;
    uint8_t psk[PSK_LEN];
    uint8_t context[SESSION_LEN_MAX]; /* server: of 0-RTT; client: the ticket offered */
    size_t context_len;
    char server_name[QUIC_SCRIPT_NAME_LEN_MAX + 1];
};

/* quic_script_emit sends one message and adds it to the transcript. */
quic_rc quic_script_emit(quic_tls *tls, quic_level level, const uint8_t *msg, size_t len);

/* quic_script_keep_tickets copies what of `tickets` is borrowed only for the call; what cannot be used
 * is left out. */
void quic_script_keep_tickets(quic_tls *tls, const quic_tls_tickets *tickets);
/* quic_script_take_offer is the server's answer to an offer: resumption if the ticket opens, 0-RTT under
 * the rules of quic_tls_tickets. */
void quic_script_take_offer(quic_tls *tls, const quic_script_extensions *offer);
/* quic_script_emit_ticket gives one (server), quic_script_on_ticket takes the message in hand (client). */
quic_rc quic_script_emit_ticket(quic_tls *tls);
quic_rc quic_script_on_ticket(quic_tls *tls);

#endif /* QUIC_CRYPTO_TLS_SCRIPT_INTERNAL_H */
