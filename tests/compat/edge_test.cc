/* Who opens a stream for each message, and was told EAGAIN where the peer allows no more of them (RFC 9000 4.6), is
 * told when it does, by level and by edge. */
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <thread>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

using Send = ssize_t (*)(int fd, int number);

static ssize_t send_plainly(int fd, int)
{
    return send(fd, "x", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static ssize_t send_any(int fd, int)
{
    return quic_sendmsg(fd, "x", 1, -1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static ssize_t send_named(int fd, int number)
{
    return quic_sendmsg(fd, "x", 1, 4 * number + 2, MSG_SYN | MSG_FIN | MSG_STREAM_UNI);
}

static void open_many(uint32_t edge, Send send_one = send_plainly)
{
    constexpr int kTotal = 600; /* of which the peer allows 100 at first */
    Pair pair = make_pair();
    ASSERT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLOUT | edge;
    ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, pair.client, &event));
    std::thread reader;
    int refused = 0;
    for (int sent = 0; sent < kTotal;) {
        if (send_one(pair.client, sent) == 1) {
            sent++;
            continue;
        }
        ASSERT_EQ(EAGAIN, errno);
        refused++;
        if (!reader.joinable()) {
            if ((poll_now(pair.client) & POLLOUT) != 0) { /* it has allowed more by then */
                EXPECT_EQ(1, send_one(pair.client, sent++));
            }
            reader = std::thread([&] { (void)read_bytes(pair.server, kTotal); });
        }
        if (epoll_wait(epoll, &event, 1, 10000) != 1) {
            ADD_FAILURE() << "nobody says that there may be more than " << sent;
            shutdown(pair.server, SHUT_RDWR);
            break;
        }
    }
    EXPECT_LT(refused, kTotal) << "asked again and again";
    reader.join();
}

TEST(Edge, AStreamThatThePeerAllows)
{
    open_many(EPOLLET);
}

TEST(Edge, AStreamThatThePeerAllowsByLevel)
{
    open_many(0);
}

/* Who names streams has no other to turn to, either. */
TEST(Edge, ANamedStreamThatThePeerAllows)
{
    for (Send send_one : {send_any, send_named}) {
        open_many(EPOLLET, send_one);
        open_many(0, send_one);
    }
}

namespace
{

/* The server allows one unidirectional stream, which it reads nothing of, and acknowledges nothing for a while, so that
 * what the client sends stays in its buffer. */
struct Scarce {
    std::atomic<bool> silent{false};
    RelayedPair pair;

    Scarce()
    {
        PairOptions options;
        options.listener = [](int fd) {
            quic_transport_param p = {};
            p.max_streams_uni = 1;
            p.max_datagram_frame_size = 1400;
            ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
        };
        pair = make_relayed_pair(options);
        pair.relay->set_filter(
            [this](bool to_server, std::string *) { return to_server || !silent; });
        const int little = 1;
        EXPECT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)));
        EXPECT_EQ(2u, send_stream(pair.client, pattern(20000), QUIC_STREAM_FLAG_UNI));
        EXPECT_EQ(0, fcntl(pair.client, F_SETFL, O_NONBLOCK));
        EXPECT_TRUE(comes_true([this] {
            int queued = 1;
            return ioctl(pair.client, SIOCOUTQ, &queued) == 0 && queued == 0;
        }));
        silent = true;
    }
    void send_buffer(int bytes) const
    {
        bytes /= 2; /* socket(7) */
        EXPECT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
    }
    void refuse() const
    {
        EXPECT_ERRNO(EAGAIN, send_named(pair.client, 1));
    }
    /* What fills the buffer, on a stream that ends with it. */
    void fill(size_t bytes) const
    {
        EXPECT_EQ(static_cast<ssize_t>(bytes),
                  quic_sendmsg(pair.client, pattern(bytes).data(), bytes, 0, MSG_SYN | MSG_FIN));
    }
    void open_another() const
    {
        EXPECT_ERRNO(EAGAIN, quic_sendmsg(pair.client, "a", 1, 4, MSG_SYN));
    }
    void expect_room()
    {
        silent = false;
        EXPECT_TRUE(poll_for(pair.client, POLLOUT));
    }
};

} // namespace

/* Where there is one that takes bytes, of the program or of the peer, it is told so, whatever other it may not open. */
TEST(Edge, NoStreamMoreButAnotherThatTakesBytes)
{
    for (bool theirs : {false, true}) {
        Scarce scarce;
        scarce.silent = false;
        const RelayedPair &pair = scarce.pair;
        ASSERT_EQ(1, theirs ? 1 : quic_sendmsg(pair.client, "o", 1, 0, MSG_SYN));
        scarce.refuse();
        if (theirs) {
            EXPECT_FALSE(poll_now(pair.client) & POLLOUT);
            ASSERT_EQ(1, quic_sendmsg(pair.server, "q", 1, 1, MSG_SYN));
        }
        EXPECT_TRUE(poll_for(pair.client, POLLOUT));
        EXPECT_EQ(1, quic_sendmsg(pair.client, "a", 1, theirs ? 1 : 0, MSG_FIN));
    }
}

/* Room is told to who waits for it, whatever stream may not be opened: with one that was opened meanwhile, */
TEST(Edge, RoomForAStreamThatIsOpen)
{
    for (bool full_when_refused : {false, true}) {
        Scarce scarce;
        scarce.send_buffer(full_when_refused ? 8000 : 100000);
        scarce.fill(8000);
        scarce.refuse();
        scarce.send_buffer(8000);
        scarce.open_another();
        EXPECT_FALSE(poll_now(scarce.pair.client) & POLLOUT);
        scarce.expect_room();
    }
}

/* and with a datagram, which needs none. */
TEST(Edge, RoomForADatagram)
{
    for (bool refused_first : {true, false}) {
        Scarce scarce;
        scarce.send_buffer(8000);
        if (refused_first) {
            scarce.refuse();
        }
        const std::string bytes = pattern(1000);
        ssize_t rc = 1000;
        for (int i = 0; i < 10000 && rc == 1000; i++) {
            rc = quic_sendmsg(scarce.pair.client, bytes.data(), bytes.size(), 0, MSG_DATAGRAM);
        }
        ASSERT_EQ(-1, rc);
        ASSERT_EQ(EAGAIN, errno);
        if (!refused_first) {
            scarce.refuse();
        }
        scarce.expect_room();
    }
}
