#include "tests/sim/options.h"

#include <cstdio>

#include "tests/sim/rng.h"

namespace sim
{
namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

LinkOptions draw_link(Rng &r, bool harsh, quic_ns heal_ns)
{
    LinkOptions l;
    l.delay_ns = r.log_range(10 * QUIC_NS_PER_US, 150 * kMs);
    l.jitter_ns = r.chance(0.4) ? r.log_range(QUIC_NS_PER_US, 40 * kMs) : 0;
    l.loss = r.chance(0.5) ? r.log_uniform(0.0005, harsh ? 0.3 : 0.03) : 0;
    l.duplicate = r.chance(0.3) ? r.log_uniform(0.001, 0.2) : 0;
    l.corrupt = r.chance(0.3) ? r.log_uniform(0.0005, harsh ? 0.1 : 0.02) : 0;
    l.corrupt_bits = static_cast<uint32_t>(r.range(1, 8));
    l.truncate = r.chance(0.2) ? r.log_uniform(0.0005, harsh ? 0.05 : 0.01) : 0;
    l.replay = r.chance(0.25) ? r.log_uniform(0.001, 0.1) : 0;
    l.ecn_mark = r.chance(0.2) ? r.log_uniform(0.01, 1) : 0;
    if (r.chance(0.35)) {
        l.bytes_per_s = r.log_range(harsh ? 30000 : 200000, 100000000);
        l.queue_bytes = r.log_range(8000, 1000000);
    }
    if (harsh && r.chance(0.5)) {
        l.burst_enter = r.log_uniform(0.0005, 0.03);
        l.burst_leave = r.log_uniform(0.05, 0.8);
    }
    for (int i = 0; harsh && i < 3 && r.chance(0.4); i++) {
        quic_ns from = r.below(heal_ns);
        l.blackouts.emplace_back(from, from + r.log_range(10 * kMs, 12 * kS));
    }
    return l;
}

quring_limits draw_limits(Rng &r)
{
    quring_limits l = sim_limits();
    l.idle_timeout_ns = r.range(4, 30) * kS;
    l.handshake_timeout_ns = r.range(4, 12) * kS;
    l.keep_alive_ns = r.chance(0.2) ? r.range(500, 3000) * kMs : 0;
    l.stream_recv_window_bytes = r.log_range(1000, 300000);
    l.stream_recv_window_max_bytes = l.stream_recv_window_bytes * r.range(1, 8);
    l.conn_recv_window_bytes = l.stream_recv_window_bytes * r.range(1, 4);
    l.conn_recv_window_max_bytes = l.conn_recv_window_bytes * r.range(1, 8);
    l.stream_send_buf_bytes = r.log_range(2000, 500000);
    l.conn_send_buf_bytes = l.stream_send_buf_bytes * r.range(1, 8);
    l.streams_bidi_max = static_cast<uint32_t>(r.log_range(1, 100));
    l.streams_uni_max = static_cast<uint32_t>(r.log_range(1, 100));
    l.undecryptable_packets_max = static_cast<uint32_t>(r.range(0, 16));
    l.cids_active_max = static_cast<uint32_t>(r.range(2, 8));
    l.ack_ranges_max = static_cast<uint32_t>(r.range(8, 64));
    l.udp_payload_max_bytes = r.chance(0.2) ? 65507 : 1472;
    l.udp_payload_bytes =
        r.chance(0.1) ? static_cast<uint32_t>(r.range(1200, 9000)) : (r.chance(0.5) ? 1200 : 1452);
    l.ack_delay_ns = r.range(0, 50) * kMs;
    return l;
}

HostOptions draw_host(Rng &r, bool harsh, quic_ns heal_ns)
{
    HostOptions h;
    h.limits = draw_limits(r);
    h.cc = static_cast<quring_cc>(r.below(3)); /* CUBIC, NewReno, BBR */
    h.pacing = r.chance(0.7);
    h.seg_max = r.chance(0.3) ? 1 : static_cast<uint32_t>(r.log_range(2, 129));
    h.tx_cap = r.chance(0.7) ? 65507 : static_cast<uint32_t>(r.range(9100, 65507));
    h.gro_max = r.chance(0.4) ? 1 : static_cast<uint32_t>(r.log_range(2, 65));
    h.rx_wait_ns = r.chance(0.5) ? r.log_range(1000, 5 * kMs) : 0;
    h.pull_each = r.chance(0.5);
    h.late_wake_ns = r.chance(0.4) ? r.log_range(1000, 20 * kMs) : 0;
    if (harsh && r.chance(0.2)) {
        quic_ns from = r.below(heal_ns);
        h.pauses.emplace_back(from, from + r.log_range(10 * kMs, 8 * kS));
    }
    return h;
}

int64_t draw_cut(Rng &r, double p, uint64_t size)
{
    return r.chance(p) ? static_cast<int64_t>(r.below(size + 1)) : -1;
}

uint64_t draw_size(Rng &r, uint64_t size_max)
{
    return r.chance(0.1) ? 0 : r.log_range(1, size_max);
}

StreamPlan draw_stream(Rng &r, uint64_t size_max, bool cuts)
{
    StreamPlan s;
    s.by_server = r.chance(0.3);
    s.uni = r.chance(0.4);
    for (int d = 0; d < (s.uni ? 1 : 2); d++) {
        s.size[d] = draw_size(r, size_max);
        s.reset_at[d] = cuts ? draw_cut(r, 0.1, s.size[d]) : -1;
        s.stop_at[d] = cuts ? draw_cut(r, 0.1, s.size[d]) : -1;
    }
    s.lend = r.chance(0.3);
    uint64_t size = s.size[0] > s.size[1] ? s.size[0] : s.size[1];
    s.write_max = static_cast<uint32_t>(r.log_range(1 + size / (s.lend ? 50 : 200), 100000));
    s.read_max = static_cast<uint32_t>(r.log_range(100, 200000));
    if (r.chance(0.15)) {
        s.read_pause_ns = r.log_range(kMs, 80 * kMs);
        uint64_t read_min = size / 50 + 1; /* slow, not endless */
        s.read_max = s.read_max > read_min ? s.read_max : static_cast<uint32_t>(read_min);
    }
    s.respond = !s.uni && r.chance(0.4);
    s.late_fin = r.chance(0.3);
    return s;
}

ConnPlan draw_conn(Rng &r, uint32_t clients, quic_ns heal_ns)
{
    ConnPlan c;
    c.seed = r.u64();
    c.client = static_cast<uint32_t>(r.below(clients));
    c.start_ns = r.chance(0.5) ? 0 : r.below(r.chance(0.5) ? 50 * kMs : heal_ns + kS);
    uint64_t size_max = r.chance(0.04) ? 1000000 : (r.chance(0.3) ? 60000 : 3000);
    bool cuts = r.chance(0.4);
    uint64_t count =
        size_max > 100000 ? r.range(1, 2) : r.log_range(1, 24) - (r.chance(0.05) ? 1 : 0);
    for (uint64_t i = 0; i < count; i++) {
        c.streams.push_back(draw_stream(r, size_max, cuts));
    }
    if (r.chance(0.1)) { /* requests and responses, one after the other */
        for (StreamPlan &s : c.streams) {
            s.uni = false;
            s.respond = true;
            s.by_server = false;
        }
        c.concurrency = 1;
    } else {
        c.concurrency = static_cast<uint32_t>(r.log_range(1, 30));
    }
    c.linger_ns = r.chance(0.5) ? 0 : r.log_range(kMs, 3 * kS);
    c.close_by_server = r.chance(0.4);
    c.close_ns = r.chance(0.15) ? r.log_range(100 * QUIC_NS_PER_US, 10 * kS) : 0;
    c.never_close = c.close_ns == 0 && r.chance(0.1);
    c.close_code = r.below(1u << 20);
    c.key_updates = r.chance(0.15) ? static_cast<uint32_t>(r.range(1, 4)) : 0;
    c.cid_rotations = r.chance(0.15) ? static_cast<uint32_t>(r.range(1, 4)) : 0;
    return c;
}

/* A good network and prompt hosts: every probe and every repetition would be the core's own fault. */
void make_clean(Rng &r, Options &o)
{
    o.clean = true;
    o.harsh = false;
    for (size_t i = 0; i < o.up.size(); i++) {
        LinkOptions l;
        l.delay_ns = r.log_range(10 * QUIC_NS_PER_US, 150 * kMs);
        o.up[i] = l;
        o.down[i] = l;
    }
    o.clients.push_back(o.server);
    for (HostOptions &h : o.clients) {
        h.late_wake_ns = 0;
        h.rx_wait_ns = 0;
        h.pauses.clear();
    }
    o.server = o.clients.back();
    o.clients.pop_back();
}

/* Keep-alives and an end by silence exclude each other. */
void settle_endings(Options &o)
{
    for (ConnPlan &c : o.conns) {
        if (o.server.limits.keep_alive_ns != 0 || o.clients[c.client].limits.keep_alive_ns != 0) {
            c.never_close = false;
        }
    }
}

void draw_failures(Rng &r, Options &o)
{
    if (r.chance(0.08)) {
        HostOptions &h = r.chance(0.5) ? o.server : o.clients[r.below(o.clients.size())];
        h.alloc_fail_at = r.log_range(1, 400);
        o.may_run_out = true;
    }
    if (r.chance(0.05)) {
        o.server.limits.connections_max = static_cast<uint32_t>(r.range(1, 4));
        o.may_run_out = true;
    }
    if (r.chance(0.05)) {
        o.server.limits.half_open_max = static_cast<uint32_t>(r.range(1, 3));
        o.may_run_out = true;
    }
    if (r.chance(0.05)) {
        o.server.limits.initials_per_s_retry = static_cast<uint32_t>(r.range(1, 3));
    }
}

/* Datagram size search, paths it matters on, and ECN. Drawn apart: what came before stays the same. */
void draw_paths(Options &o)
{
    Rng r(o.seed ^ 0x70617468u);
    bool all_search = true;
    std::vector<HostOptions *> hosts = {&o.server};
    for (HostOptions &h : o.clients) {
        hosts.push_back(&h);
    }
    for (HostOptions *h : hosts) {
        h->limits.ecn = r.chance(0.7);
        h->limits.mtu_probe_max_bytes = r.chance(0.3) ? 0 : (r.chance(0.8) ? 1472 : 9000);
        all_search = all_search && h->limits.udp_payload_bytes == 1200;
    }
    if (o.clean || !all_search) {
        return; /* a fixed size is a promise that the path carries it */
    }
    for (std::vector<LinkOptions> *links : {&o.up, &o.down}) {
        for (LinkOptions &l : *links) {
            l.mtu_bytes = r.chance(0.5) ? static_cast<uint32_t>(r.range(1200, 1472)) : 0;
            l.mtu_from_ns = r.chance(0.5) ? 0 : r.below(o.heal_ns);
        }
    }
}

/* Resumption, 0-RTT and tokens, drawn apart as well. Resuming clients ask for one name: their port says who
 * they are. */
void draw_resume(Options &o)
{
    Rng r(o.seed ^ 0x7265736du);
    if (!o.shared_ports && r.chance(0.4)) {
        const Resume kinds[] = {Resume::kResume, Resume::kEarly, Resume::kEarly,
                                Resume::kEarlyRefused};
        o.resume = kinds[r.below(4)];
    }
    if (o.clean && o.resume == Resume::kEarlyRefused) {
        o.resume = Resume::kResume; /* a refusal repeats what was sent */
    }
    o.lb = r.chance(0.2) ? static_cast<uint8_t>(r.range(1, 2)) : 0;
    o.tokens = r.chance(0.3);
    if (o.tokens) {
        o.server.limits.new_tokens = static_cast<uint32_t>(r.range(1, 4));
        o.server.limits.new_token_lifetime_ns = r.log_range(100 * kMs, 3600 * kS);
    }
    for (size_t i = 0; (o.resume != Resume::kNever || o.tokens) && i < o.conns.size(); i++) {
        o.conns[i].start_ns += i * 500 * kMs; /* some tickets have to be there */
    }
}

/* Who asks for fewer ACKs; datagrams next to streams, offered by some hosts, too large for others; drawn apart as
 * well. */
void draw_extensions(Options &o)
{
    Rng r(o.seed ^ 0x6467726du);
    std::vector<HostOptions *> hosts = {&o.server};
    for (HostOptions &h : o.clients) {
        hosts.push_back(&h);
    }
    for (HostOptions *h : hosts) {
        h->limits.ack_frequency = r.chance(0.4);
        h->limits.datagram_max_bytes =
            r.chance(0.2) ? 0 : (r.chance(0.7) ? 65535 : static_cast<uint32_t>(r.range(2, 1500)));
    }
    for (ConnPlan &c : o.conns) {
        for (StreamPlan &s : c.streams) {
            for (int d = 0; d < 2; d++) {
                s.reliable[d] = s.reset_at[d] > 0 && r.chance(0.5)
                                    ? r.below(static_cast<uint64_t>(s.reset_at[d]) + 1)
                                    : 0;
            }
        }
        if (!r.chance(0.3)) {
            continue;
        }
        c.datagrams[0] = r.chance(0.7) ? static_cast<uint32_t>(r.log_range(1, 200)) : 0;
        c.datagrams[1] = r.chance(0.7) ? static_cast<uint32_t>(r.log_range(1, 200)) : 0;
        c.datagram_bytes_max = static_cast<uint32_t>(r.log_range(8, 1400));
        c.datagram_every_ns = r.chance(0.3) ? 0 : r.log_range(10 * QUIC_NS_PER_US, 50 * kMs);
        c.datagram_ttl_ns = r.chance(0.5) ? 0 : r.log_range(kMs, kS);
    }
}

/* Hosts that take their path for one that absorbs bursts, rightly or not. Drawn apart, too. */
void draw_bursts(Options &o)
{
    Rng r(o.seed ^ 0x62757273u);
    if (o.clean) {
        return;
    }
    o.server.limits.burst_bytes =
        r.chance(0.3) ? static_cast<uint32_t>(r.log_range(1200, 1 << 20)) : 0;
    for (HostOptions &h : o.clients) {
        h.limits.burst_bytes =
            r.chance(0.3) ? static_cast<uint32_t>(r.log_range(1200, 1 << 20)) : 0;
    }
}

/* Clients that move, and servers that prefer another address. Drawn apart, too. */
void draw_moves(Options &o)
{
    Rng r(o.seed ^ 0x6d6f7665u);
    if (o.clean) {
        return;
    }
    o.preferred = static_cast<uint8_t>(r.chance(0.2) ? (r.chance(0.5) ? 4 : 6) : 0);
    bool rotates = false;
    for (ConnPlan &c : o.conns) {
        c.migrations = r.chance(0.15) ? static_cast<uint32_t>(r.range(1, 4)) : 0;
        rotates = rotates || c.cid_rotations > 0;
    }
    for (HostOptions &h : o.clients) {
        h.limits.ignore_preferred_address = r.chance(0.1);
    }
    /* A connection ID that changes in the moment of a rebinding looks like a forbidden move. */
    o.server.limits.disable_active_migration = r.chance(0.1) && (o.rebinds.empty() || !rotates);
}

/* In some seeds streams differ in urgency, and change it while they run. */
void draw_priorities(Options &o)
{
    Rng r(o.seed ^ 0x7072696fu);
    if (!r.chance(0.4)) {
        return;
    }
    const bool often = r.chance(0.5);
    for (ConnPlan &c : o.conns) {
        for (StreamPlan &s : c.streams) {
            for (int d = 0; d < 2; d++) {
                PriorityPlan &p = s.priority[d];
                p.urgency = r.chance(0.7) ? static_cast<int>(r.below(8)) : -1;
                p.incremental = r.chance(0.5);
                if (often && r.chance(0.5)) {
                    p.change_at = static_cast<int64_t>(r.below(s.size[d] + 1));
                    p.then = static_cast<uint32_t>(r.below(8));
                }
            }
        }
    }
}

/* In some seeds packets leave records, which nobody reads. */
void draw_trace(Options &o)
{
    Rng r(o.seed ^ 0x74726163u);
    auto draw = [&](HostOptions &h) {
        h.limits.trace_packets = r.chance(0.2) ? static_cast<uint32_t>(r.log_range(1, 1000)) : 0;
    };
    draw(o.server);
    for (HostOptions &h : o.clients) {
        draw(h);
    }
}

} // namespace

