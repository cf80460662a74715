/* One thread, many connections: QUIC sockets in an epoll set, as any other descriptors. Echoes every stream;
 * handshakes, which take milliseconds of cryptography, are done by a thread each.
 *
 *     epoll_server ADDR PORT KEY.pem CERT.pem
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/quic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64

static const char *key_file;
static const char *cert_file;
static int epoll_fd;

static void *shake_hands(void *arg)
{
    int conn = (int)(intptr_t)arg;
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = conn};
    if (quic_server_handshake(conn, key_file, cert_file) != 0 ||
        fcntl(conn, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conn, &ev) != 0) {
        perror("connection");
        close(conn);
    }
    return NULL;
}

static void welcome(int listener)
{
    int conn;
    while ((conn = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, shake_hands, (void *)(intptr_t)conn) != 0) {
            close(conn);
            continue;
        }
        pthread_detach(thread);
    }
}

/* What does not fit into the send buffer now is waited for: an echo has nothing better to do. */
static int send_all(int conn, const char *buf, size_t len, uint64_t id, uint32_t flags)
{
    size_t done = 0;
    do {
        ssize_t n = quic_sendmsg(conn, buf + done, len - done, id, flags);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event ev = {.events = EPOLLOUT, .data.fd = conn};
            int wait_fd = epoll_create1(EPOLL_CLOEXEC);
            if (wait_fd < 0 || epoll_ctl(wait_fd, EPOLL_CTL_ADD, conn, &ev) != 0) {
                return -1;
            }
            (void)epoll_wait(wait_fd, &ev, 1, 1000);
            close(wait_fd);
            continue;
        }
        if (n < 0) {
            return -1;
        }
        done += (size_t)n;
    } while (done < len);
    return 0;
}

static void echo(int conn)
{
    char buf[16384];
    uint64_t id = 0;
    uint32_t flags = 0;
    ssize_t n;
    while ((n = quic_recvmsg(conn, buf, sizeof(buf), &id, &flags)) >= 0) {
        if (send_all(conn, buf, (size_t)n, id, flags & QUIC_STREAM_FLAG_FIN) != 0) {
            break;
        }
    }
    if (n >= 0 || errno != EAGAIN) {
        close(conn); /* leaves the epoll set by itself */
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct epoll_event events[EVENTS];
    if (argc != 5) {
        fputs("usage: epoll_server ADDR PORT KEY CERT\n", stderr);
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    key_file = argv[3];
    cert_file = argv[4];
    int listener = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_QUIC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    if (inet_pton(AF_INET, argv[1], &at.sin_addr) != 1 || listener < 0 || epoll_fd < 0 ||
        bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 128) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &ev) != 0) {
        perror("epoll_server");
        return 1;
    }
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                welcome(listener);
            } else {
                echo(events[i].data.fd);
            }
        }
        if (count < 0 && errno != EINTR) {
            perror("epoll_wait");
            return 1;
        }
    }
}
