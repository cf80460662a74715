/* Sockets of protocol 261: the numbers and structures of the kernel implementation, written down here as
 * they are in binaries that were compiled against its header. */
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#define QUIC_SOCKET_API 2
#include "tests/compat/kernel_fixture.h"

using namespace kernel;

TEST(Kernel, TypeAndProtocol)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    ASSERT_GE(fd.get(), 0);
    int value = 0;
    socklen_t len = sizeof(value);
    ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    EXPECT_EQ(261, value);
}

TEST(Kernel, C142_ParametersHaveRanges)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    struct Row {
        size_t offset;
        size_t size;
        uint64_t value;
        bool fine;
    };
    const Row rows[] = {
        {10, 2, 1199, false},      {10, 2, 1200, true}, /* max_udp_payload_size */
        {10, 2, 65528, false},     {10, 2, 65527, true},
        {7, 1, 21, false},         {7, 1, 20, true},        /* ack_delay_exponent */
        {16, 4, 16384000, false},  {16, 4, 16383999, true}, /* max_ack_delay */
        {6, 1, 1, false},          {6, 1, 9, false},        /* active_connection_id_limit */
        {6, 1, 2, true},           {6, 1, 8, true},
        {12, 4, 999999, false},    {12, 4, 1000000, true}, /* max_idle_timeout */
        {8, 2, 1199, false},       {8, 2, 1200, true},     /* max_datagram_frame_size */
        {24, 8, 1199, false},      {24, 8, 1200, true},    /* max_data */
        {24, 8, 536870912, false}, {24, 8, 536870911, true},
        {32, 8, 1199, false},      {32, 8, 268435456, false}, /* max_stream_data_bidi_local */
        {32, 8, 268435455, true},  {40, 8, 268435456, false}, /* ... bidi_remote */
        {48, 8, 268435456, false}, {48, 8, 1200, true},       /* ... uni */
        {20, 2, 4097, false},      {20, 2, 4096, true},       /* max_streams_bidi */
        {22, 2, 4097, false},      {22, 2, 4096, true},       /* max_streams_uni */
    };
    for (const Row &row : rows) {
        uint8_t param[56] = {};
        memcpy(param + row.offset, &row.value, row.size); /* little-endian, as the machine */
        int rc = setsockopt(fd, SOL_QUIC, 8, param, sizeof(param));
        EXPECT_EQ(row.fine ? 0 : -1, rc) << row.offset << ": " << row.value;
        if (!row.fine) {
            EXPECT_EQ(EINVAL, errno);
            continue;
        }
        uint8_t now[56] = {};
        socklen_t len = sizeof(now);
        ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 8, now, &len));
        EXPECT_EQ(56u, len);
        EXPECT_EQ(0, memcmp(now + row.offset, param + row.offset, row.size)) << row.offset;
    }
}

/* A client that remembers a server sets what it was told, whatever it would allow to be set of its own. */
TEST(Kernel, WhatAServerHasSaidCanBeSet)
{
    Pair pair = make_pair(); /* for a server to connect to */
    sockaddr_in at = {};
    socklen_t len = sizeof(at);
    ASSERT_EQ(0, getsockname(pair.listen, reinterpret_cast<sockaddr *>(&at), &len));
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&at), len));
    quic_transport_param said = {};
    said.remote = 1;
    said.active_connection_id_limit = 64;
    said.max_datagram_frame_size = 100;
    said.max_idle_timeout = 500000;
    said.max_streams_bidi = 65535;
    said.max_streams_uni = 5000;
    said.max_data = 1ull << 40;
    said.max_stream_data_bidi_local = 1000;
    said.max_stream_data_bidi_remote = 1ull << 40;
    said.max_stream_data_uni = 1ull << 30;
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &said, sizeof(said)));
    quic_transport_param now = {};
    now.remote = 1;
    len = sizeof(now);
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 8, &now, &len));
    EXPECT_EQ(0, memcmp(&said, &now, sizeof(now)));
    said.ack_delay_exponent = 21; /* which no server says (RFC 9000 18.2) */
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 8, &said, sizeof(said)));
    said.ack_delay_exponent = 0;
    said.remote = 0;
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 8, &said, sizeof(said)));
    EXPECT_EQ(EINVAL, errno);
}

