/* Records of packets over real sockets. */
#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Pattern;
using quring_test::SettingName;

class Trace : public EndToEnd
{
};

TEST_P(Trace, ClientAndServerTellOfTheirPackets)
{
    client_config_.limits.trace_packets = server_config_.limits.trace_packets = 4096;
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 100000, 5);
    const quring_conn server_conn = ServerConn();
    quring_packet_record records[4096];
    size_t count = 0;
    uint64_t missed = 1;
    EXPECT_EQ(quring_conn_read_trace(conn, records, 1, &count, &missed), QURING_E_THREAD);
    const auto read = [&](quring_conn c) {
        EXPECT_EQ(quring_conn_read_trace(c, nullptr, 1, &count, &missed), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_read_trace(c, records, 4096, nullptr, &missed), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_read_trace(c, records, 4096, &count, &missed), QURING_OK);
        EXPECT_EQ(missed, 0u);
        ASSERT_GT(count, 80u);
        uint64_t first = records[0].at_ns;
        EXPECT_LE(first, quring_now_ns());
        EXPECT_LT(quring_now_ns() - first, 60000000000ull);
        EXPECT_EQ(records[0].type, QURING_PACKET_INITIAL);
        EXPECT_EQ(records[0].number, 0u);
        EXPECT_GE(records[0].bytes, 40u);
        EXPECT_EQ(records[count - 1].type, QURING_PACKET_1RTT);
    };
    ASSERT_TRUE(OnClient([&] {
        read(conn);
        EXPECT_EQ(records[0].event, QURING_PACKET_SENT);
    }));
    ASSERT_TRUE(OnServer([&] {
        read(server_conn);
        EXPECT_EQ(records[0].event, QURING_PACKET_RECEIVED);
    }));
}

TEST_P(Trace, NobodyPaysWhoDoesNotAsk)
{
    QURING_START();
    const quring_conn conn = Connect();
    ASSERT_TRUE(OnClient([&] {
        quring_packet_record record;
        size_t count = 0;
        uint64_t missed = 0;
        EXPECT_EQ(quring_conn_read_trace(conn, &record, 1, &count, &missed), QURING_E_STATE);
    }));
}

INSTANTIATE_TEST_SUITE_P(Backends, Trace, testing::ValuesIn(kBackends), SettingName);

} // namespace
