/* quic_set_log_level and quic_set_log_func: who hears what the library has to say. */
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string>
#include <syslog.h>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

std::mutex lock;
std::vector<std::pair<int, std::string>> lines;

void note(int level, const char *line)
{
    std::lock_guard<std::mutex> held(lock);
    lines.emplace_back(level, line);
}

std::vector<std::pair<int, std::string>> heard()
{
    std::lock_guard<std::mutex> held(lock);
    return std::exchange(lines, {});
}

/* A handshake that fails for a reason there is something to say about. */
void fail()
{
    Fd listen_fd = listener();
    Fd client = quic_socket();
    Address to = name_of(listen_fd);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread other([&] { EXPECT_LT(quic_client_handshake(client, nullptr, nullptr), 0); });
    Fd server(accept(listen_fd, nullptr, nullptr));
    EXPECT_LT(quic_server_handshake(server, "/proc/self/exe", cert_file()), 0);
    server.reset();
    listen_fd.reset();
    other.join();
}

struct Log : testing::Test {
    void TearDown() override
    {
        quic_set_log_level(LOG_EMERG);
        quic_set_log_func(nullptr);
        unsetenv("QUIC_LOG");
    }
};

} // namespace

TEST_F(Log, WhatWasBefore)
{
    (void)quic_set_log_level(LOG_ERR);
    EXPECT_EQ(LOG_ERR, quic_set_log_level(LOG_DEBUG));
    EXPECT_EQ(LOG_DEBUG, quic_set_log_level(LOG_EMERG));
    EXPECT_EQ(nullptr, quic_set_log_func(note));
    EXPECT_EQ(note, quic_set_log_func(nullptr));
}

TEST_F(Log, AFunctionHearsWhatTheLevelAllows)
{
    quic_set_log_func(note);
    quic_set_log_level(LOG_DEBUG);
    fail();
    auto all = heard();
    ASSERT_FALSE(all.empty());
    for (auto &line : all) {
        EXPECT_LE(LOG_ERR, line.first);
        EXPECT_GE(LOG_INFO, line.first);
        EXPECT_FALSE(line.second.empty());
        EXPECT_EQ(std::string::npos, line.second.find('\n'));
    }
    quic_set_log_level(LOG_NOTICE);
    fail();
    for (auto &line : heard()) {
        EXPECT_GE(LOG_WARNING, line.first) << line.second;
    }
    quic_set_log_level(LOG_EMERG);
    fail();
    EXPECT_TRUE(heard().empty());
}

/* Linkers drop the library that has them, as nothing in the program names it. */
TEST_F(Log, WhyThereAreNoPreSharedKeys)
{
    Fd fd = quic_socket();
    quic_set_log_func(note);
    quic_set_log_level(LOG_ERR);
    EXPECT_EQ(-ENOSYS, quic_client_handshake(fd, key_file(), nullptr));
    auto all = heard();
    ASSERT_EQ(1u, all.size());
    EXPECT_EQ(LOG_ERR, all[0].first);
    EXPECT_NE(std::string::npos, all[0].second.find("libquic_gnutls"));
}

TEST_F(Log, TheEnvironmentHasTheLastWord)
{
    quic_set_log_func(note);
    quic_set_log_level(LOG_EMERG);
    setenv("QUIC_LOG", "2", 1);
    fail();
    EXPECT_FALSE(heard().empty());
    quic_set_log_level(LOG_DEBUG);
    setenv("QUIC_LOG", "0", 1);
    fail();
    for (auto &line : heard()) {
        EXPECT_EQ(LOG_ERR, line.first) << line.second;
    }
}

TEST_F(Log, WithoutAFunctionItIsStandardError)
{
    quic_set_log_level(LOG_INFO);
    testing::internal::CaptureStderr();
    fail();
    EXPECT_NE(std::string::npos, testing::internal::GetCapturedStderr().find("quic: "));
    quic_set_log_level(LOG_EMERG);
    testing::internal::CaptureStderr();
    fail();
    EXPECT_EQ("", testing::internal::GetCapturedStderr());
}
