/* quic/base/types.h: the words every file of the core uses: results, times, levels, CIDs, addresses.
 *
 * Errors:  the sign says whose problem it is. QUIC_OK is 0; negative QUIC_E_* are ours or "not now";
 *          positive QUIC_V_* mean the peer broke the protocol, the value is the wire code of
 *          RFC 9000 20.1 (0x100 + alert for TLS). Only quic/conn turns one into CONNECTION_CLOSE.
 * Time:    quic_ns, nanoseconds of one monotonic clock, always passed in.
 */
#ifndef QUIC_BASE_TYPES_H
#define QUIC_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QUIC_NODISCARD   __attribute__((warn_unused_result))
#define QUIC_LIKELY(x)   __builtin_expect(!!(x), 1)
#define QUIC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define QUIC_NODISCARD
#define QUIC_LIKELY(x)   (x)
#define QUIC_UNLIKELY(x) (x)
#endif

typedef int quic_rc;
enum {
    QUIC_OK = 0,
    QUIC_E_AGAIN = -1,         /* not now; a later event or timeout changes that */
    QUIC_E_LIMIT = -2,         /* one of our bounds is reached */
    QUIC_E_STATE = -3,         /* the object is closed or in a state that forbids it */
    QUIC_E_DROP = -4,          /* discard the packet or datagram, tell nobody */
    QUIC_E_NOMEM = -5,         /* memory refused */
    QUIC_E_INVAL = -6,         /* the caller's argument is wrong */
    QUIC_E_CRYPTO = -7,        /* the crypto library failed for a reason of its own */
    QUIC_E_TOO_LARGE = -8,     /* no packet carries it now */
    QUIC_E_NOT_SUPPORTED = -9, /* the peer has not offered it */
    QUIC_E_FORBIDDEN = -10,    /* the peer does not allow it */
};
enum { /* RFC 9000 20.1 */
       QUIC_V_INTERNAL_ERROR = 0x01,
       QUIC_V_CONNECTION_REFUSED = 0x02,
       QUIC_V_FLOW_CONTROL = 0x03,
       QUIC_V_STREAM_LIMIT = 0x04,
       QUIC_V_STREAM_STATE = 0x05,
       QUIC_V_FINAL_SIZE = 0x06,
       QUIC_V_FRAME_ENCODING = 0x07,
       QUIC_V_TRANSPORT_PARAMETER = 0x08,
       QUIC_V_CONNECTION_ID_LIMIT = 0x09,
       QUIC_V_PROTOCOL_VIOLATION = 0x0a,
       QUIC_V_INVALID_TOKEN = 0x0b,
       QUIC_V_APPLICATION_ERROR = 0x0c,
       QUIC_V_CRYPTO_BUFFER_EXCEEDED = 0x0d,
       QUIC_V_KEY_UPDATE = 0x0e,
       QUIC_V_AEAD_LIMIT_REACHED = 0x0f,
       QUIC_V_NO_VIABLE_PATH = 0x10,
       QUIC_V_VERSION_NEGOTIATION = 0x11, /* RFC 9368 10.2 */
       QUIC_V_CRYPTO_BASE = 0x100,        /* + TLS alert, RFC 9001 4.8 */
};

typedef uint64_t quic_ns;
#define QUIC_NS_NEVER  UINT64_MAX
#define QUIC_NS_PER_US 1000ull
#define QUIC_NS_PER_MS 1000000ull
#define QUIC_NS_PER_S  1000000000ull

#define QUIC_VARINT_MAX                                                                            \
    ((1ull << 62) - 1) /* RFC 9000 16; also the largest packet number, offset, id */
#define QUIC_VERSION_1       0x00000001u
#define QUIC_CID_LEN_MAX     20u
#define QUIC_RESET_TOKEN_LEN 16u
#define QUIC_AEAD_TAG_LEN    16u
#define QUIC_MIN_INITIAL_LEN 1200u /* RFC 9000 14.1 */

typedef enum quic_role { QUIC_CLIENT = 0, QUIC_SERVER = 1 } quic_role;

/* Encryption levels (RFC 9001 2.1) and packet number spaces (RFC 9000 12.3). */
typedef enum quic_level {
    QUIC_LEVEL_INITIAL = 0,
    QUIC_LEVEL_EARLY = 1,
    QUIC_LEVEL_HANDSHAKE = 2,
    QUIC_LEVEL_APP = 3,
    QUIC_LEVEL_COUNT = 4,
} quic_level;

typedef enum quic_space {
    QUIC_SPACE_INITIAL = 0,
    QUIC_SPACE_HANDSHAKE = 1,
    QUIC_SPACE_APP = 2,
    QUIC_SPACE_COUNT = 3,
} quic_space;

typedef struct quic_cid {
    uint8_t len; /* 0..20 */
    uint8_t bytes[QUIC_CID_LEN_MAX];
} quic_cid;

static inline bool quic_cid_equal(const quic_cid *a, const quic_cid *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static inline bool quic_cid_is(const quic_cid *a, const uint8_t *bytes, size_t len)
{
    return a->len == len && memcmp(a->bytes, bytes, len) == 0;
}

/* quic_cid_set copies `len` (at most 20, the caller checked) bytes. */
static inline void quic_cid_set(quic_cid *cid, const uint8_t *bytes, size_t len)
{
    cid->len = (uint8_t)len;
    memcpy(cid->bytes, bytes, len);
}

/* An address without <sys/socket.h>. IPv4 uses ip[0..3], the rest is 0; never IPv4-mapped. */
typedef struct quic_addr {
    uint8_t ip[16];    /* network order */
    uint16_t port;     /* host order */
    uint8_t family;    /* 0 none, 4, 6 */
    uint8_t pad;       /* 0, so that memcmp compares addresses */
    uint32_t scope_id; /* IPv6 link-local only */
} quic_addr;

static inline bool quic_addr_equal(const quic_addr *a, const quic_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* One way between two endpoints. `local` may have an unspecified ip until a datagram told us. */
typedef struct quic_path_addr {
    quic_addr local;
    quic_addr remote;
    uint32_t socket; /* the runtime's name for the UDP socket */
} quic_path_addr;

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_TYPES_H */
