/* recvmsg, recv and read: draft sections 3.1.8, 4.2 and 5. */
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

constexpr uint32_t kNew = QUIC_STREAM_FLAG_NEW;
constexpr uint32_t kFin = QUIC_STREAM_FLAG_FIN;
constexpr uint32_t kEvent = QUIC_STREAM_FLAG_NOTIFICATION;

ssize_t send_on(int fd, uint64_t sid, uint32_t flags, const std::string &text)
{
    return quic_sendmsg(fd, text.data(), text.size(), sid, flags);
}

/* What one recvmsg gave. */
struct Got {
    ssize_t n = -1;
    int error = 0;
    int flags = 0;
    bool has_info = false;
    quic_stream_info info{};
    std::string data;
};

Got receive(int fd, size_t room, int flags = 0, size_t control_room = 64)
{
    Got got;
    char buf[65536];
    char control[64] = {};
    iovec iov = {buf, room};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control_room > 0 ? control : nullptr;
    msg.msg_controllen = control_room;
    errno = 0;
    got.n = recvmsg(fd, &msg, flags);
    got.error = errno;
    got.flags = msg.msg_flags;
    if (got.n < 0) {
        return got;
    }
    got.data.assign(buf, static_cast<size_t>(got.n));
    for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_QUIC && c->cmsg_type == QUIC_STREAM_INFO) {
            got.has_info = true;
            memcpy(&got.info, CMSG_DATA(c), sizeof(got.info));
        }
    }
    return got;
}

void want_event(int fd, quic_event_type type)
{
    quic_event_option event = {static_cast<uint8_t>(type), 1};
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &event, sizeof(event)));
}

/* All that was sent has arrived. */
bool settled(int fd)
{
    for (int i = 0; i < 500; i++) {
        int left = 0;
        ioctl(fd, TIOCOUTQ, &left);
        if (left == 0) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

PairOptions server_events(quic_event_type type)
{
    PairOptions options;
    options.listener = [type](int fd) { want_event(fd, type); };
    return options;
}

} // namespace

TEST(Receive, C099_StreamAndEnd)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send_on(pair.client, 4, kNew, "data"));
    Got got = receive(pair.server, 100);
    EXPECT_EQ("data", got.data);
    ASSERT_TRUE(got.has_info);
    EXPECT_EQ(4u, got.info.stream_id);
    EXPECT_EQ(0u, got.info.stream_flag & kFin);
    EXPECT_EQ(0, got.flags & (MSG_EOR | MSG_CTRUNC));
    ASSERT_EQ(3, send_on(pair.client, 4, kFin, "end"));
    got = receive(pair.server, 100);
    EXPECT_EQ("end", got.data);
    EXPECT_EQ(kFin, got.info.stream_flag & kFin);
    EXPECT_NE(0, got.flags & MSG_EOR);
}

TEST(Receive, C100_OneStreamAtATime)
{
    Pair pair = make_pair();
    ASSERT_EQ(2, send_on(pair.client, 0, kNew, "ab"));
    ASSERT_TRUE(settled(pair.client));
    ASSERT_EQ(2, send_on(pair.client, 0, 0, "cd"));
    ASSERT_TRUE(settled(pair.client));
    ASSERT_EQ(2, send_on(pair.client, 4, kNew | kFin, "ef"));
    ASSERT_TRUE(settled(pair.client));
    ASSERT_EQ(2, send_on(pair.client, 0, kFin, "gh"));
    ASSERT_TRUE(settled(pair.client));
    Got got = receive(pair.server, 3);
    EXPECT_EQ("abc", got.data);
    got = receive(pair.server, 100);
    EXPECT_EQ("d", got.data);
    EXPECT_EQ(0u, got.info.stream_id);
    got = receive(pair.server, 100);
    EXPECT_EQ("ef", got.data);
    EXPECT_EQ(4u, got.info.stream_id);
    EXPECT_EQ(kFin, got.info.stream_flag & kFin);
    got = receive(pair.server, 100);
    EXPECT_EQ("gh", got.data);
    EXPECT_EQ(kFin, got.info.stream_flag & kFin);
}

