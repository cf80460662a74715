#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

Bytes unknown_version_initial(size_t len)
{
    Bytes p(len, 0x5a);
    const uint8_t head[] = {0xc3, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9};
    std::copy(std::begin(head), std::end(head), p.begin());
    return p;
}

/* RFC 9000 6.1 */
TEST(Version, ServerAnswersUnknownVersionWithWhatItHas)
{
    Net net;
    net.inject(net.server, unknown_version_initial(1200));
    ASSERT_EQ(net.sent.size(), 1u);
    quic_long_header h;
    const Bytes &vn = net.sent[0].bytes;
    ASSERT_EQ(quic_header_decode_long(&h, vn.data(), vn.size()), QUIC_OK);
    ASSERT_EQ(h.type, QUIC_PACKET_VN);
    EXPECT_TRUE(h.dcid_len == 3 && h.dcid[0] == 9);
    EXPECT_TRUE(h.scid_len == 8 && h.scid[7] == 8);
    bool v1 = false;
    bool reserved = false;
    for (uint32_t i = 0; i < h.version_count; i++) {
        uint32_t v = quic_header_vn_version(&h, i);
        v1 = v1 || v == QUIC_VERSION_1;
        reserved = reserved || (v & 0x0f0f0f0fu) == 0x0a0a0a0au;
    }
    EXPECT_TRUE(v1);
    EXPECT_TRUE(reserved);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_version_negotiation, 1u);
}

/* RFC 9000 6.1, 14.1: no answer to a small datagram, nor to a Version Negotiation packet */
TEST(Version, ServerSaysNothingToSmallDatagramsOrToVersionNegotiation)
{
    Net net;
    net.inject(net.server, unknown_version_initial(1199));
    Bytes vn = unknown_version_initial(1200);
    vn[1] = vn[2] = vn[3] = vn[4] = 0;
    net.inject(net.server, vn);
    EXPECT_TRUE(net.sent.empty());
}

TEST(Version, AnswersAreRateLimited)
{
    Net net([](sim::Options &o) { o.server.limits.version_negotiations_per_s = 10; });
    for (int i = 0; i < 100; i++) {
        net.inject(net.server, unknown_version_initial(1200));
    }
    EXPECT_EQ(net.sent.size(), 10u);
}

struct VnCase {
    const char *name;
    std::vector<uint32_t> versions;
    bool wrong_cids;
    bool ends;
};

/* RFC 9000 6.2 */
TEST(Version, ClientBelievesOnlyAVersionNegotiationThatMakesSense)
{
    const VnCase cases[] = {
        {"other versions", {0x6b3343cf, 0x1a2a3a4a}, false, true},
        {"our version is among them", {0x6b3343cf, QUIC_VERSION_1}, false, false},
        {"connection IDs of somebody else", {0x6b3343cf}, true, false},
    };
    for (const VnCase &c : cases) {
        Net net;
        net.filter = [](Packet &) { return false; };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(kMs);
        ASSERT_FALSE(net.sent.empty());
        quic_cid dcid = dcid_of(net.sent[0].bytes);
        quic_cid scid = scid_of(net.sent[0].bytes);
        dcid.bytes[0] = static_cast<uint8_t>(dcid.bytes[0] ^ (c.wrong_cids ? 1 : 0));
        Bytes vn(100);
        vn.resize(quic_header_encode_vn(
            vn.data(), vn.size(), 3, quic_reader_make(scid.bytes, scid.len),
            quic_reader_make(dcid.bytes, dcid.len), c.versions.data(), c.versions.size()));
        net.inject(net.client, vn);
        EXPECT_EQ(net.client.close_kind(), c.ends ? QURING_CLOSE_VERSION : QURING_CLOSE_NONE)
            << c.name;
    }
}

/* RFC 9000 6.2: once the server has answered, Version Negotiation is noise. */
TEST(Version, ClientIgnoresItAfterTheServersFirstPacket)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    quic_cid dcid = dcid_of(net.sent[0].bytes);
    quic_cid scid = scid_of(net.sent[0].bytes);
    uint32_t version = 0x6b3343cf;
    Bytes vn(100);
    vn.resize(quic_header_encode_vn(vn.data(), vn.size(), 3, quic_reader_make(scid.bytes, scid.len),
                                    quic_reader_make(dcid.bytes, dcid.len), &version, 1));
    net.inject(net.client, vn);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

} // namespace
