#include "tools/quicperf/keylog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QP_KEYLOG_LINE_MAX 512u /* a label, a random and a secret in hex */

static int qp_keylog_fd = -1;
static const char *qp_keylog_path;
static _Atomic int qp_keylog_errno; /* of the first line that was not written */

bool qp_keylog_open(const qp_options *options, char *why, size_t cap)
{
    const char *path = options->keylog != NULL ? options->keylog : getenv("SSLKEYLOGFILE");
    if (path == NULL || path[0] == '\0' || qp_keylog_fd >= 0) {
        return true;
    }
    qp_keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (qp_keylog_fd < 0) {
        (void)snprintf(why, cap, "cannot open the key log %s: %s", path, strerror(errno));
    }
    qp_keylog_path = path;
    return qp_keylog_fd >= 0;
}

/* On any worker. */
static void qp_keylog_line(void *ctx, const char *line)
{
    char text[QP_KEYLOG_LINE_MAX];
    int len = snprintf(text, sizeof(text), "%s\n", line);
    if (len > 0 && (size_t)len < sizeof(text)) {
        ssize_t written = write(*(const int *)ctx, text, (size_t)len);
        if (written != (ssize_t)len) {
            int none = 0; /* a part of a line: the disk is full, too */
            (void)atomic_compare_exchange_strong(&qp_keylog_errno, &none,
                                                 written < 0 ? errno : ENOSPC);
        }
    }
}

bool qp_keylog_is_whole(char *why, size_t cap)
{
    int error = atomic_load(&qp_keylog_errno);
    if (error != 0) {
        (void)snprintf(why, cap, "secrets are missing in the key log %s: %s", qp_keylog_path,
                       strerror(error));
    }
    return error == 0;
}

void qp_keylog_use(quring_tls_options *tls)
{
    if (qp_keylog_fd >= 0) {
        tls->keylog = qp_keylog_line;
        tls->keylog_ctx = &qp_keylog_fd;
    }
}
