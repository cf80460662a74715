/* tools/quicperf/tcp/thread.h: threads on CPUs, sockets and epoll, for both ends of the TCP control.
 */
#ifndef TOOLS_QUICPERF_TCP_THREAD_H
#define TOOLS_QUICPERF_TCP_THREAD_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "quring/base.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_thread_start runs main(ctx) on the CPU that --cpu gives to worker `index`, if any. */
bool qp_thread_start(pthread_t *out, const qp_options *options, uint32_t index,
                     void *(*entry)(void *), void *ctx);
double qp_thread_cpu_s(pthread_t thread);

/* qp_sockaddr_from gives the length. */
socklen_t qp_sockaddr_from(struct sockaddr_storage *out, const quring_addr *addr);

/* qp_epoll_set makes `epoll` watch `fd` for `events` and say `ctx`; *events_now is what it watched for
 * before (0: nothing yet). */
bool qp_epoll_set(int epoll, int fd, uint32_t *events_now, uint32_t events, void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TCP_THREAD_H */
