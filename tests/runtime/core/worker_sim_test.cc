// The real worker loop over the simulated back end: a client and server workers on one thread, under
// a virtual clock, with faults of the network and of the I/O back end.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/tls_script.h"
#include "runtime/io/io_sim.h"
#include "runtime/udp/sockaddr.h"
#include "tests/runtime/core/worker_fixture.h"

namespace
{

constexpr uint16_t kPort = 4433;
constexpr size_t kUploadBytes = 300000;

quic_addr Addr(uint8_t last, uint16_t port)
{
    uint8_t ip[4] = {10, 0, 0, last};
    return rt_addr_from_in4(ip, port);
}

uint8_t ByteAt(uint64_t off)
{
    return (uint8_t)(off * 31 + off / 257);
}

// One worker on the simulated network, and what its application does: a client uploads kUploadBytes
// on one stream and waits for a short answer; a server checks them and answers.
struct Node {
    rt_io *io = nullptr;
    rt_worker *worker = nullptr;
    quic_rng_seeded_state rng = {};
    uint32_t socket = 0;
    bool server = false;
    uint64_t sent = 0;
    std::map<quic_stream *, uint64_t> received;
    std::map<quic_stream *, std::string> answers;
    int connected = 0, closed = 0, uploads_done = 0, answers_done = 0, mismatches = 0;
    quring_close_info close = {};
    size_t upload_bytes = kUploadBytes;
    std::string answer = "done";
    bool holds = false; // uploads nothing by itself
    std::vector<quic_conn *> conns;
    struct Moved {
        uint64_t received, sent; // datagrams, bytes
    };
    std::vector<Moved> *turns = nullptr; // what each turn moved is added here

    static void OnEvent(void *ctx, rt_worker *w, const quic_event *event)
    {
        EXPECT_EQ(rt_worker_self(), w);
        static_cast<Node *>(ctx)->Handle(event);
    }

    void Handle(const quic_event *event)
    {
        switch (event->type) {
        case QURING_EV_CONNECTED:
            connected++;
            conns.push_back(event->conn);
            if (!server && !holds) {
                Begin(event->conn);
            }
            break;
        case QURING_EV_STREAM_WRITABLE:
            if (!server) {
                Upload(event->conn, event->stream);
            }
            break;
        case QURING_EV_STREAM_READABLE:
            Read(event->conn, event->stream);
            break;
        case QURING_EV_CLOSED:
            close = *quic_conn_close_info(event->conn);
            closed++;
            break;
        default:
            break;
        }
    }

    void Begin(quic_conn *conn)
    {
        quic_stream *stream = nullptr;
        ASSERT_EQ(quic_conn_stream_open(conn, false, &stream), QUIC_OK);
        Upload(conn, stream);
    }

    void Upload(quic_conn *conn, quic_stream *stream)
    {
        while (sent < upload_bytes) {
            uint8_t chunk[10000];
            size_t len = std::min(sizeof(chunk), upload_bytes - (size_t)sent);
            for (size_t i = 0; i < len; i++) {
                chunk[i] = ByteAt(sent + i);
            }
            size_t took = 0;
            uint32_t flags = sent + len == upload_bytes ? (uint32_t)QUIC_WRITE_FIN : 0u;
            if (quic_conn_stream_write(conn, stream, chunk, len, flags, &took) != QUIC_OK) {
                return;
            }
            sent += took;
            if (took < len) {
                return;
            }
        }
    }

