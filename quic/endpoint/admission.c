#include "quic/endpoint/admission.h"

#include "quic/base/check.h"
#include "quic/crypto/hash.h"

_Static_assert((QUIC_ADMISSION_CELLS & (QUIC_ADMISSION_CELLS - 1)) == 0, "cells are masked");

static void rate_init(quic_rate *rate, uint64_t per_s)
{
    rate->per_s = per_s;
    rate->credit = per_s * QUIC_NS_PER_S;
    rate->last = 0;
}

void quic_admission_init(quic_admission *adm, const quring_limits *limits, const uint8_t key[16])
{
    memset(adm, 0, sizeof(*adm));
    adm->limits = *limits;
    memcpy(adm->key, key, sizeof(adm->key));
    rate_init(&adm->initial_rate, limits->initials_per_s_retry);
    rate_init(&adm->vain_rate, limits->initials_per_s_retry);
    rate_init(&adm->retry_rate, QUIC_RETRIES_PER_S);
    rate_init(&adm->suspect_rate, QUIC_SUSPECTS_PER_S);
    rate_init(&adm->reset_rate, limits->stateless_resets_per_s);
    rate_init(&adm->vn_rate, limits->version_negotiations_per_s);
}

bool quic_rate_take(quic_rate *rate, quic_ns now)
{
    if (rate->per_s == 0) {
        return true;
    }
    uint64_t full = rate->per_s * QUIC_NS_PER_S;
    uint64_t elapsed = now > rate->last ? now - rate->last : 0;
    rate->last = now;
    if (elapsed >= QUIC_NS_PER_S) {
        rate->credit = full;
    } else {
        rate->credit += elapsed * rate->per_s;
        rate->credit = rate->credit < full ? rate->credit : full;
    }
    if (rate->credit < QUIC_NS_PER_S) {
        return false;
    }
    rate->credit -= QUIC_NS_PER_S;
    return true;
}

static void cells_of_prefix(const quic_admission *adm, const quic_addr *from, size_t v4_bytes,
                            size_t v6_bytes, uint32_t out[QUIC_ADMISSION_ROWS])
{
    uint8_t prefix[8] = {from->family};
    memcpy(prefix + 1, from->ip, from->family == 6 ? v6_bytes : v4_bytes);
    uint64_t h = quic_siphash(adm->key, prefix, sizeof(prefix));
    out[0] = (uint32_t)h & (QUIC_ADMISSION_CELLS - 1);
    out[1] = (uint32_t)(h >> 32) & (QUIC_ADMISSION_CELLS - 1);
}

/* RFC 9000 21.11 leaves the unit of "one client" open: an IPv4 address, or the /56 a site gets. */
static void cells_of(const quic_admission *adm, const quic_addr *from,
                     uint32_t out[QUIC_ADMISSION_ROWS])
{
    cells_of_prefix(adm, from, 4, 7, out);
}

static uint32_t sketch_count(const uint16_t rows[][QUIC_ADMISSION_CELLS], const uint32_t *cells)
{
    uint16_t a = rows[0][cells[0]];
    uint16_t b = rows[1][cells[1]];
    return a < b ? a : b;
}

static void sketch_add(uint16_t rows[][QUIC_ADMISSION_CELLS], const uint32_t *cells, int delta)
{
    for (uint32_t r = 0; r < QUIC_ADMISSION_ROWS; r++) {
        uint16_t *cell = &rows[r][cells[r]];
        if (delta > 0 && *cell < UINT16_MAX) {
            (*cell)++;
        } else if (delta < 0 && *cell > 0 && *cell < UINT16_MAX) {
            /* a saturated cell stays: it no longer knows its count, and too high is the safe side */
            (*cell)--;
        }
    }
}

/* Forgets what was counted when its second is over. */
static void begin_second(quic_ns *end, uint16_t rows[][QUIC_ADMISSION_CELLS], quic_ns now)
{
    if (now >= *end) {
        memset(rows, 0, QUIC_ADMISSION_ROWS * sizeof(rows[0]));
        *end = now + QUIC_NS_PER_S;
    }
}

/* ---- Retry under load ------------------------------------------------------------------------------ */

static bool is_half_full(const quic_admission *adm)
{
    return adm->half_open_count >= (adm->limits.half_open_max + 1) / 2;
}

