/* Session tickets, resumption and 0-RTT through the public interface (RFC 9001 4.5, 4.6). */
#include <atomic>
#include <map>

#include "tests/api/fixture.h"

namespace quring_test
{
namespace
{

class ZeroRtt : public EndToEnd
{
  protected:
    void SetUp() override
    {
        for (size_t i = 0; i < sizeof(server_config_.root_secret); i++) {
            server_config_.root_secret[i] = static_cast<uint8_t>(i + 1);
        }
        client_.hook = [this](const quring_event &event) {
            if (event.type == QURING_EV_SESSION) {
                session_.assign(event.data.data, event.data.data + event.data.len);
                sessions_++;
            }
            ready_ += event.type == QURING_EV_EARLY_READY ? 1 : 0;
            rejected_ += event.type == QURING_EV_EARLY_REJECTED ? 1 : 0;
        };
        server_.hook = [this](const quring_event &event) {
            server_ready_ += event.type == QURING_EV_EARLY_READY ? 1 : 0;
        };
    }

    /* A full handshake, for its ticket. */
    Bytes Ticket()
    {
        const uint32_t before = sessions_;
        const quring_conn conn = Connect();
        EXPECT_FALSE(client_.Facts(conn).info.resumed);
        EXPECT_TRUE(client_.Wait([&] { return sessions_ > before; }));
        Close(conn);
        return session_;
    }

    void Close(quring_conn conn)
    {
        client_rt_->On(quring_conn_worker(conn), [&] { quring_conn_close(conn, 0, nullptr); });
        EXPECT_TRUE(client_.WaitClosed(conn));
    }

    /* Connects with `session`; with 0-RTT, `early` is written before anything can have arrived. */
    quring_conn Resume(const Bytes &session, bool zero_rtt, const Bytes &early = {},
                       uint64_t *out_id = nullptr, const char *server_name = "localhost",
                       uint32_t worker = 0)
    {
        quring_connect_options options = ConnectOptions(server_name);
        options.session = {session.data(), session.size()};
        options.zero_rtt = zero_rtt;
        quring_conn conn = {0};
        quring_error err = {};
        client_rt_->On(worker, [&] {
            ASSERT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message;
            if (out_id != nullptr) {
                EXPECT_EQ(client_.Send(out_id, conn, early), QURING_OK);
            }
        });
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return conn;
    }

    quring_conn_info Info(quring_conn conn)
    {
        quring_conn_info info = {};
        client_rt_->On(quring_conn_worker(conn),
                       [&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); });
        return info;
    }

    void ExpectEchoed(quring_conn conn, uint64_t id, const Bytes &data)
    {
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
        EXPECT_TRUE(client_.Facts(conn, id).in == data);
    }

    void ExpectAccepted(const Bytes &session, uint32_t worker = 0)
    {
        const Bytes data = Pattern(3000, 7);
        uint64_t id = 0;
        const quring_conn conn = Resume(session, true, data, &id, "localhost", worker);
        ExpectEchoed(conn, id, data);
        const quring_conn_info info = Info(conn);
        EXPECT_TRUE(info.resumed);
        EXPECT_TRUE(info.early_accepted);
        EXPECT_FALSE(info.early_rejected);
        EXPECT_EQ(info.zero_rtt_bytes, data.size());
        Close(conn);
    }

    void ExpectRejected(const Bytes &session, bool resumed)
    {
        const Bytes data = Pattern(9000, 9);
        uint64_t id = 0;
        const uint32_t before = rejected_;
        const quring_conn conn = Resume(session, true, data, &id);
        ExpectEchoed(conn, id, data);
        const quring_conn_info info = Info(conn);
        EXPECT_EQ(info.resumed, resumed);
        EXPECT_FALSE(info.early_accepted);
        EXPECT_TRUE(info.early_rejected);
        EXPECT_EQ(info.zero_rtt_bytes, 0u);
        EXPECT_EQ(rejected_, before + 1);
        ExpectEcho(conn, 100000, 3); /* the connection is as good as any */
        Close(conn);
    }

    /* The server again, at another port; `secret` is the first byte of its root secret. */
    void Restart(uint8_t secret, uint32_t flags)
    {
        listener_->Close();
        server_rt_.reset();
        server_config_.root_secret[0] = secret;
        server_rt_ = std::make_unique<Runtime>(server_config_);
        ASSERT_NE(server_rt_->rt(), nullptr) << server_rt_->error().message;
        Listen(flags);
    }

    void Listen(uint32_t flags)
    {
        listener_ = std::make_unique<Listener>(server_rt_.get(), &server_, Addr(GetParam().listen),
                                               server_tls_.get(), flags);
        ASSERT_TRUE(listener_->ok()) << listener_->error().message;
    }

