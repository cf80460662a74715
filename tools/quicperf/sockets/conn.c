#define _GNU_SOURCE
#define QUIC_NO_GNUTLS
#include "tools/quicperf/sockets/conn.h"

#include <errno.h>
#include <linux/sockios.h> /* SIOCOUTQ */
#include <netinet/quic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quring/config.h"

#include "tools/quicperf/proto.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/tcp/thread.h"

#define QP_PEM_MAX 4096u
#define QP_WINDOW_DEFAULT                                                                          \
    (1024u * 1024) /* per stream, twice that per connection: what waits stays in caches */
#define QP_NO_VERIFICATION 3u /* certificate_request of a client */

static int qp_sock_fail(const qp_lib *lib, int fd, char *why, size_t cap, const char *what)
{
    (void)snprintf(why, cap, "%s: %s", what, strerror(errno));
    if (fd >= 0) {
        (void)lib->close(fd);
    }
    return -1;
}

/* ---- who we are ---------------------------------------------------------------------------------- */

/* A file that has no name but the one under /proc. */
static int qp_memory_file(char path[64], const char *text, size_t len)
{
    int fd = memfd_create("quicperf", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, text, len) != (ssize_t)len) {
        (void)close(fd);
        fd = -1;
    }
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

bool qp_identity_open(qp_identity *out, const qp_options *options, char *why, size_t cap)
{
    char cert[QP_PEM_MAX];
    char key[QP_PEM_MAX];
    size_t cert_len = 0;
    size_t key_len = 0;
    out->fds[0] = out->fds[1] = -1;
    out->cert_file = options->cert;
    out->key_file = options->key;
    if (options->cert != NULL) {
        return true;
    }
    quring_status status = quring_tls_self_signed(cert, &cert_len, key, &key_len);
    if (status == QURING_OK) {
        out->fds[0] = qp_memory_file(out->cert, cert, cert_len);
        out->fds[1] = qp_memory_file(out->key, key, key_len);
        out->cert_file = out->cert;
        out->key_file = out->key;
    }
    if (status != QURING_OK || out->fds[0] < 0 || out->fds[1] < 0) {
        (void)snprintf(why, cap, "cannot make a certificate: %s",
                       status != QURING_OK ? quring_status_text(status) : strerror(errno));
        qp_identity_close(out);
        return false;
    }
    return true;
}

void qp_identity_close(qp_identity *identity)
{
    for (int i = 0; i < 2; i++) {
        if (identity->fds[i] >= 0) {
            (void)close(identity->fds[i]);
        }
        identity->fds[i] = -1;
    }
}

/* ---- options of the socket ------------------------------------------------------------------------ */

static bool qp_verifies(const qp_options *o, const quring_addr *peer)
{
    return !o->insecure && (o->ca != NULL || !qp_addr_is_loopback(peer));
}

static uint32_t qp_cipher_type(const qp_options *o)
{
    static const uint32_t types[] = {0, TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256,
                                     TLS_CIPHER_CHACHA20_POLY1305, TLS_CIPHER_AES_CCM_128};
    return o->cipher < sizeof(types) / sizeof(types[0]) ? types[o->cipher] : 0;
}

static bool qp_sock_setup(const qp_lib *lib, int fd, const qp_options *o, bool verifies)
{
    static const uint8_t controls[] = {QUIC_CONG_ALG_CUBIC, QUIC_CONG_ALG_RENO, QUIC_CONG_ALG_BBR};
    struct quic_transport_param p;
    uint64_t window = o->window_bytes != 0 ? o->window_bytes : QP_WINDOW_DEFAULT;
    memset(&p, 0, sizeof(p));
    p.max_data = 2 * window;
    p.max_stream_data_bidi_local = window;
    p.max_stream_data_bidi_remote = window;
    p.max_stream_data_uni = window;
    p.max_streams_bidi = o->max_streams;
    p.max_streams_uni = o->max_streams;
    p.max_idle_timeout = o->idle_timeout_ns / 1000;
    p.congestion_control_alg = controls[o->cc < sizeof(controls) ? o->cc : 0];
    p.disable_1rtt_encryption = o->disable_encryption ? 1 : 0;
    p.validate_peer_address = o->retry ? 1 : 0;
    p.payload_cipher_type = qp_cipher_type(o);
    p.version = o->version == QP_VERSION_2 ? QUIC_VERSION_V2 : 0;
    p.certificate_request = o->command == QP_CMD_CLIENT && !verifies ? QP_NO_VERIFICATION : 0;
    return lib->setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, sizeof(p)) == 0 &&
           lib->setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, QP_ALPN, sizeof(QP_ALPN) - 1) == 0;
}

