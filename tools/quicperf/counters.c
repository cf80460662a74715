#include "tools/quicperf/counters.h"

#include <string.h>

#include "tools/quicperf/json.h"

void qp_counters_write(qp_out *out, double seconds, double cpu_s, const qp_server_totals *totals,
                       const quring_stats *stats)
{
    const quring_stats_field *fields = quring_stats_fields();
    qp_json json;
    if (out->jsonl == NULL) {
        return;
    }
    qp_json_init(&json);
    json.compact = true;
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "type", "counters");
    qp_json_double(&json, "t", seconds);
    qp_json_double(&json, "cpu_local_s", cpu_s);
    qp_json_u64(&json, "connections", totals->connections);
    qp_json_u64(&json, "ended", totals->ended);
    qp_json_u64(&json, "requests", totals->requests);
    qp_json_u64(&json, "bytes_in", totals->bytes_in);
    qp_json_u64(&json, "bytes_out", totals->bytes_out);
    qp_json_object_begin(&json, "counters");
    for (size_t i = 0; i < quring_stats_count(); i++) {
        uint64_t value;
        memcpy(&value, (const char *)stats + fields[i].offset, sizeof(value));
        qp_json_u64(&json, fields[i].name, value);
    }
    qp_json_object_end(&json);
    qp_json_object_end(&json);
    qp_out_json_line(out, &json);
}
