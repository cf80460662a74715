#include "tools/quicperf/keylog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QP_KEYLOG_LINE_MAX 512u /* a label, a random and a secret in hex */

static int qp_keylog_fd = -1;

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
    return qp_keylog_fd >= 0;
}

/* On any worker. */
static void qp_keylog_line(void *ctx, const char *line)
{
    char text[QP_KEYLOG_LINE_MAX];
    int len = snprintf(text, sizeof(text), "%s\n", line);
    if (len > 0 && (size_t)len < sizeof(text)) {
        (void)!write(*(const int *)ctx, text, (size_t)len);
    }
}

void qp_keylog_use(quring_tls_options *tls)
{
    if (qp_keylog_fd >= 0) {
        tls->keylog = qp_keylog_line;
        tls->keylog_ctx = &qp_keylog_fd;
    }
}
