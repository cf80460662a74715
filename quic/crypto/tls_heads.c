#include "quic/crypto/tls_heads.h"

/* RFC 8446 4 */
#define MSG_NEW_SESSION_TICKET   4
#define MSG_END_OF_EARLY_DATA    5
#define MSG_CERTIFICATE_REQUEST  13
#define MSG_KEY_UPDATE           24
#define LENGTH_BYTES             3u
#define ALERT_UNEXPECTED_MESSAGE (QUIC_V_CRYPTO_BASE + 10)

static quic_rc judge(quic_role role, quic_level level, uint8_t type)
{
    if (type == MSG_KEY_UPDATE || type == MSG_END_OF_EARLY_DATA) {
        return ALERT_UNEXPECTED_MESSAGE; /* RFC 9001 6, 8.3 */
    }
    if (level != QUIC_LEVEL_APP || (role == QUIC_CLIENT && type == MSG_NEW_SESSION_TICKET)) {
        return QUIC_OK;
    }
    return role == QUIC_CLIENT && type == MSG_CERTIFICATE_REQUEST
               ? QUIC_V_PROTOCOL_VIOLATION /* RFC 9001 4.4 */
               : ALERT_UNEXPECTED_MESSAGE; /* RFC 8446 4.6 has no other */
}

quic_rc quic_tls_heads_check(quic_tls_heads *h, quic_role role, quic_level level,
                             const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (h->head_left > 0) {
            h->body_left = (h->body_left << 8 | data[i++]) & 0xffffffu;
            h->head_left = (h->head_left - 1) & 3u;
        } else if (h->body_left > 0) {
            const size_t n = len - i < h->body_left ? len - i : h->body_left;
            h->body_left = (h->body_left - (uint32_t)n) & 0xffffffu;
            i += n;
        } else {
            const quic_rc rc = judge(role, level, data[i++]);
            if (rc != QUIC_OK) {
                return rc;
            }
            h->head_left = LENGTH_BYTES;
        }
    }
    return QUIC_OK;
}
