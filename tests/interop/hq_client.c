#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/interop/hq.h"

#define HQ_SIDE_BY_SIDE 10u /* connections of multiconnect */

typedef struct hq_conn hq_conn;

/* One file. */
typedef struct hq_get {
    hq_conn *conn;
    FILE *file;
} hq_get;

/* One connection and the URLs first .. first + count that it fetches. */
struct hq_conn {
    size_t first;
    size_t count;
    size_t opened;
    size_t done;
    uint64_t read;        /* bytes */
    uint32_t key_updates; /* begun */
    bool wants_ticket;    /* ends only when there is one */
    bool has_ticket;
};

/* One per process; its only worker owns it. */
static struct {
    const hq_env *env;
    quring_tls *tls;
    quring_addr remote;
    char host[256];
    char *urls[HQ_URLS_MAX];
    size_t url_count;
    size_t next_url;
    size_t live;
    size_t fetched;
    uint8_t ticket[16384];
    size_t ticket_len;
    bool failed;
    sem_t over;
} the;

static void start_next(void);

static void give_up(const char *what)
{
    (void)fprintf(stderr, "hq: %s\n", what);
    the.failed = true;
}

/* ---- streams ----------------------------------------------------------------------------------- */

static void end_get(hq_get *get, bool complete)
{
    if (get->file != NULL && fclose(get->file) != 0) {
        complete = false;
    }
    if (complete) {
        get->conn->done++;
        the.fetched++;
    } else {
        give_up("a file is not complete");
    }
    free(get);
}

static void close_if_done(quring_conn conn, const hq_conn *c)
{
    if (c->done == c->count && (!c->wants_ticket || c->has_ticket)) {
        (void)quring_conn_close(conn, 0, "done");
    }
}

static bool ask(quring_stream stream, hq_conn *c, const char *url)
{
    char path[4096];
    char request[HQ_REQUEST_MAX];
    size_t n = 0;
    const char *name = strchr(url + strlen("https://"), '/');
    hq_get *get = calloc(1, sizeof(*get));
    if (get == NULL || name == NULL) {
        free(get);
        return false;
    }
    get->conn = c;
    (void)snprintf(path, sizeof(path), "%s/%s", the.env->downloads, strrchr(name, '/') + 1);
    get->file = fopen(path, "w");
    int len = snprintf(request, sizeof(request), "GET %s\r\n", name);
    (void)quring_stream_set_ctx(stream, get);
    return get->file != NULL && len < (int)sizeof(request) &&
           quring_stream_write(stream, &n, request, (size_t)len, QURING_WRITE_FIN) == QURING_OK &&
           n == (size_t)len;
}

static void open_streams(quring_conn conn, hq_conn *c)
{
    while (c->opened < c->count) {
        quring_stream stream;
        quring_status status = quring_stream_open(&stream, conn, 0);
        if (status == QURING_E_AGAIN) {
            return; /* STREAMS_AVAILABLE follows */
        }
        if (status != QURING_OK || !ask(stream, c, the.urls[c->first + c->opened++])) {
            give_up("cannot ask for a file");
            (void)quring_conn_close(conn, 1, "cannot ask");
            return;
        }
    }
}

/* Two within the first megabyte: only after packets with the new keys have come back is a second one
 * allowed (RFC 9001 6.1). */
static void update_keys(quring_conn conn, hq_conn *c)
{
    bool due = c->key_updates < 2 && c->read >= c->key_updates * (256u << 10);
    if (the.env->testcase == HQ_KEY_UPDATE && due && quring_conn_update_keys(conn) == QURING_OK) {
        c->key_updates++;
    }
}

static void take_body(const quring_event *ev, hq_get *get)
{
    char buf[65536];
    size_t n = 0;
    bool fin = false;
    while (!fin && quring_stream_read(ev->stream, &n, &fin, buf, sizeof(buf)) == QURING_OK) {
        if (fwrite(buf, 1, n, get->file) != n) {
            give_up("cannot write a file");
        }
        get->conn->read += n;
        update_keys(ev->conn, get->conn);
    }
    if (fin) {
        hq_conn *c = get->conn;
        (void)quring_stream_set_ctx(ev->stream, NULL);
        end_get(get, true);
        close_if_done(ev->conn, c);
    }
}

/* ---- connections ------------------------------------------------------------------------------- */

static void on_closed(const quring_event *ev, hq_conn *c)
{
    quring_conn_info info;
    if (quring_conn_get_info(ev->conn, &info) == QURING_OK) {
        hq_print_conn(ev, &info);
    }
    if (c->done != c->count || ev->close->kind != QURING_CLOSE_LOCAL_APP) {
        give_up(ev->close->reason[0] != '\0' ? ev->close->reason : "the connection was lost");
    }
    free(c);
    the.live--;
    start_next();
}

