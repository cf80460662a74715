/* A handshake by somebody else's TLS: messages with QUIC_HANDSHAKE_INFO, secrets and transport parameters as
 * options (draft sections 3.1.8, 4.2.2, 6.1.8, 6.1.9). What stands for TLS here is a script that exchanges
 * parameters and uses secrets everybody knows (script.h). */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/packets.h"
#include "tests/compat/relay.h"
#include "tests/compat/script.h"

using namespace compat;

TEST(Raw, C190_BytesThatAreNoTls)
{
    RawPair pair;
    pair.run_script(TLS_CIPHER_AES_GCM_128);
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
        pair.run_script(cipher);
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

/* What the server sends in Handshake packets arrives last one first, and twice. */
TEST(Raw, C193_OverAWireThatDoublesAndSwaps)
{
    Fd listen_fd = listener();
    std::mutex lock;
    std::vector<std::string> held;
    Relay relay(name_of(listen_fd));
    relay.set_filter([&](bool to_server, std::string *datagram) {
        if (to_server || packets_of(*datagram)[0].type != PacketType::kHandshake) {
            return true;
        }
        std::lock_guard<std::mutex> guard(lock);
        held.push_back(*datagram);
        return false;
    });
    std::atomic<bool> over{false};
    size_t swapped = 0;
    std::thread wire([&] {
        while (!over) {
            usleep(20000);
            std::vector<std::string> batch;
            {
                std::lock_guard<std::mutex> guard(lock);
                batch.swap(held);
            }
            swapped += batch.size() > 1 ? batch.size() : 0;
            for (int round = 0; round < 2; round++) {
                for (auto it = batch.rbegin(); it != batch.rend(); ++it) {
                    relay.to_client(*it);
                }
            }
        }
    });
    RawPair pair(relay.address(), std::move(listen_fd));
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    const std::string flight =
        pattern(10000); /* within what a client has room for (RFC 9000 7.5) */
    std::thread other([&] {
        start_client(&client);
        const std::string answer = client.take(QUIC_CRYPTO_INITIAL);
        ASSERT_EQ(0, client.set_params(answer.substr(4)));
        ASSERT_EQ(0, client.install(QUIC_CRYPTO_HANDSHAKE, false, true));
        ASSERT_EQ(0, client.install(QUIC_CRYPTO_HANDSHAKE, true, false));
        EXPECT_TRUE(client.take(QUIC_CRYPTO_HANDSHAKE).substr(4) == flight);
        end_client(&client);
    });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    start_server(&server);
    end_server(&server, tls_message(11, flight));
    other.join();
    over = true;
    wire.join();
    EXPECT_GT(swapped, 2u);
    EXPECT_TRUE(client.is_drained()) << "nothing came twice";
    EXPECT_TRUE(alive(pair));
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

/* A server may say them when it has seen who comes. */
TEST(Raw, C195_ParametersOfAnAcceptedSocket)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    std::thread other([&] { run_client(&client); });
    pair.accept_one();
    quic_transport_param param = {};
    param.max_streams_uni = 7;
    EXPECT_EQ(0, set_option(pair.server, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    run_server(&server);
    other.join();
    EXPECT_EQ(7u, params_of(pair.client, true).max_streams_uni);
    EXPECT_TRUE(alive(pair));
}

/* A server's TLS library hands over the parameters of both ClientHellos around a HelloRetryRequest. */
TEST(Raw, C195_ParametersOfASecondClientHello)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    std::thread other([&] { run_client(&client); });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    const std::string params = params_in(server.take(QUIC_CRYPTO_INITIAL));
    ASSERT_EQ(0, server.set_params(params)) << strerror(errno);
    EXPECT_EQ(0, server.set_params(params)) << strerror(errno);
    const std::string others = server.params(); /* not what the client said */
    EXPECT_ERRNO(EINVAL, server.set_params(others));
    end_server(&server, tls_message(11, std::string(100, '\2')));
    other.join();
    EXPECT_TRUE(alive(pair));
}

/* Half a ClientHello has come when the port goes: the rest meets nobody, nor who listens elsewhere by then. */
TEST(Raw, AClientHelloOutlivesItsPort)
{
    Fd listen_fd = listener();
    std::atomic<bool> answered{false};
    Relay relay(name_of(listen_fd));
    relay.set_filter([&](bool to_server, std::string *) {
        answered = answered || !to_server;
        return true;
    });
    RawPair pair(relay.address(), std::move(listen_fd));
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    const std::string hello = client_hello(client.params());
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, hello.substr(0, 50)), 0);
    for (int i = 0; i < 1000 && !answered; i++) {
        usleep(10000);
    }
    ASSERT_TRUE(answered) << "the first half is acknowledged";
    pair.listen.reset();
    usleep(
        3300000); /* ports stay for three seconds after their last socket; the next bind takes them back */
    Fd other = listener();
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, hello.substr(50)), 0);
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    EXPECT_EQ(2u, close_code(pair.client)) << "CONNECTION_REFUSED (RFC 9000 20.1)";
    EXPECT_EQ(0, poll_now(other) & POLLIN);
}

