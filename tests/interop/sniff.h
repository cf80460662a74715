/* tests/interop/sniff.h: what a network can see of QUIC connections that pass it, without their keys.
 *
 * Shape:  fed with datagrams in the order they pass; counts long headers, addresses and bytes.
 * Spec:   RFC 9000 17.2, 8.1; RFC 8999; RFC 9369 3.2.
 */
#ifndef TESTS_INTEROP_SNIFF_H
#define TESTS_INTEROP_SNIFF_H

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace interop
{

struct Passing {
    const uint8_t *data;
    size_t len;
    bool to_server;
    bool reaches; /* is not dropped on the way */
    uint32_t path;
    uint8_t ecn;
};

class Sniffer
{
  public:
    void on_datagram(const Passing &d);

    /* json gives the facts as the members of one object. */
    std::string json() const;

  private:
    void on_long(const Passing &d, const uint8_t *at, size_t len, size_t *used);
    void count_credit(const Passing &d, bool starts_initial, bool starts_handshake);

    struct Way {
        uint64_t initials = 0;
        uint64_t handshakes = 0;
        uint64_t handshake_bytes = 0; /* of payloads */
        uint64_t zero_rtt_bytes = 0;
        uint64_t one_rtt_bytes = 0;
        uint64_t ecn[4] = {};
        std::set<uint32_t> initial_versions;
        std::set<uint32_t> handshake_versions;
    };
    Way ways_[2];                        /* 0 to the server */
    std::set<std::string> server_scids_; /* of Initials: one per handshake */
    std::set<std::string> retry_tokens_;
    uint64_t retries_ = 0;
    uint64_t retry_answers_ = 0; /* client Initials with such a token */
    uint64_t version_negotiations_ = 0;
    uint32_t paths_ = 0;
    /* The 3x rule, for the one client of a run. */
    bool credit_open_ = true;
    uint64_t credit_in_ = 0;
    uint64_t credit_out_ = 0;
    double credit_worst_ = 0; /* sent / received, highest */
};

} // namespace interop

#endif // TESTS_INTEROP_SNIFF_H
