/* tools/quicperf/asked.h: whether a run became what its options ask for.
 */
#ifndef TOOLS_QUICPERF_ASKED_H
#define TOOLS_QUICPERF_ASKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/quicperf/options.h"
#include "tools/quicperf/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_asked_version: whether a connection in `version` (QURING_QUIC_*) is what --version asks for. */
bool qp_asked_version(const qp_options *options, uint32_t version);

/* qp_asked_but_missed says in one line which option of a client's run that ended well did not get what
 * it asked for, and why; false when all of them did. A figure is worth nothing when the run was not
 * the one that was asked for. */
bool qp_asked_but_missed(char *out, size_t cap, const qp_options *options, const qp_result *result);

/* qp_asked_length says in one line what is wrong with a transfer of which `got` bytes came and `asked` were to, or
 * QP_ENDLESS. Returns `out`. */
const char *qp_asked_length(char *out, size_t cap, uint64_t asked, uint64_t got);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_ASKED_H */
