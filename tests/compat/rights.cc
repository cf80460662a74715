#include "tests/compat/rights.h"

#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>

namespace compat
{
namespace
{

/* A message of one byte with room for one descriptor. */
struct Envelope {
    char byte = 'f';
    iovec iov = {&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr msg{};

    Envelope()
    {
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
    }
};

} // namespace

bool send_fd(int over, int fd, int flags)
{
    Envelope e;
    cmsghdr *head = CMSG_FIRSTHDR(&e.msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    return sendmsg(over, &e.msg, flags) == 1;
}

int receive_fd(int over)
{
    Envelope e;
    int fd = -1;
    if (recvmsg(over, &e.msg, 0) == 1 && CMSG_FIRSTHDR(&e.msg) != nullptr) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&e.msg)), sizeof(fd));
    }
    return fd;
}

} // namespace compat
