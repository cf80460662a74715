// Sockets of one back end take turns at its buffers.
#include <map>

#include "tests/runtime/io/io_fixture.h"

namespace
{

class TurnsTest : public IoTest
{
};

/* Each of several has more than all buffers hold. */
TEST_P(TurnsTest, NoSocketTakesEveryBufferForItself)
{
    constexpr uint32_t kSockets = 4;
    constexpr uint32_t kEach = 64;
    config.rx_buf_count = 16;
    ASSERT_GE(kEach, 3 * config.rx_buf_count);
    Side a, b;
    Open(&a);
    Open(&b);
    std::vector<rt_udp_socket> socks(kSockets);
    std::vector<uint32_t> index(kSockets);
    for (uint32_t i = 0; i < kSockets; i++) {
        ASSERT_EQ(rt_udp_open(&socks[i], &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &socks[i], &index[i]), 0);
    }
    rt_io_wait(b.io, 0, 0);
    for (uint32_t i = 0; i < kSockets; i++) {
        for (uint32_t n = 0; n < kEach; n++) {
            ASSERT_TRUE(a.Send(socks[i].local, "abcd", 4));
            rt_io_flush(a.io);
        }
    }
    std::map<uint32_t, uint32_t> seen;
    uint32_t total = 0;
    while (total < kSockets * config.rx_buf_count) {
        rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_S);
        quic_rx_unit unit;
        const uint32_t before = total;
        while (rt_io_next_rx(b.io, &unit)) {
            seen[unit.path.socket]++;
            total++;
        }
        rt_io_release_rx(b.io);
        ASSERT_GT(total, before);
    }
    for (uint32_t i = 0; i < kSockets; i++) {
        EXPECT_GT(seen[index[i]], 0u) << i;
    }
}

/* One socket has more than all buffers hold, turn after turn; another one gets something meanwhile. */
TEST_P(TurnsTest, WhoAlwaysHasMoreIsNotTheOnlyOneHeard)
{
    config.rx_buf_count = 16;
    Side a, b;
    Open(&a);
    Open(&b);
    rt_udp_socket quiet;
    uint32_t index = 0;
    ASSERT_EQ(rt_udp_open(&quiet, &options), 0);
    ASSERT_EQ(rt_io_add_socket(b.io, &quiet, &index), 0);
    rt_io_wait(b.io, 0, 0);
    uint32_t turns = 0;
    for (bool heard = false; !heard; turns++) {
        ASSERT_LT(turns, 64u);
        for (uint32_t n = 0; n < 2 * config.rx_buf_count; n++) {
            ASSERT_TRUE(a.Send(b.sock.local, "more", 4));
            rt_io_flush(a.io);
        }
        if (turns == 4) {
            ASSERT_TRUE(a.Send(quiet.local, "else", 4));
            rt_io_flush(a.io);
        }
        rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_S);
        for (quic_rx_unit unit; rt_io_next_rx(b.io, &unit);) {
            heard = heard || unit.path.socket == index;
        }
        rt_io_release_rx(b.io);
    }
    EXPECT_GT(turns, 4u);
    EXPECT_LT(turns, 32u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, TurnsTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
