/* tools/quicperf/keylog.h: the secrets of all handshakes of this process, for packet analysers (NSS key log
 * format).
 *
 * Shape:  one file per process, of --keylog or else of the environment variable SSLKEYLOGFILE; lines are
 *         added at its end, each in one write. It is made readable by its owner only.
 */
#ifndef TOOLS_QUICPERF_KEYLOG_H
#define TOOLS_QUICPERF_KEYLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "quring/config.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_keylog_open opens the file, if one is asked for; false with one line in `why`. */
bool qp_keylog_open(const qp_options *options, char *why, size_t cap);

/* qp_keylog_is_whole: false with one line in `why` when a secret could not be written. */
bool qp_keylog_is_whole(char *why, size_t cap);

/* qp_keylog_use makes `tls` write to it, if it is open. */
void qp_keylog_use(quring_tls_options *tls);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_KEYLOG_H */
