/* tests/sim/loop.h: the real worker loop of runtime/core over the simulated I/O back end, many seeds of
 * it: several workers on one thread and one virtual clock, the applications of app.h on top.
 *
 * Faults: of the network below the back ends (loss, reordering, duplication, corruption), of the back
 *         ends themselves (late completions in any order, sends that fail or are taken in part, no
 *         receive buffer, small queues, GSO refused, GRO that splits), of the machine (workers that do
 *         not get to run, sockets bound in a wrong order, mailboxes flooded).
 * Judges: those of the applications; at the end all room for sends is back, no connection is left, and
 *         all of it comes in bounded time.
 */
#ifndef TESTS_SIM_LOOP_H
#define TESTS_SIM_LOOP_H

#include <cstdint>
#include <string>

#include "quic/base/types.h"

namespace sim
{

struct LoopStats {
    uint32_t conns = 0;
    uint32_t conns_done = 0;
    uint64_t steps = 0;
    uint64_t datagrams = 0;
    uint64_t stream_bytes = 0;
    uint64_t forwarded = 0;
    uint64_t again = 0;      /* sends that waited for the device */
    uint64_t no_buffers = 0; /* turns without a receive buffer */
    uint64_t mail_refused = 0;
    uint64_t hash = 0;
};

/* run_loop_seed runs one seed; false: *failure tells. */
bool run_loop_seed(uint64_t seed, LoopStats *stats, std::string *failure);

} // namespace sim

#endif // TESTS_SIM_LOOP_H
