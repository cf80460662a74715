// Another thread that receives in the owner's place, and what it does to sockets meanwhile.
#include <cstdlib>
#include <pthread.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "runtime/io/io_guest.h"
#include "tests/runtime/io/io_fixture.h"

namespace
{

class IoGuestTest : public IoTest
{
  protected:
    pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;

    // A side whose owner may be stood in for; the test has the door.
    void OpenWithDoor(Side *side)
    {
        Open(side);
        side->io->door = &door;
        pthread_mutex_lock(&door);
        ASSERT_TRUE(rt_io_guest_open(side->io));
    }

    void TearDown() override
    {
        if (pthread_mutex_trylock(&door) != 0) {
            pthread_mutex_unlock(&door);
        }
    }

    // A socket that a guest adds sends and receives, for the guest and then for the owner.
    void GuestAddsASocket()
    {
        Side a, b;
        Open(&a);
        OpenWithDoor(&b);
        rt_udp_socket more;
        ASSERT_EQ(rt_udp_open(&more, &options), 0);
        uint32_t index = 99;
        std::thread guest([&] {
            ASSERT_TRUE(rt_io_enter(b.io));
            ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
            Side from = {};
            std::swap(from.io, b.io);
            from.index = index;
            EXPECT_TRUE(from.Send(a.sock.local, "new", 3)); // before the owner has seen it
            std::swap(from.io, b.io);
            EXPECT_EQ(rt_io_leave(b.io), HasRing());
        });
        guest.join();
        EXPECT_NE(index, b.index);
        std::vector<Got> got = a.Receive(3);
        ASSERT_EQ(Join(got), "new");
        EXPECT_EQ(got[0].path.remote.port, more.local.port);
        // The owner sends from it, receives on it, and so does a guest.
        Side from = {};
        std::swap(from.io, b.io);
        from.index = index;
        EXPECT_TRUE(from.Send(a.sock.local, "owner", 5));
        std::swap(from.io, b.io);
        rt_io_wait(b.io, 0, 0);
        EXPECT_EQ(Join(a.Receive(5)), "owner");
        ASSERT_TRUE(a.Send(more.local, "back", 4));
        rt_io_flush(a.io);
        got = b.Receive(4);
        ASSERT_EQ(Join(got), "back");
        EXPECT_EQ(got[0].path.socket, index);
        ASSERT_TRUE(a.Send(more.local, "again", 5));
        rt_io_flush(a.io);
        EXPECT_EQ(Join(GuestReceive(b.io, 5)), "again");
    }

    static bool HasRing()
    {
        return std::string(GetParam()) != "epoll";
    }

    // Waits as a guest until `bytes` have arrived, or two seconds.
    static std::vector<Got> GuestReceive(rt_io *io, size_t bytes)
    {
        std::vector<Got> got;
        const quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S;
        while (Join(got).size() < bytes && rt_clock_now() < end) {
            if (rt_io_guest_wait(io, rt_clock_now(), end)) {
                for (Got &one : TakeUnits(io, rt_io_guest_next_rx)) {
                    got.push_back(one);
                }
            }
        }
        return got;
    }
};

TEST_P(IoGuestTest, TakesWhatArrivesWithItsAddressesAndTrains)
{
    Side a, b;
    Open(&a);
    OpenWithDoor(&b);
    TakesWithAddressesAndTrains(a, b, GuestReceive);
}

/* One socket has long trains for every turn. */
TEST_P(IoGuestTest, SocketsTakeTurns)
{
    Side a, b;
    Open(&a);
    OpenWithDoor(&b);
    rt_udp_socket more;
    uint32_t index = 0;
    ASSERT_EQ(rt_udp_open(&more, &options), 0);
    ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
    ASSERT_GT(index, b.index);
    ASSERT_TRUE(a.Send(more.local, "else", 4));
    rt_io_flush(a.io);
    bool heard = false;
    for (uint32_t turn = 0; turn < 4 && !heard; turn++) {
        for (uint32_t i = 0; i < RT_IO_GUEST_UNITS_MAX; i++) {
            ASSERT_TRUE(a.Send(b.sock.local, Pattern(20 * 1350), 1350));
            rt_io_flush(a.io);
        }
        ASSERT_TRUE(rt_io_guest_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_S));
        quic_rx_unit unit;
        for (uint32_t i = 0;
             i < RT_IO_GUEST_UNITS_MAX && !heard && rt_io_guest_next_rx(b.io, &unit); i++) {
            heard = unit.path.socket == index;
        }
    }
    EXPECT_TRUE(heard);
}

TEST_P(IoGuestTest, TheOwnerGetsWhatComesAfterwards)
{
    Side a, b;
    Open(&a);
    OpenWithDoor(&b);
    for (int i = 0; i < 50; i++) {
        ASSERT_TRUE(a.Send(b.sock.local, "guest", 5));
        rt_io_flush(a.io);
        ASSERT_EQ(Join(GuestReceive(b.io, 5)), "guest");
        ASSERT_TRUE(a.Send(b.sock.local, "owner", 5));
        rt_io_flush(a.io);
        ASSERT_EQ(Join(b.Receive(5)), "owner");
    }
}