TEST(Receive, C101_EventsFirst)
{
    Pair pair = make_pair(server_events(QUIC_EVENT_STREAM_UPDATE));
    ASSERT_EQ(4, send_on(pair.client, 0, kNew, "data"));
    ASSERT_TRUE(settled(pair.client));
    ASSERT_EQ(3, send_on(pair.client, 0, kFin, "end"));
    ASSERT_TRUE(settled(pair.client));
    for (int i = 0; i < 2; i++) { /* RECV, then RECVD */
        Got got = receive(pair.server, 100);
        ASSERT_GT(got.n, 0);
        EXPECT_NE(0, got.flags & MSG_NOTIFICATION);
        EXPECT_NE(0, got.flags & MSG_EOR);
        EXPECT_EQ(QUIC_EVENT_STREAM_UPDATE, got.data[0]);
        EXPECT_EQ(1u + sizeof(quic_stream_update), got.data.size());
        quic_stream_update update;
        memcpy(&update, got.data.data() + 1, sizeof(update));
        EXPECT_EQ(0u, update.id);
        EXPECT_EQ(i == 0 ? QUIC_STREAM_RECV_STATE_RECV : QUIC_STREAM_RECV_STATE_RECVD,
                  update.state);
    }
    Got got = receive(pair.server, 100);
    EXPECT_EQ("dataend", got.data);
    EXPECT_EQ(0, got.flags & MSG_NOTIFICATION);
}

TEST(Receive, C102_APartOfAnEvent)
{
    Pair pair = make_pair(server_events(QUIC_EVENT_STREAM_UPDATE));
    ASSERT_EQ(4, send_on(pair.client, 0, kNew, "data"));
    ASSERT_TRUE(settled(pair.client));
    Got part = receive(pair.server, 5);
    EXPECT_EQ(5, part.n);
    EXPECT_NE(0, part.flags & MSG_NOTIFICATION);
    EXPECT_EQ(0, part.flags & MSG_EOR);
    /* Another event meanwhile does not come between. */
    ASSERT_EQ(1, send_on(pair.client, 4, kNew, "x"));
    ASSERT_TRUE(settled(pair.client));
    Got rest = receive(pair.server, 100);
    EXPECT_EQ(1u + sizeof(quic_stream_update), part.data.size() + rest.data.size());
    EXPECT_NE(0, rest.flags & MSG_EOR);
    Got second = receive(pair.server, 100);
    EXPECT_NE(0, second.flags & MSG_NOTIFICATION);
    EXPECT_EQ("data", receive(pair.server, 100).data);
}

TEST(Receive, C103_Peek)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send_on(pair.client, 0, kNew | kFin, "peek"));
    for (int i = 0; i < 3; i++) {
        Got got = receive(pair.server, 100, MSG_PEEK);
        EXPECT_EQ("peek", got.data);
        EXPECT_EQ(kFin, got.info.stream_flag & kFin);
        Got part = receive(pair.server, 2, MSG_PEEK);
        EXPECT_EQ("pe", part.data);
        EXPECT_EQ(0u, part.info.stream_flag & kFin);
    }
    EXPECT_NE(0, poll_now(pair.server) & POLLIN);
    EXPECT_EQ("peek", receive(pair.server, 100).data);
    EXPECT_EQ(EAGAIN, receive(pair.server, 100, MSG_PEEK | MSG_DONTWAIT).error);
}

