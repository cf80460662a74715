// Both kernel back ends on loopback sockets: the same cases.
#include <atomic>
#include <thread>
#include <unistd.h>

#include "tests/runtime/io/io_fixture.h"

TEST_P(IoTest, SingleDatagramCarriesItsAddresses)
{
    Side a, b;
    Open(&a);
    Open(&b);
    ASSERT_TRUE(a.Send(b.sock.local, "hello", 5));
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(5);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].bytes, "hello");
    EXPECT_EQ(got[0].seg_len, 5u);
    EXPECT_EQ(got[0].ecn, 0);
    EXPECT_TRUE(quic_addr_equal(&got[0].path.remote, &a.sock.local));
    EXPECT_TRUE(quic_addr_equal(&got[0].path.local, &b.sock.local));
    EXPECT_EQ(got[0].path.socket, b.index);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 1u);
    EXPECT_EQ(rt_io_get_stats(b.io)->rx_units, 1u);
}

TEST_P(IoTest, TrainLeavesAsOneSendAndArrivesCoalesced)
{
    Side a, b;
    Open(&a);
    Open(&b);
    std::string train = Pattern(40 * 1350 + 77);
    ASSERT_TRUE(a.Send(b.sock.local, train, 1350));
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(train.size());
    EXPECT_EQ(Join(got), train);
    EXPECT_LE(got.size(), 2u);
    EXPECT_EQ(got[0].seg_len, 1350u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 1u);
    EXPECT_EQ(rt_io_get_stats(a.io)->gso_fallbacks, 0u);
}

/* What several connections have to say to one address: equal datagrams, and a shorter one at the end. */
TEST_P(IoTest, SendsToOneAddressLeaveAsOneTrain)
{
    Side a, b, c;
    Open(&a);
    Open(&b);
    Open(&c);
    std::string sent;
    for (int i = 0; i < 20; i++) {
        std::string one = Pattern(i < 19 ? 400 : 300, (uint8_t)i);
        ASSERT_TRUE(a.Send(b.sock.local, one, (uint32_t)one.size()));
        sent += one;
    }
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(sent.size());
    EXPECT_EQ(Join(got), sent);
    EXPECT_EQ(got[0].seg_len, 400u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 1u);
    // Another address, another mark, a longer datagram, and what the kernel has already: trains of their own.
    ASSERT_TRUE(a.Send(b.sock.local, "one", 3));
    ASSERT_TRUE(a.Send(c.sock.local, "two", 3));
    ASSERT_TRUE(a.Send(b.sock.local, "six", 3));
    ASSERT_TRUE(a.Send(b.sock.local, "ten", 3, 2));
    ASSERT_TRUE(a.Send(b.sock.local, "eleven", 6, 2));
    rt_io_flush(a.io);
    ASSERT_TRUE(a.Send(b.sock.local, "twelve", 6, 2));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(21)), "onesixteneleventwelve");
    EXPECT_EQ(Join(c.Receive(3)), "two");
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 7u);
}

/* Without segmentation; and from a client's socket: the server may have workers, and its kernel one look at each
 * train. */
TEST_P(IoTest, NothingIsJoinedWhereThatIsNotPossibleOrNotWanted)
{
    for (bool possible : {false, true}) {
        config.gso = possible;
        options.merges = !possible;
        Side a, b;
        Open(&a);
        Open(&b);
        for (const char *s : {"one", "two", "six"}) {
            ASSERT_TRUE(a.Send(b.sock.local, s, 3));
        }
        rt_io_flush(a.io);
        EXPECT_EQ(Join(b.Receive(9)), "onetwosix");
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 3u);
    }
}

TEST_P(IoTest, WithoutGsoATrainLeavesDatagramByDatagram)
{
    config.gso = false;
    options.gro = false;
    Side a, b;
    Open(&a);
    Open(&b);
    std::string train = Pattern(10 * 1200 + 5);
    ASSERT_TRUE(a.Send(b.sock.local, train, 1200));
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(train.size());
    EXPECT_EQ(Join(got), train);
    EXPECT_EQ(got.size(), 11u);
}

