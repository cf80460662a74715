// A client that breaks no rule, or none that is found out at once, and wants the server's time: callgrind counts the
// instructions of the server's turns (attack_cost_test.py), without those of encryption.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "quic/wire/varint.h"
#include "tests/perf/endpoints.h"
#include "tests/quic/conn/inject.h"

namespace
{

using perf::fail;
using Bytes = std::vector<uint8_t>;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kPayload = 1452;
constexpr size_t kFull = 1400; // bytes of frames in a datagram that is full

perf::Side g_server;
perf::Side g_client;
quic_ns g_now = 1000 * kMs;
uint64_t g_state;    // how much of what the class builds up
uint64_t g_acked;    // of the server's packets
size_t g_answer_len; // what the server writes to each stream that has ended
bool g_reads = true;
bool g_closed;

void hear_server()
{
    quic_event ev;
    while (quic_endpoint_poll_event(g_server.ep, &ev, g_now)) {
        if (ev.type == QURING_EV_CONNECTED) {
            g_server.conn = ev.conn;
        } else if (ev.type == QURING_EV_CLOSED) {
            g_closed = true;
        } else if (ev.type == QURING_EV_DATAGRAM_READABLE && g_reads) {
            quic_span span;
            while (quic_conn_datagram_peek(ev.conn, &span) == QUIC_OK) {
                (void)quic_conn_datagram_consume(ev.conn);
            }
        } else if (ev.type == QURING_EV_STREAM_READABLE && g_reads) {
            quic_span spans[2] = {};
            bool fin = false;
            if (quic_conn_stream_peek(ev.conn, ev.stream, spans, &fin) == QUIC_OK) {
                (void)quic_conn_stream_consume(ev.conn, ev.stream, spans[0].len + spans[1].len);
            }
            static const uint8_t answer[65536] = {};
            size_t accepted = 0;
            if (fin && (ev.stream_id & 2) == 0 && g_answer_len > 0) {
                (void)quic_conn_stream_write(ev.conn, ev.stream, answer, g_answer_len,
                                             QUIC_WRITE_FIN, &accepted);
            }
        }
    }
}

} // namespace

extern "C" {

/* A turn of the server's worker, for one datagram. */
__attribute__((noinline)) void cost_server(quic_rx_unit *in)
{
    quic_endpoint_set_now(g_server.ep, g_now);
    if (in->len > 0) {
        quic_endpoint_recv(g_server.ep, in, g_now);
    }
    if (quic_endpoint_next_timeout(g_server.ep) <= g_now) {
        quic_endpoint_on_timeout(g_server.ep, g_now);
    }
    hear_server();
    quic_tx_unit out;
    while (perf::pull(g_server, out, kPayload, 16, g_now)) {
    }
}

} // extern "C"

