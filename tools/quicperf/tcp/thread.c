#define _GNU_SOURCE
#include "tools/quicperf/tcp/thread.h"

#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

bool qp_thread_start(pthread_t *out, const qp_options *options, uint32_t index,
                     void *(*entry)(void *), void *ctx)
{
    if (pthread_create(out, NULL, entry, ctx) != 0) {
        return false;
    }
    if (options->cpu_count > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(options->cpus[index % options->cpu_count], &set);
        (void)pthread_setaffinity_np(*out, sizeof(set), &set);
    }
    return true;
}

double qp_thread_cpu_s(pthread_t thread)
{
    clockid_t clock;
    struct timespec now;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

socklen_t qp_sockaddr_from(struct sockaddr_storage *out, const quring_addr *addr)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(addr->port);
    in6->sin6_scope_id = addr->scope_id;
    memcpy(&in6->sin6_addr, addr->ip, 16);
    return sizeof(*in6);
}

bool qp_epoll_set(int epoll, int fd, uint32_t *events_now, uint32_t events, void *ctx)
{
    struct epoll_event event = {.events = events, .data = {.ptr = ctx}};
    if (*events_now == events) {
        return true;
    }
    int how = *events_now == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    *events_now = events;
    return epoll_ctl(epoll, how, fd, &event) == 0;
}