static void keep_ticket(const quring_event *ev, hq_conn *c)
{
    if (ev->data.len <= sizeof(the.ticket)) {
        memcpy(the.ticket, ev->data.data, ev->data.len);
        the.ticket_len = ev->data.len;
        c->has_ticket = true;
        close_if_done(ev->conn, c);
    }
}

static void on_event(const quring_event *ev)
{
    hq_conn *c = ev->conn_ctx;
    switch (ev->type) {
    case QURING_EV_EARLY_READY:
    case QURING_EV_CONNECTED:
    case QURING_EV_STREAMS_AVAILABLE:
        open_streams(ev->conn, c);
        break;
    case QURING_EV_STREAM_READABLE:
        if (ev->stream_ctx != NULL) {
            take_body(ev, ev->stream_ctx);
        }
        break;
    case QURING_EV_STREAM_RESET:
    case QURING_EV_STREAM_CLOSED:
        if (ev->stream_ctx != NULL) {
            (void)quring_stream_set_ctx(ev->stream, NULL);
            end_get(ev->stream_ctx, false);
        }
        break;
    case QURING_EV_SESSION:
        keep_ticket(ev, c);
        break;
    case QURING_EV_CLOSED:
        on_closed(ev, c);
        break;
    default:
        break;
    }
}

static bool start_conn(size_t count, bool first_of_two)
{
    quring_conn conn;
    quring_error err;
    quring_connect_options o = {.remote = the.remote,
                                .server_name = the.host,
                                .tls = the.tls,
                                .on_event = on_event,
                                .session = {the.ticket, the.ticket_len},
                                .zero_rtt = the.env->testcase == HQ_ZERO_RTT};
    hq_conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return false;
    }
    c->first = the.next_url;
    c->count = count;
    c->wants_ticket = first_of_two;
    o.ctx = c;
    if (the.env->testcase == HQ_MULTICONNECT) {
        o.session = (quring_bytes){NULL, 0};
    }
    if (quring_connect(&conn, &o, &err) != QURING_OK) {
        give_up(err.message);
        free(c);
        return false;
    }
    the.next_url += count;
    the.live++;
    return true;
}

/* The connections the test case wants, one after the other or some at once. */
static void start_next(void)
{
    hq_case tc = the.env->testcase;
    bool two = tc == HQ_RESUMPTION || tc == HQ_ZERO_RTT;
    size_t side_by_side = tc == HQ_MULTICONNECT ? HQ_SIDE_BY_SIDE : 1;
    while (!the.failed && the.next_url < the.url_count && the.live < side_by_side) {
        bool one = tc == HQ_MULTICONNECT || (two && the.next_url == 0);
        if (!start_conn(one ? 1 : the.url_count - the.next_url, two && one)) {
            the.failed = true;
        }
    }
    if (the.live == 0) {
        (void)sem_post(&the.over);
    }
}

static void start_task(void *unused)
{
    (void)unused;
    start_next();
}

/* ---- starting ---------------------------------------------------------------------------------- */

static bool read_urls(char *text)
{
    char *rest = NULL;
    for (char *url = strtok_r(text, " ", &rest); url != NULL; url = strtok_r(NULL, " ", &rest)) {
        if (the.url_count == HQ_URLS_MAX || strncmp(url, "https://", 8) != 0 ||
            strchr(url + 8, '/') == NULL) {
            return false;
        }
        the.urls[the.url_count++] = url;
    }
    return the.url_count > 0;
}

/* Host and port of the first URL; the others name the same. */
static bool read_server(quring_error *err)
{
    const char *host = the.urls[0] + 8;
    size_t len = strcspn(host, "/");
    if (len >= sizeof(the.host)) {
        return false;
    }
    memcpy(the.host, host, len);
    the.host[len] = '\0';
    if (quring_addr_parse(&the.remote, the.host, 443, err) != QURING_OK) {
        return false;
    }
    (void)snprintf(the.host, sizeof(the.host), "server");
    return true;
}

int hq_fetch(const hq_env *env, quring_runtime *rt)
{
    const char *alpn[] = {HQ_ALPN};
    quring_error err = {.message = "no https URLs"};
    quring_tls_options tls = {.alpn = alpn, .alpn_count = 1, .verify = QURING_VERIFY_NONE};
    char *requests = strdup(env->requests);
    the.env = env;
    bool fine = requests != NULL && sem_init(&the.over, 0, 0) == 0 && read_urls(requests) &&
                read_server(&err) && quring_tls_create_client(&the.tls, &tls, &err) == QURING_OK &&
                quring_post(rt, 0, start_task, NULL) == QURING_OK && sem_wait(&the.over) == 0;
    if (!fine) {
        (void)fprintf(stderr, "hq: %s\n", err.message);
    }
    quring_tls_release(the.tls);
    free(requests);
    return fine && !the.failed && the.fetched == the.url_count ? 0 : 1;
}
