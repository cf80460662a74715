/* The engine of the process, and ways to its workers. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "compat/core/sock.h"

#define QS_WORKERS_DEFAULT_MAX 4u

static pthread_mutex_t qs_runtime_lock = PTHREAD_MUTEX_INITIALIZER;
static quring_runtime *qs_the_runtime;
static uint32_t qs_workers;

uint64_t qs_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * QS_NS_PER_S + (uint64_t)t.tv_nsec;
}

int qs_errno_of(quring_status status)
{
    switch (status) {
    case QURING_OK:
        return 0;
    case QURING_E_AGAIN:
        return EAGAIN;
    case QURING_E_NOMEM:
        return ENOMEM;
    case QURING_E_ADDR_IN_USE:
        return EADDRINUSE;
    case QURING_E_LIMIT:
        return ENOBUFS;
    case QURING_E_NOT_SUPPORTED:
        return EOPNOTSUPP;
    case QURING_E_TLS:
        return EPROTO;
    default:
        return EINVAL;
    }
}

static void qs_log(void *ctx, int level, const char *line)
{
    (void)ctx;
    qs_the_host->say(level, line);
}

void qs_say(int level, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    qs_log(NULL, level, line);
}

/* One worker per CPU the process may use, few at most; QUIC_WORKERS says otherwise. */
static uint32_t qs_choose_workers(void)
{
    const char *asked = getenv("QUIC_WORKERS");
    if (asked != NULL) {
        char *end;
        long count = strtol(asked, &end, 10);
        if (*end == '\0' && count >= 1 && count <= QURING_WORKERS_MAX) {
            return (uint32_t)count;
        }
        qs_say(1, "QUIC_WORKERS=%s does not count: allowed are 1..%d", asked, QURING_WORKERS_MAX);
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    uint32_t cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    return cpus < 1 ? 1 : cpus > QS_WORKERS_DEFAULT_MAX ? QS_WORKERS_DEFAULT_MAX : cpus;
}

static quring_io_backend qs_choose_io(void)
{
    const char *asked = getenv("QUIC_IO");
    if (asked == NULL || strcmp(asked, "uring") == 0) {
        return asked == NULL ? QURING_IO_AUTO : QURING_IO_URING;
    }
    if (strcmp(asked, "epoll") != 0) {
        qs_say(1, "QUIC_IO=%s does not count: allowed are uring and epoll", asked);
        return QURING_IO_AUTO;
    }
    return QURING_IO_EPOLL;
}

quring_runtime *qs_runtime(int *out_errno)
{
    pthread_mutex_lock(&qs_runtime_lock);
    if (qs_the_runtime == NULL) {
        quring_config config;
        quring_error err;
        quring_config_init(&config);
        config.workers = qs_choose_workers();
        config.log = qs_log;
        config.visits = true;
        config.io = qs_choose_io();
        sigset_t all;
        sigset_t old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all,
                        &old); /* the workers inherit it: no handler runs there */
        quring_status status = quring_runtime_create(&qs_the_runtime, &config, &err);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (status != QURING_OK) {
            qs_the_runtime = NULL;
            *out_errno = err.os_errno != 0 ? err.os_errno : qs_errno_of(err.status);
        } else {
            qs_workers = config.workers;
        }
    }
    quring_runtime *rt = qs_the_runtime;
    pthread_mutex_unlock(&qs_runtime_lock);
    return rt;
}

quring_runtime *qs_runtime_if_any(void)
{
    pthread_mutex_lock(&qs_runtime_lock);
    quring_runtime *rt = qs_the_runtime;
    pthread_mutex_unlock(&qs_runtime_lock);
    return rt;
}

uint32_t qs_worker_count(void)
{
    return qs_workers;
}

/* ---- calls ---------------------------------------------------------------------------------------- */

typedef struct qs_call_task {
    void (*fn)(void *ctx);
    void *ctx;
    uint32_t done; /* futex */
} qs_call_task;

