/* The raw path as the kernel implementation's library goes it, on sockets of protocol 261: each secret is the socket's
 * as soon as gnutls has it. A client's 1-RTT secrets come before its Finished is sent then, and a server's ticket goes
 * out from within the callback that brings the last one. Our own adapter waits with them until gnutls is done. */
#define QUIC_SOCKET_API 2
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <netinet/quic.h>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/identity.h"
#include "tests/compat/kernel_fixture.h"

using namespace kernel;

namespace
{

const struct {
    gnutls_record_encryption_level_t theirs;
    uint8_t ours;
} kLevels[] = {
    {GNUTLS_ENCRYPTION_LEVEL_INITIAL, QUIC_CRYPTO_INITIAL},
    {GNUTLS_ENCRYPTION_LEVEL_EARLY, QUIC_CRYPTO_EARLY},
    {GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE, QUIC_CRYPTO_HANDSHAKE},
    {GNUTLS_ENCRYPTION_LEVEL_APPLICATION, QUIC_CRYPTO_APP},
};

uint8_t level_of(gnutls_record_encryption_level_t level)
{
    for (const auto &row : kLevels) {
        if (row.theirs == level) {
            return row.ours;
        }
    }
    return QUIC_CRYPTO_MAX;
}

/* A message of TLS, with its level beside it, to or from the socket. */
struct Letter {
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(1)] = {};
    iovec iov = {};
    msghdr msg = {};
    explicit Letter(void *data, size_t len)
    {
        iov = {data, len};
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
    }
    uint8_t *level()
    {
        cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_QUIC;
        c->cmsg_type = QUIC_HANDSHAKE_INFO;
        c->cmsg_len = CMSG_LEN(1);
        return CMSG_DATA(c);
    }
};

int remember_nothing(void *, time_t, const gnutls_datum_t *, const gnutls_datum_t *)
{
    return 0;
}

/* Of the process: gnutls takes no ticket that is older than it. */
gnutls_anti_replay_t the_register()
{
    static const gnutls_anti_replay_t made = [] {
        gnutls_anti_replay_t r = nullptr;
        EXPECT_EQ(0, gnutls_anti_replay_init(&r));
        gnutls_anti_replay_set_add_function(r, remember_nothing);
        return r;
    }();
    return made;
}

