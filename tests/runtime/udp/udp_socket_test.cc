#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "runtime/udp/sockaddr.h"
#include "runtime/udp/udp_socket.h"

namespace
{

const uint8_t kLoopback[4] = {127, 0, 0, 1};
const uint8_t kZero[16] = {};

int IntOption(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof(v);
    EXPECT_EQ(getsockopt(fd, level, name, &v, &len), 0);
    return v;
}

rt_udp_options Options(const quic_addr &local)
{
    rt_udp_options options = {};
    options.local = local;
    options.gso = true;
    options.gro = true;
    return options;
}

} // namespace

TEST(UdpSocket, Ipv4IsBoundNonBlockingAndNeverFragments)
{
    rt_udp_options options = Options(rt_addr_from_in4(kLoopback, 0));
    rt_udp_socket sock;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    EXPECT_NE(sock.local.port, 0);
    EXPECT_EQ(sock.local.family, 4);
    EXPECT_FALSE(sock.is_v6);
    EXPECT_FALSE(sock.any);
    EXPECT_TRUE(sock.gso && sock.gro && sock.ecn);
    EXPECT_FALSE(sock.pktinfo); // what comes, comes to this address
    EXPECT_EQ(sock.tx_ecn, 0);
    EXPECT_NE(fcntl(sock.fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(sock.fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    rt_udp_close(&sock);
    EXPECT_EQ(sock.fd, -1);
    rt_udp_close(&sock);
}

TEST(UdpSocket, TheMarkOfMostDatagramsIsTheSockets)
{
    rt_udp_options options = Options(rt_addr_from_in6(kZero, 0, 0));
    options.dual_stack = true;
    options.ecn = RT_UDP_ECT0;
    rt_udp_socket sock;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    EXPECT_EQ(sock.tx_ecn, RT_UDP_ECT0);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IPV6, IPV6_TCLASS), 2);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IP, IP_TOS), 2); // of its IPv4 datagrams
    rt_udp_close(&sock);
}

TEST(UdpSocket, DualStackAppliesToTheIpv6WildcardOnly)
{
    rt_udp_options options = Options(rt_addr_from_in6(kZero, 0, 0));
    options.dual_stack = true;
    rt_udp_socket sock;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    EXPECT_TRUE(sock.is_v6 && sock.dual_stack && sock.any && sock.pktinfo);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_PROBE);
    rt_udp_close(&sock);

    options.dual_stack = false;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    EXPECT_FALSE(sock.dual_stack);
    EXPECT_EQ(IntOption(sock.fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    rt_udp_close(&sock);
}

TEST(UdpSocket, OptionsNotAskedForStayOff)
{
    rt_udp_options options = Options(rt_addr_from_in4(kLoopback, 0));
    options.gso = false;
    options.gro = false;
    rt_udp_socket sock;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    EXPECT_FALSE(sock.gso);
    EXPECT_FALSE(sock.gro);
    rt_udp_close(&sock);
}

TEST(UdpSocket, AddressInUseIsAnErrorWithoutReuseport)
{
    rt_udp_options options = Options(rt_addr_from_in4(kLoopback, 0));
    rt_udp_socket first, second;
    ASSERT_EQ(rt_udp_open(&first, &options), 0);
    options.local.port = first.local.port;
    EXPECT_EQ(rt_udp_open(&second, &options), -EADDRINUSE);

    // Not at port 0: the kernel may choose one of others who share.
    const int on = 1;
    ASSERT_EQ(setsockopt(first.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    options.reuseport = true;
    ASSERT_EQ(rt_udp_open(&second, &options), 0);
    EXPECT_EQ(second.local.port, first.local.port);
    rt_udp_close(&first);
    rt_udp_close(&second);
}

TEST(UdpSocket, BadAddressesAreErrors)
{
    static const uint8_t foreign[4] = {192, 0, 2, 1};
    rt_udp_options options = Options(rt_addr_from_in4(foreign, 0));
    rt_udp_socket sock;
    EXPECT_EQ(rt_udp_open(&sock, &options), -EADDRNOTAVAIL);
    options.local = quic_addr{};
    EXPECT_EQ(rt_udp_open(&sock, &options), -EAFNOSUPPORT);
}

TEST(UdpSocket, H123_BufferWarningNamesTheSysctl)
{
    rt_udp_socket sock = {};
    char line[256];
    sock.asked_bytes = 4194304;
    sock.rcvbuf_bytes = 4194304;
    sock.sndbuf_bytes = 4194304;
    EXPECT_FALSE(rt_udp_buffer_warning(&sock, line, sizeof(line)));
    sock.rcvbuf_bytes = 212992;
    ASSERT_TRUE(rt_udp_buffer_warning(&sock, line, sizeof(line)));
    EXPECT_NE(std::string(line).find("sysctl -w net.core.rmem_max=4194304"), std::string::npos);
    EXPECT_NE(std::string(line).find("212992"), std::string::npos);
    sock.rcvbuf_bytes = 4194304;
    sock.sndbuf_bytes = 212992;
    ASSERT_TRUE(rt_udp_buffer_warning(&sock, line, sizeof(line)));
    EXPECT_NE(std::string(line).find("net.core.wmem_max"), std::string::npos);
}

TEST(UdpSocket, GrantedBufferIsWhatWasAskedOrSaidToBeLess)
{
    rt_udp_options options = Options(rt_addr_from_in4(kLoopback, 0));
    options.buf_bytes = 4u << 20;
    rt_udp_socket sock;
    ASSERT_EQ(rt_udp_open(&sock, &options), 0);
    char line[256];
    EXPECT_GT(sock.rcvbuf_bytes, 0u);
    EXPECT_EQ(rt_udp_buffer_warning(&sock, line, sizeof(line)),
              sock.rcvbuf_bytes < options.buf_bytes || sock.sndbuf_bytes < options.buf_bytes);
    rt_udp_close(&sock);
}
