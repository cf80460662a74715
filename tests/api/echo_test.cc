#include <cstring>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kSettings;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::SettingName;
using quring_test::StreamState;

class Echo : public EndToEnd
{
};

TEST_P(Echo, AMegabyteBothWays)
{
    QURING_START();
    const quring_conn conn = Connect();
    const Bytes data = Pattern(1 << 20, 1);
    const uint64_t id = Send(conn, data);
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    const StreamState s = client_.Facts(conn, id);
    EXPECT_TRUE(s.in_fin);
    EXPECT_TRUE(s.finished);
    EXPECT_TRUE(s.in == data);
    EXPECT_FALSE(s.reset);
    /* The handle is dead after STREAM_CLOSED. */
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_stream_id(s.stream), UINT64_MAX); }));
}

TEST_P(Echo, ManyStreamsBeyondThePeersLimit)
{
    constexpr uint32_t kStreams = 300;
    server_config_.limits.streams_bidi_max = 50;
    std::map<uint64_t, uint32_t> number; /* by stream id; the client's worker only */
    uint32_t opened = 0;
    bool blocked = false;
    client_.hook = [&](const quring_event &ev) {
        if (ev.type != QURING_EV_CONNECTED && ev.type != QURING_EV_STREAMS_AVAILABLE) {
            return;
        }
        while (opened < kStreams) {
            uint64_t id = 0;
            const Bytes data = Pattern((opened * 37) % 5000, opened);
            const quring_status status = client_.Send(&id, ev.conn, data);
            if (status == QURING_E_AGAIN) {
                blocked = true;
                return;
            }
            ASSERT_EQ(status, QURING_OK);
            number[id] = opened++;
        }
    };
    QURING_START();
    const quring_conn conn = Connect();
    ASSERT_TRUE(client_.Wait([&] {
        uint32_t done = 0;
        for (const auto &entry : client_.At(conn).streams) {
            done += entry.second->in_fin ? 1 : 0;
        }
        return done == kStreams;
    }));
    ASSERT_TRUE(OnClient([&] {
        EXPECT_TRUE(blocked);
        for (const auto &entry : number) {
            const Bytes want = Pattern((entry.second * 37) % 5000, entry.second);
            EXPECT_TRUE(client_.Facts(conn, entry.first).in == want) << entry.second;
        }
    }));
}

TEST_P(Echo, LentBytesComeBackReleased)
{
    QURING_START();
    const quring_conn conn = Connect();
    const Bytes data = Pattern(300000, 3);
    const uint64_t id = Send(conn, data, 0, QURING_WRITE_FIN, true);
    ASSERT_TRUE(client_.Wait([&] {
        const StreamState &s = client_.At(conn, id);
        return s.in_fin && s.released == data.size();
    }));
    EXPECT_TRUE(client_.Facts(conn, id).in == data);
}

TEST_P(Echo, UnidirectionalStreamsGoOneWay)
{
    QURING_START();
    const quring_conn conn = Connect();
    const Bytes up = Pattern(100000, 4);
    const Bytes down = Pattern(150000, 5);
    const uint64_t up_id = Send(conn, up, QURING_STREAM_UNI);
    const quring_conn server_conn = ServerConn();
    uint64_t down_id = 0;
    ASSERT_TRUE(OnServer([&] {
        EXPECT_EQ(server_.Send(&down_id, server_conn, down, QURING_STREAM_UNI), QURING_OK);
    }));
    EXPECT_EQ(up_id & 3, 2u); /* RFC 9000 2.1 */
    EXPECT_EQ(down_id & 3, 3u);
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, up_id).in_fin; }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, down_id).in_fin; }));
    EXPECT_TRUE(server_.Facts(server_conn, up_id).in == up);
    EXPECT_TRUE(client_.Facts(conn, down_id).in == down);
    EXPECT_TRUE(client_.Facts(conn, down_id).opened);
}

TEST_P(Echo, TheWrongDirectionIsRefused)
{
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Pattern(10, 1), QURING_STREAM_UNI, 0);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).opened; }));
    const quring_stream theirs = server_.Facts(server_conn, id).stream;
    const quring_stream ours = client_.Facts(conn, id).stream;
    size_t n = 0;
    bool fin = false;
    uint8_t byte = 0;
    ASSERT_TRUE(
        OnServer([&] { EXPECT_EQ(quring_stream_write(theirs, &n, &byte, 1, 0), QURING_E_STATE); }));
    ASSERT_TRUE(
        OnClient([&] { EXPECT_EQ(quring_stream_read(ours, &n, &fin, &byte, 1), QURING_E_STATE); }));
}

