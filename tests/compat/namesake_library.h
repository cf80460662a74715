/* tests/compat/namesake_library.h: see namesake_library.c. */
#ifndef TESTS_COMPAT_NAMESAKE_LIBRARY_H
#define TESTS_COMPAT_NAMESAKE_LIBRARY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int quic_client_handshake(int sd, const char *psk_file, const char *name, const char *alpns);
int quic_server_handshake(int sd, const char *key_file, const char *cert_file, const char *alpns);
ssize_t quic_sendmsg(int sd, const void *msg, size_t len, int64_t sid, uint32_t flags);
int quic_set_log_level(int level);
ssize_t quic_recvmsg(int sd, void *msg, size_t len, int64_t *sid, uint32_t *flags);

#endif /* TESTS_COMPAT_NAMESAKE_LIBRARY_H */