    Bytes session_;
    std::atomic<uint32_t> sessions_{0};
    std::atomic<uint32_t> ready_{0};
    std::atomic<uint32_t> rejected_{0};
    std::atomic<uint32_t> server_ready_{0};
};

TEST_P(ZeroRtt, ATicketResumes)
{
    QURING_START();
    const Bytes session = Ticket();
    const quring_conn conn = Resume(session, false);
    EXPECT_TRUE(client_.Facts(conn).info.resumed);
    EXPECT_FALSE(client_.Facts(conn).info.early_accepted);
    ExpectEcho(conn, 50000, 1);
    EXPECT_TRUE(client_.Wait([&] { return sessions_ == 2; })); /* and gives a new one */
    EXPECT_EQ(ready_, 0u);
    Close(conn);
}

TEST_P(ZeroRtt, WithoutTicketsNothingResumes)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_NO_TICKETS);
    const quring_conn conn = Connect();
    ExpectEcho(conn, 1000, 1);
    EXPECT_EQ(sessions_, 0u);
    Close(conn);
}

TEST_P(ZeroRtt, BytesBeforeTheHandshakeAreAccepted)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    ExpectAccepted(Ticket());
    EXPECT_EQ(ready_, 1u);
    EXPECT_EQ(server_ready_, 1u);
    ExpectAccepted(session_); /* with the ticket of the resumed connection */
}

TEST_P(ZeroRtt, MoreThanTheFirstWindowGoesOnAfterTheHandshake)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    const Bytes data = Pattern(300000, 4);
    uint64_t id = 0;
    const quring_conn conn = Resume(session, true, data, &id);
    ExpectEchoed(conn, id, data);
    const quring_conn_info info = Info(conn);
    EXPECT_TRUE(info.early_accepted);
    EXPECT_GT(info.zero_rtt_bytes, 5000u);
    EXPECT_LT(info.zero_rtt_bytes, data.size());
    Close(conn);
}

TEST_P(ZeroRtt, EveryWorkerTakesATicket)
{
    server_config_.cpus[0] = -1;
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT, 4);
    for (uint32_t i = 0; i < 12; i++) {
        ExpectAccepted(i == 0 ? Ticket() : session_);
    }
}

TEST_P(ZeroRtt, AServerThatDoesNotTakeItStillResumes)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    listener_->Close();
    Listen(0);
    ExpectRejected(session, true);
}

TEST_P(ZeroRtt, ATicketIsGoodForItOnce)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT, 4);
    const Bytes session = Ticket();
    ExpectAccepted(session);
    for (uint32_t i = 0; i < 4; i++) { /* whichever worker gets it */
        ExpectRejected(session, true);
    }
    ExpectAccepted(session_); /* a connection that was refused gets a good one */
}

TEST_P(ZeroRtt, ARestartedServerResumesAndRefuses)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    Restart(server_config_.root_secret[0], QURING_LISTEN_ZERO_RTT);
    ExpectRejected(session, true); /* what its predecessor has accepted is not known */
    ExpectAccepted(session_);
}

TEST_P(ZeroRtt, AnotherSecretMeansAFullHandshake)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    Restart(99, QURING_LISTEN_ZERO_RTT);
    ExpectRejected(session, false);
}

TEST_P(ZeroRtt, OtherLimitsAreRefused)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    listener_->Close();
    server_rt_.reset();
    server_config_.limits.conn_recv_window_bytes = 8192; /* RFC 9000 7.4.1: less than remembered */
    server_config_.limits.stream_recv_window_bytes = 4096;
    server_rt_ = std::make_unique<Runtime>(server_config_);
    Listen(QURING_LISTEN_ZERO_RTT);
    ExpectRejected(session, true);
}

TEST_P(ZeroRtt, ASessionIsForOneServerName)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes session = Ticket();
    const quring_conn conn = Resume(session, true, {}, nullptr, "other.example");
    EXPECT_FALSE(client_.Facts(conn).info.resumed);
    EXPECT_EQ(ready_, 0u);
    Close(conn);
}

TEST_P(ZeroRtt, GarbageIsIgnored)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT);
    const Bytes good = Ticket();
    for (size_t cut = 0; cut < good.size(); cut += 1 + good.size() / 20) {
        Close(Resume(Bytes(good.begin(), good.begin() + static_cast<long>(cut)), true));
    }
    Close(Resume(Pattern(200, 1), true));
    EXPECT_EQ(ready_, 0u);
}

TEST_P(ZeroRtt, RetryKeepsIt)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_ZERO_RTT | QURING_LISTEN_RETRY);
    const Bytes session = Ticket();
    const Bytes data = Pattern(3000, 7);
    uint64_t id = 0;
    const quring_conn conn = Resume(session, true, data, &id);
    ExpectEchoed(conn, id, data);
    const quring_conn_info info = Info(conn);
    EXPECT_TRUE(info.retry_used);
    EXPECT_TRUE(info.early_accepted);
    Close(conn);
}

TEST_P(ZeroRtt, ZeroRttNeedsTickets)
{
    QURING_START();
    Listener refused(server_rt_.get(), &server_, Addr(GetParam().listen), server_tls_.get(),
                     QURING_LISTEN_ZERO_RTT | QURING_LISTEN_NO_TICKETS);
    EXPECT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().status, QURING_E_INVAL);
}

INSTANTIATE_TEST_SUITE_P(Backends, ZeroRtt, testing::ValuesIn(kBackends), SettingName);

} // namespace
} // namespace quring_test