TEST_P(Echo, AnEmptyStreamIsOnlyItsEnd)
{
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 0, 0);
    ExpectEcho(conn, 1, 1);
}

TEST_P(Echo, ConnectionInfoTellsWhatWasAgreed)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ExpectEcho(conn, 100000, 9);
    quring_conn_info c = {};
    quring_conn_info s = {};
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &c), QURING_OK); }));
    ASSERT_TRUE(OnServer([&] { EXPECT_EQ(quring_conn_get_info(server_conn, &s), QURING_OK); }));
    EXPECT_TRUE(c.is_client);
    EXPECT_FALSE(s.is_client);
    EXPECT_TRUE(c.established);
    EXPECT_TRUE(s.established);
    EXPECT_TRUE(c.confirmed);
    EXPECT_STREQ(c.alpn, "test");
    EXPECT_STREQ(s.alpn, "test");
    EXPECT_STREQ(s.server_name, "localhost");
    EXPECT_EQ(c.version, 1u);
    EXPECT_EQ(c.cipher_suite, s.cipher_suite);
    ASSERT_NE(c.cipher, nullptr);
    EXPECT_EQ(strncmp(c.cipher, "TLS_", 4), 0);
    EXPECT_STREQ(c.cc, "cubic");
    EXPECT_EQ(c.remote.port, listener_->local().port);
    EXPECT_EQ(s.remote.port, c.local.port);
    EXPECT_EQ(s.remote.family, Remote().family);
    EXPECT_GT(c.srtt_ns, 0u);
    EXPECT_GT(c.cwnd_bytes, 0u);
    EXPECT_GE(c.udp_payload_bytes, 1200u);
    EXPECT_GT(c.packets_sent, 0u);
    EXPECT_GT(c.bytes_recv, 100000u);
    EXPECT_GE(c.stream_bytes_sent, 100000u);
    EXPECT_GE(c.stream_bytes_recv, 100000u);
}

TEST_P(Echo, ContextsAreKeptPerObject)
{
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Pattern(10, 1), 0, 0);
    const quring_stream stream = client_.Facts(conn, id).stream;
    int mark = 0;
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_conn_get_ctx(conn), &client_);
        EXPECT_EQ(quring_stream_get_ctx(stream), nullptr);
        EXPECT_EQ(quring_stream_set_ctx(stream, &mark), QURING_OK);
        EXPECT_EQ(quring_stream_get_ctx(stream), &mark);
        EXPECT_EQ(quring_stream_conn(stream).handle, conn.handle);
        EXPECT_EQ(quring_stream_id(stream), id);
        quring_stream_info info;
        EXPECT_EQ(quring_stream_get_info(stream, &info), QURING_OK);
        EXPECT_EQ(info.id, id);
        EXPECT_EQ(info.bytes_written, 10u);
        EXPECT_GT(info.writable, 0u);
        quring_limits limits; /* the server's, who has read nothing */
        quring_limits_init(&limits);
        quring_limits_for_loopback(&limits);
        EXPECT_EQ(info.send_max, limits.stream_recv_window_bytes);
        EXPECT_EQ(info.conn_send_max, limits.conn_recv_window_bytes);
        EXPECT_EQ(quring_conn_ping(conn), QURING_OK);
    }));
}

/* A reader that is slower than the writer: flow control holds the writer back. */
TEST_P(Echo, ASlowReaderStopsTheWriter)
{
    server_config_.limits.stream_recv_window_bytes = 16384;
    server_config_.limits.stream_recv_window_max_bytes = 16384;
    client_config_.limits.stream_send_buf_bytes = 16384;
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(200000, 6);
    const uint64_t id = Send(conn, data);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).opened; }));
    EXPECT_LT(client_.Facts(conn, id).out_done, data.size());
    Bytes got;
    bool fin = false;
    const uint64_t begun = quring_now_ns();
    while (!fin && quring_now_ns() - begun < 60 * quring_test::kSecond) {
        ASSERT_TRUE(OnServer([&] {
            const quring_stream stream = server_.Facts(server_conn, id).stream;
            uint8_t buf[1000];
            size_t n = 0;
            const quring_status status = quring_stream_read(stream, &n, &fin, buf, sizeof(buf));
            EXPECT_TRUE(status == QURING_OK || status == QURING_E_AGAIN) << status;
            got.insert(got.end(), buf, buf + n);
        }));
    }
    EXPECT_TRUE(fin);
    EXPECT_TRUE(got == data);
}

INSTANTIATE_TEST_SUITE_P(Loopback, Echo, testing::ValuesIn(kSettings), SettingName);

} // namespace
