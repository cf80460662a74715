#include <thread>

#include <gtest/gtest.h>

#include "quic/crypto/keys.h"
#include "tests/quic/crypto/crypto_test_util.h"
#include "tests/quic/crypto/rfc9001_vectors.h"
#include "tests/quic/crypto/rfc9369_vectors.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Hex;
using crypto_test::TestMem;
using crypto_test::TestRng;
using crypto_test::Unhex;

constexpr uint16_t kSuites[] = {0x1301, 0x1302, 0x1303, 0x1304};
constexpr uint32_t kVersion2 = 0x6b3343cf;

size_t SecretLen(uint16_t suite)
{
    return suite == 0x1302 ? 48 : 32;
}

std::vector<const quic_crypto *> Providers()
{
    std::vector<const quic_crypto *> all = {quic_crypto_boringssl()};
    if (quic_crypto_ipsec_mb() != nullptr) {
        all.push_back(quic_crypto_ipsec_mb());
    }
    return all;
}

quic_cid RfcDcid()
{
    quic_cid cid = {};
    const Bytes bytes = Unhex(rfc9001::kDcid);
    quic_cid_set(&cid, bytes.data(), bytes.size());
    return cid;
}

class Keys : public ::testing::TestWithParam<const quic_crypto *>
{
  protected:
    void TearDown() override
    {
        for (quic_keys *k : made_) {
            quic_keys_destroy(k);
        }
        EXPECT_EQ(mem_.used(), 0u);
    }
    quic_keys *Make(uint16_t suite, const Bytes &secret)
    {
        quic_keys *k = nullptr;
        EXPECT_EQ(quic_keys_create(&k, GetParam(), mem_.get(), QUIC_VERSION_1, suite, secret.data(),
                                   secret.size()),
                  QUIC_OK);
        made_.push_back(k);
        return k;
    }
    quic_keys *MakeVersion(uint32_t version, uint16_t suite, const Bytes &secret)
    {
        quic_keys *k = nullptr;
        EXPECT_EQ(quic_keys_create(&k, GetParam(), mem_.get(), version, suite, secret.data(),
                                   secret.size()),
                  QUIC_OK);
        made_.push_back(k);
        return k;
    }
    void Initial(quic_keys **client, quic_keys **server, uint32_t version = 1)
    {
        const quic_cid dcid = RfcDcid();
        ASSERT_EQ(quic_keys_create_initial(client, server, GetParam(), mem_.get(), version, &dcid),
                  QUIC_OK);
        made_.push_back(*client);
        made_.push_back(*server);
    }
    TestMem mem_;
    std::vector<quic_keys *> made_;
};

/* Protects header + payload as RFC 9001 5.4.1 says. */
Bytes Protect(quic_keys *k, uint64_t pn, Bytes header, const Bytes &payload, bool long_header)
{
    const size_t pn_len = (header[0] & 3u) + 1u;
    const size_t pn_off = header.size() - pn_len;
    Bytes packet = header;
    packet.insert(packet.end(), payload.begin(), payload.end());
    packet.resize(packet.size() + QUIC_AEAD_TAG_LEN);
    quic_keys_seal(k, pn, header.data(), header.size(), packet.data() + header.size(),
                   payload.size());
    uint8_t mask[16];
    quic_keys_hp_mask(k, packet.data() + pn_off + 4, mask);
    packet[0] ^= mask[0] & (long_header ? 0x0f : 0x1f);
    for (size_t i = 0; i < pn_len; i++) {
        packet[pn_off + i] ^= mask[1 + i];
    }
    return packet;
}

TEST_P(Keys, SealsRfc9001ClientInitial)
{
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;
    Initial(&client, &server);
    EXPECT_EQ(Hex(client->iv, 12), rfc9001::kClientIv);
    EXPECT_EQ(Hex(client->hp_key, 16), rfc9001::kClientHp);
    Bytes payload = Unhex(rfc9001::kClientInitialFrame);
    payload.resize(1162);
    const Bytes packet = Protect(client, 2, Unhex(rfc9001::kClientInitialHeader), payload, true);
    EXPECT_EQ(Hex(packet), rfc9001::kClientInitialPacket);
    const Bytes sample = Unhex(rfc9001::kClientInitialSample);
    uint8_t mask[16];
    quic_keys_hp_mask(client, sample.data(), mask);
    EXPECT_EQ(Hex(mask, 5), rfc9001::kClientInitialMask);
}