TEST_P(IoTest, H109_RefusedSegmentationFallsBackInOrderAndIsRemembered)
{
    Side a, b;
    Open(&a);
    Open(&b);
    // UDP_SEGMENT without a checksum is EINVAL: the same answer as hardware that cannot do it.
    int on = 1;
    ASSERT_EQ(setsockopt(a.sock.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
    std::string sent;
    for (uint8_t i = 0; i < 3; i++) {
        std::string train = Pattern(5 * 1000 + 10, i);
        ASSERT_TRUE(a.Send(b.sock.local, train, 1000));
        sent += train;
        rt_io_wait(a.io, 0, 0);
    }
    EXPECT_EQ(Join(b.Receive(sent.size())), sent);
    EXPECT_EQ(rt_io_get_stats(a.io)->gso_fallbacks, 1u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 3u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 0u);
}

TEST_P(IoTest, EcnTravelsOverBothFamilies)
{
    for (int variant = 0; variant < 8; variant++) {
        const uint8_t family = (variant & 1) != 0 ? 6 : 4;
        const size_t datagrams = (variant & 2) != 0 ? 3 : 1;
        options.local = Loopback(family);
        options.ecn = (variant & 4) != 0 ? RT_UDP_ECT0 : 0; // by the socket, or each datagram
        Side a, b;
        Open(&a);
        Open(&b);
        ASSERT_EQ(a.sock.tx_ecn, options.ecn);
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            ASSERT_TRUE(a.Send(b.sock.local, Pattern(datagrams * 100), 100, ecn));
            rt_io_flush(a.io);
            std::vector<Got> got = b.Receive(datagrams * 100);
            ASSERT_FALSE(got.empty());
            EXPECT_EQ(got[0].ecn, ecn) << "variant " << variant;
        }
    }
}

TEST_P(IoTest, DualStackSpeaksPlainIpv4)
{
    Side a4, a6, b;
    options.local = Wildcard(6);
    options.dual_stack = true;
    Open(&b);
    options.dual_stack = false;
    options.local = Loopback(4);
    Open(&a4);
    options.local = Loopback(6);
    Open(&a6);
    uint16_t port = b.sock.local.port;

    ASSERT_TRUE(a4.Send(Loopback(4, port), "four", 4, 2));
    rt_io_flush(a4.io);
    std::vector<Got> got = b.Receive(4);
    ASSERT_EQ(got.size(), 1u);
    quic_addr want = Loopback(4, port);
    EXPECT_TRUE(quic_addr_equal(&got[0].path.remote, &a4.sock.local));
    EXPECT_TRUE(quic_addr_equal(&got[0].path.local, &want));
    EXPECT_EQ(got[0].ecn, 2);

    ASSERT_TRUE(b.Send(got[0].path.remote, Pattern(250), 100, 1, &got[0].path.local));
    rt_io_flush(b.io);
    got = a4.Receive(250);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(Join(got), Pattern(250));
    EXPECT_EQ(got[0].ecn, 1);
    EXPECT_TRUE(quic_addr_equal(&got[0].path.remote, &want));

    ASSERT_TRUE(a6.Send(Loopback(6, port), "six", 3, 1));
    rt_io_flush(a6.io);
    got = b.Receive(3);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].path.local.family, 6);
    EXPECT_EQ(got[0].ecn, 1);
}

TEST_P(IoTest, WildcardSocketAnswersFromTheAddressItWasAskedAt)
{
    static const uint8_t other[4] = {127, 0, 0, 9};
    Side a, b;
    Open(&a);
    options.local = Wildcard(4);
    Open(&b);
    quic_addr to = rt_addr_from_in4(other, b.sock.local.port);
    ASSERT_TRUE(a.Send(to, "ping", 4));
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(4);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_TRUE(quic_addr_equal(&got[0].path.local, &to));
    ASSERT_TRUE(b.Send(got[0].path.remote, "pong", 4, 0, &got[0].path.local));
    rt_io_flush(b.io);
    got = a.Receive(4);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_TRUE(quic_addr_equal(&got[0].path.remote, &to));
}

