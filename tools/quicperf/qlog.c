#include "tools/quicperf/qlog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "quring/runtime.h"

#include "tools/quicperf/json.h"

#define QP_QLOG_PATH_MAX 4096u

struct qp_qlog {
    FILE *file;
    const char *dir;
    int error; /* errno of the first record that could not be written */
    quring_conn conn;
    uint64_t began_ns;
    quring_conn_info last; /* as it was noted */
    bool is_client;
    uint64_t timer;   /* 0: none */
    uint64_t last_ns; /* of the last record: later ones are not before it */
    unsigned tuple;
    char title[64];
};

static _Atomic unsigned qp_qlog_count;
static _Atomic unsigned qp_qlog_bad;   /* files that are missing, or end too early ... */
static _Atomic int qp_qlog_errno;      /* ... why, of the first one ... */
static const char *_Atomic qp_qlog_at; /* ... and the folder */

bool qp_qlog_prepare(const qp_options *options, char *why, size_t cap)
{
    struct stat st;
    const char *dir = options->qlog;
    if (dir == NULL || mkdir(dir, 0777) == 0 ||
        (errno == EEXIST && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
         access(dir, W_OK | X_OK) == 0)) {
        return true;
    }
    (void)snprintf(why, cap, "cannot write qlog files to %.400s: %s", dir,
                   errno == EEXIST ? "it is no folder" : strerror(errno));
    return false;
}

static void qp_qlog_failed(const char *dir, int error)
{
    int none = 0;
    (void)atomic_compare_exchange_strong(&qp_qlog_errno, &none, error != 0 ? error : EIO);
    (void)atomic_fetch_add(&qp_qlog_bad, 1);
    atomic_store(&qp_qlog_at, dir);
}

bool qp_qlog_is_whole(char *why, size_t cap)
{
    unsigned bad = atomic_load(&qp_qlog_bad);
    unsigned count = atomic_load(&qp_qlog_count);
    if (bad > 0) {
        (void)snprintf(why, cap, "%u of %u qlog files in %.400s are missing or not whole: %s", bad,
                       count < QP_QLOG_FILES_MAX ? count : QP_QLOG_FILES_MAX,
                       atomic_load(&qp_qlog_at), strerror(atomic_load(&qp_qlog_errno)));
    }
    return bad == 0;
}

/* ---- records --------------------------------------------------------------------------------------- */

/* RFC 7464: a record separator, the text, a line feed. */
static void qp_qlog_put(qp_qlog *log, qp_json *json)
{
    if (qp_json_is_complete(json)) {
        (void)fputc(0x1e, log->file);
        errno = 0;
        if (fwrite(json->text, 1, json->len, log->file) != json->len && log->error == 0) {
            log->error = errno;
        }
    }
    qp_json_deinit(json);
}

static void qp_qlog_open_event_at(qp_qlog *log, qp_json *json, const char *name, uint64_t at_ns)
{
    log->last_ns = at_ns > log->last_ns ? at_ns : log->last_ns;
    qp_json_init(json);
    json->compact = true;
    qp_json_object_begin(json, NULL);
    qp_json_double(json, "time", (double)(log->last_ns - log->began_ns) / 1e6);
    qp_json_string(json, "name", name);
    qp_json_object_begin(json, "data");
}

static void qp_qlog_open_event(qp_qlog *log, qp_json *json, const char *name)
{
    qp_qlog_open_event_at(log, json, name, quring_now_ns());
}

static void qp_qlog_close_event(qp_qlog *log, qp_json *json)
{
    qp_json_object_end(json);
    qp_json_object_end(json);
    qp_qlog_put(log, json);
}

static void qp_qlog_header(qp_qlog *log)
{
    char now[40] = "";
    struct tm tm;
    time_t seconds = time(NULL);
    qp_json json;
    if (gmtime_r(&seconds, &tm) != NULL) {
        (void)strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    qp_json_init(&json);
    json.compact = true;
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "file_schema", "urn:ietf:params:qlog:file:sequential");
    qp_json_string(&json, "serialization_format", "application/qlog+json-seq");
    qp_json_string(&json, "title", log->title);
    qp_json_object_begin(&json, "trace");
    qp_json_object_begin(&json, "common_fields");
    qp_json_string(&json, "time_format", "relative_to_epoch");
    qp_json_object_begin(&json, "reference_time");
    qp_json_string(&json, "clock_type", "monotonic");
    qp_json_string(&json, "epoch", "unknown");
    qp_json_string(&json, "wall_clock_time", now);
    qp_json_object_end(&json);
    qp_json_object_end(&json);
    qp_json_object_begin(&json, "vantage_point");
    qp_json_string(&json, "name", "quicperf");
    qp_json_string(&json, "type", log->is_client ? "client" : "server");
    qp_json_object_end(&json);
    qp_json_array_begin(&json, "event_schemas");
    qp_json_string(&json, NULL, "urn:ietf:params:qlog:events:quic-12");
    qp_json_string(&json, NULL, "urn:ietf:params:qlog:events:loglevel-13");
    qp_json_array_end(&json);
    qp_json_object_end(&json);
    qp_json_object_end(&json);
    qp_qlog_put(log, &json);
}

