/* What a message consists of: flags, ancillary data, parts, and what is wrong with them (draft section
 * 3.1.8). */
#include <cerrno>
#include <climits>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

constexpr uint64_t kAny = UINT64_MAX;
constexpr uint32_t kNew = QUIC_STREAM_FLAG_NEW;

ssize_t send_on(int fd, uint64_t sid, uint32_t flags, const std::string &text)
{
    return quic_sendmsg(fd, text.data(), text.size(), sid, flags);
}

} // namespace

TEST(Message, C094_UnknownFlags)
{
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, send(pair.client, "x", 1, MSG_OOB));
    EXPECT_ERRNO(EINVAL, send(pair.client, "x", 1, MSG_PEEK));
    EXPECT_ERRNO(EINVAL, sendmsg(pair.client, Outgoing(kAny, 0x40000000).ptr(), 0));
}

TEST(Message, C095_AncillaryData)
{
    Pair pair = make_pair();
    Outgoing unknown;
    unknown.first()->cmsg_type = 7;
    EXPECT_ERRNO(EINVAL, sendmsg(pair.client, &unknown.msg, 0));
    Outgoing small;
    small.first()->cmsg_len = CMSG_LEN(4);
    EXPECT_ERRNO(EINVAL, sendmsg(pair.client, &small.msg, 0));
    Outgoing foreign(kAny, kNew);
    foreign.add(IPPROTO_TCP, 99, 5, 0);
    EXPECT_EQ(1, sendmsg(pair.client, &foreign.msg, 0));
    Outgoing other_level;
    other_level.first()->cmsg_level = 261;
    EXPECT_EQ(1, sendmsg(pair.client, &other_level.msg, 0));
    Outgoing same;
    same.first()->cmsg_level = IPPROTO_QUIC;
    EXPECT_EQ(1, sendmsg(pair.client, &same.msg, 0));
    EXPECT_EQ("mmm", read_bytes(pair.server, 3));
}

TEST(Message, H098_SpoiltAncillaryData)
{
    Pair pair = make_pair();
    auto refused = [&](Outgoing &message, const char *what) {
        SCOPED_TRACE(what);
        EXPECT_ERRNO(EINVAL, sendmsg(pair.client, &message.msg, 0));
    };
    Outgoing zero;
    zero.first()->cmsg_len = 0;
    refused(zero, "length 0");
    Outgoing longer;
    longer.first()->cmsg_len = sizeof(longer.control) + 1;
    refused(longer, "longer than the buffer");
    Outgoing huge;
    huge.first()->cmsg_len = SIZE_MAX - 3;
    refused(huge, "length near the end of numbers");
    Outgoing twice(0, kNew);
    twice.add(SOL_QUIC, QUIC_STREAM_INFO, 4, kNew);
    refused(twice, "two stream numbers");
    Outgoing second;
    second.add(SOL_QUIC, QUIC_STREAM_INFO, 0, 0)->cmsg_len = 4096;
    refused(second, "the second overlaps the end");
    Outgoing number(1ull << 62, kNew);
    refused(number, "beyond 2^62");
    Outgoing type(3, kNew);
    refused(type, "the peer's stream");
    Outgoing flags(kAny, 1);
    refused(flags, "unknown flags");
    Outgoing null;
    null.msg.msg_control = nullptr;
    EXPECT_ERRNO(EFAULT, sendmsg(pair.client, &null.msg, 0));
    Outgoing tiny(kAny, kNew);
    tiny.msg.msg_controllen = 3; /* too short to be anything: as for TCP */
    EXPECT_EQ(1, sendmsg(pair.client, &tiny.msg, MSG_SYN));
    EXPECT_EQ("m", read_bytes(pair.server, 1));
    EXPECT_EQ(POLLOUT, poll_now(pair.server));
}

