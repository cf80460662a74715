/* tests/quic/stream/stream_test_util.h: counted memory and a seeded generator for the stream
 * tests. */
#ifndef TESTS_QUIC_STREAM_STREAM_TEST_UTIL_H
#define TESTS_QUIC_STREAM_STREAM_TEST_UTIL_H

#include <cstdlib>
#include <vector>

#include "quic/base/mem.h"
#include "quic/base/rng.h"

namespace stream_test
{

// A root account over malloc; TearDown order is the test's: check used_bytes itself.
struct Memory {
    quic_mem mem;
    explicit Memory(uint64_t limit = 1ull << 40)
    {
        quic_allocator allocator = {&Memory::Alloc, &Memory::Free, nullptr};
        quic_mem_init_root(&mem, &allocator, limit);
    }
    static void *Alloc(void *, size_t size)
    {
        return std::malloc(size);
    }
    static void Free(void *, void *ptr, size_t)
    {
        std::free(ptr);
    }
};

struct Rng {
    quic_rng_seeded_state state;
    quic_rng rng;
    explicit Rng(uint64_t seed) : state{seed}, rng(quic_rng_seeded(&state))
    {
    }
    // A value in [0, bound).
    uint64_t Below(uint64_t bound)
    {
        return quic_rng_u64(&rng) % bound;
    }
    bool OneIn(uint64_t n)
    {
        return Below(n) == 0;
    }
    std::vector<uint8_t> Bytes(size_t len)
    {
        std::vector<uint8_t> out(len);
        quic_rng_fill(&rng, out.data(), len);
        return out;
    }
};

} // namespace stream_test

#endif // TESTS_QUIC_STREAM_STREAM_TEST_UTIL_H
