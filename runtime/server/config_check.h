/* runtime/server/config_check.h: the judge of limits that come in through listen and connect. */
#ifndef RUNTIME_SERVER_CONFIG_CHECK_H
#define RUNTIME_SERVER_CONFIG_CHECK_H

#include "quring/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_limits_check returns QURING_OK, or QURING_E_INVAL with "limits.<field> is <value>, allowed are
 * <range>" in err (may be NULL). */
QURING_NODISCARD quring_status rt_limits_check(const quring_limits *limits, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_CONFIG_CHECK_H */
