/* tools/quicperf/report.h: what a run measured, as lines for people and as one JSON document.
 */
#ifndef TOOLS_QUICPERF_REPORT_H
#define TOOLS_QUICPERF_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "quring/base.h"
#include "quring/impair.h"
#include "quring/stats.h"

#include "tools/quicperf/hist.h"
#include "tools/quicperf/json.h"
#include "tools/quicperf/options.h"
#include "tools/quicperf/shares.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_UNKNOWN_S (-1.0) /* CPU seconds nobody could tell: null in JSON */

#define QP_TRAIN_CLASSES   6 /* sends of 1, 2-3, 4-7, 8-15, 16-31, 32 and more datagrams */
#define QP_BLOCKED_REASONS 5 /* window, pacing, connection's and stream's credit, 3x credit */

/* What happened between two moments of the run; seconds count from its start. */
typedef struct qp_interval {
    double t0_s;
    double t1_s;
    uint64_t bytes;
    uint64_t requests;
    uint64_t lost_packets;
    uint64_t rtt_ns;     /* smoothed, first connection */
    uint64_t cwnd_bytes; /* first connection */
    double cpu_local_s;
} qp_interval;

typedef struct qp_result {
    const char *mode;      /* of qp_mode_name, or "server" */
    const char *direction; /* "down", "up"; NULL where it means nothing */
    const char *api;       /* what the work was done with: "native", "sockets", "tcp", "limit" */
    char backend[16];      /* copies: the runtime is gone when the report is written */
    char backend_why[128];
    char aead[16];
    uint32_t payload_bytes;
    char cipher[40];
    char cc[16];
    uint32_t version;           /* of QUIC, 1 or 2; 0: no connection */
    uint64_t version_count;     /* connections in the version asked for */
    uint64_t unencrypted_count; /* connections without 1-RTT encryption */
    bool resumed;               /* every connection did */
    uint64_t resumed_count;     /* connections that resumed a session */
    uint64_t zero_rtt_count;    /* of these, with 0-RTT accepted */
    bool client_cert;           /* client: --cert was shown wherever it was measured */
    uint64_t client_cert_count; /* connections on which a client showed one */
    uint64_t zero_rtt_bytes;    /* stream bytes that went in it */
    bool retry;                 /* every connection went through a Retry */
    uint64_t retry_count;       /* connections that did */
    uint64_t token_count;       /* connections that showed a token and were spared it */
    uint64_t migrations;        /* moves to another local port */
    quring_status
        move_refused;         /* why the last one was not even begun; QURING_OK: none was refused */
    uint64_t preferred_count; /* connections that went to the server's preferred address */

    double seconds;
    uint64_t bytes;
    uint64_t requests;
    uint64_t connections; /* handshakes completed */
    uint64_t errors;      /* connections or requests that failed */
    double handshakes_per_s;
    uint32_t offered_per_s; /* latency: requests that were due per second */
    uint64_t unsent;        /* latency: due, but every slot was taken, or the end came first */
    uint64_t unanswered;    /* latency: sent, and not answered before the end */
    qp_shares shares;       /* fair */
    uint64_t key_updates;   /* of both sides, on all connections */
    uint64_t ack_frequency; /* ACK_FREQUENCY frames sent and received */
    uint64_t acks_sent;     /* ACK frames */
    uint64_t acks_recv;
    uint64_t datagrams;      /* dgram: delivered */
    uint64_t datagrams_lost; /* dgram: sent, or meant to be, and not delivered */
    uint64_t bulk_bytes;     /* --bulk: transferred beside the requests */
    uint64_t urgent_streams; /* --urgent: that were short enough */
    uint64_t lost_packets;
    uint64_t kernel_drops;
    uint64_t rtt_ns;
    uint64_t min_rtt_ns;
    uint64_t cwnd_bytes;
    double cpu_local_s;
    double cpu_remote_s;
    uint32_t
        workers; /* threads that had something to do for it; 0: cpu_local_s says nothing about a limit */
    bool has_stats; /* the library's counters follow */
    uint64_t packets_sent;
    uint64_t packets_recv;
    uint64_t io_syscalls;
    uint64_t spins;
    uint64_t spin_hits;
    double spin_s; /* of cpu_local_s: time to spare, though it is used */
    uint64_t rx_nobufs;
    uint64_t rx_truncated;
    uint64_t trains[QP_TRAIN_CLASSES];
    uint64_t blocked_ns[QP_BLOCKED_REASONS];
    bool proxied; /* through a bad network of our own */
    quring_impair_counts proxy;
    bool interrupted;
    char error[1024]; /* "" when nothing failed */

    qp_hist *latency; /* ns; NULL where it means nothing */
    qp_interval *intervals;
    size_t interval_count;
    size_t interval_cap;
} qp_result;

