#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "runtime/server/addr.h"

namespace
{

std::string Format(const quring_addr &addr)
{
    char buf[64];
    return quring_addr_format(&addr, buf, sizeof(buf));
}

TEST(Addr, ParseReadsEveryForm)
{
    const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"127.0.0.1:4433", "127.0.0.1:4433"},
        {"127.0.0.1", "127.0.0.1:9"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[::1]:4433", "[::1]:4433"},
        {"[::1]", "[::1]:9"},
        {"::1", "[::1]:9"},
        {"::", "[::]:9"},
        {"2001:db8::7", "[2001:db8::7]:9"},
        {"[2001:DB8:0:0:0:0:0:7]:1", "[2001:db8::7]:1"},
        {"[::ffff:10.1.2.3]:80", "10.1.2.3:80"},
    };
    for (const auto &c : cases) {
        quring_addr addr;
        quring_error err;
        ASSERT_EQ(quring_addr_parse(&addr, c.text, 9, &err), QURING_OK) << c.text << err.message;
        EXPECT_EQ(Format(addr), c.want) << c.text;
    }
}

TEST(Addr, ParseRefusesAndQuotesTheText)
{
    const char *bad[] = {
        "",       ":4433",  "127.0.0.1:",    "127.0.0.1:65536", "127.0.0.1:1x",    "[::1",
        "[::1]x", "[::1]:", "[127.0.0.1]:1", "127.0.0.1:-1",    "127.0.0.1:123456"};
    for (const char *text : bad) {
        quring_addr addr;
        quring_error err;
        EXPECT_EQ(quring_addr_parse(&addr, text, 9, &err), QURING_E_NAME) << text;
        EXPECT_EQ(err.status, QURING_E_NAME);
        EXPECT_NE(err.message[0], '\0');
        EXPECT_EQ(quring_addr_parse(&addr, text, 9, nullptr), QURING_E_NAME) << text;
    }
    quring_error err;
    EXPECT_EQ(quring_addr_parse(nullptr, "127.0.0.1:1", 9, &err), QURING_E_NAME);
    quring_addr addr;
    EXPECT_EQ(quring_addr_parse(&addr, nullptr, 9, &err), QURING_E_NAME);
    EXPECT_EQ(quring_addr_parse(&addr, std::string(300, 'a').c_str(), 9, &err), QURING_E_NAME);
}

TEST(Addr, ANameHasSeveralTheFirstOfThemIsTheOneParseGives)
{
    quring_addr all[8];
    size_t count = 0;
    ASSERT_EQ(quring_addr_resolve(all, 8, &count, "localhost:77", 9, nullptr), QURING_OK);
    ASSERT_GE(count, 1u);
    ASSERT_LE(count, 8u);
    quring_addr first;
    ASSERT_EQ(quring_addr_parse(&first, "localhost:77", 9, nullptr), QURING_OK);
    EXPECT_EQ(Format(all[0]), Format(first));
    for (size_t i = 0; i < count; i++) {
        EXPECT_EQ(all[i].port, 77);
        EXPECT_TRUE(rt_addr_is_usable(&all[i]));
    }
    ASSERT_EQ(quring_addr_resolve(all, 1, &count, "[::1]", 9, nullptr), QURING_OK);
    EXPECT_EQ(count, 1u);
    EXPECT_EQ(Format(all[0]), "[::1]:9");
    quring_error err;
    EXPECT_EQ(quring_addr_resolve(all, 0, &count, "[::1]", 9, &err), QURING_E_NAME);
    EXPECT_EQ(quring_addr_resolve(all, 8, nullptr, "[::1]", 9, &err), QURING_E_NAME);
    EXPECT_EQ(quring_addr_resolve(all, 8, &count, "[::1", 9, &err), QURING_E_NAME);
    EXPECT_EQ(count, 0u);
}

TEST(Addr, FormatFitsAnyBuffer)
{
    quring_addr addr;
    memset(&addr, 0, sizeof(addr));
    EXPECT_EQ(Format(addr), "none");
    ASSERT_EQ(quring_addr_parse(&addr, "[2001:db8::7]:443", 0, nullptr), QURING_OK);
    char small[5];
    EXPECT_STREQ(quring_addr_format(&addr, small, sizeof(small)), "[200");
    addr.scope_id = 3;
    EXPECT_EQ(Format(addr), "[2001:db8::7%3]:443");
}

TEST(Addr, CoreFormIsCanonical)
{
    quring_addr a;
    memset(&a, 0xff, sizeof(a));
    a.family = 4;
    a.port = 7;
    quring_addr b;
    memset(&b, 0, sizeof(b));
    b.family = 4;
    b.port = 7;
    memset(b.ip, 0xff, 4);
    const quic_addr ca = rt_addr_to_core(&a);
    const quic_addr cb = rt_addr_to_core(&b);
    EXPECT_TRUE(quic_addr_equal(&ca, &cb));
    const quring_addr back = rt_addr_from_core(&ca);
    EXPECT_EQ(Format(back), "255.255.255.255:7");
}

TEST(Addr, UsableMeansFourOrSix)
{
    quring_addr addr;
    ASSERT_EQ(quring_addr_parse(&addr, "[::]:1", 0, nullptr), QURING_OK);
    EXPECT_TRUE(rt_addr_is_usable(&addr));
    ASSERT_EQ(quring_addr_parse(&addr, "127.0.0.1:1", 0, nullptr), QURING_OK);
    EXPECT_TRUE(rt_addr_is_usable(&addr));
    addr.family = 5;
    EXPECT_FALSE(rt_addr_is_usable(&addr));
    addr.family = 0;
    EXPECT_FALSE(rt_addr_is_usable(&addr));
}

} // namespace
