/* tests/fuzz/fuzz.h: what the fuzz targets share: numbers out of an input, and the check that ends the
 * program with a line that says what was wrong.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);              \
            abort();                                                                               \
        }                                                                                          \
    } while (false)

namespace fuzz
{

/* Takes an input apart; at its end everything is 0. */
class Input
{
  public:
    Input(const uint8_t *data, size_t len) : p_(data), left_(len)
    {
    }
    size_t left() const
    {
        return left_;
    }
    uint8_t u8()
    {
        if (left_ == 0) {
            return 0;
        }
        left_--;
        return *p_++;
    }
    uint16_t u16()
    {
        uint16_t hi = u8();
        return static_cast<uint16_t>(hi << 8 | u8());
    }
    uint32_t u32()
    {
        uint32_t hi = u16();
        return hi << 16 | u16();
    }
    uint64_t u64()
    {
        uint64_t hi = u32();
        return hi << 32 | u32();
    }
    /* Of any magnitude: one byte says how many bits. */
    uint64_t spread()
    {
        uint8_t bits = u8() % 65;
        uint64_t v = bits > 32 ? u64() : (bits > 16 ? u32() : (bits > 8 ? u16() : u8()));
        return bits == 64 ? v : v & ((1ull << bits) - 1);
    }
    /* Up to `max` bytes. */
    std::vector<uint8_t> bytes(size_t max)
    {
        size_t n = max < left_ ? max : left_;
        std::vector<uint8_t> out(p_, p_ + n);
        p_ += n;
        left_ -= n;
        return out;
    }

  private:
    const uint8_t *p_;
    size_t left_;
};

/* A copy of exactly its own size, so that a read beyond its end is seen. */
class Exact
{
  public:
    explicit Exact(const std::vector<uint8_t> &v)
        : size_(v.size()), p_(static_cast<uint8_t *>(malloc(v.empty() ? 1 : v.size())))
    {
        if (!v.empty()) {
            memcpy(p_, v.data(), v.size());
        }
    }
    ~Exact()
    {
        free(p_);
    }
    Exact(const Exact &) = delete;
    Exact &operator=(const Exact &) = delete;
    uint8_t *data()
    {
        return p_;
    }
    size_t size() const
    {
        return size_;
    }

  private:
    size_t size_;
    uint8_t *p_;
};

} // namespace fuzz

#endif // TESTS_FUZZ_FUZZ_H
