#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/impair/flows.h"
#include "runtime/udp/sockaddr.h"

namespace
{

int some_fd()
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

quic_addr client(uint16_t port)
{
    static const uint8_t ip[4] = {127, 0, 0, 1};
    return rt_addr_from_in4(ip, port);
}

TEST(Flows, FindsWhatWasAdded)
{
    rt_flows flows;
    ASSERT_TRUE(rt_flows_init(&flows, 3000));
    for (uint16_t i = 0; i < 3000; i++) { /* more than there are chains */
        quic_addr addr = client(i);
        ASSERT_EQ(rt_flows_find(&flows, &addr), RT_FLOW_NONE);
        ASSERT_EQ(rt_flows_add(&flows, &addr, -1, i), i);
    }
    for (uint16_t i = 0; i < 3000; i++) {
        quic_addr addr = client(i);
        ASSERT_EQ(rt_flows_find(&flows, &addr), i);
    }
    rt_flows_deinit(&flows);
}

TEST(Flows, ForgetsTheLongestUnusedWhenFull)
{
    rt_flows flows;
    ASSERT_TRUE(rt_flows_init(&flows, 2));
    quic_addr a = client(1);
    quic_addr b = client(2);
    quic_addr c = client(3);
    int fd_a = some_fd();
    int fd_b = some_fd();
    int fd_c = some_fd();
    uint32_t ia = rt_flows_add(&flows, &a, fd_a, 1);
    uint32_t ib = rt_flows_add(&flows, &b, fd_b, 2);
    flows.at[ia].used_ns = 3;
    uint32_t generation = flows.at[ib].generation;
    EXPECT_EQ(rt_flows_add(&flows, &c, fd_c, 4), ib);
    EXPECT_NE(flows.at[ib].generation, generation); /* what was under way for b is for nobody now */
    EXPECT_EQ(rt_flows_find(&flows, &b), RT_FLOW_NONE);
    EXPECT_EQ(rt_flows_find(&flows, &a), ia);
    EXPECT_EQ(rt_flows_find(&flows, &c), ib);
    EXPECT_TRUE(is_open(fd_a));
    EXPECT_FALSE(is_open(fd_b));
    rt_flows_deinit(&flows);
    EXPECT_FALSE(is_open(fd_a));
    EXPECT_FALSE(is_open(fd_c));
}

} // namespace
