// How the io_uring back end asks for sends: with as little as the datagram and the kernel allow.
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include "runtime/io/uring_internal.h"
#include "tests/runtime/io/io_fixture.h"

namespace
{

class UringTxTest : public IoTest
{
  protected:
    static uint8_t Opcode(const Side &side)
    {
        const rt_uring *u = rt_uring_of(side.io);
        return u->tx_open == RT_TX_OP_NONE ? (uint8_t)IORING_OP_NOP : u->tx_open_sqe->opcode;
    }
};

TEST_P(UringTxTest, OnlyWhatSaysSomethingToTheKernelTakesAHeader)
{
    options.ecn = RT_UDP_ECT0;
    Side a, b;
    Open(&a);
    Open(&b);
    const std::string one(100, 'x');
    ASSERT_TRUE(a.Send(b.sock.local, one, 100, RT_UDP_ECT0));
    EXPECT_EQ(Opcode(a), IORING_OP_SEND);
    ASSERT_TRUE(a.Send(b.sock.local, one, 100, RT_UDP_ECT0));
    EXPECT_EQ(Opcode(a), IORING_OP_SENDMSG); // a train of both
    ASSERT_TRUE(a.Send(b.sock.local, one, 100, 0));
    EXPECT_EQ(Opcode(a), IORING_OP_SENDMSG); // another mark than the socket's
    rt_io_flush(a.io);
    EXPECT_EQ(Opcode(a), IORING_OP_NOP);
    EXPECT_EQ(b.Receive(300).size(), 2u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 2u);
}

TEST_P(UringTxTest, AKernelThatKnowsNoAddressHereIsAskedTheOtherWay)
{
    Side a, b;
    Open(&a);
    Open(&b);
    rt_uring *u = rt_uring_of(a.io);
    ASSERT_TRUE(a.Send(b.sock.local, "one", 3));
    ASSERT_EQ(Opcode(a), IORING_OP_SEND);
    u->tx_open_sqe->addr_len = UINT16_MAX; // EINVAL, as Linux 6.0 says to every address
    rt_io_flush(a.io);
    b.Receive(3);
    rt_io_wait(a.io, 0, 0);
    EXPECT_TRUE(u->without_sendto);
    ASSERT_TRUE(a.Send(b.sock.local, "two", 3));
    EXPECT_EQ(Opcode(a), IORING_OP_SENDMSG);
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(3);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].bytes, "two");
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 2u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 0u);
}

TEST_P(UringTxTest, APeerWithoutAPortChangesNothing)
{
    Side a, b;
    Open(&a);
    Open(&b);
    ASSERT_TRUE(a.Send(Loopback(4, 0), "none", 4)); // EINVAL either way
    ASSERT_TRUE(a.Send(b.sock.local, "some", 4));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(4)), "some");
    rt_io_wait(a.io, 0, 0);
    EXPECT_FALSE(rt_uring_of(a.io)->without_sendto);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 1u);
}

/* What did not leave at the beginning of a sleep does not wait for its end. */
TEST_P(UringTxTest, AFullDeviceDelaysOnlyOnce)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (uint64_t i = 0; i < 4; i++) {
        ASSERT_TRUE(a.Send(b.sock.local, "full", 4));
        io_uring_sqe *sqe = rt_uring_of(a.io)->tx_open_sqe;
        sqe->opcode = IORING_OP_RECV; // there is nothing: EAGAIN, as of a full device
        sqe->addr2 = 0;
        sqe->file_index = 0;
        (void)rt_io_wait(a.io, rt_clock_now(), rt_clock_now() + 20 * QUIC_NS_PER_MS);
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_again, i + 1);
        if (i == 0) {
            (void)rt_io_wait(a.io, 0, 0);
        }
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, i + 1);
        EXPECT_EQ(Join(b.Receive(4)), "full");
    }
}

// What a kernel without memory for requests does: it takes none, and the queue stays full until it does.
TEST_P(UringTxTest, ARequestWaitsForAKernelThatTakesNone)
{
    Side a, b;
    Open(&a);
    Open(&b);
    rt_uring *u = rt_uring_of(a.io);
    (void)io_uring_unregister_ring_fd(
        &u->ring); // by its descriptor, which can be another for a while
    const int fd = u->ring.ring_fd;
    ASSERT_EQ(fd, u->ring.enter_ring_fd);
    rt_io_flush(a.io);
    for (io_uring_sqe *sqe; (sqe = io_uring_get_sqe(&u->ring)) != nullptr;) {
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_CANCEL, 0));
    }
    const int saved = dup(fd);
    const int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(saved, 0);
    ASSERT_GE(other, 0);
    ASSERT_EQ(fd, dup2(other, fd));
    const quic_ns began = rt_clock_now();
    std::thread recovers([&] {
        usleep(50000);
        EXPECT_EQ(fd, dup2(saved, fd));
    });
    ASSERT_TRUE(a.Send(b.sock.local, "later", 5));
    EXPECT_GE(rt_clock_now() - began, 50 * QUIC_NS_PER_MS);
    recovers.join();
    close(saved);
    close(other);
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(5)), "later");
    rt_io_wait(a.io, 0, 0);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 1u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, UringTxTest, ::testing::Values("io_uring"));

} // namespace
