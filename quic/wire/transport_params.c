#include "quic/wire/transport_params.h"

#include "quic/base/bytes.h"
#include "quic/wire/varint.h"
#include "quic/wire/version.h"

enum { /* RFC 9000 18.2 */
       TP_ORIGINAL_DCID = 0x00,
       TP_MAX_IDLE_TIMEOUT = 0x01,
       TP_RESET_TOKEN = 0x02,
       TP_MAX_UDP_PAYLOAD_SIZE = 0x03,
       TP_INITIAL_MAX_DATA = 0x04,
       TP_INITIAL_MAX_STREAM_DATA_BIDI_LOCAL = 0x05,
       TP_INITIAL_MAX_STREAM_DATA_BIDI_REMOTE = 0x06,
       TP_INITIAL_MAX_STREAM_DATA_UNI = 0x07,
       TP_INITIAL_MAX_STREAMS_BIDI = 0x08,
       TP_INITIAL_MAX_STREAMS_UNI = 0x09,
       TP_ACK_DELAY_EXPONENT = 0x0a,
       TP_MAX_ACK_DELAY = 0x0b,
       TP_DISABLE_ACTIVE_MIGRATION = 0x0c,
       TP_PREFERRED_ADDRESS = 0x0d,
       TP_ACTIVE_CONNECTION_ID_LIMIT = 0x0e,
       TP_INITIAL_SCID = 0x0f,
       TP_RETRY_SCID = 0x10,
};
enum { /* RFC 9368 10.1, Reliable Stream Resets 3, RFC 9221 3, RFC 9287 3, Disabling Encryption */
       TP_VERSION_INFORMATION = 0x11,
       TP_RESET_STREAM_AT = 0x1d,
       TP_MAX_DATAGRAM_FRAME_SIZE = 0x20,
       TP_GREASE_QUIC_BIT = 0x2ab2,
       TP_DISABLE_1RTT_ENCRYPTION = 0xbaad,
};
#define TP_MIN_ACK_DELAY 0xff04de1bull /* Acknowledgment Frequency 3 */
#define TP_SERVER_ONLY                                                                             \
    (1u << TP_ORIGINAL_DCID | 1u << TP_RESET_TOKEN | 1u << TP_PREFERRED_ADDRESS |                  \
     1u << TP_RETRY_SCID)

#define PREFERRED_FIXED_LEN 25u /* the two addresses with ports, and the CID's length */

/* The parameters that are one integer. */
typedef struct int_param {
    size_t offset; /* of the field */
    uint64_t fallback;
    uint64_t min;
    uint64_t max;
    uint8_t id;
} int_param;

#define FIELD(name) offsetof(quic_transport_params, name)
#define STREAMS_MAX (1ull << 60) /* RFC 9000 4.6 */
static const int_param int_params[] = {
    {FIELD(max_idle_timeout_ms), 0, 0, QUIC_VARINT_MAX, TP_MAX_IDLE_TIMEOUT},
    {FIELD(max_udp_payload_size), 65527, 1200, QUIC_VARINT_MAX, TP_MAX_UDP_PAYLOAD_SIZE},
    {FIELD(initial_max_data), 0, 0, QUIC_VARINT_MAX, TP_INITIAL_MAX_DATA},
    {FIELD(initial_max_stream_data_bidi_local), 0, 0, QUIC_VARINT_MAX,
     TP_INITIAL_MAX_STREAM_DATA_BIDI_LOCAL},
    {FIELD(initial_max_stream_data_bidi_remote), 0, 0, QUIC_VARINT_MAX,
     TP_INITIAL_MAX_STREAM_DATA_BIDI_REMOTE},
    {FIELD(initial_max_stream_data_uni), 0, 0, QUIC_VARINT_MAX, TP_INITIAL_MAX_STREAM_DATA_UNI},
    {FIELD(initial_max_streams_bidi), 0, 0, STREAMS_MAX, TP_INITIAL_MAX_STREAMS_BIDI},
    {FIELD(initial_max_streams_uni), 0, 0, STREAMS_MAX, TP_INITIAL_MAX_STREAMS_UNI},
    {FIELD(ack_delay_exponent), 3, 0, 20, TP_ACK_DELAY_EXPONENT},
    {FIELD(max_ack_delay_ms), 25, 0, (1u << 14) - 1, TP_MAX_ACK_DELAY},
    {FIELD(active_connection_id_limit), 2, 2, QUIC_VARINT_MAX, TP_ACTIVE_CONNECTION_ID_LIMIT},
    {FIELD(max_datagram_frame_size), 0, 0, QUIC_VARINT_MAX, TP_MAX_DATAGRAM_FRAME_SIZE},
};
#define INT_PARAM_COUNT (sizeof(int_params) / sizeof(int_params[0]))

