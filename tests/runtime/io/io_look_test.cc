// Polling by plain calls, and the way back.
#include <netinet/udp.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/io/io_plain.h"
#include "runtime/io/uring_internal.h"
#include "tests/runtime/io/io_fixture.h"

namespace
{

bool refuses; // the next call, as a full device

}

extern "C" ssize_t sendto(int fd, const void *buf, size_t len, int flags, const sockaddr *to,
                          socklen_t to_len)
{
    if (refuses) {
        refuses = false;
        errno = EAGAIN;
        return -1;
    }
    return syscall(SYS_sendto, fd, buf, len, flags, to, to_len);
}

namespace
{

class LookTest : public IoTest
{
  protected:
    static bool HasRing()
    {
        return std::string(GetParam()) != "epoll";
    }

    static std::vector<Got> Take(rt_io *io)
    {
        std::vector<Got> got = TakeUnits(io, rt_io_next_rx);
        rt_io_release_rx(io);
        return got;
    }

    // Looks until `bytes` have arrived, or two seconds.
    static std::vector<Got> Look(rt_io *io, size_t bytes)
    {
        std::vector<Got> got;
        const quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S;
        while (Join(got).size() < bytes && rt_clock_now() < end) {
            if ((rt_io_look(io, rt_clock_now()) & RT_IO_RX) != 0) {
                for (Got &one : Take(io)) {
                    got.push_back(one);
                }
            }
        }
        return got;
    }

    // As who polls for some time.
    static void LookInVain(rt_io *io)
    {
        for (int i = 0; i < 5; i++) {
            ASSERT_EQ(rt_io_look(io, rt_clock_now()) & RT_IO_RX, 0u);
        }
    }

    static void SendNow(Side *from, const quic_addr &to, const std::string &text)
    {
        ASSERT_TRUE(from->Send(to, text, (uint32_t)text.size()));
        rt_io_flush(from->io);
    }

    // A full device does not take it at first.
    static void SendRefused(Side *from, const quic_addr &to, const std::string &text)
    {
        refuses = true;
        ASSERT_TRUE(from->Send(to, text, (uint32_t)text.size()));
        if (HasRing() && rt_uring_of(from->io)->tx_open != RT_TX_OP_NONE) {
            refuses = false;
            io_uring_sqe *sqe = rt_uring_of(from->io)->tx_open_sqe;
            sqe->opcode = IORING_OP_RECV; // there is nothing: EAGAIN
            sqe->addr2 = 0;
            sqe->file_index = 0;
        }
    }

    // Fills the socket's buffer, and empties it.
    static void SetFull(const Side &side, const quic_addr &to, int on)
    {
        const int least = 1;
        ASSERT_EQ(setsockopt(side.sock.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
        ASSERT_EQ(setsockopt(side.sock.fd, SOL_UDP, UDP_CORK, &on, sizeof(on)), 0);
        if (on != 0) {
            const std::string corked(4000, 'c');
            rt_sockaddr sa;
            const socklen_t len = rt_sockaddr_from(&sa, &to, false);
            ASSERT_EQ(sendto(side.sock.fd, corked.data(), corked.size(), 0, &sa.sa, len), 4000);
        }
        pollfd p = {side.sock.fd, POLLOUT, 0};
        ASSERT_EQ(poll(&p, 1, 0), on != 0 ? 0 : 1);
    }
};

TEST_P(LookTest, TakesWhatArrivesWithItsAddressesAndTrains)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    TakesWithAddressesAndTrains(a, b, Look);
}

/* What came before the first look is not overtaken by what comes after it. */
TEST_P(LookTest, TheFirstOneTakesWhatTheBackEndHas)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 40; i++) {
        SendNow(&a, b.sock.local, "1st");
        SendNow(&a, b.sock.local, "2nd");
        EXPECT_EQ(Join(Look(b.io, 6)), "1st2nd") << i;
        SendNow(&a, b.sock.local, "3rd");
        EXPECT_EQ(Join(Look(b.io, 3)), "3rd") << i;
        EXPECT_EQ(rt_io_wait(b.io, 0, 0), 0u); // the back end's own way again
    }
    EXPECT_EQ(rt_io_get_stats(b.io)->rx_units, 120u);
}

/* After looks a sleep is ended by a datagram and by a signal as ever. */
TEST_P(LookTest, WhoSleepsAfterwardsIsWoken)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 20; i++) {
        LookInVain(b.io);
        SendNow(&a, b.sock.local, "owner");
        ASSERT_EQ(Join(b.Receive(5)), "owner") << i;
        SendNow(&a, b.sock.local, "look");
        ASSERT_EQ(Join(Look(b.io, 4)), "look") << i;
        rt_wake_prepare(rt_io_wake(b.io));
        rt_wake_signal(rt_io_wake(b.io));
        EXPECT_EQ(b.Wait(2 * QUIC_NS_PER_S), (unsigned)RT_IO_WAKE) << i;
        rt_wake_done(rt_io_wake(b.io));
    }
}

