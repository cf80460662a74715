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

#include <gtest/gtest.h>

#include "runtime/io/io_select.h"

namespace
{

rt_io_config Config()
{
    rt_io_config config;
    rt_io_config_init(&config);
    return config;
}

// Runs `body` in a child where io_uring_setup fails with `error`; true when it returned true.
bool WithoutUring(uint32_t error, const std::function<bool()> &body)
{
    pid_t pid = fork();
    if (pid == 0) {
        sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};
        bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 && body();
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status == 0;
}

} // namespace

TEST(IoSelect, ForcedBackEndsSayAskedFor)
{
    rt_io_config config = Config();
    char why[RT_IO_WHY_BYTES];
    rt_io *io = nullptr;
    ASSERT_EQ(rt_io_select(&io, why, QURING_IO_EPOLL, &config), 0);
    EXPECT_STREQ(rt_io_name(io), "epoll");
    EXPECT_STREQ(why, "asked for");
    rt_io_destroy(io);
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
            rt_io_config config = Config();
            char why[RT_IO_WHY_BYTES];
            rt_io *io = nullptr;
            const char *advice = error == ENOMEM   ? " (ulimit -l)"
                                 : error == EMFILE ? " (ulimit -n)"
                                                   : "";
            bool ok =
                rt_io_select(&io, why, QURING_IO_AUTO, &config) == 0 &&
                std::string(rt_io_name(io)) == "epoll" &&
                std::string(why) == std::string("io_uring refused: ") + strerror(error) + advice;
            rt_io_destroy(io);
            return ok;
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
