#include "tests/sim/shrink.h"

#include <cstdio>
#include <functional>
#include <string>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/sim/world.h"

namespace sim
{
namespace
{

constexpr time_t kCpuSecondsPerTry = 20;

using Change = std::function<bool(Options &)>; /* false: there is nothing to change */

/* Whether these options fail; `loud` prints how. */
bool fails(const Options &options, bool loud)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        const struct itimerval limit = {{0, 0}, {kCpuSecondsPerTry, 0}};
        (void)setitimer(ITIMER_PROF, &limit, nullptr);
        World world(options);
        bool ok = world.run();
        if (!ok && loud) {
            printf("%s\n%s", world.failure().c_str(), world.report().c_str());
            fflush(stdout);
        }
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    bool waited = pid > 0 && waitpid(pid, &status, 0) == pid;
    if (loud && waited && WIFSIGNALED(status)) {
        printf("ended by signal %d\n", WTERMSIG(status));
    }
    return waited && (!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

template <typename T> bool clear(T *value, T to)
{
    if (*value == to) {
        return false;
    }
    *value = to;
    return true;
}

/* One fault of all links at a time. */
void add_link_changes(std::vector<Change> &all)
{
    auto each = [&all](const std::function<bool(LinkOptions &)> &change) {
        all.push_back([change](Options &o) {
            bool any = false;
            for (auto *links : {&o.up, &o.down}) {
                for (LinkOptions &l : *links) {
                    any = change(l) || any;
                }
            }
            return any;
        });
    };
    for (double LinkOptions::*rate :
         {&LinkOptions::loss, &LinkOptions::burst_enter, &LinkOptions::duplicate,
          &LinkOptions::corrupt, &LinkOptions::truncate, &LinkOptions::replay,
          &LinkOptions::ecn_mark}) {
        each([rate](LinkOptions &l) { return clear(&(l.*rate), 0.0); });
    }
    each([](LinkOptions &l) { return clear(&l.jitter_ns, quic_ns{0}); });
    each([](LinkOptions &l) { return clear(&l.bytes_per_s, uint64_t{0}); });
    each([](LinkOptions &l) { return clear(&l.mtu_bytes, 0u); });
    each([](LinkOptions &l) {
        bool any = !l.blackouts.empty();
        l.blackouts.clear();
        return any;
    });
}

void add_host_changes(std::vector<Change> &all)
{
    auto each = [&all](const std::function<bool(HostOptions &)> &change) {
        all.push_back([change](Options &o) {
            bool any = change(o.server);
            for (HostOptions &h : o.clients) {
                any = change(h) || any;
            }
            return any;
        });
    };
    each([](HostOptions &h) { return clear(&h.late_wake_ns, quic_ns{0}); });
    each([](HostOptions &h) { return clear(&h.rx_wait_ns, quic_ns{0}); });
    each([](HostOptions &h) { return clear(&h.gro_max, 1u); });
    each([](HostOptions &h) { return clear(&h.seg_max, 1u); });
    each([](HostOptions &h) { return clear(&h.alloc_fail_at, uint64_t{0}); });
    each([](HostOptions &h) { return clear(&h.limits.ecn, false); });
    each([](HostOptions &h) { return clear(&h.limits.mtu_probe_max_bytes, 0u); });
    each([](HostOptions &h) {
        bool any = !h.pauses.empty();
        h.pauses.clear();
        return any;
    });
}

void add_conn_changes(std::vector<Change> &all, const Options &o)
{
    for (size_t i = o.conns.size(); i-- > 0;) { /* the last ones first: indices stay right */
        all.push_back([i](Options &now) {
            if (now.conns.size() <= 1 || i >= now.conns.size()) {
                return false;
            }
            now.conns.erase(now.conns.begin() + static_cast<long>(i));
            return true;
        });
        for (size_t s = o.conns[i].streams.size(); s-- > 0;) {
            all.push_back([i, s](Options &now) {
                if (i >= now.conns.size() || s >= now.conns[i].streams.size()) {
                    return false;
                }
                now.conns[i].streams.erase(now.conns[i].streams.begin() + static_cast<long>(s));
                return true;
            });
        }
        all.push_back([i](Options &now) {
            if (i >= now.conns.size()) {
                return false;
            }
            bool keys = clear(&now.conns[i].key_updates, 0u);
            bool cids = clear(&now.conns[i].cid_rotations, 0u);
            return keys || cids;
        });
    }
}

std::vector<Change> changes_of(const Options &o)
{
    std::vector<Change> all;
    add_conn_changes(all, o);
    all.push_back([](Options &now) {
        AttackOptions &a = now.attack;
        bool any = false;
        for (double *fault : {&a.forge, &a.replay, &a.filter, &a.too_big}) {
            any = clear(fault, 0.0) || any;
        }
        return any;
    });
    all.push_back([](Options &now) {
        bool any = !now.rebinds.empty();
        now.rebinds.clear();
        return any;
    });
    all.push_back([](Options &now) {
        bool any = !now.crashes.empty();
        now.crashes.clear();
        return any;
    });
    all.push_back([](Options &now) { return clear(&now.retry, false); });
    all.push_back([](Options &now) { return clear(&now.resume, Resume::kNever); });
    all.push_back([](Options &now) { return clear(&now.workers, 1u); });
    add_link_changes(all);
    add_host_changes(all);
    return all;
}

} // namespace

bool shrink_seed(uint64_t seed, Tls tls)
{
    Options best = draw_options(seed, tls);
    if (!fails(best, false)) {
        printf("seed %llu does not fail\n", static_cast<unsigned long long>(seed));
        return false;
    }
    unsigned tries = 0;
    bool progress = true;
    while (progress) {
        progress = false;
        for (const Change &change : changes_of(best)) {
            Options next = best;
            if (!change(next)) {
                continue;
            }
            tries++;
            if (fails(next, false)) {
                best = next;
                progress = true;
            }
        }
    }
    size_t streams = 0;
    for (const ConnPlan &c : best.conns) {
        streams += c.streams.size();
    }
    printf("after %u tries %zu connections with %zu streams are left:\n%s\n", tries,
           best.conns.size(), streams, describe(best).c_str());
    (void)fails(best, true);
    return true;
}

} // namespace sim
