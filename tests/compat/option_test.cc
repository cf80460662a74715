/* Socket options of a connection: draft sections 6.1.1 to 6.1.6. */
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <netinet/tcp.h>
#include <poll.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

/* ---- 6.1.1 EVENT ------------------------------------------------------------------------------------ */

TEST(Option, C136_EventsAreOffUntilTheyAreWanted)
{
    Fd fd = quic_socket();
    for (uint8_t type = 1; type <= QUIC_EVENT_MAX; type++) {
        quic_event_option option = {type, 9};
        ASSERT_EQ(0, get_option(fd, QUIC_SOCKOPT_EVENT, &option));
        EXPECT_EQ(0, option.on) << int{type};
        enable(fd, type);
        ASSERT_EQ(0, get_option(fd, QUIC_SOCKOPT_EVENT, &option));
        EXPECT_EQ(1, option.on) << int{type};
        EXPECT_EQ(type, option.type);
        enable(fd, type, false);
        ASSERT_EQ(0, get_option(fd, QUIC_SOCKOPT_EVENT, &option));
        EXPECT_EQ(0, option.on);
    }
}

TEST(Option, C136_WhatIsNoEvent)
{
    Fd fd = quic_socket();
    for (uint8_t type : {0, 7, 99, 255}) {
        quic_event_option option = {type, 1};
        EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_EVENT, option));
        EXPECT_ERRNO(EINVAL, get_option(fd, QUIC_SOCKOPT_EVENT, &option));
    }
    uint8_t one = 1;
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &one, 1));
    socklen_t len = 1;
    EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &one, &len));
}

/* ---- 6.1.2 CONNECTION_CLOSE --------------------------------------------------------------------------- */

/* The structure with its phrase, as programs lay it out. */
struct CloseInfo {
    uint32_t errcode;
    uint8_t frame;
    char phrase[123];
};

static int set_close(int fd, uint32_t errcode, const std::string &phrase, bool ended = true)
{
    CloseInfo info = {};
    info.errcode = errcode;
    memset(info.phrase, 'x', sizeof(info.phrase));
    memcpy(info.phrase, phrase.c_str(), phrase.size() + 1);
    size_t len = 5 + phrase.size() + (ended ? 1 : 0);
    return setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info,
                      static_cast<socklen_t>(len < 8 ? 8 : len));
}

static socklen_t get_close(int fd, CloseInfo *out)
{
    memset(out, 0, sizeof(*out));
    socklen_t len = sizeof(*out);
    EXPECT_EQ(0, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, out, &len));
    return len;
}

TEST(Option, C137_WhatCloseWillSay)
{
    Fd fd = quic_socket();
    CloseInfo info;
    EXPECT_EQ(8u, get_close(fd, &info));
    EXPECT_EQ(0u, info.errcode);
    EXPECT_EQ(0, info.frame);
    EXPECT_STREQ("", info.phrase);
    EXPECT_ERRNO(EINVAL, set_close(fd, 10, "this is app err", false));
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, 7));
    ASSERT_EQ(0, set_close(fd, 10, "this is app err"));
    EXPECT_EQ(5u + 16u, get_close(fd, &info));
    EXPECT_EQ(10u, info.errcode);
    EXPECT_EQ(0, info.frame);
    EXPECT_STREQ("this is app err", info.phrase);
    socklen_t len = 8;
    EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, &len));
    info.errcode = 11;
    info.frame = 1; /* what the peer is told has none */
    memset(info.phrase, 'x', 3);
    ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, &info, 8)) << "no phrase";
    EXPECT_EQ(8u, get_close(fd, &info));
    EXPECT_EQ(11u, info.errcode);
    EXPECT_EQ(0, info.frame);
    EXPECT_STREQ("", info.phrase);
}

TEST(Option, C138_APhraseHasEightyBytes)
{
    Fd fd = quic_socket();
    EXPECT_EQ(0, set_close(fd, 1, std::string(80, 'p')));
    EXPECT_ERRNO(EINVAL, set_close(fd, 1, std::string(81, 'p')));
    CloseInfo info;
    get_close(fd, &info);
    EXPECT_EQ(std::string(80, 'p'), info.phrase) << "what was refused changed nothing";
}