static uint64_t *int_field(quic_transport_params *params, const int_param *ip)
{
    return (uint64_t *)(void *)((uint8_t *)params + ip->offset);
}

void quic_transport_params_default(quic_transport_params *params)
{
    memset(params, 0, sizeof(*params));
    for (size_t i = 0; i < INT_PARAM_COUNT; i++) {
        *int_field(params, &int_params[i]) = int_params[i].fallback;
    }
}

static bool write_bytes(quic_writer *w, uint64_t id, const uint8_t *data, size_t len)
{
    return quic_writer_varint(w, id) && quic_writer_varint(w, len) &&
           quic_writer_bytes(w, data, len);
}

static bool write_cid(quic_writer *w, uint64_t id, bool present, const quic_cid *cid)
{
    return !present || write_bytes(w, id, cid->bytes, cid->len);
}

static bool write_flag(quic_writer *w, uint64_t id, bool present)
{
    return !present || write_bytes(w, id, NULL, 0);
}

static bool write_int(quic_writer *w, uint64_t id, uint64_t v)
{
    return quic_writer_varint(w, id) && quic_writer_varint(w, quic_varint_len(v)) &&
           quic_writer_varint(w, v);
}

static bool write_ints(quic_writer *w, const quic_transport_params *params)
{
    for (size_t i = 0; i < INT_PARAM_COUNT; i++) {
        const int_param *ip = &int_params[i];
        uint64_t v;
        memcpy(&v, (const uint8_t *)params + ip->offset, sizeof(v));
        if (v != ip->fallback && !write_int(w, ip->id, v)) {
            return false;
        }
    }
    return true;
}

static bool write_preferred(quic_writer *w, const quic_preferred_address *pa)
{
    return quic_writer_varint(w, TP_PREFERRED_ADDRESS) &&
           quic_writer_varint(w, PREFERRED_FIXED_LEN + pa->cid.len + QUIC_RESET_TOKEN_LEN) &&
           quic_writer_bytes(w, pa->v4.ip, 4) && quic_writer_u16(w, pa->v4.port) &&
           quic_writer_bytes(w, pa->v6.ip, 16) && quic_writer_u16(w, pa->v6.port) &&
           quic_writer_u8(w, pa->cid.len) && quic_writer_bytes(w, pa->cid.bytes, pa->cid.len) &&
           quic_writer_bytes(w, pa->reset_token, QUIC_RESET_TOKEN_LEN);
}

static bool write_server_only(quic_writer *w, const quic_transport_params *params)
{
    return write_cid(w, TP_ORIGINAL_DCID, params->has_original_dcid, &params->original_dcid) &&
           write_cid(w, TP_RETRY_SCID, params->has_retry_scid, &params->retry_scid) &&
           (!params->has_reset_token ||
            write_bytes(w, TP_RESET_TOKEN, params->reset_token, QUIC_RESET_TOKEN_LEN)) &&
           (!params->has_preferred_address || write_preferred(w, &params->preferred_address));
}

static bool write_version_info(quic_writer *w, const quic_version_info *vi)
{
    if (vi->available_count > QUIC_TP_VERSIONS_MAX ||
        !quic_writer_varint(w, TP_VERSION_INFORMATION) ||
        !quic_writer_varint(w, 4 + 4 * (uint64_t)vi->available_count) ||
        !quic_writer_u32(w, vi->chosen)) {
        return false;
    }
    for (uint32_t i = 0; i < vi->available_count; i++) {
        if (!quic_writer_u32(w, vi->available[i])) {
            return false;
        }
    }
    return true;
}

static bool write_extensions(quic_writer *w, const quic_transport_params *params)
{
    return write_flag(w, TP_GREASE_QUIC_BIT, params->grease_quic_bit) &&
           write_flag(w, TP_RESET_STREAM_AT, params->reset_stream_at) &&
           write_flag(w, TP_DISABLE_1RTT_ENCRYPTION, params->disable_1rtt_encryption) &&
           (!params->has_min_ack_delay ||
            write_int(w, TP_MIN_ACK_DELAY, params->min_ack_delay_us)) &&
           (!params->has_version_info || write_version_info(w, &params->version_info));
}

static bool write_grease(quic_writer *w, uint64_t grease)
{
    uint8_t filler[8];
    quic_store_be64(filler, grease);
    return write_bytes(w, 31 * (grease >> 32) + 27, filler, grease & 7); /* RFC 9000 18.1 */
}

