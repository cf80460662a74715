#include "tests/interop/exchange.h"

#include <string.h>

#define QI_CHUNK     16384u
#define QI_FNV_START 0x811c9dc5u
#define QI_FNV_PRIME 0x01000193u

static void put_be(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *in, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

/* Repeats only after 16 MiB; `up` is the client's direction. */
static uint8_t pattern_at(uint64_t off, bool up)
{
    return (uint8_t)(off ^ off >> 8 ^ off >> 16 ^ (up ? 0xa5u : 0));
}

static uint32_t sum_byte(uint32_t sum, uint8_t byte)
{
    return (sum ^ byte) * QI_FNV_PRIME;
}

void qi_exchange_begin(qi_exchange *x, quring_stream stream, bool is_client, uint64_t down_len,
                       uint64_t up_len)
{
    memset(x, 0, sizeof(*x));
    x->stream = stream;
    x->is_client = is_client;
    x->down_len = down_len;
    x->up_len = up_len;
    x->out.sum = QI_FNV_START;
    x->in.sum = QI_FNV_START;
    x->in.head_len = is_client ? QI_ANSWER_HEAD : QI_REQUEST_HEAD;
    if (is_client) {
        x->out.head_len = QI_REQUEST_HEAD;
        x->out.body_len = up_len;
        put_be(x->out.head, down_len, 8);
    }
}

/* The next bytes to send, at most QI_CHUNK. */
static size_t fill(const qi_half *out, bool up, uint8_t *buf)
{
    uint64_t total = out->head_len + out->body_len;
    size_t len = 0;
    for (uint64_t off = out->off; off < total && len < QI_CHUNK; off++) {
        buf[len++] = off < out->head_len ? out->head[off] : pattern_at(off - out->head_len, up);
    }
    return len;
}

bool qi_exchange_write(qi_exchange *x)
{
    uint8_t buf[QI_CHUNK];
    qi_half *out = &x->out;
    if (out->head_len == 0) {
        return true; /* a server that has not heard its client out */
    }
    while (!out->done) {
        size_t len = fill(out, x->is_client, buf);
        bool last = out->off + len == out->head_len + out->body_len;
        size_t written = 0;
        quring_status status =
            quring_stream_write(x->stream, &written, buf, len, last ? QURING_WRITE_FIN : 0);
        if (status == QURING_E_AGAIN) {
            return true;
        }
        if (status != QURING_OK) {
            return false;
        }
        out->off += written;
        out->done = last && written == len;
    }
    return true;
}

static void answer(qi_exchange *x)
{
    x->up_len = x->in.off - x->in.head_len;
    x->down_len = get_be(x->in.head, 8);
    put_be(x->out.head, x->up_len, 8);
    put_be(x->out.head + 8, x->in.sum, 4);
    x->out.head_len = QI_ANSWER_HEAD;
    x->out.body_len = x->down_len;
}

/* The client's half: does the answer tell what was sent, and is all of the download there? */
static bool answer_is_right(const qi_exchange *x)
{
    uint32_t sum = QI_FNV_START;
    for (uint64_t i = 0; i < x->up_len; i++) {
        sum = sum_byte(sum, pattern_at(i, true));
    }
    return get_be(x->in.head, 8) == x->up_len && get_be(x->in.head + 8, 4) == sum &&
           x->in.off == QI_ANSWER_HEAD + x->down_len;
}

static void take(qi_half *in, bool up, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++, in->off++) {
        if (in->off < in->head_len) {
            in->head[in->off] = data[i];
            continue;
        }
        in->bad |= data[i] != pattern_at(in->off - in->head_len, up);
        in->sum = sum_byte(in->sum, data[i]);
    }
}

bool qi_exchange_read(qi_exchange *x)
{
    uint8_t buf[QI_CHUNK];
    while (!x->in.done) {
        size_t len = 0;
        bool fin = false;
        quring_status status = quring_stream_read(x->stream, &len, &fin, buf, sizeof(buf));
        if (status == QURING_E_AGAIN) {
            return true;
        }
        if (status != QURING_OK) {
            return false;
        }
        take(&x->in, !x->is_client, buf, len);
        if (x->in.bad) {
            return false;
        }
        x->in.done = fin;
    }
    if (x->in.off < x->in.head_len) {
        return false;
    }
    if (x->is_client) {
        x->in.bad = !answer_is_right(x);
        return !x->in.bad;
    }
    if (x->out.head_len == 0) {
        answer(x);
    }
    return qi_exchange_write(x);
}

bool qi_exchange_complete(const qi_exchange *x)
{
    return x->in.done && x->out.done && !x->in.bad;
}
