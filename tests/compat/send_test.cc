/* sendmsg and the rules of streams: draft sections 3.1.8, 4.2.1. */
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

constexpr uint64_t kAny = UINT64_MAX;
constexpr uint32_t kNew = QUIC_STREAM_FLAG_NEW;
constexpr uint32_t kFin = QUIC_STREAM_FLAG_FIN;
constexpr uint32_t kUni = QUIC_STREAM_FLAG_UNI;

ssize_t send_on(int fd, uint64_t sid, uint32_t flags, const std::string &text)
{
    return quic_sendmsg(fd, text.data(), text.size(), sid, flags);
}

struct Streams {
    std::map<uint64_t, std::string> data;
    std::map<uint64_t, int> fins;
    int fin_count = 0;
};

/* Reads until `fins` streams have ended, or an error. */
Streams collect(int fd, int fins)
{
    Streams all;
    std::vector<char> buf(65536);
    while (all.fin_count < fins) {
        uint64_t sid = 0;
        uint32_t flags = 0;
        ssize_t n = quic_recvmsg(fd, buf.data(), buf.size(), &sid, &flags);
        if (n < 0) {
            break;
        }
        all.data[sid].append(buf.data(), static_cast<size_t>(n));
        if ((flags & kFin) != 0) {
            all.fins[sid]++;
            all.fin_count++;
        }
    }
    return all;
}

void set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void set_buffer(int fd, int name, int bytes)
{
    ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, name, &bytes, sizeof(bytes)));
}

PairOptions with_streams(uint64_t bidi, uint64_t uni)
{
    PairOptions options;
    options.listener = [=](int fd) {
        quic_transport_param param{};
        param.max_streams_bidi = bidi;
        param.max_streams_uni = uni;
        ASSERT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, sizeof(param)));
    };
    return options;
}

/* Both sides are done with `sid`: its place is given back. */
void finish(Pair &pair, uint64_t sid)
{
    ASSERT_EQ(1, send_on(pair.client, sid, kNew | kFin, "x"));
    Streams at_server = collect(pair.server, 1);
    ASSERT_EQ(1, at_server.fins[sid]);
    ASSERT_EQ(1, send_on(pair.server, sid, kFin, "y"));
    Streams at_client = collect(pair.client, 1);
    ASSERT_EQ(1, at_client.fins[sid]);
}

/* A sender that is full, for longer than a moment. Returns what it took. */
size_t fill(int fd, uint64_t sid, uint32_t first)
{
    std::string block = pattern(65536);
    size_t total = 0;
    set_nonblock(fd, true);
    for (int full = 0; full < 30;) {
        ssize_t n = send_on(fd, sid, total == 0 ? first : 0, block);
        if (n < 0) {
            EXPECT_EQ(EAGAIN, errno) << strerror(errno);
            full++;
            usleep(5000);
            continue;
        }
        full = 0;
        total += static_cast<size_t>(n);
    }
    set_nonblock(fd, false);
    return total;
}

size_t drain(int fd, size_t want)
{
    return read_bytes(fd, want).size();
}

} // namespace

TEST(Send, C073_TheActiveStream)
{
    Pair pair = make_pair();
    ASSERT_EQ(5, send(pair.client, "quic ", 5, MSG_SYN));
    EXPECT_ERRNO(EINVAL, send(pair.client, "quic ", 5, MSG_SYN));
    ASSERT_EQ(1, send(pair.client, "x", 1, MSG_FIN));
    Streams got = collect(pair.server, 1);
    EXPECT_EQ("quic x", got.data[0]);
    EXPECT_EQ(1u, got.data.size());
}

TEST(Send, C074_TheNextStream)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send(pair.client, "a", 1, MSG_SYN | MSG_FIN));
    ASSERT_EQ(1, send(pair.client, "b", 1, MSG_SYN | MSG_FIN));
    ASSERT_EQ(1, send(pair.client, "c", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI));
    ASSERT_EQ(1, send(pair.client, "d", 1, MSG_SYN | MSG_FIN | MSG_STREAM_UNI));
    Streams got = collect(pair.server, 4);
    EXPECT_EQ("a", got.data[0]);
    EXPECT_EQ("b", got.data[4]);
    EXPECT_EQ("c", got.data[2]);
    EXPECT_EQ("d", got.data[6]);
}

