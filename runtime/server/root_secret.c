/* The file a root secret is kept in. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quring/config.h"

#include "runtime/server/error.h"

#define RT_SECRET_BYTES 32u
#define RT_SECRET_HEX   (2u * RT_SECRET_BYTES)
#define RT_SECRET_READ                                                                             \
    (RT_SECRET_HEX + 3u) /* with "\r\n", and one more to see that there is more */

static int rt_hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool rt_secret_from_hex(uint8_t out[RT_SECRET_BYTES], const uint8_t *text)
{
    for (size_t i = 0; i < RT_SECRET_BYTES; i++) {
        int high = rt_hex_digit(text[2 * i]);
        int low = rt_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool rt_secret_parse(uint8_t out[RT_SECRET_BYTES], const uint8_t *data, size_t len)
{
    static const uint8_t zero[RT_SECRET_BYTES];
    if (len == RT_SECRET_BYTES) {
        memcpy(out, data, len);
    } else {
        size_t tail = len - (len < RT_SECRET_HEX ? len : RT_SECRET_HEX);
        bool ends = tail == 0 || (tail == 1 && data[RT_SECRET_HEX] == '\n') ||
                    (tail == 2 && memcmp(data + RT_SECRET_HEX, "\r\n", 2) == 0);
        if (len < RT_SECRET_HEX || !ends || !rt_secret_from_hex(out, data)) {
            return false;
        }
    }
    return memcmp(out, zero, sizeof(zero)) != 0;
}

/* Reads at most `cap` bytes. Returns how many, or a negative errno. */
static ssize_t rt_secret_read(uint8_t *data, size_t cap, int fd)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static quring_status rt_secret_load_fd(uint8_t out[RT_SECRET_BYTES], int fd, const char *path,
                                       quring_error *err)
{
    struct stat st;
    uint8_t data[RT_SECRET_READ];
    uint8_t secret[RT_SECRET_BYTES];
    if (fstat(fd, &st) != 0) {
        return rt_error_os(err, QURING_E_OS, errno, "cannot read the root secret %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return rt_error_set(err, QURING_E_INVAL, "the root secret %s is no regular file", path);
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return rt_error_set(err, QURING_E_INVAL,
                            "the root secret %s is open to others (mode %03o): chmod 600 it", path,
                            (unsigned)(st.st_mode & 0777));
    }
    ssize_t len = rt_secret_read(data, sizeof(data), fd);
    quring_status status = QURING_OK;
    if (len < 0) {
        status = rt_error_os(err, QURING_E_OS, (int)-len, "cannot read the root secret %s", path);
    } else if (!rt_secret_parse(secret, data, (size_t)len)) {
        status = rt_error_set(err, QURING_E_INVAL,
                              "the root secret %s is neither 32 bytes nor 64 hexadecimal digits, "
                              "or all zero",
                              path);
    } else {
        memcpy(out, secret, sizeof(secret));
    }
    explicit_bzero(data, sizeof(data));
    explicit_bzero(secret, sizeof(secret));
    return status;
}

quring_status quring_root_secret_load(uint8_t out[32], const char *path, quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || path == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", out == NULL ? "out" : "path");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return rt_error_os(err, QURING_E_OS, errno, "cannot read the root secret %s", path);
    }
    quring_status status = rt_secret_load_fd(out, fd, path, err);
    close(fd);
    return status;
}
