/* Tickets and 0-RTT with gnutls at one end or both (draft sections 6.1.3, 6.1.6; RFC 9001 4.6). */
#include <atomic>
#include <cerrno>
#include <fstream>
#include <poll.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

#include "tests/compat/gnutls_keys.h"
#include "tests/compat/message.h"
#include "tests/compat/script.h"
#include "tests/compat/watched.h"

using namespace compat;

namespace
{

const Identity &server_identity()
{
    static const Identity identity("server.test");
    return identity;
}

/* Who does TLS at the client and at the server. */
struct Libraries {
    bool gnutls_client;
    bool gnutls_server;
};
constexpr Libraries kAll[] = {{true, true}, {true, false}, {false, true}};

struct Session {
    std::string ticket;
    quic_transport_param remote{};
    std::string token;
};

class Connection
{
  public:
    Connection(Libraries libraries, int listen_fd, const Address &to)
        : libraries_(libraries), listen_fd_(listen_fd)
    {
        client = quic_socket();
        EXPECT_EQ(0, connect(client, to.ptr(), to.len));
    }
    void ask_for_ticket() const
    {
        quic_transport_param param = {};
        param.receive_session_ticket = 1;
        ASSERT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    }
    void resume(const Session &session) const
    {
        ASSERT_EQ(0,
                  setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, session.ticket.data(),
                             static_cast<socklen_t>(session.ticket.size())));
        ASSERT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, session.remote));
    }
    void shake()
    {
        std::thread other([&] {
            Parms parms;
            EXPECT_EQ(0, libraries_.gnutls_client
                             ? quic_client_handshake_parms(client, parms.get())
                             : quic_client_handshake(client, nullptr, nullptr));
        });
        server.reset(accept(listen_fd_, nullptr, nullptr));
        EXPECT_EQ(0, serve());
        other.join();
    }
    int serve()
    {
        Parms parms(server_identity());
        return libraries_.gnutls_server
                   ? quic_server_handshake_parms(server, parms.get())
                   : quic_server_handshake(server, server_identity().key.c_str(),
                                           server_identity().cert.c_str());
    }
    Session session() const
    {
        return {get_bytes(client, QUIC_SOCKOPT_SESSION_TICKET), params_of(client, true),
                get_bytes(client, QUIC_SOCKOPT_TOKEN)};
    }
    Fd client;
    Fd server;

  private:
    Libraries libraries_;
    int listen_fd_;
};

Session first_session(Libraries libraries, int listen_fd, const Address &to)
{
    Connection first(libraries, listen_fd, to);
    first.ask_for_ticket();
    first.shake();
    EXPECT_GT(get_bytes(first.client, QUIC_SOCKOPT_TOKEN).size(), 0u);
    return first.session();
}

std::string name_of(Libraries libraries)
{
    return std::string(libraries.gnutls_client ? "gnutls" : "files") + " to " +
           (libraries.gnutls_server ? "gnutls" : "files");
}

void speak(int fd, uint32_t version)
{
    quic_transport_param param = {};
    param.version = version;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
}

/* A server's wish of clients that begin with another. */
void speak_version_2(int fd)
{
    speak(fd, QUIC_VERSION_V2);
}

} // namespace

/* Resumes with data in 0-RTT packets, and says what of it came in them. */
static std::string data_in_early_packets(Libraries libraries)
{
    Fd listen_fd = listener();
    Watched wire(listen_fd);
    Session session = first_session(libraries, listen_fd, wire.address());
    EXPECT_GT(session.ticket.size(), 100u);
    wire.cut = true;
    Connection second(libraries, listen_fd, wire.address());
    second.resume(session);
    EXPECT_EQ(5, send(second.client, "early", 5, MSG_SYN | MSG_FIN));
    second.shake();
    set_recv_timeout(second.server, 20000);
    const std::string early = read_bytes(second.server, 5);
    EXPECT_GT(wire.count(PacketType::kEarly), 0);
    wire.cut = false;
    EXPECT_EQ(6, send(second.server, "answer", 6, MSG_SYN | MSG_FIN));
    EXPECT_EQ("answer", read_bytes(second.client, 6));
    return early;
}

/* gnutls takes no 0-RTT data with a ticket that says it is older than it is, as BoringSSL does, which counts seconds,
 * where one begins between the two connections. */
