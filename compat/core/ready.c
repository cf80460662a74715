/* The program's descriptor: one end of a pair of UNIX sockets. It is readable while a byte waits there,
 * unwritable while it is filled, hung up when our end is closed: so poll, select and epoll need nothing
 * of ours. The first byte after silence is always sent; what went stale is taken back before the next
 * wait, and by a call that says EAGAIN, so that it is true then for pollers that nobody interposes, too. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "compat/core/attend.h"
#include "compat/core/sock.h"

#define QS_FILL_MAX   8  /* bytes that fill the smallest buffer, at most */
#define QS_TOKENS_MAX 64 /* edges that wait; more would fill the pair */

/* How often a lock is asked for before a socket is left as it is: some 10 ms. poll may be called in a handler,
 * which may have interrupted who has the lock. */
#define QS_FIX_TRIES  128u
#define QS_FIX_YIELDS 64u
#define QS_FIX_NAP_NS 100000

static pthread_mutex_t qs_fix_lock = PTHREAD_MUTEX_INITIALIZER;
/* Held while some are mended: who polls meanwhile waits, as one of them may be its own. */
static pthread_mutex_t qs_mending = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static qs_sock *qs_fix_first; /* has waited longest */
static qs_sock *qs_fix_last;
uint32_t qs_fix_count;
static uint32_t qs_fill_bytes; /* what it takes beside the first byte; 0: not tried yet */

static bool qs_is_readable(const qs_sock *s)
{
    switch (s->state) {
    case QS_LISTENING:
        return s->accept_count > 0;
    case QS_FRESH: /* other processes may wait in accept, which the descriptor alone can tell */
        return s->unlistened && s->shared;
    default:
        return s->rx.head != NULL || s->state == QS_CLOSED || s->shut_rd;
    }
}

static bool qs_is_writable(const qs_sock *s)
{
    switch (s->state) {
    case QS_LISTENING:
        return false;
    case QS_CONNECTING:
    case QS_ESTABLISHED:
        return qs_tx_has_room(s) && !qs_credit_conn_is_out(s) && !qs_credit_is_awaited(s);
    default:
        return true;
    }
}

/* Notes that the descriptor says more than the truth. */
static void qs_needs_fix(qs_sock *s)
{
    if (__atomic_load_n(&s->in_fix, __ATOMIC_RELAXED) || s->app_closed) {
        return;
    }
    qs_ref(s);
    pthread_mutex_lock(&qs_fix_lock);
    __atomic_store_n(&s->in_fix, true, __ATOMIC_RELAXED);
    s->fix_prev = qs_fix_last;
    s->fix_next = NULL;
    *(qs_fix_last == NULL ? &qs_fix_first : &qs_fix_last->fix_next) = s;
    qs_fix_last = s;
    __atomic_add_fetch(&qs_fix_count, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&qs_fix_lock);
}

/* Takes one off the list; qs_fix_lock held. Its reference is the caller's now, and so is its place in the
 * count. */
static void qs_fix_take(qs_sock *s)
{
    *(s->fix_prev == NULL ? &qs_fix_first : &s->fix_prev->fix_next) = s->fix_next;
    *(s->fix_next == NULL ? &qs_fix_last : &s->fix_next->fix_prev) = s->fix_prev;
    __atomic_store_n(&s->in_fix, false, __ATOMIC_RELAXED);
}

void qs_fix_forget(qs_sock *s)
{
    pthread_mutex_lock(&qs_fix_lock);
    bool listed = __atomic_load_n(&s->in_fix, __ATOMIC_RELAXED);
    if (listed) {
        qs_fix_take(s);
    }
    pthread_mutex_unlock(&qs_fix_lock);
    if (listed) {
        __atomic_sub_fetch(&qs_fix_count, 1, __ATOMIC_RELEASE);
        qs_unref(s);
    }
}

/* Straight to the kernel: where this code shares a program with the interposed calls, those would bring
 * the program's descriptor back here. */
