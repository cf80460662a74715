/* tests/interop/quring_peer.c: a server or a client over the public API, for tests against other
 * implementations.
 *
 *   quring_peer server LISTEN [OPTIONS]    prints "listening PORT"; ends when its connections did
 *   quring_peer client SERVER [OPTIONS]    one connection; ends with it
 *   quring_peer cert DIR                   writes a self-signed cert.pem and key.pem there
 *     --io uring|epoll   --alpn NAME (perf)   --idle-ms N (10000)   --seconds N, at most (60)
 *     server: --retry    --conns N, then end (1)   --close CODE, once an exchange is complete
 *     client: --down N   --up N   --streams N (1)  --linger, wait for the other side to end it
 *
 * Each connection prints "connected version=V alpn=A retry=R" and, at its end, "closed KIND CODE
 * REASON exchanges=N down=BYTES up=BYTES". Exit: 0; 1 something failed; 3 time ran out; 77 this
 * machine lacks the I/O back end.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quring/quring.h"

#include "tests/interop/exchange.h"

#define QI_PEM_MAX    4096u
#define QI_APP_DONE   7u
#define QI_APP_BROKEN 8u

typedef struct options {
    bool is_server;
    bool retry;
    bool linger;
    bool closes;
    uint64_t close_code;
    const char *addr;
    const char *alpn;
    quring_io_backend io;
    uint64_t idle_ms;
    uint64_t seconds;
    uint64_t conns;
    uint64_t down;
    uint64_t up;
    uint64_t streams;
} options;

/* One per process; its only worker owns it. */
typedef struct peer {
    const options *o;
    quring_tls *tls;
    quring_addr remote;
    uint64_t opened;
    uint64_t ended_conns;
    bool failed;
    sem_t over;
} peer;

/* One per connection. */
typedef struct tally {
    qi_exchange *exchanges;
    uint64_t complete;
    uint64_t down;
    uint64_t up;
} tally;

static peer the_peer;

/* ---- exchanges --------------------------------------------------------------------------------- */

static qi_exchange *exchange_new(tally *t, quring_stream stream, uint64_t down, uint64_t up)
{
    qi_exchange *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        abort();
    }
    qi_exchange_begin(x, stream, !the_peer.o->is_server, down, up);
    x->next = t->exchanges;
    t->exchanges = x;
    (void)quring_stream_set_ctx(stream, x);
    return x;
}

static void exchange_free(tally *t, qi_exchange *x)
{
    for (qi_exchange **at = &t->exchanges; *at != NULL; at = &(*at)->next) {
        if (*at == x) {
            *at = x->next;
            free(x);
            return;
        }
    }
}

static void open_streams(tally *t, quring_conn conn)
{
    const options *o = the_peer.o;
    while (the_peer.opened < o->streams) {
        quring_stream stream;
        quring_status status = quring_stream_open(&stream, conn, 0);
        if (status != QURING_OK) {
            the_peer.failed |= status != QURING_E_AGAIN;
            return;
        }
        the_peer.opened++;
        the_peer.failed |= !qi_exchange_write(exchange_new(t, stream, o->down, o->up));
    }
}

static void exchange_count(tally *t, qi_exchange *x)
{
    if (qi_exchange_complete(x)) {
        t->complete++;
        t->down += x->down_len;
        t->up += x->up_len;
    } else {
        the_peer.failed = true;
    }
    exchange_free(t, x);
}

/* A stream came to its end: counts it, and ends the connection when that was to be the last. */
static void exchange_over(tally *t, const quring_event *ev)
{
    const options *o = the_peer.o;
    if (ev->stream_ctx == NULL) {
        return;
    }
    exchange_count(t, ev->stream_ctx);
    if (o->is_server && o->closes) {
        (void)quring_conn_close(ev->conn, o->close_code, "server is done");
    } else if (!o->is_server && !o->linger && t->complete == o->streams) {
        (void)quring_conn_close(ev->conn, QI_APP_DONE, "done");
    }
}

/* ---- connections ------------------------------------------------------------------------------- */

static const char *close_kind_name(quring_close_kind kind)
{
    switch (kind) {
    case QURING_CLOSE_LOCAL_APP:
        return "local_app";
    case QURING_CLOSE_PEER_APP:
        return "peer_app";
    case QURING_CLOSE_LOCAL_TRANSPORT:
        return "local_transport";
    case QURING_CLOSE_PEER_TRANSPORT:
        return "peer_transport";
    case QURING_CLOSE_IDLE_TIMEOUT:
        return "idle_timeout";
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        return "handshake_timeout";
    case QURING_CLOSE_STATELESS_RESET:
        return "stateless_reset";
    case QURING_CLOSE_VERSION:
        return "version";
    case QURING_CLOSE_UNREACHABLE:
        return "unreachable";
    default:
        return "other";
    }
}