TEST(Option, C139_WhatThePeerSaid)
{
    Pair pair = make_pair();
    ASSERT_EQ(0, set_close(pair.server, 77, "server has enough"));
    pair.server.reset();
    ASSERT_TRUE(poll_for(pair.client, POLLHUP));
    CloseInfo info;
    get_close(pair.client, &info);
    EXPECT_EQ(77u, info.errcode);
    EXPECT_EQ(0, info.frame);
    EXPECT_STREQ("server has enough", info.phrase);
}

/* ---- 6.1.3 TRANSPORT_PARAM -------------------------------------------------------------------------------- */

TEST(Option, C140_DefaultsAndOneMemberAtATime)
{
    Fd fd = quic_socket();
    quic_transport_param p = params_of(fd);
    EXPECT_EQ(0, p.remote);
    EXPECT_EQ(0, p.disable_active_migration);
    EXPECT_EQ(0, p.grease_quic_bit);
    EXPECT_EQ(0, p.stateless_reset);
    EXPECT_EQ(0, p.disable_1rtt_encryption);
    EXPECT_EQ(0, p.disable_compatible_version);
    EXPECT_EQ(65527u, p.max_udp_payload_size);
    EXPECT_EQ(3u, p.ack_delay_exponent);
    EXPECT_EQ(25000u, p.max_ack_delay);
    EXPECT_EQ(7u, p.active_connection_id_limit);
    EXPECT_EQ(30000000u, p.max_idle_timeout);
    EXPECT_EQ(0u, p.max_datagram_frame_size);
    EXPECT_EQ(65536u * 32, p.max_data);
    EXPECT_EQ(65536u * 4, p.max_stream_data_bidi_local);
    EXPECT_EQ(65536u * 4, p.max_stream_data_bidi_remote);
    EXPECT_EQ(65536u * 4, p.max_stream_data_uni);
    EXPECT_EQ(100u, p.max_streams_bidi);
    EXPECT_EQ(100u, p.max_streams_uni);
    EXPECT_EQ(333000u, p.initial_smoothed_rtt);
    EXPECT_EQ(0u, p.plpmtud_probe_timeout);
    EXPECT_EQ(0, p.validate_peer_address);
    EXPECT_EQ(0, p.receive_session_ticket);
    EXPECT_EQ(0, p.certificate_request);
    EXPECT_EQ(QUIC_CONG_ALG_RENO, p.congestion_control_alg);
    EXPECT_EQ(0u, p.payload_cipher_type);
    EXPECT_EQ(uint32_t{QUIC_VERSION_V1}, p.version);

    quic_transport_param change = {};
    change.max_streams_uni = 7;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, change));
    quic_transport_param expected = p;
    expected.max_streams_uni = 7;
    p = params_of(fd);
    EXPECT_EQ(0, memcmp(&expected, &p, sizeof(p)));
}

TEST(Option, C140_TheReceiveBufferFollowsMaxData)
{
    Fd fd = quic_socket();
    quic_transport_param p = {};
    p.max_data = 500000;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    int size = 0;
    socklen_t len = sizeof(size);
    ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len));
    EXPECT_EQ(1000000, size);
}

TEST(Option, C140_TheSendBufferFollowsThePeersMaxData)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_data = 300000;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    auto sndbuf = [](int fd) {
        int size = 0;
        socklen_t len = sizeof(size);
        EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len));
        return size;
    };
    EXPECT_EQ(600000, sndbuf(make_pair(options).client));
    options.client = [](int fd) {
        int mine = 100000;
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &mine, sizeof(mine)));
    };
    EXPECT_EQ(200000, sndbuf(make_pair(options).client)) << "the program's own choice stays";
}

TEST(Option, C141_WhenAndHowLong)
{
    Pair pair = make_pair();
    quic_transport_param p = {};
    p.max_data = 100000;
    EXPECT_ERRNO(EINVAL, set_option(pair.client, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    EXPECT_ERRNO(EINVAL, set_option(pair.server, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    Fd fd = quic_socket();
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, sizeof(p) - 1));
    socklen_t len = sizeof(p) - 1;
    EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &p, &len));
    EXPECT_EQ(128u, sizeof(p));
}

