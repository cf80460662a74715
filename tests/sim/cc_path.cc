#include "tests/sim/cc_path.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sim
{

namespace
{
constexpr quic_ns kS = QUIC_NS_PER_S;
} // namespace

uint64_t Cell::bdp() const
{
    return static_cast<uint64_t>(static_cast<double>(bytes_per_s()) * rtt_ms / 1000);
}

uint64_t Cell::queue_bytes() const
{
    if (buffer > 0) {
        return static_cast<uint64_t>(static_cast<double>(bdp()) * buffer);
    }
    return deep ? std::max<uint64_t>(4 * bdp(), 65536) : std::max<uint64_t>(bdp() / 4, 16384);
}

quring_limits CcPath::limits() const
{
    quring_limits l = sim_limits();
    uint64_t window = std::max<uint64_t>(8 * cell_.bdp() + (4u << 20), 8u << 20);
    l.worker_mem_max_bytes = 64ull << 30;
    l.conn_mem_max_bytes = 32ull << 30;
    uint64_t recv_window = cell_.recv_window != 0 ? cell_.recv_window : window;
    l.stream_recv_window_bytes = recv_window;
    l.stream_recv_window_max_bytes = cell_.tunes_window ? window : recv_window;
    l.conn_recv_window_bytes = recv_window;
    l.conn_recv_window_max_bytes = l.stream_recv_window_max_bytes;
    l.conn_send_buf_bytes = cell_.send_buf != 0 ? cell_.send_buf : window;
    l.stream_send_buf_bytes = l.conn_send_buf_bytes / cell_.streams;
    l.sent_packets_max = 1u << 20;
    l.ack_ranges_max = 64;
    l.udp_payload_bytes = cell_.datagram;
    l.udp_payload_max_bytes = std::max(l.udp_payload_max_bytes, cell_.datagram);
    l.cwnd_max_bytes = 1ull << 40;
    l.ecn = cell_.mark > 0;
    l.idle_timeout_ns = 600 * kS;
    l.handshake_timeout_ns = 60 * kS;
    return l;
}

CcPath::CcPath(const Cell &cell, const std::vector<quring_cc> &flows)
    : cell_(cell), identity_(options_), hosts_(2 * flows.size()), flows_(flows.size()), tx_(65536),
      rx_(65536), chunk_(65536, 'x')
{
    for (uint32_t i = 0; i < hosts_.size(); i++) {
        make_host(i, flows[i / 2]);
    }
    LinkOptions l;
    l.delay_ns = static_cast<quic_ns>(cell.rtt_ms * 1e6 / 2);
    links_.emplace_back(l, 1);
    l.loss = cell.loss;
    l.bytes_per_s = cell.bytes_per_s();
    l.queue_bytes = cell.queue_bytes();
    l.mark_bytes = static_cast<uint64_t>(static_cast<double>(cell.bdp()) * cell.mark);
    l.police_bytes =
        static_cast<uint64_t>(static_cast<double>(cell.bytes_per_s()) * cell.police_ms / 1000);
    links_.emplace_back(l, 2);
    rx_wait_ = std::min<quic_ns>(20000, l.delay_ns / 20); /* a busy loop takes what has gathered */
}

CcPath::~CcPath()
{
    for (Host &h : hosts_) {
        quic_endpoint_destroy(h.ep);
    }
}

void CcPath::make_host(uint32_t i, quring_cc cc)
{
    Host &h = hosts_[i];
    h.addr.family = 4;
    h.addr.ip[0] = 10;
    h.addr.ip[3] = static_cast<uint8_t>(i + 1);
    h.addr.port = i % 2 == 0 ? 443 : 5000;
    h.rng.s = i + 17;
    quic_endpoint_config config{};
    config.worker_count = 1;
    config.allocator = h.alloc.table();
    config.rng = quic_rng_seeded(&h.rng);
    config.crypto = identity_.crypto();
    memset(config.root_secret, static_cast<int>(i + 1), sizeof(config.root_secret));
    config.limits = limits();
    config.cc = cc;
    config.pacing = true;
    if (quic_endpoint_create(&h.ep, &config) != QUIC_OK) {
        fprintf(stderr, "cc_path: no endpoint\n");
        exit(1);
    }
    if (i % 2 == 0) {
        quic_accept_config accept{};
        accept.tls = identity_.vtable();
        accept.tls_config = identity_.server_config();
        accept.limits = config.limits;
        (void)!quic_endpoint_listen(h.ep, 0, &accept);
    }
}

void CcPath::push(quic_ns at, Kind kind, uint32_t host, uint32_t slot)
{
    queue_.push(Event{at, order_++, kind, host, slot});
}

void CcPath::advance(quic_ns until)
{
    while (!queue_.empty() && queue_.top().at <= until) {
        Event ev = queue_.top();
        queue_.pop();
        now_ = ev.at;
        Host &h = hosts_[ev.host];
        if (ev.kind == kArrive) {
            h.inbox.push_back(ev.slot);
            if (!h.rx_scheduled) {
                h.rx_scheduled = true;
                push(now_ + rx_wait_, kRx, ev.host, 0);
            }
        } else if (ev.kind == kRx) {
            h.rx_scheduled = false;
            receive(ev.host);
        } else if (h.timer_at == ev.at) {
            h.timer_at = QUIC_NS_NEVER;
            turn(ev.host);
        }
    }
    now_ = until;
}

/* What has gathered, as GRO would hand it over. */
void CcPath::receive(uint32_t h)
{
    Host &host = hosts_[h];
    while (!host.inbox.empty()) {
        quic_rx_unit unit{};
        unit.path.local = host.addr;
        unit.path.remote = hosts_[h ^ 1].addr;
        unit.data = rx_.data();
        while (!host.inbox.empty()) {
            uint32_t slot = host.inbox.front();
            const std::vector<uint8_t> &bytes = pool_[slot].bytes;
            if (unit.len > 0 &&
                (bytes.size() > unit.seg_len || pool_[slot].ecn != unit.ecn ||
                 unit.len % unit.seg_len != 0 || unit.len + bytes.size() > rx_.size() - 1)) {
                break;
            }
            unit.seg_len = unit.len == 0 ? static_cast<uint32_t>(bytes.size()) : unit.seg_len;
            unit.ecn = pool_[slot].ecn;
            memcpy(rx_.data() + unit.len, bytes.data(), bytes.size());
            unit.len += static_cast<uint32_t>(bytes.size());
            host.inbox.pop_front();
            pool_free_.push_back(slot);
        }
        quic_endpoint_recv(host.ep, &unit, now_);
    }
    turn(h);
}

void CcPath::turn(uint32_t h)
{
    Host &host = hosts_[h];
    for (;;) {
        quic_endpoint_on_timeout(host.ep, now_);
        bool any = false;
        for (;;) {
            quic_event ev;
            while (quic_endpoint_poll_event(host.ep, &ev, now_)) {
                on_event(flows_[h / 2], ev);
            }
            quic_tx_unit unit{};
            unit.buf = tx_.data();
            unit.cap = 65507;
            unit.seg_max = 64;
            if (!quic_endpoint_send(host.ep, &unit, now_)) {
                break;
            }
            any = true;
            transmit(h, unit);
        }
        if (!any && quic_endpoint_next_timeout(host.ep) > now_) {
            break;
        }
    }
    quic_ns next = quic_endpoint_next_timeout(host.ep);
    if (next < host.timer_at) {
        host.timer_at = next;
        push(next, kTimer, h, 0);
    }
}

void CcPath::transmit(uint32_t h, const quic_tx_unit &unit)
{
    if (unit.seg_len > interface_mtu_) {
        quic_endpoint_on_send_too_big(hosts_[h].ep, unit.conn, &unit.path, unit.seg_len);
        return;
    }
    for (uint32_t off = 0; off < unit.len; off += unit.seg_len) {
        uint32_t len = std::min(unit.seg_len, unit.len - off);
        Datagram d;
        if (!pool_free_.empty()) { /* its memory is used again */
            d.bytes.swap(pool_[pool_free_.back()].bytes);
        }
        d.bytes.assign(unit.buf + off, unit.buf + off + len);
        d.ecn = unit.ecn;
        carried_.clear();
        links_[h % 2 == 0 ? kBack : kForth].carry(std::move(d), now_, carried_);
        for (Datagram &a : carried_) {
            uint32_t slot = static_cast<uint32_t>(pool_.size());
            if (pool_free_.empty()) {
                pool_.emplace_back();
            } else {
                slot = pool_free_.back();
                pool_free_.pop_back();
            }
            quic_ns at = a.arrive_ns;
            if (h / 2 < cell_.more_rtt_ms.size()) {
                at += static_cast<quic_ns>(cell_.more_rtt_ms[h / 2] * 1e6 / 2);
            }
            pool_[slot] = std::move(a);
            push(at, kArrive, h ^ 1, slot);
        }
    }
}

void CcPath::open(Flow &f)
{
    for (size_t i = 0; i < cell_.streams; i++) {
        quic_stream *stream = nullptr;
        if (quic_conn_stream_open(f.conn, true, &stream) == QUIC_OK) {
            (void)quic_conn_stream_set_priority(f.conn, stream, 3, cell_.streams > 1);
            f.streams.push_back(stream);
        }
    }
    for (quic_stream *stream : f.streams) {
        write(f, stream);
    }
}

void CcPath::write(Flow &f, quic_stream *stream)
{
    size_t accepted = 0;
    while (!f.streams.empty() && !f.quiet &&
           quic_conn_stream_write(f.conn, stream, chunk_.data(), chunk_.size(), 0, &accepted) ==
               QUIC_OK &&
           accepted == chunk_.size()) {
    }
}

void CcPath::say(size_t flow, size_t bytes)
{
    Flow &f = flows_[flow];
    size_t accepted = 0;
    f.quiet = true;
    if (!f.streams.empty()) {
        const uint32_t client = static_cast<uint32_t>(2 * flow + 1);
        quic_endpoint_set_now(hosts_[client].ep, now_);
        (void)quic_conn_stream_write(f.conn, f.streams[0], chunk_.data(), bytes, 0, &accepted);
        turn(client);
    }
}

void CcPath::read(Flow &f, quic_conn *conn, quic_stream *stream)
{
    quic_span spans[2] = {};
    bool fin = false;
    while (quic_conn_stream_peek(conn, stream, spans, &fin) == QUIC_OK) {
        size_t len = spans[0].len + spans[1].len;
        if (len == 0 || quic_conn_stream_consume(conn, stream, len) != QUIC_OK) {
            break;
        }
        f.received += len;
    }
}

void CcPath::on_event(Flow &f, const quic_event &ev)
{
    switch (ev.type) {
    case QURING_EV_CONNECTED:
        if (ev.conn == f.conn) {
            open(f);
        }
        break;
    case QURING_EV_STREAM_WRITABLE:
        write(f, ev.stream);
        break;
    case QURING_EV_STREAM_OPENED:
    case QURING_EV_STREAM_READABLE:
        read(f, ev.conn, ev.stream);
        break;
    case QURING_EV_CLOSED:
        f.conn = ev.conn == f.conn ? nullptr : f.conn;
        if (f.conn == nullptr) {
            f.streams.clear();
        }
        break;
    default:
        break;
    }
}

void CcPath::start(size_t flow)
{
    Flow &f = flows_[flow];
    uint32_t client = static_cast<uint32_t>(2 * flow + 1);
    quic_connect_config config{};
    config.tls = identity_.vtable();
    config.tls_config = identity_.client_config();
    config.server_name = "c0";
    config.limits = limits();
    config.path.local = hosts_[client].addr;
    config.path.remote = hosts_[client ^ 1].addr;
    if (quic_endpoint_connect(hosts_[client].ep, &f.conn, &config, now_) == QUIC_OK) {
        turn(client);
    }
}

void CcPath::run(quic_ns span)
{
    advance(now_ + span);
}

void CcPath::set_rate(double mbit)
{
    cell_.mbit = mbit;
    links_[kForth].options().bytes_per_s = cell_.bytes_per_s();
}

std::vector<FlowFigures> CcPath::measure(quic_ns span)
{
    std::vector<FlowFigures> figures(flows_.size());
    std::vector<uint64_t> before;
    for (const Flow &f : flows_) {
        before.push_back(f.received);
    }
    constexpr int kSamples = 200;
    for (int k = 0; k < kSamples; k++) {
        run(span / kSamples);
        for (size_t i = 0; i < flows_.size(); i++) {
            if (flows_[i].conn != nullptr) {
                quring_conn_info info;
                quic_conn_get_info(flows_[i].conn, &info);
                figures[i].srtt_mean_ms += static_cast<double>(info.srtt_ns) / 1e6 / kSamples;
            }
        }
    }
    double most = static_cast<double>(cell_.bytes_per_s()) * static_cast<double>(span) / 1e9;
    for (size_t i = 0; i < flows_.size(); i++) {
        figures[i].received = flows_[i].received - before[i];
        figures[i].percent = 100.0 * static_cast<double>(flows_[i].received - before[i]) / most;
        if (flows_[i].conn != nullptr) {
            quring_conn_info info;
            quic_conn_get_info(flows_[i].conn, &info);
            figures[i].srtt_ms = static_cast<double>(info.srtt_ns) / 1e6;
            figures[i].cwnd = info.cwnd_bytes;
        }
    }
    return figures;
}

} // namespace sim
