#include "compat/core/layout.h"

#include "compat/ops.h"

static const uint8_t qs_draft_opts[] = {
    QS_OPT_EVENT,
    QS_OPT_STREAM_OPEN,
    QS_OPT_STREAM_RESET,
    QS_OPT_STREAM_STOP_SENDING,
    QS_OPT_CONNECTION_CLOSE,
    QS_OPT_CONNECTION_MIGRATION,
    QS_OPT_KEY_UPDATE,
    QS_OPT_TRANSPORT_PARAM,
    QS_OPT_TOKEN,
    QS_OPT_ALPN,
    QS_OPT_SESSION_TICKET,
    QS_OPT_CRYPTO_SECRET,
    QS_OPT_TRANSPORT_PARAM_EXT,
    QS_OPT_RETIRE_CONNECTION_ID,
    QS_OPT_ACTIVE_CONNECTION_ID,
};

static const uint8_t qs_kernel_opts[] = {
    QS_OPT_EVENT,
    QS_OPT_STREAM_OPEN,
    QS_OPT_STREAM_RESET,
    QS_OPT_STREAM_STOP_SENDING,
    QS_OPT_CONNECTION_ID,
    QS_OPT_CONNECTION_CLOSE,
    QS_OPT_CONNECTION_MIGRATION,
    QS_OPT_KEY_UPDATE,
    QS_OPT_TRANSPORT_PARAM,
    QS_OPT_CONFIG,
    QS_OPT_TOKEN,
    QS_OPT_ALPN,
    QS_OPT_SESSION_TICKET,
    QS_OPT_CRYPTO_SECRET,
    QS_OPT_TRANSPORT_PARAM_EXT,
};

/* By our number: the number in the draft's and in the kernel's layout. */
static const uint8_t qs_events[QS_EVENT_COUNT][2] = {
    [QS_EVENT_STREAM_UPDATE] = {1, 1},      [QS_EVENT_STREAM_MAX_STREAM] = {2, 3},
    [QS_EVENT_CONNECTION_CLOSE] = {3, 5},   [QS_EVENT_CONNECTION_MIGRATION] = {4, 6},
    [QS_EVENT_KEY_UPDATE] = {5, 7},         [QS_EVENT_NEW_TOKEN] = {6, 8},
    [QS_EVENT_STREAM_MAX_DATA] = {0, 2},    [QS_EVENT_CONNECTION_ID] = {0, 4},
    [QS_EVENT_NEW_SESSION_TICKET] = {0, 9},
};

qs_opt qs_layout_opt(int protocol, int name)
{
    const bool kernel = protocol == QS_PROTO_KERNEL;
    const uint8_t *table = kernel ? qs_kernel_opts : qs_draft_opts;
    int count = (int)(kernel ? sizeof(qs_kernel_opts) : sizeof(qs_draft_opts));
    return name >= 0 && name < count ? (qs_opt)table[name] : QS_OPT_NONE;
}

uint8_t qs_layout_event(int protocol, qs_event event)
{
    return qs_events[event][protocol == QS_PROTO_KERNEL ? 1 : 0];
}

qs_event qs_layout_event_of(int protocol, uint8_t type)
{
    for (int i = 1; i < QS_EVENT_COUNT && type != 0; i++) {
        if (qs_layout_event(protocol, (qs_event)i) == type) {
            return (qs_event)i;
        }
    }
    return QS_EVENT_NONE;
}
