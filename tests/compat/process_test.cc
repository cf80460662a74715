/* Descriptors, threads and processes: dup, fork, exec, SCM_RIGHTS, close behind our back, cancellation. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <set>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"
#include "tests/compat/rights.h"

extern char **environ;

using namespace compat;

namespace
{

/* Runs `body` in a child; its result is the exit status. */
int in_child(const std::function<int()> &body, pid_t (*how)() = fork)
{
    return Child(body, how).wait();
}

/* Where no interposed call sees it. */
void close_unseen(int fd)
{
    syscall(SYS_close, fd);
}

} // namespace

TEST(Process, C212_TheParentGoesOn)
{
    Pair pair = make_pair();
    EXPECT_EQ(0, in_child([&] {
                  CHECK_CHILD(close(pair.server) == 0);
                  CHECK_CHILD(close(pair.client) == 0);
                  return 0;
              }));
    EXPECT_TRUE(alive(pair));
    EXPECT_EQ(0, in_child([&] { return 0; })); /* ends with them open */
    EXPECT_TRUE(alive(pair));
    EXPECT_TRUE(hears_nothing(pair));
    /* exit runs the handlers of the process in the child, too */
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        exit(0);
    }
    waitpid(child, nullptr, 0);
    EXPECT_TRUE(alive(pair));
    /* A child that lives on holds copies: until it ends the socket is open (fork_test.cc). */
    int hold[2];
    ASSERT_EQ(0, pipe(hold));
    child = fork();
    if (child == 0) {
        char c;
        close(hold[1]);
        (void)!read(hold[0], &c, 1);
        _exit(0);
    }
    close(hold[0]);
    pair.server.reset();
    EXPECT_TRUE(hears_nothing(pair));
    close(hold[1]);
    waitpid(child, nullptr, 0);
    EXPECT_TRUE(hears_close(pair));
}

TEST(Process, C213_TheChildsOwnSockets)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP() << "no threads after fork under this sanitizer";
    }
    Pair pair = make_pair();
    EXPECT_EQ(0, in_child([&] {
                  Pair own = make_pair();
                  CHECK_CHILD(alive(own));
                  close(pair.server.release());
                  Fd again = quic_socket();
                  CHECK_CHILD(again >= 0);
                  close_alone(own.server.release());
                  CHECK_CHILD(hears_close(own)); /* the kernel tells the child, too */
                  return 0;
              }));
    EXPECT_TRUE(alive(pair));
}

/* After _Fork, which no handlers are run for, there is no way to the parent. */
TEST(Process, C214_TheChildIsToldAtOnce)
{
    Pair pair = make_pair();
    int pipes[2];
    ASSERT_EQ(0, pipe(pipes));
    EXPECT_EQ(
        0,
        in_child(
            [&] {
                dup2(pipes[1], STDERR_FILENO);
                char c = 0;
                sockaddr_storage ss;
                socklen_t len = sizeof(ss);
                int one = 1;
                for (int fd : {pair.server.get(), pair.client.get(), pair.listen.get()}) {
                    errno = 0;
                    CHECK_CHILD(read(fd, &c, 1) < 0 && errno == EBADF);
                    CHECK_CHILD(write(fd, &c, 1) < 0 && errno == EBADF);
                    CHECK_CHILD(accept(fd, nullptr, nullptr) < 0 && errno == EBADF);
                    CHECK_CHILD(getsockname(fd, reinterpret_cast<sockaddr *>(&ss), &len) < 0 &&
                                errno == EBADF);
                    CHECK_CHILD(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 &&
                                errno == EBADF);
                    CHECK_CHILD(listen(fd, 1) < 0 && errno == EBADF);
                    CHECK_CHILD(quic_server_handshake(fd, key_file(), cert_file()) == -EBADF);
                }
                return 0;
            },
            _Fork));
    close(pipes[1]);
    std::string said;
    char buf[1024];
    ssize_t n;
    while ((n = read(pipes[0], buf, sizeof(buf))) > 0) {
        said.append(buf, static_cast<size_t>(n));
    }
    close(pipes[0]);
    EXPECT_NE(std::string::npos, said.find("belongs to the process")) << said;
    EXPECT_EQ(1, std::count(said.begin(), said.end(), '\n')) << said; /* once */
    EXPECT_TRUE(alive(pair));
}

