/* socket: draft section 3.1.1. */
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

TEST(Socket, C001_GivesADescriptor)
{
    EXPECT_GE(quic_socket().get(), 0);
}

TEST(Socket, C002_BothFamiliesAndTypes)
{
    for (int family : {AF_INET, AF_INET6}) {
        for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
            EXPECT_GE(quic_socket(family, type).get(), 0);
        }
    }
}

TEST(Socket, C003_FlagsInTheType)
{
    Fd fd = quic_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    EXPECT_NE(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
    Fd plain = quic_socket();
    EXPECT_EQ(0, fcntl(plain, F_GETFL) & O_NONBLOCK);
    EXPECT_EQ(0, fcntl(plain, F_GETFD) & FD_CLOEXEC);
}

TEST(Socket, C004_OtherTypesAreRefused)
{
    for (int type : {SOCK_SEQPACKET, SOCK_RDM}) {
        EXPECT_EQ(-1, socket(AF_INET, type, IPPROTO_QUIC));
        EXPECT_TRUE(errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT) << strerror(errno);
    }
}

TEST(Socket, C005_OtherFamiliesAreRefused)
{
    EXPECT_ERRNO(EPROTONOSUPPORT, socket(AF_UNIX, SOCK_DGRAM, IPPROTO_QUIC));
    int pair[2];
    EXPECT_ERRNO(EOPNOTSUPP, socketpair(AF_INET, SOCK_DGRAM, IPPROTO_QUIC, pair));
}

TEST(Socket, C006_DescriptorsAreTheKernels)
{
    Fd low(open("/dev/null", O_RDONLY));
    int want = low;
    low.reset();
    Fd fd = quic_socket();
    EXPECT_EQ(want, fd.get());
    struct stat st {
    };
    ASSERT_EQ(0, fstat(fd, &st));
    EXPECT_TRUE(S_ISSOCK(st.st_mode));
    EXPECT_EQ(0, access(("/proc/self/fd/" + std::to_string(fd)).c_str(), F_OK));

    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    rlimit low_limit = {static_cast<rlim_t>(fd.get()) + 1, old.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low_limit));
    EXPECT_ERRNO(EMFILE, socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC));
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
    EXPECT_GE(quic_socket().get(), 0);
}

TEST(Socket, C007_TellsWhatItIs)
{
    Fd fd = quic_socket(AF_INET6, SOCK_STREAM);
    const struct {
        int name;
        int value;
    } facts[] = {{SO_TYPE, SOCK_STREAM},
                 {SO_DOMAIN, AF_INET6},
                 {SO_PROTOCOL, IPPROTO_QUIC},
                 {SO_ACCEPTCONN, 0}};
    for (const auto &fact : facts) {
        int value = -1;
        socklen_t len = sizeof(value);
        ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, fact.name, &value, &len));
        EXPECT_EQ(fact.value, value) << fact.name;
    }
    Fd listening = listener();
    int value = 0;
    socklen_t len = sizeof(value);
    ASSERT_EQ(0, getsockopt(listening, SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
    EXPECT_EQ(1, value);
}

TEST(Socket, C008_OtherSocketsAreLeftAlone)
{
    Fd quic = quic_socket(); /* the engine is there */
    Fd tcp(socket(AF_INET, SOCK_STREAM, 0));
    Address at = loopback();
    ASSERT_EQ(0, bind(tcp, at.ptr(), at.len));
    ASSERT_EQ(0, listen(tcp, 1));
    Address to = name_of(tcp);
    Fd client(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    Fd server(accept(tcp, nullptr, nullptr));
    ASSERT_EQ(5, send(client, "hello", 5, 0));
    EXPECT_EQ("hello", read_bytes(server, 5));
    EXPECT_ERRNO(EADDRINUSE, bind(quic_socket(AF_INET, SOCK_DGRAM).get() >= 0
                                      ? Fd(socket(AF_INET, SOCK_STREAM, 0)).get()
                                      : -1,
                                  to.ptr(), to.len));
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(client, SOL_SOCKET, 9999, &to, sizeof(int)));
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    EXPECT_EQ(3, write(pipes[1], "abc", 3));
    char buf[8];
    EXPECT_EQ(3, read(pipes[0], buf, sizeof(buf)));
    EXPECT_ERRNO(ENOTSOCK, send(pipes[1], "x", 1, 0));
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_ERRNO(EBADF, read(-1, buf, 1));
}
