/* A load balancer in front of two servers: it knows their configuration and nothing else
 * (draft-ietf-quic-load-balancers 4.2, 5.5), and every packet reaches the server of its connection. */
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "quic/path/cid_lb.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr quic_ns kWall = 1790000000ull * kS;

quic_cid_format_config config_of(uint8_t server, uint8_t server_id_len, uint8_t nonce_len,
                                 bool has_key)
{
    quic_cid_format_config c{};
    c.has_lb = true;
    c.lb.config_id = 2;
    c.lb.server_id_len = server_id_len;
    c.lb.nonce_len = nonce_len;
    c.lb.has_key = has_key;
    memset(c.lb.key, 0x5c, sizeof(c.lb.key));
    c.server_id[server_id_len - 1] = server;
    return c;
}

struct Balancer {
    explicit Balancer(const quic_cid_format_config &config)
    {
        EXPECT_EQ(quic_cid_lb_init(&lb, &config.lb), QUIC_OK);
    }
    /* The server a datagram goes to; -1: its connection ID tells nothing. */
    int Route(const Bytes &p) const
    {
        uint8_t id[QUIC_CID_LB_PLAIN_MAX] = {0};
        const bool is_long = (p[0] & 0x80) != 0;
        const uint8_t *cid = p.data() + (is_long ? 6 : 1);
        const size_t len = is_long ? p[5] : p.size() - 1;
        if (quic_cid_lb_decode(&lb, cid, len, id, nullptr) != QUIC_OK) {
            return -1;
        }
        const int server = id[lb.config.server_id_len - 1];
        for (uint8_t i = 0; i + 1 < lb.config.server_id_len; i++) {
            if (id[i] != 0) {
                return -1; /* nobody has that */
            }
        }
        return server == 1 || server == 2 ? server : -1;
    }
    quic_cid_lb lb{};
};

struct Case {
    const char *name;
    uint8_t server_id_len;
    uint8_t nonce_len;
    bool has_key;
    bool retry;
};

class Lb : public testing::TestWithParam<Case>
{
};

TEST_P(Lb, EveryPacketOfAConnectionNamesItsServer)
{
    const Case &c = GetParam();
    const Balancer balancer(config_of(1, c.server_id_len, c.nonce_len, c.has_key));
    for (const uint8_t server : {1, 2}) {
        Net net([&](sim::Options &o) { o.retry = c.retry; });
        net.server_config = [&](quic_endpoint_config &config) {
            config.cids = config_of(server, c.server_id_len, c.nonce_len, c.has_key);
            config.wall_offset_ns = kWall;
        };
        net.restart_server();
        size_t routed = 0;
        size_t first = 0; /* with the client's own connection ID: any server may take it */
        net.filter = [&](Packet &p) {
            if (p.to_server) {
                const int to = balancer.Route(p.bytes);
                if ((p.bytes[0] & 0x80) != 0 && p.bytes[5] == 8 && to != server) {
                    first++;
                } else {
                    EXPECT_EQ(to, server);
                    routed++;
                }
            }
            return true;
        };
        ASSERT_TRUE(net.handshake());
        EXPECT_LE(first, 2u);
        (void)net.write(net.client, std::string(100000, 'a'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
        for (int i = 0; i < 3; i++) { /* on each of the IDs the server has given */
            ASSERT_TRUE(sim_inspect_rotate_cid(net.client.conn));
            net.run_for(kS);
            const uint64_t id = net.write(net.client, "on another one");
            ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        }
        EXPECT_GT(routed, 30u);
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_unknown_cid, 0u);
    }
}

/* RFC 9000 10.3: the reset of a server that has forgotten is one of the server the ID names. */
TEST_P(Lb, ARestartedServerStillResets)
{
    const Case &c = GetParam();
    Net net;
    net.server_config = [&](quic_endpoint_config &config) {
        config.cids = config_of(1, c.server_id_len, c.nonce_len, c.has_key);
        config.wall_offset_ns = kWall;
    };
    net.restart_server();
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.restart_server();
    (void)net.write(net.client, "are you there");
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) > 0; }));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_STATELESS_RESET);
}

INSTANTIATE_TEST_SUITE_P(
    All, Lb,
    testing::Values(Case{"plaintext", 4, 8, false, false}, Case{"retry", 4, 8, false, true},
                    Case{"four_pass", 3, 8, true, false}, Case{"four_pass_retry", 3, 8, true, true},
                    Case{"one_block", 8, 8, true, false}, Case{"longest", 3, 16, true, true},
                    Case{"shortest", 1, 4, false, true}),
    [](const testing::TestParamInfo<Case> &param) { return std::string(param.param.name); });

} // namespace
