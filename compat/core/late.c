/* What a handshake from outside leaves to us: tickets that come when nobody waits for them (draft section 6.1.6),
 * and what a server says of 0-RTT, which no option tells. */
#include <stdlib.h>
#include <string.h>

#include "compat/core/layout.h"
#include "compat/core/sock.h"

#define QS_TLS_HEAD            4u /* type, 24 bits of length */
#define QS_TLS_TICKET          4u
#define QS_TLS_EXTENSIONS      8u
#define QS_TLS_EXTENSION_EARLY 42u

static size_t qs_tls_be(const uint8_t *data, size_t bytes)
{
    size_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

bool qs_late_is_wanted(const qs_sock *s)
{
    return s->protocol == QS_PROTO_DRAFT && s->settings.receive_session_ticket != 0 &&
           !s->ticket_came;
}

/* A whole message: what the TLS library makes a session of later. */
static void qs_late_message(qs_sock *s, const uint8_t *data, size_t len)
{
    if (data[0] != QS_TLS_TICKET || qs_blob_set(&s->ticket, data, len) != 0) {
        return;
    }
    s->ticket_came = true;
    qs_rx_push_event(s, QS_EVENT_NEW_SESSION_TICKET, data, (uint32_t)len);
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_RX);
}

/* The first one is kept. Where the bytes make no ticket that can be kept, none of those behind it is looked
 * for: its end is not known. */
void qs_late_ticket(qs_sock *s, const uint8_t *data, size_t len)
{
    if (s->protocol != QS_PROTO_KERNEL || s->ticket_came || len > QS_TICKET_LEN_MAX - s->late.len) {
        s->ticket_came = true;
        return;
    }
    uint8_t *all = (uint8_t *)realloc(s->late.data, s->late.len + len);
    if (all == NULL) {
        return;
    }
    memcpy(all + s->late.len, data, len);
    s->late.data = all;
    s->late.len += (uint32_t)len;
    if (s->late.len < QS_TLS_HEAD) {
        return;
    }
    size_t want = QS_TLS_HEAD + qs_tls_be(all + 1, 3);
    if (s->late.len >= want) {
        qs_late_message(s, all, want);
        free(s->late.data);
        memset(&s->late, 0, sizeof(s->late));
        s->ticket_came = true;
    }
}

/* One that comes in pieces counts as a refusal: what was sent is sent again then, in 1-RTT packets. */
bool qs_late_takes_early(const uint8_t *data, size_t len)
{
    if (len < QS_TLS_HEAD + 2 || data[0] != QS_TLS_EXTENSIONS ||
        len - QS_TLS_HEAD < qs_tls_be(data + 1, 3)) {
        return false;
    }
    const uint8_t *at = data + QS_TLS_HEAD + 2;
    size_t left = qs_tls_be(data + QS_TLS_HEAD, 2);
    if (left > len - QS_TLS_HEAD - 2) {
        return false;
    }
    while (left >= 4) {
        size_t body = qs_tls_be(at + 2, 2);
        if (qs_tls_be(at, 2) == QS_TLS_EXTENSION_EARLY) {
            return true;
        }
        if (body > left - 4) {
            return false;
        }
        at += 4 + body;
        left -= 4 + body;
    }
    return false;
}
