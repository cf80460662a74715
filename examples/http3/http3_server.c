/* Serves the files of a folder by HTTP/3, until Ctrl-C: GET and HEAD, any number of workers. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <quring/quring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "h3.h"

#define PATH_MAX_BYTES 1024
#define CHUNK_BYTES    (1u << 20) /* of a file, shown to libnghttp3 at once */

static int root = -1; /* the folder */

/* One request and its answer, from its first header field to the end of its stream. */
typedef struct request {
    char method[16];
    char path[PATH_MAX_BYTES];
    const uint8_t *file; /* mapped; NULL: none, or an empty one */
    size_t size;
    size_t shown; /* of it, to libnghttp3 */
    char length[24];
} request;

/* ---- files -------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "/a%20b?c" becomes "a b", "/" becomes "index.html". False: nothing that may be a file below the root. */
static bool path_to_name(char name[PATH_MAX_BYTES], const char *path)
{
    size_t n = 0;
    if (*path != '/') {
        return false;
    }
    for (const char *c = path + 1; *c != '\0' && *c != '?' && *c != '#'; c++) {
        char byte = *c;
        if (byte == '%') {
            int high = hex_digit(c[1]);
            int low = high < 0 ? -1 : hex_digit(c[2]);
            if (low < 0 || high * 16 + low == 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            c += 2;
        }
        name[n++] = byte; /* shorter than the path, which has room */
    }
    name[n] = '\0';
    if (n == 0 || name[n - 1] == '/') {
        if (n + sizeof("index.html") > PATH_MAX_BYTES) {
            return false;
        }
        memcpy(name + n, "index.html", sizeof("index.html"));
    }
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '/' || part[0] == '.') { /* nor hidden ones */
            return false;
        }
    }
    return true;
}

/* Opens a name part by part, so that no symbolic link leads out of the root. */
static int open_below(int folder, char *name)
{
    int at = dup(folder);
    for (char *part = name; at >= 0 && part != NULL;) {
        char *slash = strchr(part, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        int next = openat(at, part,
                          O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
                              (slash != NULL ? O_DIRECTORY : 0));
        close(at);
        at = next;
        part = slash != NULL ? slash + 1 : NULL;
    }
    return at;
}

/* (A file that is made shorter while it is being sent ends the program with SIGBUS, as for all who map files.) */
static bool open_file(request *r)
{
    char name[PATH_MAX_BYTES];
    struct stat st;
    int fd = path_to_name(name, r->path) ? open_below(root, name) : -1;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (ok && st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = map != MAP_FAILED;
        r->file = ok ? map : NULL;
        r->size = ok ? (size_t)st.st_size : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static nghttp3_ssize read_file(nghttp3_conn *nghttp3, int64_t id, nghttp3_vec *vec, size_t count,
                               uint32_t *flags, void *h3, void *stream_user)
{
    request *r = stream_user;
    size_t left = r->size - r->shown;
    (void)nghttp3, (void)id, (void)h3;
    if (count == 0 || left == 0) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
        return 0;
    }
    vec[0].base = (uint8_t *)r->file + r->shown;
    vec[0].len = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    r->shown += vec[0].len;
    if (r->shown == r->size) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
    }
    return 1;
}

static int answer(nghttp3_conn *nghttp3, int64_t id, request *r)
{
    bool is_get = strcmp(r->method, "GET") == 0;
    const char *status = !is_get && strcmp(r->method, "HEAD") != 0 ? "405"
                         : open_file(r)                            ? "200"
                                                                   : "404";
    (void)snprintf(r->length, sizeof(r->length), "%zu", r->size);
    const nghttp3_nv fields[] = {
        h3_field(":status", status),
        h3_field("server", "quring"),
        h3_field("content-length", r->length),
    };
    const nghttp3_data_reader body = {read_file};
    return nghttp3_conn_submit_response(nghttp3, id, fields, sizeof(fields) / sizeof(fields[0]),
                                        is_get && r->size > 0 ? &body : NULL);
}

/* ---- callbacks of libnghttp3 --------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp3_conn *nghttp3, int64_t id, void *h3, void *stream_user)
{
    request *r = calloc(1, sizeof(*r));
    (void)h3, (void)stream_user;
    return r != NULL ? nghttp3_conn_set_stream_user_data(nghttp3, id, r)
                     : NGHTTP3_ERR_CALLBACK_FAILURE;
}

static void copy(char *out, size_t cap, nghttp3_rcbuf *value)
{
    nghttp3_vec v = nghttp3_rcbuf_get_buf(value);
    size_t len = v.len < cap ? v.len : 0; /* too long for anything we have */
    memcpy(out, v.base, len);
    out[len] = '\0';
}