/* ---- events ---------------------------------------------------------------------------------------- */

static void qp_qlog_endpoint(qp_json *json, const char *key, const quring_addr *addr)
{
    char text[64];
    qp_json_object_begin(json, key);
    (void)quring_addr_format(addr, text, sizeof(text));
    char *colon = strrchr(text, ':'); /* "1.2.3.4:5", "[::1]:5" */
    if (colon != NULL) {
        *colon = '\0';
    }
    size_t len = strlen(text);
    bool brackets = text[0] == '[' && len > 1;
    text[brackets ? len - 1 : len] = '\0';
    qp_json_string(json, addr->family == 6 ? "ip_v6" : "ip_v4", text + (brackets ? 1 : 0));
    qp_json_u64(json, addr->family == 6 ? "port_v6" : "port_v4", addr->port);
    qp_json_object_end(json);
}

static void qp_qlog_state(qp_qlog *log, const char *state)
{
    qp_json json;
    qp_qlog_open_event(log, &json, "quic:connection_state_updated");
    qp_json_string(&json, "new", state);
    qp_qlog_close_event(log, &json);
}

static void qp_qlog_version(qp_qlog *log, uint32_t version)
{
    char text[16];
    qp_json json;
    (void)snprintf(text, sizeof(text), "%08x", version);
    qp_qlog_open_event(log, &json, "quic:version_information");
    qp_json_string(&json, "chosen_version", text);
    qp_qlog_close_event(log, &json);
}

static void qp_qlog_packet(qp_qlog *log, const quring_packet_record *r)
{
    static const char *const names[] = {
        [QURING_PACKET_SENT] = "quic:packet_sent",
        [QURING_PACKET_RECEIVED] = "quic:packet_received",
        [QURING_PACKET_LOST] = "quic:packet_lost",
    };
    static const char *const types[] = {"initial", "0RTT", "handshake", "1RTT"};
    qp_json json;
    qp_qlog_open_event_at(log, &json, names[r->event], r->at_ns);
    qp_json_object_begin(&json, "header");
    qp_json_string(&json, "packet_type", types[r->type]);
    qp_json_u64(&json, "packet_number", r->number);
    qp_json_object_end(&json);
    if (r->event != QURING_PACKET_LOST) {
        qp_json_object_begin(&json, "raw");
        qp_json_u64(&json, "length", r->bytes);
        qp_json_object_end(&json);
    }
    qp_qlog_close_event(log, &json);
}

static void qp_qlog_packets(qp_qlog *log)
{
    quring_packet_record records[256];
    const size_t cap = sizeof(records) / sizeof(records[0]);
    uint64_t missed = 0;
    size_t count = cap;
    while (count == cap) { /* ends: so many wait at most */
        if (quring_conn_read_trace(log->conn, records, cap, &count, &missed) != QURING_OK) {
            return;
        }
        for (size_t i = 0; i < count; i++) {
            qp_qlog_packet(log, &records[i]);
        }
    }
    if (missed > 0) {
        char text[80];
        qp_json json;
        (void)snprintf(text, sizeof(text), "%" PRIu64 " packets left no record", missed);
        qp_qlog_open_event(log, &json, "loglevel:info");
        qp_json_string(&json, "message", text);
        qp_qlog_close_event(log, &json);
    }
}

static void qp_qlog_metrics(qp_qlog *log)
{
    quring_conn_info info;
    qp_json json;
    if (quring_conn_get_info(log->conn, &info) != QURING_OK) {
        return;
    }
    const quring_conn_info *last = &log->last;
    if (info.srtt_ns == last->srtt_ns && info.cwnd_bytes == last->cwnd_bytes &&
        info.in_flight_bytes == last->in_flight_bytes &&
        info.latest_rtt_ns == last->latest_rtt_ns) {
        return;
    }
    qp_qlog_open_event(log, &json, "quic:recovery_metrics_updated");
    qp_json_double(&json, "min_rtt", (double)info.min_rtt_ns / 1e6);
    qp_json_double(&json, "smoothed_rtt", (double)info.srtt_ns / 1e6);
    qp_json_double(&json, "latest_rtt", (double)info.latest_rtt_ns / 1e6);
    qp_json_double(&json, "rtt_variance", (double)info.rttvar_ns / 1e6);
    qp_json_u64(&json, "congestion_window", info.cwnd_bytes);
    qp_json_u64(&json, "bytes_in_flight", info.in_flight_bytes);
    qp_qlog_close_event(log, &json);
    uint32_t updates = log->last.key_updates;
    log->last = info;
    log->last.key_updates = updates;
}

