// Makes connections that do nothing but shake hands, between two endpoints in memory. What the server does for
// them are functions of their own, so that callgrind can count their instructions (handshake_cost_test.py),
// without those of encryption and hashing; what it asks for is counted here.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "quic/conn/conn.h"
#include "quic/crypto/crypto.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/options.h"

/* Not counted: real ones cost what they cost. */
extern "C" {

__attribute__((noinline)) void free_seal(void *, uint8_t *dst, const uint8_t *src, size_t len,
                                         const uint8_t *, const uint8_t *, size_t)
{
    if (dst != src) {
        memcpy(dst, src, len);
    }
    memset(dst + len, 0, QUIC_AEAD_TAG_LEN);
}

__attribute__((noinline)) bool free_open(void *, uint8_t *dst, const uint8_t *src, size_t len,
                                         const uint8_t *, const uint8_t *, size_t)
{
    if (dst != src) {
        memcpy(dst, src, len);
    }
    return true;
}

} // extern "C"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kTurnsMax = 100;

uint64_t g_contexts; // the server's AEAD contexts

bool count_init(void *aead, const uint8_t *key)
{
    g_contexts++;
    return quic_crypto_shim()->suites[0]->aead_init(aead, key);
}

struct Crypto {
    quic_crypto table{};
    quic_crypto_suite suites[QUIC_SUITE_COUNT]{};

    explicit Crypto(bool counted)
    {
        table = *quic_crypto_shim();
        for (size_t i = 0; i < QUIC_SUITE_COUNT; i++) {
            suites[i] = *table.suites[i];
            suites[i].seal = free_seal;
            suites[i].open = free_open;
            table.suites[i] = &suites[i];
        }
        if (counted) {
            suites[0].aead_init = count_init; /* AES-128-GCM, as of the Initial packets */
        }
    }
};

struct Side {
    quic_endpoint *ep = nullptr;
    sim::Alloc alloc;
    quic_rng_seeded_state rng{};
    quic_addr addr{};
    quic_conn *conn = nullptr;
    uint32_t connected = 0;
    uint32_t closed = 0;
    uint64_t datagrams = 0; // sent
    std::vector<uint8_t> buf = std::vector<uint8_t>(65536);
};

Side g_server;
Side g_client;
quic_ns g_now = 1000 * kMs;

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "handshake_cost: %s\n", what);
    exit(1);
}

void make(Side &side, uint8_t host, const sim::Options &o, const quic_crypto *crypto)
{
    quic_endpoint_config config{};
    config.worker_count = 1;
    config.allocator = side.alloc.table();
    config.rng = quic_rng_seeded(&side.rng);
    config.crypto = crypto;
    config.limits = o.server.limits;
    side.rng.s = host;
    side.addr.family = 4;
    side.addr.ip[0] = 10;
    side.addr.ip[3] = host;
    side.addr.port = 443;
    if (quic_endpoint_create(&side.ep, &config) != QUIC_OK) {
        fail("no endpoint");
    }
}

quic_rx_unit received(const quic_tx_unit &tx)
{
    quic_rx_unit rx{};
    rx.data = tx.buf;
    rx.len = tx.len;
    rx.seg_len = tx.seg_len;
    rx.path.local = tx.path.remote;
    rx.path.remote = tx.path.local;
    return rx;
}

bool pull(Side &from, quic_tx_unit &unit)
{
    unit = quic_tx_unit{};
    unit.buf = from.buf.data();
    unit.cap = 1452;
    unit.seg_max = 1;
    bool any = quic_endpoint_send(from.ep, &unit, g_now);
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
    const Crypto counted(true);
    const Crypto plain(false);
    make(g_server, 1, o, &counted.table);
    make(g_client, 2, o, &plain.table);
    quic_accept_config accept{};
    accept.tls = identity.vtable();
    accept.tls_config = identity.server_config();
    accept.limits = o.server.limits;
    quic_connect_config config{};
    config.tls = identity.vtable();
    config.tls_config = identity.client_config();
    config.server_name = "localhost";
    config.limits = o.server.limits;
    config.path.local = g_client.addr;
    config.path.remote = g_server.addr;
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
