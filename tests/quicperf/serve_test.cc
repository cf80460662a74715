/* The answering side on QUIC sockets, with calls of a library that does what the test says. */
#define QUIC_NO_GNUTLS
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <netinet/quic.h>
#include <set>
#include <sys/syscall.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/proto.h"

#ifdef __clang__ /* its header knows C++ */
#include <stdatomic.h>
#endif
#define _Atomic /* C++ has another name for it: the layout is the same */
#include "tools/quicperf/sockets/serve.h"
#undef _Atomic

namespace
{

/* By how much the clock of the day is set back, as the kernel sees it, after it was read. */
std::atomic<time_t> set_back_s{0};

} // namespace

extern "C" int clock_gettime(clockid_t id, timespec *now) noexcept
{
    const long rc = syscall(SYS_clock_gettime, id, now);
    now->tv_sec += id == CLOCK_REALTIME ? set_back_s.load() : 0;
    return static_cast<int>(rc);
}

namespace
{

struct Message {
    uint64_t stream;
    std::vector<uint8_t> bytes;
    bool fin;
};

/* One connection, as the client at its other end behaves. */
struct Client {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Message> asks;
    uint64_t taken = 0; /* of these */
    bool over = false;
    size_t allowed = SIZE_MAX; /* streams of the server, in all */
    uint64_t refused = 0;      /* tries to open more */
    std::vector<uint64_t> opened;
    std::map<uint64_t, uint64_t> got; /* bytes, by stream */
    std::set<uint64_t> ended;
    std::set<uint64_t> stopped;      /* by the client */
    std::set<uint64_t> stop_sending; /* by the server */
    uint32_t close_code = 0;

    bool Wait(const std::function<bool()> &fact)
    {
        std::unique_lock<std::mutex> lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20), fact);
    }
    void Change(const std::function<void()> &fn)
    {
        std::lock_guard<std::mutex> lock(mutex);
        fn();
        changed.notify_all();
    }
};

Client *the_client;

ssize_t Fail(int why)
{
    errno = why;
    return -1;
}

ssize_t Recv(int, void *data, size_t len, uint64_t *stream, uint32_t *flags)
{
    Client *c = the_client;
    std::unique_lock<std::mutex> lock(c->mutex);
    c->changed.wait(lock, [&] { return c->over || !c->asks.empty(); });
    if (c->over) {
        return Fail(ENOTCONN);
    }
    Message m = c->asks.front();
    c->asks.pop_front();
    c->taken++;
    EXPECT_LE(m.bytes.size(), len);
    memcpy(data, m.bytes.data(), m.bytes.size());
    *stream = m.stream;
    *flags = m.fin ? QUIC_STREAM_FLAG_FIN : 0;
    c->changed.notify_all();
    return static_cast<ssize_t>(m.bytes.size());
}

ssize_t Send(int, const void *, size_t len, uint64_t stream, uint32_t flags)
{
    Client *c = the_client;
    std::unique_lock<std::mutex> lock(c->mutex);
    const bool is_ours = (stream & 1) != 0; /* RFC 9000 2.1 */
    if (len == 0 && (flags & QUIC_STREAM_FLAG_FIN) == 0) {
        return 0; /* nothing happens, the library says */
    }
    if (is_ours && (flags & QUIC_STREAM_FLAG_NEW) == 0 &&
        std::count(c->opened.begin(), c->opened.end(), stream) == 0) {
        return Fail(EINVAL);
    }
    if ((flags & QUIC_STREAM_FLAG_NEW) != 0) {
        if (c->opened.size() >= c->allowed && (flags & QUIC_STREAM_FLAG_ASYNC) != 0) {
            c->refused++;
            c->changed.notify_all();
            return Fail(EAGAIN);
        }
        c->changed.wait(lock, [&] { return c->over || c->opened.size() < c->allowed; });
        c->opened.push_back(stream);
    }
    if (c->over || c->stopped.count(stream) != 0) {
        return Fail(EPIPE);
    }
    c->got[stream] += len;
    if ((flags & QUIC_STREAM_FLAG_FIN) != 0) {
        c->ended.insert(stream);
    }
    c->changed.notify_all();
    return static_cast<ssize_t>(len);
}

