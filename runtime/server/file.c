#include "runtime/server/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not realloc: the old block is erased before it goes back. */
static int rt_file_reserve(rt_file *file, size_t more)
{
    if (more > RT_FILE_BYTES_MAX - file->len) {
        return -EFBIG;
    }
    if (file->len + more <= file->cap) {
        return 0;
    }
    size_t cap = file->cap == 0 ? 16384 : file->cap * 2;
    if (cap < file->len + more) {
        cap = file->len + more;
    }
    uint8_t *data = (uint8_t *)malloc(cap);
    if (data == NULL) {
        return -ENOMEM;
    }
    if (file->len > 0) {
        memcpy(data, file->data, file->len);
        explicit_bzero(file->data, file->len);
    }
    free(file->data);
    file->data = data;
    file->cap = cap;
    return 0;
}

int rt_file_append(rt_file *file, const void *data, size_t len)
{
    int rc = rt_file_reserve(file, len);
    if (rc == 0 && len > 0) {
        memcpy(file->data + file->len, data, len);
        file->len += len;
    }
    return rc;
}

static int rt_file_read_fd(rt_file *file, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (S_ISDIR(st.st_mode)) {
        return -EISDIR;
    }
    uint8_t buf[4096];
    int rc = 0;
    for (;;) { /* ends: each turn adds bytes, RT_FILE_BYTES_MAX bounds them */
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        rc = rt_file_append(file, buf, (size_t)n);
        if (rc != 0) {
            break;
        }
    }
    explicit_bzero(buf, sizeof(buf));
    return rc;
}

int rt_file_read(rt_file *file, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
    size_t before = file->len;
    int rc = rt_file_read_fd(file, fd);
    close(fd);
    if (rc != 0) {
        if (file->len > before) {
            explicit_bzero(file->data + before, file->len - before);
        }
        file->len = before;
    }
    return rc;
}

void rt_file_wipe(rt_file *file)
{
    if (file->data != NULL) {
        explicit_bzero(file->data, file->cap);
        free(file->data);
    }
    memset(file, 0, sizeof(*file));
}
