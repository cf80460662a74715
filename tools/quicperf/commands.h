/* tools/quicperf/commands.h: what main calls: one function per command, each returns the exit status.
 */
#ifndef TOOLS_QUICPERF_COMMANDS_H
#define TOOLS_QUICPERF_COMMANDS_H

#include "tools/quicperf/options.h"
#include "tools/quicperf/report.h"

#ifdef __cplusplus
extern "C" {
#endif

int qp_run_server(const qp_options *options);  /* run_server.c */
int qp_run_client(const qp_options *options);  /* run_client.c */
int qp_run_script(const qp_options *options);  /* run_script.c */
int qp_run_report(const qp_options *options);  /* run_report.c */
int qp_run_demo(const qp_options *options);    /* run_demo.c */
int qp_run_compare(const qp_options *options); /* run_compare.c */
int qp_run_limit(const qp_options *options);   /* run_limit.c */

/* qp_client_once checks the options of one run of the client and does it; the result is to be freed with
 * qp_result_deinit whatever is returned, and says what went wrong. run_client.c */
int qp_client_once(qp_result *result, const qp_options *options, qp_out *out, int signal_fd);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_COMMANDS_H */
