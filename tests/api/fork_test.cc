/* quring_owns_fd and quring_abandon: what a forked child has of its parent's runtimes. */
#include <arpa/inet.h>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <set>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::Config;
using quring_test::Listener;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::Tls;

/* Under ThreadSanitizer a child of a process with threads cannot start any. */
#if defined(QURING_TSAN)
constexpr bool kChildMayStartThreads = false;
#else
constexpr bool kChildMayStartThreads = true;
#endif

std::set<int> OpenFds()
{
    std::set<int> fds;
    DIR *dir = opendir("/proc/self/fd");
    while (const dirent *entry = readdir(dir)) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(dir)) {
            fds.insert(fd);
        }
    }
    closedir(dir);
    return fds;
}

bool CanBind(uint16_t port)
{
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool ok = bind(fd, reinterpret_cast<const sockaddr *>(&in), sizeof(in)) == 0;
    close(fd);
    return ok;
}

class ForkOn : public testing::TestWithParam<quring_io_backend>
{
  protected:
    void SetUp() override
    {
        Runtime probe(Config(GetParam()));
        if (probe.rt() == nullptr && probe.error().status == QURING_E_NOT_SUPPORTED) {
            GTEST_SKIP() << probe.error().message;
        }
    }
};

TEST_P(ForkOn, EveryDescriptorOfARuntimeIsKnownHighAndClosedByExec)
{
    const std::set<int> before = OpenFds();
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr);
    Tls tls = ServerTls();
    Peer peer;
    Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), tls.get());
    ASSERT_TRUE(listener.ok());
    uint32_t ours = 0;
    for (int fd : OpenFds()) {
        if (before.count(fd) != 0) {
            EXPECT_FALSE(quring_owns_fd(fd)) << fd;
            continue;
        }
        ours++;
        EXPECT_TRUE(quring_owns_fd(fd)) << fd;
        EXPECT_GE(fd, 512);
        EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD)) << fd;
    }
    EXPECT_GE(ours, 6u); /* of each worker a way to wait, a way to wake, a socket */
    listener.Close();
    runtime.Destroy();
    EXPECT_EQ(before, OpenFds());
    EXPECT_FALSE(quring_owns_fd(-1));
}

int ChildStartsAnew(quring_io_backend io)
{
    if (!kChildMayStartThreads) {
        return 0;
    }
    Runtime runtime(Config(io, 1));
    if (runtime.rt() == nullptr) {
        return 10;
    }
    Tls tls = ServerTls();
    Peer peer;
    Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), tls.get());
    if (!listener.ok()) {
        return 11;
    }
    int self = -2;
    if (!runtime.On(0, [&self] { self = quring_worker_self(); }) || self != 0) {
        return 12;
    }
    listener.Close();
    runtime.Destroy();
    return 0;
}

TEST_P(ForkOn, H120_AChildGivesThemUpAndStartsAnew)
{
    const std::set<int> before = OpenFds();
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr);
    Tls tls = ServerTls();
    Peer peer;
    Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), tls.get());
    ASSERT_TRUE(listener.ok());
    const uint16_t port = listener.local().port;
    int hold[2];
    int ready[2];
    ASSERT_EQ(0, pipe(hold));
    ASSERT_EQ(0, pipe(ready));
    const bool held = quring_hold_fds_to_fork();
    const pid_t child = fork();
    if (child == 0) {
        close(hold[1]);
        quring_abandon();
        std::set<int> left = OpenFds();
        for (int fd : {hold[0], ready[0], ready[1]}) {
            left.erase(fd);
        }
        char code = static_cast<char>(left == before ? ChildStartsAnew(GetParam()) : 9);
        (void)!write(ready[1], &code, 1);
        (void)!read(hold[0], &code, 1); /* outlives the parent's runtime */
        _exit(0);
    }
    quring_let_fds(held);
    close(hold[0]);
    char code = -1;
    ASSERT_EQ(1, read(ready[0], &code, 1));
    EXPECT_EQ(0, code);
    int self = -2;
    EXPECT_TRUE(runtime.On(1, [&self] { self = quring_worker_self(); }));
    EXPECT_EQ(1, self);
    EXPECT_FALSE(CanBind(port));
    listener.Close();
    runtime.Destroy();
    EXPECT_TRUE(CanBind(port)); /* the child keeps nothing of it */
    close(hold[1]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
    close(ready[0]);
    close(ready[1]);
}

INSTANTIATE_TEST_SUITE_P(Backends, ForkOn, testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param_info) {
                             return param_info.param == QURING_IO_URING ? "uring" : "epoll";
                         });

} // namespace
