#include <arpa/inet.h>

#include <gtest/gtest.h>

#include "runtime/udp/sockaddr.h"

namespace
{

const uint8_t kV4[4] = {192, 0, 2, 7};
const uint8_t kV6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const uint8_t kMapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
const uint8_t kLinkLocal[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};

} // namespace

TEST(Sockaddr, RoundTripsBothFamilies)
{
    struct {
        quic_addr addr;
        bool v6;
        socklen_t len;
    } cases[] = {
        {rt_addr_from_in4(kV4, 4433), false, sizeof(sockaddr_in)},
        {rt_addr_from_in4(kV4, 4433), true, sizeof(sockaddr_in6)}, // as IPv4-mapped
        {rt_addr_from_in6(kV6, 4433, 0), true, sizeof(sockaddr_in6)},
        {rt_addr_from_in6(kLinkLocal, 1, 3), true, sizeof(sockaddr_in6)},
    };
    for (const auto &c : cases) {
        rt_sockaddr sa;
        quic_addr back;
        ASSERT_EQ(rt_sockaddr_from(&sa, &c.addr, c.v6), c.len);
        ASSERT_TRUE(rt_sockaddr_to(&back, &sa.sa, c.len));
        EXPECT_TRUE(quic_addr_equal(&back, &c.addr));
    }
}

TEST(Sockaddr, MappedBecomesPlainIpv4)
{
    quic_addr addr = rt_addr_from_in6(kMapped, 99, 5);
    quic_addr want = rt_addr_from_in4(kV4, 99);
    EXPECT_TRUE(quic_addr_equal(&addr, &want));
    rt_sockaddr sa;
    ASSERT_EQ(rt_sockaddr_from(&sa, &addr, true), (socklen_t)sizeof(sockaddr_in6));
    EXPECT_EQ(memcmp(&sa.in6.sin6_addr, kMapped, 16), 0);
    EXPECT_EQ(sa.in6.sin6_port, htons(99));
}

TEST(Sockaddr, RefusesWhatCannotBeSaid)
{
    rt_sockaddr sa;
    quic_addr none = {};
    quic_addr v6 = rt_addr_from_in6(kV6, 1, 0);
    EXPECT_EQ(rt_sockaddr_from(&sa, &none, false), 0u);
    EXPECT_EQ(rt_sockaddr_from(&sa, &none, true), 0u);
    EXPECT_EQ(rt_sockaddr_from(&sa, &v6, false), 0u);
    quic_addr out;
    sa.sa.sa_family = AF_UNIX;
    EXPECT_FALSE(rt_sockaddr_to(&out, &sa.sa, sizeof(sa)));
    sa.sa.sa_family = AF_INET6;
    EXPECT_FALSE(rt_sockaddr_to(&out, &sa.sa, sizeof(sockaddr_in)));
    EXPECT_FALSE(rt_sockaddr_to(&out, &sa.sa, 0));
    EXPECT_FALSE(rt_sockaddr_to(&out, &sa.sa, 1000));
}

TEST(Sockaddr, ScopeCountsForLinkLocalOnly)
{
    rt_sockaddr sa = {};
    sa.in6.sin6_family = AF_INET6;
    sa.in6.sin6_scope_id = 4;
    memcpy(&sa.in6.sin6_addr, kV6, 16);
    quic_addr out;
    ASSERT_TRUE(rt_sockaddr_to(&out, &sa.sa, sizeof(sa.in6)));
    EXPECT_EQ(out.scope_id, 0u);
    memcpy(&sa.in6.sin6_addr, kLinkLocal, 16);
    ASSERT_TRUE(rt_sockaddr_to(&out, &sa.sa, sizeof(sa.in6)));
    EXPECT_EQ(out.scope_id, 4u);
}

TEST(Sockaddr, Any)
{
    static const uint8_t zero[16] = {};
    quic_addr none = {};
    quic_addr any4 = rt_addr_from_in4(zero, 4433);
    quic_addr any6 = rt_addr_from_in6(zero, 4433, 0);
    quic_addr one = rt_addr_from_in4(kV4, 0);
    EXPECT_TRUE(rt_addr_is_any(&none));
    EXPECT_TRUE(rt_addr_is_any(&any4));
    EXPECT_TRUE(rt_addr_is_any(&any6));
    EXPECT_FALSE(rt_addr_is_any(&one));
}
