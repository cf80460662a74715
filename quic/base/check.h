/* quic/base/check.h: assertions. QURING_ASSERT guards our own state and stays on in every build;
 * QURING_DASSERT is for costly checks and is on in debug, sanitizer and simulation builds. Neither
 * may depend on what a peer sends or an application passes: those get a status.
 */
#ifndef QUIC_BASE_CHECK_H
#define QUIC_BASE_CHECK_H

#ifdef __cplusplus
extern "C" {
#endif

/* quic_check_failed prints where and what, and aborts. */
__attribute__((noreturn, cold)) void quic_check_failed(const char *file, int line,
                                                       const char *what);

#define QURING_ASSERT(cond)                                                                        \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            quic_check_failed(__FILE__, __LINE__, #cond);                                          \
        }                                                                                          \
    } while (0)

#if defined(QURING_DASSERT_ON) && QURING_DASSERT_ON
#define QURING_DASSERT(cond) QURING_ASSERT(cond)
#else
#define QURING_DASSERT(cond)                                                                       \
    do {                                                                                           \
        (void)sizeof(cond);                                                                        \
    } while (0)
#endif

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_CHECK_H */
