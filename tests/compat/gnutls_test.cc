/* Handshakes by gnutls over the raw path: draft sections 3.1.8 and 3.2.3. */
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/gnutls_keys.h"
#include "tests/compat/message.h"
#include "tests/compat/relay.h"
#include "tests/compat/script.h"

using namespace compat;

namespace
{

const Identity &server_identity()
{
    static const Identity identity("server.test");
    return identity;
}

std::function<void(int)> with(uint8_t certificate_request, uint32_t cipher = 0)
{
    return [=](int fd) {
        quic_transport_param param = {};
        param.certificate_request = certificate_request;
        param.payload_cipher_type = cipher;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    };
}

std::function<void(int)> speaking(const std::string &list)
{
    return [=](int fd) {
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, list.data(),
                                static_cast<socklen_t>(list.size())));
    };
}

std::string pattern_both_ways(Shaken *shaken)
{
    const std::string data = pattern(300000);
    std::thread writer([&] {
        EXPECT_EQ(static_cast<ssize_t>(data.size()),
                  send(shaken->client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    });
    std::string got = read_bytes(shaken->server, data.size());
    writer.join();
    return got == data && shaken->works() ? "" : "not what was sent";
}

} // namespace

/* The library knows sockets only: it does not see that another process has this one. */
TEST(Gnutls, C214_InAChildOfFork)
{
    Trust trust({server_identity().cert});
    Fd listen = listener();
    Fd client = quic_socket();
    Address to = name_of(listen);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    int client_rc = -1;
    std::thread other([&] {
        Parms parms;
        parms->peername = const_cast<char *>("server.test");
        client_rc = quic_client_handshake_parms(client, parms.get());
    });
    Fd server(accept(listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(120);
        client.reset();
        Parms parms(server_identity());
        char c = 0;
        bool works = quic_server_handshake_parms(server, parms.get()) == 0 &&
                     read(server, &c, 1) == 1 && write(server, &c, 1) == 1;
        _exit(works ? 0 : 1);
    }
    server.reset();
    other.join();
    EXPECT_EQ(0, client_rc);
    EXPECT_EQ(1, send(client, "g", 1, MSG_SYN | MSG_FIN));
    EXPECT_EQ("g", read_bytes(client, 1));
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
}

TEST(Gnutls, C176_TheNameIsChecked)
{
    Trust trust({server_identity().cert});
    for (const char *name : {"server.test", "other.test"}) {
        SCOPED_TRACE(name);
        const bool right = std::string(name) == "server.test";
        Parms client;
        Parms server(server_identity());
        client->peername = const_cast<char *>(name);
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server));
        EXPECT_EQ(right ? 0 : -EKEYREJECTED, shaken.client_rc);
        EXPECT_EQ(right ? 0 : -EKEYREJECTED, shaken.server_rc);
        EXPECT_EQ(right, right && shaken.works());
    }
}

TEST(Gnutls, C176_TheNameIsSent)
{
    for (const char *name : {"server.test", "127.0.0.1"}) { /* RFC 6066 3: no addresses */
        Parms client;
        client->peername = const_cast<char *>(name);
        std::string hello;
        Shaken shaken(by_gnutls_client(&client), [&](int fd) {
            char control[64];
            char bytes[4096];
            iovec iov = {bytes, sizeof(bytes)};
            msghdr msg = {};
            msg.msg_iov = &iov;
            msg.msg_iovlen = 1;
            msg.msg_control = control;
            msg.msg_controllen = sizeof(control);
            const ssize_t n = recvmsg(fd, &msg, 0);
            hello.assign(bytes, n > 0 ? static_cast<size_t>(n) : 0);
            return -1; /* and closes */
        });
        EXPECT_GT(hello.size(), 100u);
        EXPECT_EQ(std::string(name) == "server.test", hello.find(name) != std::string::npos);
        EXPECT_EQ(-ECONNRESET, shaken.client_rc);
    }
}

