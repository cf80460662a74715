#include "tests/sim/guard.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sys/time.h>
#include <unistd.h>

namespace sim
{
namespace
{

constexpr time_t kCpuSecondsPerSeed = 300; /* a seed takes milliseconds, a profile a minute */
char current[160];

/* Time of ours alone: on a busy machine the clock on the wall says nothing about loops. */
void set_limit(time_t cpu_seconds)
{
    const struct itimerval limit = {{0, 0}, {cpu_seconds, 0}};
    (void)setitimer(ITIMER_PROF, &limit, nullptr);
}

void on_signal(int sig)
{
    const char *what = sig == SIGPROF ? "\na seed takes too long: an endless loop?\n" : "\n";
    ssize_t n = write(STDERR_FILENO, what, strlen(what));
    n += write(STDERR_FILENO, current, strlen(current));
    n += write(STDERR_FILENO, "\n", 1);
    (void)n;
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    abort();
}

} // namespace

std::string replay_command(const std::string &what, const char *program)
{
    return std::string("replay: tools/bazel run //tests/sim:") + program + " -- " + what;
}

std::string replay_command(uint64_t seed, Tls tls)
{
    return replay_command("--seed " + std::to_string(seed) +
                          " --tls=" + (tls == Tls::kScript ? "script" : "boring"));
}

SeedGuard::SeedGuard(uint64_t seed, Tls tls)
    : SeedGuard("--seed " + std::to_string(seed) +
                " --tls=" + (tls == Tls::kScript ? "script" : "boring"))
{
}

SeedGuard::SeedGuard(const std::string &what, const char *program)
{
    std::string text = replay_command(what, program);
    strncpy(current, text.c_str(), sizeof(current) - 1);
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    signal(SIGPROF, on_signal);
    set_limit(kCpuSecondsPerSeed);
}

SeedGuard::~SeedGuard()
{
    set_limit(0);
    signal(SIGPROF, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
}

} // namespace sim
