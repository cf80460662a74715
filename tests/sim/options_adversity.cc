/* People and machines that mean harm or fail: drawn apart, so that the rest of a seed stays what it
 * was. */
#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

void draw_attack(Rng &r, Options &o)
{
    AttackOptions &a = o.attack;
    a.on_path = r.chance(0.6);
    a.early = o.harsh && r.chance(0.4);
    a.forge = r.chance(0.7) ? r.log_uniform(0.002, 0.2) : 0;
    a.replay = r.chance(0.6) ? r.log_uniform(0.002, 0.1) : 0;
    a.too_big = r.chance(0.2) ? r.log_uniform(0.001, 0.05) : 0;
    if (r.chance(0.25)) {
        const uint8_t masks[] = {0x80, 0x40, 0x20, 0x04, 0x30, 0xc0, 0x03};
        a.filter_mask = masks[r.below(sizeof(masks))];
        a.filter_value = static_cast<uint8_t>(r.u64()) & a.filter_mask;
        a.filter = o.harsh ? r.log_uniform(0.01, 1) : r.log_uniform(0.001, 0.03);
        a.filter_versions = r.chance(0.3);
    }
}

void draw_rebinds(Rng &r, Options &o)
{
    uint64_t count = r.log_range(1, 6);
    for (uint64_t i = 0; i < count; i++) {
        RebindPlan p;
        p.client = static_cast<uint32_t>(r.below(o.clients.size()));
        p.at_ns = r.below(o.heal_ns);
        p.host = r.chance(0.4);
        p.keep_old = r.chance(0.3);
        o.rebinds.push_back(p);
    }
}

void draw_crashes(Rng &r, Options &o)
{
    uint64_t count = r.range(1, 2);
    for (uint64_t i = 0; i < count; i++) {
        CrashPlan p;
        p.host = r.chance(0.75) ? 0 : static_cast<uint32_t>(r.range(1, o.clients.size()));
        p.at_ns = r.below(o.heal_ns);
        p.down_ns = r.chance(0.3) ? 0 : r.log_range(kMs, 5 * kS);
        p.keep_secret = r.chance(0.6);
        o.crashes.push_back(p);
    }
}

} // namespace

void draw_adversity(Options &o)
{
    Rng r(o.seed ^ 0x61647665u);
    if (o.clean) {
        return;
    }
    if (r.chance(0.25)) {
        draw_attack(r, o);
    }
    if (r.chance(0.2)) {
        draw_rebinds(r, o);
    }
    if (r.chance(0.12)) {
        draw_crashes(r, o);
    }
}

} // namespace sim