TEST(Gnutls, C177_CertificatesOfClients)
{
    Identity known("known");
    Identity unknown("unknown");
    Trust trust({server_identity().cert, known.cert});
    for (uint8_t level = 0; level < 3; level++) {
        SCOPED_TRACE(level);
        Parms anonymous;
        Parms server1(server_identity());
        Shaken without(by_gnutls_client(&anonymous), by_gnutls_server(&server1), with(level));
        EXPECT_EQ(level == 2 ? -EKEYREJECTED : 0, without.server_rc);
        EXPECT_EQ(0u, server1->num_keys);
        if (level ==
            2) { /* RFC 8446 4.4.2.4: the client may have been done by then; it hears the alert */
            EXPECT_TRUE(poll_for(without.client, POLLHUP));
        }
        Parms named(known);
        Parms server2(server_identity());
        Shaken shown(by_gnutls_client(&named), by_gnutls_server(&server2), with(level));
        EXPECT_EQ(0, shown.client_rc);
        EXPECT_EQ(0, shown.server_rc);
        EXPECT_TRUE(shown.works());
        ASSERT_EQ(level == 0 ? 0u : 1u, server2->num_keys);
        if (level > 0) {
            EXPECT_EQ(der_of(known.cert), server2.key(0));
        }
        Parms wrong(unknown);
        Parms server3(server_identity());
        Shaken refused(by_gnutls_client(&wrong), by_gnutls_server(&server3), with(level));
        EXPECT_EQ(level == 0 ? 0 : -EKEYREJECTED, refused.server_rc);
    }
}

TEST(Gnutls, C178_TheServersChain)
{
    Chain chain("chained");
    Trust trust({chain.root.cert, server_identity().cert});
    Parms client;
    Shaken two(by_gnutls_client(&client), by_files_server(chain.leaf));
    EXPECT_EQ(0, two.client_rc);
    ASSERT_EQ(2u, client->num_keys);
    EXPECT_EQ(der_of(chain.leaf_alone), client.key(0));
    EXPECT_NE(client.key(0), client.key(1));
    Parms client1;
    Parms server(server_identity());
    Shaken one(by_gnutls_client(&client1), by_gnutls_server(&server));
    EXPECT_EQ(0, one.client_rc);
    ASSERT_EQ(1u, client1->num_keys);
    EXPECT_EQ(der_of(server_identity().cert), client1.key(0));
    EXPECT_EQ(0u, server->num_keys);
}

TEST(Gnutls, C174_AnotherAuthority)
{
    Identity other("other");
    Trust trust({other.cert});
    Parms client;
    Parms server(server_identity());
    Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server));
    EXPECT_EQ(-EKEYREJECTED, shaken.client_rc);
    EXPECT_EQ(EKEYREJECTED, errno) << "of the server, in this thread";
    EXPECT_EQ(-EKEYREJECTED, shaken.server_rc) << "heard the alert";
    Parms careless;
    Parms server1(server_identity());
    Shaken taken(by_gnutls_client(&careless), by_gnutls_server(&server1), nullptr, with(3));
    EXPECT_EQ(0, taken.client_rc);
    EXPECT_TRUE(taken.works());
}

TEST(Gnutls, C181_APeerThatIsSilent)
{
    using Clock = std::chrono::steady_clock;
    const auto ms_of = [](Clock::time_point from) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - from).count();
    };
    Fd silent(socket(AF_INET, SOCK_DGRAM, 0));
    Address any_port = loopback();
    ASSERT_EQ(0, bind(silent, any_port.ptr(), any_port.len));
    Fd listening = listener();
    const auto knock = [&](int to) {
        Parms parms;
        parms->timeout = 300;
        Fd client = quic_socket();
        Address at = name_of(to);
        ASSERT_EQ(0, connect(client, at.ptr(), at.len));
        const auto begin = Clock::now();
        EXPECT_EQ(-ETIMEDOUT, quic_client_handshake_parms(client, parms.get()));
        EXPECT_EQ(ETIMEDOUT, errno);
        EXPECT_GE(ms_of(begin), 299);
        EXPECT_LT(ms_of(begin), 14000) << "not the 15 seconds of others";
    };
    knock(silent);
    do { /* who has no CPU for so long has not even asked */
        knock(listening);
    } while (!poll_for(listening, POLLIN, 100));
    Fd server(accept(listening, nullptr, nullptr)); /* its client is gone or quiet */
    ASSERT_GE(server.get(), 0);
    Parms parms(server_identity());
    parms->timeout = 300;
    const auto begin = Clock::now();
    EXPECT_LT(quic_server_handshake_parms(server, parms.get()), 0);
    EXPECT_LT(ms_of(begin), 14000);
}

