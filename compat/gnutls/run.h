/* compat/gnutls/run.h: one handshake: what the files of the adapter share.
 *
 * Files:  parms     the functions of netinet/quic.h        psk_file  files of pre-shared keys
 *         given     quic_handshake: the program's session  session_calls  what else such programs call
 *         drive     messages until gnutls is done          session   the gnutls session and its callbacks
 *         creds     certificates, keys, who is trusted     ticket    resumption, 0-RTT
 *         message, wire   the socket                       replay    0-RTT once per ticket
 * Owner:  everything belongs to the thread that called; nothing outlives the call but replay's register, and
 *         the limits that tickets were given under.
 * Errors: functions return 0 or -errno.
 */
#ifndef COMPAT_GNUTLS_RUN_H
#define COMPAT_GNUTLS_RUN_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <netinet/quic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compat/gnutls/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QG_KEYS_MAX 10u /* of struct quic_handshake_parms */

#define QG_HASH_LEN 32u /* of SHA-256 */

#define QG_ALPN_COUNT_MAX 10u

#define QG_ALERT_NONE -1

typedef struct qg_run {
    int sd;
    const qg_wire *wire;
    bool is_server;
    struct quic_handshake_parms *parms;
    qg_settings settings;
    uint64_t deadline_ms; /* 0: none */

    gnutls_session_t session;
    bool is_given; /* it is the program's, with all that it was told */
    bool settled;  /* the connection stands */
    gnutls_certificate_credentials_t x509;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;

    char alpn[QG_ALPN_MAX + 1]; /* the socket's list; "": none */
    bool params_came;
    uint8_t params_hash[QG_HASH_LEN]; /* of the peer's */
    uint8_t params[QG_PARAMS_MAX];    /* ours, once they were sent */
    size_t params_len;
    bool early; /* client: 0-RTT is offered, or may be */

    /* 1-RTT secrets: given to the socket when gnutls is done. */
    uint8_t secret[2][QG_SECRET_MAX]; /* to receive with, to send with */
    size_t secret_len[2];
    uint32_t cipher_type;

    /* With `early`: for Handshake packets, to send with. */
    gnutls_keylog_func keylog; /* who is told of secrets, too */
    uint8_t early_secret[QG_SECRET_MAX];
    size_t early_secret_len;
    bool early_secret_given;

    int rc;      /* what went wrong in a callback; gnutls tells it as an error of its own */
    bool broken; /* it was a call on the socket, whose connection may be over */
    int alert;   /* QG_ALERT_NONE: the one that gnutls's error stands for */
} qg_run;

static inline bool qg_is_psk(const qg_run *run)
{
    return run->parms->num_keys > 0;
}

/* A line of information, to whom libquic says its own; else on stderr when QUIC_LOG is 2. */
void qg_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The functions of the library: -errno in errno, too. */
#define QG_EXPORT  __attribute__((visibility("default")))
#define QG_CALL_MS 15000u /* what those without a time limit of their own take */
int qg_result(int rc);

/* Only clients have a token to get. */
bool qg_is_server_socket(const qg_run *run);

/* parms.c: for the functions with files, too. `alpns` may be NULL. */
int qg_handshake(int sd, bool is_server, struct quic_handshake_parms *parms, const char *alpns);

/* drive.c: the handshake; and why a socket makes none: how its connection has ended, or -EINVAL: not connected or
 * accepted, or established already, if only for a while. */
int qg_drive(qg_run *run);
int qg_why_not(const qg_run *run);

/* session.c */
/* The protocols of a comma separated list, which is changed and has to live on. */
unsigned qg_alpn_split(char *text, gnutls_datum_t list[QG_ALPN_COUNT_MAX]);
int qg_session_open(qg_run *run);
void qg_session_close(qg_run *run);
/* Of the program's session: our callbacks, and the keylog function back. */
int qg_session_take(qg_run *run);
void qg_session_return(qg_run *run);
/* From here on the callbacks of this thread are for `run`; returns whom they were for. */
qg_run *qg_session_run(qg_run *run);

/* creds.c: before and after the session. qg_creds_out copies the peer's certificates, or the identity, into parms. */
int qg_creds_open(qg_run *run);
int qg_creds_use(qg_run *run);
void qg_creds_close(qg_run *run);
int qg_creds_out(qg_run *run);
/* Whether the peer's certificate is verified. */
bool qg_creds_verify(const qg_run *run);

/* ticket.c: the client's ticket into the session (true: it has one); the server's key; a server's ticket goes
 * out; a client's comes in. */
bool qg_ticket_is_early(const qg_run *run);
bool qg_ticket_knows_limits(const qg_run *run);
bool qg_ticket_resume(qg_run *run);
int qg_ticket_serve(qg_run *run);
bool qg_ticket_keeps_limits(const qg_run *run);
/* Whether the option's value is one of the server's (RFC 8446 4.6.1), and neither a key nor what a program has set. */
bool qg_ticket_is_message(const uint8_t *data, size_t len);
void qg_ticket_send(qg_run *run);
int qg_ticket_await(qg_run *run);

/* replay.c: of the process; NULL: there is none, and no 0-RTT. */
gnutls_anti_replay_t qg_replay(void);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_GNUTLS_RUN_H */