TEST(Kernel, StructuresAreCutAndFilledUp)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    uint8_t param[56] = {};
    uint32_t idle = 5000000;
    memcpy(param + 12, &idle, sizeof(idle));
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, param, 16)) << "as if zeros followed";
    uint8_t now[64] = {};
    socklen_t len = sizeof(now);
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 8, now, &len));
    EXPECT_EQ(56u, len);
    EXPECT_EQ(0, memcmp(now + 12, &idle, sizeof(idle)));
    uint64_t max_data = 0;
    memcpy(&max_data, now + 24, sizeof(max_data));
    EXPECT_EQ(65536u * 32, max_data) << "untouched";
    len = 16;
    memset(now, 0, sizeof(now));
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 8, now, &len));
    EXPECT_EQ(16u, len);
    EXPECT_EQ(0, memcmp(now + 12, &idle, sizeof(idle)));
}

TEST(Kernel, Config)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    quic_config config = {};
    socklen_t len = sizeof(config);
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 9, &config, &len));
    EXPECT_EQ(28u, len);
    EXPECT_EQ(1u, config.version);
    EXPECT_EQ(333000u, config.initial_smoothed_rtt);
    EXPECT_EQ(0, config.congestion_control_algo);
    config = {};
    config.congestion_control_algo = 1;
    config.payload_cipher_type = 54;
    config.keepalive_probe_interval = 10000000;
    config.plpmtud_probe_interval = 5000000;
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 9, &config, sizeof(config)));
    quic_config now = {};
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 9, &now, &len));
    EXPECT_EQ(1, now.congestion_control_algo);
    EXPECT_EQ(54u, now.payload_cipher_type);
    EXPECT_EQ(10000000u, now.keepalive_probe_interval);
    EXPECT_EQ(5000000u, now.plpmtud_probe_interval);
    config = {};
    config.plpmtud_probe_interval = 4999999;
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 9, &config, sizeof(config)));
    config = {};
    config.payload_cipher_type = 50;
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 9, &config, sizeof(config)));
}

TEST(Kernel, WhatCloseWillSay)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    quic_connection_close info = {};
    info.errcode = 10;
    strcpy(reinterpret_cast<char *>(info.phrase), "this is app err");
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 5, &info, sizeof(info)));
    memset(&info, 0, sizeof(info));
    socklen_t len = sizeof(info);
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 5, &info, &len));
    EXPECT_EQ(72u, len);
    EXPECT_EQ(10u, info.errcode);
    EXPECT_STREQ("this is app err", reinterpret_cast<const char *>(info.phrase));
    memset(info.phrase, 'x', sizeof(info.phrase));
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 5, &info, sizeof(info))) << "not ended";
}

/* Before there were 64 bytes for it at 8, the phrase stood at 5 and was as long as the option. */
TEST(Kernel, WhatCloseWillSayInTheOlderLayout)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    uint8_t older[100] = {10, 0, 0, 0, 1};
    quic_connection_close info = {};
    socklen_t len = sizeof(info);
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 5, older, 8)) << "none";
    strcpy(reinterpret_cast<char *>(older + 5), "this is app err");
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 5, older, 8 + 4)) << "not ended";
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 5, older, 8 + sizeof("this is app err")));
    ASSERT_EQ(0, getsockopt(fd, SOL_QUIC, 5, &info, &len));
    EXPECT_EQ(10u, info.errcode);
    EXPECT_EQ(0, info.frame) << "an application's close has none";
    EXPECT_STREQ("this is app err", reinterpret_cast<const char *>(info.phrase));
}

