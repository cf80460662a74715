/* Signals, resources that give out, and programs that get things wrong. */
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

std::atomic<unsigned> g_signals{0};

void count_signal(int)
{
    g_signals++;
}

class Storm
{
  public:
    explicit Storm(int sa_flags)
    {
        struct sigaction action {
        };
        action.sa_handler = count_signal;
        action.sa_flags = sa_flags;
        sigaction(SIGALRM, &action, nullptr);
        g_signals = 0;
        itimerval timer = {{0, 1000}, {0, 1000}}; /* a thousand a second */
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
    ~Storm()
    {
        itimerval timer{};
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
};

int own_exe(const char *mode, const char *io = nullptr, const char *workers = nullptr)
{
    pid_t child = fork();
    if (child == 0) {
        if (io != nullptr) {
            setenv("QUIC_IO", io, 1);
        } else {
            unsetenv("QUIC_IO");
        }
        if (workers != nullptr) {
            setenv("QUIC_WORKERS", workers, 1);
        }
        execl("/proc/self/exe", "misuse_test", mode, nullptr);
        _exit(99);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/* In a program of its own: io_uring_setup is refused. */
int without_io_uring()
{
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 77;
    }
    errno = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
    int error = errno;
    Fd tcp(socket(AF_INET, SOCK_STREAM, 0)); /* others do not care */
    if (tcp < 0) {
        return 3;
    }
    const char *io = getenv("QUIC_IO");
    if (io != nullptr && strcmp(io, "uring") == 0) {
        return fd < 0 && (error == EPERM || error == ENOSYS) ? 0 : 1;
    }
    if (fd < 0) {
        return 2;
    }
    close(fd);
    Pair pair = make_pair();
    return alive(pair) ? 0 : 4;
}

/* Threads by name: the kernel has some of its own among them. */
int worker_count()
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (const dirent *entry = readdir(tasks)) {
        char name[16] = {};
        const std::string path = std::string("/proc/self/task/") + entry->d_name + "/comm";
        FILE *comm = fopen(path.c_str(), "re");
        if (comm != nullptr) {
            count += fgets(name, sizeof(name), comm) != nullptr && strncmp(name, "quring-", 7) == 0;
            fclose(comm);
        }
    }
    closedir(tasks);
    return count;
}

/* In a program of its own: how many workers there are with a first socket. */
int workers_of_a_socket()
{
    Fd fd(socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC));
    return fd < 0 ? 0 : worker_count();
}

/* In a program of its own: memory gives out while a message is taken. */
int without_memory()
{
    Pair pair = make_pair();
    const int large = 128 << 20;
    setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    const std::string data = pattern(64u << 20);
    long pages = 0; /* data and stack, the sixth number */
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == nullptr || fscanf(statm, "%*d %*d %*d %*d %*d %ld", &pages) != 1) {
        return 77;
    }
    fclose(statm);
    rlimit old{};
    getrlimit(RLIMIT_DATA, &old);
    const rlimit tight = {static_cast<rlim_t>(pages) * 4096 + (8u << 20), old.rlim_max};
    setrlimit(RLIMIT_DATA, &tight);
    const ssize_t n = send(pair.client, data.data(), data.size(), MSG_SYN | MSG_NOSIGNAL);
    const int error = errno;
    setrlimit(RLIMIT_DATA, &old);
    if (n == static_cast<ssize_t>(data.size())) {
        return 78; /* there was enough */
    }
    if (n <= 0 && error != ENOMEM && error != EPIPE) {
        return 1;
    }
    const size_t taken = n > 0 ? static_cast<size_t>(n) : 0;
    set_recv_timeout(pair.server, 10000);
    const bool fine = read_bytes(pair.server, taken) == data.substr(0, taken);
    return fine || (poll_now(pair.server) & POLLHUP) != 0 ? 0 : 2;
}

} // namespace

/* Part of it is taken, or nothing, or the connection ends; no call tries for ever. */
TEST(Limits, H101_NoMemoryInTheMiddleOfASend)
{
#if defined(QURING_ASAN) || defined(QURING_TSAN)
    GTEST_SKIP() << "fuzz_test lets allocations fail in these builds";
#endif
    int rc = own_exe("--without-memory", getenv("QUIC_IO"));
    if (rc == 77 || rc == 78) {
        GTEST_SKIP() << "memory cannot be limited here";
    }
    EXPECT_EQ(0, rc);
}

