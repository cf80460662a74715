#include <stdio.h>

#include "tools/quicperf/option_rules.h"

static void qp_usage_rule(FILE *to, const qp_rule *rule)
{
    char left[64];
    bool in_words = rule->kind == QP_CHOICE || rule->kind == QP_IMPAIR;
    const char *value = rule->kind == QP_FLAG   ? ""
                        : rule->kind == QP_TEXT ? " TEXT"
                        : in_words              ? " "
                        : rule->kind == QP_TIME ? " TIME"
                        : rule->kind == QP_CPUS ? " LIST"
                        : rule->kind == QP_LB   ? " TEXT"
                        : rule->kind == QP_SIZE ? " SIZE"
                                                : " N";
    (void)snprintf(left, sizeof(left), "%s%s%s%s%s", rule->name, rule->alias == NULL ? "" : ", ",
                   rule->alias == NULL ? "" : rule->alias, value, in_words ? rule->words : "");
    (void)fprintf(to, "  %-32s %s [%s%s%s%s%s%s]\n", left, rule->help,
                  (rule->commands & QP_S) != 0 ? "s" : "", (rule->commands & QP_C) != 0 ? "c" : "",
                  (rule->commands & QP_D) != 0 ? "d" : "", (rule->commands & QP_L) != 0 ? "l" : "",
                  (rule->commands & QP_X) != 0 ? "x" : "", (rule->commands & QP_R) != 0 ? "r" : "");
}

static const struct {
    uint32_t command;
    const char *text;
} qp_usages[] = {
    {QP_CMD_SERVER, "  quicperf server [options]\n"},
    {QP_CMD_CLIENT,
     "  quicperf client HOST:PORT [MODE] [options]   IPv6 as [::1]:4433\n"
     "      tput   bulk transfer over -c connections with -s streams each (default)\n"
     "      rr     requests over standing connections, one outstanding per stream slot\n"
     "      crr    a new connection for every request, -c at once\n"
     "      idle   open -c connections and keep them\n"
     "      dgram  unreliable datagrams over -c connections (RFC 9221)\n"
     "      hps    handshakes and nothing else, -c at once (--resume: resumed ones)\n"
     "      latency  -R requests per second at fixed times; one that waits for those before it\n"
     "             counts from when it was due\n"
     "      fair   tput for -t, and how evenly the -c connections shared it (Jain's index)\n"
     "      script FILE  a run on each line, MODE [options], one after the other\n"},
    {QP_CMD_DEMO,
     "  quicperf demo [options]    server and client in this process: limit, down, up, rr\n"},
    {QP_CMD_COMPARE,
     "  quicperf compare [options] the same, QUIC and TCP with TLS 1.3 in turns: medians, spread, "
     "ratio\n"},
    {QP_CMD_REPORT,
     "  quicperf report FILE...    tables, and a drawing, of runs that --json has saved\n"},
    {QP_CMD_LIMIT,
     "  quicperf limit [options]   the ceiling: encryption and UDP I/O between two threads\n"},
};

void qp_options_usage(FILE *to, uint32_t command)
{
    (void)fputs(
        "quicperf: measures QUIC with the \"perf\" protocol (draft-banks-quic-performance-00)\n\n",
        to);
    for (size_t i = 0; i < sizeof(qp_usages) / sizeof(qp_usages[0]); i++) {
        if (command == 0 || qp_usages[i].command == command) {
            (void)fputs(qp_usages[i].text, to);
        }
    }
    (void)fprintf(
        to,
        "%s\n"
        "Sizes: K, M, G, T are powers of 1024. Times: us, ms, s, m, h; a bare number is seconds.\n"
        "Rates count bytes read by the application (down) or acknowledged by the peer (up).\n"
        "%s\n",
        command == 0
            ? "  quicperf --help | --version    quicperf COMMAND --help: its options alone\n"
            : "",
        command == 0
            ? "Options, in brackets who takes them: server, client, demo, limit, report, x: compare"
            : "Options, in brackets who else takes them (quicperf --help):");
    for (size_t i = 0; i < qp_rule_count; i++) {
        if (command == 0 || (qp_rules[i].commands & command) != 0) {
            qp_usage_rule(to, &qp_rules[i]);
        }
    }
    (void)fputs("Exit status: 0 fine, 1 the run failed, 2 wrong arguments, 130 interrupted.\n", to);
}