TEST_P(IoTest, H111_MoreUnitsThanBuffersArriveOverSeveralTurns)
{
    config.rx_buf_count = 4;
    options.gro = false;
    Side a, b;
    Open(&a);
    Open(&b);
    std::string sent;
    for (int i = 0; i < 100; i++) {
        std::string one(60, (char)('A' + i % 26));
        ASSERT_TRUE(a.Send(b.sock.local, one, 60));
        sent += one;
    }
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(sent.size())), sent);
    EXPECT_GT(rt_io_get_stats(b.io)->rx_nobufs, 0u);
    ASSERT_TRUE(a.Send(b.sock.local, "after", 5)); // the receive was armed again
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(5)), "after");
}

TEST_P(IoTest, ReleaseKeepsUnitsNotYetHandedOut)
{
    options.gro = false;
    Side a, b;
    Open(&a);
    Open(&b);
    for (const char *s : {"one", "two", "six"}) {
        ASSERT_TRUE(a.Send(b.sock.local, s, 3));
    }
    rt_io_flush(a.io);
    usleep(20000);
    std::string all;
    for (int turn = 0; turn < 10 && all.size() < 9; turn++) {
        rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
        quic_rx_unit unit;
        if (rt_io_next_rx(b.io, &unit)) { // one per turn
            all.append((const char *)unit.data, unit.len);
        }
        rt_io_release_rx(b.io);
    }
    EXPECT_EQ(all, "onetwosix");
}

TEST_P(IoTest, SmallSendsShareASlot)
{
    config.tx_slot_count = 1;
    config.tx_op_count = 64;
    Side a, b;
    Open(&a);
    Open(&b);
    int n = 0;
    while (a.Send(b.sock.local, std::string(50, 'x'), 50, n % 2 == 0 ? 0 : 2)) { // no train
        n++;
    }
    EXPECT_EQ(n, 64); // bounded by the descriptors, not by the slot
    EXPECT_NE(a.Wait(QUIC_NS_PER_S) & RT_IO_TX, 0u);
    EXPECT_TRUE(a.Send(b.sock.local, "again", 5));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(64 * 50 + 5)).size(), 64u * 50 + 5);
}

TEST_P(IoTest, SlotsRunOutUntilSendsComplete)
{
    config.tx_slot_count = 2;
    Side a, b;
    Open(&a);
    Open(&b);
    std::string big(60000, 'b');
    EXPECT_TRUE(a.Send(b.sock.local, big, 1200));
    EXPECT_TRUE(a.Send(b.sock.local, big, 1200));
    EXPECT_FALSE(a.Send(b.sock.local, big, 1200));
    EXPECT_NE(a.Wait(QUIC_NS_PER_S) & RT_IO_TX, 0u);
    EXPECT_TRUE(a.Send(b.sock.local, big, 1200));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(3 * big.size())).size(), 3 * big.size());
}

TEST_P(IoTest, H109_TooBigIsReportedWithPathAndLength)
{
    Side a;
    Open(&a);
    quic_addr to = Loopback(4, 9);
    ASSERT_TRUE(a.Send(to, Pattern(65507), 65507)); // fits the device exactly
    rt_io_wait(a.io, 0, 0);
    rt_io_failure failure;
    EXPECT_FALSE(rt_io_next_failure(a.io, &failure));
    options.local = Loopback(6);
    Side v6;
    Open(&v6);
    quic_addr to6 = Loopback(6, 9);
    ASSERT_TRUE(v6.Send(to6, Pattern(65507), 65507)); // 40 bytes of header: above 65536
    rt_io_wait(v6.io, 0, 0);
    ASSERT_TRUE(rt_io_next_failure(v6.io, &failure));
    EXPECT_EQ(failure.len, 65507u);
    EXPECT_TRUE(quic_addr_equal(&failure.path.remote, &to6));
    EXPECT_FALSE(rt_io_next_failure(v6.io, &failure));
    EXPECT_EQ(rt_io_get_stats(v6.io)->tx_errors, 1u);
    // The same again is said once: there is room for what others have to tell.
    for (int i = 0; i < 2; i++) {
        ASSERT_TRUE(v6.Send(to6, Pattern(65507), 65507));
        rt_io_flush(v6.io);
    }
    rt_io_wait(v6.io, 0, 0);
    EXPECT_EQ(rt_io_get_stats(v6.io)->tx_errors, 3u);
    EXPECT_TRUE(rt_io_next_failure(v6.io, &failure));
    EXPECT_FALSE(rt_io_next_failure(v6.io, &failure));
}

