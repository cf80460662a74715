#include <string.h>
#include <unistd.h>

#include "quring/config.h"

#define RT_KIB (1024ull)
#define RT_MIB (1024ull * 1024ull)
#define RT_GIB (1024ull * 1024ull * 1024ull)
#define RT_MS  1000000ull
#define RT_S   1000000000ull

/* ---- a server on the Internet ------------------------------------------------------------------ */

#define RT_DEFAULT_CONNECTIONS_MAX             50000u
#define RT_DEFAULT_HALF_OPEN_MAX               2048u
#define RT_DEFAULT_HALF_OPEN_PER_ADDR_MAX      256u
#define RT_DEFAULT_CONNECTIONS_PER_ADDR_MAX    4096u
#define RT_DEFAULT_INITIALS_PER_S_RETRY        500u
#define RT_DEFAULT_STATELESS_RESETS_PER_S      1000u
#define RT_DEFAULT_STATELESS_RESETS_PER_ADDR_S 10u
#define RT_DEFAULT_VERSION_NEGOTIATIONS_PER_S  1000u

/* Memory of one worker: 40 % of the machine shared by its CPUs, in between these two. */
#define RT_DEFAULT_WORKER_MEM_CAP   (4 * RT_GIB)
#define RT_DEFAULT_WORKER_MEM_FLOOR (256 * RT_MIB)

#define RT_DEFAULT_HANDSHAKE_TIMEOUT (10 * RT_S)
#define RT_DEFAULT_IDLE_TIMEOUT      (30 * RT_S)

#define RT_DEFAULT_NEW_TOKENS         1u
#define RT_DEFAULT_NEW_TOKEN_LIFETIME (24 * 3600 * RT_S)

#define RT_DEFAULT_STREAM_WINDOW     (256 * RT_KIB)
#define RT_DEFAULT_STREAM_WINDOW_MAX (6 * RT_MIB)
#define RT_DEFAULT_CONN_WINDOW       (1 * RT_MIB)
#define RT_DEFAULT_CONN_WINDOW_MAX   (16 * RT_MIB)
#define RT_DEFAULT_STREAM_SEND_BUF   (1 * RT_MIB)
#define RT_DEFAULT_CONN_SEND_BUF     (8 * RT_MIB)
#define RT_DEFAULT_STREAMS           100u
#define RT_DEFAULT_REASSEMBLY_GAPS   256u
#define RT_DEFAULT_CONN_GAPS         1024u
#define RT_DEFAULT_GLITCH_BURST      1000u
#define RT_DEFAULT_GLITCH_PER_S      100u

#define RT_DEFAULT_CRYPTO_BUF      (16u * 1024u)
#define RT_DEFAULT_UNDECRYPTABLE   16u /* a peer may send 10 before it hears of us, RFC 9002 7.2 */
#define RT_DEFAULT_SENT_PACKETS    16384u
#define RT_DEFAULT_ACK_RANGES      64u
#define RT_DEFAULT_CIDS            4u
#define RT_DEFAULT_UDP_PAYLOAD_MAX 1472u /* an IPv4 packet of 1500 bytes */
#define RT_DEFAULT_UDP_PAYLOAD     1200u /* what every path carries, RFC 9000 14.1 */
#define RT_DEFAULT_MTU_PROBE_MAX   1472u /* an IPv4 packet of 1500 bytes */
#define RT_DEFAULT_CWND_MAX        (64 * RT_MIB)
#define RT_DEFAULT_ACK_DELAY       (25 * RT_MS)

/* ---- loopback ---------------------------------------------------------------------------------- */

/* Windows that outlast one scheduling slice of the other side at tens of Gbit/s. Larger ones do not
 * help: bytes that leave the last-level cache before they are read cost more than waiting. */
