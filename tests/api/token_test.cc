/* Tokens for later connections, and what survives the restart of a server, through the public interface
 * (RFC 9000 8.1.3, 8.1.4, 10.3). */
#include <atomic>
#include <cstring>

#include "tests/api/fixture.h"

namespace quring_test
{
namespace
{

class Token : public EndToEnd
{
  protected:
    void SetUp() override
    {
        memset(server_config_.root_secret, 5, sizeof(server_config_.root_secret));
        client_.hook = [this](const quring_event &event) {
            if (event.type == QURING_EV_TOKEN) {
                token_.assign(event.data.data, event.data.data + event.data.len);
                tokens_++;
            }
            if (event.type == QURING_EV_SESSION) {
                session_.assign(event.data.data, event.data.data + event.data.len);
                sessions_++;
            }
        };
    }

    void Close(quring_conn conn)
    {
        client_rt_->On(quring_conn_worker(conn), [&] { quring_conn_close(conn, 0, nullptr); });
        EXPECT_TRUE(client_.WaitClosed(conn));
    }

    /* A connection for its token (and ticket). */
    void Earn()
    {
        const uint32_t tokens = tokens_;
        const uint32_t sessions = sessions_;
        const quring_conn conn = Connect();
        EXPECT_TRUE(client_.Wait([&] { return tokens_ > tokens && sessions_ > sessions; }));
        Close(conn);
    }

    quring_conn Show(const Bytes &token, const Bytes &session = {})
    {
        quring_connect_options options = ConnectOptions();
        options.token = {token.data(), token.size()};
        options.session = {session.data(), session.size()};
        quring_conn conn = {0};
        quring_error err = {};
        client_rt_->On(
            0, [&] { ASSERT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message; });
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return conn;
    }

    /* Whether a connection that shows `token` has to go through a Retry. */
    bool Retried(const Bytes &token)
    {
        const quring_conn conn = Show(token);
        const bool retried = client_.Facts(conn).info.retry_used;
        ExpectEcho(conn, 1000, 1);
        Close(conn);
        return retried;
    }

    quring_stats Stats()
    {
        quring_stats stats = {};
        EXPECT_EQ(quring_stats_get(server_rt_->rt(), -1, &stats), QURING_OK);
        return stats;
    }

    /* The server ends, and begins again at the same port. */
    void Restart(uint32_t flags)
    {
        quring_addr at = listener_->local();
        listener_->Forget();
        server_rt_->Destroy();
        server_rt_ = std::make_unique<Runtime>(server_config_);
        ASSERT_NE(server_rt_->rt(), nullptr) << server_rt_->error().message;
        listener_ =
            std::make_unique<Listener>(server_rt_.get(), &server_, at, server_tls_.get(), flags);
        ASSERT_TRUE(listener_->ok()) << listener_->error().message;
    }

    Bytes token_;
    Bytes session_;
    std::atomic<uint32_t> tokens_{0};
    std::atomic<uint32_t> sessions_{0};
};

TEST_P(Token, SparesTheNextConnectionItsRetry)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    Earn();
    const Bytes token = token_;
    EXPECT_FALSE(Retried(token));
    EXPECT_TRUE(Retried(token)); /* it is good once */
    EXPECT_TRUE(Retried({}));
    EXPECT_TRUE(Retried(Pattern(100, 1)));
    EXPECT_EQ(Stats().tokens_accepted, 1u);
}

TEST_P(Token, EveryWorkerTakesIt)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY, 4);
    for (int i = 0; i < 12; i++) {
        Earn();
        const Bytes token = token_;
        EXPECT_FALSE(Retried(token));
        EXPECT_TRUE(Retried(token)); /* whichever worker saw it first */
    }
}

TEST_P(Token, GoesTogetherWithASession)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    Earn();
    const quring_conn conn = Show(token_, session_);
    EXPECT_TRUE(client_.Facts(conn).info.resumed);
    EXPECT_FALSE(client_.Facts(conn).info.retry_used);
    Close(conn);
}

/* The listener was made without any. */
TEST_P(Token, AreGivenOnceTheListenersLimitsSaySo)
{
    server_config_.limits.new_tokens = 0;
    QURING_START();
    quring_limits limits = server_config_.limits;
    limits.new_tokens = 1;
    ASSERT_EQ(quring_listener_configure(listener_->get(), QURING_LISTEN_RETRY, &limits, nullptr),
              QURING_OK);
    Earn();
    const Bytes token = token_; /* each connection brings another */
    EXPECT_FALSE(Retried(token));
    EXPECT_TRUE(Retried(token));
}

TEST_P(Token, NoneWhenTheSettingSaysSo)
{
    server_config_.limits.new_tokens = 0;
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    const quring_conn conn = Connect();
    ExpectEcho(conn, 1000, 1);
    EXPECT_TRUE(client_.Wait([&] { return sessions_ > 0; }));
    EXPECT_EQ(tokens_, 0u);
    Close(conn);
}

TEST_P(Token, SurvivesARestartWithTheSameSecret)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    Earn();
    Restart(QURING_LISTEN_RETRY);
    EXPECT_FALSE(Retried(token_));
}

TEST_P(Token, SurvivesARotationOfTheSecret)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    Earn();
    memcpy(server_config_.previous_root_secret, server_config_.root_secret, 32);
    memset(server_config_.root_secret, 6, 32);
    Restart(QURING_LISTEN_RETRY);
    EXPECT_FALSE(Retried(token_));
}

TEST_P(Token, IsWorthNothingUnderAnotherSecret)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    Earn();
    memset(server_config_.root_secret, 6, 32);
    Restart(QURING_LISTEN_RETRY);
    EXPECT_TRUE(Retried(token_));
}

INSTANTIATE_TEST_SUITE_P(Backends, Token, testing::ValuesIn(kBackends), SettingName);

} // namespace
} // namespace quring_test