TEST_P(IoGuestTest, TheWaitEndsByTimeAndByTheBell)
{
    Side b;
    OpenWithDoor(&b);
    quic_ns began = rt_clock_now();
    EXPECT_FALSE(rt_io_guest_wait(b.io, began, began + 2 * QUIC_NS_PER_MS));
    EXPECT_GE(rt_clock_now() - began, 2 * QUIC_NS_PER_MS);
    EXPECT_FALSE(rt_io_guest_wait(b.io, began, began)); // no time at all
    std::thread owner([&] {
        usleep(1000);
        pthread_mutex_lock(&door); // open while the guest waits
        rt_io_guest_ring(b.io);
        pthread_mutex_unlock(&door);
    });
    EXPECT_FALSE(rt_io_guest_wait(b.io, rt_clock_now(), QUIC_NS_NEVER));
    owner.join();
    // One ring ends one wait.
    began = rt_clock_now();
    EXPECT_FALSE(rt_io_guest_wait(b.io, began, began + QUIC_NS_PER_MS));
    EXPECT_GE(rt_clock_now() - began, QUIC_NS_PER_MS);
}

TEST_P(IoGuestTest, AParkedOwnerHearsOnlyItsSignal)
{
    Side a, b;
    Open(&a);
    OpenWithDoor(&b);
    ASSERT_TRUE(a.Send(b.sock.local, "later", 5));
    rt_io_flush(a.io);
    rt_wake_prepare(rt_io_wake(b.io));
    const quic_ns began = rt_clock_now();
    EXPECT_FALSE(rt_io_park(b.io, began, began + 2 * QUIC_NS_PER_MS));
    EXPECT_GE(rt_clock_now() - began, 2 * QUIC_NS_PER_MS);
    std::thread other([&] {
        usleep(1000);
        rt_wake_signal(rt_io_wake(b.io));
    });
    EXPECT_TRUE(rt_io_park(b.io, rt_clock_now(), QUIC_NS_NEVER));
    other.join();
    rt_wake_done(rt_io_wake(b.io));
    EXPECT_EQ(Join(b.Receive(5)), "later");
}

TEST_P(IoGuestTest, ASocketAddedByAGuestIsTheOwnersToo)
{
    GuestAddsASocket();
}

// The ring takes no table of descriptors that is larger than the process may have; in a child, as that is for ever.
TEST_P(IoGuestTest, ASocketAddedByAGuestWhereTheRingHasNoTable)
{
    const auto child = [this] {
        struct rlimit few = {RT_IO_SOCKETS_MAX - 1, RT_IO_SOCKETS_MAX - 1};
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
        GuestAddsASocket();
    };
    EXPECT_EXIT(
        {
            child();
            exit(HasFailure() ? 1 : 0);
        },
        testing::ExitedWithCode(0), "");
}

TEST_P(IoGuestTest, ASocketRemovedByAGuestIsClosedByTheOwner)
{
    Side a, b;
    Open(&a);
    OpenWithDoor(&b);
    for (bool seen : {false, true}) { // by the owner, before it goes
        rt_udp_socket more;
        uint32_t index = 0;
        bool owes = false;
        ASSERT_EQ(rt_udp_open(&more, &options), 0);
        std::thread add([&] {
            ASSERT_TRUE(rt_io_enter(b.io));
            ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
            EXPECT_EQ(rt_io_leave(b.io), HasRing());
        });
        add.join();
        if (seen) {
            rt_io_wait(b.io, 0, 0);
        }
        std::thread remove([&] {
            ASSERT_TRUE(rt_io_enter(b.io));
            rt_io_remove_socket(b.io, index);
            owes = rt_io_leave(b.io);
        });
        remove.join();
        EXPECT_EQ(owes, HasRing());
        for (int i = 0; i < 5; i++) {
            rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
        }
        rt_udp_options same = options; // the port is free: the descriptor is closed
        same.local.port = more.local.port;
        rt_udp_socket next;
        ASSERT_EQ(rt_udp_open(&next, &same), 0) << seen;
        rt_udp_close(&next);
    }
    ASSERT_TRUE(a.Send(b.sock.local, "still", 5));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(5)), "still");
}

TEST_P(IoGuestTest, NotWithTooManySockets)
{
    Side b;
    OpenWithDoor(&b);
    for (uint32_t i = 1; i <= RT_IO_GUEST_SOCKETS_MAX; i++) {
        EXPECT_TRUE(rt_io_guest_open(b.io));
        rt_udp_socket more;
        uint32_t index = 0;
        ASSERT_EQ(rt_udp_open(&more, &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &more, &index), 0);
    }
    EXPECT_FALSE(rt_io_guest_open(b.io));
}

INSTANTIATE_TEST_SUITE_P(Kernel, IoGuestTest, ::testing::Values("io_uring", "epoll"),
                         [](const auto &param) { return std::string(param.param); });

} // namespace
