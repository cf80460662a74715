/* An echo server with a process for each connection: accept, fork, close. The child's calls are made in its name by the
 * process that has the socket, this one (docs/sockets.md).
 *
 *     fork_server ADDR PORT KEY.pem CERT.pem
 */
#include <arpa/inet.h>
#include <netinet/quic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int serve(int conn, const char *key, const char *cert)
{
    char buf[4096];
    ssize_t n;
    if (quic_server_handshake(conn, key, cert) != 0) {
        return fail("handshake");
    }
    while ((n = read(conn, buf, sizeof(buf))) > 0 && write(conn, buf, (size_t)n) == n) {
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    if (argc != 5) {
        fputs("usage: fork_server ADDR PORT KEY CERT\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
        fprintf(stderr, "%s is no IPv4 address\n", argv[1]);
        return 2;
    }
    int sock = socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC);
    if (sock < 0 || bind(sock, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(sock, 16) != 0) {
        return fail("listen");
    }
    signal(SIGCHLD, SIG_IGN); /* nobody waits for children */
    for (;;) {
        int conn = accept(sock, NULL, NULL);
        if (conn < 0) {
            return fail("accept");
        }
        pid_t child = fork();
        if (child == 0) {
            close(sock);
            exit(serve(conn, argv[3], argv[4]));
        }
        if (child < 0) {
            perror("fork");
        }
        close(conn); /* the child's now */
    }
}
