/* Section C: the handshake, keys and the end, as far as they are not TLS's own. */
#include <algorithm>

#include <gtest/gtest.h>

#include "quic/crypto/tls_script.h"
#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/hostile/lying_tls.h"
#include "tests/quic/hostile/rows.h"
#include "tests/sim/inspect.h"

namespace
{

using hostile::counters;
using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

/* A tombstone; its places in the endpoint's tables stay for the next one. */
constexpr uint64_t kClosingBytes = 512;

const hostile::Rows kRows("C", 47, 59, {47, 48, 49, 51, 52, 54, 55, 57, 58, 59});

/* RFC 9001 8.3: EndOfEarlyData is not for QUIC. */
TEST(HostileC, Row49EndOfEarlyDataEndsTheConnection)
{
    Row row("C", 49);
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06, 0x00, 0x04, 0x05, 0x00, 0x00, 0x00});
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BASE + 10));
}

/* RFC 9000 7.5 */
TEST(HostileC, Row50CryptoBeyondTheBufferEndsTheConnection)
{
    Row row("C", 50);
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06}.v(16 * 1024).b({1, 'x'}));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 19.6 */
TEST(HostileC, Row50CryptoOffsetOverflowEndsTheConnection)
{
    Row row("C", 50);
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06}.v((1ull << 62) - 1).b({1, 'x'}));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_FRAME_ENCODING));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

TEST(HostileC, Row50CryptoWithTooManyGapsEndsTheConnection)
{
    Row row("C", 50);
    Liar liar;
    liar.start_handshake();
    for (uint64_t i = 1; i < 2000 && liar.closes().empty(); i++) {
        liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06}.v(4 * i).b({1, 'x'}));
    }
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
}

