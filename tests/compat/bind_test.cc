/* bind: draft section 3.1.2. */
#include <cerrno>
#include <cstring>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

static int bind_to(int fd, const Address &at)
{
    return bind(fd, at.ptr(), at.len);
}

/* A port that was free a moment ago. */
static uint16_t free_port(int family = AF_INET)
{
    Fd udp(socket(family, SOCK_DGRAM, 0));
    Address at = loopback(0, family);
    EXPECT_EQ(0, bind_to(udp, at));
    return name_of(udp).port();
}

TEST(Bind, C009_AnAddressAndItsName)
{
    uint16_t port = free_port();
    Fd fd = quic_socket();
    ASSERT_EQ(0, bind_to(fd, loopback(port)));
    EXPECT_EQ(loopback(port).text(), name_of(fd).text());
}

TEST(Bind, C010_OnlyOnce)
{
    Fd fd = quic_socket();
    ASSERT_EQ(0, bind_to(fd, loopback()));
    EXPECT_ERRNO(EINVAL, bind_to(fd, loopback()));
}

TEST(Bind, C011_PortZeroIsChosen)
{
    Fd fd = quic_socket();
    ASSERT_EQ(0, bind_to(fd, loopback(0)));
    EXPECT_NE(0, name_of(fd).port());
}

TEST(Bind, C012_LengthOfTheAddress)
{
    Fd fd = quic_socket();
    Address at = loopback();
    EXPECT_ERRNO(EINVAL, bind(fd, at.ptr(), 4));
    EXPECT_EQ(0, bind(fd, at.ptr(), sizeof(sockaddr_storage)));
}

TEST(Bind, C013_AnotherFamilysAddress)
{
    Fd fd = quic_socket(AF_INET);
    EXPECT_ERRNO(EINVAL, bind_to(fd, loopback(0, AF_INET6)));
}

TEST(Bind, C014_Ipv4OnAnIpv6Socket)
{
    Fd fd = quic_socket(AF_INET6);
    EXPECT_EQ(0, bind_to(fd, loopback(0, AF_INET)));
    Fd only = quic_socket(AF_INET6);
    int on = 1;
    ASSERT_EQ(0, setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    EXPECT_ERRNO(EINVAL, bind_to(only, loopback(0, AF_INET)));
}

TEST(Bind, C015_Wildcards)
{
    Fd v4 = quic_socket(AF_INET);
    EXPECT_EQ(0, bind_to(v4, any(0, AF_INET)));
    EXPECT_EQ("0.0.0.0:" + std::to_string(name_of(v4).port()), name_of(v4).text());
    Fd v6 = quic_socket(AF_INET6);
    EXPECT_EQ(0, bind_to(v6, any(0, AF_INET6)));
    EXPECT_EQ(":::" + std::to_string(name_of(v6).port()), name_of(v6).text());
}

TEST(Bind, C016_SharedInAProcess)
{
    uint16_t port = free_port();
    Fd a = quic_socket();
    Fd b = quic_socket();
    ASSERT_EQ(0, bind_to(a, loopback(port)));
    EXPECT_EQ(0, bind_to(b, loopback(port)));
}

TEST(Bind, C018_AddressesThatCannotBeHad)
{
    Fd fd = quic_socket();
    Address far = loopback();
    inet_pton(AF_INET, "192.0.2.1", &reinterpret_cast<sockaddr_in *>(&far.storage)->sin_addr);
    EXPECT_ERRNO(EADDRNOTAVAIL, bind_to(fd, far));
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    ASSERT_EQ(0, bind_to(udp, loopback()));
    EXPECT_ERRNO(EADDRINUSE, bind_to(fd, name_of(udp)));
    EXPECT_EQ(0, bind_to(fd, loopback())) << "a failed bind leaves the socket as it was";
}

TEST(Bind, C019_Multicast)
{
    Fd fd = quic_socket();
    Address group = loopback(4000);
    inet_pton(AF_INET, "224.0.0.1", &reinterpret_cast<sockaddr_in *>(&group.storage)->sin_addr);
    EXPECT_ERRNO(EINVAL, bind_to(fd, group));
}

TEST(Bind, C020_APortJustClosed)
{
    uint16_t port = free_port();
    for (int i = 0; i < 5; i++) {
        Fd fd = quic_socket();
        ASSERT_EQ(0, bind_to(fd, loopback(port))) << strerror(errno);
        ASSERT_EQ(0, listen(fd, 1));
    }
}

/* Also when this process binds nothing any more. */
TEST(Bind, C020_APortIsOthersAfterAMoment)
{
    Fd fd = listener();
    const Address at = name_of(fd);
    fd.reset();
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    int rc = -1;
    for (int i = 0; i < 100 && rc != 0; i++) {
        usleep(100000);
        rc = bind(udp, at.ptr(), at.len);
    }
    EXPECT_EQ(0, rc) << strerror(errno);
}

/* A port stays for a while after its last socket; there are not places for all of these. */
TEST(Bind, PortsThatNobodyUsesMakeRoom)
{
    for (int i = 0; i < 80; i++) {
        Fd fd = quic_socket();
        ASSERT_EQ(0, bind_to(fd, loopback(free_port()))) << i << ": " << strerror(errno);
    }
}

TEST(Bind, C020_ThePortOfAConnectionJustClosed)
{
    Pair pair = make_pair();
    Address was = name_of(pair.client);
    pair.client.reset();
    Fd fd = quic_socket();
    EXPECT_EQ(0, bind_to(fd, was)) << strerror(errno);
}

/* A server that pauses: its port waits for it while it has connections. */
TEST(Bind, C020_ThePortOfAListenerWhoseConnectionsGoOn)
{
    Pair pair = make_pair();
    const Address was = name_of(pair.listen);
    pair.listen.reset();
    usleep(4500000);
    Fd fd = quic_socket();
    ASSERT_EQ(0, bind_to(fd, was)) << strerror(errno);
    EXPECT_EQ(0, listen(fd, 1)) << strerror(errno);
    EXPECT_TRUE(alive(pair));
}

TEST(Bind, C021_PrivilegedPorts)
{
#if defined(QURING_TSAN)
    GTEST_SKIP() << "no threads after fork under this sanitizer";
#endif
    pid_t child = fork();
    if (child == 0) {
        /* Root as well is nobody without capabilities; a sandbox may know no other user. */
        __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
        const __user_cap_data_struct none[2] = {};
        if (syscall(SYS_capset, &head, none) != 0) {
            _exit(77);
        }
        int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
        if (fd < 0) {
            _exit(76);
        }
        Address at = loopback(443);
        int rc = bind_to(fd, at);
        _exit(rc == -1 && errno == EACCES ? 0 : rc == 0 ? 75 : 1);
    }
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 75) {
        GTEST_SKIP() << "every port is open to everybody here";
    }
    EXPECT_EQ(0, WEXITSTATUS(status));
}
