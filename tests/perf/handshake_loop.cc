/* What handshakes cost without a network and without QUIC: BoringSSL against itself over memory, the yardstick of
 * quicperf's hps.
 *
 *   handshake_loop [SECONDS] [full|resumed]
 *
 * Prints how many full and resumed TLS 1.3 handshakes a second of the server's CPU makes: the same certificate,
 * tickets and settings as a quring server with a self-signed certificate has. The client's share is not counted. */
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "quic/crypto/self_signed.h"

namespace
{

[[noreturn]] void die(const char *what)
{
    fprintf(stderr, "handshake_loop: %s\n", what);
    exit(1);
}

double cpu_s()
{
    timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        die("no CPU clock");
    }
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

SSL_SESSION *ticket; /* the newest */

int keep_ticket(SSL *, SSL_SESSION *session)
{
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

SSL_CTX *make_ctx()
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (ctx == nullptr || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)) {
        die("no context");
    }
    return ctx;
}

SSL_CTX *make_server()
{
    char cert_pem[QUIC_SELF_SIGNED_PEM_CAP];
    char key_pem[QUIC_SELF_SIGNED_PEM_CAP];
    size_t cert_len = 0;
    size_t key_len = 0;
    SSL_CTX *ctx = make_ctx();
    if (quic_self_signed_make(cert_pem, &cert_len, key_pem, &key_len,
                              static_cast<uint64_t>(time(nullptr))) != QUIC_OK) {
        die("no certificate");
    }
    BIO *cert_bio = BIO_new_mem_buf(cert_pem, static_cast<int>(cert_len));
    BIO *key_bio = BIO_new_mem_buf(key_pem, static_cast<int>(key_len));
    X509 *cert = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    if (!SSL_CTX_use_certificate(ctx, cert) || !SSL_CTX_use_PrivateKey(ctx, key)) {
        die("the certificate is not taken");
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return ctx;
}

SSL_CTX *make_client()
{
    SSL_CTX *ctx = make_ctx();
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
    return ctx;
}

/* One handshake; returns the CPU seconds of the server, from making its object to freeing it. */
double handshake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, bool resume)
{
    BIO *near_bio = nullptr;
    BIO *far_bio = nullptr;
    if (!BIO_new_bio_pair(&near_bio, 1 << 16, &far_bio, 1 << 16)) {
        die("no pipe");
    }
    SSL *client = SSL_new(client_ctx);
    SSL_set_bio(client, near_bio, near_bio);
    SSL_set_connect_state(client);
    (void)SSL_set_tlsext_host_name(client, "localhost");
    if (resume && !SSL_set_session(client, ticket)) {
        die("the ticket is not taken");
    }
    double begin = cpu_s();
    SSL *server = SSL_new(server_ctx);
    SSL_set_bio(server, far_bio, far_bio);
    SSL_set_accept_state(server);
    double spent = cpu_s() - begin;
    bool done = false;
    for (int turn = 0; turn < 10 && !done; turn++) {
        bool client_done = SSL_do_handshake(client) == 1;
        begin = cpu_s();
        bool server_done = SSL_do_handshake(server) == 1;
        spent += cpu_s() - begin;
        done = client_done && server_done;
    }
    if (!done || (SSL_session_reused(server) != 0) != resume) {
        die(resume ? "not resumed" : "the handshake failed");
    }
    char byte = 0;
    begin = cpu_s();
    bool said = SSL_write(server, &byte, 1) == 1; /* tickets go with the first bytes */
    spent += cpu_s() - begin;
    if (!said || SSL_read(client, &byte, 1) != 1) {
        die("no byte came through");
    }
    begin = cpu_s();
    SSL_free(server);
    spent += cpu_s() - begin;
    SSL_free(client);
    return spent;
}

} // namespace

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 2;
    const std::string only = argc > 2 ? argv[2] : "";
    if (seconds <= 0) {
        die("SECONDS is a number above 0");
    }
    SSL_CTX *server = make_server();
    SSL_CTX *client = make_client();
    for (bool resume : {false, true}) {
        const char *name = resume ? "resumed" : "full";
        if (!only.empty() && only != name) {
            (void)handshake(server, client, resume); /* its ticket */
            continue;
        }
        double spent = 0;
        long count = 0;
        for (; spent < seconds; count++) {
            spent += handshake(server, client, resume);
        }
        printf("%s handshakes per second of server CPU: %.0f\n", name,
               static_cast<double>(count) / spent);
    }
    SSL_SESSION_free(ticket);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}
