/* tests/sim/sweep.h: fixed scenarios in which the k-th allocation of one host fails, for every k until
 * none is left to fail. */
#ifndef TESTS_SIM_SWEEP_H
#define TESTS_SIM_SWEEP_H

#include <cstdint>
#include <string>
#include <vector>

namespace sim
{

struct SweepPoint {
    std::string scenario;
    bool server = true;       /* whose allocations fail */
    uint64_t at = 1;          /* the first that fails after the endpoints were made */
    uint64_t count = 1;       /* how many in a row */
    std::string name() const; /* as parse_sweep_point reads it: transfer:server:17:1 */
};

const std::vector<std::string> &sweep_scenarios();
bool parse_sweep_point(SweepPoint *out, const std::string &text);

/* run_sweep_point runs one; *touched says whether an allocation failed. False: *failure tells why. A
 * run that nothing touched must end with everything done. */
bool run_sweep_point(const SweepPoint &point, bool *touched, std::string *failure);

/* sweep goes through all k of one scenario, host and count; adds to *runs. A failure begins with the
 * point's replay command. */
bool sweep(const std::string &scenario, bool server, uint64_t count, uint64_t *runs,
           std::string *failure);

/* run_sweeps runs all of them and prints a line each; false after a failure. */
bool run_sweeps();

} // namespace sim

#endif // TESTS_SIM_SWEEP_H
