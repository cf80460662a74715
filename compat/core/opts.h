/* compat/core/opts.h: the options, file by file: opts.c knows which there are; params and params_kernel have
 * the large structures, opts_raw a handshake from outside, opts_socket what every socket has.
 *
 * Functions return 0 or -errno; the lock is held unless it is said otherwise.
 */
#ifndef COMPAT_CORE_OPTS_H
#define COMPAT_CORE_OPTS_H

#include "compat/core/layout.h"
#include "compat/core/sock.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QS_BUF_MAX (256u << 20) /* SO_RCVBUF and SO_SNDBUF */

/* params.c: the draft's layout. */
int qs_set_param_draft(qs_sock *s, const void *value, size_t len);
int qs_get_param_draft(const qs_sock *s, void *value, socklen_t *len);
/* The peer's parameters are known: the send buffer follows its window (draft section 8). */
void qs_params_learned(qs_sock *s);

/* params_kernel.c: the kernel's. */
int qs_set_param_kernel(qs_sock *s, const void *value, size_t len);
int qs_get_param_kernel(const qs_sock *s, void *value, socklen_t *len);
int qs_set_config(qs_sock *s, const void *value, size_t len);
int qs_get_config(const qs_sock *s, void *value, socklen_t *len);

/* The number of TLS 1.3 of a TLS_CIPHER_* type; 0: there is none. */
uint16_t qs_suite_of(uint32_t type);

/* opts_raw.c; no lock held. */
int qs_set_handshake_opt(qs_sock *s, qs_opt opt, const void *value, size_t len);
int qs_get_params_ext(qs_sock *s, void *value, socklen_t *len);

/* opts_socket.c */
int qs_set_socket(qs_sock *s, int name, const void *value, size_t len);
int qs_get_socket(const qs_sock *s, int name, void *value, socklen_t *len);
int qs_set_ip(qs_sock *s, int level, int name, const void *value, size_t len);
int qs_get_int(int have, void *value, socklen_t *len);

/* opts.c: copies `have` bytes out; -EINVAL when *len is less. */
int qs_get_bytes(const void *data, size_t have, void *value, socklen_t *len);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_CORE_OPTS_H */
