#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <dirent.h>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::ClientTls;
using quring_test::Config;
using quring_test::Listener;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::Tls;

/* A UDP socket of somebody else on 127.0.0.1. */
class Squatter
{
  public:
    explicit Squatter(bool reuseport, uint16_t port = 0)
    {
        fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        EXPECT_GE(fd_, 0);
        sockaddr_in in = {};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in.sin_port = htons(port);
        bound_ = bind(fd_, reinterpret_cast<const sockaddr *>(&in), sizeof(in)) == 0;
        const int on = 1;
        if (reuseport) { /* not before: port 0 could become one of others that share */
            EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
        }
        socklen_t len = sizeof(in);
        EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr *>(&in), &len), 0);
        addr_ = Addr("127.0.0.1");
        addr_.port = ntohs(in.sin_port);
    }
    ~Squatter()
    {
        close(fd_);
    }
    Squatter(const Squatter &) = delete;
    Squatter &operator=(const Squatter &) = delete;
    bool bound() const
    {
        return bound_;
    }
    quring_addr addr() const
    {
        return addr_;
    }

  private:
    int fd_ = -1;
    bool bound_ = false;
    quring_addr addr_ = {};
};

class ListenerTest : public testing::TestWithParam<uint32_t>
{
  protected:
    ListenerTest() : runtime_(Config(QURING_IO_AUTO, GetParam())), tls_(ServerTls())
    {
    }
    void SetUp() override
    {
        ASSERT_NE(runtime_.rt(), nullptr) << runtime_.error().message;
    }
    void ExpectInUse(const quring_addr &addr)
    {
        Listener listener(&runtime_, &peer_, addr, tls_.get());
        EXPECT_FALSE(listener.ok());
        EXPECT_EQ(listener.error().status, QURING_E_ADDR_IN_USE) << listener.error().message;
        char text[64];
        EXPECT_NE(strstr(listener.error().message, quring_addr_format(&addr, text, sizeof(text))),
                  nullptr)
            << listener.error().message;
    }

    Peer peer_;
    Runtime runtime_;
    Tls tls_;
};

