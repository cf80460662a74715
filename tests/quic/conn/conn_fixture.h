/* tests/quic/conn/conn_fixture.h: two endpoints, one of which says what no honest one would.
 *
 * Shape:  Liar wraps a Net; `say` injects a packet with any frames, sealed with the liar's keys, and
 *         `close_on_wire` reads what the victim answered with (shim provider: payloads are readable).
 */
#ifndef TESTS_QUIC_CONN_CONN_FIXTURE_H
#define TESTS_QUIC_CONN_CONN_FIXTURE_H

#include <initializer_list>
#include <string>
#include <vector>

#include "quic/wire/header.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"

using Bytes = std::vector<uint8_t>;

/* Bytes of frames: numbers below 256 as they are; `v` appends a varint in its shortest form. */
class Frames
{
  public:
    Frames() = default;
    Frames(std::initializer_list<uint8_t> bytes) : bytes_(bytes)
    {
    }
    Frames &v(uint64_t value);
    Frames &b(std::initializer_list<uint8_t> bytes);
    Frames &fill(size_t count, uint8_t value);
    Frames &str(const std::string &s);
    const Bytes &bytes() const
    {
        return bytes_;
    }

  private:
    Bytes bytes_;
};

/* A CONNECTION_CLOSE as it stood on the wire. */
struct WireClose {
    bool seen = false;
    bool app = false; /* frame type 0x1d */
    uint64_t error = UINT64_MAX;
    uint64_t frame_type = 0;
    quic_packet_type in = QUIC_PACKET_INITIAL; /* long header type, or ... */
    bool in_short = false;                     /* ... a 1-RTT packet */
};

class Liar
{
  public:
    /* by_server: the server lies, the client is the victim. */
    explicit Liar(bool by_server = false,
                  const std::function<void(sim::Options &)> &change = nullptr);

    /* establish completes the handshake and lets it settle. */
    void establish();
    /* start_handshake goes on until the client has 1-RTT keys while its Finished never arrives: both
     * sides have Handshake keys, the server is not complete. */
    void start_handshake();

    Side &victim();
    Side &liar();
    quic_conn *liar_conn();

    Bytes make(quic_level level, const Bytes &frames, uint32_t flags = 0);
    /* say delivers one packet of the liar at once; with `together` it waits for say_all, which delivers what waits as
     * GRO would: packets of one length, and a shorter one behind them, as one unit. */
    void say(quic_level level, const Frames &frames, uint32_t flags = 0);
    void say(const Frames &frames)
    {
        say(QUIC_LEVEL_APP, frames);
    }

    void say_all();
    bool together = false;
    std::vector<Bytes> waiting;

    /* All CONNECTION_CLOSE frames the victim has sent. */
    std::vector<WireClose> closes();
    /* The error of the first one; UINT64_MAX: none. */
    uint64_t close_on_wire();
    /* Frame types in 1-RTT packets that the victim has sent. */
    size_t count_frames(uint8_t type);
    bool alive();
    /* The first datagram of the liar's endpoint; empty: there is none. */
    Bytes first_from_liar();

    Net net;
    quic_conn *client = nullptr; /* valid until it closes */

  private:
    bool by_server_;
};

#endif // TESTS_QUIC_CONN_CONN_FIXTURE_H
