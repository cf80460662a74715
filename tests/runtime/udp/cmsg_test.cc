#include <netinet/in.h>
#include <netinet/udp.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/udp/cmsg.h"
#include "runtime/udp/sockaddr.h"

namespace
{

// Builds a control part the way the kernel does.
struct Control {
    alignas(8) uint8_t room[512] = {};
    size_t used = 0;
    msghdr msg = {};

    void Put(int level, int type, const void *data, size_t len)
    {
        cmsghdr head = {};
        head.cmsg_level = level;
        head.cmsg_type = type;
        head.cmsg_len = CMSG_LEN(len);
        memcpy(room + used, &head, sizeof(head));
        memcpy(room + used + CMSG_LEN(0), data, len);
        used += CMSG_SPACE(len);
    }

    rt_cmsg_rx Read()
    {
        msg.msg_control = room;
        msg.msg_controllen = used;
        rt_cmsg_rx rx;
        rt_cmsg_read(&rx, &msg);
        return rx;
    }
};

const uint8_t kV4[4] = {10, 1, 2, 3};
const uint8_t kV6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const uint8_t kMapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};

} // namespace

TEST(Cmsg, ReadsEverythingAtOnce)
{
    Control c;
    int gro = 1350;
    uint8_t tos = 0xb8 | 2;
    uint32_t drops = 17;
    in_pktinfo info = {};
    memcpy(&info.ipi_addr, kV4, 4);
    c.Put(SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
    c.Put(IPPROTO_IP, IP_TOS, &tos, 1);
    c.Put(IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    c.Put(IPPROTO_UDP, UDP_GRO, &gro, sizeof(gro));
    c.Put(SOL_SOCKET, SO_TIMESTAMP, "12345678", 8); // unknown to us
    rt_cmsg_rx rx = c.Read();
    quic_addr want = rt_addr_from_in4(kV4, 0);
    EXPECT_EQ(rx.gro_bytes, 1350u);
    EXPECT_EQ(rx.ecn, 2);
    EXPECT_TRUE(rx.has_drops);
    EXPECT_EQ(rx.kernel_drops, 17u);
    EXPECT_TRUE(quic_addr_equal(&rx.local, &want));
}

TEST(Cmsg, MappedLocalAddressIsIpv4)
{
    Control c;
    in6_pktinfo info = {};
    memcpy(&info.ipi6_addr, kMapped, 16);
    info.ipi6_ifindex = 2;
    c.Put(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    int tclass = 3;
    c.Put(IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
    rt_cmsg_rx rx = c.Read();
    quic_addr want = rt_addr_from_in4(kV4, 0);
    EXPECT_TRUE(quic_addr_equal(&rx.local, &want));
    EXPECT_EQ(rx.ecn, 3);
}

TEST(Cmsg, EmptyAndShortMessagesAreSkipped)
{
    Control none;
    rt_cmsg_rx rx = none.Read();
    EXPECT_EQ(rx.gro_bytes, 0u);
    EXPECT_EQ(rx.local.family, 0);
    EXPECT_FALSE(rx.has_drops);

    Control c;
    c.Put(IPPROTO_UDP, UDP_GRO, "\x05", 1);
    c.Put(IPPROTO_IP, IP_PKTINFO, "\x01\x02", 2);
    c.Put(SOL_SOCKET, SO_RXQ_OVFL, "\x01", 1);
    c.Put(IPPROTO_IPV6, IPV6_PKTINFO, "\x01\x02", 2);
    c.Put(IPPROTO_IP, IP_TOS, "", 0);
    rx = c.Read();
    EXPECT_EQ(rx.gro_bytes, 0u);
    EXPECT_EQ(rx.local.family, 0);
    EXPECT_FALSE(rx.has_drops);
    EXPECT_EQ(rx.ecn, 0);
}

TEST(Cmsg, H108_LengthBeyondTheBufferEndsTheReading)
{
    Control c;
    int gro = 1200;
    c.Put(IPPROTO_UDP, UDP_GRO, &gro, sizeof(gro));
    for (size_t len : {(size_t)0, (size_t)5, (size_t)1000, SIZE_MAX}) {
        memcpy(c.room, &len, sizeof(len));
        EXPECT_EQ(c.Read().gro_bytes, 0u) << len;
    }
}

TEST(Cmsg, H108_EveryPrefixOfAControlPartIsSafe)
{
    Control c;
    int gro = 1200;
    in6_pktinfo info = {};
    memcpy(&info.ipi6_addr, kV6, 16);
    c.Put(IPPROTO_UDP, UDP_GRO, &gro, sizeof(gro));
    c.Put(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    for (size_t len = 0; len <= c.used; len++) {
        std::vector<uint64_t> exact((len + 7) / 8 + 1);
        memcpy(exact.data(), c.room, len);
        msghdr msg = {};
        msg.msg_control = exact.data();
        msg.msg_controllen = len;
        rt_cmsg_rx rx;
        rt_cmsg_read(&rx, &msg);
        EXPECT_EQ(rx.gro_bytes == 1200u, len >= CMSG_LEN(sizeof(int)));
    }
}

TEST(Cmsg, WhatIsWrittenParsesBack)
{
    struct {
        uint16_t gso;
        uint8_t ecn;
        uint8_t family;
        bool source;
    } cases[] = {
        {0, 0, 4, false}, {1350, 0, 4, false}, {0, 1, 4, false},   {0, 2, 6, false},
        {0, 0, 4, true},  {0, 0, 6, true},     {1200, 3, 4, true}, {1200, 3, 6, true},
    };
    for (const auto &t : cases) {
        quic_addr source = t.family == 4 ? rt_addr_from_in4(kV4, 0) : rt_addr_from_in6(kV6, 0, 0);
        alignas(8) uint8_t room[RT_CMSG_TX_BYTES];
        memset(room, 0xee, sizeof(room));
        rt_cmsg_tx tx = {t.gso, t.ecn != 0, t.ecn, t.source ? &source : nullptr, t.family};
        msghdr msg = {};
        rt_cmsg_write(&msg, room, &tx);
        int count = 0;
        for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
            count++;
            if (c->cmsg_type == UDP_SEGMENT && c->cmsg_level == IPPROTO_UDP) {
                uint16_t v;
                memcpy(&v, CMSG_DATA(c), sizeof(v));
                EXPECT_EQ(v, t.gso);
            } else if (c->cmsg_type == IP_TOS || c->cmsg_type == IPV6_TCLASS) {
                int v;
                memcpy(&v, CMSG_DATA(c), sizeof(v));
                EXPECT_EQ(v, t.ecn);
                EXPECT_EQ(c->cmsg_level, t.family == 4 ? IPPROTO_IP : IPPROTO_IPV6);
            } else if (c->cmsg_level == IPPROTO_IP) {
                in_pktinfo info;
                memcpy(&info, CMSG_DATA(c), sizeof(info));
                EXPECT_EQ(memcmp(&info.ipi_spec_dst, kV4, 4), 0);
            } else {
                in6_pktinfo info;
                memcpy(&info, CMSG_DATA(c), sizeof(info));
                EXPECT_EQ(memcmp(&info.ipi6_addr, kV6, 16), 0);
            }
        }
        EXPECT_EQ(count, (t.gso != 0) + (t.ecn != 0) + t.source);
        EXPECT_EQ(msg.msg_control == nullptr, count == 0);
        EXPECT_LE(msg.msg_controllen, RT_CMSG_TX_BYTES);
    }
}
