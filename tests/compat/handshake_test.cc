/* quic_client_handshake and quic_server_handshake: draft section 3.1.7, certificates and their failures. */
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/authority.h"
#include "tests/compat/fixture.h"
#include "tests/compat/message.h"

using namespace compat;

namespace
{

void request_certificates(int fd, uint8_t level)
{
    quic_transport_param param = params_of(fd);
    param.certificate_request = level;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
}

/* One handshake, and what both calls said. */
struct Attempt {
    Fd client;
    Fd server;
    int client_rc = 1;
    int server_rc = 1;
    Attempt(int listen_fd, uint8_t client_level = 0, const Identity *shown = nullptr,
            const char *key = key_file(), const char *cert = cert_file())
    {
        client = quic_socket();
        request_certificates(client, client_level);
        Address to = name_of(listen_fd);
        EXPECT_EQ(0, connect(client, to.ptr(), to.len));
        std::thread other([&] {
            client_rc =
                quic_client_handshake(client, shown != nullptr ? shown->key.c_str() : nullptr,
                                      shown != nullptr ? shown->cert.c_str() : nullptr);
        });
        server.reset(accept(listen_fd, nullptr, nullptr));
        server_rc = quic_server_handshake(server, key, cert);
        if (server_rc < 0) {
            server.reset();
        }
        other.join();
    }
    bool works()
    {
        return send(client, "hi", 2, MSG_SYN | MSG_FIN | MSG_NOSIGNAL) == 2 &&
               read_bytes(server, 2) == "hi";
    }
};

} // namespace

TEST(Handshake, C173_AnAuthorityInTheStore)
{
    Fd listen_fd = listener();
    Attempt attempt(listen_fd);
    EXPECT_EQ(0, attempt.client_rc);
    EXPECT_EQ(0, attempt.server_rc);
    EXPECT_TRUE(attempt.works());
}

TEST(Handshake, C174_AnotherAuthority)
{
    Identity other("other");
    Trust trust({other.cert});
    Fd listen_fd = listener();
    Attempt attempt(listen_fd);
    EXPECT_EQ(-EKEYREJECTED, attempt.client_rc);
    EXPECT_EQ(-EKEYREJECTED, attempt.server_rc);
    char c;
    EXPECT_EQ(-1, recv(attempt.client, &c, 1, MSG_DONTWAIT));
}

TEST(Handshake, C175_WithoutVerification)
{
    Identity other("other");
    Trust trust({other.cert});
    Fd listen_fd = listener();
    Attempt attempt(listen_fd, 3);
    EXPECT_EQ(0, attempt.client_rc);
    EXPECT_EQ(0, attempt.server_rc);
    EXPECT_TRUE(attempt.works());
}

TEST(Handshake, C177_CertificatesOfClients)
{
    Identity known("known");
    Identity unknown("unknown");
    Trust trust({cert_file(), known.cert});
    for (uint8_t level = 0; level < 3; level++) {
        SCOPED_TRACE(level);
        Fd listen_fd = listener(16, AF_INET, [&](int fd) { request_certificates(fd, level); });
        Attempt without(listen_fd);
        Attempt with(listen_fd, 0, &known);
        Attempt wrong(listen_fd, 0, &unknown);
        EXPECT_EQ(0, with.client_rc);
        EXPECT_EQ(0, with.server_rc);
        EXPECT_TRUE(with.works());
        EXPECT_EQ(level == 2, without.server_rc < 0);
        EXPECT_EQ(level == 0, wrong.server_rc == 0); /* not asked for, not looked at */
        if (level == 2) {
            /* RFC 8446 4.4.2.4: the client may have been done by then; it hears the alert. */
            EXPECT_TRUE(poll_for(without.client, POLLHUP));
        }
    }
}

TEST(Handshake, C179_FilesThatAreNone)
{
    Identity other("other");
    Fd listen_fd = listener();
    const std::string nowhere = scratch("nowhere.pem");
    Attempt no_key(listen_fd, 0, nullptr, nowhere.c_str(), cert_file());
    EXPECT_EQ(-ENOENT, no_key.server_rc);
    EXPECT_LT(no_key.client_rc, 0);
    Attempt no_cert(listen_fd, 0, nullptr, key_file(), nowhere.c_str());
    EXPECT_EQ(-ENOENT, no_cert.server_rc);
    Attempt mismatch(listen_fd, 0, nullptr, other.key.c_str(), cert_file());
    EXPECT_EQ(-EINVAL, mismatch.server_rc);
    Attempt garbage(listen_fd, 0, nullptr, "/proc/self/exe", cert_file());
    EXPECT_LT(garbage.server_rc, 0);
    Attempt good(listen_fd);
    EXPECT_EQ(0, good.server_rc);
}

/* What stands between the server's certificate and the authority comes with it. */
TEST(Handshake, C180_AChain)
{
    Chain chain("chained");
    Trust trust({chain.root.cert});
    Fd listen_fd = listener();
    Attempt whole(listen_fd, 0, nullptr, chain.leaf.key.c_str(), chain.leaf.cert.c_str());
    EXPECT_EQ(0, whole.client_rc);
    EXPECT_EQ(0, whole.server_rc);
    EXPECT_TRUE(whole.works());
    Attempt leaf_only(listen_fd, 0, nullptr, chain.leaf.key.c_str(), chain.leaf_alone.c_str());
    EXPECT_EQ(-EKEYREJECTED, leaf_only.client_rc);
}