quring_limits sim_limits()
{
    quring_limits l{};
    l.connections_max = 2000;
    l.half_open_max = 256;
    l.stateless_resets_per_s = 1000;
    l.version_negotiations_per_s = 1000;
    l.worker_mem_max_bytes = 512u << 20;
    l.handshake_timeout_ns = 10 * kS;
    l.idle_timeout_ns = 30 * kS;
    l.stream_recv_window_bytes = 256 * 1024;
    l.stream_recv_window_max_bytes = 1024 * 1024;
    l.conn_recv_window_bytes = 1024 * 1024;
    l.conn_recv_window_max_bytes = 4 * 1024 * 1024;
    l.stream_send_buf_bytes = 1024 * 1024;
    l.conn_send_buf_bytes = 4 * 1024 * 1024;
    l.streams_bidi_max = 100;
    l.streams_uni_max = 100;
    l.reassembly_gaps_max = 256;
    l.reassembly_gaps_conn_max = 1024;
    l.glitch_burst = 1000;
    l.glitch_per_s = 100;
    l.crypto_buf_bytes = 16 * 1024;
    l.undecryptable_packets_max = 8;
    l.sent_packets_max = 4096;
    l.ack_ranges_max = 64;
    l.cids_active_max = 4;
    l.udp_payload_max_bytes = 1472;
    l.udp_payload_bytes = 1200;
    l.datagram_max_bytes = 65535;
    l.cwnd_max_bytes = 16u << 20;
    l.ack_delay_ns = 25 * kMs;
    l.versions = QURING_SPEAKS_V1 | QURING_SPEAKS_V2;
    return l;
}

