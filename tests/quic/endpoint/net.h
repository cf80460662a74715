/* tests/quic/endpoint/net.h: a server, a client, and a line between them that a test can look into:
 * virtual time, a fixed delay, and a hook that sees, changes or swallows every datagram.
 */
#ifndef TESTS_QUIC_ENDPOINT_NET_H
#define TESTS_QUIC_ENDPOINT_NET_H

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "quic/crypto/anti_replay.h"
#include "quic/crypto/tls.h"
#include "quic/endpoint/endpoint.h"
#include "quic/endpoint/strangers.h"
#include "quic/wire/transport_params.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/options.h"

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kS = QUIC_NS_PER_S;

struct Packet { /* one datagram, or with seg_len several */
    bool to_server = false;
    std::vector<uint8_t> bytes;
    uint8_t ecn = 0;
    bool alone = false;   /* of the unit sent */
    uint32_t seg_len = 0; /* 0: one */
    quic_addr from{};
    quic_addr to{};
    quic_ns sent_ns = 0;
    quic_ns arrive_ns = 0;
};

struct Seen { /* one event */
    quring_event_type type{};
    quic_conn *conn = nullptr;
    uint64_t stream_id = 0;
    uint64_t app_error = 0;
    quring_close_info close{};
};

struct Received {
    std::string bytes;
    bool fin = false;
};

/* One endpoint and what its application was told. Streams are read as soon as they are readable, unless
 * read_streams says otherwise. */
struct Side {
    quic_endpoint *ep = nullptr;
    sim::Alloc alloc;
    quic_rng_seeded_state rng{};
    quic_addr addr{};
    std::vector<Seen> events;
    std::map<uint64_t, Received> streams;
    std::map<uint64_t, std::pair<std::string, size_t>> to_write; /* by stream: bytes, written */
    std::map<uint64_t, quic_stream *> open;
    std::vector<std::string> datagrams; /* DATAGRAM frames, as they were read */
    bool read_datagrams = true;
    bool read_streams = true;
    std::map<uint64_t, quic_stream *>
        unread;                /* by stream: readable ones while read_streams is not set */
    quic_conn *conn = nullptr; /* the last one that got CONNECTED */

    size_t count(quring_event_type type) const;
    const Seen *find(quring_event_type type) const;
    quring_close_kind close_kind() const;
    uint64_t close_code() const;
};

class Net
{
  public:
    explicit Net(const std::function<void(sim::Options &)> &change = nullptr);
    ~Net();

    /* connect makes a client connection; its first flight leaves with the next run. */
    quic_conn *connect(uint16_t port = 5000);
    /* serve makes the server listen (again) with session tickets and, with a gate, 0-RTT; `limits`
     * replace the ones of the options. */
    void serve(const quic_early_gate *gate, const quring_limits *limits = nullptr);
    /* What the next connect starts from; the client's last SESSION event is in last_session. */
    std::string session;
    bool zero_rtt = false;
    uint32_t version_listed = 0;
    std::string last_session;
    /* A first connection to a server with `gate`, for its ticket: the next connect takes it, for 0-RTT. */
    bool take_ticket(const quic_early_gate *gate);
    /* Nothing is known any more of what was sent, seen and read so far. */
    void forget();
    /* Of used NEW_TOKEN tokens: with it the server gives them, from the next serve or restart on. */
    quic_anti_replay *token_register = nullptr;
    quic_strangers strangers{};      /* at the server, with limits.unproved_retry */
    std::string token;               /* of the next connect */
    std::vector<std::string> tokens; /* of the client's TOKEN events */
    /* Changes the server's configuration when it is restarted. */
    std::function<void(quic_endpoint_config &)> server_config;

    /* What the client (or, with serve, the server) sees of its peer's transport parameters goes through
     * this: a peer that lies. Scripted handshakes only. */
    std::function<void(quic_transport_params &)> lie_to_client;
    std::function<void(quic_transport_params &)> lie_to_server;

    /* write queues bytes and the end on a new or open stream of `side`. */
    uint64_t write(Side &side, const std::string &bytes, bool uni = false);

    /* read_unread reads the streams that are in side.unread, of a side with one connection. */
    void read_unread(Side &side);

    /* Whether 50 kB arrive in both directions. */
    bool carries_both_ways(quic_ns limit = 30 * kS);

    void run_for(quic_ns time);
    bool run_until(const std::function<bool()> &done, quic_ns limit = 60 * kS);
    /* offer makes the server listen with preferred addresses (RFC 9000 9.6); port 0: none. Datagrams
     * to them reach it on sockets of their own. */
    void offer(const quic_addr &v4, const quic_addr &v6 = quic_addr{});
    /* migrate asks the client's connection to move to another port or host of its own. */
    quic_rc migrate(uint16_t port, uint8_t host = 2);
    /* The client's address of the other family, for a server that prefers it; family 0: it has none. */
    quic_addr client_other{};
    /* Both ends connected. */
    bool handshake();

    /* inject hands a datagram over at once, as if it came from the other side. */
    void inject(Side &to, const std::vector<uint8_t> &bytes, uint16_t client_port = 5000,
                uint32_t seg_len = 0);
    /* deliver hands over a datagram that was held back, and asks for no events. */
    void deliver(Packet &p);
    /* again makes a datagram that has just left arrive once more, so much later; for filters. */
    void again(const Packet &p, quic_ns later);
    /* restart replaces the server by one with the same root secret and no memory. */
    void restart_server();

    /* In place of what the options say, from the next connect or serve on. */
    const quic_tls_vtable *client_tls = nullptr;
    const void *client_tls_config = nullptr;
    const quic_tls_vtable *server_tls = nullptr;

    Side server;
    Side client;
    sim::Options options;
    quic_ns now = kS;
    quic_ns delay = 10 * kMs;
    /* Sees each datagram when it leaves; false: it is lost. May change bytes. */
    std::function<bool(Packet &)> filter;
    std::vector<Packet> sent; /* everything that left, before the filter */
    uint32_t announced = 0;   /* every other datagram is, before it is delivered */
    bool keep_sent = true;
    uint64_t bytes_to_client = 0;
    uint64_t bytes_to_server = 0;
    uint32_t seg_max = 64;
    uint32_t interface_mtu = 65507; /* a larger datagram does not leave, and its sender is told */

  private:
    void make(Side &side, uint8_t host);
    void turn(Side &side);
    void pull_events(Side &side);
    void on_event(Side &side, const quic_event &ev);
    void read(Side &side, quic_conn *conn, quic_stream *stream);
    void read_datagrams(Side &side, quic_conn *conn);
    void pump(Side &side, uint64_t id);
    void transmit(Side &side, const quic_tx_unit &unit);
    void listen(const quic_early_gate *gate, const quring_limits &limits, bool tickets);
    void queue(Packet p);
    uint32_t socket_of(bool server_side, const quic_addr &local) const;
    quic_ns next_time() const;

    sim::Identity identity_;
    quic_addr preferred_[2] = {};
    std::deque<Packet> line_; /* in order of arrival */
    std::vector<uint8_t> tx_buf_;
};

/* Bytes that tell their place. */
std::string bytes_of(size_t len);
quring_conn_info info_of(const Side &side);

#endif // TESTS_QUIC_ENDPOINT_NET_H
