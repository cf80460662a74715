/* compat/front/engine.h: the engine object, loaded with the first QUIC socket. */
#ifndef COMPAT_FRONT_ENGINE_H
#define COMPAT_FRONT_ENGINE_H

#include "compat/ops.h"

/* qf_engine_load loads it unless that is done; NULL: it cannot be, errno says why, and one line was
 * written to stderr. qf_engine gives what qf_engine_load gave, NULL before. */
const qs_ops *qf_engine_load(void);
const qs_ops *qf_engine(void);
/* In a child after fork. */
void qf_engine_in_child(void);

#endif /* COMPAT_FRONT_ENGINE_H */