size_t quic_transport_params_encode(uint8_t *p, size_t room, const quic_transport_params *params,
                                    quic_role sender, uint64_t grease)
{
    quic_writer w = quic_writer_make(p, room);
    bool ok = write_ints(&w, params) &&
              write_flag(&w, TP_DISABLE_ACTIVE_MIGRATION, params->disable_active_migration) &&
              write_cid(&w, TP_INITIAL_SCID, params->has_initial_scid, &params->initial_scid) &&
              (sender == QUIC_CLIENT || write_server_only(&w, params)) &&
              write_extensions(&w, params) && (grease == 0 || write_grease(&w, grease));
    return ok ? (size_t)(w.p - p) : 0;
}

static bool read_cid(const quic_reader *r, quic_cid *cid, bool *present)
{
    size_t len = quic_reader_left(r);
    if (len > QUIC_CID_LEN_MAX) {
        return false;
    }
    quic_cid_set(cid, r->p, len);
    *present = true;
    return true;
}

static bool read_token(quic_reader *r, quic_transport_params *out)
{
    out->has_reset_token = true;
    return quic_reader_left(r) == QUIC_RESET_TOKEN_LEN &&
           quic_reader_copy(r, out->reset_token, QUIC_RESET_TOKEN_LEN);
}

/* An address of zeros with port 0 means that the family is not offered. */
static void set_family(quic_addr *addr, uint8_t family)
{
    static const uint8_t zeros[16];
    if (addr->port != 0 || memcmp(addr->ip, zeros, sizeof(zeros)) != 0) {
        addr->family = family;
    }
}

static bool read_preferred(quic_reader *r, quic_transport_params *out)
{
    quic_preferred_address *pa = &out->preferred_address;
    if (!quic_reader_copy(r, pa->v4.ip, 4) || !quic_reader_u16(r, &pa->v4.port) ||
        !quic_reader_copy(r, pa->v6.ip, 16) || !quic_reader_u16(r, &pa->v6.port) ||
        !quic_reader_u8(r, &pa->cid.len) || pa->cid.len < 1 || pa->cid.len > QUIC_CID_LEN_MAX ||
        !quic_reader_copy(r, pa->cid.bytes, pa->cid.len) ||
        !quic_reader_copy(r, pa->reset_token, QUIC_RESET_TOKEN_LEN)) {
        return false;
    }
    set_family(&pa->v4, 4);
    set_family(&pa->v6, 6);
    out->has_preferred_address = true;
    return quic_reader_left(r) == 0;
}

/* RFC 9368 4: what is a parsing failure. */
static bool read_version_info(quic_reader *r, quic_transport_params *out, quic_role sender)
{
    quic_version_info *vi = &out->version_info;
    if (quic_reader_left(r) % 4 != 0 || !quic_reader_u32(r, &vi->chosen) || vi->chosen == 0) {
        return false;
    }
    bool listed = false;
    uint32_t version;
    while (quic_reader_u32(r, &version)) {
        if (version == 0) {
            return false;
        }
        if (!quic_version_is_reserved(version)) {
            if (vi->available_count < QUIC_TP_VERSIONS_MAX) {
                vi->available[vi->available_count++] = version;
            } else if (version == vi->chosen && !listed) { /* however long the list: it is kept */
                vi->available[QUIC_TP_VERSIONS_MAX - 1] = version;
            }
        }
        listed = listed || version == vi->chosen;
    }
    out->has_version_info = true;
    return listed || sender == QUIC_SERVER;
}

static bool read_flag(const quic_reader *r, bool *out)
{
    *out = true;
    return quic_reader_left(r) == 0;
}

static bool read_min_ack_delay(quic_reader *r, quic_transport_params *out)
{
    out->has_min_ack_delay = true;
    return quic_reader_varint(r, &out->min_ack_delay_us) && quic_reader_left(r) == 0;
}

static bool read_int(quic_reader *r, quic_transport_params *out, uint64_t id)
{
    for (size_t i = 0; i < INT_PARAM_COUNT; i++) {
        const int_param *ip = &int_params[i];
        if (ip->id == id) {
            uint64_t v;
            if (!quic_reader_varint(r, &v) || quic_reader_left(r) != 0 || v < ip->min ||
                v > ip->max) {
                return false;
            }
            *int_field(out, ip) = v;
            return true;
        }
    }
    return false;
}

