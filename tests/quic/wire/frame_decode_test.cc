#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/wire/frame_decode.h"
#include "quic/wire/frame_table.h"
#include "tests/quic/wire/hex.h"

namespace
{

/* Decodes one frame from a heap copy of exactly its size, so that overreads are seen. */
class Decoded
{
  public:
    explicit Decoded(const std::string &hex) : bytes(FromHex(hex))
    {
        rc = quic_frame_decode(&frame, &len, bytes.data(), bytes.size());
    }
    Decoded(const std::string &hex, uint32_t extensions) : bytes(FromHex(hex))
    {
        rc = quic_frame_decode_ext(&frame, &len, bytes.data(), bytes.size(), extensions);
    }

    std::vector<uint8_t> bytes;
    quic_frame frame = {};
    size_t len = 0;
    quic_rc rc;
};

TEST(FrameDecode, PaddingIsOneRun)
{
    Decoded d("00000001");
    ASSERT_EQ(d.rc, QUIC_OK);
    EXPECT_EQ(d.frame.type, QUIC_FRAME_PADDING);
    EXPECT_EQ(d.frame.padding.count, 3u);
    EXPECT_EQ(d.len, 3u);
    Decoded whole("0000");
    EXPECT_EQ(whole.len, 2u);
}

TEST(FrameDecode, FramesWithoutFields)
{
    Decoded ping("01ff");
    ASSERT_EQ(ping.rc, QUIC_OK);
    EXPECT_EQ(ping.frame.type, QUIC_FRAME_PING);
    EXPECT_EQ(ping.len, 1u);
    Decoded done("1e");
    ASSERT_EQ(done.rc, QUIC_OK);
    EXPECT_EQ(done.frame.type, QUIC_FRAME_HANDSHAKE_DONE);
}

TEST(FrameDecode, Ack)
{
    /* largest 100, delay 5, two more ranges: [98,100], gap 1 -> [90,95], gap 0 -> [88,88] */
    Decoded d("024064050202010500"
              "00");
    ASSERT_EQ(d.rc, QUIC_OK);
    EXPECT_EQ(d.len, d.bytes.size());
    EXPECT_EQ(d.frame.ack.largest, 100u);
    EXPECT_EQ(d.frame.ack.delay_raw, 5u);
    EXPECT_FALSE(d.frame.ack.has_ecn);
    quic_ack_iter it = quic_ack_iter_make(&d.frame.ack);
    uint64_t lo = 0;
    uint64_t hi = 0;
    ASSERT_TRUE(quic_ack_ranges_next(&it, &lo, &hi));
    EXPECT_EQ(lo, 98u);
    EXPECT_EQ(hi, 100u);
    ASSERT_TRUE(quic_ack_ranges_next(&it, &lo, &hi));
    EXPECT_EQ(lo, 90u);
    EXPECT_EQ(hi, 95u);
    ASSERT_TRUE(quic_ack_ranges_next(&it, &lo, &hi));
    EXPECT_EQ(lo, 88u);
    EXPECT_EQ(hi, 88u);
    EXPECT_FALSE(quic_ack_ranges_next(&it, &lo, &hi));
}

TEST(FrameDecode, AckWithEcn)
{
    Decoded d("030a000000010203");
    ASSERT_EQ(d.rc, QUIC_OK);
    EXPECT_TRUE(d.frame.ack.has_ecn);
    EXPECT_EQ(d.frame.ack.ecn[0], 1u);
    EXPECT_EQ(d.frame.ack.ecn[1], 2u);
    EXPECT_EQ(d.frame.ack.ecn[2], 3u);
    /* none of what was there before in one without */
    const std::vector<uint8_t> plain = FromHex("020a000000");
    ASSERT_EQ(quic_frame_decode(&d.frame, &d.len, plain.data(), plain.size()), QUIC_OK);
    EXPECT_FALSE(d.frame.ack.has_ecn);
    EXPECT_EQ(d.frame.ack.ecn[0] | d.frame.ack.ecn[1] | d.frame.ack.ecn[2], 0u);
}

/* RFC 9000 19.3.1: no computed packet number may be negative. */
TEST(FrameDecode, AckUnderflow)
{
    EXPECT_EQ(Decoded("020a00000b").rc, QUIC_V_FRAME_ENCODING);     /* first range */
    EXPECT_EQ(Decoded("020a00000a").rc, QUIC_OK);                   /* down to 0 */
    EXPECT_EQ(Decoded("020a00010a0000").rc, QUIC_V_FRAME_ENCODING); /* nothing below 0 */
    EXPECT_EQ(Decoded("020a0001080000").rc, QUIC_OK);               /* gap to 0 */
    EXPECT_EQ(Decoded("020a0001080001").rc, QUIC_V_FRAME_ENCODING); /* range below 0 */
    EXPECT_EQ(Decoded("020a0001090000").rc, QUIC_V_FRAME_ENCODING); /* gap below 0 */
    EXPECT_EQ(Decoded("020a000100ffffffffffffffff00").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("020a00ffffffffffffffff000000").rc, QUIC_V_FRAME_ENCODING); /* count */
}

TEST(FrameDecode, StreamWithEveryBit)
{
    for (unsigned bits = 0; bits < 8; bits++) {
        std::vector<uint8_t> b = {static_cast<uint8_t>(0x08 | bits), 0x40, 0x44};
        if ((bits & QUIC_FRAME_STREAM_OFF) != 0) {
            b.insert(b.end(), {0x80, 0x01, 0x00, 0x00});
        }
        if ((bits & QUIC_FRAME_STREAM_LEN) != 0) {
            b.push_back(3);
        }
        b.insert(b.end(), {'a', 'b', 'c', 0x01});
        quic_frame f = {};
        size_t len = 0;
        ASSERT_EQ(quic_frame_decode(&f, &len, b.data(), b.size()), QUIC_OK);
        EXPECT_EQ(f.type, b[0]);
        EXPECT_TRUE(quic_frame_is_stream(f.type));
        EXPECT_EQ(f.stream.id, 0x44u);
        EXPECT_EQ(f.stream.off, (bits & QUIC_FRAME_STREAM_OFF) != 0 ? 0x10000u : 0u);
        EXPECT_EQ(f.stream.fin, (bits & QUIC_FRAME_STREAM_FIN) != 0);
        bool with_len = (bits & QUIC_FRAME_STREAM_LEN) != 0;
        EXPECT_EQ(f.stream.len, with_len ? 3u : 4u);
        EXPECT_EQ(f.stream.data[0], 'a');
        EXPECT_EQ(len, with_len ? b.size() - 1 : b.size());
    }
}

TEST(FrameDecode, FieldsOfTheOthers)
{
    Decoded reset("0404412344ff");
    ASSERT_EQ(reset.rc, QUIC_OK);
    EXPECT_EQ(reset.frame.reset_stream.id, 4u);
    EXPECT_EQ(reset.frame.reset_stream.error, 0x123u);
    EXPECT_EQ(reset.frame.reset_stream.final_size, 0x4ffu);
    Decoded stop("050407");
    EXPECT_EQ(stop.frame.stop_sending.id, 4u);
    EXPECT_EQ(stop.frame.stop_sending.error, 7u);
    Decoded crypto("06050261627a");
    ASSERT_EQ(crypto.rc, QUIC_OK);
    EXPECT_EQ(crypto.frame.crypto.off, 5u);
    EXPECT_EQ(crypto.frame.crypto.len, 2u);
    EXPECT_EQ(crypto.frame.crypto.data[1], 'b');
    EXPECT_EQ(crypto.len, 5u);
    Decoded token("07026162");
    EXPECT_EQ(token.frame.new_token.len, 2u);
    EXPECT_EQ(Decoded("1011").frame.max_data.max, 0x11u);
    EXPECT_EQ(Decoded("110411").frame.max_stream_data.max, 0x11u);
    EXPECT_FALSE(Decoded("1205").frame.max_streams.uni);
    EXPECT_TRUE(Decoded("1305").frame.max_streams.uni);
    EXPECT_EQ(Decoded("1412").frame.data_blocked.max, 0x12u);
    EXPECT_EQ(Decoded("150412").frame.stream_data_blocked.id, 4u);
    EXPECT_FALSE(Decoded("1606").frame.streams_blocked.uni);
    EXPECT_TRUE(Decoded("1706").frame.streams_blocked.uni);
    EXPECT_EQ(Decoded("1906").frame.retire_connection_id.seq, 6u);
    EXPECT_EQ(Decoded("1a0102030405060708").frame.path.data[7], 8);
    EXPECT_EQ(Decoded("1b0102030405060708").frame.path.data[0], 1);
}

TEST(FrameDecode, NewConnectionId)
{
    Decoded d("18020104deadbeef000102030405060708090a0b0c0d0e0f");
    ASSERT_EQ(d.rc, QUIC_OK);
    EXPECT_EQ(d.frame.new_connection_id.seq, 2u);
    EXPECT_EQ(d.frame.new_connection_id.retire_prior_to, 1u);
    EXPECT_EQ(d.frame.new_connection_id.cid.len, 4);
    EXPECT_EQ(d.frame.new_connection_id.cid.bytes[3], 0xef);
    EXPECT_EQ(d.frame.new_connection_id.reset_token[15], 15);
    EXPECT_EQ(Decoded("18020204deadbeef000102030405060708090a0b0c0d0e0f").rc, QUIC_OK);
    /* RFC 9000 19.15: retire_prior_to above the sequence number, length 0 or above 20 */
    EXPECT_EQ(Decoded("18010204deadbeef000102030405060708090a0b0c0d0e0f").rc,
              QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("18020100000102030405060708090a0b0c0d0e0f").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("18020115" + std::string(42 + 32, '0')).rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("18020114" + std::string(40 + 32, '0')).rc, QUIC_OK);
}

TEST(FrameDecode, ConnectionClose)
{
    Decoded d("1c0a0603626164");
    ASSERT_EQ(d.rc, QUIC_OK);
    EXPECT_FALSE(d.frame.close.app);
    EXPECT_EQ(d.frame.close.error, 10u);
    EXPECT_EQ(d.frame.close.frame_type, 6u);
    EXPECT_EQ(d.frame.close.reason_len, 3u);
    Decoded app("1d4101036279650000");
    ASSERT_EQ(app.rc, QUIC_OK);
    EXPECT_TRUE(app.frame.close.app);
    EXPECT_EQ(app.frame.close.error, 0x101u);
    EXPECT_EQ(app.frame.close.frame_type, 0u);
    EXPECT_EQ(app.len, 7u);
}

TEST(FrameDecode, OutOfRangeValues)
{
    /* RFC 9000 19.6, 19.8: offset + length up to 2^62 - 1 */
    EXPECT_EQ(Decoded("06ffffffffffffffff0161").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("06fffffffffffffffe0161").rc, QUIC_OK);
    EXPECT_EQ(Decoded("0e00ffffffffffffffff0161").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("0e00fffffffffffffffe0161").rc, QUIC_OK);
    EXPECT_EQ(Decoded("0c00ffffffffffffffff61").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("0c00ffffffffffffffff").rc, QUIC_OK); /* nothing at the end */
    /* RFC 9000 19.11, 19.14: at most 2^60 streams */
    for (const char *type : {"12", "13", "16", "17"}) {
        EXPECT_EQ(Decoded(std::string(type) + "d000000000000000").rc, QUIC_OK);
        EXPECT_EQ(Decoded(std::string(type) + "d000000000000001").rc, QUIC_V_FRAME_ENCODING);
    }
    EXPECT_EQ(Decoded("0700").rc, QUIC_V_FRAME_ENCODING); /* RFC 9000 19.7: empty token */
}

/* RFC 9000 12.4 */
TEST(FrameDecode, Types)
{
    EXPECT_EQ(Decoded("1f").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("3f").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("4052").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("ffffffffffffffff").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("40").rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("4001").rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("4008040000").rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("80000006").rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("c00000000000001f").rc, QUIC_V_PROTOCOL_VIOLATION);
}

TEST(FrameDecode, EveryFrameCutShort)
{
    const char *frames[] = {
        "02406405020201050000",
        "030a000000010203",
        "0404412344ff",
        "050407",
        "0605026162",
        "07026162",
        "0a0402aabb",
        "0f04050162",
        "104011",
        "110411",
        "124005",
        "134005",
        "1412",
        "150412",
        "1606",
        "1706",
        "18020104deadbeef000102030405060708090a0b0c0d0e0f",
        "1906",
        "1a0102030405060708",
        "1b0102030405060708",
        "1c0a0603626164",
        "1d0a03626164",
    };
    for (const char *hex : frames) {
        Decoded whole(hex);
        ASSERT_EQ(whole.rc, QUIC_OK) << hex;
        EXPECT_EQ(whole.len, whole.bytes.size()) << hex;
        for (size_t len = 1; len < whole.bytes.size(); len++) {
            Decoded cut(std::string(hex).substr(0, 2 * len));
            EXPECT_EQ(cut.rc, QUIC_V_FRAME_ENCODING) << hex << " cut to " << len;
        }
    }
    quic_frame f;
    size_t len = 0;
    EXPECT_EQ(quic_frame_decode(&f, &len, nullptr, 0), QUIC_V_FRAME_ENCODING);
}

/* RFC 9221 4 */
TEST(FrameDecodeExt, Datagram)
{
    Decoded rest("30616263", QUIC_EXT_DATAGRAM);
    ASSERT_EQ(rest.rc, QUIC_OK);
    EXPECT_EQ(rest.frame.type, QUIC_FRAME_DATAGRAM);
    EXPECT_EQ(rest.len, 4u);
    EXPECT_EQ(rest.frame.datagram.data, rest.bytes.data() + 1);
    EXPECT_EQ(rest.frame.datagram.len, 3u);
    Decoded empty("30", QUIC_EXT_DATAGRAM);
    ASSERT_EQ(empty.rc, QUIC_OK);
    EXPECT_EQ(empty.frame.datagram.len, 0u);
    Decoded sized("310261626300", QUIC_EXT_DATAGRAM);
    ASSERT_EQ(sized.rc, QUIC_OK);
    EXPECT_EQ(sized.frame.type, QUIC_FRAME_DATAGRAM_LEN);
    EXPECT_EQ(sized.len, 4u);
    EXPECT_EQ(sized.frame.datagram.data, sized.bytes.data() + 2);
    EXPECT_EQ(sized.frame.datagram.len, 2u);
    EXPECT_EQ(Decoded("31036162", QUIC_EXT_DATAGRAM).rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("31", QUIC_EXT_DATAGRAM).rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("3140", QUIC_EXT_DATAGRAM).rc, QUIC_V_FRAME_ENCODING);
}

/* Acknowledgment Frequency 4, 5 */
TEST(FrameDecodeExt, AckFrequency)
{
    Decoded d("40af070a8000c350", QUIC_EXT_ACK_FREQUENCY);
    ASSERT_EQ(d.rc, QUIC_V_FRAME_ENCODING) << "cut";
    Decoded full("40af070a8000c35003ff", QUIC_EXT_ACK_FREQUENCY);
    ASSERT_EQ(full.rc, QUIC_OK);
    EXPECT_EQ(full.frame.type, QUIC_FRAME_ACK_FREQUENCY);
    EXPECT_EQ(full.len, 9u);
    EXPECT_EQ(full.frame.ack_frequency.seq, 7u);
    EXPECT_EQ(full.frame.ack_frequency.eliciting_threshold, 10u);
    EXPECT_EQ(full.frame.ack_frequency.max_ack_delay_us, 50000u);
    EXPECT_EQ(full.frame.ack_frequency.reordering_threshold, 3u);
    Decoded immediate("1fff", QUIC_EXT_ACK_FREQUENCY);
    ASSERT_EQ(immediate.rc, QUIC_OK);
    EXPECT_EQ(immediate.frame.type, QUIC_FRAME_IMMEDIATE_ACK);
    EXPECT_EQ(immediate.len, 1u);
    EXPECT_EQ(Decoded("af070a8000c35003ff", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING);
}

TEST(FrameDecodeExt, AckFrequencyDelayIsJudgedByItsUser)
{
    quic_frame_ack_frequency f = {1, 2, 1000, 1};
    EXPECT_TRUE(quic_frame_ack_frequency_is_valid(&f, 1000));
    EXPECT_FALSE(quic_frame_ack_frequency_is_valid(&f, 1001));
    f.max_ack_delay_us = 16383999;
    EXPECT_TRUE(quic_frame_ack_frequency_is_valid(&f, 0));
    f.max_ack_delay_us = 16384000; /* 2^14 ms */
    EXPECT_FALSE(quic_frame_ack_frequency_is_valid(&f, 0));
}

/* Reliable Stream Resets 4 */
TEST(FrameDecodeExt, ResetStreamAt)
{
    Decoded d("240405410043e8", QUIC_EXT_RESET_STREAM_AT);
    EXPECT_EQ(d.rc, QUIC_V_FRAME_ENCODING) << "reliable size above final size";
    Decoded full("24040543e84100ff", QUIC_EXT_RESET_STREAM_AT);
    ASSERT_EQ(full.rc, QUIC_OK);
    EXPECT_EQ(full.len, 7u);
    EXPECT_EQ(full.frame.reset_stream_at.id, 4u);
    EXPECT_EQ(full.frame.reset_stream_at.error, 5u);
    EXPECT_EQ(full.frame.reset_stream_at.final_size, 1000u);
    EXPECT_EQ(full.frame.reset_stream_at.reliable_size, 256u);
    EXPECT_EQ(Decoded("2404050808", QUIC_EXT_RESET_STREAM_AT).rc, QUIC_OK);
    EXPECT_EQ(Decoded("24040508", QUIC_EXT_RESET_STREAM_AT).rc, QUIC_V_FRAME_ENCODING);
}

TEST(FrameDecodeExt, OnlyWhatWasNegotiated)
{
    struct {
        const char *hex;
        uint32_t extension;
    } frames[] = {
        {"3061", QUIC_EXT_DATAGRAM},
        {"310161", QUIC_EXT_DATAGRAM},
        {"1f", QUIC_EXT_ACK_FREQUENCY},
        {"40af00000000", QUIC_EXT_ACK_FREQUENCY},
        {"2404050808", QUIC_EXT_RESET_STREAM_AT},
    };
    for (const auto &f : frames) {
        for (uint32_t set = 0; set <= QUIC_EXT_ALL; set++) {
            /* RFC 9221 3 names another error than RFC 9000 12.4 */
            const quic_rc refused = f.extension == QUIC_EXT_DATAGRAM ? QUIC_V_PROTOCOL_VIOLATION
                                                                     : QUIC_V_FRAME_ENCODING;
            const quic_rc want = (set & f.extension) != 0 ? static_cast<quic_rc>(QUIC_OK) : refused;
            EXPECT_EQ(Decoded(f.hex, set).rc, want) << f.hex << " " << set;
        }
        EXPECT_EQ(Decoded(f.hex).rc, QUIC_V_FRAME_ENCODING) << f.hex;
    }
}

/* RFC 9000 12.4: the shortest form of a type, also of one with two bytes. */
TEST(FrameDecodeExt, TypesOfSeveralBytes)
{
    EXPECT_EQ(Decoded("401f", QUIC_EXT_ALL).rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("8000001f", QUIC_EXT_ALL).rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("800000af00000000", QUIC_EXT_ALL).rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("403061", QUIC_EXT_ALL).rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("4001", QUIC_EXT_ALL).rc, QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Decoded("40", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("40ae00000000", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING);
    EXPECT_EQ(Decoded("41af00000000", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING) << "0x1af";
    EXPECT_EQ(Decoded("4130", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING) << "0x130";
    EXPECT_EQ(Decoded("ffffffffffffffaf", QUIC_EXT_ALL).rc, QUIC_V_FRAME_ENCODING);
    for (uint32_t type = QUIC_FRAME_TYPE_COUNT; type < 0x40; type++) {
        const uint8_t b[4] = {static_cast<uint8_t>(type), 0, 0, 0};
        quic_frame f;
        size_t len = 0;
        const bool known = quic_frame_extension(type) != QUIC_EXT_NONE && type != 0x24;
        EXPECT_EQ(quic_frame_decode_ext(&f, &len, b, sizeof(b), QUIC_EXT_ALL) == QUIC_OK, known)
            << type;
    }
}

/* Without extensions both functions agree on every first byte but DATAGRAM's. */
TEST(FrameDecodeExt, EmptySetChangesNothing)
{
    quic_rng_seeded_state state = {22};
    quic_rng rng = quic_rng_seeded(&state);
    for (int i = 0; i < 200000; i++) {
        std::vector<uint8_t> b(1 + quic_rng_u64(&rng) % 24);
        quic_rng_fill(&rng, b.data(), b.size());
        if (quic_frame_is_datagram(b[0])) {
            continue;
        }
        quic_frame f = {};
        quic_frame g = {};
        size_t f_len = 0;
        size_t g_len = 0;
        const quic_rc rc = quic_frame_decode(&f, &f_len, b.data(), b.size());
        ASSERT_EQ(quic_frame_decode_ext(&g, &g_len, b.data(), b.size(), QUIC_EXT_NONE), rc);
        ASSERT_EQ(f_len, g_len);
        ASSERT_EQ(f.type, g.type);
        if (rc == QUIC_OK) {
            ASSERT_LT(f.type, QUIC_FRAME_TYPE_COUNT);
        }
    }
}

/* Whatever the bytes, a frame stays inside them and its ACK ranges descend. */
TEST(FrameDecode, RandomBytesStayInBounds)
{
    quic_rng_seeded_state state = {21};
    quic_rng rng = quic_rng_seeded(&state);
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        std::vector<uint8_t> b(1 + quic_rng_u64(&rng) % 40);
        quic_rng_fill(&rng, b.data(), b.size());
        for (uint8_t &byte : b) { /* small integers more often */
            byte = (quic_rng_u64(&rng) & 3) != 0 ? byte & 0x3f : byte;
        }
        b[0] &= 0x3f;
        quic_frame f;
        size_t len = 0;
        if (quic_frame_decode_ext(&f, &len, b.data(), b.size(), QUIC_EXT_ALL) != QUIC_OK) {
            continue;
        }
        accepted++;
        ASSERT_GE(len, 1u);
        ASSERT_LE(len, b.size());
        if (f.type == QUIC_FRAME_ACK || f.type == QUIC_FRAME_ACK_ECN) {
            quic_ack_iter it = quic_ack_iter_make(&f.ack);
            uint64_t lo = 0;
            uint64_t hi = 0;
            uint64_t below = UINT64_MAX;
            uint64_t count = 0;
            while (quic_ack_ranges_next(&it, &lo, &hi)) {
                ASSERT_LE(lo, hi);
                ASSERT_LT(hi, below);
                below = lo - (lo > 0 ? 1 : 0);
                count++;
            }
            ASSERT_EQ(count, f.ack.range_count + 1);
            ASSERT_EQ(it.p, it.end);
        }
        if (quic_frame_is_stream(f.type)) {
            ASSERT_EQ(f.stream.data + f.stream.len, b.data() + len);
            ASSERT_LE(f.stream.off + f.stream.len, QUIC_VARINT_MAX);
        }
        if (quic_frame_is_datagram(f.type)) {
            ASSERT_EQ(f.datagram.data + f.datagram.len, b.data() + len);
        }
        if (f.type == QUIC_FRAME_RESET_STREAM_AT) {
            ASSERT_LE(f.reset_stream_at.reliable_size, f.reset_stream_at.final_size);
        }
    }
    EXPECT_GT(accepted, 10000);
}

} // namespace
