/* Sends back what arrives on every stream, until Ctrl-C. */
#define _POSIX_C_SOURCE 200809L
#include <quring/quring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void on_event(const quring_event *ev)
{
    quring_bytes spans[2];
    size_t n;
    bool fin;
    if (ev->type == QURING_EV_STREAM_RESET || ev->type == QURING_EV_STREAM_STOPPED) {
        quring_stream_reset(ev->stream, ev->app_error);
        quring_stream_stop_sending(ev->stream, ev->app_error);
    } else if (ev->type == QURING_EV_STREAM_READABLE || ev->type == QURING_EV_STREAM_WRITABLE) {
        while (quring_stream_peek(ev->stream, spans, &fin) == QURING_OK) {
            uint32_t flags = fin && spans[1].len == 0 ? QURING_WRITE_FIN : 0;
            if (quring_stream_write(ev->stream, &n, spans[0].data, spans[0].len, flags) < 0 ||
                quring_stream_consume(ev->stream, n) < 0) {
                return; /* QURING_E_AGAIN: unread bytes hold the peer back until WRITABLE comes */
            }
        }
    }
}

int main(int argc, char **argv)
{
    char cert[4096], key[4096], text[64];
    const char *alpn[] = {"echo"};
    quring_tls_options tls = {.verify = QURING_VERIFY_NONE, .alpn = alpn, .alpn_count = 1};
    if (argc == 6 && strcmp(argv[2], "--cert") == 0 && strcmp(argv[4], "--key") == 0) {
        tls.cert_file = argv[3], tls.key_file = argv[5];
    } else if (argc != 2 || argv[1][0] == '-') {
        return fputs("usage: echo_server ADDR:PORT [--cert FILE --key FILE]\n", stderr), 2;
    } else if (quring_tls_self_signed(cert, &tls.cert_pem.len, key, &tls.key_pem.len) == 0) {
        tls.cert_pem.data = (uint8_t *)cert, tls.key_pem.data = (uint8_t *)key;
    }
    sigset_t stop;
    sigemptyset(&stop), sigaddset(&stop, SIGINT), sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL); /* the workers inherit it */
    quring_config config;
    quring_config_init(&config);
    config.limits.streams_uni_max = 0; /* an echo needs both directions */
    quring_error err;
    quring_runtime *rt = NULL;
    quring_listen_options listen = {.on_event = on_event};
    quring_listener *listener;
    bool ok = quring_addr_parse(&listen.local, argv[1], 4433, &err) == QURING_OK &&
              quring_tls_create_server(&listen.tls, &tls, &err) == QURING_OK &&
              quring_runtime_create(&rt, &config, &err) == QURING_OK &&
              quring_listen(rt, &listener, &listen, &err) == QURING_OK;
    quring_addr at = ok ? quring_listener_local(listener) : listen.local;
    ok ? printf("listening on %s\n", quring_addr_format(&at, text, sizeof(text)))
       : fprintf(stderr, "echo_server: %s\n", err.message);
    ok = ok && fflush(stdout) == 0 && sigwait(&stop, &(int){0}) == 0;
    quring_runtime_destroy(rt);
    quring_tls_release(listen.tls);
    return ok ? 0 : 1;
}
