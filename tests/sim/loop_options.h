/* tests/sim/loop_options.h: everything one run of the worker loop depends on, drawn from its seed. */
#ifndef TESTS_SIM_LOOP_OPTIONS_H
#define TESTS_SIM_LOOP_OPTIONS_H

#include <vector>

#include "runtime/io/io_sim.h"
#include "tests/sim/options.h"

namespace sim
{

/* What a seed decides beyond the connections themselves. */
struct LoopOptions {
    Options base;
    uint32_t servers = 1;
    std::vector<uint32_t> bind_order;
    std::vector<rt_io_config> io; /* servers first */
    rt_sim_faults faults{};
    quic_ns heal_ns = QUIC_NS_PER_S;
    double skip = 0;  /* a worker does not get to run */
    double flood = 0; /* per step: messages for some worker */
};

LoopOptions draw_loop_options(uint64_t seed);

} // namespace sim

#endif // TESTS_SIM_LOOP_OPTIONS_H
