/* tools/quicperf/asked.h: whether connections became what the options ask for.
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

/* qp_asked_but_missed says in one line what --version or --disable-encryption did not get; false when
 * they got what they asked for. */
bool qp_asked_but_missed(char *out, size_t cap, const qp_options *options, const qp_result *result);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_ASKED_H */
