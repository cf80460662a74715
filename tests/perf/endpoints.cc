#include "tests/perf/endpoints.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

namespace perf
{

Crypto::Crypto()
{
    table = *quic_crypto_shim();
    for (size_t i = 0; i < QUIC_SUITE_COUNT; i++) {
        suites[i] = *table.suites[i];
        suites[i].seal = free_seal;
        suites[i].open = free_open;
        table.suites[i] = &suites[i];
    }
}

void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

void make(Side &side, uint8_t host, const sim::Options &o, const Crypto &crypto)
{
    quic_endpoint_config config{};
    config.worker_count = 1;
    config.allocator = side.alloc.table();
    config.rng = quic_rng_seeded(&side.rng);
    config.crypto = &crypto.table;
    config.limits = o.server.limits;
    config.pacing = false;
    side.rng.s = host;
    side.addr.family = 4;
    side.addr.ip[0] = 10;
    side.addr.ip[3] = host;
    side.addr.port = 443;
    if (quic_endpoint_create(&side.ep, &config) != QUIC_OK) {
        fail("no endpoint");
    }
}

quic_accept_config accepts(const sim::Options &o, const sim::Identity &identity)
{
    quic_accept_config accept{};
    accept.tls = identity.vtable();
    accept.tls_config = identity.server_config();
    accept.limits = o.server.limits;
    return accept;
}

quic_connect_config connects(const sim::Options &o, const sim::Identity &identity,
                             const Side &client, const Side &server)
{
    quic_connect_config config{};
    config.tls = identity.vtable();
    config.tls_config = identity.client_config();
    config.server_name = "localhost";
    config.limits = o.server.limits;
    config.path.local = client.addr;
    config.path.remote = server.addr;
    return config;
}

void begin(Side &server, Side &client, const quic_accept_config &accept,
           const quic_connect_config &connect, quic_ns now)
{
    quic_conn *conn = nullptr;
    if (quic_endpoint_listen(server.ep, 0, &accept) != QUIC_OK ||
        quic_endpoint_connect(client.ep, &conn, &connect, now) != QUIC_OK) {
        fail("no connection");
    }
}

bool pull(Side &from, quic_tx_unit &unit, uint32_t payload, uint32_t datagrams, quic_ns now)
{
    unit = quic_tx_unit{};
    unit.buf = from.buf.data();
    unit.cap = datagrams * payload;
    unit.seg_max = datagrams;
    return quic_endpoint_send(from.ep, &unit, now);
}

quic_rx_unit received(const quic_tx_unit &tx)
{
    quic_rx_unit rx{};
    rx.data = tx.buf;
    rx.len = tx.len;
    rx.seg_len = tx.seg_len;
    rx.ecn = tx.ecn;
    rx.path.local = tx.path.remote;
    rx.path.remote = tx.path.local;
    return rx;
}

void settle(Side &client, Side &server, uint32_t payload, quic_ns way, quic_ns &now,
            const std::function<void(Side &)> &hear)
{
    quic_tx_unit tx;
    bool again = true;
    for (int i = 0; again; i++) {
        again = false;
        if (i > 100) {
            fail("no end to what they say");
        }
        for (Side *from : {&client, &server}) {
            Side *to = from == &client ? &server : &client;
            while (pull(*from, tx, payload, 1, now)) {
                quic_rx_unit rx = received(tx);
                now += way;
                quic_endpoint_recv(to->ep, &rx, now);
                hear(*to);
                again = true;
            }
        }
    }
}

} // namespace perf
