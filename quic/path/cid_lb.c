#include "quic/path/cid_lb.h"

#include "quic/base/check.h"

#define FIRST_LOW_BITS 0x1fu
#define HALF_LEN_MAX   10u

_Static_assert(QUIC_CID_LB_KEY_LEN == QUIC_AES_BLOCK_LEN, "AES-128");

quic_rc quic_cid_lb_init(quic_cid_lb *lb, const quic_cid_lb_config *config)
{
    if (config->config_id > QUIC_CID_LB_CONFIG_MAX || config->server_id_len < 1 ||
        config->nonce_len < QUIC_CID_LB_NONCE_MIN ||
        config->server_id_len + config->nonce_len > (int)QUIC_CID_LB_PLAIN_MAX) {
        return QUIC_E_INVAL;
    }
    memset(lb, 0, sizeof(*lb));
    lb->config = *config;
    if (config->has_key) {
        quic_aes_block_init(&lb->aes, config->key);
    }
    return QUIC_OK;
}

/* ---- the Feistel network (section 5.4.2) ----------------------------------------------------------- */

/* Both halves as the rounds see them: of an odd length the middle octet is shared, its upper four bits
 * end the left half, its lower four begin the right one. */
typedef struct halves {
    uint8_t left[HALF_LEN_MAX];
    uint8_t right[HALF_LEN_MAX];
    uint8_t len;
    uint8_t total;
} halves;

static void split(halves *h, const uint8_t *in, uint8_t total)
{
    h->total = total;
    h->len = (uint8_t)((total + 1) / 2);
    memcpy(h->left, in, h->len);
    memcpy(h->right, in + total - h->len, h->len);
    if (total % 2 != 0) {
        h->left[h->len - 1] &= 0xf0;
        h->right[0] &= 0x0f;
    }
}

static void join(const halves *h, uint8_t *out)
{
    memcpy(out, h->left, h->len);
    if (h->total % 2 != 0) {
        out[h->len - 1] |= h->right[0];
        memcpy(out + h->len, h->right + 1, h->len - 1u);
    } else {
        memcpy(out + h->len, h->right, h->len);
    }
}

/* One pass: the right half is mixed with the left one (1, 3), or the left with the right (2, 4). */
static void pass(const quic_cid_lb *lb, halves *h, uint8_t number)
{
    bool from_left = number % 2 != 0;
    uint8_t *to = from_left ? h->right : h->left;
    uint8_t block[QUIC_AES_BLOCK_LEN] = {0};
    memcpy(block, from_left ? h->left : h->right, h->len);
    block[14] = h->total;
    block[15] = number;
    quic_aes_block_encrypt(&lb->aes, block, block);
    for (uint8_t i = 0; i < h->len; i++) {
        to[i] ^= block[i];
    }
    if (h->total % 2 != 0) {
        if (from_left) {
            to[0] &= 0x0f;
        } else {
            to[h->len - 1] &= 0xf0;
        }
    }
}

static void hide(const quic_cid_lb *lb, uint8_t *plain, uint8_t total)
{
    if (total == QUIC_AES_BLOCK_LEN) {
        quic_aes_block_encrypt(&lb->aes, plain, plain); /* section 5.4.1 */
        return;
    }
    halves h;
    split(&h, plain, total);
    for (uint8_t number = 1; number <= 4; number++) {
        pass(lb, &h, number);
    }
    join(&h, plain);
}

static void reveal(const quic_cid_lb *lb, uint8_t *hidden, uint8_t total)
{
    if (total == QUIC_AES_BLOCK_LEN) {
        quic_aes_block_decrypt(&lb->aes, hidden, hidden);
        return;
    }
    halves h;
    split(&h, hidden, total);
    for (uint8_t number = 4; number >= 1; number--) {
        pass(lb, &h, number);
    }
    join(&h, hidden);
}

/* ---- connection IDs --------------------------------------------------------------------------------- */

void quic_cid_lb_encode(const quic_cid_lb *lb, quic_cid *out, const uint8_t *server_id,
                        const uint8_t *nonce, uint8_t random_bits)
{
    const quic_cid_lb_config *c = &lb->config;
    uint8_t total = (uint8_t)(c->server_id_len + c->nonce_len);
    QURING_ASSERT(total <= QUIC_CID_LB_PLAIN_MAX);
    memset(out, 0, sizeof(*out));
    out->len = (uint8_t)(1 + total);
    uint8_t low = c->encodes_len ? total : (uint8_t)(random_bits & FIRST_LOW_BITS);
    out->bytes[0] = (uint8_t)(c->config_id << 5 | low);
    memcpy(out->bytes + 1, server_id, c->server_id_len);
    memcpy(out->bytes + 1 + c->server_id_len, nonce, c->nonce_len);
    if (c->has_key) {
        hide(lb, out->bytes + 1, total);
    }
}

quic_rc quic_cid_lb_decode(const quic_cid_lb *lb, const uint8_t *cid, size_t len,
                           uint8_t *server_id, uint8_t *nonce)
{
    const quic_cid_lb_config *c = &lb->config;
    uint8_t total = (uint8_t)(c->server_id_len + c->nonce_len);
    uint8_t plain[QUIC_CID_LB_PLAIN_MAX];
    if (len < 1u + total || quic_cid_lb_config_of(cid[0]) != c->config_id) {
        return QUIC_E_DROP;
    }
    memcpy(plain, cid + 1, total);
    if (c->has_key) {
        reveal(lb, plain, total);
    }
    memcpy(server_id, plain, c->server_id_len);
    if (nonce != NULL) {
        memcpy(nonce, plain + c->server_id_len, c->nonce_len);
    }
    return QUIC_OK;
}
