#include "runtime/server/config_check.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "quic/base/types.h"
#include "runtime/server/error.h"

#define RT_CPU_MAX            1023 /* CPU_SETSIZE - 1 */
#define RT_SPIN_MAX_NS        1000000000u
#define RT_CLIENT_SOCKETS_MAX 32u /* half of what a worker takes: listeners and moves need some */
#define RT_DAY_NS             (24ull * 3600ull * QUIC_NS_PER_S)
#define RT_TIB                (1ull << 40)

/* One row per field: where it lies, how wide it is, and what it may be. */
typedef struct rt_limit_rule {
    const char *name;
    size_t offset;
    uint8_t bytes; /* 4 or 8 */
    bool zero_ok;  /* 0 is allowed although it is below min: "off" */
    uint64_t min;
    uint64_t max;
} rt_limit_rule;

#define RT_RULE(field, zero_ok, min, max)                                                          \
    {                                                                                              \
#field, offsetof(quring_limits, field), (uint8_t)sizeof(((quring_limits *)0)->field),      \
            zero_ok, min, max                                                                      \
    }

static const rt_limit_rule rt_limit_rules[] = {
    RT_RULE(connections_max, false, 1, 4194304),
    RT_RULE(half_open_max, false, 1, 4194304),
    RT_RULE(half_open_per_addr_max, false, 0, UINT32_MAX),
    RT_RULE(connections_per_addr_max, false, 0, UINT32_MAX),
    RT_RULE(initials_per_s_retry, false, 0, UINT32_MAX),
    RT_RULE(unproved_retry, false, 0, UINT32_MAX),
    RT_RULE(stateless_resets_per_addr_s, false, 0, UINT16_MAX - 1),
    RT_RULE(stateless_resets_per_s, false, 0, UINT32_MAX),
    RT_RULE(version_negotiations_per_s, false, 0, UINT32_MAX),
    RT_RULE(worker_mem_max_bytes, false, 1u << 20, 64 * RT_TIB),
    RT_RULE(conn_mem_max_bytes, true, 64 * 1024, 64 * RT_TIB),
    RT_RULE(new_tokens, false, 0, 8),
    RT_RULE(new_token_lifetime_ns, false, QUIC_NS_PER_S, 365 * RT_DAY_NS),
    RT_RULE(handshake_timeout_ns, false, QUIC_NS_PER_MS, RT_DAY_NS),
    RT_RULE(idle_timeout_ns, true, QUIC_NS_PER_MS, 365 * RT_DAY_NS),
    RT_RULE(keep_alive_ns, true, QUIC_NS_PER_MS, 365 * RT_DAY_NS),
    RT_RULE(stream_recv_window_bytes, false, 1024, RT_TIB),
    RT_RULE(stream_recv_window_max_bytes, false, 1024, RT_TIB),
    RT_RULE(stream_recv_window_local_bytes, true, 1024, RT_TIB),
    RT_RULE(stream_recv_window_uni_bytes, true, 1024, RT_TIB),
    RT_RULE(conn_recv_window_bytes, false, 1024, RT_TIB),
    RT_RULE(conn_recv_window_max_bytes, false, 1024, RT_TIB),
    RT_RULE(stream_send_buf_bytes, false, 1024, RT_TIB),
    RT_RULE(trace_packets, false, 0, 1u << 20),
    RT_RULE(conn_send_buf_bytes, false, 1024, RT_TIB),
    RT_RULE(streams_bidi_max, false, 0, 1u << 20),
    RT_RULE(streams_uni_max, false, 0, 1u << 20),
    RT_RULE(reassembly_gaps_max, false, 1, 65536),
    RT_RULE(reassembly_gaps_conn_max, false, 1, 1u << 20),
    RT_RULE(glitch_burst, true, 16, 1u << 30),
    RT_RULE(glitch_per_s, false, 0, 1u << 30),
    RT_RULE(crypto_buf_bytes, false, 4096, 1u << 20), /* RFC 9000 7.5: at least 4096 */
    RT_RULE(undecryptable_packets_max, false, 0, 1024),
    RT_RULE(sent_packets_max, false, 64, 1u << 20),
    RT_RULE(ack_ranges_max, false, 2, 1024),
    RT_RULE(cids_active_max, false, 2, 8),              /* RFC 9000 18.2: at least 2 */
    RT_RULE(udp_payload_max_bytes, false, 1200, 65527), /* RFC 9000 18.2 */
    RT_RULE(udp_payload_bytes, false, 1200, 65507),     /* RFC 9000 14.1; IPv4's largest */
    RT_RULE(mtu_probe_max_bytes, true, 1200, 65507),
    RT_RULE(datagram_max_bytes, true, 2, 65535),      /* RFC 9221 3: the whole frame */
    RT_RULE(cwnd_max_bytes, false, 2 * 1200, RT_TIB), /* RFC 9002 7.2: two datagrams at least */
    RT_RULE(burst_bytes, true, 1200, 1u << 20),
    RT_RULE(congestion_control, false, 0, 1 + (uint64_t)QURING_CC_BBR),
    RT_RULE(initial_rtt_ns, true, QUIC_NS_PER_MS / 10, 60 * QUIC_NS_PER_S),
    RT_RULE(versions, false, 1, QURING_SPEAKS_V1 | QURING_SPEAKS_V2),
    RT_RULE(ack_delay_ns, false, 0, 16383 * QUIC_NS_PER_MS), /* RFC 9000 18.2: below 2^14 ms */
};

