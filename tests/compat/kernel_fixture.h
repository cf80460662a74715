/* tests/compat/kernel_fixture.h: pairs of sockets of protocol 261, by today's names only: one program
 * sees one of the two headers. */
#ifndef TESTS_COMPAT_KERNEL_FIXTURE_H
#define TESTS_COMPAT_KERNEL_FIXTURE_H

#include <functional>
#include <netinet/quic.h>

namespace kernel
{

/* A descriptor that closes itself. */
class Fd
{
  public:
    explicit Fd(int fd = -1) : fd_(fd)
    {
    }
    Fd(Fd &&o) noexcept : fd_(o.fd_)
    {
        o.fd_ = -1;
    }
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
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
    void reset(int fd = -1);

  private:
    int fd_;
};

struct Pair {
    Fd listen;
    Fd client;
    Fd server;
};

/* Connected, with the protocol "sample" agreed on; what cannot be had ends the program. `client_protocol`
 * 288 makes the client one of the draft's. */
Pair make_pair(const std::function<void(int)> &listener = nullptr,
               const std::function<void(int)> &client = nullptr, int client_protocol = 261);

} // namespace kernel

#endif // TESTS_COMPAT_KERNEL_FIXTURE_H