TEST(Option, C143_WhatThePeerAdvertised)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_data = 700000;
        p.max_stream_data_bidi_local = 110000;
        p.max_stream_data_bidi_remote = 120000;
        p.max_stream_data_uni = 130000;
        p.max_streams_bidi = 11;
        p.max_streams_uni = 12;
        p.max_idle_timeout = 20000000;
        p.max_ack_delay = 40000;
        p.active_connection_id_limit = 4;
        p.max_datagram_frame_size = 1300;
        p.max_udp_payload_size = 1400;
        p.disable_active_migration = 1;
        p.grease_quic_bit = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    quic_transport_param p = params_of(pair.client, true);
    EXPECT_EQ(1, p.remote);
    EXPECT_EQ(700000u, p.max_data);
    EXPECT_EQ(110000u, p.max_stream_data_bidi_local);
    EXPECT_EQ(120000u, p.max_stream_data_bidi_remote);
    EXPECT_EQ(130000u, p.max_stream_data_uni);
    EXPECT_EQ(11u, p.max_streams_bidi);
    EXPECT_EQ(12u, p.max_streams_uni);
    EXPECT_EQ(20000000u, p.max_idle_timeout);
    EXPECT_EQ(40000u, p.max_ack_delay);
    EXPECT_EQ(4u, p.active_connection_id_limit);
    EXPECT_EQ(1300u, p.max_datagram_frame_size);
    EXPECT_EQ(1400u, p.max_udp_payload_size);
    EXPECT_EQ(1, p.disable_active_migration);
    EXPECT_EQ(1, p.grease_quic_bit);
    p = params_of(pair.server, true);
    EXPECT_EQ(65536u * 32, p.max_data);
    EXPECT_EQ(100u, p.max_streams_bidi);
    EXPECT_EQ(0, p.disable_active_migration);
}

/* RFC 9000 16 and 18: what stands in the extension under `id`; UINT64_MAX: nothing. */
static uint64_t param_on_the_wire(const std::string &ext, uint64_t id)
{
    size_t at = 0;
    auto varint = [&]() -> uint64_t {
        auto first = static_cast<uint8_t>(ext[at]);
        size_t len = size_t{1} << (first >> 6);
        uint64_t value = first & 0x3f;
        for (size_t i = 1; i < len; i++) {
            value = value << 8 | static_cast<uint8_t>(ext[at + i]);
        }
        at += len;
        return value;
    };
    while (at < ext.size()) {
        uint64_t type = varint();
        uint64_t len = varint();
        if (type == id) {
            return varint();
        }
        at += len;
    }
    return UINT64_MAX;
}

TEST(Option, C144_MillisecondsOnTheWire)
{
    Fd listen_fd = listener();
    Fd fd = quic_socket();
    quic_transport_param p = {};
    p.max_idle_timeout = 12000000;
    p.max_ack_delay = 31000;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(fd, to.ptr(), to.len));
    const std::string ext = get_bytes(fd, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT);
    EXPECT_EQ(12000u, param_on_the_wire(ext, 0x01));
    EXPECT_EQ(31u, param_on_the_wire(ext, 0x0b));
    EXPECT_EQ(65536u * 32, param_on_the_wire(ext, 0x04));
}

/* A client that remembers a server sets what it was told. */
TEST(Option, C143_WhatAServerHasSaidCanBeSet)
{
    Fd fd = quic_socket();
    quic_transport_param said = {};
    said.remote = 1;
    said.max_streams_bidi = 1 << 20;
    said.max_streams_uni = 1ull << 60;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, said));
    EXPECT_EQ(1ull << 60, params_of(fd, true).max_streams_uni);
    said.max_streams_uni++; /* which nobody says (RFC 9000 4.6) */
    EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, said));
    said.max_streams_uni = 0;
    said.remote = 0;
    EXPECT_ERRNO(EINVAL, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, said));
}

TEST(Option, C145_OneStreamAtATime)
{
    PairOptions options;
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_streams_bidi = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    ASSERT_EQ(1, quic_sendmsg(pair.client, "a", 1, 0, QUIC_STREAM_FLAG_NEW));
    EXPECT_ERRNO(EAGAIN, quic_sendmsg(pair.client, "b", 1, 4,
                                      QUIC_STREAM_FLAG_NEW | QUIC_STREAM_FLAG_ASYNC));
    ssize_t second = 0;
    std::thread blocked(
        [&] { second = quic_sendmsg(pair.client, "b", 1, 4, QUIC_STREAM_FLAG_NEW); });
    ASSERT_EQ(0, quic_sendmsg(pair.client, "", 0, 0, QUIC_STREAM_FLAG_FIN));
    EXPECT_EQ("a", read_bytes(pair.server, 1));
    ASSERT_EQ(1, quic_sendmsg(pair.server, "r", 1, 0, QUIC_STREAM_FLAG_FIN));
    EXPECT_EQ("r", read_bytes(pair.client, 1));
    EXPECT_EQ("b", read_bytes(pair.server, 1));
    blocked.join();
    EXPECT_EQ(1, second);
}

