/* Datagrams: draft section 4.2.1, RFC 9221. */
#include <atomic>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

static void offer(int fd, uint64_t size = 1400)
{
    quic_transport_param p = {};
    p.max_datagram_frame_size = size;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
}

static Pair datagram_pair()
{
    PairOptions options;
    options.listener = [](int fd) { offer(fd); };
    options.client = [](int fd) { offer(fd); };
    return make_pair(options);
}

static ssize_t send_datagram(int fd, const std::string &bytes)
{
    return send(fd, bytes.data(), bytes.size(), MSG_DATAGRAM);
}

TEST(Datagram, C114_OneCallOneMessage)
{
    Pair pair = datagram_pair();
    for (size_t len : {size_t{1}, size_t{100}, size_t{1100}}) {
        const std::string bytes = pattern(len, static_cast<uint32_t>(len));
        ASSERT_EQ(static_cast<ssize_t>(len), send_datagram(pair.client, bytes));
        Message m = receive(pair.server);
        EXPECT_EQ(bytes, m.bytes);
        EXPECT_NE(0, m.msg_flags & MSG_DATAGRAM);
        EXPECT_NE(0, m.msg_flags & MSG_EOR);
        EXPECT_TRUE(m.has_info);
        EXPECT_EQ(uint32_t{QUIC_STREAM_FLAG_DATAGRAM | QUIC_STREAM_FLAG_FIN}, m.flags);
    }
}

/* close lets them leave, and waits for the congestion window if it must. */
TEST(Datagram, C114_ThenClose)
{
    PairOptions options;
    options.listener = [](int fd) { offer(fd); };
    std::atomic<bool> silent{true};
    RelayedPair pair = make_relayed_pair(options);
    pair.relay->set_filter([&](bool to_server, std::string *) { return to_server || !silent; });
    const std::string bytes = pattern(1000, 4);
    const int count = 100;            /* more than the engine keeps: the socket has the others */
    for (int i = 0; i < count; i++) { /* nothing is acknowledged, and most of them stay */
        ASSERT_EQ(1000, send_datagram(pair.client, bytes));
    }
    pair.client.reset();
    usleep(20000);
    silent = false;
    int there = 0;
    while (receive(pair.server).bytes == bytes) {
        there++;
    }
    EXPECT_EQ(count, there);
}

TEST(Datagram, C114_BothWaysAndByTheDraftsCalls)
{
    Pair pair = datagram_pair();
    ASSERT_EQ(4, quic_sendmsg(pair.server, "back", 4, 0, QUIC_STREAM_FLAG_DATAGRAM));
    char buf[16];
    uint64_t id = 7;
    uint32_t flags = 0;
    ASSERT_EQ(4, quic_recvmsg(pair.client, buf, sizeof(buf), &id, &flags));
    EXPECT_EQ(0, memcmp("back", buf, 4));
    EXPECT_NE(0u, flags & QUIC_STREAM_FLAG_DATAGRAM);
}

TEST(Datagram, C114_NextToStreams)
{
    Pair pair = datagram_pair();
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "stream"));
    Message m = receive(pair.server);
    EXPECT_EQ("stream", m.bytes);
    ASSERT_EQ(4, send_datagram(pair.client, "gram"));
    m = receive(pair.server);
    EXPECT_EQ("gram", m.bytes);
    EXPECT_NE(0, m.msg_flags & MSG_DATAGRAM);
}

/* tcp(7) has MSG_TRUNC throw a stream's bytes away, for which no place is needed; a datagram's go somewhere. */
TEST(Datagram, C114_TruncatedIntoNothingIsAFault)
{
    Pair pair = datagram_pair();
    ASSERT_EQ(4, send_datagram(pair.client, "gram"));
    pollfd p = {pair.server, POLLIN, 0};
    ASSERT_EQ(1, poll(&p, 1, 5000));
    errno = 0;
    EXPECT_EQ(-1, recv(pair.server, nullptr, 4, MSG_TRUNC));
    EXPECT_EQ(EFAULT, errno);
    EXPECT_EQ("gram", receive(pair.server).bytes); /* it stays */
}