/* Nobody has said how long to wait: the idle timeout ends it, and is told as what it is. */
TEST(Gnutls, C181_TheIdleTimeoutComesFirst)
{
    Fd silent(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback();
    ASSERT_EQ(0, bind(silent, at.ptr(), at.len));
    at = name_of(silent);
    Fd client = quic_socket();
    quic_transport_param param = {};
    param.max_idle_timeout = 300000;
    ASSERT_EQ(0, set_option(client, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
    ASSERT_EQ(0, connect(client, at.ptr(), at.len));
    Parms parms;
    EXPECT_EQ(-ETIMEDOUT, quic_client_handshake_parms(client, parms.get()));
}

/* The answers are lost: the server waits as long as it was told, and so does the client. */
TEST(Gnutls, C181_ANetworkThatLosesTheAnswers)
{
    Fd listen_fd = listener();
    Relay relay(name_of(listen_fd));
    relay.set_filter([](bool to_server, std::string *) { return to_server; });
    Fd client = quic_socket();
    Address to = relay.address();
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] {
        Parms parms;
        parms->timeout = 600;
        EXPECT_EQ(-ETIMEDOUT, quic_client_handshake_parms(client, parms.get()));
    });
    Fd server(accept(listen_fd, nullptr, nullptr));
    Parms parms(server_identity());
    parms->timeout = 300;
    EXPECT_EQ(-ETIMEDOUT, quic_server_handshake_parms(server, parms.get()));
    other.join();
}

TEST(Gnutls, PeersThatSpeakNoTls)
{
    RawPair pair;
    Raw raw(pair.client, TLS_CIPHER_AES_GCM_128);
    start_client(&raw);
    pair.accept_one();
    Parms server(server_identity());
    EXPECT_EQ(-EPROTO, quic_server_handshake_parms(pair.server, server.get()));
    EXPECT_TRUE(poll_for(pair.client, POLLHUP)) << "is told";
    RawPair other;
    Parms parms;
    std::thread client(
        [&] { EXPECT_EQ(-EPROTO, quic_client_handshake_parms(other.client, parms.get())); });
    other.accept_one();
    Raw answers(other.server, TLS_CIPHER_AES_GCM_128);
    (void)answers.take(QUIC_CRYPTO_INITIAL);
    ASSERT_GT(send_crypto(other.server, QUIC_CRYPTO_INITIAL, tls_message(2, pattern(100))), 0);
    client.join();
    EXPECT_TRUE(poll_for(other.server, POLLHUP));
}

TEST(Gnutls, PeersThatGoAway)
{
    Parms parms;
    Shaken left(by_gnutls_client(&parms), [](int) { return -1; }); /* and closes */
    EXPECT_EQ(-ECONNRESET, left.client_rc);
    RawPair pair;
    Raw raw(pair.client, TLS_CIPHER_AES_GCM_128);
    start_client(&raw);
    pair.accept_one();
    pair.client.reset();
    Parms server(server_identity());
    EXPECT_LT(quic_server_handshake_parms(pair.server, server.get()), 0);
}

TEST(Gnutls, AuthoritiesThatAreNotThere)
{
    Trust trust({server_identity().cert});
    Fd client = quic_socket();
    Address to = loopback(9);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    setenv("SSL_CERT_FILE", scratch("nowhere.pem").c_str(), 1);
    Parms parms;
    EXPECT_EQ(-ENOENT, quic_client_handshake_parms(client, parms.get()));
}

TEST(Gnutls, C174_AFolderOfAuthorities)
{
    Trust trust({});
    const std::string folder = scratch("authorities");
    ASSERT_EQ(0, mkdir(folder.c_str(), 0700));
    ASSERT_EQ(0, symlink(server_identity().cert.c_str(), (folder + "/one.pem").c_str()));
    for (bool given : {false, true}) {
        if (given) {
            setenv("SSL_CERT_DIR", folder.c_str(), 1);
        }
        Parms client;
        Parms server(server_identity());
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server));
        EXPECT_EQ(given, shaken.client_rc == 0);
        EXPECT_EQ(given, shaken.server_rc == 0);
    }
    unsetenv("SSL_CERT_DIR");
}

