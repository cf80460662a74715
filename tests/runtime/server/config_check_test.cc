#include <cstring>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "quring/config.h"

#include "runtime/server/config_check.h"

namespace
{

struct BadField {
    const char *name;
    std::function<void(quring_config *)> spoil;
};

#define BAD(path, value)                                                                           \
    BadField                                                                                       \
    {                                                                                              \
#path, [](quring_config * c) { c->path = value; }                                          \
    }

/* As C code could: C++ has no cast to a value outside of the enum. */
template <typename Enum> void SetEnum(Enum *out, int value)
{
    static_assert(sizeof(Enum) == sizeof(value), "C enums are ints here");
    memcpy(out, &value, sizeof(value));
}

quring_lb Lb(uint8_t config_id, uint8_t server_id_len, uint8_t nonce_len)
{
    quring_lb lb = {};
    lb.enabled = true;
    lb.config_id = config_id;
    lb.server_id_len = server_id_len;
    lb.nonce_len = nonce_len;
    return lb;
}

TEST(ConfigCheck, DefaultsAreGood)
{
    quring_config config;
    quring_config_init(&config);
    quring_error err;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
    for (const int cpu : config.cpus) {
        EXPECT_EQ(cpu, -1); /* wherever the kernel likes */
    }
    quring_limits_for_loopback(&config.limits);
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
    EXPECT_EQ(quring_config_check(nullptr, &err), QURING_E_INVAL);
    EXPECT_EQ(rt_limits_check(nullptr, nullptr), QURING_E_INVAL);
    EXPECT_GT(config.limits.undecryptable_packets_max, 10u) << "RFC 9002 7.2: all at once";
}

TEST(ConfigCheck, H110_NamesTheBadField)
{
    const BadField cases[] = {
        BAD(workers, 0),
        BAD(workers, QURING_WORKERS_MAX + 1),
        BAD(cpus[0], -2),
        BAD(cpus[0], 1024),
        {"io", [](quring_config *c) { SetEnum(&c->io, 3); }},
        {"io", [](quring_config *c) { SetEnum(&c->io, -1); }},
        {"aead", [](quring_config *c) { SetEnum(&c->aead, 3); }},
        {"cc", [](quring_config *c) { SetEnum(&c->cc, 3); }},
        BAD(spin_ns, 1000000001u),
        BAD(spin_ns, QURING_SPIN_AUTO - 1),
        BAD(socket_buf_bytes, 0),
        BAD(socket_buf_bytes, (1u << 30) + 1),
        BAD(client_sockets, 0),
        BAD(client_sockets, 33),
        BAD(limits.connections_max, 0),
        BAD(limits.half_open_max, 0),
        BAD(limits.worker_mem_max_bytes, 1),
        BAD(limits.conn_mem_max_bytes, 1),
        BAD(limits.handshake_timeout_ns, 0),
        BAD(limits.handshake_timeout_ns, 25ull * 3600 * 1000000000),
        BAD(limits.idle_timeout_ns, 1),
        BAD(limits.keep_alive_ns, 1),
        BAD(limits.stream_recv_window_bytes, 0),
        BAD(limits.stream_recv_window_max_bytes, 1024),
        BAD(limits.conn_recv_window_bytes, 0),
        BAD(limits.conn_recv_window_max_bytes, 1024),
        BAD(limits.stream_send_buf_bytes, 0),
        BAD(limits.conn_send_buf_bytes, 0),
        BAD(limits.streams_bidi_max, (1u << 20) + 1),
        BAD(limits.streams_uni_max, UINT32_MAX),
        BAD(limits.reassembly_gaps_max, 0),
        BAD(limits.reassembly_gaps_conn_max, 0),
        BAD(limits.glitch_burst, 15),
        BAD(limits.crypto_buf_bytes, 4095),
        BAD(limits.undecryptable_packets_max, 1025),
        BAD(limits.sent_packets_max, 1000),
        BAD(limits.versions, 0),
        BAD(limits.versions, 4),
        BAD(limits.version_preferred, 0x1a2a3a4a),
        BAD(limits.sent_packets_max, 0),
        BAD(limits.ack_ranges_max, 1),
        BAD(limits.burst_bytes, 1199),
        BAD(limits.burst_bytes, (1u << 20) + 1),
        BAD(limits.cids_active_max, 1),
        BAD(limits.cids_active_max, 9),
        BAD(limits.udp_payload_max_bytes, 1199),
        BAD(limits.udp_payload_bytes, 1199),
        BAD(limits.udp_payload_bytes, 65508),
        BAD(limits.mtu_probe_max_bytes, 1199),
        BAD(limits.mtu_probe_max_bytes, 65508),
        BAD(limits.stateless_resets_per_addr_s, 65535),
        BAD(limits.new_tokens, 9),
        BAD(limits.trace_packets, (1u << 20) + 1),
        {"lb.config_id", [](quring_config *c) { c->lb = Lb(7, 1, 8); }},
        {"lb.server_id_len", [](quring_config *c) { c->lb = Lb(0, 0, 8); }},
        {"lb.server_id_len", [](quring_config *c) { c->lb = Lb(0, 16, 4); }},
        {"lb.nonce_len", [](quring_config *c) { c->lb = Lb(0, 1, 3); }},
        {"lb.nonce_len", [](quring_config *c) { c->lb = Lb(0, 12, 8); }},
        BAD(limits.new_token_lifetime_ns, 999999999),
        {"previous_root_secret", [](quring_config *c) { c->previous_root_secret[31] = 1; }},
        BAD(limits.cwnd_max_bytes, 2399),
        BAD(limits.ack_delay_ns, 16384ull * 1000000),
    };
    for (const BadField &c : cases) {
        quring_config config;
        quring_config_init(&config);
        c.spoil(&config);
        quring_error err;
        EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL) << c.name;
        EXPECT_EQ(err.status, QURING_E_INVAL);
        EXPECT_EQ(std::string(err.message).rfind(c.name, 0), 0u)
            << c.name << " is not what the message names: " << err.message;
        EXPECT_EQ(quring_config_check(&config, nullptr), QURING_E_INVAL) << c.name;
    }
}