TEST_P(Keys, SealsAndOpensRfc9001ServerInitial)
{
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;
    Initial(&client, &server);
    const Bytes header = Unhex(rfc9001::kServerInitialHeader);
    const Bytes payload = Unhex(rfc9001::kServerInitialPayload);
    Bytes packet = Protect(server, 1, header, payload, true);
    EXPECT_EQ(Hex(packet), rfc9001::kServerInitialPacket);
    ASSERT_TRUE(quic_keys_open(server, 1, header.data(), header.size(),
                               packet.data() + header.size(), packet.size() - header.size()));
    EXPECT_EQ(Hex(packet.data() + header.size(), payload.size()), Hex(payload));
}

TEST_P(Keys, SealsRfc9001ChaChaShortHeader)
{
    quic_keys *k = Make(0x1303, Unhex(rfc9001::kChachaSecret));
    EXPECT_EQ(Hex(k->iv, 12), rfc9001::kChachaIv);
    EXPECT_EQ(Hex(k->hp_key, 32), rfc9001::kChachaHp);
    const Bytes packet = Protect(k, rfc9001::kChachaPn, Unhex(rfc9001::kChachaHeader),
                                 Unhex(rfc9001::kChachaPlaintext), false);
    EXPECT_EQ(Hex(packet), rfc9001::kChachaPacket);
}

/* RFC 9369 A.2, A.3 */
TEST_P(Keys, SealsRfc9369Initials)
{
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;
    Initial(&client, &server, kVersion2);
    EXPECT_EQ(Hex(client->secret, 32), rfc9369::kClientSecret);
    EXPECT_EQ(Hex(client->iv, 12), rfc9369::kClientIv);
    EXPECT_EQ(Hex(client->hp_key, 16), rfc9369::kClientHp);
    EXPECT_EQ(Hex(server->secret, 32), rfc9369::kServerSecret);
    EXPECT_EQ(Hex(server->iv, 12), rfc9369::kServerIv);
    EXPECT_EQ(Hex(server->hp_key, 16), rfc9369::kServerHp);
    Bytes payload = Unhex(rfc9369::kClientInitialFrame);
    payload.resize(1162);
    EXPECT_EQ(Hex(Protect(client, 2, Unhex(rfc9369::kClientInitialHeader), payload, true)),
              rfc9369::kClientInitialPacket);
    payload = Unhex(rfc9369::kServerInitialPayload);
    const Bytes header = Unhex(rfc9369::kServerInitialHeader);
    Bytes packet = Protect(server, 1, header, payload, true);
    EXPECT_EQ(Hex(packet), rfc9369::kServerInitialPacket);
    EXPECT_TRUE(quic_keys_open(server, 1, header.data(), header.size(),
                               packet.data() + header.size(), packet.size() - header.size()));
}

/* RFC 9369 A.5, key update included: a version's keys keep its labels. */
TEST_P(Keys, SealsRfc9369ChaChaShortHeader)
{
    quic_keys *k = MakeVersion(kVersion2, 0x1303, Unhex(rfc9369::kChachaSecret));
    EXPECT_EQ(Hex(k->iv, 12), rfc9369::kChachaIv);
    EXPECT_EQ(Hex(k->hp_key, 32), rfc9369::kChachaHp);
    const Bytes packet = Protect(k, rfc9369::kChachaPn, Unhex(rfc9369::kChachaHeader),
                                 Unhex(rfc9369::kChachaPlaintext), false);
    EXPECT_EQ(Hex(packet), rfc9369::kChachaPacket);
    quic_keys *next = nullptr;
    ASSERT_EQ(quic_keys_update(&next, k, mem_.get()), QUIC_OK);
    made_.push_back(next);
    EXPECT_EQ(Hex(next->secret, 32), rfc9369::kChachaKu);
    quic_keys *fresh = MakeVersion(kVersion2, 0x1303, Unhex(rfc9369::kChachaKu));
    EXPECT_EQ(Hex(next->iv, 12), Hex(fresh->iv, 12));
    quic_keys *last = nullptr;
    quic_keys *last_fresh = nullptr;
    ASSERT_EQ(quic_keys_update(&last, next, mem_.get()), QUIC_OK);
    ASSERT_EQ(quic_keys_update(&last_fresh, fresh, mem_.get()), QUIC_OK);
    made_.push_back(last);
    made_.push_back(last_fresh);
    EXPECT_EQ(Hex(last->secret, 32), Hex(last_fresh->secret, 32));
}