static void qs_call_run(void *ctx)
{
    qs_call_task *task = (qs_call_task *)ctx;
    task->fn(task->ctx);
    __atomic_store_n(&task->done, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &task->done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int qs_call(uint32_t worker, void (*fn)(void *ctx), void *ctx)
{
    qs_call_task task = {fn, ctx, 0};
    quring_status status;
    while ((status = quring_post(qs_the_runtime, worker, qs_call_run, &task)) == QURING_E_AGAIN) {
        sched_yield();
    }
    if (status != QURING_OK) {
        return -ESHUTDOWN;
    }
    while (__atomic_load_n(&task.done, __ATOMIC_ACQUIRE) == 0) {
        syscall(SYS_futex, &task.done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
    return 0;
}

/* Kicks that found a mailbox full. They cannot wait for the worker: some are its own. Every later task of
 * the worker looks here. */
static pthread_mutex_t qs_late_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_sock *qs_late[QURING_WORKERS_MAX];

static void qs_kick_one(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    s->kicked = false;
    qs_unlock(s);
    qs_work(s);
    qs_unref(s);
}

static void qs_run_late(uint32_t worker)
{
    if (QS_LIKELY(__atomic_load_n(&qs_late[worker], __ATOMIC_RELAXED) == NULL)) {
        return;
    }
    pthread_mutex_lock(&qs_late_lock);
    qs_sock *list = qs_late[worker];
    __atomic_store_n(&qs_late[worker], NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&qs_late_lock);
    while (list != NULL) {
        qs_sock *s = list;
        list = s->late_next;
        qs_kick_one(s);
    }
}

static void qs_kick_run(void *ctx)
{
    qs_sock *s = (qs_sock *)ctx;
    uint32_t worker = s->worker;
    qs_kick_one(s);
    qs_run_late(worker);
}

static void qs_late_run(void *ctx)
{
    qs_run_late((uint32_t)(uintptr_t)ctx);
}

static void qs_kick_late(qs_sock *s)
{
    uint32_t worker = s->worker;
    pthread_mutex_lock(&qs_late_lock);
    s->late_next = qs_late[worker];
    __atomic_store_n(&qs_late[worker], s, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&qs_late_lock);
    /* Still full now: one of those in it comes after this and looks. */
    (void)!quring_post(qs_the_runtime, worker, qs_late_run, (void *)(uintptr_t)worker);
}

void qs_kick(qs_sock *s, uint32_t asked)
{
    s->asked |= asked;
    if (s->kicked || s->conn.handle == 0) {
        return; /* under way; or there is no connection: the next event looks at asked */
    }
    s->kicked = true;
    s->kick_due = true;
    qs_ref(s);
}

void qs_visit(qs_sock *s)
{
    s->visit_due = s->kick_due;
    s->answer_due = true;
}

void qs_kick_post(qs_sock *s, bool visit)
{
    if (visit && quring_visit(qs_the_runtime, s->worker, qs_kick_run, s) == QURING_OK) {
        return;
    }
    quring_status status = quring_post(qs_the_runtime, s->worker, qs_kick_run, s);
    if (status == QURING_E_AGAIN) {
        qs_kick_late(s);
    } else if (status != QURING_OK) {
        pthread_mutex_lock(&s->lock);
        s->kicked = false;
        qs_unlock(s);
        qs_unref(s);
    }
}

quring_status qs_attend_worker(const qs_sock *s, uint64_t ns, quring_check_fn done, void *ctx)
{
    return quring_attend(qs_the_runtime, s->worker, quring_now_ns() + ns, done, ctx);
}

void qs_recall_worker(uint32_t worker)
{
    (void)quring_recall(qs_the_runtime, worker);
}

void qs_runtime_forked(void)
{
    pthread_mutex_init(&qs_runtime_lock, NULL);
    pthread_mutex_init(&qs_late_lock, NULL);
    memset(qs_late, 0, sizeof(qs_late));
    qs_the_runtime = NULL;
    quring_abandon();
}
