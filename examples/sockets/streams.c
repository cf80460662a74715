/* Many streams on one connection: the client asks for several things at once, each on a stream of its own;
 * the answers come as they are ready, and the stream number says which is which.
 *
 *     streams server ADDR PORT KEY.pem CERT.pem
 *     streams client ADDR PORT WORD...
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/quic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAMS_MAX 64

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* Answers each stream with what it brought, in capitals; one connection after the other. */
static int serve(int sock, const char *key, const char *cert)
{
    char buf[1024];
    uint64_t id;
    uint32_t flags;
    if (listen(sock, 16) != 0) {
        return fail("listen");
    }
    for (;;) {
        int conn = accept(sock, NULL, NULL);
        if (conn < 0) {
            return fail("accept");
        }
        if (quic_server_handshake(conn, key, cert) != 0) {
            perror("handshake");
        }
        ssize_t n;
        while ((n = quic_recvmsg(conn, buf, sizeof(buf), &id, &flags)) >= 0) {
            for (ssize_t i = 0; i < n; i++) {
                buf[i] = (char)toupper((unsigned char)buf[i]);
            }
            if (quic_sendmsg(conn, buf, (size_t)n, id, flags & QUIC_STREAM_FLAG_FIN) != n) {
                break;
            }
        }
        close(conn);
    }
}

static int ask(int sock, char **words, int count)
{
    char answer[STREAMS_MAX][256];
    size_t len[STREAMS_MAX] = {0};
    if (quic_client_handshake(sock, NULL, NULL) != 0) {
        return fail("handshake");
    }
    for (int i = 0; i < count; i++) {
        /* The client's bidirectional streams are 0, 4, 8, ... */
        if (quic_sendmsg(sock, words[i], strlen(words[i]), (uint64_t)i * 4,
                         QUIC_STREAM_FLAG_NEW | QUIC_STREAM_FLAG_FIN) < 0) {
            return fail("quic_sendmsg");
        }
    }
    for (int open = count; open > 0;) {
        char buf[256];
        uint64_t id;
        uint32_t flags;
        ssize_t n = quic_recvmsg(sock, buf, sizeof(buf), &id, &flags);
        if (n < 0) {
            return fail("quic_recvmsg");
        }
        size_t i = (size_t)(id / 4);
        if (i >= (size_t)count || len[i] + (size_t)n >= sizeof(answer[0])) {
            fputs("an answer nobody asked for\n", stderr);
            return 1;
        }
        memcpy(answer[i] + len[i], buf, (size_t)n);
        len[i] += (size_t)n;
        open -= (flags & QUIC_STREAM_FLAG_FIN) != 0;
    }
    for (int i = 0; i < count; i++) {
        printf("stream %d: %.*s\n", i * 4, (int)len[i], answer[i]);
    }
    close(sock);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int server = argc == 6 && strcmp(argv[1], "server") == 0;
    if (!server && (argc < 5 || argc > 4 + STREAMS_MAX || strcmp(argv[1], "client") != 0)) {
        fputs("usage: streams server ADDR PORT KEY CERT | client ADDR PORT WORD...\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[3]));
    if (inet_pton(AF_INET, argv[2], &at.sin_addr) != 1) {
        fprintf(stderr, "%s is no IPv4 address\n", argv[2]);
        return 2;
    }
    int sock = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
    if (sock < 0) {
        return fail("socket");
    }
    if (server) {
        return bind(sock, (struct sockaddr *)&at, sizeof(at)) != 0 ? fail("bind")
                                                                   : serve(sock, argv[4], argv[5]);
    }
    return connect(sock, (struct sockaddr *)&at, sizeof(at)) != 0 ? fail("connect")
                                                                  : ask(sock, argv + 4, argc - 4);
}
