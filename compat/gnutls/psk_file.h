/* compat/gnutls/psk_file.h: a file of pre-shared keys: lines of an identity, a colon and the key in hexadecimal.
 *
 * Bounds:  the first ten keys are taken, the rest of the file is not read; a line has at most 1023 bytes.
 * Errors:  0; -errno of the file; -EINVAL: it holds something else, or no key; -ENOMEM.
 */
#ifndef COMPAT_GNUTLS_PSK_FILE_H
#define COMPAT_GNUTLS_PSK_FILE_H

#include "compat/gnutls/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills names, keys and num_keys of `parms`; qg_psk_free wipes them and gives them back, after a failure, too. */
int qg_psk_read(struct quic_handshake_parms *parms, const char *path);
void qg_psk_free(struct quic_handshake_parms *parms);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_GNUTLS_PSK_FILE_H */
