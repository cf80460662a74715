/* quic/wire/version.h: the versions of QUIC that are spoken here, and sets of them.
 *
 * Shape:  a set is a mask of QUIC_VERSIONS_* bits, so that "which versions are enabled" is one word.
 * Spec:   RFC 9000 15, RFC 9369 3.1.
 */
#ifndef QUIC_WIRE_VERSION_H
#define QUIC_WIRE_VERSION_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_VERSION_2 0x6b3343cfu

enum {
    QUIC_VERSIONS_1 = 1,
    QUIC_VERSIONS_2 = 2,
    QUIC_VERSIONS_ALL = QUIC_VERSIONS_1 | QUIC_VERSIONS_2,
};

/* quic_version_bit gives the set that holds just `version`, empty for one we do not speak. */
static inline uint32_t quic_version_bit(uint32_t version)
{
    return version == QUIC_VERSION_1   ? (uint32_t)QUIC_VERSIONS_1
           : version == QUIC_VERSION_2 ? (uint32_t)QUIC_VERSIONS_2
                                       : 0;
}

/* quic_version_is_reserved: 0x?a?a?a?a, which nobody ever speaks (RFC 9000 15). */
static inline bool quic_version_is_reserved(uint32_t version)
{
    return (version & 0x0f0f0f0fu) == 0x0a0a0a0au;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_VERSION_H */