/* There is no other way to wait for it: what is submitted between two looks has left by the second one. */
TEST_P(LookTest, SendsLeaveAndSoDoesWhatWasQueuedBefore)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 10; i++) {
        ASSERT_TRUE(b.Send(a.sock.local, "queued", 6));
        LookInVain(b.io);
        EXPECT_EQ(Join(a.Receive(6)), "queued") << i;
        for (int n = 0; n < 3; n++) {
            ASSERT_TRUE(b.Send(a.sock.local, "single", 6));
            ASSERT_EQ(rt_io_look(b.io, rt_clock_now()) & RT_IO_RX, 0u);
            EXPECT_EQ(Join(a.Receive(6)), "single") << i;
        }
        const std::string train = Pattern(20 * 1200 + 5);
        ASSERT_TRUE(b.Send(a.sock.local, train, 1200, 1));
        ASSERT_EQ(rt_io_look(b.io, rt_clock_now()) & RT_IO_RX, 0u);
        EXPECT_EQ(Join(a.Receive(train.size())), train) << i;
        EXPECT_EQ(rt_io_wait(b.io, 0, 0), 0u);
    }
    // All room has come back.
    LookInVain(b.io);
    for (uint32_t i = 0; i < 3 * config.tx_op_count; i++) {
        ASSERT_TRUE(b.Send(a.sock.local, "many", 4)) << i;
        if (i % 2 == 1) {
            (void)rt_io_look(b.io, rt_clock_now());
        }
    }
    EXPECT_EQ(rt_io_get_stats(b.io)->tx_errors, 0u);
}

TEST_P(LookTest, SocketsTakeTurns)
{
    Side a, b;
    Open(&a);
    Open(&b);
    rt_udp_socket more;
    uint32_t index = 0;
    ASSERT_EQ(rt_udp_open(&more, &options), 0);
    ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
    LookInVain(b.io);
    for (int i = 0; i < 4; i++) {
        SendNow(&a, b.sock.local, "1");
        SendNow(&a, more.local, "2");
    }
    uint32_t last = RT_IO_SOCKET_NONE;
    for (int i = 0; i < 8; i++) {
        std::vector<Got> got = Look(b.io, 1);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_NE(got[0].path.socket, last) << i;
        last = got[0].path.socket;
    }
}

TEST_P(LookTest, SocketsComeAndGo)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 10; i++) {
        LookInVain(b.io);
        rt_udp_socket more;
        uint32_t index = 0;
        ASSERT_EQ(rt_udp_open(&more, &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
        SendNow(&a, more.local, "new");
        std::vector<Got> got = i % 2 == 0 ? Look(b.io, 3) : b.Receive(3);
        ASSERT_EQ(Join(got), "new") << i;
        EXPECT_EQ(got[0].path.socket, index);
        LookInVain(b.io);
        rt_io_remove_socket(b.io, index);
        rt_udp_options same = options; // the port is free at once
        same.local.port = more.local.port;
        rt_udp_socket next;
        ASSERT_EQ(rt_udp_open(&next, &same), 0) << i;
        rt_udp_close(&next);
        SendNow(&a, b.sock.local, "still");
        EXPECT_EQ(Join(Look(b.io, 5)), "still") << i;
    }
}

/* Each socket would cost each look a system call. */
TEST_P(LookTest, ManySocketsAreTheBackEnds)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    std::vector<rt_udp_socket> more(RT_IO_PLAIN_SOCKETS_MAX);
    for (rt_udp_socket &sock : more) {
        uint32_t index = 0;
        ASSERT_EQ(rt_udp_open(&sock, &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &sock, &index), 0);
    }
    LookInVain(b.io);
    const uint64_t before = rt_io_get_stats(b.io)->syscalls;
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(rt_io_look(b.io, rt_clock_now()) & RT_IO_RX, 0u);
    }
    EXPECT_LE(rt_io_get_stats(b.io)->syscalls - before, 100u);
    for (const rt_udp_socket &sock : more) {
        SendNow(&a, sock.local, "each");
    }
    EXPECT_EQ(Join(Look(b.io, 16)), "eacheacheacheach");
}