TEST(Send, C075_TwoStreamsAtOnce)
{
    Pair pair = make_pair();
    std::string want[2];
    for (int i = 0; i < 200; i++) {
        for (uint64_t sid : {0, 2}) {
            std::string text = std::to_string(sid) + ":" + std::to_string(i) + ";";
            want[sid / 2] += text;
            ASSERT_EQ(static_cast<ssize_t>(text.size()),
                      send_on(pair.client, sid, (i == 0 ? kNew : 0) | (i == 199 ? kFin : 0), text));
        }
    }
    Streams got = collect(pair.server, 2);
    EXPECT_EQ(want[0], got.data[0]);
    EXPECT_EQ(want[1], got.data[2]);
}

TEST(Send, C076_NewOnAUsedStream)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, 0, kNew, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, kNew, "b"));
    ASSERT_EQ(1, send_on(pair.client, 0, kFin, "c"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, kNew, "d"));
    EXPECT_EQ("ac", collect(pair.server, 1).data[0]);
    ASSERT_EQ(1, send_on(pair.server, 0, kFin, "e"));
    EXPECT_EQ("e", collect(pair.client, 1).data[0]);
    usleep(50000); /* and forgotten */
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, kNew, "f"));
}

TEST(Send, C077_UnknownStreams)
{
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, 0, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 8, 0, "a"));
    ASSERT_EQ(1, send_on(pair.client, 8, kNew | kFin, "c"));
    ASSERT_EQ(1, send_on(pair.client, 4, kFin, "b")); /* opened with it, RFC 9000 3.2 */
    ASSERT_EQ(1, send_on(pair.client, 0, kFin, "a"));
    Streams got = collect(pair.server, 3);
    EXPECT_EQ("a", got.data[0]);
    EXPECT_EQ("b", got.data[4]);
    EXPECT_EQ("c", got.data[8]);
}

TEST(Send, C078_AnyStream)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, kAny, kNew | kUni, "a"));
    ASSERT_EQ(1, send_on(pair.client, kAny, 0, "b"));
    ASSERT_EQ(1, send_on(pair.client, kAny, kFin, "c"));
    ASSERT_EQ(1, send_on(pair.client, kAny, kNew | kUni | kFin, "d"));
    Streams got = collect(pair.server, 2);
    EXPECT_EQ("abc", got.data[2]);
    EXPECT_EQ("d", got.data[6]);
}

TEST(Send, C079_AnyNewWhileOneIsOpen)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, kAny, kNew, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, kAny, kNew, "b"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, kAny, kNew | kUni, "b"));
    ASSERT_EQ(1, send_on(pair.client, 4, kNew | kFin, "c")); /* by number it may be */
}

TEST(Send, C080_AfterTheEnd)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, 0, kNew | kFin, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, 0, "b"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, kFin, "b"));
}

TEST(Send, C081_StreamsOfTheOtherSide)
{
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 3, kNew, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 1, kNew, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 1, 0, "a"));
    ASSERT_EQ(1, send_on(pair.server, 3, kNew, "u"));
    ASSERT_TRUE(poll_for(pair.client, POLLIN));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 3, 0, "a"));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 1ull << 62, kNew, "a"));
}

TEST(Send, C082_TheServersAnswer)
{
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, 0, kNew | kFin, "a"));
    ASSERT_EQ(1, send_on(pair.client, 2, kNew | kFin, "b"));
    Streams asked = collect(pair.server, 2);
    ASSERT_EQ(2u, asked.data.size());
    ASSERT_EQ(1, send_on(pair.server, 0, kFin, "A"));
    ASSERT_EQ(1, send_on(pair.server, 2 | 1, kNew | kFin, "B"));
    Streams got = collect(pair.client, 2);
    EXPECT_EQ("A", got.data[0]);
    EXPECT_EQ("B", got.data[3]);
}

