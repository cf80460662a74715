/* The proxy between two sockets on loopback. Times are lower bounds only: a busy machine is late. */
#include <arpa/inet.h>
#include <cstring>
#include <map>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/impair.h"

namespace
{

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

constexpr int kPatienceMs = 60000; /* only a broken program waits this long */

struct Got {
    std::string bytes;
    int ecn = 0;
    sockaddr_storage from{};
    std::string from_ip;
    uint16_t from_port = 0;
};

class Sock
{
  public:
    explicit Sock(int family) : family_(family)
    {
        fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_storage ss{};
        ss.ss_family = static_cast<sa_family_t>(family);
        if (family == AF_INET) {
            reinterpret_cast<sockaddr_in *>(&ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        } else {
            reinterpret_cast<sockaddr_in6 *>(&ss)->sin6_addr = in6addr_loopback;
        }
        int on = 1;
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr *>(&ss), len()), 0);
        setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
    }
    ~Sock()
    {
        close(fd);
    }
    socklen_t len() const
    {
        return family_ == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    }
    quring_addr addr() const
    {
        sockaddr_storage ss{};
        socklen_t n = sizeof(ss);
        getsockname(fd, reinterpret_cast<sockaddr *>(&ss), &n);
        quring_addr a{};
        if (family_ == AF_INET) {
            auto *in = reinterpret_cast<sockaddr_in *>(&ss);
            a.family = 4;
            memcpy(a.ip, &in->sin_addr, 4);
            a.port = ntohs(in->sin_port);
        } else {
            auto *in6 = reinterpret_cast<sockaddr_in6 *>(&ss);
            a.family = 6;
            memcpy(a.ip, &in6->sin6_addr, 16);
            a.port = ntohs(in6->sin6_port);
        }
        return a;
    }
    void connect_to(const quring_addr &a)
    {
        sockaddr_storage ss{};
        ss.ss_family = static_cast<sa_family_t>(family_);
        if (family_ == AF_INET) {
            auto *in = reinterpret_cast<sockaddr_in *>(&ss);
            memcpy(&in->sin_addr, a.ip, 4);
            in->sin_port = htons(a.port);
        } else {
            auto *in6 = reinterpret_cast<sockaddr_in6 *>(&ss);
            memcpy(&in6->sin6_addr, a.ip, 16);
            in6->sin6_port = htons(a.port);
        }
        ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr *>(&ss), len()), 0);
    }
    void say(const std::string &text)
    {
        ASSERT_EQ(send(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    void answer(const Got &to, const std::string &text)
    {
        ASSERT_EQ(sendto(fd, text.data(), text.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to.from), len()),
                  static_cast<ssize_t>(text.size()));
    }
    void set_ecn(int ecn)
    {
        setsockopt(fd, IPPROTO_IP, IP_TOS, &ecn, sizeof(ecn));
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &ecn, sizeof(ecn));
    }
    bool get(Got *out, int wait_ms = kPatienceMs)
    {
        pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, wait_ms) <= 0) {
            return false;
        }
        char data[65536];
        alignas(cmsghdr) char control[256];
        iovec iov = {data, sizeof(data)};
        msghdr msg{};
        msg.msg_name = &out->from;
        msg.msg_namelen = sizeof(out->from);
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        ssize_t n = recvmsg(fd, &msg, 0);
        if (n < 0) {
            return false;
        }
        out->bytes.assign(data, static_cast<size_t>(n));
        out->ecn = 0;
        for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
            if (c->cmsg_level == IPPROTO_IP || c->cmsg_level == IPPROTO_IPV6) {
                out->ecn = *CMSG_DATA(c) & 3;
            }
        }
        char text[64] = "";
        if (family_ == AF_INET) {
            auto *in = reinterpret_cast<sockaddr_in *>(&out->from);
            inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
            out->from_port = ntohs(in->sin_port);
        } else {
            out->from_port = ntohs(reinterpret_cast<sockaddr_in6 *>(&out->from)->sin6_port);
        }
        out->from_ip = text;
        return true;
    }
    int fd;

  private:
    int family_;
};

