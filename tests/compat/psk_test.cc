/* Pre-shared keys: quic_*_handshake with a file of them, quic_*_handshake_parms with them (draft sections 3.2.2
 * and 3.2.3). */
#include <cerrno>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/compat/gnutls_keys.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

const char kKey1[] = "1f05db5a1f8c3e6f1e8d5c36b7a2d10443d6ecc1ba19f0bf75b8e1cb2a1d5f60";
const char kKey2[] = "a3c5e1d2f4b60718293a4b5c6d7e8f901a2b3c4d5e6f708192a3b4c5d6e7f801";

std::string file_with(const std::string &name, const std::string &text)
{
    std::string path = scratch(name);
    std::ofstream(path) << text;
    return path;
}

std::string line_of(const std::string &identity, const std::string &key)
{
    return identity + ":" + key + "\n";
}

Side client_with(const std::string &path)
{
    return [=](int fd) { return quic_client_handshake(fd, path.c_str(), nullptr); };
}

Side server_with(const std::string &path)
{
    return [=](int fd) { return quic_server_handshake(fd, path.c_str(), nullptr); };
}

/* Pre-shared keys as parms: of one byte each, to have them easily. */
void add_key(Parms *parms, char *identity, std::string *key)
{
    quic_handshake_parms *p = parms->get();
    p->names[p->num_keys] = identity;
    p->keys[p->num_keys].data = reinterpret_cast<unsigned char *>(&(*key)[0]);
    p->keys[p->num_keys].size = static_cast<unsigned>(key->size());
    p->num_keys++;
}

char test1[] = "test1";
char test2[] = "test2";

} // namespace

TEST(Psk, C186_Files)
{
    const std::string at_server =
        file_with("server.psk", line_of("test2", kKey2) + line_of("test1", kKey1));
    const std::string at_client = file_with("client.psk", line_of("test1", kKey1));
    Shaken shaken(client_with(at_client), server_with(at_server));
    EXPECT_EQ(0, shaken.client_rc);
    EXPECT_EQ(0, shaken.server_rc);
    EXPECT_TRUE(shaken.works());
}

TEST(Psk, C186_TheIdentityIsTold)
{
    std::string one(32, '1');
    std::string two(32, '2');
    for (uint32_t cipher :
         {uint32_t{0}, uint32_t{TLS_CIPHER_AES_CCM_128}, uint32_t{TLS_CIPHER_CHACHA20_POLY1305}}) {
        SCOPED_TRACE(cipher);
        Parms client;
        Parms server;
        add_key(&server, test2, &two);
        add_key(&server, test1, &one);
        add_key(&client, test1, &one);
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server), [&](int fd) {
            quic_transport_param param = {};
            param.payload_cipher_type = cipher;
            ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        });
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_STREQ("test1", client->peername);
        EXPECT_STREQ("test1", server->peername);
        EXPECT_TRUE(shaken.works());
    }
}

/* Who resumes shows no key again (RFC 8446 2.2): a session is one of the identity it began with. */
TEST(Psk, C201_ATicketOfAnIdentityThatIsNoMore)
{
    std::string one(32, '1');
    std::string wrong(32, 'w');
    std::string ticket;
    const auto attempt = [&](char *at_server, std::string *at_client) {
        Parms client;
        Parms server;
        add_key(&client, test1, at_client);
        add_key(&server, at_server, &one);
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server), nullptr, [&](int fd) {
            quic_transport_param param = {};
            param.receive_session_ticket = ticket.empty() ? 1 : 0;
            ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
            if (!ticket.empty()) {
                ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, ticket.data(),
                                        static_cast<socklen_t>(ticket.size())));
            }
        });
        if (ticket.empty()) {
            ticket = get_bytes(shaken.client, QUIC_SOCKOPT_SESSION_TICKET);
        }
        return shaken.client_rc;
    };
    ASSERT_EQ(0, attempt(test1, &one));
    ASSERT_GT(ticket.size(), 100u);
    EXPECT_EQ(0, attempt(test1, &wrong)) << "the ticket is enough";
    EXPECT_EQ(-EPROTO, attempt(test2, &one)) << "nobody has this name any more";
}

/* What stands in a file is the key. */
TEST(Psk, C188_AFileAgainstBytes)
{
    std::string bytes("\x01\x23\x45\x67\x89\xab\xcd\xef\xff\x80\x7f\x00\x10\x08\xf0\x0f", 16);
    const std::string path =
        file_with("bytes.psk", line_of("test1", "0123456789abcdefff807f001008f00f"));
    Parms server;
    add_key(&server, test1, &bytes);
    Shaken shaken(client_with(path), by_gnutls_server(&server));
    EXPECT_EQ(0, shaken.client_rc);
    EXPECT_EQ(0, shaken.server_rc);
    EXPECT_TRUE(shaken.works());
}