/* qp_result_begin makes the result of a client's run that has not begun. */
void qp_result_begin(qp_result *result, const qp_options *options);

/* qp_result_deinit frees intervals and latency. */
void qp_result_deinit(qp_result *result);

/* qp_result_add_interval keeps one (at most a million). */
void qp_result_add_interval(qp_result *result, const qp_interval *interval);

/* qp_result_take_stats takes what the counters of a runtime say, of what has happened since they were `first`. What is
 * negotiated once, ACK_FREQUENCY and keys, counts from the beginning. */
void qp_result_take_stats(qp_result *result, const quring_stats *now, const quring_stats *first);

/* qp_result_is_client_bound: the client had no CPU time left, polling is time left: its figures are its own limit. */
bool qp_result_is_client_bound(const qp_result *result);

/* qp_result_goodput is bits per second; 0 when no time passed. */
double qp_result_goodput(const qp_result *result);

/* Where text for people goes, and whether that is a terminal. */
typedef struct qp_out {
    FILE *text;
    FILE *jsonl; /* a line of JSON for each interval; NULL: none */
    bool live;   /* rewrite one line instead of adding lines */
    bool quiet;
    bool line_open; /* a live line stands without its end */
    bool gone;      /* who read it has closed the pipe: nobody waits for the rest */
} qp_out;

/* qp_out_init picks stdout, or stderr when --json, --jsonl or --hdr is "-". */
void qp_out_init(qp_out *out, const qp_options *options);

/* qp_out_open_jsonl opens the file of --jsonl, if there is one; false after printing why not.
 * qp_out_jsonl_summary adds the line of a run's summary. qp_out_close_jsonl closes; false after printing
 * that not everything was written. */
bool qp_out_open_jsonl(qp_out *out, const qp_options *options);
void qp_out_jsonl_summary(qp_out *out, const qp_result *result);
void qp_out_json_line(qp_out *out, qp_json *json); /* any other; frees the text */
bool qp_out_close_jsonl(qp_out *out, const qp_options *options);

/* qp_out_line ends a live line, then prints one line as printf does; not when quiet. */
void qp_out_line(qp_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void qp_report_interval(qp_out *out, const qp_result *result, const qp_interval *interval);

/* qp_report_final prints the summary, also when quiet; qp_report_server a server's, unless quiet. */
void qp_report_final(qp_out *out, const qp_result *result);
void qp_report_server(qp_out *out, const qp_result *result);

/* qp_report_latency prints a line with the percentiles, where there are any. */
void qp_report_latency(qp_out *out, const qp_hist *latency);

/* The members of an interval and of the summary, into the open object. */
void qp_report_interval_members(qp_json *json, const qp_interval *interval);
void qp_report_summary_members(qp_json *json, const qp_result *result);

/* qp_report_json adds the members of `result` to the open object: summary, latency_us, backend, ... */
void qp_report_json(qp_json *json, const qp_result *result);

/* The file of --json, opened before the run so that a bad path is known at once. The document is
 * written beside it and takes its place when it is whole: a run that ends without one leaves what was
 * there. What is not a regular file (a pipe, /dev/stdout) is written directly. */
typedef struct qp_json_file {
    const char *path; /* NULL: nothing to do */
    char *target;     /* what `part` is renamed to; NULL: written directly */
    char *part;
    FILE *file;
} qp_json_file;

/* qp_json_file_open and qp_json_file_write return false after printing why; write also closes.
 * qp_json_file_drop closes without a document; after write it is a no-op. */
bool qp_json_file_open(qp_json_file *out, const char *path);
bool qp_json_file_write(qp_json_file *out, const qp_json *json);
void qp_json_file_drop(qp_json_file *out);

/* qp_json_file_write_text is qp_json_file_write for a text of any kind. */
bool qp_json_file_write_text(qp_json_file *out, const char *text, size_t len);

/* qp_report_write writes the document of one run. */
bool qp_report_write(qp_json_file *file, const qp_result *result);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_REPORT_H */
