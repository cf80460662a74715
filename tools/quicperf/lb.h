/* tools/quicperf/lb.h: a QUIC-LB configuration as typed: CONFIG:SERVERID:NONCELEN[:KEY], where SERVERID and
 * KEY (32 digits) are hexadecimal: "0:0a31:8", "2:01:15:00112233445566778899aabbccddeeff". */
#ifndef TOOLS_QUICPERF_LB_H
#define TOOLS_QUICPERF_LB_H

#include "quring/quring.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_parse_lb fills *out; false, *out untouched, when the text is something else. The library judges
 * whether the figures go together. */
bool qp_parse_lb(quring_lb *out, const char *text);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_LB_H */
