/* Every cipher suite with every provider of AEADs: the secrets come from the scripted handshake, packets
 * are protected for real (RFC 9001 5, 6). */
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/crypto.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

using Provider = const quic_crypto *(*)();

class Suites : public testing::TestWithParam<std::tuple<uint16_t, Provider>>
{
  protected:
    static uint16_t suite()
    {
        return std::get<0>(GetParam());
    }
    static const quic_crypto *provider()
    {
        return std::get<1>(GetParam())();
    }
    static void Choose(sim::Options &o)
    {
        o.suite = suite();
        o.crypto = provider();
    }
};

TEST_P(Suites, MoveDataAcrossKeyUpdates)
{
    if (provider() == nullptr) {
        GTEST_SKIP() << "this machine has no such provider";
    }
    Net net(Choose);
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    for (int i = 0; i < 4; i++) {
        Side &mover = i % 2 == 0 ? net.client : net.server;
        Side &other = i % 2 == 0 ? net.server : net.client;
        const bool before = sim_inspect_key_phase(mover.conn);
        const std::string bytes(100000, static_cast<char>('a' + i));
        ASSERT_EQ(quic_conn_update_keys(mover.conn), QUIC_OK) << i;
        const uint64_t id = net.write(mover, bytes, true);
        ASSERT_TRUE(net.run_until([&] { return other.streams[id].fin; })) << i;
        EXPECT_EQ(other.streams[id].bytes, bytes);
        net.run_for(2 * kS); /* the end of the old keys */
        EXPECT_NE(sim_inspect_key_phase(mover.conn), before) << i;
        EXPECT_EQ(sim_inspect_key_phase(other.conn), !before) << i;
    }
    quring_conn_info info;
    quic_conn_get_info(net.server.conn, &info);
    EXPECT_EQ(info.cipher_suite, suite());
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

/* RFC 9001 5.5: what fails to open is dropped, and changes nothing. */
TEST_P(Suites, DropWhatIsNotAuthentic)
{
    if (provider() == nullptr) {
        GTEST_SKIP() << "this machine has no such provider";
    }
    Net net(Choose);
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    unsigned damaged = 0;
    net.filter = [&](Packet &p) {
        if (damaged < 20) {
            p.bytes[p.bytes.size() - 1 - damaged % 16] ^= 0x40;
            damaged++;
        }
        return true;
    };
    const uint64_t id = net.write(net.client, std::string(30000, 'x'), true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(damaged, 20u);
    EXPECT_EQ(net.server.streams[id].bytes, std::string(30000, 'x'));
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
}

INSTANTIATE_TEST_SUITE_P(All, Suites,
                         testing::Combine(testing::Values(uint16_t{0x1301}, uint16_t{0x1302},
                                                          uint16_t{0x1303}, uint16_t{0x1304}),
                                          testing::Values(quic_crypto_boringssl,
                                                          quic_crypto_ipsec_mb)));

/* RFC 9001 6.6, B.2: 2^21.5 packets are AES-CCM's limit, less than what AES-GCM is updated after. */
class CcmLimit : public testing::Test
{
  protected:
    static constexpr uint64_t kLimit = 2965820; /* 2^21.5 */
    static void Choose(sim::Options &o)
    {
        o.suite = 0x1304;
        o.crypto = quic_crypto_boringssl();
    }
};

TEST_F(CcmLimit, KeysAreUpdatedBeforeIt)
{
    Net net(Choose);
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    inject_wear_keys(net.server.conn, kLimit / 2 - 5);
    net.write(net.server, "still the first keys", true);
    net.run_for(kMs);
    EXPECT_FALSE(sim_inspect_key_phase(net.server.conn));
    inject_wear_keys(net.server.conn, kLimit / 2);
    const uint64_t id = net.write(net.server, "the next ones", true);
    ASSERT_TRUE(net.run_until([&] { return net.client.streams[id].fin; }));
    EXPECT_TRUE(sim_inspect_key_phase(net.server.conn));
    EXPECT_TRUE(sim_inspect_key_phase(net.client.conn));
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
}

TEST_F(CcmLimit, IsNotPassedWhenNoUpdateIsPossible)
{
    Net net(Choose);
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    inject_stop_updates(net.server.conn);
    inject_wear_keys(net.server.conn, kLimit - 500);
    net.write(net.server, "too late", true);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CLOSED) == 1; }));
    EXPECT_EQ(net.server.close_code(), static_cast<uint64_t>(QUIC_V_AEAD_LIMIT_REACHED));
}

} // namespace
