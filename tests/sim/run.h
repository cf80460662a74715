/* tests/sim/run.h: one world from its options to its end. */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include <string>

#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace sim
{

struct Outcome {
    Stats stats;
    bool ok = false;
    std::string text; /* why not */
};

Outcome run(const Options &options);

} // namespace sim

#endif // TESTS_SIM_RUN_H