/* The second that is over: was it one without load? */
static bool was_calm(const quic_admission *adm)
{
    uint32_t rate = adm->limits.initials_per_s_retry;
    return (rate == 0 || adm->load_count < (rate + 1) / 2) &&
           adm->half_open_count < (adm->limits.half_open_max + 3) / 4;
}

/* Looks back when a stranger comes; in seconds without one it had been calm. */
static void count_load(quic_admission *adm, quic_ns now)
{
    quic_ns passed = now > adm->load_second ? (now - adm->load_second) / QUIC_NS_PER_S : 0;
    if (passed > 0) {
        adm->calm_seconds = was_calm(adm) ? adm->calm_seconds + 1 : 0;
        if (passed > 1 && adm->half_open_count < (adm->limits.half_open_max + 3) / 4) {
            quic_ns more = passed - 1;
            adm->calm_seconds +=
                more < QUIC_RETRY_CALM_SECONDS ? (uint32_t)more : QUIC_RETRY_CALM_SECONDS;
        }
        adm->load_second += passed * QUIC_NS_PER_S;
        adm->load_count = 0;
        if (adm->calm_seconds >= QUIC_RETRY_CALM_SECONDS) {
            adm->calm_seconds = QUIC_RETRY_CALM_SECONDS;
            adm->under_load = false;
        }
    }
    adm->load_count++;
    bool too_fast =
        adm->limits.initials_per_s_retry != 0 && !quic_rate_take(&adm->initial_rate, now);
    if (too_fast || is_half_full(adm)) {
        adm->load_episodes += adm->under_load ? 0 : 1;
        adm->under_load = true;
        adm->calm_seconds = 0;
    }
}

/* ---- one address ------------------------------------------------------------------------------------ */

/* Seconds, in numbers that come again after half a day: at worst a few Retries that nobody needed. */
static uint16_t full_second(quic_ns now)
{
    return (uint16_t)(now / QUIC_NS_PER_S % UINT16_MAX + 1);
}

static bool addr_is_full(const quic_admission *adm, const uint32_t *cells)
{
    return adm->limits.half_open_per_addr_max != 0 &&
           sketch_count(adm->half_open, cells) >= adm->limits.half_open_per_addr_max;
}

/* Whether an address has, or had a moment ago, as many half-open connections as it may. */
static bool addr_was_full(quic_admission *adm, const uint32_t *cells, bool is_full, quic_ns now)
{
    if (adm->limits.half_open_per_addr_max == 0) {
        return false;
    }
    const uint16_t second = full_second(now);
    bool was_full = true;
    for (uint32_t r = 0; r < QUIC_ADMISSION_ROWS; r++) {
        uint16_t *at = &adm->full_at[r][cells[r]];
        *at = is_full ? second : *at;
        was_full = was_full && *at != 0 && (uint16_t)(second - *at) <= QUIC_RETRY_CALM_SECONDS;
    }
    return was_full;
}

quic_admission_verdict quic_admission_judge(quic_admission *adm, const quic_addr *from,
                                            bool validated, quic_ns now)
{
    const quring_limits *lim = &adm->limits;
    count_load(adm, now);
    if (adm->conn_count >= lim->connections_max) {
        return QUIC_ADMIT_REFUSE;
    }
    uint32_t cells[QUIC_ADMISSION_ROWS];
    cells_of(adm, from, cells);
    if (lim->connections_per_addr_max != 0 &&
        sketch_count(adm->conns, cells) >= lim->connections_per_addr_max) {
        return QUIC_ADMIT_REFUSE;
    }
    bool addr_full = addr_is_full(adm, cells);
    bool asked = addr_was_full(adm, cells, addr_full, now) || adm->under_load;
    if (adm->half_open_count >= lim->half_open_max || (validated && addr_full)) {
        return QUIC_ADMIT_DROP; /* a Retry would only put off the drop */
    }
    return validated || !asked ? QUIC_ADMIT : QUIC_ADMIT_RETRY;
}

/* ---- packets that cannot be opened ------------------------------------------------------------------ */

bool quic_admission_may_open_vainly(quic_admission *adm, quic_ns now)
{
    return quic_rate_take(&adm->vain_rate, now);
}

