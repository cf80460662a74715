/* tools/quicperf/options.h: the command line of quicperf as a struct.
 *
 * Shape:  `quicperf COMMAND [HOST:PORT [MODE]] [options]`; options may stand anywhere after COMMAND,
 *         as "-p 1", "--port 1" or "--port=1". Each is one row of the table in options.c: which
 *         commands take it, what it may be, where it goes, its line in --help.
 * Owner:  texts point into argv.
 */
#ifndef TOOLS_QUICPERF_OPTIONS_H
#define TOOLS_QUICPERF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "quring/config.h"

#include "tools/quicperf/impair_options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_PORT_DEFAULT 4433u
#define QP_OPERANDS_MAX 256u
#define QP_CONNS_MAX    1000000u
#define QP_SPIN_AUTO    UINT32_MAX

typedef enum qp_command {
    QP_CMD_SERVER = 1 << 0,
    QP_CMD_CLIENT = 1 << 1,
    QP_CMD_DEMO = 1 << 2,
    QP_CMD_LIMIT = 1 << 3,
    QP_CMD_HELP = 1 << 4,
    QP_CMD_VERSION = 1 << 5,
    QP_CMD_COMPARE = 1 << 6,
    QP_CMD_REPORT = 1 << 7,
} qp_command;

typedef enum qp_mode {
    QP_MODE_TPUT = 0,    /* bulk transfer */
    QP_MODE_RR = 1,      /* requests over standing connections */
    QP_MODE_CRR = 2,     /* a connection for each request */
    QP_MODE_IDLE = 3,    /* connections that do nothing */
    QP_MODE_DGRAM = 4,   /* datagrams */
    QP_MODE_HPS = 5,     /* handshakes and nothing else */
    QP_MODE_LATENCY = 6, /* requests at fixed times, whatever became of those before */
    QP_MODE_FAIR = 7,    /* tput, and how the connections share it */
    QP_MODE_SCRIPT = 8,  /* the runs of a file, one after the other */
} qp_mode;

typedef enum qp_version {
    QP_VERSION_ANY = 0, /* server: both */
    QP_VERSION_1 = 1,
    QP_VERSION_2 = 2,
    QP_VERSION_UPGRADE = 3, /* client: 2, by way of 1 */
} qp_version;

typedef enum qp_direction {
    QP_DOWN = 0, /* server to client */
    QP_UP = 1,
} qp_direction;

/* Bounds on strangers: none to speak of, or the library's for a server on the Internet. */
typedef enum qp_limits { QP_LIMITS_LOOPBACK = 0, QP_LIMITS_INTERNET = 1 } qp_limits;

/* What does the work. */
typedef enum qp_api {
    QP_API_NATIVE = 0,  /* libquring */
    QP_API_SOCKETS = 1, /* QUIC sockets: libquic.so */
} qp_api;

