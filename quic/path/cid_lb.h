/* quic/path/cid_lb.h: connection IDs that tell a load balancer their server, and nobody else.
 *
 * Shape:  first octet | server ID | nonce: three bits of the first octet name the configuration, the
 *         other five are the length less one or random. With a key the rest is one AES block (16
 *         octets in all) or goes through four Feistel rounds.
 * Owner:  whoever issues or routes; read-only after init, any thread.
 * Spec:   draft-ietf-quic-load-balancers, sections 3 and 5.
 */
#ifndef QUIC_PATH_CID_LB_H
#define QUIC_PATH_CID_LB_H

#include "quic/base/types.h"
#include "quic/crypto/aes_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CID_LB_CONFIG_MAX 6u /* 7 says: no configuration */
#define QUIC_CID_LB_UNROUTABLE 7u
#define QUIC_CID_LB_PLAIN_MAX  19u /* server ID and nonce together */
#define QUIC_CID_LB_NONCE_MIN  4u
#define QUIC_CID_LB_KEY_LEN    16u

typedef struct quic_cid_lb_config {
    uint8_t config_id;     /* 0..QUIC_CID_LB_CONFIG_MAX */
    uint8_t server_id_len; /* at least 1 */
    uint8_t nonce_len;     /* at least QUIC_CID_LB_NONCE_MIN */
    bool encodes_len;      /* the first octet tells the length (section 3.3) */
    bool has_key;          /* without one anybody can read the server ID */
    uint8_t key[QUIC_CID_LB_KEY_LEN];
} quic_cid_lb_config;

typedef struct quic_cid_lb {
    quic_cid_lb_config config;
    quic_aes_block aes;
} quic_cid_lb;

/* quic_cid_lb_init takes a copy of the configuration. Returns QUIC_OK; QUIC_E_INVAL when a length or
 * the identifier is out of bounds. */
QUIC_NODISCARD quic_rc quic_cid_lb_init(quic_cid_lb *lb, const quic_cid_lb_config *config);

/* quic_cid_lb_len: the length of every connection ID of this configuration. */
static inline uint8_t quic_cid_lb_len(const quic_cid_lb *lb)
{
    return (uint8_t)(1 + lb->config.server_id_len + lb->config.nonce_len);
}

/* quic_cid_lb_config_of: the configuration a first octet names. */
static inline uint8_t quic_cid_lb_config_of(uint8_t first)
{
    return first >> 5;
}

/* quic_cid_lb_encode makes the connection ID of server_id (server_id_len octets) and nonce (nonce_len
 * octets: unique per server with a key, random without one). The low five bits of `random_bits` go into
 * the first octet unless it tells the length. */
void quic_cid_lb_encode(const quic_cid_lb *lb, quic_cid *out, const uint8_t *server_id,
                        const uint8_t *nonce, uint8_t random_bits);

/* quic_cid_lb_decode is the load balancer's side; tests take it. It gives server ID and, unless nonce is NULL, nonce
 * of the octets at cid[0..len); octets beyond the configured length are somebody else's (section 5.4).
 * Returns QUIC_OK; QUIC_E_DROP when it is unroutable: of another configuration, or too short. */
quic_rc quic_cid_lb_decode(const quic_cid_lb *lb, const uint8_t *cid, size_t len,
                           uint8_t *server_id, uint8_t *nonce);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_CID_LB_H */
