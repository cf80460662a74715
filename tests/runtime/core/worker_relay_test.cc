/* What a worker does with datagrams that came to an address of several processes. */
#include <arpa/inet.h>
#include <cstring>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/clock.h"
#include "runtime/core/relay.h"
#include "runtime/udp/sockaddr.h"
#include "tests/runtime/core/worker_fixture.h"

namespace
{

constexpr uint32_t kGroup = 7;
constexpr uint8_t kNobody = 201; /* no process has so high a number here */

class WorkerRelay : public testing::TestWithParam<quring_io_backend>
{
  protected:
    void SetUp() override
    {
        const rt_worker_config config = WorkerConfig(GetParam());
        worker_ = rt_worker_create(&config);
        ASSERT_NE(nullptr, worker_);
        if (rt_worker_open(worker_) != 0) {
            rt_worker_destroy(worker_);
            worker_ = nullptr;
            GTEST_SKIP() << "no such back end here";
        }
        const uint8_t loopback[4] = {127, 0, 0, 1};
        rt_udp_options options = {};
        options.local = rt_addr_from_in4(loopback, 0);
        rt_udp_socket sock;
        ASSERT_EQ(0, rt_udp_open(&sock, &options));
        addr_ = sock.local;
        ASSERT_EQ(0, rt_process_open(&ours_));
        ASSERT_EQ(0, rt_process_open(&theirs_));
        const uint32_t flags = RT_RELAY_ACCEPTS | RT_RELAY_FIRST;
        rt_udp_socket inbox;
        ASSERT_EQ(0, rt_relay_open(&relay_, &inbox, &ours_, &addr_, flags));
        ASSERT_EQ(0, rt_relay_open(&other_, &other_inbox_, &theirs_, &addr_, flags));
        uint32_t inbox_index = 0;
        ASSERT_EQ(0, rt_worker_add_socket(worker_, &socket_, &sock, kGroup));
        ASSERT_EQ(0, rt_worker_add_socket(worker_, &inbox_index, &inbox, kGroup));
        rt_worker_share(worker_, socket_, relay_, false);
        rt_worker_share(worker_, inbox_index, relay_, true);
        quic_endpoint_set_process(rt_worker_endpoint(worker_), ours_.number);
        rt_relay_announce(other_, rt_clock_now());
        ASSERT_TRUE(Turn([&] { return rt_relay_knows(relay_, theirs_.number); }));
        (void)Theirs();
        from_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    void TearDown() override
    {
        if (worker_ == nullptr) {
            return;
        }
        close(from_);
        rt_worker_close(worker_);
        rt_worker_destroy(worker_);
        rt_relay_close(relay_);
        rt_relay_close(other_);
        rt_udp_close(&other_inbox_);
        rt_relay_batch_deinit(&batch_);
        rt_process_close(&ours_);
        rt_process_close(&theirs_);
    }

    /* Turns until `done`; a worker that waits for ever is broken. */
    bool Turn(const std::function<bool()> &done)
    {
        for (int i = 0; i < 500 && !done(); i++) {
            const quic_ns now = rt_clock_now();
            (void)rt_io_wait(rt_worker_io(worker_), now, now + 10 * QUIC_NS_PER_MS);
            (void)rt_worker_turn(worker_, rt_clock_now());
        }
        return done();
    }
    uint64_t Received()
    {
        return rt_io_get_stats(rt_worker_io(worker_))->rx_units;
    }
    void Send(const std::string &bytes)
    {
        sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(addr_.port);
        const uint64_t before = Received();
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  sendto(from_, bytes.data(), bytes.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to), sizeof(to)));
        ASSERT_TRUE(Turn([&] { return Received() > before; }));
    }
    /* What has come to the other process. */
    std::vector<std::string> Theirs()
    {
        std::vector<std::string> units;
        std::vector<uint8_t> buf(65536);
        ssize_t len = 0;
        while ((len = rt_process_receive(&other_inbox_, buf.data(), buf.size())) >= 0) {
            rt_relay_reader reader;
            quic_rx_unit unit;
            rt_relay_read(&reader, other_, buf.data(), static_cast<uint32_t>(len), rt_clock_now());
            while (rt_relay_read_next(&reader, &unit, &hops_)) {
                units.emplace_back(reinterpret_cast<const char *>(unit.data), unit.len);
            }
        }
        return units;
    }
    /* A connection ID of process `number`, or of nobody's making. */
    static std::string Cid(uint8_t number)
    {
        std::string cid = "abcdefgh";
        cid[5] = static_cast<char>(cid[1] ^ 0x5c);
        cid[6] = static_cast<char>(cid[0] ^ number);
        return cid;
    }
    static std::string Short(const std::string &cid)
    {
        return std::string("\x40", 1) + cid + std::string(100, 's');
    }
    static std::string Long(const std::string &cid)
    {
        return std::string("\xc0\x00\x00\x00\x01\x08", 6) + cid + std::string(1200, 'l');
    }

