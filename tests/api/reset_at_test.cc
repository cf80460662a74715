/* Streams that are reset behind a part that still arrives (draft-ietf-quic-reliable-stream-reset). */
#include <algorithm>

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

class ResetAt : public EndToEnd
{
};

TEST_P(ResetAt, TheFirstPartArrives)
{
    QURING_START(quring_test::Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(200000, 3);
    uint64_t id = 0;
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(client_.Send(&id, conn, data, QURING_STREAM_UNI, 0), QURING_OK);
        const quring_stream s = client_.At(conn, id).stream;
        EXPECT_EQ(quring_stream_reset_at(s, 5, 1u << 30), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_reset_at(s, 1ull << 62, 1), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_reset_at(s, 5, 150000), QURING_OK);
        EXPECT_EQ(quring_stream_reset_at(s, 6, 100), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_reset_at(s, 5, 150001), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_reset_at(s, 5, 140000), QURING_OK);
        size_t n = 0;
        EXPECT_EQ(quring_stream_write(s, &n, "x", 1, 0), QURING_E_STATE);
    }));
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).reset; }));
    const auto got = server_.Facts(server_conn, id);
    EXPECT_EQ(got.reset_code, 5u);
    EXPECT_FALSE(got.in_fin);
    ASSERT_GE(got.in.size(), 140000u);
    EXPECT_TRUE(std::equal(got.in.begin(), got.in.end(), data.begin()));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    EXPECT_FALSE(client_.Facts(conn, id).finished);
}

TEST_P(ResetAt, WhoMayCall)
{
    QURING_START();
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Bytes(10), QURING_STREAM_UNI);
    const quring_stream s = client_.Facts(conn, id).stream;
    EXPECT_EQ(quring_stream_reset_at(s, 5, 1), QURING_E_THREAD);
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_stream_reset_at(s, 5, 1), QURING_E_STATE); }));
}

INSTANTIATE_TEST_SUITE_P(Backends, ResetAt, testing::ValuesIn(kBackends), SettingName);

} // namespace
