// tests/runtime/io/io_fixture.h: two back ends on loopback sockets, for tests that run over both.
#ifndef TESTS_RUNTIME_IO_IO_FIXTURE_H
#define TESTS_RUNTIME_IO_IO_FIXTURE_H

#include <errno.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/io/io_epoll.h"
#include "runtime/io/io_uring.h"
#include "runtime/udp/sockaddr.h"

inline quic_addr Loopback(uint8_t family, uint16_t port = 0)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    static const uint8_t v6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return family == 4 ? rt_addr_from_in4(v4, port) : rt_addr_from_in6(v6, port, 0);
}

inline quic_addr Wildcard(uint8_t family, uint16_t port = 0)
{
    static const uint8_t zero[16] = {};
    return family == 4 ? rt_addr_from_in4(zero, port) : rt_addr_from_in6(zero, port, 0);
}

// What the kernel says to a datagram for `to`: that depends on the routes of the machine.
inline int Refusal(int fd, const quic_addr &to)
{
    rt_sockaddr sa;
    const socklen_t len = rt_sockaddr_from(&sa, &to, false);
    return sendto(fd, "", 1, MSG_DONTWAIT, &sa.sa, len) < 0 ? errno : 0;
}

// A received unit with its bytes copied.
struct Got {
    std::string bytes;
    uint32_t seg_len;
    uint8_t ecn;
    quic_path_addr path;
};

// All units that `next` (rt_io_next_rx, rt_io_guest_next_rx) hands out.
inline std::vector<Got> TakeUnits(rt_io *io, bool (*next)(rt_io *, quic_rx_unit *))
{
    std::vector<Got> got;
    for (quic_rx_unit unit; next(io, &unit);) {
        got.push_back(
            {std::string((const char *)unit.data, unit.len), unit.seg_len, unit.ecn, unit.path});
    }
    return got;
}

// One back end with one socket.
struct Side {
    rt_io *io = nullptr;
    rt_udp_socket sock = {};
    uint32_t index = 0;

    ~Side()
    {
        rt_io_destroy(io);
    }

    // Waits until `bytes` arrived in all, or two seconds.
    std::vector<Got> Receive(size_t bytes)
    {
        std::vector<Got> got;
        size_t sum = 0;
        quic_ns end = rt_clock_now() + 2 * QUIC_NS_PER_S;
        while (sum < bytes) {
            quic_ns now = rt_clock_now();
            if (now >= end) {
                break;
            }
            rt_io_wait(io, now, end);
            for (Got &one : TakeUnits(io, rt_io_next_rx)) {
                sum += one.bytes.size();
                got.push_back(std::move(one));
            }
            rt_io_release_rx(io);
        }
        return got;
    }

    // Sleeps until something was found or `ns` have passed; a signal does not end it.
    unsigned Wait(quic_ns ns)
    {
        quic_ns end = rt_clock_now() + ns;
        unsigned found = 0;
        for (quic_ns now; found == 0 && (now = rt_clock_now()) < end;) {
            found = rt_io_wait(io, now, end);
        }
        return found;
    }

    bool Send(const quic_addr &to, const std::string &bytes, uint32_t seg_len, uint8_t ecn = 0,
              const quic_addr *from = nullptr)
    {
        quic_tx_unit unit;
        if (!rt_io_tx_buf(io, &unit, (uint32_t)bytes.size())) {
            return false;
        }
        memcpy(unit.buf, bytes.data(), bytes.size());
        unit.len = (uint32_t)bytes.size();
        unit.seg_len = seg_len;
        unit.ecn = ecn;
        unit.path.remote = to;
        unit.path.socket = index;
        if (from != nullptr) {
            unit.path.local = *from;
        }
        rt_io_tx_submit(io, &unit);
        return true;
    }
};

class IoTest : public ::testing::TestWithParam<const char *>
{
  protected:
    rt_io_config config;
    rt_udp_options options = {};

    IoTest()
    {
        rt_io_config_init(&config);
        options.local = Loopback(4);
        options.gso = true;
        options.gro = true;
        options.merges = true;
        options.buf_bytes = 4u << 20;
    }

    int Create(rt_io **out)
    {
        return std::string(GetParam()) == "epoll" ? rt_io_epoll_create(out, &config)
                                                  : rt_io_uring_create(out, &config);
    }

    void Open(Side *side)
    {
        ASSERT_EQ(Create(&side->io), 0);
        ASSERT_EQ(rt_udp_open(&side->sock, &options), 0);
        ASSERT_EQ(rt_io_add_socket(side->io, &side->sock, &side->index), 0);
        rt_io_wait(side->io, 0, 0); // arms the receive
    }

    static std::string Pattern(size_t len, uint8_t start = 0)
    {
        std::string s(len, '\0');
        for (size_t i = 0; i < len; i++) {
            s[i] = (char)(uint8_t)(start + i * 7 + i / 251);
        }
        return s;
    }

    static std::string Join(const std::vector<Got> &got)
    {
        std::string all;
        for (const Got &g : got) {
            all += g.bytes;
        }
        return all;
    }

    // b, which receives by `receive` so many bytes, gets a datagram of a's with its addresses and mark, and trains.
    static void TakesWithAddressesAndTrains(Side &a, Side &b,
                                            std::vector<Got> (*receive)(rt_io *, size_t))
    {
        ASSERT_TRUE(a.Send(b.sock.local, "hello", 5, 2));
        rt_io_flush(a.io);
        std::vector<Got> got = receive(b.io, 5);
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].bytes, "hello");
        EXPECT_EQ(got[0].ecn, 2);
        EXPECT_TRUE(quic_addr_equal(&got[0].path.remote, &a.sock.local));
        EXPECT_TRUE(quic_addr_equal(&got[0].path.local, &b.sock.local));
        EXPECT_EQ(got[0].path.socket, b.index);
        std::string all;
        for (uint8_t i = 0; i < 8; i++) { // several: each long one is followed by another look
            std::string train = Pattern(30 * 1350 + 77, i);
            ASSERT_TRUE(a.Send(b.sock.local, train, 1350));
            all += train;
        }
        rt_io_flush(a.io);
        got = receive(b.io, all.size());
        EXPECT_EQ(Join(got), all);
        EXPECT_EQ(got[0].seg_len, 1350u);
        EXPECT_EQ(rt_io_get_stats(b.io)->rx_units, 1u + got.size());
    }
};

#endif // TESTS_RUNTIME_IO_IO_FIXTURE_H
