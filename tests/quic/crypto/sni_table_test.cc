#include <string>

#include <gtest/gtest.h>

#include "quic/crypto/sni_table.h"

namespace
{

class SniTable : public ::testing::Test
{
  protected:
    ~SniTable() override
    {
        quic_sni_table_destroy(table_);
    }
    quic_rc Add(const std::string &pattern, uint32_t value)
    {
        return quic_sni_table_add(table_, pattern.c_str(), value);
    }
    uint32_t Find(const std::string &name) const
    {
        return quic_sni_table_find(table_, name.c_str());
    }
    quic_sni_table *table_ = quic_sni_table_create(8);
};

TEST_F(SniTable, TheWholeNameGoesBeforeAWildcard)
{
    ASSERT_EQ(Add("*.example.com", 1), QUIC_OK);
    ASSERT_EQ(Add("www.example.com", 2), QUIC_OK);
    ASSERT_EQ(Add("example.com", 3), QUIC_OK);
    EXPECT_EQ(Find("www.example.com"), 2u);
    EXPECT_EQ(Find("mail.example.com"), 1u);
    EXPECT_EQ(Find("example.com"), 3u);
    EXPECT_EQ(Find("example.org"), QUIC_SNI_NONE);
}

/* RFC 6125 6.4.3: one label, and all of it. */
TEST_F(SniTable, AWildcardIsOneWholeLabel)
{
    ASSERT_EQ(Add("*.example.com", 1), QUIC_OK);
    EXPECT_EQ(Find("a.b.example.com"), QUIC_SNI_NONE);
    EXPECT_EQ(Find("example.com"), QUIC_SNI_NONE);
    EXPECT_EQ(Find(".example.com"), QUIC_SNI_NONE);
    EXPECT_EQ(Add("w*.example.com", 2), QUIC_E_INVAL);
    EXPECT_EQ(Add("*.*.example.com", 2), QUIC_E_INVAL);
    EXPECT_EQ(Add("*", 2), QUIC_E_INVAL);
    EXPECT_EQ(Add("*.", 2), QUIC_E_INVAL);
}

/* RFC 6066 3 */
TEST_F(SniTable, CaseAndTheFinalDotDoNotCount)
{
    ASSERT_EQ(Add("WWW.Example.COM.", 1), QUIC_OK);
    EXPECT_EQ(Find("www.example.com"), 1u);
    EXPECT_EQ(Find("wWw.eXample.com."), 1u);
    EXPECT_EQ(Add("www.example.com", 2), QUIC_E_STATE);
}

TEST_F(SniTable, WhatIsNoHostNameIsRefused)
{
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + label.substr(0, 61);
    for (const std::string &bad :
         {std::string(), std::string("."), std::string("a..b"), std::string("a b"),
          std::string("192.0.2.1"), std::string("2001:db8::1"), std::string("caf\xc3\xa9.example"),
          label + "a.example", longest + "a"}) {
        EXPECT_EQ(Add(bad, 1), QUIC_E_INVAL) << bad;
        EXPECT_EQ(Find(bad), QUIC_SNI_NONE) << bad;
    }
    EXPECT_EQ(longest.size(), 253u);
    EXPECT_EQ(Add(longest, 7), QUIC_OK);
    EXPECT_EQ(Find(longest), 7u);
    EXPECT_EQ(Add("localhost", 8), QUIC_OK);
    EXPECT_EQ(Add("4.example", 9), QUIC_OK);
}

TEST_F(SniTable, HoldsAsManyAsItWasMadeFor)
{
    for (uint32_t i = 0; i < 8; i++) {
        ASSERT_EQ(Add((i % 2 == 0 ? "*.n" : "n") + std::to_string(7 * i % 8) + ".example", i),
                  QUIC_OK);
    }
    EXPECT_EQ(Add("one-more.example", 8), QUIC_E_LIMIT);
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_EQ(Find((i % 2 == 0 ? "x.n" : "n") + std::to_string(7 * i % 8) + ".example"), i);
    }
}

TEST(EmptySniTable, FindsNothing)
{
    quic_sni_table *table = quic_sni_table_create(0);
    ASSERT_NE(table, nullptr);
    EXPECT_EQ(quic_sni_table_find(table, "example.com"), QUIC_SNI_NONE);
    EXPECT_EQ(quic_sni_table_add(table, "example.com", 1), QUIC_E_LIMIT);
    quic_sni_table_destroy(table);
    quic_sni_table_destroy(nullptr);
}

} // namespace
