#define QUIC_SOCKET_API 2
#include "tests/compat/kernel_fixture.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <unistd.h>

#include "tests/compat/identity.h"

namespace kernel
{

void Fd::reset(int fd)
{
    if (fd_ >= 0) {
        close(fd_);
    }
    fd_ = fd;
}

static void must(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "kernel_fixture: %s: %s\n", what, strerror(errno));
        abort();
    }
}

Pair make_pair(const std::function<void(int)> &listener, const std::function<void(int)> &client,
               int client_protocol)
{
    Pair pair;
    compat::cert_file();
    pair.listen.reset(socket(AF_INET, SOCK_STREAM, 261));
    pair.client.reset(socket(AF_INET, SOCK_STREAM, client_protocol));
    must(pair.listen >= 0 && pair.client >= 0, "socket");
    if (listener) {
        listener(pair.listen);
    }
    if (client) {
        client(pair.client);
    }
    sockaddr_in at = {};
    socklen_t len = sizeof(at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(pair.listen, reinterpret_cast<sockaddr *>(&at), len) == 0, "bind");
    must(listen(pair.listen, 4) == 0, "listen");
    must(getsockname(pair.listen, reinterpret_cast<sockaddr *>(&at), &len) == 0, "getsockname");
    must(connect(pair.client, reinterpret_cast<sockaddr *>(&at), len) == 0, "connect");
    int of_client = -1;
    std::thread other(
        [&] { of_client = quic_client_handshake(pair.client, nullptr, "localhost", "sample"); });
    pair.server.reset(accept(pair.listen, nullptr, nullptr));
    must(pair.server >= 0, "accept");
    int of_server =
        quic_server_handshake(pair.server, compat::key_file(), compat::cert_file(), "sample");
    other.join();
    errno = of_client != 0 ? -of_client : -of_server;
    must(of_client == 0 && of_server == 0, "handshake");
    return pair;
}

} // namespace kernel