TEST(Signals, C221_AStormDuringATransfer)
{
    Pair pair = make_pair();
    const char *asked = getenv("QUIC_TEST_BYTES");
    const size_t len = asked != nullptr ? 100u << 20 : 8u << 20;
    const std::string data = pattern(len);
    Storm storm(0);
    std::thread writer([&] {
        size_t done = 0;
        while (done < len) {
            ssize_t n = send(pair.client, data.data() + done, len - done,
                             (done == 0 ? MSG_SYN : 0) | MSG_FIN);
            if (n < 0) {
                ASSERT_EQ(EINTR, errno) << strerror(errno);
                continue;
            }
            done += static_cast<size_t>(n);
        }
    });
    std::string got;
    std::vector<char> buf(65536);
    while (got.size() < len) {
        ssize_t n = read(pair.server, buf.data(), buf.size());
        if (n < 0) {
            ASSERT_EQ(EINTR, errno) << strerror(errno);
            continue;
        }
        got.append(buf.data(), static_cast<size_t>(n));
    }
    writer.join();
    EXPECT_TRUE(got == data);
    EXPECT_GT(g_signals.load(), 10u);
}

TEST(Signals, H105_HandshakesInAStorm)
{
    for (int sa_flags : {0, SA_RESTART}) {
        Storm storm(sa_flags);
        Fd fd = listener();
        cert_file();
        for (int i = 0; i < 5; i++) {
            Fd client = quic_socket();
            fcntl(client, F_SETFL, O_NONBLOCK);
            Address to = name_of(fd);
            ASSERT_EQ(0, connect(client, to.ptr(), to.len));
            EXPECT_NE(0, poll_now(client) & POLLOUT);
            int rc = -1;
            std::thread other([&] { rc = quic_client_handshake(client, nullptr, nullptr); });
            int server;
            do {
                server = accept(fd, nullptr, nullptr);
            } while (server < 0 && errno == EINTR);
            Fd accepted(server);
            ASSERT_GE(server, 0) << strerror(errno);
            EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
            other.join();
            EXPECT_EQ(0, rc);
        }
    }
}

TEST(Limits, C223_NoMoreDescriptors)
{
    Pair pair = make_pair();
    Fd client = quic_socket();
    Address to = name_of(pair.listen);
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    int rc = -1;
    std::thread other([&] { rc = quic_client_handshake(client, nullptr, nullptr); });
    ASSERT_TRUE(poll_for(pair.listen, POLLIN));
    rlimit old{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
    Fd last(dup(0));
    rlimit none = {static_cast<rlim_t>(last.get()) + 1, old.rlim_max};
    std::vector<int> used;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
    for (int fd; (fd = dup(0)) >= 0;) {
        used.push_back(fd);
    }
    EXPECT_ERRNO(EMFILE, socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC));
    EXPECT_ERRNO(EMFILE, accept(pair.listen, nullptr, nullptr));
    EXPECT_ERRNO(EMFILE, dup(pair.server));
    EXPECT_EQ(POLLIN, poll_now(pair.listen)); /* it stays in the queue */
    EXPECT_TRUE(alive(pair));
    setrlimit(RLIMIT_NOFILE, &old);
    for (int fd : used) {
        close(fd);
    }
    Fd server(accept(pair.listen, nullptr, nullptr));
    ASSERT_GE(server.get(), 0);
    EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    other.join();
    EXPECT_EQ(0, rc);
    EXPECT_GE(quic_socket().get(), 0);
}

TEST(Limits, C224_WithoutIoUring)
{
    int rc = own_exe("--without-io-uring");
    if (rc == 77) {
        GTEST_SKIP() << "no seccomp here";
    }
    EXPECT_EQ(0, rc);
    EXPECT_EQ(0, own_exe("--without-io-uring", "uring"));
}

TEST(Limits, AsManyWorkersAsWereAskedFor)
{
    const char *io = getenv("QUIC_IO");
    EXPECT_EQ(1, own_exe("--workers", io, "1"));
    EXPECT_EQ(3, own_exe("--workers", io, "3"));
}