#define RT_LOOPBACK_HALF_OPEN_MAX     65536u
#define RT_LOOPBACK_STREAM_WINDOW     (2 * RT_MIB)
#define RT_LOOPBACK_STREAM_WINDOW_MAX (16 * RT_MIB)
#define RT_LOOPBACK_CONN_WINDOW       (4 * RT_MIB)
#define RT_LOOPBACK_CONN_WINDOW_MAX   (64 * RT_MIB)
#define RT_LOOPBACK_STREAM_SEND_BUF   (4 * RT_MIB)
#define RT_LOOPBACK_CONN_SEND_BUF     (32 * RT_MIB)
#define RT_LOOPBACK_BURST             262144u /* whole trains: the only queue is the receiver's */
#define RT_LOOPBACK_UDP_PAYLOAD_MAX   65507u  /* what our receive buffers take */

/* ---- configuration ----------------------------------------------------------------------------- */

#define RT_DEFAULT_WORKERS    1u
#define RT_DEFAULT_SOCKET_BUF (4u * 1024u * 1024u)

static uint64_t rt_worker_mem_default(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (pages <= 0 || page_bytes <= 0 || cpus <= 0) {
        return RT_DEFAULT_WORKER_MEM_FLOOR;
    }
    uint64_t ram = (uint64_t)pages * (uint64_t)page_bytes;
    uint64_t share = ram / 10 * 4 / (uint64_t)cpus;
    if (share > RT_DEFAULT_WORKER_MEM_CAP) {
        return RT_DEFAULT_WORKER_MEM_CAP;
    }
    return share < RT_DEFAULT_WORKER_MEM_FLOOR ? RT_DEFAULT_WORKER_MEM_FLOOR : share;
}

void quring_limits_init(quring_limits *limits)
{
    if (limits == NULL) {
        return;
    }
    memset(limits, 0, sizeof(*limits));
    limits->connections_max = RT_DEFAULT_CONNECTIONS_MAX;
    limits->half_open_max = RT_DEFAULT_HALF_OPEN_MAX;
    limits->half_open_per_addr_max = RT_DEFAULT_HALF_OPEN_PER_ADDR_MAX;
    limits->connections_per_addr_max = RT_DEFAULT_CONNECTIONS_PER_ADDR_MAX;
    limits->initials_per_s_retry = RT_DEFAULT_INITIALS_PER_S_RETRY;
    limits->unproved_retry = 0;
    limits->stateless_resets_per_s = RT_DEFAULT_STATELESS_RESETS_PER_S;
    limits->stateless_resets_per_addr_s = RT_DEFAULT_STATELESS_RESETS_PER_ADDR_S;
    limits->version_negotiations_per_s = RT_DEFAULT_VERSION_NEGOTIATIONS_PER_S;
    limits->worker_mem_max_bytes = rt_worker_mem_default();
    limits->conn_mem_max_bytes = 0;
    limits->new_tokens = RT_DEFAULT_NEW_TOKENS;
    limits->new_token_lifetime_ns = RT_DEFAULT_NEW_TOKEN_LIFETIME;

    limits->handshake_timeout_ns = RT_DEFAULT_HANDSHAKE_TIMEOUT;
    limits->idle_timeout_ns = RT_DEFAULT_IDLE_TIMEOUT;
    limits->keep_alive_ns = 0;

    limits->stream_recv_window_bytes = RT_DEFAULT_STREAM_WINDOW;
    limits->stream_recv_window_max_bytes = RT_DEFAULT_STREAM_WINDOW_MAX;
    limits->conn_recv_window_bytes = RT_DEFAULT_CONN_WINDOW;
    limits->conn_recv_window_max_bytes = RT_DEFAULT_CONN_WINDOW_MAX;
    limits->stream_send_buf_bytes = RT_DEFAULT_STREAM_SEND_BUF;
    limits->conn_send_buf_bytes = RT_DEFAULT_CONN_SEND_BUF;
    limits->streams_bidi_max = RT_DEFAULT_STREAMS;
    limits->streams_uni_max = RT_DEFAULT_STREAMS;
    limits->reassembly_gaps_max = RT_DEFAULT_REASSEMBLY_GAPS;
    limits->reassembly_gaps_conn_max = RT_DEFAULT_CONN_GAPS;

    limits->crypto_buf_bytes = RT_DEFAULT_CRYPTO_BUF;
    limits->undecryptable_packets_max = RT_DEFAULT_UNDECRYPTABLE;
    limits->sent_packets_max = RT_DEFAULT_SENT_PACKETS;
    limits->ack_ranges_max = RT_DEFAULT_ACK_RANGES;
    limits->cids_active_max = RT_DEFAULT_CIDS;
    limits->udp_payload_max_bytes = RT_DEFAULT_UDP_PAYLOAD_MAX;
    limits->udp_payload_bytes = RT_DEFAULT_UDP_PAYLOAD;
    limits->mtu_probe_max_bytes = RT_DEFAULT_MTU_PROBE_MAX;
    limits->datagram_max_bytes = 0; /* RFC 9221 3: for applications that use datagrams */
    limits->ecn = true;
    limits->cwnd_max_bytes = RT_DEFAULT_CWND_MAX;
    limits->burst_bytes = 0;
    limits->congestion_control = 0;
    limits->initial_rtt_ns = 0;
    limits->ack_delay_ns = RT_DEFAULT_ACK_DELAY;

    limits->versions = QURING_SPEAKS_V1 | QURING_SPEAKS_V2;
    limits->version_first = 0;
    limits->version_preferred = 0;
    limits->grease_quic_bit = true;
    limits->disable_1rtt_encryption = false;

    limits->trace_packets = 0;

    limits->glitch_burst = RT_DEFAULT_GLITCH_BURST;
    limits->glitch_per_s = RT_DEFAULT_GLITCH_PER_S;
}

