#include "quic/crypto/tls_boring_session.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "quic/crypto/anti_replay.h"

#define SESSION_LEN_MAX 65536u /* of a client's serialised session: its certificates are in it */
#define TICKET_BODY_MAX 8192u  /* peers need not take longer CRYPTO messages than 16 KiB */

static quic_boring_session *self_of(const SSL *ssl)
{
    return (quic_boring_session *)SSL_get_app_data(ssl);
}

/* ---- server: tickets ------------------------------------------------------------------------- */

static size_t ticket_overhead(SSL *ssl)
{
    (void)ssl;
    return QUIC_TICKET_OVERHEAD;
}

static int ticket_seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t cap, const uint8_t *in,
                       size_t in_len)
{
    const quic_boring_session *self = self_of(ssl);
    if (in_len > TICKET_BODY_MAX && cap >= QUIC_TICKET_ID_LEN) {
        /* A client with a long chain: a ticket that nobody opens costs it full handshakes. */
        quic_rng_fill(self->rng, out, QUIC_TICKET_ID_LEN);
        *out_len = QUIC_TICKET_ID_LEN;
        return 1;
    }
    const quic_ticket_stamp stamp = {
        .register_id = self->gate != NULL ? self->gate->id : 0,
        .issued = self->now,
        .version = self->version,
    };
    return quic_ticket_seal(self->keys, out, out_len, cap, &stamp, in, in_len, self->rng) ==
           QUIC_OK;
}

/* RFC 8446 8.1: a ticket is good for 0-RTT once. What cannot be remembered is refused. */
static bool early_allowed(const quic_boring_session *self, const quic_ticket_stamp *stamp,
                          const uint8_t *ticket)
{
    return self->gate != NULL && stamp->register_id == self->gate->id &&
           quic_anti_replay_take(self->gate->replay, ticket, QUIC_TICKET_ID_LEN, stamp->issued,
                                 self->now) == QUIC_OK;
}

/* Makes the session in `out` one that is good for resumption only: it loses its ticketMaxEarlyData,
 * element [24] of BoringSSL's encoding. The handshake itself stays open to 0-RTT (as it would not by
 * SSL_set_early_data_enabled), so that the ticket it gives is good for it. */
static bool strip_early(uint8_t *out, size_t *len)
{
    const unsigned max_early = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 24;
    CBS cbs;
    CBS elements;
    CBB cbb;
    CBB body;
    CBS_init(&cbs, out, *len);
    bool ok = CBS_get_asn1(&cbs, &elements, CBS_ASN1_SEQUENCE) && CBS_len(&cbs) == 0 &&
              CBB_init(&cbb, *len);
    if (!ok) {
        return false;
    }
    ok = CBB_add_asn1(&cbb, &body, CBS_ASN1_SEQUENCE);
    while (ok && CBS_len(&elements) > 0) {
        CBS element;
        unsigned tag;
        ok = CBS_get_any_asn1_element(&elements, &element, &tag, NULL) &&
             (tag == max_early || CBB_add_bytes(&body, CBS_data(&element), CBS_len(&element)));
    }
    uint8_t *data = NULL;
    size_t n = 0;
    ok = ok && CBB_finish(&cbb, &data, &n) && n <= *len;
    if (ok) {
        memcpy(out, data, n);
        *len = n;
    }
    CBB_cleanup(&cbb);
    OPENSSL_free(data);
    return ok;
}

/* Where the peer is verified: what stood for it has expired since, and a session must not make up for
 * that. It has to show a certificate again. */
static bool has_expired(const SSL *ssl, const SSL_SESSION *session)
{
    const X509 *leaf = SSL_SESSION_get0_peer(session);
    return (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0 && leaf != NULL &&
           X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0;
}

static bool ticket_has_expired(SSL *ssl, const uint8_t *data, size_t len)
{
    if ((SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0) {
        return false;
    }
    SSL_SESSION *session = SSL_SESSION_from_bytes(data, len, SSL_get_SSL_CTX(ssl));
    const bool expired = session == NULL || has_expired(ssl, session);
    SSL_SESSION_free(session);
    ERR_clear_error();
    return expired;
}

static enum ssl_ticket_aead_result_t ticket_open(SSL *ssl, uint8_t *out, size_t *out_len,
                                                 size_t cap, const uint8_t *in, size_t in_len)
{
    const quic_boring_session *self = self_of(ssl);
    quic_ticket_stamp stamp = {0, 0, 0};
    if (self->keys == NULL ||
        quic_ticket_open(self->keys, out, out_len, cap, &stamp, in, in_len) != QUIC_OK ||
        stamp.version != self->version_first) {
        return ssl_ticket_aead_ignore_ticket;
    }
    if (ticket_has_expired(ssl, out, *out_len)) {
        return ssl_ticket_aead_ignore_ticket;
    }
    if (self->early_offered && !early_allowed(self, &stamp, in) && !strip_early(out, out_len)) {
        return ssl_ticket_aead_ignore_ticket;
    }
    return ssl_ticket_aead_success;
}

static const SSL_TICKET_AEAD_METHOD ticket_method = {
    ticket_overhead,
    ticket_seal,
    ticket_open,
};

/* A ticket without an offer of 0-RTT is not used up. */
static enum ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    self_of(hello->ssl)->early_offered =
        SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_early_data, &data, &len) == 1;
    return ssl_select_cert_success;
}

