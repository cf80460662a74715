/* netinet/quic.h with the draft's names: sizes and offsets that programs of 2024 are compiled with, and
 * flags that are of one space with today's. */
#define QUIC_NO_GNUTLS
#include <netinet/quic.h>
#include <stddef.h>

#define SAME(a, b)               _Static_assert((a) == (b), #a " is " #b)
#define AT(type, member, offset) SAME(offsetof(type, member), offset)

SAME(IPPROTO_QUIC, 288);
SAME(SOL_QUIC, 288);

SAME(QUIC_SOCKOPT_EVENT, 0);
SAME(QUIC_SOCKOPT_STREAM_OPEN, 1);
SAME(QUIC_SOCKOPT_STREAM_RESET, 2);
SAME(QUIC_SOCKOPT_STREAM_STOP_SENDING, 3);
SAME(QUIC_SOCKOPT_CONNECTION_CLOSE, 4);
SAME(QUIC_SOCKOPT_CONNECTION_MIGRATION, 5);
SAME(QUIC_SOCKOPT_KEY_UPDATE, 6);
SAME(QUIC_SOCKOPT_TRANSPORT_PARAM, 7);
SAME(QUIC_SOCKOPT_TOKEN, 8);
SAME(QUIC_SOCKOPT_ALPN, 9);
SAME(QUIC_SOCKOPT_SESSION_TICKET, 10);
SAME(QUIC_SOCKOPT_CRYPTO_SECRET, 11);
SAME(QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, 12);

SAME(QUIC_STREAM_FLAG_NEW, MSG_SYN);
SAME(QUIC_STREAM_FLAG_FIN, MSG_FIN);
SAME(QUIC_STREAM_FLAG_UNI, MSG_STREAM_UNI);
SAME(QUIC_STREAM_FLAG_DATAGRAM, MSG_DATAGRAM);
SAME(QUIC_STREAM_FLAG_NOTIFICATION, MSG_NOTIFICATION);
SAME(QUIC_STREAM_FLAG_ASYNC, 0x10000);

SAME(QUIC_EVENT_STREAM_UPDATE, 1);
SAME(QUIC_EVENT_STREAM_MAX_STREAM, 2);
SAME(QUIC_EVENT_CONNECTION_CLOSE, 3);
SAME(QUIC_EVENT_CONNECTION_MIGRATION, 4);
SAME(QUIC_EVENT_KEY_UPDATE, 5);
SAME(QUIC_EVENT_NEW_TOKEN, 6);

SAME(QUIC_STREAM_SEND_STATE_RECVD, 3);
SAME(QUIC_STREAM_SEND_STATE_RESET_RECVD, 5);
SAME(QUIC_STREAM_RECV_STATE_RECV, 6);
SAME(QUIC_STREAM_RECV_STATE_RESET_READ, 11);

SAME(QUIC_CRYPTO_APP, 0);
SAME(QUIC_CRYPTO_INITIAL, 1);
SAME(QUIC_CRYPTO_HANDSHAKE, 2);
SAME(QUIC_CRYPTO_EARLY, 3);

SAME(sizeof(struct quic_stream_info), 16);
AT(struct quic_stream_info, stream_flag, 8);
SAME(sizeof(struct quic_handshake_info), 1);
SAME(sizeof(struct quic_transport_param), 128);
AT(struct quic_transport_param, max_udp_payload_size, 8);
AT(struct quic_transport_param, max_data, 56);
AT(struct quic_transport_param, initial_smoothed_rtt, 104);
AT(struct quic_transport_param, plpmtud_probe_timeout, 112);
AT(struct quic_transport_param, validate_peer_address, 116);
AT(struct quic_transport_param, congestion_control_alg, 119);
AT(struct quic_transport_param, payload_cipher_type, 120);
AT(struct quic_transport_param, version, 124);
SAME(sizeof(struct quic_crypto_secret), 56);
AT(struct quic_crypto_secret, send, 2);
AT(struct quic_crypto_secret, type, 4);
SAME(sizeof(struct quic_errinfo), 16);
SAME(sizeof(struct quic_stream_update), 24);
SAME(sizeof(struct quic_connection_close), 8);
AT(struct quic_connection_close, phrase, 5);
SAME(sizeof(struct quic_handshake_parms), 280);

SAME(sizeof(union quic_event), 24);

/* Checked when this is compiled; the program is here to be run. */
int main(void)
{
    return 0;
}
