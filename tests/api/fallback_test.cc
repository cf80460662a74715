#include <cerrno>
#include <spawn.h>
#include <stdlib.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

extern char **environ;

namespace
{

using quring_test::Addr;
using quring_test::Bytes;
using quring_test::ClientTls;
using quring_test::Config;
using quring_test::Listener;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::RefuseIoUring;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::Tls;

constexpr const char *kChildMark = "QURING_TEST_WITHOUT_IO_URING";

struct LogLines {
    std::mutex mutex;
    std::vector<std::string> warnings;

    static void Add(void *ctx, int level, const char *line)
    {
        LogLines *self = static_cast<LogLines *>(ctx);
        std::lock_guard<std::mutex> guard(self->mutex);
        if (level <= 1) {
            self->warnings.push_back(line);
        }
    }
};

/* Runs only in the child that the test below starts. */
class WithoutIoUring : public testing::Test
{
  protected:
    void SetUp() override
    {
        if (getenv(kChildMark) == nullptr) {
            GTEST_SKIP() << "runs in a child process";
        }
        ASSERT_TRUE(RefuseIoUring());
    }
};

TEST_F(WithoutIoUring, ChildFallsBackSaysSoAndServes)
{
    LogLines log;
    Peer server(Peer::Mode::kEcho);
    Peer client;
    quring_config config = Config();
    config.log = LogLines::Add;
    config.log_ctx = &log;
    Runtime runtime(config);
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    quring_runtime_info info;
    quring_runtime_get_info(runtime.rt(), &info);
    EXPECT_STREQ(info.backend, "epoll");
    EXPECT_STREQ(info.backend_why, "io_uring refused: Operation not permitted");
    ASSERT_EQ(log.warnings.size(), 1u);
    EXPECT_NE(log.warnings[0].find("epoll"), std::string::npos);
    EXPECT_NE(log.warnings[0].find("io_uring refused: Operation not permitted"), std::string::npos)
        << log.warnings[0];

    const Tls server_tls = ServerTls();
    const Tls client_tls = ClientTls();
    Listener listener(&runtime, &server, Addr("127.0.0.1:0"), server_tls.get());
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    quring_conn conn = {0};
    ASSERT_EQ(client.Connect(&conn, &runtime, 0, listener.local(), client_tls.get()), QURING_OK);
    ASSERT_TRUE(client.WaitConnected(conn));
    uint64_t id = 0;
    const Bytes data = Pattern(1 << 20, 1);
    ASSERT_TRUE(runtime.On(0, [&] { EXPECT_EQ(client.Send(&id, conn, data), QURING_OK); }));
    ASSERT_TRUE(client.Wait([&] { return client.At(conn, id).in_fin; }));
    EXPECT_TRUE(client.Facts(conn, id).in == data);
    listener.Close();
    runtime.Destroy();
}

TEST_F(WithoutIoUring, ChildRefusesToGoWithoutWhatWasDemanded)
{
    const Runtime runtime(Config(QURING_IO_URING, 2));
    EXPECT_EQ(runtime.rt(), nullptr);
    EXPECT_EQ(runtime.error().status, QURING_E_NOT_SUPPORTED);
    EXPECT_EQ(runtime.error().os_errno, EPERM);
    EXPECT_NE(std::string(runtime.error().message).find("io_uring refused"), std::string::npos)
        << runtime.error().message;
}

TEST(Fallback, H113_EpollServesWhereIoUringIsRefused)
{
    if (getenv(kChildMark) != nullptr) {
        GTEST_SKIP() << "this is the child";
    }
    setenv(kChildMark, "1", 1);
    char self[] = "/proc/self/exe";
    char filter[] = "--gtest_filter=WithoutIoUring.*";
    char *argv[] = {self, filter, nullptr};
    pid_t child = -1;
    const int rc = posix_spawn(&child, self, nullptr, nullptr, argv, environ);
    unsetenv(kChildMark);
    ASSERT_EQ(rc, 0);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

} // namespace