    void Read(quic_conn *conn, quic_stream *stream)
    {
        quic_span spans[2] = {};
        bool fin = false;
        if (quic_conn_stream_peek(conn, stream, spans, &fin) != QUIC_OK) {
            return;
        }
        for (const quic_span &span : spans) {
            for (size_t i = 0; i < span.len; i++) {
                if (server) {
                    mismatches += span.data[i] != ByteAt(received[stream]++);
                } else {
                    answers[stream] += (char)span.data[i];
                }
            }
        }
        EXPECT_EQ(quic_conn_stream_consume(conn, stream, spans[0].len + spans[1].len), QUIC_OK);
        if (fin && server) {
            uploads_done += received[stream] == upload_bytes;
            received.erase(stream);
            size_t took = 0;
            EXPECT_EQ(quic_conn_stream_write(conn, stream, (const uint8_t *)answer.data(),
                                             answer.size(), QUIC_WRITE_FIN, &took),
                      QUIC_OK);
            EXPECT_EQ(took, answer.size());
        } else if (fin) {
            answers_done += answers[stream] == answer;
            answers.erase(stream);
        }
    }
};

class World
{
  public:
    World(uint64_t seed, uint32_t server_count, bool misrouted) : net_(rt_sim_net_create(seed))
    {
        rt_sim_net_advance(net_, now);
        script_.alpn = "x";
        servers.resize(server_count);
        for (uint32_t i = 0; i < server_count; i++) {
            servers[i] = std::make_unique<Node>();
            servers[i]->server = true;
            Open(*servers[i], i, server_count, seed * 100 + i);
            peers_.push_back(servers[i]->worker);
        }
        for (uint32_t i = 0; i < server_count; i++) {
            // The network steers by the order of bind: reversed, every datagram goes astray.
            Node &node = *servers[misrouted ? server_count - 1 - i : i];
            rt_worker_set_peers(node.worker, peers_.data(), server_count);
            Bind(node, Addr(2, kPort), 1);
            quic_accept_config accept = {};
            accept.tls = quic_tls_script();
            accept.tls_config = &script_;
            quring_limits_init(&accept.limits);
            quring_limits_for_loopback(&accept.limits);
            EXPECT_EQ(quic_endpoint_listen(rt_worker_endpoint(node.worker), node.socket, &accept),
                      QUIC_OK);
        }
        client.server = false;
        Open(client, 0, 1, seed * 100 + 99);
        Bind(client, Addr(1, 1000), 0);
    }

    ~World()
    {
        Close(client);
        for (auto &node : servers) {
            Close(*node);
        }
        rt_sim_net_destroy(net_);
    }

    void SetFaults(const rt_sim_faults &faults)
    {
        rt_sim_net_set_faults(net_, &faults);
    }

    void Connect()
    {
        quic_connect_config config = {};
        config.tls = quic_tls_script();
        config.tls_config = &script_;
        config.server_name = "localhost";
        quring_limits_init(&config.limits);
        quring_limits_for_loopback(&config.limits);
        config.path.local = Addr(1, 1000);
        config.path.remote = Addr(2, kPort);
        config.path.socket = client.socket;
        ASSERT_EQ(quic_endpoint_connect(rt_worker_endpoint(client.worker), &conn, &config, now),
                  QUIC_OK);
    }

    // Turns everyone until `done` or `seconds` of virtual time have passed.
    template <typename Done> bool Run(quic_ns seconds, Done done)
    {
        quic_ns end = now + seconds * QUIC_NS_PER_S;
        for (int steps = 0; steps < 2000000 && now < end; steps++) {
            quic_ns next = Turn(client);
            for (auto &node : servers) {
                next = std::min(next, Turn(*node));
            }
            if (done()) {
                return true;
            }
            next = std::min(next, rt_sim_net_next(net_));
            if (next == QUIC_NS_NEVER) {
                return false;
            }
            now = std::max(next, now + 1); // as long as a turn takes
            rt_sim_net_advance(net_, now);
        }
        return false;
    }

    int ServerSum(int Node::*field) const
    {
        int sum = 0;
        for (const auto &node : servers) {
            sum += (*node).*field;
        }
        return sum;
    }

    uint64_t hash() const
    {
        return rt_sim_net_hash(net_);
    }

    quic_ns now = QUIC_NS_PER_S;
    Node client;
    std::vector<std::unique_ptr<Node>> servers;
    quic_conn *conn = nullptr;

  private:
    void Open(Node &node, uint32_t index, uint32_t count, uint64_t seed)
    {
        rt_worker_config config = WorkerConfig(QURING_IO_AUTO, index, count);
        node.io = rt_io_sim_create(net_, &config.io);
        node.rng.s = seed;
        config.lent_io = node.io;
        config.endpoint.rng = quic_rng_seeded(&node.rng);
        config.hooks.on_event = Node::OnEvent;
        config.hooks.ctx = &node;
        node.worker = rt_worker_create(&config);
        EXPECT_EQ(rt_worker_open(node.worker), 0);
    }

    void Bind(Node &node, const quic_addr &local, uint32_t group)
    {
        rt_udp_socket sock = {};
        sock.fd = -1;
        sock.local = local;
        EXPECT_EQ(rt_worker_add_socket(node.worker, &node.socket, &sock, group), 0);
    }

