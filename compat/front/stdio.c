/* fdopen: inside libc a stream reads, writes and closes without passing here; one on a QUIC socket is made of
 * calls that do. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

#include "compat/front/call.h"

static ssize_t qf_file_read(void *cookie, char *data, size_t len)
{
    return read((int)(intptr_t)cookie, data, len);
}

static ssize_t qf_file_write(void *cookie, const char *data, size_t len)
{
    ssize_t n = write((int)(intptr_t)cookie, data, len);
    return n < 0 ? 0 : n; /* how a stream is told of errors */
}

static int qf_file_close(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

QF_EXPORT FILE *fdopen(int fd, const char *mode)
{
    static const cookie_io_functions_t calls = {
        .read = qf_file_read, .write = qf_file_write, .close = qf_file_close};
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (entry == NULL) {
        return rc != 0 ? NULL : QF_REAL(fdopen)(fd, mode);
    }
    qf_put(entry);
    return fopencookie((void *)(intptr_t)fd, mode, calls);
}
