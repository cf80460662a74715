/* Tickets, 0-RTT and tokens: draft sections 6.1.3, 6.1.5 and 6.1.7, Appendix B; RFC 9001 4.6. */
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/authority.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/packets.h"
#include "tests/compat/relay.h"
#include "tests/compat/watched.h"

extern char **environ;

using namespace compat;

namespace
{

/* What a client keeps of a connection for the next one. */
struct Session {
    std::string ticket;
    std::string token;
    quic_transport_param remote{};
};

Fd client_to(const Address &to)
{
    Fd client = quic_socket();
    EXPECT_EQ(0, connect(client, to.ptr(), to.len));
    return client;
}

void ask_for_ticket(int fd)
{
    quic_transport_param param = {};
    param.receive_session_ticket = 1;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
}

Session session_of(int fd)
{
    Session session;
    session.ticket = get_bytes(fd, QUIC_SOCKOPT_SESSION_TICKET);
    session.token = get_bytes(fd, QUIC_SOCKOPT_TOKEN);
    session.remote = params_of(fd, true);
    return session;
}

/* A first connection, for what it leaves behind; the server is this process. */
Session first_connection(int listen_fd, const Address &to)
{
    Fd client = client_to(to);
    ask_for_ticket(client);
    Fd server;
    EXPECT_TRUE(handshake(listen_fd, client, &server));
    return session_of(client);
}

void set_ticket(int fd, const Session &session)
{
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, session.ticket.data(),
                            static_cast<socklen_t>(session.ticket.size())));
}

/* A client about to use it. */
Fd second_client(const Address &to, const Session &session)
{
    Fd client = client_to(to);
    set_ticket(client, session);
    EXPECT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, session.remote));
    return client;
}

/* ---- a server that is another process, for its end ------------------------------------------------- */

/* Answers each stream with its bytes, one connection after the other. */
int as_server(uint16_t port)
{
    Fd listen_fd = quic_socket();
    Address at = loopback(port);
    for (int i = 0; i < 100 && bind(listen_fd, at.ptr(), at.len) != 0; i++) {
        usleep(10000); /* who looks whether we have it has it for a moment */
    }
    if (listen(listen_fd, 16) != 0) {
        return 1;
    }
    for (;;) {
        Fd fd(accept(listen_fd, nullptr, nullptr));
        if (fd < 0 || quic_server_handshake(fd, key_file(), cert_file()) != 0) {
            continue;
        }
        std::string text;
        for (;;) {
            Message got = receive(fd);
            if (got.rc < 0) {
                break;
            }
            text += got.bytes;
            if ((got.flags & QUIC_STREAM_FLAG_FIN) != 0) {
                (void)!send(fd, text.data(), text.size(), MSG_SYN | MSG_FIN | MSG_NOSIGNAL);
                text.clear();
            }
        }
    }
}

class Process
{
  public:
    explicit Process(uint16_t port) : port_(port)
    {
        const std::string number = std::to_string(port);
        const char *argv[] = {"session_test", "--server", number.c_str(), nullptr};
        EXPECT_EQ(0, posix_spawn(&pid_, "/proc/self/exe", nullptr, nullptr,
                                 const_cast<char *const *>(argv), environ));
        EXPECT_TRUE(becomes(true)) << "no server";
    }
    ~Process()
    {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        EXPECT_TRUE(becomes(false)); /* the kernel takes its time with a ring's sockets */
    }
    Process(const Process &) = delete;
    Process &operator=(const Process &) = delete;

  private:
    /* Waits until somebody has the port, or nobody. */
    bool becomes(bool taken) const
    {
        Address at = loopback(port_);
        for (int i = 0; i < 1000; i++) {
            Fd probe(socket(AF_INET, SOCK_DGRAM, 0));
            if ((bind(probe, at.ptr(), at.len) != 0) == taken) {
                return true;
            }
            probe.reset();
            usleep(10000);
        }
        return false;
    }

    uint16_t port_;
    pid_t pid_ = -1;
};

uint16_t free_port()
{
    Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback(0);
    EXPECT_EQ(0, bind(fd, at.ptr(), at.len));
    return name_of(fd).port();
}

} // namespace

TEST(Session, C199_TicketAndTokenAreThere)
{
    Fd listen_fd = listener();
    for (int i = 0; i < 10; i++) {
        Session session = first_connection(listen_fd, name_of(listen_fd));
        EXPECT_GT(session.ticket.size(), 100u);
        EXPECT_GT(session.token.size(), 0u);
        EXPECT_EQ(100u, session.remote.max_streams_bidi);
    }
}

