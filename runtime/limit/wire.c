#include "runtime/limit/wire.h"

#include <stdlib.h>
#include <string.h>

#define RT_LIMIT_FLAGS      0x41u /* fixed bit, 2-byte packet number: RFC 9000 17.3.1 */
#define RT_LIMIT_PN_AT      9u
#define RT_LIMIT_SAMPLE_AT  (RT_LIMIT_PN_AT + 4u) /* RFC 9001 5.4.2 */
#define RT_LIMIT_FLAGS_MASK 0x1fu                 /* RFC 9001 5.4.1, short header */
#define RT_LIMIT_LEN_MIN    (RT_LIMIT_SAMPLE_AT + QUIC_HP_SAMPLE_LEN)

_Static_assert(RT_LIMIT_UNIT_MAX <= QUIC_HP_BATCH_MAX, "a unit's masks are made in one call");

static const uint8_t rt_limit_cid[8] = {'c', 'e', 'i', 'l', 'i', 'n', 'g', '0'};

static void *rt_limit_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void rt_limit_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

quic_rc rt_limit_wire_init(rt_limit_wire *wire, const quic_crypto *crypto, uint8_t label,
                           uint8_t *app)
{
    static const quic_allocator allocator = {rt_limit_alloc, rt_limit_free, NULL};
    uint8_t secret[32];
    memset(wire, 0, sizeof(*wire));
    memset(secret, label, sizeof(secret)); /* nothing secret is ever sent under it */
    quic_mem_init_root(&wire->mem, &allocator, UINT64_MAX);
    wire->app = app;
    wire->next_pn = 1;
    return quic_keys_create(&wire->keys, crypto, &wire->mem, QUIC_VERSION_1,
                            QUIC_SUITE_AES_128_GCM_SHA256, secret, sizeof(secret));
}

void rt_limit_wire_deinit(rt_limit_wire *wire)
{
    quic_keys_destroy(wire->keys);
    wire->keys = NULL;
}

uint64_t rt_limit_expand_pn(uint64_t expected, uint16_t truncated)
{
    uint64_t pn = (expected & ~(uint64_t)0xffff) | truncated; /* RFC 9000 A.3 */
    if (pn + 0x8000 <= expected) {
        return pn + 0x10000;
    }
    if (pn > expected + 0x8000 && pn >= 0x10000) {
        return pn - 0x10000;
    }
    return pn;
}

static inline void rt_limit_header(uint8_t *packet, uint64_t pn)
{
    packet[0] = RT_LIMIT_FLAGS;
    memcpy(packet + 1, rt_limit_cid, sizeof(rt_limit_cid));
    packet[RT_LIMIT_PN_AT] = (uint8_t)(pn >> 8);
    packet[RT_LIMIT_PN_AT + 1] = (uint8_t)pn;
}

/* Header protection is its own inverse: on or off for a whole unit. */
static void rt_limit_masks(const rt_limit_wire *wire, uint8_t *unit, unsigned count, size_t stride)
{
    const uint8_t *samples[RT_LIMIT_UNIT_MAX];
    uint8_t masks[RT_LIMIT_UNIT_MAX][16];
    for (unsigned i = 0; i < count; i++) {
        samples[i] = unit + i * stride + RT_LIMIT_SAMPLE_AT;
    }
    quic_keys_hp_masks(wire->keys, samples, masks, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *packet = unit + i * stride;
        packet[0] ^= masks[i][0] & RT_LIMIT_FLAGS_MASK;
        packet[RT_LIMIT_PN_AT] ^= masks[i][1];
        packet[RT_LIMIT_PN_AT + 1] ^= masks[i][2];
    }
}

/* The next `len` bytes of the application's buffer, which is used round and round. */
static inline uint8_t *rt_limit_app_take(rt_limit_wire *wire, size_t len)
{
    if (wire->app_off + len > RT_LIMIT_APP_BYTES) {
        wire->app_off = 0;
    }
    uint8_t *at = wire->app + wire->app_off;
    wire->app_off += len;
    return at;
}