Options draw_options(uint64_t seed, Tls tls)
{
    Rng r(seed);
    Options o;
    o.seed = seed;
    o.tls = tls;
    o.harsh = r.chance(0.35);
    o.heal_ns = r.log_range(200 * kMs, 20 * kS);
    o.workers = r.chance(0.3) ? 2 : 1;
    o.retry = r.chance(0.15);
    o.shared_ports = tls == Tls::kScript && r.chance(0.3);
    o.client_hello_len = r.chance(0.3) ? static_cast<uint32_t>(r.range(300, 4000)) : 0;
    o.server_flight_len = r.chance(0.5) ? static_cast<uint32_t>(r.log_range(200, 12000)) : 0;
    o.ticket_len = r.chance(0.2) ? static_cast<uint32_t>(r.range(4, 2000)) : 0;
    o.suite = static_cast<uint16_t>(0x1301 + r.below(3));
    uint64_t clients = r.range(1, 4);
    for (uint64_t i = 0; i < clients; i++) {
        o.up.push_back(draw_link(r, o.harsh, o.heal_ns));
        o.down.push_back(r.chance(0.5) ? o.up.back() : draw_link(r, o.harsh, o.heal_ns));
        o.clients.push_back(draw_host(r, o.harsh, o.heal_ns));
    }
    o.server = draw_host(r, o.harsh, o.heal_ns);
    uint64_t conns = r.log_range(1, 7);
    for (uint64_t i = 0; i < conns; i++) {
        o.conns.push_back(draw_conn(r, static_cast<uint32_t>(clients), o.heal_ns));
    }
    settle_endings(o);
    draw_failures(r, o);
    if (!o.may_run_out && r.chance(0.12)) {
        make_clean(r, o);
    }
    draw_paths(o);
    draw_resume(o);
    draw_adversity(o);
    draw_extensions(o);
    draw_bursts(o);
    draw_versions(o);
    draw_moves(o);
    draw_byzantine(o);
    draw_priorities(o);
    draw_trace(o);
    return o;
}

