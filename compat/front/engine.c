#include "compat/front/engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"
#include "compat/front/libc.h"
#include "compat/front/table.h"

#define QF_ENGINE_NAME "libquic_engine.so"

static _Atomic(const qs_ops *) qf_ops;
static pthread_mutex_t qf_load_lock = PTHREAD_MUTEX_INITIALIZER;
static bool qf_complained;

const qs_ops *qf_engine(void)
{
    return atomic_load_explicit(&qf_ops, memory_order_acquire);
}

static void qf_at_exit(void)
{
    const qs_ops *ops = qf_engine();
    if (ops != NULL) {
        ops->exit();
    }
}

void qf_engine_in_child(void)
{
    const qs_ops *ops = qf_engine();
    pthread_mutex_init(&qf_load_lock, NULL);
    if (ops != NULL) {
        qf_forked();
        ops->forked();
    }
}

/* fork is no point of cancellation (POSIX 2.9.5.2), as what is called here is. */
static _Thread_local int qf_fork_cancel;
static _Thread_local bool qf_fork_holds;

static void qf_before_fork(void)
{
    qf_copied();
    qf_fork_cancel = qf_hold();
    qf_lend_before();
    qf_fork_holds = qf_engine()->hold_fds_to_fork();
}

static void qf_in_parent(void)
{
    qf_engine()->let_fds(qf_fork_holds);
    qf_lend_in_parent();
    qf_let(qf_fork_cancel);
}

static void qf_after_fork(void)
{
    qf_engine_in_child();
    qf_lend_in_child();
    qf_let(qf_fork_cancel);
}

/* A sanitizer's runtime has taken the place of malloc in all of the program, and ends one that loads what keeps
 * its own (RTLD_DEEPBIND). */
static bool qf_is_sanitized(void)
{
    static const char *const runtimes[] = {"__asan_init", "__hwasan_init", "__msan_init",
                                           "__tsan_init"};
    bool found = false;
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
        found = found || dlsym(RTLD_DEFAULT, runtimes[i]) != NULL;
    }
    (void)dlerror(); /* is not for the program to find */
    return found;
}

/* Its TLS library and its malloc stay its own: symbols are looked up there first, and shown to nobody. Where that
 * may not be, the program's come first, and another TLS library there would be called with the engine's objects. */
static int qf_flags(const char **out_why)
{
    if (!qf_is_sanitized()) {
        return RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
    }
    if (dlsym(RTLD_DEFAULT, "EVP_PKEY_free") != NULL) {
        *out_why = "the program has a sanitizer and a TLS library, which its own cannot be kept "
                   "apart from";
    }
    return RTLD_NOW | RTLD_LOCAL;
}

/* Beside this object, or where QUIC_ENGINE says. */
static void *qf_open(const char **out_why)
{
    const int flags = qf_flags(out_why);
    if (*out_why != NULL) {
        return NULL;
    }
    char path[4096];
    const char *asked = getenv("QUIC_ENGINE");
    Dl_info info;
    path[0] = '\0';
    if (asked != NULL) {
        snprintf(path, sizeof(path), "%s", asked);
    } else if (dladdr((void *)(uintptr_t)qf_engine_load, &info) != 0 && info.dli_fname != NULL) {
        const char *slash = strrchr(info.dli_fname, '/');
        int dir = slash != NULL ? (int)(slash - info.dli_fname) + 1 : 0;
        snprintf(path, sizeof(path), "%.*s%s", dir, info.dli_fname, QF_ENGINE_NAME);
    }
    void *handle = path[0] != '\0' ? dlopen(path, flags) : NULL;
    if (handle == NULL && asked == NULL) {
        handle = dlopen(QF_ENGINE_NAME, flags);
    }
    *out_why = handle == NULL ? dlerror() : NULL;
    return handle;
}

/* Where the engine is part of the program (sanitizers want it so) there is nothing to load. */
extern const qs_ops *qs_ops_get(void) __attribute__((weak));

static const qs_ops *qf_load(void)
{
    if (qs_ops_get != NULL) {
        return qs_ops_get();
    }
    const char *why = NULL;
    void *handle = qf_open(&why);
    qs_ops_get_fn get = NULL;
    if (handle != NULL) {
        void *found = dlsym(handle, "qs_ops_get");
        memcpy(&get, &found, sizeof(found));
    }
    const qs_ops *ops = get != NULL ? get() : NULL;
    if (ops != NULL && ops->version == QS_OPS_VERSION) {
        return ops;
    }
    if (!qf_complained) {
        qf_complained = true;
        fprintf(stderr, "libquic: no QUIC sockets: %s\n",
                why != NULL ? why : QF_ENGINE_NAME " is of another version");
    }
    return NULL;
}

const qs_ops *qf_engine_load(void)
{
    const qs_ops *ops = qf_engine();
    if (ops != NULL) {
        return ops;
    }
    pthread_mutex_lock(&qf_load_lock);
    ops = qf_engine();
    if (ops == NULL) {
        ops = qf_load();
        if (ops != NULL) {
            ops->start(&qf_host);
            atomic_store_explicit(&qf_ops, ops, memory_order_release);
            atomic_fetch_add(&qf_in_use, 1); /* from now on the engine has descriptors */
            pthread_atfork(qf_before_fork, qf_in_parent, qf_after_fork);
            atexit(qf_at_exit);
        }
    }
    pthread_mutex_unlock(&qf_load_lock);
    if (ops == NULL) {
        errno = EPROTONOSUPPORT;
    }
    return ops;
}
