/* What TLS says after the handshake (RFC 9001 4.4, 4.8, 6): of the built-in one, and of one outside. */
#include <cerrno>
#include <cstring>
#include <fstream>
#include <poll.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/authority.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/script.h"

using namespace compat;

namespace
{

/* RFC 8446 4.6.1, as much of it as TLS looks at. */
std::string ticket_of(char c)
{
    return tls_message(4, std::string("\0\0\2\0age!\1", 9) + c + u16(200) + std::string(200, c) +
                              u16(0));
}

/* The built-in TLS at both ends; the server says something before it does. */
void shake(RawPair *pair, const std::string &ahead = "")
{
    const char *cert = cert_file(); /* and now the client trusts it */
    std::thread other([&] { EXPECT_EQ(0, quic_client_handshake(pair->client, nullptr, nullptr)); });
    pair->accept_one();
    if (!ahead.empty()) {
        EXPECT_GT(send_crypto(pair->server, QUIC_CRYPTO_APP, ahead), 0) << strerror(errno);
    }
    (void)quic_server_handshake(pair->server, key_file(), cert);
    other.join();
}

} // namespace

/* RFC 8446 4.6.1: a server may give several; the first one is kept, and told of. */
TEST(Late, SeveralTickets)
{
    RawPair pair(261);
    enable(pair.client, 9); /* QUIC_EVENT_NEW_SESSION_TICKET there */
    shake(&pair);
    const std::string told = next_event(pair.client, 9).bytes;
    ASSERT_GT(told.size(), 1u);
    for (char c : {'a', 'b', 'c'}) {
        ASSERT_GT(send_crypto(pair.server, QUIC_CRYPTO_APP, ticket_of(c)), 0) << strerror(errno);
    }
    ASSERT_EQ(2, send(pair.server, "x1", 2, MSG_SYN | MSG_FIN));
    EXPECT_EQ("x1", read_bytes(pair.client, 2));
    EXPECT_EQ(told.substr(1), get_bytes(pair.client, 12));
}

/* RFC 9001 4.8: that one is looked into. */
TEST(Late, ATicketThatIsNone)
{
    for (bool wanted : {true, false}) {
        SCOPED_TRACE(wanted);
        RawPair pair;
        want_tickets(pair.client, wanted);
        shake(&pair, tls_message(4, "no ticket"));
        ASSERT_TRUE(poll_for(pair.server, POLLHUP));
        EXPECT_EQ(0x100u + 50, close_code(pair.server));
    }
}

/* A client's TLS has a copy of all that the system trusts: with the first ticket it goes, or with the connection,
 * not with the socket. */
TEST(Late, WhatTlsTakesIsGivenBack)
{
    std::string many = text_of(cert_file());
    for (int i = 0; i < 60; i++) {
        many += text_of(Identity("an-authority-of-many-" + std::to_string(i)).cert);
    }
    const std::string path = scratch("many.pem");
    std::ofstream(path) << many;
    Trust trust({path});
    const std::string part = ticket_of('p').substr(0, 2) + u16(10000) + std::string(100, 'p');
    std::vector<RawPair> pairs; /* until the end: nothing of what they take is there for others */
    const int count = 20;
    for (bool over : {false, true}) {
        SCOPED_TRACE(over);
        long before = 0;
        for (int i = 0; i < 5 + count; i++) {
            before = i == 5 ? held_bytes() : before;
            pairs.emplace_back();
            shake(&pairs.back(), over ? part : "");
            if (over) {
                pairs.back().server.reset();
                ASSERT_TRUE(poll_for(pairs.back().client, POLLHUP));
            }
        }
        EXPECT_LT(held_bytes() - before, count * 130000);
    }
}

/* RFC 9001 6, 4.8: behind the first ticket, too. */
TEST(Late, ATlsErrorAfterTheHandshake)
{
    const struct {
        std::string said;
        uint32_t error;
    } cases[] = {{tls_message(24, std::string(1, '\0')), 0x10a},
                 {tls_message(13, "request"), 0x0a},
                 {tls_message(4, "not looked into") + tls_message(24, std::string(1, '\0')), 0x10a},
                 {tls_message(20, std::string(32, 'f')), 0x10a}};
    for (const auto &c : cases) {
        SCOPED_TRACE(&c - cases);
        for (bool wanted : {true, false}) {
            Fd listen_fd = listener();
            Fd client = quic_socket();
            quic_transport_param param = {};
            param.receive_session_ticket = wanted ? 1 : 0;
            ASSERT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
            Address at = name_of(listen_fd);
            ASSERT_EQ(0, connect(client, at.ptr(), at.len));
            Fd server;
            ASSERT_TRUE(handshake(listen_fd, client, &server));
            usleep(20000); /* for the ticket that a server gives by itself */
            ASSERT_GT(send_crypto(server, QUIC_CRYPTO_APP, c.said), 0) << strerror(errno);
            ASSERT_TRUE(poll_for(server, POLLHUP)) << "wanted " << wanted;
            EXPECT_EQ(c.error, close_code(server));
        }
    }
}

