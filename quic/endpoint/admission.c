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
    rate_init(&adm->retry_rate, limits->initials_per_s_retry);
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

/* RFC 9000 21.11 leaves the unit of "one client" open: an IPv4 address, or the /56 a site gets. */
static void cells_of(const quic_admission *adm, const quic_addr *from,
                     uint32_t out[QUIC_ADMISSION_ROWS])
{
    uint8_t prefix[8] = {from->family};
    memcpy(prefix + 1, from->ip, from->family == 6 ? 7 : 4);
    uint64_t h = quic_siphash(adm->key, prefix, sizeof(prefix));
    out[0] = (uint32_t)h & (QUIC_ADMISSION_CELLS - 1);
    out[1] = (uint32_t)(h >> 32) & (QUIC_ADMISSION_CELLS - 1);
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

quic_admission_verdict quic_admission_judge(quic_admission *adm, const quic_addr *from,
                                            bool validated, quic_ns now)
{
    const quring_limits *lim = &adm->limits;
    bool calm = lim->initials_per_s_retry == 0 || quic_rate_take(&adm->retry_rate, now);
    if (adm->conn_count >= lim->connections_max) {
        return QUIC_ADMIT_REFUSE;
    }
    uint32_t cells[QUIC_ADMISSION_ROWS];
    cells_of(adm, from, cells);
    if (lim->connections_per_addr_max != 0 &&
        sketch_count(adm->conns, cells) >= lim->connections_per_addr_max) {
        return QUIC_ADMIT_REFUSE;
    }
    bool addr_full = lim->half_open_per_addr_max != 0 &&
                     sketch_count(adm->half_open, cells) >= lim->half_open_per_addr_max;
    bool all_full = adm->half_open_count >= lim->half_open_max;
    if (validated) {
        return addr_full || all_full ? QUIC_ADMIT_DROP : QUIC_ADMIT;
    }
    return addr_full || all_full || !calm ? QUIC_ADMIT_RETRY : QUIC_ADMIT;
}

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