/* Lost like a datagram on the way: counted once, never repeated, and what goes elsewhere leaves. */
TEST_P(IoTest, H107_RefusedDestinationsAreLossAndOthersGoOn)
{
    Side a, b;
    Open(&a);
    Open(&b);
    static const uint8_t everybody[4] = {255, 255, 255, 255}; /* EACCES, ENETUNREACH */
    static const uint8_t reserved[4] = {0, 0, 0, 1};          /* EINVAL, ENETUNREACH */
    quic_addr nowhere[] = {rt_addr_from_in4(everybody, 9), rt_addr_from_in4(reserved, 9)};
    const uint64_t each = Refusal(a.sock.fd, nowhere[1]) == EINVAL ? 6 : 2; /* by piece, or train */
    for (uint64_t i = 0; i < 10; i++) {
        ASSERT_TRUE(a.Send(nowhere[0], "lost", 4));
        ASSERT_TRUE(a.Send(b.sock.local, "kept", 4));
        ASSERT_TRUE(a.Send(nowhere[1], std::string(5000, 'l'), 1000)); /* a train */
        ASSERT_TRUE(a.Send(Loopback(4, 9), "nobody listens there", 20));
        rt_io_flush(a.io);
        std::vector<Got> got = b.Receive(4);
        ASSERT_EQ(got.size(), 1u) << i;
        EXPECT_EQ(got[0].bytes, "kept");
        quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S;
        while (rt_io_get_stats(a.io)->tx_errors < each * (i + 1) && rt_clock_now() < end) {
            rt_io_wait(a.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
        }
        rt_io_failure failure;
        EXPECT_FALSE(rt_io_next_failure(a.io, &failure)); /* none of them was too big */
    }
    EXPECT_EQ(a.Wait(20 * QUIC_NS_PER_MS), 0u); /* nothing is tried again */
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 10 * each);
}

TEST_P(IoTest, SendToUnknownSocketOrWrongFamilyIsCounted)
{
    Side a;
    Open(&a);
    ASSERT_TRUE(a.Send(Loopback(6, 9), "x", 1)); // IPv6 over an IPv4 socket
    a.index = 63;
    ASSERT_TRUE(a.Send(Loopback(4, 9), "x", 1));
    rt_io_flush(a.io);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 2u);
}

TEST_P(IoTest, DeadlineIsKept)
{
    Side a;
    Open(&a);
    quic_ns took = QUIC_NS_NEVER;
    for (int tries = 0; tries < 5 && took >= 500 * QUIC_NS_PER_MS;
         tries++) { // others want the CPU, too
        quic_ns start = rt_clock_now();
        EXPECT_EQ(a.Wait(20 * QUIC_NS_PER_MS), 0u);
        took = rt_clock_now() - start;
        EXPECT_GE(took, 20 * QUIC_NS_PER_MS);
    }
    EXPECT_LT(took, 500 * QUIC_NS_PER_MS);
}

TEST_P(IoTest, ASendDoesNotEndTheSleep)
{
    Side a, b;
    Open(&a);
    Open(&b);
    ASSERT_TRUE(a.Send(b.sock.local, "x", 1));
    uint64_t before = rt_io_get_stats(a.io)->syscalls;
    EXPECT_EQ(a.Wait(120 * QUIC_NS_PER_MS), 0u);
    EXPECT_LT(rt_io_get_stats(a.io)->syscalls - before, 8u);
    EXPECT_EQ(b.Receive(1).size(), 1u);
}

