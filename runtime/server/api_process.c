/* What concerns the process as a whole. */
#include "quring/quring.h"

#include "runtime/server/local.h"
#include "runtime/udp/own_fd.h"

bool quring_owns_fd(int fd)
{
    return rt_fd_is_ours(fd);
}

void quring_abandon(void)
{
    rt_fd_abandon();
    rt_tag_release_all();
    rt_local_self = NULL;
}
