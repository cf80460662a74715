/* tests/sim/link.h: one direction of the network: what happens to a datagram on its way. */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include <cstdint>
#include <memory>
#include <vector>

#include "quic/base/io.h"
#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{

struct Datagram {
    std::vector<uint8_t> bytes;
    quic_addr from{};
    quic_addr to{};
    uint8_t ecn = 0;
    quic_ns arrive_ns = 0;
};

class Link
{
  public:
    Link(const LinkOptions &options, uint64_t seed) : options_(options), rng_(seed)
    {
    }

    /* carry appends to `out` what arrives of `d`, and when: nothing, or one or more datagrams. */
    void carry(Datagram d, quic_ns now, std::vector<Datagram> &out);

    /* heal ends every fault; delay and rate stay. */
    void heal()
    {
        healed_ = true;
    }
    LinkOptions &options()
    {
        return options_;
    }
    uint64_t sent() const
    {
        return sent_;
    }
    uint64_t lost() const
    {
        return lost_;
    }
    /* Bytes in the queue. */
    uint64_t waiting(quic_ns now) const
    {
        return busy_until_ > now ? (busy_until_ - now) * options_.bytes_per_s / QUIC_NS_PER_S : 0;
    }

  private:
    bool swallow(quic_ns now);
    bool queue_full(size_t len, quic_ns now);
    bool policed(size_t len, quic_ns now);
    void mark(Datagram &d, quic_ns now) const;
    void damage(Datagram &d);
    quic_ns arrival(quic_ns now);
    void remember(const Datagram &d);

    LinkOptions options_;
    Rng rng_;
    bool healed_ = false;
    bool burst_ = false;
    quic_ns busy_until_ = 0;
    double tokens_ = 0;
    quic_ns tokens_ns_ = 0;
    uint64_t sent_ = 0;
    uint64_t lost_ = 0;
    std::vector<Datagram> history_; /* for replays */
    size_t history_at_ = 0;
};

} // namespace sim

#endif // TESTS_SIM_LINK_H
