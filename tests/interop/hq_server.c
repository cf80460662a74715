#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/interop/hq.h"

enum { HQ_APP_BAD = 1 };

/* One request. */
typedef struct hq_reply {
    char request[HQ_REQUEST_MAX];
    size_t request_len;
    uint8_t *body; /* the whole file */
    size_t body_len;
    size_t sent;
    bool answering;
} hq_reply;

static const hq_env *the_env;

/* "GET /NAME" without what may follow; NULL when it is none. Names have no folders. */
static const char *request_name(hq_reply *r)
{
    r->request[r->request_len] = '\0';
    r->request[strcspn(r->request, "\r\n ") == 3 ? 4 + strcspn(r->request + 4, "\r\n ") : 0] = '\0';
    const char *name = r->request + 5;
    bool fine = strncmp(r->request, "GET /", 5) == 0 && *name != '\0' && strchr(name, '/') == NULL;
    return fine ? name : NULL;
}

static bool load(hq_reply *r, const char *name)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", the_env->www, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool fine = fstat(fd, &st) == 0 && (r->body = malloc((size_t)st.st_size + 1)) != NULL;
    for (; fine && r->body_len < (size_t)st.st_size;) {
        ssize_t n = read(fd, r->body + r->body_len, (size_t)st.st_size - r->body_len);
        fine = n > 0;
        r->body_len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    return fine;
}

static void answer(quring_stream stream, hq_reply *r)
{
    size_t n = 0;
    while (r->answering && quring_stream_write(stream, &n, r->body + r->sent, r->body_len - r->sent,
                                               QURING_WRITE_FIN) == QURING_OK) {
        r->sent += n;
        r->answering = r->sent < r->body_len;
    }
}

/* The request is complete with its line, or with the end of the stream. */
static void take_request(const quring_event *ev, hq_reply *r)
{
    size_t n = 0;
    bool fin = false;
    bool line = false;
    while (!fin && quring_stream_read(ev->stream, &n, &fin, r->request + r->request_len,
                                      sizeof(r->request) - 1 - r->request_len) == QURING_OK) {
        r->request_len += n;
        line = memchr(r->request, '\n', r->request_len) != NULL;
        if (r->request_len == sizeof(r->request) - 1) {
            break;
        }
    }
    if (r->body != NULL || (!fin && !line && r->request_len < sizeof(r->request) - 1)) {
        return;
    }
    const char *name = request_name(r);
    if (name == NULL || !load(r, name)) {
        (void)quring_stream_reset(ev->stream, HQ_APP_BAD);
        (void)quring_stream_stop_sending(ev->stream, HQ_APP_BAD);
        return;
    }
    r->answering = true;
    answer(ev->stream, r);
}

static void on_event(const quring_event *ev)
{
    hq_reply *r = ev->stream_ctx;
    quring_conn_info info;
    switch (ev->type) {
    case QURING_EV_STREAM_OPENED:
        (void)quring_stream_set_ctx(ev->stream, calloc(1, sizeof(hq_reply)));
        break;
    case QURING_EV_STREAM_READABLE:
        if (r != NULL) {
            take_request(ev, r);
        }
        break;
    case QURING_EV_STREAM_WRITABLE:
        if (r != NULL) {
            answer(ev->stream, r);
        }
        break;
    case QURING_EV_STREAM_CLOSED:
        if (r != NULL) {
            free(r->body);
            free(r);
        }
        break;
    case QURING_EV_CLOSED:
        if (quring_conn_get_info(ev->conn, &info) == QURING_OK) {
            hq_print_conn(ev, &info);
        }
        break;
    default:
        break;
    }
}

static bool read_preferred(quring_listen_options *l, const hq_env *env, quring_error *err)
{
    quring_addr at;
    if (env->testcase != HQ_MIGRATION) {
        return true;
    }
    if (quring_addr_parse(&at, env->preferred, 0, err) != QURING_OK) { /* port 0: that of LISTEN */
        return false;
    }
    *(at.family == 6 ? &l->preferred_v6 : &l->preferred_v4) = at;
    return true;
}

int hq_serve(const hq_env *env, quring_runtime *rt)
{
    char cert[4096];
    char key[4096];
    const char *alpn[] = {HQ_ALPN};
    quring_error err;
    quring_listener *listener = NULL;
    quring_tls_options tls = {.alpn = alpn, .alpn_count = 1, .verify = QURING_VERIFY_NONE};
    quring_listen_options l = {.on_event = on_event};
    sigset_t stop;
    int number;
    the_env = env;
    (void)snprintf(cert, sizeof(cert), "%s/cert.pem", env->certs);
    (void)snprintf(key, sizeof(key), "%s/priv.key", env->certs);
    tls.cert_file = cert;
    tls.key_file = key;
    l.flags = (env->testcase == HQ_RETRY ? QURING_LISTEN_RETRY : 0u) |
              (env->testcase == HQ_ZERO_RTT ? QURING_LISTEN_ZERO_RTT : 0u);
    if (quring_addr_parse(&l.local, env->listen, 443, &err) != QURING_OK ||
        !read_preferred(&l, env, &err) ||
        quring_tls_create_server(&l.tls, &tls, &err) != QURING_OK ||
        quring_listen(rt, &listener, &l, &err) != QURING_OK) {
        (void)fprintf(stderr, "hq: %s\n", err.message);
        quring_tls_release(l.tls);
        return 1;
    }
    (void)printf("listening %u\n", quring_listener_local(listener).port);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigwait(&stop, &number);
    quring_listener_close(listener);
    quring_tls_release(l.tls);
    return 0;
}
