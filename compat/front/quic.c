/* The functions of netinet/quic.h, for both sets of names. */
#define QUIC_NO_GNUTLS
#include <fcntl.h>
#include <netinet/quic.h>
#include <stdint.h>
#include <string.h>

#include "compat/front/call.h"
#include "compat/front/io.h"
#include "compat/front/kernel.h"
#include "compat/front/log.h"
#include "compat/gnutls/hook.h"

/* There where a program has linked libquic_gnutls. */
#pragma weak quic_gnutls_parms
#pragma weak quic_gnutls_psk

#define QF_HANDSHAKE_MS 15000u

_Static_assert(IPPROTO_QUIC == QS_PROTO_DRAFT, "the header and the engine agree");

/* ---- messages ---------------------------------------------------------------------------------------- */

static ssize_t qf_sendmsg_info(int sd, const void *msg, size_t len, uint64_t sid, uint32_t flags,
                               int call_flags)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct quic_stream_info))];
    } control;
    struct quic_stream_info info;
    struct iovec iov = {(void *)(uintptr_t)msg, len};
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    memset(&control, 0, sizeof(control));
    memset(&info, 0, sizeof(info));
    info.stream_id = sid;
    info.stream_flag = flags;
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof(control.bytes);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
    cmsg->cmsg_level = SOL_QUIC;
    cmsg->cmsg_type = QUIC_STREAM_INFO;
    cmsg->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
    return sendmsg(sd, &m, call_flags);
}

/* Receives and takes the stream's number and flags out of the ancillary data, where they are. */
static ssize_t qf_recvmsg_info(int sd, void *msg, size_t len, struct quic_stream_info *info,
                               bool *has_info, int call_flags, int *msg_flags)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct quic_stream_info))];
    } control;
    struct iovec iov = {msg, len};
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof(control.bytes);
    ssize_t got = recvmsg(sd, &m, call_flags);
    *has_info = false;
    *msg_flags = m.msg_flags;
    for (struct cmsghdr *c = got >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c != NULL;
         c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_QUIC && c->cmsg_type == QUIC_STREAM_INFO) {
            memcpy(info, CMSG_DATA(c), sizeof(*info));
            *has_info = true;
        }
    }
    return got;
}

QF_EXPORT ssize_t quic_sendmsg(int sd, const void *msg, size_t len, uint64_t sid, uint32_t flags)
{
    const qf_kernel *kernel = qf_kernel_of(sd);
    if (kernel != NULL) {
        return kernel->quic_sendmsg(sd, msg, len, (int64_t)sid, flags);
    }
    return qf_sendmsg_info(sd, msg, len, sid, flags, 0);
}

QF_EXPORT ssize_t quic_recvmsg(int sd, void *msg, size_t len, uint64_t *sid, uint32_t *flags)
{
    const qf_kernel *kernel = qf_kernel_of(sd);
    if (kernel != NULL) {
        return kernel->quic_recvmsg(sd, msg, len, (int64_t *)sid, flags);
    }
    struct quic_stream_info info;
    bool has_info;
    int msg_flags;
    ssize_t got = qf_recvmsg_info(sd, msg, len, &info, &has_info, 0, &msg_flags);
    if (got >= 0 && has_info) {
        if (sid != NULL) {
            *sid = info.stream_id;
        }
        if (flags != NULL) {
            *flags = info.stream_flag;
        }
    }
    return got;
}

/* ---- the same with today's names ------------------------------------------------------------------------ */

#define QF_STREAM_FLAGS 0x13e00u /* NEW, FIN, UNI, DONTWAIT, SNDBLOCK, DATAGRAM */

ssize_t quic_sendmsg_2(int sd, const void *msg, size_t len, int64_t sid, uint32_t flags);
ssize_t quic_recvmsg_2(int sd, void *msg, size_t len, int64_t *sid, uint32_t *flags);

QF_EXPORT ssize_t quic_sendmsg_2(int sd, const void *msg, size_t len, int64_t sid, uint32_t flags)
{
    return qf_sendmsg_info(sd, msg, len, (uint64_t)sid, flags & QF_STREAM_FLAGS,
                           (int)(flags & ~QF_STREAM_FLAGS));
}

QF_EXPORT ssize_t quic_recvmsg_2(int sd, void *msg, size_t len, int64_t *sid, uint32_t *flags)
{
    struct quic_stream_info info;
    bool has_info;
    int msg_flags;
    /* Those of a stream may be left of what was sent before; one of them is recvmsg's MSG_ERRQUEUE. */
    int in = flags != NULL ? (int)(*flags & ~QF_STREAM_FLAGS) : 0;
    ssize_t got = qf_recvmsg_info(sd, msg, len, &info, &has_info, in, &msg_flags);
    if (got >= 0) {
        if (sid != NULL && has_info) {
            *sid = (int64_t)info.stream_id;
        }
        if (flags != NULL) {
            *flags = (uint32_t)msg_flags | (has_info ? info.stream_flag : 0);
        }
    }
    return got;
}