TEST(Kernel, AnEchoWithTheCallsOfToday)
{
    Pair pair = make_pair();
    ASSERT_EQ(5,
              quic_sendmsg(pair.client, "hello", 5, -1, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    char buf[100];
    int64_t id = -1;
    uint32_t flags = 0;
    ASSERT_EQ(5, quic_recvmsg(pair.server, buf, sizeof(buf), &id, &flags));
    EXPECT_EQ(0, id);
    EXPECT_EQ(uint32_t{MSG_QUIC_STREAM_FIN}, flags & MSG_QUIC_STREAM_FIN);
    EXPECT_EQ(0u, flags & MSG_EOR) << "that ends datagrams and events only";
    ASSERT_EQ(5, quic_sendmsg(pair.server, buf, 5, id, MSG_QUIC_STREAM_FIN));
    ASSERT_EQ(5, quic_recvmsg(pair.client, buf, sizeof(buf), &id, &flags));
    EXPECT_EQ(0, memcmp("hello", buf, 5));
    char alpn[16];
    socklen_t len = sizeof(alpn);
    ASSERT_EQ(0, getsockopt(pair.server, SOL_QUIC, 11, alpn, &len));
    EXPECT_EQ("sample", std::string(alpn, len));
}

TEST(Kernel, AncillaryDataOfLevel288)
{
    Pair pair = make_pair();
    for (int level : {288, 261}) { /* what is sent may name either */
        alignas(cmsghdr) char control[CMSG_SPACE(16)] = {};
        char text[] = "text";
        iovec iov = {text, 4};
        msghdr msg = {};
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = level;
        c->cmsg_type = 0;
        c->cmsg_len = CMSG_LEN(16);
        int64_t id = level == 288 ? 2 : 6;
        uint32_t stream_flags = 0x400 | 0x200;
        memcpy(CMSG_DATA(c), &id, sizeof(id));
        memcpy(CMSG_DATA(c) + 8, &stream_flags, sizeof(stream_flags));
        ASSERT_EQ(4, sendmsg(pair.client, &msg, 0)) << level;
        memset(control, 0, sizeof(control));
        msg.msg_controllen = sizeof(control);
        ASSERT_EQ(4, recvmsg(pair.server, &msg, 0));
        c = CMSG_FIRSTHDR(&msg);
        ASSERT_NE(nullptr, c);
        EXPECT_EQ(288, c->cmsg_level);
        EXPECT_EQ(0, c->cmsg_type);
        EXPECT_EQ(CMSG_LEN(16), c->cmsg_len);
        int64_t got = -1;
        uint32_t got_flags = 0;
        memcpy(&got, CMSG_DATA(c), sizeof(got));
        memcpy(&got_flags, CMSG_DATA(c) + 8, sizeof(got_flags));
        EXPECT_EQ(id, got);
        EXPECT_EQ(0x200u, got_flags);
    }
}

TEST(Kernel, EventsInTheirOwnNumbers)
{
    Pair pair = make_pair([](int fd) {
        for (uint8_t type : {1, 5}) {
            uint8_t option[2] = {type, 1};
            ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 0, option, sizeof(option)));
        }
    });
    ASSERT_EQ(3,
              quic_sendmsg(pair.client, "abc", 3, -1, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    uint8_t event[100];
    uint32_t flags = 0;
    for (uint8_t state : {6, 8}) { /* RECV comes before RECVD, also in one frame */
        flags = 0;
        ASSERT_EQ(25, quic_recvmsg(pair.server, event, sizeof(event), nullptr, &flags));
        EXPECT_NE(0u, flags & MSG_QUIC_NOTIFICATION);
        EXPECT_NE(0u, flags & MSG_EOR);
        EXPECT_EQ(1, event[0]);
        EXPECT_EQ(state, event[1 + 8]);
        uint32_t errcode = 1;
        uint64_t final_size = 0;
        memcpy(&errcode, event + 1 + 12, sizeof(errcode));
        memcpy(&final_size, event + 1 + 16, sizeof(final_size));
        EXPECT_EQ(0u, errcode);
        EXPECT_EQ(state == 8 ? 3u : 0u, final_size);
    }
    pair.client.reset();
    for (;;) {
        flags = 0;
        ssize_t n = quic_recvmsg(pair.server, event, sizeof(event), nullptr, &flags);
        ASSERT_GE(n, 0) << strerror(errno);
        if ((flags & MSG_QUIC_NOTIFICATION) != 0 && event[0] == 5) {
            EXPECT_EQ(73, n) << "type and 72 bytes";
            break;
        }
    }
}

TEST(Kernel, C171_TicketsAsEvents)
{
    Pair pair = make_pair(nullptr, [](int fd) {
        uint8_t option[2] = {9, 1};
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 0, option, sizeof(option)));
    });
    char event[5000];
    uint32_t flags = 0;
    ssize_t n = quic_recvmsg(pair.client, event, sizeof(event), nullptr, &flags);
    ASSERT_GT(n, 64);
    EXPECT_NE(0u, flags & MSG_QUIC_NOTIFICATION);
    EXPECT_EQ(9, event[0]);
    char ticket[4096];
    socklen_t len = sizeof(ticket);
    ASSERT_EQ(0, getsockopt(pair.client, SOL_QUIC, 12, ticket, &len));
    EXPECT_LE(64u, len);
    EXPECT_EQ(std::string(event + 1, static_cast<size_t>(n) - 1), std::string(ticket, len));
}