TEST(Misuse, H092_LengthsOfOptions)
{
    Fd fd = quic_socket();
    char buf[256] = {};
    struct {
        int name;
        socklen_t size;
    } options[] = {
        {QUIC_SOCKOPT_EVENT, sizeof(quic_event_option)},
        {QUIC_SOCKOPT_TRANSPORT_PARAM, sizeof(quic_transport_param)},
        {QUIC_SOCKOPT_STREAM_OPEN, sizeof(quic_stream_info)},
    };
    for (const auto &option : options) {
        SCOPED_TRACE(option.name);
        for (socklen_t len : {static_cast<socklen_t>(0), option.size - 1}) {
            memset(buf, 0x5a, sizeof(buf));
            buf[0] = QUIC_EVENT_STREAM_UPDATE;
            socklen_t got = len;
            EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, option.name, buf, &got));
            for (size_t i = 1; i < sizeof(buf); i++) {
                ASSERT_EQ(0x5a, buf[i]) << i; /* nothing was written */
            }
        }
        socklen_t negative = static_cast<socklen_t>(-1);
        EXPECT_ERRNO(EINVAL, getsockopt(fd, SOL_QUIC, option.name, buf, &negative));
        EXPECT_ERRNO(EFAULT, getsockopt(fd, SOL_QUIC, option.name, nullptr, &negative));
        EXPECT_ERRNO(EFAULT, getsockopt(fd, SOL_QUIC, option.name, buf, nullptr));
    }
    const int writable[] = {QUIC_SOCKOPT_EVENT,
                            QUIC_SOCKOPT_STREAM_RESET,
                            QUIC_SOCKOPT_STREAM_STOP_SENDING,
                            QUIC_SOCKOPT_CONNECTION_CLOSE,
                            QUIC_SOCKOPT_TRANSPORT_PARAM,
                            QUIC_SOCKOPT_ALPN,
                            QUIC_SOCKOPT_TOKEN,
                            QUIC_SOCKOPT_SESSION_TICKET,
                            QUIC_SOCKOPT_CRYPTO_SECRET};
    for (int name : writable) {
        SCOPED_TRACE(name);
        EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, name, buf, 0));
        EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, name, buf, static_cast<socklen_t>(-1)));
        EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, name, buf, INT32_MAX));
        errno = 0;
        EXPECT_EQ(-1, setsockopt(fd, SOL_QUIC, name, nullptr, 8));
        EXPECT_TRUE(errno == EFAULT || errno == EINVAL);
    }
    /* Where a structure begins is not ours to choose. */
    memset(buf, 0, sizeof(buf));
    buf[1] = QUIC_EVENT_STREAM_UPDATE;
    buf[2] = 1;
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, buf + 1, 2));
    socklen_t len = sizeof(quic_transport_param);
    EXPECT_EQ(0, getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, buf + 3, &len));
    for (int name : {99, INT32_MAX, -1, INT32_MIN}) {
        EXPECT_ERRNO(ENOPROTOOPT, getsockopt(fd, SOL_QUIC, name, buf, &len));
        EXPECT_ERRNO(ENOPROTOOPT, setsockopt(fd, SOL_QUIC, name, buf, 8));
    }
    int number = 1;
    len = 0;
    EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_TYPE, &number, &len)); /* as Linux: nothing fits */
    EXPECT_EQ(1, number);
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &number, 3));
    EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, nullptr, 4));
}

TEST(Misuse, H093_OptionsInTheWrongState)
{
    Pair pair = make_pair();
    EXPECT_ERRNO(EINVAL, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_ALPN, "late", 4));
    EXPECT_ERRNO(EINVAL, setsockopt(pair.listen, SOL_QUIC, QUIC_SOCKOPT_ALPN, "late", 4));
    quic_transport_param param{};
    socklen_t len = sizeof(param);
    ASSERT_EQ(0, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, &len));
    const uint64_t before = param.max_data;
    param.max_data = 123456;
    EXPECT_ERRNO(EINVAL, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param,
                                    sizeof(param)));
    ASSERT_EQ(0, getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &param, &len));
    EXPECT_EQ(before, param.max_data); /* no change */
    char token[16] = "token";
    EXPECT_ERRNO(EINVAL, setsockopt(pair.server, SOL_QUIC, QUIC_SOCKOPT_TOKEN, token, 5));
    quic_errinfo info{};
    Fd fresh = quic_socket();
    EXPECT_ERRNO(EINVAL,
                 setsockopt(fresh, SOL_QUIC, QUIC_SOCKOPT_STREAM_RESET, &info, sizeof(info)));
    EXPECT_ERRNO(
        EINVAL, setsockopt(fresh, SOL_QUIC, QUIC_SOCKOPT_STREAM_STOP_SENDING, &info, sizeof(info)));
    quic_crypto_secret secret{};
    secret.type = TLS_CIPHER_AES_GCM_128;
    EXPECT_ERRNO(EINVAL, setsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_CRYPTO_SECRET, &secret,
                                    sizeof(secret)));
    EXPECT_ERRNO(EINVAL,
                 setsockopt(fresh, SOL_QUIC, QUIC_SOCKOPT_CRYPTO_SECRET, &secret, sizeof(secret)));
    EXPECT_EQ(-EINVAL, quic_client_handshake(pair.client, nullptr, nullptr));
    EXPECT_EQ(-EINVAL, quic_server_handshake(pair.client, key_file(), cert_file()));
    EXPECT_EQ(-EINVAL, quic_server_handshake(pair.listen, key_file(), cert_file()));
    EXPECT_TRUE(alive(pair));
}

