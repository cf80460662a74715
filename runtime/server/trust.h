/* runtime/server/trust.h: the trust anchors of a client that names none: SSL_CERT_FILE, SSL_CERT_DIR,
 * then the places where systems keep theirs. */
#ifndef RUNTIME_SERVER_TRUST_H
#define RUNTIME_SERVER_TRUST_H

#include "quring/base.h"

#include "runtime/server/file.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_trust_load reads PEM certificates into `out`. A variable that is set decides alone.
 * Returns QURING_OK; QURING_E_TLS with the place and the reason in err. `out` may hold bytes on
 * failure too: wipe it in any case. */
QURING_NODISCARD quring_status rt_trust_load(rt_file *out, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_TRUST_H */
