/* tests/sim/world.h: one run: hosts with endpoints, the network between them, a virtual clock, the
 * applications, and the oracles that watch all of it.
 *
 * Phases: until options.heal_ns the network misbehaves (safety: nothing false may happen); from then
 *         on it is good (liveness: everything must come to its end in bounded time); at last all
 *         connections must be gone and all memory be back (quiescence).
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "quic/crypto/tls.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/app.h"
#include "tests/sim/attack.h"
#include "tests/sim/identity.h"
#include "tests/sim/link.h"
#include "tests/sim/nat.h"
#include "tests/sim/options.h"
#include "tests/sim/oracle.h"

namespace sim
{

struct Host; /* host.h: a machine with one address and one or more workers */

struct Stats {
    uint64_t datagrams = 0;
    uint64_t datagram_bytes = 0;
    uint64_t stream_bytes = 0;
    uint64_t events = 0;
    uint64_t moves = 0;      /* PATH_CHANGED, at either end */
    double conn_seconds = 0; /* virtual time connections were open (client's view) */
    uint32_t conns = 0;
    uint32_t conns_done = 0; /* everything of their plan came to its end */
    uint32_t violations = 0; /* that were said and answered as they must be */
    uint32_t rude = 0;       /* datagrams a rude peer made up */
    uint32_t resets = 0;     /* connections that ended by a stateless reset */
    uint32_t rebinds = 0;    /* that took place */
    uint64_t path_changes = 0;
    quic_ns last_done_ns = 0; /* when the last of them closed */
    uint64_t trace_hash = 0;
    quic_ns end_ns = 0;
};

class World : public AppHost
{
  public:
    explicit World(const Options &options);
    ~World() override;

    /* run returns true when every oracle is content; otherwise failure() says what happened. */
    bool run();
    const std::string &failure() const
    {
        return failure_;
    }
    /* Whether an allocation was made to fail. */
    bool alloc_failed() const;
    const Stats &stats() const
    {
        return stats_;
    }
    /* report tells the state of everything, for a failing seed. */
    std::string report();

    /* AppHost */
    quic_ns now() const override
    {
        return now_;
    }
    void fail(const std::string &what) override;
    void wake_app(App *app, quic_ns at) override;
    bool memory_may_fail() const override
    {
        return options_.may_run_out;
    }
    void both_done(ConnState *state) override;
    void count_delivered(uint64_t bytes) override
    {
        stats_.stream_bytes += bytes;
    }

  private:
    enum class Kind : uint8_t {
        kArrive,
        kRx,
        kTimer,
        kApp,
        kConnect,
        kHeal,
        kRebind,
        kCrash,
        kByzantine
    };
    struct Event {
        quic_ns at;
        uint64_t order;
        Kind kind;
        uint64_t a;
        void *p;
        bool operator<(const Event &o) const
        {
            return at != o.at ? at > o.at : order > o.order; /* the earliest on top */
        }
    };

    void schedule(quic_ns at, Kind kind, uint64_t a, void *p);
    void dispatch(const Event &ev);
    void make_host(uint32_t index, const HostOptions &options, uint32_t workers);
    void add_conn(const ConnPlan &plan, quic_ns at);
    void start_worker(Host &host, uint32_t index);
    void listen();
    void connect(uint32_t index);
    /* Nobody's handshake is under way. */
    bool settled() const;
    bool settled(const ConnState &c) const;
    void heal();
    void rebind(const RebindPlan &plan);
    void crash(const CrashPlan &plan);
    void reconnect(const ConnState &c);
    void lie_about_size(Host &host);
    void speak(uint32_t index);
    void speak_early(Host &host);
    bool say(ConnState &c, bool early);
    void rewrite(Host &host, Datagram &d);
    bool answers_violation(const quring_close_info &info);
    void judge_byzantine(const ConnState &c, bool by_server, const quring_close_info &info);
    /* Who a server's connection is: the name asked for says it, or the client's port. */
    bool has_byzantine() const
    {
        return !byzantine_.empty();
    }
    bool by_name() const
    {
        return identity_.scripted() && options_.resume == Resume::kNever;
    }
    void arrive(uint64_t slot);
    void receive(Host &host);
    void deliver(Host &host, std::vector<uint8_t> &bytes, uint32_t seg_len, const Datagram &first);
    void turn(Host &host);
    bool pull(Host &host, uint32_t worker);
    void pull_events(Host &host, uint32_t worker);
    void hand_event(Host &host, const quic_event &ev);
    void send_unit(Host &host, const quic_tx_unit &unit);
    void transmit(Host &host, Datagram d);
    void forge_versions(uint32_t client, const Datagram &d);
    void launch(uint32_t client, bool to_server, Datagram d);
    void set_timer(Host &host);
    void on_closed(App *app);
    void perturb(App *app);
    void migrate(App *app);
    uint16_t next_port()
    {
        return static_cast<uint16_t>(6000 + next_port_++ % 3000); /* below the NATs' step */
    }
    uint32_t socket_of(const Host &host, const quic_addr &local) const;
    void want_socket(Host &host, const quic_event &ev);
    App *adopt(quic_conn *conn);
    uint16_t port_of(uint32_t conn) const;
    bool finished() const;
    void check_pairs();
    void check_end();
    void check_clean(Host &host);
    void trace(const Datagram &d);

    Options options_;
    Identity identity_;
    std::vector<uint64_t> register_; /* memory of gate_ */
    quic_early_gate gate_{};
    std::vector<std::unique_ptr<App>> retired_;
    std::vector<uint64_t> used_tokens_; /* memory of the register of NEW_TOKEN tokens */
    std::vector<std::string> sessions_; /* per client host: its last SESSION event */
    std::vector<std::string> tokens_;   /* its last TOKEN event */
    Rng rng_;
    std::vector<std::unique_ptr<Host>> hosts_; /* [0] is the server */
    std::vector<Link> up_;
    std::vector<Link> down_;
    Nat nat_;
    Attacker attacker_;
    std::vector<Datagram> forged_;
    std::vector<std::unique_ptr<ConnState>> conns_;
    std::vector<uint32_t> byzantine_; /* the connections with such a peer */
    std::priority_queue<Event> queue_;
    std::vector<Datagram> pool_;
    std::vector<size_t> pool_free_;
    std::vector<Datagram> carried_;
    std::vector<uint8_t> tx_buf_;
    Amplification amplification_;
    quic_addr preferred_{};  /* of the server; family 0: none */
    uint32_t next_port_ = 0; /* of clients that move */
    uint64_t order_ = 0;
    uint32_t started_ = 0;
    uint32_t open_clients_ = 0;
    quic_ns now_ = QUIC_NS_PER_S; /* 0 is for "never yet" in some code: start later */
    quic_ns last_start_ = 0;
    quic_ns all_closed_ns_ = 0;
    std::string failure_;
    Stats stats_;
};

/* run_seed draws the options of `seed` and runs them. False: *failure has a text of several lines. */
bool run_seed(uint64_t seed, Tls tls, Stats *stats, std::string *failure);

} // namespace sim

#endif // TESTS_SIM_WORLD_H
