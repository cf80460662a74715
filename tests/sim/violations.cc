#include "tests/sim/violations.h"

#include "quic/wire/varint.h"
#include "tests/quic/conn/inject.h"

namespace sim
{
namespace
{

constexpr uint64_t kFar = 1u << 20; /* more streams, packets, IDs than there will be */

/* IDs of the victim's own and of the liar's streams (RFC 9000 2.1). */
uint64_t victims(bool to_server, uint64_t seq, bool uni)
{
    return seq * 4 + (uni ? 2 : 0) + (to_server ? 1 : 0);
}

uint64_t liars(bool to_server, uint64_t seq, bool uni)
{
    return seq * 4 + (uni ? 2 : 0) + (to_server ? 0 : 1);
}

std::vector<uint8_t> operator+(std::vector<uint8_t> a, const std::vector<uint8_t> &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

using Bytes = std::vector<uint8_t>;

const quic_level kApp = QUIC_LEVEL_APP;
const quic_level kHs = QUIC_LEVEL_HANDSHAKE;

} // namespace

std::vector<uint8_t> varints(std::initializer_list<uint64_t> values)
{
    Bytes out;
    for (uint64_t v : values) {
        uint8_t b[8];
        out.insert(out.end(), b, b + quic_varint_encode(b, v));
    }
    return out;
}

const std::vector<Violation> &violations()
{
    static const std::vector<Violation> all = {
        {"unknown frame type", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) { return Bytes{0x3f}; }},
        {"frame cut short", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) { return Bytes{0x04}; }},
        {"type not in its shortest form", kApp, false, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) {
             return Bytes{0x40, 0x01};
         }},
        {"no frames at all", kApp, false, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) { return Bytes{}; }},
        {"reserved bits", kApp, false, INJECT_RESERVED_BITS, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) { return Bytes{0x01}; }},
        {"HANDSHAKE_DONE from a client", kApp, true, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) { return Bytes{0x1e}; }},
        {"NEW_TOKEN from a client", kApp, true, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) {
             return Bytes{0x07, 0x01, 0xaa};
         }},
        {"empty NEW_TOKEN", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return Bytes{0x07, 0x00};
         }},
        {"KeyUpdate in CRYPTO", kApp, true, 0, QUIC_V_CRYPTO_BASE + 10,
         [](bool, uint64_t, uint64_t) {
             return Bytes{0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x01};
         }},
        {"acknowledges what was never sent", kApp, false, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) {
             return varints({2, kFar, 0, 0, 0});
         }},
        {"acknowledges numbers below 0", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return varints({2, 5, 0, 0, 6});
         }},
        {"stream past 2^62", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool s, uint64_t first, uint64_t) {
             return varints({0x0e, liars(s, first, false), QUIC_VARINT_MAX, 1}) + Bytes{'x'};
         }},
        {"stream beyond its credit", kApp, false, 0, QUIC_V_FLOW_CONTROL,
         [](bool s, uint64_t first, uint64_t) {
             return varints({0x0e, liars(s, first, false), 1ull << 40, 1}) + Bytes{'x'};
         }},
        {"stream above the limit", kApp, false, 0, QUIC_V_STREAM_LIMIT,
         [](bool s, uint64_t, uint64_t) {
             return varints({0x0a, liars(s, kFar, false), 1}) + Bytes{'x'};
         }},
        {"data on the victim's one-way stream", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t) {
             return varints({0x0a, victims(s, kFar, true), 0});
         }},
        {"data on a stream the victim never opened", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t) {
             return varints({0x0a, victims(s, kFar, false), 0});
         }},
        {"STOP_SENDING of a stream the victim never opened", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t) {
             return varints({5, victims(s, kFar, false), 0});
         }},
        {"STOP_SENDING of the liar's one-way stream", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t first) {
             return varints({5, liars(s, first, true), 0});
         }},
        {"MAX_STREAM_DATA of the liar's one-way stream", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t first) {
             return varints({0x11, liars(s, first, true), 1u << 20});
         }},
        {"RESET_STREAM of the victim's one-way stream", kApp, false, 0, QUIC_V_STREAM_STATE,
         [](bool s, uint64_t, uint64_t) {
             return varints({4, victims(s, kFar, true), 0, 0});
         }},
        {"final size that shrinks", kApp, false, 0, QUIC_V_FINAL_SIZE,
         [](bool s, uint64_t first, uint64_t) {
             uint64_t id = liars(s, first, false);
             return varints({0x0b, id, 4}) + Bytes{'a', 'b', 'c', 'd'} + varints({4, id, 0, 3});
         }},
        {"data past the final size", kApp, false, 0, QUIC_V_FINAL_SIZE,
         [](bool s, uint64_t first, uint64_t) {
             uint64_t id = liars(s, first, false);
             return varints({4, id, 0, 3}) + varints({0x0e, id, 3, 1}) + Bytes{'x'};
         }},
        {"MAX_STREAMS past 2^60", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return varints({0x12, (1ull << 60) + 1});
         }},
        {"STREAMS_BLOCKED past 2^60", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return varints({0x17, (1ull << 60) + 1});
         }},
        {"empty connection ID", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return varints({0x18, 1, 0, 0}) + Bytes(16, 7);
         }},
        {"retires connection IDs to come", kApp, false, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) {
             return varints({0x18, 1, 2, 8}) + Bytes(8, 9) + Bytes(16, 7);
         }},
        {"retires a connection ID never issued", kApp, false, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) {
             return varints({0x19, kFar});
         }},
        {"PATH_CHALLENGE in a Handshake packet", kHs, true, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) { return Bytes{0x1a} + Bytes(8, 1); }},
        {"STREAM in a Handshake packet", kHs, true, 0, QUIC_V_PROTOCOL_VIOLATION,
         [](bool, uint64_t, uint64_t) {
             return varints({0x0a, 0, 1}) + Bytes{'x'};
         }},
        {"unknown frame type in a Handshake packet", kHs, true, 0, QUIC_V_FRAME_ENCODING,
         [](bool, uint64_t, uint64_t) { return Bytes{0x3f}; }},
        {"CRYPTO beyond the buffer", kHs, true, 0, QUIC_V_CRYPTO_BUFFER_EXCEEDED,
         [](bool, uint64_t, uint64_t) {
             return varints({6, 1u << 20, 1}) + Bytes{'x'};
         }},
    };
    return all;
}

} // namespace sim
