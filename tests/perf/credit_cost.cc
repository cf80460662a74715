// Many streams of a server wait for the connection's credit, which its client raises a little at a time: callgrind
// counts the instructions of the server's turns (credit_cost_test.py), without those of encryption.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/perf/endpoints.h"

namespace
{

using perf::fail;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kWay = 100 * QUIC_NS_PER_US;
constexpr uint32_t kPayload = 1452;
constexpr uint64_t kWindow = 32 << 10; // of the connection: MAX_DATA comes for each quarter of it
constexpr uint64_t kTotal = 16 << 20;  // written, to all streams together

perf::Side g_server;
perf::Side g_client;
quic_ns g_now = 1000 * kMs;
uint64_t g_read;

void hear(perf::Side &side)
{
    quic_event ev;
    while (quic_endpoint_poll_event(side.ep, &ev, g_now)) {
        quic_span spans[2] = {};
        bool fin = false;
        if (ev.type == QURING_EV_CONNECTED) {
            side.conn = ev.conn;
        } else if (ev.type == QURING_EV_STREAM_READABLE &&
                   quic_conn_stream_peek(ev.conn, ev.stream, spans, &fin) == QUIC_OK) {
            const size_t len = spans[0].len + spans[1].len;
            (void)quic_conn_stream_consume(ev.conn, ev.stream, len);
            g_read += len;
        }
    }
}

} // namespace

extern "C" {

__attribute__((noinline)) void cost_recv(quic_rx_unit *in)
{
    quic_endpoint_set_now(g_server.ep, g_now);
    quic_endpoint_recv(g_server.ep, in, g_now);
}

__attribute__((noinline)) bool cost_send(quic_tx_unit *out)
{
    return perf::pull(g_server, *out, kPayload, 16, g_now);
}

} // extern "C"

namespace
{

void to_client(const quic_tx_unit &tx)
{
    quic_rx_unit rx = perf::received(tx);
    quic_endpoint_recv(g_client.ep, &rx, g_now);
    hear(g_client);
}

/* A round trip. */
void turn()
{
    quic_tx_unit tx;
    g_now += kWay;
    if (quic_endpoint_next_timeout(g_client.ep) <= g_now) {
        quic_endpoint_on_timeout(g_client.ep, g_now);
    }
    for (int i = 0; perf::pull(g_client, tx, kPayload, 1, g_now); i++) {
        quic_rx_unit rx = perf::received(tx);
        cost_recv(&rx);
        hear(g_server);
        if (i > 100) {
            fail("a client without end");
        }
    }
    g_now += kWay;
    if (quic_endpoint_next_timeout(g_server.ep) <= g_now) {
        quic_endpoint_on_timeout(g_server.ep, g_now);
    }
    for (int i = 0; cost_send(&tx); i++) {
        to_client(tx);
        if (i > 100) {
            fail("a server without end");
        }
    }
}

} // namespace

/* credit_cost STREAMS KIB: prints how much arrived, in how many turns. */
int main(int argc, char **argv)
{
    const uint64_t streams = argc > 1 ? strtoull(argv[1], nullptr, 10) : 10;
    const uint64_t wanted = (argc > 2 ? strtoull(argv[2], nullptr, 10) : 1000) << 10;
    const std::vector<uint8_t> data(kTotal / streams);
    sim::Options o;
    o.server.limits = sim::sim_limits();
    o.server.limits.udp_payload_bytes = kPayload;
    o.server.limits.udp_payload_max_bytes = kPayload;
    o.server.limits.mtu_probe_max_bytes = 0;
    o.server.limits.stream_send_buf_bytes = data.size() + 65536;
    o.server.limits.conn_send_buf_bytes = 2 * kTotal;
    o.clients.resize(1);
    sim::Identity identity(o);
    const perf::Crypto crypto;
    perf::make(g_server, 1, o, crypto);
    perf::make(g_client, 2, o, crypto);
    const quic_accept_config accept = perf::accepts(o, identity);
    quic_connect_config config = perf::connects(o, identity, g_client, g_server);
    config.limits.streams_uni_max = 10000;
    config.limits.stream_recv_window_bytes = 4 << 20;
    config.limits.stream_recv_window_max_bytes = 4 << 20;
    config.limits.conn_recv_window_bytes = kWindow;
    config.limits.conn_recv_window_max_bytes = kWindow;
    perf::begin(g_server, g_client, accept, config, g_now);
    for (int i = 0; i < 100 && g_server.conn == nullptr; i++) {
        turn();
    }
    if (g_server.conn == nullptr) {
        fail("no handshake");
    }
    for (uint64_t i = 0; i < streams; i++) {
        quic_stream *stream = nullptr;
        size_t accepted = 0;
        if (quic_conn_stream_open(g_server.conn, true, &stream) != QUIC_OK ||
            quic_conn_stream_write(g_server.conn, stream, data.data(), data.size(), 0, &accepted) !=
                QUIC_OK ||
            accepted != data.size()) {
            fail("no room for a stream");
        }
    }
    uint64_t turns = 0;
    for (; g_read < wanted; turns++) {
        if (turns > 100000) {
            fail("it stands still");
        }
        turn();
    }
    printf("%llu bytes in %llu turns\n", static_cast<unsigned long long>(g_read),
           static_cast<unsigned long long>(turns));
    quic_endpoint_destroy(g_server.ep);
    quic_endpoint_destroy(g_client.ep);
    return 0;
}
