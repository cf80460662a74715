/* runtime/core/mailbox.h: messages for a worker from any thread.
 *
 * Shape:   a bounded ring of RT_MAILBOX_CAP cells, each with a sequence number: many producers claim
 *          cells by compare-and-swap, one consumer empties them in order. No lock.
 * Order:   of one producer is kept. A message accepted is delivered exactly once: closing waits for
 *          producers that are inside rt_mailbox_push.
 */
#ifndef RUNTIME_CORE_MAILBOX_H
#define RUNTIME_CORE_MAILBOX_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_MAILBOX_CAP 4096u

typedef void (*rt_task_fn)(void *ctx);

typedef struct rt_mail {
    rt_task_fn fn;
    void *ctx;
} rt_mail;

typedef struct rt_mailbox rt_mailbox;

/* rt_mailbox_create returns NULL without memory. rt_mailbox_destroy drops what is still inside. */
rt_mailbox *rt_mailbox_create(void);
void rt_mailbox_destroy(rt_mailbox *box);

/* rt_mailbox_push: any thread. QUIC_OK; QUIC_E_AGAIN (full); QUIC_E_STATE (closed). The caller then
 * signals the owner. */
QUIC_NODISCARD quic_rc rt_mailbox_push(rt_mailbox *box, rt_mail mail);

/* rt_mailbox_pop: the owner; false when empty. rt_mailbox_is_empty: the owner, a hint to others. */
bool rt_mailbox_pop(rt_mailbox *box, rt_mail *out);
bool rt_mailbox_is_empty(const rt_mailbox *box);

/* rt_mailbox_close refuses later pushes and returns when no push is under way: what rt_mailbox_pop
 * gives afterwards is all there will ever be. The owner. */
void rt_mailbox_close(rt_mailbox *box);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_MAILBOX_H */
