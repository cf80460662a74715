#include <inttypes.h>
#include <stdio.h>

#include "quring/conn.h"

#define RT_CONNECTION_REFUSED 2u
#define RT_CRYPTO_ERROR       0x100u /* and the number of a TLS alert (RFC 9001 4.8) */
#define RT_CRYPTO_ERROR_MAX   0x1ffu

/* RFC 9000 20.1, RFC 9368 6. */
static const char *rt_transport_error_name(uint64_t code)
{
    static const char *const names[] = {
        "NO_ERROR",
        "INTERNAL_ERROR",
        "CONNECTION_REFUSED",
        "FLOW_CONTROL_ERROR",
        "STREAM_LIMIT_ERROR",
        "STREAM_STATE_ERROR",
        "FINAL_SIZE_ERROR",
        "FRAME_ENCODING_ERROR",
        "TRANSPORT_PARAMETER_ERROR",
        "CONNECTION_ID_LIMIT_ERROR",
        "PROTOCOL_VIOLATION",
        "INVALID_TOKEN",
        "APPLICATION_ERROR",
        "CRYPTO_BUFFER_EXCEEDED",
        "KEY_UPDATE_ERROR",
        "AEAD_LIMIT_REACHED",
        "NO_VIABLE_PATH",
        "VERSION_NEGOTIATION_ERROR",
    };
    return code < sizeof(names) / sizeof(names[0]) ? names[code] : "";
}

static const char *rt_close_text(quring_close_kind kind, bool is_tls)
{
    switch ((int)kind) {
    case QURING_CLOSE_NONE:
        return "not closed";
    case QURING_CLOSE_LOCAL_APP:
        return "closed by this side";
    case QURING_CLOSE_PEER_APP:
        return "closed by the peer";
    case QURING_CLOSE_LOCAL_TRANSPORT:
        return is_tls ? "TLS handshake failed" : "the peer broke the protocol";
    case QURING_CLOSE_PEER_TRANSPORT:
        return is_tls ? "TLS handshake refused by the peer" : "refused by the peer";
    case QURING_CLOSE_IDLE_TIMEOUT:
        return "idle timeout";
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        return "no complete handshake in time";
    case QURING_CLOSE_STATELESS_RESET:
        return "the peer has forgotten the connection (stateless reset)";
    case QURING_CLOSE_VERSION:
        return "no version of QUIC in common";
    case QURING_CLOSE_UNREACHABLE:
        return "the peer moved and does not answer any more";
    case QURING_CLOSE_INTERNAL:
        return "memory or another resource gave out";
    default:
        return "closed";
    }
}

/* Nobody sent a phrase: the reason is the kind in other words. */
static bool rt_close_is_silent(quring_close_kind kind)
{
    return kind == QURING_CLOSE_IDLE_TIMEOUT || kind == QURING_CLOSE_HANDSHAKE_TIMEOUT ||
           kind == QURING_CLOSE_STATELESS_RESET || kind == QURING_CLOSE_VERSION;
}

const char *quring_close_format(const quring_close_info *close, char *buf, size_t buf_len)
{
    if (close == NULL || buf == NULL || buf_len == 0) {
        return buf;
    }
    const bool is_tls = close->code >= RT_CRYPTO_ERROR && close->code <= RT_CRYPTO_ERROR_MAX;
    const bool refused =
        close->kind == QURING_CLOSE_LOCAL_TRANSPORT && close->code == RT_CONNECTION_REFUSED;
    const char *text = refused ? "refused by this side" : rt_close_text(close->kind, is_tls);
    const char *reason = rt_close_is_silent(close->kind) ? "" : close->reason;
    const char *colon = reason[0] != '\0' ? ": " : "";
    switch ((int)close->kind) {
    case QURING_CLOSE_LOCAL_APP:
    case QURING_CLOSE_PEER_APP:
        (void)snprintf(buf, buf_len, "%s: application error %" PRIu64 "%s%s", text, close->code,
                       colon, reason);
        break;
    case QURING_CLOSE_LOCAL_TRANSPORT:
    case QURING_CLOSE_PEER_TRANSPORT:
        if (is_tls) {
            (void)snprintf(buf, buf_len, "%s: alert %" PRIu64 "%s%s", text,
                           close->code - RT_CRYPTO_ERROR, colon, reason);
        } else {
            const char *name = rt_transport_error_name(close->code);
            (void)snprintf(buf, buf_len, "%s: transport error 0x%" PRIx64 "%s%s%s%s", text,
                           close->code, name[0] != '\0' ? " " : "", name, colon, reason);
        }
        break;
    default:
        (void)snprintf(buf, buf_len, "%s%s%s", text, colon, reason);
        break;
    }
    return buf;
}
