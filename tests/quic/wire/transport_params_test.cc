#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/transport_params.h"
#include "tests/quic/wire/hex.h"

namespace
{

quic_rc Decode(const std::string &hex, quic_role sender, quic_transport_params *out)
{
    std::vector<uint8_t> bytes = FromHex(hex);
    return quic_transport_params_decode(out, bytes.data(), bytes.size(), sender);
}

quic_rc Decode(const std::string &hex, quic_role sender = QUIC_SERVER)
{
    quic_transport_params params;
    return Decode(hex, sender, &params);
}

quic_transport_params Full()
{
    quic_transport_params p;
    quic_transport_params_default(&p);
    p.max_idle_timeout_ms = 30000;
    p.max_udp_payload_size = 1472;
    p.initial_max_data = QUIC_VARINT_MAX;
    p.initial_max_stream_data_bidi_local = 1;
    p.initial_max_stream_data_bidi_remote = 16384;
    p.initial_max_stream_data_uni = 1ull << 30;
    p.initial_max_streams_bidi = 1ull << 60;
    p.initial_max_streams_uni = 100;
    p.ack_delay_exponent = 20;
    p.max_ack_delay_ms = 16383;
    p.active_connection_id_limit = 8;
    p.disable_active_migration = true;
    p.max_datagram_frame_size = QUIC_VARINT_MAX;
    p.has_min_ack_delay = true;
    p.min_ack_delay_us = 16383000;
    p.grease_quic_bit = p.reset_stream_at = p.disable_1rtt_encryption = true;
    p.has_version_info = true;
    p.version_info.chosen = 0x6b3343cf;
    p.version_info.available_count = QUIC_TP_VERSIONS_MAX;
    for (uint32_t i = 0; i < QUIC_TP_VERSIONS_MAX; i++) {
        p.version_info.available[i] = 0x6b3343cf - i;
    }
    p.has_original_dcid = p.has_initial_scid = p.has_retry_scid = true;
    p.has_reset_token = p.has_preferred_address = true;
    quic_rng_seeded_state state = {4};
    quic_rng rng = quic_rng_seeded(&state);
    for (quic_cid *cid :
         {&p.original_dcid, &p.initial_scid, &p.retry_scid, &p.preferred_address.cid}) {
        cid->len = QUIC_CID_LEN_MAX;
        quic_rng_fill(&rng, cid->bytes, cid->len);
    }
    quic_rng_fill(&rng, p.reset_token, sizeof(p.reset_token));
    quic_rng_fill(&rng, p.preferred_address.reset_token, QUIC_RESET_TOKEN_LEN);
    quic_rng_fill(&rng, p.preferred_address.v4.ip, 4);
    quic_rng_fill(&rng, p.preferred_address.v6.ip, 16);
    p.preferred_address.v4.family = 4;
    p.preferred_address.v4.port = 443;
    p.preferred_address.v6.family = 6;
    p.preferred_address.v6.port = 8443;
    return p;
}

void ExpectSame(const quic_transport_params &a, const quic_transport_params &b)
{
    EXPECT_EQ(a.max_idle_timeout_ms, b.max_idle_timeout_ms);
    EXPECT_EQ(a.max_udp_payload_size, b.max_udp_payload_size);
    EXPECT_EQ(a.initial_max_data, b.initial_max_data);
    EXPECT_EQ(a.initial_max_stream_data_bidi_local, b.initial_max_stream_data_bidi_local);
    EXPECT_EQ(a.initial_max_stream_data_bidi_remote, b.initial_max_stream_data_bidi_remote);
    EXPECT_EQ(a.initial_max_stream_data_uni, b.initial_max_stream_data_uni);
    EXPECT_EQ(a.initial_max_streams_bidi, b.initial_max_streams_bidi);
    EXPECT_EQ(a.initial_max_streams_uni, b.initial_max_streams_uni);
    EXPECT_EQ(a.ack_delay_exponent, b.ack_delay_exponent);
    EXPECT_EQ(a.max_ack_delay_ms, b.max_ack_delay_ms);
    EXPECT_EQ(a.active_connection_id_limit, b.active_connection_id_limit);
    EXPECT_EQ(a.disable_active_migration, b.disable_active_migration);
    EXPECT_EQ(a.max_datagram_frame_size, b.max_datagram_frame_size);
    EXPECT_EQ(a.has_min_ack_delay, b.has_min_ack_delay);
    EXPECT_EQ(a.min_ack_delay_us, b.min_ack_delay_us);
    EXPECT_EQ(a.grease_quic_bit, b.grease_quic_bit);
    EXPECT_EQ(a.reset_stream_at, b.reset_stream_at);
    EXPECT_EQ(a.disable_1rtt_encryption, b.disable_1rtt_encryption);
    EXPECT_EQ(a.has_version_info, b.has_version_info);
    EXPECT_EQ(memcmp(&a.version_info, &b.version_info, sizeof(a.version_info)), 0);
    EXPECT_EQ(a.has_original_dcid, b.has_original_dcid);
    EXPECT_EQ(a.has_initial_scid, b.has_initial_scid);
    EXPECT_EQ(a.has_retry_scid, b.has_retry_scid);
    EXPECT_EQ(a.has_reset_token, b.has_reset_token);
    EXPECT_EQ(a.has_preferred_address, b.has_preferred_address);
    EXPECT_TRUE(quic_cid_equal(&a.original_dcid, &b.original_dcid));
    EXPECT_TRUE(quic_cid_equal(&a.initial_scid, &b.initial_scid));
    EXPECT_TRUE(quic_cid_equal(&a.retry_scid, &b.retry_scid));
    EXPECT_EQ(memcmp(a.reset_token, b.reset_token, sizeof(a.reset_token)), 0);
    EXPECT_TRUE(quic_addr_equal(&a.preferred_address.v4, &b.preferred_address.v4));
    EXPECT_TRUE(quic_addr_equal(&a.preferred_address.v6, &b.preferred_address.v6));
    EXPECT_TRUE(quic_cid_equal(&a.preferred_address.cid, &b.preferred_address.cid));
    EXPECT_EQ(memcmp(a.preferred_address.reset_token, b.preferred_address.reset_token,
                     QUIC_RESET_TOKEN_LEN),
              0);
}

/* RFC 9000 18.2 */
TEST(TransportParams, Defaults)
{
    quic_transport_params p;
    ASSERT_EQ(Decode("", QUIC_SERVER, &p), QUIC_OK);
    EXPECT_EQ(p.max_idle_timeout_ms, 0u);
    EXPECT_EQ(p.max_udp_payload_size, 65527u);
    EXPECT_EQ(p.initial_max_data, 0u);
    EXPECT_EQ(p.initial_max_streams_bidi, 0u);
    EXPECT_EQ(p.ack_delay_exponent, 3u);
    EXPECT_EQ(p.max_ack_delay_ms, 25u);
    EXPECT_EQ(p.active_connection_id_limit, 2u);
    EXPECT_FALSE(p.disable_active_migration);
    EXPECT_FALSE(p.has_initial_scid);
    EXPECT_EQ(p.max_datagram_frame_size, 0u);
    EXPECT_FALSE(p.has_min_ack_delay || p.grease_quic_bit || p.reset_stream_at ||
                 p.disable_1rtt_encryption || p.has_version_info);
    uint8_t buf[1];
    EXPECT_EQ(quic_transport_params_encode(buf, 1, &p, QUIC_SERVER, 0), 0u); /* nothing to say */
}

TEST(TransportParams, ServerRoundTrip)
{
    quic_transport_params p = Full();
    uint8_t buf[QUIC_TP_ENCODED_MAX];
    size_t n = quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_SERVER, UINT64_MAX);
    ASSERT_GT(n, 0u);
    quic_transport_params back;
    ASSERT_EQ(quic_transport_params_decode(&back, buf, n, QUIC_SERVER), QUIC_OK);
    ExpectSame(p, back);
    for (size_t room = 0; room < n; room++) {
        std::vector<uint8_t> small(room);
        ASSERT_EQ(quic_transport_params_encode(small.data(), room, &p, QUIC_SERVER, UINT64_MAX),
                  0u);
    }
    EXPECT_EQ(quic_transport_params_decode(&back, buf, n, QUIC_CLIENT), QUIC_V_TRANSPORT_PARAMETER);
}