TEST(Gnutls, C184_ManyAtOnce)
{
    Trust trust({server_identity().cert});
    constexpr int kMany = 16;
    Fd listen_fd = listener(kMany);
    const Address to = name_of(listen_fd);
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kMany; i++) {
        threads.emplace_back([&] {
            Fd client = quic_socket();
            Parms parms;
            char c;
            good += connect(client, to.ptr(), to.len) == 0 &&
                            quic_client_handshake_parms(client, parms.get()) == 0 &&
                            recv(client, &c, 1, 0) == 1
                        ? 1
                        : 0;
        });
        threads.emplace_back([&] {
            Fd server(accept(listen_fd, nullptr, nullptr));
            Parms parms(server_identity());
            good += quic_server_handshake_parms(server, parms.get()) == 0 &&
                            send(server, "!", 1, MSG_SYN | MSG_FIN) == 1
                        ? 1
                        : 0;
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(2 * kMany, good);
}

TEST(Gnutls, C189_BothRolesAgainstBothLibraries)
{
    Trust trust({server_identity().cert});
    for (int round = 0; round < 3; round++) {
        SCOPED_TRACE(round);
        Parms client;
        Parms server(server_identity());
        Shaken shaken(round == 2 ? by_files_client() : by_gnutls_client(&client),
                      round == 1 ? by_files_server(server_identity()) : by_gnutls_server(&server));
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ("", pattern_both_ways(&shaken));
    }
}

/* A client whose first key share is of a group that the server does without: HelloRetryRequest, and all of it again
 * (RFC 8446 4.1.4). gnutls reads what it does without when it is loaded: another process. */
TEST(Gnutls, C189_AnotherGroup)
{
    static const char kName[] = "Gnutls.C189_AnotherGroup";
    static const char kPolicy[] = "GNUTLS_SYSTEM_PRIORITY_FILE";
    static const char kOurs[] = "QUIC_TEST_OTHER_GROUP";
    if (getenv(kOurs) == nullptr) {
        const std::string path = scratch("no-x25519");
        std::ofstream(path) << "[overrides]\ndisabled-curve = x25519\ndisabled-curve = x448\n";
        const std::string filter = std::string("--gtest_filter=") + kName;
        const pid_t pid = fork();
        if (pid == 0) {
            setenv(kPolicy, path.c_str(), 1);
            setenv(kOurs, "1", 1);
            for (const char *name : {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX", "XML_OUTPUT_FILE",
                                     "TEST_SHARD_STATUS_FILE", "GTEST_OUTPUT"}) {
                unsetenv(name);
            }
            execl("/proc/self/exe", kName, filter.c_str(), nullptr);
            _exit(127);
        }
        int status = 0;
        ASSERT_EQ(pid, waitpid(pid, &status, 0));
        EXPECT_EQ(0, status);
        return;
    }
    Trust trust({server_identity().cert});
    Parms server(server_identity());
    Shaken shaken(by_files_client(), by_gnutls_server(&server));
    EXPECT_EQ(0, shaken.client_rc);
    EXPECT_EQ(0, shaken.server_rc);
    EXPECT_TRUE(shaken.works());
}

TEST(Gnutls, C189_EveryCipher)
{
    Trust trust({server_identity().cert});
    for (uint32_t cipher : {TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256, TLS_CIPHER_AES_CCM_128,
                            TLS_CIPHER_CHACHA20_POLY1305}) {
        SCOPED_TRACE(cipher);
        Parms client;
        Parms server(server_identity());
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server), with(0, cipher));
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ("", pattern_both_ways(&shaken));
    }
}

