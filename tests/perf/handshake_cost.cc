// Makes connections that do nothing but shake hands, between two endpoints in memory. What the server does for
// them are functions of their own, so that callgrind can count their instructions (handshake_cost_test.py),
// without those of encryption and hashing; what it asks for is counted here.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/perf/endpoints.h"

namespace
{

using perf::fail;
using perf::received;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kPayload = 1452;
constexpr uint32_t kTurnsMax = 100;

struct Side : perf::Side {
    uint32_t connected = 0;
    uint32_t closed = 0;
    uint64_t datagrams = 0; // sent
};

Side g_server;
Side g_client;
quic_ns g_now = 1000 * kMs;
uint64_t g_contexts; // the server's AEAD contexts

bool count_init(void *aead, const uint8_t *key)
{
    g_contexts++;
    return quic_crypto_shim()->suites[0]->aead_init(aead, key);
}

bool pull(Side &from, quic_tx_unit &unit)
{
    const bool any = perf::pull(from, unit, kPayload, 1, g_now);
    from.datagrams += any ? 1 : 0;
    return any;
}

void poll(Side &side)
{
    quic_event ev;
    while (quic_endpoint_poll_event(side.ep, &ev, g_now)) {
        side.conn = ev.type == QURING_EV_CONNECTED ? ev.conn : side.conn;
        side.connected += ev.type == QURING_EV_CONNECTED ? 1 : 0;
        side.closed += ev.type == QURING_EV_CLOSED ? 1 : 0;
    }
}

} // namespace

extern "C" {

__attribute__((noinline)) void cost_recv(quic_rx_unit *unit)
{
    quic_endpoint_recv(g_server.ep, unit, g_now);
}

__attribute__((noinline)) void cost_events()
{
    poll(g_server);
}

__attribute__((noinline)) bool cost_send(quic_tx_unit *unit)
{
    return pull(g_server, *unit);
}

__attribute__((noinline)) void cost_timeout()
{
    quic_endpoint_on_timeout(g_server.ep, g_now);
}

} // extern "C"

namespace
{

/* Everything both sides have to say now. */
void exchange()
{
    quic_tx_unit tx;
    bool again = true;
    for (uint32_t i = 0; again; i++) {
        again = false;
        if (i > kTurnsMax) {
            fail("no end to what they say");
        }
        g_now += kMs / 10;
        while (pull(g_client, tx)) {
            quic_rx_unit rx = received(tx);
            cost_recv(&rx);
            again = true;
        }
        cost_events();
        while (cost_send(&tx)) {
            quic_rx_unit rx = received(tx);
            quic_endpoint_recv(g_client.ep, &rx, g_now);
            again = true;
        }
        poll(g_client);
    }
}

void handshake(const quic_connect_config &config)
{
    const uint32_t before = g_server.connected;
    quic_conn *conn = nullptr;
    if (quic_endpoint_connect(g_client.ep, &conn, &config, g_now) != QUIC_OK) {
        fail("no connection");
    }
    exchange();
    if (g_server.connected != before + 1 || g_client.connected != before + 1 ||
        quic_conn_close(g_client.conn, 0, nullptr) != QUIC_OK) {
        fail("no handshake");
    }
    exchange();
    g_now += 2000 * kMs; /* beyond the closing period */
    cost_timeout();
    quic_endpoint_on_timeout(g_client.ep, g_now);
    if (g_server.closed != before + 1 || quic_endpoint_conn_count(g_server.ep) != 0) {
        fail("something is left");
    }
}

} // namespace

/* handshake_cost COUNT: prints what so many asked for. */
int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], nullptr, 10) : 100;
    sim::Options o;
    o.server.limits = sim::sim_limits();
    o.ticket_len = 200;
    o.server_flight_len = 700; /* a small certificate */
    o.clients.resize(1);
    sim::Identity identity(o);
    perf::Crypto counted;
    const perf::Crypto plain;
    counted.suites[0].aead_init = count_init; /* AES-128-GCM, as of the Initial packets */
    perf::make(g_server, 1, o, counted);
    perf::make(g_client, 2, o, plain);
    const quic_accept_config accept = perf::accepts(o, identity);
    const quic_connect_config config = perf::connects(o, identity, g_client, g_server);
    if (quic_endpoint_listen(g_server.ep, 0, &accept) != QUIC_OK) {
        fail("nobody listens");
    }
    handshake(config); /* tables grow */
    const uint64_t blocks = g_server.alloc.count();
    const uint64_t contexts = g_contexts;
    const uint64_t sent = g_server.datagrams;
    const uint64_t got = g_client.datagrams;
    for (uint64_t i = 0; i < count; i++) {
        handshake(config);
    }
    printf("handshakes %llu blocks %llu contexts %llu sent %llu received %llu\n",
           static_cast<unsigned long long>(count),
           static_cast<unsigned long long>(g_server.alloc.count() - blocks),
           static_cast<unsigned long long>(g_contexts - contexts),
           static_cast<unsigned long long>(g_server.datagrams - sent),
           static_cast<unsigned long long>(g_client.datagrams - got));
    quic_endpoint_destroy(g_server.ep);
    quic_endpoint_destroy(g_client.ep);
    return 0;
}