static void qp_qlog_tick(void *ctx)
{
    qp_qlog *log = ctx;
    qp_qlog_packets(log);
    qp_qlog_metrics(log);
    if (quring_timer(&log->timer, quring_now_ns() + QP_QLOG_SAMPLE_NS, qp_qlog_tick, log) !=
        QURING_OK) {
        log->timer = 0; /* it goes on without */
    }
}

static void qp_qlog_connected(qp_qlog *log)
{
    quring_conn_info info;
    qp_json json;
    if (quring_conn_get_info(log->conn, &info) != QURING_OK) {
        return;
    }
    qp_qlog_version(log, info.version);
    qp_qlog_open_event(log, &json, "quic:alpn_information");
    qp_json_object_begin(&json, "chosen_alpn");
    qp_json_string(&json, "string_value", info.alpn);
    qp_json_object_end(&json);
    qp_qlog_close_event(log, &json);
    qp_qlog_state(log, "handshake_complete");
    qp_qlog_metrics(log);
}

static void qp_qlog_path(qp_qlog *log)
{
    quring_conn_info info;
    qp_json json;
    char id[16];
    if (quring_conn_get_info(log->conn, &info) != QURING_OK) {
        return;
    }
    (void)snprintf(id, sizeof(id), "%u", ++log->tuple);
    qp_qlog_open_event(log, &json, "quic:tuple_assigned");
    qp_json_string(&json, "tuple_id", id);
    qp_qlog_endpoint(&json, "tuple_remote", &info.remote);
    qp_qlog_endpoint(&json, "tuple_local", &info.local);
    qp_qlog_close_event(log, &json);
}

static void qp_qlog_keys(qp_qlog *log)
{
    quring_conn_info info;
    qp_json json;
    if (quring_conn_get_info(log->conn, &info) != QURING_OK) {
        return;
    }
    bool ours = info.key_updates > log->last.key_updates;
    log->last.key_updates = info.key_updates;
    for (int side = 0; side < 2; side++) { /* both directions change, RFC 9001 6 */
        qp_qlog_open_event(log, &json, "quic:key_updated");
        qp_json_string(&json, "key_type", side == 0 ? "client_1rtt_secret" : "server_1rtt_secret");
        qp_json_u64(&json, "key_phase", info.key_updates + info.key_updates_peer);
        qp_json_string(&json, "trigger", ours ? "local_update" : "remote_update");
        qp_qlog_close_event(log, &json);
    }
}

static void qp_qlog_stream(qp_qlog *log, const quring_event *ev, const char *state, bool sending,
                           bool local)
{
    qp_json json;
    qp_qlog_open_event(log, &json, "quic:stream_state_updated");
    qp_json_u64(&json, "stream_id", ev->stream_id);
    qp_json_string(&json, "stream_type",
                   (ev->stream_id & 2u) != 0 ? "unidirectional" : "bidirectional");
    qp_json_string(&json, "new", state);
    qp_json_string(&json, "stream_side", sending ? "sending" : "receiving");
    qp_json_string(&json, "trigger", local ? "local" : "remote");
    qp_qlog_close_event(log, &json);
}

