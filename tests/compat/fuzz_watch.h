/* tests/compat/fuzz_watch.h: which call every thread is in, and the end of the program when one does not come back.
 *
 * Calls are judged, not rounds: a round of handshakes that nobody answers is long and right, each may take what it
 * says. No call may be longer than a handshake, which has a limit of 15 s of its own and looks for its end for 1 s
 * more; the sockets have time limits of milliseconds, and signals end what waits without one. The limit here is
 * longer by what a loaded machine adds. Time is counted in ticks of this process: while it is stopped as a whole, no
 * time passes.
 */
#ifndef TESTS_COMPAT_FUZZ_WATCH_H
#define TESTS_COMPAT_FUZZ_WATCH_H

#include <cstdint>

namespace compat
{

/* Begins to watch; once. */
void fuzz_watch();

/* A call, or several that belong together, of this thread: from here to the end of the scope. */
class FuzzStep
{
  public:
    /* `seed` is the round's. `state` gives, with Random, everything the call is made of; 0: nothing. */
    FuzzStep(const char *what, uint64_t seed, uint64_t state);
    ~FuzzStep();
    FuzzStep(const FuzzStep &) = delete;
    FuzzStep &operator=(const FuzzStep &) = delete;
    /* A descriptor that this thread's call uses: the report shows the last. */
    static void on(int fd);

  private:
    int place_;
    int outer_;
};

} // namespace compat

#endif // TESTS_COMPAT_FUZZ_WATCH_H
