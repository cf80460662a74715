/* quic/cc/newreno.h: the controller of RFC 9002 7 and appendix B. */
#ifndef QUIC_CC_NEWRENO_H
#define QUIC_CC_NEWRENO_H

#include "quic/cc/cc.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const quic_cc_vtable quic_newreno_vtable;

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_NEWRENO_H */