static bool qs_put_byte(int fd)
{
    return syscall(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1;
}

static void qs_take_bytes(int fd, size_t count)
{
    char sink[QS_TOKENS_MAX * 2];
    count = count < sizeof(sink) ? count : sizeof(sink);
    (void)syscall(SYS_recvfrom, fd, sink, count, MSG_DONTWAIT, NULL, NULL);
}

short qs_poll_now(int fd, short events)
{
    const struct timespec at_once = {0, 0};
    struct pollfd p = {fd, events, 0};
    return syscall(SYS_ppoll, &p, 1, &at_once, NULL, 0) == 1 ? p.revents : 0;
}

static bool qs_kernel_writable(int fd)
{
    return (qs_poll_now(fd, POLLOUT) & POLLOUT) != 0;
}

/* ---- the worker's side ---------------------------------------------------------------------------- */

void qs_ready_update(qs_sock *s)
{
    if (s->bell_fd < 0) {
        return;
    }
    bool readable = qs_is_readable(s);
    bool writable = qs_is_writable(s);
    if (readable && s->tokens == 0 && qs_put_byte(s->bell_fd)) {
        s->tokens = 1;
    }
    if (writable && s->filled > 0) {
        qs_take_bytes(s->bell_fd, s->filled);
        s->filled = 0;
    }
    if ((!readable && s->tokens > 0) || (!writable && s->filled == 0)) {
        qs_needs_fix(s);
    }
    if (s->shut_rd && !s->hung_up) {
        s->hung_up = true; /* as after TCP's shutdown: POLLRDHUP */
        (void)shutdown(s->bell_fd, SHUT_WR);
    }
    if (s->state == QS_CLOSED && (s->app_fd < 0 || s->shared) && !s->app_closed) {
        /* There is a descriptor on its way to the program, or in another process: our end tells when that is gone, too.
         * It hangs up now, so that this has to be seen in another way: the byte that waits there stays until then. */
        if (!s->lingers) {
            s->hung_up = true;
            __atomic_store_n(&s->lingers, true, __ATOMIC_RELEASE);
            (void)shutdown(s->bell_fd, SHUT_RDWR);
            qs_watch_queue(s->bell_fd);
        }
    } else if (s->state == QS_CLOSED) {
        int fd = s->bell_fd;
        s->bell_fd = -1;
        if (!s->app_closed) {
            qs_the_host->blind(s->cookie);
        }
        qs_watch_close(fd);
    }
}

void qs_ready_arrival(qs_sock *s)
{
    if (s->edges && s->bell_fd >= 0 && s->tokens > 0 && s->tokens < QS_TOKENS_MAX) {
        s->tokens += qs_put_byte(s->bell_fd) ? 1 : 0;
    }
    if (s->tokens > QS_TOKENS_MAX / 2) {
        qs_needs_fix(s);
    }
    qs_ready_update(s);
}

/* ---- the program's side --------------------------------------------------------------------------- */

void qs_op_watch_edges(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    s->edges = true;
    qs_unlock(s);
}

/* Somebody may have closed the descriptor behind our back, and its number be another's now. */
static bool qs_is_ours(const qs_sock *s)
{
    struct stat st;
    return fstat(s->app_fd, &st) == 0 && st.st_ino == s->app_ino && st.st_dev == s->app_dev;
}

/* How many bytes make a descriptor unwritable depends on the kernel: seen once, on the first socket. */
static void qs_learn_fill(int engine_fd, int app_fd)
{
    uint32_t bytes = 0;
    while (bytes < QS_FILL_MAX && qs_kernel_writable(app_fd) && qs_put_byte(app_fd)) {
        bytes++;
    }
    qs_take_bytes(engine_fd, bytes);
    __atomic_store_n(&qs_fill_bytes, bytes > 0 ? bytes : 1, __ATOMIC_RELAXED);
}

void qs_ready_trim(qs_sock *s)
{
    if (s->tokens > QS_TOKENS_MAX / 2 && s->app_fd >= 0 && qs_is_ours(s)) {
        qs_take_bytes(s->app_fd, s->tokens - 1);
        s->tokens = 1;
    }
}

void qs_fix_now(qs_sock *s)
{
    qs_ready_trim(s);
    bool drain = s->tokens > 0 && !qs_is_readable(s);
    bool fill = s->filled == 0 && !qs_is_writable(s);
    if ((!drain && !fill) || s->bell_fd < 0 || s->app_fd < 0 || !qs_is_ours(s)) {
        return;
    }
    if (drain) {
        qs_take_bytes(s->app_fd, s->tokens);
        s->tokens = 0;
    }
    while (fill && s->filled < qs_fill_bytes && qs_put_byte(s->app_fd)) {
        s->filled++;
    }
}

void qs_op_fix(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    qs_fix_now(s);
    qs_unlock(s);
}

/* Between two tries; false: enough of them. */
static bool qs_fix_again(uint32_t *tries)
{
    if (*tries >= QS_FIX_TRIES) {
        return false;
    }
    if (++*tries <= QS_FIX_YIELDS) {
        sched_yield();
    } else { /* libc's is a point of cancellation */
        const struct timespec nap = {0, QS_FIX_NAP_NS};
        (void)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
    }
    return true;
}

/* The first of the list, with its lock; when that is not to be had, the first of those whose is. NULL: none. */
static qs_sock *qs_fix_pick(uint32_t *tries)
{
    for (;;) {
        bool last_try = *tries >= QS_FIX_TRIES;
        if (pthread_mutex_trylock(&qs_fix_lock) == 0) {
            qs_sock *s = qs_fix_first;
            bool none = s == NULL;
            while (s != NULL && pthread_mutex_trylock(&s->lock) != 0) {
                s = last_try ? s->fix_next : NULL;
            }
            if (s != NULL) {
                qs_fix_take(s);
            }
            pthread_mutex_unlock(&qs_fix_lock);
            if (s != NULL || none) {
                return s;
            }
        }
        if (!qs_fix_again(tries)) {
            return NULL;
        }
    }
}

/* False: there is none. */
static bool qs_fix_next(uint32_t *tries)
{
    qs_sock *s = qs_fix_pick(tries);
    if (s == NULL) {
        return false;
    }
    qs_fix_now(s);
    qs_unlock(s);
    __atomic_sub_fetch(&qs_fix_count, 1, __ATOMIC_RELEASE); /* now that it tells the truth */
    qs_unref(s);
    return true;
}

void qs_op_fix_all(void)
{
    qs_attend_end_all();
    pthread_mutex_lock(&qs_mending);
    /* Those that come meanwhile are for the next time, and stand behind these. */
    uint32_t left = __atomic_load_n(&qs_fix_count, __ATOMIC_ACQUIRE);
    uint32_t tries = 0;
    while (left > 0 && qs_fix_next(&tries)) {
        left--;
    }
    pthread_mutex_unlock(&qs_mending);
}

bool qs_op_attach(qs_sock *s, int engine_fd, int app_fd, void *cookie)
{
    struct stat st;
    pthread_mutex_lock(&s->lock);
    s->cookie = cookie;
    s->bell_fd = engine_fd;
    s->app_fd = app_fd;
    if (fstat(app_fd, &st) == 0) {
        s->app_ino = st.st_ino;
        s->app_dev = st.st_dev;
    }
    /* Stays unread: the close of our end is an error to the program's then, as a reset is for TCP. */
    (void)qs_put_byte(app_fd);
    if (__atomic_load_n(&qs_fill_bytes, __ATOMIC_RELAXED) == 0) {
        qs_learn_fill(engine_fd, app_fd);
    }
    bool watched = qs_watch_add(s, engine_fd);
    qs_ready_update(s);
    qs_unlock(s);
    return watched;
}

void qs_op_set_fd(qs_sock *s, int app_fd)
{
    pthread_mutex_lock(&s->lock);
    s->app_fd = app_fd;
    qs_ready_update(s);
    qs_unlock(s);
}

bool qs_op_set_adrift(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    s->app_fd = -1;
    bool watched = s->bell_fd >= 0;
    qs_unlock(s);
    return watched;
}

void qs_op_share(qs_sock *s, bool on)
{
    pthread_mutex_lock(&s->lock);
    s->shared = on;
    qs_ready_update(s); /* an end that was kept open goes now */
    qs_unlock(s);
}

void qs_op_settle(qs_sock *s, uint32_t *out_take, uint32_t *out_put)
{
    *out_take = 0;
    *out_put = 0;
    pthread_mutex_lock(&s->lock);
    if (s->app_fd >= 0) {
        qs_fix_now(s);
    } else if (s->bell_fd >= 0) {
        if (s->tokens > 0 && !qs_is_readable(s)) {
            *out_take = s->tokens;
            s->tokens = 0;
        }
        if (s->filled == 0 && !qs_is_writable(s)) {
            *out_put = __atomic_load_n(&qs_fill_bytes, __ATOMIC_RELAXED);
            s->filled = *out_put;
        }
        /* More than fill it are of those who were late to put them there: nobody would take them. */
        const int there = 1 + (int)(s->filled - *out_put);
        int waiting = 0;
        if (ioctl(s->bell_fd, FIONREAD, &waiting) == 0 && waiting > there) {
            qs_take_bytes(s->bell_fd, (size_t)(waiting - there));
        }
    }
    qs_unlock(s);
}

void qs_ready_forked(void)
{
    pthread_mutex_init(&qs_fix_lock, NULL);
    qs_mending = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    qs_fix_first = NULL;
    qs_fix_last = NULL;
    qs_fix_count = 0;
}
