/* Certificates replaced while a server runs (HOSTILE: bad permissions, swapped, expired, mismatched). */
#include <atomic>
#include <cstring>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"
#include "tests/pki/pki.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Peer;
using quring_test::SettingName;
using quring_test::TempFile;
using quring_test::Tls;

const char *const kAlpn[] = {"test"};

quring_tls_options Files(const char *cert, const char *key)
{
    quring_tls_options options = {};
    options.alpn = kAlpn;
    options.alpn_count = 1;
    options.cert_file = cert;
    options.key_file = key;
    return options;
}

class Reload : public EndToEnd
{
  protected:
    Reload()
    {
        quring_tls *tls = nullptr;
        quring_tls_options options = Files(first_cert_.path(), first_key_.path());
        EXPECT_EQ(quring_tls_create_server(&tls, &options, nullptr), QURING_OK);
        server_tls_ = Tls(tls);
        client_tls_ = quring_test::ClientTls({"test"}, root_.path());
    }
    quring_status To(const char *cert, const char *key)
    {
        quring_tls_options options = Files(cert, key);
        err_ = {};
        return quring_tls_reload(server_tls_.get(), &options, &err_);
    }
    /* What a new client is shown. */
    std::string Shown()
    {
        const quring_conn conn = Connect();
        std::string der;
        EXPECT_TRUE(OnClient([&] {
            quring_peer_certificate cert = {};
            EXPECT_EQ(quring_conn_peer_certificate(conn, &cert), QURING_OK);
            der.assign(reinterpret_cast<const char *>(cert.der.data), cert.der.len);
        }));
        return der;
    }
    void ExpectRefused(const char *cert, const char *key, const char *word)
    {
        EXPECT_EQ(To(cert, key), QURING_E_TLS);
        EXPECT_EQ(err_.status, QURING_E_TLS);
        EXPECT_NE(strstr(err_.message, word), nullptr)
            << "\"" << word << "\" is not in: " << err_.message;
        EXPECT_EQ(Shown(), first_.leaf_der);
    }

    pki::Authority authority_{"authority"};
    pki::Identity first_ = authority_.Issue();
    pki::Identity second_ = authority_.Issue();
    TempFile root_{authority_.root()};
    TempFile first_cert_{first_.cert};
    TempFile first_key_{first_.key};
    TempFile second_cert_{second_.cert};
    TempFile second_key_{second_.key};
    quring_error err_ = {};
    Bytes session_; /* the last one a client was given */
};

TEST_P(Reload, NewHandshakesSeeTheNewCertificateAndOldConnectionsGoOn)
{
    QURING_START();
    const quring_conn old = Connect();
    ASSERT_EQ(To(second_cert_.path(), second_key_.path()), QURING_OK) << err_.message;
    EXPECT_EQ(Shown(), second_.leaf_der);
    ExpectEcho(old, 50000, 1);
    ASSERT_EQ(To(first_cert_.path(), first_key_.path()), QURING_OK) << err_.message;
    EXPECT_EQ(Shown(), first_.leaf_der);
}

/* HOSTILE 126 */
TEST_P(Reload, H126_BadFilesLeaveTheOldOnesInPlace)
{
    QURING_START();
    EXPECT_EQ(Shown(), first_.leaf_der);
    ExpectRefused("/nonexistent/cert.pem", second_key_.path(), "/nonexistent/cert.pem");
    ExpectRefused(second_cert_.path(), "/", "key_file /");
    /* Half of a swap: the new certificate with the old key. */
    ExpectRefused(second_cert_.path(), first_key_.path(), "does not belong to the certificate");
    ExpectRefused(second_cert_.path(), first_key_.path(), second_cert_.path());
    const TempFile truncated(second_.cert.substr(0, second_.cert.size() / 2));
    ExpectRefused(truncated.path(), second_key_.path(), truncated.path());
    const TempFile empty("");
    ExpectRefused(second_cert_.path(), empty.path(), empty.path());
    pki::Wish wish;
    wish.until_s = -60;
    const pki::Identity expired = authority_.Issue(wish);
    const TempFile expired_cert(expired.cert);
    const TempFile expired_key(expired.key);
    ExpectRefused(expired_cert.path(), expired_key.path(), "has expired");
    wish.from_s = 3600;
    wish.until_s = 7200;
    const pki::Identity early = authority_.Issue(wish);
    const TempFile early_cert(early.cert);
    const TempFile early_key(early.key);
    ExpectRefused(early_cert.path(), early_key.path(), "not valid yet");
    if (geteuid() != 0) { /* root reads everything */
        ASSERT_EQ(chmod(second_key_.path(), 0), 0);
        ExpectRefused(second_cert_.path(), second_key_.path(), strerror(EACCES));
    }
    EXPECT_EQ(quring_tls_reload(nullptr, nullptr, &err_), QURING_E_INVAL);
    EXPECT_EQ(quring_tls_reload(server_tls_.get(), nullptr, &err_), QURING_E_INVAL);
    EXPECT_EQ(Shown(), first_.leaf_der);
}

