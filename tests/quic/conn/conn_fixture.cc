#include "tests/quic/conn/conn_fixture.h"

#include <cstdlib>
#include <cstring>

#include "quic/wire/frame_decode.h"
#include "quic/wire/header.h"
#include "quic/wire/varint.h"

Frames &Frames::v(uint64_t value)
{
    uint8_t buf[8];
    size_t n = quic_varint_encode(buf, value);
    bytes_.insert(bytes_.end(), buf, buf + n);
    return *this;
}

Frames &Frames::b(std::initializer_list<uint8_t> bytes)
{
    bytes_.insert(bytes_.end(), bytes);
    return *this;
}

Frames &Frames::fill(size_t count, uint8_t value)
{
    bytes_.insert(bytes_.end(), count, value);
    return *this;
}

Frames &Frames::str(const std::string &s)
{
    bytes_.insert(bytes_.end(), s.begin(), s.end());
    return *this;
}

Liar::Liar(bool by_server, const std::function<void(sim::Options &)> &change)
    : net(change), by_server_(by_server)
{
}

void Liar::establish()
{
    client = net.connect();
    if (client == nullptr ||
        !net.run_until([&] { return net.client.conn != nullptr && net.server.conn != nullptr; })) {
        abort();
    }
    net.run_for(200 * kMs);
    net.sent.clear();
}

void Liar::start_handshake()
{
    net.filter = [](Packet &p) {
        return !p.to_server || ((p.bytes[0] & 0xf0) == 0xc0 && p.sent_ns == kS); /* first Initial */
    };
    client = net.connect();
    if (client == nullptr || !net.run_until([&] { return net.client.conn != nullptr; }, 5 * kS)) {
        abort();
    }
    net.run_for(kMs);
    net.filter = nullptr;
    net.sent.clear();
}

Side &Liar::victim()
{
    return by_server_ ? net.client : net.server;
}

Side &Liar::liar()
{
    return by_server_ ? net.server : net.client;
}

quic_conn *Liar::liar_conn()
{
    if (!by_server_) {
        return client;
    }
    quic_conn *found = nullptr;
    quic_endpoint_each_conn(
        net.server.ep,
        [](quic_conn *conn, void *ctx) {
            *static_cast<quic_conn **>(ctx) = conn;
            return false;
        },
        &found);
    return found;
}

Bytes Liar::make(quic_level level, const Bytes &frames, uint32_t flags)
{
    Bytes out(frames.size() + 1500);
    size_t n = inject_make(liar_conn(), level, flags, frames.data(), frames.size(), out.data(),
                           out.size());
    if (n == 0) {
        abort();
    }
    out.resize(n);
    return out;
}

void Liar::say(quic_level level, const Frames &frames, uint32_t flags)
{
    Bytes packet = make(level, frames.bytes(), flags);
    if (together) {
        waiting.push_back(packet);
    } else {
        net.inject(victim(), packet);
    }
}

void Liar::say_all()
{
    for (size_t i = 0; i < waiting.size();) {
        const size_t len = waiting[i].size();
        Bytes unit;
        bool shorter = false;
        for (; i < waiting.size() && !shorter && (unit.empty() || waiting[i].size() <= len); i++) {
            shorter = waiting[i].size() < len;
            unit.insert(unit.end(), waiting[i].begin(), waiting[i].end());
        }
        net.inject(victim(), unit, 5000, static_cast<uint32_t>(unit.size() > len ? len : 0));
    }
    waiting.clear();
}

namespace
{

/* Walks the packets of a datagram: shim-sealed payloads lie open. */
template <class F> void each_frame(const Bytes &datagram, F visit)
{
    size_t off = 0;
    while (off < datagram.size()) {
        const uint8_t *p = datagram.data() + off;
        size_t left = datagram.size() - off;
        WireClose where;
        size_t start = 0;
        size_t end = left;
        if (quic_header_is_long(p[0])) {
            quic_long_header h;
            if (quic_header_decode_long(&h, p, left, QUIC_VERSIONS_ALL) != QUIC_OK ||
                h.type > QUIC_PACKET_HANDSHAKE) {
                return;
            }
            where.in = h.type;
            start = h.pn_offset + quic_header_pn_len(p[0]);
            end = h.packet_len;
        } else {
            where.in_short = true;
            start = 1 + 8u + quic_header_pn_len(p[0]);
        }
        size_t at = start;
        while (at < end - QUIC_AEAD_TAG_LEN) {
            quic_frame frame;
            size_t n = 0;
            if (quic_frame_decode_ext(&frame, &n, p + at, end - QUIC_AEAD_TAG_LEN - at,
                                      QUIC_EXT_ALL) != QUIC_OK) {
                break;
            }
            visit(where, frame);
            at += n;
        }
        off += end;
    }
}

} // namespace

std::vector<WireClose> Liar::closes()
{
    std::vector<WireClose> out;
    for (const Packet &p : net.sent) {
        if (p.to_server != by_server_) {
            continue;
        }
        each_frame(p.bytes, [&](const WireClose &where, const quic_frame &frame) {
            if (frame.type == QUIC_FRAME_CONNECTION_CLOSE ||
                frame.type == QUIC_FRAME_CONNECTION_CLOSE_APP) {
                WireClose c = where;
                c.seen = true;
                c.app = frame.close.app;
                c.error = frame.close.error;
                c.frame_type = frame.close.frame_type;
                out.push_back(c);
            }
        });
    }
    return out;
}

uint64_t Liar::close_on_wire()
{
    std::vector<WireClose> all = closes();
    return all.empty() ? UINT64_MAX : all[0].error;
}

size_t Liar::count_frames(uint8_t type)
{
    size_t n = 0;
    for (const Packet &p : net.sent) {
        if (p.to_server == by_server_) {
            each_frame(p.bytes, [&](const WireClose &where, const quic_frame &frame) {
                n += where.in_short && frame.type == type ? 1 : 0;
            });
        }
    }
    return n;
}

Bytes Liar::first_from_liar()
{
    for (const Packet &p : net.sent) {
        if (p.to_server != by_server_) {
            return p.bytes;
        }
    }
    return {};
}

bool Liar::alive()
{
    return victim().conn != nullptr && victim().close_kind() == QURING_CLOSE_NONE;
}