namespace
{

class Frames
{
  public:
    Frames &v(uint64_t value)
    {
        uint8_t buf[8];
        const size_t n = quic_varint_encode(buf, value);
        bytes.insert(bytes.end(), buf, buf + n);
        return *this;
    }
    Frames &b(std::initializer_list<uint8_t> list)
    {
        bytes.insert(bytes.end(), list);
        return *this;
    }
    Frames &fill(size_t count, uint8_t value)
    {
        bytes.insert(bytes.end(), count, value);
        return *this;
    }
    Frames &datagrams()
    {
        while (!full()) {
            b({0x31, 0});
        }
        return *this;
    }
    bool full() const
    {
        return bytes.size() >= kFull - 40;
    }
    Bytes bytes;
};

void say(const Frames &frames)
{
    Bytes packet(2000);
    quic_rx_unit rx{};
    rx.data = packet.data();
    rx.len =
        static_cast<uint32_t>(inject_make(g_client.conn, QUIC_LEVEL_APP, 0, frames.bytes.data(),
                                          frames.bytes.size(), packet.data(), packet.size()));
    if (rx.len == 0) {
        fail("no packet");
    }
    rx.seg_len = rx.len;
    rx.path.local = g_server.addr;
    rx.path.remote = g_client.addr;
    g_now += kMs;
    cost_server(&rx);
}

/* All that the server has sent and that may be acknowledged. */
Frames ack()
{
    const uint64_t next = inject_next_pn(g_server.conn);
    Frames f;
    if (next == g_acked) {
        return f;
    }
    uint64_t lo = next - 1;
    while (lo > g_acked && !inject_was_skipped(g_server.conn, lo - 1, next - 1)) {
        lo--;
    }
    if (!inject_was_skipped(g_server.conn, next - 1, next - 1)) {
        f.b({0x02}).v(next - 1).b({0, 0}).v(next - 1 - lo);
    }
    g_acked = next;
    return f;
}

struct Class {
    std::function<void(sim::Options &)> change; // of the options
    std::function<void()> prepare;
    std::function<void(uint64_t)> attack; // n-th datagram
};

void none()
{
}

uint64_t g_next; // offset, or number, of what is sent next

constexpr uint64_t kRange = 513;

/* Two ranges that are as long as they must be, with a byte missing in front of each. */
Frames long_ranges()
{
    Frames f = ack();
    for (uint64_t i = g_next; i < g_next + 2; i++) {
        f.b({0x0e, 0}).v(kRange * i + 1).v(kRange - 1).fill(kRange - 1, 'x');
    }
    return f;
}

std::map<std::string, Class> classes()
{
    std::map<std::string, Class> c;
    /* What an ordinary packet costs: full, in order, read at once. */
    c["bulk"] = {nullptr, none, [](uint64_t n) {
                     Frames f = n % 2 == 0 ? ack() : Frames{};
                     const size_t len = kFull - f.bytes.size() - 10;
                     f.b({0x0c, 0x00}).v(g_next).fill(len, 'x');
                     g_next += len;
                     say(f);
                 }};
    /* One byte in each STREAM frame, all of one stream. */
    c["bytes"] = {nullptr, none, [](uint64_t) {
                      Frames f = ack();
                      while (!f.full()) {
                          f.b({0x0e, 0}).v(g_next++).b({1, 'x'});
                      }
                      say(f);
                  }};
    /* `state` gaps are held; each pair of frames makes one more, in front of them, and takes it away. */
    c["gaps"] = {nullptr,
                 [] {
                     Frames f;
                     for (uint64_t i = 0; i < g_state; i++) {
                         f.b({0x0e, 0}).v(100000 + 2 * i).b({1, 'x'});
                         if (f.full() || i + 1 == g_state) {
                             say(f);
                             f = Frames{};
                         }
                     }
                 },
                 [](uint64_t) {
                     Frames f = ack();
                     while (!f.full()) {
                         f.b({0x0e, 0}).v(g_next + 1).b({1, 'x'});
                         f.b({0x0e, 0}).v(g_next).b({1, 'x'});
                         g_next = (g_next + 2) % 90000;
                     }
                     say(f);
                 }};
    /* `state` ranges are held; the lowest two are joined to what was read, a byte each, and two more come. */
    c["ranges"] = {[](sim::Options &o) {
                       o.server.limits.stream_recv_window_bytes = 64 << 20;
                       o.server.limits.stream_recv_window_max_bytes = 64 << 20;
                       o.server.limits.conn_recv_window_bytes = 64 << 20;
                       o.server.limits.conn_recv_window_max_bytes = 64 << 20;
                   },
                   [] {
                       say(Frames{}.b({0x0e, 0}).v((64 << 20) - 1).b({1, 'x'}));
                       for (g_next = 0; g_next < g_state; g_next += 2) {
                           say(long_ranges());
                       }
                   },
                   [](uint64_t n) {
                       Frames f = long_ranges();
                       g_next += 2;
                       f.b({0x0e, 0}).v(kRange * 2 * n).b({1, 'x'});
                       f.b({0x0e, 0}).v(kRange * (2 * n + 1)).b({1, 'x'});
                       say(f);
                   }};
    /* A byte at offsets that double, up to `state`, and a reset, on one stream after the other. */
    c["growth"] = {[](sim::Options &o) {
                       o.server.limits.stream_recv_window_bytes = 1 << 20;
                       o.server.limits.conn_recv_window_bytes = 16 << 20;
                       o.server.limits.conn_recv_window_max_bytes = 16 << 20;
                   },
                   none,
                   [](uint64_t n) {
                       Frames f = ack();
                       uint64_t at = 4096;
                       for (; at <= g_state; at *= 2) {
                           f.b({0x0e}).v(4 * n + 2).v(at - 1).b({1, 'x'});
                       }
                       f.b({0x04}).v(4 * n + 2).b({0}).v(at / 2);
                       say(f);
                   }};
    /* `state` requests of a byte in a datagram, answered with a byte each. */
    c["requests"] = {[](sim::Options &o) {
                         o.server.limits.streams_bidi_max = 1000;
                         g_answer_len = 1;
                     },
                     none,
                     [](uint64_t n) {
                         Frames f = ack();
                         for (uint64_t i = 0; i < g_state; i++) {
                             f.b({0x0b}).v(4 * (n * g_state + i)).b({1, 'x'});
                         }
                         say(f);
                     }};
    /* Empty DATAGRAM frames. `state` 1: nobody reads them, and so many wait as may. */
    c["datagrams"] = {[](sim::Options &) { g_reads = g_state == 0; },
                      [] {
                          for (int i = 0; i < 20; i++) {
                              say(Frames{}.datagrams());
                          }
                      },
                      [](uint64_t) { say(ack().datagrams()); }};
    return c;
}

void exchange()
{
    perf::settle(g_client, g_server, kPayload, kMs, g_now, [](perf::Side &side) {
        if (&side == &g_server) {
            hear_server();
            return;
        }
        quic_event ev;
        while (quic_endpoint_poll_event(g_client.ep, &ev, g_now)) {
            g_client.conn = ev.type == QURING_EV_CONNECTED ? ev.conn : g_client.conn;
        }
    });
}

} // namespace

