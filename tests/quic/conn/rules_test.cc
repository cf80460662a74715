/* Rules that are not about one frame: addresses, keys, resets, timers, a handshake driven from outside. */
#include <gtest/gtest.h>

#include "quic/crypto/crypto.h"
#include "quic/crypto/keys.h"
#include "quic/wire/header.h"
#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/sim/inspect.h"

namespace
{

/* ---- addresses -------------------------------------------------------------------------------------- */

/* RFC 9000 9: a client discards what comes from another address than its server's. */
TEST(Address, ClientDiscardsPacketsFromElsewhere)
{
    Liar liar(true);
    liar.establish();
    liar.net.filter = [](Packet &p) {
        p.from.port = static_cast<uint16_t>(p.from.port + (p.to_server ? 0 : 1));
        return true;
    };
    liar.net.write(liar.net.server, "from the wrong port", true);
    liar.net.run_for(100 * kMs);
    EXPECT_EQ(liar.net.client.count(QURING_EV_STREAM_OPENED), 0u);
    EXPECT_TRUE(liar.alive());
    liar.net.filter = nullptr;
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.client.streams[3].fin; }, 5 * kS));
}

/* RFC 9000 17.3.1 */
TEST(Address, PacketsWithoutTheFixedBitAreMalformed)
{
    Liar liar;
    liar.establish();
    uint64_t dropped = quic_endpoint_counters(liar.net.server.ep)->drop_malformed;
    liar.say(QUIC_LEVEL_APP, Frames{0x01}, INJECT_NO_FIXED_BIT);
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->drop_malformed, dropped + 1);
}

/* RFC 9000 14.1: an Initial that asks for an answer fills its datagram, or waits. */
TEST(Address, ServerSendsNoSmallInitialThatElicits)
{
    Liar liar(true);
    bool first = true;
    liar.net.filter = [&](Packet &p) {
        if (p.to_server && first) {
            first = false;
            p.bytes.resize(p.bytes.size() + 90); /* credit for three datagrams and a bit */
            return true;
        }
        return false;
    };
    liar.client = liar.net.connect();
    liar.net.run_for(9 * kS);
    size_t small = 0;
    for (const Packet &p : liar.net.sent) {
        small += !p.to_server && (p.bytes[0] & 0xf0) == 0xc0 && p.bytes.size() < 1200 ? 1 : 0;
    }
    EXPECT_EQ(small, 0u);
    EXPECT_LE(liar.net.bytes_to_client, 3u * 1290u);
}

/* ---- streams ------------------------------------------------------------------------------------------ */

/* RFC 9000 3.2 "Size Known": told once, when the end is there and bytes before it are not. */
TEST(Streams, AnEndThatOvertakesBytesIsTold)
{
    Liar liar;
    liar.establish();
    const Side &server = liar.net.server;
    liar.say(Frames{0x0f}.v(0).v(5).v(3).str("end")); /* OFF, LEN, FIN */
    liar.net.run_for(kMs);
    EXPECT_EQ(server.count(QURING_EV_STREAM_SIZE_KNOWN), 1u);
    EXPECT_FALSE(liar.net.server.streams[0].fin);
    liar.say(Frames{0x0e}.v(0).v(0).v(5).str("begin"));
    liar.net.run_for(kMs);
    EXPECT_TRUE(liar.net.server.streams[0].fin);
    EXPECT_EQ(liar.net.server.streams[0].bytes, "beginend");
    liar.say(Frames{0x0f}.v(4).v(0).v(2).str("ok")); /* in order: nothing to tell */
    liar.net.run_for(kMs);
    EXPECT_TRUE(liar.net.server.streams[4].fin);
    EXPECT_EQ(server.count(QURING_EV_STREAM_SIZE_KNOWN), 1u);
    EXPECT_TRUE(liar.alive());
}

/* ---- keys -------------------------------------------------------------------------------------------- */

/* RFC 9001 6.6: no update possible, so the connection ends before the limit of its key. */
TEST(Keys, AreNotUsedBeyondTheirLimit)
{
    Liar liar;
    liar.establish();
    quic_conn *server = liar.net.server.conn;
    inject_stop_updates(server);
    inject_wear_keys(server, (1ull << 23) - 5000);
    liar.net.write(liar.net.server, "still allowed", true);
    liar.net.run_for(kMs);
    EXPECT_TRUE(liar.alive());
    inject_stop_updates(server);
    inject_wear_keys(server, (1ull << 23) - 500);
    liar.net.write(liar.net.server, "not any more", true);
    liar.net.run_for(kMs);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_AEAD_LIMIT_REACHED));
}

/* RFC 9001 5.7: neither role opens 1-RTT packets before its handshake is complete. */
TEST(Keys, ServerHoldsOneRttPacketsUntilItIsComplete)
{
    Liar liar;
    liar.start_handshake();
    liar.say(Frames{0x20});
    EXPECT_TRUE(liar.closes().empty());
    ASSERT_TRUE(liar.net.run_until([&] { return !liar.closes().empty(); }, 5 * kS));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_FRAME_ENCODING));
}

/* ---- resets ------------------------------------------------------------------------------------------- */

/* RFC 9000 10.3.1: the token of a connection ID that was never used proves nothing. */
TEST(Reset, TokensOfUnusedConnectionIdsDoNotCount)
{
    Liar liar;
    liar.net.filter = nullptr;
    liar.client = liar.net.connect();
    ASSERT_TRUE(liar.net.run_until(
        [&] { return liar.net.client.conn != nullptr && liar.net.server.conn != nullptr; }));
    liar.net.run_for(200 * kMs);
    std::vector<Bytes> tokens; /* of the server's NEW_CONNECTION_ID frames */
    for (const Packet &p : liar.net.sent) {
        for (size_t i = 9; !p.to_server && p.bytes[0] < 0x80 && i + 28 <= p.bytes.size(); i++) {
            if (p.bytes[i] == 0x18 && p.bytes[i + 2] == 0 && p.bytes[i + 3] == 8) {
                tokens.emplace_back(p.bytes.begin() + static_cast<ptrdiff_t>(i + 12),
                                    p.bytes.begin() + static_cast<ptrdiff_t>(i + 28));
                i += 27;
            }
        }
    }
    ASSERT_GE(tokens.size(), 3u);
    for (const Bytes &token : tokens) {
        Bytes reset(26, 0x43);
        reset.insert(reset.end(), token.begin(), token.end());
        liar.net.inject(liar.net.client, reset);
    }
    EXPECT_EQ(liar.net.client.close_kind(), QURING_CLOSE_NONE);
    EXPECT_EQ(quic_endpoint_counters(liar.net.client.ep)->recv_stateless_reset, 0u);
}

/* It goes into logs, which somebody reads at a terminal. */
TEST(Close, APeersPhraseHasNoControlCharacters)
{
    Liar liar;
    liar.establish();
    const std::string reason = "a\x1b[31m\xc2\x9b"
                               "2J\xc3\x9f\x7f";
    liar.say(Frames{0x1d}.v(5).v(reason.size()).str(reason));
    liar.net.run_for(kMs);
    const Seen *closed = liar.net.server.find(QURING_EV_CLOSED);
    ASSERT_NE(closed, nullptr);
    EXPECT_STREQ(closed->close.reason, "a?[31m??2J\xc3\x9f?");
}

/* Refusals share the budget of resets; time refills it, whoever asks. */
TEST(Reset, RefusalsAreLimitedAndTheBudgetComesBack)
{
    Net net([](sim::Options &o) { o.server.limits.stateless_resets_per_s = 5; });
    ASSERT_TRUE(net.handshake());
    quic_endpoint_refuse_new(net.server.ep);
    InitialSpec spec;
    spec.frames = {0x01};
    auto refusals = [&] {
        net.sent.clear();
        for (uint64_t i = 0; i < 20; i++) {
            spec.key_dcid = spec.dcid = make_cid(0x1000 + i);
            spec.scid = make_cid(7);
            net.inject(net.server, forge_initial(spec));
            net.inject(net.server, Bytes(60, 0x41)); /* would draw a stateless reset */
        }
        return net.sent.size();
    };
    EXPECT_EQ(refusals(), 5u);
    EXPECT_EQ(refusals(), 0u);
    net.run_for(2 * kS);
    EXPECT_EQ(refusals(), 5u);
}

/* ---- timers -------------------------------------------------------------------------------------------- */

/* A peer that never acknowledges fills the record of sent packets; we wait then, we do not spin. */
TEST(Timers, AcksWithoutRoomDoNotSpin)
{
    Liar liar(false, [](sim::Options &o) { o.server.limits.sent_packets_max = 16; });
    liar.establish();
    liar.net.filter = [](Packet &) { return false; };
    liar.net.write(liar.net.server, "never acknowledged", true);
    for (int i = 0; i < 200; i++) {
        liar.say(Frames{0x01});
        liar.net.now += 30 * kMs;
        EXPECT_GT(quic_endpoint_next_timeout(liar.net.server.ep), liar.net.now - 30 * kMs);
    }
    EXPECT_TRUE(liar.alive());
}

/* ---- a handshake driven from outside ------------------------------------------------------------------- */

struct External {
    sim::Options options;
    sim::Alloc alloc;
    quic_rng_seeded_state rng{3};
    quic_endpoint *ep = nullptr;
    quic_conn *conn = nullptr;
    std::vector<uint8_t> buf = std::vector<uint8_t>(65536);
    quic_ns now = kS;

    explicit External(uint32_t datagram_max = sim::sim_limits().datagram_max_bytes)
    {
        quic_endpoint_config config{};
        config.worker_count = 1;
        config.allocator = alloc.table();
        config.rng = quic_rng_seeded(&rng);
        config.crypto = quic_crypto_shim();
        config.limits = sim::sim_limits();
        config.limits.datagram_max_bytes = datagram_max;
        EXPECT_EQ(quic_endpoint_create(&ep, &config), QUIC_OK);
        quic_connect_config connect{};
        connect.limits = config.limits;
        connect.path.remote.family = 4;
        connect.path.remote.ip[0] = 10;
        connect.path.remote.port = 443;
        EXPECT_EQ(quic_endpoint_connect(ep, &conn, &connect, now), QUIC_OK);
    }
    ~External()
    {
        quic_endpoint_destroy(ep);
    }
    size_t sent()
    {
        size_t n = 0;
        quic_tx_unit unit{};
        unit.buf = buf.data();
        unit.cap = 65507;
        unit.seg_max = 64;
        while (quic_endpoint_send(ep, &unit, now)) {
            n++;
        }
        return n;
    }
    /* A datagram of the server, or of a client at another port. */
    void hear(Bytes packet, uint16_t port = 443)
    {
        quic_rx_unit unit{};
        unit.data = packet.data();
        unit.len = unit.seg_len = static_cast<uint32_t>(packet.size());
        unit.path.remote.family = 4;
        unit.path.remote.ip[0] = 10;
        unit.path.remote.port = port;
        quic_endpoint_recv(ep, &unit, now);
    }
};

/* RFC 9000 17.2.2: a client's first packet carries the ClientHello, so nothing leaves before that. */
TEST(External, ClientSaysNothingBeforeItsClientHello)
{
    External x;
    EXPECT_EQ(x.sent(), 0u);
    for (int i = 0; i < 100; i++) {
        x.now += 50 * kMs;
        quic_endpoint_on_timeout(x.ep, x.now);
        EXPECT_EQ(x.sent(), 0u);
        EXPECT_GT(quic_endpoint_next_timeout(x.ep), x.now);
    }
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    EXPECT_EQ(x.sent(), 1u);
    x.now += 2 * kS;
    quic_endpoint_on_timeout(x.ep, x.now);
    EXPECT_GE(x.sent(), 1u); /* and its probe */
}

/* A 1-RTT packet to `dcid`, sealed by who has `secret`. */
Bytes packet_for(const quic_cid &dcid, const uint8_t secret[32], const Bytes &frames,
                 uint64_t pn = 0)
{
    sim::Alloc alloc;
    quic_allocator table = alloc.table();
    quic_mem mem;
    quic_mem_init_root(&mem, &table, 1u << 20);
    quic_keys *keys = nullptr;
    EXPECT_EQ(quic_keys_create(&keys, quic_crypto_shim(), &mem, QUIC_VERSION_1, 0x1301, secret, 32),
              QUIC_OK);
    Bytes out(64);
    size_t hdr = quic_header_encode_short(out.data(), out.size(), &dcid, 0, pn, 4);
    out.resize(hdr);
    out.insert(out.end(), frames.begin(), frames.end());
    out.resize(out.size() + QUIC_AEAD_TAG_LEN);
    quic_keys_seal(keys, pn, out.data(), hdr, out.data() + hdr, frames.size());
    quic_keys_destroy(keys);
    return out;
}

/* RFC 9001 5.7: 1-RTT keys without a complete handshake: packets wait, and nobody spins. */
TEST(External, ClientWithKeysWaitsForItsTlsToComplete)
{
    External x;
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    const uint8_t secret[32] = {9};
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    EXPECT_EQ(x.sent(), 1u);
    for (bool is_write : {false, true}) {
        ASSERT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_APP, is_write, 0x1301, secret, 32),
                  QUIC_OK);
        EXPECT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_APP, is_write, 0x1301, secret, 32),
                  QUIC_E_STATE);
    }
    /* RFC 9000 7.4.1: no 0-RTT to a server of which nothing is remembered */
    EXPECT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_EARLY, true, 0x1301, secret, 32),
              QUIC_E_STATE);
    EXPECT_EQ(quic_conn_hs_complete(x.conn), QUIC_E_STATE); /* no transport parameters yet */
    EXPECT_EQ(x.sent(), 0u);
    const Bytes ping(8, 0x01);
    x.hear(packet_for(scid_of(Bytes(x.buf.begin(), x.buf.begin() + 1200)), secret, ping));
    EXPECT_EQ(sim_inspect_held_count(x.conn), 1u);
    EXPECT_EQ(x.sent(),
              1u); /* RFC 9002 6.2.3: no ServerHello came, so the ClientHello leaves again */
    EXPECT_EQ(x.sent(), 0u);
    EXPECT_GT(quic_endpoint_next_timeout(x.ep), x.now);
    /* TLS takes its time, many probe timeouts: what it will give the keys for is still there. */
    for (int i = 0; i < 80; i++) {
        x.now += 100 * kMs;
        quic_endpoint_on_timeout(x.ep, x.now);
        (void)x.sent();
    }
    EXPECT_EQ(sim_inspect_held_count(x.conn), 1u);
}

/* What is held keeps to a bound that is set later, too. */
TEST(External, HeldPacketsKeepToABoundThatIsLowered)
{
    External x;
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    const uint8_t secret[32] = {9};
    quring_limits limits = sim::sim_limits();
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    EXPECT_EQ(x.sent(), 1u);
    const quic_cid cid = scid_of(Bytes(x.buf.begin(), x.buf.begin() + 1200));
    for (int i = 0; i < 20; i++) {
        x.hear(packet_for(cid, secret, Bytes(8, 0x01)));
    }
    EXPECT_EQ(sim_inspect_held_count(x.conn), limits.undecryptable_packets_max);
    limits.undecryptable_packets_max = 2;
    ASSERT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_OK);
    for (int i = 0; i < 20; i++) {
        x.hear(packet_for(cid, secret, Bytes(8, 0x01)));
        EXPECT_LE(sim_inspect_held_count(x.conn), 2u);
    }
}

/* ... which may be none; and large ones are not held at all. */
TEST(External, NothingIsHeldWhereNothingIsToBe)
{
    for (const uint32_t max : {0u, 4u}) {
        External x;
        const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
        const uint8_t secret[32] = {9};
        quring_limits limits = sim::sim_limits();
        limits.undecryptable_packets_max = max;
        ASSERT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_OK);
        ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
        EXPECT_EQ(x.sent(), 1u);
        const quic_cid cid = scid_of(Bytes(x.buf.begin(), x.buf.begin() + 1200));
        x.hear(packet_for(cid, secret, Bytes(2100, 0x01)));
        EXPECT_EQ(sim_inspect_held_count(x.conn), 0u);
        x.hear(packet_for(cid, secret, Bytes(8, 0x01)));
        EXPECT_EQ(sim_inspect_held_count(x.conn), max == 0 ? 0u : 1u);
    }
}

/* Streams are open in 0-RTT already: what they keep to does not change under them. */
TEST(External, LimitsStayOnceZeroRttHasBegun)
{
    External x;
    const uint8_t secret[32] = {9};
    quring_limits limits = sim::sim_limits();
    quring_transport_params remembered{};
    remembered.max_udp_payload_size = 1472;
    remembered.initial_max_data = remembered.initial_max_stream_data_bidi_remote = 1000;
    remembered.initial_max_streams_bidi = 1;
    remembered.active_connection_id_limit = 2;
    EXPECT_EQ(quic_conn_hs_set_early_answer(x.conn, true), QUIC_E_STATE) << "nothing was offered";
    ASSERT_EQ(quic_conn_hs_set_remembered(x.conn, &remembered), QUIC_OK);
    EXPECT_EQ(quic_conn_hs_set_remembered(x.conn, &remembered), QUIC_E_STATE) << "once";
    EXPECT_EQ(quic_conn_hs_set_early_answer(x.conn, true), QUIC_E_STATE) << "nothing was offered";
    EXPECT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_OK);
    ASSERT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_EARLY, true, 0x1301, secret, 32),
              QUIC_OK);
    quic_stream *stream = nullptr;
    ASSERT_EQ(quic_conn_stream_open(x.conn, false, &stream), QUIC_OK);
    EXPECT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_E_STATE);
    EXPECT_EQ(quic_conn_hs_set_early_answer(x.conn, true), QUIC_OK);
    EXPECT_EQ(quic_conn_hs_set_early_answer(x.conn, false), QUIC_E_STATE) << "it has answered";
    EXPECT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_E_STATE);
}

/* RFC 9000 10.2: what has ended is there until somebody has asked how. */
TEST(External, TheEndIsToldHoweverLateSomebodyAsks)
{
    External x;
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    ASSERT_EQ(x.sent(), 1u);
    const Bytes first(x.buf.begin(), x.buf.begin() + 1200);
    InitialSpec spec;
    spec.key_dcid = dcid_of(first);
    spec.dcid = scid_of(first);
    spec.scid = make_cid(77);
    spec.frames = {0x1c, 0x02, 0, 0}; /* CONNECTION_CLOSE with CONNECTION_REFUSED */
    spec.from_server = true;
    x.hear(forge_initial(spec));
    for (int i = 0; i < 60; i++) {
        x.now += kS;
        quic_endpoint_on_timeout(x.ep, x.now);
        (void)x.sent();
    }
    uint64_t code = 0;
    quic_event ev;
    while (quic_endpoint_poll_event(x.ep, &ev, x.now)) {
        code = ev.type == QURING_EV_CLOSED ? quic_conn_close_info(ev.conn)->code : code;
    }
    EXPECT_EQ(code, 2u);
}

/* What the peer is told it may send is taken. */
TEST(External, LimitsThatAreSetLaterAreKept)
{
    External x(0);
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    const uint8_t secret[32] = {9};
    quring_limits limits = sim::sim_limits();
    limits.cids_active_max = 8;
    ASSERT_EQ(quic_conn_hs_set_limits(x.conn, &limits), QUIC_OK);
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    ASSERT_EQ(x.sent(), 1u);
    const Bytes first(x.buf.begin(), x.buf.begin() + 1200);
    InitialSpec spec;
    spec.key_dcid = dcid_of(first);
    spec.dcid = scid_of(first);
    spec.scid = make_cid(77);
    spec.frames = {0x01};
    spec.from_server = true;
    x.hear(forge_initial(spec));
    quic_transport_params p;
    quic_transport_params_default(&p);
    p.has_original_dcid = p.has_initial_scid = true;
    p.original_dcid = spec.key_dcid;
    p.initial_scid = spec.scid;
    Bytes params(QUIC_TP_ENCODED_MAX);
    params.resize(quic_transport_params_encode(params.data(), params.size(), &p, QUIC_SERVER, 0));
    ASSERT_EQ(quic_conn_hs_set_peer_params(x.conn, params.data(), params.size()), QUIC_OK);
    /* RFC 9000 13.2.5: how long the first one waits for keys is part of the delay of its acknowledgement. */
    x.hear(packet_for(spec.dcid, secret, Bytes(8, 0x01)));
    EXPECT_EQ(sim_inspect_held_count(x.conn), 1u);
    x.now += 500 * kMs;
    quic_endpoint_set_now(x.ep, x.now);
    for (bool is_write : {false, true}) {
        ASSERT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_APP, is_write, 0x1301, secret, 32),
                  QUIC_OK);
    }
    ASSERT_EQ(quic_conn_hs_complete(x.conn), QUIC_OK);
    EXPECT_EQ(sim_inspect_held_count(x.conn), 0u);
    EXPECT_EQ(sim_inspect_ack_delay(x.conn, x.now), 500 * kMs);
    Bytes frames = {0x31, 1, 'x'}; /* DATAGRAM */
    for (uint8_t seq = 1; seq < 8; seq++) {
        frames = frames + Bytes{0x18, seq, 0, 8} + Bytes(8, seq) + Bytes(16, seq);
    }
    x.hear(packet_for(spec.dcid, secret, frames, 1));
    uint32_t datagrams = 0;
    quic_event ev;
    while (quic_endpoint_poll_event(x.ep, &ev, x.now)) {
        datagrams += ev.type == QURING_EV_DATAGRAM_READABLE ? 1 : 0;
        ASSERT_NE(ev.type, QURING_EV_CLOSED) << quic_conn_close_info(ev.conn)->reason;
    }
    EXPECT_EQ(datagrams, 1u);
}

/* A server's connection, for the i-th client. */
quic_conn *server_of(External *x, uint64_t i)
{
    const uint8_t hello[] = {1, 0, 0, 2, 3, 3};
    InitialSpec spec;
    spec.key_dcid = spec.dcid = make_cid(0x1000 + i);
    spec.scid = make_cid(7);
    spec.frames = crypto_frame(0, hello, sizeof(hello));
    x->hear(forge_initial(spec), 5000);
    quic_conn *server = nullptr;
    quic_event ev;
    while (quic_endpoint_poll_event(x->ep, &ev, x->now)) {
        server = ev.type == QURING_EV_HANDSHAKE_PENDING ? ev.conn : server;
    }
    return server;
}

/* RFC 9000 9.6: by a server, in its parameters. */
TEST(External, APreferredAddressIsOfferedInTime)
{
    External x;
    quic_accept_config accept{};
    accept.limits = sim::sim_limits();
    ASSERT_EQ(quic_endpoint_listen(x.ep, 0, &accept), QUIC_OK);
    quic_addr preferred{};
    preferred.family = 4;
    preferred.ip[0] = 10;
    preferred.port = 444;
    const quic_addr none{};
    EXPECT_EQ(quic_conn_hs_set_preferred(x.conn, &preferred, &none), QUIC_E_STATE) << "a client";
    quic_conn *server = server_of(&x, 0);
    ASSERT_NE(server, nullptr);
    EXPECT_EQ(quic_conn_hs_set_preferred(server, &preferred, &none), QUIC_OK);
    EXPECT_EQ(quic_conn_hs_set_preferred(server, &preferred, &none), QUIC_E_STATE) << "once";
    server = server_of(&x, 1);
    ASSERT_NE(server, nullptr);
    uint8_t params[512];
    size_t len = 0;
    ASSERT_EQ(quic_conn_hs_get_params(server, params, &len, sizeof(params)), QUIC_OK);
    EXPECT_EQ(quic_conn_hs_set_preferred(server, &preferred, &none), QUIC_E_STATE) << "too late";
}

/* Without memory, of which the table of connection IDs wants some now and then, nothing is offered: not an address
 * whose connection ID leads nowhere. */
TEST(External, APreferredAddressWithoutMemoryIsNotOffered)
{
    External x;
    quic_accept_config accept{};
    accept.limits = sim::sim_limits();
    ASSERT_EQ(quic_endpoint_listen(x.ep, 0, &accept), QUIC_OK);
    quic_addr preferred{};
    preferred.family = 4;
    preferred.ip[0] = 10;
    preferred.port = 444;
    uint32_t failures = 0;
    for (uint64_t i = 0; i < 20; i++) {
        quic_conn *server = server_of(&x, i);
        ASSERT_NE(server, nullptr) << i;
        const quic_addr none{};
        quic_rc rc = QUIC_E_NOMEM;
        for (uint64_t k = 1; rc == QUIC_E_NOMEM; k++) {
            x.alloc.fail_at(k);
            rc = quic_conn_hs_set_preferred(server, &preferred, &none);
            failures += rc == QUIC_E_NOMEM ? 1 : 0;
        }
        x.alloc.fail_at(0);
        EXPECT_EQ(rc, QUIC_OK) << i;
    }
    EXPECT_GT(failures, 20u) << "the table has grown";
}

/* RFC 8446 4.1.2: behind a HelloRetryRequest a client says what it said before. */
TEST(External, ParametersAreTheSameEachTime)
{
    External x;
    uint8_t params[2][512];
    size_t len[2] = {};
    ASSERT_EQ(quic_conn_hs_get_params(x.conn, params[0], &len[0], sizeof(params[0])), QUIC_OK);
    x.now += kS;
    ASSERT_EQ(quic_conn_hs_get_params(x.conn, params[1], &len[1], sizeof(params[1])), QUIC_OK);
    EXPECT_EQ(Bytes(params[0], params[0] + len[0]), Bytes(params[1], params[1] + len[1]));
}

/* RFC 9001 4.1.3: what has come at a level whose successor has keys may come again, and no more of it. */
TEST(External, NothingComesBehindTheEndOfItsLevel)
{
    External x;
    const uint8_t hello[] = {2, 0, 0, 2, 3, 3};
    ASSERT_EQ(quic_conn_hs_send(x.conn, QUIC_LEVEL_INITIAL, hello, sizeof(hello)), QUIC_OK);
    ASSERT_EQ(x.sent(), 1u);
    const Bytes first(x.buf.begin(), x.buf.begin() + 1200);
    uint64_t pn = 0;
    const auto deliver = [&](uint64_t off, size_t len) {
        InitialSpec spec;
        spec.key_dcid = dcid_of(first);
        spec.dcid = scid_of(first);
        spec.scid = make_cid(77);
        spec.frames = crypto_frame(off, hello, len);
        spec.pn = pn++;
        spec.from_server = true;
        x.hear(forge_initial(spec));
        (void)x.sent();
    };
    size_t bytes = 0;
    uint64_t code = 0;
    const auto poll = [&] {
        quic_event ev;
        while (quic_endpoint_poll_event(x.ep, &ev, x.now)) {
            bytes += ev.type == QURING_EV_HANDSHAKE_DATA ? ev.data_len : 0;
            code = ev.type == QURING_EV_CLOSED ? quic_conn_close_info(ev.conn)->code : code;
        }
    };
    const uint8_t secret[32] = {9};
    deliver(0, 3);
    poll();
    deliver(3, 3);
    poll();
    EXPECT_EQ(bytes, 6u);
    ASSERT_EQ(quic_conn_hs_install_secret(x.conn, QUIC_LEVEL_HANDSHAKE, false, 0x1301, secret, 32),
              QUIC_OK);
    deliver(0, 6);
    poll();
    EXPECT_EQ(code, 0u);
    deliver(6, 1);
    poll();
    EXPECT_EQ(code, 0x0au) << "PROTOCOL_VIOLATION";
    EXPECT_EQ(bytes, 6u);
}

} // namespace
