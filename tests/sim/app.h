/* tests/sim/app.h: the application at one end of one connection: it follows the connection's plan,
 * checks every byte and every event, and remembers what it has been told. */
#ifndef TESTS_SIM_APP_H
#define TESTS_SIM_APP_H

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "quic/conn/conn.h"
#include "quic/endpoint/endpoint.h"
#include "tests/sim/options.h"
#include "tests/sim/rng.h"

namespace sim
{

/* The bytes of a stream are a function of (key, offset). */
void fill_pattern(uint64_t key, uint64_t offset, uint8_t *out, size_t len);
bool is_pattern(uint64_t key, uint64_t offset, const uint8_t *data, size_t len);

constexpr uint64_t kResetCode = 2000; /* + direction: what a planned reset says */
constexpr uint64_t kStopCode = 3000;

class App;
class Byzantine;

/* What both ends of a connection share, and the world watches. */
struct ConnState {
    ConnPlan plan;
    uint32_t index = 0;
    bool victim = false; /* one of its hosts crashed, or was down when it began */
    std::unique_ptr<App> client;
    std::unique_ptr<App> server;
    std::shared_ptr<Byzantine> byzantine; /* what one of them is */
    uint32_t spoken = 0;                  /* times it had something to say */
};

/* What an App asks of the world. */
class AppHost
{
  public:
    virtual ~AppHost() = default;
    virtual quic_ns now() const = 0;
    virtual void fail(const std::string &what) = 0;
    virtual void wake_app(App *app, quic_ns at) = 0;
    virtual bool memory_may_fail() const = 0;
    virtual void both_done(ConnState *state) = 0; /* all streams are over at both ends */
    virtual void count_delivered(uint64_t bytes) = 0;
};

struct Lent {
    uint64_t end;
    std::unique_ptr<uint8_t[]> bytes;
    size_t len;
};

/* One stream at one end. */
struct AppStream {
    const StreamPlan *plan = nullptr;
    App *app = nullptr;
    quic_stream *stream = nullptr; /* NULL once CLOSED was told */
    uint64_t id = 0;
    bool opener = false;
    uint64_t written = 0;
    uint64_t read = 0;
    quic_ns next_read_ns = 0;
    bool fin_written = false, reset_sent = false, stopped = false, finished = false;
    bool fin_read = false, reset_got = false, stop_sent = false;
    bool priority_changed = false;
    bool write_dead = false, read_dead = false; /* a verb said STATE: an event must explain it */
    bool closed = false;
    std::deque<Lent> lent;

    int send_dir() const
    {
        return opener ? 0 : 1;
    }
    int recv_dir() const
    {
        return opener ? 1 : 0;
    }
    bool can_send() const
    {
        return opener || !plan->uni;
    }
    bool can_recv() const
    {
        return !opener || !plan->uni;
    }
    bool recv_over() const
    {
        return !can_recv() || fin_read || reset_got || stop_sent;
    }
    bool send_over() const
    {
        return !can_send() || fin_written || reset_sent || stopped;
    }
};

class App
{
  public:
    App(AppHost *host, ConnState *state, bool is_server, quic_conn *conn);

    void on_event(const quic_event &ev);
    /* on_tick does what time has brought: slow reads, pings, closing. */
    void on_tick();
    /* poke makes the client say something: its system has seen that the network changed. */
    void poke();
    /* vanish is the end of an App whose host crashed: nobody tells it anything any more. */
    void vanish();
    /* Everything of the plan came to its end here. */
    bool is_done() const;
    bool is_closed() const
    {
        return closed_;
    }
    bool is_connected() const
    {
        return connected_;
    }
    bool closed_itself() const
    {
        return close_called_;
    }
    const quring_close_info &close_info() const
    {
        return close_info_;
    }
    quic_conn *conn() const
    {
        return conn_;
    }
    bool is_server() const
    {
        return is_server_;
    }
    ConnState *state() const
    {
        return state_;
    }
    std::string report() const;

    std::set<quic_ns> ticks; /* when the world will call on_tick */

  private:
    void fail(const AppStream *st, const char *what);
    void on_lenient_event(const quic_event &ev);
    void on_lenient_tick();
    void write_lenient(quic_stream *stream);
    void on_connected();
    void on_closed(const quic_event &ev);
    void on_stream_event(const quic_event &ev);
    void on_opened(const quic_event &ev);
    void on_reset(AppStream *st, const quic_event &ev);
    void on_stream_closed(AppStream *st);
    void open_more();
    void prioritise(AppStream *st, uint32_t urgency);
    void begin(AppStream *st);
    void pump(AppStream *st);
    void pump_write(AppStream *st);
    bool write_some(AppStream *st);
    quic_rc write_chunk(AppStream *st, size_t len, uint32_t flags, size_t *accepted);
    void pump_read(AppStream *st);
    bool read_some(AppStream *st);
    void release(AppStream *st, uint64_t offset);
    void send_datagrams();
    void read_datagrams();
    void maybe_close();
    uint64_t key(uint64_t id, int dir) const;

    AppHost *host_;
    ConnState *state_;
    quic_conn *conn_;
    Rng rng_;
    bool is_server_;
    bool connected_ = false;
    bool early_ = false; /* streams may be used before CONNECTED */
    bool closed_ = false;
    uint8_t key_phase_ = 0;
    bool close_called_ = false;
    quring_close_info close_info_{};
    std::vector<std::unique_ptr<AppStream>> streams_;
    std::vector<uint32_t> mine_[2]; /* indices of plans we open: bidi, uni */
    std::vector<uint32_t> theirs_[2];
    size_t opened_[2] = {0, 0};
    size_t seen_[2] = {0, 0};
    uint32_t open_now_ = 0;
    uint32_t lenient_chunks_ = 16; /* left to write, when nothing is judged */
    uint32_t closed_count_ = 0;
    quic_ns connected_ns_ = 0;
    quic_ns done_ns_ = QUIC_NS_NEVER;
    quic_ns next_ping_ns_ = QUIC_NS_NEVER;
    quic_ns next_datagram_ns_ = 0;
    uint64_t datagrams_sent_ = 0;
    std::set<uint64_t> datagrams_got_; /* their numbers: none comes twice */
};

} // namespace sim

#endif // TESTS_SIM_APP_H
