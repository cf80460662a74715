/* A library whose functions have the names of those of netinet/quic.h and the arguments of the kernel implementation's
 * library. They say that they were called, and with what. */
#include "tests/compat/namesake_library.h"

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

static size_t length(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

int quic_client_handshake(int sd, const char *psk_file, const char *name, const char *alpns)
{
    (void)sd;
    return (int)(1000 + 100 * length(psk_file) + 10 * length(name) + length(alpns));
}

int quic_server_handshake(int sd, const char *key_file, const char *cert_file, const char *alpns)
{
    (void)sd;
    return (int)(2000 + 100 * length(key_file) + 10 * length(cert_file) + length(alpns));
}

ssize_t quic_sendmsg(int sd, const void *msg, size_t len, int64_t sid, uint32_t flags)
{
    (void)sd;
    (void)msg;
    return (ssize_t)(3000 + len + (uint64_t)(sid + 1) + flags);
}

int quic_set_log_level(int level)
{
    return 5000 + level;
}

ssize_t quic_recvmsg(int sd, void *msg, size_t len, int64_t *sid, uint32_t *flags)
{
    (void)sd;
    (void)msg;
    *sid = 8;
    return (ssize_t)(4000 + len + *flags);
}