/* RFC 9001 4.1.3: more CRYPTO data at a level whose successor has its keys. */
TEST(Handshake, InitialCryptoBeyondTheServerHelloEndsTheConnection)
{
    Liar liar(true);
    bool open = true;
    liar.net.filter = [&](Packet &p) { return p.to_server && open; };
    liar.client = liar.net.connect();
    ASSERT_TRUE(liar.net.run_until([&] { return liar.liar_conn() != nullptr; }, kS));
    liar.net.run_for(kMs);
    open = false;
    liar.say(QUIC_LEVEL_INITIAL, Frames{0x06}.v(5000).b({1, 'x'}));
    EXPECT_TRUE(liar.closes().empty());
    liar.net.inject(liar.net.client, liar.first_from_liar());
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

/* RFC 9000 10.2.3, 14.1: what a client says about it fills its datagram when it is an Initial. */
TEST(Handshake, ClientsCloseComesInAFullInitialOrInHandshakePackets)
{
    for (bool with_keys : {false, true}) {
        Liar liar(true);
        bool open = true;
        liar.net.filter = [&](Packet &p) { return p.to_server && open; };
        liar.client = liar.net.connect();
        ASSERT_TRUE(liar.net.run_until([&] { return liar.liar_conn() != nullptr; }, kS));
        liar.net.run_for(kMs);
        open = false;
        if (with_keys) { /* the ServerHello, and nothing that would make the client send */
            Bytes hello = liar.first_from_liar();
            liar.net.filter = [](Packet &) { return false; };
            quic_long_header h;
            ASSERT_EQ(quic_header_decode_long(&h, hello.data(), hello.size(), QUIC_VERSIONS_ALL),
                      QUIC_OK);
            hello.resize(h.packet_len); /* without what is coalesced with it */
            liar.net.inject(liar.net.client, hello);
            EXPECT_TRUE(inject_has_keys(liar.client, QUIC_LEVEL_HANDSHAKE, true));
        }
        liar.net.sent.clear();
        ASSERT_EQ(quic_conn_close(liar.client, 5, "no"), QUIC_OK);
        liar.net.run_for(kMs);
        std::vector<WireClose> closes = liar.closes();
        ASSERT_EQ(closes.size(), 1u) << with_keys;
        EXPECT_EQ(closes[0].in, with_keys ? QUIC_PACKET_HANDSHAKE : QUIC_PACKET_INITIAL);
        EXPECT_EQ(closes[0].error, static_cast<uint64_t>(QUIC_V_APPLICATION_ERROR));
        EXPECT_EQ(closes[0].frame_type, 0u);
        if (!with_keys) {
            EXPECT_GE(liar.net.sent.back().bytes.size(), 1200u);
        }
    }
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* 1-RTT packets sealed with keys a client had before. */
struct Kept {
    explicit Kept(Liar &l) : liar(l)
    {
        quic_allocator table = alloc.table();
        quic_mem_init_root(&mem, &table, 1u << 20);
        keys = inject_keep_keys(liar.liar_conn(), &mem);
    }
    ~Kept()
    {
        inject_free_keys(keys);
    }
    Bytes make(const Bytes &frames, uint32_t flags)
    {
        Bytes out(1500);
        out.resize(inject_make_kept(liar.liar_conn(), keys, flags, frames.data(), frames.size(),
                                    out.data(), out.size()));
        return out;
    }
    Liar &liar;
    sim::Alloc alloc;
    quic_mem mem{};
    inject_keys *keys;
};

const Frames kPadding = Frames{0x00, 0x00, 0x00, 0x00}; /* asks for no acknowledgement */

/* RFC 9001 6.1: before the handshake is complete there are no keys for it. */
TEST(HostileC, Row53KeyUpdateBeforeTheHandshakeIsComplete)
{
    Row row("C", 53);
    Liar liar;
    liar.start_handshake();
    inject_rotate(liar.liar_conn());
    liar.say(kPadding);
    EXPECT_TRUE(liar.closes().empty());
    EXPECT_EQ(liar.net.server.conn, nullptr);
    EXPECT_EQ(counters(liar.net.server).drop_undecryptable, 0u); /* nobody tried */
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9001 6.2 */
TEST(HostileC, Row53TwoUpdatesWithoutAnAcknowledgement)
{
    Row row("C", 53);
    Liar liar;
    liar.establish();
    inject_rotate(liar.liar_conn());
    liar.say(kPadding);
    EXPECT_TRUE(liar.alive());
    inject_rotate(liar.liar_conn());
    liar.say(kPadding);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_KEY_UPDATE));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ... and with one they are the peer's right, even while old keys are kept. */
TEST(HostileC, Row53TwoUpdatesWithAnAcknowledgement)
{
    Row row("C", 53);
    Liar liar;
    liar.establish();
    for (int i = 0; i < 3; i++) {
        inject_rotate(liar.liar_conn());
        liar.say(Frames{0x01});
        liar.net.run_for(50 * kMs); /* the acknowledgement comes; the old keys stay for longer */
        EXPECT_TRUE(liar.alive()) << i;
    }
    EXPECT_EQ(counters(liar.net.server).drop_undecryptable, 0u);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9001 6.4 */
TEST(HostileC, Row53OldKeysForANewPacket)
{
    Row row("C", 53);
    Liar liar;
    liar.establish();
    Kept old(liar);
    Bytes late = old.make(kPadding.bytes(), 0);
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    liar.net.inject(liar.net.server, late); /* an old number: it only came late */
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(counters(liar.net.server).drop_undecryptable, 0u);
    liar.net.inject(liar.net.server, old.make(kPadding.bytes(), INJECT_OTHER_PHASE));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_KEY_UPDATE));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9001 6.3, 9.5: a forged phase bit is one more packet that does not open. */
TEST(HostileC, Row53ForgedPhaseBit)
{
    Row row("C", 53);
    Liar liar;
    liar.establish();
    for (int i = 0; i < 2; i++) {
        uint64_t dropped = counters(liar.net.server).drop_undecryptable;
        bool phase = sim_inspect_key_phase(liar.net.server.conn);
        liar.say(QUIC_LEVEL_APP, Frames{0x20}, INJECT_OTHER_PHASE);
        EXPECT_EQ(counters(liar.net.server).drop_undecryptable, dropped + 1);
        EXPECT_EQ(sim_inspect_key_phase(liar.net.server.conn), phase);
        inject_rotate(liar.liar_conn()); /* and again while old keys are kept */
        liar.say(Frames{0x01});
        liar.net.run_for(50 * kMs);
        EXPECT_TRUE(liar.alive());
    }
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* RFC 9000 10.2, 10.2.1, 10.2.3: one CONNECTION_CLOSE, answers that get rarer, gone after three probe
 * timeouts, within the 3x limit. `level` is where the server closes. */
void close_at(quic_level level, bool after_finished)
{
    Liar liar;
    if (after_finished) {
        liar.establish();
    } else if (level == QUIC_LEVEL_HANDSHAKE) {
        liar.start_handshake();
    } else {
        liar.net.filter = [](Packet &p) { return !p.to_server; };
        liar.client = liar.net.connect();
        liar.net.run_for(kMs);
    }
    liar.net.filter = [](Packet &) { return false; };
    liar.net.sent.clear();
    liar.say(level, Frames{0x20}); /* an unknown frame */
    std::vector<WireClose> closes = liar.closes();
    size_t datagrams = liar.net.sent.size();
    EXPECT_EQ(datagrams, 1u) << level;
    ASSERT_FALSE(closes.empty()) << level;
    for (const WireClose &c : closes) { /* coalesced at every level the client may read */
        EXPECT_EQ(c.error, static_cast<uint64_t>(QUIC_V_FRAME_ENCODING));
        EXPECT_FALSE(c.app);
    }
    EXPECT_EQ(closes[0].in_short, after_finished); /* the first level the client surely has */
    EXPECT_LE(closes.size(), 3u);
    uint64_t held = liar.net.server.alloc.bytes();
    for (int i = 1; i <= 32; i++) {
        liar.say(level, Frames{0x01});
    }
    EXPECT_EQ(liar.net.sent.size(), datagrams + 6) << level; /* to the 1st, 2nd, 4th ... 32nd */
    EXPECT_LE(liar.net.server.alloc.bytes(), held);
    EXPECT_EQ(quic_endpoint_conn_count(liar.net.server.ep), 1u);
    expect_sound(liar.net);
    liar.net.run_for(4 * kS); /* three probe timeouts of a path whose RTT nobody measured */
    EXPECT_EQ(quic_endpoint_conn_count(liar.net.server.ep), 0u) << level;
    expect_nothing_left(liar.net);
}

TEST(HostileC, Row56CloseAfterTheFirstInitial)
{
    Row row("C", 56);
    close_at(QUIC_LEVEL_INITIAL, false);
}

TEST(HostileC, Row56CloseInTheMiddleOfTheHandshake)
{
    Row row("C", 56);
    close_at(QUIC_LEVEL_HANDSHAKE, false);
}

TEST(HostileC, Row56CloseWhenAllIsDone)
{
    Row row("C", 56);
    close_at(QUIC_LEVEL_APP, true);
}

/* RFC 9000 10.2.2: who was told says nothing more. */
TEST(HostileC, Row56ADrainingEndIsSilent)
{
    Row row("C", 56);
    Liar liar;
    liar.establish();
    liar.say(Frames{0x1c, 0x00, 0x00, 0x00});
    EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
    liar.net.sent.clear();
    for (int i = 0; i < 32; i++) {
        liar.say(Frames{0x01});
    }
    EXPECT_EQ(std::count_if(liar.net.sent.begin(), liar.net.sent.end(),
                            [](const Packet &p) { return !p.to_server; }),
              0);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* What a closing or draining connection still holds. */
TEST(HostileC, Row56WhatAClosingConnectionHolds)
{
    Row row("C", 56);
    Liar liar;
    liar.establish();
    liar.net.write(liar.net.server, std::string(100000, 'x'), true);
    liar.net.run_for(5 * kMs);
    liar.net.filter = [](Packet &) { return false; };
    liar.say(Frames{0x20});
    liar.net.run_for(kMs);
    EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
    EXPECT_EQ(quic_endpoint_conn_count(liar.net.server.ep), 1u);
    EXPECT_LE(quic_endpoint_mem(liar.net.server.ep)->used_bytes,
              sim_inspect_idle_bytes(liar.net.server.ep) + kClosingBytes);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

} // namespace