class Handshake
{
  public:
    Handshake(int fd, bool serves) : fd_(fd), serves_(serves)
    {
        unsigned flags = GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_ENABLE_EARLY_DATA;
        flags |= serves ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT;
        gnutls_certificate_allocate_credentials(&creds_);
        EXPECT_EQ(0, gnutls_init(&session_, flags));
        EXPECT_EQ(0, gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, creds_));
        EXPECT_EQ(0, gnutls_priority_set_direct(session_, QUIC_PRIORITY, nullptr));
        EXPECT_EQ(0, quic_session_set_alpn(session_, "sample", 6));
        gnutls_session_set_ptr(session_, this);
        gnutls_transport_set_int(session_, fd);
        gnutls_handshake_set_secret_function(session_, on_secret);
        gnutls_handshake_set_read_function(session_, on_message);
        EXPECT_EQ(0, gnutls_session_ext_register(
                         session_, "parameters", 0x39, GNUTLS_EXT_TLS, on_params, put_params,
                         nullptr, nullptr, nullptr,
                         GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE));
        if (serves) {
            serve();
        }
    }
    ~Handshake()
    {
        gnutls_deinit(session_);
        gnutls_certificate_free_credentials(creds_);
    }
    Handshake(const Handshake &) = delete;
    Handshake &operator=(const Handshake &) = delete;
    operator gnutls_session_t() const
    {
        return session_;
    }

    int run()
    {
        int rc = serves_ ? 0 : step();
        std::string buf(65536, 0);
        for (int naps = 0; rc == 0 && !done_ && naps < 100;) {
            Letter letter(&buf[0], buf.size());
            ssize_t n = recvmsg(fd_, &letter.msg, MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) {
                pollfd p = {fd_, POLLIN, 0};
                naps += poll(&p, 1, 100) == 0;
                continue;
            }
            if (n <= 0) {
                return -errno;
            }
            const uint8_t level = *CMSG_DATA(CMSG_FIRSTHDR(&letter.msg));
            for (const auto &row : kLevels) {
                if (row.ours == level) {
                    rc = gnutls_handshake_write(session_, row.theirs, buf.data(), n);
                }
            }
            rc = rc == 0 || gnutls_error_is_fatal(rc) == 0 ? step() : rc;
        }
        return rc != 0 ? rc : done_ ? 0 : -ETIMEDOUT;
    }

    bool says_nothing = false;

  private:
    void serve()
    {
        unsigned char key[64];
        socklen_t len = sizeof(key);
        EXPECT_EQ(0, gnutls_certificate_set_x509_key_file(creds_, compat::cert_file(),
                                                          compat::key_file(), GNUTLS_X509_FMT_PEM));
        ASSERT_EQ(0, getsockopt(fd_, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, key, &len));
        const gnutls_datum_t from = {key, len};
        EXPECT_EQ(0, gnutls_session_ticket_enable_server(session_, &from));
        EXPECT_EQ(0, gnutls_record_set_max_early_data_size(session_, UINT32_MAX));
        gnutls_anti_replay_enable(session_, the_register());
    }
    int step()
    {
        int ret = gnutls_handshake(session_);
        if (ret < 0 && gnutls_error_is_fatal(ret) != 0) {
            return ret;
        }
        while (!out_.empty()) {
            Letter letter(&out_.front().second[0], out_.front().second.size());
            *letter.level() = out_.front().first;
            const size_t want = out_.front().second.size();
            const int more = out_.size() > 1 ? MSG_MORE : 0;
            if (sendmsg(fd_, &letter.msg, MSG_NOSIGNAL | more) != static_cast<ssize_t>(want)) {
                return -errno;
            }
            out_.pop_front();
        }
        return 0;
    }
    static Handshake *of(gnutls_session_t session)
    {
        return static_cast<Handshake *>(gnutls_session_get_ptr(session));
    }
    int give(uint8_t level, bool send, uint32_t type, const void *bytes, size_t len)
    {
        quic_crypto_secret secret = {};
        secret.level = level;
        secret.send = send;
        secret.type = type;
        memcpy(secret.secret, bytes, len);
        return setsockopt(fd_, SOL_QUIC, QUIC_SOCKOPT_CRYPTO_SECRET, &secret, sizeof(secret));
    }
    static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t theirs,
                         const void *to_read, const void *to_write, size_t len)
    {
        Handshake *h = of(session);
        const uint8_t level = level_of(theirs);
        const uint32_t type = len == 48 ? TLS_CIPHER_AES_GCM_256 : TLS_CIPHER_AES_GCM_128;
        if (h->done_) {
            return 0;
        }
        if ((to_write != nullptr && h->give(level, true, type, to_write, len) != 0) ||
            (to_read != nullptr && h->give(level, false, type, to_read, len) != 0)) {
            return -1;
        }
        if (level == QUIC_CRYPTO_APP && to_read != nullptr) {
            EXPECT_EQ(0, h->serves_ ? gnutls_session_ticket_send(session, 1, 0) : 0);
            h->done_ = true;
        }
        return 0;
    }
    static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                          gnutls_handshake_description_t, const void *data, size_t len)
    {
        of(session)->out_.emplace_back(level_of(level),
                                       std::string(static_cast<const char *>(data), len));
        return 0;
    }
    static int on_params(gnutls_session_t session, const unsigned char *data, size_t len)
    {
        return setsockopt(of(session)->fd_, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, data, len);
    }
    static int put_params(gnutls_session_t session, gnutls_buffer_t out)
    {
        uint8_t buf[256];
        socklen_t len = sizeof(buf);
        if (of(session)->says_nothing) {
            return GNUTLS_E_INT_RET_0; /* the extension, with nothing in it */
        }
        int rc =
            getsockopt(of(session)->fd_, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, buf, &len);
        return rc != 0 ? rc : gnutls_buffer_append_data(out, buf, len);
    }

    int fd_;
    bool serves_;
    bool done_ = false;
    gnutls_session_t session_ = nullptr;
    gnutls_certificate_credentials_t creds_ = nullptr;
    std::deque<std::pair<uint8_t, std::string>> out_;
};

using Side = std::function<int(int fd)>;

/* A pair whose handshakes are the test's. `early` is what the client does before. */
struct Shaken : Pair {
    int client_rc = 1;
    int server_rc = 1;
    Shaken(const Side &by_client, const Side &by_server,
           const std::function<void(int)> &early = nullptr)
    {
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        compat::cert_file();
        listen.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
        client.reset(socket(AF_INET, SOCK_STREAM, IPPROTO_QUIC));
        EXPECT_EQ(0, bind(listen, reinterpret_cast<sockaddr *>(&at), len));
        EXPECT_EQ(0, ::listen(listen, 4));
        EXPECT_EQ(0, getsockname(listen, reinterpret_cast<sockaddr *>(&at), &len));
        EXPECT_EQ(0, connect(client, reinterpret_cast<sockaddr *>(&at), len));
        if (early) {
            early(client);
        }
        std::thread other([&] { client_rc = by_client(client); });
        server.reset(accept(listen, nullptr, nullptr));
        server_rc = by_server(server);
        other.join();
    }
    void talk()
    {
        const std::string text(100000, 't');
        std::string got(text.size(), 0);
        ASSERT_EQ(static_cast<ssize_t>(text.size()),
                  send(client, text.data(), text.size(), MSG_SYN | MSG_FIN));
        for (size_t at = 0; at < got.size();) {
            ssize_t n = recv(server, &got[at], got.size() - at, 0);
            ASSERT_GT(n, 0);
            at += static_cast<size_t>(n);
        }
        EXPECT_EQ(text, got);
    }
};

int by_hand(int fd, bool serves)
{
    return Handshake(fd, serves).run();
}

