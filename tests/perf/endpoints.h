/* tests/perf/endpoints.h: an endpoint in memory whose encryption costs nothing, for programs whose instructions
 * callgrind counts: real encryption costs what it costs. */
#ifndef TESTS_PERF_ENDPOINTS_H
#define TESTS_PERF_ENDPOINTS_H

#include <cstdint>
#include <functional>
#include <vector>

#include "quic/conn/conn.h"
#include "quic/crypto/crypto.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/options.h"

/* What stands in for encryption; by name not counted. */
extern "C" {
void free_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *nonce,
               const uint8_t *ad, size_t ad_len);
bool free_open(void *aead, uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *nonce,
               const uint8_t *ad, size_t ad_len);
}

namespace perf
{

/* The shim without encryption; the endpoint that uses it does not outlive it. */
struct Crypto {
    quic_crypto table{};
    quic_crypto_suite suites[QUIC_SUITE_COUNT]{};

    Crypto();
};

struct Side {
    quic_endpoint *ep = nullptr;
    sim::Alloc alloc;
    quic_rng_seeded_state rng{};
    quic_addr addr{};
    quic_conn *conn = nullptr;
    std::vector<uint8_t> buf = std::vector<uint8_t>(65536);
};

/* Ends the program. */
[[noreturn]] void fail(const char *what);

void make(Side &side, uint8_t host, const sim::Options &o, const Crypto &crypto);
/* What a client of `o` connects with, and a server listens with. */
quic_accept_config accepts(const sim::Options &o, const sim::Identity &identity);
quic_connect_config connects(const sim::Options &o, const sim::Identity &identity,
                             const Side &client, const Side &server);

/* A listener at the server, and a connection to it that begins: what leaves, and when, is the caller's. */
void begin(Side &server, Side &client, const quic_accept_config &accept,
           const quic_connect_config &connect, quic_ns now);

/* The next unit of `from`, of at most so many datagrams of `payload` bytes; false: there is none. */
bool pull(Side &from, quic_tx_unit &unit, uint32_t payload, uint32_t datagrams, quic_ns now);
/* Datagrams to and fro, each on its way for `way`, until neither side has more to say. `hear` takes the events. */
void settle(Side &client, Side &server, uint32_t payload, quic_ns way, quic_ns &now,
            const std::function<void(Side &)> &hear);
/* A unit as it was sent is a unit as it is received: the kernel splits and coalesces. */
quic_rx_unit received(const quic_tx_unit &tx);

} // namespace perf

#endif // TESTS_PERF_ENDPOINTS_H
