#include "tests/compat/fuzz_watch.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace compat
{
namespace
{

constexpr uint32_t kLimitTicks = 60;
constexpr int kPlaces = 64; /* calls at a time */

struct Place {
    std::atomic<bool> taken{false};
    std::atomic<const char *> what{nullptr}; /* nullptr: no call, or not all of it is written yet */
    std::atomic<uint64_t> seed{0};
    std::atomic<uint64_t> state{0};
    std::atomic<int> fd{-1};
    std::atomic<int> thread{0};
    std::atomic<uint32_t> since{0};
};

std::array<Place, kPlaces> g_places;
std::atomic<uint32_t> g_tick{0}; /* seconds in which this process ran */
thread_local int t_place = -1;

std::string file_text(const std::string &path)
{
    char buf[4096];
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;
    if (fd >= 0) {
        close(fd);
    }
    std::string text(buf, len > 0 ? static_cast<size_t>(len) : 0);
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return text;
}

std::vector<int> numbers_in(const std::string &dir)
{
    std::vector<int> numbers;
    DIR *d = opendir(dir.c_str());
    for (dirent *e; d != nullptr && (e = readdir(d)) != nullptr;) {
        if (atoi(e->d_name) > 0) {
            numbers.push_back(atoi(e->d_name));
        }
    }
    if (d != nullptr) {
        closedir(d);
    }
    return numbers;
}

/* Where the threads of a process are in the kernel, as far as it tells. */
void print_process(int pid)
{
    const std::string dir = "/proc/" + std::to_string(pid) + "/task/";
    for (int thread : numbers_in(dir)) {
        const std::string task = dir + std::to_string(thread) + "/";
        fprintf(stderr, "thread %d (%s) %s; system call %s\n%s\n", thread,
                file_text(task + "comm").c_str(), file_text(task + "wchan").c_str(),
                file_text(task + "syscall").c_str(), file_text(task + "stack").c_str());
    }
}

std::vector<int> children()
{
    std::vector<int> pids;
    for (int pid : numbers_in("/proc")) {
        const std::string stat = file_text("/proc/" + std::to_string(pid) + "/stat");
        const size_t name_end = stat.rfind(')');
        char state = 0;
        int parent = 0;
        if (name_end != std::string::npos &&
            sscanf(stat.c_str() + name_end + 1, " %c %d", &state, &parent) == 2 &&
            parent == getpid()) {
            pids.push_back(pid);
        }
    }
    return pids;
}

[[noreturn]] void report()
{
    const uint32_t now = g_tick;
    for (const Place &place : g_places) {
        const char *what = place.what;
        if (what != nullptr) {
            using ull = unsigned long long;
            fprintf(stderr, "%s by thread %d for %u s: descriptor %d, seed %llu, state 0x%llx\n",
                    what, place.thread.load(), now - place.since, place.fd.load(),
                    static_cast<ull>(place.seed.load()), static_cast<ull>(place.state.load()));
        }
    }
    print_process(getpid());
    for (int pid : children()) {
        fprintf(stderr, "child %d:\n", pid);
        print_process(pid);
        (void)kill(pid, SIGABRT);
    }
    abort();
}

} // namespace

void fuzz_watch()
{
    std::thread([] {
        for (;;) {
            sleep(1);
            const uint32_t now = ++g_tick;
            for (const Place &place : g_places) {
                const uint32_t since =
                    place.since; /* before what it belongs to: never of an older call */
                if (place.what != nullptr && now - since > kLimitTicks && place.since == since) {
                    fprintf(stderr, "stuck; replay: --rounds=1 --seed=%llu\n",
                            static_cast<unsigned long long>(place.seed.load()));
                    report();
                }
            }
        }
    }).detach();
}

FuzzStep::FuzzStep(const char *what, uint64_t seed, uint64_t state) : place_(0), outer_(t_place)
{
    static thread_local const int thread = static_cast<int>(syscall(SYS_gettid));
    while (g_places[place_].taken.exchange(true)) {
        place_ = (place_ + 1) % kPlaces;
    }
    Place &place = g_places[place_];
    place.seed = seed;
    place.state = state;
    place.fd = -1;
    place.thread = thread;
    place.since = g_tick.load();
    place.what = what;
    t_place = place_;
}

FuzzStep::~FuzzStep()
{
    g_places[place_].what = nullptr;
    g_places[place_].taken = false;
    t_place = outer_;
}

void FuzzStep::on(int fd)
{
    if (t_place >= 0) {
        g_places[t_place].fd = fd;
    }
}

} // namespace compat