/* Reads the value of one known parameter; `r` spans exactly that value. */
static bool read_value(quic_reader *r, quic_transport_params *out, uint64_t id, quic_role sender)
{
    switch (id) {
    case TP_ORIGINAL_DCID:
        return read_cid(r, &out->original_dcid, &out->has_original_dcid);
    case TP_INITIAL_SCID:
        return read_cid(r, &out->initial_scid, &out->has_initial_scid);
    case TP_RETRY_SCID:
        return read_cid(r, &out->retry_scid, &out->has_retry_scid);
    case TP_RESET_TOKEN:
        return read_token(r, out);
    case TP_DISABLE_ACTIVE_MIGRATION:
        return read_flag(r, &out->disable_active_migration);
    case TP_PREFERRED_ADDRESS:
        return read_preferred(r, out);
    case TP_VERSION_INFORMATION:
        return read_version_info(r, out, sender);
    case TP_RESET_STREAM_AT:
        return read_flag(r, &out->reset_stream_at);
    case TP_GREASE_QUIC_BIT:
        return read_flag(r, &out->grease_quic_bit);
    case TP_DISABLE_1RTT_ENCRYPTION:
        return read_flag(r, &out->disable_1rtt_encryption);
    case TP_MIN_ACK_DELAY:
        return read_min_ack_delay(r, out);
    default:
        return read_int(r, out, id);
    }
}

/* One bit per known parameter, 0 for the others. */
static uint32_t known_bit(uint64_t id)
{
    switch (id) {
    case TP_RESET_STREAM_AT:
        return 1u << 18;
    case TP_MAX_DATAGRAM_FRAME_SIZE:
        return 1u << 19;
    case TP_GREASE_QUIC_BIT:
        return 1u << 20;
    case TP_DISABLE_1RTT_ENCRYPTION:
        return 1u << 21;
    case TP_MIN_ACK_DELAY:
        return 1u << 22;
    default:
        return id <= TP_VERSION_INFORMATION ? 1u << id : 0;
    }
}

/* The rules between parameters. */
static bool is_consistent(const quic_transport_params *params)
{
    /* Acknowledgment Frequency 3 */
    if (params->has_min_ack_delay && params->min_ack_delay_us > params->max_ack_delay_ms * 1000) {
        return false;
    }
    /* RFC 9000 18.2 */
    return !params->has_preferred_address || !params->has_initial_scid ||
           params->initial_scid.len != 0;
}

quic_rc quic_transport_params_decode(quic_transport_params *out, const uint8_t *data, size_t len,
                                     quic_role sender)
{
    quic_transport_params_default(out);
    quic_reader r = quic_reader_make(data, len);
    uint32_t seen = 0;
    for (uint32_t count = 0; quic_reader_left(&r) > 0; count++) {
        uint64_t id;
        uint64_t value_len;
        const uint8_t *value;
        if (count == QUIC_TP_COUNT_MAX || !quic_reader_varint(&r, &id) ||
            !quic_reader_varint(&r, &value_len) || value_len > quic_reader_left(&r) ||
            !quic_reader_bytes(&r, &value, (size_t)value_len)) {
            return QUIC_V_TRANSPORT_PARAMETER;
        }
        uint32_t bit = known_bit(id);
        if (bit == 0) {
            continue; /* RFC 9000 7.4.2 */
        }
        if ((seen & bit) != 0 || (sender == QUIC_CLIENT && (TP_SERVER_ONLY & bit) != 0)) {
            return QUIC_V_TRANSPORT_PARAMETER; /* RFC 9000 7.4, 18.2 */
        }
        seen |= bit;
        quic_reader vr = quic_reader_make(value, (size_t)value_len);
        if (!read_value(&vr, out, id, sender)) {
            return QUIC_V_TRANSPORT_PARAMETER;
        }
    }
    return is_consistent(out) ? QUIC_OK : QUIC_V_TRANSPORT_PARAMETER;
}

void quic_transport_params_keep_remembered(quic_transport_params *p)
{
    quic_transport_params fresh;
    quic_transport_params_default(&fresh);
    p->ack_delay_exponent = fresh.ack_delay_exponent;
    p->max_ack_delay_ms = fresh.max_ack_delay_ms;
    p->min_ack_delay_us = 0;
    p->has_min_ack_delay = false;
    p->grease_quic_bit = false;
    p->disable_1rtt_encryption = false;
    p->has_version_info = false;
    p->has_original_dcid = false;
    p->has_initial_scid = false;
    p->has_retry_scid = false;
    p->has_reset_token = false;
    p->has_preferred_address = false;
}
