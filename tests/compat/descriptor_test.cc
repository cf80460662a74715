/* Descriptors: copies, numbers that become another file's, closing behind our back. */
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"

using namespace compat;

extern "C" int __dprintf_chk(int fd, int flag, const char *format, ...);

namespace
{

/* Where no interposed call sees it. */
void close_unseen(int fd)
{
    syscall(SYS_close, fd);
}

const volatile int kWrong = -1;

/* How many the process has, the engine's own included. */
size_t open_descriptors()
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != nullptr) {
        n++;
    }
    closedir(dir);
    return n;
}

} // namespace

TEST(Descriptor, C210_DuplicatesAreTheSocket)
{
    Pair pair = make_pair();
    Fd a(dup(pair.server));
    Fd b(fcntl(pair.server, F_DUPFD_CLOEXEC, 100));
    Fd c(dup2(pair.server, 77));
    Fd d(dup3(pair.server, 78, O_CLOEXEC));
    EXPECT_GE(b.get(), 100);
    EXPECT_EQ(77, c.get());
    EXPECT_EQ(FD_CLOEXEC, fcntl(d, F_GETFD));
    EXPECT_ERRNO(EINVAL, dup3(pair.server, pair.server, 0));
    EXPECT_EQ(pair.server.get(), dup2(pair.server, pair.server));
    int n = 0;
    for (int fd : {pair.server.get(), a.get(), b.get(), c.get(), d.get()}) {
        ASSERT_EQ(1, send(pair.client, "x", 1, n++ == 0 ? MSG_SYN : 0));
        EXPECT_EQ("x", read_bytes(fd, 1)) << fd;
    }
    pair.server.reset();
    a.reset();
    b.reset();
    c.reset();
    EXPECT_TRUE(hears_nothing(pair));
    ASSERT_EQ(1, send(d, "y", 1, MSG_SYN));
    EXPECT_EQ("y", read_bytes(pair.client, 1));
    d.reset();
    EXPECT_TRUE(hears_close(pair));
}

TEST(Descriptor, C210_ACopyIsAsFullAsTheOriginalWas)
{
    Pair pair = make_pair();
    Fd copy(dup(pair.client));
    pair.client.reset();
    const std::string data = pattern(65536);
    size_t full = 0;
    for (int quiet = 0;
         quiet < 5;) { /* some leaves, and makes room, until the peer's is full, too */
        ssize_t n = send(copy, data.data(), data.size(), MSG_DONTWAIT);
        full += n > 0 ? static_cast<size_t>(n) : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        usleep(n > 0 ? 0 : 20000);
    }
    EXPECT_EQ(0, poll_now(copy));
    EXPECT_EQ(full, read_bytes(pair.server, full).size());
    EXPECT_TRUE(poll_for(copy, POLLOUT));
}

/* Whatever was called before, the end of a socket is the end of what the engine has for it. */
TEST(Descriptor, NoCallKeepsASocket)
{
    Pair pair = make_pair(); /* what the process has once is there */
    const std::function<void(int)> calls[] = {
        [](int fd) { (void)accept(fd, nullptr, nullptr); },
        [](int fd) { (void)accept4(fd, nullptr, nullptr, SOCK_CLOEXEC); },
        [](int fd) { (void)accept4(fd, nullptr, nullptr, -1); },
        [](int fd) { (void)bind(fd, nullptr, 0); },
        [](int fd) { (void)connect(fd, nullptr, 0); },
        [](int fd) { (void)getsockname(fd, nullptr, nullptr); },
        [](int fd) { (void)getpeername(fd, nullptr, nullptr); },
        [](int fd) { (void)shutdown(fd, SHUT_RDWR); },
        [](int fd) { (void)close(dup(fd)); },
        [](int fd) { (void)close(fcntl(fd, F_DUPFD, 0)); },
        [](int fd) { (void)poll_now(fd); },
        [](int fd) { (void)!send(fd, "x", 1, MSG_NOSIGNAL); },
        [](int fd) { (void)!sendmsg(fd, nullptr, MSG_NOSIGNAL); },
        [](int fd) { (void)sendmmsg(fd, nullptr, 0, 0); },
        [](int fd) { (void)!recvmsg(fd, nullptr, MSG_DONTWAIT); },
        [](int fd) { (void)recvmmsg(fd, nullptr, 0, 0, nullptr); },
        [](int fd) { (void)!read(fd, nullptr, 0); },
        [](int fd) { (void)!readv(fd, nullptr, kWrong); },
        [](int fd) { (void)!writev(fd, nullptr, kWrong); },
        [](int fd) { (void)!preadv2(fd, nullptr, 0, 1, 0); },
        [](int fd) { (void)!pwritev2(fd, nullptr, 0, 1, 0); },
        [](int fd) { (void)sendfile(fd, -1, nullptr, 1); },
        [](int fd) { (void)ioctl(fd, FIONREAD, nullptr); },
        [](int fd) { (void)quic_sendmsg(fd, "x", 1, 0, 0); },
        [](int fd) { (void)quic_recvmsg(fd, nullptr, 0, nullptr, nullptr); },
        [](int fd) { (void)quic_client_handshake(fd, nullptr, nullptr); },
        [](int fd) { (void)quic_server_handshake(fd, nullptr, nullptr); },
    };
    int n = 0;
    for (const auto &call : calls) {
        SCOPED_TRACE(n++);
        const size_t few = open_descriptors() + 20; /* the workers close some of theirs later */
        for (int i = 0; i < 40; i++) {
            Fd fd = quic_socket();
            ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
            call(fd);
        }
        EXPECT_TRUE(comes_true([&] { return open_descriptors() <= few; }));
        EXPECT_TRUE(alive(pair)); /* and so it stays, however long all of them take */
    }
}

