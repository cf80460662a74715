/* tests/sim/nat.h: address translators between the client hosts and the network: each client host
 * 10.0.0.h is seen as 10.0.g.h with its ports moved up by p times 10000; a rebinding changes p, or both.
 */
#ifndef TESTS_SIM_NAT_H
#define TESTS_SIM_NAT_H

#include <vector>

#include "quic/base/types.h"

namespace sim
{

constexpr uint16_t kNatPortStep = 10000; /* more than there are connections */
constexpr uint8_t kNatPortsMax = 5;

class Nat
{
  public:
    explicit Nat(size_t clients) : states_(clients)
    {
    }

    /* rebind gives the client's host new ports, and another address too with `host`. The old ones lead
     * nowhere from now on, unless `keep_old`. */
    void rebind(uint32_t client, bool host, bool keep_old);
    /* outward changes the source address of what leaves a client. */
    void outward(quic_addr *from) const;
    /* inward changes the destination of what comes for one; false: no mapping, it is lost. */
    bool inward(quic_addr *to) const;

    /* Which client's address it is, in and out; the port a client really uses. */
    static uint32_t client_of(const quic_addr &a)
    {
        return a.ip[3] - 2u;
    }
    static uint16_t inner_port(uint16_t port, uint16_t first)
    {
        return static_cast<uint16_t>(first + (port - first) % kNatPortStep);
    }

  private:
    struct State {
        uint8_t host = 0;
        uint8_t port = 0;
        uint8_t old_host = 0;
        uint8_t old_port = 0;
        bool keep_old = true;
    };
    std::vector<State> states_;
};

} // namespace sim

#endif // TESTS_SIM_NAT_H
