/* tools/quicperf/units.h: numbers, sizes, times and CPU lists as people type and read them.
 *
 * Sizes:  K, M, G, T stand for powers of 1024 ("1.5M", "64K", "1G"); a trailing "B" or "iB" is fine.
 * Times:  us, ms, s, m (minutes), h; a bare number is seconds ("10s", "250ms", "0.5").
 */
#ifndef TOOLS_QUICPERF_UNITS_H
#define TOOLS_QUICPERF_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QP_NS_PER_S 1000000000ull

/* qp_parse_u64 reads a decimal number and nothing else; qp_parse_size bytes; qp_parse_time
 * nanoseconds. Each returns false, *out untouched, on anything else, including overflow. */
bool qp_parse_u64(uint64_t *out, const char *text);
bool qp_parse_size(uint64_t *out, const char *text);
bool qp_parse_time(uint64_t *out, const char *text);

/* qp_parse_cpus reads "0", "0,2", "1-3,7" into at most `cap` numbers of 0..1023, in the order given.
 * Returns how many, 0 when the text is wrong or holds too many. */
size_t qp_parse_cpus(int32_t *out, size_t cap, const char *text);

/* qp_parse_percent reads "2%" or "0.5" as parts per million, qp_parse_rate "100M" or "1.5Gbit" as bits
 * per second, where K, M, G, T are powers of 1000. Failures as above. */
bool qp_parse_percent(uint64_t *out, const char *text);
bool qp_parse_rate(uint64_t *out, const char *text);

/* qp_format_* write a short text for people into `buf` (32 bytes suffice) and return it:
 * "5.61 Gbit/s", "1.2 MiB", "310 us". */
const char *qp_format_rate(char *buf, size_t cap, double bits_per_s);
const char *qp_format_size(char *buf, size_t cap, double bytes);
const char *qp_format_time(char *buf, size_t cap, double ns);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_UNITS_H */