/* ---- client: sessions ------------------------------------------------------------------------ */

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const quic_boring_session *self = self_of(ssl);
    uint8_t *data = NULL;
    size_t len = 0;
    if (self->sink->on_session != NULL && SSL_SESSION_to_bytes(session, &data, &len)) {
        if (len <= SESSION_LEN_MAX) {
            self->sink->on_session(self->sink->ctx, data, len);
        }
        OPENSSL_free(data);
    }
    ERR_clear_error();
    return 0; /* the session stays BoringSSL's */
}

/* A session of another policy (verified differently) must not stand in for verification. */
static bool is_of_context(const SSL *ssl, const SSL_SESSION *session)
{
    unsigned theirs_len = 0;
    size_t ours_len = 0;
    const uint8_t *theirs = SSL_SESSION_get0_id_context(session, &theirs_len);
    const uint8_t *ours = SSL_get0_session_id_context(ssl, &ours_len);
    return theirs_len == ours_len && memcmp(theirs, ours, ours_len) == 0;
}

/* RFC 8446 4.6.1: only where the certificate of the session is valid for the name that is asked for now. */
static bool is_for_name(const SSL_SESSION *session, const char *name)
{
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (name == NULL) {
        return true;
    }
    if (leaf == NULL) {
        return false;
    }
    const int is_ip = X509_check_ip_asc(leaf, name, 0);
    if (is_ip != -2) { /* it is an address */
        return is_ip == 1;
    }
    const size_t len = strlen(name);
    const bool dot = len > 0 && name[len - 1] == '.';
    return X509_check_host(leaf, name, dot ? len - 1 : len, QUIC_BORING_HOST_FLAGS, NULL) == 1;
}

static void offer_session(quic_boring_session *self, SSL *ssl, const quic_tls_tickets *tickets,
                          const char *name)
{
    if (tickets->session == NULL || tickets->session_len == 0 ||
        tickets->session_len > SESSION_LEN_MAX) {
        return;
    }
    SSL_SESSION *session =
        SSL_SESSION_from_bytes(tickets->session, tickets->session_len, SSL_get_SSL_CTX(ssl));
    if (session != NULL && is_of_context(ssl, session) && !has_expired(ssl, session) &&
        is_for_name(session, name) && SSL_set_session(ssl, session)) {
        self->early_offered = tickets->early && SSL_SESSION_early_data_capable(session);
        SSL_set_early_data_enabled(ssl, self->early_offered);
    }
    SSL_SESSION_free(session);
    ERR_clear_error(); /* one that cannot be used costs a full handshake, no more */
}

/* ---- both ------------------------------------------------------------------------------------ */

bool quic_boring_session_init_ctx(SSL_CTX *ctx, quic_role role, const uint8_t *identity,
                                  size_t identity_len)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256(identity, identity_len, hash);
    if (!SSL_CTX_set_session_id_context(ctx, hash, sizeof(hash))) {
        return false;
    }
    if (role == QUIC_SERVER) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_ticket_aead_method(ctx, &ticket_method);
        SSL_CTX_set_select_certificate_cb(ctx, on_client_hello);
        return SSL_CTX_set_num_tickets(ctx, 1) == 1;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    return true;
}

quic_rc quic_boring_session_init(quic_boring_session *self, SSL *ssl, const quic_tls_args *args,
                                 const quic_tls_sink *sink, const char *name)
{
    const quic_tls_tickets *tickets = &args->tickets;
    self->rng = args->rng;
    self->sink = sink;
    self->now = tickets->now;
    self->version = tickets->version;
    self->version_first = tickets->version_first;
    if (args->role == QUIC_CLIENT) {
        offer_session(self, ssl, tickets, name);
        return QUIC_OK;
    }
    if (tickets->keys == NULL || args->rng == NULL) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        return QUIC_OK;
    }
    self->keys = tickets->keys;
    if (tickets->gate == NULL || tickets->early_context_len == 0) {
        return QUIC_OK;
    }
    self->gate = tickets->gate;
    SSL_set_early_data_enabled(ssl, 1);
    return SSL_set_quic_early_data_context(ssl, tickets->early_context, tickets->early_context_len)
               ? QUIC_OK
               : QUIC_E_CRYPTO;
}

void quic_boring_session_on_new_ctx(SSL *ssl)
{
    SSL_set_early_data_enabled(ssl, self_of(ssl)->gate != NULL);
}

quic_early_status quic_boring_session_early(const quic_boring_session *self, const SSL *ssl,
                                            quic_role role)
{
    if (!self->early_offered) {
        return QUIC_EARLY_NONE;
    }
    if (SSL_early_data_accepted(ssl)) {
        return QUIC_EARLY_ACCEPTED;
    }
    if (role == QUIC_SERVER || self->early_rejected) {
        return QUIC_EARLY_REJECTED;
    }
    return QUIC_EARLY_OFFERED;
}