/* H103: a busy parent loses nothing to children that fork, touch and end. */
TEST(Process, H103_ForksDuringATransfer)
{
    Pair pair = make_pair();
    const std::string data = pattern(8u << 20);
    std::thread writer([&] {
        EXPECT_EQ(static_cast<ssize_t>(data.size()),
                  send(pair.client, data.data(), data.size(), MSG_SYN | MSG_FIN));
    });
    std::string got;
    std::thread reader([&] { got = read_bytes(pair.server, data.size()); });
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(0, in_child([&] {
                      CHECK_CHILD(name_of(pair.server).port() == peer_of(pair.client).port());
                      close(i % 2 == 0 ? pair.server : pair.client);
                      return 0;
                  }));
        EXPECT_EQ(0,
                  in_child(
                      [&] {
                          char c;
                          CHECK_CHILD(recv(pair.server, &c, 1, MSG_DONTWAIT) < 0 && errno == EBADF);
                          CHECK_CHILD(send(pair.client, &c, 1, MSG_DONTWAIT) < 0 && errno == EBADF);
                          return 0;
                      },
                      _Fork));
    }
    writer.join();
    reader.join();
    EXPECT_TRUE(got == data);
}

/* The number of a dead entry, given to another file in the child, is that file's. */
TEST(Process, C214_NumbersAreFreeInTheChild)
{
    Pair pair = make_pair();
    EXPECT_EQ(0, in_child([&] {
                  int number = pair.server;
                  close_unseen(number);
                  int pipes[2];
                  CHECK_CHILD(pipe(pipes) == 0);
                  CHECK_CHILD(pipes[0] == number || pipes[1] == number ||
                              syscall(SYS_dup3, pipes[1], number, 0) == number);
                  int write_end = pipes[0] == number ? pipes[1] : number;
                  char c = 0;
                  CHECK_CHILD(write(write_end, "w", 1) == 1);
                  CHECK_CHILD(read(pipes[0], &c, 1) == 1 && c == 'w');
                  return 0;
              }));
}

TEST(Process, C215_Exec)
{
    Pair pair = make_pair();
    ASSERT_EQ(0, fcntl(pair.server, F_SETFD, FD_CLOEXEC));
    ASSERT_EQ(0, fcntl(pair.listen, F_SETFD, FD_CLOEXEC));
    std::string kept = std::to_string(pair.client.get());
    const char *argv[] = {"process_test", "--exec", kept.c_str(), nullptr};
    pid_t child = 0;
    ASSERT_EQ(0, posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                             const_cast<char *const *>(argv), environ));
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, WEXITSTATUS(status)); /* what as_exec saw */
    EXPECT_TRUE(alive(pair));
}

/* The new program: of the parent's descriptors one is left, a socket that is no QUIC socket. */
static int as_exec(int kept)
{
    struct stat st;
    if (fstat(kept, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return 2;
    }
    int on = 1;
    if (setsockopt(kept, SOL_QUIC, QUIC_SOCKOPT_EVENT, &on, sizeof(on)) == 0) {
        return 3;
    }
    for (int fd : open_fds()) {
        if (fd > 2 && fd != kept && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
            return 4;
        }
        if (fd >= 512) {
            return 5;
        }
    }
    return 0;
}

namespace
{

/* Starts a program that lives until the last writer of `gate` is gone. */
bool spawn_by(const std::string &way, int gate)
{
    const std::string wait = "read x <&" + std::to_string(gate);
    const std::string behind = "{ " + wait + "; } >/dev/null 2>&1 &";
    const char *argv[] = {"sh", "-c", wait.c_str(), nullptr};
    auto *args = const_cast<char *const *>(argv);
    pid_t child = 0;
    if (way == "posix_spawn") {
        return posix_spawn(&child, "/bin/sh", nullptr, nullptr, args, environ) == 0;
    }
    if (way == "posix_spawnp") {
        return posix_spawnp(&child, "sh", nullptr, nullptr, args, environ) == 0;
    }
    return way == "popen" ? popen(wait.c_str(), "r") != nullptr : system(behind.c_str()) == 0;
}

/* In a process that has never forked: a copy elsewhere keeps the kernel from telling of a close behind our back. */
int as_spawner(const std::string &way)
{
    Pair pair = make_pair();
    int gate[2];
    int pipes[2];
    CHECK_CHILD(pipe(gate) == 0 && fcntl(gate[1], F_SETFD, FD_CLOEXEC) == 0);
    CHECK_CHILD(spawn_by(way, gate[0]));
    int number = pair.client.release();
    CHECK_CHILD(pipe(pipes) == 0 && close_alone(number) == 0);
    CHECK_CHILD(fcntl(pipes[1], F_DUPFD, number) == number);
    char buf[4] = "";
    CHECK_CHILD(write(number, "new", 3) == 3);
    CHECK_CHILD(fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0 && read(pipes[0], buf, 3) == 3);
    return 0;
}

} // namespace

TEST(Process, C215_CopiesOfSpawnedPrograms)
{
    for (const char *way : {"posix_spawn", "posix_spawnp", "popen", "system"}) {
        const char *argv[] = {"process_test", "--spawn", way, nullptr};
        pid_t child = 0;
        ASSERT_EQ(0, posix_spawn(&child, "/proc/self/exe", nullptr, nullptr,
                                 const_cast<char *const *>(argv), environ));
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(0, status) << way;
    }
}

TEST(Process, C216_WithinTheProcess)
{
    Pair pair = make_pair();
    int unix_pair[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair));
    ASSERT_TRUE(send_fd(unix_pair[0], pair.server));
    Fd copy(receive_fd(unix_pair[1]));
    ASSERT_GE(copy.get(), 0);
    ASSERT_EQ(2, send(pair.client, "by", 2, MSG_SYN));
    EXPECT_EQ("by", read_bytes(copy, 2));
    pair.server.reset();
    EXPECT_TRUE(hears_nothing(pair));
    ASSERT_EQ(2, send(copy, "go", 2, MSG_SYN));
    EXPECT_EQ("go", read_bytes(pair.client, 2));
    /* The only one, on its way. */
    ASSERT_TRUE(send_fd(unix_pair[0], copy));
    copy.reset();
    EXPECT_TRUE(hears_nothing(pair));
    copy.reset(receive_fd(unix_pair[1]));
    ASSERT_EQ(2, send(copy, "on", 2, 0));
    EXPECT_EQ("on", read_bytes(pair.client, 2));
    /* And lost there. */
    ASSERT_TRUE(send_fd(unix_pair[0], copy));
    copy.reset();
    close(unix_pair[0]);
    close(unix_pair[1]);
    EXPECT_TRUE(hears_close(pair));
}

