/* quring/quring.h: the whole public API. */
#ifndef QURING_QURING_H
#define QURING_QURING_H

#include "quring/base.h"
#include "quring/config.h"
#include "quring/conn.h"
#include "quring/datagram.h"
#include "quring/handshake.h"
#include "quring/impair.h"
#include "quring/limit.h"
#include "quring/runtime.h"
#include "quring/stats.h"
#include "quring/stream.h"
#include "quring/tls_session.h"

#endif /* QURING_QURING_H */
