#include "tools/quicperf/tcp/link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "quring/config.h"

#include "tools/quicperf/setup.h"

#define QP_TCP_RECORD     16384u /* plaintext of a full record (RFC 8446 5.1) */
#define QP_TCP_RECORD_OUT (QP_TCP_RECORD + 512u)
#define QP_TCP_PEM_MAX    4096u

struct qp_tcp_tls {
    pthread_mutex_t lock; /* of ctx */
    SSL_CTX *ctx;
    BIO_METHOD *method;
    bool is_server;
    bool verify;
};

/* ---- congestion control ------------------------------------------------------------------------- */

bool qp_tcp_cc_set(int fd, const char *name)
{
    return name == NULL ||
           setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0;
}

bool qp_tcp_cc_check(const char *name, char *error, size_t cap)
{
    int fd = name != NULL ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    bool refused = fd >= 0 && !qp_tcp_cc_set(fd, name);
    if (refused && errno == ENOENT) {
        (void)snprintf(error, cap,
                       "no TCP congestion control %s here: "
                       "net.ipv4.tcp_available_congestion_control lists those there are",
                       name);
    } else if (refused) {
        (void)snprintf(error, cap, "TCP congestion control %s: %s", name, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return !refused;
}

/* ---- the buffers between TLS and the socket ----------------------------------------------------- */

static int qp_bio_read(BIO *bio, char *to, int len)
{
    qp_tcp_link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (link->in_at == link->in_len) {
        ssize_t got = recv(link->fd, link->in, QP_TCP_BUFFER, 0);
        if (got <= 0) {
            bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
            link->ended = link->ended || !later;
            if (later) {
                BIO_set_retry_read(bio);
            }
            return later ? -1 : 0;
        }
        link->in_at = 0;
        link->in_len = (uint32_t)got;
    }
    uint32_t take = link->in_len - link->in_at;
    take = take < (uint32_t)len ? take : (uint32_t)len;
    memcpy(to, link->in + link->in_at, take);
    link->in_at += take;
    return (int)take;
}

static int qp_bio_write(BIO *bio, const char *data, int len)
{
    qp_tcp_link *link = BIO_get_data(bio);
    uint32_t room = QP_TCP_BUFFER - link->out_len;
    BIO_clear_retry_flags(bio);
    if (room < (uint32_t)len) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(link->out + link->out_len, data, (size_t)len);
    link->out_len += (uint32_t)len;
    return len;
}

static long qp_bio_ctrl(BIO *bio, int cmd, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *qp_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(0, "quicperf");
    if (method != NULL && (BIO_meth_set_read(method, qp_bio_read) != 1 ||
                           BIO_meth_set_write(method, qp_bio_write) != 1 ||
                           BIO_meth_set_ctrl(method, qp_bio_ctrl) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
    return method;
}

/* ---- certificates ------------------------------------------------------------------------------- */

static BIO *qp_bio_of(const char *pem, size_t len)
{
    return BIO_new_mem_buf(pem, (int)len);
}

static bool qp_use_self_signed(SSL_CTX *ctx)
{
    char cert[QP_TCP_PEM_MAX];
    char key[QP_TCP_PEM_MAX];
    size_t cert_len = 0;
    size_t key_len = 0;
    if (quring_tls_self_signed(cert, &cert_len, key, &key_len) != QURING_OK) {
        return false;
    }
    BIO *cert_bio = qp_bio_of(cert, cert_len);
    BIO *key_bio = qp_bio_of(key, key_len);
    X509 *x509 = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    bool ok = x509 != NULL && pkey != NULL && SSL_CTX_use_certificate(ctx, x509) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, pkey) == 1;
    EVP_PKEY_free(pkey);
    X509_free(x509);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return ok;
}

static bool qp_use_identity(SSL_CTX *ctx, const qp_options *o)
{
    return o->cert == NULL ? qp_use_self_signed(ctx)
                           : SSL_CTX_use_certificate_chain_file(ctx, o->cert) == 1 &&
                                 SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) == 1;
}

static bool qp_use_anchors(qp_tcp_tls *tls, const qp_options *o, const quring_addr *peer)
{
    tls->verify = !o->insecure && (o->ca != NULL || !qp_addr_is_loopback(peer));
    if (!tls->verify) {
        return true;
    }
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    return o->ca != NULL ? SSL_CTX_load_verify_locations(tls->ctx, o->ca, NULL) == 1
                         : SSL_CTX_set_default_verify_paths(tls->ctx) == 1;
}

static void qp_tls_error(char *error, size_t cap, const char *what)
{
    char why[120];
    uint32_t code = (uint32_t)ERR_get_error();
    ERR_error_string_n(code, why, sizeof(why));
    (void)snprintf(error, cap, "%s: %s", what, code != 0 ? why : "no reason given");
    ERR_clear_error();
}

static SSL_CTX *qp_ctx_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    return ctx;
}

qp_tcp_tls *qp_tcp_tls_create(const qp_options *options, const quring_addr *peer, char *error,
                              size_t cap)
{
    qp_tcp_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        (void)snprintf(error, cap, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&tls->lock, NULL);
    tls->is_server = peer == NULL;
    tls->method = qp_bio_method();
    tls->ctx = qp_ctx_new();
    bool ok =
        tls->method != NULL && tls->ctx != NULL &&
        (tls->is_server ? qp_use_identity(tls->ctx, options) : qp_use_anchors(tls, options, peer));
    if (!ok) {
        qp_tls_error(error, cap, tls->is_server ? "TLS over TCP, certificate" : "TLS over TCP");
        qp_tcp_tls_free(tls);
        return NULL;
    }
    return tls;
}

void qp_tcp_tls_swap(qp_tcp_tls *tls, qp_tcp_tls *fresh)
{
    (void)pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh->ctx;
    (void)pthread_mutex_unlock(&tls->lock);
    fresh->ctx = old; /* connections hold on to it */
    qp_tcp_tls_free(fresh);
}

void qp_tcp_tls_free(qp_tcp_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        BIO_meth_free(tls->method);
        (void)pthread_mutex_destroy(&tls->lock);
        free(tls);
    }
}