/* What a packet takes is looked at again when it was too little: paths turn out to be wider (RFC 9000 14.3). */
TEST(Datagram, C116_PacketsThatHaveGrown)
{
    Pair pair = datagram_pair();
    const std::string data = pattern(100000);
    const std::string large = pattern(1300);
    ssize_t rc = -1;
    for (int i = 0; i < 500 && rc < 0; i++) {
        ASSERT_NE(UINT64_MAX, send_stream(pair.client, data));
        ASSERT_EQ(data, read_bytes(pair.server, data.size()));
        rc = send_datagram(pair.client, large);
        EXPECT_TRUE(rc > 0 || errno == EMSGSIZE) << strerror(errno);
        usleep(10000);
    }
    ASSERT_EQ(1300, rc);
    EXPECT_EQ(large, receive(pair.server).bytes);
}

TEST(Datagram, C115_WhoHasNotOfferedGetsNone)
{
    PairOptions options;
    options.listener = [](int fd) { offer(fd); };
    Pair pair = make_pair(options); /* the client offers nothing */
    EXPECT_ERRNO(EINVAL, send_datagram(pair.server, "x"));
    EXPECT_EQ(1, send_datagram(pair.client, "x")) << "each direction stands for itself";
    EXPECT_EQ("x", receive(pair.server).bytes);
}

TEST(Datagram, C116_TooLargeOrEmpty)
{
    Pair pair = datagram_pair();
    EXPECT_ERRNO(EMSGSIZE, send_datagram(pair.client, std::string(1400, 'x')));
    EXPECT_ERRNO(EMSGSIZE, send_datagram(pair.client, std::string(60000, 'x')));
    EXPECT_ERRNO(EMSGSIZE, send_datagram(pair.client, ""));
    ASSERT_EQ(5, send_datagram(pair.client, "after"));
    EXPECT_EQ("after", receive(pair.server).bytes) << "nothing of the others was sent";
}

TEST(Datagram, C117_WithoutRoomTheyAreLostAndStreamsAreNot)
{
    PairOptions options;
    options.client = [](int fd) { offer(fd); };
    options.listener = [](int fd) {
        offer(fd);
        int small = 8192;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    };
    Pair pair = make_pair(options);
    const std::string data = pattern(100000);
    size_t said = 0;
    const auto exchange =
        [&] { /* a byte of the stream, until it is acknowledged */
              ASSERT_EQ(1, send(pair.client, &data[said], 1, said == 0 ? MSG_SYN : 0));
              said++;
              int left = 1;
              for (int i = 0; i < 10000 && left > 0; i++) {
                  ASSERT_EQ(0, ioctl(pair.client, TIOCOUTQ, &left));
                  usleep(left > 0 ? 1000 : 0);
              }
              ASSERT_EQ(0, left);
        };
    for (int i = 0; i < 200; i++) {
        ASSERT_EQ(1000, send_datagram(pair.client, std::string(1000, 'd')));
        if (i % 5 == 4) { /* so few may leave at once: none waits at the sender */
            exchange();
        }
    }
    exchange(); /* nothing is on its way when the reader begins */
    std::thread writer([&] {
        const std::string rest = data.substr(said);
        ASSERT_EQ(static_cast<ssize_t>(rest.size()),
                  send(pair.client, rest.data(), rest.size(), MSG_FIN));
    });
    std::string stream;
    int grams = 0;
    while (stream.size() < data.size()) {
        Message m = receive(pair.server);
        ASSERT_GE(m.rc, 0) << strerror(m.error);
        if ((m.msg_flags & MSG_DATAGRAM) != 0) {
            grams++;
        } else {
            stream += m.bytes;
        }
    }
    writer.join();
    EXPECT_EQ(data, stream);
    EXPECT_GT(grams, 0);
    EXPECT_LE(grams, 16) << "as many as SO_RCVBUF holds";
}

TEST(Datagram, BeforeTheConnectionAndAfter)
{
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EPIPE, send(fresh, "x", 1, MSG_DATAGRAM | MSG_NOSIGNAL));
    Pair pair = datagram_pair();
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    EXPECT_ERRNO(EPIPE, send(pair.server, "x", 1, MSG_DATAGRAM | MSG_NOSIGNAL));
}
