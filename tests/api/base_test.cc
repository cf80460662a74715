#include <set>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

namespace
{

TEST(Status, EveryCodeHasItsOwnNameAndText)
{
    std::set<std::string> names;
    std::set<std::string> texts;
    for (int status = QURING_OK; status >= QURING_E_INTERRUPTED; status--) {
        names.insert(quring_status_name(status));
        texts.insert(quring_status_text(status));
    }
    EXPECT_EQ(names.size(), static_cast<size_t>(1 - QURING_E_INTERRUPTED));
    EXPECT_EQ(texts.size(), names.size());
    EXPECT_EQ(names.count("QURING_E_UNKNOWN"), 0u);
    EXPECT_STREQ(quring_status_name(QURING_E_ADDR_IN_USE), "QURING_E_ADDR_IN_USE");
    EXPECT_STREQ(quring_status_name(QURING_E_NAME), "QURING_E_NAME");
    EXPECT_STREQ(quring_status_name(1), "QURING_E_UNKNOWN");
    EXPECT_STREQ(quring_status_name(QURING_E_INTERRUPTED - 1), "QURING_E_UNKNOWN");
}

TEST(Stats, EveryCounterIsListedOnce)
{
    std::set<std::string> names;
    std::set<size_t> offsets;
    const quring_stats_field *fields = quring_stats_fields();
    for (size_t i = 0; i < quring_stats_count(); i++) {
        EXPECT_TRUE(names.insert(fields[i].name).second) << fields[i].name;
        EXPECT_TRUE(offsets.insert(fields[i].offset).second) << fields[i].name;
        EXPECT_LT(fields[i].offset, sizeof(quring_stats));
        EXPECT_NE(std::string(fields[i].help), "");
        const std::string unit = fields[i].unit;
        EXPECT_TRUE(unit == "count" || unit == "bytes" || unit == "ns") << unit;
    }
    EXPECT_EQ(names.size() * sizeof(uint64_t), sizeof(quring_stats));
}

TEST(Clock, DoesNotGoBack)
{
    uint64_t last = quring_now_ns();
    for (int i = 0; i < 1000; i++) {
        const uint64_t now = quring_now_ns();
        EXPECT_GE(now, last);
        last = now;
    }
}

} // namespace
