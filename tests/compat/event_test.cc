/* Events: draft section 5. */
#include <atomic>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

static std::function<void(int)> events_on(std::vector<uint8_t> events)
{
    return [=](int fd) {
        for (uint8_t event : events) {
            enable(fd, event);
        }
    };
}

static Pair pair_with(const std::vector<uint8_t> &events)
{
    PairOptions options;
    options.listener = events_on(events);
    options.client = options.listener;
    return make_pair(options);
}

/* Nothing but data is queued. */
static bool only_data(int fd)
{
    usleep(50000);
    set_recv_timeout(fd, 50);
    for (;;) {
        Message m = receive(fd);
        if (m.rc < 0) {
            return true;
        }
        if (m.is_event()) {
            return false;
        }
    }
}

/* ---- 5.1.1 streams ---------------------------------------------------------------------------------- */

TEST(Event, C165_EverythingSentHasArrived)
{
    Pair pair = pair_with({QUIC_EVENT_STREAM_UPDATE});
    const uint64_t id = send_stream(pair.client, pattern(50000));
    std::thread reader([&] { read_bytes(pair.server, 50000); });
    quic_stream_update update = next_update(pair.client, QUIC_STREAM_SEND_STATE_RECVD);
    reader.join();
    EXPECT_EQ(id, update.id);
    EXPECT_EQ(0u, update.errcode);
}

TEST(Event, C165_NothingIsSaidUnlessItIsWanted)
{
    Pair pair = make_pair();
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
    ASSERT_EQ(0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_TOKEN, nullptr, 0));
    ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_KEY_UPDATE, nullptr, 0));
    EXPECT_TRUE(only_data(pair.server));
    EXPECT_TRUE(only_data(pair.client));
}

TEST(Event, C166_AStreamBeginsAndIsComplete)
{
    Pair pair = pair_with({QUIC_EVENT_STREAM_UPDATE});
    ASSERT_EQ(5, quic_sendmsg(pair.client, "first", 5, 0, QUIC_STREAM_FLAG_NEW));
    quic_stream_update update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RECV);
    EXPECT_EQ(0u, update.id);
    EXPECT_EQ(0u, update.finalsz);
    ASSERT_EQ(4, quic_sendmsg(pair.client, "last", 4, 0, QUIC_STREAM_FLAG_FIN));
    update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RECVD);
    EXPECT_EQ(0u, update.id);
    EXPECT_EQ(9u, update.finalsz);
    EXPECT_EQ(9u, update.errcode) << "where programs of the draft's day look for it";
}

TEST(Event, C166_BeforeTheBytes)
{
    Pair pair = pair_with({QUIC_EVENT_STREAM_UPDATE});
    ASSERT_EQ(0u, send_stream(pair.client, "one frame"));
    ASSERT_TRUE(poll_for(pair.server, POLLIN));
    Message m = receive(pair.server);
    ASSERT_TRUE(m.is_event());
    EXPECT_EQ(QUIC_EVENT_STREAM_UPDATE, m.type());
    EXPECT_EQ(uint32_t{QUIC_STREAM_RECV_STATE_RECVD}, m.body<quic_stream_update>().state)
        << "a stream in one frame has no other state before";
    EXPECT_EQ(1 + sizeof(quic_stream_update), m.bytes.size());
    EXPECT_NE(0, m.msg_flags & MSG_EOR);
    EXPECT_EQ("one frame", receive(pair.server).bytes);
}

