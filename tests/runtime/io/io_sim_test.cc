#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/io/io_sim.h"
#include "runtime/udp/sockaddr.h"

namespace
{

quic_addr Addr(uint8_t last, uint16_t port)
{
    uint8_t ip[4] = {10, 0, 0, last};
    return rt_addr_from_in4(ip, port);
}

struct World {
    rt_sim_net *net;
    std::vector<rt_io *> ios;
    quic_ns now = 1000;
    rt_io_config config;

    explicit World(uint64_t seed)
    {
        rt_io_config_init(&config);
        net = rt_sim_net_create(seed);
        rt_sim_net_advance(net, now);
    }
    ~World()
    {
        for (rt_io *io : ios) {
            rt_io_destroy(io);
        }
        rt_sim_net_destroy(net);
    }
    rt_io *Add(const quic_addr &local)
    {
        rt_io *io = rt_io_sim_create(net, &config);
        ios.push_back(io);
        rt_udp_socket sock = {};
        sock.fd = -1;
        sock.local = local;
        uint32_t index = 99;
        EXPECT_EQ(rt_io_add_socket(io, &sock, &index), 0);
        EXPECT_EQ(index, 0u);
        return io;
    }
    bool Send(rt_io *io, const quic_addr &to, const std::string &bytes, uint32_t seg_len)
    {
        quic_tx_unit unit;
        if (!rt_io_tx_buf(io, &unit, (uint32_t)bytes.size())) {
            return false;
        }
        memcpy(unit.buf, bytes.data(), bytes.size());
        unit.len = (uint32_t)bytes.size();
        unit.seg_len = seg_len;
        unit.ecn = 1;
        unit.path.remote = to;
        rt_io_tx_submit(io, &unit);
        rt_io_flush(io);
        return true;
    }
    // Everything `io` gets until nothing moves any more; unit lengths in *lens.
    std::string Drain(rt_io *io, std::vector<uint32_t> *lens = nullptr)
    {
        std::string all;
        for (int idle = 0; idle < 20; idle++) {
            rt_io_wait(io, now, now);
            quic_rx_unit unit;
            while (rt_io_next_rx(io, &unit)) {
                all.append((const char *)unit.data, unit.len);
                if (lens != nullptr) {
                    lens->push_back(unit.len);
                }
                idle = 0;
            }
            rt_io_release_rx(io);
            quic_ns next = rt_sim_net_next(net);
            if (next != QUIC_NS_NEVER && next > now) {
                now = next;
                rt_sim_net_advance(net, now);
                idle = 0;
            }
        }
        return all;
    }
};

} // namespace

TEST(IoSim, DeliversAfterTheDelayAndCoalesces)
{
    World w(1);
    rt_sim_faults faults = {};
    faults.delay_min_ns = faults.delay_max_ns = 5000;
    rt_sim_net_set_faults(w.net, &faults);
    rt_io *a = w.Add(Addr(1, 1000));
    rt_io *b = w.Add(Addr(2, 2000));
    std::string train(3 * 1200 + 7, 't');
    ASSERT_TRUE(w.Send(a, Addr(2, 2000), train, 1200));
    EXPECT_EQ(rt_io_wait(b, w.now, w.now), 0u);
    EXPECT_EQ(rt_sim_net_next(w.net), w.now + 5000);
    rt_sim_net_advance(w.net, w.now + 5000);
    EXPECT_EQ(rt_io_wait(b, w.now, w.now), (unsigned)RT_IO_RX);
    EXPECT_EQ(rt_sim_net_next(w.net), 0u);
    quic_rx_unit unit;
    ASSERT_TRUE(rt_io_next_rx(b, &unit));
    EXPECT_EQ(unit.len, train.size());
    EXPECT_EQ(unit.seg_len, 1200u);
    EXPECT_EQ(unit.ecn, 1);
    quic_addr from = Addr(1, 1000);
    EXPECT_TRUE(quic_addr_equal(&unit.path.remote, &from));
    EXPECT_FALSE(rt_io_next_rx(b, &unit));
    rt_io_release_rx(b);
    EXPECT_EQ(rt_sim_net_next(w.net), QUIC_NS_NEVER);
}

