/* quicperf: measures QUIC throughput, request rates and handshakes; see --help. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quring/base.h"

#include "tools/quicperf/commands.h"
#include "tools/quicperf/keylog.h"
#include "tools/quicperf/options.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/setup.h"

/* What was started without its standard descriptors would give their numbers to files of its own, and write its text
 * there. These refuse to be used instead. */
static bool qp_hold_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

/* "bazel run" starts programs in a folder of its own: names of files are meant from where it was typed. */
static bool qp_go_where_typed(void)
{
    const char *folder = getenv("BUILD_WORKING_DIRECTORY");
    if (folder == NULL || chdir(folder) == 0) {
        return true;
    }
    (void)qp_fail("cannot go to %s: %s", folder, strerror(errno));
    return false;
}

/* What was asked for and is not whole is a failure, whatever became of the run. */
static int qp_logs(int status)
{
    char why[1200];
    bool whole = true;
    if (!qp_keylog_is_whole(why, sizeof(why))) {
        (void)qp_fail("%s", why);
        whole = false;
    }
    if (!qp_qlog_is_whole(why, sizeof(why))) {
        (void)qp_fail("%s", why);
        whole = false;
    }
    return status == QP_EXIT_OK && !whole ? QP_EXIT_FAILED : status;
}

/* Text on stdout that could not be written is a failure, too. */
static int qp_end(int status)
{
    if (qp_flush(stdout) == 0 && ferror(stdout) == 0) {
        return status;
    }
    int error = qp_flush_error();
    int rc = qp_fail("cannot write standard output: %s", strerror(error != 0 ? error : EIO));
    return status == QP_EXIT_OK ? rc : status;
}

int main(int argc, char **argv)
{
    static qp_options options; /* large */
    char message[640];
    if (!qp_hold_standard_fds() || !qp_go_where_typed()) {
        return QP_EXIT_FAILED;
    }
    if (!qp_options_parse(&options, message, sizeof(message), argc, argv)) {
        (void)fprintf(stderr, "quicperf: %s\n", message);
        return QP_EXIT_USAGE;
    }
    switch (options.command) {
    case QP_CMD_SERVER:
        return qp_end(qp_logs(qp_run_server(&options)));
    case QP_CMD_CLIENT:
        return qp_end(qp_logs(options.mode == QP_MODE_SCRIPT ? qp_run_script(&options)
                                                             : qp_run_client(&options)));
    case QP_CMD_DEMO:
        return qp_end(qp_run_demo(&options));
    case QP_CMD_COMPARE:
        return qp_end(qp_run_compare(&options));
    case QP_CMD_REPORT:
        return qp_end(qp_run_report(&options));
    case QP_CMD_LIMIT:
        return qp_end(qp_run_limit(&options));
    case QP_CMD_HELP:
        qp_options_usage(stdout, options.help_for);
        return qp_end(QP_EXIT_OK);
    case QP_CMD_VERSION:
        (void)printf("quicperf %d.%d.%d\n", QURING_VERSION_MAJOR, QURING_VERSION_MINOR,
                     QURING_VERSION_PATCH);
        return qp_end(QP_EXIT_OK);
    }
    return QP_EXIT_USAGE;
}