/* RFC 9000 3.2 "Size Known" */
TEST(Event, C167_TheEndOvertakesBytes)
{
    PairOptions options;
    options.listener = events_on({QUIC_EVENT_STREAM_UPDATE});
    std::atomic<bool> losing{true};
    std::atomic<bool> lost{false};
    RelayedPair pair = make_relayed_pair(options);
    pair.relay->set_filter(
        [&](bool to_server, std::string *d) { /* by its size: the data's packet */
                                              bool lose = to_server && losing && d->size() > 800 &&
                                                          d->size() < 1200;
                                              lost = lost || lose;
                                              return !lose;
        });
    const std::string data = pattern(800);
    quic_stream_update update = {};
    update.id = UINT64_MAX;
    /* Where this thread rests for as long as it takes to repeat the data, the end goes with it: on to another
     * stream. */
    for (uint64_t id = 0; id < 16; id += 4) {
        losing = true;
        lost = false;
        ASSERT_EQ(800, quic_sendmsg(pair.client, data.data(), 800, id, QUIC_STREAM_FLAG_NEW));
        for (int i = 0; i < 5000 && !lost; i++) {
            usleep(1000);
        }
        ASSERT_TRUE(lost); /* and so is each that repeats it, until the end has come */
        ASSERT_EQ(3, quic_sendmsg(pair.client, "end", 3, id, QUIC_STREAM_FLAG_FIN));
        update = next_update(pair.server, QUIC_STREAM_RECV_STATE_SIZE_KNOWN);
        losing = false;
        if (update.id == UINT64_MAX) {
            update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RECVD);
            if (update.id == UINT64_MAX) { /* it is repeated rarely by now */
                update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RECVD);
            }
            ASSERT_EQ(id, update.id);
            update.id = UINT64_MAX;
            continue;
        }
        EXPECT_EQ(id, update.id);
        EXPECT_EQ(803u, update.finalsz);
        update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RECVD);
        EXPECT_EQ(id, update.id);
        EXPECT_EQ(803u, update.finalsz);
        break;
    }
    EXPECT_NE(UINT64_MAX, update.id) << "the end has never come alone";
}

TEST(Event, C168_ResetsAtBothEnds)
{
    Pair pair = pair_with({QUIC_EVENT_STREAM_UPDATE});
    ASSERT_EQ(5, quic_sendmsg(pair.client, "begun", 5, 0, QUIC_STREAM_FLAG_NEW));
    ASSERT_EQ(0u, next_update(pair.server, QUIC_STREAM_RECV_STATE_RECV).id);
    quic_errinfo info = {0, 21};
    ASSERT_EQ(0, set_option(pair.client, QUIC_SOCKOPT_STREAM_RESET, info));
    quic_stream_update update = next_update(pair.client, QUIC_STREAM_SEND_STATE_RESET_RECVD);
    EXPECT_EQ(0u, update.id);
    EXPECT_EQ(21u, update.errcode);
    update = next_update(pair.server, QUIC_STREAM_RECV_STATE_RESET_RECVD);
    EXPECT_EQ(21u, update.errcode);
    EXPECT_EQ(5u, update.finalsz);
    info.errcode = 22;
    ASSERT_EQ(0, set_option(pair.client, QUIC_SOCKOPT_STREAM_STOP_SENDING, info))
        << "the server's direction";
    ASSERT_EQ(1, quic_sendmsg(pair.client, "x", 1, 4, QUIC_STREAM_FLAG_NEW));
    ASSERT_EQ(4u, next_update(pair.server, QUIC_STREAM_RECV_STATE_RECV).id);
    info = {4, 23};
    ASSERT_EQ(0, set_option(pair.server, QUIC_SOCKOPT_STREAM_STOP_SENDING, info));
    update = next_update(pair.client, QUIC_STREAM_SEND_STATE_RESET_SENT);
    EXPECT_EQ(4u, update.id);
    EXPECT_EQ(23u, update.errcode);
}

/* ---- 5.1.2 more streams ------------------------------------------------------------------------------------ */

