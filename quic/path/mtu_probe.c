#include "quic/path/mtu_probe.h"

/* UDP payloads of paths there are: IPv6 minimum, tunnels, PPPoE, Ethernet, jumbo frames; IPv6 and IPv4
 * of each. Rising. */
static const uint16_t common_sizes[] = {
    1232, 1252, 1312, 1332, 1352, 1372, 1392, 1412, 1432, 1444, 1452,  1464,
    1472, 2000, 4000, 4444, 4464, 8000, 8952, 8972, 9152, 9172, 16336, 32720,
};
#define COMMON_COUNT (sizeof(common_sizes) / sizeof(common_sizes[0]))

void quic_mtu_init(quic_mtu *mtu, uint32_t bytes)
{
    memset(mtu, 0, sizeof(*mtu));
    mtu->state = QUIC_MTU_OFF;
    mtu->current = bytes;
    mtu->ceiling = bytes;
    mtu->high = bytes;
    mtu->due_ns = QUIC_NS_NEVER;
}

static void plan(quic_mtu *mtu, uint32_t size, quic_ns at)
{
    mtu->probe_size = size;
    mtu->probe_count = 0;
    mtu->in_flight = false;
    mtu->due_ns = at;
}

/* Returns whether the size in use changes by it. */
static bool set_current(quic_mtu *mtu, uint32_t bytes)
{
    bool changed = mtu->current != bytes;
    mtu->current = bytes;
    mtu->suspect_count = 0;
    return changed;
}

static void begin_base(quic_mtu *mtu, quic_ns now)
{
    mtu->state = QUIC_MTU_STATE_BASE;
    mtu->high = mtu->ceiling;
    plan(mtu, QUIC_MTU_BASE, now);
}

void quic_mtu_start(quic_mtu *mtu, uint32_t ceiling, quic_ns now)
{
    quic_mtu_init(mtu, QUIC_MTU_BASE);
    if (ceiling <= QUIC_MTU_BASE) {
        return;
    }
    mtu->ceiling = ceiling;
    mtu->high = ceiling;
    mtu->state = QUIC_MTU_STATE_SEARCH;
    plan(mtu, 0, now);
}

void quic_mtu_resume(quic_mtu *mtu, quic_ns now)
{
    mtu->suspect_count = 0;
    if (mtu->in_flight) {
        mtu->in_flight = false;
        mtu->due_ns = now;
    }
}

/* RFC 8899 5.3.2: most paths carry the ceiling, so it comes first; after it has failed the interval is
 * halved, at a common size where one is near. */
static uint32_t next_size(const quic_mtu *mtu)
{
    uint32_t low = mtu->current;
    uint32_t high = mtu->high;
    if (high == mtu->ceiling) {
        return high > low ? high : 0;
    }
    if (high < low + QUIC_MTU_STEP) {
        return 0;
    }
    uint32_t mid = low + (high - low + 1) / 2;
    uint32_t best = mid;
    uint32_t best_distance = (high - low) / 4;
    for (size_t i = 0; i < COMMON_COUNT; i++) {
        uint32_t size = common_sizes[i];
        uint32_t distance = size > mid ? size - mid : mid - size;
        if (size > low && size <= high && distance <= best_distance) {
            best = size;
            best_distance = distance;
        }
    }
    return best;
}

uint32_t quic_mtu_probe_size(quic_mtu *mtu, quic_ns now)
{
    switch (mtu->state) {
    case QUIC_MTU_STATE_ERROR:
        begin_base(mtu, now);
        break;
    case QUIC_MTU_STATE_COMPLETE: /* the raise timer: the path may carry more by now */
        mtu->state = QUIC_MTU_STATE_SEARCH;
        mtu->high = mtu->ceiling;
        plan(mtu, 0, now);
        break;
    case QUIC_MTU_OFF:
        return 0;
    default:
        break;
    }
    if (mtu->probe_size == 0) {
        mtu->probe_size = next_size(mtu);
    }
    if (mtu->probe_size == 0) {
        mtu->state = QUIC_MTU_STATE_COMPLETE;
        plan(mtu, 0, mtu->current == mtu->ceiling ? QUIC_NS_NEVER : now + QUIC_MTU_RAISE_NS);
    }
    return mtu->probe_size;
}