namespace
{

void offer_datagrams(int fd)
{
    uint8_t param[56] = {};
    uint16_t size = 1400;
    memcpy(param + 8, &size, sizeof(size));
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, param, sizeof(param)));
}

} // namespace

TEST(Kernel, Datagrams)
{
    Pair pair = make_pair(offer_datagrams, offer_datagrams);
    ASSERT_EQ(4, send(pair.client, "gram", 4, 0x1000));
    alignas(cmsghdr) char control[CMSG_SPACE(16)] = {};
    char buf[16];
    iovec iov = {buf, sizeof(buf)};
    msghdr msg = {};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    ASSERT_EQ(4, recvmsg(pair.server, &msg, 0));
    EXPECT_NE(0, msg.msg_flags & 0x1000);
    EXPECT_NE(0, msg.msg_flags & MSG_EOR);
    EXPECT_EQ(0u, msg.msg_controllen) << "no ancillary data";
}

/* The kernel's own library names a stream beside every message, and says by the call's flags that it is a datagram. */
TEST(Kernel, ADatagramBesideAStreamsNumber)
{
    Pair pair = make_pair(offer_datagrams, offer_datagrams);
    ASSERT_EQ(1, quic_sendmsg(pair.client, "s", 1, 0, MSG_QUIC_STREAM_NEW));
    alignas(cmsghdr) char control[CMSG_SPACE(16)] = {};
    char text[] = "gram";
    iovec iov = {text, 4};
    msghdr msg = {};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = 288;
    c->cmsg_type = 0;
    c->cmsg_len = CMSG_LEN(16);
    ASSERT_EQ(4, sendmsg(pair.client, &msg, MSG_QUIC_DATAGRAM));
    for (int i = 0; i < 2; i++) {
        char buf[16];
        uint32_t flags = 0;
        const ssize_t n = quic_recvmsg(pair.server, buf, sizeof(buf), nullptr, &flags);
        ASSERT_GT(n, 0);
        EXPECT_EQ((flags & MSG_QUIC_DATAGRAM) != 0 ? "gram" : "s",
                  std::string(buf, static_cast<size_t>(n)));
    }
}

