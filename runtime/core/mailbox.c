#include "runtime/core/mailbox.h"

#include <sched.h>
#include <stdlib.h>

#define CACHE_LINE 64
#define MASK       (RT_MAILBOX_CAP - 1)

_Static_assert((RT_MAILBOX_CAP & MASK) == 0, "a power of two");

/* A cell is free for position p when seq == p, and holds the message of p when seq == p + 1. */
typedef struct mail_cell {
    uint64_t seq; /* atomic */
    rt_mail mail;
} mail_cell;

struct rt_mailbox {
    uint64_t tail __attribute__((aligned(CACHE_LINE))); /* atomic: next position to claim */
    uint32_t pushing;                                   /* atomic: producers inside push */
    uint32_t closed;                                    /* atomic */
    uint64_t head __attribute__((aligned(CACHE_LINE))); /* atomic; only the owner writes */
    mail_cell cells[RT_MAILBOX_CAP] __attribute__((aligned(CACHE_LINE)));
};

rt_mailbox *rt_mailbox_create(void)
{
    rt_mailbox *box = aligned_alloc(CACHE_LINE, sizeof(*box));
    if (box == NULL) {
        return NULL;
    }
    memset(box, 0, sizeof(*box));
    for (uint64_t i = 0; i < RT_MAILBOX_CAP; i++) {
        box->cells[i].seq = i;
    }
    return box;
}

void rt_mailbox_destroy(rt_mailbox *box)
{
    free(box);
}

static quic_rc push(rt_mailbox *box, rt_mail mail)
{
    if (__atomic_load_n(&box->closed, __ATOMIC_SEQ_CST) != 0) {
        return QUIC_E_STATE;
    }
    uint64_t pos = __atomic_load_n(&box->tail, __ATOMIC_RELAXED);
    /* Each round that does not end has seen another producer succeed. */
    for (;;) {
        mail_cell *cell = &box->cells[pos & MASK];
        uint64_t seq = __atomic_load_n(&cell->seq, __ATOMIC_ACQUIRE);
        if (seq == pos) {
            if (__atomic_compare_exchange_n(&box->tail, &pos, pos + 1, true, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED)) {
                cell->mail = mail;
                __atomic_store_n(&cell->seq, pos + 1, __ATOMIC_RELEASE);
                return QUIC_OK;
            }
        } else if (seq < pos) {
            return QUIC_E_AGAIN; /* still holds the message of one round ago */
        } else {
            pos = __atomic_load_n(&box->tail, __ATOMIC_RELAXED);
        }
    }
}

quic_rc rt_mailbox_push(rt_mailbox *box, rt_mail mail)
{
    /* Either close sees this producer, or the producer sees the close. */
    (void)__atomic_fetch_add(&box->pushing, 1, __ATOMIC_SEQ_CST);
    quic_rc rc = push(box, mail);
    (void)__atomic_fetch_sub(&box->pushing, 1, __ATOMIC_SEQ_CST);
    return rc;
}

bool rt_mailbox_pop(rt_mailbox *box, rt_mail *out)
{
    uint64_t pos = __atomic_load_n(&box->head, __ATOMIC_RELAXED);
    mail_cell *cell = &box->cells[pos & MASK];
    if (__atomic_load_n(&cell->seq, __ATOMIC_ACQUIRE) != pos + 1) {
        return false;
    }
    *out = cell->mail;
    __atomic_store_n(&cell->seq, pos + RT_MAILBOX_CAP, __ATOMIC_RELEASE);
    __atomic_store_n(&box->head, pos + 1, __ATOMIC_RELAXED);
    return true;
}

bool rt_mailbox_is_empty(const rt_mailbox *box)
{
    uint64_t pos = __atomic_load_n(&box->head, __ATOMIC_RELAXED);
    return __atomic_load_n(&box->cells[pos & MASK].seq, __ATOMIC_ACQUIRE) != pos + 1;
}

void rt_mailbox_close(rt_mailbox *box)
{
    __atomic_store_n(&box->closed, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&box->pushing, __ATOMIC_SEQ_CST) != 0) {
        (void)sched_yield();
    }
}