static uint64_t rt_limit_value(const quring_limits *limits, const rt_limit_rule *rule)
{
    const unsigned char *at = (const unsigned char *)limits + rule->offset;
    uint64_t wide;
    uint32_t narrow;
    if (rule->bytes == sizeof(wide)) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
}

static quring_status rt_limit_at_least(quring_error *err, const char *name, uint64_t value,
                                       const char *other, uint64_t floor)
{
    if (value >= floor) {
        return QURING_OK;
    }
    return rt_error_set(err, QURING_E_INVAL,
                        "limits.%s is %" PRIu64 ", it must be at least limits.%s (%" PRIu64 ")",
                        name, value, other, floor);
}

/* A version by its number: one that is known has to be spoken. */
static bool rt_version_is_off(const quring_limits *limits, uint32_t version)
{
    return (version == QURING_QUIC_V1 && (limits->versions & QURING_SPEAKS_V1) == 0) ||
           (version == QURING_QUIC_V2 && (limits->versions & QURING_SPEAKS_V2) == 0);
}

static quring_status rt_limits_check_versions(const quring_limits *limits, quring_error *err)
{
    if (rt_version_is_off(limits, limits->version_first)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "limits.version_first is 0x%x, which limits.versions leaves out",
                            (unsigned)limits->version_first);
    }
    const bool known = limits->version_preferred == 0 ||
                       limits->version_preferred == QURING_QUIC_V1 ||
                       limits->version_preferred == QURING_QUIC_V2;
    if (!known || rt_version_is_off(limits, limits->version_preferred)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "limits.version_preferred is 0x%x, allowed are 0 and what "
                            "limits.versions has of 0x1 and 0x6b3343cf",
                            (unsigned)limits->version_preferred);
    }
    return QURING_OK;
}

quring_status rt_limits_check(const quring_limits *limits, quring_error *err)
{
    rt_error_clear(err);
    if (limits == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "limits is NULL");
    }
    for (size_t i = 0; i < sizeof(rt_limit_rules) / sizeof(rt_limit_rules[0]); i++) {
        const rt_limit_rule *rule = &rt_limit_rules[i];
        uint64_t value = rt_limit_value(limits, rule);
        if ((rule->zero_ok && value == 0) || (value >= rule->min && value <= rule->max)) {
            continue;
        }
        return rt_error_set(err, QURING_E_INVAL,
                            "limits.%s is %" PRIu64 ", allowed are %s%" PRIu64 "..%" PRIu64,
                            rule->name, value, rule->zero_ok ? "0 and " : "", rule->min, rule->max);
    }
    if ((limits->sent_packets_max & (limits->sent_packets_max - 1)) != 0) {
        return rt_error_set(err, QURING_E_INVAL,
                            "limits.sent_packets_max is %u, allowed are powers of two, 64..1048576",
                            (unsigned)limits->sent_packets_max);
    }
    const uint64_t window_max = limits->stream_recv_window_max_bytes;
    quring_status status =
        rt_limit_at_least(err, "stream_recv_window_max_bytes", window_max,
                          "stream_recv_window_bytes", limits->stream_recv_window_bytes);
    if (status == QURING_OK) {
        status = rt_limit_at_least(err, "stream_recv_window_max_bytes", window_max,
                                   "stream_recv_window_local_bytes",
                                   limits->stream_recv_window_local_bytes);
    }
    if (status == QURING_OK) {
        status =
            rt_limit_at_least(err, "stream_recv_window_max_bytes", window_max,
                              "stream_recv_window_uni_bytes", limits->stream_recv_window_uni_bytes);
    }
    if (status != QURING_OK) {
        return status;
    }
    status =
        rt_limit_at_least(err, "conn_recv_window_max_bytes", limits->conn_recv_window_max_bytes,
                          "conn_recv_window_bytes", limits->conn_recv_window_bytes);
    if (status != QURING_OK) {
        return status;
    }
    status = rt_limits_check_versions(limits, err);
    if (status != QURING_OK) {
        return status;
    }
    /* RFC 9002 7.2: the smallest window is two datagrams of the size in use. */
    return rt_limit_at_least(err, "cwnd_max_bytes", limits->cwnd_max_bytes, "udp_payload_bytes x 2",
                             2ull * limits->udp_payload_bytes);
}

