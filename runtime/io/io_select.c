#define _GNU_SOURCE 1 /* strerror_r that returns the text */

#include "runtime/io/io_select.h"

#include <errno.h>
#include <stdio.h>

#include "runtime/io/io_epoll.h"
#include "runtime/io/io_uring.h"

/* What a kernel, a container or a resource limit answers when io_uring is not to be had. */
static bool is_refusal(int rc)
{
    return rc == -EPERM || rc == -EACCES || rc == -ENOSYS || rc == -ENOMEM || rc == -EMFILE ||
           rc == -EINVAL || rc == -EOPNOTSUPP;
}

/* What a user can do about it. A ring's memory counts as locked. */
static const char *advice(int rc)
{
    switch (rc) {
    case -ENOMEM:
        return " (ulimit -l)";
    case -EMFILE:
        return " (ulimit -n)";
    case -EOPNOTSUPP:
        return " (it takes Linux 6.0)";
    default:
        return "";
    }
}

static void refused(char *why, const char *name, int rc)
{
    char text[64];
    (void)snprintf(why, RT_IO_WHY_BYTES, "%s refused: %s%s", name,
                   strerror_r(-rc, text, sizeof(text)), advice(rc));
}

int rt_io_select(rt_io **out, char why[RT_IO_WHY_BYTES], quring_io_backend backend,
                 const rt_io_config *config)
{
    *out = NULL;
    if (backend == QURING_IO_EPOLL) {
        int rc = rt_io_epoll_create(out, config);
        if (rc == 0) {
            (void)snprintf(why, RT_IO_WHY_BYTES, "asked for");
        } else {
            refused(why, "epoll", rc);
        }
        return rc;
    }
    int rc = rt_io_uring_create(out, config);
    if (rc == 0) {
        (void)snprintf(why, RT_IO_WHY_BYTES,
                       backend == QURING_IO_URING ? "asked for" : "available");
        return 0;
    }
    refused(why, "io_uring", rc);
    if (backend != QURING_IO_AUTO || !is_refusal(rc)) {
        return rc;
    }
    int epoll_rc = rt_io_epoll_create(out, config);
    if (epoll_rc != 0) {
        refused(why, "epoll", epoll_rc);
    }
    return epoll_rc;
}
