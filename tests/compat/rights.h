/* tests/compat/rights.h: descriptors on their way through a UNIX socket (SCM_RIGHTS, unix(7)). */
#ifndef TESTS_COMPAT_RIGHTS_H
#define TESTS_COMPAT_RIGHTS_H

namespace compat
{

/* Sends a copy of `fd`, with one byte; false: errno says why not. */
bool send_fd(int over, int fd, int flags = 0);
/* The next one; -1: none came. */
int receive_fd(int over);

} // namespace compat

#endif // TESTS_COMPAT_RIGHTS_H