static tally *tally_of(const quring_event *ev)
{
    if (ev->conn_ctx != NULL) {
        return ev->conn_ctx;
    }
    tally *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        abort();
    }
    (void)quring_conn_set_ctx(ev->conn, t);
    return t;
}

static void on_connected(const quring_event *ev)
{
    quring_conn_info info;
    if (quring_conn_get_info(ev->conn, &info) == QURING_OK) {
        (void)printf("connected version=%" PRIu32 " alpn=%s retry=%d\n", info.version, info.alpn,
                     info.retry_used);
    }
}

/* A client may leave before it acknowledged the last answers; those count as well. */
static void on_closed(tally *t, const quring_event *ev)
{
    while (t->exchanges != NULL) {
        exchange_count(t, t->exchanges);
    }
    (void)printf("closed %s %" PRIu64 " \"%s\" exchanges=%" PRIu64 " down=%" PRIu64 " up=%" PRIu64
                 "\n",
                 close_kind_name(ev->close->kind), ev->close->code, ev->close->reason, t->complete,
                 t->down, t->up);
    free(t);
    if (++the_peer.ended_conns >= the_peer.o->conns) {
        (void)sem_post(&the_peer.over);
    }
}

static void on_event(const quring_event *ev)
{
    tally *t = tally_of(ev);
    bool fine = true;
    switch (ev->type) {
    case QURING_EV_CONNECTED:
        on_connected(ev);
        /* fall through */
    case QURING_EV_STREAMS_AVAILABLE:
        if (!the_peer.o->is_server) {
            open_streams(t, ev->conn);
        }
        break;
    case QURING_EV_STREAM_OPENED:
        (void)exchange_new(t, ev->stream, 0, 0);
        break;
    case QURING_EV_STREAM_READABLE:
        fine = ev->stream_ctx != NULL && qi_exchange_read(ev->stream_ctx);
        break;
    case QURING_EV_STREAM_WRITABLE:
        fine = ev->stream_ctx != NULL && qi_exchange_write(ev->stream_ctx);
        break;
    case QURING_EV_STREAM_RESET:
    case QURING_EV_STREAM_STOPPED:
        fine = false;
        break;
    case QURING_EV_STREAM_CLOSED:
        exchange_over(t, ev);
        break;
    case QURING_EV_CLOSED:
        on_closed(t, ev);
        break;
    default:
        break;
    }
    if (!fine) {
        the_peer.failed = true;
        (void)quring_conn_close(ev->conn, QI_APP_BROKEN, "exchange broken");
    }
}

/* ---- starting ---------------------------------------------------------------------------------- */

static int fail(const char *what, const quring_error *err)
{
    (void)fprintf(stderr, "quring_peer: %s: %s\n", what, err->message);
    return err->status == QURING_E_NOT_SUPPORTED ? 77 : 1;
}

static quring_status make_tls(const options *o, quring_tls **out, quring_error *err)
{
    char cert[QI_PEM_MAX];
    char key[QI_PEM_MAX];
    const char *alpn[] = {o->alpn};
    quring_tls_options tls;
    memset(&tls, 0, sizeof(tls));
    tls.alpn = alpn;
    tls.alpn_count = 1;
    tls.verify = QURING_VERIFY_NONE;
    if (!o->is_server) {
        return quring_tls_create_client(out, &tls, err);
    }
    size_t cert_len = 0;
    size_t key_len = 0;
    quring_status status = quring_tls_self_signed(cert, &cert_len, key, &key_len);
    if (status != QURING_OK) {
        return status;
    }
    tls.cert_pem = (quring_bytes){(const uint8_t *)cert, cert_len};
    tls.key_pem = (quring_bytes){(const uint8_t *)key, key_len};
    return quring_tls_create_server(out, &tls, err);
}

static bool write_file(const char *dir, const char *name, const char *text, size_t len)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    bool fine = file != NULL && fwrite(text, 1, len, file) == len;
    return file != NULL && fclose(file) == 0 && fine;
}

static int write_cert(const char *dir)
{
    char cert[QI_PEM_MAX];
    char key[QI_PEM_MAX];
    size_t cert_len = 0;
    size_t key_len = 0;
    return quring_tls_self_signed(cert, &cert_len, key, &key_len) == QURING_OK &&
                   write_file(dir, "cert.pem", cert, cert_len) &&
                   write_file(dir, "key.pem", key, key_len)
               ? 0
               : 1;
}

