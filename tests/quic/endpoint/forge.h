/* tests/quic/endpoint/forge.h: packets by hand: Initials of any content, and what is inside one.
 * Scripted handshakes only: their keys come from the shim provider.
 */
#ifndef TESTS_QUIC_ENDPOINT_FORGE_H
#define TESTS_QUIC_ENDPOINT_FORGE_H

#include <string>
#include <vector>

#include "quic/base/types.h"
#include "tests/sim/alloc.h"

using Bytes = std::vector<uint8_t>;

quic_cid make_cid(uint64_t value);

struct InitialSpec {
    quic_cid key_dcid{}; /* keys derive from this one */
    quic_cid dcid{};
    quic_cid scid{};
    uint64_t pn = 0;
    Bytes frames;
    Bytes token;
    size_t pad_to = 1200; /* the packet, with PADDING frames */
    bool from_server = false;
    uint32_t version = QUIC_VERSION_1;
    bool no_fixed_bit = false; /* RFC 9287 */
};

/* forge_initial seals one Initial packet. */
Bytes forge_initial(const InitialSpec &spec);

/* open_initial gives the frames of the Initial at the front of `datagram`; empty: it cannot be
 * opened. */
Bytes open_initial(const Bytes &datagram, const quic_cid &key_dcid, bool from_server);

/* Frames. */
Bytes crypto_frame(uint64_t offset, const uint8_t *data, size_t len);
/* All CRYPTO bytes of `frames`, which must begin at offset 0 without gaps. */
Bytes crypto_bytes(const Bytes &frames);
/* The error code of a CONNECTION_CLOSE in `frames`; UINT64_MAX: there is none. */
uint64_t close_code_of(const Bytes &frames);

quic_cid dcid_of(const Bytes &long_packet);
quic_cid scid_of(const Bytes &long_packet);

Bytes operator+(const Bytes &a, const Bytes &b);

#endif // TESTS_QUIC_ENDPOINT_FORGE_H