void quic_mtu_on_probe_sent(quic_mtu *mtu)
{
    mtu->in_flight = true;
    mtu->due_ns = QUIC_NS_NEVER;
}

bool quic_mtu_on_probe_acked(quic_mtu *mtu, uint32_t bytes, quic_ns now)
{
    if (mtu->state == QUIC_MTU_OFF || bytes > mtu->ceiling) {
        return false;
    }
    if (mtu->state == QUIC_MTU_STATE_BASE) {
        if (bytes != QUIC_MTU_BASE || !mtu->in_flight) {
            return false; /* of the time before the black hole */
        }
        mtu->state = QUIC_MTU_STATE_SEARCH;
        plan(mtu, 0, now);
        return false;
    }
    if (mtu->state == QUIC_MTU_STATE_ERROR || bytes <= mtu->current) {
        return false;
    }
    if (mtu->high < bytes) {
        mtu->high = bytes; /* what was thought lost has arrived */
    }
    mtu->state = QUIC_MTU_STATE_SEARCH;
    plan(mtu, 0, now);
    return set_current(mtu, bytes);
}

bool quic_mtu_on_probe_lost(quic_mtu *mtu, uint32_t bytes, quic_ns now)
{
    if (!mtu->in_flight || bytes != mtu->probe_size) {
        return false;
    }
    mtu->in_flight = false;
    mtu->due_ns = now;
    if (++mtu->probe_count < QUIC_MTU_MAX_PROBES) {
        return false;
    }
    if (mtu->state == QUIC_MTU_STATE_BASE) {
        mtu->state = QUIC_MTU_STATE_ERROR;
        plan(mtu, 0, now + QUIC_MTU_ERROR_RETRY_NS);
        return false;
    }
    mtu->high = bytes - 1;
    plan(mtu, 0, now);
    return false;
}

/* RFC 8899 4.3: larger packets vanish. */
static bool fall_back(quic_mtu *mtu, quic_ns now)
{
    begin_base(mtu, now);
    return set_current(mtu, QUIC_MTU_BASE);
}

bool quic_mtu_on_lost(quic_mtu *mtu, uint64_t pn, uint32_t bytes, quic_ns now)
{
    if (mtu->state == QUIC_MTU_OFF || mtu->current <= QUIC_MTU_BASE || bytes < mtu->current ||
        pn < mtu->full_acked_pn) {
        return false;
    }
    return ++mtu->suspect_count >= QUIC_MTU_BLACK_HOLE && fall_back(mtu, now);
}

bool quic_mtu_on_pto(quic_mtu *mtu, uint32_t count, quic_ns now)
{
    return mtu->state != QUIC_MTU_OFF && mtu->current > QUIC_MTU_BASE &&
           count >= QUIC_MTU_BLACK_HOLE_PTO && fall_back(mtu, now);
}

bool quic_mtu_on_too_big(quic_mtu *mtu, uint32_t bytes, quic_ns now)
{
    if (bytes <= QUIC_MTU_BASE) {
        return false;
    }
    if (mtu->state == QUIC_MTU_OFF) {
        /* However much smaller than the size it was: it would be refused each time it is repeated. */
        return set_current(mtu, QUIC_MTU_BASE);
    }
    if (bytes > mtu->current) { /* a probe: the interface will not take it a second time either */
        if (mtu->in_flight && bytes == mtu->probe_size) {
            mtu->high = bytes - 1;
            plan(mtu, 0, now);
        }
        return false;
    }
    mtu->state = QUIC_MTU_STATE_SEARCH;
    mtu->high = bytes - 1;
    plan(mtu, 0, now);
    return set_current(mtu, QUIC_MTU_BASE);
}
