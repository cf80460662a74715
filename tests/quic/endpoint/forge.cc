#include "tests/quic/endpoint/forge.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "quic/crypto/crypto.h"
#include "quic/crypto/keys.h"
#include "quic/wire/frame_decode.h"
#include "quic/wire/frame_encode.h"
#include "quic/wire/header.h"

namespace
{

struct InitialKeys {
    sim::Alloc alloc;
    quic_mem mem{};
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;

    InitialKeys(const quic_cid &dcid, uint32_t version)
    {
        quic_allocator table = alloc.table();
        quic_mem_init_root(&mem, &table, 1u << 20);
        if (quic_keys_create_initial(&client, &server, quic_crypto_shim(), &mem,
                                     quic_version_bit(version) != 0 ? version : QUIC_VERSION_1,
                                     &dcid) != QUIC_OK) {
            abort();
        }
    }
    ~InitialKeys()
    {
        quic_keys_destroy(client);
        quic_keys_destroy(server);
    }
};

} // namespace

Bytes operator+(const Bytes &a, const Bytes &b)
{
    Bytes out = a;
    out.insert(out.end(), b.begin(), b.end());
    return out;
}

quic_cid make_cid(uint64_t value)
{
    quic_cid cid{};
    quic_cid_set(&cid, reinterpret_cast<const uint8_t *>(&value), sizeof(value));
    return cid;
}

Bytes forge_initial(const InitialSpec &spec)
{
    InitialKeys keys(spec.key_dcid, spec.version);
    Bytes out(std::max<size_t>(spec.frames.size() + spec.token.size() + 1500, spec.pad_to));
    quic_long_header_spec h{};
    h.type = QUIC_PACKET_INITIAL;
    h.version = spec.version;
    h.dcid = &spec.dcid;
    h.scid = &spec.scid;
    h.token = spec.token.data();
    h.token_len = spec.token.size();
    h.pn = spec.pn;
    h.pn_len = 2;
    h.clear_fixed_bit = spec.no_fixed_bit;
    size_t len_off = 0;
    size_t hdr = quic_header_encode_long(out.data(), out.size(), &len_off, &h);
    memcpy(out.data() + hdr, spec.frames.data(), spec.frames.size());
    size_t body = spec.frames.size();
    if (hdr + body + QUIC_AEAD_TAG_LEN < spec.pad_to) {
        body = spec.pad_to - hdr - QUIC_AEAD_TAG_LEN; /* the rest is zero: PADDING */
    }
    quic_header_patch_len(out.data(), len_off, h.pn_len + body + QUIC_AEAD_TAG_LEN);
    quic_keys_seal(spec.from_server ? keys.server : keys.client, spec.pn, out.data(), hdr,
                   out.data() + hdr, body);
    out.resize(hdr + body + QUIC_AEAD_TAG_LEN); /* the shim's header protection is none */
    return out;
}

Bytes open_initial(const Bytes &datagram, const quic_cid &key_dcid, bool from_server)
{
    quic_long_header h;
    if (quic_header_decode_long(&h, datagram.data(), datagram.size(), QUIC_VERSIONS_ALL) !=
            QUIC_OK ||
        h.type != QUIC_PACKET_INITIAL) {
        return {};
    }
    InitialKeys keys(key_dcid, h.version);
    Bytes copy = datagram;
    uint8_t pn_len = quic_header_pn_len(copy[0]);
    uint64_t pn = 0;
    for (uint8_t i = 0; i < pn_len; i++) {
        pn = pn << 8 | copy[h.pn_offset + i];
    }
    size_t hdr = h.pn_offset + pn_len;
    if (!quic_keys_open(from_server ? keys.server : keys.client, pn, copy.data(), hdr,
                        copy.data() + hdr, h.packet_len - hdr)) {
        return {};
    }
    return Bytes(copy.begin() + static_cast<ptrdiff_t>(hdr),
                 copy.begin() + static_cast<ptrdiff_t>(h.packet_len - QUIC_AEAD_TAG_LEN));
}

Bytes crypto_frame(uint64_t offset, const uint8_t *data, size_t len)
{
    Bytes out(len + 20);
    size_t hdr = quic_frame_encode_crypto_header(out.data(), out.size(), offset, len);
    memcpy(out.data() + hdr, data, len);
    out.resize(hdr + len);
    return out;
}

Bytes crypto_bytes(const Bytes &frames)
{
    Bytes out;
    size_t off = 0;
    while (off < frames.size()) {
        quic_frame frame;
        size_t n = 0;
        if (quic_frame_decode(&frame, &n, frames.data() + off, frames.size() - off) != QUIC_OK) {
            return {};
        }
        if (frame.type == QUIC_FRAME_CRYPTO && frame.crypto.off == out.size()) {
            out.insert(out.end(), frame.crypto.data, frame.crypto.data + frame.crypto.len);
        }
        off += n;
    }
    return out;
}

uint64_t close_code_of(const Bytes &frames)
{
    size_t off = 0;
    while (off < frames.size()) {
        quic_frame frame;
        size_t n = 0;
        if (quic_frame_decode(&frame, &n, frames.data() + off, frames.size() - off) != QUIC_OK) {
            break;
        }
        if (frame.type == QUIC_FRAME_CONNECTION_CLOSE) {
            return frame.close.error;
        }
        off += n;
    }
    return UINT64_MAX;
}

quic_cid dcid_of(const Bytes &long_packet)
{
    quic_cid cid{};
    quic_cid_set(&cid, long_packet.data() + 6, long_packet[5]);
    return cid;
}

quic_cid scid_of(const Bytes &long_packet)
{
    quic_cid cid{};
    size_t at = 6u + long_packet[5];
    quic_cid_set(&cid, long_packet.data() + at + 1, long_packet[at]);
    return cid;
}