/* Who had too many once has not for good. */
TEST_P(LookTest, FewSocketsAgainAreAskedByPlainCalls)
{
    Side a, b;
    Open(&a);
    Open(&b);
    std::vector<uint32_t> indices(2 * RT_IO_PLAIN_SOCKETS_MAX);
    rt_udp_socket last = {};
    for (uint32_t &index : indices) {
        ASSERT_EQ(rt_udp_open(&last, &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &last, &index), 0);
    }
    SendNow(&a, last.local, "last"); // whose turn comes after it is gone
    EXPECT_EQ(Join(Look(b.io, 4)), "last");
    LookInVain(b.io);
    rt_io_remove_socket(b.io, indices[0]); // in the middle
    for (uint32_t i = static_cast<uint32_t>(indices.size()) - 1; i > 0; i--) {
        rt_io_remove_socket(b.io, indices[i]);
    }
    LookInVain(b.io);
    LookInVain(b.io);
    const uint64_t before = rt_io_get_stats(b.io)->syscalls;
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(rt_io_look(b.io, rt_clock_now()) & RT_IO_RX, 0u);
    }
    EXPECT_EQ(rt_io_get_stats(b.io)->syscalls - before, 100u); // one for the socket that is left
    if (HasRing()) {
        EXPECT_TRUE(reinterpret_cast<const rt_uring *>(b.io)->looking);
    }
    SendNow(&a, b.sock.local, "here");
    EXPECT_EQ(Join(Look(b.io, 4)), "here");
    uint32_t index = 0;
    rt_udp_socket next;
    ASSERT_EQ(rt_udp_open(&next, &options), 0);
    ASSERT_EQ(rt_io_add_socket(b.io, &next, &index), 0);
    EXPECT_EQ(index, indices[0]);
    SendNow(&a, next.local, "next");
    EXPECT_EQ(Join(b.Receive(4)), "next");
}

/* Nor is one that is gone waited for, though its device was full. */
TEST_P(LookTest, WhoIsGoneWaitsForNoDevice)
{
    Side a, b;
    Open(&a);
    Open(&b);
    rt_udp_socket more;
    uint32_t index = 0;
    ASSERT_EQ(rt_udp_open(&more, &options), 0);
    ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
    SetFull(b, a.sock.local, 1);
    SendRefused(&b, a.sock.local, "waits");
    LookInVain(b.io);
    EXPECT_EQ(rt_io_get_stats(b.io)->tx_again, 1u);
    EXPECT_EQ(rt_io_get_stats(b.io)->tx_units, 0u);
    rt_io_remove_socket(b.io, b.index);
    LookInVain(b.io);
    LookInVain(b.io);
    SendNow(&a, more.local, "plain");
    const uint64_t before = rt_io_get_stats(b.io)->syscalls;
    EXPECT_EQ(Join(Look(b.io, 5)), "plain");
    EXPECT_EQ(rt_io_get_stats(b.io)->syscalls - before, 1u);
}

/* A ring that goes on to receive would do so for each datagram, and the look be for nothing. */
TEST_P(LookTest, NoReceiveOfARingStays)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    const uint64_t before = rt_io_get_stats(b.io)->syscalls;
    uint64_t looks = 0;
    for (int i = 0; i < 20; i++) {
        SendNow(&a, b.sock.local, "one");
        unsigned found = 0;
        for (; found == 0 && looks < 1000; looks++) {
            found = rt_io_look(b.io, rt_clock_now());
        }
        ASSERT_EQ(found, (unsigned)RT_IO_RX);
        EXPECT_EQ(Join(Take(b.io)), "one");
    }
    EXPECT_EQ(rt_io_get_stats(b.io)->syscalls - before,
              looks); // each asks the socket, and nothing else
}

/* An error that is pending at a socket, as of a port where nobody listens, is none to who looks. */
TEST_P(LookTest, H107_APendingErrorIsNothing)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    for (int i = 0; i < 5; i++) {
        ASSERT_TRUE(b.Send(Loopback(4, 9), "nobody listens there", 20));
        LookInVain(b.io);
        SendNow(&a, b.sock.local, "fine");
        EXPECT_EQ(Join(Look(b.io, 4)), "fine") << i;
    }
}

TEST_P(LookTest, TheFirstOneFindsWhatIsThere)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 10; i++) {
        SendNow(&a, b.sock.local, "there");
        EXPECT_EQ(rt_io_look(b.io, rt_clock_now()), (unsigned)RT_IO_RX) << i;
        EXPECT_EQ(Join(Take(b.io)), "there");
        EXPECT_EQ(rt_io_wait(b.io, 0, 0), 0u);
    }
}

/* Nor does a look overtake what was received in the back end's own way, and is not taken yet. */
TEST_P(LookTest, WhatIsLeftComesFirst)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int i = 0; i < 10; i++) {
        LookInVain(b.io);
        SendNow(&a, b.sock.local, "1st");
        SendNow(&a, b.sock.local, "2nd");
        while ((rt_io_wait(b.io, rt_clock_now(), QUIC_NS_NEVER) & RT_IO_RX) == 0) {
        }
        SendNow(&a, b.sock.local, "3rd");
        quic_rx_unit unit;
        ASSERT_TRUE(rt_io_next_rx(b.io, &unit));
        EXPECT_EQ(std::string((const char *)unit.data, unit.len), "1st");
        rt_io_release_rx(b.io);
        EXPECT_EQ(rt_io_look(b.io, rt_clock_now()), (unsigned)RT_IO_RX);
        EXPECT_EQ(Join(Look(b.io, 6)), "2nd3rd") << i;
        EXPECT_EQ(rt_io_wait(b.io, 0, 0), 0u);
    }
}