TEST_P(Keys, VersionsDoNotOpenEachOther)
{
    for (uint16_t suite : kSuites) {
        const Bytes secret(SecretLen(suite), 0x77);
        quic_keys *v1 = MakeVersion(1, suite, secret);
        quic_keys *v2 = MakeVersion(kVersion2, suite, secret);
        quic_keys *same = Make(suite, secret);
        Bytes buf(60 + QUIC_AEAD_TAG_LEN, 3);
        quic_keys_seal(v1, 5, secret.data(), 20, buf.data(), 60);
        Bytes copy = buf;
        EXPECT_FALSE(quic_keys_open(v2, 5, secret.data(), 20, copy.data(), copy.size()));
        EXPECT_TRUE(quic_keys_open(same, 5, secret.data(), 20, buf.data(), buf.size()));
    }
}

/* RFC 9001 6.1: the next secret, the same header protection. */
TEST_P(Keys, UpdateFollowsRfc9001)
{
    for (uint16_t suite : kSuites) {
        TestRng rng(suite);
        Bytes secret = rng.Take(SecretLen(suite));
        if (suite == 0x1303) {
            secret = Unhex(rfc9001::kChachaSecret);
        }
        quic_keys *cur = Make(suite, secret);
        cur->open_failed_count = 7;
        cur->sealed_count = 9;
        quic_keys *next = nullptr;
        ASSERT_EQ(quic_keys_update(&next, cur, mem_.get()), QUIC_OK);
        made_.push_back(next);
        if (suite == 0x1303) {
            EXPECT_EQ(Hex(next->secret, 32), rfc9001::kChachaKu);
        }
        quic_keys *fresh = Make(suite, Bytes(next->secret, next->secret + next->secret_len));
        EXPECT_EQ(Hex(next->iv, 12), Hex(fresh->iv, 12));
        EXPECT_NE(Hex(next->iv, 12), Hex(cur->iv, 12));
        EXPECT_EQ(quic_keys_sealed_count(next), 0u);
        EXPECT_EQ(quic_keys_open_failed_count(next), 7u);
        const Bytes sample = rng.Take(16);
        uint8_t a[16], b[16];
        quic_keys_hp_mask(cur, sample.data(), a);
        quic_keys_hp_mask(next, sample.data(), b);
        EXPECT_EQ(Hex(a, 5), Hex(b, 5));
        /* What the old keys sealed, the new ones do not open; the old ones still do. */
        Bytes buf(100 + QUIC_AEAD_TAG_LEN, 0x5a);
        quic_keys_seal(cur, 3, sample.data(), 10, buf.data(), 100);
        Bytes copy = buf;
        EXPECT_FALSE(quic_keys_open(next, 3, sample.data(), 10, copy.data(), copy.size()));
        EXPECT_TRUE(quic_keys_open(cur, 3, sample.data(), 10, buf.data(), buf.size()));
    }
}

