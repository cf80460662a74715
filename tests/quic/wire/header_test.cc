#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/header.h"
#include "quic/wire/version.h"
#include "tests/quic/wire/hex.h"

namespace
{

quic_cid Cid(const std::string &hex)
{
    std::vector<uint8_t> bytes = FromHex(hex);
    quic_cid cid = {};
    quic_cid_set(&cid, bytes.data(), bytes.size());
    return cid;
}

quic_rc Decode(quic_long_header *h, const std::vector<uint8_t> &bytes)
{
    return quic_header_decode_long(h, bytes.data(), bytes.size(), QUIC_VERSIONS_ALL);
}

TEST(Header, AShortOneIsNoLongOne) /* RFC 9000 17.3 */
{
    std::vector<uint8_t> p = {0x40, 0x0a, 0x1a, 0x2a, 0x3a, 0, 0};
    p.resize(100);
    quic_long_header h;
    EXPECT_EQ(Decode(&h, p), QUIC_E_DROP);
    p[0] = 0;
    EXPECT_EQ(Decode(&h, p), QUIC_E_DROP);
}

/* RFC 9001 A.2: the client's Initial, header protected, 1200 bytes. */
TEST(Header, ClientInitialOfRfc9001)
{
    std::vector<uint8_t> p = FromHex("c000000001088394c8f03e5157080000449e7b9aec34");
    p.resize(1200);
    quic_long_header h;
    ASSERT_EQ(Decode(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_INITIAL);
    EXPECT_EQ(h.version, QUIC_VERSION_1);
    quic_cid dcid = Cid("8394c8f03e515708");
    EXPECT_TRUE(quic_cid_is(&dcid, h.dcid, h.dcid_len));
    EXPECT_EQ(h.scid_len, 0);
    EXPECT_EQ(h.token_len, 0u);
    EXPECT_EQ(h.pn_offset, 18u);
    EXPECT_EQ(h.payload_len, 1182u);
    EXPECT_EQ(h.packet_len, 1200u);
    EXPECT_EQ(quic_header_type_level(h.type), QUIC_LEVEL_INITIAL);
}

/* RFC 9001 A.2 and A.3: what our encoder makes of the same fields. */
TEST(Header, EncodesTheInitialsOfRfc9001)
{
    quic_cid client = Cid("8394c8f03e515708");
    quic_cid server = Cid("f067a5502a4262b5");
    quic_cid none = {};
    quic_long_header_spec spec = {};
    spec.type = QUIC_PACKET_INITIAL;
    spec.version = QUIC_VERSION_1;
    spec.dcid = &client;
    spec.scid = &none;
    spec.pn = 2;
    spec.pn_len = 4;
    uint8_t buf[64];
    size_t len_offset = 0;
    std::vector<uint8_t> want = FromHex("c300000001088394c8f03e5157080000449e00000002");
    size_t n = quic_header_encode_long(buf, sizeof(buf), &len_offset, &spec);
    ASSERT_EQ(n, want.size());
    quic_header_patch_len(buf, len_offset, 4 + 1162 + 16);
    EXPECT_EQ(memcmp(buf, want.data(), n), 0);

    spec.dcid = &none;
    spec.scid = &server;
    spec.pn = 1;
    spec.pn_len = 2;
    want = FromHex("c1000000010008f067a5502a4262b50040750001");
    n = quic_header_encode_long(buf, sizeof(buf), &len_offset, &spec);
    ASSERT_EQ(n, want.size());
    EXPECT_EQ(n, quic_header_long_len(&spec));
    quic_header_patch_len(buf, len_offset, 0x75);
    EXPECT_EQ(memcmp(buf, want.data(), n), 0);
    EXPECT_EQ(quic_header_encode_long(buf, n - 1, &len_offset, &spec), 0u);
}

/* RFC 9001 A.4 */
TEST(Header, RetryOfRfc9001)
{
    std::vector<uint8_t> p =
        FromHex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba");
    quic_long_header h;
    ASSERT_EQ(Decode(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_RETRY);
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(h.token), h.token_len), "token");
    EXPECT_EQ(h.retry_tag, p.data() + p.size() - 16);
    EXPECT_EQ(h.packet_len, p.size());

    quic_cid scid = Cid("f067a5502a4262b5");
    quic_cid none = {};
    uint8_t buf[64];
    const uint8_t token[] = {'t', 'o', 'k', 'e', 'n'};
    size_t n =
        quic_header_encode_retry(buf, sizeof(buf), QUIC_VERSION_1, 0xff, &none, &scid, token, 5);
    ASSERT_EQ(n, p.size() - 16);
    EXPECT_EQ(memcmp(buf, p.data(), n), 0);
    EXPECT_EQ(quic_header_encode_retry(buf, n - 1, QUIC_VERSION_1, 0, &none, &scid, token, 5), 0u);

    p.erase(p.begin() + 15, p.begin() + 20); /* no token: RFC 9000 17.2.5.2 */
    EXPECT_EQ(Decode(&h, p), QUIC_E_DROP);
    p.resize(20);
    EXPECT_EQ(Decode(&h, p), QUIC_E_DROP);
}

/* RFC 9001 A.5: a short header with an empty CID and a 3-byte packet number. */
TEST(Header, ShortHeaderOfRfc9001)
{
    quic_cid none = {};
    uint8_t buf[4];
    ASSERT_EQ(quic_header_encode_short(buf, 4, &none, 0, 654360564, 3), 4u);
    EXPECT_EQ(FromHex("4200bff4"), std::vector<uint8_t>(buf, buf + 4));
    EXPECT_EQ(quic_header_encode_short(buf, 3, &none, 0, 654360564, 3), 0u);
    EXPECT_EQ(quic_header_pn_len(buf[0]), 3);
    std::vector<uint8_t> p = FromHex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
    size_t pn_offset = 0;
    ASSERT_EQ(quic_header_decode_short(&pn_offset, p.data(), p.size(), 0), QUIC_OK);
    EXPECT_EQ(pn_offset, 1u);
}

quic_rc DecodeBoth(quic_long_header *h, const std::vector<uint8_t> &bytes)
{
    return quic_header_decode_long(h, bytes.data(), bytes.size(), QUIC_VERSIONS_ALL);
}

/* RFC 9369 A.2 to A.4 */
TEST(HeaderVersion2, PacketsOfRfc9369)
{
    std::vector<uint8_t> p = FromHex("d76b3343cf088394c8f03e5157080000449ea0c95e82");
    p.resize(1200);
    quic_long_header h;
    ASSERT_EQ(DecodeBoth(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_INITIAL);
    EXPECT_EQ(h.version, QUIC_VERSION_2);
    EXPECT_EQ(h.pn_offset, 18u);
    EXPECT_EQ(h.packet_len, 1200u);

    quic_cid client = Cid("8394c8f03e515708");
    quic_cid server = Cid("f067a5502a4262b5");
    quic_cid none = {};
    quic_long_header_spec spec = {};
    spec.type = QUIC_PACKET_INITIAL;
    spec.version = QUIC_VERSION_2;
    spec.dcid = &client;
    spec.scid = &none;
    spec.pn = 2;
    spec.pn_len = 4;
    uint8_t buf[64];
    size_t len_offset = 0;
    std::vector<uint8_t> want = FromHex("d36b3343cf088394c8f03e5157080000449e00000002");
    size_t n = quic_header_encode_long(buf, sizeof(buf), &len_offset, &spec);
    ASSERT_EQ(n, want.size());
    quic_header_patch_len(buf, len_offset, 4 + 1162 + 16);
    EXPECT_EQ(memcmp(buf, want.data(), n), 0);

    p = FromHex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6");
    ASSERT_EQ(DecodeBoth(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_RETRY);
    EXPECT_EQ(h.token_len, 5u);
    EXPECT_EQ(h.retry_tag, p.data() + p.size() - 16);
    const uint8_t token[] = {'t', 'o', 'k', 'e', 'n'};
    n = quic_header_encode_retry(buf, sizeof(buf), QUIC_VERSION_2, 0xff, &none, &server, token, 5);
    ASSERT_EQ(n, p.size() - 16);
    EXPECT_EQ(memcmp(buf, p.data(), n), 0);
}

/* RFC 9369 3.2: Initial 01, 0-RTT 10, Handshake 11. */
TEST(HeaderVersion2, TypeBits)
{
    quic_cid cid = Cid("0102030405060708");
    for (uint32_t version : {QUIC_VERSION_1, QUIC_VERSION_2}) {
        for (unsigned type = 0; type < 3; type++) {
            quic_long_header_spec spec = {};
            spec.type = static_cast<quic_packet_type>(type);
            spec.version = version;
            spec.dcid = spec.scid = &cid;
            spec.pn_len = 1;
            std::vector<uint8_t> p(100);
            size_t len_offset = 0;
            const size_t n = quic_header_encode_long(p.data(), p.size(), &len_offset, &spec);
            quic_header_patch_len(p.data(), len_offset, p.size() - n + 1);
            EXPECT_EQ(p[0] >> 4 & 3, type + (version == QUIC_VERSION_2 ? 1 : 0));
            quic_long_header h;
            ASSERT_EQ(DecodeBoth(&h, p), QUIC_OK);
            EXPECT_EQ(h.type, spec.type);
            EXPECT_EQ(h.version, version);
            EXPECT_EQ(h.packet_len, p.size());
        }
    }
}

/* Who does not speak a version answers it as any other: RFC 8999. */
TEST(HeaderVersion2, UnknownUnlessEnabled)
{
    std::vector<uint8_t> p = FromHex("d76b3343cf088394c8f03e5157080000449ea0c95e82");
    p.resize(1200);
    quic_long_header h;
    ASSERT_EQ(quic_header_decode_long(&h, p.data(), p.size(), QUIC_VERSIONS_1), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_UNKNOWN_VERSION);
    EXPECT_EQ(h.version, QUIC_VERSION_2);
    ASSERT_EQ(quic_header_decode_long(&h, p.data(), p.size(), QUIC_VERSIONS_2), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_INITIAL);
    p = FromHex("c000000001088394c8f03e5157080000449e7b9aec34");
    p.resize(1200);
    ASSERT_EQ(quic_header_decode_long(&h, p.data(), p.size(), QUIC_VERSIONS_2), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_UNKNOWN_VERSION);
    EXPECT_EQ(quic_version_bit(QUIC_VERSION_1), static_cast<uint32_t>(QUIC_VERSIONS_1));
    EXPECT_EQ(quic_version_bit(2), 0u);
    EXPECT_EQ(quic_version_bit(0), 0u);
    EXPECT_TRUE(quic_version_is_reserved(0x1a2a3afa));
    EXPECT_FALSE(quic_version_is_reserved(QUIC_VERSION_2));
}

/* RFC 9287 3: whether a packet may come without it depends on what its sender was told. */
TEST(Header, FixedBitIsTheCallersToJudge)
{
    std::vector<uint8_t> p = FromHex("8000000001088394c8f03e5157080000449e7b9aec34");
    p.resize(1200);
    quic_long_header h;
    ASSERT_EQ(Decode(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_INITIAL);
    EXPECT_FALSE(quic_header_has_fixed_bit(h.first));
    EXPECT_TRUE(quic_header_has_fixed_bit(0xc0));
}

TEST(Header, FixedBitIsClearedOnRequestOnly)
{
    quic_cid cid = Cid("0102030405060708");
    for (bool clear : {false, true}) {
        quic_long_header_spec spec{};
        spec.type = QUIC_PACKET_HANDSHAKE;
        spec.version = QUIC_VERSION_2;
        spec.dcid = &cid;
        spec.scid = &cid;
        spec.pn_len = 2;
        spec.clear_fixed_bit = clear;
        uint8_t buf[64];
        size_t len_offset = 0;
        ASSERT_GT(quic_header_encode_long(buf, sizeof(buf), &len_offset, &spec), 0u);
        EXPECT_EQ(buf[0] & QUIC_HEADER_FIXED_BIT, clear ? 0u : QUIC_HEADER_FIXED_BIT);
        const uint8_t flags = static_cast<uint8_t>(clear ? QUIC_HEADER_FIXED_BIT : 0);
        ASSERT_GT(quic_header_encode_short(buf, sizeof(buf), &cid, flags, 7, 1), 0u);
        EXPECT_EQ(buf[0], clear ? 0u : QUIC_HEADER_FIXED_BIT);
    }
}

TEST(Header, ShortHeaderFlagsAndBounds)
{
    quic_cid cid = Cid("0102030405060708");
    uint8_t buf[64] = {};
    ASSERT_EQ(quic_header_encode_short(buf, 64, &cid,
                                       QUIC_HEADER_SPIN_BIT | QUIC_HEADER_KEY_PHASE_BIT, 0x1234, 2),
              11u);
    EXPECT_EQ(buf[0], 0x65);
    EXPECT_TRUE(quic_header_spin(buf[0]));
    EXPECT_TRUE(quic_header_key_phase(buf[0]));
    EXPECT_FALSE(quic_header_is_long(buf[0]));
    EXPECT_EQ(quic_pn_load(buf + 9, 2), 0x1234u);
    size_t pn_offset = 0;
    EXPECT_EQ(quic_header_decode_short(&pn_offset, buf, 29, 8), QUIC_OK);
    EXPECT_EQ(pn_offset, 9u);
    EXPECT_EQ(quic_header_decode_short(&pn_offset, buf, 28, 8), QUIC_E_DROP);
    EXPECT_EQ(quic_header_decode_short(&pn_offset, buf, 0, 8), QUIC_E_DROP);
    buf[0] = 0x25; /* fixed bit 0: RFC 9000 17.3.1 */
    EXPECT_EQ(quic_header_decode_short(&pn_offset, buf, 29, 8), QUIC_E_DROP);
    buf[0] = 0xc5;
    EXPECT_EQ(quic_header_decode_short(&pn_offset, buf, 29, 8), QUIC_E_DROP);
}

TEST(Header, VersionNegotiation)
{
    std::vector<uint8_t> dcid(255, 0xd1);
    std::vector<uint8_t> scid(20, 0x5c);
    const uint32_t versions[] = {QUIC_VERSION_1, 0x6b3343cf, 0x1a2a3a4a};
    uint8_t buf[400];
    size_t n = quic_header_encode_vn(buf, sizeof(buf), 0x2f, quic_reader_make(dcid.data(), 255),
                                     quic_reader_make(scid.data(), 20), versions, 3);
    ASSERT_EQ(n, 7u + 255 + 20 + 12);
    quic_long_header h;
    ASSERT_EQ(quic_header_decode_long(&h, buf, n, QUIC_VERSIONS_ALL), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_VN);
    EXPECT_EQ(h.dcid_len, 255);
    EXPECT_EQ(h.scid_len, 20);
    ASSERT_EQ(h.version_count, 3u);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_EQ(quic_header_vn_version(&h, i), versions[i]);
    }
    EXPECT_EQ(quic_header_encode_vn(buf, n - 1, 0, quic_reader_make(dcid.data(), 255),
                                    quic_reader_make(scid.data(), 20), versions, 3),
              0u);
    EXPECT_EQ(quic_header_decode_long(&h, buf, n - 1, QUIC_VERSIONS_ALL), QUIC_E_DROP)
        << "half a version";
    EXPECT_EQ(quic_header_decode_long(&h, buf, n - 12, QUIC_VERSIONS_ALL), QUIC_E_DROP)
        << "no version";
}

/* RFC 8999: any other version gives what a Version Negotiation packet needs, long CIDs included. */
TEST(Header, UnknownVersionKeepsTheInvariants)
{
    std::vector<uint8_t> p = FromHex("800a1a2a3aff");
    p.insert(p.end(), 255, 0xd1);
    p.push_back(200);
    p.insert(p.end(), 200, 0x5c);
    quic_long_header h;
    ASSERT_EQ(Decode(&h, p), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_UNKNOWN_VERSION);
    EXPECT_EQ(h.version, 0x0a1a2a3au);
    EXPECT_EQ(h.dcid_len, 255);
    EXPECT_EQ(h.scid_len, 200);
    EXPECT_EQ(h.scid, p.data() + 6 + 255 + 1);
    EXPECT_EQ(h.packet_len, p.size());
    for (size_t len = 0; len < p.size(); len++) {
        EXPECT_EQ(quic_header_decode_long(&h, p.data(), len, QUIC_VERSIONS_ALL), QUIC_E_DROP);
    }
}

TEST(Header, MalformedVersion1IsDropped)
{
    struct {
        const char *hex;
        const char *why;
    } cases[] = {
        {"4000000001000000401400000000000000000000000000000000000000", "not a long header"},
        {"c00000000115", "dcid of 21 bytes, cut"},
        {"c0000000010000004013000000000000000000000000000000000000000000", "no sample"},
        {"c000000001000000407f00000000000000000000000000000000000000", "length beyond datagram"},
        {"c0000000010000ffffffffffffffff4014", "token beyond datagram"},
        {"c00000000100000040", "length cut"},
        {"e000000001000000", "handshake without payload"},
    };
    for (const auto &c : cases) {
        quic_long_header h;
        EXPECT_EQ(Decode(&h, FromHex(c.hex)), QUIC_E_DROP) << c.why;
    }
    for (int which = 0; which < 2; which++) { /* RFC 9000 17.2: at most 20 bytes */
        std::vector<uint8_t> p = FromHex("c000000001");
        p.push_back(which == 0 ? 21 : 0);
        p.insert(p.end(), which == 0 ? 21 : 0, 0);
        p.push_back(which == 1 ? 21 : 0);
        p.insert(p.end(), which == 1 ? 21 : 0, 0);
        p.push_back(0);
        p.push_back(0x14);
        p.insert(p.end(), 20, 0);
        quic_long_header h;
        EXPECT_EQ(Decode(&h, p), QUIC_E_DROP);
    }
}

TEST(Header, CoalescedPacketsAreCutApart)
{
    quic_cid dcid = Cid("0011223344556677");
    quic_cid scid = Cid("8899aabb");
    const uint8_t token[70] = {9};
    const quic_packet_type types[] = {QUIC_PACKET_INITIAL, QUIC_PACKET_0RTT, QUIC_PACKET_HANDSHAKE};
    std::vector<uint8_t> datagram;
    std::vector<size_t> starts;
    for (quic_packet_type type : types) {
        quic_long_header_spec spec = {};
        spec.type = type;
        spec.version = QUIC_VERSION_1;
        spec.dcid = &dcid;
        spec.scid = &scid;
        spec.token = token;
        spec.token_len = sizeof(token);
        spec.pn = 0xabcd;
        spec.pn_len = 2;
        uint8_t buf[200] = {};
        size_t len_offset = 0;
        size_t n = quic_header_encode_long(buf, sizeof(buf), &len_offset, &spec);
        ASSERT_GT(n, 0u);
        EXPECT_EQ(n, len_offset + 2 + 2);
        quic_header_patch_len(buf, len_offset, 2 + 40);
        starts.push_back(datagram.size());
        datagram.insert(datagram.end(), buf, buf + n + 40);
    }
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        quic_long_header h;
        ASSERT_EQ(at, starts[i]);
        ASSERT_EQ(
            quic_header_decode_long(&h, &datagram[at], datagram.size() - at, QUIC_VERSIONS_ALL),
            QUIC_OK);
        EXPECT_EQ(h.type, types[i]);
        EXPECT_EQ(h.payload_len, 42u);
        EXPECT_EQ(h.token_len, i == 0 ? sizeof(token) : 0);
        EXPECT_EQ(quic_pn_load(&datagram[at + h.pn_offset], 2), 0xabcdu);
        at += h.packet_len;
    }
    EXPECT_EQ(at, datagram.size());
}

/* Whatever the bytes, views and lengths stay inside the datagram. */
TEST(Header, RandomBytesStayInBounds)
{
    quic_rng_seeded_state state = {11};
    quic_rng rng = quic_rng_seeded(&state);
    int accepted = 0;
    for (int i = 0; i < 50000; i++) {
        std::vector<uint8_t> p(quic_rng_u64(&rng) % 80);
        quic_rng_fill(&rng, p.data(), p.size());
        if (p.size() > 6) {
            p[0] |= 0xc0;
            memcpy(&p[1], (i & 1) != 0 ? "\0\0\0\1" : "\x6b\x33\x43\xcf", 4);
            p[5] = static_cast<uint8_t>(p[5] % 23);
        }
        quic_long_header h;
        if (DecodeBoth(&h, p) == QUIC_OK) {
            accepted++;
            ASSERT_LE(h.packet_len, p.size());
            ASSERT_LE(h.dcid + h.dcid_len, p.data() + p.size());
            ASSERT_LE(h.scid + h.scid_len, p.data() + p.size());
            if (h.type != QUIC_PACKET_RETRY) {
                ASSERT_EQ(h.pn_offset + h.payload_len, h.packet_len);
                ASSERT_GE(h.payload_len, 20u);
            }
        }
    }
    EXPECT_GT(accepted, 100);
}

} // namespace
