/* tests/compat/child.h: children of fork, for tests. */
#ifndef TESTS_COMPAT_CHILD_H
#define TESTS_COMPAT_CHILD_H

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/compat/fixture.h"

namespace compat
{

#if defined(QURING_TSAN)
constexpr bool kThreadsAfterFork = false; /* the sanitizer ends such a child */
#else
constexpr bool kThreadsAfterFork = true;
#endif

/* A sanitizer makes a fork take tens of milliseconds: who makes hundreds of them then makes fewer, and a child has more
 * seconds until it is held to hang. */
#if defined(QURING_ASAN) || defined(QURING_TSAN)
constexpr int forks(int count)
{
    return count / 5;
}
constexpr unsigned kHangs = 240;
#else
constexpr int forks(int count)
{
    return count;
}
constexpr unsigned kHangs = 60;
#endif

constexpr uint32_t kNew = MSG_SYN | MSG_FIN;

/* A child that runs `body`, whose result is its exit status. */
class Child
{
  public:
    explicit Child(const std::function<int()> &body, pid_t (*how)() = fork)
    {
        fflush(stdout);
        fflush(stderr);
        pid_ = how();
        if (pid_ == 0) {
            alarm(kHangs);
            _exit(body());
        }
    }
    Child(Child &&o) noexcept : pid_(o.pid_)
    {
        o.pid_ = -1;
    }
    ~Child()
    {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            wait();
        }
    }
    pid_t pid() const
    {
        return pid_;
    }
    int wait()
    {
        int status = -1;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
    }

  private:
    pid_t pid_;
};

#define CHECK_CHILD(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: in the child: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                    strerror(errno));                                                              \
            return (__LINE__ & 0x7f) | 1;                                                          \
        }                                                                                          \
    } while (0)

/* One process tells another: a pipe. */
class Gate
{
  public:
    Gate()
    {
        if (pipe2(ends_, O_CLOEXEC) != 0) {
            abort();
        }
    }
    ~Gate()
    {
        close(ends_[0]);
        close(ends_[1]);
    }
    void open()
    {
        (void)!write(ends_[1], "g", 1);
    }
    void pass()
    {
        char c;
        while (read(ends_[0], &c, 1) != 1) {
        }
    }

  private:
    int ends_[2];
};

/* A client that connects to a listener, whose handshake is under way. */
struct Visit {
    Fd client = quic_socket();
    int rc = -1;
    std::thread thread;
    explicit Visit(int listen_fd)
    {
        Address to = name_of(listen_fd);
        thread = std::thread([this, to] {
            rc = connect(client, to.ptr(), to.len) == 0
                     ? quic_client_handshake(client, nullptr, nullptr)
                     : -errno;
        });
    }
    bool succeeds()
    {
        thread.join();
        return rc == 0;
    }
};

/* Answers each stream with what came on it, until the peer is gone. Its result is 0, or a line, or an errno. */
int echo(int fd);
/* Whether bytes that a client sends come back. */
bool echoes(int client, size_t len, uint32_t seed = 1);
std::set<int> open_fds();

} // namespace compat

#endif // TESTS_COMPAT_CHILD_H
