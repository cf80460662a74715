/* What a bulk transfer makes of a path: two real endpoints (handshake scripted, packets protected by a
 * stand-in) over one simulated line, for every combination of rate, RTT, loss, buffer and congestion
 * controller. Prints a markdown table: percent of the line that reached the application after the
 * first seconds, and in brackets the smoothed RTT in ms.
 *
 *   cc_matrix [--full] [--cell MBIT RTT_MS LOSS_PERCENT shallow|deep]
 *
 * --full measures longer and leaves no cell out; without it, cells that would take more than
 * kPacketsMost datagrams are shown as "-". A figure a little above what headers leave (97.8) is a gap of
 * before that was filled while it was measured. */
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "quic/base/rng.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/link.h"
#include "tests/sim/options.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;
constexpr uint32_t kDatagram = 1452;
/* Of one cell, without --full: what is aimed at, and what is tolerated. */
constexpr double kPackets = 250000;
constexpr double kPacketsMost = 1100000;

struct Cell {
    double mbit = 100;
    double rtt_ms = 50;
    double loss = 0; /* 0..1 */
    bool deep = false;
    quring_cc cc = QURING_CC_CUBIC;
    bool full = false;

    uint64_t bytes_per_s() const
    {
        return static_cast<uint64_t>(mbit * 125000);
    }
    uint64_t bdp() const
    {
        return static_cast<uint64_t>(static_cast<double>(bytes_per_s()) * rtt_ms / 1000);
    }
    uint64_t queue_bytes() const
    {
        return deep ? std::max<uint64_t>(4 * bdp(), 65536) : std::max<uint64_t>(bdp() / 4, 16384);
    }
    quic_ns warm_ns() const
    {
        double per_ms = static_cast<double>(bytes_per_s()) / kDatagram / 1000;
        double brief = std::min({1500.0, rtt_ms * 200 + 100, kPacketsMost / 2 / per_ms});
        double ms = std::max(rtt_ms * 20, full ? 4000.0 : brief);
        return static_cast<quic_ns>(ms) * kMs;
    }
    /* How long to measure; 0: too much for a short run. */
    quic_ns span_ns() const
    {
        double per_s = static_cast<double>(bytes_per_s()) / kDatagram;
        double want = std::max(full ? 20.0 : 8.0, rtt_ms / 1000 * 60);
        if (full) {
            return static_cast<quic_ns>(want * 1e9);
        }
        double warm = static_cast<double>(warm_ns()) / 1e9;
        double least = std::max(0.3, rtt_ms / 1000 * 20);
        if ((warm + least) * per_s > kPacketsMost) {
            return 0;
        }
        return static_cast<quic_ns>(std::min(want, std::max(least, kPackets / per_s - warm)) * 1e9);
    }
};

struct Result {
    double percent = -1;
    double srtt_ms = 0;
    uint64_t lost = 0;
    uint64_t packets = 0;
    uint64_t cwnd = 0;
};

quring_limits matrix_limits(const Cell &cell)
{
    quring_limits l = sim::sim_limits();
    uint64_t window = std::max<uint64_t>(8 * cell.bdp() + (4u << 20), 8u << 20);
    l.worker_mem_max_bytes = 64ull << 30;
    l.conn_mem_max_bytes = 32ull << 30;
    l.stream_recv_window_bytes = window;
    l.stream_recv_window_max_bytes = window;
    l.conn_recv_window_bytes = window;
    l.conn_recv_window_max_bytes = window;
    l.stream_send_buf_bytes = window;
    l.conn_send_buf_bytes = window;
    l.reassembly_gaps_max = 65536;
    l.sent_packets_max = 1u << 20;
    l.ack_ranges_max = 64;
    l.udp_payload_bytes = kDatagram;
    l.cwnd_max_bytes = 1ull << 40;
    l.idle_timeout_ns = 600 * kS;
    l.handshake_timeout_ns = 60 * kS;
    return l;
}

class Path
{
  public:
    explicit Path(const Cell &cell);
    ~Path();
    Result run();

  private:
    enum Kind { kArrive, kRx, kTimer };
    struct Event {
        quic_ns at;
        uint64_t order;
        Kind kind;
        uint32_t host;
        uint32_t slot;
        bool operator<(const Event &o) const
        {
            return at != o.at ? at > o.at : order > o.order;
        }
    };
    struct Host {
        quic_endpoint *ep = nullptr;
        sim::Alloc alloc;
        quic_rng_seeded_state rng{};
        quic_addr addr{};
        std::deque<uint32_t> inbox;
        bool rx_scheduled = false;
        quic_ns timer_at = QUIC_NS_NEVER;
    };

    void make_host(uint32_t i, const Cell &cell, uint16_t port);
    void push(quic_ns at, Kind kind, uint32_t host, uint32_t slot);
    void advance(quic_ns until);
    void receive(uint32_t h);
    void turn(uint32_t h);
    void on_event(const quic_event &ev);
    void write();
    void read(quic_conn *conn, quic_stream *stream);
    void transmit(uint32_t h, const quic_tx_unit &unit);

