/* tests/sim/shrink.h: makes a failing seed smaller: what can be left out so that it still fails. */
#ifndef TESTS_SIM_SHRINK_H
#define TESTS_SIM_SHRINK_H

#include <cstdint>

#include "tests/sim/options.h"

namespace sim
{

/* shrink_seed drops connections, streams, adversaries and faults of a seed one after the other and prints
 * what is left and how that fails. False when the seed does not fail. Each try is a process of its own:
 * an assertion or an endless loop is a failure like any other. */
bool shrink_seed(uint64_t seed, Tls tls);

} // namespace sim

#endif // TESTS_SIM_SHRINK_H
