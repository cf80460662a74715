/* Credit for little windows and slow readers: when it is given, and what losing it costs (RFC 9000 4.1, 4.2, 13.3). */
#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr size_t kLen = 60000;
/* Round trip, four deviations of it as they are after the handshake, the other side's ack delay; and what was in the
 * packet that is probed for takes one way. */
constexpr quic_ns kProbe = 20 * kMs + 40 * kMs + 25 * kMs + 20 * kMs;

struct Case {
    uint64_t conn_window;
    uint64_t stream_window;
    quic_ns pause; /* of the reader; 0: it reads at once */
};

/* How long a client needs to send kLen bytes, if the `lost`-th datagram from the server on does not arrive. */
quic_ns time_of(const Case &c, uint64_t lost)
{
    Net net([&](sim::Options &o) {
        quring_limits &l = o.server.limits;
        l.conn_recv_window_bytes = l.conn_recv_window_max_bytes = c.conn_window;
        l.stream_recv_window_bytes = l.stream_recv_window_max_bytes = c.stream_window;
    });
    EXPECT_TRUE(net.handshake());
    net.run_for(kS);
    uint64_t count = 0;
    net.filter = [&](Packet &p) { return p.to_server || count++ != lost; };
    net.server.read_streams = c.pause == 0;
    const uint64_t id = net.write(net.client, bytes_of(kLen));
    const quic_ns begin = net.now;
    while (!net.server.streams[id].fin && net.now < begin + 60 * kS) {
        net.run_for(c.pause != 0 ? c.pause : kMs);
        if (c.pause != 0) {
            net.read_unread(net.server);
        }
    }
    EXPECT_EQ(net.server.streams[id].bytes.size(), kLen);
    EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
    return net.now - begin;
}

/* The receiver does not wait for BLOCKED frames, and repeats what was lost, with the newest value. */
TEST(Credit, OneThatIsLostHoldsTheSenderUpForAProbeAtMost)
{
    const Case cases[] = {{4096, 65536, 0},      {65536, 4096, 0},       {4096, 4096, 0},
                          {1024, 1024, 0},       {4096, 65536, 7 * kMs}, {65536, 4096, 7 * kMs},
                          {4096, 4096, 90 * kMs}};
    for (const Case &c : cases) {
        const quic_ns whole = time_of(c, UINT64_MAX);
        for (uint64_t lost = 0; lost < 40; lost++) {
            EXPECT_LE(time_of(c, lost), whole + kProbe + c.pause)
                << lost << " " << c.conn_window << " " << c.stream_window << " " << c.pause / kMs;
        }
    }
}

/* RFC 9000 4.2: a sender as fast as its reader is not held up for more than the round trip each window takes. */
TEST(Credit, ALittleWindowIsUsedInEveryRoundTrip)
{
    for (uint64_t window : {1024u, 4096u, 16384u}) {
        EXPECT_LE(time_of({window, window, 0}, UINT64_MAX), (kLen / window + 4) * 20 * kMs)
            << window;
    }
}

} // namespace
