#include "quic/crypto/tls_script_msg.h"

#include <openssl/bytestring.h>

#include "quic/crypto/hash.h"

#define EXT_SERVER_NAME           0
#define EXT_ALPN                  16
#define EXT_PADDING               21
#define EXT_QUIC_TRANSPORT_PARAMS 0x39
#define EXT_PRE_SHARED_KEY        41 /* the ticket as it is, or empty: the script's own format */
#define EXT_EARLY_DATA            42
#define LEGACY_VERSION            0x0303

static bool add_extension_head(CBB *list, uint16_t type, CBB *body)
{
    return CBB_add_u16(list, type) && CBB_add_u16_length_prefixed(list, body);
}

static bool add_server_name(CBB *list, quring_bytes name)
{
    CBB body;
    CBB names;
    CBB host;
    return add_extension_head(list, EXT_SERVER_NAME, &body) &&
           CBB_add_u16_length_prefixed(&body, &names) && CBB_add_u8(&names, 0) &&
           CBB_add_u16_length_prefixed(&names, &host) &&
           CBB_add_bytes(&host, name.data, name.len) && CBB_flush(list);
}

static bool add_alpn(CBB *list, quring_bytes alpn)
{
    CBB body;
    CBB names;
    CBB name;
    return add_extension_head(list, EXT_ALPN, &body) &&
           CBB_add_u16_length_prefixed(&body, &names) &&
           CBB_add_u8_length_prefixed(&names, &name) && CBB_add_bytes(&name, alpn.data, alpn.len) &&
           CBB_flush(list);
}

static bool add_params(CBB *list, quring_bytes params)
{
    CBB body;
    return add_extension_head(list, EXT_QUIC_TRANSPORT_PARAMS, &body) &&
           CBB_add_bytes(&body, params.data, params.len) && CBB_flush(list);
}

static bool add_raw(CBB *list, uint16_t type, quring_bytes bytes)
{
    CBB body;
    return add_extension_head(list, type, &body) && CBB_add_bytes(&body, bytes.data, bytes.len) &&
           CBB_flush(list);
}

static bool add_extensions(CBB *list, const quic_script_extensions *ext)
{
    const quring_bytes none = {(const uint8_t *)"", 0};
    if ((ext->ticket.len > 0 && !add_raw(list, EXT_PRE_SHARED_KEY, ext->ticket)) ||
        (ext->has_ticket && !add_raw(list, EXT_PRE_SHARED_KEY, none)) ||
        (ext->early && !add_raw(list, EXT_EARLY_DATA, none))) {
        return false;
    }
    return (ext->server_name.len == 0 || add_server_name(list, ext->server_name)) &&
           (ext->alpn.len == 0 || add_alpn(list, ext->alpn)) &&
           (!ext->has_params || add_params(list, ext->params));
}

/* Pads the extension list so that the message, of which `before` bytes precede the list's content,
 * reaches pad_to bytes; nothing when it is that long already or the gap is too small to fill. */
static bool add_padding(CBB *list, size_t before, size_t pad_to)
{
    static const uint8_t zeros[256] = {0};
    const size_t have = before + CBB_len(list);
    CBB body;
    if (have + 4 > pad_to) {
        return true;
    }
    size_t left = pad_to - have - 4;
    if (!add_extension_head(list, EXT_PADDING, &body)) {
        return false;
    }
    while (left > 0) {
        const size_t n = left < sizeof(zeros) ? left : sizeof(zeros);
        if (!CBB_add_bytes(&body, zeros, n)) {
            return false;
        }
        left -= n;
    }
    return CBB_flush(list);
}

static size_t finish(CBB *cbb, bool ok)
{
    size_t len = 0;
    if (!ok || !CBB_finish(cbb, NULL, &len)) {
        CBB_cleanup(cbb);
        return 0;
    }
    return len;
}

