/* Packet headers: whatever is accepted lies inside the datagram and says the same when written again. */
#include "quic/wire/header.h"
#include "tests/fuzz/fuzz.h"

namespace
{

quic_cid cid_of(const uint8_t *bytes, uint8_t len)
{
    quic_cid cid{};
    quic_cid_set(&cid, bytes, len);
    return cid;
}

bool inside(const uint8_t *view, size_t len, const uint8_t *data, size_t total)
{
    return len == 0 || (view >= data && view + len <= data + total);
}

void check_known(const quic_long_header &h, const uint8_t *data, uint32_t versions)
{
    FUZZ_CHECK(h.pn_offset + h.payload_len == h.packet_len);
    FUZZ_CHECK(h.payload_len >= QUIC_PN_LEN_MAX + QUIC_AEAD_TAG_LEN);
    quic_cid dcid = cid_of(h.dcid, h.dcid_len);
    quic_cid scid = cid_of(h.scid, h.scid_len);
    quic_long_header_spec spec{};
    spec.type = h.type;
    spec.version = h.version;
    spec.dcid = &dcid;
    spec.scid = &scid;
    spec.token = h.token;
    spec.token_len = h.token_len;
    spec.pn = quic_pn_load(data + h.pn_offset, 4);
    spec.pn_len = 4;
    if (h.payload_len > QUIC_HEADER_LENGTH_MAX) {
        return; /* our own are never that long */
    }
    size_t need = quic_header_long_len(&spec);
    std::vector<uint8_t> out(need + h.payload_len);
    size_t len_at = 0;
    FUZZ_CHECK(quic_header_encode_long(out.data(), need - 1, &len_at, &spec) == 0);
    FUZZ_CHECK(quic_header_encode_long(out.data(), need, &len_at, &spec) == need);
    quic_header_patch_len(out.data(), len_at, h.payload_len);
    quic_long_header again;
    FUZZ_CHECK(quic_header_decode_long(&again, out.data(), out.size(), versions) == QUIC_OK);
    FUZZ_CHECK(again.type == h.type && again.version == h.version);
    FUZZ_CHECK(again.payload_len == h.payload_len && again.token_len == h.token_len);
    FUZZ_CHECK(quic_cid_is(&dcid, again.dcid, again.dcid_len));
    FUZZ_CHECK(quic_cid_is(&scid, again.scid, again.scid_len));
    FUZZ_CHECK(h.token_len == 0 || memcmp(again.token, h.token, h.token_len) == 0);
    FUZZ_CHECK(quic_pn_load(out.data() + again.pn_offset, 4) == spec.pn);
}

void check_vn(const quic_long_header &h)
{
    FUZZ_CHECK(h.version_count >= 1);
    std::vector<uint32_t> versions;
    for (uint32_t i = 0; i < h.version_count; i++) {
        versions.push_back(quic_header_vn_version(&h, i));
    }
    std::vector<uint8_t> out(h.packet_len);
    FUZZ_CHECK(quic_header_encode_vn(out.data(), out.size(), h.first,
                                     quic_reader_make(h.dcid, h.dcid_len),
                                     quic_reader_make(h.scid, h.scid_len), versions.data(),
                                     versions.size()) == h.packet_len);
    quic_long_header again;
    FUZZ_CHECK(quic_header_decode_long(&again, out.data(), out.size(), QUIC_VERSIONS_ALL) ==
               QUIC_OK);
    FUZZ_CHECK(again.type == QUIC_PACKET_VN && again.version_count == h.version_count);
}

void check_packet_numbers(fuzz::Input *in)
{
    uint64_t pn = in->spread() & ((1ull << 62) - 1);
    uint64_t expected = in->spread() & ((1ull << 62) - 1);
    for (uint8_t len = 1; len <= 4; len++) {
        uint8_t bytes[4];
        FUZZ_CHECK(quic_pn_encode(bytes, pn, len) == len);
        uint64_t got = quic_pn_decode(quic_pn_load(bytes, len), len, expected);
        uint64_t win = 1ull << (8 * len);
        FUZZ_CHECK(got < 1ull << 62 && got % win == pn % win);
        /* RFC 9000 A.3: the closest one, where there is a choice. */
        uint64_t far = got > expected ? got - expected : expected - got;
        FUZZ_CHECK(far <= win / 2 || got < win || got + win >= 1ull << 62);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz::Input in(data, len);
    uint8_t flags = in.u8();
    uint32_t versions = flags & QUIC_VERSIONS_ALL;
    if ((flags & 0x40) != 0) {
        check_packet_numbers(&in);
    }
    fuzz::Exact datagram(in.bytes(65535));
    size_t off = 0;
    for (size_t rounds = 0; off < datagram.size(); rounds++) {
        const uint8_t *p = datagram.data() + off;
        size_t left = datagram.size() - off;
        quic_long_header h;
        size_t pn_at = 0;
        FUZZ_CHECK(rounds <= datagram.size());
        if (!quic_header_is_long(p[0])) {
            if (quic_header_decode_short(&pn_at, p, left, flags % 21) == QUIC_OK) {
                FUZZ_CHECK(pn_at == 1u + flags % 21);
                FUZZ_CHECK(pn_at + QUIC_PN_LEN_MAX + QUIC_AEAD_TAG_LEN <= left);
            }
            break;
        }
        if (quic_header_decode_long(&h, p, left, versions) != QUIC_OK) {
            break;
        }
        FUZZ_CHECK(h.packet_len >= 7 && h.packet_len <= left);
        FUZZ_CHECK(inside(h.dcid, h.dcid_len, p, left) && inside(h.scid, h.scid_len, p, left));
        FUZZ_CHECK(inside(h.token, h.token_len, p, left));
        if (h.type <= QUIC_PACKET_HANDSHAKE) {
            check_known(h, p, versions);
        } else if (h.type == QUIC_PACKET_VN) {
            check_vn(h);
        } else {
            FUZZ_CHECK(h.packet_len == left);
        }
        off += h.packet_len;
    }
    return 0;
}