TEST(IoSim, EqualSeedsGiveEqualTraffic)
{
    uint64_t hashes[3];
    std::string got[3];
    for (int run = 0; run < 3; run++) {
        World w(run == 2 ? 8 : 7);
        rt_sim_faults faults = {};
        faults.delay_min_ns = 100;
        faults.delay_max_ns = 9000;
        faults.drop_pm = 100;
        faults.duplicate_pm = 100;
        faults.corrupt_pm = 50;
        rt_sim_net_set_faults(w.net, &faults);
        rt_io *a = w.Add(Addr(1, 1));
        rt_io *b = w.Add(Addr(2, 2));
        for (int i = 0; i < 100; i++) {
            ASSERT_TRUE(w.Send(a, Addr(2, 2), std::string(100, (char)i), 50));
        }
        got[run] = w.Drain(b);
        hashes[run] = rt_sim_net_hash(w.net);
        EXPECT_GT(rt_sim_net_dropped_count(w.net), 0u);
        EXPECT_EQ(rt_sim_net_sent_count(w.net), 200u);
    }
    EXPECT_EQ(hashes[0], hashes[1]);
    EXPECT_EQ(got[0], got[1]);
    EXPECT_NE(got[0], got[2]);
}

TEST(IoSim, GroupsAreSteeredByTheConnectionId)
{
    World w(1);
    rt_io *client = w.Add(Addr(9, 9));
    rt_io *group[3] = {w.Add(Addr(2, 2)), w.Add(Addr(2, 2)), w.Add(Addr(2, 2))};
    for (int byte = 0; byte < 30; byte++) {
        const std::string packet = "\x40" + std::string(7, 'x') + (char)byte + "yz";
        ASSERT_TRUE(w.Send(client, Addr(2, 2), packet, 11));
        rt_sim_net_advance(w.net, w.now);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(w.Drain(group[i]).size(), i == byte % 3 ? 11u : 0u);
        }
    }
}

TEST(IoSim, H112_FaultsOfTheBackEnd)
{
    World w(3);
    w.config.tx_slot_count = 1;
    rt_io *a = w.Add(Addr(1, 1));
    rt_io *b = w.Add(Addr(2, 2));
    rt_sim_faults faults = {};
    faults.mtu_bytes = 1400;
    rt_sim_net_set_faults(w.net, &faults);
    ASSERT_TRUE(w.Send(a, Addr(2, 2), std::string(1401, 'x'), 1401));
    rt_io_failure failure;
    ASSERT_TRUE(rt_io_next_failure(a, &failure));
    EXPECT_EQ(failure.len, 1401u);

    faults = {};
    faults.tx_error_pm = 1000;
    rt_sim_net_set_faults(w.net, &faults);
    uint64_t errors = rt_io_get_stats(a)->tx_errors;
    ASSERT_TRUE(w.Send(a, Addr(2, 2), "lost", 4));
    EXPECT_EQ(rt_io_get_stats(a)->tx_errors, errors + 1);

    faults = {};
    faults.completion_pm = 1000;
    faults.delay_max_ns = 500;
    rt_sim_net_set_faults(w.net, &faults);
    ASSERT_TRUE(w.Send(a, Addr(2, 2), std::string(60000, 'x'), 1200));
    EXPECT_FALSE(w.Send(a, Addr(2, 2), std::string(60000, 'x'), 1200)); // the slot is still out
    w.now += 500;
    rt_sim_net_advance(w.net, w.now);
    EXPECT_NE(rt_io_wait(a, w.now, w.now) & RT_IO_TX, 0u);
    EXPECT_TRUE(w.Send(a, Addr(2, 2), std::string(60000, 'x'), 1200));

    faults = {};
    faults.rx_nobufs_pm = 1000;
    rt_sim_net_set_faults(w.net, &faults);
    rt_sim_net_advance(w.net, w.now + 1000);
    w.now += 1000;
    EXPECT_EQ(rt_io_wait(b, w.now, w.now) & RT_IO_RX, 0u);
    quic_rx_unit unit;
    EXPECT_FALSE(rt_io_next_rx(b, &unit));
    EXPECT_GT(rt_io_get_stats(b)->rx_nobufs, 0u);
    faults = {};
    rt_sim_net_set_faults(w.net, &faults);
    EXPECT_EQ(w.Drain(b).size(), 120000u);
}

