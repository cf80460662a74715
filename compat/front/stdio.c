/* fdopen and dprintf: inside libc a stream reads, writes and closes without passing here; one on a QUIC socket is
 * made of calls that do. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

/* ---- dprintf ----------------------------------------------------------------------------------------------- */

int __vasprintf_chk(char **text, int flag, const char *format, va_list args);
int __vdprintf_chk(int fd, int flag, const char *format, va_list args);
int __dprintf_chk(int fd, int flag, const char *format, ...);

static int qf_write_all(int fd, const char *text, int len)
{
    for (int done = 0; done < len;) {
        ssize_t n = write(fd, text + done, (size_t)(len - done));
        if (n < 0) {
            return -1;
        }
        done += (int)n;
    }
    return len;
}

static int qf_print(int fd, int flag, const char *format, va_list args)
{
    char *text = NULL;
    int state = qf_hold(); /* else nobody would free the text */
    int len = __vasprintf_chk(&text, flag, format, args);
    if (len >= 0) {
        len = qf_write_all(fd, text, len);
        free(text);
    }
    qf_let(state);
    return len;
}

QF_EXPORT int vdprintf(int fd, const char *format, va_list args)
{
    return qf_is_quic(fd) ? qf_print(fd, 0, format, args) : QF_REAL(vdprintf)(fd, format, args);
}

QF_EXPORT int dprintf(int fd, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vdprintf(fd, format, args);
    va_end(args);
    return n;
}

/* What fortified programs call. */
QF_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
    return qf_is_quic(fd) ? qf_print(fd, flag, format, args)
                          : QF_REAL(__vdprintf_chk)(fd, flag, format, args);
}

QF_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = __vdprintf_chk(fd, flag, format, args);
    va_end(args);
    return n;
}