TEST(Misuse, H094_TooMuch)
{
    Fd fd = quic_socket();
    std::string big(5000, 'b');
    for (int name : {QUIC_SOCKOPT_ALPN, QUIC_SOCKOPT_TOKEN, QUIC_SOCKOPT_SESSION_TICKET,
                     QUIC_SOCKOPT_CONNECTION_CLOSE}) {
        SCOPED_TRACE(name);
        EXPECT_ERRNO(
            EINVAL, setsockopt(fd, SOL_QUIC, name, big.data(), static_cast<socklen_t>(big.size())));
    }
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_ALPN, big.data(), 256));
    EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TOKEN, big.data(), 513));
    char close_info[8 + 128] = {};
    memset(close_info + 5, 'p', 100);
    EXPECT_ERRNO(EINVAL,
                 setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, close_info, 8 + 101));
    memset(close_info + 5, 'p', 20);
    memset(close_info + 25, 0, sizeof(close_info) - 25);
    EXPECT_EQ(0, setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, close_info, 8 + 21));
}

/* H100, H102: calls of two threads on one socket, in every order chance gives them. */
TEST(Misuse, H100_CloseWhileCallsAreUnderWay)
{
    for (int i = 0; i < 30; i++) {
        Pair pair = make_pair();
        int fd = pair.server.release();
        std::thread reader([&] {
            char c;
            ssize_t n = recv(fd, &c, 1, 0);
            EXPECT_TRUE(n < 0 && (errno == EBADF || errno == ENOTCONN)) << strerror(errno);
        });
        std::thread sender([&] {
            const std::string data = pattern(100000);
            ssize_t n;
            while ((n = send(fd, data.data(), data.size(),
                             MSG_NOSIGNAL | (i % 2 != 0 ? MSG_DONTWAIT : 0))) > 0 ||
                   errno == EAGAIN) {
            }
            EXPECT_TRUE(errno == EBADF || errno == EPIPE) << strerror(errno);
        });
        std::thread poller([&] {
            for (int k = 0; k < 50; k++) {
                pollfd p = {fd, POLLIN | POLLOUT, 0};
                poll(&p, 1, 1);
            }
        });
        usleep(static_cast<useconds_t>(i * 500));
        EXPECT_EQ(0, close(fd));
        EXPECT_ERRNO(EBADF, close(fd));
        reader.join();
        sender.join();
        poller.join();
    }
}

TEST(Misuse, H100_CloseWhileAcceptWaits)
{
    for (int i = 0; i < 20; i++) {
        int fd = listener().release();
        std::thread acceptor([&] {
            int got = accept(fd, nullptr, nullptr);
            EXPECT_EQ(-1, got);
            EXPECT_TRUE(errno == EINVAL || errno == EBADF) << strerror(errno);
        });
        usleep(static_cast<useconds_t>(i * 1000));
        EXPECT_EQ(0, close(fd));
        acceptor.join();
    }
}

