// Sends that the kernel does not take at once, or takes in parts, at any point: what was sent arrives, in order.
#include <algorithm>
#include <random>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/runtime/io/io_fixture.h"

namespace
{

std::mt19937 rng;
uint32_t chance; // of 100, that a call is refused

bool Draws()
{
    return rng() % 100 < chance;
}

int Refuse()
{
    errno = EAGAIN;
    return -1;
}

} // namespace

extern "C" ssize_t sendto(int fd, const void *buf, size_t len, int flags, const sockaddr *to,
                          socklen_t to_len)
{
    return Draws() ? Refuse() : syscall(SYS_sendto, fd, buf, len, flags, to, to_len);
}

extern "C" ssize_t sendmsg(int fd, const msghdr *msg, int flags)
{
    return Draws() ? Refuse() : syscall(SYS_sendmsg, fd, msg, flags);
}

extern "C" int sendmmsg(int fd, mmsghdr *msgs, unsigned count, int flags)
{
    if (Draws()) {
        if (count == 1 || rng() % 2 == 0) {
            return Refuse();
        }
        count = 1 + rng() % (count - 1);
    }
    return (int)syscall(SYS_sendmmsg, fd, msgs, count, flags);
}

namespace
{

class RefusedTest : public IoTest
{
  protected:
    // Each processor has a queue of its own for what loopback delivers: who is moved overtakes what he sent.
    void SetUp() override
    {
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET((unsigned)sched_getcpu(), &here);
        (void)sched_setaffinity(0, sizeof(here), &here);
    }

    // Sends singles and trains of all kinds, and receives meanwhile.
    void SendsEverything(uint32_t seed)
    {
        rng.seed(seed);
        Side a, b;
        chance = 0;
        Open(&a);
        Open(&b);
        const bool refused = seed % 3 == 0;
        const bool looks = seed % 2 == 0;
        if (refused) { // trains are refused: EINVAL
            int on = 1;
            ASSERT_EQ(setsockopt(a.sock.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
        }
        std::string sent;
        std::string got;
        const auto receive = [&](quic_ns ns) {
            const quic_ns now = rt_clock_now();
            (void)(ns == 0 && looks ? rt_io_look(b.io, now) : rt_io_wait(b.io, now, now + ns));
            for (quic_rx_unit unit; rt_io_next_rx(b.io, &unit);) {
                got.append((const char *)unit.data, unit.len);
            }
            rt_io_release_rx(b.io);
        };
        chance = 10 + seed % 60;
        for (uint32_t i = 0; i < 60; i++) {
            const uint32_t seg = 500 + rng() % 700;
            const size_t len = rng() % 2 == 0 ? seg : 1 + rng() % (seg * 20);
            std::string text = Pattern(len, (uint8_t)i);
            const uint32_t first = std::min<uint32_t>(seg, (uint32_t)len);
            for (int tries = 0; !a.Send(b.sock.local, text, first); tries++) {
                ASSERT_LT(tries, 1000);
                rt_io_wait(a.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
            }
            sent += text;
            if (rng() % 3 == 0) {
                (void)(looks ? rt_io_look(a.io, 0) : rt_io_wait(a.io, 0, 0));
                receive(0);
            }
        }
        const quic_ns end = rt_clock_now() + 5 * QUIC_NS_PER_S;
        while (got.size() < sent.size() && rt_clock_now() < end) {
            rt_io_wait(a.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
            receive(QUIC_NS_PER_MS);
        }
        chance = 0;
        ASSERT_EQ(got.size(), sent.size());
        if (!refused ||
            std::string(GetParam()) == "epoll") { // the ring has sent what is behind it by then
            EXPECT_TRUE(got == sent);
        }
        EXPECT_EQ(rt_io_get_stats(a.io)->tx_errors, 0u);
        // All room has come back.
        for (uint32_t i = 0; i < config.tx_slot_count; i++) {
            quic_tx_unit unit;
            ASSERT_TRUE(rt_io_tx_buf(a.io, &unit, RT_IO_UNIT_BYTES_MAX));
            ASSERT_TRUE(a.Send(b.sock.local, Pattern(60000), 1350));
        }
    }
};

TEST_P(RefusedTest, H115_EverythingArrivesInOrder)
{
    config.tx_slot_count = 1; // what waits fits into the smallest receive buffer
    for (uint32_t seed = 1; seed <= 12; seed++) {
        SCOPED_TRACE(seed);
        config.gso = seed % 2 == 0;
        SendsEverything(seed);
        if (HasFailure()) {
            break;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kernel, RefusedTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