/* draft sections 3.2.2 and 3.2.3 */
TEST(Handshake, WhatNeedsTheAdapterIsNotThereWithoutIt)
{
    Fd fd = quic_socket();
    quic_handshake_parms parms = {};
    EXPECT_EQ(-ENOSYS, quic_client_handshake(fd, key_file(), nullptr));
    EXPECT_EQ(ENOSYS, errno);
    EXPECT_EQ(-ENOSYS, quic_server_handshake(fd, key_file(), nullptr));
    EXPECT_EQ(-ENOSYS, quic_client_handshake_parms(fd, &parms));
    EXPECT_EQ(-ENOSYS, quic_server_handshake_parms(fd, &parms));
    EXPECT_EQ(ENOSYS, errno);
}

TEST(Handshake, C182_WhereThereIsNothingToShake)
{
    Pair pair = make_pair();
    Fd fresh = quic_socket();
    EXPECT_EQ(-EINVAL, quic_client_handshake(fresh, nullptr, nullptr));
    EXPECT_EQ(-EINVAL, quic_server_handshake(fresh, key_file(), cert_file()));
    EXPECT_EQ(-EINVAL, quic_server_handshake(pair.listen, key_file(), cert_file()));
    EXPECT_EQ(-EINVAL, quic_client_handshake(pair.client, nullptr, nullptr));
    EXPECT_EQ(-EINVAL, quic_server_handshake(pair.server, key_file(), cert_file()));
    EXPECT_EQ(-EINVAL, quic_client_handshake(pair.server, nullptr, nullptr));
    EXPECT_EQ(-EINVAL, quic_server_handshake(pair.client, key_file(), cert_file()));
    EXPECT_TRUE(alive(pair));
}

/* Nobody else has ended it. */
TEST(Handshake, C182_AfterShutdown)
{
    Fd listen_fd = listener();
    cert_file();
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] { EXPECT_NE(0, quic_client_handshake(client, nullptr, nullptr)); });
    Fd server(accept(listen_fd, nullptr, nullptr));
    EXPECT_EQ(0, shutdown(server, SHUT_RDWR));
    EXPECT_EQ(-EINVAL, quic_server_handshake(server, key_file(), cert_file()));
    EXPECT_TRUE(poll_for(server, POLLHUP));
    EXPECT_EQ(-EINVAL, quic_server_handshake(server, key_file(), cert_file()));
    other.join();

    Fd unborn = quic_socket();
    ASSERT_EQ(0, connect(unborn, to.ptr(), to.len));
    EXPECT_EQ(0, shutdown(unborn, SHUT_RDWR));
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(-EINVAL, quic_client_handshake(unborn, nullptr, nullptr));
    }
}

TEST(Handshake, C183_NonBlockingStays)
{
    Fd listen_fd = listener();
    Fd client = quic_socket();
    ASSERT_EQ(0, fcntl(client, F_SETFL, fcntl(client, F_GETFL) | O_NONBLOCK));
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    int client_rc = 1;
    std::thread other([&] { client_rc = quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    other.join();
    EXPECT_EQ(0, client_rc);
    EXPECT_EQ(O_NONBLOCK, fcntl(client, F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(O_NONBLOCK, fcntl(server, F_GETFL) & O_NONBLOCK);
    char c;
    EXPECT_ERRNO(EAGAIN, recv(client, &c, 1, 0));
}

TEST(Handshake, C184_ManyAtOnce)
{
#if defined(QURING_ASAN) || defined(QURING_TSAN)
    constexpr int kMany = 16; /* each has fifteen seconds, with little of a CPU */
#else
    constexpr int kMany = 64;
#endif
    Fd listen_fd = listener(kMany);
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kMany; i++) {
        threads.emplace_back([&] {
            Fd client = quic_socket();
            Address to = name_of(listen_fd);
            char c;
            good += connect(client, to.ptr(), to.len) == 0 &&
                            quic_client_handshake(client, nullptr, nullptr) == 0 &&
                            recv(client, &c, 1, 0) == 1
                        ? 1
                        : 0;
        });
        threads.emplace_back([&] {
            Fd server(accept(listen_fd, nullptr, nullptr));
            good += quic_server_handshake(server, key_file(), cert_file()) == 0 &&
                            send(server, "!", 1, MSG_SYN | MSG_FIN | MSG_NOSIGNAL) == 1
                        ? 1
                        : 0;
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(2 * kMany, good);
}

TEST(Handshake, C185_SignalsDoNotEndIt)
{
    static std::atomic<int> signals;
    struct sigaction action {
    };
    struct sigaction old {
    };
    action.sa_handler = [](int) { signals++; };
    ASSERT_EQ(0, sigaction(SIGALRM, &action, &old));
    Fd listen_fd = listener();
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::atomic<bool> over{false};
    pthread_t shaking = pthread_self();
    std::thread other([&] { /* accepts late, and disturbs meanwhile */
                            Fd server(accept(listen_fd, nullptr, nullptr));
                            for (int i = 0; i < 50; i++) {
                                pthread_kill(shaking, SIGALRM);
                                usleep(2000);
                            }
                            EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
                            while (!over) {
                                usleep(1000);
                            }
    });
    EXPECT_EQ(0, quic_client_handshake(client, nullptr, nullptr));
    over = true;
    other.join();
    EXPECT_GT(signals, 10);
    sigaction(SIGALRM, &old, nullptr);
}
