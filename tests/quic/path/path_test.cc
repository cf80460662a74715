#include <gtest/gtest.h>

#include "quic/path/path.h"

namespace
{

class PathTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_path_addr addr = {};
        addr.remote.family = 4;
        addr.remote.port = 4433;
        quic_path_init(&path, &addr, false, 1200);
    }

    quic_path path;
};

/* RFC 9000 8.1: three times what arrived until the address is validated. */
TEST_F(PathTest, CreditIsThreeTimesWhatArrived)
{
    EXPECT_EQ(quic_path_credit(&path), 0u);
    quic_path_on_recv(&path, 1200);
    EXPECT_EQ(quic_path_credit(&path), 3600u);
    quic_path_on_sent(&path, 3599);
    EXPECT_EQ(quic_path_credit(&path), 1u);
    quic_path_on_sent(&path, 100);
    EXPECT_EQ(quic_path_credit(&path), 0u);
    quic_path_on_recv(&path, 100);
    EXPECT_EQ(quic_path_credit(&path), 201u);
    path.validated = true;
    EXPECT_EQ(quic_path_credit(&path), UINT64_MAX);
}

TEST_F(PathTest, KeepsItsAddress)
{
    EXPECT_EQ(path.addr.remote.port, 4433);
    EXPECT_EQ(path.udp_payload_bytes, 1200u);
}

/* RFC 9000 8.2.2 */
TEST_F(PathTest, ChallengesAreAnsweredInOrderAndBounded)
{
    uint8_t out[8];
    EXPECT_FALSE(quic_path_pop_response(&path, out));
    for (uint8_t i = 0; i < 6; i++) {
        const uint8_t data[8] = {i};
        quic_path_on_challenge(&path, data);
    }
    for (uint8_t want = 2; want < 6; want++) {
        ASSERT_TRUE(quic_path_pop_response(&path, out));
        EXPECT_EQ(out[0], want);
    }
    EXPECT_FALSE(quic_path_pop_response(&path, out));
}

} // namespace
