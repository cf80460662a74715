/* Small facts that an application may ask to hear of: keys that changed, resets that arrived, final
 * sizes; and tokens that a server gives when it is told to. */
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Peer;
using quring_test::SettingName;

class Facts : public EndToEnd
{
  protected:
    void SetUp() override
    {
        client_.hook = [this](const quring_event &event) { Note(event, &client_seen_); };
        server_.hook = [this](const quring_event &event) { Note(event, &server_seen_); };
    }

    struct Seen {
        std::atomic<uint32_t> key_updates{0};
        std::atomic<int> phase{-1};
        std::atomic<uint32_t> resets_acked{0};
        std::atomic<uint64_t> final_size{UINT64_MAX};
        std::atomic<uint32_t> tokens{0};
    };

    static void Note(const quring_event &event, Seen *seen)
    {
        if (event.type == QURING_EV_KEYS_UPDATED) {
            seen->phase = event.level;
            seen->key_updates++;
        }
        if (event.type == QURING_EV_STREAM_RESET_ACKED) {
            seen->resets_acked++;
        }
        if (event.type == QURING_EV_STREAM_RESET) {
            seen->final_size = event.offset;
        }
        if (event.type == QURING_EV_TOKEN) {
            seen->tokens++;
        }
    }

    /* As soon as it is allowed (RFC 9001 6.1, 6.5). */
    quring_status UpdateKeys(quring_conn conn)
    {
        quring_status status = QURING_E_AGAIN;
        for (int i = 0; i < 5000 && status == QURING_E_AGAIN; i++) {
            if (!OnClient([&] { status = quring_conn_update_keys(conn); })) {
                return QURING_E_STATE;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return status;
    }

    Seen client_seen_;
    Seen server_seen_;
};

/* RFC 9001 6.1 and 6.2: both directions change, whoever began. */
TEST_P(Facts, NewKeysAreToldToBothWithTheirPhase)
{
    QURING_START();
    const quring_conn conn = Connect();
    for (int phase : {1, 0}) {
        const uint32_t before = client_seen_.key_updates;
        ASSERT_EQ(UpdateKeys(conn), QURING_OK) << client_.Facts(conn).close.reason;
        ExpectEcho(conn, 1000, 1);
        ASSERT_TRUE(client_.Wait([&] { return client_seen_.key_updates == before + 1; }));
        ASSERT_TRUE(server_.Wait([&] { return server_seen_.key_updates == before + 1; }));
        EXPECT_EQ(client_seen_.phase, phase);
        EXPECT_EQ(server_seen_.phase, phase);
    }
}

/* RFC 9000 3.1 "Reset Recvd", 4.5 */
TEST_P(Facts, AResetThatArrivedAndItsFinalSize)
{
    QURING_START(Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Bytes(1234), QURING_STREAM_UNI, 0);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).in.size() == 1234; }));
    const quring_stream s = client_.Facts(conn, id).stream;
    EXPECT_EQ(client_seen_.resets_acked, 0u);
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_stream_reset(s, 7), QURING_OK); }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    EXPECT_EQ(client_seen_.resets_acked, 1u);
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).reset; }));
    EXPECT_EQ(server_seen_.final_size, 1234u);
}

/* A stream that ends as it should is not reset. */
TEST_P(Facts, NoResetNoWord)
{
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 5000, 3);
    EXPECT_EQ(client_seen_.resets_acked, 0u);
    EXPECT_EQ(server_seen_.resets_acked, 0u);
}

/* RFC 9000 8.1.3: a server may give tokens at any time. */
TEST_P(Facts, AServerGivesTokensWhenItIsTold)
{
    server_config_.limits.new_tokens = 0;
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ExpectEcho(conn, 1000, 1);
    EXPECT_EQ(client_seen_.tokens, 0u);
    EXPECT_EQ(quring_conn_give_token(server_conn), QURING_E_THREAD);
    ASSERT_TRUE(OnServer([&] {
        EXPECT_EQ(quring_conn_give_token(server_conn), QURING_OK);
        EXPECT_EQ(quring_conn_give_token(server_conn), QURING_OK);
    }));
    ASSERT_TRUE(client_.Wait([&] { return client_seen_.tokens == 2; }));
    ASSERT_TRUE(OnServer([&] {
        for (uint32_t i = 0; i < QURING_TOKENS_WAITING_MAX; i++) {
            EXPECT_EQ(quring_conn_give_token(server_conn), QURING_OK);
        }
        EXPECT_EQ(quring_conn_give_token(server_conn), QURING_E_AGAIN);
    }));
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_give_token(conn), QURING_E_STATE); }));
}

/* RFC 9000 9.6: only a server whose handshake comes from outside, and only before its parameters were asked
 * for, has a say in it connection by connection. */
TEST_P(Facts, WhoMayPreferAnAddress)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    const quring_addr v4 = quring_test::Addr("127.0.0.1:4433");
    const quring_addr v6 = quring_test::Addr("[::1]:4433");
    const quring_addr no_port = quring_test::Addr("127.0.0.1:0");
    EXPECT_EQ(quring_handshake_set_preferred(server_conn, &v4, nullptr), QURING_E_THREAD);
    ASSERT_TRUE(OnServer([&] {
        EXPECT_EQ(quring_handshake_set_preferred(server_conn, nullptr, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_set_preferred(server_conn, &v6, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_set_preferred(server_conn, &no_port, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_set_preferred(server_conn, &v4, &v6), QURING_E_STATE);
    }));
    ASSERT_TRUE(OnClient(
        [&] { EXPECT_EQ(quring_handshake_set_preferred(conn, &v4, nullptr), QURING_E_STATE); }));
}

/* limits.congestion_control goes before quring_config.cc, connection by connection. */
TEST_P(Facts, AConnectionsOwnCongestionControl)
{
    client_config_.cc = QURING_CC_CUBIC;
    client_config_.limits.congestion_control = 1 + QURING_CC_NEWRENO;
    client_config_.limits.initial_rtt_ns = 50 * quring_test::kMs;
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_STREQ(client_.Facts(conn).info.cc, "newreno");
    const quring_conn server_conn = ServerConn();
    EXPECT_STREQ(server_.Facts(server_conn).info.cc, "cubic");
    quring_config config = client_config_;
    quring_error err = {};
    config.limits.congestion_control = 4;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
    config = client_config_;
    config.limits.initial_rtt_ns = 1;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
}

INSTANTIATE_TEST_SUITE_P(Backends, Facts, testing::ValuesIn(kBackends), SettingName);

} // namespace