TEST(Descriptor, C211_DupOverASocket)
{
    Pair one = make_pair();
    Pair two = make_pair();
    int number = two.server;
    ASSERT_EQ(number, dup2(one.server, number));
    EXPECT_TRUE(hears_close(two));
    ASSERT_EQ(2, send(one.client, "hi", 2, MSG_SYN));
    EXPECT_EQ("hi", read_bytes(number, 2));
    /* And something else over one. */
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    one.server.reset();
    ASSERT_EQ(number, dup2(pipes[1], number));
    EXPECT_TRUE(hears_close(one));
    ASSERT_EQ(1, write(number, "p", 1));
    char c = 0;
    ASSERT_EQ(1, read(pipes[0], &c, 1));
    EXPECT_EQ('p', c);
    close(pipes[0]);
    close(pipes[1]);
    EXPECT_ERRNO(EBADF, dup2(9999, number));
    EXPECT_ERRNO(EPIPE, write(number, "q", 1)); /* still the pipe */
}

/* The number is one socket's or the other's all the time, as dup2 has it. */
TEST(Descriptor, DupOverASocketThatIsInUse)
{
    Pair pairs[2] = {make_pair(), make_pair()};
    Fd number(dup(pairs[0].server));
    std::atomic<bool> done{false};
    size_t sent = 0;
    int error = 0;
    for (Pair &pair : pairs) {
        ASSERT_EQ(1, send(pair.server, "x", 1, MSG_SYN));
    }
    std::thread user([&] {
        while (!done && error == 0) {
            const bool went = send(number, "x", 1, MSG_DONTWAIT) == 1;
            sent += went ? 1 : 0;
            error = went || errno == EAGAIN ? 0 : errno;
        }
    });
    size_t came = 0;
    std::thread readers[2];
    std::atomic<size_t> read_by[2] = {{0}, {0}};
    for (size_t i = 0; i < 2; i++) {
        readers[i] = std::thread([&, i] {
            char sink[4096];
            for (ssize_t n; (n = recv(pairs[i].client, sink, sizeof(sink), 0)) > 0;) {
                read_by[i] += static_cast<size_t>(n);
            }
        });
    }
    for (int i = 0; i < 100000; i++) {
        ASSERT_EQ(number.get(), dup2(pairs[i % 2].server, number));
    }
    done = true;
    user.join();
    number.reset();
    for (size_t i = 0; i < 2; i++) {
        pairs[i].server.reset();
        readers[i].join();
        came += read_by[i];
    }
    EXPECT_EQ(0, error) << strerror(error);
    EXPECT_EQ(sent + 2, came);
}

TEST(Descriptor, ClosedBehindOurBack)
{
    Pair pair = make_pair();
    close_unseen(pair.server.release());
    EXPECT_TRUE(hears_close(pair)); /* the kernel says so */
}

