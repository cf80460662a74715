#include "tools/quicperf/close_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/quicperf/units.h"

#define QP_CRYPTO_ERROR     0x100u /* and the number of an alert (RFC 9001 4.8) */
#define QP_CRYPTO_ERROR_MAX 0x1ffu

const char *qp_error_text(const quring_error *err, quring_status status)
{
    return err->message[0] != '\0' ? err->message : quring_status_text(status);
}

void qp_close_text(char *out, size_t cap, const quring_close_info *close, const quring_addr *remote,
                   uint64_t timeout_ns)
{
    char peer[64];
    char after[32];
    const char *reason = close->reason[0] != '\0' ? close->reason : "no reason given";
    quring_addr_format(remote, peer, sizeof(peer));
    qp_format_time(after, sizeof(after), (double)timeout_ns);
    bool is_tls = close->code >= QP_CRYPTO_ERROR && close->code <= QP_CRYPTO_ERROR_MAX;
    switch ((int)close->kind) {
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        (void)snprintf(out, cap, "no answer from %s within %s (--timeout changes that)", peer,
                       after);
        break;
    case QURING_CLOSE_IDLE_TIMEOUT:
    case QURING_CLOSE_UNREACHABLE:
        (void)snprintf(out, cap, "%s does not answer any more", peer);
        break;
    case QURING_CLOSE_STATELESS_RESET:
        (void)snprintf(out, cap, "%s has forgotten the connection (stateless reset)", peer);
        break;
    case QURING_CLOSE_VERSION:
        (void)snprintf(out, cap, "%s speaks no QUIC version of ours", peer);
        break;
    case QURING_CLOSE_LOCAL_TRANSPORT:
        (void)snprintf(out, cap,
                       is_tls ? "TLS handshake with %s failed: %s (alert %" PRIu64
                                "; --ca FILE names whom to trust, --insecure skips the check)"
                              : "%s broke the protocol: %s (error 0x%" PRIx64 ")",
                       peer, reason, is_tls ? close->code - QP_CRYPTO_ERROR : close->code);
        break;
    case QURING_CLOSE_PEER_TRANSPORT:
        (void)snprintf(out, cap,
                       is_tls ? "%s refused the TLS handshake: %s (alert %" PRIu64 ")"
                              : "%s closed the connection: %s (error 0x%" PRIx64 ")",
                       peer, reason, is_tls ? close->code - QP_CRYPTO_ERROR : close->code);
        break;
    default:
        (void)snprintf(out, cap, "connection to %s ended: %s (code %" PRIu64 ")", peer, reason,
                       close->code);
        break;
    }
}