TEST(Event, C169_TheHighestStreamAllowed)
{
    PairOptions options;
    options.client = events_on({QUIC_EVENT_STREAM_MAX_STREAM});
    options.listener = [](int fd) {
        quic_transport_param p = {};
        p.max_streams_bidi = 2;
        p.max_streams_uni = 1;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    ASSERT_EQ(2u, send_stream(pair.client, "uni", QUIC_STREAM_FLAG_UNI));
    EXPECT_EQ("uni", read_bytes(pair.server, 3));
    Message m = next_event(pair.client, QUIC_EVENT_STREAM_MAX_STREAM);
    ASSERT_EQ(9, m.rc);
    EXPECT_EQ(6u, m.body<uint64_t>()) << "two in all: the second is number 6";
    ASSERT_EQ(0u, send_stream(pair.client, "bidi"));
    EXPECT_EQ("bidi", read_bytes(pair.server, 4));
    ASSERT_EQ(1, quic_sendmsg(pair.server, "r", 1, 0, QUIC_STREAM_FLAG_FIN));
    m = next_event(pair.client, QUIC_EVENT_STREAM_MAX_STREAM);
    ASSERT_EQ(9, m.rc);
    EXPECT_EQ(8u, m.body<uint64_t>());
}

/* ---- 5.1.3 the end ------------------------------------------------------------------------------------------ */

static uint32_t errcode_of(const Message &m)
{
    uint32_t errcode = 0;
    memcpy(&errcode, m.bytes.data() + 1, sizeof(errcode));
    return errcode;
}

TEST(Event, C170_WhatThePeerClosesWith)
{
    Pair pair = pair_with({QUIC_EVENT_CONNECTION_CLOSE});
    const char text[] = "\x2a\0\0\0\0this is enough";
    ASSERT_EQ(0,
              setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, text, sizeof(text)));
    pair.client.reset();
    Message m = next_event(pair.server, QUIC_EVENT_CONNECTION_CLOSE);
    ASSERT_EQ(1 + static_cast<ssize_t>(sizeof(quic_connection_close) + sizeof("this is enough")),
              m.rc);
    EXPECT_EQ(42u, errcode_of(m));
    EXPECT_EQ(0, m.bytes[5]) << "no frame is to blame";
    EXPECT_STREQ("this is enough", m.bytes.c_str() + 6);
    EXPECT_EQ(ENOTCONN, receive(pair.server).error) << "the last word";
}

TEST(Event, C170_IdleTimeoutSaysZero)
{
    PairOptions options;
    options.client = [](int fd) {
        enable(fd, QUIC_EVENT_CONNECTION_CLOSE);
        quic_transport_param p = {};
        p.max_idle_timeout = 1000000;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    Message m = next_event(pair.client, QUIC_EVENT_CONNECTION_CLOSE);
    ASSERT_GT(m.rc, 5);
    EXPECT_EQ(0u, errcode_of(m));
}

/* RFC 9000 10.3: whoever knows the server's token says that its state is gone. */
TEST(Event, C170_StatelessResetSays0x100)
{
    Fd listen_fd = listener();
    Relay relay(name_of(listen_fd));
    Fd client = quic_socket();
    enable(client, QUIC_EVENT_CONNECTION_CLOSE);
    Address to = relay.address();
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    int of_client = -1;
    std::thread other([&] { of_client = quic_client_handshake(client, nullptr, nullptr); });
    Fd server(accept(listen_fd, nullptr, nullptr));
    const std::string ext = get_bytes(server, QUIC_SOCKOPT_TRANSPORT_PARAM_EXT);
    const size_t at = ext.find(std::string("\x02\x10", 2)); /* stateless_reset_token, 16 bytes */
    ASSERT_NE(std::string::npos, at);
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    other.join();
    ASSERT_EQ(0, of_client);
    /* Its connection ID is made up and names some worker by its last byte. */
    for (char last = 0; last < 64; last++) {
        relay.to_client("\x4a" + pattern(7) + last + pattern(32) + ext.substr(at + 2, 16));
    }
    Message m = next_event(client, QUIC_EVENT_CONNECTION_CLOSE);
    ASSERT_GT(m.rc, 5);
    EXPECT_EQ(0x100u, errcode_of(m));
}

/* ---- 5.1.4 to 5.1.6 ----------------------------------------------------------------------------------------- */

/* An event comes before bytes, but not into what somebody has begun to read. */
TEST(Event, C171_BehindWhatIsBeingRead)
{
    Pair pair = pair_with({QUIC_EVENT_KEY_UPDATE});
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "ab"));
    char byte = 0;
    ASSERT_EQ(1, recv(pair.server, &byte, 1, 0));
    ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_KEY_UPDATE, nullptr, 0));
    usleep(100000); /* it is there by then */
    EXPECT_EQ("b", receive(pair.server).bytes);
    EXPECT_EQ(QUIC_EVENT_KEY_UPDATE, receive(pair.server).type());
}