    Cell cell_;
    sim::Options options_;
    sim::Identity identity_;
    Host hosts_[2];                /* 0 the server and receiver, 1 the client and sender */
    std::vector<sim::Link> links_; /* by sender */
    std::priority_queue<Event> queue_;
    std::vector<sim::Datagram> pool_;
    std::vector<uint32_t> pool_free_;
    std::vector<sim::Datagram> carried_;
    std::vector<uint8_t> tx_;
    std::vector<uint8_t> rx_;
    std::vector<uint8_t> chunk_;
    quic_conn *conn_ = nullptr;
    quic_stream *stream_ = nullptr;
    uint64_t order_ = 0;
    uint64_t received_ = 0;
    quic_ns rx_wait_ = 0;
    quic_ns now_ = kS;
};

Path::Path(const Cell &cell)
    : cell_(cell), identity_(options_), tx_(65536), rx_(65536), chunk_(65536, 'x')
{
    make_host(0, cell, 443);
    make_host(1, cell, 5000);
    sim::LinkOptions l;
    l.delay_ns = static_cast<quic_ns>(cell.rtt_ms * 1e6 / 2);
    sim::Link back(l, 1);
    l.loss = cell.loss;
    l.bytes_per_s = cell.bytes_per_s();
    l.queue_bytes = cell.queue_bytes();
    sim::Link forth(l, 2);
    links_.push_back(back);
    links_.push_back(forth);
    rx_wait_ = std::min<quic_ns>(20000, l.delay_ns / 20); /* a busy loop takes what has gathered */
}

Path::~Path()
{
    for (Host &h : hosts_) {
        quic_endpoint_destroy(h.ep);
    }
}

void Path::make_host(uint32_t i, const Cell &cell, uint16_t port)
{
    Host &h = hosts_[i];
    h.addr.family = 4;
    h.addr.ip[0] = 10;
    h.addr.ip[3] = static_cast<uint8_t>(i + 1);
    h.addr.port = port;
    h.rng.s = i + 17;
    quic_endpoint_config config{};
    config.worker_count = 1;
    config.allocator = h.alloc.table();
    config.rng = quic_rng_seeded(&h.rng);
    config.crypto = identity_.crypto();
    memset(config.root_secret, static_cast<int>(i + 1), sizeof(config.root_secret));
    config.limits = matrix_limits(cell);
    config.cc = cell.cc;
    config.pacing = true;
    if (quic_endpoint_create(&h.ep, &config) != QUIC_OK) {
        fprintf(stderr, "cc_matrix: no endpoint\n");
        exit(1);
    }
    if (i == 0) {
        quic_accept_config accept{};
        accept.tls = identity_.vtable();
        accept.tls_config = identity_.server_config();
        accept.limits = config.limits;
        (void)!quic_endpoint_listen(h.ep, 0, &accept);
    }
}

void Path::push(quic_ns at, Kind kind, uint32_t host, uint32_t slot)
{
    queue_.push(Event{at, order_++, kind, host, slot});
}