TEST(GnutlsSession, C199_C200_DataInEarlyPackets)
{
    Trust trust({server_identity().cert});
    for (Libraries libraries : kAll) {
        SCOPED_TRACE(name_of(libraries));
        std::string early = data_in_early_packets(libraries);
        const bool by_seconds = !libraries.gnutls_client && libraries.gnutls_server;
        for (int left = 9; by_seconds && early.empty() && left > 0; left--) {
            timespec now{};
            clock_gettime(CLOCK_REALTIME, &now);
            usleep(static_cast<useconds_t>((1000000000L - now.tv_nsec) / 1000));
            early = data_in_early_packets(libraries);
        }
        EXPECT_EQ("early", early);
    }
}

/* RFC 9001 4.8: what gnutls says of one is an alert, also when the handshake is over. */
TEST(GnutlsSession, ATicketThatIsNone)
{
    Trust trust({server_identity().cert});
    Fd listen_fd = listener();
    for (bool gnutls_server : {true, false}) {
        SCOPED_TRACE(gnutls_server);
        Connection conn({true, gnutls_server}, listen_fd, compat::name_of(listen_fd));
        conn.ask_for_ticket();
        std::thread client([&] {
            Parms parms;
            EXPECT_EQ(0, quic_client_handshake_parms(conn.client, parms.get()));
        });
        conn.server.reset(accept(listen_fd, nullptr, nullptr));
        EXPECT_GT(send_crypto(conn.server, QUIC_CRYPTO_APP, tls_message(4, "no ticket")), 0);
        (void)conn.serve();
        client.join();
        ASSERT_TRUE(poll_for(conn.server, POLLHUP));
        quic_connection_close told = {};
        ASSERT_EQ(0, get_option(conn.server, QUIC_SOCKOPT_CONNECTION_CLOSE, &told));
        EXPECT_EQ(0x100u + 50, told.errcode);
        EXPECT_EQ(6, told.frame);
    }
}

/* A ticket is good for 0-RTT with who gave it, under the limits it was given with, once. */
TEST(GnutlsSession, C201_RefusedDataComesOnce)
{
    Trust trust({server_identity().cert});
    const std::string text = pattern(5000);
    for (Libraries libraries : kAll) {
        SCOPED_TRACE(name_of(libraries));
        Fd listen_fd = listener();
        Session session = first_session(libraries, listen_fd, compat::name_of(listen_fd));
        Fd narrow = listener(16, AF_INET, [](int fd) {
            quic_transport_param param = {};
            param.max_data = 100000;
            param.max_streams_bidi = 3;
            ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        });
        for (int round = 0; round < 3; round++) {
            SCOPED_TRACE(round);
            const int at = round == 0 ? narrow : listen_fd;
            Connection again(libraries, at, compat::name_of(at));
            again.resume(session);
            ASSERT_EQ(5000, send(again.client, text.data(), text.size(), MSG_SYN | MSG_FIN));
            again.shake();
            EXPECT_TRUE(read_bytes(again.server, text.size()) == text);
            again.client.reset();
            char c;
            EXPECT_ERRNO(ENOTCONN, recv(again.server, &c, 1, 0)); /* nothing else came */
        }
    }
}

/* RFC 9369 5: a ticket is for the version of QUIC that its connection had in the end, not the one it began with. */
TEST(GnutlsSession, C201_ATicketOfAnotherVersion)
{
    Trust trust({server_identity().cert});
    for (Libraries libraries : {kAll[0], kAll[1], kAll[2], Libraries{false, false}}) {
        SCOPED_TRACE(name_of(libraries));
        Fd listen_fd = listener(16, AF_INET, speak_version_2);
        Watched wire(listen_fd);
        const Session session = first_session(libraries, listen_fd, wire.address());
        EXPECT_GT(session.ticket.size(), 100u);
        for (uint32_t version : {uint32_t{QUIC_VERSION_V1}, uint32_t{QUIC_VERSION_V2}}) {
            Connection next(libraries, listen_fd, wire.address());
            speak(next.client, version);
            next.resume(session);
            EXPECT_EQ(5, send(next.client, "early", 5, MSG_SYN | MSG_FIN));
            next.shake();
            EXPECT_EQ("early", read_bytes(next.server, 5));
            EXPECT_EQ(QUIC_VERSION_V2, params_of(next.server).version);
            EXPECT_EQ(version == QUIC_VERSION_V2, wire.count(PacketType::kEarly) > 0);
        }
    }
}