/* A client that is connected to a proxy in front of a server. */
class Impair : public testing::TestWithParam<int>
{
  protected:
    Impair() : server_(GetParam()), client_(GetParam())
    {
        quring_impair_options_init(&options_);
        options_.server = server_.addr();
    }
    ~Impair() override
    {
        quring_impair_stop(proxy_);
    }
    void start()
    {
        quring_error err;
        ASSERT_EQ(quring_impair_start(&proxy_, &options_, &err), QURING_OK) << err.message;
        client_.connect_to(quring_impair_local(proxy_));
    }
    quring_impair_counts counts() const
    {
        quring_impair_counts c;
        quring_impair_get_counts(proxy_, &c);
        return c;
    }
    /* Sends numbers in batches the sockets hold, returns how often each arrived, in `order` as they did. */
    std::map<int, int> pour(int n, std::vector<int> *order = nullptr)
    {
        std::map<int, int> arrived;
        Got got;
        int sent = 0;
        while (sent < n) {
            for (int i = 0; i < 50 && sent < n; i++) {
                std::string text(400, 'x');
                memcpy(&text[0], &sent, sizeof(sent));
                client_.say(text);
                sent++;
            }
            for (bool all = false; !all;) { /* until every one was judged and none is held */
                all = settled(sent);
                while (server_.get(&got, all ? 0 : 1)) {
                    note(got, &arrived, order);
                }
            }
        }
        while (server_.get(&got, 20)) {
            note(got, &arrived, order);
        }
        return arrived;
    }
    void note(const Got &got, std::map<int, int> *arrived, std::vector<int> *order)
    {
        int number;
        memcpy(&number, got.bytes.data(), sizeof(number));
        (*arrived)[number]++;
        if (order != nullptr) {
            order->push_back(number);
        }
    }
    /* The sizes of what comes of `sent` datagrams, however long the proxy takes for them. */
    std::vector<size_t> take_all(int sent)
    {
        const uint64_t end = quring_now_ns() + kPatienceMs * 1000000ull;
        std::vector<size_t> sizes;
        Got got;
        for (bool all = false; !all && quring_now_ns() < end;) {
            all = settled(sent);
            while (server_.get(&got, all ? 0 : 1)) {
                sizes.push_back(got.bytes.size());
            }
        }
        return sizes;
    }
    bool settled(int sent) const
    {
        quring_impair_counts c = counts();
        return c.held_bytes == 0 && c.received[0] >= static_cast<uint64_t>(sent);
    }

    Sock server_;
    Sock client_;
    quring_impair_options options_;
    quring_impair *proxy_ = nullptr;
};

TEST_P(Impair, PassesBothWaysWithEcn)
{
    start();
    for (int ecn = 0; ecn < 4; ecn++) {
        Got at_server;
        Got at_client;
        client_.set_ecn(ecn);
        server_.set_ecn(3 - ecn);
        client_.say("hello");
        ASSERT_TRUE(server_.get(&at_server));
        EXPECT_EQ(at_server.bytes, "hello");
        EXPECT_EQ(at_server.ecn, ecn);
        server_.answer(at_server, std::string(9000, 'a'));
        ASSERT_TRUE(client_.get(&at_client));
        EXPECT_EQ(at_client.bytes, std::string(9000, 'a'));
        EXPECT_EQ(at_client.ecn, 3 - ecn);
    }
    quring_impair_counts c = counts();
    EXPECT_EQ(c.flows, 1u);
    EXPECT_EQ(c.received[0], 4u);
    EXPECT_EQ(c.received[1], 4u);
    EXPECT_EQ(quring_impair_dropped(&c), 0u);
}

