/* quic_handshake: a session of gnutls that is the program's own (draft revision 02, section 3.2.3). */
#include <atomic>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <syslog.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/gnutls_keys.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

constexpr char kPriority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE";

const Identity &identity()
{
    static const Identity made("server.test");
    return made;
}

/* As the draft's Appendix B makes one. */
class Session
{
  public:
    explicit Session(unsigned flags)
    {
        gnutls_certificate_allocate_credentials(&creds_);
        EXPECT_EQ(0, gnutls_init(&session_, flags | GNUTLS_NO_END_OF_EARLY_DATA));
        EXPECT_EQ(0, gnutls_priority_set_direct(session_, kPriority, nullptr));
        EXPECT_EQ(0, gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, creds_));
        gnutls_session_set_ptr(session_, this);
    }
    ~Session()
    {
        gnutls_deinit(session_);
        gnutls_certificate_free_credentials(creds_);
        gnutls_free(key_.data);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    void speaks(const char *protocol)
    {
        const gnutls_datum_t name = {
            reinterpret_cast<unsigned char *>(const_cast<char *>(protocol)),
            static_cast<unsigned>(strlen(protocol))};
        EXPECT_EQ(0, gnutls_alpn_set_protocols(session_, &name, 1, GNUTLS_ALPN_MANDATORY));
    }
    void shows(const Identity &who)
    {
        EXPECT_EQ(0, gnutls_certificate_set_x509_key_file(creds_, who.cert.c_str(), who.key.c_str(),
                                                          GNUTLS_X509_FMT_PEM));
    }
    void trusts(const Identity &who)
    {
        EXPECT_EQ(1, gnutls_certificate_set_x509_trust_file(creds_, who.cert.c_str(),
                                                            GNUTLS_X509_FMT_PEM));
        gnutls_session_set_verify_cert(session_, "server.test", 0);
    }
    void gives_tickets()
    {
        EXPECT_EQ(0, gnutls_session_ticket_key_generate(&key_));
        EXPECT_EQ(0, gnutls_session_ticket_enable_server(session_, &key_));
    }
    int run(int fd)
    {
        gnutls_transport_set_int(session_, fd);
        int rc = quic_handshake(session_);
        EXPECT_EQ(this, gnutls_session_get_ptr(session_)) << "the pointer is the program's";
        return rc;
    }
    gnutls_session_t get() const
    {
        return session_;
    }

  private:
    gnutls_session_t session_ = nullptr;
    gnutls_certificate_credentials_t creds_ = nullptr;
    gnutls_datum_t key_ = {nullptr, 0};
};

std::string protocol_of(int fd)
{
    char name[128];
    socklen_t len = sizeof(name);
    return getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, name, &len) == 0 ? std::string(name, len)
                                                                        : "none";
}

Side by(Session *session)
{
    return [=](int fd) { return session->run(fd); };
}

} // namespace

TEST(GnutlsGiven, WithEitherLibrary)
{
    const Trust trust({identity().cert});
    for (int which : {1, 2, 3}) {
        SCOPED_TRACE(which);
        Session client(GNUTLS_CLIENT);
        Session server(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
        client.speaks("smb");
        client.trusts(identity());
        server.speaks("smb");
        server.shows(identity());
        const auto speaks = [](int fd) {
            ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, "smb", 3));
        };
        Shaken shaken((which & 1) != 0 ? by(&client) : by_files_client(),
                      (which & 2) != 0 ? by(&server) : by_files_server(identity()), speaks, speaks);
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ("smb", protocol_of(shaken.client));
        EXPECT_EQ("smb", protocol_of(shaken.server));
        EXPECT_TRUE(shaken.works());
        if ((which & 1) != 0) {
            EXPECT_EQ(-EINVAL, client.run(shaken.client)) << "established";
        }
    }
}