/* ... whatever the program had asked for: a token leads to its version, and once there is a connection nothing does. */
TEST(GnutlsSession, C201_ATicketOfAnotherVersionThanTheToken)
{
    Trust trust({server_identity().cert});
    for (Libraries libraries : {kAll[0], kAll[1], kAll[2], Libraries{false, false}}) {
        SCOPED_TRACE(name_of(libraries));
        Fd one_fd = listener();
        Fd two_fd = listener(16, AF_INET, speak_version_2);
        const Session one = first_session(libraries, one_fd, compat::name_of(one_fd));
        const Session two = first_session(libraries, two_fd, compat::name_of(two_fd));
        for (const auto &[ticket, has_token] :
             {std::pair(one, true), std::pair(two, true), std::pair(two, false)}) {
            SCOPED_TRACE(has_token);
            Watched wire(two_fd);
            Connection next(libraries, two_fd, wire.address());
            next.resume(ticket);
            if (has_token) {
                ASSERT_EQ(0, setsockopt(next.client, SOL_QUIC, QUIC_SOCKOPT_TOKEN, two.token.data(),
                                        static_cast<socklen_t>(two.token.size())));
            }
            EXPECT_EQ(5, send(next.client, "early", 5, MSG_SYN | MSG_FIN));
            EXPECT_GT(get_bytes(next.client, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT).size(),
                      0u); /* of it */
            const uint32_t first = has_token ? QUIC_VERSION_V2 : QUIC_VERSION_V1;
            speak(next.client, has_token ? QUIC_VERSION_V1 : QUIC_VERSION_V2); /* too late */
            EXPECT_EQ(first, params_of(next.client).version);
            next.shake();
            EXPECT_EQ("early", read_bytes(next.server, 5));
            const bool fits = has_token && ticket.ticket == two.ticket;
            EXPECT_EQ(fits, wire.count(PacketType::kEarly) > 0);
        }
    }
}

TEST(GnutlsSession, C201_SpoiltTickets)
{
    Trust trust({server_identity().cert});
    Fd listen_fd = listener();
    const Address to = compat::name_of(listen_fd);
    for (Libraries libraries : kAll) {
        SCOPED_TRACE(name_of(libraries));
        Session session = first_session(libraries, listen_fd, to);
        Session other = session;
        other.ticket = "of another library, or of none";
        Session half = session;
        half.ticket.resize(half.ticket.size() / 2);
        for (const Session &spoilt : {other, half}) {
            Connection again(libraries, listen_fd, to);
            again.resume(spoilt);
            ASSERT_EQ(5, send(again.client, "hello", 5, MSG_SYN | MSG_FIN));
            again.shake();
            EXPECT_EQ("hello", read_bytes(again.server, 5));
        }
    }
}

/* Resumption verifies nothing (RFC 8446 2.2): a ticket is for a connection that asks for what the one before it
 * had asked for. */