TEST(Send, C083_WaitsForTheLimit)
{
    Pair pair = make_pair(with_streams(2, 2));
    ASSERT_EQ(1, send_on(pair.client, 0, kNew, "a"));
    ASSERT_EQ(1, send_on(pair.client, 4, kNew, "b"));
    std::atomic<bool> done{false};
    std::thread waiter([&] {
        EXPECT_EQ(1, send_on(pair.client, 8, kNew | kFin, "c"));
        done = true;
    });
    usleep(200000);
    EXPECT_FALSE(done);
    ASSERT_EQ(1, send_on(pair.client, 0, kFin, "."));
    Streams first = collect(pair.server, 1);
    ASSERT_EQ(1, first.fins[0]);
    ASSERT_EQ(1, send_on(pair.server, 0, kFin, "A"));
    EXPECT_EQ("A", collect(pair.client, 1).data[0]);
    waiter.join();
    EXPECT_EQ("c", collect(pair.server, 1).data[8]);
}

TEST(Send, C084_OrDoesNotWait)
{
    Pair pair = make_pair(with_streams(1, 1));
    ASSERT_EQ(1, send_on(pair.client, 0, kNew, "a"));
    EXPECT_ERRNO(EAGAIN, send_on(pair.client, 4, kNew | QUIC_STREAM_FLAG_ASYNC, "b"));
    Outgoing message(4, kNew);
    EXPECT_ERRNO(EAGAIN, sendmsg(pair.client, &message.msg, MSG_DONTWAIT));
    set_nonblock(pair.client, true);
    EXPECT_ERRNO(EAGAIN, send_on(pair.client, 4, kNew, "b"));
    set_nonblock(pair.client, false);
    ASSERT_EQ(1, send_on(pair.client, 0, kFin, "."));
    (void)collect(pair.server, 1);
    ASSERT_EQ(1, send_on(pair.server, 0, kFin, "A"));
    (void)collect(pair.client, 1);
    ssize_t n = -1;
    for (int i = 0; i < 500 && n < 0; i++) {
        n = send_on(pair.client, 4, kNew | QUIC_STREAM_FLAG_ASYNC, "b");
        usleep(n < 0 ? 10000 : 0);
    }
    EXPECT_EQ(1, n);
}

/* With the flags of a message, which for STREAM_OPEN are the option's. */
int open_stream(int fd, uint64_t sid, uint32_t flags)
{
    quic_stream_info info{};
    info.stream_id = sid;
    info.stream_flag = flags;
    socklen_t len = sizeof(info);
    return getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &info, &len);
}

TEST(Send, C085_TheLimitGrowsByOne)
{
    Pair pair = make_pair(); /* 100 streams */
    const uint64_t next = 4 * 100;
    EXPECT_ERRNO(EAGAIN, open_stream(pair.client, next, QUIC_STREAM_FLAG_ASYNC));
    finish(pair, 0);
    int rc = -1;
    for (int i = 0; i < 500 && rc < 0; i++) {
        rc = open_stream(pair.client, next, QUIC_STREAM_FLAG_ASYNC);
        usleep(rc < 0 ? 10000 : 0);
    }
    EXPECT_EQ(0, rc);
    EXPECT_ERRNO(EAGAIN, open_stream(pair.client, next + 4, QUIC_STREAM_FLAG_ASYNC));
    ASSERT_EQ(1, send_on(pair.client, next, kFin, "z"));
    EXPECT_EQ("z", collect(pair.server, 1).data[next]);
}

