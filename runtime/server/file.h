/* runtime/server/file.h: small files as a whole: certificates, keys, trust anchors. */
#ifndef RUNTIME_SERVER_FILE_H
#define RUNTIME_SERVER_FILE_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_FILE_BYTES_MAX (16u << 20) /* a system's whole trust store is below 1 MiB */

typedef struct rt_file {
    uint8_t *data; /* NULL when len is 0 */
    size_t len;
    size_t cap;
} rt_file;

/* rt_file_read appends the file at `path` to `file` (all zero at first). Returns 0 or a negative
 * errno (-EFBIG: RT_FILE_BYTES_MAX passed); `file` keeps what it had before.
 * rt_file_append appends bytes from memory, with the same results. */
QURING_NODISCARD int rt_file_read(rt_file *file, const char *path);
QURING_NODISCARD int rt_file_append(rt_file *file, const void *data, size_t len);

/* rt_file_wipe erases the bytes and frees them. */
void rt_file_wipe(rt_file *file);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_FILE_H */