TEST(GnutlsSession, C201_ATicketOfWhoWasNotVerified)
{
    Identity other("other.test");
    Fd listen_fd = listener();
    const Address to = compat::name_of(listen_fd);
    const auto attempt = [&](uint8_t level, const char *name, const Session *session) {
        Connection conn({true, true}, listen_fd, to);
        conn.ask_for_ticket();
        quic_transport_param param = {};
        param.certificate_request = level;
        EXPECT_EQ(0, set_option(conn.client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        if (session != nullptr) {
            conn.resume(*session);
        }
        int rc = 1;
        std::thread client([&] {
            Parms parms;
            parms->peername = const_cast<char *>(name);
            rc = quic_client_handshake_parms(conn.client, parms.get());
        });
        conn.server.reset(accept(listen_fd, nullptr, nullptr));
        (void)conn.serve();
        client.join();
        return std::make_pair(rc, rc == 0 ? conn.session() : Session{});
    };
    Session unverified;
    {
        Trust trust({other.cert});
        const auto first = attempt(3, nullptr, nullptr);
        ASSERT_EQ(0, first.first);
        unverified = first.second;
        ASSERT_GT(unverified.ticket.size(), 100u);
        EXPECT_EQ(0, attempt(3, nullptr, &unverified).first);
        EXPECT_EQ(-EKEYREJECTED, attempt(0, nullptr, &unverified).first);
    }
    Trust trust({server_identity().cert});
    const auto named = attempt(0, "server.test", nullptr);
    ASSERT_EQ(0, named.first);
    EXPECT_EQ(0, attempt(0, "server.test", &named.second).first);
    EXPECT_EQ(-EKEYREJECTED, attempt(0, "other.test", &named.second).first);
}

/* A client whose 0-RTT is refused acknowledges what comes of a long flight before it has all of it: else no more
 * comes than one window. */
TEST(GnutlsSession, C201_ARefusalInManyPackets)
{
    std::string many;
    for (int i = 0; i < 30; i++) { /* that the server trusts, and names */
        many += text_of(
            Identity("an-authority-of-many-that-has-a-long-name-" + std::to_string(i)).cert);
    }
    const std::string path = scratch("many.pem");
    std::ofstream(path) << many;
    Trust trust({server_identity().cert, path});
    Fd open_fd = listener();
    const Session session = first_session({true, true}, open_fd, compat::name_of(open_fd));
    Fd asking_fd = listener(16, AF_INET, [](int fd) {
        quic_transport_param param = {};
        param.certificate_request = 1;
        EXPECT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    });
    std::atomic<bool> heard{false};
    int first = 0;
    Relay relay(compat::name_of(asking_fd));
    relay.set_filter([&](bool to_server, std::string *datagram) {
        bool is_handshake = false;
        for (const Packet &packet : packets_of(*datagram)) {
            is_handshake = is_handshake || packet.type == PacketType::kHandshake;
        }
        heard = heard || (to_server && is_handshake);
        return to_server || heard || !is_handshake || first++ == 0;
    });
    Connection conn({true, true}, asking_fd, relay.address());
    conn.resume(session);
    conn.shake();
    EXPECT_TRUE(heard);
}

/* Nor does a resumed client show a certificate: a ticket from a socket that asks for none is nothing at one that
 * does; nor at one of another name. */
TEST(GnutlsSession, C201_ATicketFromWhereNoCertificateWasAsked)
{
    const Identity other("other.test");
    Trust trust({server_identity().cert, other.cert});
    Fd open_fd = listener();
    const auto asks = [](uint8_t level) {
        return listener(16, AF_INET, [level](int fd) {
            quic_transport_param param = {};
            param.certificate_request = level;
            EXPECT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        });
    };
    const Session session = first_session({true, true}, open_fd, compat::name_of(open_fd));
    const auto resume = [&](int listen_fd, const Identity &identity, bool *was_resumed) {
        Connection conn({true, true}, listen_fd, compat::name_of(listen_fd));
        conn.resume(session);
        std::thread client([&] {
            Parms parms;
            (void)quic_client_handshake_parms(conn.client, parms.get());
            *was_resumed = parms->num_keys > 0 && parms.key(0) == der_of(server_identity().cert);
        });
        conn.server.reset(accept(listen_fd, nullptr, nullptr));
        Parms parms(identity);
        const int rc = quic_server_handshake_parms(conn.server, parms.get());
        conn.server.reset();
        client.join();
        return rc;
    };
    bool is_first = false;
    EXPECT_EQ(0, resume(open_fd, server_identity(), &is_first));
    EXPECT_TRUE(is_first);
    EXPECT_EQ(0, resume(open_fd, other, &is_first));
    EXPECT_FALSE(is_first) << "the client is told whom it talks to";
    Fd strict_fd = asks(2);
    EXPECT_EQ(-EKEYREJECTED, resume(strict_fd, server_identity(), &is_first));
}

/* RFC 8446 8: what an attacker has recorded is not delivered again. */
TEST(GnutlsSession, C204_AReplayIsNotDelivered)
{
    Trust trust({server_identity().cert});
    const Libraries libraries = {true, true};
    Fd listen_fd = listener();
    Watched wire(listen_fd);
    Session session = first_session(libraries, listen_fd, wire.address());
    {
        Connection second(libraries, listen_fd, wire.address());
        second.resume(session);
        wire.record(true);
        ASSERT_EQ(5, send(second.client, "money", 5, MSG_SYN | MSG_FIN));
        std::thread other([&] {
            Parms parms;
            EXPECT_EQ(0, quic_client_handshake_parms(second.client, parms.get()));
        });
        second.server.reset(accept(listen_fd, nullptr, nullptr));
        for (int i = 0; i < 500 && wire.count(PacketType::kEarly) == 0; i++) {
            usleep(10000); /* the whole first flight */
        }
        wire.record(false);
        EXPECT_EQ(0, second.serve());
        other.join();
        EXPECT_EQ("money", read_bytes(second.server, 5));
    }
    ASSERT_GT(wire.count(PacketType::kEarly), 0);
    Fd attacker(socket(AF_INET, SOCK_DGRAM, 0));
    Address to = compat::name_of(listen_fd);
    set_recv_timeout(listen_fd, 200);
    Connection replayed(libraries, listen_fd, to);
    for (int i = 0; i < 50 && replayed.server < 0;
         i++) { /* until the connection it was of is forgotten */
        for (const std::string &datagram : wire.recorded()) {
            ASSERT_EQ(static_cast<ssize_t>(datagram.size()),
                      sendto(attacker, datagram.data(), datagram.size(), 0, to.ptr(), to.len));
        }
        replayed.server.reset(accept(listen_fd, nullptr, nullptr));
    }
    ASSERT_GE(replayed.server.get(), 0) << strerror(errno);
    std::thread other([&] { EXPECT_NE(0, replayed.serve()); });
    usleep(300000); /* the early keys would be there by now */
    char c;
    EXPECT_ERRNO(EAGAIN, recv(replayed.server, &c, 1, MSG_DONTWAIT));
    EXPECT_EQ(0, shutdown(replayed.server, SHUT_RDWR));
    other.join();
}

/* A server that lets its client send nothing is not known by its limits to have been there. */
static std::string without_max_data(const std::string &params)
{
    std::string out;
    size_t at = 0;
    auto number = [&] {
        const size_t len = size_t{1} << (static_cast<uint8_t>(params.at(at)) >> 6);
        size_t value = static_cast<uint8_t>(params.at(at)) & 0x3f;
        for (size_t i = 1; i < len; i++) {
            value = value << 8 | static_cast<uint8_t>(params.at(at + i));
        }
        at += len;
        return value;
    };
    while (at < params.size()) {
        const size_t start = at;
        const bool is_max_data = number() == 4;
        at += number();
        out += is_max_data ? "" : params.substr(start, at - start);
    }
    return out;
}

/* RFC 9000 20.1, 20.2: CRYPTO_ERROR is the transport's; those codes of an application, as all of HTTP/3's are, are no
 * alerts. */
static void end_with_code(uint32_t errcode)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    std::thread other([&] {
        start_client(&client);
        ASSERT_EQ(0,
                  client.set_params(without_max_data(client.take(QUIC_CRYPTO_INITIAL).substr(4))));
        ASSERT_EQ(0, client.install(QUIC_CRYPTO_HANDSHAKE, false, true));
        ASSERT_EQ(0, client.install(QUIC_CRYPTO_HANDSHAKE, true, false));
        (void)client.take(QUIC_CRYPTO_HANDSHAKE);
        end_client(&client);
    });
    pair.accept_one();
    Raw server(pair.server, TLS_CIPHER_AES_GCM_128);
    run_server(&server);
    other.join();
    const struct {
        uint32_t errcode;
        uint8_t frame;
        uint8_t padding[3];
    } info = {errcode, 0, {}};
    ASSERT_EQ(
        0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, sizeof(info)));
    pair.server.reset();
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    EXPECT_EQ(info.errcode, close_code(pair.client));
    Parms parms;
    EXPECT_EQ(-ECONNRESET, quic_client_handshake_parms(pair.client, parms.get()));
}

