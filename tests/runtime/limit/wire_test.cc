#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/limit/wire.h"

namespace
{

struct Pair {
    std::vector<uint8_t> out = std::vector<uint8_t>(RT_LIMIT_APP_BYTES);
    std::vector<uint8_t> in = std::vector<uint8_t>(RT_LIMIT_APP_BYTES);
    rt_limit_wire tx;
    rt_limit_wire rx;

    explicit Pair(const quic_crypto *crypto)
    {
        for (size_t i = 0; i < out.size(); i++) {
            out[i] = static_cast<uint8_t>(i * 31 + i / 251);
        }
        EXPECT_EQ(rt_limit_wire_init(&tx, crypto, 'd', out.data()), QUIC_OK);
        EXPECT_EQ(rt_limit_wire_init(&rx, crypto, 'd', in.data()), QUIC_OK);
    }
    ~Pair()
    {
        rt_limit_wire_deinit(&tx);
        rt_limit_wire_deinit(&rx);
    }
};

TEST(LimitWire, DeliversTheApplicationsBytes)
{
    Pair p(quic_crypto_best());
    std::vector<uint8_t> unit(45 * 1452);
    for (int round = 0; round < 1500; round++) { /* beyond the 16 bits of a packet number's end */
        rt_limit_wire_seal(&p.tx, unit.data(), 45, 1452);
        ASSERT_EQ(rt_limit_wire_open(&p.rx, unit.data(), unit.size(), 1452), 45u);
    }
    EXPECT_EQ(p.rx.bytes, 67500u * (1452 - RT_LIMIT_OVERHEAD));
    EXPECT_EQ(p.rx.bad, 0u);
    EXPECT_EQ(p.rx.app_off, p.tx.app_off);
    EXPECT_EQ(memcmp(p.in.data(), p.out.data(), 45 * (1452 - RT_LIMIT_OVERHEAD)), 0);
}

TEST(LimitWire, ProvidersUnderstandEachOther)
{
    const quic_crypto *imb = quic_crypto_ipsec_mb();
    if (imb == nullptr) {
        GTEST_SKIP() << "no ipsec-mb here";
    }
    Pair p(quic_crypto_boringssl());
    std::vector<uint8_t> in(RT_LIMIT_APP_BYTES);
    rt_limit_wire rx;
    ASSERT_EQ(rt_limit_wire_init(&rx, imb, 'd', in.data()), QUIC_OK);
    std::vector<uint8_t> unit(10 * 1200);
    rt_limit_wire_seal(&p.tx, unit.data(), 10, 1200);
    EXPECT_EQ(rt_limit_wire_open(&rx, unit.data(), unit.size(), 1200), 10u);
    rt_limit_wire_deinit(&rx);
}

TEST(LimitWire, CountsWhatDoesNotOpen)
{
    Pair p(quic_crypto_best());
    std::vector<uint8_t> unit(3 * 1200);
    rt_limit_wire_seal(&p.tx, unit.data(), 3, 1200);
    unit[1200 + 500] ^= 1;
    EXPECT_EQ(rt_limit_wire_open(&p.rx, unit.data(), unit.size(), 1200), 2u);
    EXPECT_EQ(p.rx.bad, 1u);
    uint8_t runt[20] = {0x41};
    EXPECT_EQ(rt_limit_wire_open(&p.rx, runt, sizeof(runt), sizeof(runt)), 0u);
    EXPECT_EQ(rt_limit_wire_open(&p.rx, runt, 0, 0), 0u);
}

TEST(LimitWire, CarriesAcknowledgements)
{
    Pair p(quic_crypto_best());
    for (uint64_t n = 0; n < 200000; n += 1 + n / 3) {
        uint8_t ack[RT_LIMIT_ACK_LEN];
        uint64_t acked = 0;
        rt_limit_wire_seal_ack(&p.tx, ack, n);
        ASSERT_TRUE(rt_limit_wire_open_ack(&p.rx, &acked, ack, sizeof(ack)));
        EXPECT_EQ(acked, n);
        EXPECT_FALSE(rt_limit_wire_open_ack(&p.rx, &acked, ack, sizeof(ack) - 1));
    }
}

TEST(LimitWire, ExpandsPacketNumbers)
{
    EXPECT_EQ(rt_limit_expand_pn(1, 1), 1u);
    EXPECT_EQ(rt_limit_expand_pn(0x10000, 0xffff), 0xffffu);
    EXPECT_EQ(rt_limit_expand_pn(0xffff, 0x0002), 0x10002u);
    EXPECT_EQ(rt_limit_expand_pn(0x2a5f1, 0xa5f1), 0x2a5f1u);
    EXPECT_EQ(rt_limit_expand_pn(5, 0xfff0), 0xfff0u); /* none below it to choose */
}

} // namespace
