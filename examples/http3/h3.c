#include "h3.h"

#include <stdlib.h>
#include <string.h>

#define VEC_MAX      8
#define BUCKET_COUNT 64u

/* A stream that is there for quring. */
typedef struct h3_stream {
    int64_t id;
    quring_stream stream;
    uint64_t released; /* bytes that have arrived */
    struct h3_stream *next;
} h3_stream;

struct h3_conn {
    quring_conn conn;
    nghttp3_conn *nghttp3;
    void *user;
    bool broken; /* and closed: nothing is read or written any more */
    h3_stream *streams[BUCKET_COUNT];
};

static h3_stream **bucket_of(h3_conn *h3, int64_t id)
{
    return &h3->streams[((uint64_t)id ^ (uint64_t)id >> 2) % BUCKET_COUNT];
}

static h3_stream *find(h3_conn *h3, int64_t id)
{
    h3_stream *s = *bucket_of(h3, id);
    while (s != NULL && s->id != id) {
        s = s->next;
    }
    return s;
}

static h3_stream *add(h3_conn *h3, quring_stream stream, int64_t id)
{
    h3_stream *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        h3_stream **at = bucket_of(h3, id);
        s->id = id;
        s->stream = stream;
        s->next = *at;
        *at = s;
    }
    return s;
}

static void drop(h3_conn *h3, int64_t id)
{
    for (h3_stream **at = bucket_of(h3, id); *at != NULL; at = &(*at)->next) {
        if ((*at)->id == id) {
            h3_stream *s = *at;
            *at = s->next;
            free(s);
            return;
        }
    }
}

/* RFC 9114 8: an error of the connection. */
static void fail(h3_conn *h3, int nghttp3_error)
{
    h3->broken = true;
    (void)quring_conn_close(h3->conn, nghttp3_err_infer_quic_app_error_code(nghttp3_error),
                            nghttp3_strerror(nghttp3_error));
}

/* ---- what libnghttp3 wants of streams ------------------------------------------------------------------ */

static int on_stop_sending(nghttp3_conn *nghttp3, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    h3_stream *s = find(user, id);
    (void)nghttp3, (void)stream_user;
    if (s != NULL) {
        (void)quring_stream_stop_sending(s->stream, code);
    }
    return 0;
}

static int on_reset_stream(nghttp3_conn *nghttp3, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
    h3_stream *s = find(user, id);
    (void)nghttp3, (void)stream_user;
    if (s != NULL) {
        (void)quring_stream_reset(s->stream, code);
    }
    return 0;
}

/* ---- out ------------------------------------------------------------------------------------------------- */

/* Lends the vectors to the stream; gives how many bytes were taken, -1: the stream takes no more at all. */
static int64_t lend(h3_stream *s, const nghttp3_vec *vec, size_t count, bool fin, bool *out_all)
{
    int64_t taken = 0;
    *out_all = false;
    for (size_t i = 0; i < count || (i == 0 && fin); i++) {
        bool last = i + 1 >= count;
        size_t len = count > 0 ? vec[i].len : 0;
        size_t n = 0;
        quring_status status = quring_stream_lend(s->stream, &n, len > 0 ? vec[i].base : NULL, len,
                                                  !last ? QURING_WRITE_MORE
                                                  : fin ? QURING_WRITE_FIN
                                                        : 0);
        if (status != QURING_OK) {
            return status == QURING_E_AGAIN ? taken : -1;
        }
        taken += (int64_t)n;
        if (n < len) {
            return taken;
        }
    }
    *out_all = true;
    return taken;
}

void h3_conn_flush(h3_conn *h3)
{
    while (
        !h3->broken) { /* ends: each round takes something from libnghttp3, or a stream out of its way */
        nghttp3_vec vec[VEC_MAX];
        int64_t id = -1;
        int fin = 0;
        nghttp3_ssize count = nghttp3_conn_writev_stream(h3->nghttp3, &id, &fin, vec, VEC_MAX);
        if (count < 0) {
            fail(h3, (int)count);
            return;
        }
        if (id < 0) {
            return;
        }
        h3_stream *s = find(h3, id);
        bool all = false;
        int64_t taken = s != NULL ? lend(s, vec, (size_t)count, fin != 0, &all) : -1;
        if (taken < 0) {
            nghttp3_conn_shutdown_stream_write(h3->nghttp3, id);
            continue;
        }
        int error =
            taken > 0 || all ? nghttp3_conn_add_write_offset(h3->nghttp3, id, (size_t)taken) : 0;
        if (error != 0) {
            fail(h3, error);
        } else if (!all) {
            nghttp3_conn_block_stream(h3->nghttp3, id); /* until WRITABLE */
        }
    }
}

/* ---- in -------------------------------------------------------------------------------------------------- */

/* All there is. Its credit goes back to the peer at once: callbacks have what they want of it when they return. */
static void receive(h3_conn *h3, h3_stream *s)
{
    quring_bytes spans[2];
    bool fin = false;
    while (!h3->broken && !fin && quring_stream_peek(s->stream, spans, &fin) == QURING_OK) {
        size_t len = spans[0].len + spans[1].len;
        for (int i = 0; i < 2 && !h3->broken; i++) {
            bool end = fin && (i == 1 || spans[1].len == 0);
            if (spans[i].len == 0 && !(i == 0 && end)) {
                continue;
            }
            nghttp3_ssize n =
                nghttp3_conn_read_stream(h3->nghttp3, s->id, spans[i].data, spans[i].len, end);
            if (n < 0) {
                fail(h3, (int)n);
            }
            if (end) {
                break;
            }
        }
        if (quring_stream_consume(s->stream, len) != QURING_OK) {
            return;
        }
    }
}

