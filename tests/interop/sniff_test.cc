#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/interop/sniff.h"

namespace
{

using Bytes = std::vector<uint8_t>;

Bytes packet(quic_packet_type type, const char *scid, const std::string &token = "",
             uint32_t version = QUIC_VERSION_1, size_t payload = 100)
{
    quic_cid dcid{};
    quic_cid from{};
    quic_cid_set(&dcid, reinterpret_cast<const uint8_t *>("to"), 2);
    quic_cid_set(&from, reinterpret_cast<const uint8_t *>(scid), strlen(scid));
    quic_long_header_spec spec{};
    spec.type = type;
    spec.version = version;
    spec.dcid = &dcid;
    spec.scid = &from;
    spec.token = reinterpret_cast<const uint8_t *>(token.data());
    spec.token_len = token.size();
    spec.pn_len = 1;
    Bytes out(300);
    size_t len_at = 0;
    size_t n = quic_header_encode_long(out.data(), out.size(), &len_at, &spec);
    quic_header_patch_len(out.data(), len_at, 1 + payload);
    out.resize(n + payload);
    return out;
}

Bytes operator+(Bytes a, const Bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

void pass(interop::Sniffer *s, const Bytes &d, bool to_server, bool reaches = true)
{
    s->on_datagram({d.data(), d.size(), to_server, reaches, 0, 2});
}

bool says(const interop::Sniffer &s, const std::string &what)
{
    EXPECT_NE(s.json().find(what), std::string::npos) << what << " in " << s.json();
    return true;
}

TEST(Sniffer, CountsHandshakesByTheServersId)
{
    interop::Sniffer s;
    pass(&s, packet(QUIC_PACKET_INITIAL, "c1"), true);
    pass(&s, packet(QUIC_PACKET_INITIAL, "s1") + packet(QUIC_PACKET_HANDSHAKE, "s1"), false);
    pass(&s, packet(QUIC_PACKET_INITIAL, "s1"), false);
    pass(&s, packet(QUIC_PACKET_INITIAL, "s2", "", QUIC_VERSION_2), false);
    says(s, "\"handshakes\": 2");
    says(s, "\"handshake_packets\": 1");
    says(s, "\"ect\": 3");
    says(s, "\"initial_versions\": [1, 1798521807]");
    says(s, "\"initial_versions\": [1]");
}

TEST(Sniffer, FollowsARetryToken)
{
    interop::Sniffer s;
    Bytes retry = {0xf0, 0, 0, 0, 1, 2, 't', 'o', 1, 's', 'T', 'O', 'K'};
    retry.resize(retry.size() + 16);
    pass(&s, packet(QUIC_PACKET_INITIAL, "c1", "TOK"), true); /* before it was given */
    pass(&s, retry, false);
    pass(&s, packet(QUIC_PACKET_INITIAL, "c1", "TOK"), true);
    pass(&s, packet(QUIC_PACKET_INITIAL, "c1", "TAK"), true);
    says(s, "\"retries\": 1");
    says(s, "\"retry_answers\": 1");
}

TEST(Sniffer, SumsBytesOfEachKind)
{
    interop::Sniffer s;
    Bytes one_rtt(50, 0x40);
    pass(&s, packet(QUIC_PACKET_0RTT, "c1", "", QUIC_VERSION_1, 200) + one_rtt, true);
    says(s, "\"zero_rtt_bytes\": 201, \"one_rtt_bytes\": 50");
}

TEST(Sniffer, MeasuresAmplificationUntilTheClientIsProved)
{
    interop::Sniffer s;
    Bytes small = packet(QUIC_PACKET_INITIAL, "c1", "", QUIC_VERSION_1, 100);
    Bytes big = packet(QUIC_PACKET_INITIAL, "s1", "", QUIC_VERSION_1, 100);
    pass(&s, small, true);
    pass(&s, big, false);
    pass(&s, big, false);
    says(s, "\"amplification\": 2");
    pass(&s, small, true, false); /* lost: gives nothing */
    pass(&s, big, false);
    says(s, "\"amplification\": 3");
    pass(&s, packet(QUIC_PACKET_HANDSHAKE, "c1"), true);
    pass(&s, big, false);
    says(s, "\"amplification\": 3");
}

} // namespace