TEST_P(IoTest, DatagramEndsASleepThatAlsoSends)
{
    Side a;
    Open(&a);
    rt_udp_socket b;
    ASSERT_EQ(rt_udp_open(&b, &options), 0);
    std::thread peer([&] {
        usleep(30000);
        rt_sockaddr to;
        socklen_t len = rt_sockaddr_from(&to, &a.sock.local, false);
        EXPECT_EQ(sendto(b.fd, "wake", 4, 0, &to.sa, len), 4);
    });
    ASSERT_TRUE(a.Send(b.local, "x", 1));
    quic_ns start = rt_clock_now();
    EXPECT_EQ(a.Wait(60 * QUIC_NS_PER_S), (unsigned)RT_IO_RX);
    EXPECT_LT(rt_clock_now() - start, 30 * QUIC_NS_PER_S);
    peer.join();
    rt_udp_close(&b);
}

TEST_P(IoTest, WakeReachesASleeperOnceAndABusyOneNever)
{
    Side a;
    Open(&a);
    rt_wake *wake = rt_io_wake(a.io);
    rt_wake_signal(wake); // awake: nothing is written
    EXPECT_EQ(rt_wake_count(wake), 0u);
    for (int round = 0; round < 3; round++) {
        rt_wake_prepare(wake);
        std::thread other([&] {
            usleep(10000);
            rt_wake_signal(wake);
            rt_wake_signal(wake);
        });
        quic_ns start = rt_clock_now();
        unsigned found = 0;
        while (found == 0) {
            found = rt_io_wait(a.io, start, QUIC_NS_NEVER);
        }
        EXPECT_EQ(found, (unsigned)RT_IO_WAKE);
        EXPECT_LT(rt_clock_now() - start, 30 * QUIC_NS_PER_S);
        other.join();
        rt_wake_done(wake);
        EXPECT_EQ(rt_wake_count(wake), (uint64_t)round + 1);
    }
}

TEST_P(IoTest, AVisitorSendsWhileTheOwnerSleeps)
{
    Side a;
    Side b;
    Open(&a);
    Open(&b);
    pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
    a.io->door = &door;
    pthread_mutex_lock(&door);
    rt_wake_prepare(rt_io_wake(a.io));
    // In order, trains and single datagrams, and more than there are slots.
    std::string all;
    std::thread visitor([&] {
        for (uint8_t i = 0; i < 40; i++) {
            std::string bytes = Pattern(i % 2 == 0 ? 100 : 30000, i);
            bool entered = false;
            while (!entered) {
                pthread_mutex_lock(&door);
                entered = rt_io_enter(a.io); // false until the owner sleeps
                if (!entered) {
                    pthread_mutex_unlock(&door);
                    usleep(100);
                }
            }
            EXPECT_TRUE(a.Send(b.sock.local, bytes, i % 2 == 0 ? 100 : 1000));
            EXPECT_FALSE(rt_io_leave(a.io));
            pthread_mutex_unlock(&door);
            all += bytes;
        }
        rt_wake_signal(rt_io_wake(a.io));
    });
    unsigned found = 0;
    while (found == 0) {
        found = rt_io_wait(a.io, rt_clock_now(), QUIC_NS_NEVER);
    }
    EXPECT_EQ(found, (unsigned)RT_IO_WAKE); // sends are no news to the owner
    pthread_mutex_unlock(&door);
    visitor.join();
    a.io->door = nullptr;
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 0u);
    EXPECT_EQ(Join(b.Receive(all.size())), all);
}

