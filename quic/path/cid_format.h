/* quic/path/cid_format.h: what the connection IDs of a process look like, and which worker they name.
 *
 * Shape:  all of one length, so that short headers can be taken apart. Without a QUIC-LB configuration 8
 *         random octets; with one a server's follow it, with random octets added up to 8, and a client's
 *         are random octets of the same length.
 * Worker: the last octet modulo the number of workers, so that the kernel can steer by it. An encrypted
 *         connection ID cannot be told its last octet: nonces are tried until it fits, about as many as
 *         there are workers.
 * Process: where several processes share an address, the two octets before it, with the first two, say which
 *         one made a server's connection ID; a client's say it only where its socket is shared.
 * Nonces: with a key they must never repeat, on any worker, also after a restart: they count on from the
 *         wall clock, each worker in its own residue class. A nonce of 4 octets lasts for 64 tries a
 *         second, one of 7 or more for 2^26, on average; the configuration is to be replaced within two
 *         years. Without a key they are random.
 * Owner:  an endpoint; the format is read-only after init.
 * Spec:   RFC 9000 5.1; draft-ietf-quic-load-balancers 3, 5, 9.6.
 */
#ifndef QUIC_PATH_CID_FORMAT_H
#define QUIC_PATH_CID_FORMAT_H

#include "quic/base/rng.h"
#include "quic/base/types.h"
#include "quic/path/cid_lb.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CID_FORMAT_LEN_MIN   8u /* random octets enough never to meet twice */
#define QUIC_CID_FORMAT_SERVER_ID 15u
#define QUIC_CID_FORMAT_MARK      0x5cu /* any number will do */

typedef struct quic_cid_format_config {
    bool has_lb;
    quic_cid_lb_config lb;
    uint8_t server_id[QUIC_CID_FORMAT_SERVER_ID]; /* lb.server_id_len of them */
} quic_cid_format_config;

typedef struct quic_cid_format {
    uint8_t len; /* of every connection ID */
    uint8_t worker_id;
    uint8_t worker_count;
    uint8_t process; /* with has_process */
    bool has_process;
    bool has_lb;
    uint8_t server_id[QUIC_CID_FORMAT_SERVER_ID];
    quic_cid_lb lb;
} quic_cid_format;

/* quic_cid_format_init makes the format of worker `worker_id` of `worker_count` (1..64). Returns QUIC_OK;
 * QUIC_E_INVAL (see quic_cid_lb_init). */
QUIC_NODISCARD quic_rc quic_cid_format_init(quic_cid_format *format,
                                            const quic_cid_format_config *config, uint8_t worker_id,
                                            uint8_t worker_count);

/* quic_cid_format_len: the length of connection IDs with this configuration. */
uint8_t quic_cid_format_len(const quic_cid_format_config *config);

/* quic_cid_format_worker: the worker a connection ID of at least one octet names. */
static inline uint8_t quic_cid_format_worker(const uint8_t *cid, size_t len, uint8_t worker_count)
{
    return (uint8_t)(cid[len - 1] % worker_count);
}

/* quic_cid_format_set_process: connection IDs made from now on name the process. Not with QUIC-LB, whose
 * octets are not free. */
static inline void quic_cid_format_set_process(quic_cid_format *format, uint8_t process)
{
    format->has_process = !format->has_lb;
    format->process = process;
}

/* quic_cid_format_process gives the process that a connection ID of at least QUIC_CID_FORMAT_LEN_MIN octets
 * names. False: it names none; of those that clients make at random one in 256 seems to. The two octets
 * before the last differ from the first two by a constant and the number, and look as random to others. */
static inline bool quic_cid_format_process(const uint8_t *cid, size_t len, uint8_t *out)
{
    *out = cid[len - 2] ^ cid[0];
    return (cid[len - 3] ^ cid[1]) == QUIC_CID_FORMAT_MARK;
}

/* quic_cid_format_make makes a connection ID that names this worker: one that is routed by, which load
 * balancers and other processes look at, or one of a client's. *nonce is the endpoint's counter, 0 at first;
 * `wall` is the wall clock. */
void quic_cid_format_make(const quic_cid_format *format, quic_cid *out, bool is_routed,
                          uint64_t *nonce, const quic_rng *rng, quic_ns wall);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_CID_FORMAT_H */
