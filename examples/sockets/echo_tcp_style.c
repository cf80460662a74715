/* A TCP-style echo over QUIC: socket, read, write, close. What is new is one call, the handshake, and that
 * the end of what one side says is the end of a stream, not of the connection.
 *
 *     echo_tcp_style server ADDR PORT KEY.pem CERT.pem
 *     echo_tcp_style client ADDR PORT TEXT
 */
#include <arpa/inet.h>
#include <netinet/quic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int serve(int sock, const char *key, const char *cert)
{
    char buf[4096];
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
        } else {
            ssize_t n;
            while ((n = read(conn, buf, sizeof(buf))) > 0 && write(conn, buf, (size_t)n) == n) {
            }
        }
        close(conn);
    }
}

static int ask(int sock, const char *text)
{
    char buf[4096];
    size_t len = strlen(text);
    size_t have = 0;
    if (quic_client_handshake(sock, NULL, NULL) != 0) {
        return fail("handshake");
    }
    if (write(sock, text, len) != (ssize_t)len) {
        return fail("write");
    }
    while (have < len) {
        ssize_t n = read(sock, buf, sizeof(buf));
        if (n <= 0) {
            return fail("read");
        }
        fwrite(buf, 1, (size_t)n, stdout);
        have += (size_t)n;
    }
    putchar('\n');
    close(sock);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int server = argc == 6 && strcmp(argv[1], "server") == 0;
    if (!server && (argc != 5 || strcmp(argv[1], "client") != 0)) {
        fputs("usage: echo_tcp_style server ADDR PORT KEY CERT | client ADDR PORT TEXT\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[3]));
    if (inet_pton(AF_INET, argv[2], &at.sin_addr) != 1) {
        fprintf(stderr, "%s is no IPv4 address\n", argv[2]);
        return 2;
    }
    int sock = socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC);
    if (sock < 0) {
        return fail("socket");
    }
    if (server) {
        return bind(sock, (struct sockaddr *)&at, sizeof(at)) != 0 ? fail("bind")
                                                                   : serve(sock, argv[4], argv[5]);
    }
    return connect(sock, (struct sockaddr *)&at, sizeof(at)) != 0 ? fail("connect")
                                                                  : ask(sock, argv[4]);
}