/* ---- 6.1.3 validate_peer_address, 6.1.4 TOKEN ------------------------------------------------------------------ */

static void demand_retry(int fd)
{
    quic_transport_param p = {};
    p.validate_peer_address = 1;
    ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
}

TEST(Option, C147_RetryBeforeTheServerBelievesAnAddress)
{
    PairOptions options;
    options.listener = demand_retry;
    RelayedPair pair = make_relayed_pair(options);
    EXPECT_EQ(1, pair.relay->retries());
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
    EXPECT_EQ("hello", read_bytes(pair.server, 5));
    EXPECT_EQ(0, make_relayed_pair().relay->retries());
}

/* One connection through `relay` to `listen_fd`; `token` may be empty. */
static void connect_with(Relay &relay, int listen_fd, const std::string &token, Fd *client,
                         Fd *server)
{
    *client = quic_socket();
    if (!token.empty()) {
        ASSERT_EQ(0, setsockopt(*client, SOL_QUIC, QUIC_SOCKOPT_TOKEN, token.data(),
                                static_cast<socklen_t>(token.size())));
    }
    Address to = relay.address();
    ASSERT_EQ(0, connect(*client, to.ptr(), to.len));
    ASSERT_TRUE(handshake(listen_fd, *client, server));
}

TEST(Option, C147_AlsoWhenSetAfterListen)
{
    Fd listen_fd = listener();
    demand_retry(listen_fd);
    Relay relay(name_of(listen_fd));
    Fd client;
    Fd server;
    connect_with(relay, listen_fd, "", &client, &server);
    EXPECT_EQ(1, relay.retries());
}

/* The token of a connection, once it is there. */
static std::string earn_token(int client)
{
    for (int i = 0; i < 500; i++) {
        std::string token = get_bytes(client, QUIC_SOCKOPT_TOKEN);
        if (!token.empty()) {
            return token;
        }
        usleep(10000);
    }
    return "";
}

TEST(Option, C151_ATokenSparesTheNextConnectionItsRetry)
{
    Fd listen_fd = listener(16, AF_INET, demand_retry);
    Relay relay(name_of(listen_fd));
    Fd client;
    Fd server;
    connect_with(relay, listen_fd, "", &client, &server);
    ASSERT_EQ(1, relay.retries());
    const std::string token = earn_token(client);
    ASSERT_FALSE(token.empty());
    connect_with(relay, listen_fd, token, &client, &server);
    EXPECT_EQ(1, relay.retries()) << "no other one";
}

/* RFC 9000 8.1.3: one that is not good counts as none. */
TEST(Option, C148_AWrongTokenCostsARetry)
{
    Fd listen_fd = listener(16, AF_INET, demand_retry);
    Relay relay(name_of(listen_fd));
    Fd client;
    Fd server;
    connect_with(relay, listen_fd, "", &client, &server);
    std::string token = earn_token(client);
    ASSERT_FALSE(token.empty());
    token.back() = static_cast<char>(token.back() ^ 1);
    connect_with(relay, listen_fd, token, &client, &server);
    EXPECT_EQ(2, relay.retries());
    ASSERT_NE(UINT64_MAX, send_stream(client, "fine"));
    EXPECT_EQ("fine", read_bytes(server, 4));
}

TEST(Option, C149_AClientsToken)
{
    Fd fd = quic_socket();
    EXPECT_EQ("", get_bytes(fd, QUIC_SOCKOPT_TOKEN));
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, nullptr, 0));
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, "", 0));
    const std::string longest(120, 't');
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, longest.data(), 120));
    EXPECT_EQ(longest, get_bytes(fd, QUIC_SOCKOPT_TOKEN));
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, (longest + "t").data(), 121));
    char small[119];
    socklen_t len = sizeof(small);
    EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, small, &len));
    Pair pair = make_pair();
    EXPECT_FALSE(earn_token(pair.client).empty());
}