TEST(Receive, C104_WithoutAncillaryData)
{
    Pair pair = make_pair();
    ASSERT_EQ(3, send_on(pair.client, 0, kNew, "one"));
    char buf[16];
    EXPECT_EQ(3, recv(pair.server, buf, sizeof(buf), 0));
    ASSERT_EQ(3, send_on(pair.client, 0, 0, "two"));
    EXPECT_EQ(3, read(pair.server, buf, sizeof(buf)));
    ASSERT_EQ(0, quic_sendmsg(pair.client, "", 0, 0, kFin));
    EXPECT_EQ(0, read(pair.server, buf, sizeof(buf)));
    ASSERT_EQ(1, send_on(pair.client, 4, kNew, "n")); /* 0 was not the end of the connection */
    EXPECT_EQ(1, read(pair.server, buf, sizeof(buf)));
    sockaddr_storage from;
    socklen_t len = sizeof(from);
    ASSERT_EQ(1, send_on(pair.client, 4, 0, "o"));
    EXPECT_EQ(
        1, recvfrom(pair.server, buf, sizeof(buf), 0, reinterpret_cast<sockaddr *>(&from), &len));
    EXPECT_EQ(0u, len);
}

TEST(Receive, C105_HandshakeMessagesNeedTheirLevel)
{
    Fd fd = listener();
    cert_file();
    Fd client = quic_socket();
    Address to = name_of(fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] { (void)quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept(fd, nullptr, nullptr));
    ASSERT_TRUE(poll_for(server, POLLIN));
    char buf[4096];
    EXPECT_ERRNO(EINVAL, recv(server, buf, sizeof(buf), 0));
    EXPECT_ERRNO(EINVAL, read(server, buf, sizeof(buf)));
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file())); /* it was kept */
    other.join();
}

static volatile sig_atomic_t g_alarms;

static void on_alarm(int)
{
    g_alarms = g_alarms + 1;
}

/* SIGALRM after `ms`, again and again. */
static void alarm_every(int ms, int sa_flags)
{
    struct sigaction action {
    };
    action.sa_handler = on_alarm;
    action.sa_flags = sa_flags;
    sigaction(SIGALRM, &action, nullptr);
    itimerval timer = {{ms / 1000, ms % 1000 * 1000}, {ms / 1000, ms % 1000 * 1000}};
    g_alarms = 0;
    setitimer(ITIMER_REAL, &timer, nullptr);
}

static void no_alarm()
{
    itimerval timer{};
    setitimer(ITIMER_REAL, &timer, nullptr);
}

TEST(Receive, C106_NothingThere)
{
    Pair pair = make_pair();
    char c;
    EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 1, MSG_DONTWAIT));
    fcntl(pair.server, F_SETFL, O_NONBLOCK);
    EXPECT_ERRNO(EAGAIN, read(pair.server, &c, 1));
    fcntl(pair.server, F_SETFL, 0);
    set_recv_timeout(pair.server, 50);
    EXPECT_ERRNO(EAGAIN, read(pair.server, &c, 1));
    /* With a time limit a handler always ends the wait, as for TCP. */
    set_recv_timeout(pair.server, 10000);
    alarm_every(50, SA_RESTART);
    EXPECT_ERRNO(EINTR, read(pair.server, &c, 1));
    no_alarm();
    set_recv_timeout(pair.server, 0);
    alarm_every(50, 0);
    EXPECT_ERRNO(EINTR, read(pair.server, &c, 1));
    no_alarm();
    /* Without one SA_RESTART goes on waiting. */
    alarm_every(20, SA_RESTART);
    std::thread writer([&] {
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
        usleep(200000);
        ASSERT_EQ(1, send_on(pair.client, 0, kNew, "x"));
    });
    EXPECT_EQ(1, read(pair.server, &c, 1));
    no_alarm();
#if !defined(QURING_TSAN) /* keeps signals back from a thread that waits in the kernel */
    EXPECT_GT(g_alarms, 1);
#endif
    writer.join();
}

