#define _GNU_SOURCE
#include "tools/quicperf/sockets/lib.h"

#include <dlfcn.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QP_LIB_NAME "libquic.so"

/* Where it may be, seen from this program's directory. */
static const char *const qp_lib_places[] = {"", "../lib/", "../../compat/"};

static void *qp_lib_find(const qp_options *o)
{
    char self[PATH_MAX];
    char path[PATH_MAX];
    if (o->quic_lib != NULL) {
        return dlopen(o->quic_lib, RTLD_NOW | RTLD_LOCAL);
    }
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = '\0';
    const char *slash = strrchr(self, '/');
    int dir = slash != NULL ? (int)(slash - self) + 1 : 0;
    for (size_t i = 0; i < sizeof(qp_lib_places) / sizeof(qp_lib_places[0]) && dir > 0; i++) {
        int need = snprintf(path, sizeof(path), "%.*s%s" QP_LIB_NAME, dir, self, qp_lib_places[i]);
        if (need < (int)sizeof(path) && access(path, R_OK) == 0) {
            return dlopen(path, RTLD_NOW | RTLD_LOCAL);
        }
    }
    return dlopen(QP_LIB_NAME, RTLD_NOW | RTLD_LOCAL);
}

/* The library is told by its environment, as any program's user would do it. */
static bool qp_lib_environment(const qp_options *o)
{
    char workers[16];
    (void)snprintf(workers, sizeof(workers), "%u", o->workers);
    bool ok = setenv("QUIC_WORKERS", workers, 1) == 0;
    if (o->io != QURING_IO_AUTO) {
        ok = ok && setenv("QUIC_IO", o->io == QURING_IO_EPOLL ? "epoll" : "uring", 1) == 0;
    }
    if (o->ca != NULL) {
        ok = ok && setenv("SSL_CERT_FILE", o->ca, 1) == 0;
    }
    return ok;
}

/* All threads of this process, the library's too: they inherit it. */
static void qp_lib_pin(const qp_options *o)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < o->cpu_count; i++) {
        CPU_SET(o->cpus[i], &set);
    }
    if (o->cpu_count > 0) {
        (void)sched_setaffinity(0, sizeof(set), &set);
    }
}

bool qp_lib_load(qp_lib *out, const qp_options *options, char *why, size_t cap)
{
    memset(out, 0, sizeof(*out));
    if (!qp_lib_environment(options)) {
        (void)snprintf(why, cap, "out of memory");
        return false;
    }
    qp_lib_pin(options);
    void *handle = qp_lib_find(options);
    if (handle == NULL) {
        const char *error = dlerror();
        (void)snprintf(why, cap, "--api sockets needs %s (--quic-lib FILE): %s", QP_LIB_NAME,
                       error != NULL ? error : "it cannot be loaded");
        return false;
    }
    const char *missing = NULL;
    void *found;
#define X(result, member, symbol, parameters)                                                      \
    found = dlsym(handle, symbol);                                                                 \
    missing = found == NULL ? symbol : missing;                                                    \
    memcpy(&out->member, &found, sizeof(found));
    QP_LIB_CALLS(X)
#undef X
    if (missing != NULL) {
        (void)snprintf(why, cap, "--api sockets: %s is no " QP_LIB_NAME ": it lacks %s",
                       options->quic_lib != NULL ? options->quic_lib : QP_LIB_NAME, missing);
    }
    return missing == NULL;
}
