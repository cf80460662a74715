#include "tests/sim/loop_options.h"

#include <algorithm>

#include "tests/sim/rng.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

rt_io_config draw_io(Rng &r)
{
    rt_io_config c;
    rt_io_config_init(&c);
    c.rx_buf_count = 1u << r.below(5);
    c.tx_slot_count = static_cast<uint32_t>(r.range(1, 8));
    c.tx_op_count = static_cast<uint32_t>(r.log_range(1, 256));
    c.gso = r.chance(0.7);
    return c;
}

uint32_t draw_pm(Rng &r, double p, uint32_t max)
{
    return r.chance(p) ? static_cast<uint32_t>(r.log_range(1, max)) : 0;
}

void draw_faults(Rng &r, rt_sim_faults *f, bool harsh, bool fixed_size)
{
    f->delay_min_ns = r.log_range(10 * QUIC_NS_PER_US, 30 * kMs);
    f->delay_max_ns = f->delay_min_ns + (r.chance(0.5) ? r.log_range(1000, 20 * kMs) : 0);
    f->drop_pm = draw_pm(r, 0.5, harsh ? 150 : 20);
    f->duplicate_pm = draw_pm(r, 0.4, 100);
    f->corrupt_pm = draw_pm(r, 0.3, harsh ? 50 : 10);
    f->ecn_ce_pm = draw_pm(r, 0.2, 300);
    f->completion_pm = draw_pm(r, 0.6, 900);
    f->tx_error_pm = draw_pm(r, 0.4, harsh ? 100 : 10);
    f->tx_refused_pm = draw_pm(r, 0.3, 300);
    f->tx_again_pm = draw_pm(r, 0.5, 200);
    f->gso_refuse_pm = draw_pm(r, 0.3, 1000);
    f->rx_nobufs_pm = draw_pm(r, 0.5, 500);
    f->rx_split_pm = draw_pm(r, 0.5, 1000);
    f->rx_queue_max = r.chance(0.3) ? static_cast<uint32_t>(r.log_range(harsh ? 4 : 40, 400)) : 0;
    f->mtu_bytes = !fixed_size && r.chance(0.3) ? static_cast<uint32_t>(r.range(1200, 1500)) : 0;
}

/* The connections of a seed of the other simulator, on hosts that neither run out nor crash. */
void draw_base(Options &o, bool *fixed_size)
{
    o.resume = Resume::kNever;
    o.may_run_out = false;
    o.clean = false;
    o.attack = AttackOptions{};
    o.rebinds.clear();
    o.crashes.clear();
    std::vector<HostOptions *> hosts = {&o.server};
    for (HostOptions &h : o.clients) {
        hosts.push_back(&h);
    }
    const quring_limits roomy = sim_limits();
    *fixed_size = false;
    for (HostOptions *h : hosts) {
        h->limits.connections_max = roomy.connections_max;
        h->limits.half_open_max = roomy.half_open_max;
        h->limits.initials_per_s_retry = 0;
        h->limits.handshake_timeout_ns = 30 * kS;
        h->limits.idle_timeout_ns = 30 * kS;
        *fixed_size = *fixed_size || h->limits.udp_payload_bytes != QUIC_MIN_INITIAL_LEN;
    }
    for (ConnPlan &c : o.conns) {
        c.never_close = false;
        c.key_updates = 0;
        c.cid_rotations = 0;
    }
}

} // namespace

LoopOptions draw_loop_options(uint64_t seed)
{
    Rng r(seed ^ 0x6c6f6f70u);
    LoopOptions l;
    l.base = draw_options(seed, Tls::kScript);
    bool fixed_size = false;
    draw_base(l.base, &fixed_size);
    l.servers = static_cast<uint32_t>(r.range(1, 4));
    for (uint32_t i = 0; i < l.servers; i++) {
        l.bind_order.insert(l.bind_order.begin() + static_cast<long>(r.below(i + 1)), i);
    }
    if (r.chance(0.5)) {
        std::sort(l.bind_order.begin(), l.bind_order.end());
    }
    for (size_t i = 0; i < l.servers + l.base.clients.size(); i++) {
        l.io.push_back(draw_io(r));
    }
    draw_faults(r, &l.faults, l.base.harsh, fixed_size);
    l.heal_ns = r.log_range(100 * kMs, 10 * kS);
    l.skip = r.chance(0.5) ? r.log_uniform(0.01, 0.7) : 0;
    l.flood = r.chance(0.2) ? r.log_uniform(0.001, 0.05) : 0;
    return l;
}

} // namespace sim