/* The call that closes and the kernel's word for it come at the same time. */
TEST(Descriptor, ManyThatComeAndGo)
{
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] {
            for (int n = 0; n < 2000; n++) {
                Fd fd = quic_socket();
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    Pair pair = make_pair();
    EXPECT_TRUE(alive(pair));
}

TEST(Descriptor, ANumberThatIsAnothersNow)
{
    for (int i = 0; i < 20; i++) {
        Pair pair = make_pair();
        int number = pair.server.release();
        int pipes[2];
        ASSERT_EQ(0, pipe(pipes));
        close_unseen(number);
        ASSERT_EQ(number, syscall(SYS_dup3, pipes[1], number, 0));
        ASSERT_EQ(3, write(number, "new", 3)); /* at once, whoever has noticed */
        char buf[8];
        ASSERT_EQ(3, read(pipes[0], buf, sizeof(buf)));
        pollfd p = {number, POLLOUT, 0};
        EXPECT_EQ(1, poll(&p, 1, 0));
        ASSERT_EQ(0, close(number));
        close(pipes[0]);
        close(pipes[1]);
        EXPECT_TRUE(hears_close(pair));
    }
}

namespace
{

#if defined(__x86_64__)
/* Of a system call that is trapped: its first argument, and where its result goes. */
long trapped_argument(const ucontext_t *at)
{
    return at->uc_mcontext.gregs[REG_RDI];
}

void trapped_result(ucontext_t *at, long result)
{
    at->uc_mcontext.gregs[REG_RAX] = result;
}
#else
long trapped_argument(const ucontext_t *at)
{
    return static_cast<long>(at->uc_mcontext.regs[0]);
}

void trapped_result(ucontext_t *at, long result)
{
    at->uc_mcontext.regs[0] = static_cast<unsigned long>(result);
}
#endif

std::atomic<bool> g_trap_begun;
std::atomic<bool> g_trap_may;
long (*g_trap_act)(long argument);

/* Before this thread's call others do their part; then something is done in its place. */
void on_trap(int, siginfo_t *, void *context)
{
    ucontext_t *at = static_cast<ucontext_t *>(context);
    g_trap_begun = true;
    while (!g_trap_may) {
        usleep(1000);
    }
    trapped_result(at, g_trap_act(trapped_argument(at)));
}

/* Runs `call` in a thread whose system call `number` comes after `before`, as `act`, which gives its result or
 * -errno; false: it cannot be done here. */
bool call_late(uint32_t number, long (*act)(long argument), const std::function<void()> &call,
               const std::function<void()> &before)
{
    bool can = false;
    struct sigaction action = {};
    struct sigaction old = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSYS, &action, &old);
    g_trap_act = act;
    g_trap_begun = false;
    g_trap_may = false;
    std::thread late([&] {
        sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
        can = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
        if (can) {
            call();
        }
        g_trap_begun = true;
    });
    while (!g_trap_begun) {
        usleep(1000);
    }
    before();
    g_trap_may = true;
    late.join();
    sigaction(SIGSYS, &old, nullptr);
    return can;
}

long dup_after_all(long fd)
{
    return syscall(SYS_fcntl, fd, F_DUPFD, 0);
}

/* dup of a number that `before` makes another file's before the kernel is asked; -1: it cannot be done here. */
int dup_late(int fd, const std::function<void()> &before)
{
    int copy = -1;
    (void)call_late(
        SYS_dup, dup_after_all, [&] { copy = dup(fd); }, before);
    return copy;
}

long no_descriptor(long)
{
    return -EMFILE;
}

} // namespace