std::string describe(const Options &o)
{
    char text[768];
    const LinkOptions &l = o.up[0];
    uint32_t migrations = 0;
    for (const ConnPlan &c : o.conns) {
        migrations += c.migrations;
    }
    snprintf(text, sizeof(text),
             "seed %llu tls=%s clients=%zu conns=%zu workers=%u%s%s%s%s%s heal=%.3fs delay=%.3fms "
             "jitter=%.3fms loss=%.4f burst=%.4f dup=%.4f corrupt=%.4f truncate=%.4f replay=%.4f "
             "rate=%llu blackouts=%zu forge=%.4f repeat=%.4f filter=%.4f rebinds=%zu crashes=%zu "
             "versions=%u/%u forged-versions=%.4f migrations=%u preferred=%u",
             static_cast<unsigned long long>(o.seed), o.tls == Tls::kScript ? "script" : "boring",
             o.clients.size(), o.conns.size(), o.workers, o.retry ? " retry" : "",
             o.tokens ? " tokens" : "",
             o.shared_ports                      ? " shared-ports"
             : o.resume == Resume::kResume       ? " resume"
             : o.resume == Resume::kEarly        ? " 0rtt"
             : o.resume == Resume::kEarlyRefused ? " 0rtt-refused"
                                                 : "",
             o.clean ? " clean" : (o.harsh ? " harsh" : ""), o.may_run_out ? " may-run-out" : "",
             static_cast<double>(o.heal_ns) / 1e9, static_cast<double>(l.delay_ns) / 1e6,
             static_cast<double>(l.jitter_ns) / 1e6, l.loss, l.burst_enter, l.duplicate, l.corrupt,
             l.truncate, l.replay, static_cast<unsigned long long>(l.bytes_per_s),
             l.blackouts.size(), o.attack.forge, o.attack.replay, o.attack.filter, o.rebinds.size(),
             o.crashes.size(), o.server.limits.versions, o.clients[0].limits.versions,
             o.forge_versions, migrations, o.preferred);
    return text;
}

} // namespace sim
