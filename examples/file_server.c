/* Sends files: a client opens a stream, writes a name and ends; the file comes back on it. What a server needs beside
 * that: several workers, state of each connection and stream, SIGHUP to read the certificates again, SIGTERM to end
 * when the transfers there are have ended. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <quring/quring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS     2
#define CHUNK_BYTES 65536
#define PATIENCE_NS 10000000000u /* for transfers, once SIGTERM has come */

enum { ERR_REQUEST = 1, ERR_NO_FILE = 2, ERR_OURS = 3, ERR_GOING = 4 }; /* of the application */

/* A stream, from its first event to STREAM_CLOSED or the end of its connection. */
typedef struct transfer {
    struct transfer *next, **link; /* in its connection's list */
    int fd;                        /* -1: the name is not whole yet */
    off_t sent, size;
    size_t name_len;
    char name[257]; /* one more than may be: its end can come alone */
} transfer;

/* A connection: at CLOSED nobody tells of its streams one by one. */
typedef struct client {
    struct client *next, **link; /* in its worker's list */
    quring_conn conn;
    transfer *transfers;
} client;

/* Each touches its own alone: no locks. */
static struct worker {
    client *clients;
    bool leaving;
} workers[WORKERS];

static int folder = -1;

static void transfer_free(transfer *t)
{
    *t->link = t->next;
    if (t->next != NULL) {
        t->next->link = t->link;
    }
    if (t->fd >= 0) {
        close(t->fd);
    }
    free(t);
}

static transfer *transfer_new(client *c)
{
    transfer *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        t->fd = -1;
        t->next = c->transfers;
        t->link = &c->transfers;
        if (t->next != NULL) {
            t->next->link = &t->next;
        }
        c->transfers = t;
    }
    return t;
}

static void refuse(quring_stream stream, uint64_t code)
{
    (void)quring_stream_reset(stream, code);
    (void)quring_stream_stop_sending(stream, code);
}

/* As much as the stream takes now; WRITABLE comes when it takes more. */
static void send_file(quring_stream stream, transfer *t)
{
    char buf[CHUNK_BYTES];
    size_t n = 0;
    ssize_t len;
    do {
        len = t->sent < t->size ? pread(t->fd, buf, sizeof(buf), t->sent) : 0;
        if (len < 0 || (len == 0 && t->sent < t->size)) {
            refuse(stream, ERR_OURS); /* it has become shorter */
            return;
        }
        uint32_t flags = t->sent + len >= t->size ? QURING_WRITE_FIN : 0;
        if (quring_stream_write(stream, &n, buf, (size_t)len, flags) != QURING_OK) {
            return; /* or the client has stopped it */
        }
        t->sent += (off_t)n;
    } while (n == (size_t)len && t->sent < t->size);
}