/* What the built-in TLS of a client begins with. */
static std::string built_in_hello()
{
    RawPair pair;
    std::thread other([&] { EXPECT_NE(0, quic_client_handshake(pair.client, nullptr, nullptr)); });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    std::string hello = server.take(QUIC_CRYPTO_INITIAL);
    pair.server.reset();
    other.join();
    return hello;
}

/* quic_server_handshake(3): ECONNRESET, the peer closed the connection. */
TEST(Raw, AClientThatHasGoneBeforeItsHelloWasRead)
{
    const std::string hello = built_in_hello();
    RawPair pair;
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, hello), 0);
    pair.accept_one();
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    EXPECT_EQ(-ECONNRESET, quic_server_handshake(pair.server, key_file(), cert_file()));
}

/* RFC 9001 4.1.3: the built-in TLS of a server, and a byte behind a ClientHello. */
TEST(Raw, BytesBehindTheLastMessageOfALevel)
{
    const std::string hello = built_in_hello();
    RawPair pair;
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, hello + "x"), 0);
    pair.accept_one();
    EXPECT_EQ(-EPROTO, quic_server_handshake(pair.server, key_file(), cert_file()));
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    EXPECT_EQ(0x0au, close_code(pair.client));
}

/* Tickets to a program that asked for them and takes none, until the connection is closed: the code, and how many
 * there were. */
static uint32_t flood_with_tls(int *sent)
{
    constexpr int kMost = 1000; /* of 4000 bytes each */
    const int least = 4096;
    RawPair pair;
    want_tickets(pair.client, true);
    pair.run_script(TLS_CIPHER_AES_GCM_128);
    EXPECT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)));
    const std::string ticket = std::string("\x04\x00\x0f\xa0", 4) + std::string(4000, 't');
    *sent = 0;
    while (*sent < kMost && send_crypto(pair.server, QUIC_CRYPTO_APP, ticket) > 0) {
        ++*sent;
        usleep(2000);
    }
    EXPECT_LT(*sent, kMost) << "as many as the server likes";
    EXPECT_TRUE(poll_for(pair.server, POLLHUP));
    return close_code(pair.server);
}

/* RFC 9000 7.5: what waits of TLS messages is bounded, and who sends more is not served any longer. */
TEST(Raw, H097_TlsMessagesThatNobodyTakes)
{
    constexpr uint32_t kBufferExceeded =
        0x0d; /* RFC 9000 20.1: too much came at once, for the engine */
    uint32_t code = kBufferExceeded;
    int sent = 0;
    for (int i = 0; i < 5 && code == kBufferExceeded;
         i++) { /* again, when this machine stood still */
        code = flood_with_tls(&sent);
    }
    EXPECT_EQ(1u, code) << "the socket's bound";
    EXPECT_GT(sent, 50) << "what a handshake may need";
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
