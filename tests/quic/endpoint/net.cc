#include "tests/quic/endpoint/net.h"

#include <algorithm>
#include <cstring>

namespace
{

sim::Options make_options(const std::function<void(sim::Options &)> &change)
{
    sim::Options o;
    o.seed = 7;
    o.server.limits = sim::sim_limits();
    o.clients.resize(1);
    o.clients[0].limits = sim::sim_limits();
    if (change) {
        change(o);
    }
    return o;
}

/* The scripted handshake, seen through a lie: what peer_params gives is decoded, changed and encoded
 * again. One Net at a time. */
std::function<void(quic_transport_params &)> *g_lie[2];

template <int to_server>
bool lying_params(const quic_tls *tls, const uint8_t **out, size_t *out_len)
{
    static uint8_t bytes[QUIC_TP_ENCODED_MAX];
    const quic_role sender = to_server != 0 ? QUIC_CLIENT : QUIC_SERVER;
    quic_transport_params p;
    if (!quic_tls_script()->peer_params(tls, out, out_len)) {
        return false;
    }
    if (g_lie[to_server] != nullptr && *g_lie[to_server]) {
        if (quic_transport_params_decode(&p, *out, *out_len, sender) != QUIC_OK) {
            abort();
        }
        (*g_lie[to_server])(p);
        *out_len = quic_transport_params_encode(bytes, sizeof(bytes), &p, sender, 0);
        *out = bytes;
    }
    return true;
}

template <int to_server>
const quic_tls_vtable *lying(const quic_tls_vtable *honest,
                             std::function<void(quic_transport_params &)> *lie)
{
    static quic_tls_vtable table;
    if (honest != quic_tls_script()) {
        return honest;
    }
    table = *honest;
    table.peer_params = lying_params<to_server>;
    g_lie[to_server] = lie;
    return &table;
}

} // namespace

size_t Side::count(quring_event_type type) const
{
    return static_cast<size_t>(std::count_if(events.begin(), events.end(),
                                             [type](const Seen &s) { return s.type == type; }));
}

const Seen *Side::find(quring_event_type type) const
{
    for (const Seen &s : events) {
        if (s.type == type) {
            return &s;
        }
    }
    return nullptr;
}

quring_close_kind Side::close_kind() const
{
    const Seen *s = find(QURING_EV_CLOSED);
    return s == nullptr ? QURING_CLOSE_NONE : s->close.kind;
}

uint64_t Side::close_code() const
{
    const Seen *s = find(QURING_EV_CLOSED);
    return s == nullptr ? UINT64_MAX : s->close.code;
}

Net::Net(const std::function<void(sim::Options &)> &change)
    : options(make_options(change)), identity_(options), tx_buf_(65536)
{
    server.rng.s = 1;
    client.rng.s = 2;
    make(server, 1);
    make(client, 2);
}

Net::~Net()
{
    quic_endpoint_destroy(server.ep);
    quic_endpoint_destroy(client.ep);
}

void Net::make(Side &side, uint8_t host)
{
    const sim::HostOptions &h = host == 1 ? options.server : options.clients[0];
    quic_endpoint_config config{};
    config.worker_count = 1;
    config.allocator = side.alloc.table();
    config.rng = quic_rng_seeded(&side.rng);
    config.crypto = identity_.crypto();
    memset(config.root_secret, host, sizeof(config.root_secret));
    config.limits = h.limits;
    config.cc = h.cc;
    config.pacing = h.pacing;
    if (host == 1 && server_config) {
        server_config(config);
    }
    side.addr = quic_addr{};
    side.addr.family = 4;
    side.addr.ip[0] = 10;
    side.addr.ip[3] = host;
    side.addr.port = host == 1 ? 443 : 5000;
    if (quic_endpoint_create(&side.ep, &config) != QUIC_OK) {
        abort();
    }
    if (host == 1) {
        listen(nullptr, h.limits, false);
    }
}

void Net::listen(const quic_early_gate *gate, const quring_limits &limits, bool tickets)
{
    quic_accept_config accept{};
    accept.tls = server_tls != nullptr ? server_tls : lying<1>(identity_.vtable(), &lie_to_server);
    accept.tls_config = identity_.server_config();
    accept.limits = limits;
    accept.retry = options.retry;
    accept.tickets = tickets;
    accept.early_gate = gate;
    accept.token_register = token_register;
    accept.strangers = &strangers;
    accept.preferred_v4 = preferred_[0];
    accept.preferred_v6 = preferred_[1];
    if (quic_endpoint_listen(server.ep, 0, &accept) != QUIC_OK) {
        abort();
    }
}

