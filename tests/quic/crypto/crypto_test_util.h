/* tests/quic/crypto/crypto_test_util.h: memory accounts, hex, and a sequence of bytes for tests. */
#ifndef TESTS_QUIC_CRYPTO_CRYPTO_TEST_UTIL_H
#define TESTS_QUIC_CRYPTO_CRYPTO_TEST_UTIL_H

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "quic/base/mem.h"
#include "quic/base/rng.h"

namespace crypto_test
{

using Bytes = std::vector<uint8_t>;

inline Bytes Unhex(const char *hex)
{
    Bytes out;
    for (const char *p = hex; p[0] != '\0' && p[1] != '\0'; p += 2) {
        const char digits[3] = {p[0], p[1], '\0'};
        out.push_back(static_cast<uint8_t>(std::strtoul(digits, nullptr, 16)));
    }
    return out;
}

inline std::string Hex(const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    std::string out;
    for (size_t i = 0; i < len; i++) {
        out.push_back(digits[data[i] >> 4]);
        out.push_back(digits[data[i] & 15]);
    }
    return out;
}

inline std::string Hex(const Bytes &bytes)
{
    return Hex(bytes.data(), bytes.size());
}

/* A root account over malloc; says at the end that everything came back. */
class TestMem
{
  public:
    explicit TestMem(uint64_t limit = UINT64_MAX)
    {
        const quic_allocator allocator = {Alloc, Free, nullptr};
        quic_mem_init_root(&mem_, &allocator, limit);
    }
    quic_mem *get()
    {
        return &mem_;
    }
    uint64_t used() const
    {
        return mem_.used_bytes;
    }
    uint64_t allocs() const
    {
        return mem_.alloc_count;
    }
    void set_limit(uint64_t bytes)
    {
        mem_.limit_bytes = bytes;
    }

  private:
    static void *Alloc(void *, size_t size)
    {
        return std::malloc(size);
    }
    static void Free(void *, void *ptr, size_t)
    {
        std::free(ptr);
    }
    quic_mem mem_;
};

class TestRng
{
  public:
    explicit TestRng(uint64_t seed) : state_{seed}, rng_(quic_rng_seeded(&state_))
    {
    }
    const quic_rng *get() const
    {
        return &rng_;
    }
    Bytes Take(size_t len)
    {
        Bytes out(len);
        quic_rng_fill(&rng_, out.data(), len);
        return out;
    }

  private:
    quic_rng_seeded_state state_;
    quic_rng rng_;
};

} // namespace crypto_test

#endif /* TESTS_QUIC_CRYPTO_CRYPTO_TEST_UTIL_H */