TEST(TransportParams, ClientLeavesServerOnlyOnesOut)
{
    quic_transport_params p = Full();
    uint8_t buf[QUIC_TP_ENCODED_MAX];
    size_t n = quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_CLIENT, 0);
    ASSERT_GT(n, 0u);
    quic_transport_params back;
    ASSERT_EQ(quic_transport_params_decode(&back, buf, n, QUIC_CLIENT), QUIC_OK);
    EXPECT_FALSE(back.has_original_dcid || back.has_retry_scid || back.has_reset_token ||
                 back.has_preferred_address);
    EXPECT_TRUE(quic_cid_equal(&p.initial_scid, &back.initial_scid));
    EXPECT_EQ(back.initial_max_data, p.initial_max_data);
}

/* RFC 9001 A.2: the parameters inside the client's first packet. */
TEST(TransportParams, ClientOfRfc9001)
{
    quic_transport_params p;
    ASSERT_EQ(Decode("0408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394"
                     "c8f03e51570806048000ffff",
                     QUIC_CLIENT, &p),
              QUIC_OK);
    EXPECT_EQ(p.initial_max_data, QUIC_VARINT_MAX);
    EXPECT_EQ(p.initial_max_stream_data_bidi_local, 65535u);
    EXPECT_EQ(p.initial_max_stream_data_bidi_remote, 65535u);
    EXPECT_EQ(p.initial_max_stream_data_uni, 65535u);
    EXPECT_EQ(p.initial_max_streams_bidi, 16u);
    EXPECT_EQ(p.initial_max_streams_uni, 16u);
    EXPECT_EQ(p.max_idle_timeout_ms, 30000u);
    EXPECT_EQ(p.initial_scid.len, 8);
}