TEST(Option, C150_AServerGivesATokenWhenItIsToldTo)
{
    PairOptions options;
    options.client = [](int fd) { enable(fd, QUIC_EVENT_NEW_TOKEN); };
    Pair pair = make_pair(options);
    Message first = next_event(pair.client, QUIC_EVENT_NEW_TOKEN);
    ASSERT_GT(first.rc, 1) << "the one that comes with the handshake";
    ASSERT_EQ(0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_TOKEN, nullptr, 0));
    Message second = next_event(pair.client, QUIC_EVENT_NEW_TOKEN);
    ASSERT_GT(second.rc, 1);
    EXPECT_NE(first.bytes, second.bytes);
    EXPECT_EQ(second.bytes.substr(1), get_bytes(pair.client, QUIC_SOCKOPT_TOKEN));
    char buf[200];
    socklen_t len = sizeof(buf);
    EXPECT_ERRNO(EINVAL, getsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_TOKEN, buf, &len));
    EXPECT_ERRNO(EINVAL, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_TOKEN, "x", 1));
    EXPECT_ERRNO(EINVAL, setsockopt(pair.listen, SOL_QUIC, QUIC_SOCKOPT_TOKEN, nullptr, 0));
}

/* ---- 6.1.5 ALPN, 6.1.6 SESSION_TICKET ---------------------------------------------------------------------------- */

static int set_alpn(int fd, const std::string &text, bool ended = false)
{
    return setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, text.c_str(),
                      static_cast<socklen_t>(text.size() + (ended ? 1 : 0)));
}

TEST(Option, C152_ProtocolsToAgreeOn)
{
    Fd fd = quic_socket();
    EXPECT_ERRNO(EINVAL, set_alpn(fd, ""));
    EXPECT_ERRNO(EINVAL, set_alpn(fd, std::string(129, 'a')));
    EXPECT_EQ(0, set_alpn(fd, std::string(128, 'a')));
    EXPECT_EQ(0, set_alpn(fd, "smbd, h3", true));
    EXPECT_EQ("smbd, h3", get_bytes(fd, QUIC_SOCKOPT_ALPN)) << "without the final 0";
    Fd listen_fd = listener();
    EXPECT_ERRNO(EINVAL, set_alpn(listen_fd, "late"));
    for (bool ended : {false, true}) {
        PairOptions options;
        options.client = [&](int c) { ASSERT_EQ(0, set_alpn(c, "other,  h3", !ended)); };
        options.listener = [&](int l) { ASSERT_EQ(0, set_alpn(l, "smbd,  h3,ksmbd", ended)); };
        Pair pair = make_pair(options);
        EXPECT_EQ("h3", get_bytes(pair.client, QUIC_SOCKOPT_ALPN));
        EXPECT_EQ("h3", get_bytes(pair.server, QUIC_SOCKOPT_ALPN));
        EXPECT_ERRNO(EINVAL, set_alpn(pair.client, "late"));
    }
}

TEST(Option, C153_NothingInCommon)
{
    cert_file();
    Fd listen_fd = listener(16, AF_INET, [](int fd) { ASSERT_EQ(0, set_alpn(fd, "one")); });
    Fd client = quic_socket();
    ASSERT_EQ(0, set_alpn(client, "two"));
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    setenv("QUIC_LOG", "2", 1);
    testing::internal::CaptureStderr();
    EXPECT_EQ(-EPROTO, quic_client_handshake(client, nullptr, nullptr));
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, said.find("the peer ended it, TLS alert 120")) << said;
    unsetenv("QUIC_LOG");
    CloseInfo info;
    get_close(client, &info);
    EXPECT_EQ(0x178u, info.errcode) << "RFC 9001 8.1: no_application_protocol";
    set_recv_timeout(listen_fd, 100);
    EXPECT_ERRNO(EAGAIN, accept(listen_fd, nullptr, nullptr)); /* no socket for such a client */
}

