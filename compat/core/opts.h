/* compat/core/opts.h: the options, file by file: opts.c knows which there are; params and params_kernel have
 * the large structures, opts_raw a handshake from outside, opts_socket what every socket has.
 *
 * Functions return 0 or -errno; the lock is held unless it is said otherwise.
 */
#ifndef COMPAT_CORE_OPTS_H
#define COMPAT_CORE_OPTS_H

#include "compat/core/layout.h"
#include "compat/core/sock.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SO_RCVBUF and SO_SNDBUF, as the kernel counts them: twice what was asked for, and no less (socket(7)). */
#define QS_BUF_MAX    (256u << 20)
#define QS_RCVBUF_MIN 2304u
#define QS_SNDBUF_MIN 4608u

/* Bounds that both layouts have (RFC 9000 18.2; draft section 6.1.3). */
#define QS_ACK_DELAY_END_US 16384000u
#define QS_ACK_EXPONENT_MAX 20u
#define QS_PAYLOAD_MIN      1200u
#define QS_PAYLOAD_MAX      65527u
#define QS_CONTROL_MAX      2u
#define QS_CERTIFICATE_MAX  3u

/* X(ours, theirs): the members of qs_params, and what both layouts call them. */
#define QS_PARAM_MEMBERS(X)                                                                        \
    X(disable_active_migration, disable_active_migration)                                          \
    X(grease_quic_bit, grease_quic_bit)                                                            \
    X(stateless_reset, stateless_reset)                                                            \
    X(disable_1rtt_encryption, disable_1rtt_encryption)                                            \
    X(disable_compatible_version, disable_compatible_version)                                      \
    X(max_udp_payload_size, max_udp_payload_size)                                                  \
    X(ack_delay_exponent, ack_delay_exponent)                                                      \
    X(max_ack_delay_us, max_ack_delay)                                                             \
    X(active_connection_id_limit, active_connection_id_limit)                                      \
    X(max_idle_timeout_us, max_idle_timeout)                                                       \
    X(max_datagram_frame_size, max_datagram_frame_size)                                            \
    X(max_data, max_data)                                                                          \
    X(max_stream_data_bidi_local, max_stream_data_bidi_local)                                      \
    X(max_stream_data_bidi_remote, max_stream_data_bidi_remote)                                    \
    X(max_stream_data_uni, max_stream_data_uni)                                                    \
    X(max_streams_bidi, max_streams_bidi)                                                          \
    X(max_streams_uni, max_streams_uni)

/* X(member): of qs_settings, by the same name in both layouts. */
#define QS_SETTING_MEMBERS(X)                                                                      \
    X(payload_cipher_type)                                                                         \
    X(version)                                                                                     \
    X(validate_peer_address)                                                                       \
    X(receive_session_ticket)                                                                      \
    X(certificate_request)

/* In what a program sets, a member that is 0 leaves things as they are; what it gets is at most what the member
 * can hold. */
#define QS_TAKE(member, value) ((void)((value) != 0 ? (member) = (value) : 0))
#define QS_GIVE(member, value)                                                                     \
    ((member) = (__typeof__(member))qs_at_most((value), (__typeof__(member))-1))

static inline uint64_t qs_at_most(uint64_t value, uint64_t max)
{
    return value < max ? value : max;
}

static inline uint64_t qs_between(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : qs_at_most(value, max);
}

/* 0: as it is. A connection has the version it began with, and tickets are for that (RFC 9369 5). */
static inline uint32_t qs_version_wanted(const qs_sock *s, uint32_t version)
{
    return s->conn.handle != 0 ? 0 : version;
}

/* params.c: the draft's layout. */
int qs_set_param_draft(qs_sock *s, const void *value, size_t len);
int qs_get_param_draft(const qs_sock *s, void *value, socklen_t *len);
/* Client: the peer's of an earlier connection were set, in either layout; for 0-RTT. */
void qs_params_remember(qs_sock *s);
/* The peer's parameters are known: the send buffer follows its window (draft section 8). */
void qs_params_learned(qs_sock *s);

/* params_kernel.c: the kernel's. */
int qs_set_param_kernel(qs_sock *s, const void *value, size_t len);
int qs_get_param_kernel(const qs_sock *s, void *value, socklen_t *len);
int qs_set_config(qs_sock *s, const void *value, size_t len);
int qs_get_config(const qs_sock *s, void *value, socklen_t *len);

/* The number of TLS 1.3 of a TLS_CIPHER_* type; 0: there is none. */
uint16_t qs_suite_of(uint32_t type);

/* opts_raw.c; no lock held. */
int qs_set_handshake_opt(qs_sock *s, qs_opt opt, const void *value, size_t len);
int qs_get_params_ext(qs_sock *s, void *value, socklen_t *len);

/* opts_socket.c */
int qs_set_socket(qs_sock *s, int name, const void *value, size_t len);
int qs_get_socket(const qs_sock *s, int name, void *value, socklen_t *len);
int qs_set_ip(qs_sock *s, int level, int name, const void *value, size_t len);
int qs_get_int(int have, void *value, socklen_t *len);

/* opts.c: copies `have` bytes out; -EINVAL when *len is less. */
int qs_get_bytes(const void *data, size_t have, void *value, socklen_t *len);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_CORE_OPTS_H */