/* RFC 9000 18.1 */
TEST(TransportParams, GreaseIsReservedAndPassedOver)
{
    quic_transport_params p;
    quic_transport_params_default(&p);
    quic_rng_seeded_state state = {8};
    quic_rng rng = quic_rng_seeded(&state);
    for (int i = 0; i < 1000; i++) {
        uint8_t buf[32];
        size_t n =
            quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_CLIENT, quic_rng_u64(&rng) | 1);
        ASSERT_GT(n, 0u);
        uint64_t id = buf[0] & 0x3f;
        for (int k = 1; k < 1 << (buf[0] >> 6); k++) {
            id = id << 8 | buf[k];
        }
        ASSERT_EQ((id - 27) % 31, 0u);
        quic_transport_params back;
        ASSERT_EQ(quic_transport_params_decode(&back, buf, n, QUIC_CLIENT), QUIC_OK);
    }
}

TEST(TransportParams, BadValues)
{
    struct {
        const char *hex;
        bool ok;
        const char *why;
    } cases[] = {
        {"0a0114", true, "ack_delay_exponent 20"},
        {"0a0115", false, "ack_delay_exponent 21"},
        {"0b027fff", true, "max_ack_delay 2^14 - 1"},
        {"0b0480004000", false, "max_ack_delay 2^14"},
        {"0e0102", true, "active_connection_id_limit 2"},
        {"0e0101", false, "active_connection_id_limit 1"},
        {"030244b0", true, "max_udp_payload_size 1200"},
        {"030244af", false, "max_udp_payload_size 1199"},
        {"0808d000000000000000", true, "initial_max_streams_bidi 2^60"},
        {"0808d000000000000001", false, "initial_max_streams_bidi above 2^60"},
        {"0908d000000000000000", true, "initial_max_streams_uni 2^60"},
        {"0908d000000000000001", false, "initial_max_streams_uni above 2^60"},
        {"0c00", true, "disable_active_migration"},
        {"0c0100", false, "disable_active_migration with a value"},
        {"0400", false, "integer of no bytes"},
        {"0402014f", false, "integer shorter than its length"},
        {"040140", false, "integer longer than its length"},
        {"04", false, "no length"},
        {"0402", false, "value cut"},
        {"40", false, "id cut"},
        {"0401010401", false, "duplicate, cut"},
        {"040101040101", false, "duplicate"},
        {"0f000f00", false, "duplicate of an empty one"},
        {"0f00", true, "empty connection ID"},
        {"0f15000000000000000000000000000000000000000000", false, "connection ID of 21 bytes"},
        {"0210000102030405060708090a0b0c0d0e0f", true, "reset token"},
        {"020f000102030405060708090a0b0c0d0e", false, "reset token of 15 bytes"},
        {"0211000102030405060708090a0b0c0d0e0f10", false, "reset token of 17 bytes"},
        {"2001", false, "max_datagram_frame_size cut"},
        {"20020101", false, "max_datagram_frame_size, a byte more"},
        {"20048000ffff", true, "max_datagram_frame_size 65535"},
        {"200100", true, "max_datagram_frame_size 0"},
        {"2000", false, "max_datagram_frame_size without a value"},
        {"200101200101", false, "max_datagram_frame_size twice"},
        {"1d00", true, "reset_stream_at"},
        {"1d0100", false, "reset_stream_at with a value"},
        {"1d001d00", false, "reset_stream_at twice"},
        {"6ab200", true, "grease_quic_bit"},
        {"6ab20100", false, "grease_quic_bit with a value"},
        {"6ab2006ab200", false, "grease_quic_bit twice"},
        {"8000baad00", true, "disable_1rtt_encryption"},
        {"8000baad0100", false, "disable_1rtt_encryption with a value"},
        {"8000baad008000baad00", false, "disable_1rtt_encryption twice"},
        {"c0000000ff04de1b0107", true, "min_ack_delay"},
        {"c0000000ff04de1b00", false, "min_ack_delay without a value"},
        {"c0000000ff04de1b0107c0000000ff04de1b0107", false, "min_ack_delay twice"},
        {"c0000000ff04de1b04800061a8", true, "min_ack_delay 25 ms, the default of max_ack_delay"},
        {"c0000000ff04de1b04800061a9", false, "min_ack_delay above max_ack_delay"},
        {"c0000000ff04de1b04800061a90b011a", true, "the same with a max_ack_delay of 26 ms"},
        {"c0000000ff04de1b0243e90b0101", false, "min_ack_delay 1001 us, max_ack_delay 1 ms"},
        {"110400000001", true, "version_information of a server that deploys none"},
        {"11080000000100000001", true, "version_information"},
        {"1108000000016b3343cf", true, "chosen is not available: a server may"},
        {"1100", false, "version_information, empty"},
        {"1103000001", false, "version_information, too short"},
        {"1106000000010000", false, "version_information, half a version"},
        {"110400000000", false, "chosen version 0"},
        {"11080000000100000000", false, "available version 0"},
        {"110400000001110400000001", false, "version_information twice"},
        {"401b02aaaa", true, "unknown"},
        {"7fff03aaaa", false, "unknown, cut"},
    };
    for (const auto &c : cases) {
        const quic_rc want = c.ok ? static_cast<quic_rc>(QUIC_OK) : QUIC_V_TRANSPORT_PARAMETER;
        EXPECT_EQ(Decode(c.hex), want) << c.why;
    }
}

