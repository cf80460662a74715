/* tests/interop/exchange.h: what the interop peers say to each other on one bidirectional stream.
 *
 * Shape:  client: 8 bytes, the count it wants, big-endian; then its upload; then the end.
 *         server: 8 bytes, the upload's length; 4 bytes, its FNV-1a sum; then as many bytes as the
 *         client asked for; then the end. Both big-endian; the server answers after the client's end.
 *         Bodies are a pattern of the offset and of the direction, so that every byte is checked.
 * Owner:  the worker that owns the connection.
 */
#ifndef TESTS_INTEROP_EXCHANGE_H
#define TESTS_INTEROP_EXCHANGE_H

#include "quring/quring.h"

#define QI_REQUEST_HEAD 8u
#define QI_ANSWER_HEAD  12u
#define QI_HEAD_MAX     12u

/* One direction of a stream: a head, then `body_len` bytes of pattern. */
typedef struct qi_half {
    uint8_t head[QI_HEAD_MAX];
    size_t head_len;
    uint64_t body_len; /* receiving server: whatever comes */
    uint64_t off;      /* bytes done, the head included */
    uint32_t sum;      /* FNV-1a of the body bytes done */
    bool bad;          /* a body byte was not the pattern's */
    bool done;         /* the end was read, or taken for sending */
} qi_half;

typedef struct qi_exchange {
    struct qi_exchange *next;
    quring_stream stream;
    bool is_client;
    uint64_t up_len; /* client: what it uploads */
    uint64_t down_len;
    qi_half out;
    qi_half in;
} qi_exchange;

/* qi_exchange_begin sets `x` up for `stream`; a client gives the counts, a server zeros. */
void qi_exchange_begin(qi_exchange *x, quring_stream stream, bool is_client, uint64_t down_len,
                       uint64_t up_len);

/* qi_exchange_write writes what there is room for. False: the stream refused. */
bool qi_exchange_write(qi_exchange *x);

/* qi_exchange_read reads what is there; a server whose client has ended starts its answer.
 * False: the bytes are not the protocol's, or the stream refused. */
bool qi_exchange_read(qi_exchange *x);

/* qi_exchange_complete says whether both ends are there and every byte was right. */
bool qi_exchange_complete(const qi_exchange *x);

#endif /* TESTS_INTEROP_EXCHANGE_H */
