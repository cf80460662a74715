/* compat/gnutls/hook.h: what libquic.so asks of libquic_gnutls.so, and that of it, where a program has linked both, in
 * whatever order: each refers weakly to what is the other's. Return 0, or -errno with errno set. */
#ifndef COMPAT_GNUTLS_HOOK_H
#define COMPAT_GNUTLS_HOOK_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quic_handshake_parms;

int quic_gnutls_parms(int sd, bool is_server, struct quic_handshake_parms *parms);
/* A handshake with the pre-shared keys of a file; `alpns` is a list, or NULL. */
int quic_gnutls_psk(int sd, bool is_server, const char *psk_file, const char *alpns);

/* libquic.so's: a line of information for whoever hears the library. */
void quic_gnutls_say(const char *line);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_GNUTLS_HOOK_H */