/* RFC 9000 18.2: a server closes on parameters only a server may send. */
TEST(TransportParams, ServerOnlyFromAClient)
{
    for (const char *hex : {"0000", "0210000102030405060708090a0b0c0d0e0f", "1000"}) {
        EXPECT_EQ(Decode(hex, QUIC_SERVER), QUIC_OK) << hex;
        EXPECT_EQ(Decode(hex, QUIC_CLIENT), QUIC_V_TRANSPORT_PARAMETER) << hex;
    }
}

TEST(TransportParams, PreferredAddress)
{
    const std::string v4 = "c0000201"
                           "01bb";
    const std::string v6 = "20010db8000000000000000000000001"
                           "01bb";
    const std::string none6(36, '0');
    const std::string token = "000102030405060708090a0b0c0d0e0f";
    quic_transport_params p;
    ASSERT_EQ(Decode("0d2d" + v4 + v6 + "04deadbeef" + token, QUIC_SERVER, &p), QUIC_OK);
    EXPECT_TRUE(p.has_preferred_address);
    EXPECT_EQ(p.preferred_address.v4.port, 443);
    EXPECT_EQ(p.preferred_address.v4.family, 4);
    EXPECT_EQ(p.preferred_address.v6.ip[0], 0x20);
    EXPECT_EQ(p.preferred_address.cid.len, 4);
    ASSERT_EQ(Decode("0d2d" + v4 + none6 + "04deadbeef" + token, QUIC_SERVER, &p), QUIC_OK);
    EXPECT_EQ(p.preferred_address.v6.family, 0);
    EXPECT_EQ(Decode("0d29" + v4 + v6 + "00" + token), QUIC_V_TRANSPORT_PARAMETER);
    EXPECT_EQ(Decode("0d2c" + v4 + v6 + "04deadbeef" + token.substr(2)),
              QUIC_V_TRANSPORT_PARAMETER);
    EXPECT_EQ(Decode("0d2e" + v4 + v6 + "04deadbeef" + token + "00"), QUIC_V_TRANSPORT_PARAMETER);
    EXPECT_EQ(Decode("0d3e" + v4 + v6 + "15" + std::string(42, '0') + token),
              QUIC_V_TRANSPORT_PARAMETER);
    /* a server with an empty connection ID must not offer one */
    EXPECT_EQ(Decode("0f000d2d" + v4 + v6 + "04deadbeef" + token), QUIC_V_TRANSPORT_PARAMETER);
}