TEST(Psk, C187_UnknownOrWrong)
{
    std::string one(32, '1');
    std::string two(32, '2');
    for (bool unknown : {true, false}) {
        SCOPED_TRACE(unknown);
        Parms client;
        Parms server;
        add_key(&server, test2, &two);
        add_key(&client, unknown ? test1 : test2, &one);
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server));
        EXPECT_EQ(-EPROTO, shaken.client_rc);
        EXPECT_EQ(-EPROTO, shaken.server_rc);
        EXPECT_EQ(nullptr, client->peername);
        EXPECT_EQ(nullptr, server->peername);
    }
}

/* A client with a certificate in mind meets a server of pre-shared keys, and the other way round. */
TEST(Psk, C187_TheOtherSideHasCertificates)
{
    Identity identity("server.test");
    Trust trust({identity.cert});
    std::string one(32, '1');
    Parms psk;
    add_key(&psk, test1, &one);
    Parms plain;
    Shaken first(by_gnutls_client(&plain), by_gnutls_server(&psk));
    EXPECT_LT(first.client_rc, 0);
    EXPECT_LT(first.server_rc, 0);
    Parms psk1;
    add_key(&psk1, test1, &one);
    Shaken second(by_gnutls_client(&psk1), by_files_server(identity));
    EXPECT_LT(second.client_rc, 0);
    EXPECT_LT(second.server_rc, 0);
}

TEST(Psk, C188_WhatAFileMayHold)
{
    const std::string good = line_of("test1", kKey1);
    const std::string unended = good.substr(0, good.size() - 1);
    std::string many;
    for (int i = 0; i < 9; i++) {
        many += line_of("other" + std::to_string(i), kKey2);
    }
    std::string huge = many + good;
    while (huge.size() < 8 << 20) {
        huge += line_of("more" + std::to_string(huge.size()), kKey2);
    }
    std::string upper = good;
    for (char &c : upper) {
        c = c >= 'a' && c <= 'f' && &c - &upper[0] > 6 ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const std::string at_client = file_with("good.psk", good);
    const std::string fine[] = {good,
                                unended,
                                "\n\n" + good + "\n",
                                "test1:" + std::string(kKey1) + "\r\n",
                                upper,
                                many + good,
                                many + good + "not read any more",
                                huge,
                                line_of("with:colon", kKey2) + good,
                                good + line_of("test1", kKey2)};
    int n = 0;
    for (const std::string &text : fine) {
        SCOPED_TRACE(n++);
        Shaken shaken(client_with(at_client), server_with(file_with("fine.psk", text)));
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ(0, shaken.client_rc);
    }
    many += line_of("tenth", kKey2);
    Shaken beyond(client_with(at_client), server_with(file_with("many.psk", many + good)));
    EXPECT_EQ(-EPROTO, beyond.server_rc) << "the eleventh is not known";
}

TEST(Psk, C188_WhatAFileMayNotHold)
{
    const std::string bad[] = {"",
                               "\n",
                               "test1\n",
                               "test1:\n",
                               ":" + std::string(kKey1) + "\n",
                               line_of("test1", std::string(kKey1) + "f"),
                               line_of("test1", "xyz0"),
                               line_of("test1", "12 34"),
                               line_of("test1", "0x1234"),
                               line_of(std::string(2000, 'n'), kKey1),
                               line_of("test1", std::string(4000, 'a')),
                               std::string(100000, 'a'),
                               std::string("te\0st1:12\n", 10),
                               std::string(5000, '\0'),
                               "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                               line_of("test1", kKey1) + "rest of a line\n"};
    Fd listen_fd = listener();
    Address to = name_of(listen_fd);
    int n = 0;
    for (const std::string &text : bad) {
        SCOPED_TRACE(n++);
        Fd client = quic_socket();
        ASSERT_EQ(0, connect(client, to.ptr(), to.len));
        const std::string path = file_with("bad.psk", text);
        errno = 0;
        EXPECT_EQ(-EINVAL, quic_client_handshake(client, path.c_str(), nullptr));
        EXPECT_EQ(EINVAL, errno);
        EXPECT_EQ(-EINVAL, quic_server_handshake(client, path.c_str(), nullptr));
    }
    Fd client = quic_socket();
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    EXPECT_EQ(-ENOENT, quic_client_handshake(client, scratch("nowhere").c_str(), nullptr));
    EXPECT_EQ(-EISDIR, quic_client_handshake(client, "/", nullptr));
    EXPECT_EQ(-EINVAL, quic_client_handshake(client, "/dev/zero", nullptr));
    EXPECT_EQ(-EINVAL, quic_client_handshake(client, "/dev/null", nullptr));
    const std::string good = file_with("good.psk", line_of("test1", kKey1));
    EXPECT_EQ(-EINVAL, quic_server_handshake(client, good.c_str(), nullptr)) << "it is a client";
    EXPECT_EQ(-EINVAL, quic_server_handshake(client, nullptr, nullptr));
    EXPECT_EQ(-EBADF, quic_client_handshake(-1, good.c_str(), nullptr));
}
