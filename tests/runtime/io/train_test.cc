// Trains that are longer than what the kernel takes: 64 datagrams before Linux 6.10, 128 since.
#include "tests/runtime/io/io_fixture.h"

namespace
{

class TrainTest : public IoTest
{
};

TEST_P(TrainTest, H109_ARefusedLongTrainLeavesSegmentationToShorterOnes)
{
    Side a, b;
    Open(&a);
    Open(&b);
    if (!a.sock.gso) {
        GTEST_SKIP() << "no segmentation here";
    }
    const std::string bytes = Pattern(100 * (RT_IO_SEGS_MAX + 1));
    ASSERT_TRUE(a.Send(b.sock.local, bytes, 100)); // one more than any kernel takes: EINVAL
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(bytes.size())), bytes);
    rt_io_wait(a.io, 0, 0);
    EXPECT_EQ(rt_io_get_stats(a.io)->gso_fallbacks, 1u);
    quic_tx_unit unit;
    ASSERT_TRUE(rt_io_tx_buf(a.io, &unit, 1200));
    EXPECT_EQ(unit.seg_max, RT_IO_SEGS_SURE);

    const std::string shorter = Pattern(100 * RT_IO_SEGS_SURE);
    ASSERT_TRUE(a.Send(b.sock.local, shorter, 100));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(shorter.size())), shorter);
    rt_io_wait(a.io, 0, 0);
    EXPECT_EQ(rt_io_get_stats(a.io)->gso_fallbacks, 1u);
    ASSERT_TRUE(a.Send(b.sock.local, bytes, 100)); // refused once more: it is still asked for
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(bytes.size())), bytes);
    rt_io_wait(a.io, 0, 0);
    EXPECT_EQ(rt_io_get_stats(a.io)->gso_fallbacks, 2u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, TrainTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