size_t quic_script_make_client_hello(uint8_t *out, size_t cap,
                                     const uint8_t random[QUIC_SCRIPT_RANDOM_LEN],
                                     const quic_script_extensions *ext, size_t pad_to)
{
    static const uint8_t suites[8] = {0, 6, 0x13, 0x01, 0x13, 0x02, 0x13, 0x03};
    const size_t before = 4 + 2 + QUIC_SCRIPT_RANDOM_LEN + 1 + sizeof(suites) + 2 + 2;
    CBB cbb;
    CBB body;
    CBB list;
    CBB_init_fixed(&cbb, out, cap);
    const bool ok = CBB_add_u8(&cbb, QUIC_SCRIPT_CLIENT_HELLO) &&
                    CBB_add_u24_length_prefixed(&cbb, &body) &&
                    CBB_add_u16(&body, LEGACY_VERSION) &&
                    CBB_add_bytes(&body, random, QUIC_SCRIPT_RANDOM_LEN) && CBB_add_u8(&body, 0) &&
                    CBB_add_bytes(&body, suites, sizeof(suites)) && CBB_add_u8(&body, 1) &&
                    CBB_add_u8(&body, 0) && CBB_add_u16_length_prefixed(&body, &list) &&
                    add_extensions(&list, ext) && add_padding(&list, before, pad_to);
    return finish(&cbb, ok);
}

size_t quic_script_make_server_hello(uint8_t *out, size_t cap,
                                     const uint8_t random[QUIC_SCRIPT_RANDOM_LEN], uint16_t suite)
{
    CBB cbb;
    CBB body;
    CBB_init_fixed(&cbb, out, cap);
    const bool ok = CBB_add_u8(&cbb, QUIC_SCRIPT_SERVER_HELLO) &&
                    CBB_add_u24_length_prefixed(&cbb, &body) &&
                    CBB_add_u16(&body, LEGACY_VERSION) &&
                    CBB_add_bytes(&body, random, QUIC_SCRIPT_RANDOM_LEN) && CBB_add_u8(&body, 0) &&
                    CBB_add_u16(&body, suite) && CBB_add_u8(&body, 0) && CBB_add_u16(&body, 0);
    return finish(&cbb, ok);
}

static bool open_message(CBS *body, const uint8_t *msg, size_t len, uint8_t want)
{
    CBS cbs;
    uint8_t type;
    CBS_init(&cbs, msg, len);
    return CBS_get_u8(&cbs, &type) && type == want && CBS_get_u24_length_prefixed(&cbs, body) &&
           CBS_len(&cbs) == 0;
}

void quic_script_read_offer(const uint8_t *msg, size_t len, quic_script_extensions *out)
{
    CBS body;
    CBS list;
    CBS ext;
    uint16_t type;
    memset(out, 0, sizeof(*out));
    if (!open_message(&body, msg, len, QUIC_SCRIPT_CLIENT_HELLO) ||
        !CBS_skip(&body, 2 + QUIC_SCRIPT_RANDOM_LEN) || !CBS_get_u8_length_prefixed(&body, &ext) ||
        !CBS_get_u16_length_prefixed(&body, &ext) || !CBS_get_u8_length_prefixed(&body, &ext) ||
        !CBS_get_u16_length_prefixed(&body, &list)) {
        return;
    }
    while (CBS_get_u16(&list, &type) && CBS_get_u16_length_prefixed(&list, &ext)) {
        if (type == EXT_PRE_SHARED_KEY) {
            out->ticket.data = CBS_data(&ext);
            out->ticket.len = CBS_len(&ext);
        }
        out->early = out->early || type == EXT_EARLY_DATA;
    }
}

bool quic_script_read_server_hello(const uint8_t *msg, size_t len,
                                   uint8_t random[QUIC_SCRIPT_RANDOM_LEN], uint16_t *out_suite)
{
    CBS body;
    uint16_t version;
    uint16_t ext_len;
    uint8_t session_id_len;
    uint8_t compression;
    return open_message(&body, msg, len, QUIC_SCRIPT_SERVER_HELLO) &&
           CBS_get_u16(&body, &version) && version == LEGACY_VERSION &&
           CBS_copy_bytes(&body, random, QUIC_SCRIPT_RANDOM_LEN) &&
           CBS_get_u8(&body, &session_id_len) && session_id_len == 0 &&
           CBS_get_u16(&body, out_suite) && CBS_get_u8(&body, &compression) && compression == 0 &&
           CBS_get_u16(&body, &ext_len) && ext_len == 0 && CBS_len(&body) == 0;
}

