#include "tests/compat/script.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

namespace compat
{

std::string u16(size_t value)
{
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string tls_message(char type, const std::string &body)
{
    return std::string({type, 0}) + u16(body.size()) + body;
}

std::string extension(size_t type, const std::string &body)
{
    return u16(type) + u16(body.size()) + body;
}

std::string client_hello(const std::string &params)
{
    const std::string extensions =
        extension(16, std::string("\0\5\4test", 7)) + extension(0x39, params);
    return tls_message(1, std::string("\3\3") + std::string(32, 'Z') +
                              std::string("\0\0\2\x13\x04\1\0", 7) + u16(extensions.size()) +
                              extensions);
}

std::string params_in(const std::string &hello)
{
    const size_t at = hello.find(std::string("\0\x39", 2), 4 + 2 + 32 + 7);
    return at == std::string::npos ? "" : hello.substr(at + 4);
}

ssize_t send_crypto(int fd, uint8_t level, const std::string &bytes)
{
    union {
        cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(quic_handshake_info))];
    } control{};
    iovec iov = {const_cast<char *>(bytes.data()), bytes.size()};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);
    cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_QUIC;
    c->cmsg_type = QUIC_HANDSHAKE_INFO;
    c->cmsg_len = CMSG_LEN(sizeof(quic_handshake_info));
    const quic_handshake_info info = {level};
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

std::string recv_crypto(int fd, size_t room, uint8_t *level)
{
    char control[64] = {};
    std::string buf(room, '\0');
    iovec iov = {buf.data(), room};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    *level = 255;
    const ssize_t n = recvmsg(fd, &msg, 0);
    const cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : nullptr;
    if (c != nullptr && c->cmsg_level == SOL_QUIC && c->cmsg_type == QUIC_HANDSHAKE_INFO) {
        *level = *CMSG_DATA(c);
    }
    return buf.substr(0, n > 0 ? static_cast<size_t>(n) : 0);
}

static size_t length(const std::string &message)
{
    return 4 + (static_cast<size_t>(static_cast<uint8_t>(message[1])) << 16 |
                static_cast<size_t>(static_cast<uint8_t>(message[2])) << 8 |
                static_cast<uint8_t>(message[3]));
}

Raw::Raw(int fd, uint32_t cipher, size_t room) : fd_(fd), cipher_(cipher), room_(room)
{
    int protocol = 0;
    socklen_t len = sizeof(protocol);
    EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len));
    kernel_ = protocol == 261;
    set_recv_timeout(fd, 10000);
}

std::string Raw::take(uint8_t level)
{
    std::string &in = in_[level];
    while (in.size() < 4 || in.size() < length(in)) {
        uint8_t got = 255;
        const std::string piece = recv_crypto(fd_, room_, &got);
        if (got == 255) {
            ADD_FAILURE() << "no message: " << strerror(errno);
            return "";
        }
        pieces_++;
        in_[got] += piece;
    }
    const std::string message = in.substr(0, length(in));
    in.erase(0, message.size());
    return message;
}

std::string Raw::params() const
{
    return get_bytes(fd_, kernel_ ? 14 : QUIC_SOCKOPT_TRANSPORT_PARAM_EXT);
}

int Raw::set_params(const std::string &params) const
{
    return setsockopt(fd_, SOL_QUIC, kernel_ ? 14 : QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, params.data(),
                      static_cast<socklen_t>(params.size()));
}

int Raw::install(uint8_t level, bool send, bool of_server) const
{
    quic_crypto_secret secret{};
    secret.level = level;
    secret.send = send ? 1 : 0;
    secret.type = cipher_;
    memset(secret.secret, level * 2 + (of_server ? 1 : 0) + 1,
           cipher_ == TLS_CIPHER_AES_GCM_256 ? 48 : 32);
    if (kernel_) { /* the first two members are bytes, and change places */
        const uint8_t head[4] = {static_cast<uint8_t>(send ? 1 : 0), level, 0, 0};
        memcpy(static_cast<void *>(&secret), head, sizeof(head));
        return set_option(fd_, 13, secret);
    }
    return set_option(fd_, QUIC_SOCKOPT_CRYPTO_SECRET, secret);
}

bool Raw::is_drained() const
{
    for (const auto &level : in_) {
        if (!level.second.empty()) {
            return false;
        }
    }
    return true;
}

void start_client(Raw *raw)
{
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_INITIAL, client_hello(raw->params())), 0);
}

void end_client(Raw *raw)
{
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_HANDSHAKE, tls_message(20, "F")), 0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, true, false)) << strerror(errno);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, false, true));
}

void run_client(Raw *raw)
{
    start_client(raw);
    const std::string answer = raw->take(QUIC_CRYPTO_INITIAL);
    ASSERT_EQ(0, raw->set_params(answer.substr(4))) << strerror(errno);
    /* In an order that no TLS library has: none is demanded. */
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, true, false)) << strerror(errno);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, false, true));
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, true, false));
    EXPECT_EQ(2, static_cast<int>(raw->take(QUIC_CRYPTO_HANDSHAKE)[4]));
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_HANDSHAKE, tls_message(20, "F")), 0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, false, true));
}

void start_server(Raw *raw)
{
    const std::string hello = raw->take(QUIC_CRYPTO_INITIAL);
    ASSERT_EQ(0, raw->set_params(params_in(hello))) << strerror(errno);
}

void end_server(Raw *raw, const std::string &flight)
{
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_INITIAL, tls_message(8, raw->params())), 0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, true, true));
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, false, false));
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_HANDSHAKE, flight), 0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, true, true));
    EXPECT_EQ("F", raw->take(QUIC_CRYPTO_HANDSHAKE).substr(4));
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, false, false));
}

void run_server(Raw *raw, size_t flight_len)
{
    start_server(raw);
    end_server(raw, tls_message(11, std::string(flight_len, '\2')));
}

RawPair::RawPair(int protocol)
{
    listen = Fd(socket(AF_INET, SOCK_DGRAM, protocol));
    client = Fd(socket(AF_INET, SOCK_DGRAM, protocol));
    Address at = loopback();
    EXPECT_EQ(0, bind(listen, at.ptr(), at.len));
    EXPECT_EQ(0, ::listen(listen, 4));
    Address to = name_of(listen);
    EXPECT_EQ(0, connect(client, to.ptr(), to.len));
}

RawPair::RawPair(const Address &to, Fd listening)
{
    listen = std::move(listening);
    client = quic_socket();
    EXPECT_EQ(0, connect(client, to.ptr(), to.len));
}

void RawPair::accept_one()
{
    set_recv_timeout(listen, 10000);
    server.reset(accept(listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0) << strerror(errno);
}

void RawPair::run_script(uint32_t cipher)
{
    Raw of_client(client, cipher);
    std::thread other([&] { run_client(&of_client); });
    accept_one();
    Raw of_server(server, cipher);
    run_server(&of_server);
    other.join();
}

void want_tickets(int client, bool wanted)
{
    quic_transport_param param = {};
    param.receive_session_ticket = wanted ? 1 : 0;
    ASSERT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
}

uint32_t close_code(int fd)
{
    uint32_t code = 0;
    const std::string why = get_bytes(fd, QUIC_SOCKOPT_CONNECTION_CLOSE);
    EXPECT_GE(why.size(), sizeof(code));
    memcpy(&code, why.data(), std::min(why.size(), sizeof(code)));
    return code;
}

} // namespace compat
