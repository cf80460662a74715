/* Updates of 1-RTT keys over real sockets (RFC 9001 6). */
#include <thread>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::SettingName;

class Keys : public EndToEnd
{
};

TEST_P(Keys, AreUpdatedWhileBytesFlow)
{
    QURING_START();
    const quring_conn conn = Connect();
    uint32_t updates = 0;
    for (uint32_t i = 0; i < 10000 && updates < 3; i++) {
        ExpectEcho(conn, 20000, i);
        ASSERT_TRUE(OnClient([&] {
            const quring_status status = quring_conn_update_keys(conn);
            updates += status == QURING_OK ? 1 : 0;
            EXPECT_TRUE(status == QURING_OK || status == QURING_E_AGAIN) << status;
        }));
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(updates, 3u);
    ExpectEcho(conn, 20000, 1);
    quring_conn_info info = {};
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
    EXPECT_EQ(info.key_updates, 3u);
    EXPECT_EQ(info.key_updates_peer, 0u);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnServer([&] { EXPECT_EQ(quring_conn_get_info(server_conn, &info), QURING_OK); }));
    EXPECT_EQ(info.key_updates_peer, 3u);
    quring_stats stats = {};
    ASSERT_EQ(quring_stats_get(server_rt_->rt(), -1, &stats), QURING_OK);
    EXPECT_EQ(stats.drop_undecryptable, 0u);
}

TEST_P(Keys, TheCallSaysWhyNot)
{
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(quring_conn_update_keys(conn), QURING_E_THREAD);
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_conn_update_keys(quring_conn{conn.handle ^ 1}), QURING_E_STATE);
        EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK);
        EXPECT_EQ(quring_conn_update_keys(conn), QURING_E_STATE);
    }));
}

INSTANTIATE_TEST_SUITE_P(Backends, Keys, testing::ValuesIn(kBackends), SettingName);

} // namespace
