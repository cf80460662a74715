// Sockets that are removed while somebody else still has them.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/runtime/io/io_fixture.h"

namespace
{

class RemovedTest : public IoTest
{
};

// A child of a fork keeps the socket open, and its port: what arrives there is nothing to wake up for.
TEST_P(RemovedTest, ASocketThatAChildHasWakesNobody)
{
    Side a, b;
    Open(&a);
    Open(&b);
    const int childs = dup(b.sock.fd);
    ASSERT_GE(childs, 0);
    rt_io_remove_socket(b.io, b.index);
    rt_io_wait(b.io, rt_clock_now(),
               rt_clock_now() + QUIC_NS_PER_MS); // a cancelled receive may say so
    ASSERT_TRUE(a.Send(b.sock.local, "late", 4));
    rt_io_flush(a.io);
    const quic_ns began = rt_clock_now();
    const quic_ns until = began + 50 * QUIC_NS_PER_MS;
    unsigned waits = 0;
    for (quic_ns now = began; now < until; now = rt_clock_now()) {
        EXPECT_EQ(rt_io_wait(b.io, now, until) & RT_IO_RX, 0u);
        quic_rx_unit unit;
        EXPECT_FALSE(rt_io_next_rx(b.io, &unit));
        rt_io_release_rx(b.io);
        waits++;
    }
    EXPECT_LT(waits, 20u);
    close(childs);
}

// With every place taken, one that is given up can be taken again without a wait in between.
TEST_P(RemovedTest, ThePlaceIsFreeAtOnce)
{
    Side a;
    Open(&a);
    for (uint32_t i = 1; i < RT_IO_SOCKETS_MAX + 3; i++) {
        if (i >= RT_IO_SOCKETS_MAX) {
            rt_io_remove_socket(a.io, a.index);
        }
        ASSERT_EQ(rt_udp_open(&a.sock, &options), 0);
        ASSERT_EQ(rt_io_add_socket(a.io, &a.sock, &a.index), 0) << i;
        rt_io_wait(a.io, 0, 0); // arms the receive
    }
}

// Nor is its port anybody's, whatever goes on at the others.
TEST_P(RemovedTest, ThePortIsFreeAtOnce)
{
    Side a;
    Open(&a);
    for (int i = 0; i < 3; i++) {
        rt_udp_socket more;
        uint32_t index = 0;
        ASSERT_EQ(rt_udp_open(&more, &options), 0);
        ASSERT_EQ(rt_io_add_socket(a.io, &more, &index), 0);
        rt_io_wait(a.io, 0, 0); // arms the receive
        rt_io_remove_socket(a.io, index);
        rt_udp_options same = options;
        same.local.port = more.local.port;
        rt_udp_socket next;
        ASSERT_EQ(rt_udp_open(&next, &same), 0) << i;
        rt_udp_close(&next);
    }
}

// An inbox whose kernel does not keep descriptors out, as those before Linux 6.16.
void OpenInbox(rt_udp_socket *out, sockaddr_un *name, socklen_t *name_len)
{
    const int on = 1;
    *out = {};
    out->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    out->local = Loopback(4, 1);
    out->is_inbox = true;
    out->uid = geteuid();
    ASSERT_EQ(0, setsockopt(out->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    const sockaddr_un any = {AF_UNIX, ""}; // the kernel picks an abstract name
    ASSERT_EQ(0, bind(out->fd, reinterpret_cast<const sockaddr *>(&any), sizeof(any.sun_family)));
    *name_len = sizeof(*name);
    ASSERT_EQ(0, getsockname(out->fd, reinterpret_cast<sockaddr *>(name), name_len));
}

void SendDescriptor(sockaddr_un *name, socklen_t name_len, int fd)
{
    char byte = 0;
    iovec iov = {&byte, 1};
    union {
        cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control{};
    msghdr msg{};
    msg.msg_name = name;
    msg.msg_namelen = name_len;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);
    cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    const int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    ASSERT_EQ(1, sendmsg(sender, &msg, 0));
    close(sender);
}

// Whether the reading end is the only one that is left of a pipe.
bool IsLast(int reading)
{
    pollfd p = {reading, POLLIN, 0};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

// How many descriptors other than `reading` there are of a pipe; *inherited: that an exec would leave open.
int Others(int reading, int *inherited)
{
    struct stat pipe, other;
    int count = 0;
    *inherited = 0;
    EXPECT_EQ(0, fstat(reading, &pipe));
    for (int fd = 0; fd < 1024; fd++) {
        if (fd != reading && fstat(fd, &other) == 0 && other.st_ino == pipe.st_ino &&
            other.st_dev == pipe.st_dev) {
            count++;
            *inherited += (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 ? 1 : 0;
        }
    }
    return count;
}

// Between their arrival and that a program may be started.
TEST_P(RemovedTest, DescriptorsInMessagesAreNotInherited)
{
    Side side;
    sockaddr_un name;
    socklen_t name_len = 0;
    int ends[2];
    int inherited = 0;
    ASSERT_EQ(0, pipe(ends));
    ASSERT_EQ(Create(&side.io), 0);
    OpenInbox(&side.sock, &name, &name_len);
    ASSERT_EQ(rt_io_add_socket(side.io, &side.sock, &side.index), 0);
    rt_io_wait(side.io, 0, 0);
    SendDescriptor(&name, name_len, ends[1]);
    close(ends[1]);
    EXPECT_NE(side.Wait(QUIC_NS_PER_S) & RT_IO_RX, 0u);
    EXPECT_EQ(Others(ends[0], &inherited), 1);
    EXPECT_EQ(inherited, 0);
    close(ends[0]);
}

// Anybody can send descriptors to an inbox: those in messages that nobody has read when it goes are not kept,
// whether they had been received (`waits`) or arrive while it is being removed.
TEST_P(RemovedTest, DescriptorsInUnreadMessagesOfAnInboxAreClosed)
{
    for (bool waits : {true, false}) {
        for (bool removed : {true, false}) {
            Side side;
            sockaddr_un name;
            socklen_t name_len = 0;
            int ends[2];
            ASSERT_EQ(0, pipe(ends));
            ASSERT_EQ(Create(&side.io), 0);
            OpenInbox(&side.sock, &name, &name_len);
            ASSERT_EQ(rt_io_add_socket(side.io, &side.sock, &side.index), 0);
            rt_io_wait(side.io, 0, 0); // arms the receive
            SendDescriptor(&name, name_len, ends[1]);
            close(ends[1]);
            EXPECT_FALSE(IsLast(ends[0]));
            if (waits) {
                EXPECT_NE(side.Wait(QUIC_NS_PER_S) & RT_IO_RX, 0u);
            }
            if (removed) {
                rt_io_remove_socket(side.io, side.index);
                for (int i = 0; i < 5; i++) { // a cancelled receive may say so
                    rt_io_wait(side.io, rt_clock_now(), rt_clock_now() + QUIC_NS_PER_MS);
                    quic_rx_unit unit;
                    EXPECT_FALSE(rt_io_next_rx(side.io, &unit));
                    rt_io_release_rx(side.io);
                }
            } else {
                rt_io_destroy(side.io);
                side.io = nullptr;
            }
            EXPECT_TRUE(IsLast(ends[0])) << waits << removed;
            close(ends[0]);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kernel, RemovedTest, ::testing::Values("io_uring", "epoll"),
                         [](const ::testing::TestParamInfo<const char *> &p) {
                             return std::string(p.param);
                         });

} // namespace