TEST_P(ListenerTest, PortZeroGetsARealPort)
{
    Listener a(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    Listener b(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    ASSERT_TRUE(a.ok()) << a.error().message;
    ASSERT_TRUE(b.ok()) << b.error().message;
    EXPECT_NE(a.local().port, 0);
    EXPECT_NE(a.local().port, b.local().port);
    EXPECT_EQ(a.local().family, 4);
    EXPECT_EQ(quring_listener_local(nullptr).family, 0);
}

TEST_P(ListenerTest, MoreThanAWorkersSocketsAreALimit)
{
    std::vector<std::unique_ptr<Listener>> listeners;
    do {
        listeners.push_back(
            std::make_unique<Listener>(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get()));
    } while (listeners.back()->ok() && listeners.size() < 100);
    EXPECT_EQ(listeners.size(), 65u);
    EXPECT_EQ(listeners.back()->error().status, QURING_E_LIMIT)
        << listeners.back()->error().message;
    EXPECT_NE(strstr(listeners.back()->error().message, "64"), nullptr)
        << listeners.back()->error().message;
    listeners.front()->Close();
    Listener again(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    EXPECT_TRUE(again.ok()) << again.error().message;
}

TEST_P(ListenerTest, ABusyPortIsRefused)
{
    Squatter alone(false);
    ExpectInUse(alone.addr());
}

TEST_P(ListenerTest, H125_NobodyElsesReuseportGroupIsJoined)
{
    Squatter generous(true);
    ExpectInUse(generous.addr());
}

TEST_P(ListenerTest, OurOwnPortIsBusyToo)
{
    Listener first(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    ASSERT_TRUE(first.ok()) << first.error().message;
    ExpectInUse(first.local());
    Squatter rival(false, first.local().port);
    EXPECT_FALSE(rival.bound());
}

TEST_P(ListenerTest, TheWildcardCollidesWithAnAddress)
{
    Squatter alone(false);
    quring_addr any = Addr("0.0.0.0");
    any.port = alone.addr().port;
    ExpectInUse(any);
}

TEST_P(ListenerTest, ForeignAddressesAreAnOsError)
{
    Listener listener(&runtime_, &peer_, Addr("192.0.2.1:0"), tls_.get());
    EXPECT_EQ(listener.error().status, QURING_E_OS);
    EXPECT_EQ(listener.error().os_errno, EADDRNOTAVAIL);
}

/* Nor is anything left of the addresses that came before one that is refused. */
TEST_P(ListenerTest, NothingStaysOpenOfWhatFailed)
{
    const auto descriptors = [] {
        size_t count = 0;
        DIR *dir = opendir("/proc/self/fd");
        while (readdir(dir) != nullptr) {
            count++;
        }
        closedir(dir);
        return count;
    };
    const size_t before = descriptors();
    Listener listener(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get(), 0,
                      Addr("192.0.2.1:4433"));
    EXPECT_EQ(listener.error().os_errno, EADDRNOTAVAIL) << listener.error().message;
    EXPECT_EQ(descriptors(), before);
}

TEST_P(ListenerTest, OptionsAreChecked)
{
    const Tls client = ClientTls();
    const auto expect_inval = [&](const quring_listen_options &options, const char *word) {
        quring_listener *listener = nullptr;
        quring_error err = {};
        EXPECT_EQ(quring_listen(runtime_.rt(), &listener, &options, &err), QURING_E_INVAL);
        EXPECT_NE(strstr(err.message, word), nullptr) << err.message;
    };
    quring_listen_options good = {};
    good.local = Addr("127.0.0.1:0");
    good.tls = tls_.get();
    good.on_event = Peer::OnEvent;
    quring_listen_options bad = good;
    bad.on_event = nullptr;
    expect_inval(bad, "on_event");
    bad = good;
    bad.local.family = 0;
    expect_inval(bad, "local");
    bad = good;
    bad.tls = nullptr;
    expect_inval(bad, "tls");
    bad.tls = client.get();
    expect_inval(bad, "tls");
    bad = good;
    bad.flags = 0x80;
    expect_inval(bad, "flags");
    bad = good;
    bad.muted_events = QURING_EVENT_BIT(QURING_EV_STREAM_READABLE);
    expect_inval(bad, "muted_events");
    bad = good;
    quring_limits limits;
    quring_limits_init(&limits);
    limits.ack_ranges_max = 0;
    bad.limits = &limits;
    expect_inval(bad, "limits.ack_ranges_max");
    quring_listener *listener = nullptr;
    EXPECT_EQ(quring_listen(nullptr, &listener, &good, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_listen(runtime_.rt(), nullptr, &good, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_listen(runtime_.rt(), &listener, nullptr, nullptr), QURING_E_INVAL);
    quring_listener_close(nullptr);
}

TEST_P(ListenerTest, AClosedListenersPortIsFreeAgain)
{
    Listener first(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    ASSERT_TRUE(first.ok()) << first.error().message;
    const quring_addr addr = first.local();
    first.Close();
    /* Several workers let go of theirs at their next look, and an old kernel when it gets to it. */
    const uint64_t begun = quring_now_ns();
    for (;;) {
        Listener again(&runtime_, &peer_, addr, tls_.get());
        if (again.ok()) {
            EXPECT_EQ(again.local().port, addr.port);
            break;
        }
        ASSERT_EQ(again.error().status, QURING_E_ADDR_IN_USE);
        ASSERT_LT(quring_now_ns() - begun, 60 * quring_test::kSecond);
        usleep(1000);
    }
}

TEST_P(ListenerTest, ManyListenersComeAndGo)
{
    for (int i = 0; i < 100; i++) {
        Listener listener(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
        ASSERT_TRUE(listener.ok()) << i << ": " << listener.error().message;
    }
}

TEST_P(ListenerTest, DestroyTakesListenersAlong)
{
    Listener listener(&runtime_, &peer_, Addr("[::]:0"), tls_.get());
    if (!listener.ok()) {
        GTEST_SKIP() << listener.error().message;
    }
    EXPECT_EQ(listener.local().family, 6);
    runtime_.Destroy();
    listener.Forget();
}

TEST_P(ListenerTest, DrainingRefusesNewListeners)
{
    quring_runtime_drain(runtime_.rt());
    Listener listener(&runtime_, &peer_, Addr("127.0.0.1:0"), tls_.get());
    EXPECT_EQ(listener.error().status, QURING_E_STATE);
}

/* Initials of one client, again and again, from several ports. */
class Storm
{
  public:
    /* `client` outlives the runtime. */
    Storm(Peer *client, Runtime *runtime, quring_tls *tls)
    {
        const int place = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in in = {};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(place, reinterpret_cast<const sockaddr *>(&in), sizeof(in)), 0);
        socklen_t len = sizeof(in);
        EXPECT_EQ(getsockname(place, reinterpret_cast<sockaddr *>(&in), &len), 0);
        to_ = in;
        quring_conn conn = {0};
        EXPECT_EQ(client->Connect(&conn, runtime, 0, At(), tls), QURING_OK);
        initial_.resize(2000);
        const ssize_t got = recv(place, initial_.data(), initial_.size(), 0);
        EXPECT_GE(got, 1200);
        initial_.resize(got > 0 ? size_t(got) : 0);
        close(place);
        thread_ = std::thread([this] { Blow(); });
    }
    ~Storm()
    {
        over_ = true;
        thread_.join();
    }
    Storm(const Storm &) = delete;
    Storm &operator=(const Storm &) = delete;
    quring_addr At() const
    {
        quring_addr addr = Addr("127.0.0.1");
        addr.port = ntohs(to_.sin_port);
        return addr;
    }

  private:
    void Blow()
    {
        int fds[8];
        for (int &fd : fds) {
            fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        }
        while (!over_) {
            for (const int fd : fds) {
                (void)!sendto(fd, initial_.data(), initial_.size(), 0,
                              reinterpret_cast<const sockaddr *>(&to_), sizeof(to_));
            }
            usleep(100);
        }
        for (const int fd : fds) {
            close(fd);
        }
    }

    sockaddr_in to_ = {};
    quring_test::Bytes initial_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

/* One worker has no place for another socket: the call fails, and then nobody may have come in by the other. */
TEST(ListenerOfWorkers, WhatFailsAtOneHasAcceptedNobody)
{
    const Tls server_tls = ServerTls();
    const Tls client_tls = ClientTls();
    Peer filler, peer, other;
    Runtime server(Config(QURING_IO_AUTO, 2));
    Runtime client(Config(QURING_IO_AUTO, 1));
    ASSERT_NE(server.rt(), nullptr);
    ASSERT_NE(client.rt(), nullptr);
    quring_status status = QURING_OK;
    uint64_t made = 0;
    ASSERT_TRUE(server.On(1, [&] {
        for (int i = 0; i < 100 && status == QURING_OK; i++) {
            quring_connect_options options = {};
            options.remote = Addr("127.0.0.1:9");
            options.local =
                Squatter(false).addr(); /* a port of its own takes a socket of its own */
            options.tls = client_tls.get();
            options.on_event = Peer::OnEvent;
            options.ctx = &filler;
            quring_conn conn = {0};
            status = quring_connect(&conn, &options, nullptr);
            made += status == QURING_OK ? 1 : 0;
        }
    }));
    ASSERT_NE(status, QURING_OK);
    Storm storm(&other, &client, client_tls.get());
    Listener listener(&server, &peer, storm.At(), server_tls.get());
    EXPECT_FALSE(listener.ok());
    usleep(20000);
    quring_stats stats = {};
    const uint64_t begun = quring_now_ns();
    do { /* what a worker counts is to be seen a little later */
        ASSERT_EQ(quring_stats_get(server.rt(), -1, &stats), QURING_OK);
    } while (stats.conns_opened < made && quring_now_ns() - begun < 60 * quring_test::kSecond);
    EXPECT_EQ(stats.conns_opened, made);
}

INSTANTIATE_TEST_SUITE_P(Workers, ListenerTest, testing::Values(1u, 3u),
                         testing::PrintToStringParamName());

} // namespace