/* Between the look at the table and the kernel's dup a number can be closed and opened anew. */
TEST(Descriptor, ANumberThatIsAnothersWhenItIsCopied)
{
    Pair pair = make_pair();
    int number = pair.server.release();
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    Fd copy(dup_late(number, [&] {
        close(number);
        EXPECT_EQ(number, dup2(pipes[1], number));
        EXPECT_TRUE(hears_close(pair)); /* the kernel says so */
    }));
    if (copy < 0) {
        GTEST_SKIP() << "no seccomp here";
    }
    ASSERT_EQ(3, write(copy, "new", 3));
    char buf[8];
    ASSERT_EQ(3, read(pipes[0], buf, sizeof(buf)));
    close(number);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(Descriptor, ANumberThatIsAnotherSocketsWhenItIsCopied)
{
    Pair pair = make_pair();
    Pair other = make_pair();
    int number = pair.server.release();
    Fd copy(dup_late(number, [&] {
        close(number);
        EXPECT_EQ(number, dup2(other.server, number));
        other.server.reset(number);
    }));
    if (copy < 0) {
        GTEST_SKIP() << "no seccomp here";
    }
    EXPECT_TRUE(hears_close(pair));
    ASSERT_EQ(1, send(other.client, "x", 1, MSG_SYN));
    EXPECT_EQ("x", read_bytes(copy, 1));
    other.server.reset();
    EXPECT_TRUE(hears_nothing(other));
    copy.reset();
    EXPECT_TRUE(hears_close(other));
}

/* While one thread cannot have a descriptor for it, another looks at the queue. */
TEST(Descriptor, AClientPutBackIsForWhoWaits)
{
    Fd listening = listener();
    Fd client = quic_socket();
    Address to = name_of(listening);
    cert_file();
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread knock([&] { EXPECT_EQ(0, quic_client_handshake(client, nullptr, nullptr)); });
    EXPECT_TRUE(poll_for(listening, POLLIN));
    std::atomic<bool> over{false};
    Fd server;
    std::thread other;
    bool can = call_late(
        SYS_socketpair, no_descriptor,
        [&] { EXPECT_ERRNO(EMFILE, accept(listening, nullptr, nullptr)); },
        [&] {
            other = std::thread([&] {
                server.reset(accept(listening, nullptr, nullptr));
                over = true;
            });
            usleep(50000);
        });
    EXPECT_TRUE(comes_true([&] { return over.load(); }));
    if (!over) {
        shutdown(listening, SHUT_RD);
    }
    other.join();
    if (server >= 0) {
        EXPECT_EQ(0, quic_server_handshake(server, key_file(), cert_file()));
    }
    knock.join();
    if (!can) {
        GTEST_SKIP() << "no seccomp here";
    }
}

/* Not even through syscall(). With one descriptor the kernel tells; with two every call looks. */
TEST(Descriptor, ClosedWithoutLibc)
{
    for (bool two : {false, true}) {
        Pair pair = make_pair();
        Fd other(two ? dup(pair.server) : -1);
        int number = pair.server.release();
        int pipes[2];
        ASSERT_EQ(0, pipe(pipes));
        ASSERT_EQ(0, close_alone(number));
        EXPECT_TRUE(two || hears_close(pair));
        ASSERT_EQ(number, fcntl(pipes[1], F_DUPFD, number));
        ASSERT_EQ(3, write(number, "new", 3));
        char buf[8];
        ASSERT_EQ(3, read(pipes[0], buf, sizeof(buf)));
        EXPECT_EQ(0, close(number));
        close(pipes[0]);
        close(pipes[1]);
        EXPECT_TRUE(!two || hears_nothing(pair));
    }
}

/* The engine's end is closed by then: nobody is told. */
TEST(Descriptor, ClosedWithoutLibcAfterTheEnd)
{
    Pair pair = make_pair();
    pair.client.reset();
    ASSERT_TRUE(poll_for(pair.server, POLLHUP));
    int number = pair.server.release();
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    ASSERT_EQ(0, close_alone(number));
    ASSERT_EQ(number, fcntl(pipes[1], F_DUPFD, number));
    ASSERT_EQ(3, write(number, "new", 3)) << strerror(errno);
    char buf[8];
    ASSERT_EQ(3, read(pipes[0], buf, sizeof(buf)));
    EXPECT_EQ(0, close(number));
    close(pipes[0]);
    close(pipes[1]);
}

namespace
{

/* What PR_SET_SYSCALL_USER_DISPATCH asks before each system call of this thread. */
volatile char g_dispatch;
volatile int g_calls;

void on_call(int)
{
    g_calls = g_calls + 1;
    g_dispatch = 0; /* SYSCALL_DISPATCH_FILTER_ALLOW: the rest passes */
}

} // namespace

TEST(Descriptor, ABusySocketCostsNoSystemCall)
{
    Pair pair = make_pair();
    const std::string text(1000, 'x');
    ASSERT_EQ(1000, send(pair.client, text.data(), text.size(), MSG_SYN));
    int waiting = 0;
    for (int i = 0; i < 1000 && waiting < 1000; i++) {
        ASSERT_EQ(0, ioctl(pair.server, FIONREAD, &waiting));
        usleep(1000);
    }
    ASSERT_EQ(1000, waiting);
    struct sigaction act = {};
    act.sa_handler = on_call;
    ASSERT_EQ(0, sigaction(SIGSYS, &act, nullptr));
    if (prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &g_dispatch) != 0) {
        GTEST_SKIP() << "the kernel is older than 5.11";
    }
    char buf[16];
    ssize_t got = 0;
    g_dispatch = 1; /* SYSCALL_DISPATCH_FILTER_BLOCK */
    for (int i = 0; i < 10; i++) {
        got += recv(pair.server, buf, 10, 0);
    }
    g_dispatch = 0;
    EXPECT_EQ(100, got);
    EXPECT_EQ(0, g_calls);
    (void)prctl(59, 0, 0, 0, 0);
    (void)signal(SIGSYS, SIG_DFL);
}