TEST_P(IoTest, NoVisitorOvertakesWhatIsQueued)
{
    Side a;
    Side b;
    Open(&a);
    Open(&b);
    ASSERT_TRUE(a.Send(b.sock.local, "first", 5));
    EXPECT_FALSE(rt_io_enter(a.io));
    EXPECT_FALSE(a.io->visited);
    rt_io_flush(a.io);
    ASSERT_TRUE(rt_io_enter(a.io));
    ASSERT_TRUE(a.Send(b.sock.local, "second", 6));
    EXPECT_FALSE(rt_io_leave(a.io));
    EXPECT_FALSE(a.io->visited);
    EXPECT_EQ(Join(b.Receive(11)), "firstsecond");
}

TEST_P(IoTest, AVisitorsErrorsAreThoseOfTheOwner)
{
    Side a;
    Open(&a);
    rt_udp_socket b;
    ASSERT_EQ(rt_udp_open(&b, &options), 0);
    const quic_addr gone = b.local;
    rt_udp_close(&b);
    ASSERT_TRUE(rt_io_enter(a.io));
    ASSERT_TRUE(a.Send(Loopback(6, 9), "family", 6));
    ASSERT_TRUE(a.Send(gone, "refused", 7));
    ASSERT_TRUE(a.Send(gone, std::string(100, 'x'), 100)); // that error, then sent
    EXPECT_FALSE(rt_io_leave(a.io));
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 1u);
    EXPECT_EQ(rt_io_get_stats(a.io)->tx_units, 2u);
}

TEST_P(IoTest, RemovedSocketIsClosedAndItsIndexReused)
{
    Side a, b;
    Open(&a);
    Open(&b);
    ASSERT_TRUE(a.Send(b.sock.local, "lost", 4));
    rt_io_flush(a.io);
    uint16_t port = b.sock.local.port;
    rt_io_remove_socket(b.io, b.index);
    for (int i = 0; i < 5; i++) {
        rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
        quic_rx_unit unit;
        EXPECT_FALSE(rt_io_next_rx(b.io, &unit));
        rt_io_release_rx(b.io);
    }
    options.local.port = port; // the old one is gone, or this could not bind
    ASSERT_EQ(rt_udp_open(&b.sock, &options), 0);
    uint32_t old = b.index;
    ASSERT_EQ(rt_io_add_socket(b.io, &b.sock, &b.index), 0);
    EXPECT_EQ(b.index, old);
    rt_io_wait(b.io, 0, 0);
    ASSERT_TRUE(a.Send(b.sock.local, "fresh", 5));
    rt_io_flush(a.io);
    EXPECT_EQ(Join(b.Receive(5)), "fresh");
}

TEST_P(IoTest, H111_ManySocketsShareTheBuffers)
{
    Side a, b;
    Open(&a);
    Open(&b);
    std::vector<rt_udp_socket> socks(RT_IO_SOCKETS_MAX);
    uint32_t index = 0;
    for (uint32_t i = 1; i < RT_IO_SOCKETS_MAX; i++) {
        ASSERT_EQ(rt_udp_open(&socks[i], &options), 0);
        ASSERT_EQ(rt_io_add_socket(b.io, &socks[i], &index), 0);
    }
    rt_udp_socket extra;
    ASSERT_EQ(rt_udp_open(&extra, &options), 0);
    EXPECT_EQ(rt_io_add_socket(b.io, &extra, &index), -EUSERS);
    rt_udp_close(&extra);
    rt_io_wait(b.io, 0, 0);
    for (uint32_t i = 1; i < RT_IO_SOCKETS_MAX; i++) {
        ASSERT_TRUE(a.Send(socks[i].local, "abcd", 4));
    }
    rt_io_flush(a.io);
    std::vector<Got> got = b.Receive(4 * (RT_IO_SOCKETS_MAX - 1));
    std::vector<int> seen(RT_IO_SOCKETS_MAX);
    for (const Got &g : got) {
        seen[g.path.socket]++;
        EXPECT_EQ(g.path.local.port, socks[g.path.socket].local.port);
    }
    for (uint32_t i = 1; i < RT_IO_SOCKETS_MAX; i++) {
        EXPECT_EQ(seen[i], 1);
    }
}