/* Ours, or the peer's. */
static bool qp_sock_params(struct quic_transport_param *out, const qp_lib *lib, int fd, bool remote)
{
    socklen_t len = sizeof(*out);
    memset(out, 0, sizeof(*out));
    out->remote = remote ? 1 : 0;
    return lib->getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, out, &len) == 0;
}

void qp_sock_facts_get(qp_sock_facts *out, const qp_lib *lib, int fd)
{
    struct quic_transport_param ours;
    struct quic_transport_param theirs;
    memset(out, 0, sizeof(*out));
    if (qp_sock_params(&ours, lib, fd, false) && qp_sock_params(&theirs, lib, fd, true)) {
        out->version = ours.version == QUIC_VERSION_V2   ? 2
                       : ours.version == QUIC_VERSION_V1 ? 1
                                                         : 0;
        out->unencrypted = ours.disable_1rtt_encryption != 0 && theirs.disable_1rtt_encryption != 0;
    }
}

uint64_t qp_sock_unacked(const qp_lib *lib, int fd)
{
    int bytes = 0;
    return lib->ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

/* ---- opening -------------------------------------------------------------------------------------- */

bool qp_sock_connect(_Atomic int *out_fd, const qp_lib *lib, const qp_options *options,
                     const quring_addr *peer, const char *name, char *why, size_t cap)
{
    struct sockaddr_storage to;
    socklen_t len = qp_sockaddr_from(&to, peer);
    bool verifies = qp_verifies(options, peer);
    int fd = lib->socket(to.ss_family, SOCK_DGRAM, IPPROTO_QUIC);
    atomic_store(out_fd, fd);
    if (fd < 0 || !qp_sock_setup(lib, fd, options, verifies)) {
        (void)snprintf(why, cap, "cannot open a QUIC socket: %s", strerror(errno));
        return false;
    }
    int rc = lib->connect(fd, (const struct sockaddr *)&to, len);
    if (rc == 0) {
        /* The draft's call verifies the chain; the other one the name, too. */
        rc = verifies && name != NULL ? lib->client_handshake_named(fd, NULL, name, QP_ALPN)
                                      : lib->client_handshake(fd, NULL, NULL);
    }
    if (rc != 0) {
        char at[64];
        int error = errno;
        (void)snprintf(why, cap, "no connection to %s: %s%s",
                       quring_addr_format(peer, at, sizeof(at)), strerror(error),
                       error == EKEYREJECTED && verifies ? " (--ca, --insecure)" : "");
    }
    return rc == 0;
}

int qp_sock_listen(const qp_lib *lib, const qp_options *options, const quring_addr *addr,
                   uint16_t *out_port, char *why, size_t cap)
{
    struct sockaddr_storage at;
    socklen_t len = qp_sockaddr_from(&at, addr);
    int fd = lib->socket(at.ss_family, SOCK_DGRAM, IPPROTO_QUIC);
    if (fd < 0 || !qp_sock_setup(lib, fd, options, false)) {
        return qp_sock_fail(lib, fd, why, cap, "cannot open a QUIC socket");
    }
    if (lib->bind(fd, (const struct sockaddr *)&at, len) != 0 || lib->listen(fd, 1024) != 0) {
        char text[64];
        (void)snprintf(text, sizeof(text), "cannot listen on port %u", addr->port);
        return qp_sock_fail(lib, fd, why, cap, text);
    }
    len = sizeof(at);
    if (lib->getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        return qp_sock_fail(lib, fd, why, cap, "cannot listen");
    }
    *out_port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                               : ((struct sockaddr_in *)&at)->sin_port);
    return fd;
}
