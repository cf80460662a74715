/* What TLS says after the handshake (RFC 9001 4.4, 4.8, 6): of the built-in one, and of one outside. */
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <set>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/script.h"

using namespace compat;

/* RFC 8446 4.6.1: a server may give several, one after the other; the last one is what is kept. */
TEST(Late, SeveralTickets)
{
    Pair pair = make_pair();
    std::set<std::string> seen;
    for (char c : {'a', 'b', 'c'}) {
        const std::string ticket =
            std::string("\0\0\2\0age!\1", 9) + c + u16(200) + std::string(200, c) + u16(0);
        ASSERT_GT(send_crypto(pair.server, QUIC_CRYPTO_APP, tls_message(4, ticket)), 0)
            << strerror(errno);
        std::string kept;
        for (int i = 0; i < 500 && kept.find(std::string(200, c)) == std::string::npos; i++) {
            usleep(10000);
            kept = get_bytes(pair.client, QUIC_SOCKOPT_SESSION_TICKET);
        }
        EXPECT_NE(kept.find(std::string(200, c)), std::string::npos) << c;
        seen.insert(kept);
    }
    EXPECT_EQ(3u, seen.size());
    EXPECT_TRUE(alive(pair));
}

/* RFC 9001 6, 4.8: behind the first ticket, too. */
TEST(Late, ATlsErrorAfterTheHandshake)
{
    const struct {
        std::string said;
        uint32_t error;
    } cases[] = {{tls_message(24, std::string(1, '\0')), 0x10a},
                 {tls_message(13, "request"), 0x0a},
                 {tls_message(4, "no ticket"), 0x100 + 50},
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
            quic_connection_close told = {};
            socklen_t len = sizeof(told);
            ASSERT_EQ(0, getsockopt(server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &told, &len));
            EXPECT_EQ(c.error, told.errcode);
        }
    }
}

/* The server's thread is often the faster one: what it says is there while the client's is still in its handshake call,
 * or comes just then. */
TEST(Late, WhatComesBeforeTheClientAsks)
{
    const std::string ticket = tls_message(4, std::string("\0\0\2\0age!\1n", 10) + u16(200) +
                                                  std::string(200, 'f') + u16(0));
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
        EXPECT_GT(send_crypto(server, QUIC_CRYPTO_APP, ticket), 0);
        if (wrong) {
            EXPECT_GT(send_crypto(server, QUIC_CRYPTO_APP, tls_message(24, std::string(1, '\0'))),
                      0);
        }
        other.join();
        if (wrong) {
            ASSERT_TRUE(poll_for(server, POLLHUP));
            quic_connection_close told = {};
            socklen_t len = sizeof(told);
            ASSERT_EQ(0, getsockopt(server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &told, &len));
            EXPECT_EQ(0x10au, told.errcode);
            continue;
        }
        EXPECT_EQ(0, of_client);
        std::string kept;
        for (int k = 0; k < 500 && kept.find(std::string(200, 'f')) == std::string::npos; k++) {
            usleep(10000);
            kept = get_bytes(client, QUIC_SOCKOPT_SESSION_TICKET);
        }
        EXPECT_NE(kept.find(std::string(200, 'f')), std::string::npos);
    }
}

/* A client's ends it, too. */
TEST(Late, AClientSaysNothingAfterTheHandshake)
{
    Pair pair = make_pair();
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_APP, tls_message(24, std::string(1, '\0'))), 0);
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    quic_connection_close told = {};
    socklen_t len = sizeof(told);
    ASSERT_EQ(0, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &told, &len));
    EXPECT_EQ(0x10au, told.errcode);
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
            Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
            std::thread other([&] { run_client(&client); });
            pair.accept_one();
            Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
            run_server(&server);
            other.join();
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