static void on_released(h3_conn *h3, h3_stream *s, uint64_t offset)
{
    int error = nghttp3_conn_add_ack_offset(h3->nghttp3, s->id, offset - s->released);
    s->released = offset;
    if (error != 0) {
        fail(h3, error);
    }
}

static void on_closed(h3_conn *h3, int64_t id)
{
    int error = nghttp3_conn_close_stream(h3->nghttp3, id, NGHTTP3_H3_NO_ERROR);
    drop(h3, id);
    if (error != 0 && error != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        fail(h3, error);
    }
}

void h3_conn_on_event(h3_conn *h3, const quring_event *ev)
{
    const int64_t id = (int64_t)ev->stream_id;
    h3_stream *s = find(h3, id);
    if (s == NULL && ev->type != QURING_EV_STREAM_CLOSED) {
        s = add(h3, ev->stream, id); /* the peer opened it */
        if (s == NULL) {
            fail(h3, NGHTTP3_ERR_NOMEM);
            return;
        }
    }
    switch ((int)ev->type) {
    case QURING_EV_STREAM_READABLE:
        receive(h3, s);
        break;
    case QURING_EV_STREAM_WRITABLE:
        (void)nghttp3_conn_unblock_stream(h3->nghttp3, id);
        break;
    case QURING_EV_STREAM_RELEASED:
        on_released(h3, s, ev->offset);
        break;
    case QURING_EV_STREAM_RESET: /* the other half of a request's stream makes no sense any more */
        (void)nghttp3_conn_shutdown_stream_read(h3->nghttp3, id);
        (void)quring_stream_reset(s->stream, NGHTTP3_H3_REQUEST_CANCELLED);
        break;
    case QURING_EV_STREAM_STOPPED:
        nghttp3_conn_shutdown_stream_write(h3->nghttp3, id);
        break;
    case QURING_EV_STREAM_CLOSED:
        on_closed(h3, id);
        break;
    default:
        break;
    }
    h3_conn_flush(h3);
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static bool open_uni(h3_conn *h3, int64_t *out_id)
{
    quring_stream stream;
    if (quring_stream_open(&stream, h3->conn, QURING_STREAM_UNI) != QURING_OK) {
        return false;
    }
    *out_id = (int64_t)quring_stream_id(stream);
    return add(h3, stream, *out_id) != NULL;
}

/* The control stream and those of QPACK (RFC 9114 6.2.1, RFC 9204 4.2). */
static bool open_own_streams(h3_conn *h3)
{
    int64_t control, encoder, decoder;
    return open_uni(h3, &control) && open_uni(h3, &encoder) && open_uni(h3, &decoder) &&
           nghttp3_conn_bind_control_stream(h3->nghttp3, control) == 0 &&
           nghttp3_conn_bind_qpack_streams(h3->nghttp3, encoder, decoder) == 0;
}

h3_conn *h3_conn_create(quring_conn conn, bool is_server, const nghttp3_callbacks *callbacks,
                        void *user)
{
    h3_conn *h3 = calloc(1, sizeof(*h3));
    if (h3 == NULL) {
        return NULL;
    }
    h3->conn = conn;
    h3->user = user;
    nghttp3_callbacks all = *callbacks;
    all.stop_sending = on_stop_sending;
    all.reset_stream = on_reset_stream;
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    settings.qpack_max_dtable_capacity = 4096;
    settings.qpack_blocked_streams = 100;
    const nghttp3_mem *mem = nghttp3_mem_default();
    int error = is_server ? nghttp3_conn_server_new(&h3->nghttp3, &all, &settings, mem, h3)
                          : nghttp3_conn_client_new(&h3->nghttp3, &all, &settings, mem, h3);
    if (error != 0 || !open_own_streams(h3)) {
        h3_conn_destroy(h3);
        return NULL;
    }
    /* In all. How many at once is quring's to say (limits.streams_bidi_max). */
    if (is_server) {
        nghttp3_conn_set_max_client_streams_bidi(h3->nghttp3, UINT64_C(1) << 60);
    }
    h3_conn_flush(h3);
    return h3;
}

void h3_conn_destroy(h3_conn *h3)
{
    if (h3 == NULL) {
        return;
    }
    for (uint32_t i = 0; i < BUCKET_COUNT; i++) {
        while (h3->streams[i] != NULL) {
            int64_t id = h3->streams[i]->id;
            if (h3->nghttp3 != NULL) {
                (void)nghttp3_conn_close_stream(h3->nghttp3, id, NGHTTP3_H3_REQUEST_CANCELLED);
            }
            drop(h3, id);
        }
    }
    nghttp3_conn_del(h3->nghttp3);
    free(h3);
}

int64_t h3_conn_request(h3_conn *h3, const nghttp3_nv *fields, size_t count,
                        const nghttp3_data_reader *body, void *stream_user)
{
    quring_stream stream;
    if (quring_stream_open(&stream, h3->conn, 0) != QURING_OK) {
        return -1;
    }
    int64_t id = (int64_t)quring_stream_id(stream);
    if (add(h3, stream, id) == NULL ||
        nghttp3_conn_submit_request(h3->nghttp3, id, fields, count, body, stream_user) != 0) {
        (void)quring_stream_reset(stream, NGHTTP3_H3_INTERNAL_ERROR);
        return -1;
    }
    return id;
}

nghttp3_conn *h3_conn_nghttp3(h3_conn *h3)
{
    return h3->nghttp3;
}

void *h3_conn_user(h3_conn *h3)
{
    return h3->user;
}

nghttp3_nv h3_field(const char *name, const char *value)
{
    nghttp3_nv nv = {(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                     NGHTTP3_NV_FLAG_NONE};
    return nv;
}
