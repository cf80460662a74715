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
#include "tests/compat/identity.h"
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

/* A client's socket and the listener that it is connected to. */
struct Sockets : Pair {
    Sockets()
    {
        listen.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
        client.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
    }
    void open()
    {
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, bind(listen, reinterpret_cast<sockaddr *>(&at), len));
        EXPECT_EQ(0, ::listen(listen, 4));
        EXPECT_EQ(0, getsockname(listen, reinterpret_cast<sockaddr *>(&at), &len));
        EXPECT_EQ(0, connect(client, reinterpret_cast<sockaddr *>(&at), len));
    }
};

/* Two sockets after a handshake with the key of the file. */
struct PskPair : Sockets {
    int client_rc = 1;
    int server_rc = 1;
    PskPair(const char *client_alpns, const char *server_alpns, uint32_t cipher = 0)
    {
        quic_config config = {};
        config.payload_cipher_type = cipher;
        EXPECT_EQ(0, setsockopt(listen, SOL_QUIC, QUIC_SOCKOPT_CONFIG, &config, sizeof(config)));
        config.payload_cipher_type = 0;
        config.receive_session_ticket = 1;
        EXPECT_EQ(0, setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_CONFIG, &config, sizeof(config)));
        open();
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

/* A session of gnutls, as the latest revision of the draft makes one in its Appendix C. */
class Session
{
  public:
    explicit Session(unsigned flags)
    {
        gnutls_certificate_allocate_credentials(&creds_);
        EXPECT_EQ(0, gnutls_init(&session_, flags | GNUTLS_NO_END_OF_EARLY_DATA));
        EXPECT_EQ(0, gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, creds_));
        EXPECT_EQ(0, gnutls_priority_set_direct(session_, QUIC_PRIORITY, nullptr));
    }
    ~Session()
    {
        gnutls_deinit(session_);
        gnutls_certificate_free_credentials(creds_);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    operator gnutls_session_t() const
    {
        return session_;
    }
    void serves(int fd) /* which gives the key for tickets */
    {
        unsigned char key[64];
        socklen_t len = sizeof(key);
        EXPECT_EQ(0, gnutls_certificate_set_x509_key_file(creds_, compat::cert_file(),
                                                          compat::key_file(), GNUTLS_X509_FMT_PEM));
        ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, key, &len));
        const gnutls_datum_t from = {key, len};
        EXPECT_EQ(0, gnutls_session_ticket_enable_server(session_, &from));
    }

  private:
    gnutls_session_t session_ = nullptr;
    gnutls_certificate_credentials_t creds_ = nullptr;
};

/* Accepts the server's end; then both have shaken hands. */
void shake(Sockets &pair, Session &client, Session &server)
{
    int client_rc = 1;
    std::thread other([&] {
        gnutls_transport_set_int(client, pair.client);
        client_rc = quic_handshake(client);
    });
    pair.server.reset(accept(pair.listen, nullptr, nullptr));
    server.serves(pair.server);
    gnutls_transport_set_int(server, pair.server);
    EXPECT_EQ(0, quic_handshake(server));
    other.join();
    ASSERT_EQ(0, client_rc);
}

TEST(GnutlsKernel, ASessionOfTheProgramsOwn)
{
    char kept[4096];
    size_t kept_len = 0;
    for (bool again : {false, true}) {
        SCOPED_TRACE(again);
        Session client(GNUTLS_CLIENT);
        Session server(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
        Sockets pair;
        pair.open();
        EXPECT_EQ(0, quic_session_set_alpn(client, "one, two", 8));
        EXPECT_EQ(0, quic_session_set_alpn(server, "two", 3));
        EXPECT_EQ(-EINVAL, quic_session_set_alpn(server, " ,", 2));
        if (again) {
            ASSERT_EQ(0, quic_session_set_data(client, kept, kept_len));
        }
        ASSERT_NO_FATAL_FAILURE(shake(pair, client, server));
        EXPECT_EQ(again ? 1 : 0, gnutls_session_is_resumed(client));
        char name[8];
        size_t len = 2;
        EXPECT_EQ(-EMSGSIZE, quic_session_get_alpn(client, name, &len));
        len = sizeof(name);
        ASSERT_EQ(0, quic_session_get_alpn(client, name, &len));
        EXPECT_EQ("two", std::string(name, len));
        for (int i = 0; i < 1000 && kept_len == 0; i++) { /* it comes when it comes */
            kept_len = sizeof(kept);
            ASSERT_EQ(0, quic_session_get_data(client, kept, &kept_len));
            usleep(kept_len == 0 ? 5000 : 0);
        }
        EXPECT_GT(kept_len, 64u);
    }
}

/* The option is a server's key for tickets, and may be what a client's program has set. */
TEST(GnutlsKernel, WhatIsNoTicket)
{
    Session client(GNUTLS_CLIENT);
    Session server(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
    Sockets pair;
    pair.open();
    ASSERT_NO_FATAL_FAILURE(shake(pair, client, server));
    char kept[4096];
    size_t len = sizeof(kept);
    EXPECT_EQ(0, quic_session_get_data(server, kept, &len));
    EXPECT_EQ(0u, len);
    const std::string other = "QGT1" + std::string(200, 'x'); /* instead of any that comes */
    ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, other.data(),
                            static_cast<socklen_t>(other.size())));
    len = sizeof(kept);
    EXPECT_EQ(0, quic_session_get_data(client, kept, &len));
    EXPECT_EQ(0u, len);
}