TEST(Misuse, H102_OneSocketManyThreads)
{
    Pair pair = make_pair();
    constexpr int kThreads = 4;
    constexpr int kMessages = 200;
    std::vector<std::thread> threads;
    std::atomic<size_t> got{0};
    const size_t want = kThreads * kMessages * 100;
    for (int t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            const std::string text(100, static_cast<char>('a' + t));
            for (int i = 0; i < kMessages; i++) {
                ssize_t n;
                do { /* another thread may have the active stream */
                    n = send(pair.client, text.data(), text.size(), 0);
                } while (n < 0 && errno == EINVAL);
                ASSERT_EQ(100, n) << strerror(errno);
            }
        });
        threads.emplace_back([&] {
            char buf[1000];
            while (got < want) {
                ssize_t n = recv(pair.server, buf, sizeof(buf), MSG_DONTWAIT);
                if (n > 0) {
                    got += static_cast<size_t>(n);
                } else {
                    ASSERT_EQ(EAGAIN, errno);
                    pollfd p = {pair.server, POLLIN, 0};
                    poll(&p, 1, 10);
                }
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_EQ(want, got);
}

TEST(Misuse, H104_Addresses)
{
    Fd fd = quic_socket();
    Address a = loopback(4433);
    EXPECT_ERRNO(EINVAL, connect(fd, a.ptr(), 1));
    EXPECT_ERRNO(EINVAL, connect(fd, a.ptr(), static_cast<socklen_t>(a.len - 1)));
    EXPECT_ERRNO(EINVAL, connect(fd, nullptr, a.len));
    a.storage.ss_family = 77;
    EXPECT_ERRNO(EINVAL, connect(fd, a.ptr(), a.len));
    EXPECT_ERRNO(EINVAL, bind(fd, a.ptr(), a.len));
    a.storage.ss_family = AF_UNSPEC;
    EXPECT_ERRNO(EOPNOTSUPP, connect(fd, a.ptr(), a.len));
    Address port0 = loopback(0);
    EXPECT_ERRNO(EINVAL, connect(fd, port0.ptr(), port0.len));
    Address six = loopback(4433, AF_INET6);
    EXPECT_ERRNO(EINVAL, connect(fd, six.ptr(), six.len));
    auto v4 = [](const char *ip) {
        Address at = loopback(4433);
        inet_pton(AF_INET, ip, &reinterpret_cast<sockaddr_in *>(&at.storage)->sin_addr);
        return at;
    };
    Address multicast = v4("224.0.0.1");
    EXPECT_ERRNO(EINVAL, connect(fd, multicast.ptr(), multicast.len));
    EXPECT_ERRNO(EINVAL, bind(fd, multicast.ptr(), multicast.len));
    Address broadcast = v4("255.255.255.255");
    errno = 0;
    EXPECT_EQ(-1, connect(fd, broadcast.ptr(), broadcast.len));
    EXPECT_TRUE(errno == EACCES || errno == EINVAL || errno == ENETUNREACH) << strerror(errno);
    Fd fd6 = quic_socket(AF_INET6);
    Address mapped = loopback(4433, AF_INET6);
    inet_pton(AF_INET6, "::ffff:127.0.0.1",
              &reinterpret_cast<sockaddr_in6 *>(&mapped.storage)->sin6_addr);
    EXPECT_EQ(0, connect(fd6, mapped.ptr(), mapped.len));
    /* Names go somewhere, and have a length. */
    Address name;
    name.len = static_cast<socklen_t>(-1);
    EXPECT_ERRNO(EINVAL, getsockname(fd, name.ptr(), &name.len));
    name.len = sizeof(name.storage);
    EXPECT_ERRNO(EFAULT, getsockname(fd, nullptr, &name.len));
    EXPECT_ERRNO(EFAULT, getsockname(fd, name.ptr(), nullptr));
    EXPECT_ERRNO(EFAULT, accept(fd, name.ptr(), nullptr));
    /* Long enough is enough. */
    Address good = loopback(4433);
    EXPECT_EQ(0, connect(fd, good.ptr(), sizeof(good.storage)));
}

/* H105: a thread cancelled while it waits leaves a socket that others use; nothing waits for it. */
TEST(Misuse, H105_NoWakeUpIsLost)
{
    Pair pair = make_pair();
    Storm storm(0);
    std::thread echo([&] {
        for (int i = 0; i < 500; i++) {
            char c;
            ssize_t n;
            do {
                n = read(pair.server, &c, 1);
            } while (n < 0 && errno == EINTR);
            ASSERT_EQ(1, n);
            do {
                n = write(pair.server, &c, 1);
            } while (n < 0 && errno == EINTR);
            ASSERT_EQ(1, n);
        }
    });
    for (int i = 0; i < 500; i++) {
        char c = static_cast<char>(i);
        ssize_t n;
        do {
            n = write(pair.client, &c, 1);
        } while (n < 0 && errno == EINTR);
        ASSERT_EQ(1, n);
        char back = 0;
        do {
            n = read(pair.client, &back, 1);
        } while (n < 0 && errno == EINTR);
        ASSERT_EQ(1, n);
        ASSERT_EQ(c, back);
    }
    echo.join();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--without-io-uring") == 0) {
        return without_io_uring();
    }
    if (argc == 2 && strcmp(argv[1], "--without-memory") == 0) {
        return without_memory();
    }
    if (argc == 2 && strcmp(argv[1], "--workers") == 0) {
        return workers_of_a_socket();
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
