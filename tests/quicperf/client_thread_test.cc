/* The asking side on QUIC sockets, with calls of a library whose server says what the test does. */
#define QUIC_NO_GNUTLS
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <netinet/quic.h>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "tools/quicperf/hist.h"
#include "tools/quicperf/options.h"

#ifdef __clang__ /* its header knows C++ */
#include <stdatomic.h>
#endif
#define _Atomic /* C++ has another name for it: the layout is the same */
#include "tools/quicperf/sockets/client_thread.h"
#include "tools/quicperf/sockets/conn.h"
#undef _Atomic

namespace
{

struct Message {
    uint64_t stream;
    size_t len;
    bool fin;
};

std::deque<Message> says;        /* what the server has to say; then it is gone */
std::set<uint64_t> unwanted;     /* streams on which it shall say no more */
std::map<uint64_t, size_t> sent; /* by stream: bytes, header and all */
qp_sock_plan *ends_in_handshake; /* the run; nullptr: not there */

int Socket(int, int, int)
{
    return 0;
}

int no_connection; /* why; 0: there is one */

int Connect(int, const sockaddr *, socklen_t)
{
    errno = no_connection;
    return no_connection != 0 ? -1 : 0;
}

int Handshake(int, const char *, const char *)
{
    if (ends_in_handshake != nullptr) {
        ends_in_handshake->stopped = true;
    }
    return 0;
}

int Close(int)
{
    return 0;
}

int GetOption(int, int, int, void *, socklen_t *)
{
    return 0;
}

int SetOption(int, int, int name, const void *value, socklen_t)
{
    if (name == QUIC_SOCKOPT_STREAM_STOP_SENDING) {
        quic_errinfo info;
        memcpy(&info, value, sizeof(info));
        unwanted.insert(info.stream_id);
    }
    return 0;
}

ssize_t Send(int, const void *, size_t len, uint64_t stream, uint32_t)
{
    sent[stream] += len;
    return static_cast<ssize_t>(len);
}

ssize_t Recv(int, void *data, size_t, uint64_t *stream, uint32_t *flags)
{
    if (says.empty()) {
        errno = ENOTCONN;
        return -1;
    }
    Message m = says.front();
    says.pop_front();
    memset(data, 'q', m.len);
    *stream = m.stream;
    *flags = m.fin ? QUIC_STREAM_FLAG_FIN : 0;
    return static_cast<ssize_t>(m.len);
}

class ClientThread : public ::testing::Test
{
  protected:
    /* quicperf client 127.0.0.1 and `more`; its one thread, to the end. */
    void Run(const std::vector<std::string> &more, const std::deque<Message> &server)
    {
        std::vector<std::string> words = {"quicperf", "client", "127.0.0.1", "--api", "sockets"};
        words.insert(words.end(), more.begin(), more.end());
        std::vector<char *> argv;
        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        char message[640] = "";
        static qp_options options;
        ASSERT_TRUE(qp_options_parse(&options, message, sizeof(message),
                                     static_cast<int>(words.size()), argv.data()))
            << message;
        says = server;
        unwanted.clear();
        sent.clear();
        plan_ = {};
        qp_meter meter = {};
        meter.wake_fd = -1;
        plan_.options = &options;
        plan_.meter = &meter;
        plan_.lib.socket = Socket;
        plan_.lib.connect = Connect;
        plan_.lib.client_handshake = Handshake;
        plan_.lib.close = Close;
        plan_.lib.getsockopt = GetOption;
        plan_.lib.setsockopt = SetOption;
        plan_.lib.send = Send;
        plan_.lib.recv = Recv;
        ASSERT_EQ(quring_addr_parse(&plan_.server, "127.0.0.1", 1, nullptr), QURING_OK);
        (void)pthread_mutex_init(&plan_.lock, nullptr);
        (void)pthread_cond_init(&plan_.go, nullptr);
        plan_.running = true;
        plan_.quota = static_cast<int64_t>(options.amount);
        thread_ = {};
        thread_.plan = &plan_;
        thread_.conns = 1;
        thread_.fds = &fd_;
        thread_.share = options.amount;
        thread_.latency = &latency_;
        thread_.buf = buf_.data();
        thread_.slots = slots_.data();
        qp_hist_init(&latency_);
        (void)qp_sock_thread_main(&thread_);
        (void)pthread_cond_destroy(&plan_.go);
        (void)pthread_mutex_destroy(&plan_.lock);
    }

    qp_sock_plan plan_ = {};
    qp_sock_thread thread_ = {};
    qp_hist latency_;