/* recv(2): a record that comes in pieces, up to where the stream ends, or something else comes. */
TEST(Receive, C113_WaitingForAllOfIt)
{
    Pair pair = make_pair();
    char buf[16] = "";
    iovec iov[3] = {{buf, 3}, {buf + 3, 2}, {buf + 5, 0}};
    msghdr msg{};
    msg.msg_iov = iov;
    msg.msg_iovlen = 3;
    std::thread sender([&] {
        EXPECT_EQ(2, send_on(pair.client, 0, kNew, "ab"));
        usleep(30000);
        EXPECT_EQ(2, send_on(pair.client, 0, 0, "cd"));
        usleep(30000);
        EXPECT_EQ(4, send_on(pair.client, 0, 0, "efgh"));
    });
    EXPECT_EQ(5, recvmsg(pair.server, &msg, MSG_WAITALL));
    EXPECT_STREQ("abcde", buf);
    EXPECT_EQ(1, recv(pair.server, buf, 1, MSG_WAITALL)); /* there already */
    sender.join();
    EXPECT_EQ(2, recv(pair.server, buf, 9, MSG_WAITALL | MSG_DONTWAIT));

    set_recv_timeout(pair.server, 50);
    ASSERT_EQ(1, send_on(pair.client, 0, 0, "i"));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    EXPECT_EQ(1, recv(pair.server, buf, 9, MSG_WAITALL)); /* the time is over */
    set_recv_timeout(pair.server, 0);

    std::thread other([&] {
        EXPECT_EQ(1, send_on(pair.client, 0, 0, "j"));
        usleep(30000);
        EXPECT_EQ(1, send_on(pair.client, 4, kNew | QUIC_STREAM_FLAG_FIN, "k"));
    });
    EXPECT_EQ(1, recv(pair.server, buf, 9, MSG_WAITALL)); /* of one stream */
    EXPECT_EQ('j', buf[0]);
    EXPECT_EQ(1, recv(pair.server, buf, 9, MSG_WAITALL)); /* which ends */
    EXPECT_EQ('k', buf[0]);
    other.join();

    std::thread last([&] {
        EXPECT_EQ(1, send_on(pair.client, 0, 0, "l"));
        EXPECT_TRUE(settled(pair.client)); /* a reset takes with it what has not arrived */
        usleep(30000);
        quic_errinfo info{};
        ASSERT_EQ(
            0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, sizeof(info)));
    });
    EXPECT_EQ(1, recv(pair.server, buf, 9, MSG_WAITALL)); /* is reset */
    EXPECT_EQ('l', buf[0]);
    last.join();
}

TEST(Receive, C107_AfterThePeersClose)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send_on(pair.client, 0, kNew | kFin, "left"));
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    EXPECT_EQ("left", receive(pair.server, 100).data);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(ENOTCONN, receive(pair.server, 100).error);
    }
}

TEST(Receive, C108_NoRoomForAncillaryData)
{
    Pair pair = make_pair();
    ASSERT_EQ(4, send_on(pair.client, 0, kNew | kFin, "data"));
    Got none = receive(pair.server, 100, 0, 0);
    EXPECT_EQ("data", none.data);
    EXPECT_NE(0, none.flags & MSG_CTRUNC);
    EXPECT_NE(0, none.flags & static_cast<int>(kFin));
    ASSERT_EQ(4, send_on(pair.client, 4, kNew | kFin, "more"));
    Got small = receive(pair.server, 100, 0, CMSG_LEN(sizeof(quic_stream_info)) - 1);
    EXPECT_EQ("more", small.data);
    EXPECT_NE(0, small.flags & MSG_CTRUNC);
    EXPECT_FALSE(small.has_info);
    ASSERT_EQ(4, send_on(pair.client, 8, kNew | kFin, "fits"));
    Got enough = receive(pair.server, 100, 0, CMSG_LEN(sizeof(quic_stream_info)));
    EXPECT_EQ(0, enough.flags & MSG_CTRUNC);
    EXPECT_TRUE(enough.has_info);
}