static quring_status rt_config_check_enums(const quring_config *config, quring_error *err)
{
    int io = (int)config->io;
    int aead = (int)config->aead;
    int cc = (int)config->cc;
    if (io < QURING_IO_AUTO || io > QURING_IO_EPOLL) {
        return rt_error_set(err, QURING_E_INVAL,
                            "io is %d, allowed are QURING_IO_AUTO, QURING_IO_URING, "
                            "QURING_IO_EPOLL (0..2)",
                            io);
    }
    if (aead < QURING_AEAD_AUTO || aead > QURING_AEAD_IPSEC_MB) {
        return rt_error_set(err, QURING_E_INVAL,
                            "aead is %d, allowed are QURING_AEAD_AUTO, QURING_AEAD_BORINGSSL, "
                            "QURING_AEAD_IPSEC_MB (0..2)",
                            aead);
    }
    if (cc < QURING_CC_CUBIC || cc > QURING_CC_BBR) {
        return rt_error_set(err, QURING_E_INVAL,
                            "cc is %d, allowed are QURING_CC_CUBIC, QURING_CC_NEWRENO, "
                            "QURING_CC_BBR (0..2)",
                            cc);
    }
    return QURING_OK;
}

static quring_status rt_config_check_lb(const quring_lb *lb, quring_error *err)
{
    if (!lb->enabled) {
        return QURING_OK;
    }
    if (lb->config_id > 6) {
        return rt_error_set(err, QURING_E_INVAL, "lb.config_id is %u, allowed are 0..6",
                            (unsigned)lb->config_id);
    }
    if (lb->server_id_len < 1 || lb->server_id_len > sizeof(lb->server_id)) {
        return rt_error_set(err, QURING_E_INVAL, "lb.server_id_len is %u, allowed are 1..15",
                            (unsigned)lb->server_id_len);
    }
    if (lb->nonce_len < 4 || lb->server_id_len + lb->nonce_len > 19) {
        return rt_error_set(err, QURING_E_INVAL, "lb.nonce_len is %u, allowed are 4..%u",
                            (unsigned)lb->nonce_len, 19u - lb->server_id_len);
    }
    return QURING_OK;
}

quring_status quring_config_check(const quring_config *config, quring_error *err)
{
    static const uint8_t zero[sizeof(config->root_secret)];
    rt_error_clear(err);
    if (config == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "config is NULL");
    }
    if (config->workers < 1 || config->workers > QURING_WORKERS_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "workers is %u, allowed are 1..%d",
                            (unsigned)config->workers, QURING_WORKERS_MAX);
    }
    for (uint32_t i = 0; i < config->workers; i++) {
        if (config->cpus[i] < -1 || config->cpus[i] > RT_CPU_MAX) {
            return rt_error_set(err, QURING_E_INVAL,
                                "cpus[%u] is %d, allowed are -1 (not pinned) and 0..%d",
                                (unsigned)i, (int)config->cpus[i], RT_CPU_MAX);
        }
    }
    quring_status status = rt_config_check_enums(config, err);
    if (status != QURING_OK) {
        return status;
    }
    if (config->spin_ns > RT_SPIN_MAX_NS && config->spin_ns != QURING_SPIN_AUTO) {
        return rt_error_set(err, QURING_E_INVAL,
                            "spin_ns is %u, allowed are 0..%u and QURING_SPIN_AUTO",
                            (unsigned)config->spin_ns, RT_SPIN_MAX_NS);
    }
    if (config->socket_buf_bytes < 4096 || config->socket_buf_bytes > (1u << 30)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "socket_buf_bytes is %u, allowed are 4096..1073741824",
                            (unsigned)config->socket_buf_bytes);
    }
    if (config->client_sockets < 1 || config->client_sockets > RT_CLIENT_SOCKETS_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "client_sockets is %u, allowed are 1..%u",
                            (unsigned)config->client_sockets, RT_CLIENT_SOCKETS_MAX);
    }
    if (memcmp(config->root_secret, zero, sizeof(zero)) == 0 &&
        memcmp(config->previous_root_secret, zero, sizeof(zero)) != 0) {
        return rt_error_set(err, QURING_E_INVAL,
                            "previous_root_secret is set without a root_secret after it");
    }
    status = rt_config_check_lb(&config->lb, err);
    return status == QURING_OK ? rt_limits_check(&config->limits, err) : status;
}
