/* A peer among the others that does not keep to the rules; drawn apart from the rest. */
#include <algorithm>

#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;
constexpr uint32_t kStreamsMin = 16; /* for what it opens itself, and what it forges */

void draw_rude(Rng &r, ByzantinePlan &b)
{
    b.rude = static_cast<Rude>(r.below(kRudeCount));
    b.every_ns = r.log_range(500 * QUIC_NS_PER_US, 200 * kMs);
    b.burst = static_cast<uint32_t>(r.log_range(1, 20));
    b.count = static_cast<uint32_t>(r.log_range(1, 60));
    b.no_acks = r.chance(0.15);
    b.tiny_acks = r.chance(0.15);
    b.no_credit = r.chance(0.15);
    b.shuffle = r.chance(0.3);
    b.drop = r.chance(0.3) ? r.log_uniform(0.005, 0.5) : 0;
    b.repeat = r.chance(0.3) ? r.log_uniform(0.01, 1) : 0;
}

} // namespace

void draw_byzantine(Options &o)
{
    Rng r(o.seed ^ 0x62797a61u);
    if (o.tls != Tls::kScript || o.clean || !r.chance(0.25)) {
        return;
    }
    ConnPlan c;
    c.seed = r.u64();
    c.client = static_cast<uint32_t>(r.below(o.clients.size()));
    c.start_ns = r.below(o.heal_ns);
    c.close_ns = r.log_range(10 * kMs, 10 * kS);
    c.byzantine.is_on = true;
    c.byzantine.by_server = r.chance(0.35);
    if (r.chance(0.5)) {
        c.byzantine.violation = static_cast<int>(r.below(1u << 20));
        c.byzantine.every_ns = r.log_range(kMs, 300 * kMs);
        c.byzantine.count = 400;
        c.close_ns = 60 * kS; /* the violation ends it */
    } else {
        draw_rude(r, c.byzantine);
    }
    for (HostOptions *h : {&o.server, &o.clients[c.client]}) {
        h->limits.streams_bidi_max = std::max(h->limits.streams_bidi_max, kStreamsMin);
        h->limits.streams_uni_max = std::max(h->limits.streams_uni_max, kStreamsMin);
        h->limits.disable_1rtt_encryption = false; /* what is rewritten needs its tag */
    }
    o.conns.push_back(c);
}

} // namespace sim