TEST(Process, C216_ToAnotherProcess)
{
    Pair pair = make_pair();
    int unix_pair[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair));
    pid_t child = fork();
    if (child == 0) {
        int fd = receive_fd(unix_pair[1]);
        int on = 1;
        /* Not a QUIC socket here: what only those can, fails. */
        int rc = setsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_EVENT, &on, sizeof(on)) < 0 &&
                         errno == EOPNOTSUPP && listen(fd, 1) < 0
                     ? 0
                     : 1;
        _exit(rc);
    }
    ASSERT_TRUE(send_fd(unix_pair[0], pair.server));
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
    EXPECT_TRUE(alive(pair));
    close(unix_pair[0]);
    close(unix_pair[1]);
    pair.server.reset();
    EXPECT_TRUE(hears_close(pair));
}

TEST(Process, C217_Vfork)
{
    Pair pair = make_pair();
    int fd = pair.server;
    int other = pair.client;
    for (int i = 0; i < 3; i++) {
        pid_t child = vfork();
        if (child == 0) { /* as programs do that start others */
            close(fd);
            close(other);
            execl("/bin/true", "true", nullptr);
            _exit(1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(0, status);
        EXPECT_TRUE(alive(pair));
    }
    pid_t child = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, fd);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, other);
    const char *argv[] = {"true", nullptr};
    ASSERT_EQ(0, posix_spawn(&child, "/bin/true", &actions, nullptr,
                             const_cast<char *const *>(argv), environ));
    posix_spawn_file_actions_destroy(&actions);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
    EXPECT_TRUE(alive(pair));
    EXPECT_EQ(0, system("true"));
    EXPECT_TRUE(alive(pair));
}

