#include "tests/interop/sniff.h"

#include <algorithm>
#include <sstream>

#include "quic/wire/header.h"

namespace interop
{

namespace
{

std::string text_of(const uint8_t *data, size_t len)
{
    return std::string(reinterpret_cast<const char *>(data), len);
}

std::string list(const std::set<uint32_t> &numbers)
{
    std::ostringstream out;
    const char *between = "[";
    for (uint32_t n : numbers) {
        out << between << n;
        between = ", ";
    }
    out << (numbers.empty() ? "[]" : "]");
    return out.str();
}

} // namespace

void Sniffer::on_long(const Passing &d, const uint8_t *at, size_t len, size_t *used)
{
    quic_long_header h;
    *used = len;
    if (quic_header_decode_long(&h, at, len, QUIC_VERSIONS_ALL) != QUIC_OK) {
        return;
    }
    Way &way = ways_[d.to_server ? 0 : 1];
    *used = h.packet_len;
    switch (h.type) {
    case QUIC_PACKET_INITIAL:
        way.initials++;
        way.initial_versions.insert(h.version);
        if (!d.to_server) {
            server_scids_.insert(text_of(h.scid, h.scid_len));
        } else if (h.token_len > 0 && retry_tokens_.count(text_of(h.token, h.token_len)) > 0) {
            retry_answers_++;
        }
        break;
    case QUIC_PACKET_HANDSHAKE:
        way.handshakes++;
        way.handshake_bytes += h.payload_len;
        way.handshake_versions.insert(h.version);
        break;
    case QUIC_PACKET_0RTT:
        way.zero_rtt_bytes += h.payload_len;
        break;
    case QUIC_PACKET_RETRY:
        if (!d.to_server) {
            retries_++;
            retry_tokens_.insert(text_of(h.token, h.token_len));
        }
        break;
    case QUIC_PACKET_VN:
        version_negotiations_ += d.to_server ? 0 : 1;
        break;
    case QUIC_PACKET_SHORT:
    case QUIC_PACKET_UNKNOWN_VERSION:
        break;
    }
}

/* RFC 9000 8.1, counted as somebody beside the server would: what the client's datagrams brought
 * against what left, until the client is proved by its first Handshake packet. */
void Sniffer::count_credit(const Passing &d, bool starts_initial, bool starts_handshake)
{
    if (!credit_open_) {
        return;
    }
    if (d.to_server) {
        if (d.reaches && starts_handshake) {
            credit_open_ = false;
        } else if (d.reaches && starts_initial) {
            credit_in_ += d.len;
        }
        return;
    }
    credit_out_ += d.len;
    if (credit_in_ > 0) {
        double ratio = static_cast<double>(credit_out_) / static_cast<double>(credit_in_);
        credit_worst_ = std::max(credit_worst_, ratio);
    }
}

void Sniffer::on_datagram(const Passing &d)
{
    Way &way = ways_[d.to_server ? 0 : 1];
    uint64_t initials = way.initials;
    uint64_t handshakes = way.handshakes;
    bool starts_initial = false;
    bool starts_handshake = false;
    way.ecn[d.ecn & 3]++;
    paths_ = std::max(paths_, d.path + 1);
    for (size_t off = 0; off < d.len;) {
        size_t used = d.len - off;
        if (quic_header_is_long(d.data[off])) {
            on_long(d, d.data + off, d.len - off, &used);
        } else {
            way.one_rtt_bytes += used;
        }
        if (off == 0) {
            starts_initial = way.initials > initials;
            starts_handshake = way.handshakes > handshakes;
        }
        off += used;
    }
    count_credit(d, starts_initial, starts_handshake);
}

std::string Sniffer::json() const
{
    std::ostringstream out;
    static const char *const names[2] = {"client", "server"};
    for (int i = 0; i < 2; i++) {
        const Way &w = ways_[i];
        out << '"' << names[i] << "\": {\"initials\": " << w.initials
            << ", \"handshake_packets\": " << w.handshakes
            << ", \"handshake_bytes\": " << w.handshake_bytes
            << ", \"zero_rtt_bytes\": " << w.zero_rtt_bytes
            << ", \"one_rtt_bytes\": " << w.one_rtt_bytes << ", \"ect\": " << w.ecn[1] + w.ecn[2]
            << ", \"ce\": " << w.ecn[3] << ", \"initial_versions\": " << list(w.initial_versions)
            << ", \"handshake_versions\": " << list(w.handshake_versions) << "}, ";
    }
    out << "\"handshakes\": " << server_scids_.size() << ", \"retries\": " << retries_
        << ", \"retry_answers\": " << retry_answers_
        << ", \"version_negotiations\": " << version_negotiations_ << ", \"paths\": " << paths_
        << ", \"amplification\": " << credit_worst_;
    return out.str();
}

} // namespace interop
