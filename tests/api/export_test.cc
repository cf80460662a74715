/* Keying material for applications over real sockets (RFC 8446 7.5). */
#include <map>
#include <mutex>
#include <string>

#include <gtest/gtest.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/sha.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::SettingName;
using quring_test::TheIdentity;
using quring_test::Tls;

constexpr char kLabel[] = "EXPERIMENTAL quring test";

quring_bytes View(const std::string &text)
{
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

struct Exported {
    quring_status status = QURING_E_STATE;
    Bytes keys;
};

Exported Export(quring_conn conn, size_t len, const std::string &label, const std::string &context)
{
    Exported out;
    out.keys.resize(len);
    out.status = quring_conn_export_keys(conn, out.keys.data(), len, label.c_str(), View(context));
    return out;
}

/* RFC 8446 7.1 with SHA-256, from its text. */
Bytes ExpandLabel(const Bytes &secret, const std::string &label, const Bytes &context, size_t len)
{
    Bytes info = {uint8_t(len >> 8), uint8_t(len), uint8_t(6 + label.size())};
    const std::string full = "tls13 " + label;
    info.insert(info.end(), full.begin(), full.end());
    info.push_back(uint8_t(context.size()));
    info.insert(info.end(), context.begin(), context.end());
    Bytes out(len);
    EXPECT_EQ(HKDF_expand(out.data(), len, EVP_sha256(), secret.data(), secret.size(), info.data(),
                          info.size()),
              1);
    return out;
}

Bytes Hash(const std::string &text)
{
    Bytes out(SHA256_DIGEST_LENGTH);
    SHA256(reinterpret_cast<const uint8_t *>(text.data()), text.size(), out.data());
    return out;
}

/* RFC 8446 7.5 */
Bytes Expected(const Bytes &exporter_secret, const std::string &label, const std::string &context,
               size_t len)
{
    return ExpandLabel(ExpandLabel(exporter_secret, label, Hash(""), SHA256_DIGEST_LENGTH),
                       "exporter", Hash(context), len);
}

class Exporter : public EndToEnd
{
  protected:
    void Prepare(bool exporter)
    {
        static const char *const alpn[] = {"test"};
        quring_tls_options options = {};
        options.alpn = alpn;
        options.alpn_count = 1;
        options.cert_pem = View(TheIdentity().cert);
        options.key_pem = View(TheIdentity().key);
        options.cipher_suite = 0x1301;
        options.exporter = exporter;
        options.keylog = [](void *ctx, const char *line) {
            static_cast<Exporter *>(ctx)->Learn(line);
        };
        options.keylog_ctx = this;
        quring_tls *tls = nullptr;
        quring_error err = {};
        ASSERT_EQ(quring_tls_create_server(&tls, &options, &err), QURING_OK) << err.message;
        server_tls_ = Tls(tls);
    }
    Exported AtClient(quring_conn conn, size_t len, const std::string &label,
                      const std::string &context)
    {
        Exported out;
        EXPECT_TRUE(OnClient([&] { out = Export(conn, len, label, context); }));
        return out;
    }
    Exported AtServer(quring_conn conn, size_t len, const std::string &label,
                      const std::string &context)
    {
        Exported out;
        EXPECT_TRUE(OnServer([&] { out = Export(conn, len, label, context); }));
        return out;
    }
    Bytes ExporterSecret()
    {
        std::lock_guard<std::mutex> guard(mutex_);
        return exporter_secret_;
    }

  private:
    /* NSS key log format: "EXPORTER_SECRET <client random> <secret>" */
    void Learn(const std::string &line)
    {
        if (line.rfind("EXPORTER_SECRET ", 0) != 0) {
            return;
        }
        const std::string hex = line.substr(line.rfind(' ') + 1);
        std::lock_guard<std::mutex> guard(mutex_);
        exporter_secret_.clear();
        for (size_t i = 0; i + 1 < hex.size(); i += 2) {
            exporter_secret_.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
        }
    }

    std::mutex mutex_;
    Bytes exporter_secret_;
};

TEST_P(Exporter, BothEndsDeriveWhatTheRfcSays)
{
    Prepare(true);
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn peer = ServerConn();
    ExpectEcho(conn, 20000, 1);
    const Bytes secret = ExporterSecret();
    ASSERT_EQ(secret.size(), size_t{SHA256_DIGEST_LENGTH});
    for (const std::string &context : {std::string(), std::string("a"), std::string(1000, 'x')}) {
        for (const size_t len : {size_t{1}, size_t{32}, size_t{255 * SHA256_DIGEST_LENGTH}}) {
            const Exported client = AtClient(conn, len, kLabel, context);
            const Exported server = AtServer(peer, len, kLabel, context);
            EXPECT_EQ(client.status, QURING_OK);
            EXPECT_EQ(server.status, QURING_OK);
            EXPECT_EQ(client.keys, Expected(secret, kLabel, context, len));
            EXPECT_EQ(server.keys, client.keys);
        }
    }
    EXPECT_NE(AtServer(peer, 32, kLabel, "").keys,
              AtServer(peer, 32, "EXPERIMENTAL other", "").keys);
    ExpectEcho(conn, 20000, 2); /* the connection goes on as before */
}

TEST_P(Exporter, EachConnectionHasItsOwn)
{
    Prepare(true);
    QURING_START();
    const Exported first = AtClient(Connect(), 32, kLabel, "");
    const quring_conn second = Connect();
    EXPECT_EQ(first.status, QURING_OK);
    EXPECT_NE(AtClient(second, 32, kLabel, "").keys, first.keys);
}

TEST_P(Exporter, AServerKeepsItOnlyWhenAsked)
{
    Prepare(false);
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(AtServer(ServerConn(), 32, kLabel, "").status, QURING_E_NOT_SUPPORTED);
    EXPECT_EQ(AtClient(conn, 32, kLabel, "").status, QURING_OK);
}

TEST_P(Exporter, TheCallSaysWhyNot)
{
    Prepare(true);
    QURING_START();
    const quring_conn conn = Connect();
    uint8_t out[32];
    EXPECT_EQ(quring_conn_export_keys(conn, out, sizeof(out), kLabel, {}), QURING_E_THREAD);
    ASSERT_TRUE(OnClient([&] {
        const std::string longest(249, 'l');
        EXPECT_EQ(Export(conn, 32, longest, "").status, QURING_OK);
        EXPECT_EQ(Export(conn, 32, longest + "l", "").status, QURING_E_INVAL);
        EXPECT_EQ(Export(conn, 255 * SHA256_DIGEST_LENGTH + 1, kLabel, "").status, QURING_E_INVAL);
        EXPECT_EQ(quring_conn_export_keys(conn, out, 0, kLabel, {}), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_export_keys(conn, nullptr, 32, kLabel, {}), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_export_keys(conn, out, 32, nullptr, {}), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_export_keys(conn, out, 32, kLabel, {nullptr, 1}), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK);
    }));
    EXPECT_TRUE(client_.WaitClosed(conn));
    EXPECT_TRUE(OnClient([&] { EXPECT_EQ(Export(conn, 32, kLabel, "").status, QURING_E_STATE); }));
    quring_conn early = {0};
    EXPECT_TRUE(OnClient([&] {
        quring_connect_options options = ConnectOptions();
        ASSERT_EQ(quring_connect(&early, &options, nullptr), QURING_OK);
        EXPECT_EQ(Export(early, 32, kLabel, "").status, QURING_E_STATE);
    }));
    EXPECT_TRUE(client_.WaitConnected(early));
}

INSTANTIATE_TEST_SUITE_P(Loopback, Exporter, testing::ValuesIn(kBackends), SettingName);

} // namespace