TEST(ConfigCheck, OffIsAllowedWhereItMeansSomething)
{
    quring_config config;
    quring_config_init(&config);
    config.limits.conn_mem_max_bytes = 0;
    config.limits.idle_timeout_ns = 0;
    config.limits.keep_alive_ns = 0;
    config.limits.streams_bidi_max = 0;
    config.limits.streams_uni_max = 0;
    config.limits.initials_per_s_retry = 0;
    config.limits.undecryptable_packets_max = 0;
    config.lb = Lb(6, 15, 4);
    quring_error err;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
}

/* A version that is named must be spoken; one that nobody knows is a way to ask for the server's list. */
TEST(ConfigCheck, VersionsFitTogether)
{
    quring_config config;
    quring_error err;
    quring_config_init(&config);
    config.limits.version_first = 0x1a2a3a4a;
    config.limits.version_preferred = QURING_QUIC_V2;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
    config.limits.versions = QURING_SPEAKS_V1;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
    EXPECT_NE(strstr(err.message, "limits.version_preferred"), nullptr) << err.message;
    config.limits.version_preferred = 0;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
    config.limits.version_first = QURING_QUIC_V2;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
    EXPECT_NE(strstr(err.message, "limits.version_first"), nullptr) << err.message;
    config.limits.versions = QURING_SPEAKS_V2;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_OK) << err.message;
    config.limits.version_first = QURING_QUIC_V1;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
}

TEST(ConfigCheck, OnlyTheWorkersInUseAreLookedAt)
{
    quring_config config;
    quring_config_init(&config);
    config.workers = 2;
    config.cpus[2] = -7;
    EXPECT_EQ(quring_config_check(&config, nullptr), QURING_OK);
    config.workers = 3;
    quring_error err;
    EXPECT_EQ(quring_config_check(&config, &err), QURING_E_INVAL);
    EXPECT_NE(strstr(err.message, "cpus[2]"), nullptr) << err.message;
}

TEST(ConfigDefaults, NullIsIgnored)
{
    quring_config_init(nullptr);
    quring_limits_init(nullptr);
    quring_limits_for_loopback(nullptr);
}

} // namespace