/* Sealed out of two places it is the same packet. */
TEST_P(Keys, SealsATailThatLiesElsewhere)
{
    for (uint16_t suite : kSuites) {
        TestRng rng(suite);
        quic_keys *k = Make(suite, rng.Take(SecretLen(suite)));
        const Bytes header = rng.Take(21);
        const size_t heads[] = {1, 8, 11, 15, 16, 17, 32, 100};
        const size_t tails[] = {1, 15, 16, 17, 511, 512, 1389, 1424, 8875};
        for (size_t head : heads) {
            for (size_t tail : tails) {
                const Bytes plain = rng.Take(head + tail);
                const size_t header_len = 5 + (head + tail) % 17;
                Bytes whole = plain;
                whole.resize(plain.size() + QUIC_AEAD_TAG_LEN);
                Bytes parts(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(head));
                parts.resize(whole.size(), 0xee);
                const Bytes elsewhere(plain.begin() + static_cast<ptrdiff_t>(head), plain.end());
                const uint64_t sealed = quic_keys_sealed_count(k);
                quic_keys_seal(k, 9, header.data(), header_len, whole.data(), plain.size());
                quic_keys_seal_tail(k, 9, header.data(), header_len, parts.data(), head,
                                    elsewhere.data(), tail);
                EXPECT_EQ(parts, whole) << head << " " << tail;
                EXPECT_EQ(quic_keys_sealed_count(k), sealed + 2);
            }
        }
    }
}

TEST_P(Keys, OpenRefusesEveryBitFlip)
{
    for (uint16_t suite : kSuites) {
        TestRng rng(suite);
        quic_keys *k = Make(suite, rng.Take(SecretLen(suite)));
        const Bytes header = rng.Take(11);
        Bytes sealed = rng.Take(40);
        sealed.resize(40 + QUIC_AEAD_TAG_LEN);
        quic_keys_seal(k, 77, header.data(), header.size(), sealed.data(), 40);
        uint64_t failures = 0;
        for (size_t bit = 0; bit < sealed.size() * 8; bit++) {
            Bytes bad = sealed;
            bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
            EXPECT_FALSE(quic_keys_open(k, 77, header.data(), 11, bad.data(), bad.size()));
            EXPECT_EQ(quic_keys_open_failed_count(k), ++failures);
        }
        Bytes bad = sealed;
        EXPECT_FALSE(quic_keys_open(k, 78, header.data(), 11, bad.data(), bad.size()));
        bad = sealed;
        EXPECT_FALSE(quic_keys_open(k, 77, header.data(), 10, bad.data(), bad.size()));
        for (size_t len = 0; len < 16; len++) {
            EXPECT_FALSE(quic_keys_open(k, 77, header.data(), 11, bad.data(), len));
        }
        EXPECT_TRUE(quic_keys_open(k, 77, header.data(), 11, sealed.data(), sealed.size()));
    }
}

TEST_P(Keys, PacketWorkAllocatesNothing)
{
    TestRng rng(3);
    quic_keys *k = Make(0x1301, rng.Take(32));
    const uint64_t before = mem_.allocs();
    Bytes buf(1400);
    uint8_t mask[16];
    for (uint64_t pn = 0; pn < 100; pn++) {
        quic_keys_seal(k, pn, buf.data(), 11, buf.data() + 11, 1300);
        quic_keys_hp_mask(k, buf.data() + 20, mask);
        ASSERT_TRUE(quic_keys_open(k, pn, buf.data(), 11, buf.data() + 11, 1316));
    }
    EXPECT_EQ(mem_.allocs(), before);
    EXPECT_EQ(quic_keys_sealed_count(k), 100u);
}

TEST_P(Keys, RefusesWrongArguments)
{
    quic_keys *k = nullptr;
    quic_keys *l = nullptr;
    const Bytes secret(64, 1);
    quic_mem *mem = mem_.get();
    EXPECT_EQ(quic_keys_create(&k, GetParam(), mem, QUIC_VERSION_1, 0x1300, secret.data(), 32),
              QUIC_E_INVAL);
    EXPECT_EQ(quic_keys_create(&k, GetParam(), mem, QUIC_VERSION_1, 0x1305, secret.data(), 32),
              QUIC_E_INVAL);
    EXPECT_EQ(quic_keys_create(&k, GetParam(), mem, QUIC_VERSION_1, 0x1301, secret.data(), 48),
              QUIC_E_INVAL);
    EXPECT_EQ(quic_keys_create(&k, GetParam(), mem, QUIC_VERSION_1, 0x1302, secret.data(), 32),
              QUIC_E_INVAL);
    const quic_cid dcid = RfcDcid();
    EXPECT_EQ(quic_keys_create_initial(&k, &l, GetParam(), mem, 2, &dcid), QUIC_E_INVAL);
    for (uint32_t version : {0u, 2u, 0x6b3343ceu, 0x0a0a0a0au}) {
        EXPECT_EQ(quic_keys_create(&k, GetParam(), mem, version, 0x1301, secret.data(), 32),
                  QUIC_E_INVAL);
    }
    EXPECT_EQ(k, nullptr);
}

