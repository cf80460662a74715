/* Whole connections: a script of frames at any level, raw datagrams, replays, jumps in time and the
 * application's verbs, against both ends, before, during and after the handshake (scripted, with the shim
 * cipher: payloads lie open to the fuzzer). What holds in the simulator holds here: the books of both
 * endpoints are right after every step, no more than three times the bytes received leave before an
 * address is proved, and at the end every byte of memory comes back.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr size_t kDatagramMax = 1400;
constexpr size_t kRememberMax = 64;

class World
{
  public:
    explicit World(fuzz::Input *in) : in_(in), net_([in](sim::Options &o) { draw(in, o); })
    {
        net_.filter = [this](Packet &p) { return see(p); };
    }

    void run()
    {
        open(in_->u8() % 4);
        for (int steps = 0; in_->left() > 0 && steps < 200; steps++) {
            step(in_->u8() % 12);
            check();
        }
        end();
    }

  private:
    static void draw(fuzz::Input *in, sim::Options &o)
    {
        uint8_t flags = in->u8();
        o.retry = (flags & 1) != 0;
        o.ticket_len = (flags & 2) != 0 ? 100 : 0;
        o.clients[0].cc = static_cast<quring_cc>(flags / 4 % 3);
        o.server.cc = static_cast<quring_cc>(flags / 16 % 3);
        for (quring_limits *l : {&o.server.limits, &o.clients[0].limits}) {
            l->ecn = (flags & 0x40) != 0;
            l->mtu_probe_max_bytes = (flags & 0x80) != 0 ? 1472 : 0;
            l->streams_bidi_max = 8;
            l->streams_uni_max = 8;
            l->glitch_burst = 100; /* so that its end is seen, too */
        }
    }

    /* Everything that travels is remembered, to be replayed or spoiled; some of it is lost. */
    bool see(const Packet &p)
    {
        if (seen_.size() < kRememberMax) {
            seen_.push_back(p);
        } else {
            seen_[count_ % kRememberMax] = p;
        }
        count_++;
        if (lose_ > 0) {
            lose_--;
            return false;
        }
        return true;
    }

    void open(uint8_t phase)
    {
        net_.keep_sent = false;
        if (net_.connect() == nullptr) {
            return;
        }
        switch (phase) {
        case 0: /* the first Initial is under way */
            break;
        case 1: /* the server has answered */
            net_.run_for(11 * kMs);
            break;
        case 2:
            net_.run_for(21 * kMs);
            break;
        default:
            net_.run_for(500 * kMs);
            break;
        }
        check();
    }

    Side &side(bool server)
    {
        return server ? net_.server : net_.client;
    }

    static quic_conn *any_conn(const Side &s)
    {
        quic_conn *found = nullptr;
        quic_endpoint_each_conn(
            s.ep,
            [](quic_conn *conn, void *ctx) {
                *static_cast<quic_conn **>(ctx) = conn;
                return false;
            },
            &found);
        return found;
    }

    /* Frames in the name of one side, at any level it has keys for. */
    void say(bool by_server)
    {
        uint8_t what = in_->u8();
        quic_level level = static_cast<quic_level>(what % 4);
        uint32_t flags = what / 4 % 16 == 0 ? what / 64 + 1u : 0;
        std::vector<uint8_t> frames = in_->bytes(in_->u8());
        quic_conn *liar = any_conn(side(by_server));
        uint8_t out[kDatagramMax];
        if (liar == nullptr) {
            return;
        }
        size_t n = inject_make(liar, level, flags, frames.data(), frames.size(), out, sizeof(out));
        if (n > 0) {
            uint16_t port = (in_->u8() & 15) == 15 ? 5001 : 5000;
            net_.inject(side(!by_server), std::vector<uint8_t>(out, out + n), port);
        }
    }

    void again(bool spoil)
    {
        if (seen_.empty()) {
            return;
        }
        Packet p = seen_[in_->u8() % seen_.size()];
        if (spoil && !p.bytes.empty()) {
            p.bytes[in_->u16() % p.bytes.size()] ^= in_->u8();
            p.bytes.resize(p.bytes.size() - in_->u8() % 8 % p.bytes.size());
        }
        net_.inject(side(p.to_server), p.bytes, (in_->u8() & 7) == 7 ? 5002 : 5000);
    }

    void verb(Side &s)
    {
        if (s.conn == nullptr) {
            return;
        }
        uint8_t what = in_->u8();
        quic_stream *stream = s.open.empty() ? nullptr : s.open.begin()->second;
        switch (what % 8) {
        case 0:
        case 1:
            net_.write(s, std::string(in_->u16() % 20000, 'x'), (what & 8) != 0);
            break;
        case 2:
            if (stream != nullptr) {
                (void)quic_conn_stream_reset(s.conn, stream, what);
            }
            break;
        case 3:
            if (stream != nullptr) {
                (void)quic_conn_stream_stop_sending(s.conn, stream, what);
            }
            break;
        case 4:
            (void)quic_conn_ping(s.conn);
            break;
        case 5:
            (void)quic_conn_update_keys(s.conn);
            break;
        case 6:
            (void)sim_inspect_rotate_cid(s.conn);
            break;
        default:
            if (what > 200) {
                (void)quic_conn_close(s.conn, what, "fuzz");
            }
            break;
        }
    }

    void step(uint8_t op)
    {
        switch (op) {
        case 0:
        case 1:
        case 2:
            say(false);
            break;
        case 3:
        case 4:
            say(true);
            break;
        case 5:
            again(false);
            break;
        case 6:
            again(true);
            break;
        case 7:
            net_.inject(side((in_->u8() & 1) != 0), in_->bytes(in_->u8()));
            break;
        case 8:
            verb(net_.client);
            break;
        case 9:
            verb(net_.server);
            break;
        case 10:
            lose_ = in_->u8() % 32;
            break;
        default:
            net_.run_for((in_->spread() % (2 * kS)) + 1);
            break;
        }
    }

    void check()
    {
        for (Side *s : {&net_.server, &net_.client}) {
            const char *wrong = sim_inspect_check(s->ep);
            if (wrong != nullptr) {
                fprintf(stderr, "%s: %s\n", s == &net_.server ? "server" : "client", wrong);
                abort();
            }
        }
        const quic_counters *c = quic_endpoint_counters(net_.server.ep);
        /* RFC 9000 8.1: a Handshake packet proves the address, before the handshake is complete */
        const quic_conn *conn = any_conn(net_.server);
        validated_ = validated_ || c->conns_established > 0 ||
                     (conn != nullptr && sim_inspect_validated(conn));
        FUZZ_CHECK(validated_ || c->bytes_sent <= 3 * c->bytes_recv);
        FUZZ_CHECK(quic_endpoint_conn_count(net_.server.ep) <= 64);
    }

    void end()
    {
        lose_ = 0;
        for (Side *s : {&net_.server, &net_.client}) {
            quic_endpoint_close_all(s->ep, 0, nullptr);
        }
        net_.run_for(120 * kS);
        for (Side *s : {&net_.server, &net_.client}) {
            FUZZ_CHECK(quic_endpoint_conn_count(s->ep) == 0);
            FUZZ_CHECK(quic_endpoint_mem(s->ep)->used_bytes == sim_inspect_idle_bytes(s->ep));
        }
    }

    fuzz::Input *in_;
    Net net_;
    std::vector<Packet> seen_;
    size_t count_ = 0;
    unsigned lose_ = 0;
    bool validated_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 4096) {
        return 0;
    }
    fuzz::Input in(data, len);
    World(&in).run();
    return 0;
}