TEST(Gnutls, C189_NoCipherInCommon)
{
    Trust trust({server_identity().cert});
    Parms client;
    Parms server(server_identity());
    Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server),
                  with(0, TLS_CIPHER_AES_GCM_128), with(0, TLS_CIPHER_CHACHA20_POLY1305));
    EXPECT_LT(shaken.client_rc, 0);
    EXPECT_LT(shaken.server_rc, 0);
}

/* The key of a token signs and is seen by nobody; it stays the program's. */
TEST(Gnutls, C189_AKeyThatCannotBeExported)
{
    Identity known("known");
    Trust trust({server_identity().cert, known.cert});
    Parms client(known, KeyKind::kCallback);
    Parms server(server_identity(), KeyKind::kCallback);
    for (int round = 0; round < 2; round++) {
        Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server), with(2));
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_TRUE(shaken.works());
        EXPECT_EQ(round + 1, client.signatures());
        EXPECT_EQ(round + 1, server.signatures());
        for (Parms *parms : {&client, &server}) { /* out is in, the next time */
            free((*parms)->keys[0].data);
            (*parms)->num_keys = 0;
        }
    }
}

TEST(Gnutls, C152_TheProtocolAgreedOn)
{
    Trust trust({server_identity().cert});
    for (int round = 0; round < 3; round++) {
        SCOPED_TRACE(round);
        Parms client;
        Parms server(server_identity());
        Shaken shaken(round == 2 ? by_files_client() : by_gnutls_client(&client),
                      round == 1 ? by_files_server(server_identity()) : by_gnutls_server(&server),
                      speaking("one, two"), speaking("three,two"));
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ("two", get_bytes(shaken.client, QUIC_SOCKOPT_ALPN));
        EXPECT_EQ("two", get_bytes(shaken.server, QUIC_SOCKOPT_ALPN));
    }
}

/* A server without a list takes what the client likes best (RFC 9001 8.1: there is always one). */
TEST(Gnutls, C152_AServerThatTakesAnything)
{
    Trust trust({server_identity().cert});
    for (bool files : {false, true}) {
        Parms client;
        Parms server(server_identity());
        Shaken shaken(files ? by_files_client() : by_gnutls_client(&client),
                      by_gnutls_server(&server), nullptr, speaking("best,second"));
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(0, shaken.server_rc);
        EXPECT_EQ("best", get_bytes(shaken.client, QUIC_SOCKOPT_ALPN));
        EXPECT_TRUE(shaken.works());
    }
}

/* What a server says is what its accepted socket was told, whoever makes the handshake. */
TEST(Gnutls, C145_ParametersOfAnAcceptedSocket)
{
    Trust trust({server_identity().cert});
    for (bool files : {false, true}) {
        Parms client;
        Parms server(server_identity());
        const Side side = files ? by_files_server(server_identity()) : by_gnutls_server(&server);
        Shaken shaken(by_gnutls_client(&client), [&](int fd) {
            quic_transport_param param = {};
            param.max_streams_uni = 7;
            EXPECT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, param));
            return side(fd);
        });
        EXPECT_EQ(0, shaken.client_rc);
        EXPECT_EQ(7u, params_of(shaken.client, true).max_streams_uni) << files;
    }
}

TEST(Gnutls, C182_WhereThereIsNothingToShake)
{
    Trust trust({server_identity().cert});
    Parms client;
    Parms server(server_identity());
    Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server));
    ASSERT_EQ(0, shaken.client_rc);
    Parms again;
    Fd fresh = quic_socket();
    Fd tcp(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(shaken.client, again.get()));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(shaken.server, server.get()));
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(shaken.server, again.get()));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(shaken.client, server.get()));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(shaken.listen, server.get()));
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(fresh, again.get()));
    EXPECT_EQ(-ENOTSOCK, quic_client_handshake_parms(tcp, again.get()));
    EXPECT_EQ(-EBADF, quic_client_handshake_parms(-1, again.get()));
    EXPECT_TRUE(shaken.works());
    shaken.client.reset();
    ASSERT_TRUE(poll_for(shaken.server, POLLHUP));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(shaken.server, server.get()));
}

