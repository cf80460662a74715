/* Fetches files by HTTP/3, all from one server and at once, and writes them into a folder. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <quring/quring.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h3.h"

#define URLS_MAX          256
#define SESSION_MAX_BYTES 65536
#define SESSION_WAIT_NS   200000000u /* for one still on its way when all else is there */

/* One file. */
typedef struct fetch {
    const char *path;
    char *name; /* of the file, once it is whole */
    char *part; /* until then */
    FILE *file;
    char status[4];
    bool ended; /* whole */
} fetch;

static char authority[300];
static const char *folder = ".";
static const char *session_file; /* NULL: none */
static uint8_t session[SESSION_MAX_BYTES];
static fetch fetches[URLS_MAX];
static size_t fetch_count, asked, closed;
static bool has_session; /* a new one was written */
static bool lost_session;
static bool leaving;           /* everything is there */
static quring_conn connection; /* to be left */
static quring_conn_info info;  /* of the connection, when everything had arrived */
static quring_error err;
static sem_t done;

static void say(const char *what, const char *why)
{
    fprintf(stderr, "http3_client: %s: %s\n", what, why);
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static int on_header(nghttp3_conn *nghttp3, int64_t id, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *h3, void *stream_user)
{
    fetch *f = stream_user;
    nghttp3_vec v = nghttp3_rcbuf_get_buf(value);
    (void)nghttp3, (void)id, (void)name, (void)flags, (void)h3;
    if (token == NGHTTP3_QPACK_TOKEN__STATUS && v.len == 3) { /* libnghttp3 has seen to that */
        memcpy(f->status, v.base, 3);
    }
    return 0;
}

static int on_data(nghttp3_conn *nghttp3, int64_t id, const uint8_t *data, size_t len, void *h3,
                   void *stream_user)
{
    fetch *f = stream_user;
    (void)nghttp3, (void)id, (void)h3;
    if (strcmp(f->status, "200") == 0 && fwrite(data, 1, len, f->file) != len) {
        say(f->path, strerror(errno));
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_end_stream(nghttp3_conn *nghttp3, int64_t id, void *h3, void *stream_user)
{
    (void)nghttp3, (void)id, (void)h3;
    ((fetch *)stream_user)->ended = true;
    return 0;
}

static int on_stream_close(nghttp3_conn *nghttp3, int64_t id, uint64_t code, void *h3,
                           void *stream_user)
{
    (void)nghttp3, (void)id, (void)code, (void)h3;
    closed += stream_user != NULL ? 1 : 0;
    return 0;
}

static const nghttp3_callbacks callbacks = {
    .recv_header = on_header,
    .recv_data = on_data,
    .end_stream = on_end_stream,
    .stream_close = on_stream_close,
};

/* ---- requests ------------------------------------------------------------------------------------------------- */

/* As many as the server allows for now. */
static void ask(h3_conn *h3)
{
    while (asked < fetch_count) {
        const nghttp3_nv fields[] = {
            h3_field(":method", "GET"),        h3_field(":scheme", "https"),
            h3_field(":authority", authority), h3_field(":path", fetches[asked].path),
            h3_field("user-agent", "quring"),
        };
        if (h3_conn_request(h3, fields, sizeof(fields) / sizeof(fields[0]), NULL, &fetches[asked]) <
            0) {
            break; /* STREAMS_AVAILABLE follows */
        }
        asked++;
    }
    h3_conn_flush(h3);
}

static void save_session(quring_bytes data)
{
    int fd = open(session_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* it is secret */
    has_session = fd >= 0 && write(fd, data.data, data.len) == (ssize_t)data.len;
    if (!has_session) {
        say(session_file, strerror(errno));
        lost_session = true;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void leave(void *ctx)
{
    (void)ctx;
    (void)quring_conn_close(connection, NGHTTP3_H3_NO_ERROR, "");
}

static void on_event(const quring_event *ev)
{
    h3_conn *h3 = ev->conn_ctx;
    if (ev->type == QURING_EV_CLOSED) {
        if (ev->close->kind != QURING_CLOSE_LOCAL_APP || closed < fetch_count) {
            err.status = QURING_E_STATE;
            (void)quring_close_format(ev->close, err.message, sizeof(err.message));
        }
        h3_conn_destroy(h3);
        sem_post(&done);
        return;
    }
    if (h3 == NULL && (ev->type == QURING_EV_EARLY_READY || ev->type == QURING_EV_CONNECTED)) {
        h3 = h3_conn_create(ev->conn, false, &callbacks, NULL);
        if (h3 == NULL) {
            (void)quring_conn_close(ev->conn, NGHTTP3_H3_INTERNAL_ERROR, "no streams");
            return;
        }
        (void)quring_conn_set_ctx(ev->conn, h3);
        ask(h3);
    } else if (h3 != NULL && ev->stream.handle != 0) {
        h3_conn_on_event(h3, ev);
    } else if (h3 != NULL && ev->type == QURING_EV_STREAMS_AVAILABLE) {
        ask(h3);
    } else if (ev->type == QURING_EV_SESSION && session_file != NULL) {
        save_session(ev->data);
    }
    if (closed == fetch_count && !leaving) {
        leaving = true;
        (void)quring_conn_get_info(ev->conn, &info);
        connection = ev->conn;
        uint64_t wait = session_file != NULL && !has_session ? SESSION_WAIT_NS : 0;
        if (quring_timer(NULL, quring_now_ns() + wait, leave, NULL) != QURING_OK) {
            leave(NULL);
        }
    }
}

static void start(void *options) /* on a worker, where the connection is going to live */
{
    if (quring_connect(&(quring_conn){0}, options, &err) != QURING_OK) {
        sem_post(&done);
    }
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

/* "https://host:port/path"; every URL names the same server. */
static bool add_url(const char *url)
{
    static const char scheme[] = "https://";
    const char *name = url + sizeof(scheme) - 1;
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || fetch_count == URLS_MAX) {
        return false;
    }
    const char *path = strchr(name, '/');
    size_t len = path != NULL ? (size_t)(path - name) : strlen(name);
    if (len == 0 || len >= sizeof(authority) ||
        (authority[0] != '\0' && (strlen(authority) != len || memcmp(authority, name, len) != 0))) {
        return false;
    }
    memcpy(authority, name, len);
    fetches[fetch_count++].path = path != NULL ? path : "/";
    return true;
}

/* The last part of a path, or "index.html". */
static bool open_file(fetch *f)
{
    size_t len = strcspn(f->path, "?#");
    size_t from = len;
    while (from > 0 && f->path[from - 1] != '/') {
        from--;
    }
    bool named = from < len && f->path[from] != '.';
    if (asprintf(&f->name, "%s/%.*s", folder, named ? (int)(len - from) : 10,
                 named ? f->path + from : "index.html") < 0 ||
        asprintf(&f->part, "%s.part%d", f->name, (int)(f - fetches)) < 0) {
        return say(f->path, "out of memory"), false;
    }
    f->file = fopen(f->part, "w");
    if (f->file == NULL) {
        say(f->name, strerror(errno));
    }
    return f->file != NULL;
}

/* A file that was there before stays unless a whole one takes its place. */
static bool close_file(fetch *f)
{
    bool ok = fclose(f->file) == 0 && f->ended && strcmp(f->status, "200") == 0;
    if (ok && rename(f->part, f->name) != 0) {
        say(f->name, strerror(errno));
        ok = false;
    }
    if (!ok) {
        unlink(f->part);
    }
    free(f->part), free(f->name);
    return ok;
}

/* The host of the authority alone. */
static void host_of(char *out, size_t cap)
{
    bool in_brackets = authority[0] == '[';
    size_t len = strcspn(authority + in_brackets, in_brackets ? "]" : ":");
    snprintf(out, cap, "%.*s", (int)len, authority + in_brackets);
}

static void load_session(quring_connect_options *to)
{
    int fd = open(session_file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, session, sizeof(session)) : -1;
    if (n > 0) { /* otherwise there is none yet */
        to->session = (quring_bytes){session, (size_t)n};
        to->zero_rtt = true;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static int usage(void)
{
    fputs("usage: http3_client [--ca FILE | --insecure] [--out FOLDER] [--session FILE] URL...\n"
          "       URLs are https://HOST[:PORT]/PATH, all of one HOST and PORT.\n"
          "       --session FILE: resumes what it holds, with 0-RTT, and writes the next one "
          "there.\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const char *const alpn[] = {"h3"};
    char name[300];
    quring_tls_options tls = {.verify = QURING_VERIFY_PEER, .alpn = alpn, .alpn_count = 1};
    quring_connect_options to = {.on_event = on_event, .muted_events = H3_MUTED_EVENTS};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--insecure") == 0) {
            tls.verify = QURING_VERIFY_NONE;
        } else if (value != NULL && strcmp(argv[i], "--ca") == 0) {
            tls.ca_file = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--out") == 0) {
            folder = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--session") == 0) {
            session_file = argv[++i];
        } else if (!add_url(argv[i])) {
            return usage();
        }
    }
    if (fetch_count == 0) {
        return usage();
    }
    for (size_t i = 0; i < fetch_count; i++) {
        if (!open_file(&fetches[i])) {
            while (i-- > 0) {
                close_file(&fetches[i]);
            }
            return 1;
        }
    }
    host_of(name, sizeof(name));
    to.server_name = name;
    if (session_file != NULL) {
        load_session(&to);
    }
    quring_runtime *rt = NULL;
    quring_config config;
    quring_config_init(&config);
    if (sem_init(&done, 0, 0) == 0 &&
        quring_addr_parse(&to.remote, authority, 443, &err) == QURING_OK &&
        quring_tls_create_client(&to.tls, &tls, &err) == QURING_OK &&
        quring_runtime_create(&rt, &config, &err) == QURING_OK &&
        quring_post(rt, 0, start, &to) == QURING_OK) {
        while (sem_wait(&done) != 0) {
        }
    }
    quring_runtime_destroy(rt);
    quring_tls_release(to.tls);
    int bad = lost_session ? 1 : 0;
    for (size_t i = 0; i < fetch_count; i++) {
        bad += close_file(&fetches[i]) ? 0 : 1;
    }
    if (err.status != QURING_OK) {
        return say(authority, err.message), 1;
    }
    printf("QUIC version %#x, %s%s%s%s\n", (unsigned)info.version, info.cipher,
           info.retry_used ? ", after a Retry" : "", info.resumed ? ", resumed" : "",
           info.early_accepted   ? ", 0-RTT accepted"
           : info.early_rejected ? ", 0-RTT refused"
                                 : "");
    for (size_t i = 0; i < fetch_count; i++) {
        const fetch *f = &fetches[i];
        printf("%s %s%s\n", f->status[0] != '\0' ? f->status : "-", f->path,
               f->ended ? "" : " (incomplete)");
    }
    return bad == 0 ? 0 : 1;
}
