/* quic/wire/transport_params.h: the quic_transport_parameters extension of the TLS handshake.
 *
 * Shape:  a plain struct with the defaults of RFC 9000 18.2 and presence flags where absence matters.
 *         The rules that need the handshake's connection IDs (RFC 9000 7.3) are the connection's.
 * Spec:   RFC 9000 7.4, 18.
 */
#ifndef QUIC_WIRE_TRANSPORT_PARAMS_H
#define QUIC_WIRE_TRANSPORT_PARAMS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_TP_COUNT_MAX   64u  /* parameters in all, known and unknown: more is an error */
#define QUIC_TP_ENCODED_MAX 512u /* room that quic_transport_params_encode never exceeds */

typedef struct quic_preferred_address {
    quic_addr v4; /* family 0 when all zero on the wire: not offered */
    quic_addr v6;
    quic_cid cid; /* 1..20 bytes, sequence number 1 */
    uint8_t reset_token[QUIC_RESET_TOKEN_LEN];
} quic_preferred_address;

typedef struct quic_transport_params {
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t max_udp_payload_size;
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local;
    uint64_t initial_max_stream_data_bidi_remote;
    uint64_t initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi;
    uint64_t initial_max_streams_uni;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay_ms;
    uint64_t active_connection_id_limit;
    bool disable_active_migration;
    bool has_original_dcid; /* server only */
    bool has_initial_scid;
    bool has_retry_scid;        /* server only */
    bool has_reset_token;       /* server only */
    bool has_preferred_address; /* server only */
    quic_cid original_dcid;
    quic_cid initial_scid;
    quic_cid retry_scid;
    uint8_t reset_token[QUIC_RESET_TOKEN_LEN];
    quic_preferred_address preferred_address;
} quic_transport_params;

/* quic_transport_params_default sets what absent parameters mean (RFC 9000 18.2). */
void quic_transport_params_default(quic_transport_params *params);

/* quic_transport_params_encode writes `params` as `sender` sends them; values at their default are
 * left out. The server-only ones are written by a server only. `grease` != 0 appends one reserved
 * parameter 31 * N + 27 made from it (RFC 9000 18.1).
 * Returns the bytes written, 0 when `room` is too small (QUIC_TP_ENCODED_MAX always suffices). */
QUIC_NODISCARD size_t quic_transport_params_encode(uint8_t *p, size_t room,
                                                   const quic_transport_params *params,
                                                   quic_role sender, uint64_t grease);

/* quic_transport_params_decode reads what `sender` sent; absent ones get their default, unknown ones
 * are passed over (RFC 9000 7.4.2).
 * Returns QUIC_OK; QUIC_V_TRANSPORT_PARAMETER for a duplicate of a known one, a bad length or value, a
 * server-only one from a client, more than QUIC_TP_COUNT_MAX. *out is undefined then. */
QUIC_NODISCARD quic_rc quic_transport_params_decode(quic_transport_params *out, const uint8_t *data,
                                                    size_t len, quic_role sender);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_TRANSPORT_PARAMS_H */