static void qp_qlog_closed(qp_qlog *log, const quring_close_info *close)
{
    static const struct {
        const char *initiator;
        const char *trigger;
    } kinds[] = {
        [QURING_CLOSE_NONE] = {"local", "unspecified"},
        [QURING_CLOSE_LOCAL_APP] = {"local", "application"},
        [QURING_CLOSE_PEER_APP] = {"remote", "application"},
        [QURING_CLOSE_LOCAL_TRANSPORT] = {"local", "error"},
        [QURING_CLOSE_PEER_TRANSPORT] = {"remote", "error"},
        [QURING_CLOSE_IDLE_TIMEOUT] = {"local", "idle_timeout"},
        [QURING_CLOSE_HANDSHAKE_TIMEOUT] = {"local", "aborted"},
        [QURING_CLOSE_STATELESS_RESET] = {"remote", "stateless_reset"},
        [QURING_CLOSE_VERSION] = {"local", "version_mismatch"},
        [QURING_CLOSE_UNREACHABLE] = {"local", "aborted"},
        [QURING_CLOSE_INTERNAL] = {"local", "aborted"},
    };
    qp_json json;
    size_t kind = (size_t)close->kind < sizeof(kinds) / sizeof(kinds[0]) ? (size_t)close->kind : 0;
    bool app = close->kind == QURING_CLOSE_LOCAL_APP || close->kind == QURING_CLOSE_PEER_APP;
    qp_qlog_open_event(log, &json, "quic:connection_closed");
    qp_json_string(&json, "initiator", kinds[kind].initiator);
    qp_json_string(&json, app ? "application_error" : "connection_error", "unknown");
    qp_json_u64(&json, "error_code", close->code);
    qp_json_string(&json, "reason", close->reason);
    qp_json_string(&json, "trigger", kinds[kind].trigger);
    qp_qlog_close_event(log, &json);
    qp_qlog_state(log, "closed");
}

/* ---- what the worker calls --------------------------------------------------------------------------- */

qp_qlog *qp_qlog_begin(const char *dir, quring_conn conn, bool is_client)
{
    char path[QP_QLOG_PATH_MAX];
    quring_conn_info info;
    qp_json json;
    if (dir == NULL) {
        return NULL;
    }
    unsigned number = atomic_fetch_add(&qp_qlog_count, 1);
    if (number == QP_QLOG_FILES_MAX) {
        (void)fprintf(stderr, "quicperf: qlog: the first %u connections have a file, others none\n",
                      QP_QLOG_FILES_MAX);
    }
    if (number >= QP_QLOG_FILES_MAX) {
        return NULL;
    }
    qp_qlog *log = calloc(1, sizeof(*log));
    if (log == NULL || quring_conn_get_info(conn, &info) != QURING_OK) {
        qp_qlog_failed(dir, ENOMEM);
        free(log);
        return NULL;
    }
    log->conn = conn;
    log->dir = dir;
    log->is_client = is_client;
    log->began_ns = quring_now_ns();
    (void)snprintf(log->title, sizeof(log->title), "%d-%u_%s", (int)getpid(), number,
                   is_client ? "client" : "server");
    int len = snprintf(path, sizeof(path), "%s/%s.sqlog", dir, log->title);
    errno = ENAMETOOLONG;
    log->file = len < (int)sizeof(path) ? fopen(path, "we") : NULL;
    if (log->file == NULL) {
        qp_qlog_failed(dir, errno);
        free(log);
        return NULL;
    }
    qp_qlog_header(log);
    qp_qlog_open_event(log, &json, "quic:connection_started");
    qp_qlog_endpoint(&json, "local", &info.local);
    qp_qlog_endpoint(&json, "remote", &info.remote);
    qp_qlog_close_event(log, &json);
    qp_qlog_state(log, "attempted");
    qp_qlog_tick(log);
    return log;
}

static void qp_qlog_end(qp_qlog *log)
{
    bool failed = ferror(log->file) != 0;
    if (fclose(log->file) != 0 && log->error == 0) {
        log->error = errno;
        failed = true;
    }
    if (failed) {
        qp_qlog_failed(log->dir, log->error);
    }
    free(log);
}

void qp_qlog_event(qp_qlog *log, const quring_event *ev)
{
    if (log == NULL) {
        return;
    }
    qp_qlog_packets(log);
    switch ((int)ev->type) {
    case QURING_EV_CONNECTED:
        qp_qlog_connected(log);
        break;
    case QURING_EV_PATH_CHANGED:
        qp_qlog_path(log);
        break;
    case QURING_EV_KEYS_UPDATED:
        qp_qlog_keys(log);
        break;
    case QURING_EV_STREAM_OPENED:
        qp_qlog_stream(log, ev, "open", false, false);
        break;
    case QURING_EV_STREAM_FINISHED:
        qp_qlog_stream(log, ev, "closed", true, true);
        break;
    case QURING_EV_STREAM_STOPPED:
        qp_qlog_stream(log, ev, "closed", true, false);
        break;
    case QURING_EV_STREAM_RESET:
        qp_qlog_stream(log, ev, "closed", false, false);
        break;
    case QURING_EV_CLOSED:
        qp_qlog_metrics(log);
        qp_qlog_closed(log, ev->close);
        if (log->timer != 0) {
            (void)quring_timer_cancel(log->timer);
        }
        qp_qlog_end(log);
        break;
    default:
        break;
    }
}
