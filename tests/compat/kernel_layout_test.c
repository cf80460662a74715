/* netinet/quic.h with today's names: every number and layout as kernel programs are compiled with. */
#define QUIC_SOCKET_API 2
#include <netinet/quic.h>
#include <stddef.h>

#define SAME(a, b)               _Static_assert((a) == (b), #a " is " #b)
#define AT(type, member, offset) SAME(offsetof(type, member), offset)

SAME(IPPROTO_QUIC, 261);
SAME(SOL_QUIC, 288);

SAME(QUIC_SOCKOPT_EVENT, 0);
SAME(QUIC_SOCKOPT_STREAM_OPEN, 1);
SAME(QUIC_SOCKOPT_STREAM_RESET, 2);
SAME(QUIC_SOCKOPT_STREAM_STOP_SENDING, 3);
SAME(QUIC_SOCKOPT_CONNECTION_ID, 4);
SAME(QUIC_SOCKOPT_CONNECTION_CLOSE, 5);
SAME(QUIC_SOCKOPT_CONNECTION_MIGRATION, 6);
SAME(QUIC_SOCKOPT_KEY_UPDATE, 7);
SAME(QUIC_SOCKOPT_TRANSPORT_PARAM, 8);
SAME(QUIC_SOCKOPT_CONFIG, 9);
SAME(QUIC_SOCKOPT_TOKEN, 10);
SAME(QUIC_SOCKOPT_ALPN, 11);
SAME(QUIC_SOCKOPT_SESSION_TICKET, 12);
SAME(QUIC_SOCKOPT_CRYPTO_SECRET, 13);
SAME(QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, 14);

SAME(MSG_QUIC_STREAM_NEW, 0x400);
SAME(MSG_QUIC_STREAM_FIN, 0x200);
SAME(MSG_QUIC_STREAM_UNI, 0x800);
SAME(MSG_QUIC_STREAM_DONTWAIT, 0x10000);
SAME(MSG_QUIC_STREAM_SNDBLOCK, 0x2000);
SAME(MSG_QUIC_DATAGRAM, 0x1000);
SAME(MSG_QUIC_NOTIFICATION, 0x8000);

SAME(MSG_STREAM_NEW, MSG_QUIC_STREAM_NEW);
SAME(MSG_STREAM_FIN, MSG_QUIC_STREAM_FIN);
SAME(MSG_STREAM_UNI, MSG_QUIC_STREAM_UNI);
SAME(MSG_STREAM_DONTWAIT, MSG_QUIC_STREAM_DONTWAIT);
SAME(MSG_STREAM_SNDBLOCK, MSG_QUIC_STREAM_SNDBLOCK);
SAME(MSG_DATAGRAM, MSG_QUIC_DATAGRAM);
SAME(MSG_NOTIFICATION, MSG_QUIC_NOTIFICATION);

SAME(QUIC_EVENT_STREAM_UPDATE, 1);
SAME(QUIC_EVENT_STREAM_MAX_DATA, 2);
SAME(QUIC_EVENT_STREAM_MAX_STREAM, 3);
SAME(QUIC_EVENT_CONNECTION_ID, 4);
SAME(QUIC_EVENT_CONNECTION_CLOSE, 5);
SAME(QUIC_EVENT_CONNECTION_MIGRATION, 6);
SAME(QUIC_EVENT_KEY_UPDATE, 7);
SAME(QUIC_EVENT_NEW_TOKEN, 8);
SAME(QUIC_EVENT_NEW_SESSION_TICKET, 9);
SAME(QUIC_EVENT_MAX, 10);

SAME(sizeof(struct quic_stream_info), 16);
AT(struct quic_stream_info, stream_id, 0);
AT(struct quic_stream_info, stream_flags, 8);
SAME(sizeof(struct quic_handshake_info), 1);

SAME(sizeof(struct quic_transport_param), 56);
AT(struct quic_transport_param, active_connection_id_limit, 6);
AT(struct quic_transport_param, ack_delay_exponent, 7);
AT(struct quic_transport_param, max_datagram_frame_size, 8);
AT(struct quic_transport_param, max_udp_payload_size, 10);
AT(struct quic_transport_param, max_idle_timeout, 12);
AT(struct quic_transport_param, max_ack_delay, 16);
AT(struct quic_transport_param, max_streams_bidi, 20);
AT(struct quic_transport_param, max_streams_uni, 22);
AT(struct quic_transport_param, max_data, 24);
AT(struct quic_transport_param, max_stream_data_bidi_local, 32);
AT(struct quic_transport_param, max_stream_data_bidi_remote, 40);
AT(struct quic_transport_param, max_stream_data_uni, 48);

SAME(sizeof(struct quic_config), 28);
AT(struct quic_config, version, 0);
AT(struct quic_config, plpmtud_probe_interval, 4);
AT(struct quic_config, initial_smoothed_rtt, 8);
AT(struct quic_config, payload_cipher_type, 12);
AT(struct quic_config, congestion_control_algo, 16);
AT(struct quic_config, validate_peer_address, 17);
AT(struct quic_config, stream_data_nodelay, 18);
AT(struct quic_config, receive_session_ticket, 19);
AT(struct quic_config, certificate_request, 20);
AT(struct quic_config, keepalive_probe_interval, 24);

SAME(sizeof(struct quic_crypto_secret), 56);
AT(struct quic_crypto_secret, send, 0);
SAME(sizeof(((struct quic_crypto_secret *)0)->send), 1);
AT(struct quic_crypto_secret, level, 1);
AT(struct quic_crypto_secret, type, 4);
AT(struct quic_crypto_secret, secret, 8);

SAME(sizeof(struct quic_errinfo), 16);
AT(struct quic_errinfo, errcode, 8);
SAME(sizeof(struct quic_event_option), 2);
SAME(sizeof(struct quic_stream_update), 24);
AT(struct quic_stream_update, state, 8);
SAME(sizeof(((struct quic_stream_update *)0)->state), 1);
AT(struct quic_stream_update, errcode, 12);
AT(struct quic_stream_update, finalsz, 16);
SAME(sizeof(struct quic_stream_max_data), 16);
SAME(sizeof(struct quic_connection_close), 72);
AT(struct quic_connection_close, frame, 4);
AT(struct quic_connection_close, phrase, 8);
SAME(sizeof(struct quic_connection_id_info), 12);
AT(struct quic_connection_id_info, active, 4);
AT(struct quic_connection_id_info, prior_to, 8);

SAME(sizeof(union quic_event), 72);
SAME(offsetof(union quic_event, info) + offsetof(union quic_event, max_data), 0);
SAME(sizeof(((union quic_event *)0)->max_stream), 8);
SAME(sizeof(((union quic_event *)0)->local_migration), 1);
SAME(sizeof(((union quic_event *)0)->key_update_phase), 1);
SAME(sizeof(((union quic_event *)0)->update), 24);
SAME(sizeof(((union quic_event *)0)->close), 72);

SAME(QUIC_TRANSPORT_ERROR_NONE, 0);
SAME(QUIC_TRANSPORT_ERROR_STREAM_STATE, 5);
SAME(QUIC_TRANSPORT_ERROR_PROTOCOL_VIOLATION, 10);
SAME(QUIC_TRANSPORT_ERROR_NO_VIABLE_PATH, 16);
SAME(QUIC_TRANSPORT_ERROR_CRYPTO, 256);

/* Checked when this is compiled; the program is here to be run. */
int main(void)
{
    return 0;
}
