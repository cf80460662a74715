#include "tests/compat/fixture.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace compat
{
namespace
{

[[noreturn]] void die(const char *what)
{
    fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
    abort();
}

} // namespace

void Fd::reset(int fd)
{
    if (fd_ >= 0) {
        close(fd_);
    }
    fd_ = fd;
}

uint16_t Address::port() const
{
    return storage.ss_family == AF_INET6
               ? ntohs(reinterpret_cast<const sockaddr_in6 *>(&storage)->sin6_port)
               : ntohs(reinterpret_cast<const sockaddr_in *>(&storage)->sin_port);
}

std::string Address::text() const
{
    char ip[INET6_ADDRSTRLEN] = "";
    const void *at =
        storage.ss_family == AF_INET6
            ? static_cast<const void *>(
                  &reinterpret_cast<const sockaddr_in6 *>(&storage)->sin6_addr)
            : static_cast<const void *>(&reinterpret_cast<const sockaddr_in *>(&storage)->sin_addr);
    inet_ntop(storage.ss_family, at, ip, sizeof(ip));
    return std::string(ip) + ":" + std::to_string(port());
}

static Address make_address(const char *v4, const char *v6, uint16_t port, int family)
{
    Address a;
    if (family == AF_INET6) {
        auto *in6 = reinterpret_cast<sockaddr_in6 *>(&a.storage);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        inet_pton(AF_INET6, v6, &in6->sin6_addr);
        a.len = sizeof(*in6);
    } else {
        auto *in = reinterpret_cast<sockaddr_in *>(&a.storage);
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        inet_pton(AF_INET, v4, &in->sin_addr);
        a.len = sizeof(*in);
    }
    return a;
}

Address loopback(uint16_t port, int family)
{
    return make_address("127.0.0.1", "::1", port, family);
}

Address any(uint16_t port, int family)
{
    return make_address("0.0.0.0", "::", port, family);
}

Address name_of(int fd)
{
    Address a;
    a.len = sizeof(a.storage);
    if (getsockname(fd, a.ptr(), &a.len) != 0) {
        die("getsockname");
    }
    return a;
}

Address peer_of(int fd)
{
    Address a;
    a.len = sizeof(a.storage);
    if (getpeername(fd, a.ptr(), &a.len) != 0) {
        die("getpeername");
    }
    return a;
}

Fd quic_socket(int family, int type)
{
    Fd fd(socket(family, type, IPPROTO_QUIC));
    if (fd < 0) {
        die("socket");
    }
    return fd;
}

Fd listener(int backlog, int family, const std::function<void(int)> &prepare)
{
    cert_file(); /* before there is a thread: it says in the environment whom to trust */
    Fd fd = quic_socket(family);
    if (prepare) {
        prepare(fd);
    }
    Address at = loopback(0, family);
    if (bind(fd, at.ptr(), at.len) != 0) {
        die("bind");
    }
    if (listen(fd, backlog) != 0) {
        die("listen");
    }
    return fd;
}

bool handshake(int listen_fd, int client_fd, Fd *server, int *client_rc, int *server_rc)
{
    int of_client = -1;
    int of_server = -1;
    cert_file();
    std::thread other([&] { of_client = quic_client_handshake(client_fd, nullptr, nullptr); });
    server->reset(accept(listen_fd, nullptr, nullptr));
    if (*server >= 0) {
        of_server = quic_server_handshake(*server, key_file(), cert_file());
    }
    other.join();
    if (client_rc != nullptr) {
        *client_rc = of_client;
    }
    if (server_rc != nullptr) {
        *server_rc = of_server;
    }
    return of_client == 0 && of_server == 0;
}

Pair make_pair(const PairOptions &options)
{
    Pair pair;
    pair.listen = listener(16, options.family, options.listener);
    pair.client = quic_socket(options.family);
    if (options.client) {
        options.client(pair.client);
    }
    Address to = name_of(pair.listen);
    if (connect(pair.client, to.ptr(), to.len) != 0) {
        die("connect");
    }
    int client_rc = 0;
    int server_rc = 0;
    if (!handshake(pair.listen, pair.client, &pair.server, &client_rc, &server_rc)) {
        fprintf(stderr, "fixture: handshake: client %d, server %d\n", client_rc, server_rc);
        abort();
    }
    return pair;
}

std::string read_bytes(int fd, size_t len)
{
    std::string all;
    std::vector<char> buf(65536);
    while (all.size() < len) {
        size_t want = len - all.size() < buf.size() ? len - all.size() : buf.size();
        ssize_t n = recv(fd, buf.data(), want, 0);
        if (n < 0) {
            break;
        }
        all.append(buf.data(), static_cast<size_t>(n));
    }
    return all;
}

std::string pattern(size_t len, uint32_t seed)
{
    std::string s(len, '\0');
    uint32_t x = seed * 2654435761u + 1;
    for (char &c : s) {
        x = x * 1664525u + 1013904223u;
        c = static_cast<char>(x >> 24);
    }
    return s;
}

bool poll_for(int fd, short mask, int timeout_ms)
{
    pollfd p = {fd, mask, 0};
    for (int left = timeout_ms; left >= 0; left -= 20) {
        p.revents = 0;
        poll(&p, 1, left < 20 ? left : 20);
        if ((p.revents & mask) == mask) {
            return true;
        }
        if (p.revents != 0) {
            usleep(2000);
        }
    }
    return false;
}

bool comes_true(const std::function<bool()> &fact)
{
    for (int i = 0; i < 2000; i++) {
        if (fact()) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

short poll_now(int fd)
{
    pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
    poll(&p, 1, 0);
    return p.revents;
}

void set_recv_timeout(int fd, int ms)
{
    timeval tv = {ms / 1000, ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

bool alive(Pair &pair)
{
    static int n;
    const std::string text = "alive " + std::to_string(n++);
    return send(pair.client, text.data(), text.size(), MSG_SYN | MSG_FIN | MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text.size()) &&
           read_bytes(pair.server, text.size()) == text;
}

bool hears_close(Pair &pair)
{
    return poll_for(pair.client, POLLHUP);
}

bool hears_nothing(Pair &pair)
{
    usleep(200000);
    return (poll_now(pair.client) & POLLHUP) == 0;
}

#if defined(__x86_64__)
long close_alone(int fd)
{
    long rc;
    __asm__ volatile("syscall" : "=a"(rc) : "a"(SYS_close), "D"(fd) : "rcx", "r11", "memory");
    return rc;
}
#else
long close_alone(int fd)
{
    register long number __asm__("x8") = SYS_close;
    register long rc __asm__("x0") = fd;
    __asm__ volatile("svc 0" : "+r"(rc) : "r"(number) : "memory");
    return rc;
}
#endif

} // namespace compat
