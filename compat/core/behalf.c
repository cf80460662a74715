/* What a thread that calls in the name of other processes has beside the arguments (compat/front/lend.h). */
#include "compat/core/behalf.h"

static _Thread_local struct {
    bool is_impatient;
    bool would_wait;
    bool has_only;
    uint64_t only;
    bool has_last;
    uint64_t last;
} qs_behalf;

bool qs_op_impatient(bool on)
{
    const bool was = qs_behalf.is_impatient;
    qs_behalf.is_impatient = on;
    return was;
}

bool qs_may_wait(void)
{
    return !qs_behalf.is_impatient;
}

void qs_would_wait(void)
{
    qs_behalf.would_wait = true;
}

bool qs_op_would_wait(void)
{
    bool would = qs_behalf.would_wait;
    qs_behalf.would_wait = false;
    return would;
}

void qs_op_only_stream(uint64_t stream_id)
{
    qs_behalf.only = stream_id;
    qs_behalf.has_only = stream_id != QS_STREAM_ANY;
}

uint64_t qs_take_only_stream(void)
{
    uint64_t only = qs_behalf.has_only ? qs_behalf.only : QS_STREAM_ANY;
    qs_behalf.has_only = false;
    return only;
}

void qs_set_last_stream(uint64_t stream_id)
{
    qs_behalf.last = stream_id;
    qs_behalf.has_last = stream_id != QS_STREAM_ANY;
}

uint64_t qs_op_last_stream(void)
{
    return qs_behalf.has_last ? qs_behalf.last : QS_STREAM_ANY;
}
