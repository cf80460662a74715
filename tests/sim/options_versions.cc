/* Which versions both sides speak and want, and what goes with them: drawn apart. */
#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{
namespace
{

/* What may be damaged unseen must not decide anything: a list of versions, packets without encryption. */
bool damages(const Options &o)
{
    if (o.attack.forge > 0 || o.attack.replay > 0) {
        return true;
    }
    for (const std::vector<LinkOptions> *links : {&o.up, &o.down}) {
        for (const LinkOptions &l : *links) {
            if (l.corrupt > 0 || l.truncate > 0) {
                return true;
            }
        }
    }
    return false;
}

/* A client's versions and wishes, among which is at least one version of the server's. */
void draw_client_versions(Rng &r, const quring_limits &server, quring_limits *l, bool may_restart)
{
    const uint32_t both = QURING_SPEAKS_V1 | QURING_SPEAKS_V2;
    l->versions = r.chance(0.7) ? both : server.versions;
    const uint32_t wishes[] = {0, QURING_QUIC_V1, QURING_QUIC_V2, 0x1a2a3a4a};
    auto spoken = [](uint32_t version, uint32_t versions) {
        return version == QURING_QUIC_V1   ? (versions & QURING_SPEAKS_V1) != 0
               : version == QURING_QUIC_V2 ? (versions & QURING_SPEAKS_V2) != 0
                                           : version == 0;
    };
    uint32_t preferred = wishes[r.below(3)];
    l->version_preferred = spoken(preferred, l->versions) ? preferred : 0;
    uint32_t first = wishes[r.below(4)];
    if (may_restart) {
        bool known = first == QURING_QUIC_V1 || first == QURING_QUIC_V2;
        l->version_first = !known || spoken(first, l->versions) ? first : 0;
        return;
    }
    /* Only what needs no Version Negotiation packet. */
    const uint32_t common = l->versions & server.versions;
    const uint32_t safe = (common & QURING_SPEAKS_V1) != 0 ? QURING_QUIC_V1 : QURING_QUIC_V2;
    l->version_first = first != 0 && spoken(first, common) ? first : safe;
}

} // namespace

void draw_versions(Options &o)
{
    Rng r(o.seed ^ 0x76657273u);
    const bool damaged = damages(o);
    const bool may_restart = !o.clean && (o.harsh || !damaged);
    const uint32_t served[] = {QURING_SPEAKS_V1 | QURING_SPEAKS_V2, QURING_SPEAKS_V1,
                               QURING_SPEAKS_V2};
    quring_limits &server = o.server.limits;
    server.versions = served[r.chance(0.6) ? 0 : r.range(1, 2)];
    if (server.versions == served[0] && r.chance(0.4)) {
        server.version_preferred = r.chance(0.5) ? QURING_QUIC_V1 : QURING_QUIC_V2;
    }
    server.grease_quic_bit = r.chance(0.6);
    server.disable_1rtt_encryption = !damaged && r.chance(0.2);
    for (HostOptions &h : o.clients) {
        draw_client_versions(r, server, &h.limits, may_restart);
        h.limits.grease_quic_bit = r.chance(0.6);
        h.limits.disable_1rtt_encryption = !damaged && r.chance(0.5);
    }
    o.forge_versions = o.harsh && r.chance(0.1) ? r.log_uniform(0.01, 0.5) : 0;
}

} // namespace sim
