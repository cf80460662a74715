#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "quic/base/types.h"
#include "runtime/server/error.h"

namespace
{

TEST(Error, SetFillsEverythingAndReturnsTheStatus)
{
    quring_error err;
    memset(&err, 0x55, sizeof(err));
    EXPECT_EQ(rt_error_set(&err, QURING_E_LIMIT, "%s is %d", "x", 7), QURING_E_LIMIT);
    EXPECT_EQ(err.status, QURING_E_LIMIT);
    EXPECT_EQ(err.os_errno, 0);
    EXPECT_STREQ(err.message, "x is 7");
    EXPECT_EQ(rt_error_set(nullptr, QURING_E_LIMIT, "x"), QURING_E_LIMIT);
}

TEST(Error, OsAppendsTheReason)
{
    quring_error err;
    EXPECT_EQ(rt_error_os(&err, QURING_E_OS, EPERM, "bind"), QURING_E_OS);
    EXPECT_EQ(err.os_errno, EPERM);
    EXPECT_EQ(std::string(err.message), std::string("bind: ") + strerror(EPERM));
    EXPECT_EQ(rt_error_os(nullptr, QURING_E_OS, EPERM, "bind"), QURING_E_OS);
    EXPECT_EQ(rt_error_os(&err, QURING_E_OS, EMFILE, "socket"), QURING_E_OS);
    EXPECT_EQ(std::string(err.message),
              std::string("socket: ") + strerror(EMFILE) + " (ulimit -n)");
}

TEST(Error, LongLinesAreCut)
{
    const std::string line(4000, 'a');
    quring_error err;
    EXPECT_EQ(rt_error_set(&err, QURING_E_OS, "%s", line.c_str()), QURING_E_OS);
    EXPECT_EQ(strlen(err.message), sizeof(err.message) - 1);
    EXPECT_EQ(rt_error_os(&err, QURING_E_OS, EPERM, "%s", line.c_str()), QURING_E_OS);
    EXPECT_EQ(strlen(err.message), sizeof(err.message) - 1);
}

TEST(Error, ClearSaysOk)
{
    quring_error err;
    memset(&err, 0x55, sizeof(err));
    rt_error_clear(&err);
    EXPECT_EQ(err.status, QURING_OK);
    EXPECT_STREQ(err.message, "");
    rt_error_clear(nullptr);
}

TEST(Error, StatusOfCoreResults)
{
    const std::pair<int, quring_status> cases[] = {
        {QUIC_OK, QURING_OK},
        {QUIC_E_AGAIN, QURING_E_AGAIN},
        {QUIC_E_LIMIT, QURING_E_LIMIT},
        {QUIC_E_STATE, QURING_E_STATE},
        {QUIC_E_DROP, QURING_E_STATE},
        {QUIC_E_NOMEM, QURING_E_NOMEM},
        {QUIC_E_INVAL, QURING_E_INVAL},
        {QUIC_E_CRYPTO, QURING_E_TLS},
        {QUIC_V_TRANSPORT_PARAMETER, QURING_E_INVAL},
        {-1000, QURING_E_INVAL},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(rt_status_of(c.first), c.second) << c.first;
    }
}

} // namespace
