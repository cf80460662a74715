// Trains that the kernel does not take: longer than it can (64 datagrams before Linux 6.10, 128 since), or not on the
// way to some address.
#include "runtime/io/io_sock.h"
#include "runtime/io/unsegmented.h"
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

/* What a socket without checksums is told of trains is what IPsec's peers are answered. */
class WaysTest : public TrainTest
{
  protected:
    Side a, b;

    void OpenBoth()
    {
        options.local = Wildcard(4);
        Open(&a);
        Open(&b);
        if (!a.sock.gso || !b.sock.gro) {
            GTEST_SKIP() << "no segmentation here";
        }
    }

    void Refuse(bool on)
    {
        int value = on ? 1 : 0;
        ASSERT_EQ(setsockopt(a.sock.fd, SOL_SOCKET, SO_NO_CHECK, &value, sizeof(value)), 0);
    }

    // Sends a train to 127.0.0.`host`; in how many pieces it arrives.
    size_t Pieces(uint8_t host, uint32_t trains = 1)
    {
        quic_addr to = Loopback(4, b.sock.local.port);
        to.ip[3] = host;
        const std::string bytes = Pattern(5 * 1000, host);
        std::string sent;
        for (uint32_t i = 0; i < trains; i++) {
            EXPECT_TRUE(a.Send(to, bytes, 1000));
            sent += bytes;
        }
        rt_io_flush(a.io);
        rt_io_wait(a.io, 0, 0);
        const std::vector<Got> got = b.Receive(sent.size());
        EXPECT_EQ(Join(got), sent);
        return got.size();
    }

    uint64_t Fallbacks()
    {
        return rt_io_get_stats(a.io)->gso_fallbacks;
    }
};

TEST_P(WaysTest, H109_OneThatTakesNoTrainsLeavesThemToTheOthers)
{
    ASSERT_NO_FATAL_FAILURE(OpenBoth());
    if (IsSkipped()) {
        return;
    }
    ASSERT_EQ(Pieces(2), 1u);
    Refuse(true);
    EXPECT_EQ(Pieces(1, 6), 6 * 5u); // all of them under way before the first is refused
    Refuse(false);
    const uint64_t fallbacks = Fallbacks();
    EXPECT_EQ(Pieces(2), 1u);
    EXPECT_EQ(Pieces(1), 5u); // not even tried
    EXPECT_EQ(Pieces(3), 1u);
    EXPECT_EQ(Fallbacks(), fallbacks);
    // Nor do datagrams to it become a train on their way.
    const quic_addr to = Loopback(4, b.sock.local.port);
    const uint64_t units = rt_io_get_stats(a.io)->tx_units;
    ASSERT_TRUE(a.Send(to, "one", 3));
    ASSERT_TRUE(a.Send(to, "two", 3));
    rt_io_flush(a.io);
    rt_io_wait(a.io, 0, 0);
    EXPECT_EQ(Join(b.Receive(6)), "onetwo");
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, units + 2);
}

TEST_P(WaysTest, H109_ASocketWhoseTrainsAreRefusedToEveryoneSegmentsNoMore)
{
    ASSERT_NO_FATAL_FAILURE(OpenBoth());
    if (IsSkipped()) {
        return;
    }
    Refuse(true);
    for (uint8_t i = 1; i < RT_IO_REFUSALS_MAX; i++) {
        EXPECT_EQ(Pieces(i), 5u);
    }
    Refuse(false);
    EXPECT_EQ(Pieces(50), 1u); // it does work: they are counted from the beginning
    Refuse(true);
    const uint64_t before = Fallbacks();
    for (uint8_t i = 0; i < RT_IO_REFUSALS_MAX; i++) {
        EXPECT_EQ(Pieces((uint8_t)(100 + i)), 5u);
        EXPECT_EQ(Fallbacks(), before + i + 1);
    }
    EXPECT_EQ(Pieces(60), 5u);
    EXPECT_EQ(Fallbacks(), before + RT_IO_REFUSALS_MAX);
}

/* More of them than are remembered: the first is asked for again, and all of the others are left alone. */
TEST_P(WaysTest, H109_WhoIsForgottenIsAskedForOnceMore)
{
    ASSERT_NO_FATAL_FAILURE(OpenBoth());
    if (IsSkipped()) {
        return;
    }
    for (uint8_t i = 0; i <= RT_UNSEGMENTED_MAX; i++) {
        Refuse(true);
        EXPECT_EQ(Pieces((uint8_t)(100 + i)), 5u);
        Refuse(false);
        EXPECT_EQ(Pieces(1), 1u);
    }
    EXPECT_EQ(Pieces(100), 1u);
    EXPECT_EQ(Pieces(101), 5u);
    EXPECT_EQ(Pieces(100 + RT_UNSEGMENTED_MAX), 5u);
    EXPECT_EQ(Fallbacks(), RT_UNSEGMENTED_MAX + 1);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WaysTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

INSTANTIATE_TEST_SUITE_P(Kernel, TrainTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