TEST(Send, C086_NoBytes)
{
    Pair pair = make_pair();
    EXPECT_EQ(0, send(pair.client, "", 0, MSG_SYN));
    ASSERT_EQ(1, send(pair.client, "a", 1, MSG_SYN));
    char buf[8];
    EXPECT_EQ(1, recv(pair.server, buf, sizeof(buf), 0));
    ASSERT_EQ(0, send(pair.client, "", 0, MSG_FIN));
    uint32_t flags = 0;
    uint64_t sid = 9;
    ssize_t n = quic_recvmsg(pair.server, buf, sizeof(buf), &sid, &flags);
    EXPECT_EQ(0, n);
    EXPECT_EQ(kFin, flags & kFin);
    EXPECT_EQ(0u, sid);
    ASSERT_EQ(0, send(pair.client, "", 0, MSG_SYN | MSG_FIN)); /* a stream of nothing */
    n = quic_recvmsg(pair.server, buf, sizeof(buf), &sid, &flags);
    EXPECT_EQ(0, n);
    EXPECT_EQ(4u, sid);
    EXPECT_EQ(kFin, flags & kFin);
}

TEST(Send, C087_SeveralParts)
{
    Pair pair = make_pair();
    char a[] = "one ";
    char b[] = "two ";
    char c[] = "three";
    iovec iov[4] = {{a, 4}, {nullptr, 0}, {b, 4}, {c, 5}};
    msghdr msg{};
    msg.msg_iov = iov;
    msg.msg_iovlen = 4;
    ASSERT_EQ(13, sendmsg(pair.client, &msg, MSG_SYN | MSG_FIN));
    EXPECT_EQ("one two three", collect(pair.server, 1).data[0]);
}

TEST(Send, C088_AnAddressIsNotLookedAt)
{
    Pair pair = make_pair();
    Address nowhere = loopback(1);
    ASSERT_EQ(1, sendto(pair.client, "a", 1, MSG_SYN, nowhere.ptr(), nowhere.len));
    Outgoing message;
    message.msg.msg_name = &nowhere.storage;
    message.msg.msg_namelen = nowhere.len;
    ASSERT_EQ(1, sendmsg(pair.client, &message.msg, 0));
    EXPECT_EQ("am", read_bytes(pair.server, 2));
}

TEST(Send, C089_WaitsForRoom)
{
    Pair pair = make_pair();
    set_buffer(pair.client, SO_SNDBUF, 32768);
    set_buffer(pair.server, SO_RCVBUF, 32768);
    size_t full = fill(pair.client, 0, kNew);
    timeval tv = {0, 100000};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_ERRNO(EAGAIN, send_on(pair.client, 0, 0, "late"));
    EXPECT_LE(std::chrono::milliseconds(99), std::chrono::steady_clock::now() - begin);
    tv = {0, 0};
    ASSERT_EQ(0, setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
    std::atomic<bool> done{false};
    std::thread waiter([&] {
        EXPECT_EQ(4, send_on(pair.client, 0, kFin, "more"));
        done = true;
    });
    usleep(100000);
    EXPECT_FALSE(done);
    EXPECT_EQ(full + 4, drain(pair.server, full + 4));
    waiter.join();
}

TEST(Send, C090_TakesAPart)
{
    Pair pair = make_pair();
    set_buffer(pair.client, SO_SNDBUF, 32768);
    set_buffer(pair.server, SO_RCVBUF, 32768);
    set_nonblock(pair.client, true);
    const std::string big = pattern(8u << 20);
    size_t total = 0;
    ssize_t n = send_on(pair.client, 0, kNew | kFin, big);
    ASSERT_GT(n, 0);
    ASSERT_LT(n, static_cast<ssize_t>(big.size()));
    total += static_cast<size_t>(n);
    EXPECT_EQ(0, poll_now(pair.client) & POLLIN);
    std::thread reader([&] {
        Streams got = collect(pair.server, 1); /* FIN came only with the last byte */
        EXPECT_EQ(1, got.fins[0]);
        EXPECT_TRUE(got.data[0] == big);
    });
    while (total < big.size()) {
        ASSERT_TRUE(poll_for(pair.client, POLLOUT));
        n = quic_sendmsg(pair.client, big.data() + total, big.size() - total, 0, kFin);
        if (n < 0) {
            ASSERT_EQ(EAGAIN, errno);
            continue;
        }
        total += static_cast<size_t>(n);
    }
    reader.join();
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 0, 0, "z"));
}

