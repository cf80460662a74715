/* tests/sim/alloc.h: an allocator that counts what is out and can refuse the k-th request. */
#ifndef TESTS_SIM_ALLOC_H
#define TESTS_SIM_ALLOC_H

#include <cstdint>
#include <cstdlib>

#include "quic/base/mem.h"

namespace sim
{

class Alloc
{
  public:
    Alloc() = default;
    Alloc(const Alloc &) = delete;
    Alloc &operator=(const Alloc &) = delete;

    quic_allocator table()
    {
        return quic_allocator{take, give, this};
    }
    /* The k-th request from now on fails, and the count - 1 behind it; 0: none. */
    void fail_at(uint64_t k, uint64_t count = 1)
    {
        fail_in_ = k;
        fail_count_ = count;
    }
    uint64_t bytes() const
    {
        return bytes_;
    }
    uint64_t blocks() const
    {
        return blocks_;
    }
    uint64_t count() const
    {
        return count_;
    }
    bool failed() const
    {
        return failed_;
    }

  private:
    static void *take(void *ctx, size_t size)
    {
        Alloc *self = static_cast<Alloc *>(ctx);
        if (self->fail_in_ > 0 && --self->fail_in_ == 0) {
            self->failed_ = true;
            self->fail_in_ = --self->fail_count_ > 0 ? 1 : 0;
            return nullptr;
        }
        void *p = malloc(size);
        if (p != nullptr) {
            self->bytes_ += size;
            self->blocks_++;
            self->count_++;
        }
        return p;
    }
    static void give(void *ctx, void *ptr, size_t size)
    {
        Alloc *self = static_cast<Alloc *>(ctx);
        self->bytes_ -= size;
        self->blocks_--;
        free(ptr);
    }

    uint64_t bytes_ = 0;
    uint64_t blocks_ = 0;
    uint64_t count_ = 0;
    uint64_t fail_in_ = 0;
    uint64_t fail_count_ = 1;
    bool failed_ = false;
};

} // namespace sim

#endif // TESTS_SIM_ALLOC_H
