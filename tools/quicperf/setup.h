/* tools/quicperf/setup.h: turns the command line into the library's configuration, and the small
 * things every command needs: signals, CPUs, messages.
 */
#ifndef TOOLS_QUICPERF_SETUP_H
#define TOOLS_QUICPERF_SETUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "quring/config.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { QP_EXIT_OK = 0, QP_EXIT_FAILED = 1, QP_EXIT_USAGE = 2, QP_EXIT_INTERRUPTED = 130 };

/* qp_config_from fills the runtime configuration `options` ask for. Workers take the CPUs listed in
 * turn. Of the library's messages errors go to stderr, the server's warnings too unless it is quiet. */
void qp_config_from(quring_config *out, const qp_options *options);

/* qp_cipher_is_possible: whether --cipher is; `err` says in one line why not. */
bool qp_cipher_is_possible(const qp_options *options, quring_error *err);

/* qp_cipher_name gives the TLS name of --cipher, NULL for auto. */
const char *qp_cipher_name(const qp_options *options);

/* qp_tls_server makes the server's identity: --cert and --key, else a self-signed pair in memory.
 * qp_tls_server_reload reads --cert, --key and --ca again; QURING_E_STATE without them.
 * qp_tls_client verifies `peer` unless that is a loopback address without --ca, or --insecure is
 * given. Both offer ALPN "perf". Return a quring_status with err filled in. */
QURING_NODISCARD quring_status qp_tls_server(quring_tls **out, const qp_options *options,
                                             quring_error *err);
QURING_NODISCARD quring_status qp_tls_server_reload(quring_tls *tls, const qp_options *options,
                                                    quring_error *err);
QURING_NODISCARD quring_status qp_tls_client(quring_tls **out, const qp_options *options,
                                             const quring_addr *peer, quring_error *err);

bool qp_addr_is_loopback(const quring_addr *addr);

/* qp_host_name copies the host of "HOST:PORT" when it is a name. Returns false when it is an address
 * literal or does not fit. */
bool qp_host_name(char *out, size_t cap, const char *target);

/* qp_cpus_allowed writes up to `cap` CPUs this process may run on. Returns how many. */
size_t qp_cpus_allowed(int32_t *out, size_t cap);

/* qp_process_cpu_s is the CPU time of this process, all threads. */
double qp_process_cpu_s(void);

/* qp_fail prints "quicperf: " and one line to stderr and returns QP_EXIT_FAILED. */
int qp_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* qp_flush writes out what `file` holds, qp_write that and a text, of which more than a buffer holds goes, and fails,
 * before. Both return 0, else errno; qp_flush_error is the first one of standard output, 0 when there was none. One
 * thread. */
int qp_flush(FILE *file);
int qp_write(FILE *file, const char *text, size_t len);
int qp_flush_error(void);

/* SIGINT and SIGTERM as a file descriptor, and with `hangup` SIGHUP. qp_signals_open blocks them (call
 * it before any thread is started) and returns a descriptor that becomes readable, or -1.
 * qp_signals_take says which one came, 0 when none did. qp_signals_exit_on_next makes the next SIGINT
 * or SIGTERM end the process with status 130 at once. */
int qp_signals_open(bool hangup);
int qp_signals_take(int fd);
void qp_signals_exit_on_next(void);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SETUP_H */
