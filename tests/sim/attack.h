/* tests/sim/attack.h: somebody on or near the path who makes up, repeats and filters datagrams. He has
 * no keys but those of Initial packets, which everybody can derive (RFC 9001 7).
 */
#ifndef TESTS_SIM_ATTACK_H
#define TESTS_SIM_ATTACK_H

#include <vector>

#include "quic/crypto/crypto.h"
#include "tests/sim/link.h"
#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{

/* Addresses of his own are 10.66.x.y; nothing is ever delivered there. */
inline bool is_attackers(const quic_addr &a)
{
    return a.ip[1] == 66;
}

class Attacker
{
  public:
    Attacker(const AttackOptions &options, uint64_t seed, const quic_crypto *crypto)
        : options_(options), rng_(seed), crypto_(crypto)
    {
    }

    /* filters says whether a middlebox on the path takes the datagram out. */
    bool filters(const Datagram &d);

    /* watch sees what an end sends and appends to `out` what he adds to it. `settled`: the handshake of
     * the connection is over at both ends; before that he only does what cannot break it, unless
     * options.early. */
    void watch(const Datagram &d, bool to_server, bool settled, std::vector<Datagram> &out);

    void heal()
    {
        healed_ = true;
    }

  private:
    Datagram forge(const Datagram &seen, bool to_server, bool settled);
    Datagram repeat(bool to_server, bool settled);
    void remember(const Datagram &d, bool to_server);
    quic_addr own_address();
    std::vector<uint8_t> random_bytes(size_t len);
    std::vector<uint8_t> initial_of(const quic_cid &key_cid, const quic_cid &dcid,
                                    const quic_cid &scid, bool from_client,
                                    std::vector<uint8_t> frames);
    std::vector<uint8_t> version_negotiation(const quic_cid &dcid, const quic_cid &scid,
                                             bool deadly);
    std::vector<uint8_t> retry(const quic_cid &dcid, const quic_cid &scid);
    std::vector<uint8_t> reset(const Datagram &seen);
    std::vector<uint8_t> other_version(const quic_cid &dcid);
    quic_cid random_cid();

    AttackOptions options_;
    Rng rng_;
    const quic_crypto *crypto_;
    bool healed_ = false;
    std::vector<Datagram> history_[2]; /* [to the server] */
    size_t history_at_[2] = {0, 0};
    quic_cid client_dcid_{}; /* of the newest connection seen: Initial keys derive from it */
    quic_cid client_scid_{};
};

} // namespace sim

#endif // TESTS_SIM_ATTACK_H