static void receive_name(quring_stream stream, transfer *t)
{
    size_t n = 0;
    bool fin = false;
    while (!fin) {
        size_t room = sizeof(t->name) - 1 - t->name_len;
        if (room == 0) {
            refuse(stream, ERR_REQUEST);
            return;
        }
        if (quring_stream_read(stream, &n, &fin, t->name + t->name_len, room) != QURING_OK) {
            return; /* READABLE comes */
        }
        t->name_len += n;
    }
    struct stat about;
    t->name[t->name_len] = '\0';
    if (strlen(t->name) != t->name_len || strchr(t->name, '/') != NULL || t->name[0] == '.') {
        refuse(stream, ERR_REQUEST);
        return;
    }
    t->fd = openat(folder, t->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (t->fd < 0 || fstat(t->fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        refuse(stream, ERR_NO_FILE);
        return;
    }
    t->size = about.st_size;
    send_file(stream, t);
}

/* Closing abandons streams: all of them have ended. */
static void leave_if_idle(client *c)
{
    if (workers[quring_worker_self()].leaving && c->transfers == NULL) {
        (void)quring_conn_close(c->conn, ERR_GOING, "the server ends");
    }
}

static void client_new(quring_conn conn)
{
    struct worker *w = &workers[quring_worker_self()];
    client *c = calloc(1, sizeof(*c));
    if (c == NULL || quring_conn_set_ctx(conn, c) != QURING_OK) {
        free(c);
        (void)quring_conn_close(conn, ERR_OURS, "no memory");
        return;
    }
    c->conn = conn;
    c->next = w->clients;
    c->link = &w->clients;
    if (c->next != NULL) {
        c->next->link = &c->next;
    }
    w->clients = c;
    leave_if_idle(c); /* it has come too late */
}

static void client_free(client *c)
{
    while (c->transfers != NULL) {
        transfer_free(c->transfers);
    }
    *c->link = c->next;
    if (c->next != NULL) {
        c->next->link = c->link;
    }
    free(c);
}

/* Posted to each worker. CLOSED comes later, so that the list stays meanwhile. */
static void leave(void *worker)
{
    struct worker *w = worker;
    w->leaving = true;
    for (client *c = w->clients; c != NULL; c = c->next) {
        leave_if_idle(c);
    }
}

static void on_closed(client *c, const quring_close_info *close)
{
    char text[256];
    if (close->kind != QURING_CLOSE_PEER_APP && close->kind != QURING_CLOSE_LOCAL_APP) {
        fprintf(stderr, "a connection: %s\n", quring_close_format(close, text, sizeof(text)));
    }
    if (c != NULL) {
        client_free(c);
    }
}

/* On all workers at once: what it shares is constant. */
static void on_event(const quring_event *ev)
{
    client *c = ev->conn_ctx; /* NULL, the listener's, until CONNECTED */
    transfer *t = ev->stream_ctx;
    switch ((int)ev->type) {
    case QURING_EV_CONNECTED:
        client_new(ev->conn);
        break;
    case QURING_EV_STREAM_OPENED:
        t = c != NULL ? transfer_new(c) : NULL;
        if (t != NULL && quring_stream_set_ctx(ev->stream, t) != QURING_OK) {
            transfer_free(t);
            t = NULL;
        }
        if (t == NULL) {
            refuse(ev->stream, ERR_OURS);
        }
        break;
    case QURING_EV_STREAM_READABLE:
        if (t != NULL && t->fd < 0) {
            receive_name(ev->stream, t);
        }
        break;
    case QURING_EV_STREAM_WRITABLE:
        if (t != NULL && t->fd >= 0) {
            send_file(ev->stream, t);
        }
        break;
    case QURING_EV_STREAM_RESET:
    case QURING_EV_STREAM_STOPPED: /* one half without the other makes no sense here */
        refuse(ev->stream, ev->app_error);
        break;
    case QURING_EV_STREAM_CLOSED:
        if (t != NULL) {
            transfer_free(t);
            leave_if_idle(c);
        }
        break;
    case QURING_EV_CLOSED:
        on_closed(c, ev->close);
        break;
    default:
        break;
    }
}

/* Until SIGTERM or SIGINT. */
static void serve(const sigset_t *signals, quring_tls *tls, const quring_tls_options *options)
{
    quring_error err;
    int number = 0;
    while (sigwait(signals, &number) == 0 && number == SIGHUP) {
        if (quring_tls_reload(tls, options, &err) == QURING_OK) {
            fputs("certificates read again\n", stderr);
        } else {
            fprintf(stderr, "the old certificates stay: %s\n", err.message);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 8) {
        return fputs("usage: file_server ADDR:PORT FOLDER CERT KEY [NAME CERT KEY]\n", stderr), 2;
    }
    /* A second identity is for clients that ask for NAME. */
    quring_tls_identity other = {0};
    quring_tls_options tls = {.cert_file = argv[3],
                              .key_file = argv[4],
                              .alpn = (const char *const[]){"file", "echo"}, /* of echo_client */
                              .alpn_count = 2};
    if (argc == 8) {
        other = (quring_tls_identity){.name = argv[5], .cert_file = argv[6], .key_file = argv[7]};
        tls.identities = &other, tls.identity_count = 1;
    }
    sigset_t signals;
    sigemptyset(&signals), sigaddset(&signals, SIGINT), sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* the workers inherit it */
    folder = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return perror(argv[2]), 1;
    }
    quring_config config;
    quring_config_init(&config);
    config.workers = WORKERS;
    config.limits.streams_uni_max = 0;
    config.limits.stream_send_buf_bytes = 256 << 10; /* what each slow reader may hold */
    quring_error err;
    quring_runtime *rt = NULL;
    quring_listener *listener;
    quring_listen_options listen = {.on_event = on_event};
    bool ok = quring_addr_parse(&listen.local, argv[1], 4433, &err) == QURING_OK &&
              quring_tls_create_server(&listen.tls, &tls, &err) == QURING_OK &&
              quring_runtime_create(&rt, &config, &err) == QURING_OK &&
              quring_listen(rt, &listener, &listen, &err) == QURING_OK;
    if (ok) {
        char text[64];
        quring_addr at = quring_listener_local(listener);
        printf("listening on %s\n", quring_addr_format(&at, text, sizeof(text)));
        fflush(stdout);
        serve(&signals, listen.tls, &tls);
        uint64_t left = 0;
        quring_runtime_drain(rt); /* no new clients */
        for (uint32_t i = 0; i < WORKERS; i++) {
            while (quring_post(rt, i, leave, &workers[i]) == QURING_E_AGAIN) {
                usleep(1000);
            }
        }
        if (quring_runtime_await(rt, PATIENCE_NS, &left) == QURING_E_AGAIN) {
            fprintf(stderr, "%llu connections are cut off\n", (unsigned long long)left);
        }
        quring_runtime_stop(rt, ERR_GOING, 1000000000u);
    } else {
        fprintf(stderr, "file_server: %s\n", err.message);
    }
    quring_runtime_destroy(rt);
    quring_tls_release(listen.tls);
    close(folder);
    return ok ? 0 : 1;
}
