/* tests/sim/options.h: everything one run depends on, drawn from its seed ("swarm": each fault and
 * each feature is present in some seeds only, rates are log-uniform). */
#ifndef TESTS_SIM_OPTIONS_H
#define TESTS_SIM_OPTIONS_H

#include <cstdint>
#include <string>
#include <vector>

#include "quring/config.h"

#include "quic/base/types.h"
#include "quic/crypto/crypto.h"

namespace sim
{

enum class Tls { kScript, kBoring };

/* What connections make of the tickets of earlier ones. */
enum class Resume { kNever, kResume, kEarly, kEarlyRefused };

/* One direction of the network between a client host and the server. */
struct LinkOptions {
    quic_ns delay_ns = 5 * QUIC_NS_PER_MS;
    quic_ns jitter_ns = 0;    /* uniform, reorders */
    double loss = 0;          /* independent */
    double burst_enter = 0;   /* Gilbert-Elliott: good -> bad, per datagram */
    double burst_leave = 0.3; /* bad -> good; everything is lost while bad */
    double duplicate = 0;
    double corrupt = 0;
    uint32_t corrupt_bits = 1;
    double truncate = 0;
    double replay = 0;         /* an earlier datagram comes again */
    double ecn_mark = 0;       /* arrives with a random ECN codepoint */
    uint64_t bytes_per_s = 0;  /* 0: unlimited */
    uint64_t queue_bytes = 0;  /* drop-tail, with bytes_per_s */
    uint64_t mark_bytes = 0;   /* ECT that finds so much waiting: CE */
    uint64_t police_bytes = 0; /* no queue: a bucket of so much, filled with bytes_per_s */
    std::vector<std::pair<quic_ns, quic_ns>> blackouts; /* from, to */
    uint32_t mtu_bytes = 0;                             /* larger ones vanish; 0: no limit */
    quic_ns mtu_from_ns = 0;                            /* from this moment on */
    uint64_t drop_every = 0;                            /* every k-th datagram; 0: none */
    uint64_t drop_until = UINT64_MAX;                   /* of the first so many datagrams */
};

struct HostOptions {
    quring_limits limits{};
    quring_cc cc = QURING_CC_CUBIC;
    bool pacing = true;
    uint32_t seg_max = 64; /* datagrams in one send */
    uint32_t tx_cap = 65507;
    quic_ns rx_wait_ns = 0;        /* datagrams gather this long, like behind a busy loop */
    uint32_t gro_max = 1;          /* datagrams merged into one unit */
    bool pull_each = true;         /* pull after each unit, or once per batch */
    quic_ns late_wake_ns = 0;      /* timers fire up to this much late */
    uint64_t alloc_fail_at = 0;    /* the k-th allocation after start fails; 0: none */
    uint64_t alloc_fail_count = 1; /* and so many from there on */
    std::vector<std::pair<quic_ns, quic_ns>> pauses; /* the host stands still */
};

/* What somebody who can see and send datagrams does until the network heals: attack.h. */
struct AttackOptions {
    double forge = 0;        /* per datagram seen: something made up comes along */
    double replay = 0;       /* per datagram seen: an earlier one comes from another address */
    bool on_path = false;    /* he uses the connection IDs he has seen */
    bool early = false;      /* also what breaks a handshake, as nobody can prevent */
    double too_big = 0;      /* per turn of a host: it is told that a datagram was too big */
    double filter = 0;       /* a middlebox drops datagrams ... */
    uint8_t filter_mask = 0; /* ... whose first byte has these bits ... */
    uint8_t filter_value = 0;
    bool filter_versions = false; /* ... or whose version it does not know */
};

/* A NAT gives a client's host another port, and perhaps another address. */
struct RebindPlan {
    uint32_t client = 0;
    quic_ns at_ns = 0;
    bool host = false;
    bool keep_old = false; /* what is sent to the old address still arrives */
};

/* All connections of a host are gone without a word; it is back after a while. */
struct CrashPlan {
    uint32_t host = 0; /* 0: the server; else a client + 1 */
    quic_ns at_ns = 0;
    quic_ns down_ns = 0;
    bool keep_secret = true; /* with the root secret it had */
};

/* What one end makes of a stream's urgency. */
struct PriorityPlan {
    int urgency = -1; /* -1: as it begins */
    bool incremental = true;
    int64_t change_at = -1; /* after so many bytes written it has another; -1: never */
    uint32_t then = 0;
};

struct StreamPlan {
    bool by_server = false;
    bool uni = false;
    uint64_t size[2] = {0, 0};      /* [0] opener to peer, [1] back */
    int64_t reset_at[2] = {-1, -1}; /* the sender gives up after so many bytes */
    uint64_t reliable[2] = {0, 0};  /* of these, so many arrive nonetheless; at most reset_at */
    int64_t stop_at[2] = {-1, -1};  /* the receiver says STOP_SENDING after so many */
    uint32_t write_max = 16384;
    uint32_t read_max = 65536;
    quic_ns read_pause_ns = 0; /* slow reader */
    bool lend = false;
    bool respond = false;  /* the way back begins when the request was read */
    bool late_fin = false; /* the end is written alone */
    PriorityPlan priority[2];
};

/* What a rude peer adds to its packets. */
enum class Rude : uint8_t {
    kOnlyRewrites,
    kPings,
    kPadding,
    kFragments,     /* one byte of a stream, one byte missing */
    kOpenReset,     /* streams opened and reset, as many as are allowed */
    kStopAll,       /* STOP_SENDING for every stream */
    kTrickle,       /* credit that never grows, BLOCKED frames */
    kChallenges,    /* PATH_CHALLENGE */
    kConnectionIds, /* NEW_CONNECTION_ID, each retiring those before */
    kAcks,          /* the same acknowledgement again and again */
    kNoise,         /* frames that are none */
};
constexpr uint64_t kRudeCount = 11;

/* One end breaks one rule, or is rude: byzantine.h. */
struct ByzantinePlan {
    bool is_on = false;
    bool by_server = false;
    int violation = -1; /* which of violations(), modulo their number; -1: rude */
    quic_ns every_ns = 10 * QUIC_NS_PER_MS;
    uint32_t burst = 1; /* datagrams each time */
    uint32_t count = 0; /* times, at most */
    Rude rude = Rude::kOnlyRewrites;
    bool no_acks = false;
    bool tiny_acks = false;
    bool no_credit = false;
    bool shuffle = false;
    double drop = 0;   /* frames left out */
    double repeat = 0; /* frames sent twice in a packet */

