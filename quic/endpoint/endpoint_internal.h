/* quic/endpoint/endpoint_internal.h: the endpoint's state, shared by the files of this directory. */
#ifndef QUIC_ENDPOINT_ENDPOINT_INTERNAL_H
#define QUIC_ENDPOINT_ENDPOINT_INTERNAL_H

#include "quic/base/spares.h"
#include "quic/conn/conn_env.h"
#include "quic/endpoint/admission.h"
#include "quic/endpoint/endpoint.h"
#include "quic/endpoint/strangers.h"
#include "quic/endpoint/tombstones.h"
#include "quic/wire/header.h"

#define QUIC_ENDPOINT_LISTENERS_MAX  256u
#define QUIC_ENDPOINT_ANSWERS_MAX    64u
#define QUIC_ENDPOINT_ANSWER_LEN_MAX 576u /* a Version Negotiation that echoes two 255-byte CIDs */
#define QUIC_ENDPOINT_COALESCED_MAX  16u  /* packets looked at in one datagram */
#define QUIC_RETRY_TOKEN_LIFETIME_NS (10 * QUIC_NS_PER_S)

/* One datagram that answers without a connection: Version Negotiation, Retry, reset, refusal. */
typedef struct quic_answer {
    quic_path_addr path;
    uint32_t len;
    uint8_t bytes[QUIC_ENDPOINT_ANSWER_LEN_MAX];
} quic_answer;

typedef struct quic_listener_entry {
    bool used;
    uint32_t socket;
    quic_accept_config config;
} quic_listener_entry;

struct quic_endpoint {
    quic_endpoint_config config;
    quic_mem mem;
    quic_spares spares; /* empty receive rings */
    quic_counters counters;
    quic_conn_env env;
    quic_admission admission;
    quic_tombstones tombstones;
    quic_reset_key previous_reset_key; /* with config.has_previous_secret */
    quic_listener_entry *listeners;    /* QUIC_ENDPOINT_LISTENERS_MAX of them */
    quic_answer *answers;              /* ring of QUIC_ENDPOINT_ANSWERS_MAX */
    uint32_t answer_head;
    uint32_t answer_count;
    uint32_t conn_count;
    uint32_t cid_hint;   /* in env.cids: of the last short header */
    quic_ns recv_ns;     /* when that came */
    uint32_t turn_units; /* sent by the connection whose turn it is */
    uint8_t fixed_bit;   /* QUIC_HEADER_FIXED_BIT; 0: some connections take packets without it */
    bool refuse_new;
    uint32_t udp_payload_max; /* the largest datagram that a connection may be told we take */
};

/* What some connection will be told that its peer may do. */
static inline void quic_endpoint_note_limits(quic_endpoint *ep, const quring_limits *limits)
{
    if (limits->grease_quic_bit) {
        ep->fixed_bit = 0;
    }
    if (limits->udp_payload_max_bytes > ep->udp_payload_max) {
        ep->udp_payload_max = limits->udp_payload_max_bytes;
    }
}

/* accept.c: an Initial for no known connection, at `data`. Returns the new connection, and in *out its first
 * packet, opened at `data`; NULL when it was answered statelessly or dropped. */
quic_conn *quic_endpoint_accept(quic_endpoint *ep, quic_opened_initial *out,
                                const quic_rx_unit *unit, uint8_t *data, const quic_long_header *h,
                                size_t datagram_len, quic_ns now);
const quic_accept_config *quic_endpoint_listener(const quic_endpoint *ep, uint32_t socket);
/* Destroys a connection and takes it out of the accounts. */
void quic_endpoint_drop_conn(quic_endpoint *ep, quic_conn *conn);

/* stateless.c: whether the source of a datagram may be the address of somebody who waits for an answer;
 * counted when not. */
bool quic_endpoint_may_answer(quic_endpoint *ep, const quic_path_addr *path, quic_ns now);
/* Each queues one answer, or drops it when the queue is full. `versions` are those offered. */
void quic_endpoint_answer_version(quic_endpoint *ep, const quic_path_addr *path,
                                  const quic_long_header *h, uint32_t versions, quic_ns now);
void quic_endpoint_answer_retry(quic_endpoint *ep, const quic_path_addr *path,
                                const quic_long_header *h, quic_ns now);
void quic_endpoint_answer_close(quic_endpoint *ep, const quic_path_addr *path,
                                const quic_long_header *h, uint64_t error);
void quic_endpoint_answer_reset(quic_endpoint *ep, const quic_path_addr *path, const uint8_t *dcid,
                                size_t datagram_len, quic_ns now);
void quic_endpoint_answer_closed(quic_endpoint *ep, const quic_path_addr *path,
                                 quic_tombstone *stone, size_t datagram_len);
bool quic_endpoint_pop_answer(quic_endpoint *ep, quic_tx_unit *unit);

#endif /* QUIC_ENDPOINT_ENDPOINT_INTERNAL_H */