TEST(Descriptor, AStreamOfStdio)
{
    Pair pair = make_pair();
    FILE *to = fdopen(pair.client.release(), "w");
    FILE *from = fdopen(pair.server.release(), "r");
    ASSERT_NE(nullptr, to);
    ASSERT_NE(nullptr, from);
    fprintf(to, "line %d\nand another\n", 1);
    ASSERT_EQ(0, fflush(to));
    char line[64];
    ASSERT_NE(nullptr, fgets(line, sizeof(line), from));
    EXPECT_STREQ("line 1\n", line);
    ASSERT_NE(nullptr, fgets(line, sizeof(line), from));
    EXPECT_STREQ("and another\n", line);
    EXPECT_EQ(0, fclose(to));
    EXPECT_EQ(nullptr, fgets(line, sizeof(line), from)); /* the connection ended */
    EXPECT_EQ(0, fclose(from));
}

/* Inside libc dprintf writes without passing by: it would be the pair that gets the text. */
TEST(Descriptor, DprintfSends)
{
    Pair pair = make_pair();
    EXPECT_EQ(7, dprintf(pair.client, "line %d\n", 1));
    EXPECT_EQ("line 1\n", read_bytes(pair.server, 7));
    EXPECT_EQ(5, __dprintf_chk(pair.client, 1, "%s%d", "line", 2));
    EXPECT_EQ("line2", read_bytes(pair.server, 5));
    EXPECT_EQ(0, dprintf(pair.client, "%s", ""));
    const std::string much(100000, 'm');
    EXPECT_EQ(100000, dprintf(pair.client, "%s", much.c_str()));
    EXPECT_TRUE(much == read_bytes(pair.server, much.size()));
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    char buf[8] = "";
    EXPECT_EQ(3, dprintf(pipes[1], "%d", 123));
    EXPECT_EQ(4, __dprintf_chk(pipes[1], 1, "%d", 4567));
    EXPECT_EQ(7, read(pipes[0], buf, sizeof(buf)));
    EXPECT_STREQ("1234567", buf);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(Descriptor, H091_WrongDescriptors)
{
    Pair pair = make_pair();
    Fd null(open("/dev/null", O_RDWR));
    char c = 0;
    for (int bad : {-1, 4000, 1 << 20, INT32_MAX, INT32_MIN}) {
        SCOPED_TRACE(bad);
        EXPECT_ERRNO(EBADF, send(bad, &c, 1, 0));
        EXPECT_ERRNO(EBADF, recv(bad, &c, 1, 0));
        EXPECT_ERRNO(EBADF, listen(bad, 1));
        EXPECT_ERRNO(EBADF, close(bad));
        EXPECT_ERRNO(EBADF, dup(bad));
        EXPECT_ERRNO(EBADF, fcntl(bad, F_GETFL));
        EXPECT_EQ(-EBADF, quic_client_handshake(bad, nullptr, nullptr)) << bad;
    }
    EXPECT_ERRNO(ENOTSOCK, send(null, &c, 1, 0));
    EXPECT_ERRNO(ENOTSOCK, quic_sendmsg(null, &c, 1, 0, 0));
    EXPECT_EQ(-ENOTSOCK, quic_client_handshake(null, nullptr, nullptr));
    Fd tcp(socket(AF_INET, SOCK_STREAM, 0));
    EXPECT_ERRNO(ENOPROTOOPT, setsockopt(tcp, SOL_QUIC, QUIC_SOCKOPT_EVENT, &c, 1));
    /* A number that was a QUIC socket's. */
    int number = pair.server.release();
    ASSERT_EQ(0, close(number));
    Fd again(fcntl(null, F_DUPFD, number));
    ASSERT_EQ(number, again.get());
    EXPECT_ERRNO(ENOTSOCK, recv(again, &c, 1, 0));
    EXPECT_EQ(0, read(again, &c, 1));
    EXPECT_TRUE(hears_close(pair));
}

/* As if there were no QUIC sockets beside them. */
TEST(Descriptor, OthersAreLeftAlone)
{
    Pair pair = make_pair();
    int fds[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    Fd out(fds[0]);
    Fd in(fds[1]);
    char file_name[] = "/tmp/quic-others-XXXXXX";
    Fd file(mkstemp(file_name));
    unlink(file_name);
    ASSERT_EQ(1, write(file, "f", 1));
    char byte = 'b';
    iovec iov = {&byte, 1};
    mmsghdr one{};
    one.msg_hdr.msg_iov = &iov;
    one.msg_hdr.msg_iovlen = 1;
    off_t at = 0;
    EXPECT_EQ(1, send(out, &byte, 1, 0));
    EXPECT_EQ(1, sendto(out, &byte, 1, 0, nullptr, 0));
    EXPECT_EQ(1, write(out, &byte, 1));
    EXPECT_EQ(1, writev(out, &iov, 1));
    EXPECT_EQ(1, pwritev2(out, &iov, 1, -1, 0));
    EXPECT_EQ(1, sendmsg(out, &one.msg_hdr, 0));
    EXPECT_EQ(1, sendmmsg(out, &one, 1, 0));
    EXPECT_EQ(1, sendfile(out, file, &at, 1));
    int count = -1;
    EXPECT_EQ(0, ioctl(in, FIONREAD, &count));
    EXPECT_EQ(8, count);
    EXPECT_EQ(POLLIN | POLLOUT, poll_now(in));
    EXPECT_EQ(1, recv(in, &byte, 1, 0));
    EXPECT_EQ(1, recvfrom(in, &byte, 1, 0, nullptr, nullptr));
    EXPECT_EQ(1, read(in, &byte, 1));
    EXPECT_EQ(1, readv(in, &iov, 1));
    EXPECT_EQ(1, preadv2(in, &iov, 1, -1, 0));
    EXPECT_EQ(1, recvmsg(in, &one.msg_hdr, 0));
    EXPECT_EQ(1, recvmmsg(in, &one, 1, 0, nullptr));
    EXPECT_EQ('b', byte);
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    Fd to(pipes[1]);
    Fd from(pipes[0]);
    EXPECT_EQ(1, splice(in, nullptr, to, nullptr, 1, 0));
    EXPECT_EQ(1, read(from, &byte, 1));
    EXPECT_EQ('f', byte);
    int on = 1;
    EXPECT_EQ(0, ioctl(in, FIONBIO, &on));
    EXPECT_ERRNO(EAGAIN, recv(in, &byte, 1, 0));
    socklen_t len = sizeof(on);
    EXPECT_EQ(0, getsockopt(in, SOL_SOCKET, SO_TYPE, &on, &len));
    EXPECT_EQ(SOCK_STREAM, on);
    EXPECT_EQ(0, setsockopt(in, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));

    Fd listening(socket(AF_INET, SOCK_STREAM, 0));
    Fd client(socket(AF_INET, SOCK_STREAM, 0));
    Address address = loopback();
    ASSERT_EQ(0, bind(listening, address.ptr(), address.len));
    ASSERT_EQ(0, listen(listening, 1));
    address = name_of(listening);
    ASSERT_EQ(0, connect(client, address.ptr(), address.len));
    EXPECT_EQ(address.text(), peer_of(client).text());
    Fd taken(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_LE(0, taken.get());
    EXPECT_EQ(0, shutdown(client, SHUT_WR));
    EXPECT_EQ(0, recv(taken, &byte, 1, 0));
    Fd copy(dup(taken));
    EXPECT_EQ(copy.get(), dup2(client, copy));
    EXPECT_ERRNO(EPIPE, send(copy, &byte, 1, MSG_NOSIGNAL));
    EXPECT_TRUE(alive(pair));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
