#include "quic/crypto/client_hello.h"

#include <openssl/bytestring.h>

#define MSG_CLIENT_HELLO          1
#define EXT_SERVER_NAME           0
#define EXT_ALPN                  16
#define EXT_QUIC_TRANSPORT_PARAMS 0x39
#define ALERT_UNEXPECTED_MESSAGE  (QUIC_V_CRYPTO_BASE + 10)
#define ALERT_ILLEGAL_PARAMETER   (QUIC_V_CRYPTO_BASE + 47)
#define ALERT_DECODE_ERROR        (QUIC_V_CRYPTO_BASE + 50)

static quring_bytes view(const CBS *cbs)
{
    quring_bytes v = {CBS_data(cbs), CBS_len(cbs)};
    return v;
}

quic_rc quic_client_hello_length(size_t *out_total, const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] != MSG_CLIENT_HELLO) {
        return ALERT_UNEXPECTED_MESSAGE;
    }
    if (len < 4) {
        return QUIC_E_AGAIN;
    }
    *out_total = 4 + ((size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]);
    return QUIC_OK;
}

/* RFC 6066 3: the first host_name of the list; other name types are skipped. */
static bool parse_server_name(quring_bytes *out, CBS body)
{
    CBS list;
    if (!CBS_get_u16_length_prefixed(&body, &list) || CBS_len(&body) != 0 || CBS_len(&list) == 0) {
        return false;
    }
    while (CBS_len(&list) > 0) {
        uint8_t type;
        CBS name;
        if (!CBS_get_u8(&list, &type) || !CBS_get_u16_length_prefixed(&list, &name)) {
            return false;
        }
        if (type != 0) {
            continue;
        }
        if (CBS_len(&name) == 0 || out->len != 0) {
            return false;
        }
        *out = view(&name);
    }
    return true;
}

/* RFC 7301 3.1: no empty name, no empty list. */
static bool parse_alpn(quring_bytes *out, CBS body)
{
    CBS list;
    if (!CBS_get_u16_length_prefixed(&body, &list) || CBS_len(&body) != 0 || CBS_len(&list) == 0) {
        return false;
    }
    *out = view(&list);
    while (CBS_len(&list) > 0) {
        CBS name;
        if (!CBS_get_u8_length_prefixed(&list, &name) || CBS_len(&name) == 0) {
            return false;
        }
    }
    return true;
}

static quic_rc parse_extensions(quic_client_hello *out, CBS *extensions)
{
    bool seen_name = false;
    bool seen_alpn = false;
    while (CBS_len(extensions) > 0) {
        uint16_t type;
        CBS body;
        bool ok = true;
        bool again = false;
        if (!CBS_get_u16(extensions, &type) || !CBS_get_u16_length_prefixed(extensions, &body)) {
            return ALERT_DECODE_ERROR;
        }
        if (type == EXT_SERVER_NAME) {
            again = seen_name;
            seen_name = true;
            ok = again || parse_server_name(&out->server_name, body);
        } else if (type == EXT_ALPN) {
            again = seen_alpn;
            seen_alpn = true;
            ok = parse_alpn(&out->alpn, body);
        } else if (type == EXT_QUIC_TRANSPORT_PARAMS) {
            again = out->has_transport_params;
            out->has_transport_params = true;
            out->transport_params = view(&body);
        }
        if (again) { /* RFC 8446 4.2 */
            return ALERT_ILLEGAL_PARAMETER;
        }
        if (!ok) {
            return ALERT_DECODE_ERROR;
        }
    }
    return QUIC_OK;
}

quic_rc quic_client_hello_parse(quic_client_hello *out, const uint8_t *data, size_t len)
{
    size_t total = 0;
    const quic_rc rc = quic_client_hello_length(&total, data, len);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (len < total) {
        return QUIC_E_AGAIN;
    }
    quic_client_hello hello;
    memset(&hello, 0, sizeof(hello));
    hello.message.data = data;
    hello.message.len = total;

    CBS body;
    CBS random;
    CBS session_id;
    CBS suites;
    CBS compression;
    CBS extensions;
    uint16_t legacy_version;
    CBS_init(&body, data + 4, total - 4);
    if (!CBS_get_u16(&body, &legacy_version) || !CBS_get_bytes(&body, &random, 32) ||
        !CBS_get_u8_length_prefixed(&body, &session_id) || CBS_len(&session_id) > 32 ||
        !CBS_get_u16_length_prefixed(&body, &suites) || CBS_len(&suites) < 2 ||
        CBS_len(&suites) % 2 != 0 || !CBS_get_u8_length_prefixed(&body, &compression) ||
        CBS_len(&compression) == 0 || !CBS_get_u16_length_prefixed(&body, &extensions) ||
        CBS_len(&body) != 0) {
        return ALERT_DECODE_ERROR;
    }
    hello.random = view(&random);
    const quic_rc ext_rc = parse_extensions(&hello, &extensions);
    if (ext_rc == QUIC_OK) {
        *out = hello;
    }
    return ext_rc;
}

bool quic_client_hello_next_alpn(quring_bytes *list, quring_bytes *out_name)
{
    if (list->len == 0 || (size_t)list->data[0] + 1 > list->len || list->data[0] == 0) {
        return false;
    }
    out_name->data = list->data + 1;
    out_name->len = list->data[0];
    list->data += 1 + out_name->len;
    list->len -= 1 + out_name->len;
    return true;
}