void Path::advance(quic_ns until)
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
void Path::receive(uint32_t h)
{
    Host &host = hosts_[h];
    while (!host.inbox.empty()) {
        quic_rx_unit unit{};
        unit.path.local = host.addr;
        unit.path.remote = hosts_[1 - h].addr;
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

void Path::turn(uint32_t h)
{
    Host &host = hosts_[h];
    for (;;) {
        quic_endpoint_on_timeout(host.ep, now_);
        bool any = false;
        for (;;) {
            quic_event ev;
            while (quic_endpoint_poll_event(host.ep, &ev, now_)) {
                on_event(ev);
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

void Path::transmit(uint32_t h, const quic_tx_unit &unit)
{
    for (uint32_t off = 0; off < unit.len; off += unit.seg_len) {
        uint32_t len = std::min(unit.seg_len, unit.len - off);
        sim::Datagram d;
        if (!pool_free_.empty()) { /* its memory is used again */
            d.bytes.swap(pool_[pool_free_.back()].bytes);
        }
        d.bytes.assign(unit.buf + off, unit.buf + off + len);
        d.ecn = unit.ecn;
        carried_.clear();
        links_[h].carry(std::move(d), now_, carried_);
        for (sim::Datagram &a : carried_) {
            uint32_t slot = static_cast<uint32_t>(pool_.size());
            if (pool_free_.empty()) {
                pool_.emplace_back();
            } else {
                slot = pool_free_.back();
                pool_free_.pop_back();
            }
            quic_ns at = a.arrive_ns;
            pool_[slot] = std::move(a);
            push(at, kArrive, 1 - h, slot);
        }
    }
}

void Path::write()
{
    size_t accepted = 0;
    while (stream_ != nullptr &&
           quic_conn_stream_write(conn_, stream_, chunk_.data(), chunk_.size(), 0, &accepted) ==
               QUIC_OK &&
           accepted == chunk_.size()) {
    }
}

void Path::read(quic_conn *conn, quic_stream *stream)
{
    quic_span spans[2] = {};
    bool fin = false;
    while (quic_conn_stream_peek(conn, stream, spans, &fin) == QUIC_OK) {
        size_t len = spans[0].len + spans[1].len;
        if (len == 0 || quic_conn_stream_consume(conn, stream, len) != QUIC_OK) {
            break;
        }
        received_ += len;
    }
}

void Path::on_event(const quic_event &ev)
{
    switch (ev.type) {
    case QURING_EV_CONNECTED:
        if (ev.conn == conn_ && quic_conn_stream_open(conn_, true, &stream_) == QUIC_OK) {
            write();
        }
        break;
    case QURING_EV_STREAM_WRITABLE:
        write();
        break;
    case QURING_EV_STREAM_OPENED:
    case QURING_EV_STREAM_READABLE:
        read(ev.conn, ev.stream);
        break;
    case QURING_EV_CLOSED:
        conn_ = ev.conn == conn_ ? nullptr : conn_;
        stream_ = conn_ == nullptr ? nullptr : stream_;
        break;
    default:
        break;
    }
}

Result Path::run()
{
    Result r;
    quic_connect_config config{};
    config.tls = identity_.vtable();
    config.tls_config = identity_.client_config();
    config.server_name = "c0";
    config.limits = matrix_limits(cell_);
    config.path.local = hosts_[1].addr;
    config.path.remote = hosts_[0].addr;
    if (quic_endpoint_connect(hosts_[1].ep, &conn_, &config, now_) != QUIC_OK) {
        return r;
    }
    turn(1);
    advance(now_ + cell_.warm_ns());
    uint64_t before = received_;
    quic_ns span = cell_.span_ns();
    advance(now_ + span);
    r.percent = 100.0 * static_cast<double>(received_ - before) /
                (static_cast<double>(cell_.bytes_per_s()) * static_cast<double>(span) / 1e9);
    if (conn_ != nullptr) {
        quring_conn_info info;
        quic_conn_get_info(conn_, &info);
        r.srtt_ms = static_cast<double>(info.srtt_ns) / 1e6;
        r.cwnd = info.cwnd_bytes;
    }
    r.lost = links_[1].lost();
    r.packets = links_[1].sent();
    return r;
}

/* ---- the table ------------------------------------------------------------------------------------ */

const quring_cc kControllers[] = {QURING_CC_NEWRENO, QURING_CC_CUBIC, QURING_CC_BBR};

std::vector<Cell> default_cells(bool full)
{
    std::vector<Cell> cells;
    for (double mbit : {1.0, 10.0, 100.0, 1000.0, 10000.0}) {
        for (double rtt : {1.0, 10.0, 50.0, 300.0}) {
            for (bool deep : {false, true}) {
                for (double loss : {0.0, 0.001, 0.01, 0.05}) {
                    for (quring_cc cc : kControllers) {
                        cells.push_back(Cell{mbit, rtt, loss, deep, cc, full});
                    }
                }
            }
        }
    }
    return cells;
}

void print_row(const Cell &c, const Result *r, bool verbose)
{
    printf("| %g | %g | %g | %s |", c.mbit, c.rtt_ms, c.loss * 100, c.deep ? "deep" : "shallow");
    for (int i = 0; i < 3; i++) {
        if (r[i].percent < 0) {
            printf(" - |");
        } else {
            printf(" %.1f (%.4g) |", r[i].percent, r[i].srtt_ms);
        }
    }
    for (int i = 0; verbose && i < 3; i++) {
        printf(" packets %" PRIu64 " lost %" PRIu64 " cwnd %" PRIu64 " |", r[i].packets, r[i].lost,
               r[i].cwnd);
    }
    printf("\n");
}

void run_cells(const std::vector<Cell> &cells, std::vector<Result> &results)
{
    unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::thread> pool;
    for (unsigned t = 0; t < threads; t++) {
        pool.emplace_back([&, t] {
            for (size_t i = t; i < cells.size(); i += threads) {
                if (cells[i].span_ns() > 0) {
                    results[i] = std::make_unique<Path>(cells[i])->run();
                }
            }
        });
    }
    for (std::thread &t : pool) {
        t.join();
    }
}

} // namespace

int main(int argc, char **argv)
{
    bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
    std::vector<Cell> cells = default_cells(full);
    bool one = argc == 6 && strcmp(argv[1], "--cell") == 0;
    if (one) {
        cells.clear();
        for (quring_cc cc : kControllers) {
            cells.push_back(Cell{atof(argv[2]), atof(argv[3]), atof(argv[4]) / 100,
                                 strcmp(argv[5], "deep") == 0, cc, true});
        }
    } else if (argc > 1 && !full) {
        fprintf(stderr, "usage: cc_matrix [--full] "
                        "[--cell MBIT RTT_MS LOSS_PERCENT shallow|deep]\n");
        return 2;
    }
    std::vector<Result> results(cells.size());
    run_cells(cells, results);
    printf("Percent of the line (smoothed RTT in ms). Buffer: shallow 1/4, deep 4 bandwidth-delay "
           "products.\n\n| Mbit/s | RTT ms | loss %% | buffer | reno | cubic | bbr |\n"
           "|---:|---:|---:|---|---:|---:|---:|\n");
    for (size_t i = 0; i + 2 < cells.size(); i += 3) {
        print_row(cells[i], &results[i], one);
    }
    return 0;
}
