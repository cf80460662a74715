/* tests/compat/fuzz_calls.h: one random call at a time on sockets that other threads use as well. */
#ifndef TESTS_COMPAT_FUZZ_CALLS_H
#define TESTS_COMPAT_FUZZ_CALLS_H

#include <array>
#include <atomic>
#include <cstdint>

#include "tests/compat/fixture.h"
#include "tests/compat/fuzz_watch.h"

namespace compat
{

/* splitmix64 */
class Random
{
  public:
    explicit Random(uint64_t seed) : state_(seed)
    {
    }
    uint64_t state() const
    {
        return state_;
    }
    uint64_t next();
    uint64_t below(uint64_t n)
    {
        return next() % n;
    }
    bool one_in(uint64_t n)
    {
        return below(n) == 0;
    }
    template <typename T, size_t N> T of(const T (&list)[N])
    {
        return list[below(N)];
    }

  private:
    uint64_t state_;
};

/* What the threads of a round share. A slot holds a descriptor or -1; only who takes one out closes it, but
 * anybody may still use the number. */
struct FuzzWorld {
    uint64_t seed = 0;
    std::array<std::atomic<int>, 10> slots;
    Address server;
    int epoll = -1;
    int rights[2] = {-1, -1}; /* UNIX sockets that descriptors travel over */
    int file = -1;
    std::atomic<bool> over{false};
    std::atomic<int> running{0};
    std::atomic<uint64_t> calls{0};
    std::atomic<uint64_t> handshakes{0}; /* of servers, that succeeded */
    std::atomic<uint64_t> received{0};   /* calls that brought bytes */

    FuzzWorld()
    {
        for (auto &slot : slots) {
            slot = -1;
        }
    }
    int any(Random &random) const
    {
        const int fd = slots[random.below(slots.size())];
        FuzzStep::on(fd);
        return fd;
    }
    /* Puts a descriptor into a slot and closes what was there. */
    void put(Random &random, int fd);
};

/* Makes one call, or two that belong together. */
void fuzz_call(FuzzWorld &world, Random &random);
/* The parameters of a socket whose peer may go without a word. */
void fuzz_be_impatient(int fd);

} // namespace compat

#endif // TESTS_COMPAT_FUZZ_CALLS_H
