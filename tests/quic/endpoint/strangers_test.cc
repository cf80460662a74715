/* Clients of one listener that have not proved their address: how many get in (RFC 9000 8.1, 21.3). */
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quic/endpoint/strangers.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr uint32_t kMax = 4;

TEST(H70_Strangers, AtTheBoundAndForAWhileAfterNobodyGetsIn)
{
    quic_strangers s{};
    EXPECT_FALSE(quic_strangers_enter(&s, 0, 5 * kS, kS));
    s = {};
    for (uint32_t i = 0; i < kMax; i++) {
        EXPECT_TRUE(quic_strangers_enter(&s, kMax, 5 * kS, kS));
    }
    EXPECT_FALSE(quic_strangers_enter(&s, kMax, 5 * kS, 2 * kS));
    quic_strangers_leave(&s);
    EXPECT_FALSE(quic_strangers_enter(&s, kMax, 5 * kS, 7 * kS - 1));
    EXPECT_EQ(s.count, kMax - 1);
    EXPECT_TRUE(quic_strangers_enter(&s, kMax, 5 * kS, 7 * kS));
    EXPECT_FALSE(quic_strangers_enter(&s, kMax - 1, 5 * kS, 100 * kS)) << "the bound may fall";
    EXPECT_EQ(s.count, kMax);
}

TEST(H70_Strangers, WorkersShareTheBound)
{
    quic_strangers s{};
    std::vector<std::thread> workers;
    for (int i = 0; i < 4; i++) {
        workers.emplace_back([&s] {
            for (int k = 0; k < 20000; k++) {
                if (quic_strangers_enter(&s, 2, 0, kS)) {
                    EXPECT_LE(__atomic_load_n(&s.count, __ATOMIC_RELAXED), 2u);
                    quic_strangers_leave(&s);
                }
            }
        });
    }
    for (std::thread &worker : workers) {
        worker.join();
    }
    EXPECT_EQ(s.count, 0u);
}

class H70_Listener : public testing::Test
{
  protected:
    /* The first packet of one more client somewhere, that is never heard of again; `real`: it can be opened. */
    void knock(bool real = true)
    {
        InitialSpec spec;
        spec.dcid = spec.key_dcid = make_cid(0x7777000000000000u + ++knocks_);
        spec.scid = make_cid(knocks_);
        spec.frames = {0x01};
        Bytes p = forge_initial(spec);
        p.back() ^= real ? 0 : 1;
        net.client.addr.ip[1] = 200;
        net.inject(net.server, p, static_cast<uint16_t>(1024 + knocks_));
        net.client.addr.ip[1] = 0;
    }
    void knock_often(uint32_t count)
    {
        for (uint32_t i = 0; i < count; i++) {
            knock();
        }
        net.run_for(10 * kMs);
    }
    uint64_t retries()
    {
        return quic_endpoint_counters(net.server.ep)->sent_retry;
    }
    Net net{[](sim::Options &o) { o.server.limits.unproved_retry = kMax; }};

  private:
    uint32_t knocks_ = 0;
};

TEST_F(H70_Listener, ForgedAddressesGetPlacesUpToItsBound)
{
    knock_often(50);
    EXPECT_EQ(sim_inspect_half_open(net.server.ep), kMax);
    EXPECT_EQ(net.strangers.count, kMax);
    EXPECT_EQ(retries(), 50 - kMax);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->load_episodes, 0u);

    ASSERT_TRUE(net.handshake()); /* who comes back with the token gets in */
    EXPECT_TRUE(info_of(net.client).retry_used);
    EXPECT_EQ(net.strangers.count, kMax);

    net.run_for(60 * kS); /* the others never came */
    EXPECT_EQ(net.strangers.count, 0u);
    const uint64_t before = retries();
    ASSERT_NE(net.connect(5001), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CONNECTED) == 2; }));
    EXPECT_EQ(retries(), before);
}

TEST_F(H70_Listener, WhoProvedItsAddressIsNotCounted)
{
    for (uint16_t i = 0; i < 3 * kMax; i++) {
        ASSERT_NE(net.connect(static_cast<uint16_t>(5000 + i)), nullptr);
        ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CONNECTED) == i + 1u; }));
        EXPECT_EQ(net.strangers.count, 0u);
    }
    EXPECT_EQ(retries(), 0u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 3 * kMax);
}

TEST_F(H70_Listener, NoiseTakesNoPlace)
{
    for (uint32_t i = 0; i < 10 * kMax; i++) {
        knock(false);
    }
    EXPECT_EQ(net.strangers.count, 0u);
    EXPECT_EQ(retries(), 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 10 * kMax);
}

/* A place is given back when its client ends the handshake by itself. */
TEST_F(H70_Listener, PlacesOfTheDeadAreFree)
{
    for (int i = 0; i < 2; i++) {
        for (uint16_t k = 0; k < kMax - 1; k++) {
            quic_conn *conn = net.connect(static_cast<uint16_t>(6000 + 100 * i + k));
            ASSERT_NE(conn, nullptr);
            net.run_for(net.delay + kMs);
            EXPECT_EQ(net.strangers.count, 1u);
            EXPECT_EQ(quic_conn_close(conn, 7, "changed my mind"), QUIC_OK);
            net.run_for(4 * net.delay);
            EXPECT_EQ(net.strangers.count, 0u);
        }
    }
    EXPECT_EQ(retries(), 0u);
}

TEST_F(H70_Listener, AnEndpointEndsWithoutItsListener)
{
    knock_often(kMax);
    EXPECT_EQ(net.strangers.count, kMax);
    quic_endpoint_destroy(net.server.ep); /* the count may be gone by then: it is left alone */
    EXPECT_EQ(net.strangers.count, kMax);
    net.server.ep = nullptr;
}

} // namespace