int by_adapter(int fd)
{
    gnutls_session_t session = nullptr;
    gnutls_certificate_credentials_t creds = nullptr;
    gnutls_certificate_allocate_credentials(&creds);
    EXPECT_EQ(0, gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_END_OF_EARLY_DATA));
    EXPECT_EQ(0, gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, creds));
    EXPECT_EQ(0, gnutls_priority_set_direct(session, QUIC_PRIORITY, nullptr));
    EXPECT_EQ(0, quic_session_set_alpn(session, "sample", 6));
    gnutls_transport_set_int(session, fd);
    const int rc = quic_handshake(session);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(creds);
    return rc;
}

} // namespace

TEST(GnutlsOrder, WithItselfAndWithTheBuiltInLibrary)
{
    const Side client = [](int fd) { return by_hand(fd, false); };
    const Side server = [](int fd) { return by_hand(fd, true); };
    const Side built_in_client = [](int fd) {
        return quic_client_handshake(fd, nullptr, "localhost", "sample");
    };
    const Side built_in_server = [](int fd) {
        return quic_server_handshake(fd, compat::key_file(), compat::cert_file(), "sample");
    };
    for (int which : {1, 2, 3}) {
        SCOPED_TRACE(which);
        Shaken shaken((which & 1) != 0 ? client : built_in_client,
                      (which & 2) != 0 ? server : built_in_server);
        ASSERT_EQ(0, shaken.client_rc);
        ASSERT_EQ(0, shaken.server_rc);
        shaken.talk();
    }
}

/* What was sent before the handshake is read behind it, having come in 0-RTT packets. */
TEST(GnutlsOrder, EarlyData)
{
    char kept[4096];
    size_t kept_len = 0;
    quic_transport_param remembered = {};
    remembered.remote = 1;
    for (bool again : {false, true}) {
        SCOPED_TRACE(again);
        bool was_early = false;
        Shaken shaken(
            [&](int fd) {
                Handshake h(fd, false);
                EXPECT_EQ(0, again ? gnutls_session_set_data(h, kept, kept_len) : 0);
                int rc = h.run();
                for (int i = 0; rc == 0 && i < 1000 && kept_len == 0; i++) {
                    kept_len = sizeof(kept);
                    EXPECT_EQ(0, quic_session_get_data(h, kept, &kept_len));
                    usleep(kept_len == 0 ? 5000 : 0);
                }
                return rc;
            },
            [&](int fd) {
                Handshake h(fd, true);
                int rc = h.run();
                was_early = (gnutls_session_get_flags(h) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
                return rc;
            },
            [&](int fd) {
                if (again) {
                    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &remembered,
                                            sizeof(remembered)));
                    ASSERT_EQ(5, send(fd, "early", 5, MSG_SYN | MSG_FIN));
                }
            });
        ASSERT_EQ(0, shaken.client_rc);
        ASSERT_EQ(0, shaken.server_rc);
        EXPECT_EQ(again, was_early);
        EXPECT_GT(kept_len, 0u);
        if (again) {
            char buf[8];
            ASSERT_EQ(5, recv(shaken.server, buf, sizeof(buf), 0));
            EXPECT_EQ("early", std::string(buf, 5));
        }
        socklen_t len = sizeof(remembered);
        ASSERT_EQ(0, getsockopt(shaken.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &remembered,
                                &len));
        shaken.talk();
    }
}

/* RFC 9000 7.3, 18: no parameters at all are well-formed, but those that a server must send are not among them. The
 * client knows at once. RFC 9000 10.2.3: so does a server that has its last message already. */
TEST(GnutlsOrder, AServerWithoutAnyTransportParameter)
{
    for (const Side &client :
         {Side([](int fd) { return by_hand(fd, false); }), Side(by_adapter),
          Side([](int fd) { return quic_client_handshake(fd, nullptr, "localhost", "sample"); })}) {
        std::chrono::duration<double> took(0);
        Shaken shaken(
            [&](int fd) {
                const auto begin = std::chrono::steady_clock::now();
                const int rc = client(fd);
                took = std::chrono::steady_clock::now() - begin;
                return rc == -1 ? -EPROTO : rc; /* by hand: setsockopt has failed */
            },
            [](int fd) {
                Handshake h(fd, true);
                h.says_nothing = true;
                return h.run();
            });
        EXPECT_EQ(-EPROTO, shaken.client_rc);
        EXPECT_LT(took.count(), 0.9);
        pollfd p = {shaken.server, POLLIN, 0};
        while (poll(&p, 1, 5000) == 1 && (p.revents & POLLHUP) == 0) {
            char buf[100];
            EXPECT_GE(recv(shaken.server, buf, sizeof(buf), 0), 0);
        }
        quic_connection_close info = {};
        socklen_t len = sizeof(info);
        ASSERT_EQ(0,
                  getsockopt(shaken.server, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, &len));
        EXPECT_EQ(static_cast<uint32_t>(QUIC_TRANSPORT_ERROR_TRANSPORT_PARAM), info.errcode);
    }
}
