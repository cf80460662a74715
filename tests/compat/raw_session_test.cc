/* What a raw handshake leaves for later: 0-RTT, and tickets (draft sections 6.1.6 and 6.1.7; RFC 9001 4.6). */
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/script.h"
#include "tests/compat/watched.h"

using namespace compat;

namespace
{

constexpr size_t kEarlyBytes = 8000;

/* RFC 8446 4.3.1, 4.2.10: EncryptedExtensions with or without early_data. */
std::string encrypted_extensions(bool takes_early)
{
    const std::string extensions =
        extension(16, std::string("\0\5\4test", 7)) + (takes_early ? extension(42, "") : "");
    return tls_message(8, u16(extensions.size()) + extensions);
}

void remember(int fd)
{
    quic_transport_param remembered = params_of(fd);
    remembered.remote = 1;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, remembered));
}

bool has_nothing(int fd)
{
    char c;
    errno = 0;
    return recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

/* A client that has sent data in 0-RTT packets, and a server that has not begun yet. */
struct EarlyPair {
    EarlyPair()
    {
        remember(pair.client);
        start_client(&client);
        EXPECT_EQ(0, client.install(QUIC_CRYPTO_EARLY, true, false)) << strerror(errno);
        EXPECT_EQ(static_cast<ssize_t>(data.size()),
                  send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
        pair.accept_one();
    }
    /* Until the server has had time to take all of it. */
    void pass_data()
    {
        for (int i = 0; i < 500 && wire.bytes(PacketType::kEarly) < kEarlyBytes; i++) {
            usleep(10000);
        }
        EXPECT_GE(wire.bytes(PacketType::kEarly), kEarlyBytes);
        usleep(50000);
    }

    Fd listening = listener();
    Watched wire{listening};
    RawPair pair{wire.address(), std::move(listening)};
    Raw client{pair.client, TLS_CIPHER_AES_GCM_128};
    const std::string data = pattern(kEarlyBytes);
};

} // namespace

/* The server has the data when the handshake is complete and not before; what the answer says decides whether the
 * client sends it again. */
TEST(RawSession, C196_EarlySecrets)
{
    for (bool taken : {true, false}) {
        SCOPED_TRACE(taken);
        EarlyPair early;
        Raw server(early.pair.server, TLS_CIPHER_AES_GCM_128);
        start_server(&server);
        ASSERT_EQ(0, server.install(QUIC_CRYPTO_EARLY, false, false));
        early.pass_data();
        EXPECT_FALSE(poll_now(early.pair.server) & POLLIN)
            << "not before the client has proved itself";
        std::thread other([&] {
            const std::string answer = early.client.take(QUIC_CRYPTO_INITIAL);
            ASSERT_EQ(0, early.client.install(QUIC_CRYPTO_HANDSHAKE, false, true));
            ASSERT_EQ(0, early.client.install(QUIC_CRYPTO_HANDSHAKE, true, false));
            EXPECT_EQ(encrypted_extensions(taken), early.client.take(QUIC_CRYPTO_HANDSHAKE));
            ASSERT_EQ(0, early.client.set_params(answer.substr(4))) << strerror(errno);
            end_client(&early.client);
        });
        end_server(&server, encrypted_extensions(taken));
        other.join();
        EXPECT_TRUE(read_bytes(early.pair.server, early.data.size()) == early.data);
        Message end = receive(early.pair.server, MSG_DONTWAIT);
        EXPECT_TRUE(end.rc <= 0) << "nothing comes twice";
        EXPECT_TRUE(alive(early.pair));
        EXPECT_EQ(taken, early.wire.bytes_to_server(PacketType::kShort) < kEarlyBytes);
    }
}

/* Nothing tells a TLS library to ask for our parameters, or to hand over the peer's, before it has that secret. */
TEST(RawSession, C196_EarlySecretsBeforeParameters)
{
    EarlyPair early;
    Raw server(early.pair.server, TLS_CIPHER_AES_GCM_128);
    const std::string hello = server.take(QUIC_CRYPTO_INITIAL);
    ASSERT_EQ(0, server.install(QUIC_CRYPTO_EARLY, false, false));
    early.pass_data();
    EXPECT_NE("", server.params());
    ASSERT_EQ(0, server.set_params(params_in(hello))) << strerror(errno);
    std::thread other([&] {
        const std::string answer = early.client.take(QUIC_CRYPTO_INITIAL);
        ASSERT_EQ(0, early.client.install(QUIC_CRYPTO_HANDSHAKE, false, true));
        ASSERT_EQ(0, early.client.install(QUIC_CRYPTO_HANDSHAKE, true, false));
        EXPECT_EQ(encrypted_extensions(true), early.client.take(QUIC_CRYPTO_HANDSHAKE));
        ASSERT_EQ(0, early.client.set_params(answer.substr(4))) << strerror(errno);
        end_client(&early.client);
    });
    end_server(&server, encrypted_extensions(true));
    other.join();
    EXPECT_TRUE(read_bytes(early.pair.server, early.data.size()) == early.data);
    EXPECT_TRUE(alive(early.pair));
}

TEST(RawSession, C196_NothingIsRemembered)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    EXPECT_ERRNO(EINVAL, client.install(QUIC_CRYPTO_EARLY, true, false));
    remember(pair.client);
    EXPECT_EQ(0, client.install(QUIC_CRYPTO_EARLY, true, false)) << strerror(errno);
    EXPECT_ERRNO(EINVAL, client.install(QUIC_CRYPTO_EARLY, true, false)); /* once */
}