TEST(GnutlsKernel, NoSession)
{
    char bytes[8] = "one";
    size_t len = sizeof(bytes);
    EXPECT_EQ(-EINVAL, quic_session_set_alpn(nullptr, bytes, 3));
    EXPECT_EQ(-EINVAL, quic_session_get_alpn(nullptr, bytes, &len));
    EXPECT_EQ(-EINVAL, quic_session_set_data(nullptr, bytes, 3));
    EXPECT_EQ(-EINVAL, quic_session_get_data(nullptr, bytes, &len));
    EXPECT_EQ(EINVAL, errno);
}

/* Both sessions allow early data, which gnutls takes only with a register of what it has seen. Without the limits of
 * the server nothing is sent early; and under smaller ones, in the last round, nothing is taken (RFC 9000 7.4.1). */
TEST(GnutlsKernel, EarlyDataOfAProgramsSessions)
{
    char kept[4096];
    size_t kept_len = 0;
    quic_transport_param limits = {};
    const unsigned both = GNUTLS_ENABLE_EARLY_DATA;
    for (int round = 0; round < 4; round++) {
        SCOPED_TRACE(round);
        Session client(GNUTLS_CLIENT | both);
        Session server(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET | both);
        Sockets pair;
        if (round == 3) {
            quic_transport_param fewer = {};
            fewer.max_streams_bidi = 50;
            ASSERT_EQ(0, setsockopt(pair.listen, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &fewer,
                                    sizeof(fewer)));
        }
        pair.open();
        EXPECT_EQ(0, gnutls_record_set_max_early_data_size(server, 0xffffffffu));
        EXPECT_EQ(0, quic_session_set_alpn(client, "one", 3));
        EXPECT_EQ(0, quic_session_set_alpn(server, "one", 3));
        if (round > 0) {
            ASSERT_EQ(0, quic_session_set_data(client, kept, kept_len));
        }
        if (round >= 2) {
            usleep(1100000); /* a ticket that is older than it says is not good for it */
            ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &limits,
                                    sizeof(limits)));
            ASSERT_EQ(5, quic_sendmsg(pair.client, "early", 5, 0,
                                      MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
        }
        ASSERT_NO_FATAL_FAILURE(shake(pair, client, server));
        EXPECT_EQ(round > 0 ? 1 : 0, gnutls_session_is_resumed(client));
        if (round >= 2) {
            char data[8];
            EXPECT_EQ(round == 2,
                      (gnutls_session_get_flags(client) & GNUTLS_SFLAGS_EARLY_DATA) != 0);
            ASSERT_EQ(5, recv(pair.server, data, sizeof(data), 0));
        }
        kept_len = 0;
        for (int i = 0; i < 1000 && kept_len == 0; i++) {
            kept_len = sizeof(kept);
            ASSERT_EQ(0, quic_session_get_data(client, kept, &kept_len));
            usleep(kept_len == 0 ? 5000 : 0);
        }
        limits.remote = 1;
        socklen_t len = sizeof(limits);
        ASSERT_EQ(0,
                  getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &limits, &len));
    }
}

TEST(GnutlsKernel, C153_NoProtocolInCommon)
{
    PskPair pair("one", "two");
    EXPECT_EQ(-EPROTO, pair.server_rc);
    EXPECT_EQ(-EPROTO, pair.client_rc);
}
