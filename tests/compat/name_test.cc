/* getsockname and getpeername: draft section 3.1.11. */
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

static Address free_address()
{
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    Address at = loopback();
    EXPECT_EQ(0, bind(udp, at.ptr(), at.len));
    return name_of(udp);
}

TEST(Name, C118_AfterTheClientHasMoved)
{
    PairOptions options;
    options.listener = [](int fd) { enable(fd, QUIC_EVENT_CONNECTION_MIGRATION); };
    options.client = options.listener;
    Pair pair = make_pair(options);
    EXPECT_EQ(name_of(pair.client).text(), peer_of(pair.server).text());
    Address to = free_address();
    ASSERT_EQ(
        0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_MIGRATION, to.ptr(), to.len))
        << strerror(errno);
    ASSERT_GT(next_event(pair.client, QUIC_EVENT_CONNECTION_MIGRATION).rc, 0);
    EXPECT_EQ(to.text(), name_of(pair.client).text());
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "from the new one"));
    Message m;
    EXPECT_EQ("from the new one",
              read_with_event(pair.server, 16, QUIC_EVENT_CONNECTION_MIGRATION, &m));
    EXPECT_EQ(to.text(), peer_of(pair.server).text());
}

TEST(Name, C118_AfterANatHasMovedTheClient)
{
    PairOptions options;
    options.listener = [](int fd) { enable(fd, QUIC_EVENT_CONNECTION_MIGRATION); };
    RelayedPair pair = make_relayed_pair(options);
    const std::string before = peer_of(pair.server).text();
    const std::string own = name_of(pair.client).text();
    pair.relay->rebind();
    usleep(20000);
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
    ASSERT_GT(next_event(pair.server, QUIC_EVENT_CONNECTION_MIGRATION).rc, 0);
    EXPECT_NE(before, peer_of(pair.server).text());
    EXPECT_EQ(own, name_of(pair.client).text()) << "the client knows nothing of it";
}

TEST(Name, C119_WithoutAPeerAndShortRoom)
{
    Fd fresh = quic_socket();
    sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    EXPECT_ERRNO(ENOTCONN, getpeername(fresh, reinterpret_cast<sockaddr *>(&addr), &len));
    Pair pair = make_pair();
    memset(&addr, 0xee, sizeof(addr));
    len = 4;
    ASSERT_EQ(0, getpeername(pair.client, reinterpret_cast<sockaddr *>(&addr), &len));
    EXPECT_EQ(sizeof(sockaddr_in), len) << "the whole length";
    EXPECT_EQ(AF_INET, addr.ss_family);
    EXPECT_EQ(0xee, reinterpret_cast<const uint8_t *>(&addr)[4]) << "no byte more than asked for";
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    len = sizeof(addr);
    EXPECT_ERRNO(ENOTCONN, getpeername(pair.server, reinterpret_cast<sockaddr *>(&addr), &len));
}

TEST(Name, C120_AnIpv4PeerOfAnIpv6Socket)
{
    Fd listen_fd = quic_socket(AF_INET6);
    Address wild = any(0, AF_INET6);
    ASSERT_EQ(0, bind(listen_fd, wild.ptr(), wild.len));
    ASSERT_EQ(0, listen(listen_fd, 1));
    Fd client = quic_socket(AF_INET);
    Address to = loopback(name_of(listen_fd).port());
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    Fd server;
    ASSERT_TRUE(handshake(listen_fd, client, &server));
    Address peer = peer_of(server);
    EXPECT_EQ(AF_INET, peer.storage.ss_family);
    EXPECT_EQ(sizeof(sockaddr_in), peer.len);
    EXPECT_EQ(name_of(client).text(), peer.text());
}
