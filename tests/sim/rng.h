/* tests/sim/rng.h: the simulator's dice. One seed gives one run. */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <cmath>
#include <cstdint>

namespace sim
{

inline uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

class Rng
{
  public:
    explicit Rng(uint64_t seed) : state_(mix64(seed + 0x9e3779b97f4a7c15ull))
    {
    }

    uint64_t u64()
    {
        state_ += 0x9e3779b97f4a7c15ull;
        return mix64(state_);
    }
    /* 0 .. n-1; n >= 1 */
    uint64_t below(uint64_t n)
    {
        return u64() % n;
    }
    /* lo .. hi, both included */
    uint64_t range(uint64_t lo, uint64_t hi)
    {
        return lo + below(hi - lo + 1);
    }
    double unit()
    {
        return static_cast<double>(u64() >> 11) / 9007199254740992.0;
    }
    bool chance(double p)
    {
        return p > 0 && unit() < p;
    }
    /* Log-uniform between lo and hi, both > 0. */
    double log_uniform(double lo, double hi)
    {
        return lo * std::exp(unit() * std::log(hi / lo));
    }
    uint64_t log_range(uint64_t lo, uint64_t hi)
    {
        return static_cast<uint64_t>(log_uniform(static_cast<double>(lo), static_cast<double>(hi)));
    }

  private:
    uint64_t state_;
};

} // namespace sim

#endif // TESTS_SIM_RNG_H