/* attack_cost CLASS STATE DATAGRAMS: says how many datagrams the server took. */
int main(int argc, char **argv)
{
    const std::string name = argc > 1 ? argv[1] : "bulk";
    g_state = argc > 2 ? strtoull(argv[2], nullptr, 10) : 0;
    const uint64_t datagrams = argc > 3 ? strtoull(argv[3], nullptr, 10) : 1000;
    const auto all = classes();
    const auto found = all.find(name);
    if (found == all.end()) {
        fail("no such class");
    }
    sim::Options o;
    o.server.limits = sim::sim_limits();
    o.server.limits.udp_payload_bytes = kPayload;
    o.server.limits.udp_payload_max_bytes = kPayload;
    o.server.limits.mtu_probe_max_bytes = 0;
    o.clients.resize(1);
    if (found->second.change != nullptr) {
        found->second.change(o);
    }
    sim::Identity identity(o);
    const perf::Crypto crypto;
    perf::make(g_server, 1, o, crypto);
    perf::make(g_client, 2, o, crypto);
    const quic_accept_config accept = perf::accepts(o, identity);
    const quic_connect_config config = perf::connects(o, identity, g_client, g_server);
    perf::begin(g_server, g_client, accept, config, g_now);
    exchange();
    if (g_server.conn == nullptr || g_client.conn == nullptr) {
        fail("no handshake");
    }
    g_acked = inject_next_pn(g_server.conn);
    found->second.prepare();
    for (uint64_t n = 0; n < datagrams; n++) {
        found->second.attack(n);
    }
    if (g_closed) {
        fail("closed");
    }
    printf("%llu datagrams\n", static_cast<unsigned long long>(datagrams));
    quic_endpoint_destroy(g_server.ep);
    quic_endpoint_destroy(g_client.ep);
    return 0;
}