TEST_P(LookTest, WhatWasFoundIsNotLostToTheNextOne)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    SendNow(&a, b.sock.local, "1");
    SendNow(&a, b.sock.local, "2");
    EXPECT_EQ(rt_io_look(b.io, rt_clock_now()), (unsigned)RT_IO_RX);
    EXPECT_EQ(rt_io_look(b.io, rt_clock_now()), (unsigned)RT_IO_RX);
    EXPECT_EQ(Join(Look(b.io, 2)), "12");
}

TEST_P(LookTest, WhatCameToARemovedSocketIsForgotten)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(b.io);
    SendNow(&a, b.sock.local, "late");
    EXPECT_EQ(rt_io_look(b.io, rt_clock_now()), (unsigned)RT_IO_RX);
    rt_io_remove_socket(b.io, b.index);
    EXPECT_EQ(Join(Take(b.io)), "");
}

/* A visitor may come in the middle of looks, and leave work to the owner, who does it though it goes on to look. */
TEST_P(LookTest, WhatAVisitorRemovesIsClosed)
{
    Side a;
    Open(&a);
    rt_udp_socket more;
    uint32_t index = 0;
    ASSERT_EQ(rt_udp_open(&more, &options), 0);
    ASSERT_EQ(rt_io_add_socket(a.io, &more, &index), 0);
    LookInVain(a.io);
    ASSERT_TRUE(rt_io_enter(a.io));
    rt_io_remove_socket(a.io, index);
    EXPECT_EQ(rt_io_leave(a.io), HasRing());
    LookInVain(a.io);
    rt_udp_options same = options;
    same.local.port = more.local.port;
    ASSERT_EQ(rt_udp_open(&more, &same), 0);
    rt_udp_close(&more);
}

TEST_P(LookTest, H115_WhatADeviceRefusesLeavesMeanwhile)
{
    for (int looks = 0; looks < 3; looks++) {
        Side a, b;
        Open(&a);
        Open(&b);
        for (int i = 0; i < looks; i++) {
            (void)rt_io_look(a.io, rt_clock_now());
        }
        SendRefused(&a, b.sock.local, "full");
        LookInVain(a.io);
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_again, 1u) << looks;
        EXPECT_EQ(Join(b.Receive(4)), "full") << looks;
        LookInVain(a.io);
        if (HasRing()) {
            EXPECT_TRUE(rt_uring_of(a.io)->looking) << looks;
        }
    }
}

TEST_P(LookTest, H115_WhatADeviceRefusesAVisitorLeavesMeanwhile)
{
    Side a, b;
    Open(&a);
    Open(&b);
    LookInVain(a.io);
    for (int i = 0; i < 3; i++) {
        ASSERT_TRUE(rt_io_enter(a.io));
        SendRefused(&a, b.sock.local, "visitor's");
        EXPECT_EQ(rt_io_leave(a.io), HasRing());
        LookInVain(a.io);
        EXPECT_EQ(Join(b.Receive(9)), "visitor's") << i;
    }
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_again, 3u);
}

/* Who waits for the device to send hears what comes. */
TEST_P(LookTest, H115_AFullDeviceKeepsNothingOut)
{
    for (int looks = 0; looks < 3; looks++) {
        Side a, b;
        rt_udp_socket corked;
        Open(&a);
        Open(&b);
        ASSERT_EQ(rt_udp_open(&corked, &options), 0);
        for (int i = 0; i < looks; i++) {
            (void)rt_io_look(a.io, rt_clock_now());
        }
        SetFull(a, corked.local, 1);
        SendRefused(&a, b.sock.local, "out");
        rt_io_flush(a.io);
        for (int i = 0; i < 10; i++) {
            SendNow(&b, a.sock.local, "in");
            ASSERT_EQ(Join(Look(a.io, 2)), "in") << looks << ", " << i;
        }
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 0u);
        SetFull(a, corked.local, 0);
        LookInVain(a.io);
        EXPECT_EQ(Join(b.Receive(3)), "out") << looks;
        rt_udp_close(&corked);
    }
}

INSTANTIATE_TEST_SUITE_P(Kernel, LookTest, ::testing::Values("io_uring", "epoll"),
                         [](const auto &param) { return std::string(param.param); });

} // namespace
