// Moves small requests and answers between two endpoints in memory, one at a time, as the runtime would
// hand them over: one turn of a worker for each datagram. callgrind counts the instructions of the turns
// (request_cost_test.py), without those of encryption.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/perf/endpoints.h"

namespace
{

using perf::fail;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kWay = 10 * QUIC_NS_PER_US;
constexpr uint32_t kPayload = 1452;
constexpr size_t kBytes = 64; // of a request, and of an answer

perf::Side g_server;
perf::Side g_client;
quic_ns g_now = 1000 * kMs;
uint64_t g_wanted; // requests to be sent
quic_ns g_pause;   // between an answer and the next request
bool g_is_due;     // the next request, after a pause
uint64_t g_asked;
uint64_t g_answered;
uint64_t g_datagrams; // sent by both
uint8_t g_data[kBytes];
std::vector<uint8_t> g_spare(65536);

/* Whether the stream has ended: all of it is read. */
bool read_all(quic_conn *conn, quic_stream *stream)
{
    quic_span spans[2] = {};
    bool fin = false;
    if (quic_conn_stream_peek(conn, stream, spans, &fin) != QUIC_OK) {
        return false;
    }
    (void)quic_conn_stream_consume(conn, stream, spans[0].len + spans[1].len);
    return fin;
}

void write_all(quic_conn *conn, quic_stream *stream)
{
    size_t accepted = 0;
    if (quic_conn_stream_write(conn, stream, g_data, kBytes, QUIC_WRITE_FIN, &accepted) !=
            QUIC_OK ||
        accepted != kBytes) {
        fail("no room for a small message");
    }
}

void ask()
{
    quic_stream *stream = nullptr;
    if (g_asked == g_wanted) {
        return;
    }
    if (quic_conn_stream_open(g_client.conn, false, &stream) != QUIC_OK) {
        fail("no stream");
    }
    g_asked++;
    write_all(g_client.conn, stream);
}

void hear(perf::Side &side, bool is_server)
{
    quic_event ev;
    while (quic_endpoint_poll_event(side.ep, &ev, g_now)) {
        if (ev.type == QURING_EV_CONNECTED) {
            side.conn = ev.conn;
        } else if (ev.type == QURING_EV_STREAM_READABLE && read_all(ev.conn, ev.stream)) {
            if (is_server) {
                write_all(ev.conn, ev.stream);
            } else {
                g_answered++;
                if (g_pause == 0) {
                    ask();
                }
            }
        }
    }
}

/* A turn of a worker, as in runtime/core/worker.c; in->len 0: nothing was received. Whether there is
 * something to send, in *out. */
bool turn(perf::Side &side, bool is_server, quic_rx_unit *in, quic_tx_unit *out)
{
    quic_endpoint_set_now(side.ep, g_now);
    if (in->len > 0) {
        quic_endpoint_recv(side.ep, in, g_now);
    }
    if (quic_endpoint_next_timeout(side.ep) <= g_now) {
        quic_endpoint_on_timeout(side.ep, g_now);
    }
    hear(side, is_server);
    if (!is_server && g_is_due) {
        g_is_due = false;
        ask();
    }
    if (!perf::pull(side, *out, kPayload, 1, g_now)) {
        return false;
    }
    g_datagrams++;
    quic_tx_unit more;
    side.buf.swap(g_spare); // the first one is still to be received
    if (perf::pull(side, more, kPayload, 1, g_now)) {
        fail("a second datagram");
    }
    return true;
}

} // namespace

extern "C" {

__attribute__((noinline)) bool cost_server(quic_rx_unit *in, quic_tx_unit *out)
{
    return turn(g_server, true, in, out);
}

__attribute__((noinline)) bool cost_client(quic_rx_unit *in, quic_tx_unit *out)
{
    return turn(g_client, false, in, out);
}

} // extern "C"

namespace
{

/* Everything both sides have to say, while they may say it in more than one datagram. */
void shake_hands()
{
    perf::settle(g_client, g_server, kPayload, kWay, g_now,
                 [](perf::Side &side) { hear(side, &side == &g_server); });
}

/* Datagrams to and fro until nobody has more to say. */
void talk(quic_tx_unit &tx, bool from_server)
{
    bool again = true;
    while (again) {
        quic_rx_unit rx = perf::received(tx);
        g_now += kWay;
        from_server = !from_server;
        again = from_server ? cost_server(&rx, &tx) : cost_client(&rx, &tx);
    }
}

/* Time passes, and what becomes due is done. */
void rest()
{
    const quic_ns end = g_now + g_pause;
    for (;;) {
        const quic_ns at_server = quic_endpoint_next_timeout(g_server.ep);
        const quic_ns at_client = quic_endpoint_next_timeout(g_client.ep);
        const bool is_server = at_server < at_client;
        const quic_ns at = is_server ? at_server : at_client;
        if (at > end) {
            g_now = end;
            return;
        }
        g_now = at > g_now ? at : g_now;
        quic_rx_unit nothing{};
        quic_tx_unit tx;
        if (is_server ? cost_server(&nothing, &tx) : cost_client(&nothing, &tx)) {
            talk(tx, is_server);
        }
    }
}

} // namespace

/* request_cost REQUESTS [MS]: one after the other, with so much time in between; prints how many were answered,
 * in how many datagrams. */
int main(int argc, char **argv)
{
    const uint64_t requests = argc > 1 ? strtoull(argv[1], nullptr, 10) : 10000;
    g_pause = argc > 2 ? strtoull(argv[2], nullptr, 10) * kMs : 0;
    sim::Options o;
    o.server.limits = sim::sim_limits();
    o.server.limits.udp_payload_bytes = kPayload;
    o.server.limits.udp_payload_max_bytes = kPayload;
    o.server.limits.mtu_probe_max_bytes = 0;
    o.server.limits.streams_bidi_max = 100;
    o.clients.resize(1);
    sim::Identity identity(o);
    const perf::Crypto crypto;
    perf::make(g_server, 1, o, crypto);
    perf::make(g_client, 2, o, crypto);
    const quic_accept_config accept = perf::accepts(o, identity);
    const quic_connect_config config = perf::connects(o, identity, g_client, g_server);
    perf::begin(g_server, g_client, accept, config, g_now);
    shake_hands();
    if (g_server.conn == nullptr || g_client.conn == nullptr) {
        fail("no handshake");
    }
    g_wanted = requests;
    while (g_asked < g_wanted) {
        quic_rx_unit nothing{};
        quic_tx_unit tx;
        g_is_due = true;
        if (!cost_client(&nothing, &tx)) {
            fail("no request");
        }
        talk(tx, false);
        rest();
    }
    printf("%llu answers in %llu datagrams\n", static_cast<unsigned long long>(g_answered),
           static_cast<unsigned long long>(g_datagrams));
    quic_endpoint_destroy(g_server.ep);
    quic_endpoint_destroy(g_client.ep);
    return g_answered == requests ? 0 : 1;
}
