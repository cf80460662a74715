#include "tests/sim/link.h"

#include <algorithm>

namespace sim
{
namespace
{
constexpr size_t kHistory = 64;
} // namespace

bool Link::swallow(quic_ns now)
{
    if (options_.drop_every != 0 && sent_ <= options_.drop_until &&
        sent_ % options_.drop_every == 0) {
        return true;
    }
    if (healed_) {
        return false;
    }
    for (const auto &b : options_.blackouts) {
        if (now >= b.first && now < b.second) {
            return true;
        }
    }
    if (options_.burst_enter > 0) {
        burst_ = burst_ ? !rng_.chance(options_.burst_leave) : rng_.chance(options_.burst_enter);
        if (burst_) {
            return true;
        }
    }
    return rng_.chance(options_.loss);
}

/* A drop-tail queue in front of a line of bytes_per_s. */
bool Link::queue_full(size_t len, quic_ns now)
{
    if (options_.bytes_per_s == 0) {
        return false;
    }
    if (options_.police_bytes != 0) {
        return policed(len, now);
    }
    quic_ns from = busy_until_ > now ? busy_until_ : now;
    if (waiting(now) > options_.queue_bytes + 3000) {
        return true;
    }
    busy_until_ = from + len * QUIC_NS_PER_S / options_.bytes_per_s;
    return false;
}

/* A token bucket that drops what it has nothing for, and delays nothing. */
bool Link::policed(size_t len, quic_ns now)
{
    const double more =
        static_cast<double>(now - tokens_ns_) * static_cast<double>(options_.bytes_per_s) / 1e9;
    tokens_ = std::min(tokens_ + more, static_cast<double>(options_.police_bytes));
    tokens_ns_ = now;
    if (tokens_ < static_cast<double>(len)) {
        return true;
    }
    tokens_ -= static_cast<double>(len);
    return false;
}

/* An AQM with a step: RFC 3168. */
void Link::mark(Datagram &d, quic_ns now) const
{
    if (options_.mark_bytes != 0 && d.ecn != 0 && waiting(now) >= options_.mark_bytes) {
        d.ecn = 3;
    }
}

void Link::damage(Datagram &d)
{
    if (rng_.chance(options_.corrupt)) {
        uint64_t bits = rng_.range(1, options_.corrupt_bits);
        for (uint64_t i = 0; i < bits; i++) {
            uint64_t bit = rng_.below(d.bytes.size() * 8);
            d.bytes[bit / 8] = static_cast<uint8_t>(d.bytes[bit / 8] ^ (1u << (bit % 8)));
        }
    }
    if (rng_.chance(options_.truncate)) {
        d.bytes.resize(rng_.range(1, d.bytes.size()));
        /* Scripted runs have readable payloads: none may end in a reset token it carries. */
        d.bytes.back() = static_cast<uint8_t>(d.bytes.back() ^ 0x55);
    }
}

quic_ns Link::arrival(quic_ns now)
{
    quic_ns at = (busy_until_ > now ? busy_until_ : now) + options_.delay_ns;
    return options_.jitter_ns > 0 ? at + rng_.below(options_.jitter_ns + 1) : at;
}

void Link::remember(const Datagram &d)
{
    if (history_.size() < kHistory) {
        history_.push_back(d);
    } else {
        history_[history_at_] = d;
        history_at_ = (history_at_ + 1) % kHistory;
    }
}

void Link::carry(Datagram d, quic_ns now, std::vector<Datagram> &out)
{
    sent_++;
    if (options_.replay > 0 && !healed_) {
        if (!history_.empty() && rng_.chance(options_.replay)) {
            Datagram old = history_[rng_.below(history_.size())];
            old.arrive_ns = arrival(now);
            out.push_back(std::move(old));
        }
        remember(d);
    }
    bool too_large = options_.mtu_bytes != 0 && now >= options_.mtu_from_ns &&
                     d.bytes.size() > options_.mtu_bytes;
    if (too_large || swallow(now) || queue_full(d.bytes.size(), now)) {
        lost_++;
        return;
    }
    mark(d, now);
    if (options_.ecn_mark > 0 && rng_.chance(options_.ecn_mark)) {
        d.ecn = static_cast<uint8_t>(rng_.below(4));
    }
    if (!healed_) {
        if (rng_.chance(options_.duplicate)) {
            Datagram twin = d;
            twin.arrive_ns = arrival(now);
            out.push_back(std::move(twin));
        }
        damage(d);
    }
    d.arrive_ns = arrival(now);
    out.push_back(std::move(d));
}

} // namespace sim