/* Ticket keys do not change; a ticket belongs to the certificate it was given under. */
TEST_P(Reload, ATicketOutlivesAReloadOfTheSameCertificate)
{
    client_.hook = [this](const quring_event &ev) {
        if (ev.type == QURING_EV_SESSION) {
            std::lock_guard<std::mutex> guard(client_.mutex());
            session_.assign(ev.data.data, ev.data.data + ev.data.len);
        }
    };
    QURING_START();
    (void)Connect();
    Bytes first;
    ASSERT_TRUE(client_.Wait([&] {
        first = session_;
        return !first.empty();
    }));
    const auto resumes = [&] {
        quring_conn conn = {0};
        EXPECT_TRUE(OnClient([&] {
            quring_connect_options options = ConnectOptions();
            options.session = {first.data(), first.size()};
            EXPECT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
        }));
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return client_.Facts(conn).info.resumed;
    };
    ASSERT_EQ(To(first_cert_.path(), first_key_.path()), QURING_OK);
    EXPECT_TRUE(resumes());
    ASSERT_EQ(To(second_cert_.path(), second_key_.path()), QURING_OK);
    EXPECT_FALSE(resumes());
    ASSERT_EQ(To(first_cert_.path(), first_key_.path()), QURING_OK);
    EXPECT_TRUE(resumes());
}

/* H122: reloads under load, from another thread, on all workers; every handshake sees one of the two
 * certificates, whole. Run it with --config=tsan. */
TEST_P(Reload, H122_UnderLoadFromAnotherThread)
{
    QURING_START(Peer::Mode::kEcho, 0, 2, 2);
    std::atomic<bool> stop{false};
    std::atomic<unsigned> reloads{0};
    std::thread reloader([&] {
        for (unsigned i = 0; !stop; i++) {
            const bool second = i % 2 == 0;
            quring_tls_options options = Files(second ? second_cert_.path() : first_cert_.path(),
                                               second ? second_key_.path() : first_key_.path());
            EXPECT_EQ(quring_tls_reload(server_tls_.get(), &options, nullptr), QURING_OK);
            reloads++;
        }
    });
    for (int round = 0; round < 20; round++) {
        std::vector<quring_conn> conns;
        for (uint32_t worker = 0; worker < 4; worker++) {
            conns.push_back(Begin("localhost", worker % 2));
        }
        for (const quring_conn conn : conns) {
            ASSERT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        }
    }
    while (reloads < 2) {
        std::this_thread::yield();
    }
    stop = true;
    reloader.join();
}

/* The application's own reference may go at once. */
TEST_P(Reload, TheListenerKeepsItsIdentity)
{
    QURING_START();
    quring_tls *tls = server_tls_.get();
    EXPECT_EQ(Shown(), first_.leaf_der);
    quring_tls_options options = Files(second_cert_.path(), second_key_.path());
    ASSERT_EQ(quring_tls_reload(tls, &options, nullptr), QURING_OK);
    server_tls_.reset();
    EXPECT_EQ(Shown(), second_.leaf_der);
}

INSTANTIATE_TEST_SUITE_P(Loopback, Reload, testing::ValuesIn(kBackends), SettingName);

} // namespace