size_t quic_script_make_extensions(uint8_t *out, size_t cap, const quic_script_extensions *ext)
{
    CBB cbb;
    CBB body;
    CBB list;
    CBB_init_fixed(&cbb, out, cap);
    const bool ok = CBB_add_u8(&cbb, QUIC_SCRIPT_EXTENSIONS) &&
                    CBB_add_u24_length_prefixed(&cbb, &body) &&
                    CBB_add_u16_length_prefixed(&body, &list) && add_extensions(&list, ext);
    return finish(&cbb, ok);
}

static bool read_alpn(CBS body, quring_bytes *out)
{
    CBS names;
    CBS name;
    if (!CBS_get_u16_length_prefixed(&body, &names) || CBS_len(&body) != 0 ||
        !CBS_get_u8_length_prefixed(&names, &name) || CBS_len(&names) != 0 || CBS_len(&name) == 0) {
        return false;
    }
    out->data = CBS_data(&name);
    out->len = CBS_len(&name);
    return true;
}

bool quic_script_read_extensions(const uint8_t *msg, size_t len, quic_script_extensions *out)
{
    CBS body;
    CBS list;
    memset(out, 0, sizeof(*out));
    if (!open_message(&body, msg, len, QUIC_SCRIPT_EXTENSIONS) ||
        !CBS_get_u16_length_prefixed(&body, &list) || CBS_len(&body) != 0) {
        return false;
    }
    while (CBS_len(&list) > 0) {
        uint16_t type;
        CBS ext;
        if (!CBS_get_u16(&list, &type) || !CBS_get_u16_length_prefixed(&list, &ext)) {
            return false;
        }
        if (type == EXT_ALPN && out->alpn.len == 0) {
            if (!read_alpn(ext, &out->alpn)) {
                return false;
            }
        } else if (type == EXT_QUIC_TRANSPORT_PARAMS && !out->has_params) {
            out->has_params = true;
            out->params.data = CBS_data(&ext);
            out->params.len = CBS_len(&ext);
        } else if (type == EXT_PRE_SHARED_KEY) {
            out->has_ticket = true;
        } else if (type == EXT_EARLY_DATA) {
            out->early = true;
        } else {
            return false;
        }
    }
    return true;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + 1);
}

size_t quic_script_make_filler(uint8_t *out, size_t cap, uint8_t type, size_t total)
{
    if (total < 4 || total > cap) {
        return 0;
    }
    const size_t body = total - 4;
    out[0] = type;
    out[1] = (uint8_t)(body >> 16);
    out[2] = (uint8_t)(body >> 8);
    out[3] = (uint8_t)body;
    for (size_t i = 0; i < body; i++) {
        out[4 + i] = pattern(i);
    }
    return total;
}

bool quic_script_is_filler(const uint8_t *msg, size_t len)
{
    for (size_t i = 4; i < len; i++) {
        if (msg[i] != pattern(i - 4)) {
            return false;
        }
    }
    return true;
}

void quic_script_derive(uint8_t *out, size_t len,
                        const uint8_t client_random[QUIC_SCRIPT_RANDOM_LEN],
                        const uint8_t server_random[QUIC_SCRIPT_RANDOM_LEN], uint64_t label)
{
    uint8_t input[QUIC_SCRIPT_RANDOM_LEN + 16 + 8 + 8];
    memcpy(input, server_random, QUIC_SCRIPT_RANDOM_LEN);
    memcpy(input + QUIC_SCRIPT_RANDOM_LEN, client_random + 16, 16);
    for (uint64_t block = 0; len > 0; block++) {
        for (unsigned i = 0; i < 8; i++) {
            input[48 + i] = (uint8_t)(label >> (8 * i));
            input[56 + i] = (uint8_t)(block >> (8 * i));
        }
        const uint64_t word = quic_siphash(client_random, input, sizeof(input));
        uint8_t bytes[8];
        for (unsigned i = 0; i < 8; i++) {
            bytes[i] = (uint8_t)(word >> (8 * i));
        }
        const size_t n = len < sizeof(bytes) ? len : sizeof(bytes);
        memcpy(out, bytes, n);
        out += n;
        len -= n;
    }
}