/* RFC 9368 3, 4 */
TEST(TransportParams, VersionInformation)
{
    quic_transport_params p;
    ASSERT_EQ(Decode("1110"
                     "00000001"
                     "6b3343cf"
                     "1a2a3a4a"
                     "00000001",
                     QUIC_CLIENT, &p),
              QUIC_OK);
    ASSERT_TRUE(p.has_version_info);
    EXPECT_EQ(p.version_info.chosen, 1u);
    ASSERT_EQ(p.version_info.available_count, 2u) << "reserved versions are nobody's choice";
    EXPECT_EQ(p.version_info.available[0], 0x6b3343cfu);
    EXPECT_EQ(p.version_info.available[1], 1u);
    EXPECT_EQ(Decode("1108000000016b3343cf", QUIC_CLIENT), QUIC_V_TRANSPORT_PARAMETER)
        << "a client's chosen version is available";
    EXPECT_EQ(Decode("110400000001", QUIC_CLIENT), QUIC_V_TRANSPORT_PARAMETER);
    /* 40 versions, of which the first are kept, and the chosen one, which comes last */
    std::string many = "1140a8"
                       "00000001";
    for (int i = 0; i < 40; i++) {
        many += "000000f" + std::string(1, "0123456789abcdef"[i % 16]);
    }
    EXPECT_EQ(Decode(many + "00000001", QUIC_CLIENT, &p), QUIC_OK);
    EXPECT_EQ(p.version_info.available_count, QUIC_TP_VERSIONS_MAX);
    EXPECT_EQ(p.version_info.available[14], 0xfeu);
    EXPECT_EQ(p.version_info.available[15], 1u);
}