    rt_worker *worker_ = nullptr;
    rt_process ours_ = {};
    rt_process theirs_ = {};
    rt_relay *relay_ = nullptr;
    rt_relay *other_ = nullptr;
    rt_udp_socket other_inbox_ = {};
    rt_relay_batch batch_ = {};
    quic_addr addr_ = {};
    uint32_t socket_ = 0;
    uint32_t hops_ = 0;
    int from_ = -1;
};

TEST_P(WorkerRelay, WhatNamesAnotherGoesThere)
{
    const std::string theirs = Short(Cid(theirs_.number));
    Send(theirs);
    EXPECT_EQ(std::vector<std::string>{theirs}, Theirs());
    EXPECT_EQ(0u, hops_);
    Send(Long(Cid(theirs_.number)));
    EXPECT_EQ(std::vector<std::string>{Long(Cid(theirs_.number))}, Theirs());
    Send(Short(Cid(ours_.number)));
    Send(Short(Cid(kNobody)));
    Send(Short("unnamed!"));
    EXPECT_TRUE(Theirs().empty());
    EXPECT_EQ(3u, quic_endpoint_counters(rt_worker_endpoint(worker_))->drop_unknown_cid);
}

/* One that lives and has not been heard of is asked who it is: its client sends again. */
TEST_P(WorkerRelay, WhatNamesOneThatIsNotKnownYetIsLostAndCounted)
{
    rt_process late = {};
    rt_relay *relay = nullptr;
    rt_udp_socket inbox;
    ASSERT_EQ(0, rt_process_open(&late));
    ASSERT_EQ(0, rt_relay_open(&relay, &inbox, &late, &addr_, RT_RELAY_ACCEPTS));
    quic_counters counters;
    Send(Short(Cid(late.number)));
    rt_worker_stats(worker_, &counters);
    EXPECT_EQ(1u, counters.relay_lost);
    EXPECT_EQ(0u, counters.relayed);
    EXPECT_EQ(0u, counters.drop_unknown_cid);
    rt_relay_close(relay);
    rt_udp_close(&inbox);
    rt_process_close(&late);
}

/* A client's first connection ID names anybody or nobody, by chance. */
TEST_P(WorkerRelay, StrangersGoToWhoListens)
{
    for (const std::string &cid : {std::string("unnamed!"), Cid(kNobody), Cid(ours_.number)}) {
        Send(Long(cid));
        EXPECT_EQ(std::vector<std::string>{Long(cid)}, Theirs()) << cid;
        EXPECT_EQ(1u, hops_);
    }
    quic_accept_config accept = {};
    quring_limits_init(&accept.limits);
    accept.any_worker = true;
    ASSERT_EQ(QUIC_OK, quic_endpoint_listen(rt_worker_endpoint(worker_), socket_, &accept));
    for (const std::string &cid : {std::string("unnamed!"), Cid(kNobody), Cid(ours_.number)}) {
        Send(Long(cid));
        EXPECT_TRUE(Theirs().empty()) << cid;
    }
}

TEST_P(WorkerRelay, StrangersDoNotGoRoundForEver)
{
    std::string bytes = Long("unnamed!");
    quic_rx_unit unit = {};
    unit.data = reinterpret_cast<uint8_t *>(&bytes[0]);
    unit.len = unit.seg_len = static_cast<uint32_t>(bytes.size());
    unit.path.local = unit.path.remote = addr_;
    for (uint32_t hops : {RT_RELAY_HOPS_MAX - 1, RT_RELAY_HOPS_MAX}) {
        const uint64_t before = Received();
        rt_relay_add(&batch_, other_, ours_.number, &unit, hops, rt_clock_now());
        rt_relay_flush(&batch_, rt_clock_now());
        ASSERT_TRUE(Turn([&] { return Received() > before; }));
        EXPECT_EQ(hops < RT_RELAY_HOPS_MAX ? 1u : 0u, Theirs().size()) << hops;
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, WorkerRelay, testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param_info) {
                             return param_info.param == QURING_IO_URING ? "uring" : "epoll";
                         });

} // namespace