/* On the worker. */
static void connect_task(void *ctx)
{
    peer *p = ctx;
    quring_conn conn;
    quring_error err;
    quring_connect_options c;
    memset(&c, 0, sizeof(c));
    c.remote = p->remote;
    c.server_name = "localhost";
    c.tls = p->tls;
    c.on_event = on_event;
    if (quring_connect(&conn, &c, &err) != QURING_OK) {
        p->failed = true;
        (void)fail("connect", &err);
        (void)sem_post(&p->over);
    }
}

static int start(quring_runtime *rt, quring_listener **out_listener, quring_error *err)
{
    const options *o = the_peer.o;
    quring_addr addr;
    if (quring_addr_parse(&addr, o->addr, 0, err) != QURING_OK) {
        return fail("address", err);
    }
    if (!o->is_server) {
        the_peer.remote = addr;
        return quring_post(rt, 0, connect_task, &the_peer) == QURING_OK ? 0 : 1;
    }
    quring_listen_options l;
    memset(&l, 0, sizeof(l));
    l.local = addr;
    l.tls = the_peer.tls;
    l.on_event = on_event;
    l.flags = o->retry ? QURING_LISTEN_RETRY : 0;
    if (quring_listen(rt, out_listener, &l, err) != QURING_OK) {
        return fail("listen", err);
    }
    (void)printf("listening %u\n", quring_listener_local(*out_listener).port);
    return 0;
}

/* Runs the peer until its connections ended or time is up. */
static int run(const options *o)
{
    quring_runtime *rt = NULL;
    quring_listener *listener = NULL;
    quring_error err;
    quring_config config;
    struct timespec until;
    memset(&err, 0, sizeof(err));
    quring_config_init(&config);
    config.workers = 1;
    config.io = o->io;
    config.limits.idle_timeout_ns = o->idle_ms * 1000000u;
    if (quring_runtime_create(&rt, &config, &err) != QURING_OK) {
        return fail("runtime", &err);
    }
    int code = make_tls(o, &the_peer.tls, &err) == QURING_OK ? 0 : fail("TLS", &err);
    code = code != 0 ? code : start(rt, &listener, &err);
    if (code == 0) {
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)o->seconds;
        code = sem_timedwait(&the_peer.over, &until) == 0 ? 0 : 3;
    }
    if (listener != NULL) {
        quring_listener_close(listener);
    }
    quring_runtime_stop(rt, 0, 1000000000u);
    quring_runtime_destroy(rt);
    quring_tls_release(the_peer.tls);
    return code == 0 && the_peer.failed ? 1 : code;
}

static bool parse_flag(options *o, const char *name)
{
    if (strcmp(name, "--retry") == 0) {
        o->retry = true;
    } else if (strcmp(name, "--linger") == 0) {
        o->linger = true;
    } else {
        return false;
    }
    return true;
}

static bool parse_value(options *o, const char *name, const char *text)
{
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"--idle-ms", &o->idle_ms},  {"--seconds", &o->seconds}, {"--conns", &o->conns},
        {"--down", &o->down},        {"--up", &o->up},           {"--streams", &o->streams},
        {"--close", &o->close_code},
    };
    if (strcmp(name, "--io") == 0) {
        o->io = strcmp(text, "epoll") == 0 ? QURING_IO_EPOLL : QURING_IO_URING;
        return true;
    }
    if (strcmp(name, "--alpn") == 0) {
        o->alpn = text;
        return true;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].value = strtoull(text, NULL, 10);
            o->closes |= strcmp(name, "--close") == 0;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static options o = {.alpn = "perf", .idle_ms = 10000, .seconds = 60, .conns = 1, .streams = 1};
    bool fine = argc >= 3;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 3; fine && i < argc; i++) {
        if (parse_flag(&o, argv[i])) {
            continue;
        }
        fine = i + 1 < argc && parse_value(&o, argv[i], argv[i + 1]);
        i++;
    }
    if (!fine) {
        (void)fprintf(stderr, "usage: quring_peer server|client ADDRESS [OPTIONS] | cert DIR\n");
        return 2;
    }
    if (strcmp(argv[1], "cert") == 0) {
        return write_cert(argv[2]);
    }
    o.is_server = strcmp(argv[1], "server") == 0;
    o.addr = argv[2];
    the_peer.o = &o;
    (void)sem_init(&the_peer.over, 0, 0);
    return run(&o);
}
