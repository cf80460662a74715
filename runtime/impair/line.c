#include "runtime/impair/line.h"

static uint64_t draw(rt_line *line)
{
    quic_rng rng = quic_rng_seeded(&line->rng);
    return quic_rng_u64(&rng);
}

/* Nothing is drawn for what is off: an option leaves the decisions of the others alone. */
static bool chance(rt_line *line, uint32_t ppm)
{
    return ppm > 0 && draw(line) % QURING_IMPAIR_PPM < ppm;
}

/* A run of hits ends after `run_max`, whatever is drawn. */
static bool chance_in_runs(rt_line *line, uint32_t ppm, uint32_t run_max, uint32_t *run)
{
    bool hit = (run_max == 0 || *run < run_max) && chance(line, ppm);
    *run = hit ? *run + 1 : 0;
    return hit;
}

uint32_t rt_line_queue_len(const quring_impair_link *spec)
{
    if (spec->rate_bits_per_s == 0) {
        return 0;
    }
    uint64_t packets = spec->queue_packets;
    if (packets == 0) {
        packets = spec->rate_bits_per_s / 8 / 1500 * RT_LINE_QUEUE_NS / QUIC_NS_PER_S;
        packets = packets < RT_LINE_QUEUE_MIN ? RT_LINE_QUEUE_MIN : packets;
    }
    packets = packets > QURING_IMPAIR_QUEUE_MAX ? QURING_IMPAIR_QUEUE_MAX : packets;
    return (uint32_t)packets + 1; /* and the one on the line */
}

void rt_line_init(rt_line *line, const quring_impair_link *spec, quic_ns *leaves, uint64_t seed)
{
    memset(line, 0, sizeof(*line));
    line->spec = *spec;
    line->rng.s = seed;
    line->leaves = leaves;
    line->cap = rt_line_queue_len(spec);
    if (line->spec.burst_loss_ppm == 0) {
        line->spec.burst_loss_ppm = QURING_IMPAIR_PPM;
    }
    if (line->spec.reorder_ns == 0) {
        line->spec.reorder_ns =
            spec->delay_ns / 2 > QUIC_NS_PER_MS ? spec->delay_ns / 2 : QUIC_NS_PER_MS;
    }
}

/* The drop-tail queue and the line behind it. False: full. *out_ns is when the last bit is out. */
static bool pass_queue(rt_line *line, quic_ns *out_ns, uint64_t packet_bytes, quic_ns now)
{
    *out_ns = now;
    if (line->cap == 0) {
        return true;
    }
    while (line->count > 0 && line->leaves[line->head] <= now) {
        line->head = line->head + 1 == line->cap ? 0 : line->head + 1;
        line->count--;
    }
    if (line->count == line->cap) {
        return false;
    }
    quic_ns start = line->busy_ns > now ? line->busy_ns : now;
    line->busy_ns = start + packet_bytes * 8 * QUIC_NS_PER_S / line->spec.rate_bits_per_s;
    uint32_t at = line->head + line->count;
    line->leaves[at >= line->cap ? at - line->cap : at] = line->busy_ns;
    line->count++;
    *out_ns = line->busy_ns;
    return true;
}

static bool is_in_hole(const rt_line *line, quic_ns at_ns)
{
    const quring_impair_link *s = &line->spec;
    if (s->hole_ns == 0 || at_ns < line->began_ns) {
        return false;
    }
    quic_ns age = at_ns - line->began_ns;
    quic_ns period = s->pass_ns + s->hole_ns;
    return (s->holes_max == 0 || age / period < s->holes_max) && age % period >= s->pass_ns;
}

static bool is_listed(const rt_line *line)
{
    for (uint32_t i = 0; i < line->spec.drop_count; i++) {
        if (line->spec.drops[i] == line->left) {
            return true;
        }
    }
    return false;
}

static bool is_lost_in_burst(rt_line *line)
{
    if (line->spec.burst_begin_ppm == 0) {
        return false;
    }
    bool turns = chance(line, line->is_bad ? line->spec.burst_end_ppm : line->spec.burst_begin_ppm);
    line->is_bad = line->is_bad != turns;
    return line->is_bad && chance(line, line->spec.burst_loss_ppm);
}

/* RFC 8999 6: a long header with version 0. */
static bool is_version_negotiation(const uint8_t *data, size_t len)
{
    static const uint8_t zero[4] = {0};
    return len > 5 && (data[0] & 0x80) != 0 && memcmp(data + 1, zero, sizeof(zero)) == 0;
}

static void damage(rt_line *line, rt_line_verdict *out, const uint8_t *data, size_t len)
{
    const quring_impair_link *s = &line->spec;
    if (len == 0 || s->corrupt_ppm == 0) {
        return;
    }
    if (is_version_negotiation(data, len)) {
        line->corrupt_run = 0;
        return;
    }
    if (chance_in_runs(line, s->corrupt_ppm, s->corrupt_run_max, &line->corrupt_run)) {
        uint64_t random = draw(line);
        out->flip_at =
            (uint32_t)((random >> 8) % (len < RT_LINE_CORRUPT_BYTES ? len : RT_LINE_CORRUPT_BYTES));
        out->flip = (uint8_t)(random % 255 + 1);
    }
}

static quring_impair_fate fate_of(rt_line *line, quic_ns arrive_ns)
{
    const quring_impair_link *s = &line->spec;
    line->left++;
    if (is_in_hole(line, arrive_ns)) {
        return QURING_IMPAIR_LOST_HOLE;
    }
    if (is_listed(line)) {
        return QURING_IMPAIR_LOST_LIST;
    }
    if (is_lost_in_burst(line)) {
        return QURING_IMPAIR_LOST_BURST;
    }
    bool lost =
        s->loss_ppm > 0 && chance_in_runs(line, s->loss_ppm, s->loss_run_max, &line->loss_run);
    return lost ? QURING_IMPAIR_LOST : QURING_IMPAIR_PASSED;
}

void rt_line_judge(rt_line *line, rt_line_verdict *out, const uint8_t *data, size_t len,
                   uint32_t header_bytes, uint8_t ecn, quic_ns now)
{
    const quring_impair_link *s = &line->spec;
    quic_ns out_ns;
    memset(out, 0, sizeof(*out));
    if (s->mtu_bytes != 0 && len + header_bytes > s->mtu_bytes) {
        out->fate = QURING_IMPAIR_LOST_MTU;
        return;
    }
    if (!pass_queue(line, &out_ns, len + header_bytes, now)) {
        out->fate = QURING_IMPAIR_LOST_QUEUE;
        return;
    }
    out->at_ns = out_ns + s->delay_ns;
    if (s->jitter_ns > 0) {
        out->at_ns += draw(line) % (s->jitter_ns + 1);
    }
    out->at_ns = out->at_ns > line->newest_ns ? out->at_ns : line->newest_ns;
    out->fate = fate_of(line, out->at_ns);
    if (out->fate != QURING_IMPAIR_PASSED) {
        return;
    }
    damage(line, out, data, len);
    out->mark_ce = (ecn == 1 || ecn == 2) && chance(line, s->ce_ppm);
    out->twice = chance(line, s->duplicate_ppm);
    out->late = chance(line, s->reorder_ppm);
    if (out->late) {
        out->at_ns += s->reorder_ns; /* those behind overtake it */
    } else {
        line->newest_ns = out->at_ns;
    }
}