void quring_limits_for_loopback(quring_limits *limits)
{
    if (limits == NULL) {
        return;
    }
    limits->half_open_max = RT_LOOPBACK_HALF_OPEN_MAX;
    limits->half_open_per_addr_max = 0;
    limits->connections_per_addr_max = 0;
    limits->initials_per_s_retry = 0;
    limits->stateless_resets_per_s = 0;
    limits->stateless_resets_per_addr_s = 0;
    limits->version_negotiations_per_s = 0;
    limits->stream_recv_window_bytes = RT_LOOPBACK_STREAM_WINDOW;
    limits->stream_recv_window_max_bytes = RT_LOOPBACK_STREAM_WINDOW_MAX;
    limits->conn_recv_window_bytes = RT_LOOPBACK_CONN_WINDOW;
    limits->conn_recv_window_max_bytes = RT_LOOPBACK_CONN_WINDOW_MAX;
    limits->stream_send_buf_bytes = RT_LOOPBACK_STREAM_SEND_BUF;
    limits->conn_send_buf_bytes = RT_LOOPBACK_CONN_SEND_BUF;
    limits->burst_bytes = RT_LOOPBACK_BURST;
    limits->udp_payload_max_bytes = RT_LOOPBACK_UDP_PAYLOAD_MAX;
    limits->glitch_burst = 0;
    limits->ecn = false; /* no queue on the way marks anything */
}

void quring_config_init(quring_config *config)
{
    if (config == NULL) {
        return;
    }
    memset(config, 0, sizeof(*config));
    config->workers = RT_DEFAULT_WORKERS;
    for (size_t i = 0; i < QURING_WORKERS_MAX; i++) {
        config->cpus[i] = -1;
    }
    config->io = QURING_IO_AUTO;
    config->aead = QURING_AEAD_AUTO;
    config->cc = QURING_CC_CUBIC;
    config->gso = true;
    config->gro = true;
    config->pacing = true;
    config->dual_stack = true;
    config->spin_ns = 0;
    config->socket_buf_bytes = RT_DEFAULT_SOCKET_BUF;
    config->client_sockets = 1;
    quring_limits_init(&config->limits);
}
