/* compat/core/layout.h: the structures and numbers that cross between a program and a socket, in both
 * layouts: the draft's (protocol 288) and the kernel implementation's (261).
 *
 * Here they are written down anew: netinet/quic.h shows one of the two to each program. Where both
 * have the same bytes there is one structure.
 */
#ifndef COMPAT_CORE_LAYOUT_H
#define COMPAT_CORE_LAYOUT_H

#include <stdint.h>

#define QS_SOL_QUIC 288

enum { QS_CMSG_STREAM_INFO = 0, QS_CMSG_HANDSHAKE_INFO = 1 };

/* Levels of a handshake as programs count them. */
enum { QS_LEVEL_APP = 0, QS_LEVEL_INITIAL = 1, QS_LEVEL_HANDSHAKE = 2, QS_LEVEL_EARLY = 3 };

/* Events in our own counting; layout.c knows each layout's numbers. */
typedef enum qs_event {
    QS_EVENT_NONE,
    QS_EVENT_STREAM_UPDATE,
    QS_EVENT_STREAM_MAX_STREAM,
    QS_EVENT_CONNECTION_CLOSE,
    QS_EVENT_CONNECTION_MIGRATION,
    QS_EVENT_KEY_UPDATE,
    QS_EVENT_NEW_TOKEN,
    QS_EVENT_STREAM_MAX_DATA,    /* kernel layout only */
    QS_EVENT_CONNECTION_ID,      /* kernel layout only */
    QS_EVENT_NEW_SESSION_TICKET, /* kernel layout only */
    QS_EVENT_COUNT,
} qs_event;

/* Options in our own counting. */
typedef enum qs_opt {
    QS_OPT_NONE,
    QS_OPT_EVENT,
    QS_OPT_STREAM_OPEN,
    QS_OPT_STREAM_RESET,
    QS_OPT_STREAM_STOP_SENDING,
    QS_OPT_CONNECTION_ID,
    QS_OPT_CONNECTION_CLOSE,
    QS_OPT_CONNECTION_MIGRATION,
    QS_OPT_KEY_UPDATE,
    QS_OPT_TRANSPORT_PARAM,
    QS_OPT_CONFIG,
    QS_OPT_TOKEN,
    QS_OPT_ALPN,
    QS_OPT_SESSION_TICKET,
    QS_OPT_CRYPTO_SECRET,
    QS_OPT_TRANSPORT_PARAM_EXT,
    QS_OPT_RETIRE_CONNECTION_ID,
    QS_OPT_ACTIVE_CONNECTION_ID,
} qs_opt;

typedef struct qs_wire_stream_info {
    uint64_t stream_id;
    uint32_t flags;
    uint32_t reserved;
} qs_wire_stream_info;

typedef struct qs_wire_event_option {
    uint8_t type;
    uint8_t on;
} qs_wire_event_option;

typedef struct qs_wire_errinfo {
    uint64_t stream_id;
    uint32_t errcode;
} qs_wire_errinfo;

/* The same bytes in both layouts on a little-endian machine as long as state is below 256. */
typedef struct qs_wire_stream_update {
    uint64_t id;
    uint32_t state;
    uint32_t errcode;
    uint64_t final_size;
} qs_wire_stream_update;

typedef struct qs_wire_param_draft {
    uint8_t remote;
    uint8_t disable_active_migration;
    uint8_t grease_quic_bit;
    uint8_t stateless_reset;
    uint8_t disable_1rtt_encryption;
    uint8_t disable_compatible_version;
    uint64_t max_udp_payload_size;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay;
    uint64_t active_connection_id_limit;
    uint64_t max_idle_timeout;
    uint64_t max_datagram_frame_size;
    uint64_t max_data;
    uint64_t max_stream_data_bidi_local;
    uint64_t max_stream_data_bidi_remote;
    uint64_t max_stream_data_uni;
    uint64_t max_streams_bidi;
    uint64_t max_streams_uni;
    uint64_t initial_smoothed_rtt;
    uint32_t plpmtud_probe_timeout;
    uint8_t validate_peer_address;
    uint8_t receive_session_ticket;
    uint8_t certificate_request;
    uint8_t congestion_control_alg;
    uint32_t payload_cipher_type;
    uint32_t version;
} qs_wire_param_draft;

typedef struct qs_wire_param_kernel {
    uint8_t remote;
    uint8_t disable_active_migration;
    uint8_t grease_quic_bit;
    uint8_t stateless_reset;
    uint8_t disable_1rtt_encryption;
    uint8_t disable_compatible_version;
    uint8_t active_connection_id_limit;
    uint8_t ack_delay_exponent;
    uint16_t max_datagram_frame_size;
    uint16_t max_udp_payload_size;
    uint32_t max_idle_timeout;
    uint32_t max_ack_delay;
    uint16_t max_streams_bidi;
    uint16_t max_streams_uni;
    uint64_t max_data;
    uint64_t max_stream_data_bidi_local;
    uint64_t max_stream_data_bidi_remote;
    uint64_t max_stream_data_uni;
} qs_wire_param_kernel;

typedef struct qs_wire_config_kernel {
    uint32_t version;
    uint32_t plpmtud_probe_interval;
    uint32_t initial_smoothed_rtt;
    uint32_t payload_cipher_type;
    uint8_t congestion_control_algo;
    uint8_t validate_peer_address;
    uint8_t stream_data_nodelay;
    uint8_t receive_session_ticket;
    uint8_t certificate_request;
    uint8_t reserved[3];
    uint32_t keepalive_probe_interval;
} qs_wire_config_kernel;

typedef struct qs_wire_secret_draft {
    uint8_t level;
    uint16_t send;
    uint32_t type;
    uint8_t secret[48];
} qs_wire_secret_draft;

typedef struct qs_wire_secret_kernel {
    uint8_t send;
    uint8_t level;
    uint16_t reserved;
    uint32_t type;
    uint8_t secret[48];
} qs_wire_secret_kernel;

/* CONNECTION_CLOSE: errcode (4), frame (1), then the phrase at 5, or at 8 with 64 bytes. Until April 2026 the
 * kernel's header had the first of these, too. */
#define QS_CLOSE_DRAFT_HEAD  5u
#define QS_CLOSE_DRAFT_SIZE  8u /* of the structure as C counts it */
#define QS_CLOSE_KERNEL_HEAD 8u
#define QS_CLOSE_KERNEL_SIZE 72u

/* 0 / QS_OPT_NONE / QS_EVENT_NONE for what a layout does not have. */
qs_opt qs_layout_opt(int protocol, int name);
uint8_t qs_layout_event(int protocol, qs_event event);
qs_event qs_layout_event_of(int protocol, uint8_t type);

#endif /* COMPAT_CORE_LAYOUT_H */