TEST(Kernel, KeyUpdateAndMigration)
{
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 7, nullptr, 0));
    EXPECT_EQ(EPIPE, errno);
    Pair pair = make_pair();
    EXPECT_EQ(0, setsockopt(pair.client, SOL_QUIC, 7, nullptr, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(-1, setsockopt(pair.client, SOL_QUIC, 6, &at, sizeof(at))) << "no port";
    EXPECT_EQ(EINVAL, errno);
}

/* send, level, two bytes of nothing, type, secret. */
TEST(Kernel, C161_SecretsOfAHandshake)
{
    Pair pair = make_pair(); /* for a server to connect to */
    sockaddr_in at = {};
    socklen_t len = sizeof(at);
    ASSERT_EQ(0, getsockname(pair.listen, reinterpret_cast<sockaddr *>(&at), &len));
    Fd fd(socket(AF_INET, SOCK_STREAM, 261));
    ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr *>(&at), len));
    uint8_t secret[56] = {1, 2, 0, 0, 52};
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, 13, secret, sizeof(secret)));
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 13, secret, sizeof(secret))) << "it is there";
    uint8_t early[56] = {1, 3, 0, 0, 51};
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, 13, early, sizeof(early))) << "of no use without limits";
    secret[0] = 0; /* to receive with */
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, 13, secret, sizeof(secret)));
    secret[1] = 1; /* Initial */
    EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, 13, secret, sizeof(secret)));
    EXPECT_EQ(EINVAL, errno);
    EXPECT_EQ(-1, getsockopt(fd, SOL_QUIC, 13, secret, &len)) << "not to be read";
}