/* Who asked for tickets has to take them; who did not is not bothered by them. */
TEST(RawSession, C197_TicketsAfterwards)
{
    const std::string ticket = tls_message(4, std::string(300, 't'));
    for (bool wanted : {true, false}) {
        SCOPED_TRACE(wanted);
        RawPair pair;
        want_tickets(pair.client, wanted);
        pair.run_script(TLS_CIPHER_AES_GCM_128);
        ASSERT_EQ(2,
                  send(pair.server, "x1", 2, MSG_SYN | MSG_FIN)); /* a message goes before data */
        ASSERT_EQ(static_cast<ssize_t>(ticket.size()),
                  send_crypto(pair.server, QUIC_CRYPTO_APP, ticket));
        if (wanted) {
            ASSERT_TRUE(poll_for(pair.client, POLLIN));
            usleep(200000);
            Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
            EXPECT_EQ(ticket, client.take(QUIC_CRYPTO_APP));
        }
        EXPECT_EQ("x1", read_bytes(pair.client, 2));
        ASSERT_EQ(0,
                  setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, "made of it", 10));
        ASSERT_EQ(static_cast<ssize_t>(ticket.size()), /* one too many */
                  send_crypto(pair.server, QUIC_CRYPTO_APP, ticket));
        ASSERT_EQ(2, send(pair.server, "x2", 2, MSG_SYN | MSG_FIN));
        EXPECT_EQ("x2", read_bytes(pair.client, 2));
        EXPECT_TRUE(has_nothing(pair.client));
        EXPECT_EQ("made of it", get_bytes(pair.client, QUIC_SOCKOPT_SESSION_TICKET));
    }
}

/* In the kernel's layout a ticket becomes an event and the option's value; one that is too large is not there. */
TEST(RawSession, C197_TicketsInTheKernelsLayout)
{
    for (size_t len : {size_t{300}, size_t{4092}, size_t{4093}, size_t{9000}}) {
        SCOPED_TRACE(len);
        const std::string ticket = tls_message(4, std::string(len, 't'));
        RawPair pair(261);
        enable(pair.client, 9); /* QUIC_EVENT_NEW_SESSION_TICKET there */
        pair.run_script(TLS_CIPHER_AES_GCM_128);
        ASSERT_EQ(static_cast<ssize_t>(ticket.size()),
                  send_crypto(pair.server, QUIC_CRYPTO_APP, ticket));
        if (ticket.size() <= 4096) {
            Message event = next_event(pair.client, 9);
            EXPECT_EQ(ticket, event.bytes.substr(1));
            EXPECT_EQ(ticket, get_bytes(pair.client, 12));
        } else {
            ASSERT_EQ(2, send(pair.server, "x1", 2, MSG_SYN | MSG_FIN));
            EXPECT_EQ("x1", read_bytes(pair.client, 2));
            usleep(50000);
            EXPECT_TRUE(has_nothing(pair.client));
            EXPECT_EQ("", get_bytes(pair.client, 12));
        }
    }
}

/* RFC 9001 4.8: an alert of the TLS library outside goes out as the error it stands for. */
TEST(RawSession, AnAlertIsAConnectionError)
{
    for (bool by_shutdown : {true, false}) {
        SCOPED_TRACE(by_shutdown);
        RawPair pair;
        Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
        start_client(&client);
        pair.accept_one();
        struct {
            quic_connection_close info;
            char phrase[16];
        } close_with = {};
        close_with.info.errcode = 0x100 + 48;
        ASSERT_EQ(0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &close_with,
                                sizeof(close_with)));
        if (by_shutdown) {
            EXPECT_EQ(0, shutdown(pair.server, SHUT_WR));
        } else {
            pair.server.reset();
        }
        ASSERT_TRUE(poll_for(pair.client, POLLHUP));
        socklen_t len = sizeof(close_with);
        ASSERT_EQ(
            0, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &close_with, &len));
        EXPECT_EQ(0x100u + 48, close_with.info.errcode);
    }
}
