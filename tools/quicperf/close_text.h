/* tools/quicperf/close_text.h: why something failed, in a line.
 */
#ifndef TOOLS_QUICPERF_CLOSE_TEXT_H
#define TOOLS_QUICPERF_CLOSE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "quring/quring.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_error_text gives what `err` says or, when it says nothing, what `status` means. */
const char *qp_error_text(const quring_error *err, quring_status status);

/* qp_close_text says in one line why a connection to `remote` failed; `timeout_ns` was the time the
 * handshake had. */
void qp_close_text(char *out, size_t cap, const quring_close_info *close, const quring_addr *remote,
                   uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_CLOSE_TEXT_H */
