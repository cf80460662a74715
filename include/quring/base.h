/* quring/base.h: what every public header needs: status codes, handles, addresses, byte views.
 *
 * Threads: everything here is a plain value or a pure function.
 * Units:   bytes, nanoseconds of the monotonic clock, host byte order unless a field says otherwise.
 */
#ifndef QURING_BASE_H
#define QURING_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define QURING_EXPORT    __attribute__((visibility("default")))
#define QURING_NODISCARD __attribute__((warn_unused_result))
#else
#define QURING_EXPORT
#define QURING_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define QURING_VERSION_MAJOR 0
#define QURING_VERSION_MINOR 1
#define QURING_VERSION_PATCH 0

/* quring_status is the result of every public call that can fail: QURING_OK or one of the negative
 * codes below. quring_status_name gives the identifier, quring_status_text one English sentence.
 * What the headers do not say of each call: QURING_E_INVAL for NULL where something is needed and for
 * unknown flags; and out parameters mean something when the call succeeded. */
typedef int quring_status;
enum {
    QURING_OK = 0,
    QURING_E_AGAIN = -1,  /* not now; when again, an event says, or the call's comment */
    QURING_E_INVAL = -2,  /* an argument or a configuration field is out of its range */
    QURING_E_STATE = -3,  /* the object is gone, closed, or in a state that forbids the call */
    QURING_E_LIMIT = -4,  /* a configured bound is reached */
    QURING_E_NOMEM = -5,  /* memory could not be had, or the memory cap is reached */
    QURING_E_THREAD = -6, /* the call belongs on the worker that owns the object; see quring_post */
    QURING_E_OS = -7,     /* the kernel refused; quring_error.os_errno says what it answered */
    QURING_E_ADDR_IN_USE = -8, /* another socket holds the address */
    QURING_E_TLS = -9,         /* certificate, key or TLS configuration cannot be used */
    QURING_E_NOT_SUPPORTED =
        -10, /* this build, machine or peer lacks it (e.g. io_uring asked for, refused) */
    QURING_E_NAME = -11,      /* a host name or address text could not be turned into an address */
    QURING_E_TOO_LARGE = -12, /* more than a packet, or the buffer given, can hold */
    QURING_E_INTERRUPTED = -13, /* a signal handler without SA_RESTART has run meanwhile */
};

QURING_EXPORT const char *quring_status_name(quring_status status);
QURING_EXPORT const char *quring_status_text(quring_status status);

/* quring_error is where calls that can fail for many reasons write one line for a human: what
 * happened and what to do. The caller owns the storage; `message` is always 0-terminated. */
typedef struct quring_error {
    quring_status status;
    int os_errno; /* errno of the failing system call, 0 when there was none */
    char message[1024];
} quring_error;

/* A read-only view of bytes somebody else owns. data may be NULL when len is 0. */
typedef struct quring_bytes {
    const uint8_t *data;
    size_t len;
} quring_bytes;

/* A connection or a stream as the application knows it: an index with a generation. A handle whose
 * object is gone yields QURING_E_STATE from every call on its worker (QURING_E_THREAD elsewhere), never
 * undefined behaviour. It may be copied, and kept by any thread. 0 is no handle. */
typedef struct quring_conn {
    uint64_t handle;
} quring_conn;

typedef struct quring_stream {
    uint64_t handle;
} quring_stream;

/* An IP address and UDP port. IPv4 addresses use ip[0..3]; an IPv4-mapped IPv6 address never
 * appears here, it is turned into its IPv4 form. family 0 means "none". */
typedef struct quring_addr {
    uint8_t family; /* 0, 4 or 6 */
    uint8_t ip[16]; /* network order */
    uint16_t port;  /* host order */
    uint32_t scope_id;
} quring_addr;

/* quring_addr_parse reads "127.0.0.1:4433", "[::1]:4433", "localhost:4433" or the same without the
 * port, which is then `default_port`. Names are resolved with getaddrinfo (blocking).
 *
 * Returns QURING_OK; QURING_E_NAME with err->message set (err may be NULL). */
QURING_EXPORT QURING_NODISCARD quring_status quring_addr_parse(quring_addr *out, const char *text,
                                                               uint16_t default_port,
                                                               quring_error *err);

/* quring_addr_resolve is quring_addr_parse for a name with several addresses: the first `cap` of them in
 * getaddrinfo's order (RFC 6724), *out_count how many. "localhost" is both ::1 and 127.0.0.1 on most
 * machines, and a server often listens on one of them only.
 *
 * Returns QURING_OK (at least one); QURING_E_NAME with err->message set (err may be NULL). */
QURING_EXPORT QURING_NODISCARD quring_status quring_addr_resolve(quring_addr *out, size_t cap,
                                                                 size_t *out_count,
                                                                 const char *text,
                                                                 uint16_t default_port,
                                                                 quring_error *err);

/* quring_addr_format writes `addr` as text ("[::1]:4433") into `buf` and 0-terminates it. 64 bytes
 * always suffice. Returns `buf`. */
QURING_EXPORT const char *quring_addr_format(const quring_addr *addr, char *buf, size_t buf_len);

/* quring_now_ns reads the clock the runtime uses (CLOCK_MONOTONIC). */
QURING_EXPORT uint64_t quring_now_ns(void);

#ifdef __cplusplus
}
#endif

#endif /* QURING_BASE_H */