TEST_P(Keys, MemoryRefusalLeavesNothingBehind)
{
    const quic_cid dcid = RfcDcid();
    quic_keys *a = nullptr;
    quic_keys *b = nullptr;
    Initial(&a, &b);
    const uint64_t both = mem_.used();
    quic_keys *c = nullptr;
    quic_keys *d = nullptr;
    for (uint64_t room = 0; room < both; room += 16) {
        mem_.set_limit(both + room);
        ASSERT_EQ(quic_keys_create_initial(&c, &d, GetParam(), mem_.get(), 1, &dcid), QUIC_E_NOMEM);
        ASSERT_EQ(mem_.used(), both);
        ASSERT_EQ(c, nullptr);
        ASSERT_EQ(d, nullptr);
    }
}

/* One direction alone is the same as with the other. */
TEST_P(Keys, OneDirectionOfTheInitialKeys)
{
    const quic_cid dcid = RfcDcid();
    quic_keys *client = nullptr;
    quic_keys *server = nullptr;
    Initial(&client, &server);
    quic_keys *c = nullptr;
    quic_keys *s = nullptr;
    ASSERT_EQ(quic_keys_create_initial(&c, nullptr, GetParam(), mem_.get(), 1, &dcid), QUIC_OK);
    made_.push_back(c);
    ASSERT_EQ(quic_keys_create_initial(nullptr, &s, GetParam(), mem_.get(), 1, &dcid), QUIC_OK);
    made_.push_back(s);
    EXPECT_EQ(Hex(c->secret, 32), Hex(client->secret, 32));
    EXPECT_EQ(Hex(s->secret, 32), Hex(server->secret, 32));
    EXPECT_EQ(Hex(c->hp_key, 16), rfc9001::kClientHp);
    EXPECT_EQ(Hex(s->iv, 12), Hex(server->iv, 12));
}

/* Keys made before there was a connection become one's own. */
TEST_P(Keys, AreAdopted)
{
    const quic_cid dcid = RfcDcid();
    quic_mem child;
    quic_mem small;
    quic_mem_init_child(&child, mem_.get(), UINT64_MAX);
    quic_mem_init_child(&small, mem_.get(), sizeof(quic_keys));
    quic_keys *k = nullptr;
    ASSERT_EQ(quic_keys_create_initial(&k, nullptr, GetParam(), mem_.get(), 1, &dcid), QUIC_OK);
    const uint64_t used = mem_.used();
    EXPECT_EQ(quic_keys_adopt(k, &small), QUIC_E_NOMEM);
    EXPECT_EQ(small.used_bytes, 0u);
    ASSERT_EQ(quic_keys_adopt(k, &child), QUIC_OK);
    EXPECT_EQ(child.used_bytes, used);
    EXPECT_EQ(mem_.used(), used);
    quic_keys_rest(k);
    EXPECT_EQ(child.used_bytes, sizeof(quic_keys));
    ASSERT_EQ(quic_keys_wake(k), QUIC_OK);
    quic_keys_destroy(k);
    EXPECT_EQ(child.used_bytes, 0u);
}

