/* tests/sim/guard.h: whatever happens within a seed, an assertion, a crash or an endless loop in the
 * core included, the replay command is printed. */
#ifndef TESTS_SIM_GUARD_H
#define TESTS_SIM_GUARD_H

#include <string>

#include "tests/sim/options.h"

namespace sim
{

/* The command that runs `what` again: arguments of //tests/sim:`program`. */
std::string replay_command(const std::string &what, const char *program = "sim");
std::string replay_command(uint64_t seed, Tls tls);

class SeedGuard
{
  public:
    SeedGuard(uint64_t seed, Tls tls);
    explicit SeedGuard(const std::string &what, const char *program = "sim");
    ~SeedGuard();
    SeedGuard(const SeedGuard &) = delete;
    SeedGuard &operator=(const SeedGuard &) = delete;
};

} // namespace sim

#endif // TESTS_SIM_GUARD_H
