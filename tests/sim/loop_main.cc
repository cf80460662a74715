/* tests/sim/loop_main.cc: the worker loop's simulator as a program.
 *
 *   loop --seed 17                one seed, with a report
 *   loop --seeds 0..1000          many; the first failure ends it with exit code 1
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/sim/guard.h"
#include "tests/sim/loop.h"

namespace
{

void print(const char *name, uint64_t value)
{
    printf(", %llu %s", static_cast<unsigned long long>(value), name);
}

} // namespace

int main(int argc, char **argv)
{
    bool one = argc == 3 && strcmp(argv[1], "--seed") == 0;
    const char *dots = argc == 3 ? strstr(argv[2], "..") : nullptr;
    if (!one && (argc != 3 || strcmp(argv[1], "--seeds") != 0 || dots == nullptr)) {
        fprintf(stderr, "usage: loop --seed N | --seeds A..B\n");
        return 2;
    }
    uint64_t from = strtoull(argv[2], nullptr, 0);
    uint64_t to = one ? from + 1 : strtoull(dots + 2, nullptr, 0);
    sim::LoopStats sum;
    clock_t start = clock();
    for (uint64_t seed = from; seed < to; seed++) {
        std::string what = "--seed " + std::to_string(seed);
        sim::SeedGuard guard(what, "loop");
        sim::LoopStats stats;
        std::string failure;
        if (!sim::run_loop_seed(seed, &stats, &failure)) {
            printf("FAILED %s\n%s\n", failure.c_str(), sim::replay_command(what, "loop").c_str());
            return 1;
        }
        sum.conns += stats.conns;
        sum.conns_done += stats.conns_done;
        sum.steps += stats.steps;
        sum.datagrams += stats.datagrams;
        sum.stream_bytes += stats.stream_bytes;
        sum.forwarded += stats.forwarded;
        sum.again += stats.again;
        sum.no_buffers += stats.no_buffers;
        sum.mail_refused += stats.mail_refused;
        sum.hash = stats.hash;
    }
    printf("%llu seeds passed, %u of %u connections ran to their end",
           static_cast<unsigned long long>(to - from), sum.conns_done, sum.conns);
    print("turns", sum.steps);
    print("datagrams", sum.datagrams);
    print("stream bytes", sum.stream_bytes);
    print("forwarded units", sum.forwarded);
    print("sends held back", sum.again);
    print("waits without a buffer", sum.no_buffers);
    print("messages refused", sum.mail_refused);
    printf(", last trace %016llx, %.1f CPU s\n", static_cast<unsigned long long>(sum.hash),
           static_cast<double>(clock() - start) / CLOCKS_PER_SEC);
    return 0;
}