/* Keys at rest give most of their memory back, and are the same afterwards. */
TEST_P(Keys, WakeAsTheyWere)
{
    for (uint16_t suite : kSuites) {
        TestRng rng(suite + 9u);
        const Bytes secret = rng.Take(SecretLen(suite));
        quic_keys *twin = Make(suite, secret);
        quic_keys *k = Make(suite, secret);
        const Bytes hdr = {0x40, 1, 2, 3};
        for (uint64_t pn = 0; pn < 3; pn++) {
            Bytes a(100 + 16, 'x');
            Bytes b = a;
            quic_keys_seal(twin, pn, hdr.data(), hdr.size(), a.data(), 100);
            quic_keys_seal(k, pn, hdr.data(), hdr.size(), b.data(), 100);
            EXPECT_EQ(a, b);
            uint8_t mask_a[16];
            uint8_t mask_b[16];
            quic_keys_hp_mask(twin, a.data(), mask_a);
            quic_keys_hp_mask(k, a.data(), mask_b);
            EXPECT_EQ(memcmp(mask_a, mask_b, 5), 0);

            const uint64_t awake = mem_.used();
            EXPECT_FALSE(quic_keys_is_resting(k));
            quic_keys_rest(k);
            quic_keys_rest(k);
            EXPECT_TRUE(quic_keys_is_resting(k));
            EXPECT_LT(mem_.used(), awake);
            const uint64_t resting = mem_.used();
            mem_.set_limit(resting + 16);
            EXPECT_EQ(quic_keys_wake(k), QUIC_E_NOMEM);
            EXPECT_TRUE(quic_keys_is_resting(k));
            EXPECT_EQ(mem_.used(), resting);
            mem_.set_limit(UINT64_MAX);
            ASSERT_EQ(quic_keys_wake(k), QUIC_OK);
            ASSERT_EQ(quic_keys_wake(k), QUIC_OK);
            EXPECT_EQ(mem_.used(), awake);
            EXPECT_TRUE(quic_keys_open(k, pn, hdr.data(), hdr.size(), a.data(), a.size()));
            EXPECT_EQ(quic_keys_sealed_count(k), pn + 1);
        }
        quic_keys_rest(k); /* the next phase comes from keys at rest, too */
        quic_keys *next = nullptr;
        quic_keys *twin_next = nullptr;
        ASSERT_EQ(quic_keys_update(&next, k, mem_.get()), QUIC_OK);
        made_.push_back(next);
        ASSERT_EQ(quic_keys_update(&twin_next, twin, mem_.get()), QUIC_OK);
        made_.push_back(twin_next);
        Bytes a(20 + 16, 'y');
        quic_keys_seal(next, 7, hdr.data(), hdr.size(), a.data(), 20);
        EXPECT_TRUE(quic_keys_open(twin_next, 7, hdr.data(), hdr.size(), a.data(), a.size()));
    }
}

TEST_P(Keys, PlainOnesHaveNothingToGiveBack)
{
    quic_keys *k = nullptr;
    ASSERT_EQ(quic_keys_create_plain(&k, GetParam(), mem_.get()), QUIC_OK);
    made_.push_back(k);
    const uint64_t used = mem_.used();
    quic_keys_rest(k);
    EXPECT_FALSE(quic_keys_is_resting(k));
    EXPECT_EQ(mem_.used(), used);
    EXPECT_EQ(quic_keys_wake(k), QUIC_OK);
}

TEST_P(Keys, KnowsTheLimitsOfRfc9001)
{
    const Bytes secret(48, 1);
    quic_keys *aes = Make(0x1301, Bytes(32, 1));
    quic_keys *aes256 = Make(0x1302, secret);
    quic_keys *chacha = Make(0x1303, Bytes(32, 1));
    EXPECT_EQ(quic_keys_confidentiality_limit(aes), 1ull << 23);
    EXPECT_EQ(quic_keys_integrity_limit(aes256), 1ull << 52);
    EXPECT_EQ(quic_keys_integrity_limit(chacha), 1ull << 36);
    EXPECT_EQ(quic_keys_suite(chacha), 0x1303);
    quic_keys *ccm = Make(0x1304, Bytes(32, 1));
    EXPECT_EQ(quic_keys_confidentiality_limit(ccm), 2965820u); /* 2^21.5 */
    EXPECT_EQ(quic_keys_integrity_limit(ccm), 2965820u);
    EXPECT_EQ(quic_keys_suite(ccm), 0x1304);
}

