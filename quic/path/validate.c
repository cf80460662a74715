#include "quic/path/validate.h"

#include "quic/base/check.h"

void quic_validate_init(quic_validate *v)
{
    memset(v, 0, sizeof(*v));
    v->deadline_ns = QUIC_NS_NEVER;
    v->next_ns = QUIC_NS_NEVER;
}

void quic_validate_start(quic_validate *v, quic_ns pto_ns, quic_ns now)
{
    quic_validate_init(v);
    v->state = QUIC_VALIDATE_ADDRESS;
    v->pto_ns = pto_ns;
    v->next_ns = now;
    v->deadline_ns = now + QUIC_PATH_TIMEOUT_PTOS * pto_ns;
}

void quic_validate_cancel(quic_validate *v)
{
    v->state = QUIC_VALIDATE_NONE;
    v->deadline_ns = QUIC_NS_NEVER;
    v->next_ns = QUIC_NS_NEVER;
}

static void finish(quic_validate *v, quic_validate_state state)
{
    v->state = (uint8_t)state;
    v->deadline_ns = QUIC_NS_NEVER;
    v->next_ns = QUIC_NS_NEVER;
}

const uint8_t *quic_validate_next(quic_validate *v, const quic_rng *rng)
{
    QURING_ASSERT(quic_validate_is_active(v) && v->sent_count < QUIC_PATH_CHALLENGES_MAX);
    uint8_t *data = v->data[v->sent_count];
    quic_rng_fill(rng, data, QUIC_PATH_CHALLENGE_LEN);
    return data;
}

void quic_validate_on_sent(quic_validate *v, bool full_size, quic_ns now)
{
    QURING_ASSERT(quic_validate_is_active(v) && v->sent_count < QUIC_PATH_CHALLENGES_MAX);
    v->full_size[v->sent_count] = full_size;
    v->sent_count++;
    if (v->sent_count == QUIC_PATH_CHALLENGES_MAX) {
        v->next_ns = QUIC_NS_NEVER;
        return;
    }
    /* RFC 9000 8.2.1: no more often than an Initial would be repeated */
    v->next_ns = now + (v->pto_ns << (v->sent_count - 1));
}

quic_validate_fact quic_validate_on_response(quic_validate *v,
                                             const uint8_t data[QUIC_PATH_CHALLENGE_LEN],
                                             quic_ns now)
{
    for (uint8_t i = 0; i < v->sent_count; i++) {
        if (memcmp(v->data[i], data, QUIC_PATH_CHALLENGE_LEN) != 0) {
            continue;
        }
        if (!quic_validate_is_active(v)) {
            return QUIC_VALIDATE_FACT_NONE;
        }
        if (v->full_size[i]) {
            finish(v, QUIC_VALIDATE_DONE);
            return QUIC_VALIDATE_FACT_DONE;
        }
        if (v->state == QUIC_VALIDATE_SIZE) {
            return QUIC_VALIDATE_FACT_NONE;
        }
        /* RFC 9000 8.2.1: the address is valid and the credit limit gone, so the next one is large */
        quic_ns pto_ns = v->pto_ns;
        quic_validate_start(v, pto_ns, now);
        v->state = QUIC_VALIDATE_SIZE;
        return QUIC_VALIDATE_FACT_ADDRESS;
    }
    return QUIC_VALIDATE_FACT_UNKNOWN;
}

quic_validate_fact quic_validate_on_timeout(quic_validate *v, quic_ns now)
{
    if (!quic_validate_is_active(v) || now < v->deadline_ns) {
        return QUIC_VALIDATE_FACT_NONE;
    }
    finish(v, QUIC_VALIDATE_FAILED);
    return QUIC_VALIDATE_FACT_FAILED;
}