/* ---- handshakes --------------------------------------------------------------------------------------------- */

static int qf_handshake(int sd, const qs_handshake_args *args)
{
    long rc = 0;
    qf_entry *entry = qf_enter(sd, &rc);
    if (entry == NULL) {
        if (rc == 0) {
            errno = QF_REAL(fcntl)(sd, F_GETFD) < 0 ? EBADF : ENOTSOCK;
        }
        return -errno;
    }
    int state = qf_hold(); /* it has a time limit */
    int result = entry->ops->handshake(entry->sock, args);
    qf_let(state);
    qf_put(entry);
    if (result < 0) {
        errno = -result;
    }
    return result;
}

/* Pre-shared keys: BoringSSL cannot, gnutls can. */
static int qf_handshake_psk(int sd, bool is_server, const char *psk_file, const char *alpns)
{
    if (quic_gnutls_psk == NULL) {
        qf_say(0,
               "pre-shared keys need libquic_gnutls, which is not there: it is linked (where the "
               "linker leaves it out, with --no-as-needed) or preloaded");
        errno = ENOSYS;
        return -ENOSYS;
    }
    return quic_gnutls_psk(sd, is_server, psk_file, alpns);
}

/* The two under the names that the draft and the kernel's library share. The draft's callers give no fourth argument:
 * here it is whatever stands in its place, and only passed on to a function that has one, for its own callers. */
int qf_client_handshake(int sd, const char *pkey_file, const char *cert_file,
                        const char *alpns) __asm__("quic_client_handshake");
int qf_server_handshake(int sd, const char *pkey_file, const char *cert_file,
                        const char *alpns) __asm__("quic_server_handshake");

QF_EXPORT int qf_client_handshake(int sd, const char *pkey_file, const char *cert_file,
                                  const char *alpns)
{
    const qf_kernel *kernel = qf_kernel_of(sd);
    if (kernel != NULL) {
        return kernel->quic_client_handshake(sd, pkey_file, cert_file, alpns);
    }
    qs_handshake_args args = {
        .key_file = pkey_file, .cert_file = cert_file, .timeout_ms = QF_HANDSHAKE_MS};
    if (pkey_file != NULL && cert_file == NULL) {
        return qf_handshake_psk(sd, false, pkey_file, NULL);
    }
    return qf_handshake(sd, &args);
}

QF_EXPORT int qf_server_handshake(int sd, const char *pkey_file, const char *cert_file,
                                  const char *alpns)
{
    const qf_kernel *kernel = qf_kernel_of(sd);
    if (kernel != NULL) {
        return kernel->quic_server_handshake(sd, pkey_file, cert_file, alpns);
    }
    qs_handshake_args args = {.is_server = true,
                              .key_file = pkey_file,
                              .cert_file = cert_file,
                              .timeout_ms = QF_HANDSHAKE_MS};
    if (pkey_file == NULL) {
        errno = EINVAL;
        return -EINVAL;
    }
    return cert_file != NULL ? qf_handshake(sd, &args)
                             : qf_handshake_psk(sd, true, pkey_file, NULL);
}

int quic_client_handshake_2(int sd, const char *pkey_file, const char *hostname, const char *alpns);
int quic_server_handshake_2(int sd, const char *pkey_file, const char *cert_file,
                            const char *alpns);

QF_EXPORT int quic_client_handshake_2(int sd, const char *pkey_file, const char *hostname,
                                      const char *alpns)
{
    qs_handshake_args args = {
        .server_name = hostname, .alpn = alpns, .timeout_ms = QF_HANDSHAKE_MS};
    return pkey_file != NULL ? qf_handshake_psk(sd, false, pkey_file, alpns)
                             : qf_handshake(sd, &args);
}

QF_EXPORT int quic_server_handshake_2(int sd, const char *pkey_file, const char *cert_file,
                                      const char *alpns)
{
    qs_handshake_args args = {.is_server = true,
                              .key_file = pkey_file,
                              .cert_file = cert_file,
                              .alpn = alpns,
                              .timeout_ms = QF_HANDSHAKE_MS};
    if (pkey_file == NULL) {
        errno = EINVAL;
        return -EINVAL;
    }
    return cert_file != NULL ? qf_handshake(sd, &args)
                             : qf_handshake_psk(sd, true, pkey_file, alpns);
}

/* libquic_gnutls has the real ones; these are met when it stands behind libquic. */
static int qf_handshake_parms(int sd, bool is_server, struct quic_handshake_parms *parms)
{
    if (quic_gnutls_parms == NULL) {
        errno = ENOSYS;
        return -ENOSYS;
    }
    return quic_gnutls_parms(sd, is_server, parms);
}

QF_EXPORT __attribute__((weak)) int quic_client_handshake_parms(int sd,
                                                                struct quic_handshake_parms *parms)
{
    return qf_handshake_parms(sd, false, parms);
}

QF_EXPORT __attribute__((weak)) int quic_server_handshake_parms(int sd,
                                                                struct quic_handshake_parms *parms)
{
    return qf_handshake_parms(sd, true, parms);
}
