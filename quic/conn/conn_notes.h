/* quic/conn/conn_notes.h: what waits to be told to the application, as bits; conn_events.c turns them into
 * events when it is asked. */
#ifndef QUIC_CONN_CONN_NOTES_H
#define QUIC_CONN_CONN_NOTES_H

/* Events of the connection (quic_conn.events) and of a stream (quic_stream.events). */
enum {
    QUIC_CONN_EV_HS_PENDING = 1u << 0,
    QUIC_CONN_EV_HS_DATA = 1u << 1,
    QUIC_CONN_EV_CONNECTED = 1u << 2,
    QUIC_CONN_EV_STREAMS_AVAILABLE = 1u << 3,
    QUIC_CONN_EV_CLOSED = 1u << 4,
    QUIC_CONN_EV_STREAM_LIMIT = 1u << 5,
    QUIC_CONN_EV_EARLY_READY = 1u << 8,
    QUIC_CONN_EV_EARLY_REJECTED = 1u << 9,
    QUIC_CONN_EV_SESSION = 1u << 10,
    QUIC_CONN_EV_TOKEN = 1u << 11,
    QUIC_CONN_EV_DATAGRAM_READABLE = 1u << 12,
    QUIC_CONN_EV_DATAGRAM_WRITABLE = 1u << 13,
    QUIC_CONN_EV_WANT_SOCKET = 1u << 16,
    QUIC_CONN_EV_PATH_CHANGED = 1u << 17,
    QUIC_CONN_EV_PATH_FAILED = 1u << 18,
    QUIC_CONN_EV_KEYS_UPDATED = 1u << 19,
};
enum {
    QUIC_STREAM_EV_OPENED = 1u << 0,
    QUIC_STREAM_EV_SIZE_KNOWN = 1u << 1,
    QUIC_STREAM_EV_READABLE = 1u << 2,
    QUIC_STREAM_EV_RESET = 1u << 3,
    QUIC_STREAM_EV_STOPPED = 1u << 4,
    QUIC_STREAM_EV_RELEASED = 1u << 5,
    QUIC_STREAM_EV_WRITABLE = 1u << 6,
    QUIC_STREAM_EV_FINISHED = 1u << 7,
    QUIC_STREAM_EV_RESET_ACKED = 1u << 8,
    QUIC_STREAM_EV_CLOSED = 1u << 9, /* a stream's last word */
};
/* quic_stream.events_seen: what the application was told and has not used up. */
#define QUIC_STREAM_TOLD_READABLE (1u << 0)
#define QUIC_STREAM_TOLD_CLOSED   (1u << 1)

#endif /* QUIC_CONN_CONN_NOTES_H */