int SetOption(int, int, int name, const void *value, socklen_t len)
{
    Client *c = the_client;
    std::lock_guard<std::mutex> lock(c->mutex);
    if (name == QUIC_SOCKOPT_STREAM_STOP_SENDING) {
        quic_errinfo info;
        EXPECT_EQ(len, sizeof(info));
        memcpy(&info, value, sizeof(info));
        c->stop_sending.insert(info.stream_id);
    } else if (name == QUIC_SOCKOPT_CONNECTION_CLOSE) {
        memcpy(&c->close_code, value, sizeof(c->close_code));
    }
    return 0;
}

int Shutdown(int, int)
{
    the_client->Change([] { the_client->over = true; });
    return 0;
}

class Serve : public ::testing::Test
{
  protected:
    void Start(uint32_t max_streams)
    {
        the_client = &client_;
        lib_.recv = Recv;
        lib_.send = Send;
        lib_.setsockopt = SetOption;
        lib_.shutdown = Shutdown;
        thread_ = std::thread([this, max_streams] { qp_serve(&lib_, 0, max_streams, &totals_); });
    }
    void TearDown() override
    {
        client_.Change([&] { client_.over = true; });
        thread_.join();
    }
    /* `len` bytes of a request for `answer` bytes. */
    void Ask(uint64_t stream, uint64_t answer, size_t len = QP_HEADER_LEN, bool fin = true)
    {
        std::vector<uint8_t> bytes(QP_HEADER_LEN);
        qp_header_encode(bytes.data(), answer);
        bytes.resize(len);
        client_.Change([&] { client_.asks.push_back({stream, bytes, fin}); });
    }
    /* On the client's next unidirectional stream (RFC 9000 2.1). */
    void AskUni(uint64_t answer)
    {
        Ask(next_uni_, answer);
        next_uni_ += 4;
    }
    bool AllTaken()
    {
        return client_.Wait([&] { return client_.asks.empty(); });
    }

    Client client_;
    qp_serve_totals totals_ = {};

  private:
    qp_lib lib_ = {};
    std::thread thread_;
    uint64_t next_uni_ = 2;
};

TEST_F(Serve, AnswersOnTheStreamOrOnOneOfItsOwn)
{
    Start(4);
    Ask(0, 10);
    Ask(4, 0);
    Ask(8, 1000000);
    AskUni(0);
    AskUni(20);
    EXPECT_TRUE(client_.Wait([&] { return client_.ended == std::set<uint64_t>{0, 3, 4, 8}; }));
    EXPECT_EQ(client_.got[0], 10u);
    EXPECT_EQ(client_.got[3], 20u);
    EXPECT_EQ(client_.got[8], 1000000u);
    EXPECT_EQ(client_.opened, std::vector<uint64_t>{3});
    EXPECT_EQ(totals_.requests, 5u);
}

