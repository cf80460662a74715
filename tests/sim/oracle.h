/* tests/sim/oracle.h: judges that need nothing from the core but what is on the wire, and the rule
 * which ends of a connection are acceptable under which faults. */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include <cstdint>
#include <map>
#include <string>

#include "quring/conn.h"

#include "quic/base/types.h"
#include "tests/sim/options.h"

namespace sim
{

/* RFC 9000 8.1: before a client's address is validated it gets at most three times what it sent. */
class Amplification
{
  public:
    /* A datagram of `len` bytes from the client at `port` reached the server. */
    void on_server_recv(uint32_t address, const uint8_t *data, size_t len);
    /* The server sends; false: it may not. */
    bool on_server_send(uint32_t address, size_t len);

  private:
    struct Account {
        uint64_t received = 0;
        uint64_t sent = 0;
        bool validated = false;
    };
    std::map<uint32_t, Account> accounts_;
};

/* close_is_acceptable says whether an end may see this close, given the faults of the run. `peer_gone`:
 * the other end closed before or never knew the connection. */
bool close_is_acceptable(const Options &o, const quring_close_info &info, bool closed_itself,
                         bool peer_gone);

} // namespace sim

#endif // TESTS_SIM_ORACLE_H
