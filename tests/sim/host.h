/* tests/sim/host.h: a machine: one address, its workers' endpoints, its allocator and inbox. */
#ifndef TESTS_SIM_HOST_H
#define TESTS_SIM_HOST_H

#include <deque>
#include <vector>

#include "quic/base/rng.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/alloc.h"
#include "tests/sim/link.h"
#include "tests/sim/options.h"

namespace sim
{

struct Worker {
    quic_endpoint *ep = nullptr;
    Alloc alloc;
    quic_rng_seeded_state rng{};
};

struct Host {
    uint32_t index = 0;
    HostOptions options;
    quic_addr addr{};
    std::vector<std::unique_ptr<Worker>> workers;
    std::deque<Datagram> inbox;
    bool rx_scheduled = false;
    quic_ns timer_at = QUIC_NS_NEVER; /* of the timer event that is under way */
    uint64_t turns = 0;
    bool in_turn = false;
    quic_ns down_until = 0; /* after a crash */
    uint8_t secret = 0;     /* its root secret: another one, another number */
    uint64_t last_conn = 0;
    quic_path_addr last_path{}; /* of the last unit it sent, and the length of a datagram in it */
    uint32_t last_len = 0;

    bool is_server() const
    {
        return index == 0;
    }
    /* The first moment from `at` on at which the host does not stand still. */
    quic_ns awake(quic_ns at) const
    {
        for (const auto &p : options.pauses) {
            if (at >= p.first && at < p.second) {
                return p.second;
            }
        }
        return at;
    }
};

} // namespace sim

#endif // TESTS_SIM_HOST_H
