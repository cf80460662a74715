/* A program with a sanitizer and a TLS library of its own is told at its first QUIC socket, and not called with the
 * engine's objects. */
#include <errno.h>
#include <netinet/quic.h>
#include <stdio.h>

void EVP_PKEY_free(void *key);

void EVP_PKEY_free(void *key)
{
    (void)key;
}

int main(void)
{
    errno = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
    if (fd >= 0 || errno != EPROTONOSUPPORT) {
        fprintf(stderr, "socket: %d, errno %d\n", fd, errno);
        return 1;
    }
    return 0;
}
