/* tests/sim/violations.h: one illegal thing each, and the error that answers it. */
#ifndef TESTS_SIM_VIOLATIONS_H
#define TESTS_SIM_VIOLATIONS_H

#include <cstdint>
#include <vector>

#include "quic/base/types.h"

namespace sim
{

struct Violation {
    const char *name;
    quic_level level;
    bool to_server_only; /* legal, or something else, when a server says it */
    uint32_t flags;      /* INJECT_* */
    uint64_t error;      /* what the victim closes with */
    /* The frames; `first` is a stream of the liar's that was never used, bidirectional. */
    std::vector<uint8_t> (*frames)(bool to_server, uint64_t first_bidi, uint64_t first_uni);
};

const std::vector<Violation> &violations();

/* Varints in their shortest form, one behind the other. */
std::vector<uint8_t> varints(std::initializer_list<uint64_t> values);

} // namespace sim

#endif // TESTS_SIM_VIOLATIONS_H