    void Close(Node &node)
    {
        rt_worker_close(node.worker);
        rt_worker_destroy(node.worker);
        rt_io_destroy(node.io);
    }

    quic_ns Turn(Node &node)
    {
        const quic_counters *c = quic_endpoint_counters(rt_worker_endpoint(node.worker));
        const Node::Moved before = {c->datagrams_recv, c->bytes_sent};
        quic_ns next = rt_worker_turn(node.worker, now);
        if (node.turns != nullptr) {
            node.turns->push_back(
                {c->datagrams_recv - before.received, c->bytes_sent - before.sent});
        }
        (void)rt_io_wait(node.io, now, now);
        return next;
    }

    rt_sim_net *net_;
    quic_tls_script_config script_ = {};
    std::vector<rt_worker *> peers_;
};

rt_sim_faults Delay(quic_ns ns)
{
    rt_sim_faults faults = {};
    faults.delay_min_ns = ns;
    faults.delay_max_ns = ns;
    return faults;
}

void ExpectUpload(World &w, quic_ns seconds)
{
    w.Connect();
    ASSERT_TRUE(w.Run(seconds, [&] { return w.client.answers_done == 1; }))
        << "sent " << w.client.sent << " connected " << w.client.connected << " closed "
        << w.client.closed << " error " << w.client.close.code;
    EXPECT_EQ(w.ServerSum(&Node::uploads_done), 1);
    EXPECT_EQ(w.ServerSum(&Node::mismatches), 0);
    EXPECT_EQ(w.ServerSum(&Node::connected), 1);
}

} // namespace

TEST(WorkerSim, UploadsOverACleanNetwork)
{
    World w(1, 1, false);
    w.SetFaults(Delay(QUIC_NS_PER_MS));
    ExpectUpload(w, 10);
}

TEST(WorkerSim, EqualSeedsGiveEqualTraffic)
{
    uint64_t hashes[2];
    for (uint64_t &hash : hashes) {
        World w(5, 2, false);
        rt_sim_faults faults = Delay(QUIC_NS_PER_MS);
        faults.drop_pm = 20;
        w.SetFaults(faults);
        ExpectUpload(w, 30);
        hash = w.hash();
    }
    EXPECT_EQ(hashes[0], hashes[1]);
}

TEST(WorkerSim, H112_SurvivesFaultsOfNetworkAndBackEnd)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE(seed);
        World w(seed, 3, false);
        rt_sim_faults faults = Delay(QUIC_NS_PER_MS);
        faults.delay_max_ns = 3 * QUIC_NS_PER_MS;
        faults.drop_pm = 20;
        faults.duplicate_pm = 20;
        faults.corrupt_pm = 10;
        faults.completion_pm = 100;
        faults.tx_error_pm = 10;
        faults.gso_refuse_pm = 50;
        faults.rx_nobufs_pm = 50;
        faults.rx_split_pm = 100;
        w.SetFaults(faults);
        ExpectUpload(w, 60);
    }
}

TEST(WorkerSim, H114_MisroutedDatagramsReachTheirOwner)
{
    World w(3, 3, true);
    w.SetFaults(Delay(QUIC_NS_PER_MS));
    // The middle worker is its own mirror image, so try until another one owns the connection.
    ExpectUpload(w, 20);
    uint64_t forwarded = 0;
    for (auto &node : w.servers) {
        quic_counters c;
        rt_worker_stats(node->worker, &c);
        forwarded += c.forwarded;
    }
    EXPECT_TRUE(forwarded > 0 || w.servers[1]->connected == 1);
}

TEST(WorkerSim, StopClosesEveryConnection)
{
    World w(4, 2, false);
    w.SetFaults(Delay(QUIC_NS_PER_MS));
    ExpectUpload(w, 10);
    for (auto &node : w.servers) {
        rt_worker_stop(node->worker, 77, 2 * QUIC_NS_PER_S);
    }
    EXPECT_TRUE(w.Run(5, [&] { return w.client.closed == 1; }));
    EXPECT_EQ(w.client.close.code, 77u);
    EXPECT_TRUE(w.Run(5, [&] {
        for (auto &node : w.servers) {
            if (!rt_worker_is_finished(node->worker)) {
                return false;
            }
        }
        return true;
    }));
}

