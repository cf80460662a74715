#include <cstdio>
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

std::string CloseText(quring_close_kind kind, uint64_t code, const char *reason, size_t cap = 256)
{
    quring_close_info close = {};
    close.kind = kind;
    close.code = code;
    (void)snprintf(close.reason, sizeof(close.reason), "%s", reason);
    std::string text(cap, 'x');
    EXPECT_EQ(quring_close_format(&close, &text[0], cap), text.data());
    return text.c_str();
}

TEST(CloseFormat, SaysWhoEndedAConnectionAndWhy)
{
    EXPECT_EQ(CloseText(QURING_CLOSE_LOCAL_APP, 7, ""), "closed by this side: application error 7");
    EXPECT_EQ(CloseText(QURING_CLOSE_PEER_APP, 1, "bye"),
              "closed by the peer: application error 1: bye");
    EXPECT_EQ(CloseText(QURING_CLOSE_PEER_TRANSPORT, 2, ""),
              "refused by the peer: transport error 0x2 CONNECTION_REFUSED");
    EXPECT_EQ(CloseText(QURING_CLOSE_LOCAL_TRANSPORT, 0xa, "no"),
              "the peer broke the protocol: transport error 0xa PROTOCOL_VIOLATION: no");
    EXPECT_EQ(CloseText(QURING_CLOSE_LOCAL_TRANSPORT, 0x11, ""),
              "the peer broke the protocol: transport error 0x11 VERSION_NEGOTIATION_ERROR");
    EXPECT_EQ(CloseText(QURING_CLOSE_PEER_TRANSPORT, 0x12, ""),
              "refused by the peer: transport error 0x12");
    EXPECT_EQ(CloseText(QURING_CLOSE_LOCAL_TRANSPORT, 0x130, "self signed certificate"),
              "TLS handshake failed: alert 48: self signed certificate");
    EXPECT_EQ(CloseText(QURING_CLOSE_PEER_TRANSPORT, 0x178, ""),
              "TLS handshake refused by the peer: alert 120");
    EXPECT_EQ(CloseText(QURING_CLOSE_PEER_TRANSPORT, 0x200, ""),
              "refused by the peer: transport error 0x200");
    EXPECT_EQ(CloseText(QURING_CLOSE_IDLE_TIMEOUT, 0, "idle timeout"), "idle timeout");
    EXPECT_EQ(CloseText(QURING_CLOSE_LOCAL_TRANSPORT, 2, ""),
              "refused by this side: transport error 0x2 CONNECTION_REFUSED");
}

TEST(CloseFormat, IsAlwaysWholeAndBounded)
{
    const std::string reason(127, 'r');
    std::set<std::string> texts;
    for (int kind = QURING_CLOSE_NONE; kind <= QURING_CLOSE_INTERNAL; kind++) {
        const std::string text = CloseText(static_cast<quring_close_kind>(kind),
                                           (UINT64_C(1) << 62) - 1, reason.c_str());
        const bool silent = kind == QURING_CLOSE_IDLE_TIMEOUT ||
                            kind == QURING_CLOSE_HANDSHAKE_TIMEOUT ||
                            kind == QURING_CLOSE_STATELESS_RESET || kind == QURING_CLOSE_VERSION;
        EXPECT_EQ(text.find(reason) == std::string::npos, silent) << text;
        EXPECT_TRUE(texts.insert(text).second) << text;
    }
    EXPECT_EQ(CloseText(QURING_CLOSE_IDLE_TIMEOUT, 0, "", 5), "idle");
    EXPECT_EQ(quring_close_format(nullptr, nullptr, 0), nullptr);
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