TEST(Process, C217_ForkWithoutHandlers)
{
    if (!kThreadsAfterFork) {
        GTEST_SKIP()
            << "ThreadSanitizer does not notice: to it the parent's threads run on in the child";
    }
    Pair pair = make_pair();
    pid_t child = _Fork();
    if (child == 0) {
        char c;
        bool fine = recv(pair.server, &c, 1, MSG_DONTWAIT) < 0 && errno == EBADF;
        close(pair.server);
        _exit(fine ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
    EXPECT_TRUE(alive(pair));
}

/* A thread in a blocked call is cancelled there, and holds nothing afterwards. */
static void cancelled_in(const std::function<void()> &call)
{
    std::atomic<bool> cleaned{false};
    struct Job {
        const std::function<void()> *call;
        std::atomic<bool> *cleaned;
    } job = {&call, &cleaned};
    pthread_t thread;
    ASSERT_EQ(0, pthread_create(
                     &thread, nullptr,
                     [](void *arg) -> void * {
                         auto *j = static_cast<Job *>(arg);
                         pthread_cleanup_push(
                             [](void *flag) { *static_cast<std::atomic<bool> *>(flag) = true; },
                             j->cleaned);
                         (*j->call)();
                         pthread_cleanup_pop(0);
                         return nullptr;
                     },
                     &job));
    usleep(100000);
    ASSERT_EQ(0, pthread_cancel(thread));
    void *result = nullptr;
    ASSERT_EQ(0, pthread_join(thread, &result));
    EXPECT_EQ(PTHREAD_CANCELED, result);
    EXPECT_TRUE(cleaned);
}

TEST(Process, C218_Cancellation)
{
#if defined(QURING_TSAN) || defined(QURING_ASAN)
    GTEST_SKIP() << "the sanitizers cannot see a cancelled thread unwind";
#endif
    Pair pair = make_pair();
    cancelled_in([&] {
        char c;
        (void)!read(pair.server, &c, 1);
    });
    EXPECT_TRUE(alive(pair));
    cancelled_in([&] { (void)accept(pair.listen, nullptr, nullptr); });
    cancelled_in([&] { /* more than the peer allows: waits for it */
                       quic_stream_info beyond = {};
                       beyond.stream_id = 4000;
                       socklen_t len = sizeof(beyond);
                       (void)getsockopt(pair.client, SOL_QUIC, QUIC_SOCKOPT_STREAM_OPEN, &beyond,
                                        &len);
    });
    int small = 16384;
    setsockopt(pair.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    setsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    const std::string big = pattern(16u << 20);
    cancelled_in([&] { (void)send(pair.client, big.data(), big.size(), MSG_SYN); });
    /* The stream it was sending on is free: what it took arrives, and what follows. */
    std::thread writer([&] { EXPECT_EQ(4, send(pair.client, "last", 4, MSG_FIN)); });
    std::string all;
    std::vector<char> buf(65536);
    uint32_t flags = 0;
    while ((flags & QUIC_STREAM_FLAG_FIN) == 0) {
        ssize_t n = quic_recvmsg(pair.server, buf.data(), buf.size(), nullptr, &flags);
        ASSERT_GE(n, 0);
        all.append(buf.data(), static_cast<size_t>(n));
    }
    writer.join();
    ASSERT_GE(all.size(), 4u);
    EXPECT_EQ("last", all.substr(all.size() - 4));
    EXPECT_EQ(big.substr(0, all.size() - 4), all.substr(0, all.size() - 4));
    pair.server.reset();
    EXPECT_TRUE(hears_close(pair)); /* no call under way keeps it */
}

namespace
{

struct Pending {
    std::function<void()> call;
    std::atomic<bool> ready{false};
    std::atomic<bool> cancelled{false};
};

void *pending_main(void *arg)
{
    auto *p = static_cast<Pending *>(arg);
    int state = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    p->ready = true;
    while (!p->cancelled) {
        sched_yield();
    }
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    p->call();
    return nullptr;
}

/* Makes a call in a thread that has been cancelled before; whether it ended there. */
bool is_cancelled_in(const std::function<void()> &call)
{
    Pending pending;
    pending.call = call;
    pthread_t thread;
    EXPECT_EQ(0, pthread_create(&thread, nullptr, pending_main, &pending));
    while (!pending.ready) {
        sched_yield();
    }
    EXPECT_EQ(0, pthread_cancel(thread));
    pending.cancelled = true;
    void *result = nullptr;
    EXPECT_EQ(0, pthread_join(thread, &result));
    return result == PTHREAD_CANCELED;
}

} // namespace

/* close, accept and connect have done nothing then; what is no such point is done. */
TEST(Process, C218_CancelledBefore)
{
#if defined(QURING_TSAN) || defined(QURING_ASAN)
    GTEST_SKIP() << "the sanitizers cannot see a cancelled thread unwind";
#endif
    Pair pair = make_pair();
    EXPECT_TRUE(is_cancelled_in([&] { close(pair.client); }));
    EXPECT_TRUE(alive(pair));
    pair.server.reset();
    EXPECT_TRUE(hears_close(pair));

    Fd client;
    EXPECT_FALSE(is_cancelled_in([&] { client = quic_socket(); }));
    ASSERT_GE(client.get(), 0);
    Address to = name_of(pair.listen);
    EXPECT_TRUE(is_cancelled_in([&] { (void)connect(client, to.ptr(), to.len); }));
    ASSERT_EQ(0, connect(client, to.ptr(), to.len));
    std::thread knock([&] { EXPECT_EQ(0, quic_client_handshake(client, nullptr, nullptr)); });
    ASSERT_TRUE(poll_for(pair.listen, POLLIN));
    EXPECT_TRUE(is_cancelled_in([&] { (void)accept(pair.listen, nullptr, nullptr); }));
    EXPECT_TRUE(poll_for(pair.listen, POLLIN)) << "the request stays in the queue";
    pair.server.reset(accept(pair.listen, nullptr, nullptr));
    ASSERT_GE(pair.server.get(), 0);
    EXPECT_FALSE(is_cancelled_in(
        [&] { EXPECT_EQ(0, quic_server_handshake(pair.server, key_file(), cert_file())); }));
    pair.client = std::move(client);
    knock.join();
    EXPECT_TRUE(alive(pair));
    pid_t child = -1;
    ASSERT_FALSE(is_cancelled_in([&] {
        child = fork();
        if (child == 0) {
            _exit(7);
        }
    }));
    int status = 0;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
    EXPECT_TRUE(alive(pair));
}

TEST(Process, C219_CloseRange)
{
    Pair pair = make_pair();
    Pair other = make_pair();
    std::set<int> before = open_fds();
    unsigned low = static_cast<unsigned>(std::min(other.client.get(), other.server.get()));
    unsigned high = static_cast<unsigned>(std::max(other.client.get(), other.server.get()));
    ASSERT_EQ(0, close_range(low, high, 0));
    EXPECT_ERRNO(EBADF, fcntl(static_cast<int>(low), F_GETFD));
    char c;
    EXPECT_ERRNO(EBADF, read(static_cast<int>(high), &c, 1));
    EXPECT_TRUE(alive(pair));
    /* The library's own. */
    ASSERT_EQ(0, close_range(512, ~0u, 0));
    EXPECT_TRUE(alive(pair));
    for (int fd = 512; fd < 2048; fd++) {
        EXPECT_ERRNO(EBADF, close(fd));
    }
    EXPECT_TRUE(alive(pair));
    for (int fd : before) {
        if (fd >= 512 && fcntl(fd, F_GETFD) >= 0) { /* the others went with their sockets */
            EXPECT_ERRNO(EBUSY, dup2(STDERR_FILENO, fd));
        }
    }
    EXPECT_TRUE(alive(pair));
    (void)other.client.release();
    (void)other.server.release();
}

TEST(Process, C220_ProgramsThatCloseAll)
{
    Pair pair = make_pair();
    Fd waiting = quic_socket();
    Address to = name_of(pair.listen);
    ASSERT_EQ(0, connect(waiting, to.ptr(), to.len));
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            closefrom(3);
        } else {
            for (int fd = 3; fd < 4096; fd++) {
                close(fd);
            }
        }
        (void)pair.listen.release();
        (void)pair.client.release();
        (void)pair.server.release();
        (void)waiting.release();
        pair = make_pair();
        EXPECT_TRUE(alive(pair));
    }
}

TEST(Process, C222_ThreadsWithoutSignals)
{
    Pair pair = make_pair();
    DIR *dir = opendir("/proc/self/task");
    int threads = 0;
    while (const dirent *entry = readdir(dir)) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid()) {
            continue;
        }
        std::string base = std::string("/proc/self/task/") + entry->d_name;
        char name[32] = "";
        FILE *f = fopen((base + "/comm").c_str(), "r");
        if (f == nullptr || fgets(name, sizeof(name), f) == nullptr) {
            continue;
        }
        fclose(f);
        if (strncmp(name, "quring-", 7) != 0 && strncmp(name, "quic-", 5) != 0) {
            continue;
        }
        threads++;
        f = fopen((base + "/status").c_str(), "r");
        char line[256];
        unsigned long long blocked = 0;
        while (fgets(line, sizeof(line), f) != nullptr) {
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(f);
        for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE, SIGHUP}) {
            EXPECT_NE(0u, blocked >> (signal - 1) & 1) << name << signal;
        }
    }
    closedir(dir);
    EXPECT_GE(threads, 2);
    for (int signal = 1; signal < 32; signal++) {
        struct sigaction action {
        };
        if (signal == SIGPIPE || sigaction(signal, nullptr, &action) != 0) {
            continue;
        }
#if !defined(QURING_ASAN) && !defined(QURING_TSAN)
        EXPECT_TRUE(action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) << signal;
#endif
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--exec") == 0) {
        return as_exec(atoi(argv[2]));
    }
    if (argc == 3 && strcmp(argv[1], "--spawn") == 0) {
        return as_spawner(argv[2]);
    }
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
