/* Versions, the QUIC bit and 1-RTT without encryption, through the public interface and over real
 * sockets (RFC 9368, RFC 9369, RFC 9287). */
#include <atomic>
#include <string>

#include "tests/api/fixture.h"

namespace quring_test
{
namespace
{

class Versions : public EndToEnd
{
  protected:
    quring_conn_info Info(quring_conn conn)
    {
        quring_conn_info info = {};
        EXPECT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
        return info;
    }

    uint64_t Counter(uint64_t quring_stats::*field)
    {
        quring_stats stats = {};
        EXPECT_EQ(quring_stats_get(client_rt_->rt(), -1, &stats), QURING_OK);
        return stats.*field;
    }
};

TEST_P(Versions, BothSpeakVersion1UnlessAsked)
{
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(Info(conn).version, QURING_QUIC_V1);
    ExpectEcho(conn, 100000, 1);
}

TEST_P(Versions, ClientMayBeginInVersion2)
{
    client_config_.limits.version_first = QURING_QUIC_V2;
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(Info(conn).version, QURING_QUIC_V2);
    ExpectEcho(conn, 1000000, 2);
}

TEST_P(Versions, ServersWishCostsNoRoundTrip)
{
    server_config_.limits.version_preferred = QURING_QUIC_V2;
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(Info(conn).version, QURING_QUIC_V2);
    EXPECT_EQ(Counter(&quring_stats::version_switches), 1u);
    EXPECT_EQ(Counter(&quring_stats::version_restarts), 0u);
    ExpectEcho(conn, 100000, 3);
}

TEST_P(Versions, ClientBeginsAgainWithTheSameHandle)
{
    server_config_.limits.versions = QURING_SPEAKS_V1;
    client_config_.limits.version_first = QURING_QUIC_V2;
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(Info(conn).version, QURING_QUIC_V1);
    EXPECT_EQ(Counter(&quring_stats::version_restarts), 1u);
    EXPECT_EQ(Counter(&quring_stats::conns_opened), 1u);
    ExpectEcho(conn, 100000, 4);
}

/* RFC 9368 2.1: only who makes the ClientHello itself makes the second one, and only with what is spoken. */
TEST_P(Versions, AListedVersionIsForHandshakesFromOutside)
{
    client_config_.limits.versions = QURING_SPEAKS_V1;
    QURING_START();
    struct Case {
        bool external;
        uint32_t listed;
        quring_status status;
    };
    const Case cases[] = {{false, QURING_QUIC_V1, QURING_E_INVAL},
                          {true, QURING_QUIC_V2, QURING_E_INVAL},
                          {true, 77, QURING_E_INVAL},
                          {true, QURING_QUIC_V1, QURING_OK}};
    for (const Case &c : cases) {
        EXPECT_TRUE(OnClient([&] {
            quring_conn conn = {0};
            quring_connect_options options = ConnectOptions();
            options.external_tls = c.external;
            options.version_listed = c.listed;
            EXPECT_EQ(quring_connect(&conn, &options, nullptr), c.status) << c.listed;
            if (c.status == QURING_OK) {
                EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK);
            }
        }));
    }
}

/* quring/runtime.h: the connection has a reference of its own, also for the second ClientHello. */
TEST_P(Versions, ClientBeginsAgainWithATlsThatWasReleased)
{
    server_config_.limits.versions = QURING_SPEAKS_V1;
    client_config_.limits.version_first = QURING_QUIC_V2;
    QURING_START();
    quring_conn conn = {0};
    EXPECT_TRUE(OnClient([&] {
        quring_connect_options options = ConnectOptions();
        EXPECT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
        client_tls_.reset(); /* before the server has said a word */
    }));
    ASSERT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
    EXPECT_EQ(Counter(&quring_stats::version_restarts), 1u);
    ExpectEcho(conn, 100000, 4);
}

TEST_P(Versions, RetryAndSeveralWorkersInVersion2)
{
    server_config_.limits.versions = QURING_SPEAKS_V2;
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY, 2, 2);
    for (uint32_t i = 0; i < 6; i++) {
        const quring_conn conn = Connect(i % 2);
        ExpectEcho(conn, 20000, i);
    }
    EXPECT_EQ(Counter(&quring_stats::version_restarts), 6u);
}

TEST_P(Versions, NoCommonVersionIsSaid)
{
    server_config_.limits.versions = QURING_SPEAKS_V1;
    client_config_.limits.versions = QURING_SPEAKS_V2;
    QURING_START();
    const quring_conn conn = Begin();
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.kind, QURING_CLOSE_VERSION);
}

/* RFC 9287: on by default; bulk data in both directions, so that trains are split and joined. */
TEST_P(Versions, QuicBitIsLeftToChance)
{
    EXPECT_TRUE(server_config_.limits.grease_quic_bit && client_config_.limits.grease_quic_bit);
    QURING_START(Peer::Mode::kEcho, 0, 2, 1);
    const quring_conn conn = Connect();
    ExpectEcho(conn, 4000000, 5);
    EXPECT_EQ(Counter(&quring_stats::drop_malformed), 0u);
}

TEST_P(Versions, QuicBitCanBeKept)
{
    server_config_.limits.grease_quic_bit = false;
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 1000000, 5);
    EXPECT_EQ(Counter(&quring_stats::drop_malformed), 0u);
}

class Unencrypted : public Versions
{
  protected:
    static void Log(void *ctx, int level, const char *line)
    {
        if (level == 1 && std::string(line).find("NOT encrypted") != std::string::npos) {
            (*static_cast<std::atomic<int> *>(ctx))++;
        }
    }

    void Run(bool server, bool client)
    {
        server_config_.limits.disable_1rtt_encryption = server;
        client_config_.limits.disable_1rtt_encryption = client;
        server_config_.log = client_config_.log = Log;
        server_config_.log_ctx = client_config_.log_ctx = &warned_;
        QURING_START();
        EXPECT_EQ(warned_, (server ? 1 : 0) + (client ? 1 : 0));
        const quring_conn conn = Connect();
        ExpectEcho(conn, 2000000, 6);
        EXPECT_EQ(Info(conn).unencrypted, server && client);
        EXPECT_EQ(Counter(&quring_stats::conns_unencrypted), server && client ? 1u : 0u);
    }

    std::atomic<int> warned_{0};
};

TEST_P(Unencrypted, WhenBothAsk)
{
    Run(true, true);
}

TEST_P(Unencrypted, NotWhenOnlyTheServerAsks)
{
    Run(true, false);
}

TEST_P(Unencrypted, NotWhenOnlyTheClientAsks)
{
    Run(false, true);
}

INSTANTIATE_TEST_SUITE_P(Backends, Versions, testing::ValuesIn(kBackends), SettingName);
INSTANTIATE_TEST_SUITE_P(Backends, Unencrypted, testing::ValuesIn(kBackends), SettingName);

} // namespace
} // namespace quring_test