TEST(Receive, C109_ReadingOpensTheWindow)
{
    Pair pair = make_pair();
    fcntl(pair.client, F_SETFL, O_NONBLOCK);
    const std::string block = pattern(65536);
    size_t sent = 0;
    for (int idle = 0; idle < 50;) {
        ssize_t n = send_on(pair.client, 0, sent == 0 ? kNew : 0, block);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? static_cast<size_t>(n) : 0;
        usleep(n > 0 ? 0 : 10000);
    }
    int waiting = 0;
    ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &waiting));
    int limit = 0;
    socklen_t len = sizeof(limit);
    ASSERT_EQ(0, getsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &limit, &len));
    EXPECT_LE(waiting, limit);
    EXPECT_LT(sent, 64u << 20); /* all buffers of both sides together */
    EXPECT_EQ(sent, read_bytes(pair.server, sent).size());
    ASSERT_TRUE(poll_for(pair.client, POLLOUT));
    EXPECT_GT(send_on(pair.client, 0, 0, block), 0);
}

TEST(Receive, C110_TheOrderOfArrival)
{
    Pair pair = make_pair();
    std::vector<uint64_t> want;
    for (int i = 0; i < 30; i++) {
        const uint64_t sid = static_cast<uint64_t>(i * 7 % 5) * 4;
        const bool first = i < 5;
        ASSERT_EQ(1, send_on(pair.client, sid, first ? kNew : 0, "."));
        ASSERT_TRUE(settled(pair.client));
        want.push_back(sid);
    }
    for (uint64_t sid : want) {
        EXPECT_EQ(sid, receive(pair.server, 100).info.stream_id);
    }
}

TEST(Receive, C111_OnAListener)
{
    Fd fd = listener();
    char c;
    EXPECT_ERRNO(ENOTCONN, recv(fd, &c, 1, 0));
    EXPECT_ERRNO(ENOTCONN, read(fd, &c, 1));
    Fd fresh = quic_socket();
    EXPECT_ERRNO(ENOTCONN, read(fresh, &c, 1));
}

TEST(Receive, C112_AfterAReset)
{
    Pair pair = make_pair(server_events(QUIC_EVENT_STREAM_UPDATE));
    ASSERT_EQ(4, send_on(pair.client, 0, kNew, "data"));
    ASSERT_TRUE(settled(pair.client));
    quic_errinfo info{};
    info.stream_id = 0;
    info.errcode = 77;
    ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, sizeof(info)));
    bool reset = false;
    std::string data;
    while (!reset || data.size() < 4) {
        Got got = receive(pair.server, 100);
        ASSERT_GT(got.n, 0) << strerror(got.error);
        if ((got.flags & MSG_NOTIFICATION) == 0) {
            data += got.data;
            continue;
        }
        quic_stream_update update;
        memcpy(&update, got.data.data() + 1, sizeof(update));
        if (update.state == QUIC_STREAM_RECV_STATE_RESET_RECVD) {
            reset = true;
            EXPECT_EQ(77u, update.errcode);
            EXPECT_EQ(4u, update.finalsz);
        }
    }
    EXPECT_EQ("data", data);
}