void Net::serve(const quic_early_gate *gate, const quring_limits *limits)
{
    listen(gate, limits != nullptr ? *limits : options.server.limits, true);
}

void Net::offer(const quic_addr &v4, const quic_addr &v6)
{
    preferred_[0] = v4;
    preferred_[1] = v6;
    listen(nullptr, options.server.limits, false);
}

quic_rc Net::migrate(uint16_t port, uint8_t host)
{
    quic_path_addr to{};
    to.local = client.addr;
    to.local.port = port;
    to.local.ip[3] = host;
    to.socket = socket_of(false, to.local);
    quic_endpoint_set_now(client.ep, now);
    return quic_conn_migrate(client.conn, &to);
}

/* One socket per address. */
uint32_t Net::socket_of(bool server_side, const quic_addr &local) const
{
    if (!server_side) {
        return static_cast<uint32_t>(local.family) << 24 |
               static_cast<uint32_t>(local.ip[3]) << 16 | local.port;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (preferred_[i].family != 0 && quic_addr_equal(&preferred_[i], &local)) {
            return i + 1;
        }
    }
    return 0;
}

void Net::restart_server()
{
    quic_endpoint_destroy(server.ep);
    server.open.clear();
    server.conn = nullptr;
    make(server, 1);
}

quic_conn *Net::connect(uint16_t port)
{
    quic_connect_config config{};
    config.tls = client_tls != nullptr ? client_tls : lying<0>(identity_.vtable(), &lie_to_client);
    config.tls_config =
        client_tls_config != nullptr ? client_tls_config : identity_.client_config();
    config.server_name = "localhost";
    config.limits = options.clients[0].limits;
    config.path.local = client.addr;
    config.path.local.port = port;
    config.path.remote = server.addr;
    config.path.socket = socket_of(false, config.path.local);
    config.session = reinterpret_cast<const uint8_t *>(session.data());
    config.session_len = session.size();
    config.zero_rtt = zero_rtt;
    config.version_listed = version_listed;
    config.token = reinterpret_cast<const uint8_t *>(token.data());
    config.token_len = token.size();
    quic_conn *conn = nullptr;
    return quic_endpoint_connect(client.ep, &conn, &config, now) == QUIC_OK ? conn : nullptr;
}

/* ---- the application ------------------------------------------------------------------------------ */

uint64_t Net::write(Side &side, const std::string &bytes, bool uni)
{
    quic_stream *stream = nullptr;
    if (side.conn == nullptr || quic_conn_stream_open(side.conn, uni, &stream) != QUIC_OK) {
        return UINT64_MAX;
    }
    uint64_t id = quic_stream_id(stream);
    side.open[id] = stream;
    side.to_write[id] = {bytes, 0};
    pump(side, id);
    return id;
}

void Net::pump(Side &side, uint64_t id)
{
    auto it = side.to_write.find(id);
    if (it == side.to_write.end() || side.open.count(id) == 0) {
        return;
    }
    auto &[bytes, done] = it->second;
    size_t accepted = 0;
    const uint32_t fin = QUIC_WRITE_FIN;
    (void)quic_conn_stream_write(side.conn, side.open[id],
                                 reinterpret_cast<const uint8_t *>(bytes.data()) + done,
                                 bytes.size() - done, fin, &accepted);
    done += accepted;
}

void Net::read(Side &side, quic_conn *conn, quic_stream *stream)
{
    Received &r = side.streams[quic_stream_id(stream)];
    for (;;) {
        quic_span spans[2] = {};
        bool fin = false;
        if (quic_conn_stream_peek(conn, stream, spans, &fin) != QUIC_OK) {
            return;
        }
        size_t n = 0;
        for (const quic_span &s : spans) {
            if (s.len > 0) {
                r.bytes.append(reinterpret_cast<const char *>(s.data), s.len);
                n += s.len;
            }
        }
        if (quic_conn_stream_consume(conn, stream, n) != QUIC_OK || fin) {
            r.fin = fin;
            return;
        }
    }
}

