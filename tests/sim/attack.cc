#include "tests/sim/attack.h"

#include <cstring>
#include <utility>

#include "quic/base/mem.h"
#include "quic/crypto/keys.h"
#include "quic/wire/header.h"
#include "tests/sim/alloc.h"
#include "tests/sim/wire.h"

namespace sim
{
namespace
{

constexpr size_t kHistory = 32;
constexpr uint8_t kCloseInInitial[] = {QUIC_FRAME_CONNECTION_CLOSE, 0x01, 0x00, 0x00};

bool is_long_of(const Datagram &d, quic_packet_type type)
{
    WirePacket packets[kWirePacketsMax];
    size_t n = split_packets(d.bytes.data(), d.bytes.size(), packets);
    for (size_t i = 0; i < n; i++) {
        if (packets[i].type == type) {
            return true;
        }
    }
    return false;
}

quic_cid cid_of(const uint8_t *bytes, size_t len)
{
    quic_cid cid{};
    quic_cid_set(&cid, bytes, len < QUIC_CID_LEN_MAX ? len : QUIC_CID_LEN_MAX);
    return cid;
}

} // namespace

bool Attacker::filters(const Datagram &d)
{
    if (healed_ || options_.filter <= 0) {
        return false;
    }
    bool matches = (d.bytes[0] & options_.filter_mask) == options_.filter_value;
    if (options_.filter_versions && quic_header_is_long(d.bytes[0]) && d.bytes.size() >= 5) {
        matches = quic_load_be32(d.bytes.data() + 1) != QUIC_VERSION_1; /* "unknown to me" */
    }
    return matches && rng_.chance(options_.filter);
}

/* ---- what he can make --------------------------------------------------------------------------- */

quic_addr Attacker::own_address()
{
    quic_addr a{};
    a.family = 4;
    a.ip[0] = 10;
    a.ip[1] = 66;
    a.ip[2] = static_cast<uint8_t>(rng_.below(256));
    a.ip[3] = static_cast<uint8_t>(rng_.range(1, 254));
    a.port = static_cast<uint16_t>(rng_.range(1, 65535));
    return a;
}

std::vector<uint8_t> Attacker::random_bytes(size_t len)
{
    std::vector<uint8_t> bytes(len);
    for (uint8_t &b : bytes) {
        b = static_cast<uint8_t>(rng_.u64());
    }
    return bytes;
}

quic_cid Attacker::random_cid()
{
    std::vector<uint8_t> bytes = random_bytes(rng_.range(8, 20));
    return cid_of(bytes.data(), bytes.size());
}

/* A well-formed Initial. Its keys follow from the client's first DCID. */
std::vector<uint8_t> Attacker::initial_of(const quic_cid &key_cid, const quic_cid &dcid,
                                          const quic_cid &scid, bool from_client,
                                          std::vector<uint8_t> frames)
{
    Alloc alloc;
    quic_mem mem;
    quic_allocator table = alloc.table();
    quic_mem_init_root(&mem, &table, 1 << 20);
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;
    std::vector<uint8_t> out(QUIC_MIN_INITIAL_LEN);
    if (quic_keys_create_initial(&client, &server, crypto_, &mem, QUIC_VERSION_1, &key_cid) !=
        QUIC_OK) {
        return out;
    }
    quic_keys *keys = from_client ? client : server;
    quic_long_header_spec spec{};
    spec.type = QUIC_PACKET_INITIAL;
    spec.version = QUIC_VERSION_1;
    spec.dcid = &dcid;
    spec.scid = &scid;
    spec.pn = rng_.below(1u << 20);
    spec.pn_len = 4;
    size_t len_off = 0;
    size_t hdr = quic_header_encode_long(out.data(), out.size(), &len_off, &spec);
    size_t payload = out.size() - hdr - QUIC_AEAD_TAG_LEN;
    frames.resize(payload); /* PADDING */
    memcpy(out.data() + hdr, frames.data(), payload);
    quic_header_patch_len(out.data(), len_off, 4 + payload + QUIC_AEAD_TAG_LEN);
    quic_keys_seal(keys, spec.pn, out.data(), hdr, out.data() + hdr, payload);
    uint8_t mask[16];
    quic_keys_hp_mask(keys, out.data() + hdr, mask); /* sample: 4 bytes behind the packet number */
    out[0] = static_cast<uint8_t>(out[0] ^ (mask[0] & 0x0f));
    for (size_t i = 0; i < 4; i++) {
        out[hdr - 4 + i] = static_cast<uint8_t>(out[hdr - 4 + i] ^ mask[1 + i]);
    }
    quic_keys_destroy(client);
    quic_keys_destroy(server);
    return out;
}

/* RFC 9000 6.2: one that lists the version tried, or comes late, must change nothing. */
std::vector<uint8_t> Attacker::version_negotiation(const quic_cid &dcid, const quic_cid &scid,
                                                   bool deadly)
{
    uint32_t versions[3] = {0xfaceb00cu, QUIC_VERSION_1, QUIC_VERSION_2};
    std::vector<uint8_t> out(128);
    size_t n =
        quic_header_encode_vn(out.data(), out.size(), static_cast<uint8_t>(rng_.u64()),
                              quic_reader_make(dcid.bytes, dcid.len),
                              quic_reader_make(scid.bytes, scid.len), versions, deadly ? 1 : 3);
    out.resize(n);
    return out;
}

/* RFC 9000 17.2.5.2: without the right tag it is nothing. */
std::vector<uint8_t> Attacker::retry(const quic_cid &dcid, const quic_cid &scid)
{
    std::vector<uint8_t> token = random_bytes(rng_.range(1, 60));
    std::vector<uint8_t> out(256);
    size_t n = quic_header_encode_retry(out.data(), out.size(), QUIC_VERSION_1,
                                        static_cast<uint8_t>(rng_.u64()), &dcid, &scid,
                                        token.data(), token.size());
    out.resize(n);
    std::vector<uint8_t> tag = random_bytes(QUIC_AEAD_TAG_LEN);
    out.insert(out.end(), tag.begin(), tag.end());
    return out;
}

/* RFC 9000 10.3: without the token it is an undecryptable packet. */
std::vector<uint8_t> Attacker::reset(const Datagram &seen)
{
    std::vector<uint8_t> out = random_bytes(rng_.range(21, 60));
    out[0] = static_cast<uint8_t>((out[0] & 0x3f) | 0x40);
    if (!quic_header_is_long(seen.bytes[0]) && seen.bytes.size() >= 9 && rng_.chance(0.5)) {
        memcpy(out.data() + 1, seen.bytes.data() + 1, 8); /* of the connection */
    }
    return out;
}

std::vector<uint8_t> Attacker::other_version(const quic_cid &dcid)
{
    std::vector<uint8_t> out = random_bytes(rng_.range(1100, 1400));
    out[0] = static_cast<uint8_t>(out[0] | 0x80);
    quic_store_be32(out.data() + 1, 0x0a1a2a3au);
    out[5] = dcid.len;
    memcpy(out.data() + 6, dcid.bytes, dcid.len);
    out[6u + dcid.len] = static_cast<uint8_t>(rng_.range(0, 255)); /* SCID: any length */
    return out;
}

/* ---- what he does ------------------------------------------------------------------------------- */

Datagram Attacker::forge(const Datagram &seen, bool to_server, bool settled)
{
    Datagram d;
    d.from = seen.from;
    d.to = seen.to;
    quic_long_header h;
    bool is_long = quic_header_is_long(seen.bytes[0]) &&
                   quic_header_decode_long(&h, seen.bytes.data(), seen.bytes.size(),
                                           QUIC_VERSIONS_ALL) == QUIC_OK;
    quic_cid dcid = options_.on_path && is_long ? cid_of(h.dcid, h.dcid_len) : random_cid();
    quic_cid scid = options_.on_path && is_long ? cid_of(h.scid, h.scid_len) : random_cid();
    bool free_hand = settled || options_.early;
    switch (rng_.below(7)) {
    case 0:
        d.bytes = version_negotiation(dcid, scid, free_hand);
        break;
    case 1:
        d.bytes = retry(dcid, scid);
        break;
    case 2:
        d.bytes = reset(seen);
        break;
    case 3:
        d.bytes = other_version(dcid);
        break;
    case 4: /* a stranger's Initial: a new connection that never goes on */
        if (to_server) {
            d.from = own_address();
            quic_cid first = random_cid();
            /* One draw after the other: the order of arguments is the compiler's. */
            std::vector<uint8_t> frames = random_bytes(rng_.range(1, 200));
            quic_cid own = random_cid();
            d.bytes = initial_of(first, first, own, true, std::move(frames));
            break;
        }
        d.bytes = random_bytes(rng_.range(1, 1400));
        break;
    case 5: /* an Initial of this connection with its true keys: may kill it while it is young */
        if (free_hand && client_dcid_.len > 0 && is_long && options_.on_path) {
            std::vector<uint8_t> frames(kCloseInInitial, kCloseInInitial + sizeof(kCloseInInitial));
            d.bytes = initial_of(client_dcid_, dcid, scid, to_server, frames);
            break;
        }
        d.bytes = random_bytes(rng_.range(1, 1400));
        break;
    default:
        d.from = rng_.chance(0.5) ? own_address() : d.from;
        d.bytes = random_bytes(rng_.range(1, 1400));
        break;
    }
    return d;
}

void Attacker::remember(const Datagram &d, bool to_server)
{
    std::vector<Datagram> &history = history_[to_server];
    if (history.size() < kHistory) {
        history.push_back(d);
    } else {
        history[history_at_[to_server]] = d;
        history_at_[to_server] = (history_at_[to_server] + 1) % kHistory;
    }
}

/* An earlier datagram from another address: his own, or one that another client uses. A copy that
 * reaches the server before the first Initial does takes the connection away from its client. */
Datagram Attacker::repeat(bool to_server, bool settled)
{
    std::vector<Datagram> &history = history_[to_server];
    Datagram d = history[rng_.below(history.size())];
    if (!settled && !options_.early && is_long_of(d, QUIC_PACKET_INITIAL)) {
        d.bytes.clear();
        return d;
    }
    if (to_server) {
        d.from = rng_.chance(0.5) ? own_address() : history[rng_.below(history.size())].from;
    } else if (rng_.chance(0.5)) {
        d.from = own_address();
    }
    return d;
}

void Attacker::watch(const Datagram &d, bool to_server, bool settled, std::vector<Datagram> &out)
{
    if (healed_) {
        return;
    }
    if (options_.forge > 0 && to_server && is_long_of(d, QUIC_PACKET_INITIAL)) {
        quic_long_header h;
        if (quic_header_decode_long(&h, d.bytes.data(), d.bytes.size(), QUIC_VERSIONS_ALL) ==
                QUIC_OK &&
            !quic_cid_is(&client_scid_, h.scid, h.scid_len)) {
            client_dcid_ = cid_of(h.dcid, h.dcid_len);
            client_scid_ = cid_of(h.scid, h.scid_len);
        }
    }
    if (rng_.chance(options_.forge)) {
        out.push_back(forge(d, to_server, settled));
    }
    if (options_.replay > 0) {
        if (!history_[to_server].empty() && rng_.chance(options_.replay)) {
            Datagram again = repeat(to_server, settled);
            if (!again.bytes.empty()) {
                out.push_back(std::move(again));
            }
        }
        remember(d, to_server);
    }
}

} // namespace sim