TEST(TransportParams, ExtensionsAreWrittenOnlyWhenSet)
{
    quic_transport_params p;
    uint8_t buf[QUIC_TP_ENCODED_MAX];
    quic_transport_params_default(&p);
    EXPECT_EQ(quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_SERVER, 0), 0u);
    p.has_min_ack_delay = true; /* 0 us is not the same as none */
    p.disable_1rtt_encryption = true;
    const size_t n = quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_SERVER, 0);
    EXPECT_EQ(std::vector<uint8_t>(buf, buf + n), FromHex("8000baad00"
                                                          "c0000000ff04de1b0100"));
}

/* RFC 9000 7.4.1: what a client does not remember for 0-RTT, and what it does */
TEST(TransportParams, LimitsAreRememberedAndNothingElse)
{
    const quic_transport_params full = Full();
    quic_transport_params p = full;
    quic_transport_params_keep_remembered(&p);
    EXPECT_EQ(p.ack_delay_exponent, 3u);
    EXPECT_EQ(p.max_ack_delay_ms, 25u);
    EXPECT_EQ(p.min_ack_delay_us, 0u);
    EXPECT_FALSE(p.has_min_ack_delay || p.grease_quic_bit || p.disable_1rtt_encryption ||
                 p.has_version_info || p.has_original_dcid || p.has_initial_scid ||
                 p.has_retry_scid || p.has_reset_token || p.has_preferred_address);
    EXPECT_EQ(p.max_idle_timeout_ms, full.max_idle_timeout_ms);
    EXPECT_EQ(p.max_udp_payload_size, full.max_udp_payload_size);
    EXPECT_EQ(p.initial_max_data, full.initial_max_data);
    EXPECT_EQ(p.initial_max_stream_data_bidi_local, full.initial_max_stream_data_bidi_local);
    EXPECT_EQ(p.initial_max_stream_data_bidi_remote, full.initial_max_stream_data_bidi_remote);
    EXPECT_EQ(p.initial_max_stream_data_uni, full.initial_max_stream_data_uni);
    EXPECT_EQ(p.initial_max_streams_bidi, full.initial_max_streams_bidi);
    EXPECT_EQ(p.initial_max_streams_uni, full.initial_max_streams_uni);
    EXPECT_EQ(p.active_connection_id_limit, full.active_connection_id_limit);
    EXPECT_EQ(p.disable_active_migration, full.disable_active_migration);
    EXPECT_EQ(p.max_datagram_frame_size, full.max_datagram_frame_size);
    EXPECT_EQ(p.reset_stream_at, full.reset_stream_at);
}

TEST(TransportParams, CountIsBounded)
{
    std::string many;
    for (uint32_t i = 0; i < QUIC_TP_COUNT_MAX; i++) {
        many += "3a00"; /* unknown ones are not checked for duplicates */
    }
    EXPECT_EQ(Decode(many), QUIC_OK);
    EXPECT_EQ(Decode(many + "3a00"), QUIC_V_TRANSPORT_PARAMETER);
}

TEST(TransportParams, RandomBytes)
{
    quic_rng_seeded_state state = {14};
    quic_rng rng = quic_rng_seeded(&state);
    for (int i = 0; i < 100000; i++) {
        std::vector<uint8_t> b(quic_rng_u64(&rng) % 60);
        quic_rng_fill(&rng, b.data(), b.size());
        for (uint8_t &byte : b) {
            byte = (quic_rng_u64(&rng) & 3) != 0 ? byte & 0x1f : byte;
        }
        quic_transport_params p;
        quic_rc rc = quic_transport_params_decode(&p, b.data(), b.size(), QUIC_SERVER);
        ASSERT_TRUE(rc == QUIC_OK || rc == QUIC_V_TRANSPORT_PARAMETER);
    }
}

} // namespace
