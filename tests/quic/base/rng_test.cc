#include <gtest/gtest.h>

#include "quic/base/rng.h"

namespace
{

TEST(Rng, SameSeedSameBytes)
{
    uint8_t a[37];
    uint8_t b[37];
    quic_rng_seeded_state sa = {5};
    quic_rng_seeded_state sb = {5};
    quic_rng ra = quic_rng_seeded(&sa);
    quic_rng rb = quic_rng_seeded(&sb);
    quic_rng_fill(&ra, a, sizeof(a));
    quic_rng_fill(&rb, b, sizeof(b));
    EXPECT_EQ(memcmp(a, b, sizeof(a)), 0);
    EXPECT_EQ(quic_rng_u64(&ra), quic_rng_u64(&rb));
    sb.s = 6;
    EXPECT_NE(quic_rng_u64(&ra), quic_rng_u64(&rb));
}

} // namespace
