/* tools/quicperf/option_rules.h: the table behind the command line: private to options*.c.
 */
#ifndef TOOLS_QUICPERF_OPTION_RULES_H
#define TOOLS_QUICPERF_OPTION_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_S    QP_CMD_SERVER
#define QP_C    QP_CMD_CLIENT
#define QP_D    QP_CMD_DEMO
#define QP_L    QP_CMD_LIMIT
#define QP_X    QP_CMD_COMPARE
#define QP_R    QP_CMD_REPORT
#define QP_RUNS (QP_S | QP_C | QP_D | QP_L | QP_X)

/* Beside the commands: the option also works with --api sockets, for a server, for a client. */
#define QP_SOCK_S (1u << 16)
#define QP_SOCK_C (1u << 17)
#define QP_SOCK   (QP_SOCK_S | QP_SOCK_C)

/* ... and with a client's --tcp. */
#define QP_TCP_C (1u << 18)

#define QP_RULES_MAX 128u

#define QP_MODES "tput|rr|crr|idle|dgram|hps|latency|fair|script"

typedef enum qp_kind {
    QP_FLAG,
    QP_TEXT,
    QP_U32,
    QP_SIZE,
    QP_TIME,
    QP_CHOICE,
    QP_CPUS,
    QP_LB,
    QP_SPIN,
    QP_IMPAIR
} qp_kind;

typedef struct qp_rule {
    const char *name; /* with its dashes */
    const char *alias;
    unsigned commands; /* qp_command bits, and QP_SOCK_* */
    qp_kind kind;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char
        *words; /* QP_CHOICE: "auto|uring|epoll", the index is the value; else what is allowed */
    const char *help;
} qp_rule;

extern const qp_rule qp_rules[];
extern const size_t qp_rule_count;

typedef struct qp_parser {
    qp_options *out;
    char *message;
    size_t message_cap;
    int own_from;             /* of argv: words before it are defaults */
    bool given[QP_RULES_MAX]; /* by place in qp_rules */
    bool own[QP_RULES_MAX];   /* given, and not as a default */
} qp_parser;

/* qp_wrong writes the message and returns false. */
bool qp_wrong(qp_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* qp_options_init, options.c: as though nothing had been given. */
void qp_options_init(qp_options *o);

/* qp_options_check, options_check.c: what only the whole line shows to be wrong. */
bool qp_options_check(qp_parser *p);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_OPTION_RULES_H */
