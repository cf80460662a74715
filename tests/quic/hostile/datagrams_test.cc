/* Section A: datagrams and packet headers that no honest peer sends. */
#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/hostile/rows.h"
#include "tests/sim/inspect.h"

namespace
{

using hostile::counters;
using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

const hostile::Rows kRows("A", 1, 19);

constexpr quic_rng_seeded_state kSeed{99};

Bytes random_bytes(const quic_rng *rng, size_t len)
{
    Bytes p(len);
    quic_rng_fill(rng, p.data(), p.size());
    return p;
}

/* An Initial that opens a connection, to be spoiled. */
InitialSpec initial_of(uint64_t dcid)
{
    InitialSpec spec;
    spec.key_dcid = spec.dcid = make_cid(dcid);
    spec.scid = make_cid(0x5555555555555555);
    spec.frames = {0x01};
    return spec;
}

void append(Bytes *to, const Bytes &more)
{
    to->insert(to->end(), more.begin(), more.end());
}

TEST(HostileA, Row1RandomBytesCostNothing)
{
    Row row("A", 1);
    Net net([](sim::Options &o) { o.server.limits.udp_payload_max_bytes = 65527; });
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    uint64_t server_bytes = net.server.alloc.bytes();
    uint64_t sent = counters(net.server).bytes_sent;
    quic_rng_seeded_state st = kSeed;
    quic_rng rng = quic_rng_seeded(&st);
    net.keep_sent = false;
    for (int i = 0; i < 40000; i++) {
        uint64_t dice = quic_rng_u64(&rng);
        size_t len = dice % 4 == 0 ? 1200 + dice / 7 % 200 : 1 + dice / 7 % 100;
        len = dice % 1000 == 0 ? dice / 7 % 65528 : len;
        Bytes p = random_bytes(&rng, len);
        if (dice % 3 == 0) { /* looks like an Initial of version 1 */
            const uint8_t head[] = {0xc1, 0, 0, 0, 1, 8};
            std::copy(head, head + std::min(len, sizeof(head)), p.begin());
        }
        net.inject(net.server, p, static_cast<uint16_t>(dice >> 32));
        net.now += 10 * QUIC_NS_PER_US;
    }
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    /* only what the CID table and the handle table keep as capacity */
    EXPECT_LE(net.server.alloc.bytes(), server_bytes + 8192);
    uint64_t seconds = 1; /* 0.4 of simulated time, and the burst */
    uint64_t per_s = net.options.server.limits.stateless_resets_per_s +
                     net.options.server.limits.version_negotiations_per_s;
    EXPECT_LE(counters(net.server).bytes_sent - sent, 2 * seconds * per_s * 576);
    net.write(net.client, "still fine");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
    expect_sound(net);
    expect_nothing_left(net);
}

TEST(HostileA, Row2EmptyDatagramsAreCountedAndDropped)
{
    Row row("A", 2);
    Net net;
    ASSERT_TRUE(net.handshake());
    uint64_t datagrams = counters(net.server).datagrams_recv;
    uint64_t dropped = counters(net.server).drop_malformed;
    for (int i = 0; i < 1000; i++) {
        net.inject(net.server, {});
    }
    EXPECT_EQ(counters(net.server).datagrams_recv, datagrams + 1000);
    EXPECT_EQ(counters(net.server).drop_malformed, dropped + 1000);
    net.write(net.client, "still fine");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 5.2.2, 6.1, 17.2.1 */
TEST(HostileA, Row3UnknownVersionsAreAnsweredWhenLargeEnoughAndNotTooOften)
{
    Row row("A", 3);
    Net net([](sim::Options &o) { o.server.limits.version_negotiations_per_s = 10; });
    Bytes p(1200, 0x5a);
    const uint8_t head[] = {0xc3, 0x1a, 0x2a, 0x3a, 0x4a, 255};
    std::copy(std::begin(head), std::end(head), p.begin());
    p[6 + 255] = 255; /* SCID of the invariants' full length */
    net.inject(net.server, Bytes(p.begin(), p.begin() + 1199));
    EXPECT_TRUE(net.sent.empty());
    EXPECT_EQ(counters(net.server).drop_malformed, 1u);
    for (int i = 0; i < 50; i++) {
        net.inject(net.server, p);
    }
    ASSERT_EQ(net.sent.size(), 10u);
    quic_long_header h;
    ASSERT_EQ(quic_header_decode_long(&h, net.sent[0].bytes.data(), net.sent[0].bytes.size(),
                                      QUIC_VERSIONS_ALL),
              QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_VN);
    EXPECT_EQ(h.dcid_len, 255);
    EXPECT_EQ(h.scid_len, 255);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 6.2, 17.2, 17.2.5 */
TEST(HostileA, Row4WhatAServerNeverGetsIsDropped)
{
    Row row("A", 4);
    Net net;
    Bytes vn(1200, 0x5a);
    const uint8_t vn_head[] = {0xc3, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9};
    std::copy(std::begin(vn_head), std::end(vn_head), vn.begin());
    Bytes retry = vn;
    retry[0] = 0xf0;
    retry[4] = 1;
    Bytes long_cid(1200, 0x5a);
    const uint8_t long_head[] = {0xc3, 0, 0, 0, 1, 21};
    std::copy(std::begin(long_head), std::end(long_head), long_cid.begin());
    Bytes no_fixed_bit = forge_initial(initial_of(1));
    no_fixed_bit[0] &= 0xbf;
    const quic_counters &c = counters(net.server);
    for (const Bytes &p : {vn, retry, long_cid, no_fixed_bit}) {
        uint64_t dropped = c.drop_malformed + c.drop_unknown_cid;
        net.inject(net.server, p);
        EXPECT_EQ(c.drop_malformed + c.drop_unknown_cid, dropped + 1);
        EXPECT_TRUE(net.sent.empty());
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    }
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 18.2: more than our max_udp_payload_size. */
TEST(HostileA, Row5DatagramsLargerThanWeTakeAreDroppedUnread)
{
    Row row("A", 5);
    Net net([](sim::Options &o) { o.server.limits.udp_payload_max_bytes = 1400; });
    InitialSpec spec = initial_of(1);
    spec.pad_to = 1401;
    net.inject(net.server, forge_initial(spec));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(counters(net.server).drop_malformed, 1u);
    spec.pad_to = 1400;
    net.inject(net.server, forge_initial(spec));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 14.1 */
TEST(HostileA, Row6InitialsInSmallDatagramsOpenNothing)
{
    Row row("A", 6);
    Net net;
    InitialSpec spec = initial_of(1);
    spec.pad_to = 1199;
    net.inject(net.server, forge_initial(spec));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(counters(net.server).drop_short_initial, 1u);
    EXPECT_TRUE(net.sent.empty());
    spec.pad_to = 1200;
    net.inject(net.server, forge_initial(spec));
    ASSERT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    spec.pad_to = 1199; /* nor do later ones count */
    spec.pn = 1;
    net.inject(net.server, forge_initial(spec));
    EXPECT_EQ(counters(net.server).drop_short_initial, 2u);
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 7.2 */
TEST(HostileA, Row7FirstDestinationIdsBelowEightBytesOpenNothing)
{
    Row row("A", 7);
    Net net;
    InitialSpec spec = initial_of(1);
    for (uint8_t len = 0; len < 8; len++) {
        spec.key_dcid.len = spec.dcid.len = len;
        net.inject(net.server, forge_initial(spec));
    }
    EXPECT_EQ(counters(net.server).drop_malformed, 8u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_TRUE(net.sent.empty());
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 12.2, 17.2: Length and Token Length that promise more than there is. */
TEST(HostileA, Row8LengthsBeyondTheDatagramAreDropped)
{
    Row row("A", 8);
    InitialSpec spec = initial_of(1);
    Bytes good = forge_initial(spec);
    size_t at = 1 + 4 + 1 + 8 + 1 + 8; /* Token Length, then Length */
    ASSERT_EQ(good[at], 0);
    Bytes long_length = good;
    long_length[at + 2]++;
    Bytes long_token = good;
    long_token[at] = 0x7f; /* two bytes: 16383 at most */
    Bytes huge_token = good;
    memset(huge_token.data() + at, 0xff, 8); /* 2^62 - 1 */
    Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(at + 2));
    Bytes no_token_len(good.begin(), good.begin() + static_cast<ptrdiff_t>(at));
    for (const Bytes &p : {long_length, long_token, huge_token, cut, no_token_len}) {
        Net net;
        net.inject(net.server, p);
        EXPECT_EQ(counters(net.server).drop_malformed, 1u);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
        EXPECT_TRUE(net.sent.empty());
    }
    /* As the second packet of a datagram: the rest goes, the first counts. */
    Net net([](sim::Options &o) { o.server.limits.udp_payload_max_bytes = 9000; });
    Bytes both = good;
    append(&both, long_length);
    net.inject(net.server, both);
    EXPECT_EQ(counters(net.server).drop_malformed, 1u);
    EXPECT_EQ(counters(net.server).packets_recv, 1u);
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9000 7.2 */
TEST(HostileA, Row9ASourceIdThatChangesIsDropped)
{
    Row row("A", 9);
    Liar liar;
    liar.start_handshake();
    uint64_t dropped = counters(liar.net.server).drop_malformed;
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x20}, INJECT_OTHER_SCID);
    EXPECT_EQ(counters(liar.net.server).drop_malformed, dropped + 1);
    EXPECT_TRUE(liar.closes().empty());
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 10.3 */
TEST(HostileA, Row10UnknownIdsDrawAResetOrNothing)
{
    Row row("A", 10);
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.sent.clear();
    const quic_counters &c = counters(net.server);
    uint64_t dropped = c.drop_unknown_cid + c.drop_malformed;
    for (size_t len = 1; len <= 60; len++) {
        net.inject(net.server, Bytes(len, 0x41));
    }
    EXPECT_EQ(c.drop_unknown_cid + c.drop_malformed, dropped + 60);
    EXPECT_EQ(c.sent_stateless_reset, 60u - 21u);
    for (const Packet &p : net.sent) {
        EXPECT_GE(p.bytes.size(), 21u);
        EXPECT_LE(p.bytes.size(), 42u);
    }
    expect_sound(net);
    expect_nothing_left(net);
}

/* RFC 9001 5.4.2 */
TEST(HostileA, Row11PacketsTooShortForTheSampleAreDropped)
{
    Row row("A", 11);
    Liar liar;
    liar.establish();
    Bytes good = liar.make(QUIC_LEVEL_APP, Bytes{0x01, 0x01, 0x01, 0x01});
    const quic_counters &c = counters(liar.net.server);
    uint64_t dropped = c.drop_malformed;
    liar.net.inject(liar.net.server, Bytes(good.begin(), good.begin() + 1 + 8 + 4 + 15));
    EXPECT_EQ(c.drop_malformed, dropped + 1);
    InitialSpec spec = initial_of(1);
    spec.pad_to = 0;
    Bytes tiny = forge_initial(spec); /* 2 bytes of number, 1 of payload, 16 of tag */
    tiny.resize(1200);
    liar.net.inject(liar.net.server, tiny, 5001);
    EXPECT_EQ(c.drop_malformed, dropped + 2);
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 12.2 */
TEST(HostileA, Row12CoalescedPackets)
{
    Row row("A", 12);
    InitialSpec spec = initial_of(1);
    spec.pad_to = 0;
    spec.frames.resize(40); /* PING, PADDING */
    {
        Net net; /* for somebody else */
        Bytes datagram = forge_initial(initial_of(1));
        InitialSpec other = spec;
        other.key_dcid = other.dcid = make_cid(1234567);
        append(&datagram, forge_initial(other));
        uint64_t bytes = 0;
        for (int i = 0; i < 3; i++) { /* the same again is a duplicate, and no more is held */
            net.inject(net.server, datagram);
            EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
            EXPECT_EQ(counters(net.server).drop_malformed, 1u + static_cast<unsigned>(i));
            EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
            bytes = i == 0 ? net.server.alloc.bytes() : bytes;
            EXPECT_EQ(net.server.alloc.bytes(), bytes);
        }
        expect_sound(net);
        expect_nothing_left(net);
    }
    {
        Net net([](sim::Options &o) { o.server.limits.udp_payload_max_bytes = 9000; });
        Bytes datagram; /* sixty tiny ones */
        for (int i = 0; i < 60; i++) {
            spec.pn = static_cast<uint64_t>(i);
            append(&datagram, forge_initial(spec));
        }
        ASSERT_GE(datagram.size(), 1200u);
        net.inject(net.server, datagram);
        EXPECT_EQ(counters(net.server).packets_recv, 16u);
        expect_sound(net);
        expect_nothing_left(net);
    }
    {
        Net net; /* a good one behind one that does not open, for a connection that is there */
        net.inject(net.server, forge_initial(initial_of(1)));
        spec.pn = 1;
        Bytes bad = forge_initial(spec);
        bad.back() ^= 1;
        spec.pn = 2;
        spec.pad_to = 1200;
        append(&bad, forge_initial(spec));
        net.inject(net.server, bad);
        EXPECT_EQ(counters(net.server).drop_undecryptable, 1u);
        EXPECT_EQ(counters(net.server).packets_recv, 2u);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
        expect_sound(net);
        expect_nothing_left(net);
    }
}

/* RFC 9000 12.3, A.3: numbers at the edges; tests/quic/wire has the decoder's own. */
TEST(HostileA, Row13PacketNumbersAtTheirEdges)
{
    Row row("A", 13);
    const uint64_t last = (uint64_t{1} << 62) - 1;
    for (uint8_t len = 1; len <= 4; len++) {
        uint64_t mask = (1ull << (8 * len)) - 1;
        for (uint64_t expected : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{1} << 31,
                                  uint64_t{1} << 61, last - 1, last}) {
            for (uint64_t low : {0x00u, 0x01u, 0x7fu, 0x80u, 0xffu}) {
                uint64_t pn = quic_pn_decode((uint64_t{low} * 0x01010101) & mask, len, expected);
                EXPECT_LE(pn, last);
                EXPECT_EQ(pn & mask, (uint64_t{low} * 0x01010101) & mask);
            }
        }
    }
    { /* received: a jump as far as four bytes reach is fine, and memory follows it nowhere */
        Liar liar;
        liar.establish();
        inject_set_next_pn(liar.liar_conn(), 1ull << 30);
        liar.say(Frames{0x01});
        liar.say(Frames{0x01});
        EXPECT_TRUE(liar.alive());
        EXPECT_EQ(counters(liar.net.server).drop_undecryptable, 0u);
        expect_sound(liar.net);
    }
    { /* sent: the last numbers are never used, and nothing is said about it */
        Liar liar(true);
        liar.establish();
        inject_set_next_pn(liar.net.client.conn, last - 1000);
        liar.net.sent.clear();
        liar.net.write(liar.net.client, "no number left for it", true);
        liar.net.run_for(kMs);
        EXPECT_TRUE(liar.net.sent.empty());
        EXPECT_EQ(liar.net.client.close_kind(), QURING_CLOSE_INTERNAL);
    }
}

/* RFC 9001 9.3: a packet that is not authentic leaves no trace but a count. */
TEST(HostileA, Row14FlippedBitsChangeNothing)
{
    Row row("A", 14);
    Liar liar;
    liar.establish();
    liar.net.run_for(2 * kS);
    quic_conn *victim = liar.net.server.conn;
    Bytes good = liar.make(QUIC_LEVEL_APP, Frames{0x0a, 0x00, 0x04}.str("data").bytes());
    Bytes before(inject_snapshot_len());
    Bytes after(inject_snapshot_len());
    inject_snapshot(victim, before.data());
    const quic_counters &c = counters(liar.net.server);
    auto dropped = [&] { /* some flips name a packet that came before */
                         return c.drop_undecryptable + c.drop_malformed + c.drop_duplicate;
    };
    uint64_t seen = dropped();
    size_t flips = 0;
    for (size_t byte = 0; byte < good.size(); byte++) {
        for (int bit = 0; bit < 8; bit++) {
            if ((byte == 0 && bit >= 6) || (byte >= 1 && byte <= 8)) {
                continue; /* another form, or somebody else's packet: other rows */
            }
            Bytes bad = good;
            bad[byte] = static_cast<uint8_t>(bad[byte] ^ (1 << bit));
            liar.net.inject(liar.net.server, bad);
            flips++;
        }
        inject_snapshot(victim, after.data());
        bool phase_tried = byte == 0; /* makes the next phase's keys, once */
        if (phase_tried) {
            before = after;
        }
        ASSERT_TRUE(before == after) << byte;
    }
    EXPECT_EQ(dropped(), seen + flips);
    EXPECT_EQ(liar.net.server.count(QURING_EV_STREAM_OPENED), 0u);
    liar.net.inject(liar.net.server, good);
    EXPECT_EQ(liar.net.server.streams[0].bytes, "data");
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 12.3 */
TEST(HostileA, Row15RepeatedAndForgottenNumbersAreDuplicates)
{
    Row row("A", 15);
    Liar liar(false, [](sim::Options &o) { o.server.limits.ack_ranges_max = 4; });
    liar.establish();
    const quic_counters &c = counters(liar.net.server);
    Bytes first = liar.make(QUIC_LEVEL_APP, Bytes{0x01});
    Bytes lost = liar.make(QUIC_LEVEL_APP, Bytes{0x01});
    liar.net.inject(liar.net.server, first);
    uint64_t dropped = c.drop_duplicate;
    liar.net.inject(liar.net.server, first);
    EXPECT_EQ(c.drop_duplicate, dropped + 1);
    for (int i = 0; i < 20; i++) { /* every second one: more gaps than are remembered */
        liar.say(Frames{0x01});
        (void)liar.make(QUIC_LEVEL_APP, Bytes{0x01});
    }
    uint64_t packets = c.packets_recv;
    liar.net.inject(liar.net.server, lost); /* never seen, and too old to know */
    EXPECT_EQ(c.packets_recv, packets);
    EXPECT_EQ(c.drop_duplicate, dropped + 2);
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 17.2, 17.3.1 */
TEST(HostileA, Row16ReservedBits)
{
    Row row("A", 16);
    for (quic_level level : {QUIC_LEVEL_HANDSHAKE, QUIC_LEVEL_APP}) {
        Liar liar;
        level == QUIC_LEVEL_APP ? liar.establish() : liar.start_handshake();
        liar.say(level, Frames{0x01}, INJECT_RESERVED_BITS | INJECT_FLIP_TAG);
        EXPECT_TRUE(liar.closes().empty()); /* whoever wrote that, it was not the peer */
        liar.say(level, Frames{0x01}, INJECT_RESERVED_BITS);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* RFC 9000 5.7 */
TEST(HostileA, Row17PacketsBeforeTheirKeysAreHeldFewAndNotLong)
{
    Row row("A", 17);
    Liar liar;
    liar.start_handshake();
    const quic_counters &c = counters(liar.net.server);
    liar.net.filter = [](Packet &p) { return !p.to_server; }; /* no Finished */
    quic_conn *server = nullptr;
    quic_endpoint_each_conn(
        liar.net.server.ep,
        [](quic_conn *conn, void *ctx) {
            *static_cast<quic_conn **>(ctx) = conn;
            return false;
        },
        &server);
    uint64_t bytes = liar.net.server.alloc.bytes();
    for (int i = 0; i < 20; i++) {
        liar.say(Frames{0x0a, 0x00, 0x01, static_cast<uint8_t>(i)});
    }
    EXPECT_EQ(sim_inspect_held_count(server), 8u);
    EXPECT_EQ(c.drop_no_keys, 12u);
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 8 * 2048);
    liar.net.run_for(4 * kS); /* three probe timeouts */
    EXPECT_EQ(sim_inspect_held_count(server), 0u);
    EXPECT_EQ(c.drop_no_keys, 20u);
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 1024);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* The newest are kept: they are what still waits when the keys come. */
TEST(HostileA, Row17TheOldestGivesWay)
{
    Row row("A", 17);
    Liar liar;
    liar.start_handshake();
    for (uint8_t i = 0; i < 9; i++) {
        liar.say(Frames{0x0e, 0x00, i, 0x01, static_cast<uint8_t>('a' + i)});
    }
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
    liar.say(Frames{0x0a, 0x00, 0x01, 'A'});
    EXPECT_EQ(liar.net.server.streams[0].bytes, "Abcdefghi");
    expect_sound(liar.net);
}

/* But not 0-RTT packets, which nobody sends again once he has better keys. */
TEST(HostileA, Row17EarlyPacketsGiveWayLast)
{
    Row row("A", 17);
    Liar liar;
    liar.start_handshake();
    liar.net.filter = [](Packet &p) { return !p.to_server; }; /* no Finished */
    quic_conn *server = nullptr;
    quic_endpoint_each_conn(
        liar.net.server.ep,
        [](quic_conn *conn, void *ctx) {
            *static_cast<quic_conn **>(ctx) = conn;
            return false;
        },
        &server);
    Bytes early = liar.make(QUIC_LEVEL_HANDSHAKE, Bytes{0x01});
    early[0] = static_cast<uint8_t>((early[0] & ~0x30) | 0x10); /* RFC 9000 17.2: a 0-RTT packet */
    inject_hold(server, early.data(), early.size()); /* as one that waits for a TLS outside */
    for (int i = 0; i < 20; i++) {
        liar.say(Frames{0x0a, 0x00, 0x01, static_cast<uint8_t>(i)});
    }
    EXPECT_EQ(sim_inspect_held_count(server), 8u);
    EXPECT_EQ(sim_inspect_held_first(server), early[0]);
    for (int i = 0; i < 8; i++) { /* among themselves the oldest goes first */
        Bytes next = early;
        next.back() = static_cast<uint8_t>(next.back() + i + 1);
        inject_hold(server, next.data(), next.size());
    }
    EXPECT_EQ(sim_inspect_held_count(server), 8u);
    expect_sound(liar.net);
}

/* RFC 9001 4.9 */
TEST(HostileA, Row18PacketsAfterTheirKeysAreDropped)
{
    Row row("A", 18);
    Liar liar;
    liar.start_handshake();
    Bytes handshake = liar.make(QUIC_LEVEL_HANDSHAKE, Bytes{0x20});
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
    liar.net.run_for(100 * kMs);
    const quic_counters &c = counters(liar.net.server);
    uint64_t dropped = c.drop_no_keys + c.drop_unknown_cid;
    liar.net.inject(liar.net.server, handshake);
    EXPECT_EQ(c.drop_no_keys + c.drop_unknown_cid, dropped + 1);
    InitialSpec spec = initial_of(1);
    spec.dcid = dcid_of(handshake); /* the keys would be anybody's guess */
    liar.net.inject(liar.net.server, forge_initial(spec));
    EXPECT_EQ(c.drop_no_keys + c.drop_unknown_cid, dropped + 2);
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 12.4 */
TEST(HostileA, Row19PacketsWithoutFrames)
{
    Row row("A", 19);
    for (quic_level level : {QUIC_LEVEL_HANDSHAKE, QUIC_LEVEL_APP}) {
        Liar liar;
        level == QUIC_LEVEL_APP ? liar.establish() : liar.start_handshake();
        liar.say(level, Frames{});
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

} // namespace