TEST(Session, C200_DataInEarlyPackets)
{
    Fd listen_fd = listener();
    Watched wire(listen_fd);
    Session session = first_connection(listen_fd, wire.address());
    wire.cut = true;
    Fd client = second_client(wire.address(), session);
    ASSERT_EQ(5, send(client, "early", 5, MSG_SYN | MSG_FIN));
    Fd server;
    ASSERT_TRUE(handshake(listen_fd, client, &server));
    EXPECT_EQ("early", read_bytes(server, 5));
    EXPECT_GT(wire.count(PacketType::kEarly), 0);
    wire.cut = false;
    ASSERT_EQ(6, send(server, "answer", 6, MSG_SYN | MSG_FIN));
    EXPECT_EQ("answer", read_bytes(client, 6));
}

/* The server's program takes many round trips to get at its handshake: the packets wait for it. */
TEST(Session, C200_ASlowServerKeepsThem)
{
    Fd listen_fd = listener();
    Watched wire(listen_fd);
    Session session = first_connection(listen_fd, wire.address());
    wire.cut = true;
    Fd client = second_client(wire.address(), session);
    ASSERT_EQ(5, send(client, "early", 5, MSG_SYN | MSG_FIN));
    std::thread other([&] { EXPECT_EQ(0, quic_client_handshake(client, nullptr, nullptr)); });
    Fd server(accept(listen_fd, nullptr, nullptr));
    usleep(500000);
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    EXPECT_EQ("early", read_bytes(server, 5));
    other.join();
}

/* A ticket is good for 0-RTT once (RFC 8446 8.1); what was sent too early is sent again, once. */
TEST(Session, C201_RefusedDataComesOnce)
{
    Fd listen_fd = listener();
    Session session = first_connection(listen_fd, name_of(listen_fd));
    const std::string text = pattern(5000);
    for (int i = 0; i < 3; i++) {
        Fd client = second_client(name_of(listen_fd), session);
        ASSERT_EQ(5000, send(client, text.data(), text.size(), MSG_SYN | MSG_FIN));
        Fd server;
        ASSERT_TRUE(handshake(listen_fd, client, &server)) << i;
        EXPECT_TRUE(read_bytes(server, text.size()) == text) << i;
        client.reset();
        char c;
        EXPECT_ERRNO(ENOTCONN, recv(server, &c, 1, 0)); /* nothing else came */
    }
}

/* Resumption verifies nothing (RFC 8446 2.2): a ticket of a connection that did not is not for one that does. */
TEST(Session, C201_ATicketOfWhoWasNotVerified)
{
    Fd listen_fd = listener();
    const Address to = name_of(listen_fd);
    const auto client_without = [&] {
        Fd client = client_to(to);
        quic_transport_param param = {};
        param.certificate_request = 3;
        EXPECT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        return client;
    };
    Session session;
    {
        Fd client = client_without();
        ask_for_ticket(client);
        Fd server;
        ASSERT_TRUE(handshake(listen_fd, client, &server));
        session = session_of(client);
        ASSERT_GT(session.ticket.size(), 100u);
    }
    Identity other("other");
    Trust trust({other.cert});
    Fd client = second_client(to, session);
    Fd server;
    int client_rc = 0;
    EXPECT_FALSE(handshake(listen_fd, client, &server, &client_rc));
    EXPECT_EQ(-EKEYREJECTED, client_rc);
}

TEST(Session, C201_SpoiltTickets)
{
    Fd listen_fd = listener();
    Session session = first_connection(listen_fd, name_of(listen_fd));
    for (size_t at : {size_t{0}, session.ticket.size() / 2, session.ticket.size() - 1}) {
        Session spoilt = session;
        spoilt.ticket[at] = static_cast<char>(spoilt.ticket[at] ^ 0x55);
        Fd client = second_client(name_of(listen_fd), spoilt);
        ASSERT_EQ(5, send(client, "hello", 5, MSG_SYN | MSG_FIN)) << strerror(errno);
        Fd server;
        ASSERT_TRUE(handshake(listen_fd, client, &server)) << at;
        EXPECT_EQ("hello", read_bytes(server, 5)) << at;
    }
}

TEST(Session, C202_BeyondWhatIsRemembered)
{
    Fd listen_fd = listener();
    Session session = first_connection(listen_fd, name_of(listen_fd));
    Fd client = second_client(name_of(listen_fd), session);
    const uint64_t max = session.remote.max_streams_bidi;
    EXPECT_ERRNO(EINVAL, quic_sendmsg(client, "x", 1, max << 2, QUIC_STREAM_FLAG_NEW));
    EXPECT_EQ(1, quic_sendmsg(client, "y", 1, (max - 1) << 2,
                              QUIC_STREAM_FLAG_NEW | QUIC_STREAM_FLAG_FIN));
    Fd server;
    ASSERT_TRUE(handshake(listen_fd, client, &server));
    EXPECT_EQ("y", read_bytes(server, 1));
}