/* Appendix B: the message comes to the program, which gives it to its session and has what it resumes with. */
TEST(GnutlsGiven, TicketsAreTheProgramsBusiness)
{
    const Trust trust({identity().cert});
    for (unsigned flag : {0u, static_cast<unsigned>(GNUTLS_NO_AUTO_SEND_TICKET)}) {
        SCOPED_TRACE(flag);
        Session server(GNUTLS_SERVER | flag);
        server.shows(identity());
        server.gives_tickets();
        Session client(GNUTLS_CLIENT);
        client.trusts(identity());
        const auto wants = [](int fd) {
            quic_transport_param param = {};
            param.receive_session_ticket = 1;
            ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
        };
        Shaken shaken(by(&client), by(&server), nullptr, wants);
        ASSERT_EQ(0, shaken.client_rc);
        ASSERT_EQ(0, shaken.server_rc);
        const Message ticket = receive(shaken.client);
        ASSERT_LT(0, ticket.rc);
        EXPECT_EQ(0, gnutls_handshake_write(client.get(), GNUTLS_ENCRYPTION_LEVEL_APPLICATION,
                                            ticket.bytes.data(), ticket.bytes.size()));
        gnutls_datum_t kept = {nullptr, 0};
        ASSERT_EQ(0, gnutls_session_get_data2(client.get(), &kept));
        EXPECT_LT(0u, kept.size);
        gnutls_free(kept.data);
        EXPECT_TRUE(shaken.works());
        /* The session outlives the call: what it would still send has nobody who sends it. */
        EXPECT_GT(0, gnutls_session_ticket_send(server.get(), 1, 0));
    }
}

TEST(GnutlsGiven, BothAreToldWhatWentWrong)
{
    static const Identity stranger("stranger.test");
    {
        Session client(GNUTLS_CLIENT);
        Session server(GNUTLS_SERVER);
        client.trusts(stranger);
        server.shows(identity());
        Shaken shaken(by(&client), by(&server));
        EXPECT_EQ(-EKEYREJECTED, shaken.client_rc);
        EXPECT_EQ(-EKEYREJECTED, shaken.server_rc);
    }
    Session client(GNUTLS_CLIENT);
    Session server(GNUTLS_SERVER);
    client.speaks("smb");
    server.speaks("nfs");
    server.shows(identity());
    Shaken shaken(by(&client), by(&server));
    EXPECT_EQ(-EPROTO, shaken.client_rc);
    EXPECT_EQ(-EPROTO, shaken.server_rc);
}

/* quic_set_log_func: it hears what gnutls says, too, as the level lets it. */
TEST(GnutlsGiven, AFunctionHearsWhatWentWrong)
{
    static std::atomic<int> heard{0};
    unsetenv("QUIC_LOG");
    quic_set_log_func([](int level, const char *line) {
        EXPECT_LE(level, LOG_INFO);
        heard += strstr(line, "(alert 120)") != nullptr; /* RFC 7301 3.2 */
    });
    for (int level : {LOG_WARNING, LOG_INFO}) {
        SCOPED_TRACE(level);
        Session client(GNUTLS_CLIENT);
        Session server(GNUTLS_SERVER);
        client.speaks("smb");
        server.speaks("nfs");
        server.shows(identity());
        quic_set_log_level(level);
        heard = 0;
        Shaken shaken(by(&client), by(&server));
        EXPECT_EQ(-EPROTO, shaken.server_rc);
        EXPECT_EQ(level == LOG_INFO, heard > 0);
    }
    quic_set_log_level(LOG_EMERG);
    quic_set_log_func(nullptr);
}

/* gnutls calls the handshake done before the client has finished: there is no secret to read by yet. */
TEST(GnutlsGiven, AServersSessionThatBeginsEarlyIsRefused)
{
    Session client(GNUTLS_CLIENT);
    Session server(GNUTLS_SERVER | GNUTLS_ENABLE_EARLY_START);
    client.trusts(identity());
    server.shows(identity());
    Shaken shaken(by(&client), by(&server));
    EXPECT_EQ(-EPROTO, shaken.server_rc);
}

TEST(GnutlsGiven, WrongSockets)
{
    EXPECT_EQ(-EINVAL, quic_handshake(nullptr));
    Session client(GNUTLS_CLIENT);
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    EXPECT_EQ(-ENOTSOCK, client.run(pipes[0]));
    EXPECT_EQ(ENOTSOCK, errno);
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_EQ(-EBADF, client.run(pipes[0]));
    Fd fresh = quic_socket();
    EXPECT_EQ(-EINVAL, client.run(fresh));
}