TEST(Message, H099_ManyParts)
{
    Pair pair = make_pair();
    char byte = 'v';
    std::vector<iovec> iov(IOV_MAX + 1, iovec{&byte, 1});
    msghdr msg{};
    msg.msg_iov = iov.data();
    msg.msg_iovlen = iov.size();
    EXPECT_ERRNO(EMSGSIZE, sendmsg(pair.client, &msg, MSG_SYN));
    EXPECT_ERRNO(EINVAL, writev(pair.client, iov.data(), IOV_MAX + 1));
    EXPECT_ERRNO(EINVAL, readv(pair.client, iov.data(), IOV_MAX + 1));
    msg.msg_iovlen = IOV_MAX;
    EXPECT_EQ(IOV_MAX, sendmsg(pair.client, &msg, MSG_SYN));
    EXPECT_EQ(std::string(IOV_MAX, 'v'), read_bytes(pair.server, IOV_MAX));
    iov[0] = {&byte, SIZE_MAX / 2};
    iov[1] = {&byte, SIZE_MAX / 2};
    msg.msg_iovlen = 2;
    EXPECT_ERRNO(EINVAL, sendmsg(pair.client, &msg, 0));
    iov[0] = {nullptr, 0};
    iov[1] = {&byte, 1};
    EXPECT_EQ(1, sendmsg(pair.client, &msg, 0));
    iov[0] = {nullptr, 1};
    EXPECT_ERRNO(EFAULT, sendmsg(pair.client, &msg, 0));
    msg.msg_iov = nullptr;
    EXPECT_ERRNO(EFAULT, sendmsg(pair.client, &msg, 0));
    EXPECT_ERRNO(EFAULT, sendmsg(pair.client, nullptr, 0));
    EXPECT_ERRNO(EFAULT, recvmsg(pair.client, nullptr, 0));
    const volatile int negative = -1; /* compilers know better */
    EXPECT_ERRNO(EINVAL, writev(pair.client, iov.data(), negative));
    EXPECT_ERRNO(EINVAL, readv(pair.client, iov.data(), negative));
    msg.msg_iov = iov.data();
    msg.msg_iovlen = IOV_MAX + 1;
    EXPECT_ERRNO(EMSGSIZE, recvmsg(pair.server, &msg, 0));
    iov[0] = {&byte, SIZE_MAX / 2};
    iov[1] = {&byte, SIZE_MAX / 2};
    msg.msg_iovlen = 2;
    EXPECT_ERRNO(EINVAL, recvmsg(pair.server, &msg, 0));
    iov[0] = {nullptr, 1};
    EXPECT_ERRNO(EFAULT, recvmsg(pair.server, &msg, 0));
}

/* What a program sends over its other sockets is judged by the kernel alone. */
TEST(Message, H098_SpoiltAncillaryDataOfOthers)
{
    Pair pair = make_pair();
    int fds[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    for (size_t len : {size_t{0}, CMSG_LEN(0) - 1, CMSG_LEN(4096), SIZE_MAX - 3}) {
        Outgoing rights;
        rights.first()->cmsg_level = SOL_SOCKET;
        rights.first()->cmsg_type = SCM_RIGHTS;
        rights.first()->cmsg_len = len;
        EXPECT_ERRNO(EINVAL, sendmsg(fds[0], &rights.msg, 0));
    }
    close(fds[0]);
    close(fds[1]);
    EXPECT_TRUE(alive(pair));
}

static sigjmp_buf g_after_fault;

/* What is wrong in the caller's pointers is a fault of the caller's thread, with no lock held: the socket
 * it happened on may be left alone, others go on. */
TEST(Message, C098_BadPointers)
{
#if defined(QURING_ASAN) || defined(QURING_TSAN)
    GTEST_SKIP() << "the sanitizer takes faults for its own";
#endif
    Pair victim = make_pair();
    Pair other = make_pair();
    struct sigaction action {
    };
    struct sigaction old {
    };
    action.sa_handler = [](int) { siglongjmp(g_after_fault, 1); };
    sigaction(SIGSEGV, &action, &old);
    const char *nowhere = reinterpret_cast<const char *>(static_cast<uintptr_t>(4096));
    bool faulted = sigsetjmp(g_after_fault, 1) != 0;
    if (!faulted) {
        (void)send(victim.client, nowhere, 100, MSG_SYN);
        ADD_FAILURE() << "no fault";
    }
    sigaction(SIGSEGV, &old, nullptr);
    EXPECT_TRUE(faulted);
    EXPECT_ERRNO(EFAULT, send(other.client, nullptr, 100, MSG_SYN));
    ASSERT_EQ(2, send(other.client, "ok", 2, MSG_SYN));
    EXPECT_EQ("ok", read_bytes(other.server, 2));
    ASSERT_EQ(2,
              send_on(victim.server, 1, kNew, "ok")); /* the other direction of the victim, too */
    EXPECT_EQ("ok", read_bytes(victim.client, 2));
}
