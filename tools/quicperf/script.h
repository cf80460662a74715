/* tools/quicperf/script.h: a file with a run of the client on each line.
 *
 * Shape:  "MODE [options]", what would follow HOST:PORT; empty lines and what follows a '#' count for
 *         nothing. The options of the command line come first, so that a line may change them; those
 *         that its mode has no use for are not for it.
 * Owner:  qp_script; the options of its runs point into it and into argv.
 */
#ifndef TOOLS_QUICPERF_SCRIPT_H
#define TOOLS_QUICPERF_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_SCRIPT_RUNS_MAX  1000u
#define QP_SCRIPT_WORDS_MAX 128u /* of one run, the command line's included */
#define QP_SCRIPT_LINE_MAX  1024u

typedef struct qp_script_run {
    unsigned line;
    char text[QP_SCRIPT_LINE_MAX];  /* as it stands there, for people */
    char words[QP_SCRIPT_LINE_MAX]; /* cut into words */
    char *argv[QP_SCRIPT_WORDS_MAX + 1];
    int argc;
    qp_options options;
} qp_script_run;

typedef struct qp_script {
    qp_script_run **runs;
    size_t count;
} qp_script;

/* qp_script_load reads and checks the whole file; false with one line in `why` that names the line that is
 * wrong. `base` is the command line: client HOST:PORT script FILE. */
bool qp_script_load(qp_script *out, const qp_options *base, char *why, size_t cap);
void qp_script_free(qp_script *script);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SCRIPT_H */