TEST(Option, C154_Tickets)
{
    Fd fd = quic_socket();
    EXPECT_EQ("", get_bytes(fd, QUIC_SOCKOPT_SESSION_TICKET));
    const std::string ticket(4097, 'x');
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, ticket.data(), 0));
    EXPECT_ERRNO(EINVAL,
                 setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, ticket.data(), 4097));
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, ticket.data(), 4096));
    Pair pair = make_pair();
    const std::string key = get_bytes(pair.server, QUIC_SOCKOPT_SESSION_TICKET);
    EXPECT_EQ(64u, key.size());
    EXPECT_NE(std::string(64, '\0'), key);
    EXPECT_EQ(key, get_bytes(make_pair().server, QUIC_SOCKOPT_SESSION_TICKET))
        << "what one server socket seals another opens";
    PairOptions options;
    options.listener = [&](int l) {
        ASSERT_EQ(0, setsockopt(l, SOL_QUIC, QUIC_SOCKOPT_SESSION_TICKET, ticket.data(), 64));
    };
    EXPECT_EQ(ticket.substr(0, 64),
              get_bytes(make_pair(options).server, QUIC_SOCKOPT_SESSION_TICKET));
}

/* ---- what is not ours -------------------------------------------------------------------------------------------- */

TEST(Option, C162_WhatThereIsNot)
{
    Fd fd = quic_socket();
    int value = 1;
    socklen_t len = sizeof(value);
    for (int name : {15, 16, 100, -1}) {
        EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_QUIC, name, &value, sizeof(value)));
        EXPECT_ERRNO(ENOPROTOOPT, getsockopt(fd, SOL_QUIC, name, &value, &len));
    }
    const std::vector<char> large(4097);
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, large.data(), 4097));
    EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, nullptr, 4));
}

TEST(Option, C163_TimesWithoutALimitAndNegativeOnes)
{
    Pair pair = make_pair();
    for (int name : {SO_RCVTIMEO, SO_SNDTIMEO}) {
        timeval tv = {std::numeric_limits<time_t>::max(), 999999};
        ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, name, &tv, sizeof(tv)));
        socklen_t len = sizeof(tv);
        ASSERT_EQ(0, getsockopt(pair.server, SOL_SOCKET, name, &tv, &len));
        EXPECT_EQ(0, tv.tv_sec);
        EXPECT_EQ(0, tv.tv_usec);
    }
    std::atomic<bool> over{false};
    std::thread sender([&] {
        usleep(50000);
        EXPECT_EQ(1, send(pair.client, "x", 1, MSG_SYN));
        for (int i = 0; i < 3000 && !over; i++) {
            usleep(1000);
        }
        EXPECT_EQ(1, send(pair.client, "y", 1, MSG_FIN)); /* ends a recv that waits all the same */
    });
    char c = 0;
    EXPECT_EQ(1, recv(pair.server, &c, 1, 0));
    EXPECT_EQ('x', c);
    timeval before = {-1, 0};
    ASSERT_EQ(0, setsockopt(pair.server, SOL_SOCKET, SO_RCVTIMEO, &before, sizeof(before)));
    EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 1, 0));
    over = true;
    sender.join();
}

TEST(Option, C163_TheSocketLevel)
{
    Fd fd = quic_socket(AF_INET6);
    int on = 1;
    for (int name : {SO_REUSEPORT, SO_REUSEADDR, SO_KEEPALIVE}) {
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, name, &on, sizeof(on)));
        int value = 0;
        socklen_t len = sizeof(value);
        ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, name, &value, &len));
        EXPECT_EQ(1, value) << name;
    }
    int size = 100000;
    for (int name : {SO_RCVBUF, SO_SNDBUF}) {
        ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, name, &size, sizeof(size)));
        int value = 0;
        socklen_t len = sizeof(value);
        ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, name, &value, &len));
        EXPECT_EQ(2 * size, value) << "doubled, as for every socket";
    }
    EXPECT_EQ(0, setsockopt(fd, IPPROTO_IP, IP_TOS, &on, sizeof(on)));
    EXPECT_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &on, sizeof(on)));
    EXPECT_EQ(0, setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    int error = 1;
    socklen_t len = sizeof(error);
    ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
    EXPECT_EQ(0, error);
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    EXPECT_ERRNO(ENOPROTOOPT, getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len));
    /* Sockets share the engine's: none takes a way of its own, and a program that asks for one is to know. */
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_SOCKET, SO_MARK, &on, sizeof(on)));
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &on, sizeof(on)));
}