/* The server's thread is often the faster one: what it says is there while the client's is still in its handshake call,
 * or comes just then. */
TEST(Late, WhatComesBeforeTheClientAsks)
{
    Fd listen_fd = listener();
    Address at = name_of(listen_fd);
    for (int i = 0; i < 60; i++) {
        SCOPED_TRACE(i);
        const bool wrong = i % 2 != 0;
        Fd client = quic_socket();
        ASSERT_EQ(0, connect(client, at.ptr(), at.len));
        int of_client = -1;
        std::thread other([&] { of_client = quic_client_handshake(client, nullptr, nullptr); });
        Fd server(accept(listen_fd, nullptr, nullptr));
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
        EXPECT_GT(send_crypto(server, QUIC_CRYPTO_APP, ticket_of('f')), 0);
        if (wrong) {
            EXPECT_GT(send_crypto(server, QUIC_CRYPTO_APP, tls_message(24, std::string(1, '\0'))),
                      0);
        }
        other.join();
        if (wrong) {
            ASSERT_TRUE(poll_for(server, POLLHUP));
            EXPECT_EQ(0x10au, close_code(server));
            continue;
        }
        EXPECT_EQ(0, of_client);
        std::string kept;
        for (int k = 0; k < 500 && kept.empty(); k++) {
            usleep(10000);
            kept = get_bytes(client, QUIC_SOCKOPT_SESSION_TICKET);
        }
        EXPECT_NE("", kept);
    }
}

/* A client's ends it, too. */
TEST(Late, AClientSaysNothingAfterTheHandshake)
{
    Pair pair = make_pair();
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_APP, tls_message(24, std::string(1, '\0'))), 0);
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    EXPECT_EQ(0x10au, close_code(pair.client));
}

/* RFC 9001 4.4, 6: of a server's messages after the handshake only tickets may be, of a client's none, whoever the TLS
 * library is that gets them. */
TEST(Late, WhatMayNotBeSaidAfterTheHandshake)
{
    const std::string ticket = tls_message(4, std::string(300, 't'));
    const std::string key_update = tls_message(24, std::string(1, '\0'));
    const struct {
        std::string said;
        size_t cut; /* in two messages, 0: in one */
        bool by_server;
        uint32_t error;
    } cases[] = {
        {key_update, 0, true, 0x10a},
        {ticket + key_update, 0, true, 0x10a},
        {ticket + ticket + key_update, 306, true, 0x10a},
        {tls_message(13, "request"), 0, true, 0x0a},
        {tls_message(20, std::string(32, 'f')), 2, true, 0x10a},
        {key_update, 0, false, 0x10a},
        {ticket, 0, false, 0x10a},
    };
    for (int protocol : {288, 261}) {
        for (const auto &c : cases) {
            SCOPED_TRACE(testing::Message() << protocol << " case " << &c - cases);
            RawPair pair(protocol);
            pair.run_script(TLS_CIPHER_AES_GCM_128);
            int from = c.by_server ? pair.server : pair.client;
            size_t first = c.cut == 0 ? c.said.size() : c.cut;
            ASSERT_EQ(static_cast<ssize_t>(first),
                      send_crypto(from, QUIC_CRYPTO_APP, c.said.substr(0, first)));
            if (first < c.said.size()) {
                usleep(20000);
                (void)send_crypto(from, QUIC_CRYPTO_APP, c.said.substr(first));
            }
            ASSERT_TRUE(poll_for(from, POLLHUP));
            quic_connection_close told = {};
            socklen_t len = sizeof(told);
            ASSERT_EQ(0,
                      getsockopt(from, SOL_QUIC,
                                 protocol == 261 ? 5 : QUIC_SOCKOPT_CONNECTION_CLOSE, &told, &len));
            EXPECT_EQ(c.error, told.errcode);
        }
    }
}