TEST(WorkerSim, BlackoutEndsInATimeoutAndNothingMoves)
{
    World w(6, 1, false);
    rt_sim_faults faults = Delay(QUIC_NS_PER_MS);
    faults.blackout = true;
    w.SetFaults(faults);
    w.Connect();
    EXPECT_TRUE(w.Run(120, [&] { return w.client.closed == 1; }));
    EXPECT_EQ(w.client.connected, 0);
}

// RFC 9000 10.2: a closing connection stays for three probe timeouts, counted from the close: not from
// when its worker, idle for long, heard of the connection last.
TEST(WorkerSim, ATimerThatClosesAfterALongRestActsAtItsOwnTime)
{
    World w(8, 1, false);
    w.SetFaults(Delay(20 * QUIC_NS_PER_MS));
    ExpectUpload(w, 10);
    rt_task_fn close = [](void *ctx) {
        World *world = static_cast<World *>(ctx);
        EXPECT_EQ(quic_conn_close(world->conn, 5, "bye"), QUIC_OK);
    };
    uint64_t id = 0;
    quic_ns at = w.now + 8 * QUIC_NS_PER_S;
    ASSERT_EQ(rt_worker_timer_add(w.client.worker, &id, at, close, &w), QUIC_OK);
    ASSERT_TRUE(w.Run(20, [&] { return w.client.closed == 1; }));
    EXPECT_GE(w.now, at);
    quic_endpoint *ep = rt_worker_endpoint(w.client.worker);
    EXPECT_EQ(quic_endpoint_conn_count(ep), 1u);
    ASSERT_TRUE(w.Run(5, [&] { return quic_endpoint_conn_count(ep) == 0; }));
    EXPECT_GE(w.now - at, 3 * 40 * QUIC_NS_PER_MS);
}

// Forty clients ask at once for more than a turn could send. As long as a turn leaves requests unread little leaves:
// what waits there would be repeated soon. Then all goes at once.
TEST(WorkerSim, ReadsEverythingBeforeItAnswersAtLength)
{
    constexpr int kConns = 40;
    constexpr uint64_t kBuffers = 16;
    constexpr uint64_t kBehind = 32768;
    constexpr uint64_t kUnit = 16384; // more than a connection's first window
    World w(9, 1, false);
    rt_sim_faults faults = Delay(QUIC_NS_PER_MS);
    faults.rx_split_pm = 1000; // each request in a buffer of its own
    w.SetFaults(faults);
    Node &server = *w.servers[0];
    w.client.holds = true;
    w.client.upload_bytes = server.upload_bytes = 10;
    w.client.answer = server.answer = std::string(30000, 'a');
    for (int i = 0; i < kConns; i++) {
        w.Connect();
    }
    ASSERT_TRUE(w.Run(10, [&] { return server.connected == kConns; }));
    (void)w.Run(1, [] { return false; });
    ASSERT_EQ(w.client.connected, kConns);
    std::vector<Node::Moved> turns;
    server.turns = &turns;
    std::function<void()> ask = [&] {
        for (quic_conn *conn : w.client.conns) {
            w.client.sent = 0;
            w.client.Begin(conn);
        }
    };
    uint64_t id = 0;
    ASSERT_EQ(rt_worker_timer_add(w.client.worker, &id, w.now + QUIC_NS_PER_MS, Call, &ask),
              QUIC_OK);
    ASSERT_TRUE(w.Run(10, [&] { return w.client.answers_done == kConns; }));
    EXPECT_EQ(server.uploads_done, kConns);
    EXPECT_EQ(server.mismatches, 0);

    auto first = std::find_if(turns.begin(), turns.end(), [](auto &t) { return t.received > 0; });
    uint64_t requests = 0;
    uint64_t full = 0;
    for (auto t = first; t != turns.end() && requests < kConns; ++t) {
        EXPECT_LE(t->received, kBuffers);
        requests += t->received;
        if (t->received == kBuffers) {
            full++;
            EXPECT_GT(t->sent, 0u);
            EXPECT_LE(t->sent, kBehind + kUnit);
        } else {
            EXPECT_GT(t->sent, 3 * kBehind); // nothing holds it back any more
        }
    }
    EXPECT_EQ(requests, static_cast<uint64_t>(kConns));
    EXPECT_EQ(full, kConns / kBuffers);
    EXPECT_EQ(quic_endpoint_counters(rt_worker_endpoint(server.worker))->ptos, 0u);
    EXPECT_EQ(quic_endpoint_counters(rt_worker_endpoint(w.client.worker))->ptos, 0u);
}
