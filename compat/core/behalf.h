/* compat/core/behalf.h: calls in the name of other processes (compat/ops.h says what those functions are). */
#ifndef COMPAT_CORE_BEHALF_H
#define COMPAT_CORE_BEHALF_H

#include "compat/core/sock.h"

bool qs_op_impatient(bool on);
void qs_op_only_stream(uint64_t stream_id);
uint64_t qs_op_last_stream(void);
bool qs_op_would_wait(void);

/* Whether the calling thread waits for peers. qs_would_wait: it would have. */
bool qs_may_wait(void);
void qs_would_wait(void);
/* The stream that its recvmsg is to be of, asked once; QS_STREAM_ANY: any. */
uint64_t qs_take_only_stream(void);
/* The stream that its message is of, QS_STREAM_ANY for none. */
void qs_set_last_stream(uint64_t stream_id);

#endif /* COMPAT_CORE_BEHALF_H */