/* A client that allows any number of streams. */
TEST_F(Serve, AnswersToUnidirectionalRequestsAreBounded)
{
    Start(4);
    for (int i = 0; i < 12; i++) {
        AskUni(QP_ENDLESS);
    }
    ASSERT_TRUE(AllTaken());
    ASSERT_TRUE(client_.Wait([&] { return client_.got[15] > 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    client_.Change([&] {
        EXPECT_EQ(client_.opened.size(), 4u);
        client_.stopped.insert(7);
    });
    EXPECT_TRUE(client_.Wait([&] { return client_.got[19] > 0; }));
    client_.Change([&] { EXPECT_EQ(client_.opened.size(), 5u); });
}

TEST_F(Serve, AnswersToUnidirectionalRequestsKeepTheirOrder)
{
    Start(1);
    AskUni(QP_ENDLESS); /* holds the only stream there may be */
    for (uint64_t i = 1; i <= 6; i++) {
        AskUni(i);
    }
    ASSERT_TRUE(AllTaken());
    ASSERT_TRUE(client_.Wait([&] { return client_.got[3] > 0; }));
    client_.Change([&] { client_.stopped.insert(3); });
    EXPECT_TRUE(client_.Wait([&] { return client_.ended.size() == 6; }));
    for (uint64_t i = 1; i <= 6; i++) {
        EXPECT_EQ(client_.got[3 + 4 * i], i);
    }
}

/* Whatever becomes of one, the next has a stream of its own. */
TEST_F(Serve, AStreamThatCannotBeUsedIsNotTriedAgain)
{
    client_.stopped.insert(3);
    Start(1);
    AskUni(5);
    AskUni(6);
    EXPECT_TRUE(client_.Wait([&] { return client_.ended.count(7) != 0; }));
    EXPECT_EQ(client_.got[7], 6u);
}

TEST_F(Serve, MoreThanMayWaitAreRefused)
{
    Start(1);
    for (uint64_t i = 0; i < 2 * QP_WAITING_MAX; i++) {
        AskUni(QP_ENDLESS);
    }
    EXPECT_TRUE(client_.Wait([&] { return client_.over; }));
    EXPECT_EQ(client_.close_code, static_cast<uint32_t>(QP_APP_REFUSED));
    EXPECT_LE(client_.taken, QP_WAITING_MAX + 2);
}

/* Who allows no streams has other requests answered. */
TEST_F(Serve, WithoutAStreamForOneAnswerOthersGoOn)
{
    client_.allowed = 1;
    Start(4);
    AskUni(QP_ENDLESS);
    ASSERT_TRUE(client_.Wait([&] { return client_.got[3] > 0; }));
    AskUni(5);
    client_.Change([&] { client_.stopped.insert(3); });
    Ask(0, 1000000);
    Ask(4, 10);
    EXPECT_TRUE(client_.Wait([&] { return client_.ended == std::set<uint64_t>{0, 4}; }));
    client_.Change([&] { client_.allowed = 2; });
    EXPECT_TRUE(client_.Wait([&] { return client_.ended.count(7) != 0; }));
    EXPECT_EQ(client_.got[7], 5u);
}

TEST_F(Serve, AClockThatIsSetBackKeepsNoAnswerBack)
{
    set_back_s = 3600;
    client_.allowed = 0;
    Start(4);
    AskUni(5);
    ASSERT_TRUE(client_.Wait([&] { return client_.refused > 0; }));
    client_.Change([&] { client_.allowed = 1; });
    EXPECT_TRUE(client_.Wait([&] { return client_.ended.count(3) != 0; }));
    set_back_s = 0;
}

/* A reset is told to nobody: what it leaves behind is bounded, and whoever speaks now and again is not forgotten. */
TEST_F(Serve, RequestsThatNeverEndAreForgotten)
{
    constexpr uint64_t kStreams = 1000;
    constexpr uint32_t kOpen = 8;
    Start(kOpen);
    Ask(0, 77, 3, false);
    for (uint64_t i = 1; i <= kStreams; i++) {
        Ask(4 * i, 1, 1, false);
        if (i == 1) {
            /* the rest of the header, byte by byte, is what 77 is made of */
            client_.Change([&] { client_.asks.push_back({0, {0, 0, 0, 0}, false}); });
        } else {
            client_.Change([&] { client_.asks.push_back({0, {}, false}); });
        }
    }
    client_.Change([&] { client_.asks.push_back({0, {77}, true}); });
    EXPECT_TRUE(client_.Wait([&] { return client_.ended.count(0) != 0; }));
    EXPECT_EQ(client_.got[0], 77u);
    EXPECT_EQ(client_.stop_sending.size(), kStreams + 1 - 2 * kOpen);
    EXPECT_EQ(client_.stop_sending.count(0), 0u);
}

} // namespace