TEST(Receive, C113_OtherCalls)
{
    Pair pair = make_pair();
    char a[4];
    char b[8];
    iovec out[2] = {{const_cast<char *>("he"), 2}, {const_cast<char *>("llo"), 3}};
    ASSERT_EQ(5, writev(pair.client, out, 2));
    iovec in[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
    ASSERT_EQ(5, readv(pair.server, in, 2));
    EXPECT_EQ(0, memcmp(a, "hell", 4));
    ASSERT_EQ(5, pwritev2(pair.client, out, 2, -1, 0));
    ASSERT_EQ(5, preadv2(pair.server, in, 2, -1, 0));
    EXPECT_ERRNO(ESPIPE, preadv2(pair.server, in, 2, 0, 0));
    EXPECT_ERRNO(EOPNOTSUPP, preadv2(pair.server, in, 2, -1, RWF_NOWAIT));
    EXPECT_ERRNO(ESPIPE, pread(pair.server, a, 1, 0));
    EXPECT_ERRNO(ESPIPE, pwrite(pair.server, a, 1, 0));
    EXPECT_ERRNO(ESPIPE, lseek(pair.server, 0, SEEK_SET));

    mmsghdr msgs[3] = {};
    for (mmsghdr &m : msgs) {
        m.msg_hdr.msg_iov = out;
        m.msg_hdr.msg_iovlen = 2;
    }
    ASSERT_EQ(3, sendmmsg(pair.client, msgs, 3, 0));
    EXPECT_EQ(5u, msgs[2].msg_len);
    ASSERT_TRUE(settled(pair.client));
    mmsghdr got[3] = {};
    for (mmsghdr &m : got) {
        m.msg_hdr.msg_iov = in;
        m.msg_hdr.msg_iovlen = 2;
    }
    size_t total = 0;
    while (total < 15) {
        int n = recvmmsg(pair.server, got, 3, MSG_WAITFORONE, nullptr);
        ASSERT_GT(n, 0);
        for (int i = 0; i < n; i++) {
            total += got[i].msg_len;
        }
    }
    EXPECT_EQ(15u, total);
    /* recvmmsg(2): the time is looked at after each message. */
    ASSERT_EQ(3, sendmmsg(pair.client, msgs, 3, 0));
    ASSERT_TRUE(settled(pair.client));
    for (mmsghdr &m : got) {
        m.msg_hdr.msg_iovlen = 1; /* four bytes of fifteen */
    }
    timespec none = {0, 0};
    EXPECT_EQ(1, recvmmsg(pair.server, got, 3, 0, &none));
    timespec enough = {100, 0};
    EXPECT_EQ(2, recvmmsg(pair.server, got, 2, 0, &enough));
    EXPECT_TRUE(enough.tv_sec < 100 && enough.tv_sec > 50) << enough.tv_sec;
    timespec wrong = {0, 1000000000};
    EXPECT_ERRNO(EINVAL, recvmmsg(pair.server, got, 3, 0, &wrong));
    EXPECT_EQ(3, recv(pair.server, a, sizeof(a), 0));

    char path[] = "/tmp/quic-sendfile-XXXXXX";
    Fd file(mkstemp(path));
    unlink(path);
    const std::string data = pattern(300000);
    ASSERT_EQ(static_cast<ssize_t>(data.size()), write(file, data.data(), data.size()));
    off_t at = 100;
    ASSERT_EQ(static_cast<ssize_t>(data.size() - 100),
              sendfile(pair.client, file, &at, data.size()));
    EXPECT_EQ(static_cast<off_t>(data.size()), at);
    EXPECT_EQ(data.substr(100), read_bytes(pair.server, data.size() - 100));
    EXPECT_ERRNO(EINVAL, sendfile(file, pair.server, nullptr, 1));
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    EXPECT_ERRNO(EINVAL, splice(pair.server, nullptr, pipes[1], nullptr, 1, 0));
    EXPECT_ERRNO(EINVAL, splice(pipes[0], nullptr, pair.server, nullptr, 1, 0));
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_EQ(POLLOUT, poll_now(pair.server)); /* nothing touched the pair underneath */
}

/* As much as can be read can be looked at, in however many pieces it came. */
TEST(Receive, C103_PeekSeesAllOfIt)
{
    Pair pair = make_pair();
    const std::string data = pattern(9000);
    for (size_t at = 0; at < data.size(); at += 3000) {
        ASSERT_EQ(3000, send(pair.client, data.data() + at, 3000, at == 0 ? MSG_SYN : 0));
    }
    int there = 0;
    for (int i = 0; i < 500 && there < 9000; i++) {
        ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &there));
        usleep(there < 9000 ? 10000 : 0);
    }
    std::string got(10000, '\0');
    EXPECT_EQ(8000, recv(pair.server, &got[0], 8000, MSG_PEEK));
    EXPECT_EQ(9000, recv(pair.server, &got[0], got.size(), MSG_PEEK));
    EXPECT_EQ(data, got.substr(0, 9000));
    EXPECT_EQ(1000, recv(pair.server, nullptr, 1000, MSG_TRUNC)); /* tcp(7): thrown away */
    EXPECT_EQ(data.substr(1000), read_bytes(pair.server, 8000));
}

