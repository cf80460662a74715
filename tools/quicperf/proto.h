/* tools/quicperf/proto.h: the "perf" protocol on one stream (draft-banks-quic-performance-00 2.3).
 *
 * Shape:  a request is 8 bytes, big endian: how many bytes the other side shall send back
 *         (QP_ENDLESS: until told to stop), then any payload, then the end of the stream.
 *         qp_header collects the 8 bytes however they arrive; qp_pump sends header and payload.
 * Copies: payload is lent to the library from one constant buffer, never copied by us.
 */
#ifndef TOOLS_QUICPERF_PROTO_H
#define TOOLS_QUICPERF_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quring/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_ALPN          "perf"
#define QP_HEADER_LEN    8u
#define QP_ENDLESS       UINT64_MAX
#define QP_PATTERN_BYTES (256u * 1024u)
#define QP_WAITING_MAX   1024u /* answers that wait for a stream of the server, per connection */

/* Application error codes this tool uses; the draft defines none. */
enum {
    QP_APP_DONE = 0,    /* finished, or no longer wanted */
    QP_APP_REFUSED = 1, /* over a bound of the server */
};

typedef struct qp_header {
    uint8_t bytes[QP_HEADER_LEN];
    uint8_t len;
} qp_header;

/* qp_header_feed takes what belongs to the header from `data`. Returns how many bytes that were; the
 * rest is payload. */
size_t qp_header_feed(qp_header *header, const uint8_t *data, size_t len);
bool qp_header_is_complete(const qp_header *header);

/* qp_header_value gives the number of a complete header; qp_header_encode writes one. */
uint64_t qp_header_value(const qp_header *header);
void qp_header_encode(uint8_t out[QP_HEADER_LEN], uint64_t value);

/* The sending half of one stream: an optional header, `left` payload bytes, the end. */
typedef struct qp_pump {
    quring_stream stream;
    uint64_t offset; /* payload bytes handed over */
    uint64_t left;   /* payload bytes still to be handed over; QP_ENDLESS: no end */
    uint8_t header[QP_HEADER_LEN];
    uint8_t header_left;
    bool ended; /* the end was handed over */
} qp_pump;

/* qp_pump_init prepares to send `payload_bytes` on `stream`; qp_pump_add_header puts a header that
 * asks for `answer_bytes` in front, before the first run. */
void qp_pump_init(qp_pump *pump, quring_stream stream, uint64_t payload_bytes);
void qp_pump_add_header(qp_pump *pump, uint64_t answer_bytes);

/* qp_pump_hurry gives its stream urgency QP_URGENT when there are at most `short_bytes` to send; 0: never.
 * Returns whether it did. */
#define QP_URGENT 1u /* of 0..7; streams begin with 3 */
bool qp_pump_hurry(const qp_pump *pump, uint64_t short_bytes);

/* qp_pump_run hands over as much as the stream takes now; call it again on WRITABLE and RELEASED.
 * Returns QURING_OK (everything including the end is handed over), QURING_E_AGAIN (more to do), or
 * the status of a stream that cannot go on. */
quring_status qp_pump_run(qp_pump *pump);

/* qp_pump_finish makes what was handed over all there is: the next run sends the end. */
void qp_pump_finish(qp_pump *pump);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_PROTO_H */