/* So the worker knows that more is likely to wait. */
TEST_P(IoTest, AllBuffersFilledIsWhatItSaysItTakes)
{
    for (uint32_t count : {16u, 4u}) {
        config.rx_buf_count = count;
        Side a, b;
        Open(&a);
        Open(&b);
        const uint32_t max = b.io->rx_units_max;
        ASSERT_EQ(max, count);
        for (uint32_t i = 0; i < 2 * max; i++) {
            ASSERT_TRUE(a.Send(b.sock.local, "abcd", 4));
            rt_io_flush(a.io);
        }
        quic_rx_unit unit{};
        uint32_t got = 0;
        for (const quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S; got == 0;) {
            ASSERT_LT(rt_clock_now(), end);
            (void)rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
            while (rt_io_next_rx(b.io, &unit)) {
                got++;
            }
        }
        EXPECT_EQ(got, max);
        rt_io_release_rx(b.io);
    }
}

/* io_uring's fill one after the other: while trains come half of them do, which stay in a cache. */
TEST_P(IoTest, LongTrainsTakeTurnsInHalfOfTheBuffers)
{
    Side a, b;
    Open(&a);
    Open(&b);
    const uint32_t max = b.io->rx_units_max;
    uint32_t sent = 0;
    /* One datagram after the other there, each with its number. */
    const auto pass = [&](size_t len, uint32_t count) {
        std::string text(len, 'x');
        for (uint32_t i = 0; i < count; i++) {
            memcpy(&text[0], &sent, sizeof(sent));
            ASSERT_TRUE(a.Send(b.sock.local, text, (uint32_t)len));
            rt_io_flush(a.io);
            quic_rx_unit unit{};
            const quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S;
            while (!rt_io_next_rx(b.io, &unit)) {
                ASSERT_LT(rt_clock_now(), end);
                (void)rt_io_wait(b.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
            }
            EXPECT_EQ(unit.len, len);
            EXPECT_EQ(memcmp(unit.data, &sent, sizeof(sent)), 0);
            rt_io_release_rx(b.io);
            sent++;
        }
    };
    pass(4, 3 * max);
    EXPECT_EQ(b.io->rx_units_max, max);
    pass(30000, 3 * max);
    EXPECT_EQ(b.io->rx_units_max, std::string(GetParam()) == "io_uring" ? max / 2 : max);
    pass(4, 3 * max);
    EXPECT_EQ(b.io->rx_units_max, max);
}

TEST_P(IoTest, BulkPingPongKeepsEveryByteInOrder)
{
    Side a, b;
    Open(&a);
    Open(&b);
    for (int round = 0; round < 200; round++) {
        std::string train =
            Pattern((size_t)(1 + round % 40) * 1350 + (size_t)round % 1350 + 1, (uint8_t)round);
        ASSERT_TRUE(a.Send(b.sock.local, train, 1350));
        rt_io_flush(a.io);
        ASSERT_EQ(Join(b.Receive(train.size())), train) << round;
        ASSERT_TRUE(b.Send(a.sock.local, "ack", 3));
        rt_io_flush(b.io);
        ASSERT_EQ(Join(a.Receive(3)), "ack");
    }
}

TEST_P(IoTest, H123_KernelDropsAreCounted)
{
    options.buf_bytes = 0;
    Side a, b;
    Open(&a);
    options.gro = false;
    Open(&b);
    int small = 4096;
    ASSERT_EQ(setsockopt(b.sock.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    for (int i = 0; i < 60; i++) {
        ASSERT_TRUE(a.Send(b.sock.local, std::string(1000, 'd'), 1000));
    }
    rt_io_flush(a.io);
    b.Receive(1000);
    ASSERT_TRUE(a.Send(b.sock.local, "z", 1)); // carries the count that the others left
    rt_io_flush(a.io);
    usleep(10000);
    b.Receive(1);
    EXPECT_GT(rt_io_get_stats(b.io)->kernel_drops, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, IoTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });
