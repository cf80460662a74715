/* Options that do something: draft sections 6.2 and 6.3; and versions, ciphers and what else a handshake is
 * told by options. */
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/packets.h"
#include "tests/compat/relay.h"

using namespace compat;

static Pair pair_with_events(const std::vector<uint8_t> &events)
{
    PairOptions options;
    options.listener = [=](int fd) {
        for (uint8_t event : events) {
            enable(fd, event);
        }
    };
    options.client = options.listener;
    return make_pair(options);
}

/* ---- 6.2.1 STREAM_OPEN ------------------------------------------------------------------------------ */

static uint64_t open_stream(int fd, uint64_t id = UINT64_MAX, uint32_t flags = 0)
{
    quic_stream_info info = {id, flags};
    if (get_option(fd, QUIC_SOCKOPT_STREAM_OPEN, &info) != 0) {
        return UINT64_MAX;
    }
    EXPECT_NE(0u, info.stream_flag & QUIC_STREAM_FLAG_NEW);
    return info.stream_id;
}

TEST(Verb, C155_StreamsInTheirOrder)
{
    Pair pair = make_pair();
    EXPECT_EQ(0u, open_stream(pair.client));
    EXPECT_EQ(4u, open_stream(pair.client));
    EXPECT_EQ(8u, open_stream(pair.client));
    EXPECT_EQ(2u, open_stream(pair.client, UINT64_MAX, QUIC_STREAM_FLAG_UNI));
    EXPECT_EQ(6u, open_stream(pair.client, UINT64_MAX, QUIC_STREAM_FLAG_UNI));
    EXPECT_EQ(1u, open_stream(pair.server));
    EXPECT_EQ(5u, open_stream(pair.server));
    EXPECT_EQ(3u, open_stream(pair.server, UINT64_MAX, QUIC_STREAM_FLAG_UNI));
    EXPECT_EQ(7u, open_stream(pair.server, UINT64_MAX, QUIC_STREAM_FLAG_UNI));
}

TEST(Verb, C155_ANumberOfOnesOwn)
{
    Pair pair = make_pair();
    EXPECT_EQ(16u, open_stream(pair.client, 16));
    quic_stream_info taken = {16, 0};
    EXPECT_ERRNO(EINVAL, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &taken));
    quic_stream_info theirs = {1, 0};
    EXPECT_ERRNO(EINVAL, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &theirs));
    quic_stream_info below = {8, 0}; /* open only because 16 is */
    EXPECT_EQ(0, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &below));
    EXPECT_ERRNO(EINVAL, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &below));
    quic_stream_info none = {UINT64_MAX - 3, 0}; /* RFC 9000 2.1: 62 bits */
    EXPECT_ERRNO(EINVAL, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &none));
    quic_stream_info beyond = {400, QUIC_STREAM_FLAG_ASYNC};
    EXPECT_ERRNO(EAGAIN, get_option(pair.client, QUIC_SOCKOPT_STREAM_OPEN, &beyond));
    socklen_t len = 8;
    EXPECT_ERRNO(EINVAL, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &taken, &len));
    ASSERT_EQ(3, send(pair.client, "abc", 3, 0)) << "goes to the latest one opened";
    Message m = receive(pair.server);
    EXPECT_EQ(8u, m.id);
    EXPECT_EQ("abc", m.bytes);
    Fd fresh = quic_socket();
    quic_stream_info info = {UINT64_MAX, 0};
    EXPECT_ERRNO(EINVAL, get_option(fresh, QUIC_SOCKOPT_STREAM_OPEN, &info));
}

TEST(Verb, C155_WaitsWhereThePeerAllowsNoMore)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_streams_uni = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    ASSERT_EQ(2u, send_stream(pair.client, "first", QUIC_STREAM_FLAG_UNI));
    uint64_t second = 0;
    std::thread waits([&] { second = open_stream(pair.client, UINT64_MAX, QUIC_STREAM_FLAG_UNI); });
    EXPECT_EQ("first", read_bytes(pair.server, 5));
    waits.join();
    EXPECT_EQ(6u, second);
}

/* ---- 6.3.1 STREAM_RESET, 6.3.2 STREAM_STOP_SENDING ------------------------------------------------------ */

static int reset_stream(int fd, uint64_t id, uint32_t errcode)
{
    quic_errinfo info = {id, errcode};
    return set_option(fd, QUIC_SOCKOPT_STREAM_RESET, info);
}

static int stop_sending(int fd, uint64_t id, uint32_t errcode)
{
    quic_errinfo info = {id, errcode};
    return set_option(fd, QUIC_SOCKOPT_STREAM_STOP_SENDING, info);
}

TEST(Verb, C156_AStreamIsGivenUp)
{
    Pair pair = pair_with_events({QUIC_EVENT_STREAM_UPDATE});
    ASSERT_EQ(5, quic_sendmsg(pair.client, "begun", 5, 0, QUIC_STREAM_FLAG_NEW));
    ASSERT_EQ(0u, next_update(pair.server, QUIC_STREAM_RECV_STATE_RECV).id);
    ASSERT_EQ(0, reset_stream(pair.client, 0, 33));
    EXPECT_ERRNO(EINVAL, quic_sendmsg(pair.client, "x", 1, 0, 0));
    quic_stream_update update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RESET_RECVD);
    EXPECT_EQ(0u, update.id);
    EXPECT_EQ(33u, update.errcode);
    EXPECT_EQ(5u, update.finalsz);
    EXPECT_ERRNO(EINVAL, reset_stream(pair.client, 0, 33)); /* once */
}

TEST(Verb, C156_WhatCannotBeGivenUp)
{
    Pair pair = pair_with_events({QUIC_EVENT_STREAM_UPDATE});
    EXPECT_ERRNO(EINVAL, reset_stream(pair.client, 0, 1)); /* not open */
    ASSERT_EQ(2u, send_stream(pair.client, "one way", QUIC_STREAM_FLAG_UNI));
    ASSERT_EQ(2u, next_update(pair.server, QUIC_STREAM_RECV_STATE_RECVD).id);
    EXPECT_ERRNO(EINVAL, reset_stream(pair.server, 2, 1)); /* only received on */
    ASSERT_EQ(2u, next_update(pair.client, QUIC_STREAM_SEND_STATE_RECVD).id);
    EXPECT_ERRNO(EINVAL, reset_stream(pair.client, 2, 1)); /* over */
    quic_errinfo info = {0, 1};
    EXPECT_ERRNO(EINVAL, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, 8));
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EINVAL, reset_stream(fresh, 0, 1));
    EXPECT_ERRNO(ENOPROTOOPT, get_option(pair.client, QUIC_SOCKOPT_STREAM_RESET, &info));
}

TEST(Verb, C157_ThePeerShallStop)
{
    Pair pair = pair_with_events({QUIC_EVENT_STREAM_UPDATE});
    ASSERT_EQ(5, quic_sendmsg(pair.client, "begun", 5, 0, QUIC_STREAM_FLAG_NEW));
    ASSERT_EQ(0u, next_update(pair.server, QUIC_STREAM_RECV_STATE_RECV).id);
    ASSERT_EQ(0, stop_sending(pair.server, 0, 44));
    quic_stream_update update = next_update(pair.client, QUIC_STREAM_SEND_STATE_RESET_SENT);
    EXPECT_EQ(0u, update.id);
    EXPECT_EQ(44u, update.errcode);
    EXPECT_ERRNO(EINVAL, quic_sendmsg(pair.client, "x", 1, 0, 0));
    update = next_update(pair.client, QUIC_STREAM_SEND_STATE_RESET_RECVD);
    EXPECT_EQ(44u, update.errcode);
    ASSERT_EQ(1, quic_sendmsg(pair.server, "y", 1, 0, QUIC_STREAM_FLAG_FIN))
        << "the other direction goes on";
}

TEST(Verb, C157_WhereNothingComes)
{
    Pair pair = make_pair();
    ASSERT_EQ(2u, open_stream(pair.client, UINT64_MAX, QUIC_STREAM_FLAG_UNI));
    EXPECT_ERRNO(EINVAL, stop_sending(pair.client, 2, 1)); /* only sent on */
    EXPECT_ERRNO(EINVAL, stop_sending(pair.client, 1, 1)); /* not open */
    ASSERT_EQ(0u, send_stream(pair.client, "all", 0));
    EXPECT_EQ("all", read_bytes(pair.server, 3));
    EXPECT_ERRNO(EINVAL, stop_sending(pair.server, 0, 1)); /* everything is there */
}

static Address free_address(int family = AF_INET)
{
    Fd udp(socket(family, SOCK_DGRAM, 0));
    Address at = loopback(0, family);
    EXPECT_EQ(0, bind(udp, at.ptr(), at.len));
    return name_of(udp);
}

/* ---- 6.3.4 KEY_UPDATE -------------------------------------------------------------------------------------- */

static int update_keys(int fd)
{
    return setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_KEY_UPDATE, nullptr, 0);
}

TEST(Verb, C158_NewKeys)
{
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EINVAL, update_keys(fresh));
    Pair pair = pair_with_events({QUIC_EVENT_KEY_UPDATE});
    int ends[] = {pair.client, pair.client, pair.server};
    uint8_t phase = 0;
    for (int end : ends) {
        ASSERT_EQ(0, update_keys(end)) << strerror(errno);
        phase ^= 1;
        for (int other : {end, end == ends[0] ? static_cast<int>(pair.server) : ends[0]}) {
            Message m = next_event(other, QUIC_EVENT_KEY_UPDATE);
            ASSERT_EQ(2, m.rc);
            EXPECT_EQ(phase, m.body<uint8_t>());
        }
        const std::string data = pattern(100000, phase);
        ASSERT_NE(UINT64_MAX, send_stream(pair.client, data));
        EXPECT_EQ(data, read_bytes(pair.server, data.size()));
    }
}

TEST(Verb, C158_WhoWaitsForNewsIsWoken)
{
    Pair pair = pair_with_events({QUIC_EVENT_KEY_UPDATE});
    set_recv_timeout(pair.client, 20000);
    Message m;
    std::thread waits([&] { m = receive(pair.client); });
    usleep(100000); /* it sleeps by then */
    ASSERT_EQ(0, update_keys(pair.server)) << strerror(errno);
    waits.join();
    EXPECT_EQ(QUIC_EVENT_KEY_UPDATE, m.type());
}

TEST(Verb, C158_OneUpdateAtATime)
{
    for (bool confirmed : {false, true}) { /* or the first waits, too */
        SCOPED_TRACE(confirmed);
        RelayedPair pair = make_relayed_pair();
        if (confirmed) {
            ASSERT_NE(UINT64_MAX, send_stream(pair.server, "behind HANDSHAKE_DONE"));
            ASSERT_EQ("behind HANDSHAKE_DONE", read_bytes(pair.client, 21));
        }
        pair.relay->set_filter([](bool, std::string *) { return false; }); /* nobody will answer */
        ASSERT_EQ(0, update_keys(pair.client));
        EXPECT_ERRNO(EINVAL, update_keys(pair.client));
        pair.relay->set_filter(nullptr);
        ASSERT_NE(UINT64_MAX, send_stream(pair.client, "goes on"));
        EXPECT_EQ("goes on", read_bytes(pair.server, 7));
    }
}

/* RFC 9001 6.5: the next ones may come when the last are forgotten, after three probe timeouts of this slow path. */
TEST(Verb, C158_OverASlowPath)
{
    PairOptions options;
    options.client = [](int fd) { enable(fd, QUIC_EVENT_KEY_UPDATE); };
    RelayedPair pair = make_relayed_pair(options);
    ASSERT_NE(UINT64_MAX, send_stream(pair.server, "behind HANDSHAKE_DONE"));
    ASSERT_EQ("behind HANDSHAKE_DONE", read_bytes(pair.client, 21));
    pair.relay->set_delay(500);
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "how slow it is"));
    for (int held = 1; held > 0; usleep(1000)) {
        ASSERT_EQ(0, ioctl(pair.client, TIOCOUTQ, &held));
    }
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(0, update_keys(pair.client)) << strerror(errno);
        ASSERT_EQ(2, next_event(pair.client, QUIC_EVENT_KEY_UPDATE).rc) << i;
    }
}

/* What is done a little later does not keep the socket longer than itself. */
TEST(Verb, C158_ThenThePortIsFree)
{
    const Address at = free_address();
    PairOptions options;
    options.client = [&](int fd) {
        ASSERT_EQ(0, bind(fd, at.ptr(), at.len));
        enable(fd, QUIC_EVENT_KEY_UPDATE);
    };
    Pair pair = make_pair(options);
    for (int i = 0; i < 2; i++) { /* the second waits for the first */
        ASSERT_EQ(0, update_keys(pair.client)) << strerror(errno);
        ASSERT_EQ(2, next_event(pair.client, QUIC_EVENT_KEY_UPDATE).rc);
    }
    pair.client.reset();
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    int rc = -1;
    for (int i = 0; i < 1000 && (rc = bind(udp, at.ptr(), at.len)) != 0; i++) {
        usleep(10000);
    }
    EXPECT_EQ(0, rc) << strerror(errno);
}

/* ---- 6.3.3 CONNECTION_MIGRATION ------------------------------------------------------------------------------ */

static int migrate(int fd, const Address &to)
{
    return setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_MIGRATION, to.ptr(), to.len);
}

TEST(Verb, C159_AClientMoves)
{
    Pair pair = pair_with_events({QUIC_EVENT_CONNECTION_MIGRATION});
    Address to = free_address();
    ASSERT_EQ(0, migrate(pair.client, to));
    Message m = next_event(pair.client, QUIC_EVENT_CONNECTION_MIGRATION);
    ASSERT_EQ(2, m.rc);
    EXPECT_EQ(1, m.body<uint8_t>());
    EXPECT_EQ(to.text(), name_of(pair.client).text());
    const std::string data = pattern(300000);
    std::thread writer([&] { EXPECT_NE(UINT64_MAX, send_stream(pair.client, data)); });
    EXPECT_EQ(data, read_with_event(pair.server, data.size(), QUIC_EVENT_CONNECTION_MIGRATION, &m));
    writer.join();
    ASSERT_EQ(2, m.rc);
    EXPECT_EQ(0, m.body<uint8_t>());
}

TEST(Verb, C159_WhereItCannotMove)
{
    Pair pair = make_pair();
    Address six = free_address(AF_INET6);
    EXPECT_ERRNO(EINVAL, migrate(pair.client, six));
    Address shorter = free_address();
    shorter.len = 4;
    EXPECT_ERRNO(EINVAL, migrate(pair.client, shorter));
    EXPECT_ERRNO(EINVAL, migrate(pair.client, name_of(pair.client))); /* it is there */
    EXPECT_ERRNO(EINVAL, migrate(pair.client, loopback(0)));          /* no port */
    EXPECT_ERRNO(EINVAL, migrate(pair.server, free_address()));       /* RFC 9000 9: clients move */
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EINVAL, migrate(fresh, free_address()));
}

TEST(Verb, C159_OneMoveAtATime)
{
    RelayedPair pair = make_relayed_pair();
    pair.relay->set_filter([](bool, std::string *) { return false; }); /* nobody will answer */
    ASSERT_EQ(0, migrate(pair.client, free_address()));
    EXPECT_ERRNO(EINVAL, migrate(pair.client, free_address()));
    pair.relay->set_filter(nullptr);
}

/* RFC 9000 9: not before the handshake is confirmed. Then at once. */
TEST(Verb, C159_AMoveThatIsAskedForTooEarly)
{
    Fd listen_fd = listener();
    Relay relay(name_of(listen_fd));
    relay.set_filter([](bool to_server, std::string *datagram) {
        for (const Packet &packet : packets_of(*datagram)) {
            if (!to_server && packet.type == PacketType::kShort) {
                datagram->resize(packet.at); /* HANDSHAKE_DONE, and what acknowledges */
            }
        }
        return !datagram->empty();
    });
    Fd client = quic_socket();
    Fd server;
    Address at = relay.address();
    ASSERT_EQ(0, connect(client, at.ptr(), at.len));
    ASSERT_TRUE(handshake(listen_fd, client, &server));
    enable(client, QUIC_EVENT_CONNECTION_MIGRATION);
    const Address to = free_address();
    ASSERT_EQ(0, migrate(client, to)) << strerror(errno);
    EXPECT_NE(to.text(), name_of(client).text());
    relay.set_filter(nullptr);
    EXPECT_EQ(2, next_event(client, QUIC_EVENT_CONNECTION_MIGRATION).rc);
    EXPECT_EQ(to.text(), name_of(client).text());
}

TEST(Verb, C146_AServerThatWantsNobodyToMove)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.disable_active_migration = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    EXPECT_ERRNO(EINVAL, migrate(pair.client, free_address()));
}

/* Server and client with `prefer` as the server's preferred address. */
static void connect_preferring(const Address &prefer, Fd *listen_fd, Fd *client, Fd *server,
                               int family = AF_INET)
{
    *listen_fd = listener(16, family);
    enable(*listen_fd, QUIC_EVENT_CONNECTION_MIGRATION);
    *client = quic_socket(family);
    enable(*client, QUIC_EVENT_CONNECTION_MIGRATION);
    Address to = name_of(*listen_fd);
    ASSERT_EQ(0, connect(*client, to.ptr(), to.len));
    cert_file();
    int of_client = -1;
    std::thread other([&] { of_client = quic_client_handshake(*client, nullptr, nullptr); });
    server->reset(accept(*listen_fd, nullptr, nullptr));
    EXPECT_EQ(0, migrate(*server, prefer)) << strerror(errno);
    EXPECT_EQ(0, quic_server_handshake(*server, key_file(), cert_file()));
    other.join();
    ASSERT_EQ(0, of_client);
}

TEST(Verb, C160_AServerPrefersAnotherAddress)
{
    const Address prefer = free_address();
    Fd listen_fd;
    Fd client;
    Fd server;
    connect_preferring(prefer, &listen_fd, &client, &server);
    ASSERT_EQ(2, next_event(client, QUIC_EVENT_CONNECTION_MIGRATION).rc);
    EXPECT_EQ(prefer.text(), peer_of(client).text());
    ASSERT_NE(UINT64_MAX, send_stream(client, "at the new one"));
    Message m;
    EXPECT_EQ("at the new one", read_with_event(server, 14, QUIC_EVENT_CONNECTION_MIGRATION, &m));
    EXPECT_EQ(prefer.text(), name_of(server).text());
    EXPECT_ERRNO(EINVAL, migrate(server, free_address())); /* too late */
}

TEST(Verb, C160_OneOfTheOtherFamily)
{
    const Address prefer = free_address(AF_INET);
    Fd listen_fd;
    Fd client;
    Fd server;
    connect_preferring(prefer, &listen_fd, &client, &server, AF_INET6);
    ASSERT_EQ(2, next_event(client, QUIC_EVENT_CONNECTION_MIGRATION).rc);
    EXPECT_EQ(prefer.text(), peer_of(client).text());
    EXPECT_EQ(AF_INET, name_of(client).storage.ss_family);
    ASSERT_NE(UINT64_MAX, send_stream(client, "over IPv4"));
    Message m;
    EXPECT_EQ("over IPv4", read_with_event(server, 9, QUIC_EVENT_CONNECTION_MIGRATION, &m));
    EXPECT_EQ(prefer.text(), name_of(server).text());
}

TEST(Verb, C160_NoAddressToPrefer)
{
    Fd listen_fd = listener();
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] { (void)quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept(listen_fd, nullptr, nullptr));
    EXPECT_ERRNO(EINVAL, migrate(server, loopback(0)));
    EXPECT_ERRNO(EINVAL, migrate(server, any(4433)));
    EXPECT_ERRNO(EINVAL, migrate(server, to)); /* they are there */
    Address nowhere = loopback(4433);
    inet_pton(AF_INET, "192.0.2.1", &reinterpret_cast<sockaddr_in *>(&nowhere.storage)->sin_addr);
    EXPECT_ERRNO(EADDRNOTAVAIL, migrate(server, nowhere));
    server.reset();
    other.join();
}

/* ---- 6.1.7, 6.1.8: only while there is no connection yet --------------------------------------------------------- */

TEST(Verb, C161_SecretsAndParametersInTheirTime)
{
    quic_crypto_secret secret = {};
    secret.level = QUIC_CRYPTO_APP;
    secret.type = TLS_CIPHER_AES_GCM_128;
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, set_option(pair.client, QUIC_SOCKOPT_CRYPTO_SECRET, secret));
    EXPECT_ERRNO(EINVAL,
                 setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT, "x", 1));
    Fd fd = quic_socket();
    EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_CRYPTO_SECRET, secret)); /* not connected */
    Address to = name_of(pair.listen);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    for (uint8_t level : {QUIC_CRYPTO_INITIAL, QUIC_CRYPTO_MAX}) {
        secret.level = level;
        EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_CRYPTO_SECRET, secret));
    }
    secret.level = QUIC_CRYPTO_HANDSHAKE;
    for (uint32_t type : {0u, 50u, 55u}) {
        secret.type = type;
        EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_CRYPTO_SECRET, secret));
    }
    secret.type = TLS_CIPHER_AES_GCM_128;
    EXPECT_ERRNO(EINVAL,
                 setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CRYPTO_SECRET, &secret, sizeof(secret) - 1));
    EXPECT_EQ(0, set_option(fd, QUIC_SOCKOPT_CRYPTO_SECRET, secret));
}

/* ---- versions, ciphers, congestion control ----------------------------------------------------------------------- */

static std::function<void(int)> with(const std::function<void(quic_transport_param *)> &change)
{
    return [=](int fd) {
        quic_transport_param p = {};
        change(&p);
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
}

TEST(Verb, C164_WhatIsSetIsShown)
{
    Fd fd = quic_socket();
    with([](quic_transport_param *p) {
        p->congestion_control_alg = QUIC_CONG_ALG_BBR;
        p->payload_cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
        p->version = QUIC_VERSION_V2;
        p->initial_smoothed_rtt = 50000;
        p->plpmtud_probe_timeout = 6000000;
    })(fd);
    quic_transport_param p = params_of(fd);
    EXPECT_EQ(QUIC_CONG_ALG_BBR, p.congestion_control_alg);
    EXPECT_EQ(uint32_t{TLS_CIPHER_CHACHA20_POLY1305}, p.payload_cipher_type);
    EXPECT_EQ(QUIC_VERSION_V2, p.version);
    EXPECT_EQ(50000u, p.initial_smoothed_rtt);
    EXPECT_EQ(6000000u, p.plpmtud_probe_timeout);
    quic_transport_param wrong = {};
    wrong.payload_cipher_type = 99;
    EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, wrong));
    wrong = {};
    wrong.congestion_control_alg = 9;
    EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, wrong));
}

TEST(Verb, C164_TheyConnect)
{
    for (uint32_t cipher : {TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256,
                            TLS_CIPHER_CHACHA20_POLY1305, TLS_CIPHER_AES_CCM_128}) {
        PairOptions options;
        options.listener = with([&](quic_transport_param *p) { p->payload_cipher_type = cipher; });
        options.client = with([&](quic_transport_param *p) {
            p->congestion_control_alg = QUIC_CONG_ALG_CUBIC;
            p->initial_smoothed_rtt = 20000;
        });
        Pair pair = make_pair(options);
        ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
        EXPECT_EQ("hello", read_bytes(pair.server, 5));
    }
}

/* RFC 9000 6.2: the server lists what it speaks, the client takes version 1. */
TEST(Verb, C164_AVersionThatNobodySpeaks)
{
    PairOptions options;
    options.client = with([](quic_transport_param *p) { p->version = 123; });
    Pair pair = make_pair(options);
    EXPECT_EQ(uint32_t{QUIC_VERSION_V1}, params_of(pair.client).version);
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
    EXPECT_EQ("hello", read_bytes(pair.server, 5));
}

/* RFC 9368 2.3: a server that prefers version 2 moves the handshake there. */
TEST(Verb, C164_AServerThatPrefersVersion2)
{
    PairOptions options;
    options.listener = with([](quic_transport_param *p) { p->version = QUIC_VERSION_V2; });
    Pair pair = make_pair(options);
    EXPECT_EQ(QUIC_VERSION_V2, params_of(pair.client).version);
    EXPECT_EQ(QUIC_VERSION_V2, params_of(pair.server).version);
    options.listener = nullptr;
    options.client = with([](quic_transport_param *p) { p->version = QUIC_VERSION_V2; });
    EXPECT_EQ(QUIC_VERSION_V2, params_of(make_pair(options).client).version);
}

TEST(Verb, C164_AServerThatStaysWithItsVersion)
{
    PairOptions options;
    options.listener = with([](quic_transport_param *p) {
        p->version = QUIC_VERSION_V1;
        p->disable_compatible_version = 1;
    });
    options.client = with([](quic_transport_param *p) {
        p->version = QUIC_VERSION_V1;
        p->disable_compatible_version = 1;
    });
    EXPECT_EQ(uint32_t{QUIC_VERSION_V1}, params_of(make_pair(options).client).version);
}

/* draft-banks-quic-disable-encryption: both sides have to ask for it. */
TEST(Verb, C164_WithoutEncryption)
{
    PairOptions options;
    options.listener = with([](quic_transport_param *p) { p->disable_1rtt_encryption = 1; });
    options.client = options.listener;
    std::atomic<bool> plain{false};
    RelayedPair pair = make_relayed_pair(options);
    pair.relay->set_filter([&](bool, std::string *d) {
        plain = plain || d->find("in the clear") != std::string::npos;
        return true;
    });
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "in the clear"));
    EXPECT_EQ("in the clear", read_bytes(pair.server, 12));
    EXPECT_TRUE(plain);
}