  private:
    int fd_ = -1;
    std::vector<uint8_t> buf_ = std::vector<uint8_t>(QP_MESSAGE_BYTES);
    std::vector<qp_sock_slot> slots_ = std::vector<qp_sock_slot>(8);
};

TEST_F(ClientThread, SaysWhatIsWrongWithATransfer)
{
    Run({"-n", "1K"}, {{0, 1000, false}, {0, 24, true}});
    EXPECT_STREQ(plan_.error, "");
    EXPECT_EQ(thread_.bytes, 1024u);
    Run({"-n", "1K"}, {{0, 100, true}});
    EXPECT_STREQ(plan_.error,
                 "the server ended a transfer after 100 bytes, which is not what it was asked for");
    Run({"-t", "9s"}, {{0, 100, true}});
    EXPECT_STREQ(plan_.error, "the server ended a transfer after 100 bytes and not with the run");
    EXPECT_EQ(unwanted.size(), 0u);
}

/* It is not waited for the end of what is too much already: there may be none. */
TEST_F(ClientThread, WhatGoesOnIsWrongAtOnce)
{
    Run({"-n", "1K"}, {{0, 1000, false}, {0, 1000, false}});
    EXPECT_STREQ(plan_.error,
                 "the server goes on after 2000 bytes, which is not what it was asked for");
    EXPECT_EQ(thread_.errors, 1u);
    EXPECT_EQ(unwanted, std::set<uint64_t>{0});
    Run({"rr", "-n", "2", "--resp", "1K"},
        {{0, 1025, false}, {0, 5000, false}, {0, 5, true}, {4, 1000, false}, {4, 24, true}});
    EXPECT_STREQ(plan_.error, "");
    EXPECT_EQ(thread_.errors, 1u);
    EXPECT_EQ(thread_.requests, 1u);
    EXPECT_EQ(unwanted, std::set<uint64_t>{0});
}

/* A handshake that is over when the time is, too, was not done in it. */
TEST_F(ClientThread, HandshakesInTheTimeGivenOnly)
{
    Run({"hps", "-n", "3"}, {});
    EXPECT_EQ(thread_.handshakes, 3u);
    EXPECT_EQ(latency_.count, 3u);
    for (const char *mode : {"hps", "crr"}) {
        ends_in_handshake = &plan_;
        Run({mode, "-t", "9s"}, {});
        ends_in_handshake = nullptr;
        EXPECT_EQ(thread_.handshakes, 0u);
        EXPECT_EQ(latency_.count, 0u);
        EXPECT_STREQ(plan_.error, "");
        EXPECT_EQ(thread_.errors, 0u);
    }
}

TEST_F(ClientThread, ConnectionsThatCannotBeAreErrors)
{
    for (const char *mode : {"tput", "hps", "idle"}) {
        no_connection = ENETUNREACH;
        Run({mode}, {});
        no_connection = 0;
        EXPECT_EQ(thread_.errors, 1u) << mode;
        EXPECT_EQ(thread_.handshakes, 0u);
        EXPECT_EQ(plan_.established, 0u);
        EXPECT_EQ(plan_.done, 1u);
        EXPECT_NE(std::string(plan_.error).find("Network is unreachable"), std::string::npos)
            << plan_.error;
    }
}

/* What is to be sent in all is shared among the streams to the last byte. */
TEST_F(ClientThread, StreamsShareATransfer)
{
    Run({"-d", "up", "-n", "11", "-s", "4"},
        {{0, 0, true}, {4, 0, true}, {8, 0, true}, {12, 0, true}});
    EXPECT_EQ(sent, (std::map<uint64_t, size_t>{{0, 11}, {4, 11}, {8, 11}, {12, 10}}));
    EXPECT_EQ(thread_.bytes, 11u);
    EXPECT_TRUE(thread_.is_delivered);
    Run({"-n", "7", "-s", "2"}, {{4, 3, true}, {0, 4, true}});
    EXPECT_STREQ(plan_.error, "");
    EXPECT_EQ(thread_.bytes, 7u);
}

/* Up, it is only the end that tells. */
TEST_F(ClientThread, AnAnswerToATransferUp)
{
    Run({"-d", "up", "-n", "1K"}, {{0, 5, false}, {0, 0, true}});
    EXPECT_STREQ(plan_.error, "");
    EXPECT_TRUE(thread_.is_delivered);
    EXPECT_EQ(unwanted.size(), 0u);
}

} // namespace
