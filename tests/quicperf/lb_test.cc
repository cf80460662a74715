#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/lb.h"

TEST(Lb, ReadsWhatIsTyped)
{
    quring_lb lb = {};
    ASSERT_TRUE(qp_parse_lb(&lb, "0:0a31:8"));
    EXPECT_TRUE(lb.enabled);
    EXPECT_EQ(lb.config_id, 0);
    EXPECT_EQ(lb.server_id_len, 2);
    EXPECT_EQ(lb.server_id[0], 0x0a);
    EXPECT_EQ(lb.server_id[1], 0x31);
    EXPECT_EQ(lb.nonce_len, 8);
    EXPECT_FALSE(lb.has_key);
    ASSERT_TRUE(qp_parse_lb(&lb, "6:FF:15:00112233445566778899aabbccddeeff"));
    EXPECT_EQ(lb.config_id, 6);
    EXPECT_EQ(lb.server_id[0], 0xff);
    EXPECT_EQ(lb.nonce_len, 15);
    EXPECT_TRUE(lb.has_key);
    EXPECT_EQ(lb.key[15], 0xff);
}

TEST(Lb, AndNothingElse)
{
    for (const char *text :
         {"", ":", "0", "0:", "0:01", "0:01:", "x:01:8", "0:0:8", "0:0g:8", "0:01:8:", "0:01:8:00",
          "0:01:8x", "0:01:8:00112233445566778899aabbccddeeff00", "100:01:8", "0:01:888",
          "0:000102030405060708090a0b0c0d0e0f10:4"}) {
        quring_lb lb = {};
        EXPECT_FALSE(qp_parse_lb(&lb, text)) << text;
        EXPECT_FALSE(lb.enabled);
    }
}