typedef struct qp_options {
    qp_command command;
    int argc; /* as they were given */
    char *const *argv;
    size_t operand_count;
    const char *operands[QP_OPERANDS_MAX]; /* arguments that are no options, and where they stood */
    int operand_at[QP_OPERANDS_MAX];
    const char *target; /* client: HOST:PORT as typed */
    uint32_t mode;      /* qp_mode */
    uint32_t direction; /* qp_direction */

    uint32_t api;         /* qp_api */
    const char *quic_lib; /* sockets: the library; NULL: where it is found */

    uint32_t port;
    const char *bind; /* NULL: server both loopback addresses, client any */
    const char *cert;
    const char *key;
    const char *ca;
    uint32_t client_cert; /* server: quring_client_cert */
    uint32_t cipher;      /* 0: whatever comes; else 0x1300 + it is the suite */
    bool insecure;
    bool retry;              /* server: demand address validation */
    bool resume;             /* client: measure connections that resume a session */
    bool zero_rtt;           /* client: and send requests in 0-RTT; server: accept them */
    bool token;              /* client: measure connections that show a token of an earlier one */
    const char *secret;      /* server: file with the root secret; NULL: a random one */
    uint32_t limits;         /* server: qp_limits */
    quring_lb lb;            /* server: its QUIC-LB configuration */
    uint32_t version;        /* qp_version */
    bool disable_encryption; /* of 1-RTT packets */
    const char *preferred;   /* server: preferred address; NULL: none */
    uint64_t migrate_ns;     /* client: move each connection so often; 0: never */

    uint32_t workers; /* 0: one per CPU listed, or one */
    int32_t cpus[QURING_WORKERS_MAX];
    size_t cpu_count;
    uint32_t io;        /* quring_io_backend */
    uint32_t aead;      /* quring_aead */
    uint32_t cc;        /* quring_cc */
    uint32_t payload;   /* 0: the library's choice */
    uint32_t mtu_probe; /* 0: the library's choice */
    bool no_pacing;
    bool no_gso;
    bool no_gro;
    uint32_t spin_us;      /* QP_SPIN_AUTO: while it pays */
    bool pingpong;         /* limit */
    bool sealed;           /* limit: --pingpong */
    uint64_t window_bytes; /* limit: bytes in flight; others: receive window cap; 0 = default */

    uint64_t duration_ns; /* 0: not given */
    uint64_t amount;      /* bytes (tput) or requests (rr, crr); 0: not given */
    uint32_t conns;
    uint32_t streams;       /* per connection */
    uint32_t request_rate;  /* latency: per second in all; 0: not given */
    uint64_t request_bytes; /* after the 8 bytes that say how much to answer */
    uint64_t response_bytes;
    uint32_t bulk;             /* rr, latency: endless transfers beside, per connection */
    uint64_t urgent_bytes;     /* streams that send at most so much go first; 0: none */
    bool ack_frequency;        /* ask the peer to acknowledge less often */
    uint64_t key_update_bytes; /* client: update keys every so many; 0: not on request */
    uint32_t dgram_bytes;      /* 0: the largest */
    uint32_t dgram_rate;       /* per second and connection; 0: as fast as can be */
    uint64_t timeout_ns;       /* handshake */
    uint64_t idle_timeout_ns;
    uint64_t
        keep_alive_ns; /* client: PING after so much silence; 0: never (idle: half of idle_timeout) */
    uint32_t max_streams; /* server: streams a client may have open */

    qp_impair_options impair; /* client: the network before the server */

    const char *json;  /* file, "-" for stdout, NULL for none */
    const char *jsonl; /* the same, for a line per interval */
    const char *hdr;   /* file for the histogram of latencies */
    const char *keylog;
    const char *qlog; /* folder */
    const char *plot; /* report: file for a drawing */
    bool markdown;    /* report */
    uint64_t interval_ns;
    bool interval_set;
    bool quiet;
    bool
        tcp; /* server: TCP and TLS 1.3 too, on the port of the same number; client: instead of QUIC */
    const char *tcp_cc; /* TCP: the kernel's congestion control of this name; NULL: the system's */
    uint32_t rounds;    /* compare */
    uint32_t help_for;  /* --help: of which command; 0: of all */
    bool one;           /* server: end when one connection has ended */
} qp_options;

/* qp_options_parse fills `out` from the command line. Returns true; false with one line in `message`
 * that says what is wrong and what is allowed. */
bool qp_options_parse(qp_options *out, char *message, size_t message_cap, int argc,
                      char *const *argv);

/* qp_options_parse_over does the same where what stands before argv[own_from] are defaults: those that the mode
 * has no use for count for nothing. */
bool qp_options_parse_over(qp_options *out, char *message, size_t message_cap, int argc,
                           char *const *argv, int own_from);

/* qp_options_usage writes the help text: of one command, or of all (0). */
void qp_options_usage(FILE *to, uint32_t command);

const char *qp_mode_name(uint32_t mode);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_OPTIONS_H */
