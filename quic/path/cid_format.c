#include "quic/path/cid_format.h"

#include "quic/base/check.h"

#define FIRST_LOW_BITS  0x1fu
#define LIFE_BITS       26u /* seconds a configuration lasts: 2^26, more than two years */
#define RATE_BITS_MAX   26u /* tries a second, with nonces long enough */
#define COUNTER_LEN_MAX 8u
/* Tries that fail one in a billion times with 64 workers. Then the connection ID names another worker, who
 * hands its packets over. */
#define TRIES_MAX 2048u

uint8_t quic_cid_format_len(const quic_cid_format_config *config)
{
    uint8_t len = (uint8_t)(1 + config->lb.server_id_len + config->lb.nonce_len);
    return !config->has_lb || len < QUIC_CID_FORMAT_LEN_MIN ? QUIC_CID_FORMAT_LEN_MIN : len;
}

quic_rc quic_cid_format_init(quic_cid_format *format, const quic_cid_format_config *config,
                             uint8_t worker_id, uint8_t worker_count)
{
    QURING_ASSERT(worker_count >= 1 && worker_id < worker_count);
    memset(format, 0, sizeof(*format));
    if (config->has_lb) {
        quic_rc rc = config->lb.server_id_len > QUIC_CID_FORMAT_SERVER_ID
                         ? QUIC_E_INVAL
                         : quic_cid_lb_init(&format->lb, &config->lb);
        if (rc != QUIC_OK) {
            return rc;
        }
        memcpy(format->server_id, config->server_id, config->lb.server_id_len);
    }
    format->len = quic_cid_format_len(config);
    format->worker_id = worker_id;
    format->worker_count = worker_count;
    format->has_lb = config->has_lb;
    return QUIC_OK;
}

/* The largest multiple of worker_count a byte holds keeps the octet below 256. */
static uint8_t worker_octet(const quic_cid_format *format, uint8_t random)
{
    unsigned multiples = 256u / format->worker_count;
    multiples = multiples > 255u ? 255u : multiples;
    return (uint8_t)(random % multiples * format->worker_count + format->worker_id);
}

static void make_random(const quic_cid_format *format, quic_cid *out, bool is_routed,
                        const quic_rng *rng)
{
    memset(out, 0, sizeof(*out));
    out->len = format->len;
    quic_rng_fill(rng, out->bytes, out->len);
    out->bytes[out->len - 1] = worker_octet(format, out->bytes[out->len - 1]);
    if (QUIC_UNLIKELY(format->has_process && is_routed)) {
        out->bytes[out->len - 3] = QUIC_CID_FORMAT_MARK ^ out->bytes[1];
        out->bytes[out->len - 2] = format->process ^ out->bytes[0];
    }
}

/* ---- QUIC-LB ----------------------------------------------------------------------------------------- */

/* The worker's next number: not below what the time of day stands for, and its own among the workers'. */
static uint64_t next_number(const quic_cid_format *format, uint64_t *nonce, quic_ns wall)
{
    const unsigned bits = format->lb.config.nonce_len * 8u;
    const unsigned rate_bits = bits - LIFE_BITS < RATE_BITS_MAX ? bits - LIFE_BITS : RATE_BITS_MAX;
    const uint64_t seconds = wall / QUIC_NS_PER_S;
    const uint64_t rest = wall % QUIC_NS_PER_S;
    const uint64_t tick = (seconds << rate_bits) + (rest << rate_bits) / QUIC_NS_PER_S;
    const uint64_t at = tick / format->worker_count * format->worker_count + format->worker_id;
    const uint64_t next = *nonce + format->worker_count;
    *nonce = *nonce == 0 || next < at ? at : next;
    return *nonce;
}

static void counted_nonce(const quic_cid_format *format, uint8_t *out, uint64_t number)
{
    const uint8_t len = format->lb.config.nonce_len;
    memset(out, 0, len);
    for (uint8_t i = 0; i < len && i < COUNTER_LEN_MAX; i++) {
        out[len - 1 - i] = (uint8_t)(number >> (8 * i));
    }
}

/* One try. The octets beyond the nonce, if any, are the server's own (section 5.4). */
static void encode(const quic_cid_format *format, quic_cid *out, const uint8_t *nonce,
                   const quic_rng *rng)
{
    uint8_t random[1 + QUIC_CID_FORMAT_LEN_MIN];
    quic_rng_fill(rng, random, sizeof(random));
    quic_cid_lb_encode(&format->lb, out, format->server_id, nonce, random[0]);
    if (out->len < format->len) {
        memcpy(out->bytes + out->len, random + 1, format->len - out->len);
        out->len = format->len;
        out->bytes[out->len - 1] = worker_octet(format, out->bytes[out->len - 1]);
    }
    if (format->lb.config.encodes_len) {
        out->bytes[0] = (uint8_t)((out->bytes[0] & ~FIRST_LOW_BITS) | (out->len - 1u));
    }
}

void quic_cid_format_make(const quic_cid_format *format, quic_cid *out, bool is_routed,
                          uint64_t *nonce, const quic_rng *rng, quic_ns wall)
{
    if (!format->has_lb || !is_routed) {
        make_random(format, out, is_routed, rng);
        return;
    }
    uint8_t bytes[QUIC_CID_LB_PLAIN_MAX];
    for (uint32_t i = 0; i < TRIES_MAX; i++) {
        if (format->lb.config.has_key) {
            counted_nonce(format, bytes, next_number(format, nonce, wall));
        } else {
            quic_rng_fill(rng, bytes, format->lb.config.nonce_len);
        }
        encode(format, out, bytes, rng);
        if (quic_cid_format_worker(out->bytes, out->len, format->worker_count) ==
            format->worker_id) {
            return;
        }
    }
}
