/* tests/sim/byzantine.h: one end of a connection that does not keep to the rules: our own core, with its
 * packets rewritten and others added. It either breaks exactly one rule, and the other end must say
 * which; or it is rude in legal ways (and some that are not), and nobody else may suffer.
 */
#ifndef TESTS_SIM_BYZANTINE_H
#define TESTS_SIM_BYZANTINE_H

#include <vector>

#include "quic/conn/conn.h"
#include "quic/wire/frame.h"
#include "tests/sim/options.h"
#include "tests/sim/rng.h"
#include "tests/sim/violations.h"

namespace sim
{

class Byzantine
{
  public:
    Byzantine(const ByzantinePlan &plan, uint64_t seed);

    const ByzantinePlan &plan() const
    {
        return plan_;
    }
    /* NULL for a rude one. */
    const Violation *violation() const
    {
        return violation_;
    }
    /* It has said what it must not say so many times. */
    uint32_t said() const
    {
        return said_;
    }

    /* speak makes one datagram of its own; empty: not now. `early`: what it says before anything else
     * leaves that the handshake has made ready. */
    std::vector<uint8_t> speak(quic_conn *conn, bool early);

    /* rewrite changes a datagram that the core of `conn` sends. */
    void rewrite(quic_conn *conn, std::vector<uint8_t> &datagram);

  private:
    std::vector<uint8_t> break_rule(quic_conn *conn, bool early);
    std::vector<uint8_t> rude_frames(quic_conn *conn);
    std::vector<uint8_t> rewritten(const uint8_t *payload, size_t len);
    bool keeps(const quic_frame &frame);
    void claim(quic_conn *conn);

    ByzantinePlan plan_;
    const Violation *violation_ = nullptr;
    Rng rng_;
    uint32_t said_ = 0;
    bool claimed_ = false;
    uint64_t first_[2] = {0, 0}; /* streams that were never used: bidirectional, one-way */
    uint64_t next_[2] = {0, 0};
    uint64_t end_[2] = {0, 0};
    uint64_t count_ = 0;
};

} // namespace sim

#endif // TESTS_SIM_BYZANTINE_H
