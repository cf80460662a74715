/* tools/quicperf/qlog.h: what becomes of each connection, as a qlog file (draft-ietf-quic-qlog-main-schema
 * 5, JSON text sequences): from the events and facts the library tells any application, and its records of
 * packets (quring_conn_read_trace), as far as they are read in time: a line says how many were not.
 *
 * Events: packet_sent, packet_received, packet_lost, connection_started, connection_state_updated,
 *         version_information, alpn_information, recovery_metrics_updated (when they have changed),
 *         tuple_assigned, key_updated, stream_state_updated, connection_closed.
 * Bounds: QP_QLOG_FILES_MAX connections of a process; those after them leave no file, and one line says so.
 * Owner:  the connection's worker, on which a timer looks at the metrics.
 */
#ifndef TOOLS_QUICPERF_QLOG_H
#define TOOLS_QUICPERF_QLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "quring/conn.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_QLOG_FILES_MAX 1000u
#define QP_QLOG_SAMPLE_NS 10000000ull /* between two looks at metrics and packets */
#define QP_QLOG_PACKETS   8192u       /* limits.trace_packets */

typedef struct qp_qlog qp_qlog;

/* qp_qlog_prepare makes the folder of --qlog, if one is asked for; false with one line in `why`. */
bool qp_qlog_prepare(const qp_options *options, char *why, size_t cap);

/* qp_qlog_begin opens the file, in `dir`, of a connection that begins; NULL: none is wanted (dir is NULL),
 * or possible. */
qp_qlog *qp_qlog_begin(const char *dir, quring_conn conn, bool is_client);

/* qp_qlog_is_whole: false with one line in `why` when a file could not be made, or written to its end. To be asked
 * when all connections have ended. */
bool qp_qlog_is_whole(char *why, size_t cap);

/* qp_qlog_event notes what the event means; CLOSED ends the file and frees. NULL is a no-op. */
void qp_qlog_event(qp_qlog *log, const quring_event *event);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_QLOG_H */
