/* tests/sim/profile.h: how much simulated time one minute of CPU buys, for three kinds of load. They
 * differ by orders of magnitude and are never added up. */
#ifndef TESTS_SIM_PROFILE_H
#define TESTS_SIM_PROFILE_H

namespace sim
{

/* run_profiles prints one line per profile; false: a run failed. */
bool run_profiles();

} // namespace sim

#endif // TESTS_SIM_PROFILE_H