/* Who asks for nothing: as TCP. */
TEST(Receive, C106_NoBytes)
{
    Pair pair = make_pair();
    char c;
    EXPECT_EQ(0, read(pair.server, &c, 0));
    EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 0, MSG_DONTWAIT));
    set_recv_timeout(pair.server, 20);
    EXPECT_EQ(0, recv(pair.server, &c, 0, 0));
    EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 1, 0));
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    EXPECT_EQ(0, recv(pair.server, &c, 0, 0));
    EXPECT_EQ("x", read_bytes(pair.server, 1));
}

/* A byte now and then holds a thread no longer than SO_RCVTIMEO says, and no more memory than its bytes; who
 * says nothing at all goes by the idle timeout. */
TEST(Receive, H096_APeerThatTrickles)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param param{};
        param.max_idle_timeout = 1500000;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, sizeof(param)));
    };
    Pair pair = make_pair(options);
    set_recv_timeout(pair.server, 50);
    char buf[4000];
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(1, send(pair.client, "t", 1, i == 0 ? MSG_SYN : 0));
        ASSERT_TRUE(poll_for(pair.server, POLLIN));
        EXPECT_EQ(1, recv(pair.server, buf, sizeof(buf), 0));
        EXPECT_ERRNO(EAGAIN, recv(pair.server, buf, sizeof(buf), 0));
    }
    for (int i = 0; i < 3000; i++) {
        ASSERT_EQ(1, send(pair.client, "t", 1, 0));
    }
    int there = 0;
    for (int i = 0; i < 500 && there < 3000; i++) {
        ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &there));
        usleep(there < 3000 ? 10000 : 0);
    }
    EXPECT_EQ(3000, there);
    EXPECT_EQ(std::string(3000, 't'), read_bytes(pair.server, 3000));
    EXPECT_TRUE(poll_for(pair.server, POLLHUP, 10000)) << "nothing more is said";
}

/* Events nobody reads do not pile up, and the last word still comes through. */
TEST(Receive, H090_EventsNobodyReads)
{
    PairOptions options;
    options.listener = [](int fd) {
        want_event(fd, QUIC_EVENT_STREAM_UPDATE);
        want_event(fd, QUIC_EVENT_CONNECTION_CLOSE);
    };
    Pair pair = make_pair(options);
    for (int i = 0; i < 400; i++) {
        ssize_t n = -1;
        for (int tries = 0; tries < 500 && n < 0; tries++) {
            n = send(pair.client, "e", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI | MSG_DONTWAIT);
            if (n < 0) { /* 100 streams: the server's side has to be done with some */
                ASSERT_TRUE(poll_for(pair.server, POLLIN));
                ASSERT_GT(receive(pair.server, 100, MSG_DONTWAIT | MSG_PEEK).n, 0);
                ASSERT_TRUE(i >= 100);
                usleep(5000);
            }
        }
        if (n < 0) {
            break; /* unread bytes hold the streams: so it should be */
        }
    }
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    int events = 0;
    bool closed = false;
    for (;;) {
        Got got = receive(pair.server, 200, MSG_DONTWAIT);
        if (got.n < 0) {
            EXPECT_EQ(ENOTCONN, got.error);
            break;
        }
        if ((got.flags & static_cast<int>(kEvent)) != 0) {
            events++;
            closed = closed || got.data[0] == QUIC_EVENT_CONNECTION_CLOSE;
        }
    }
    EXPECT_TRUE(closed);
    EXPECT_GT(events, 100);
    EXPECT_LE(events, 257);
}