TEST(Send, C090_NewWaitsForItsFirstByte)
{
    Pair pair = make_pair();
    set_buffer(pair.client, SO_SNDBUF, 32768);
    set_buffer(pair.server, SO_RCVBUF, 32768);
    size_t full = fill(pair.client, 0, kNew);
    set_nonblock(pair.client, true);
    EXPECT_ERRNO(EAGAIN, send_on(pair.client, 4, kNew | kFin, "second"));
    EXPECT_ERRNO(EAGAIN, send_on(pair.client, 4, kNew | kFin, "second"));
    EXPECT_EQ(full, drain(pair.server, full));
    ASSERT_TRUE(poll_for(pair.client, POLLOUT));
    EXPECT_EQ(6, send_on(pair.client, 4, kNew | kFin, "second"));
    EXPECT_EQ("second", collect(pair.server, 1).data[4]);
}

TEST(Send, C092_MoreHoldsBack)
{
    Pair pair = make_pair();
    ASSERT_EQ(2, send(pair.client, "ab", 2, MSG_SYN | MSG_MORE));
    ASSERT_EQ(2, send(pair.client, "cd", 2, MSG_MORE));
    usleep(300000);
    EXPECT_EQ(POLLOUT, poll_now(pair.server));
    ASSERT_EQ(1, send_on(pair.client, 4, kNew | kFin, "o")); /* another stream goes */
    EXPECT_EQ("o", collect(pair.server, 1).data[4]);
    EXPECT_EQ(POLLOUT, poll_now(pair.server));
    ASSERT_EQ(2, send_on(pair.client, 0, kFin, "ef"));
    EXPECT_EQ("abcdef", collect(pair.server, 1).data[0]);
    /* The end of the connection does not lose it, and much of it is not held. */
    ASSERT_EQ(1, send_on(pair.client, 8, kNew, "k"));
    const std::string big = pattern(300000);
    Outgoing message(8);
    message.iov = {const_cast<char *>(big.data()), big.size()};
    ASSERT_EQ(static_cast<ssize_t>(big.size()), sendmsg(pair.client, &message.msg, MSG_MORE));
    ASSERT_EQ(4, send_on(pair.client, 8, 0, "tail"));
    ASSERT_EQ(1, sendmsg(pair.client, Outgoing(8).ptr(), MSG_MORE));
    pair.client.reset();
    EXPECT_EQ("k" + big + "tailm", read_bytes(pair.server, big.size() + 6));
}

TEST(Send, C096_TwoThreadsTwoStreams)
{
    Pair pair = make_pair();
    set_buffer(pair.client, SO_SNDBUF, 65536);
    constexpr int kRounds = 100;
    auto run = [&](uint64_t sid) {
        const std::string message = pattern(30000, static_cast<uint32_t>(sid));
        for (int i = 0; i < kRounds; i++) {
            ASSERT_EQ(static_cast<ssize_t>(message.size()),
                      send_on(pair.client, sid, (i == 0 ? kNew : 0) | (i == kRounds - 1 ? kFin : 0),
                              message));
        }
    };
    std::thread a(run, 0);
    std::thread b(run, 2);
    Streams got = collect(pair.server, 2);
    a.join();
    b.join();
    for (uint64_t sid : {0, 2}) {
        const std::string message = pattern(30000, static_cast<uint32_t>(sid));
        ASSERT_EQ(message.size() * kRounds, got.data[sid].size());
        for (int i = 0; i < kRounds; i++) {
            ASSERT_EQ(0, got.data[sid].compare(static_cast<size_t>(i) * message.size(),
                                               message.size(), message));
        }
    }
}

