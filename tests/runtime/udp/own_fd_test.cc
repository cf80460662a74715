#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/udp/own_fd.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int some_fd()
{
    return open("/dev/null", O_RDONLY);
}

TEST(OwnFd, MovesKnowsAndCloses)
{
    int low = some_fd();
    int fd = rt_fd_keep(low);
    EXPECT_GE(fd, RT_FD_LOW);
    EXPECT_FALSE(is_open(low));
    EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    EXPECT_TRUE(rt_fd_is_ours(fd));
    EXPECT_FALSE(rt_fd_is_ours(low));
    rt_fd_close(fd);
    EXPECT_FALSE(rt_fd_is_ours(fd));
    EXPECT_FALSE(is_open(fd));
}

TEST(OwnFd, ForgottenIsTheCallers)
{
    int fd = rt_fd_keep(some_fd());
    rt_fd_forget(fd);
    EXPECT_FALSE(rt_fd_is_ours(fd));
    EXPECT_TRUE(is_open(fd));
    close(fd);
}

TEST(OwnFd, NoNumbers)
{
    EXPECT_EQ(-1, rt_fd_keep(-1));
    rt_fd_close(-1);
    rt_fd_forget(-1);
    rt_fd_forget(RT_FD_MAX);
    EXPECT_FALSE(rt_fd_is_ours(-1));
    EXPECT_FALSE(rt_fd_is_ours(RT_FD_MAX));
}

/* As many as a process of Linux may have by default of the kernel's (fs.nr_open); these need not be open. */
TEST(OwnFd, HighOnesAreKnown)
{
    for (int fd : {65536, 70001, (1 << 20) - 1}) {
        ASSERT_FALSE(is_open(fd));
        EXPECT_EQ(fd, rt_fd_keep(fd));
        EXPECT_TRUE(rt_fd_is_ours(fd));
        EXPECT_FALSE(rt_fd_is_ours(fd - 1));
        rt_fd_abandon();
        EXPECT_FALSE(rt_fd_is_ours(fd));
    }
}

TEST(OwnFd, StaysWhereTheLimitIsLow)
{
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit low = {64, old.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
    int before = some_fd();
    int fd = rt_fd_keep(before);
    EXPECT_EQ(before, fd);
    EXPECT_TRUE(rt_fd_is_ours(fd));
    rt_fd_close(fd);
    EXPECT_FALSE(is_open(before));
    setrlimit(RLIMIT_NOFILE, &old);
}

TEST(OwnFd, AbandonClosesAll)
{
    int a = rt_fd_keep(some_fd());
    int b = rt_fd_keep(some_fd());
    int other = some_fd();
    rt_fd_abandon();
    EXPECT_FALSE(is_open(a));
    EXPECT_FALSE(is_open(b));
    EXPECT_TRUE(is_open(other));
    EXPECT_FALSE(rt_fd_is_ours(a));
    close(other);
}

/* Those that a child has got and does not know of. */
static int unknown_in_child()
{
    const bool held = rt_fd_hold_to_fork();
    const pid_t pid = fork();
    if (pid == 0) {
        int unknown = 0;
        rt_fd_abandon();
        for (int fd = RT_FD_LOW; fd < RT_FD_LOW + 64; fd++) {
            unknown += is_open(fd) ? 1 : 0;
        }
        _exit(unknown);
    }
    rt_fd_let(held);
    int status = 0;
    EXPECT_EQ(pid, waitpid(pid, &status, 0));
    return WEXITSTATUS(status);
}

/* fork copies the descriptors, then this, and then where they are noted. */
static void *much_memory(size_t len)
{
    void *low = mmap(reinterpret_cast<void *>(uintptr_t{1} << 32), len, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    EXPECT_NE(MAP_FAILED, low);
    return low;
}

TEST(OwnFd, AChildKnowsAllThatItHas)
{
    const size_t len = 64u << 20;
    void *memory = much_memory(len);
    std::atomic<bool> over{false};
    std::thread other([&] {
        while (!over) {
            const bool held = rt_fd_hold();
            const int fd = rt_fd_keep(some_fd());
            rt_fd_let(held);
            rt_fd_close(fd);
        }
    });
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(0, unknown_in_child());
    }
    over = true;
    other.join();
    munmap(memory, len);
}

/* What who forks waits for may need descriptors: these are waited for no longer than that. */
TEST(OwnFd, WhoForksIsNotWaitedForForEver)
{
    const bool held = rt_fd_hold_to_fork();
    EXPECT_TRUE(held);
    std::thread([] {
        const bool other = rt_fd_hold();
        EXPECT_FALSE(other);
        int fd = rt_fd_keep(some_fd());
        rt_fd_let(other);
        EXPECT_TRUE(rt_fd_is_ours(fd));
        rt_fd_close(fd);
        EXPECT_FALSE(is_open(fd));
    }).join();
    rt_fd_let(held);
}

/* Whoever is to end, in a call of the library's that makes or closes descriptors, lets go of them first. */
TEST(OwnFd, NobodyEndsWhileItHolds)
{
    int fds[2] = {rt_fd_keep(some_fd()), some_fd()};
    const int low = fds[1];
    pthread_t thread;
    ASSERT_EQ(0, pthread_create(
                     &thread, nullptr,
                     [](void *arg) -> void * {
                         int *given = static_cast<int *>(arg);
                         (void)pthread_cancel(pthread_self()); // at the next point of cancellation
                         const bool held = rt_fd_hold();
                         given[1] = rt_fd_keep(given[1]);
                         rt_fd_let(held);
                         rt_fd_close(given[0]);
                         return arg;
                     },
                     fds));
    void *end = nullptr;
    ASSERT_EQ(0, pthread_join(thread, &end));
    EXPECT_EQ(fds, end);
    EXPECT_FALSE(is_open(low));
    EXPECT_FALSE(is_open(fds[0]));
    const bool held = rt_fd_hold_to_fork();
    EXPECT_TRUE(held);
    rt_fd_let(held);
    rt_fd_close(fds[1]);
}
