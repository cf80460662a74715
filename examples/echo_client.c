/* Sends a text on one stream and prints the echo. */
#include <quring/quring.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static const char *text; /* what is still to be written */
static quring_error err;
static sem_t done;

static void on_event(const quring_event *ev)
{
    quring_stream stream = ev->stream;
    char buf[4096];
    size_t n = 0;
    bool fin = false;
    if (ev->type == QURING_EV_CLOSED) {
        bool ok = ev->close->kind == QURING_CLOSE_LOCAL_APP && ev->close->code == 0;
        err.status = ok ? QURING_OK : QURING_E_STATE;
        quring_close_format(ev->close, err.message, sizeof(err.message)), sem_post(&done);
    } else if (ev->type == QURING_EV_STREAM_READABLE) {
        while (!fin && quring_stream_read(stream, &n, &fin, buf, sizeof(buf)) == QURING_OK) {
            fwrite(buf, 1, n, stdout);
        }
        fin ? quring_conn_close(ev->conn, 0, "done") : QURING_E_AGAIN;
    } else if (ev->type == QURING_EV_STREAM_RESET) {
        quring_conn_close(ev->conn, 1, "the server has reset the stream");
    } else if (ev->type == QURING_EV_STREAM_WRITABLE ||
               (ev->type == QURING_EV_CONNECTED && quring_stream_open(&stream, ev->conn, 0) == 0)) {
        text += quring_stream_write(stream, &n, text, strlen(text), QURING_WRITE_FIN) == 0 ? n : 0;
    }
}

static void start(void *options) /* on a worker, where the connection is going to live */
{
    (void)(quring_connect(&(quring_conn){0}, options, &err) == QURING_OK || sem_post(&done));
}

int main(int argc, char **argv)
{
    quring_tls_options tls = {.alpn = (const char *[]){"echo"}, .alpn_count = 1};
    tls.verify = argc == 4 && strcmp(argv[3], "--insecure") == 0; /* QURING_VERIFY_NONE or _PEER */
    if (argc != 3 + (int)tls.verify) {
        return fputs("usage: echo_client HOST:PORT TEXT [--insecure]\n", stderr), 2;
    }
    text = argv[2];
    quring_connect_options to = {.on_event = on_event};
    quring_runtime *rt = NULL;
    quring_config config;
    quring_config_init(&config);
    if (sem_init(&done, 0, 0) == 0 && quring_addr_parse(&to.remote, argv[1], 4433, &err) == 0 &&
        quring_tls_create_client(&to.tls, &tls, &err) == QURING_OK &&
        quring_runtime_create(&rt, &config, &err) == QURING_OK) {
        to.server_name = strtok(argv[1], argv[1][0] == '[' ? "[]" : ":");
        (void)(quring_post(rt, 0, start, &to) == QURING_OK && sem_wait(&done));
    }
    quring_runtime_destroy(rt);
    quring_tls_release(to.tls);
    return err.status == 0 ? puts("") < 0 : (fprintf(stderr, "echo_client: %s\n", err.message), 1);
}
