/* compat/front/lend_call.h: a call that a child asks for, as its lender makes it. */
#ifndef COMPAT_FRONT_LEND_CALL_H
#define COMPAT_FRONT_LEND_CALL_H

#include "compat/front/lend_kin.h"
#include "compat/front/lend_wire.h"
#include "compat/front/table.h"

typedef struct qf_lend_call {
    qf_ask ask;
    qf_body body; /* what was asked, then what is told */
    int fds[QF_WIRE_FDS];
    uint32_t fd_count;
    qf_kin *kin;
    qf_entry *entry; /* NULL: the child has no such socket */
    int out_fd;      /* goes with what is told, and is closed here then; -1: none */
} qf_lend_call;

/* Makes the call and fills in what is told; the body is the answer's then. */
void qf_lend_make(qf_lend_call *call, qf_told *told);
/* The same for accept, which gives out_fd. */
void qf_lend_accepted(qf_lend_call *call, qf_told *told);

#endif /* COMPAT_FRONT_LEND_CALL_H */