/* ---- one link ----------------------------------------------------------------------------------- */

bool qp_tcp_link_open(qp_tcp_link *link, qp_tcp_tls *tls, int fd, const char *server_name)
{
    int one = 1;
    memset(link, 0, sizeof(*link));
    link->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    link->in = malloc(QP_TCP_BUFFER);
    link->out = malloc(QP_TCP_BUFFER);
    (void)pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->ctx);
    (void)pthread_mutex_unlock(&tls->lock);
    BIO *bio = BIO_new(tls->method);
    link->ssl = ssl;
    if (link->in == NULL || link->out == NULL || ssl == NULL || bio == NULL ||
        (server_name != NULL && SSL_set_tlsext_host_name(ssl, server_name) != 1) ||
        (server_name != NULL && tls->verify && SSL_set1_host(ssl, server_name) != 1)) {
        BIO_free(bio);
        qp_tcp_link_close(link);
        return false;
    }
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (tls->is_server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return true;
}

void qp_tcp_link_close(qp_tcp_link *link)
{
    SSL_free(link->ssl);
    free(link->in);
    free(link->out);
    if (link->fd >= 0) {
        (void)close(link->fd);
    }
    memset(link, 0, sizeof(*link));
    link->fd = -1;
}

qp_tcp_rc qp_tcp_link_flush(qp_tcp_link *link)
{
    while (link->out_at < link->out_len) { /* ends: each turn sends something or leaves */
        ssize_t sent =
            send(link->fd, link->out + link->out_at, link->out_len - link->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            link->wants_write = true;
            return QP_TCP_AGAIN;
        }
        if (sent < 0) {
            (void)snprintf(link->error, sizeof(link->error), "send: %s", strerror(errno));
            return errno == EPIPE || errno == ECONNRESET ? QP_TCP_END : QP_TCP_FAILED;
        }
        link->out_at += (uint32_t)sent;
    }
    link->out_at = link->out_len = 0;
    link->wants_write = false;
    atomic_store_explicit(&link->flushed, link->written, memory_order_relaxed);
    return QP_TCP_OK;
}