void rt_limit_wire_seal(rt_limit_wire *wire, uint8_t *out, unsigned count, size_t packet_len)
{
    size_t payload_len = packet_len - RT_LIMIT_OVERHEAD;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *packet = out + i * packet_len;
        uint8_t *payload = packet + RT_LIMIT_HEADER_LEN;
        uint64_t pn = wire->next_pn++;
        rt_limit_header(packet, pn);
        quic_keys_seal_from(wire->keys, pn, packet, RT_LIMIT_HEADER_LEN, payload,
                            rt_limit_app_take(wire, payload_len), payload_len);
    }
    rt_limit_masks(wire, out, count, packet_len);
    wire->packets += count;
    wire->bytes += count * payload_len;
}

/* Opens one packet whose header protection is off. */
static bool rt_limit_open_one(rt_limit_wire *wire, uint8_t *packet, size_t len)
{
    uint16_t low = (uint16_t)(packet[RT_LIMIT_PN_AT] << 8 | packet[RT_LIMIT_PN_AT + 1]);
    uint64_t pn = rt_limit_expand_pn(wire->next_pn, low);
    if (!quic_keys_open(wire->keys, pn, packet, RT_LIMIT_HEADER_LEN, packet + RT_LIMIT_HEADER_LEN,
                        len - RT_LIMIT_HEADER_LEN)) {
        wire->bad++;
        return false;
    }
    if (pn >= wire->next_pn) {
        wire->next_pn = pn + 1;
    }
    wire->packets++;
    wire->bytes += len - RT_LIMIT_OVERHEAD;
    return true;
}

unsigned rt_limit_wire_open(rt_limit_wire *wire, uint8_t *unit, size_t len, size_t segment)
{
    unsigned opened = 0;
    if (segment == 0 || segment > len) {
        segment = len;
    }
    while (len >= segment && segment >= RT_LIMIT_LEN_MIN) {
        size_t whole = len / segment;
        unsigned count = whole < RT_LIMIT_UNIT_MAX ? (unsigned)whole : RT_LIMIT_UNIT_MAX;
        rt_limit_masks(wire, unit, count, segment);
        for (unsigned i = 0; i < count; i++) {
            uint8_t *packet = unit + i * segment;
            if (rt_limit_open_one(wire, packet, segment)) {
                size_t payload_len = segment - RT_LIMIT_OVERHEAD;
                memcpy(rt_limit_app_take(wire, payload_len), packet + RT_LIMIT_HEADER_LEN,
                       payload_len);
                opened++;
            }
        }
        unit += count * segment;
        len -= count * segment;
        if (len > 0 && len < segment) {
            segment = len;
        }
    }
    return opened;
}

void rt_limit_wire_seal_ack(rt_limit_wire *wire, uint8_t out[RT_LIMIT_ACK_LEN], uint64_t acked)
{
    uint8_t *payload = out + RT_LIMIT_HEADER_LEN;
    uint64_t pn = wire->next_pn++;
    rt_limit_header(out, pn);
    memset(payload, 0, RT_LIMIT_ACK_PAYLOAD);
    memcpy(payload, &acked, sizeof(acked));
    quic_keys_seal(wire->keys, pn, out, RT_LIMIT_HEADER_LEN, payload, RT_LIMIT_ACK_PAYLOAD);
    rt_limit_masks(wire, out, 1, RT_LIMIT_ACK_LEN);
    wire->packets++;
}

bool rt_limit_wire_open_ack(rt_limit_wire *wire, uint64_t *out_acked, uint8_t *packet, size_t len)
{
    if (len != RT_LIMIT_ACK_LEN) {
        return false;
    }
    rt_limit_masks(wire, packet, 1, len);
    if (!rt_limit_open_one(wire, packet, len)) {
        return false;
    }
    memcpy(out_acked, packet + RT_LIMIT_HEADER_LEN, sizeof(*out_acked));
    return true;
}
