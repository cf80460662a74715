#include "tests/sim/guard.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace sim
{
namespace
{

constexpr unsigned kSecondsPerSeed = 120; /* a seed takes milliseconds */
char current[160];

void on_signal(int sig)
{
    const char *what = sig == SIGALRM ? "\na seed takes too long: an endless loop?\n" : "\n";
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
    signal(SIGALRM, on_signal);
    alarm(kSecondsPerSeed);
}

SeedGuard::~SeedGuard()
{
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
}

} // namespace sim
