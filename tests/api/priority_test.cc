/* Urgency of streams (RFC 9218 4) over real sockets. */
#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Pattern;
using quring_test::SettingName;

class Priority : public EndToEnd
{
};

TEST_P(Priority, EverythingArrivesWhateverItsUrgency)
{
    QURING_START(quring_test::Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(300000, 3);
    uint64_t ids[8] = {};
    ASSERT_TRUE(OnClient([&] {
        for (uint32_t u = 0; u < 8; u++) {
            EXPECT_EQ(client_.Send(&ids[u], conn, data, QURING_STREAM_UNI), QURING_OK);
            const quring_stream s = client_.At(conn, ids[u]).stream;
            const uint32_t flags = u % 2 == 0 ? uint32_t{QURING_PRIORITY_INCREMENTAL} : 0u;
            EXPECT_EQ(quring_stream_set_priority(s, 7 - u, flags), QURING_OK);
            quring_stream_info info;
            EXPECT_EQ(quring_stream_get_info(s, &info), QURING_OK);
            EXPECT_EQ(info.urgency, 7 - u);
            EXPECT_EQ(info.incremental, flags != 0);
        }
    }));
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, ids[0]).in_fin; }));
    ASSERT_TRUE(OnServer([&] { /* where only the peer sends there is nothing to say */
                               const quring_stream s = server_.At(server_conn, ids[0]).stream;
                               EXPECT_EQ(quring_stream_set_priority(s, 1, 0), QURING_E_STATE);
    }));
    for (uint64_t id : ids) {
        ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).in_fin; }));
        EXPECT_EQ(server_.Facts(server_conn, id).in, data);
    }
}

TEST_P(Priority, WhoMayCallAndWithWhat)
{
    QURING_START();
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Bytes(10), QURING_STREAM_UNI);
    const quring_stream s = client_.Facts(conn, id).stream;
    EXPECT_EQ(quring_stream_set_priority(s, 1, 0), QURING_E_THREAD);
    ASSERT_TRUE(OnClient([&] {
        quring_stream fresh;
        quring_stream_info info;
        ASSERT_EQ(quring_stream_open(&fresh, conn, 0), QURING_OK);
        ASSERT_EQ(quring_stream_get_info(fresh, &info), QURING_OK);
        EXPECT_EQ(info.urgency, 3u);
        EXPECT_TRUE(info.incremental);
        EXPECT_EQ(quring_stream_set_priority(fresh, 8, 0), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_set_priority(fresh, 0, 2), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_set_priority(fresh, 0, 0), QURING_OK);
    }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_stream_set_priority(s, 1, 0), QURING_E_STATE); }));
}

INSTANTIATE_TEST_SUITE_P(Backends, Priority, testing::ValuesIn(kBackends), SettingName);

} // namespace