/* quic_client_handshake(3): ECONNRESET, the peer closed the connection. */
TEST(Gnutls, AClientThatHasGoneBeforeItsHelloWasRead)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, client_hello(client.params())), 0);
    pair.accept_one();
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    Parms server(server_identity());
    EXPECT_EQ(-ECONNRESET, quic_server_handshake_parms(pair.server, server.get()));
    const std::string keys = scratch("gone.psk");
    std::ofstream(keys) << "someone:00112233445566778899aabbccddeeff\n";
    EXPECT_EQ(-ECONNRESET, quic_server_handshake(pair.server, keys.c_str(), nullptr));
    gnutls_session_t session = nullptr;
    ASSERT_EQ(0, gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_END_OF_EARLY_DATA));
    gnutls_transport_set_int(session, pair.server);
    EXPECT_EQ(-ECONNRESET, quic_handshake(session));
    gnutls_deinit(session);
}

/* As of handshakes with files: C182_AfterShutdown. */
TEST(Gnutls, AfterShutdown)
{
    RawPair pair;
    Raw client(pair.client, TLS_CIPHER_AES_GCM_128);
    ASSERT_GT(send_crypto(pair.client, QUIC_CRYPTO_INITIAL, client_hello(client.params())), 0);
    pair.accept_one();
    Parms server(server_identity());
    ASSERT_EQ(0, shutdown(pair.server, SHUT_RDWR));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(pair.server, server.get()));
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    EXPECT_EQ(-EINVAL, quic_server_handshake_parms(pair.server, server.get()));
}

TEST(Gnutls, ParametersThatAreNone)
{
    Fd client = quic_socket();
    Address to = loopback(9);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(client, nullptr));
    Parms half(server_identity());
    gnutls_pcert_st *cert = half->cert;
    half->cert = nullptr;
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(client, half.get()));
    half->cert = cert;
    Parms many;
    many->num_keys = 11;
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(client, many.get()));
    many->num_keys = 1; /* without a name */
    EXPECT_EQ(-EINVAL, quic_client_handshake_parms(client, many.get()));
    many->num_keys = 0;
}

/* Both ends are free to wait as they like. */
TEST(Gnutls, C183_NonBlockingStays)
{
    Trust trust({server_identity().cert});
    Parms client;
    Parms server(server_identity());
    Shaken shaken(
        by_gnutls_client(&client),
        [&](int fd) {
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
            return quic_server_handshake_parms(fd, server.get());
        },
        nullptr, [](int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); });
    EXPECT_EQ(0, shaken.client_rc);
    EXPECT_EQ(0, shaken.server_rc);
    EXPECT_EQ(O_NONBLOCK, fcntl(shaken.client, F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(O_NONBLOCK, fcntl(shaken.server, F_GETFL) & O_NONBLOCK);
}

/* What was sent and what is reported does not stand in the way of TLS messages. */
TEST(Gnutls, EventsAreThePrograms)
{
    Trust trust({server_identity().cert});
    Parms client;
    Parms server(server_identity());
    const auto all_events = [](int fd) {
        for (uint8_t event = 1; event < QUIC_EVENT_END; event++) {
            enable(fd, event);
        }
    };
    Shaken shaken(by_gnutls_client(&client), by_gnutls_server(&server), all_events, all_events);
    EXPECT_EQ(0, shaken.client_rc);
    EXPECT_EQ(0, shaken.server_rc);
    EXPECT_NE(-1, next_event(shaken.client, QUIC_EVENT_NEW_TOKEN).rc);
    Identity other("other");
    Trust distrust({other.cert});
    Parms client1;
    Parms server1(server_identity());
    Shaken refused(by_gnutls_client(&client1), by_gnutls_server(&server1), all_events, all_events);
    EXPECT_EQ(-EKEYREJECTED, refused.client_rc);
    EXPECT_EQ(-EKEYREJECTED, refused.server_rc);
}
