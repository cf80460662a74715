// Sockets that are removed while somebody else still has them.
#include <unistd.h>

#include "tests/runtime/io/io_fixture.h"

namespace
{

class RemovedTest : public IoTest
{
};

// A child of a fork keeps the socket open, and its port: what arrives there is nothing to wake up for.
TEST_P(RemovedTest, ASocketThatAChildHasWakesNobody)
{
    Side a, b;
    Open(&a);
    Open(&b);
    const int childs = dup(b.sock.fd);
    ASSERT_GE(childs, 0);
    rt_io_remove_socket(b.io, b.index);
    rt_io_wait(b.io, rt_clock_now(),
               rt_clock_now() + QUIC_NS_PER_MS); // a cancelled receive may say so
    ASSERT_TRUE(a.Send(b.sock.local, "late", 4));
    rt_io_flush(a.io);
    const quic_ns began = rt_clock_now();
    const quic_ns until = began + 50 * QUIC_NS_PER_MS;
    unsigned waits = 0;
    for (quic_ns now = began; now < until; now = rt_clock_now()) {
        EXPECT_EQ(rt_io_wait(b.io, now, until) & RT_IO_RX, 0u);
        quic_rx_unit unit;
        EXPECT_FALSE(rt_io_next_rx(b.io, &unit));
        rt_io_release_rx(b.io);
        waits++;
    }
    EXPECT_LT(waits, 20u);
    close(childs);
}

INSTANTIATE_TEST_SUITE_P(Kernel, RemovedTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