static int on_header(nghttp3_conn *nghttp3, int64_t id, int32_t token, nghttp3_rcbuf *name,
                     nghttp3_rcbuf *value, uint8_t flags, void *h3, void *stream_user)
{
    request *r = stream_user;
    (void)nghttp3, (void)id, (void)name, (void)flags, (void)h3;
    if (token == NGHTTP3_QPACK_TOKEN__METHOD) {
        copy(r->method, sizeof(r->method), value);
    } else if (token == NGHTTP3_QPACK_TOKEN__PATH) {
        copy(r->path, sizeof(r->path), value);
    }
    return 0;
}

/* The request is complete; its body, if it had one, was of no interest. */
static int on_end_stream(nghttp3_conn *nghttp3, int64_t id, void *h3, void *stream_user)
{
    (void)h3;
    return stream_user != NULL ? answer(nghttp3, id, stream_user) : 0;
}

static void free_request(request *r)
{
    if (r != NULL && r->file != NULL) {
        munmap((void *)r->file, r->size);
    }
    free(r);
}

static int on_stream_close(nghttp3_conn *nghttp3, int64_t id, uint64_t code, void *h3,
                           void *stream_user)
{
    (void)nghttp3, (void)id, (void)code, (void)h3;
    free_request(stream_user);
    return 0;
}

static const nghttp3_callbacks callbacks = {
    .begin_headers = on_begin_headers,
    .recv_header = on_header,
    .end_stream = on_end_stream,
    .stream_close = on_stream_close,
};

/* ---- events of quring ------------------------------------------------------------------------------------------ */

static void on_event(const quring_event *ev)
{
    h3_conn *h3 = ev->conn_ctx;
    if (h3 == NULL && (ev->type == QURING_EV_EARLY_READY || ev->type == QURING_EV_CONNECTED)) {
        h3 = h3_conn_create(ev->conn, true, &callbacks, NULL);
        if (h3 == NULL) {
            (void)quring_conn_close(ev->conn, NGHTTP3_H3_INTERNAL_ERROR, "out of memory");
        }
        (void)quring_conn_set_ctx(ev->conn, h3);
    } else if (h3 != NULL && ev->stream.handle != 0) {
        h3_conn_on_event(h3, ev);
    } else if (ev->type == QURING_EV_CLOSED) {
        h3_conn_destroy(h3);
    }
}

static int usage(void)
{
    fputs("usage: http3_server FOLDER ADDR:PORT --cert FILE --key FILE [--workers N] [--retry]\n"
          "                    [--0rtt]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const char *const alpn[] = {"h3"};
    quring_tls_options tls = {.verify = QURING_VERIFY_NONE, .alpn = alpn, .alpn_count = 1};
    quring_listen_options listen = {.on_event = on_event, .muted_events = H3_MUTED_EVENTS};
    quring_config config;
    quring_config_init(&config);
    if (argc < 3) {
        return usage();
    }
    for (int i = 3; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--retry") == 0) {
            listen.flags |= QURING_LISTEN_RETRY;
        } else if (strcmp(argv[i], "--0rtt") == 0) { /* GET may be repeated (RFC 8470 2) */
            listen.flags |= QURING_LISTEN_ZERO_RTT;
        } else if (value != NULL && strcmp(argv[i], "--cert") == 0) {
            tls.cert_file = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--key") == 0) {
            tls.key_file = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--workers") == 0) {
            config.workers = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else {
            return usage();
        }
    }
    root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return perror(argv[1]), 1;
    }
    sigset_t stop;
    sigemptyset(&stop), sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL); /* the workers inherit it */
    quring_error err;
    quring_runtime *rt = NULL;
    quring_listener *listener = NULL;
    char text[64];
    bool ok = quring_addr_parse(&listen.local, argv[2], 443, &err) == QURING_OK &&
              quring_tls_create_server(&listen.tls, &tls, &err) == QURING_OK &&
              quring_runtime_create(&rt, &config, &err) == QURING_OK &&
              quring_listen(rt, &listener, &listen, &err) == QURING_OK;
    if (ok) {
        quring_addr at = quring_listener_local(listener);
        printf("listening on %s\n", quring_addr_format(&at, text, sizeof(text)));
        ok = fflush(stdout) == 0 && sigwait(&stop, &(int){0}) == 0;
    } else {
        fprintf(stderr, "http3_server: %s\n", err.message);
    }
    quring_runtime_destroy(rt);
    quring_tls_release(listen.tls);
    return ok ? 0 : 1;
}
