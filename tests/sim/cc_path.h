/* tests/sim/cc_path.h: bulk transfers over one simulated line: real endpoints (handshake scripted, packets
 * protected by a stand-in), a drop-tail queue, independent losses, no loss on the way back.
 *
 * Shape:  each flow has a client that sends and a server of its own; all share the line. Virtual time:
 *         the same cell gives the same figures. */
#ifndef TESTS_SIM_CC_PATH_H
#define TESTS_SIM_CC_PATH_H

#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <vector>

#include "quic/base/rng.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/identity.h"
#include "tests/sim/link.h"
#include "tests/sim/options.h"

namespace sim
{

/* A line. */
struct Cell {
    double mbit = 100;
    double rtt_ms = 50;
    double loss = 0;           /* 0..1 */
    bool deep = false;         /* 4 bandwidth-delay products of buffer, else a quarter */
    double buffer = 0;         /* bandwidth-delay products of buffer, if neither will do */
    double mark = 0;           /* CE from so many bandwidth-delay products of queue on; 0: never */
    double police_ms = 0;      /* no queue: a policer with a bucket of so long a time */
    uint64_t recv_window = 0;  /* of the receiver; 0: more than is needed */
    bool tunes_window = false; /* it grows with need */
    std::vector<double> more_rtt_ms{}; /* of flow 0, 1, ..., on top of rtt_ms */
    uint64_t send_buf = 0;             /* of each flow; 0: more than is needed */
    uint32_t datagram = 1452;
    size_t streams = 1; /* of each flow, in turns */

    uint64_t bytes_per_s() const
    {
        return static_cast<uint64_t>(mbit * 125000);
    }
    uint64_t bdp() const;
    uint64_t queue_bytes() const;
};

struct FlowFigures {
    double percent = -1;     /* of the line, of what the application read */
    double srtt_ms = 0;      /* in the end */
    double srtt_mean_ms = 0; /* over the time measured */
    uint64_t cwnd = 0;
    uint64_t received = 0; /* bytes */
};

class CcPath
{
  public:
    static constexpr uint32_t kDatagram = 1452;

    /* One flow for each controller. */
    CcPath(const Cell &cell, const std::vector<quring_cc> &flows);
    ~CcPath();
    /* start opens a flow. */
    void start(size_t flow);
    void run(quic_ns span);
    /* set_rate makes the line slower or faster. */
    void set_rate(double mbit);
    /* set_delay changes the way there: packets overtake others when it becomes shorter. */
    void set_delay(double ms)
    {
        links_[kForth].options().delay_ns = static_cast<quic_ns>(ms * 1e6);
    }
    /* set_interface_mtu: senders are told of larger datagrams, which do not leave. */
    void set_interface_mtu(uint32_t bytes)
    {
        interface_mtu_ = bytes;
    }
    /* say lets a flow write so much and nothing more. */
    void say(size_t flow, size_t bytes);
    /* measure lets `span` go by and tells what each flow made of it. */
    std::vector<FlowFigures> measure(quic_ns span);
    uint64_t packets() const
    {
        return links_[kForth].sent();
    }
    uint64_t lost() const
    {
        return links_[kForth].lost();
    }

  private:
    enum Kind { kArrive, kRx, kTimer };
    enum { kBack, kForth };
    struct Event {
        quic_ns at;
        uint64_t order;
        Kind kind;
        uint32_t host;
        uint32_t slot;
        bool operator<(const Event &o) const
        {
            return at != o.at ? at > o.at : order > o.order;
        }
    };
    struct Host { /* 2 f is the server of flow f and receives, 2 f + 1 its client and sends */
        quic_endpoint *ep = nullptr;
        Alloc alloc;
        quic_rng_seeded_state rng{};
        quic_addr addr{};
        std::deque<uint32_t> inbox;
        bool rx_scheduled = false;
        quic_ns timer_at = QUIC_NS_NEVER;
    };
    struct Flow {
        quic_conn *conn = nullptr;
        std::vector<quic_stream *> streams;
        uint64_t received = 0;
        bool quiet = false;
    };

    quring_limits limits() const;
    void make_host(uint32_t i, quring_cc cc);
    void push(quic_ns at, Kind kind, uint32_t host, uint32_t slot);
    void advance(quic_ns until);
    void receive(uint32_t h);
    void turn(uint32_t h);
    void on_event(Flow &f, const quic_event &ev);
    void open(Flow &f);
    void write(Flow &f, quic_stream *stream);
    void read(Flow &f, quic_conn *conn, quic_stream *stream);
    void transmit(uint32_t h, const quic_tx_unit &unit);

    Cell cell_;
    Options options_;
    Identity identity_;
    std::vector<Host> hosts_;
    std::vector<Flow> flows_;
    std::vector<Link> links_;
    std::priority_queue<Event> queue_;
    std::vector<Datagram> pool_;
    std::vector<uint32_t> pool_free_;
    std::vector<Datagram> carried_;
    std::vector<uint8_t> tx_;
    std::vector<uint8_t> rx_;
    std::vector<uint8_t> chunk_;
    uint32_t interface_mtu_ = UINT32_MAX;
    uint64_t order_ = 0;
    quic_ns rx_wait_ = 0;
    quic_ns now_ = QUIC_NS_PER_S;
};

} // namespace sim

#endif // TESTS_SIM_CC_PATH_H