    bool rewrites() const
    {
        return no_acks || tiny_acks || no_credit || shuffle || drop > 0 || repeat > 0;
    }
};

struct ConnPlan {
    uint64_t seed = 0;
    uint32_t client = 0;
    quic_ns start_ns = 0;
    std::vector<StreamPlan> streams;
    uint32_t concurrency = 8;
    quic_ns close_ns = 0;  /* closes at this moment whatever goes on; 0: when all is done */
    bool stay = false;     /* only close_ns ends it */
    quic_ns linger_ns = 0; /* idle time between done and close */
    quic_ns ping_every_ns = 0;
    bool close_by_server = false;
    bool never_close = false; /* the idle timeout ends it */
    uint64_t close_code = 0;
    uint32_t datagrams[2] = {0, 0}; /* [0] the client's, [1] the server's */
    uint32_t datagram_bytes_max = 0;
    quic_ns datagram_every_ns = 0;
    quic_ns datagram_ttl_ns = 0;
    uint32_t key_updates = 0; /* asked for while it runs */
    uint32_t cid_rotations = 0;
    uint32_t migrations = 0; /* moves of the client on its own account */
    ByzantinePlan byzantine;
};

struct Options {
    uint64_t seed = 0;
    Tls tls = Tls::kScript;
    uint32_t workers = 1;
    bool retry = false;
    bool tokens = false; /* the server gives NEW_TOKEN tokens, clients show them */
    uint8_t lb = 0;      /* QUIC-LB connection IDs of 8 octets: 0 none, 1 plaintext, 2 encrypted */
    Resume resume = Resume::kNever;
    uint8_t preferred = 0;     /* family of the server's preferred address; 0: none */
    bool shared_ports = false; /* all connections of a client use one port */
    uint32_t client_hello_len = 0;
    uint32_t server_flight_len = 0;
    uint32_t ticket_len = 0;
    uint16_t suite = 0;
    uint64_t seal_limit =
        0; /* packets per key, instead of the suite's; script only; 0: the suite's */
    uint64_t open_limit = 0;          /* packets that fail to open, per connection, likewise */
    const void *server_tls = nullptr; /* real TLS: other configurations than the usual ones, ... */
    const void *client_tls = nullptr; /* ... which outlive the endpoints */
    const quic_crypto *crypto = nullptr; /* scripted TLS: who protects packets; the shim */
    std::vector<LinkOptions> up;         /* per client host */
    std::vector<LinkOptions> down;
    std::vector<HostOptions> clients;
    HostOptions server;
    std::vector<ConnPlan> conns;
    AttackOptions attack;
    double forge_versions =
        0; /* a client's Initial is answered by somebody on the way, with a list */
    std::vector<RebindPlan> rebinds;
    std::vector<CrashPlan> crashes;
    quic_ns heal_ns = 0;                       /* from here on the network is good */
    quic_ns liveness_ns = 300 * QUIC_NS_PER_S; /* after heal and the last start */
    bool harsh = false;                        /* connections may die of the network's faults */
    bool clean = false;        /* nothing is lost, late or out of order: nothing may be repeated */
    bool may_run_out = false;  /* allocations fail or limits are tight: connections may fail */
    uint32_t check_every = 16; /* host turns between looks inside */
};

/* sim_limits: modest bounds that tests can reach. */
quring_limits sim_limits();

/* draw_byzantine makes one more connection, with a peer that breaks a rule or is rude. */
void draw_byzantine(Options &o);

/* draw_adversity adds attackers, rebindings and crashes to what draw_options has drawn. */
void draw_adversity(Options &o);

/* draw_versions adds versions of QUIC, the QUIC bit, 1-RTT without encryption, and who would like to
 * have a say in them. */
void draw_versions(Options &o);

/* draw_options makes the options of one seed. */
Options draw_options(uint64_t seed, Tls tls);

/* describe says in one line what a seed is about. */
std::string describe(const Options &o);

} // namespace sim

#endif // TESTS_SIM_OPTIONS_H
