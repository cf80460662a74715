/* What concerns the process as a whole. */
#include "quring/quring.h"

#include "runtime/server/local.h"
#include "runtime/udp/own_fd.h"

bool quring_owns_fd(int fd)
{
    return rt_fd_is_ours(fd);
}

bool quring_hold_fds_to_fork(void)
{
    return rt_fd_hold_to_fork();
}

bool quring_hold_fds(void)
{
    return rt_fd_hold();
}

void quring_let_fds(bool held)
{
    rt_fd_let(held);
}

void quring_abandon(void)
{
    rt_fd_abandon();
    rt_tag_release_all();
    rt_local_self = NULL;
}