TEST(Send, C096_TwoThreadsOneStream)
{
    Pair pair = make_pair();
    set_buffer(pair.client, SO_SNDBUF, 16384);
    constexpr size_t kLen = 50000; /* more than the buffer: both wait in the middle */
    constexpr int kRounds = 20;
    ASSERT_EQ(1, send_on(pair.client, 0, kNew, "!"));
    auto run = [&](char c) {
        for (int i = 0; i < kRounds; i++) {
            ASSERT_EQ(static_cast<ssize_t>(kLen), send_on(pair.client, 0, 0, std::string(kLen, c)));
        }
    };
    std::thread a(run, 'a');
    std::thread b(run, 'b');
    std::string all = read_bytes(pair.server, 1 + 2 * kRounds * kLen);
    a.join();
    b.join();
    ASSERT_EQ(1 + 2 * kRounds * kLen, all.size());
    for (size_t at = 1; at < all.size(); at += kLen) {
        ASSERT_EQ(std::string(kLen, all[at]), all.substr(at, kLen)) << at;
    }
}

/* A gibibyte on request (QUIC_TEST_BYTES), some MiB otherwise. */
TEST(Send, C097_MuchInSmallPieces)
{
    Pair pair = make_pair();
    const char *asked = getenv("QUIC_TEST_BYTES");
    const uint64_t want = asked != nullptr ? strtoull(asked, nullptr, 10) : 24u << 20;
    std::thread writer([&] {
        const std::string block = pattern(4096);
        for (uint64_t done = 0; done < want; done += block.size()) {
            uint32_t flags = (done == 0 ? kNew : 0) | (done + block.size() >= want ? kFin : 0);
            ASSERT_EQ(4096, send_on(pair.client, 0, flags, block));
        }
    });
    uint64_t got = 0;
    bool fin = false;
    std::vector<char> buf(65536);
    while (!fin) {
        uint32_t flags = 0;
        ssize_t n = quic_recvmsg(pair.server, buf.data(), buf.size(), nullptr, &flags);
        ASSERT_GE(n, 0) << strerror(errno);
        got += static_cast<uint64_t>(n);
        fin = (flags & kFin) != 0;
    }
    writer.join();
    EXPECT_EQ((want + 4095) / 4096 * 4096, got);
    char c;
    EXPECT_ERRNO(EAGAIN, recv(pair.server, &c, 1, MSG_DONTWAIT));
}

/* Both wait for it, and each has one of its own then. */
TEST(Send, TwoThreadsWaitForTheNextStream)
{
    for (bool by_option : {true, false}) {
        Pair pair = make_pair(with_streams(2, 2));
        ASSERT_EQ(1, send_on(pair.client, 0, kNew | kFin, "x"));
        ASSERT_EQ(1, send_on(pair.client, 4, kNew | kFin, "x"));
        uint64_t ids[2] = {0, 0};
        ssize_t sent[2] = {0, 0};
        std::vector<std::thread> openers;
        for (size_t i = 0; i < 2; i++) {
            openers.emplace_back([&, i] {
                quic_stream_info info = {kAny, 0};
                socklen_t len = sizeof(info);
                if (!by_option) {
                    sent[i] = send_on(pair.client, kAny, kNew | kFin, i == 0 ? "first" : "other");
                } else if (getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &info,
                                      &len) == 0) {
                    ids[i] = info.stream_id;
                }
            });
        }
        usleep(100000);
        ASSERT_EQ(2, collect(pair.server, 2).fin_count);
        for (uint64_t id : {0u, 4u}) {
            ASSERT_EQ(1, send_on(pair.server, id, kFin, "y"));
        }
        ASSERT_EQ(2, collect(pair.client, 2).fin_count);
        for (std::thread &opener : openers) {
            opener.join();
        }
        if (by_option) {
            EXPECT_EQ(20u, ids[0] + ids[1]) << ids[0]; /* 8 and 12 */
            EXPECT_NE(ids[0], ids[1]);
        } else {
            EXPECT_EQ(5, sent[0]);
            EXPECT_EQ(5, sent[1]);
            Streams got = collect(pair.server, 2);
            EXPECT_EQ(2, got.fin_count);
            EXPECT_NE(got.data[8], got.data[12]);
        }
    }
}