TEST_P(Impair, JudgesEachDatagramOfASegmentedSend)
{
    options_.to_server.drop_count = 2;
    options_.to_server.drops[0] = 2;
    options_.to_server.drops[1] = 4;
    start();
    int size = 100;
    if (setsockopt(client_.fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0) {
        GTEST_SKIP() << "no UDP_SEGMENT here";
    }
    std::string text;
    for (char c : {'1', '2', '3', '4', '5'}) {
        text += std::string(100, c);
    }
    client_.say(text);
    std::string seen;
    Got got;
    while (seen.size() < 3 && server_.get(&got)) {
        EXPECT_EQ(got.bytes.size(), 100u);
        seen += got.bytes[0];
    }
    EXPECT_EQ(seen, "135");
    EXPECT_EQ(counts().fates[0][QURING_IMPAIR_LOST_LIST], 2u);
}

TEST_P(Impair, LosesDuplicatesAndCountsThem)
{
    options_.to_server.loss_ppm = 100000;
    options_.to_server.duplicate_ppm = 100000;
    start();
    std::map<int, int> arrived = pour(2000);
    quring_impair_counts c = counts();
    size_t twice = 0;
    for (const auto &a : arrived) {
        twice += a.second == 2 ? 1 : 0;
    }
    EXPECT_EQ(c.fates[0][QURING_IMPAIR_LOST], 2000 - arrived.size());
    EXPECT_NEAR(static_cast<double>(2000 - arrived.size()), 200, 80);
    EXPECT_EQ(c.duplicated[0], twice);
    EXPECT_NEAR(static_cast<double>(twice), 180, 80);
    EXPECT_EQ(c.fates[0][QURING_IMPAIR_PASSED], arrived.size() + twice);
}

TEST_P(Impair, DeliversDamagedDatagrams)
{
    options_.to_server.corrupt_ppm = QURING_IMPAIR_PPM;
    start();
    for (int i = 0; i < 50; i++) {
        std::string text(300, 'q');
        Got got;
        client_.say(text);
        ASSERT_TRUE(server_.get(&got));
        ASSERT_EQ(got.bytes.size(), text.size());
        int differ = 0;
        for (size_t k = 0; k < text.size(); k++) {
            differ += got.bytes[k] != text[k] ? 1 : 0;
            EXPECT_TRUE(got.bytes[k] == text[k] || k < 51);
        }
        EXPECT_EQ(differ, 1);
    }
    EXPECT_EQ(counts().corrupted[0], 50u);
}

TEST_P(Impair, DelaysAndReorders)
{
    options_.to_server.delay_ns = 20000000;
    options_.to_server.reorder_ppm = 50000;
    start();
    std::vector<int> order;
    uint64_t before = quring_now_ns();
    std::map<int, int> arrived = pour(500, &order);
    EXPECT_GE(quring_now_ns() - before, 20000000u);
    EXPECT_EQ(arrived.size(), 500u);
    int overtaken = 0;
    int highest = -1;
    for (int number : order) {
        overtaken += number < highest ? 1 : 0;
        highest = number > highest ? number : highest;
    }
    EXPECT_GT(overtaken, 0);
    EXPECT_LE(overtaken, static_cast<int>(counts().reordered[0]));
}

TEST_P(Impair, DropsWhatTheQueueOrTheMtuDoesNotTake)
{
    options_.to_server.rate_bits_per_s = 1000000;
    options_.to_server.queue_packets = 3;
    options_.to_server.mtu_bytes = 1280;
    start();
    client_.say(std::string(1400, 'x'));
    for (int i = 0; i < 20; i++) {
        client_.say(std::string(1200, 'x')); /* about 10 ms of the line each */
    }
    const std::vector<size_t> arrived = take_all(21);
    for (const size_t size : arrived) {
        EXPECT_EQ(size, 1200u);
    }
    quring_impair_counts c = counts();
    EXPECT_EQ(c.fates[0][QURING_IMPAIR_LOST_MTU], 1u);
    EXPECT_GE(arrived.size(), 4u);
    EXPECT_EQ(arrived.size() + c.fates[0][QURING_IMPAIR_LOST_QUEUE], 20u);
}

TEST_P(Impair, NeverHoldsMoreThanItsMemory)
{
    options_.to_server.delay_ns = 300000000;
    options_.held_bytes_max = 256u << 10;
    start();
    std::set<uint64_t> held;
    for (int i = 0; i < 50; i++) {
        client_.say(std::string(20000, 'x'));
        held.insert(counts().held_bytes);
    }
    const std::vector<size_t> arrived = take_all(50);
    quring_impair_counts c = counts();
    EXPECT_LE(*held.rbegin(), 256u << 10);
    EXPECT_GT(c.fates[0][QURING_IMPAIR_LOST_MEMORY], 0u);
    EXPECT_FALSE(
        arrived.empty()); /* not all of what passed: a burst may overflow the server's socket */
    EXPECT_EQ(c.fates[0][QURING_IMPAIR_PASSED] + quring_impair_dropped(&c), c.received[0]);
}

TEST_P(Impair, ANewPathIsAnotherAddressAndTheOldOneIsGone)
{
    options_.rebind_host = GetParam() == AF_INET;
    start();
    Got first;
    Got second;
    Got got;
    client_.say("a");
    ASSERT_TRUE(server_.get(&first));
    quring_impair_rebind(proxy_);
    for (int i = 0; i < kPatienceMs && counts().rebinds == 0; i++) {
        usleep(1000);
    }
    ASSERT_EQ(counts().rebinds, 1u);
    client_.say("b");
    ASSERT_TRUE(server_.get(&second));
    EXPECT_NE(second.from_port, first.from_port);
    if (GetParam() == AF_INET) {
        EXPECT_NE(second.from_ip, first.from_ip);
        EXPECT_EQ(second.from_ip.substr(0, 4), "127.");
    }
    server_.answer(first, "lost");
    server_.answer(second, "found");
    ASSERT_TRUE(client_.get(&got));
    EXPECT_EQ(got.bytes, "found");
}

TEST_P(Impair, RebindsByItself)
{
    options_.rebind_ns = 20000000;
    start();
    std::set<uint16_t> ports;
    for (int i = 0; i < 200 && ports.size() < 3; i++) {
        Got got;
        client_.say("x");
        ASSERT_TRUE(server_.get(&got));
        ports.insert(got.from_port);
        usleep(5000);
    }
    EXPECT_GE(ports.size(), 3u);
}

TEST_P(Impair, EachClientHasItsOwnPath)
{
    start();
    Sock other(GetParam());
    other.connect_to(quring_impair_local(proxy_));
    Got a;
    Got b;
    client_.say("a");
    ASSERT_TRUE(server_.get(&a));
    other.say("b");
    ASSERT_TRUE(server_.get(&b));
    EXPECT_NE(a.from_port, b.from_port);
    server_.answer(b, "to b");
    server_.answer(a, "to a");
    ASSERT_TRUE(client_.get(&a));
    ASSERT_TRUE(other.get(&b));
    EXPECT_EQ(a.bytes, "to a");
    EXPECT_EQ(b.bytes, "to b");
    EXPECT_EQ(counts().flows, 2u);
}

TEST_P(Impair, TheTapSeesWhatHappens)
{
    struct Seen {
        std::vector<quring_impair_fate> fates;
        std::string bytes;
    } seen;
    options_.to_server.drops[0] = 1;
    options_.to_server.drop_count = 1;
    options_.tap_ctx = &seen;
    options_.tap = [](void *ctx, const quring_impair_seen *s) {
        auto *all = static_cast<Seen *>(ctx);
        all->fates.push_back(s->fate);
        all->bytes.append(reinterpret_cast<const char *>(s->data.data), s->data.len);
    };
    start();
    Got got;
    client_.say("a");
    client_.say("b");
    ASSERT_TRUE(server_.get(&got));
    EXPECT_EQ(got.bytes, "b");
    quring_impair_stop(proxy_);
    proxy_ = nullptr;
    EXPECT_EQ(seen.bytes, "ab");
    EXPECT_EQ(seen.fates,
              (std::vector<quring_impair_fate>{QURING_IMPAIR_LOST_LIST, QURING_IMPAIR_PASSED}));
}

INSTANTIATE_TEST_SUITE_P(Families, Impair, testing::Values(AF_INET, AF_INET6),
                         [](const testing::TestParamInfo<int> &family) {
                             return family.param == AF_INET ? "v4" : "v6";
                         });

TEST(ImpairOptions, WrongOnesAreNamed)
{
    quring_impair_options good;
    quring_impair_options_init(&good);
    good.server.family = 4;
    good.server.ip[0] = 127;
    good.server.port = 1;
    const std::pair<const char *, void (*)(quring_impair_options *)> wrong[] = {
        {"server", [](quring_impair_options *o) { o->server.port = 0; }},
        {"server", [](quring_impair_options *o) { o->server.family = 9; }},
        {"local", [](quring_impair_options *o) { o->local.family = 9; }},
        {"rebind_host",
         [](quring_impair_options *o) { o->rebind_host = true, o->server.ip[0] = 10; }},
        {"flows_max", [](quring_impair_options *o) { o->flows_max = 0; }},
        {"held_bytes_max", [](quring_impair_options *o) { o->held_bytes_max = 1; }},
        {"rebind_ns", [](quring_impair_options *o) { o->rebind_ns = UINT64_MAX; }},
        {"rebind_first_ns", [](quring_impair_options *o) { o->rebind_first_ns = UINT64_MAX; }},
        {"to_server.loss_ppm", [](quring_impair_options *o) { o->to_server.loss_ppm = 1000001; }},
        {"to_client.hole_ns", [](quring_impair_options *o) { o->to_client.hole_ns = UINT64_MAX; }},
        {"to_client.drop_count", [](quring_impair_options *o) { o->to_client.drop_count = 33; }},
        {"rate_bits_per_s", [](quring_impair_options *o) { o->to_server.rate_bits_per_s = 1; }},
        {"queue_packets", [](quring_impair_options *o) { o->to_server.queue_packets = 1 << 20; }},
    };
    for (const auto &w : wrong) {
        quring_impair_options o = good;
        quring_impair *proxy = nullptr;
        quring_error err;
        w.second(&o);
        EXPECT_EQ(quring_impair_start(&proxy, &o, &err), QURING_E_INVAL);
        EXPECT_NE(std::string(err.message).find(w.first), std::string::npos) << err.message;
        EXPECT_EQ(proxy, nullptr);
    }
    EXPECT_EQ(quring_impair_start(nullptr, &good, nullptr), QURING_E_INVAL);
    quring_impair_stop(nullptr);
}

TEST(ImpairOptions, AnAddressInUseIsSaid)
{
    Sock holder(AF_INET);
    quring_impair_options o;
    quring_error err;
    quring_impair *proxy = nullptr;
    quring_impair_options_init(&o);
    o.server = holder.addr();
    o.local = holder.addr();
    EXPECT_EQ(quring_impair_start(&proxy, &o, &err), QURING_E_ADDR_IN_USE);
}

} // namespace
