#include "tools/quicperf/asked.h"

#include <inttypes.h>
#include <stdio.h>

bool qp_asked_version(const qp_options *options, uint32_t version)
{
    return options->version == QP_VERSION_ANY ||
           version == (options->version == QP_VERSION_1 ? QURING_QUIC_V1 : QURING_QUIC_V2);
}

bool qp_asked_but_missed(char *out, size_t cap, const qp_options *options, const qp_result *result)
{
    if (options->version != QP_VERSION_ANY && result->version_count < result->connections) {
        (void)snprintf(
            out, cap,
            "%" PRIu64 " of %" PRIu64 " connections speak version %d: the server does not want it",
            result->version_count, result->connections, options->version == QP_VERSION_1 ? 1 : 2);
        return true;
    }
    if (options->disable_encryption && result->unencrypted_count < result->connections) {
        (void)snprintf(out, cap,
                       "%" PRIu64 " of %" PRIu64
                       " connections go without encryption (a quicperf server needs "
                       "--disable-encryption)",
                       result->unencrypted_count, result->connections);
        return true;
    }
    return false;
}