/* A stream that is over is another error than one that never was. */
TEST(Kernel, StreamsThatAreOver)
{
    Pair pair = make_pair();
    char buf[8];
    int64_t id = -1;
    uint32_t flags = 0;
    ASSERT_EQ(3, quic_sendmsg(pair.client, "abc", 3, 2, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    ASSERT_EQ(3, quic_recvmsg(pair.server, buf, sizeof(buf), &id, &flags));
    quic_errinfo info = {2, 1};
    errno = 0;
    for (int i = 0; i < 1000 && errno != ENOSTR;
         i++) { /* until the peer has acknowledged the end */
        usleep(5000);
        errno = 0;
        (void)setsockopt(pair.client, SOL_QUIC, 2, &info, sizeof(info));
    }
    EXPECT_EQ(ENOSTR, errno);
    for (uint32_t how : {0u, uint32_t{MSG_QUIC_STREAM_FIN}, uint32_t{MSG_QUIC_STREAM_NEW}}) {
        EXPECT_EQ(-1, quic_sendmsg(pair.client, "x", 1, 2, how | MSG_NOSIGNAL));
        EXPECT_EQ(ENOSTR, errno) << how;
    }
    quic_stream_info open = {2, 0, 0};
    socklen_t len = sizeof(open);
    EXPECT_EQ(-1, getsockopt(pair.client, SOL_QUIC, 1, &open, &len));
    EXPECT_EQ(ENOSTR, errno);
    EXPECT_EQ(-1, setsockopt(pair.server, SOL_QUIC, 3, &info, sizeof(info)));
    EXPECT_EQ(ENOSTR, errno) << "stop sending";
    EXPECT_EQ(-1, setsockopt(pair.server, SOL_QUIC, 2, &info, sizeof(info)));
    EXPECT_EQ(EINVAL, errno) << "only received on";
    info.stream_id = 6;
    EXPECT_EQ(-1, setsockopt(pair.client, SOL_QUIC, 2, &info, sizeof(info)));
    EXPECT_EQ(EINVAL, errno) << "never opened";
    EXPECT_EQ(-1, quic_sendmsg(pair.client, "x", 1, 6, MSG_NOSIGNAL));
    EXPECT_EQ(EINVAL, errno);
}

/* RFC 9000 3.2: lower ones open with it. */
TEST(Kernel, StreamsBelowAnOpenOne)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, quic_sendmsg(pair.client, "d", 1, 12, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    quic_stream_info open = {4, 0, 0};
    socklen_t len = sizeof(open);
    EXPECT_EQ(0, getsockopt(pair.client, SOL_QUIC, 1, &open, &len)) << strerror(errno);
    EXPECT_EQ(-1, getsockopt(pair.client, SOL_QUIC, 1, &open, &len)) << "once";
    EXPECT_EQ(EINVAL, errno);
    EXPECT_EQ(1, send(pair.client, "b", 1, MSG_FIN)) << "the latest one opened";
    EXPECT_EQ(1, quic_sendmsg(pair.client, "a", 1, 0, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    EXPECT_EQ(1, quic_sendmsg(pair.client, "c", 1, 8, MSG_QUIC_STREAM_FIN));
    std::string got(4, ' ');
    for (int i = 0; i < 4; i++) {
        char byte = 0;
        int64_t id = -1;
        uint32_t flags = 0;
        ASSERT_EQ(1, quic_recvmsg(pair.server, &byte, 1, &id, &flags));
        EXPECT_NE(0u, flags & MSG_QUIC_STREAM_FIN);
        ASSERT_LE(id, 12);
        got[static_cast<size_t>(id) / 4] = byte;
    }
    EXPECT_EQ("abcd", got);
}

/* Those of the peer that no frame has named yet are not over. */
TEST(Kernel, StreamsOfThePeerBelowItsHighest)
{
    Pair pair = make_pair();
    char byte = 0;
    int64_t id = -1;
    uint32_t flags = 0;
    ASSERT_EQ(1, quic_sendmsg(pair.client, "d", 1, 12, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
    ASSERT_EQ(1, quic_recvmsg(pair.server, &byte, 1, &id, &flags));
    quic_errinfo stop = {0, 1};
    EXPECT_EQ(-1, setsockopt(pair.server, SOL_QUIC, 3, &stop, sizeof(stop)));
    EXPECT_EQ(EINVAL, errno);
    for (int64_t low : {0, 4, 8}) {
        EXPECT_EQ(-1, quic_sendmsg(pair.server, "x", 1, low, MSG_NOSIGNAL));
        EXPECT_EQ(EINVAL, errno) << low << " has not begun";
        ASSERT_EQ(
            1, quic_sendmsg(pair.client, "a", 1, low, MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN));
        flags = 0;
        ASSERT_EQ(1, quic_recvmsg(pair.server, &byte, 1, &id, &flags));
        EXPECT_EQ(low, id);
        EXPECT_EQ(1, quic_sendmsg(pair.server, "y", 1, low, MSG_QUIC_STREAM_FIN)) << low;
    }
    errno = 0;
    for (int i = 0; i < 1000 && errno != ENOSTR; i++) { /* until its end is acknowledged */
        usleep(5000);
        errno = 0;
        (void)setsockopt(pair.server, SOL_QUIC, 3, &stop, sizeof(stop));
    }
    EXPECT_EQ(ENOSTR, errno) << "without a gap it is known again";
}

/* One variable for the flags of both directions: what a stream was opened with says nothing to who receives. */
TEST(Kernel, FlagsLeftOfWhatWasSent)
{
    Pair pair = make_pair();
    uint32_t flags = MSG_QUIC_STREAM_NEW | MSG_QUIC_STREAM_FIN | MSG_QUIC_STREAM_SNDBLOCK;
    ASSERT_EQ(1, quic_sendmsg(pair.client, "x", 1, 0, flags | MSG_WAITALL | MSG_NOSIGNAL))
        << strerror(errno);
    char byte = 0;
    ASSERT_EQ(1, quic_recvmsg(pair.server, &byte, 1, nullptr, &flags)) << strerror(errno);
    EXPECT_EQ(uint32_t{MSG_QUIC_STREAM_FIN}, flags & MSG_QUIC_STREAM_FIN);
    ASSERT_EQ(1, quic_sendmsg(pair.client, "y", 1, 4, MSG_QUIC_STREAM_NEW));
    EXPECT_EQ(1, recv(pair.server, &byte, 1, MSG_QUIC_STREAM_SNDBLOCK)) << "by another library";
}

/* What is the kernel's own: connection IDs are the engine's business. */
TEST(Kernel, ConnectionIdsAreNotForPrograms)
{
    Pair pair = make_pair();
    quic_connection_id_info info = {};
    socklen_t len = sizeof(info);
    EXPECT_EQ(-1, getsockopt(pair.client, SOL_QUIC, 4, &info, &len));
    EXPECT_EQ(ENOPROTOOPT, errno);
    EXPECT_EQ(-1, setsockopt(pair.client, SOL_QUIC, 4, &info, sizeof(info)));
    EXPECT_EQ(ENOPROTOOPT, errno);
}

/* Both kinds of socket are QUIC: they talk to each other. */
/* Sends on a stream, without waiting, until it takes no more; gives the bytes and the errno. */
static std::pair<size_t, int> fill(int fd, int64_t id)
{
    const std::string piece(1000, 'f');
    size_t sent = 0;
    int quiet = 0;
    while (quiet < 20) { /* what was taken has arrived meanwhile, and what the peer gave for it */
        errno = 0;
        const ssize_t n =
            quic_sendmsg(fd, piece.data(), piece.size(), id,
                         MSG_DONTWAIT | MSG_NOSIGNAL | (sent == 0 ? MSG_QUIC_STREAM_NEW : 0u));
        if (n < 0 && errno != ENOSPC && errno != EAGAIN) {
            break;
        }
        sent += n > 0 ? static_cast<size_t>(n) : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        if (n < 0) {
            usleep(5000);
        }
    }
    return {sent, errno};
}

/* The flag that opens a stream without waiting for the peer's permission has had two numbers. */
TEST(Kernel, AStreamThatIsNotAllowedYet)
{
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_streams_bidi = 1;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
    });
    ASSERT_EQ(1, quic_sendmsg(pair.client, "x", 1, 0, MSG_QUIC_STREAM_NEW));
    for (uint32_t flag : {0x10000u, 0x80u}) {
        SCOPED_TRACE(flag);
        struct {
            alignas(cmsghdr) uint8_t bytes[CMSG_SPACE(16)];
        } control = {};
        iovec iov = {const_cast<char *>("x"), 1};
        msghdr msg = {};
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_QUIC;
        c->cmsg_type = QUIC_STREAM_INFO;
        c->cmsg_len = CMSG_LEN(16);
        quic_stream_info info = {};
        info.stream_id = 4;
        info.stream_flags = MSG_QUIC_STREAM_NEW | flag;
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        EXPECT_EQ(-1, sendmsg(pair.client, &msg, MSG_NOSIGNAL));
        EXPECT_EQ(EAGAIN, errno);
        info.stream_flags = flag;
        socklen_t len = sizeof(info);
        EXPECT_EQ(-1, getsockopt(pair.client, SOL_QUIC, 1, &info, &len));
        EXPECT_EQ(EAGAIN, errno);
        ASSERT_EQ(1, send(pair.client, "y", 1, MSG_NOSIGNAL)) << "on the stream that there is";
    }
}

static bool is_writable(int fd)
{
    pollfd p = {fd, POLLOUT, 0};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static void drain(int fd, size_t len)
{
    std::vector<char> buf(len);
    while (len > 0) {
        const ssize_t n = recv(fd, buf.data(), len, 0);
        ASSERT_GT(n, 0);
        len -= static_cast<size_t>(n);
    }
}

/* The peer's window for a stream is used up: others go on, and it does when the peer has read. */
TEST(Kernel, C091_AStreamWithoutCredit)
{
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_stream_data_bidi_remote = 16384;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
        int buffer = 8192;
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)));
    });
    const std::pair<size_t, int> first = fill(pair.client, 0);
    EXPECT_EQ(ENOSPC, first.second);
    EXPECT_GE(first.first, 16384u);
    EXPECT_LT(first.first, 100000u) << "what was sent waits in the peer's buffer";
    EXPECT_TRUE(is_writable(pair.client));
    EXPECT_EQ(-1, send(pair.client, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    EXPECT_EQ(EAGAIN, errno) << "no ancillary data, no other stream to turn to";
    EXPECT_FALSE(is_writable(pair.client));
    const std::pair<size_t, int> second = fill(pair.client, 4);
    EXPECT_EQ(ENOSPC, second.second);
    EXPECT_GE(second.first, 16384u);
    std::thread reader([&] { drain(pair.server, first.first + second.first + 20000); });
    const std::string more(20000, 'm');
    size_t sent = 0;
    while (sent < more.size()) { /* waits for credit */
        const ssize_t n = quic_sendmsg(pair.client, more.data(), more.size() - sent, 0, 0);
        ASSERT_GT(n, 0) << strerror(errno);
        sent += static_cast<size_t>(n);
    }
    reader.join();
}

/* The window of the connection is used up: no stream goes on, and poll says so. */
TEST(Kernel, C125_AConnectionWithoutCredit)
{
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_data = 20000;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
        int buffer = 8192;
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)));
    });
    EXPECT_TRUE(is_writable(pair.client));
    const std::pair<size_t, int> filled = fill(pair.client, 0);
    EXPECT_EQ(EAGAIN, filled.second);
    EXPECT_GE(filled.first, 20000u);
    EXPECT_LT(filled.first, 100000u);
    EXPECT_FALSE(is_writable(pair.client));
    EXPECT_EQ(-1, quic_sendmsg(pair.client, "x", 1, 4,
                               MSG_QUIC_STREAM_NEW | MSG_DONTWAIT | MSG_NOSIGNAL));
    EXPECT_EQ(EAGAIN, errno);
    drain(pair.server, filled.first);
    for (int i = 0; i < 1000 && !is_writable(pair.client); i++) {
        usleep(5000);
    }
    EXPECT_TRUE(is_writable(pair.client));
    EXPECT_EQ(1, quic_sendmsg(pair.client, "x", 1, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Bytes of a stream that was reset before they left used none of the connection's window (RFC 9000 4.1). */
TEST(Kernel, C125_WhatWasResetUsedNoCredit)
{
    Pair pair = make_pair([](int fd) {
        quic_transport_param param = {};
        param.max_data = 300000;
        param.max_stream_data_bidi_remote = 200000;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, 8, &param, sizeof(param)));
    });
    const std::string much(100000, 'm');
    for (int64_t id = 0; id < 4 * 50; id += 4) {
        for (int i = 0; i < 1000 && !is_writable(pair.client); i++) {
            usleep(5000);
        }
        ASSERT_GT(quic_sendmsg(pair.client, much.data(), much.size(), id,
                               MSG_QUIC_STREAM_NEW | MSG_DONTWAIT | MSG_NOSIGNAL),
                  0)
            << id << " " << strerror(errno);
        quic_errinfo info = {};
        info.stream_id = id;
        ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, 2, &info, sizeof(info)));
    }
}

TEST(Kernel, ADraftSocketAtTheOtherEnd)
{
    Pair pair = make_pair(nullptr, nullptr, 288);
    ASSERT_EQ(2, send(pair.client, "hi", 2, MSG_SYN | MSG_FIN));
    char buf[8];
    int64_t id = -1;
    uint32_t flags = 0;
    ASSERT_EQ(2, quic_recvmsg(pair.server, buf, sizeof(buf), &id, &flags));
    EXPECT_EQ(0, id);
}
