#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/units.h"

namespace
{

TEST(Units, ReadsSizesAsPowersOf1024)
{
    const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"0", 0},
                {"1", 1},
                {"1452", 1452},
                {"1K", 1024},
                {"1k", 1024},
                {"64KiB", 65536},
                {"2M", 2097152},
                {"1.5M", 1572864},
                {"1G", 1073741824},
                {"0.5G", 536870912},
                {"1T", 1ull << 40},
                {"7B", 7},
                {"18446744073709551615", UINT64_MAX}};
    for (const auto &row : rows) {
        uint64_t got = 1234567;
        EXPECT_TRUE(qp_parse_size(&got, row.text)) << row.text;
        EXPECT_EQ(got, row.bytes) << row.text;
    }
}

TEST(Units, ReadsPercentAndRates)
{
    uint64_t got = 0;
    EXPECT_TRUE(qp_parse_percent(&got, "2%"));
    EXPECT_EQ(got, 20000u);
    EXPECT_TRUE(qp_parse_percent(&got, "0.5"));
    EXPECT_EQ(got, 5000u);
    EXPECT_TRUE(qp_parse_percent(&got, "0.0001%"));
    EXPECT_EQ(got, 1u);
    EXPECT_TRUE(qp_parse_rate(&got, "100M"));
    EXPECT_EQ(got, 100000000u);
    EXPECT_TRUE(qp_parse_rate(&got, "1.5Gbit"));
    EXPECT_EQ(got, 1500000000u);
    got = 7;
    for (const char *text : {"", "%", "two%", "-1%", "2%%"}) {
        EXPECT_FALSE(qp_parse_percent(&got, text)) << text;
    }
    for (const char *text : {"", "M", "fast", "100MB", "-1"}) {
        EXPECT_FALSE(qp_parse_rate(&got, text)) << text;
    }
    EXPECT_EQ(got, 7u);
}

TEST(Units, ReadsTimes)
{
    const struct {
        const char *text;
        uint64_t ns;
    } rows[] = {{"10", 10000000000},   {"10s", 10000000000}, {"250ms", 250000000},
                {"0.5", 500000000},    {"50us", 50000},      {"2m", 120000000000},
                {"1.25s", 1250000000}, {"7ns", 7},           {"1h", 3600000000000}};
    for (const auto &row : rows) {
        uint64_t got = 0;
        EXPECT_TRUE(qp_parse_time(&got, row.text)) << row.text;
        EXPECT_EQ(got, row.ns) << row.text;
    }
}

TEST(Units, RefusesWhatIsNoNumber)
{
    uint64_t got = 42;
    for (const char *text :
         {"", " ", "-1", "+1", "1x", "x", "1.", ".5", "1 K", "1KK", "0x10", "1e3",
          "18446744073709551616", "99999999999999999999999", "16777216T"}) {
        EXPECT_FALSE(qp_parse_size(&got, text)) << text;
        EXPECT_FALSE(qp_parse_u64(&got, text)) << text;
    }
    for (const char *text : {"", "s", "10S", "1 s", "-1s", "1sec", "99999999999999s"}) {
        EXPECT_FALSE(qp_parse_time(&got, text)) << text;
    }
    EXPECT_FALSE(qp_parse_u64(&got, "1K"));
    EXPECT_EQ(got, 42u);
}

TEST(Units, ReadsCpuLists)
{
    int32_t cpus[8];
    auto read = [&](const char *text) {
        size_t count = qp_parse_cpus(cpus, 8, text);
        return std::vector<int32_t>(cpus, cpus + count);
    };
    EXPECT_EQ(read("0"), (std::vector<int32_t>{0}));
    EXPECT_EQ(read("3,1"), (std::vector<int32_t>{3, 1}));
    EXPECT_EQ(read("0,2-4,7"), (std::vector<int32_t>{0, 2, 3, 4, 7}));
    EXPECT_EQ(read("0-7").size(), 8u);
    for (const char *text :
         {"", ",", "1,", "a", "2-1", "0-8", "1--2", "-1", "0;1", "1024", "0-7,8"}) {
        EXPECT_EQ(qp_parse_cpus(cpus, 8, text), 0u) << text;
    }
}

TEST(Units, WritesForPeople)
{
    char buf[32];
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 5.612e9), "5.61 Gbit/s");
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 2.5e6), "2.50 Mbit/s");
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 0), "0.00 kbit/s");
    EXPECT_STREQ(qp_format_size(buf, sizeof(buf), 512), "512 B");
    EXPECT_STREQ(qp_format_size(buf, sizeof(buf), 1536), "1.5 KiB");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 310000), "310 us");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 2.5e6), "2.50 ms");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 1e10), "10.00 s");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 38911), "38.9 us");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 0), "0 us");
    /* No thousand of a unit that has a next one. */
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 999999999), "1.00 Gbit/s");
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 999994999), "999.99 Mbit/s");
    EXPECT_STREQ(qp_format_rate(buf, sizeof(buf), 999999), "1.00 Mbit/s");
    EXPECT_STREQ(qp_format_size(buf, sizeof(buf), 1024 * 1024 - 1), "1.0 MiB");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 99960), "100 us");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 999700), "1.00 ms");
    EXPECT_STREQ(qp_format_time(buf, sizeof(buf), 999999999), "1.00 s");
}

} // namespace
