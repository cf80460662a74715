#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/udp/sockaddr.h"
#include "runtime/udp/steer_bpf.h"
#include "runtime/udp/udp_socket.h"

namespace
{

const uint8_t kLoopback[4] = {127, 0, 0, 1};

struct Group {
    std::vector<rt_udp_socket> socks;
    int client = -1;

    explicit Group(uint32_t count)
    {
        // The first is alone while the kernel chooses: who is ready to share may get a port of others that are.
        rt_udp_options options = {};
        options.local = rt_addr_from_in4(kLoopback, 0);
        for (uint32_t i = 0; i < count || i < 2; i++) {
            rt_udp_socket sock;
            const int on = 1;
            EXPECT_EQ(rt_udp_open(&sock, &options), 0);
            EXPECT_EQ(setsockopt(sock.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
            options.local.port = sock.local.port;
            options.reuseport = true;
            socks.push_back(sock);
        }
        if (count == 1) { // the second one has made it a group
            rt_udp_close(&socks.back());
            socks.pop_back();
        }
    }

    ~Group()
    {
        for (rt_udp_socket &sock : socks) {
            rt_udp_close(&sock);
        }
    }

    // Sends from a new source port, so that the kernel's address hash would spread; says where the
    // datagram arrived.
    int Deliver(const uint8_t *data, size_t len)
    {
        rt_sockaddr to;
        socklen_t to_len = rt_sockaddr_from(&to, &socks[0].local, false);
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        EXPECT_EQ(sendto(fd, data, len, 0, &to.sa, to_len), (ssize_t)len);
        close(fd);
        std::vector<pollfd> all;
        for (const rt_udp_socket &sock : socks) {
            all.push_back({sock.fd, POLLIN, 0});
        }
        EXPECT_EQ(poll(all.data(), all.size(), 5000), 1); // not at once on a busy machine
        int found = -1;
        for (size_t i = 0; i < socks.size(); i++) {
            uint8_t buf[64];
            if (recv(socks[i].fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0) {
                found = (int)i;
            }
        }
        return found;
    }
};

} // namespace

TEST(SteerBpf, KernelFollowsTheLastByteOfTheConnectionId)
{
    for (uint32_t count : {1u, 2u, 3u, 8u}) {
        for (uint32_t cid_len : {8u, 11u, 20u}) {
            Group group(count);
            ASSERT_EQ(rt_steer_attach(group.socks[0].fd, count, cid_len), 0);
            for (int byte = 0; byte < 256; byte += 5) {
                uint8_t shorts[40] = {0x41};
                shorts[cid_len] = (uint8_t)byte;
                EXPECT_EQ(group.Deliver(shorts, sizeof(shorts)), (int)((uint32_t)byte % count));
                for (uint8_t dcid_len : {1, 8, 13, 20}) { /* of the client's choice */
                    uint8_t longs[40] = {0xc0, 0, 0, 0, 1, dcid_len};
                    longs[5 + dcid_len] = (uint8_t)byte;
                    EXPECT_EQ(group.Deliver(longs, sizeof(longs)), (int)((uint32_t)byte % count));
                }
            }
        }
    }
}

TEST(SteerBpf, ShortDatagramsStillArriveSomewhere)
{
    Group group(4);
    ASSERT_EQ(rt_steer_attach(group.socks[0].fd, 4, 8), 0);
    uint8_t one = 0x40;
    uint8_t cut[6] = {0xc0, 0, 0, 0, 1, 8};
    EXPECT_GE(group.Deliver(&one, 1), 0);
    EXPECT_GE(group.Deliver(cut, sizeof(cut)), 0);
}

TEST(SteerBpf, PickIsTheSameRule)
{
    uint8_t shorts[4] = {0x40, 1, 200, 9};
    uint8_t longs[9] = {0x80, 1, 2, 3, 4, 2, 6, 77, 8};
    EXPECT_EQ(rt_steer_pick(shorts, 4, 7, 2), 200u % 7);
    EXPECT_EQ(rt_steer_pick(longs, 9, 7, 8), 77u % 7);
    EXPECT_EQ(rt_steer_pick(shorts, 2, 7, 2), 7u);
    EXPECT_EQ(rt_steer_pick(shorts, 0, 7, 2), 7u);
    EXPECT_EQ(rt_steer_pick(longs, 7, 7, 8), 7u);
    EXPECT_EQ(rt_steer_pick(longs, 5, 7, 8), 7u);
}

TEST(SteerBpf, RefusesImpossibleCounts)
{
    Group group(1);
    EXPECT_EQ(rt_steer_attach(group.socks[0].fd, 0, 8), -EINVAL);
    EXPECT_EQ(rt_steer_attach(group.socks[0].fd, 65, 8), -EINVAL);
    EXPECT_EQ(rt_steer_attach(group.socks[0].fd, 2, 0), -EINVAL);
    EXPECT_EQ(rt_steer_attach(group.socks[0].fd, 2, 21), -EINVAL);
    EXPECT_LT(rt_steer_attach(-1, 2, 8), 0);
}