TEST_P(Keys, MasksInBatchEqualSingleMasks)
{
    for (uint16_t suite : kSuites) {
        TestRng rng(suite + 5u);
        quic_keys *k = Make(suite, rng.Take(SecretLen(suite)));
        const Bytes data = rng.Take(128 * 31 + 16);
        const uint8_t *samples[QUIC_HP_BATCH_MAX];
        for (unsigned i = 0; i < QUIC_HP_BATCH_MAX; i++) {
            samples[i] = data.data() + i * 31u;
        }
        for (unsigned count = 0; count <= QUIC_HP_BATCH_MAX; count++) {
            uint8_t masks[QUIC_HP_BATCH_MAX][16];
            quic_keys_hp_masks(k, samples, masks, count);
            for (unsigned i = 0; i < count; i++) {
                uint8_t one[16];
                quic_keys_hp_mask(k, samples[i], one);
                ASSERT_EQ(Hex(masks[i], 5), Hex(one, 5)) << count << " " << i;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, Keys, ::testing::ValuesIn(Providers()), [](const auto &p) {
    return std::string(p.param->name) == "boringssl" ? "boringssl" : "ipsec_mb";
});

/* One secret, two libraries: the same bytes for every size. */
TEST(KeysCompare, IpsecMbEqualsBoringSsl)
{
    const quic_crypto *imb = quic_crypto_ipsec_mb();
    if (imb == nullptr) {
        GTEST_SKIP() << "ipsec-mb is not in this build, or this CPU has no AES instructions";
    }
    TestMem mem;
    for (uint16_t suite : kSuites) {
        TestRng rng(suite);
        const Bytes secret = rng.Take(SecretLen(suite));
        quic_keys *a = nullptr;
        quic_keys *b = nullptr;
        ASSERT_EQ(quic_keys_create(&a, quic_crypto_boringssl(), mem.get(), QUIC_VERSION_1, suite,
                                   secret.data(), secret.size()),
                  QUIC_OK);
        ASSERT_EQ(quic_keys_create(&b, imb, mem.get(), QUIC_VERSION_1, suite, secret.data(),
                                   secret.size()),
                  QUIC_OK);
        for (size_t len = 0; len < 1500; len += len < 300 ? 1 : 17) {
            const Bytes header = rng.Take(1 + len % 60);
            const Bytes plain = rng.Take(len);
            Bytes x(len + 16);
            Bytes y(len + 16);
            quic_keys_seal_from(a, len * 0x100000001ull, header.data(), header.size(), x.data(),
                                plain.data(), len);
            std::copy(plain.begin(), plain.end(), y.begin());
            quic_keys_seal(b, len * 0x100000001ull, header.data(), header.size(), y.data(), len);
            ASSERT_EQ(x, y) << suite << " " << len;
            Bytes out(len + 1);
            ASSERT_TRUE(quic_keys_open_to(b, len * 0x100000001ull, header.data(), header.size(),
                                          out.data(), x.data(), x.size()));
            ASSERT_TRUE(std::equal(plain.begin(), plain.end(), out.begin()));
            ASSERT_TRUE(quic_keys_open(a, len * 0x100000001ull, header.data(), header.size(),
                                       y.data(), y.size()));
        }
        for (unsigned i = 0; i < 50; i++) {
            const Bytes sample = rng.Take(16);
            uint8_t p[16], q[16];
            quic_keys_hp_mask(a, sample.data(), p);
            quic_keys_hp_mask(b, sample.data(), q);
            ASSERT_EQ(Hex(p, 5), Hex(q, 5));
        }
        quic_keys_destroy(a);
        quic_keys_destroy(b);
    }
    EXPECT_EQ(mem.used(), 0u);
}

/* Providers are shared by all workers, the first use of one included. */
TEST(KeysThreads, EachThreadSealsWithItsOwnKeys)
{
    std::vector<std::thread> threads;
    std::vector<std::string> results(4);
    for (std::string &result : results) {
        threads.emplace_back([&result] {
            TestMem mem;
            quic_keys *k = nullptr;
            const Bytes secret(32, 9);
            ASSERT_EQ(quic_keys_create(&k, quic_crypto_best(), mem.get(), QUIC_VERSION_1, 0x1301,
                                       secret.data(), secret.size()),
                      QUIC_OK);
            Bytes buf(1200);
            for (uint64_t pn = 0; pn < 500; pn++) {
                quic_keys_seal(k, pn, buf.data(), 11, buf.data() + 11, 1100);
                uint8_t mask[16];
                quic_keys_hp_mask(k, buf.data() + 30, mask);
                buf[0] = mask[0];
            }
            result = Hex(buf);
            quic_keys_destroy(k);
        });
    }
    for (std::thread &t : threads) {
        t.join();
    }
    for (const std::string &result : results) {
        EXPECT_EQ(result, results[0]);
    }
}

TEST(KeysShim, RoundTripsAndNoticesChanges)
{
    TestMem mem;
    TestRng rng(9);
    for (uint16_t suite : kSuites) {
        const Bytes secret = rng.Take(SecretLen(suite));
        quic_keys *k = nullptr;
        ASSERT_EQ(quic_keys_create(&k, quic_crypto_shim(), mem.get(), QUIC_VERSION_1, suite,
                                   secret.data(), secret.size()),
                  QUIC_OK);
        for (size_t len = 0; len < 200; len++) {
            const Bytes header = rng.Take(12);
            const Bytes plain = rng.Take(len);
            Bytes sealed(len + 16);
            quic_keys_seal_from(k, len, header.data(), 12, sealed.data(), plain.data(), len);
            ASSERT_TRUE(std::equal(plain.begin(), plain.end(), sealed.begin()));
            for (size_t i = 0; i < sealed.size(); i++) {
                Bytes bad = sealed;
                bad[i] ^= 0x40;
                ASSERT_FALSE(quic_keys_open(k, len, header.data(), 12, bad.data(), bad.size()));
            }
            Bytes bad = sealed;
            ASSERT_FALSE(quic_keys_open(k, len + 1, header.data(), 12, bad.data(), bad.size()));
            ASSERT_FALSE(quic_keys_open(k, len, header.data(), 11, bad.data(), bad.size()));
            ASSERT_TRUE(quic_keys_open(k, len, header.data(), 12, sealed.data(), sealed.size()));
        }
        quic_keys_destroy(k);
    }
}

/* disable_1rtt_encryption: what goes in comes out, no tag, and no look at samples that may not be there. */
TEST(KeysPlain, ProtectNothing)
{
    TestMem mem;
    quic_keys *k = nullptr;
    ASSERT_EQ(quic_keys_create_plain(&k, quic_crypto_best(), mem.get()), QUIC_OK);
    const Bytes text = {1, 2, 3, 4, 5};
    Bytes sealed(text.size());
    quic_keys_seal_from(k, 7, nullptr, 0, sealed.data(), text.data(), text.size());
    EXPECT_EQ(sealed, text);
    quic_keys_seal(k, 8, nullptr, 0, sealed.data(), sealed.size());
    EXPECT_EQ(sealed, text);
    Bytes opened(text.size());
    EXPECT_TRUE(quic_keys_open_to(k, 9, nullptr, 0, opened.data(), sealed.data(), sealed.size()));
    EXPECT_EQ(opened, text);
    EXPECT_TRUE(quic_keys_open(k, 9, nullptr, 0, opened.data(), 0));
    const uint8_t *const samples[3] = {nullptr, nullptr, nullptr};
    uint8_t masks[3][16];
    memset(masks, 0xff, sizeof(masks));
    quic_keys_hp_masks(k, samples, masks, 3);
    for (const auto &mask : masks) {
        EXPECT_EQ(Hex(mask, 16), std::string(32, '0'));
    }
    EXPECT_EQ(quic_keys_confidentiality_limit(k), UINT64_MAX);
    EXPECT_EQ(quic_keys_integrity_limit(k), UINT64_MAX);
    quic_keys_destroy(k);
    EXPECT_EQ(mem.used(), 0u);
    mem.set_limit(16);
    EXPECT_EQ(quic_keys_create_plain(&k, quic_crypto_best(), mem.get()), QUIC_E_NOMEM);
}

} // namespace
