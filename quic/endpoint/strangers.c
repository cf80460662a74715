#include "quic/endpoint/strangers.h"

#include "quic/base/check.h"

bool quic_strangers_enter(quic_strangers *strangers, uint32_t max, quic_ns calm, quic_ns now)
{
    const quic_ns full_at = __atomic_load_n(&strangers->full_at, __ATOMIC_RELAXED);
    uint32_t count = __atomic_load_n(&strangers->count, __ATOMIC_RELAXED);
    while (count < max && (full_at == 0 || now >= full_at + calm)) {
        if (__atomic_compare_exchange_n(&strangers->count, &count, count + 1, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    if (count >= max) {
        __atomic_store_n(&strangers->full_at, now, __ATOMIC_RELAXED);
    }
    return false;
}

void quic_strangers_leave(quic_strangers *strangers)
{
    const uint32_t count = __atomic_fetch_sub(&strangers->count, 1, __ATOMIC_RELAXED);
    QURING_ASSERT(count > 0);
}
