/* Handshakes by gnutls on sockets of protocol 261, by today's names. */
#define QUIC_SOCKET_API 2
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <netinet/quic.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/authority.h"
#include "tests/compat/kernel_fixture.h"

using namespace kernel;

namespace
{

std::string keys()
{
    static const std::string path = [] {
        std::string at = compat::scratch("kernel.psk");
        std::ofstream(at) << "someone:00112233445566778899aabbccddeeff\n";
        return at;
    }();
    return path;
}

/* Two sockets after a handshake with the key of the file. */
struct PskPair : Pair {
    int client_rc = 1;
    int server_rc = 1;
    PskPair(const char *client_alpns, const char *server_alpns, uint32_t cipher = 0)
    {
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listen.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
        client.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
        quic_config config = {};
        config.payload_cipher_type = cipher;
        EXPECT_EQ(0, setsockopt(listen, SOL_QUIC, QUIC_SOCKOPT_CONFIG, &config, sizeof(config)));
        config.payload_cipher_type = 0;
        config.receive_session_ticket = 1;
        EXPECT_EQ(0, setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_CONFIG, &config, sizeof(config)));
        EXPECT_EQ(0, bind(listen, reinterpret_cast<sockaddr *>(&at), len));
        EXPECT_EQ(0, ::listen(listen, 4));
        EXPECT_EQ(0, getsockname(listen, reinterpret_cast<sockaddr *>(&at), &len));
        EXPECT_EQ(0, connect(client, reinterpret_cast<sockaddr *>(&at), len));
        std::thread other([&] {
            client_rc = quic_client_handshake(client, keys().c_str(), nullptr, client_alpns);
        });
        server.reset(accept(listen, nullptr, nullptr));
        server_rc = quic_server_handshake(server, keys().c_str(), nullptr, server_alpns);
        other.join();
    }
};

std::string option(int fd, int name)
{
    char buf[4096];
    socklen_t len = sizeof(buf);
    return getsockopt(fd, SOL_QUIC, name, buf, &len) == 0 ? std::string(buf, len) : "";
}

} // namespace

TEST(GnutlsKernel, C186_PreSharedKeys)
{
    for (uint32_t cipher : {0, TLS_CIPHER_AES_CCM_128}) {
        SCOPED_TRACE(cipher);
        PskPair pair("one,two", "two", cipher);
        EXPECT_EQ(0, pair.client_rc);
        EXPECT_EQ(0, pair.server_rc);
        EXPECT_EQ("two", option(pair.client, QUIC_SOCKOPT_ALPN));
        EXPECT_EQ("two", option(pair.server, QUIC_SOCKOPT_ALPN));
        ASSERT_EQ(5, quic_sendmsg(pair.client, "hello", 5, -1,
                                  MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
        char buf[16];
        int64_t id = -1;
        uint32_t flags = 0;
        ASSERT_EQ(5, quic_recvmsg(pair.server, buf, sizeof(buf), &id, &flags));
        EXPECT_EQ("hello", std::string(buf, 5));
    }
}

/* The option has a session of the TLS library when the call returns, not the server's message. */
TEST(GnutlsKernel, C199_TheTicketIsThere)
{
    PskPair pair(nullptr, nullptr);
    ASSERT_EQ(0, pair.client_rc);
    const std::string session = option(pair.client, QUIC_SOCKOPT_SESSION_TICKET);
    EXPECT_GT(session.size(), 64u);
    EXPECT_GT(option(pair.client, QUIC_SOCKOPT_TOKEN).size(), 0u);
}

TEST(GnutlsKernel, C153_NoProtocolInCommon)
{
    PskPair pair("one", "two");
    EXPECT_EQ(-EPROTO, pair.server_rc);
    EXPECT_EQ(-EPROTO, pair.client_rc);
}
