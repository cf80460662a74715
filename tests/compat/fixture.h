/* tests/compat/fixture.h: QUIC sockets for tests: a certificate, a listener, and a pair of connected ones.
 *
 * Everything here is made of the calls under test; a failure of set-up ends the program.
 */
#ifndef TESTS_COMPAT_FIXTURE_H
#define TESTS_COMPAT_FIXTURE_H

#include <arpa/inet.h>
#include <cstring>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <vector>

#define QUIC_NO_GNUTLS
#include <netinet/quic.h>

#include "tests/compat/identity.h"

namespace compat
{

/* A descriptor that closes itself. */
class Fd
{
  public:
    explicit Fd(int fd = -1) : fd_(fd)
    {
    }
    Fd(Fd &&o) noexcept : fd_(o.release())
    {
    }
    Fd &operator=(Fd &&o) noexcept
    {
        reset(o.release());
        return *this;
    }
    ~Fd()
    {
        reset();
    }
    int get() const
    {
        return fd_;
    }
    operator int() const
    {
        return fd_;
    }
    int release()
    {
        int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset(int fd = -1);

  private:
    int fd_;
};

/* loopback gives 127.0.0.1 or ::1 with a port. */
struct Address {
    sockaddr_storage storage{};
    socklen_t len = 0;
    sockaddr *ptr()
    {
        return reinterpret_cast<sockaddr *>(&storage);
    }
    const sockaddr *ptr() const
    {
        return reinterpret_cast<const sockaddr *>(&storage);
    }
    uint16_t port() const;
    std::string text() const; /* 127.0.0.1:4433 */
};
Address loopback(uint16_t port = 0, int family = AF_INET);
Address any(uint16_t port = 0, int family = AF_INET);
Address name_of(int fd);
Address peer_of(int fd);

Fd quic_socket(int family = AF_INET, int type = SOCK_DGRAM);
/* Bound to a loopback port of the kernel's choice, and listening. `prepare` may set options first. */
Fd listener(int backlog = 16, int family = AF_INET,
            const std::function<void(int)> &prepare = nullptr);

/* Both ends of a connection after the handshake. */
struct Pair {
    Fd listen;
    Fd client;
    Fd server;
};
struct PairOptions {
    int family = AF_INET;
    std::function<void(int)> listener; /* before listen */
    std::function<void(int)> client;   /* before connect */
};
Pair make_pair(const PairOptions &options = PairOptions());

/* Runs the client's handshake in a thread and accept and the server's here. Both results are 0. */
bool handshake(int listen_fd, int client_fd, Fd *server, int *client_rc = nullptr,
               int *server_rc = nullptr);

/* Reads exactly `len` bytes of whatever streams bring, or until an error. */
std::string read_bytes(int fd, size_t len);
std::string pattern(size_t len, uint32_t seed = 1);
/* Whether poll says all of `mask` within `timeout_ms`; now() is what it says at this moment. */
bool poll_for(int fd, short mask, int timeout_ms = 15000);
short poll_now(int fd);
/* Whether it becomes true within twenty seconds. */
bool comes_true(const std::function<bool()> &fact);
void set_recv_timeout(int fd, int ms);
/* Whether bytes come through a pair; whether the client's side is told that the server's is gone, or is told
 * nothing for a while. */
bool alive(Pair &pair);
bool hears_close(Pair &pair);
bool hears_nothing(Pair &pair);
/* The bare system call, which nobody interposes. */
long close_alone(int fd);

/* sendmsg with one QUIC_STREAM_INFO, whose parts a test may spoil. */
struct Outgoing {
    char control[256] = {};
    msghdr msg{};
    iovec iov{};
    char byte = 'm';
    msghdr *ptr()
    {
        return &msg;
    }
    explicit Outgoing(uint64_t sid = UINT64_MAX, uint32_t flags = 0)
    {
        iov = {&byte, 1};
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        add(SOL_QUIC, QUIC_STREAM_INFO, sid, flags);
    }
    cmsghdr *add(int level, int type, uint64_t sid, uint32_t flags)
    {
        quic_stream_info info{};
        info.stream_id = sid;
        info.stream_flag = flags;
        auto *c = reinterpret_cast<cmsghdr *>(control + msg.msg_controllen);
        c->cmsg_level = level;
        c->cmsg_type = type;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        msg.msg_controllen += CMSG_SPACE(sizeof(info));
        return c;
    }
    cmsghdr *first()
    {
        return reinterpret_cast<cmsghdr *>(control);
    }
};

} // namespace compat

/* A call that fails with an errno. */
#define EXPECT_ERRNO(error, call)                                                                  \
    do {                                                                                           \
        errno = 0;                                                                                 \
        EXPECT_EQ(-1, (call)) << #call;                                                            \
        EXPECT_EQ(error, errno) << #call << ": " << strerror(errno);                               \
    } while (0)

#endif // TESTS_COMPAT_FIXTURE_H
