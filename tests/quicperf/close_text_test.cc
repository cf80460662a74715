#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/close_text.h"

namespace
{

std::string Text(quring_close_kind kind, uint64_t code, const char *reason)
{
    char text[256];
    quring_addr peer = {};
    quring_close_info close = {};
    EXPECT_EQ(quring_addr_parse(&peer, "192.0.2.1:4433", 0, nullptr), QURING_OK);
    close.kind = kind;
    close.code = code;
    (void)snprintf(close.reason, sizeof(close.reason), "%s", reason);
    qp_close_text(text, sizeof(text), &close, &peer, 2500000000);
    return text;
}

TEST(CloseText, SaysWhoAndWhy)
{
    EXPECT_EQ(Text(QURING_CLOSE_HANDSHAKE_TIMEOUT, 0, ""),
              "no answer from 192.0.2.1:4433 within 2.50 s (--timeout changes that)");
    EXPECT_EQ(Text(QURING_CLOSE_IDLE_TIMEOUT, 0, ""), "192.0.2.1:4433 does not answer any more");
    EXPECT_EQ(Text(QURING_CLOSE_UNREACHABLE, 0, ""), "192.0.2.1:4433 does not answer any more");
    EXPECT_EQ(Text(QURING_CLOSE_STATELESS_RESET, 0, ""),
              "192.0.2.1:4433 has forgotten the connection (stateless reset)");
    EXPECT_EQ(Text(QURING_CLOSE_VERSION, 0, ""), "192.0.2.1:4433 speaks no QUIC version of ours");
    EXPECT_EQ(Text(QURING_CLOSE_PEER_APP, 17, ""),
              "connection to 192.0.2.1:4433 ended: no reason given (code 17)");
    EXPECT_EQ(Text(QURING_CLOSE_PEER_APP, 300, "enough"),
              "connection to 192.0.2.1:4433 ended: enough (code 300)");
}

/* Of the protocol's errors 0x100 to 0x1ff are TLS's (RFC 9001 4.8). */
TEST(CloseText, AlertsAreToldFromOtherErrors)
{
    for (uint64_t code : {0xffu, 0x200u}) {
        EXPECT_NE(Text(QURING_CLOSE_PEER_TRANSPORT, code, "bad")
                      .find("closed the connection: bad (error 0x"),
                  std::string::npos);
        EXPECT_NE(Text(QURING_CLOSE_LOCAL_TRANSPORT, code, "bad")
                      .find("broke the protocol: bad (error 0x"),
                  std::string::npos);
    }
    EXPECT_EQ(Text(QURING_CLOSE_PEER_TRANSPORT, 0x100, "bad"),
              "192.0.2.1:4433 refused the TLS handshake: bad (alert 0)");
    EXPECT_NE(
        Text(QURING_CLOSE_LOCAL_TRANSPORT, 0x1ff, "bad").find("failed: bad (alert 255; --ca FILE"),
        std::string::npos);
}

TEST(CloseText, AnErrorWithoutAMessageHasAStatus)
{
    quring_error err = {};
    EXPECT_STREQ(qp_error_text(&err, QURING_E_NOMEM), quring_status_text(QURING_E_NOMEM));
    err.message[0] = 'x';
    EXPECT_STREQ(qp_error_text(&err, QURING_E_NOMEM), "x");
}

} // namespace
