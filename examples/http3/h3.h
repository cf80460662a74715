/* examples/http3/h3.h: HTTP/3 (RFC 9114) on a connection of quring. libnghttp3 makes and reads the frames and
 * header fields; this carries bytes between its streams and quring's.
 *
 * Use:     h3_conn_create when the connection can open streams (CONNECTED, or EARLY_READY with 0-RTT), h3_conn_on_event
 *          for every event of a stream, h3_conn_flush after something was submitted elsewhere than in a callback
 *          of libnghttp3, h3_conn_destroy at CLOSED.
 * Copies:  none on the way out: quring borrows the bytes that libnghttp3 shows (quring_stream_lend), and says
 *          when they have arrived. What read_data gave must stay until acked_stream_data or stream_close.
 * Threads: all on the connection's worker.
 */
#ifndef EXAMPLES_HTTP3_H3_H
#define EXAMPLES_HTTP3_H3_H

#include <nghttp3/nghttp3.h>
#include <quring/quring.h>
#include <stdbool.h>

typedef struct h3_conn h3_conn;

/* Events of a connection that h3_conn_on_event has no use for: for muted_events. */
#define H3_MUTED_EVENTS                                                                            \
    (QURING_EVENT_BIT(QURING_EV_STREAM_OPENED) | QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED) |     \
     QURING_EVENT_BIT(QURING_EV_STREAM_SIZE_KNOWN) |                                               \
     QURING_EVENT_BIT(QURING_EV_STREAM_RESET_ACKED))

/* `callbacks` are libnghttp3's, with the h3_conn as conn_user_data; stop_sending and reset_stream are set here.
 * NULL: no memory, or the peer allows no streams. */
h3_conn *h3_conn_create(quring_conn conn, bool is_server, const nghttp3_callbacks *callbacks,
                        void *user);
/* Every stream that is left gets its stream_close. NULL is fine. */
void h3_conn_destroy(h3_conn *h3);

/* One of a stream's events. The callbacks of libnghttp3 come from here. What breaks HTTP/3 closes the connection
 * with the code of RFC 9114 8.1. */
void h3_conn_on_event(h3_conn *h3, const quring_event *ev);

/* Opens a stream for a request and submits it; `body` may be NULL. Returns the stream, or -1: the peer allows no
 * more now (STREAMS_AVAILABLE follows), or there is no memory. */
int64_t h3_conn_request(h3_conn *h3, const nghttp3_nv *fields, size_t count,
                        const nghttp3_data_reader *body, void *stream_user);

/* Hands on what libnghttp3 has to send. */
void h3_conn_flush(h3_conn *h3);

nghttp3_conn *h3_conn_nghttp3(h3_conn *h3);
void *h3_conn_user(h3_conn *h3); /* what h3_conn_create was given */

/* A header field of two strings that stay. */
nghttp3_nv h3_field(const char *name, const char *value);

#endif /* EXAMPLES_HTTP3_H3_H */