// A full device in the middle of a train: what is left goes later, in order, and nothing twice.
TEST(IoSim, H115_AFullDeviceTakesAPartAndTheRestInOrder)
{
    World w(4);
    rt_io *a = w.Add(Addr(1, 1));
    rt_io *b = w.Add(Addr(2, 2));
    rt_sim_faults faults = {};
    faults.tx_again_pm = 400;
    rt_sim_net_set_faults(w.net, &faults);
    std::string all;
    for (int i = 0; i < 20; i++) {
        std::string train = std::string(3, (char)('a' + i)) + std::string(2, (char)('A' + i));
        all += train;
        ASSERT_TRUE(w.Send(a, Addr(2, 2), train, 3));
    }
    std::string got;
    for (int i = 0; i < 200 && got.size() < all.size(); i++) {
        w.now += 10;
        rt_sim_net_advance(w.net, w.now);
        rt_io_wait(a, w.now, w.now);
        got += w.Drain(b);
    }
    EXPECT_EQ(got, all);
    EXPECT_GT(rt_io_get_stats(a)->tx_again, 5u);
    EXPECT_EQ(rt_io_sim_tx_in_flight(a), 0u);
}

TEST(IoSim, ASmallReceiveQueueLosesWhatComesTooMuch)
{
    World w(4);
    rt_io *a = w.Add(Addr(1, 1));
    rt_io *b = w.Add(Addr(2, 2));
    rt_sim_faults faults = {};
    faults.rx_queue_max = 2;
    rt_sim_net_set_faults(w.net, &faults);
    ASSERT_TRUE(w.Send(a, Addr(2, 2), "aabbcc", 2));
    rt_sim_net_advance(w.net, w.now);
    EXPECT_EQ(w.Drain(b), "aabb");
    EXPECT_EQ(rt_sim_net_dropped_count(w.net), 1u);
}

TEST(IoSim, BuffersAreBoundedPerTurn)
{
    World w(3);
    w.config.rx_buf_count = 2;
    rt_io *a = w.Add(Addr(1, 1));
    rt_io *b = w.Add(Addr(2, 2));
    rt_sim_faults faults = {};
    faults.rx_split_pm = 1000;
    rt_sim_net_set_faults(w.net, &faults);
    ASSERT_TRUE(w.Send(a, Addr(2, 2), "aabbcc", 2));
    rt_sim_net_advance(w.net, w.now);
    rt_io_wait(b, w.now, w.now);
    quic_rx_unit unit;
    EXPECT_TRUE(rt_io_next_rx(b, &unit));
    EXPECT_TRUE(rt_io_next_rx(b, &unit));
    EXPECT_FALSE(rt_io_next_rx(b, &unit));
    rt_io_release_rx(b);
    EXPECT_TRUE(rt_io_next_rx(b, &unit));
    EXPECT_EQ(std::string((const char *)unit.data, unit.len), "cc");
}

TEST(IoSim, BlackoutAndUnknownAddressesLoseEverything)
{
    World w(3);
    rt_io *a = w.Add(Addr(1, 1));
    rt_io *b = w.Add(Addr(2, 2));
    ASSERT_TRUE(w.Send(a, Addr(3, 2), "x", 1));
    rt_sim_net_advance(w.net, w.now);
    EXPECT_EQ(rt_sim_net_dropped_count(w.net), 1u);
    rt_sim_faults faults = {};
    faults.blackout = true;
    rt_sim_net_set_faults(w.net, &faults);
    ASSERT_TRUE(w.Send(a, Addr(2, 2), "x", 1));
    EXPECT_EQ(w.Drain(b), "");
    EXPECT_EQ(rt_sim_net_dropped_count(w.net), 2u);
}
