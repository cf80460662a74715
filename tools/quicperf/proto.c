#include "tools/quicperf/proto.h"

#include <string.h>

#define QP_SMALL_BYTES 1024u /* up to here header and payload go in one copied write */

/* What payload consists of: any bytes do, these are the same for ever so they can be lent. */
static const uint8_t qp_pattern[QP_PATTERN_BYTES] __attribute__((aligned(64))) = {'q', 'p'};

size_t qp_header_feed(qp_header *header, const uint8_t *data, size_t len)
{
    size_t take = QP_HEADER_LEN - header->len;
    if (take > len) {
        take = len;
    }
    if (take > 0) {
        memcpy(header->bytes + header->len, data, take);
        header->len = (uint8_t)(header->len + take);
    }
    return take;
}

bool qp_header_is_complete(const qp_header *header)
{
    return header->len == QP_HEADER_LEN;
}

uint64_t qp_header_value(const qp_header *header)
{
    uint64_t value = 0;
    for (size_t i = 0; i < QP_HEADER_LEN; i++) {
        value = value << 8 | header->bytes[i];
    }
    return value;
}

void qp_header_encode(uint8_t out[QP_HEADER_LEN], uint64_t value)
{
    for (size_t i = QP_HEADER_LEN; i-- > 0; value >>= 8) {
        out[i] = (uint8_t)value;
    }
}

void qp_pump_init(qp_pump *pump, quring_stream stream, uint64_t payload_bytes)
{
    memset(pump, 0, sizeof(*pump));
    pump->stream = stream;
    pump->left = payload_bytes;
}

void qp_pump_add_header(qp_pump *pump, uint64_t answer_bytes)
{
    qp_header_encode(pump->header, answer_bytes);
    pump->header_left = QP_HEADER_LEN;
}

bool qp_pump_hurry(const qp_pump *pump, uint64_t short_bytes)
{
    return short_bytes != 0 && pump->left <= short_bytes &&
           quring_stream_set_priority(pump->stream, QP_URGENT, QURING_PRIORITY_INCREMENTAL) ==
               QURING_OK;
}

/* A whole small message in one write. */
static quring_status qp_pump_small(qp_pump *pump)
{
    uint8_t message[QP_HEADER_LEN + QP_SMALL_BYTES];
    size_t written = 0;
    size_t head = pump->header_left;
    size_t len = head + (size_t)pump->left;
    memcpy(message, pump->header + QP_HEADER_LEN - head, head);
    memcpy(message + head, qp_pattern, (size_t)pump->left);
    quring_status status =
        quring_stream_write(pump->stream, &written, message, len, QURING_WRITE_FIN);
    if (status != QURING_OK) {
        return status;
    }
    size_t header_written = written < head ? written : head;
    pump->header_left = (uint8_t)(head - header_written);
    pump->offset += written - header_written;
    pump->left -= written - header_written;
    pump->ended = written == len;
    return pump->ended ? QURING_OK : QURING_E_AGAIN;
}

static quring_status qp_pump_header(qp_pump *pump)
{
    size_t written = 0;
    quring_status status = quring_stream_write(pump->stream, &written,
                                               pump->header + QP_HEADER_LEN - pump->header_left,
                                               pump->header_left, QURING_WRITE_MORE);
    if (status == QURING_OK) {
        pump->header_left = (uint8_t)(pump->header_left - written);
    }
    return status != QURING_OK || pump->header_left == 0 ? status : QURING_E_AGAIN;
}

quring_status qp_pump_run(qp_pump *pump)
{
    if (pump->ended) {
        return QURING_OK;
    }
    if (pump->left <= QP_SMALL_BYTES) {
        return qp_pump_small(pump);
    }
    if (pump->header_left > 0) {
        quring_status status = qp_pump_header(pump);
        if (status != QURING_OK) {
            return status;
        }
    }
    while (!pump->ended) { /* ends: the stream's queue is bounded, a full one says so */
        size_t at = (size_t)(pump->offset % QP_PATTERN_BYTES);
        uint64_t len = QP_PATTERN_BYTES - at;
        uint32_t flags = 0;
        size_t accepted = 0;
        if (len >= pump->left) {
            len = pump->left;
            flags = QURING_WRITE_FIN;
        }
        quring_status status =
            quring_stream_lend(pump->stream, &accepted, qp_pattern + at, (size_t)len, flags);
        if (status != QURING_OK) {
            return status;
        }
        pump->offset += accepted;
        if (pump->left != QP_ENDLESS) {
            pump->left -= accepted;
        }
        pump->ended = flags != 0 && accepted == len;
        if (accepted < len) {
            return QURING_E_AGAIN;
        }
    }
    return QURING_OK;
}

void qp_pump_finish(qp_pump *pump)
{
    pump->left = 0;
}
