/* A handshake by somebody else's TLS: messages with QUIC_HANDSHAKE_INFO, secrets and transport parameters as
 * options (draft sections 3.1.8, 4.2.2, 6.1.8, 6.1.9). What stands for TLS here is a script that exchanges
 * parameters and uses secrets everybody knows. */
#include <cerrno>
#include <cstring>
#include <map>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

std::string u16(size_t value)
{
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

/* Type, 24-bit length, body. */
std::string tls_message(char type, const std::string &body)
{
    return std::string({type, 0}) + u16(body.size()) + body;
}

std::string extension(size_t type, const std::string &body)
{
    return u16(type) + u16(body.size()) + body;
}

/* RFC 8446 4.1.2, as much of it as a listener looks at: the protocol and the transport parameters, which
 * stand at its end. */
std::string client_hello(const std::string &params)
{
    const std::string extensions =
        extension(16, std::string("\0\5\4test", 7)) + extension(0x39, params);
    return tls_message(1, std::string("\3\3") + std::string(32, 'Z') +
                              std::string("\0\0\2\x13\x04\1\0", 7) + u16(extensions.size()) +
                              extensions);
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

/* One piece, of at most `room` bytes; `level` 255: none came. */
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

/* One end of the script. */
class Raw
{
  public:
    Raw(int fd, uint32_t cipher, size_t room = 65536) : fd_(fd), cipher_(cipher), room_(room)
    {
        set_recv_timeout(fd, 10000);
    }
    /* A message at a level, whole. */
    std::string take(uint8_t level)
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
    std::string params() const
    {
        return get_bytes(fd_, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT);
    }
    int set_params(const std::string &params) const
    {
        return setsockopt(fd_, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, params.data(),
                          static_cast<socklen_t>(params.size()));
    }
    int install(uint8_t level, bool send, bool of_server) const
    {
        quic_crypto_secret secret{};
        secret.level = level;
        secret.send = send ? 1 : 0;
        secret.type = cipher_;
        memset(secret.secret, level * 2 + (of_server ? 1 : 0) + 1,
               cipher_ == TLS_CIPHER_AES_GCM_256 ? 48 : 32);
        return set_option(fd_, QUIC_SOCKOPT_CRYPTO_SECRET, secret);
    }
    unsigned pieces() const
    {
        return pieces_;
    }
    int fd() const
    {
        return fd_;
    }

  private:
    static size_t length(const std::string &message)
    {
        return 4 + (static_cast<size_t>(static_cast<uint8_t>(message[1])) << 16 |
                    static_cast<size_t>(static_cast<uint8_t>(message[2])) << 8 |
                    static_cast<uint8_t>(message[3]));
    }

    int fd_;
    uint32_t cipher_;
    size_t room_;
    unsigned pieces_ = 0;
    std::map<uint8_t, std::string> in_;
};

/* The parameters stand at the end of a ClientHello. */
std::string params_in(const std::string &hello)
{
    const size_t at = hello.find(std::string("\0\x39", 2), 4 + 2 + 32 + 7);
    return at == std::string::npos ? "" : hello.substr(at + 4);
}

void run_client(Raw *raw)
{
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_INITIAL, client_hello(raw->params())), 0);
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

void run_server(Raw *raw, size_t flight_len = 10)
{
    const std::string hello = raw->take(QUIC_CRYPTO_INITIAL);
    ASSERT_EQ(0, raw->set_params(params_in(hello))) << strerror(errno);
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_INITIAL, tls_message(8, raw->params())), 0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, true, true));
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_HANDSHAKE, false, false));
    ASSERT_GT(send_crypto(raw->fd(), QUIC_CRYPTO_HANDSHAKE,
                          tls_message(11, std::string(flight_len, '\2'))),
              0);
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, true, true));
    EXPECT_EQ("F", raw->take(QUIC_CRYPTO_HANDSHAKE).substr(4));
    ASSERT_EQ(0, raw->install(QUIC_CRYPTO_APP, false, false));
}

