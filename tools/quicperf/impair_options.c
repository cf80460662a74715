#include "tools/quicperf/impair_options.h"

#include <string.h>

#include "tools/quicperf/units.h"

#define QP_PARTS_MAX 3u
#define QP_PART_LEN  32u

#define QP_RATE_MIN 1000ull
#define QP_RATE_MAX 1000000000000ull

/* "a,b,c" into at most QP_PARTS_MAX texts. Returns how many, 0 when it is wrong. */
static size_t qp_split(char parts[QP_PARTS_MAX][QP_PART_LEN], const char *value)
{
    for (size_t count = 0; count < QP_PARTS_MAX; count++) {
        size_t len = strcspn(value, ",");
        if (len == 0 || len >= QP_PART_LEN) {
            return 0;
        }
        memcpy(parts[count], value, len);
        parts[count][len] = '\0';
        value += len;
        if (*value == '\0') {
            return count + 1;
        }
        value++;
    }
    return 0;
}

static bool qp_ppm(uint32_t *out, const char *text)
{
    uint64_t ppm;
    if (!qp_parse_percent(&ppm, text) || ppm > QURING_IMPAIR_PPM) {
        return false;
    }
    *out = (uint32_t)ppm;
    return true;
}

static bool qp_count(uint32_t *out, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value;
    if (!qp_parse_u64(&value, text) || value < min || value > max) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool qp_span(uint64_t *out, const char *text, uint64_t min)
{
    uint64_t ns;
    if (!qp_parse_time(&ns, text) || ns < min || ns > QURING_IMPAIR_TIME_MAX) {
        return false;
    }
    *out = ns;
    return true;
}

/* "2%" or "2%,3". */
static bool qp_in_runs(uint32_t *ppm, uint32_t *run, char parts[QP_PARTS_MAX][QP_PART_LEN],
                       size_t count)
{
    return count <= 2 && qp_ppm(ppm, parts[0]) &&
           (count == 1 || qp_count(run, parts[1], 1, UINT32_MAX));
}

static bool qp_impair_read(qp_impair_options *o, qp_impair_kind kind, const char *value)
{
    char parts[QP_PARTS_MAX][QP_PART_LEN];
    size_t count = qp_split(parts, value);
    quring_impair_link *l = &o->link;
    if (count == 0) {
        return false;
    }
    switch (kind) {
    case QP_IMPAIR_LOSS:
        return qp_in_runs(&l->loss_ppm, &l->loss_run_max, parts, count);
    case QP_IMPAIR_CORRUPT:
        return qp_in_runs(&l->corrupt_ppm, &l->corrupt_run_max, parts, count);
    case QP_IMPAIR_BURST:
        return count >= 2 && qp_ppm(&l->burst_begin_ppm, parts[0]) &&
               qp_ppm(&l->burst_end_ppm, parts[1]) &&
               (count == 2 || (qp_ppm(&l->burst_loss_ppm, parts[2]) && l->burst_loss_ppm > 0));
    case QP_IMPAIR_BLACKHOLE:
        return count == 2 && qp_span(&l->pass_ns, parts[0], 0) && qp_span(&l->hole_ns, parts[1], 1);
    case QP_IMPAIR_DELAY:
        return count == 1 && qp_span(&l->delay_ns, value, 0);
    case QP_IMPAIR_JITTER:
        return count == 1 && qp_span(&l->jitter_ns, value, 0);
    case QP_IMPAIR_REORDER:
        return count == 1 && qp_ppm(&l->reorder_ppm, value);
    case QP_IMPAIR_DUPLICATE:
        return count == 1 && qp_ppm(&l->duplicate_ppm, value);
    case QP_IMPAIR_RATE:
        return count == 1 && qp_parse_rate(&l->rate_bits_per_s, value) &&
               l->rate_bits_per_s >= QP_RATE_MIN && l->rate_bits_per_s <= QP_RATE_MAX;
    case QP_IMPAIR_QUEUE:
        return count == 1 && qp_count(&l->queue_packets, value, 1, QURING_IMPAIR_QUEUE_MAX);
    case QP_IMPAIR_MTU:
        return count == 1 && qp_count(&l->mtu_bytes, value, 1280, 65535);
    case QP_IMPAIR_REBIND:
        return count == 1 && qp_span(&o->rebind_ns, value, 1000000);
    case QP_IMPAIR_SEED:
        return count == 1 && qp_parse_u64(&o->seed, value);
    }
    return false;
}

bool qp_impair_set(qp_impair_options *out, qp_impair_kind kind, const char *value)
{
    qp_impair_options with = *out;
    if (!qp_impair_read(&with, kind, value)) {
        return false;
    }
    with.asked |= 1u << kind;
    *out = with;
    return true;
}

bool qp_impair_is_asked(const qp_impair_options *options)
{
    return options->asked != 0;
}

void qp_impair_to(quring_impair_options *out, const qp_impair_options *options,
                  const quring_addr *server)
{
    quring_impair_options_init(out);
    out->server = *server;
    out->to_server = options->link;
    out->to_client = options->link;
    out->rebind_ns = options->rebind_ns;
    if ((options->asked & 1u << QP_IMPAIR_SEED) != 0) {
        out->seed = options->seed;
    }
}

const char *qp_impair_idle(const qp_impair_options *options, const quring_impair_counts *c)
{
    const struct {
        qp_impair_kind kind;
        const char *name;
        bool on;
        uint64_t done;
    } all[] = {
        {QP_IMPAIR_LOSS, "--loss", options->link.loss_ppm > 0,
         c->fates[0][QURING_IMPAIR_LOST] + c->fates[1][QURING_IMPAIR_LOST]},
        {QP_IMPAIR_BURST, "--burst-loss", options->link.burst_begin_ppm > 0,
         c->fates[0][QURING_IMPAIR_LOST_BURST] + c->fates[1][QURING_IMPAIR_LOST_BURST]},
        {QP_IMPAIR_REORDER, "--reorder", options->link.reorder_ppm > 0,
         c->reordered[0] + c->reordered[1]},
        {QP_IMPAIR_DUPLICATE, "--duplicate", options->link.duplicate_ppm > 0,
         c->duplicated[0] + c->duplicated[1]},
        {QP_IMPAIR_CORRUPT, "--corrupt", options->link.corrupt_ppm > 0,
         c->corrupted[0] + c->corrupted[1]},
        {QP_IMPAIR_BLACKHOLE, "--blackhole", true,
         c->fates[0][QURING_IMPAIR_LOST_HOLE] + c->fates[1][QURING_IMPAIR_LOST_HOLE]},
        {QP_IMPAIR_REBIND, "--rebind", true, c->rebinds},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if ((options->asked & 1u << all[i].kind) != 0 && all[i].on && all[i].done == 0) {
            return all[i].name;
        }
    }
    return NULL;
}
