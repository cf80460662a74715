#include "tests/sim/run.h"

#include "tests/sim/guard.h"

namespace sim
{

Outcome run(const Options &options)
{
    SeedGuard guard(options.seed, options.tls);
    World world(options);
    Outcome out;
    out.ok = world.run();
    out.text = world.failure();
    out.stats = world.stats();
    return out;
}

} // namespace sim
