#include <string>

#include <gtest/gtest.h>

#include "quic/path/validate.h"

namespace
{

constexpr quic_ns kS = QUIC_NS_PER_S;
constexpr quic_ns kPto = 100 * QUIC_NS_PER_MS;

class Validate : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        rng = quic_rng_seeded(&state);
        quic_validate_init(&v);
    }

    std::string challenge(bool full_size)
    {
        const uint8_t *data = quic_validate_next(&v, &rng);
        std::string s(reinterpret_cast<const char *>(data), QUIC_PATH_CHALLENGE_LEN);
        quic_validate_on_sent(&v, full_size, now);
        return s;
    }

    quic_validate_fact answer(const std::string &s)
    {
        return quic_validate_on_response(&v, reinterpret_cast<const uint8_t *>(s.data()), now);
    }

    quic_validate v;
    quic_rng_seeded_state state = {7};
    quic_rng rng;
    quic_ns now = kS;
};

TEST_F(Validate, AtRestNothingIsDue)
{
    EXPECT_FALSE(quic_validate_is_active(&v));
    EXPECT_EQ(quic_validate_deadline(&v), QUIC_NS_NEVER);
    EXPECT_EQ(answer(std::string(8, 'x')), QUIC_VALIDATE_FACT_UNKNOWN);
    EXPECT_EQ(quic_validate_on_timeout(&v, QUIC_NS_NEVER - 1), QUIC_VALIDATE_FACT_NONE);
}

TEST_F(Validate, OneFullChallengeProvesAddressAndSize)
{
    quic_validate_start(&v, kPto, now);
    EXPECT_TRUE(quic_validate_is_due(&v, now));
    std::string data = challenge(true);
    EXPECT_FALSE(quic_validate_is_due(&v, now));
    EXPECT_EQ(answer(data), QUIC_VALIDATE_FACT_DONE);
    EXPECT_EQ(v.state, QUIC_VALIDATE_DONE);
    EXPECT_EQ(quic_validate_deadline(&v), QUIC_NS_NEVER);
    EXPECT_EQ(answer(data), QUIC_VALIDATE_FACT_NONE); /* a second answer */
}

TEST_F(Validate, EachChallengeHasItsOwnDataAndAnyOfThemCounts)
{
    quic_validate_start(&v, kPto, now);
    std::string first = challenge(true);
    now = quic_validate_deadline(&v);
    EXPECT_EQ(now, kS + kPto);
    std::string second = challenge(true);
    EXPECT_NE(first, second);
    EXPECT_EQ(answer(std::string(8, '\0')), QUIC_VALIDATE_FACT_UNKNOWN);
    EXPECT_EQ(answer(first), QUIC_VALIDATE_FACT_DONE);
}

TEST_F(Validate, ASmallChallengeProvesTheAddressOnly)
{
    quic_validate_start(&v, kPto, now);
    std::string small = challenge(false);
    now += kPto / 2;
    EXPECT_EQ(answer(small), QUIC_VALIDATE_FACT_ADDRESS);
    EXPECT_EQ(v.state, QUIC_VALIDATE_SIZE);
    EXPECT_TRUE(quic_validate_is_due(&v, now));
    EXPECT_EQ(v.deadline_ns, now + 3 * kPto);
    std::string large = challenge(true);
    EXPECT_EQ(answer(large), QUIC_VALIDATE_FACT_DONE);
}

TEST_F(Validate, GivesUpAfterThreeProbeTimeouts)
{
    quic_validate_start(&v, kPto, now);
    int sent = 0;
    quic_validate_fact fact = QUIC_VALIDATE_FACT_NONE;
    while (fact == QUIC_VALIDATE_FACT_NONE) {
        now = quic_validate_deadline(&v);
        fact = quic_validate_on_timeout(&v, now);
        if (fact == QUIC_VALIDATE_FACT_NONE && quic_validate_is_due(&v, now)) {
            challenge(true);
            sent++;
        }
    }
    EXPECT_EQ(fact, QUIC_VALIDATE_FACT_FAILED);
    EXPECT_EQ(now, kS + 3 * kPto);
    EXPECT_GE(sent, 2);
    EXPECT_LE(sent, static_cast<int>(QUIC_PATH_CHALLENGES_MAX));
    EXPECT_EQ(v.state, QUIC_VALIDATE_FAILED);
}

TEST_F(Validate, ChallengesAreBounded)
{
    quic_validate_start(&v, kPto, now);
    for (unsigned i = 0; i < QUIC_PATH_CHALLENGES_MAX; i++) {
        challenge(true);
    }
    EXPECT_EQ(v.next_ns, QUIC_NS_NEVER);
}

TEST_F(Validate, CancelledItIsSilent)
{
    quic_validate_start(&v, kPto, now);
    std::string data = challenge(true);
    quic_validate_cancel(&v);
    EXPECT_EQ(quic_validate_deadline(&v), QUIC_NS_NEVER);
    EXPECT_EQ(answer(data), QUIC_VALIDATE_FACT_NONE);
}

TEST_F(Validate, PaddingStopsAtTheCredit)
{
    EXPECT_EQ(quic_validate_pad_len(UINT64_MAX), 1200u);
    EXPECT_EQ(quic_validate_pad_len(1200), 1200u);
    EXPECT_EQ(quic_validate_pad_len(1199), 0u);
    EXPECT_EQ(quic_validate_pad_len(0), 0u);
}

} // namespace