void Net::read_unread(Side &side)
{
    for (const auto &[id, stream] : side.unread) {
        read(side, side.conn, stream);
    }
    side.unread.clear();
}

void Net::read_datagrams(Side &side, quic_conn *conn)
{
    quic_span span{};
    while (quic_conn_datagram_peek(conn, &span) == QUIC_OK) {
        side.datagrams.emplace_back(reinterpret_cast<const char *>(span.data), span.len);
        (void)quic_conn_datagram_consume(conn);
    }
}

void Net::on_event(Side &side, const quic_event &ev)
{
    if (ev.type == QURING_EV_SESSION && &side == &client) {
        last_session.assign(reinterpret_cast<const char *>(ev.data), ev.data_len);
    }
    if (ev.type == QURING_EV_TOKEN && &side == &client) {
        tokens.emplace_back(reinterpret_cast<const char *>(ev.data), ev.data_len);
    }
    if (ev.type == QURING_EV_EARLY_READY && &side == &client) {
        side.conn = ev.conn;
    }
    if (ev.type == QUIC_EV_WANT_SOCKET) {
        quic_path_addr at{};
        at.local = client_other;
        at.socket = socket_of(false, at.local);
        quic_conn_give_socket(ev.conn, client_other.family == ev.level ? &at : nullptr);
        return;
    }
    Seen seen;
    seen.type = ev.type;
    seen.conn = ev.conn;
    seen.stream_id = ev.stream_id;
    seen.app_error = ev.app_error;
    if (ev.type == QURING_EV_CLOSED) {
        seen.close = *quic_conn_close_info(ev.conn);
        if (side.conn == ev.conn) {
            side.conn = nullptr;
            side.open.clear();
        }
    } else if (ev.type == QURING_EV_CONNECTED) {
        side.conn = ev.conn;
    } else if (ev.type == QURING_EV_STREAM_READABLE && side.read_streams) {
        read(side, ev.conn, ev.stream);
    } else if (ev.type == QURING_EV_STREAM_READABLE) {
        side.unread[ev.stream_id] = ev.stream;
    } else if (ev.type == QURING_EV_DATAGRAM_READABLE && side.read_datagrams) {
        read_datagrams(side, ev.conn);
    } else if (ev.type == QURING_EV_STREAM_WRITABLE) {
        pump(side, ev.stream_id);
    } else if (ev.type == QURING_EV_STREAM_CLOSED) {
        side.open.erase(ev.stream_id);
    }
    side.events.push_back(seen);
}

/* ---- time and the line ----------------------------------------------------------------------------- */

void Net::pull_events(Side &side)
{
    quic_event ev;
    while (quic_endpoint_poll_event(side.ep, &ev, now)) {
        on_event(side, ev);
    }
}

void Net::turn(Side &side)
{
    bool again = true;
    for (int i = 0; again && i < 100000; i++) {
        again = false;
        quic_endpoint_on_timeout(side.ep, now);
        pull_events(side);
        quic_tx_unit unit{};
        unit.buf = tx_buf_.data();
        unit.cap = 65507;
        unit.seg_max = seg_max;
        while (quic_endpoint_send(side.ep, &unit, now)) {
            transmit(side, unit);
            again = true;
        }
        pull_events(side);
        again = again || quic_endpoint_next_timeout(side.ep) <= now;
    }
}

void Net::transmit(Side &side, const quic_tx_unit &unit)
{
    if (unit.seg_len > interface_mtu) {
        quic_endpoint_on_send_too_big(side.ep, unit.conn, &unit.path, unit.seg_len);
        return;
    }
    for (uint32_t off = 0; off < unit.len; off += unit.seg_len) {
        uint32_t len = std::min(unit.seg_len, unit.len - off);
        Packet p;
        p.to_server = &side == &client;
        p.bytes.assign(unit.buf + off, unit.buf + off + len);
        p.ecn = unit.ecn;
        p.alone = unit.alone;
        p.from = unit.path.local;
        p.to = unit.path.remote;
        p.sent_ns = now;
        p.arrive_ns = now + delay;
        (p.to_server ? bytes_to_server : bytes_to_client) += len;
        if (keep_sent) {
            sent.push_back(p);
        }
        if (!filter || filter(p)) {
            queue(std::move(p));
        }
    }
}

