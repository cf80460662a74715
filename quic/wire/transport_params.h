/* quic/wire/transport_params.h: the quic_transport_parameters extension of the TLS handshake.
 *
 * Shape:  a plain struct with the defaults of RFC 9000 18.2 and presence flags where absence matters.
 *         The rules that need the handshake's connection IDs (RFC 9000 7.3) are the connection's.
 * Spec:   RFC 9000 7.4, 18; RFC 9221 3, RFC 9287 3, RFC 9368 3; the drafts QUIC Acknowledgment
 *         Frequency 3, Reliable Stream Resets 3, Disabling Encryption.
 */
#ifndef QUIC_WIRE_TRANSPORT_PARAMS_H
#define QUIC_WIRE_TRANSPORT_PARAMS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_TP_COUNT_MAX    64u  /* parameters in all, known and unknown: more is an error */
#define QUIC_TP_VERSIONS_MAX 16u  /* available versions kept */
#define QUIC_TP_ENCODED_MAX  512u /* room that quic_transport_params_encode never exceeds */

typedef struct quic_preferred_address {
    quic_addr v4; /* family 0 when all zero on the wire: not offered */
    quic_addr v6;
    quic_cid cid; /* 1..20 bytes, sequence number 1 */
    uint8_t reset_token[QUIC_RESET_TOKEN_LEN];
} quic_preferred_address;

/* RFC 9368 3 */
typedef struct quic_version_info {
    uint32_t chosen; /* never 0 */
    uint32_t
        available_count; /* of `available`: the first QUIC_TP_VERSIONS_MAX of those sent, reserved
                                 ones (RFC 9000 15) left out */
    uint32_t available[QUIC_TP_VERSIONS_MAX]; /* a client's: in order of preference */
} quic_version_info;

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
    uint64_t max_datagram_frame_size; /* 0: takes no DATAGRAM frames (RFC 9221 3) */
    uint64_t min_ack_delay_us;        /* with has_min_ack_delay; <= max_ack_delay */
    bool disable_active_migration;
    bool grease_quic_bit;         /* takes packets with the fixed bit 0 (RFC 9287 3) */
    bool reset_stream_at;         /* takes RESET_STREAM_AT frames (Reliable Stream Resets 3) */
    bool disable_1rtt_encryption; /* 1-RTT packets go unprotected when both ask for it */
    bool has_min_ack_delay;       /* takes ACK_FREQUENCY, IMMEDIATE_ACK (Ack Frequency 3) */
    bool has_version_info;
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
    quic_version_info version_info;
} quic_transport_params;

/* quic_transport_params_default sets what absent parameters mean (RFC 9000 18.2). */
void quic_transport_params_default(quic_transport_params *params);

/* quic_transport_params_keep_remembered leaves what a client remembers of a server for 0-RTT: what
 * belongs to one connection only, or may not be remembered, goes back to its default (RFC 9000 7.4.1,
 * RFC 9287 3.1, RFC 9368 4, Ack Frequency 3). */
void quic_transport_params_keep_remembered(quic_transport_params *p);

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
 * server-only one from a client, a min_ack_delay above max_ack_delay, version information that RFC 9368
 * 4 calls a parsing failure, more than QUIC_TP_COUNT_MAX. *out is undefined then.
 * Whether version_info fits the connection (RFC 9368 4) is judged by the connection. */
QUIC_NODISCARD quic_rc quic_transport_params_decode(quic_transport_params *out, const uint8_t *data,
                                                    size_t len, quic_role sender);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_TRANSPORT_PARAMS_H */