TEST(Session, C203_NothingToSendEarlyWith)
{
    Fd listen_fd = listener();
    Session session = first_connection(listen_fd, name_of(listen_fd));
    Fd neither = client_to(name_of(listen_fd));
    EXPECT_ERRNO(EINVAL, send(neither, "x", 1, MSG_SYN));
    Fd ticket_only = client_to(name_of(listen_fd));
    set_ticket(ticket_only, session);
    EXPECT_ERRNO(EINVAL, send(ticket_only, "x", 1, MSG_SYN));
}

/* The new server has other keys and another register: a whole handshake, and the data in 1-RTT packets. */
TEST(Session, C204_AfterARestart)
{
    const uint16_t port = free_port();
    auto server = std::make_unique<Process>(port);
    cert_file();
    Session session;
    {
        Fd client = client_to(loopback(port));
        ask_for_ticket(client);
        ASSERT_EQ(0, quic_client_handshake(client, nullptr, nullptr));
        session = session_of(client);
    }
    for (int round = 0; round < 2; round++) { /* with and without the old server */
        SCOPED_TRACE(round);
        Fd client = second_client(loopback(port), session);
        ASSERT_EQ(4, send(client, "once", 4, MSG_SYN | MSG_FIN));
        ASSERT_EQ(0, quic_client_handshake(client, nullptr, nullptr));
        Message got = receive(client);
        EXPECT_EQ("once", got.bytes);
        client.reset();
        if (round == 0) {
            server.reset();
            server = std::make_unique<Process>(port);
        }
    }
}

/* What an attacker has recorded is not delivered again. */
TEST(Session, C204_AReplayIsNotDelivered)
{
    Fd listen_fd = listener();
    Watched wire(listen_fd);
    Session session = first_connection(listen_fd, wire.address());
    {
        Fd client = second_client(wire.address(), session);
        wire.record(true);
        ASSERT_EQ(5, send(client, "money", 5, MSG_SYN | MSG_FIN));
        Fd server;
        std::thread other([&] { EXPECT_EQ(0, quic_client_handshake(client, nullptr, nullptr)); });
        server.reset(accept(listen_fd, nullptr, nullptr));
        for (int i = 0; i < 500 && wire.count(PacketType::kEarly) == 0; i++) {
            usleep(10000); /* the whole first flight */
        }
        wire.record(false);
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
        other.join();
        EXPECT_EQ("money", read_bytes(server, 5));
    }
    ASSERT_GT(wire.count(PacketType::kEarly), 0);
    ASSERT_FALSE(wire.recorded().empty());
    Fd attacker(socket(AF_INET, SOCK_DGRAM, 0));
    Address to = name_of(listen_fd);
    set_recv_timeout(listen_fd, 200);
    Fd server;
    for (int i = 0; i < 50 && server < 0; i++) { /* until the connection it was of is forgotten */
        for (const std::string &datagram : wire.recorded()) {
            ASSERT_EQ(static_cast<ssize_t>(datagram.size()),
                      sendto(attacker, datagram.data(), datagram.size(), 0, to.ptr(), to.len));
        }
        server.reset(accept(listen_fd, nullptr, nullptr));
    }
    ASSERT_GE(server.get(), 0) << strerror(errno);
    std::thread other(
        [&] { EXPECT_NE(0, quic_server_handshake(server, key_file(), cert_file())); });
    char c;
    EXPECT_TRUE(comes_true([&] { /* the handshake has begun */
                                 return recv(server, &c, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 ||
                                        errno != EINVAL;
    }));
    usleep(300000); /* the early keys would be there by now */
    EXPECT_ERRNO(EAGAIN, recv(server, &c, 1, MSG_DONTWAIT));
    EXPECT_EQ(0, shutdown(server, SHUT_RDWR));
    other.join();
}

TEST(Session, C205_RetryAndEarlyData)
{
    Fd listen_fd = listener(16, AF_INET, [](int fd) {
        quic_transport_param param = params_of(fd);
        param.validate_peer_address = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    });
    Watched wire(listen_fd);
    for (bool with_token : {false, true}) {
        SCOPED_TRACE(with_token);
        Session session = first_connection(listen_fd, wire.address());
        wire.cut = true;
        const int retries = wire.count(PacketType::kRetry);
        Fd client = second_client(wire.address(), session);
        if (with_token) {
            ASSERT_EQ(0, setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_TOKEN, session.token.data(),
                                    static_cast<socklen_t>(session.token.size())));
        }
        ASSERT_EQ(5, send(client, "early", 5, MSG_SYN | MSG_FIN));
        Fd server;
        ASSERT_TRUE(handshake(listen_fd, client, &server));
        EXPECT_EQ("early", read_bytes(server, 5));
        EXPECT_EQ(with_token ? 0 : 1, wire.count(PacketType::kRetry) - retries);
        wire.cut = false;
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--server") == 0) {
        return as_server(static_cast<uint16_t>(atoi(argv[2])));
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
