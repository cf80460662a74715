#include <errno.h>
#include <functional>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <liburing.h>

#include "runtime/core/clock.h"
#include "runtime/io/io_select.h"

namespace
{

rt_io_config Config()
{
    rt_io_config config;
    rt_io_config_init(&config);
    return config;
}

// Runs `body` in a child under a seccomp filter; true when it returned true.
bool Under(std::vector<sock_filter> code, const std::function<bool()> &body)
{
    pid_t pid = fork();
    if (pid == 0) {
        sock_fprog prog = {(unsigned short)code.size(), code.data()};
        bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 && body();
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status == 0;
}

// ... where io_uring_setup fails with `error`.
bool WithoutUring(uint32_t error, const std::function<bool()> &body)
{
    return Under(
        {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        },
        body);
}

// ... where epoll_pwait2 does.
bool WithoutPwait2(uint32_t error, const std::function<bool()> &body)
{
    return Under(
        {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        },
        body);
}

// ... where the ring knows nothing of `what`, an opcode of io_uring_register: an older kernel's answer.
bool WithoutRegister(uint32_t what, const std::function<bool()> &body)
{
    return Under(
        {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 4),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
            BPF_STMT(BPF_ALU | BPF_AND | BPF_K,
                     0x7fffffff), /* IORING_REGISTER_USE_REGISTERED_RING */
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        },
        body);
}

// What the runtime takes by itself, and why, in that child.
bool Takes(const char *name, const std::string &because)
{
    rt_io_config config = Config();
    char why[RT_IO_WHY_BYTES];
    rt_io *io = nullptr;
    bool ok = rt_io_select(&io, why, QURING_IO_AUTO, &config) == 0 &&
              std::string(rt_io_name(io)) == name && why == because;
    rt_io_destroy(io);
    return ok;
}

} // namespace

TEST(IoSelect, ForcedEpollSaysAskedFor)
{
    rt_io_config config = Config();
    char why[RT_IO_WHY_BYTES];
    rt_io *io = nullptr;
    ASSERT_EQ(rt_io_select(&io, why, QURING_IO_EPOLL, &config), 0);
    EXPECT_STREQ(rt_io_name(io), "epoll");
    EXPECT_STREQ(why, "asked for");
    rt_io_destroy(io);
}

TEST(IoSelect, ForcedUringSaysAskedFor)
{
    rt_io_config config = Config();
    char why[RT_IO_WHY_BYTES];
    rt_io *io = nullptr;
    ASSERT_EQ(rt_io_select(&io, why, QURING_IO_URING, &config), 0);
    EXPECT_STREQ(rt_io_name(io), "io_uring");
    EXPECT_STREQ(why, "asked for");
    rt_io_destroy(io);
}

TEST(IoSelect, AutoPrefersUring)
{
    rt_io_config config = Config();
    char why[RT_IO_WHY_BYTES];
    rt_io *io = nullptr;
    ASSERT_EQ(rt_io_select(&io, why, QURING_IO_AUTO, &config), 0);
    EXPECT_STREQ(rt_io_name(io), "io_uring");
    EXPECT_STREQ(why, "available");
    rt_io_destroy(io);
}

TEST(IoSelect, H113_AutoFallsBackAndSaysWhy)
{
    for (int error : {EPERM, EACCES, ENOSYS, ENOMEM, EMFILE}) {
        EXPECT_TRUE(WithoutUring((uint32_t)error, [error] {
            const char *advice = error == ENOMEM   ? " (ulimit -l)"
                                 : error == EMFILE ? " (ulimit -n)"
                                                   : "";
            return Takes("epoll", std::string("io_uring refused: ") + strerror(error) + advice);
        })) << strerror(error);
    }
}

TEST(IoSelect, H113_ForcedUringFailsCleanly)
{
    EXPECT_TRUE(WithoutUring(EPERM, [] {
        rt_io_config config = Config();
        char why[RT_IO_WHY_BYTES];
        rt_io *io = nullptr;
        return rt_io_select(&io, why, QURING_IO_URING, &config) == -EPERM && io == nullptr &&
               std::string(why) == "io_uring refused: Operation not permitted";
    }));
}

/* Linux 5.10, say: rings can be made, but lack what the receive path is built on. */
TEST(IoSelect, H113_AnOlderIoUringIsNotTaken)
{
    EXPECT_TRUE(WithoutRegister(IORING_REGISTER_PROBE, [] {
        return Takes("epoll", "io_uring refused: Operation not supported (it takes Linux 6.0)");
    }));
    EXPECT_TRUE(WithoutRegister(IORING_REGISTER_PBUF_RING, [] {
        return Takes("epoll", "io_uring refused: Invalid argument");
    }));
}

/* What only makes it faster. */
TEST(IoSelect, H113_UringWithoutRegisteredFilesOrRingsWillDo)
{
    for (uint32_t what :
         {IORING_REGISTER_FILES2, IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_RING_FDS}) {
        EXPECT_TRUE(WithoutRegister(what, [] { return Takes("io_uring", "available"); })) << what;
    }
}

/* An older kernel; a container whose filter is older than the call. */
TEST(IoSelect, H113_EpollSleepsWithoutItsNewestCall)
{
    for (uint32_t error : {ENOSYS, EPERM}) {
        EXPECT_TRUE(WithoutPwait2(error, [] {
            rt_io_config config = Config();
            char why[RT_IO_WHY_BYTES];
            rt_io *io = nullptr;
            if (rt_io_select(&io, why, QURING_IO_EPOLL, &config) != 0) {
                return false;
            }
            const quic_ns began = rt_clock_now();
            (void)rt_io_wait(io, began, began + 20 * QUIC_NS_PER_MS);
            const quic_ns slept = rt_clock_now() - began;
            rt_io_destroy(io);
            return slept >= 20 * QUIC_NS_PER_MS;
        })) << strerror((int)error);
    }
}
