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

/* RFC 9000 8.1, 9.3.1: before an address is validated it gets at most three times what came from it. A
 * first address is validated by a Handshake packet or an Initial with a token, one that a client moved to
 * by the answer to a challenge that was sent there, wherever the answer comes from (8.2.3), an attacker's
 * never. */
class Amplification
{
  public:
    /* `readable`: payloads can be read (shim provider); otherwise any 1-RTT packet counts as an answer. */
    explicit Amplification(bool readable) : readable_(readable)
    {
    }

    /* A datagram of `len` bytes from `from` reached the server. */
    void on_server_recv(const quic_addr &from, const uint8_t *data, size_t len);
    /* The server sends; false: it may not. */
    bool on_server_send(const quic_addr &to, const uint8_t *data, size_t len);
    /* The server has forgotten everything. */
    void on_server_restart()
    {
        accounts_.clear();
        challenges_.clear();
    }

  private:
    struct Account {
        uint64_t received = 0;
        uint64_t sent = 0;
        bool validated = false;
    };
    bool validates(const uint8_t *data, size_t len) const;

    bool readable_;
    std::map<uint64_t, Account> accounts_;
    std::map<uint64_t, uint64_t> challenges_; /* their data: the account each was sent to */
};

/* What was going on when a connection ended. */
struct EndFacts {
    bool closed_itself = false;
    bool peer_gone = false;   /* the other end closed before, or never knew the connection */
    bool victim = false;      /* a host of it crashed */
    bool secret_lost = false; /* a server has come back without its root secret */
};

/* close_is_acceptable says whether an end may see this close, given the faults of the run. */
bool close_is_acceptable(const Options &o, const quring_close_info &info, const EndFacts &facts);

} // namespace sim

#endif // TESTS_SIM_ORACLE_H