static qp_tcp_rc qp_link_result(qp_tcp_link *link, int rc, const char *what)
{
    int why = SSL_get_error(link->ssl, rc);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        return QP_TCP_AGAIN;
    }
    if (link->ended || why == SSL_ERROR_ZERO_RETURN) {
        ERR_clear_error();
        (void)snprintf(link->error, sizeof(link->error), "the server closed the connection");
        return QP_TCP_END;
    }
    qp_tls_error(link->error, sizeof(link->error), what);
    return QP_TCP_FAILED;
}

qp_tcp_rc qp_tcp_link_handshake(qp_tcp_link *link)
{
    int rc = SSL_do_handshake(link->ssl);
    qp_tcp_rc said = rc == 1 ? QP_TCP_OK : qp_link_result(link, rc, "TLS handshake");
    qp_tcp_rc sent = qp_tcp_link_flush(link);
    return said == QP_TCP_OK || said == QP_TCP_AGAIN ? (sent == QP_TCP_OK ? said : sent) : said;
}

qp_tcp_rc qp_tcp_link_read(qp_tcp_link *link, size_t *got, uint8_t *to, size_t cap)
{
    *got = 0;
    while (*got < cap) {
        size_t want = cap - *got;
        int rc = SSL_read(link->ssl, to + *got, (int)(want < INT32_MAX ? want : INT32_MAX));
        if (rc <= 0) {
            qp_tcp_rc why = qp_link_result(link, rc, "TLS");
            return *got > 0 && why != QP_TCP_FAILED ? QP_TCP_OK : why;
        }
        *got += (size_t)rc;
    }
    return QP_TCP_OK;
}

qp_tcp_rc qp_tcp_link_write(qp_tcp_link *link, size_t *taken, const uint8_t *data, size_t len)
{
    *taken = 0;
    while (*taken < len) {
        if (QP_TCP_BUFFER - link->out_len < QP_TCP_RECORD_OUT) {
            qp_tcp_rc rc = qp_tcp_link_flush(link);
            if (rc != QP_TCP_OK) {
                return rc;
            }
        }
        size_t record = len - *taken < QP_TCP_RECORD ? len - *taken : QP_TCP_RECORD;
        int rc = SSL_write(link->ssl, data + *taken, (int)record);
        if (rc <= 0) {
            return qp_link_result(link, rc, "TLS");
        }
        *taken += (size_t)rc;
        link->written += (uint64_t)rc;
    }
    return QP_TCP_OK;
}

uint64_t qp_tcp_link_acked(const qp_tcp_link *link)
{
    int queued = 0;
    uint64_t flushed = atomic_load_explicit(&link->flushed, memory_order_relaxed);
    if (link->fd < 0 || ioctl(link->fd, SIOCOUTQ, &queued) != 0) {
        return 0;
    }
    return flushed > (uint64_t)queued ? flushed - (uint64_t)queued : 0;
}

uint64_t qp_tcp_link_retransmits(const qp_tcp_link *link)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    return getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_total_retrans
                                                                         : 0;
}

void qp_tcp_link_facts(const qp_tcp_link *link, qp_tcp_facts *out)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(out, 0, sizeof(*out));
    memset(&info, 0, sizeof(info));
    if (getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        out->rtt_ns = (uint64_t)info.tcpi_rtt * 1000;
        out->cwnd_bytes = (uint64_t)info.tcpi_snd_cwnd * info.tcpi_snd_mss;
        out->retransmits = info.tcpi_total_retrans;
    }
    len = sizeof(out->cc) - 1;
    (void)getsockopt(link->fd, IPPROTO_TCP, TCP_CONGESTION, out->cc, &len);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(link->ssl);
    (void)snprintf(out->cipher, sizeof(out->cipher), "%s",
                   cipher != NULL ? SSL_CIPHER_standard_name(cipher) : "");
}