TEST(Event, C171_MovesKeysAndTokens)
{
    Pair pair =
        pair_with({QUIC_EVENT_CONNECTION_MIGRATION, QUIC_EVENT_KEY_UPDATE, QUIC_EVENT_NEW_TOKEN});
    Message m = next_event(pair.client, QUIC_EVENT_NEW_TOKEN);
    ASSERT_GT(m.rc, 1);
    /* When a packet is late, another token is given: the option has the last one. */
    while (m.bytes.substr(1) != get_bytes(pair.client, QUIC_SOCKOPT_TOKEN)) {
        m = next_event(pair.client, QUIC_EVENT_NEW_TOKEN);
        ASSERT_GT(m.rc, 1);
    }
    ASSERT_EQ(0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_KEY_UPDATE, nullptr, 0));
    for (int fd : {static_cast<int>(pair.client), static_cast<int>(pair.server)}) {
        m = next_event(fd, QUIC_EVENT_KEY_UPDATE);
        ASSERT_EQ(2, m.rc);
        EXPECT_EQ(1, m.body<uint8_t>());
    }
    Fd udp(socket(AF_INET, SOCK_DGRAM, 0));
    Address to = loopback();
    ASSERT_EQ(0, bind(udp, to.ptr(), to.len));
    to = name_of(udp);
    udp.reset();
    ASSERT_EQ(
        0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_MIGRATION, to.ptr(), to.len));
    m = next_event(pair.client, QUIC_EVENT_CONNECTION_MIGRATION);
    ASSERT_EQ(2, m.rc);
    EXPECT_EQ(1, m.body<uint8_t>());
    m = next_event(pair.server, QUIC_EVENT_CONNECTION_MIGRATION);
    ASSERT_EQ(2, m.rc);
    EXPECT_EQ(0, m.body<uint8_t>());
}

TEST(Event, C172_AcceptedSocketsWantWhatTheirListenerWants)
{
    PairOptions options;
    options.listener = events_on({QUIC_EVENT_STREAM_UPDATE, QUIC_EVENT_KEY_UPDATE});
    Pair pair = make_pair(options);
    for (uint8_t type = 1; type <= QUIC_EVENT_MAX; type++) {
        quic_event_option option = {type, 0};
        ASSERT_EQ(0, get_option(pair.server, QUIC_SOCKOPT_EVENT, &option));
        bool wanted = type == QUIC_EVENT_STREAM_UPDATE || type == QUIC_EVENT_KEY_UPDATE;
        EXPECT_EQ(wanted, option.on == 1) << int{type};
    }
}

/* More events than are kept: some are lost, no byte is, and nobody waits for ever. */
TEST(Event, C172_AFloodOfThem)
{
    const int streams = 600;
    PairOptions options;
    options.listener = [](int fd) {
        events_on({QUIC_EVENT_STREAM_UPDATE})(fd);
        quic_transport_param p = {};
        p.max_streams_uni = streams;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
    Pair pair = make_pair(options);
    for (int i = 0; i < streams; i++) {
        ASSERT_NE(UINT64_MAX, send_stream(pair.client, "0123456789", QUIC_STREAM_FLAG_UNI));
    }
    usleep(200000); /* all of them have arrived, nobody has read */
    set_recv_timeout(pair.server, 20000);
    size_t bytes = 0;
    size_t events = 0;
    while (bytes < streams * 10u) {
        Message m = receive(pair.server);
        ASSERT_GE(m.rc, 0) << strerror(m.error) << " after " << bytes;
        (m.is_event() ? events : bytes) += m.is_event() ? 1 : m.bytes.size();
    }
    EXPECT_GT(events, 0u);
    ASSERT_NE(UINT64_MAX, send_stream(pair.client, "more", QUIC_STREAM_FLAG_UNI));
    EXPECT_GT(next_event(pair.server, QUIC_EVENT_STREAM_UPDATE).rc, 0) << "there is room again";
}