/* Both ends of a connection that nobody has shaken hands on. */
struct RawPair : Pair {
    RawPair()
    {
        listen = listener();
        client = quic_socket();
        Address to = name_of(listen);
        EXPECT_EQ(0, connect(client, to.ptr(), to.len));
    }
    void accept_one()
    {
        set_recv_timeout(listen, 10000);
        server.reset(accept(listen, nullptr, nullptr));
        ASSERT_GE(server.get(), 0) << strerror(errno);
    }
};

} // namespace

TEST(Raw, C190_BytesThatAreNoTls)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    std::thread other([&] { run_client(&client); });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    run_server(&server);
    other.join();
    EXPECT_TRUE(alive(pair));
    ASSERT_EQ(4, send(pair.server, "back", 4, MSG_SYN | MSG_FIN));
    EXPECT_EQ("back", read_bytes(pair.client, 4));
}

TEST(Raw, C191_EveryCipher)
{
    for (uint32_t cipher : {TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256, TLS_CIPHER_AES_CCM_128,
                            TLS_CIPHER_CHACHA20_POLY1305}) {
        SCOPED_TRACE(cipher);
        RawPair pair;
        Raw client(pair.client, cipher);
        std::thread other([&] { run_client(&client); });
        pair.accept_one();
        Raw server(pair.server, cipher);
        run_server(&server);
        other.join();
        const std::string data = pattern(300000, cipher);
        std::thread writer([&] {
            EXPECT_EQ(static_cast<ssize_t>(data.size()),
                      send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
        });
        EXPECT_TRUE(read_bytes(pair.server, data.size()) == data);
        writer.join();
    }
}

TEST(Raw, C192_LevelsAndSecretsThatAreWrong)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    EXPECT_ERRNO(EINVAL, send_crypto(pair.client, QUIC_CRYPTO_EARLY, "x")); /* RFC 9001 4.1.3 */
    EXPECT_ERRNO(EINVAL, send_crypto(pair.client, QUIC_CRYPTO_MAX, "x"));
    EXPECT_ERRNO(EINVAL, client.install(QUIC_CRYPTO_INITIAL, true, false));
    Raw unknown(pair.client, 99);
    EXPECT_ERRNO(EINVAL, unknown.install(QUIC_CRYPTO_APP, true, false));
    EXPECT_EQ(0, client.install(QUIC_CRYPTO_APP, true, false));
    EXPECT_ERRNO(EINVAL, client.install(QUIC_CRYPTO_APP, true, false)); /* once */
    Fd fresh = quic_socket();
    EXPECT_EQ(-1, send_crypto(fresh, QUIC_CRYPTO_INITIAL, "x"));
}

/* A chain of 20 kB comes in several packets, within what an address that is not validated may be sent
 * (RFC 9000 8.1), and is read in pieces of any size. */
TEST(Raw, C194_ALongFlight)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128, 700);
    std::thread other([&] { run_client(&client); });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    run_server(&server, 20000);
    other.join();
    EXPECT_GT(client.pieces(), 20000u / 700);
    EXPECT_TRUE(alive(pair)); /* at once: the last secret is installed, the connection stands */
}

TEST(Raw, C195_ParametersThatAreNone)
{
    for (bool garbage : {true, false}) {
        SCOPED_TRACE(garbage);
        RawPair pair;
        Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
        ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, client_hello(client.params())), 0);
        pair.accept_one();
        Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
        std::string params = params_in(server.take(QUIC_CRYPTO_INITIAL));
        /* initial_source_connection_id (0x0f) is not that of the wire: RFC 9000 7.3 */
        params = garbage ? std::string(50, '\xff') : std::string("\x0f\x04wxyz", 6);
        EXPECT_ERRNO(EINVAL, server.set_params(params));
        EXPECT_TRUE(poll_for(pair.client, POLLHUP)); /* is told */
        EXPECT_TRUE(poll_for(pair.server, POLLHUP));
    }
}

TEST(Raw, C198_BuiltInOnTheOtherSide)
{
    /* The client's script is no TLS: the built-in one refuses it with an alert, and both sides end. */
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, client_hello(client.params())), 0);
    pair.accept_one();
    EXPECT_EQ(-EPROTO, quic_server_handshake(pair.server, key_file(), cert_file()));
    EXPECT_TRUE(poll_for(pair.client, POLLHUP));
}