/* More streams than the server allows, begun with what the client remembers: they wait, and none is forgotten. */
TEST(Send, BeyondTheRealLimit)
{
    const PairOptions two = with_streams(2, 2);
    Fd listen_fd = listener(4, AF_INET, two.listener);
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    quic_transport_param remembered{};
    remembered.remote = 1;
    remembered.max_data = 1 << 20;
    remembered.max_stream_data_bidi_remote = 1 << 18;
    remembered.max_streams_bidi = 10;
    ASSERT_EQ(0, setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &remembered,
                            sizeof(remembered)));
    for (uint64_t id = 0; id < 16; id += 4) {
        ASSERT_EQ(1, send_on(client, id, kNew | kFin, "m"));
    }
    Fd server;
    ASSERT_TRUE(handshake(listen_fd, client, &server));
    const timeval limit = {5, 0};
    ASSERT_EQ(0, setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    for (uint64_t id = 0; id < 16; id += 4) {
        Streams one = collect(server, 1);
        ASSERT_EQ(1, one.fins[id]) << id;
        ASSERT_EQ(1, send_on(server, id, kFin, "y"));
        ASSERT_EQ(1, collect(client, 1).fins[id]);
    }
}

/* Opening one opens those below (RFC 9000 3.2): a server that allows them all is no reason to have them all. */
TEST(Send, ManyStreamsBelow)
{
    Fd listen_fd = listener();
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    quic_transport_param remembered{};
    remembered.remote = 1;
    remembered.max_data = 1 << 20;
    remembered.max_stream_data_bidi_remote = 1 << 18;
    remembered.max_stream_data_uni = 1 << 18;
    remembered.max_streams_bidi = 1ull << 60;
    remembered.max_streams_uni = 1ull << 60;
    ASSERT_EQ(0, setsockopt(client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &remembered,
                            sizeof(remembered)));
    for (uint64_t kind : {uint64_t{0}, uint64_t{2}}) {
        for (uint64_t number : {uint64_t{65536}, uint64_t{100} << 20, (uint64_t{1} << 60) - 1}) {
            const uint64_t id = number << 2 | kind;
            SCOPED_TRACE(id);
            EXPECT_ERRNO(ENOBUFS, send_on(client, id, kNew, "x"));
            quic_stream_info info = {};
            info.stream_id = id;
            socklen_t len = sizeof(info);
            EXPECT_ERRNO(ENOBUFS,
                         getsockopt(client, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &info, &len));
            ASSERT_FALSE(HasFailure()) << "the next one takes all memory";
        }
    }
    EXPECT_EQ(1, send_on(client, 65535 << 2, kNew, "x"));
    EXPECT_EQ(1, send_on(client, 65536 << 2, kNew, "x")) << "from there on";
    EXPECT_EQ(1, send_on(client, 40, kNew, "x")) << "which is open since then";
}

TEST(Send, H095_WhereNothingCanBeSent)
{
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EPIPE, send(fresh, "x", 1, MSG_NOSIGNAL));
    Fd listening = listener();
    EXPECT_ERRNO(EPIPE, send(listening, "x", 1, MSG_NOSIGNAL));
    Pair pair = make_pair();
    ASSERT_EQ(1, send_on(pair.client, 0, kNew, "a"));
    ASSERT_EQ("a", read_bytes(pair.server, 1));
    quic_errinfo info{};
    info.stream_id = 0;
    info.errcode = 9;
    ASSERT_EQ(0, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_STREAM_STOP_SENDING, &info,
                            sizeof(info)));
    ssize_t n = 1;
    int error = 0;
    for (int i = 0; i < 2000 && n > 0; i++) {
        n = send_on(pair.client, 0, 0, "b");
        error = errno;
        usleep(n > 0 ? 5000 : 0);
    }
    EXPECT_EQ(-1, n);
    EXPECT_EQ(EINVAL, error);
    ASSERT_EQ(1, send_on(pair.client, 4, kNew, "c"));
    info.stream_id = 4;
    ASSERT_EQ(0, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, sizeof(info)));
    EXPECT_ERRNO(EINVAL, send_on(pair.client, 4, 0, "d"));
    ASSERT_EQ(0, shutdown(pair.client, SHUT_WR));
    EXPECT_ERRNO(EPIPE, send(pair.client, "e", 1, MSG_SYN | MSG_NOSIGNAL));
}