void Net::queue(Packet p)
{
    auto at = std::upper_bound(line_.begin(), line_.end(), p, [](const Packet &a, const Packet &b) {
        return a.arrive_ns < b.arrive_ns;
    });
    line_.insert(at, std::move(p));
}

void Net::again(const Packet &p, quic_ns later)
{
    Packet copy = p;
    copy.arrive_ns += later;
    queue(std::move(copy));
}

void Net::deliver(Packet &p)
{
    quic_rx_unit unit{};
    auto data = std::make_unique<uint8_t[]>(p.bytes.size());
    std::copy(p.bytes.begin(), p.bytes.end(), data.get());
    unit.data = data.get();
    unit.len = static_cast<uint32_t>(p.bytes.size());
    unit.seg_len = p.seg_len != 0 ? p.seg_len : unit.len;
    unit.ecn = p.ecn;
    unit.path.local = p.to;
    unit.path.remote = p.from;
    unit.path.socket = socket_of(p.to_server, p.to);
    quic_endpoint *ep = p.to_server ? server.ep : client.ep;
    if (++announced % 2 == 0) { /* like one of many units at hand */
        quic_endpoint_expect(ep, &unit);
        quic_endpoint_fetch(ep, &unit, QUIC_FETCH_CONN);
        quic_endpoint_fetch(ep, &unit, QUIC_FETCH_FAR);
        quic_endpoint_fetch(ep, &unit, QUIC_FETCH_KEYS);
    }
    quic_endpoint_recv(ep, &unit, now);
}

void Net::inject(Side &to, const std::vector<uint8_t> &bytes, uint16_t client_port,
                 uint32_t seg_len)
{
    Packet p;
    p.seg_len = seg_len;
    p.to_server = &to == &server;
    p.bytes = bytes;
    quic_addr c = client.addr;
    c.port = client_port;
    p.from = p.to_server ? c : server.addr;
    p.to = p.to_server ? server.addr : c;
    deliver(p);
    turn(to);
}

quic_ns Net::next_time() const
{
    quic_ns at = line_.empty() ? QUIC_NS_NEVER : line_.front().arrive_ns;
    at = std::min(at, quic_endpoint_next_timeout(server.ep));
    return std::min(at, quic_endpoint_next_timeout(client.ep));
}

bool Net::run_until(const std::function<bool()> &done, quic_ns limit)
{
    quic_ns end = now + limit;
    turn(client);
    turn(server);
    while (!done()) {
        quic_ns at = next_time();
        if (at > end) {
            now = end;
            return false;
        }
        now = std::max(at, now);
        while (!line_.empty() && line_.front().arrive_ns <= now) {
            Packet p = std::move(line_.front());
            line_.erase(line_.begin());
            deliver(p);
            turn(p.to_server ? server : client);
        }
        turn(client);
        turn(server);
    }
    return true;
}

void Net::run_for(quic_ns time)
{
    (void)run_until([] { return false; }, time);
}

bool Net::handshake()
{
    return connect() != nullptr &&
           run_until([this] { return client.conn != nullptr && server.conn != nullptr; });
}

void Net::forget()
{
    for (Side *side : {&server, &client}) {
        side->streams.clear();
        side->events.clear();
        side->to_write.clear();
    }
    sent.clear();
}

bool Net::take_ticket(const quic_early_gate *gate)
{
    serve(gate);
    if (!handshake() || !run_until([&] { return !last_session.empty(); }) ||
        quic_conn_close(client.conn, 0, nullptr) != QUIC_OK) {
        return false;
    }
    run_for(10 * kS);
    forget();
    session = last_session;
    zero_rtt = true;
    return true;
}

bool Net::carries_both_ways(quic_ns limit)
{
    const std::string data = bytes_of(50000);
    const uint64_t up = write(client, data);
    const uint64_t down = write(server, data, true);
    return run_until(
        [&] { return server.streams[up].bytes == data && client.streams[down].bytes == data; },
        limit);
}

std::string bytes_of(size_t len)
{
    std::string s(len, '\0');
    for (size_t i = 0; i < len; i++) {
        s[i] = static_cast<char>(i * 2654435761u >> 13);
    }
    return s;
}

quring_conn_info info_of(const Side &side)
{
    quring_conn_info info{};
    quic_conn_get_info(side.conn, &info);
    return info;
}