bool quic_admission_may_open(quic_admission *adm, const quic_addr *from, quic_ns now)
{
    uint32_t cells[QUIC_ADMISSION_ROWS];
    if (now >= adm->broken_end) {
        return true;
    }
    cells_of(adm, from, cells);
    return sketch_count(adm->broken, cells) < QUIC_BROKEN_PER_ADDR_S ||
           quic_admission_may_open_vainly(adm, now);
}

void quic_admission_was_broken(quic_admission *adm, const quic_addr *from, quic_ns now)
{
    uint32_t cells[QUIC_ADMISSION_ROWS];
    begin_second(&adm->broken_end, adm->broken, now);
    cells_of(adm, from, cells);
    sketch_add(adm->broken, cells, 1);
}

/* ---- whom to answer ---------------------------------------------------------------------------------- */

/* Services of UDP that answer whatever comes: with our answer to a forged source as their request, the
 * two would talk for ever, or a third party get the larger of both. */
static const uint16_t reflecting_ports[] = {0, 17, 19, 53, 111, 123, 137, 138, 161, 389, 500};
/* Those whose port a client may have by chance. */
static const uint16_t suspect_ports[] = {1900, 3702, 5353, 5355, 11211};

static bool is_among(const uint16_t *ports, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (ports[i] == port) {
            return true;
        }
    }
    return false;
}

/* No host sends from a multicast, broadcast or unspecified address. */
static bool is_no_source(const quic_addr *a)
{
    static const uint8_t zero[sizeof(a->ip)];
    static const uint8_t ones[4] = {255, 255, 255, 255};
    if (a->family == 6) {
        return a->ip[0] == 0xff || memcmp(a->ip, zero, sizeof(zero)) == 0;
    }
    return a->ip[0] >> 4 == 14 || memcmp(a->ip, zero, 4) == 0 || memcmp(a->ip, ones, 4) == 0;
}

bool quic_admission_may_answer(quic_admission *adm, const quic_addr *from, const quic_addr *to,
                               quic_ns now)
{
    if (is_no_source(from) || quic_addr_equal(from, to) ||
        is_among(reflecting_ports, sizeof(reflecting_ports) / sizeof(reflecting_ports[0]),
                 from->port)) {
        return false;
    }
    return !is_among(suspect_ports, sizeof(suspect_ports) / sizeof(suspect_ports[0]), from->port) ||
           quic_rate_take(&adm->suspect_rate, now);
}

bool quic_admission_take_reset(quic_admission *adm, const quic_addr *to, quic_ns now)
{
    uint32_t max = adm->limits.stateless_resets_per_addr_s;
    if (max != 0) {
        uint32_t cells[QUIC_ADMISSION_ROWS];
        begin_second(&adm->resets_end, adm->resets, now);
        cells_of_prefix(adm, to, 3, 6, cells);
        if (sketch_count(adm->resets, cells) >= max) {
            return false;
        }
        sketch_add(adm->resets, cells, 1);
    }
    return quic_rate_take(&adm->reset_rate, now);
}

/* ---- the life of a connection ------------------------------------------------------------------------ */

void quic_admission_opened(quic_admission *adm, const quic_addr *from, bool half_open)
{
    uint32_t cells[QUIC_ADMISSION_ROWS];
    cells_of(adm, from, cells);
    adm->conn_count++;
    sketch_add(adm->conns, cells, 1);
    if (half_open) {
        adm->half_open_count++;
        sketch_add(adm->half_open, cells, 1);
    }
}

void quic_admission_established(quic_admission *adm, const quic_addr *from)
{
    QURING_ASSERT(adm->half_open_count > 0);
    uint32_t cells[QUIC_ADMISSION_ROWS];
    cells_of(adm, from, cells);
    adm->half_open_count--;
    sketch_add(adm->half_open, cells, -1);
}

void quic_admission_closed(quic_admission *adm, const quic_addr *from, bool half_open)
{
    QURING_ASSERT(adm->conn_count > 0);
    uint32_t cells[QUIC_ADMISSION_ROWS];
    cells_of(adm, from, cells);
    adm->conn_count--;
    sketch_add(adm->conns, cells, -1);
    if (half_open) {
        QURING_ASSERT(adm->half_open_count > 0);
        adm->half_open_count--;
        sketch_add(adm->half_open, cells, -1);
    }
}
