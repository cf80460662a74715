/* tools/quicperf/commands.h: what main calls: one function per command, each returns the exit status.
 */
#ifndef TOOLS_QUICPERF_COMMANDS_H
#define TOOLS_QUICPERF_COMMANDS_H

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

int qp_run_server(const qp_options *options);  /* run_server.c */
int qp_run_client(const qp_options *options);  /* run_client.c */
int qp_run_demo(const qp_options *options);    /* run_demo.c */
int qp_run_compare(const qp_options *options); /* run_compare.c */
int qp_run_limit(const qp_options *options);   /* run_limit.c */

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_COMMANDS_H */