TEST(GnutlsSession, AnApplicationsCodeIsNoAlert)
{
    end_with_code(0x100 + GNUTLS_A_BAD_CERTIFICATE);
}

/* Nor is 0 a time that is over: somebody was there and said it. */
TEST(GnutlsSession, AnApplicationsCodeIsNoTimeout)
{
    end_with_code(0);
}

/* RFC 9368 2.1: no version in common, said by a packet that has no code. */
TEST(GnutlsSession, NoCommonVersion)
{
    Fd deaf(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback();
    ASSERT_EQ(0, bind(deaf, at.ptr(), at.len));
    at = name_of(deaf);
    std::thread other([&] {
        char bytes[2048];
        Address from = loopback();
        const ssize_t n = recvfrom(deaf, bytes, sizeof(bytes), 0, from.ptr(), &from.len);
        ASSERT_GT(n, 6 + 20 + 1 + 20);
        const size_t dcid_len = static_cast<uint8_t>(bytes[5]);
        const size_t scid_len = static_cast<uint8_t>(bytes[6 + dcid_len]);
        const std::string dcid(bytes + 5, 1 + dcid_len);
        const std::string scid(bytes + 6 + dcid_len, 1 + scid_len);
        const std::string said = std::string("\x80\0\0\0\0", 5) + scid + dcid + "\x0a\x0b\x0c\x0d";
        EXPECT_GT(sendto(deaf, said.data(), said.size(), 0, from.ptr(), from.len), 0);
    });
    Fd client = quic_socket();
    ASSERT_EQ(0, connect(client, at.ptr(), at.len));
    Parms parms;
    parms->timeout = 10000;
    EXPECT_EQ(-EPROTONOSUPPORT, quic_client_handshake_parms(client, parms.get()));
    other.join();
}
