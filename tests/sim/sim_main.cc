/* tests/sim/sim_main.cc: the simulator as a program.
 *
 *   sim --seed 17 [--tls=script|boring]      one seed, with a report
 *   sim --seeds 0..10000 [--jobs 2]          many; the first failure ends it with exit code 1
 *   sim --sweep[=SCENARIO:HOST:K:COUNT]      every allocation of the fixed scenarios fails, or one
 *   sim --shrink 17                          what is left of a failing seed
 *   sim --profile [--jobs 1]                 how much simulated time one minute of CPU buys
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/sim/guard.h"
#include "tests/sim/profile.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sweep.h"
#include "tests/sim/world.h"

namespace
{

struct Args {
    uint64_t from = 0;
    uint64_t to = 1;
    bool one = false;
    bool profile = false;
    bool shrink = false;
    bool sweep = false;
    std::string sweep_point;
    uint32_t jobs = 1;
    uint32_t only_job = 0;
    sim::Tls tls = sim::Tls::kScript;
    bool keep_going = false;
};

struct Sum {
    uint64_t seeds = 0, failed = 0, datagrams = 0, bytes = 0, conns = 0, done = 0;
    uint64_t rebinds = 0, path_changes = 0, resets = 0, violations = 0, rude = 0;
    double conn_seconds = 0, cpu_seconds = 0;
};

bool run_one(const Args &args, uint64_t seed, Sum *sum)
{
    sim::Stats stats;
    std::string failure;
    bool ok;
    {
        sim::SeedGuard guard(seed, args.tls);
        ok = sim::run_seed(seed, args.tls, &stats, &failure);
    }
    sum->seeds++;
    sum->datagrams += stats.datagrams;
    sum->bytes += stats.stream_bytes;
    sum->conns += stats.conns;
    sum->done += stats.conns_done;
    sum->rebinds += stats.rebinds;
    sum->path_changes += stats.path_changes;
    sum->resets += stats.resets;
    sum->violations += stats.violations;
    sum->rude += stats.rude;
    sum->conn_seconds += stats.conn_seconds;
    if (!ok) {
        sum->failed++;
        printf("FAILED %s\n%s\n", failure.c_str(), sim::replay_command(seed, args.tls).c_str());
    }
    if (args.one) {
        printf("%s\n%s: %llu datagrams, %llu stream bytes, %u of %u connections done, %.3f s, "
               "trace %016llx\n",
               sim::describe(sim::draw_options(seed, args.tls)).c_str(), ok ? "passed" : "failed",
               static_cast<unsigned long long>(stats.datagrams),
               static_cast<unsigned long long>(stats.stream_bytes), stats.conns_done, stats.conns,
               static_cast<double>(stats.end_ns) / 1e9,
               static_cast<unsigned long long>(stats.trace_hash));
    }
    fflush(stdout);
    return ok;
}

int run_job(const Args &args, uint32_t job, Sum *sum)
{
    clock_t start = clock();
    bool ok = true;
    for (uint64_t seed = args.from + job; seed < args.to && (ok || args.keep_going);
         seed += args.jobs) {
        ok = run_one(args, seed, sum) && ok;
    }
    sum->cpu_seconds = static_cast<double>(clock() - start) / CLOCKS_PER_SEC;
    return sum->failed == 0 ? 0 : 1;
}

int run_jobs(const Args &args, Sum *total)
{
    int failures = 0;
    std::vector<int> pipes;
    for (uint32_t job = 0; job < args.jobs; job++) {
        int fd[2];
        if (pipe(fd) != 0) {
            perror("pipe");
            return 1;
        }
        pid_t pid = fork();
        if (pid == 0) {
            Sum sum;
            int rc = run_job(args, job, &sum);
            ssize_t n = write(fd[1], &sum, sizeof(sum));
            _exit(n == static_cast<ssize_t>(sizeof(sum)) ? rc : 1);
        }
        close(fd[1]);
        pipes.push_back(fd[0]);
    }
    for (uint32_t job = 0; job < args.jobs; job++) {
        Sum sum;
        int status = 0;
        ssize_t n = read(pipes[job], &sum, sizeof(sum));
        close(pipes[job]);
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
            n != static_cast<ssize_t>(sizeof(sum))) {
            failures++;
        }
        if (n == static_cast<ssize_t>(sizeof(sum))) {
            total->seeds += sum.seeds;
            total->failed += sum.failed;
            total->datagrams += sum.datagrams;
            total->bytes += sum.bytes;
            total->conns += sum.conns;
            total->done += sum.done;
            total->rebinds += sum.rebinds;
            total->path_changes += sum.path_changes;
            total->resets += sum.resets;
            total->violations += sum.violations;
            total->rude += sum.rude;
            total->conn_seconds += sum.conn_seconds;
            total->cpu_seconds += sum.cpu_seconds;
        }
    }
    return failures == 0 ? 0 : 1;
}

int usage()
{
    fprintf(stderr, "usage: sim --seed N | --seeds A..B | --shrink N | --sweep | --profile "
                    "[--tls=script|boring] "
                    "[--jobs N] [--keep-going]\n");
    return 2;
}

int run_sweep(const std::string &text)
{
    if (text.empty()) {
        return sim::run_sweeps() ? 0 : 1;
    }
    sim::SweepPoint point;
    if (!sim::parse_sweep_point(&point, text)) {
        return usage();
    }
    bool touched = false;
    std::string failure;
    bool ok = sim::run_sweep_point(point, &touched, &failure);
    printf("%s%s, %s\n", failure.c_str(), ok ? "passed" : "FAILED",
           touched ? "an allocation failed" : "no allocation failed");
    return ok ? 0 : 1;
}

bool parse(Args *args, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        std::string a = argv[i];
        std::string value;
        size_t eq = a.find('=');
        if (eq != std::string::npos) {
            value = a.substr(eq + 1);
            a = a.substr(0, eq);
        } else if (a != "--profile" && a != "--keep-going" && a != "--sweep" && i + 1 < argc) {
            value = argv[++i];
        }
        if (a == "--seed" && !value.empty()) {
            args->from = strtoull(value.c_str(), nullptr, 0);
            args->to = args->from + 1;
            args->one = true;
        } else if (a == "--seeds" && value.find("..") != std::string::npos) {
            args->from = strtoull(value.c_str(), nullptr, 0);
            args->to = strtoull(value.c_str() + value.find("..") + 2, nullptr, 0);
        } else if (a == "--tls" && (value == "script" || value == "boring")) {
            args->tls = value == "boring" ? sim::Tls::kBoring : sim::Tls::kScript;
        } else if (a == "--jobs" && !value.empty()) {
            args->jobs = static_cast<uint32_t>(strtoul(value.c_str(), nullptr, 0));
        } else if (a == "--shrink" && !value.empty()) {
            args->from = strtoull(value.c_str(), nullptr, 0);
            args->to = args->from + 1;
            args->shrink = true;
        } else if (a == "--profile") {
            args->profile = true;
        } else if (a == "--sweep") {
            args->sweep = true;
            args->sweep_point = value;
        } else if (a == "--keep-going") {
            args->keep_going = true;
        } else {
            return false;
        }
    }
    return args->jobs >= 1 && args->jobs <= 256 && args->from < args->to;
}

} // namespace

int main(int argc, char **argv)
{
    Args args;
    if (!parse(&args, argc, argv)) {
        return usage();
    }
    if (args.shrink) {
        return sim::shrink_seed(args.from, args.tls) ? 0 : 1;
    }
    if (args.sweep) {
        return run_sweep(args.sweep_point);
    }
    if (args.profile) {
        return sim::run_profiles() ? 0 : 1;
    }
    Sum sum;
    time_t start = time(nullptr);
    int rc = args.jobs == 1 ? run_job(args, 0, &sum) : run_jobs(args, &sum);
    if (!args.one) {
        printf("%llu seeds (%s), %llu failed, %llu datagrams, %llu stream bytes, %llu of %llu "
               "connections ran to their end, %.1f connection hours, %llu rebindings, %llu path "
               "changes, %llu stateless resets, %llu violations answered, %llu rude datagrams, "
               "%.1f CPU s, %lld s\n",
               static_cast<unsigned long long>(sum.seeds),
               args.tls == sim::Tls::kScript ? "script" : "boring",
               static_cast<unsigned long long>(sum.failed),
               static_cast<unsigned long long>(sum.datagrams),
               static_cast<unsigned long long>(sum.bytes),
               static_cast<unsigned long long>(sum.done),
               static_cast<unsigned long long>(sum.conns), sum.conn_seconds / 3600,
               static_cast<unsigned long long>(sum.rebinds),
               static_cast<unsigned long long>(sum.path_changes),
               static_cast<unsigned long long>(sum.resets),
               static_cast<unsigned long long>(sum.violations),
               static_cast<unsigned long long>(sum.rude), sum.cpu_seconds,
               static_cast<long long>(time(nullptr) - start));
    }
    return rc;
}
