// Moves bulk data between two endpoints in memory, as the runtime would hand it to them: trains of 44
// full datagrams, one ACK for each. The parts are functions of their own, so that callgrind can count the
// instructions of one of them (packet_cost_test.py), without those of encryption. Either side may send the data: a
// client goes on with what the handshake and the tickets have left it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/perf/endpoints.h"

namespace
{

using perf::fail;
using perf::received;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kTrain = 44; // datagrams of 1452 bytes in 64 KB
constexpr uint32_t kPayload = 1452;

perf::Side g_server;
perf::Side g_client;
perf::Side *g_from = &g_server; // of the data
perf::Side *g_to = &g_client;
quic_stream *g_stream; // of g_from
quic_ns g_now = 1000 * kMs;
uint64_t g_received;
uint64_t g_packets; // of bulk data
std::vector<uint8_t> g_data(256 * 1024, 'q');

bool pull(perf::Side &from, quic_tx_unit &unit)
{
    return perf::pull(from, unit, kPayload, kTrain, g_now);
}

} // namespace

extern "C" {

__attribute__((noinline)) void cost_write()
{
    size_t accepted = 0;
    do {
        if (quic_conn_stream_write(g_from->conn, g_stream, g_data.data(), g_data.size(),
                                   QUIC_WRITE_LEND, &accepted) != QUIC_OK) {
            return;
        }
    } while (accepted == g_data.size());
}

__attribute__((noinline)) bool cost_send(quic_tx_unit *unit)
{
    return pull(*g_from, *unit);
}

__attribute__((noinline)) void cost_recv(quic_rx_unit *unit)
{
    quic_endpoint_recv(g_to->ep, unit, g_now);
}

__attribute__((noinline)) void cost_read()
{
    quic_event ev;
    while (quic_endpoint_poll_event(g_to->ep, &ev, g_now)) {
        if (ev.type == QURING_EV_CONNECTED) {
            g_to->conn = ev.conn;
        }
        if (ev.type != QURING_EV_STREAM_READABLE) {
            continue;
        }
        quic_span spans[2] = {};
        bool fin = false;
        while (quic_conn_stream_peek(ev.conn, ev.stream, spans, &fin) == QUIC_OK &&
               spans[0].len + spans[1].len > 0) {
            size_t n = spans[0].len + spans[1].len;
            g_received += n;
            (void)quic_conn_stream_consume(ev.conn, ev.stream, n);
        }
    }
}

__attribute__((noinline)) bool cost_ack_send(quic_tx_unit *unit)
{
    return pull(*g_to, *unit);
}

__attribute__((noinline)) void cost_ack_recv(quic_rx_unit *unit)
{
    quic_endpoint_recv(g_from->ep, unit, g_now);
    quic_event ev;
    while (quic_endpoint_poll_event(g_from->ep, &ev, g_now)) {
        if (ev.type == QURING_EV_CONNECTED) {
            g_from->conn = ev.conn;
        }
    }
}

} // extern "C"

namespace
{

/* Everything both sides have to say now. */
void exchange()
{
    quic_tx_unit tx;
    bool again = true;
    for (int i = 0; again; i++) {
        again = false;
        if (i > 1000) {
            fail("no end to what they say");
        }
        while (cost_send(&tx)) {
            quic_rx_unit rx = received(tx);
            g_packets += (tx.len + tx.seg_len - 1) / tx.seg_len;
            g_now += kMs / 100;
            cost_recv(&rx);
            cost_read();
            again = true;
            while (cost_ack_send(&tx)) {
                quic_rx_unit ack = received(tx);
                cost_ack_recv(&ack);
            }
        }
        while (cost_ack_send(&tx)) {
            quic_rx_unit rx = received(tx);
            cost_ack_recv(&rx);
            again = true;
        }
        cost_read();
    }
}

void handshake(const sim::Options &o, const sim::Identity &identity)
{
    const quic_accept_config accept = perf::accepts(o, identity);
    const quic_connect_config config = perf::connects(o, identity, g_client, g_server);
    perf::begin(g_server, g_client, accept, config, g_now);
    exchange();
    if (g_server.conn == nullptr || g_client.conn == nullptr ||
        quic_conn_stream_open(g_from->conn, true, &g_stream) != QUIC_OK) {
        fail("no handshake");
    }
}

} // namespace

/* packet_cost BYTES [up]: prints how many datagrams carried them. */
int main(int argc, char **argv)
{
    uint64_t want = argc > 1 ? strtoull(argv[1], nullptr, 10) : 20000000;
    sim::Options o;
    if (argc > 2 && strcmp(argv[2], "up") == 0) {
        std::swap(g_from, g_to);
        o.ticket_len = 200;
    }
    o.server.limits = sim::sim_limits();
    o.server.limits.udp_payload_bytes = kPayload;
    o.server.limits.udp_payload_max_bytes = kPayload;
    o.server.limits.mtu_probe_max_bytes = 0;
    o.server.limits.stream_recv_window_bytes = 4u << 20;
    o.server.limits.stream_recv_window_max_bytes = 4u << 20;
    o.server.limits.conn_recv_window_bytes = 8u << 20;
    o.server.limits.conn_recv_window_max_bytes = 8u << 20;
    o.clients.resize(1);
    sim::Identity identity(o);
    const perf::Crypto crypto;
    perf::make(g_server, 1, o, crypto);
    perf::make(g_client, 2, o, crypto);
    handshake(o, identity);
    g_packets = 0;
    for (uint64_t before = g_received; g_received < want; before = g_received) {
        cost_write();
        exchange();
        if (g_received == before) {
            g_now += 100 * kMs;
            quic_endpoint_on_timeout(g_server.ep, g_now);
            quic_endpoint_on_timeout(g_client.ep, g_now);
        }
    }
    printf("%llu bytes in %llu datagrams\n", static_cast<unsigned long long>(g_received),
           static_cast<unsigned long long>(g_packets));
    quic_endpoint_destroy(g_server.ep);
    quic_endpoint_destroy(g_client.ep);
    return 0;
}
