/* Established connections under a flood of Initials from spoofed addresses:
 *
 *   initial_flood [--seconds S] [--ratio N] [--check]
 *
 * A server with the limits of one on the Internet serves requests of standing connections at a steady
 * pace; then strangers of all of 127.0.0.0/8 send N times as many packets as those connections. Printed:
 * what the connections lost to it, the server's CPU time, the cost of one flood packet, the goodput per
 * CPU-second that was not spent on the flood, and memory against its cap. --check judges what does not
 * depend on time: nobody was cut off, every request was answered, state stayed within its bounds, and Retry
 * was demanded. Exit status 0, or 1 with a reason. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "quring/quring.h"

namespace
{

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint32_t kConns = 20;
constexpr uint64_t kPeriodNs = 40 * kMs; /* of the requests of one connection */
constexpr size_t kRequestBytes = 200;
constexpr size_t kResponseBytes = 8192;
constexpr size_t kInitialBytes = 1200;
constexpr uint32_t kRealInitials = 64;
constexpr uint32_t kRounds = 4;
constexpr uint64_t kMemCap = 64u << 20;

[[noreturn]] void die(const std::string &why)
{
    fprintf(stderr, "initial_flood: %s\n", why.c_str());
    exit(1);
}

void pause_ns(uint64_t ns)
{
    std::this_thread::sleep_for(std::chrono::nanoseconds(ns));
}

/* Waits until `done`, not longer than a broken program would. */
bool wait_for(const std::function<bool()> &done)
{
    for (int i = 0; i < 6000; i++) {
        if (done()) {
            return true;
        }
        pause_ns(5 * kMs);
    }
    return false;
}

/* ---- the server's application ----------------------------------------------------------------------- */

const uint8_t response[kResponseBytes] = {0};

void on_server_event(const quring_event *ev)
{
    uint8_t buf[4096];
    size_t n = 0;
    bool fin = false;
    if (ev->type != QURING_EV_STREAM_READABLE) {
        return;
    }
    while (!fin && quring_stream_read(ev->stream, &n, &fin, buf, sizeof(buf)) == QURING_OK) {
    }
    if (fin) { /* the response is far below the stream's buffer */
        (void)!quring_stream_write(ev->stream, &n, response, sizeof(response), QURING_WRITE_FIN);
    }
}

/* ---- the clients -------------------------------------------------------------------------------------- */

struct Clients {
    quring_runtime *rt = nullptr;
    quring_connect_options options = {};
    std::vector<quring_conn> conns;
    std::atomic<uint32_t> connected{0};
    std::atomic<uint32_t> closed{0};
    std::atomic<uint64_t> asked{0};
    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<bool> asking{false};
};

Clients clients;

void on_client_event(const quring_event *ev)
{
    uint8_t buf[16384];
    size_t n = 0;
    bool fin = false;
    if (ev->type == QURING_EV_CONNECTED) {
        clients.connected++;
    } else if (ev->type == QURING_EV_CLOSED) {
        clients.closed++;
    } else if (ev->type == QURING_EV_STREAM_READABLE) {
        while (!fin && quring_stream_read(ev->stream, &n, &fin, buf, sizeof(buf)) == QURING_OK) {
            clients.bytes += n;
        }
        clients.answered += fin ? 1 : 0;
    }
}

void ask(void *ctx)
{
    static const uint8_t request[kRequestBytes] = {0};
    const size_t index = reinterpret_cast<size_t>(ctx);
    quring_stream stream;
    size_t n = 0;
    if (clients.asking && quring_stream_open(&stream, clients.conns[index], 0) == QURING_OK &&
        quring_stream_write(stream, &n, request, sizeof(request), QURING_WRITE_FIN) == QURING_OK) {
        clients.asked++;
    }
    (void)!quring_timer(nullptr, quring_now_ns() + kPeriodNs, ask, ctx);
}

/* On the worker: the connections, and their requests evenly apart. */
void open_all(void *)
{
    clients.conns.resize(kConns);
    for (size_t i = 0; i < kConns; i++) {
        quring_error err = {};
        if (quring_connect(&clients.conns[i], &clients.options, &err) != QURING_OK) {
            die(err.message);
        }
        (void)!quring_timer(nullptr, quring_now_ns() + kPeriodNs * i / kConns, ask,
                            reinterpret_cast<void *>(i));
    }
}

/* Real Initials, of clients whose server never answers. */
std::vector<std::vector<uint8_t>> capture(quring_connect_options options)
{
    std::vector<std::vector<uint8_t>> out;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr *>(&at), &len) != 0) {
        die("no socket");
    }
    options.remote.port = ntohs(at.sin_port);
    options.on_event = [](const quring_event *) {};
    static quring_connect_options shared;
    shared = options;
    const quring_task_fn begin = [](void *) {
        for (uint32_t i = 0; i < kRealInitials; i++) {
            quring_conn conn;
            quring_error err = {};
            if (quring_connect(&conn, &shared, &err) != QURING_OK) {
                die(err.message);
            }
        }
    };
    if (quring_post(clients.rt, 0, begin, nullptr) != QURING_OK) {
        die("no worker");
    }
    while (out.size() < kRealInitials) {
        pollfd p = {fd, POLLIN, 0};
        std::vector<uint8_t> data(2048);
        const ssize_t n = poll(&p, 1, 5000) == 1 ? recv(fd, data.data(), data.size(), 0) : -1;
        if (n < 0) {
            die("no Initials came");
        }
        data.resize(static_cast<size_t>(n));
        if (data.size() >= kInitialBytes && (data[0] & 0xb0) == 0x80) {
            out.push_back(data);
        }
    }
    close(fd);
    return out;
}

/* ---- the flood ---------------------------------------------------------------------------------------- */

class Flood
{
  public:
    Flood(uint16_t port, std::vector<std::vector<uint8_t>> real) : real_(std::move(real))
    {
        to_.sin_family = AF_INET;
        to_.sin_port = htons(port);
        to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int &fd : fds_) {
            fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            if (fd < 0) {
                die("no socket");
            }
        }
    }
    ~Flood()
    {
        Stop();
        for (int fd : fds_) {
            close(fd);
        }
    }
    void Start(uint64_t per_s)
    {
        going_ = true;
        thread_ = std::thread([this, per_s] { Run(per_s); });
    }
    void Stop()
    {
        going_ = false;
        if (thread_.joinable()) {
            thread_.join();
        }
    }
    uint64_t sent() const
    {
        return sent_;
    }

  private:
    static constexpr uint32_t kBatch = 32;

    uint64_t Random()
    {
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1du;
    }

    /* In form an Initial, with connection IDs of its own; nobody sealed it. One in sixteen is real. */
    size_t Make(uint8_t *out)
    {
        if (Random() % 16 == 0) {
            const std::vector<uint8_t> &real = real_[Random() % real_.size()];
            memcpy(out, real.data(), real.size());
            return real.size();
        }
        for (size_t i = 0; i < 64; i += 8) {
            const uint64_t r = Random();
            memcpy(out + i, &r, 8);
        }
        const uint8_t head[] = {0xc3, 0, 0, 0, 1, 8};
        memcpy(out, head, sizeof(head));
        out[14] = 8; /* SCID length, after 8 bytes of DCID */
        out[23] = 0; /* no token */
        const size_t rest = kInitialBytes - 26;
        out[24] = static_cast<uint8_t>(0x40 | rest >> 8);
        out[25] = static_cast<uint8_t>(rest);
        return kInitialBytes;
    }

    void Batch(uint32_t count)
    {
        static uint8_t data[kBatch][2048];
        static uint8_t control[kBatch][CMSG_SPACE(sizeof(in_pktinfo))];
        mmsghdr msgs[kBatch] = {};
        iovec iovs[kBatch];
        for (uint32_t i = 0; i < count; i++) {
            iovs[i] = {data[i], Make(data[i])};
            msghdr *h = &msgs[i].msg_hdr;
            h->msg_name = &to_;
            h->msg_namelen = sizeof(to_);
            h->msg_iov = &iovs[i];
            h->msg_iovlen = 1;
            h->msg_control = control[i];
            h->msg_controllen = sizeof(control[i]);
            memset(control[i], 0, sizeof(control[i]));
            cmsghdr *c = CMSG_FIRSTHDR(h);
            c->cmsg_level = IPPROTO_IP;
            c->cmsg_type = IP_PKTINFO;
            c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
            in_pktinfo info = {};
            /* 127.1.0.0 and up: the established connections' 127.0.0.1 is not among them */
            info.ipi_spec_dst.s_addr =
                htonl(0x7f010000u + static_cast<uint32_t>(Random() % 0x00feffffu));
            memcpy(CMSG_DATA(c), &info, sizeof(info));
        }
        const int n = sendmmsg(fds_[Random() % 4], msgs, count, 0);
        sent_ += n > 0 ? static_cast<uint64_t>(n) : 0;
    }

    void Run(uint64_t per_s)
    {
        const uint64_t began = quring_now_ns();
        uint64_t due = 0;
        while (going_) {
            const uint64_t want = (quring_now_ns() - began) / 1000 * per_s / 1000000;
            while (due < want && going_) {
                const uint32_t n = static_cast<uint32_t>(want - due < kBatch ? want - due : kBatch);
                Batch(n);
                due += n;
            }
            pause_ns(kMs / 2);
        }
    }

    std::vector<std::vector<uint8_t>> real_;
    sockaddr_in to_ = {};
    int fds_[4];
    uint64_t state_ = 88172645463325252u;
    std::thread thread_;
    std::atomic<bool> going_{false};
    std::atomic<uint64_t> sent_{0};
};

/* ---- measuring ------------------------------------------------------------------------------------------ */

struct Picture {
    quring_stats server;
    uint64_t client_lost;
    uint64_t cpu_ns;
    uint64_t at_ns;
    uint64_t bytes;
    uint64_t answered;
    uint64_t flood;
};

struct Phase {
    double goodput, cpu, packets;
    double flood; /* packets of it that reached the server, per second */
    uint64_t lost, kernel_drops, answered;
};

Picture look(quring_runtime *server, const Flood &flood)
{
    Picture p = {};
    quring_stats mine = {};
    if (quring_stats_get(server, -1, &p.server) != QURING_OK ||
        quring_stats_get(clients.rt, -1, &mine) != QURING_OK) {
        die("no counters");
    }
    p.client_lost = mine.packets_lost;
    p.cpu_ns = quring_worker_cpu_ns(server, 0);
    p.at_ns = quring_now_ns();
    p.bytes = clients.bytes;
    p.answered = clients.answered;
    p.flood = flood.sent();
    return p;
}

Phase run(quring_runtime *server, Flood *flood, double seconds, bool requests, double flood_per_s)
{
    clients.asking = requests;
    if (flood_per_s > 0) {
        flood->Start(static_cast<uint64_t>(flood_per_s));
    }
    pause_ns(300 * kMs); /* until it is steady */
    const Picture a = look(server, *flood);
    pause_ns(static_cast<uint64_t>(seconds * 1e9));
    const Picture b = look(server, *flood);
    flood->Stop();
    clients.asking = false;
    Phase p = {};
    const double s = static_cast<double>(b.at_ns - a.at_ns) / 1e9;
    p.goodput = static_cast<double>(b.bytes - a.bytes) / s;
    p.cpu = static_cast<double>(b.cpu_ns - a.cpu_ns) / 1e9 / s;
    p.packets = static_cast<double>(b.server.packets_sent - a.server.packets_sent +
                                    b.server.packets_recv - a.server.packets_recv) /
                s;
    /* Datagrams that held no packet of a connection. */
    const uint64_t strange = (b.server.datagrams_recv - a.server.datagrams_recv) -
                             (b.server.packets_recv - a.server.packets_recv);
    p.flood = b.flood == a.flood ? 0 : static_cast<double>(strange) / s;
    p.lost = b.server.packets_lost - a.server.packets_lost + b.client_lost - a.client_lost;
    p.kernel_drops = b.server.io_kernel_drops - a.server.io_kernel_drops;
    p.answered = b.answered - a.answered;
    return p;
}

/* Rates become averages, counts sums. */
void add(Phase *sum, const Phase &p)
{
    sum->goodput += p.goodput / kRounds;
    sum->cpu += p.cpu / kRounds;
    sum->packets += p.packets / kRounds;
    sum->flood += p.flood / kRounds;
    sum->lost += p.lost;
    sum->kernel_drops += p.kernel_drops;
    sum->answered += p.answered;
}

void print(const char *name, const Phase &p)
{
    printf("%-22s %8.2f MB/s  %8.0f packets/s  %8.0f flood/s  server CPU %5.1f %%  lost %" PRIu64
           "  kernel drops %" PRIu64 "\n",
           name, p.goodput / 1e6, p.packets, p.flood, p.cpu * 100, p.lost, p.kernel_drops);
}

quring_runtime *make_runtime(int32_t cpu, bool server)
{
    quring_config config;
    quring_config_init(&config);
    config.cpus[0] = std::thread::hardware_concurrency() > 1 ? cpu : -1;
    config.log = [](void *, int, const char *) {};
    if (server) {
        config.limits.worker_mem_max_bytes = kMemCap;
    } else {
        quring_limits_for_loopback(&config.limits);
        config.limits.handshake_timeout_ns = 60 * kSecond;
    }
    config.limits.idle_timeout_ns = 60 * kSecond;
    quring_runtime *rt = nullptr;
    quring_error err = {};
    if (quring_runtime_create(&rt, &config, &err) != QURING_OK) {
        die(err.message);
    }
    return rt;
}

struct Arguments {
    double seconds = 2; /* of each of three phases, in all rounds */
    double ratio = 10;  /* packets of the flood to one of the connections' */
    bool check = false;
};

bool parse(Arguments *out, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            out->check = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0) {
            out->seconds = atof(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--ratio") == 0) {
            out->ratio = atof(argv[++i]);
        } else {
            return false;
        }
    }
    return true;
}

/* A server with a certificate made for the run, and its clients, all of them connected. */
class World
{
  public:
    World()
    {
        make_tls();
        server_ = make_runtime(0, true);
        clients.rt = make_runtime(1, false);
        quring_error err = {};
        quring_listen_options listen = {};
        listen.tls = server_tls_;
        listen.on_event = on_server_event;
        if (quring_addr_parse(&listen.local, "127.0.0.1:0", 0, &err) != QURING_OK ||
            quring_listen(server_, &listener_, &listen, &err) != QURING_OK) {
            die(err.message);
        }
        clients.options.remote = quring_listener_local(listener_);
        clients.options.server_name = "localhost";
        clients.options.tls = client_tls_;
        clients.options.on_event = on_client_event;
        if (quring_post(clients.rt, 0, open_all, nullptr) != QURING_OK ||
            !wait_for([] { return clients.connected == kConns; })) {
            die("the connections do not come about");
        }
    }
    ~World()
    {
        quring_listener_close(listener_);
        quring_runtime_destroy(clients.rt);
        quring_runtime_destroy(server_);
        quring_tls_release(client_tls_);
        quring_tls_release(server_tls_);
    }
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    quring_runtime *server() const
    {
        return server_;
    }

  private:
    void make_tls()
    {
        char cert[4096], key[4096];
        const char *alpn[] = {"flood"};
        quring_error err = {};
        quring_tls_options tls = {};
        tls.verify = QURING_VERIFY_NONE;
        tls.alpn = alpn;
        tls.alpn_count = 1;
        if (quring_tls_create_client(&client_tls_, &tls, &err) != QURING_OK ||
            quring_tls_self_signed(cert, &tls.cert_pem.len, key, &tls.key_pem.len) != QURING_OK) {
            die(err.message);
        }
        tls.cert_pem.data = reinterpret_cast<uint8_t *>(cert);
        tls.key_pem.data = reinterpret_cast<uint8_t *>(key);
        if (quring_tls_create_server(&server_tls_, &tls, &err) != QURING_OK) {
            die(err.message);
        }
    }

    quring_tls *client_tls_ = nullptr;
    quring_tls *server_tls_ = nullptr;
    quring_runtime *server_ = nullptr;
    quring_listener *listener_ = nullptr;
};

struct Phases {
    Phase alone = {};
    Phase attacked = {};
    Phase idle = {};
};

void print(const Phases &p, const Picture &last)
{
    print("connections alone", p.alone);
    print("with the flood", p.attacked);
    print("the flood alone", p.idle);
    const double per_packet = p.idle.flood > 0 ? p.idle.cpu / p.idle.flood : 0;
    const double rest = p.attacked.cpu - p.attacked.flood * per_packet;
    printf(
        "one flood packet costs the server %.2f us; goodput per CPU-second not spent on the flood: "
        "%.1f MB alone, %.1f MB attacked (%.0f %%)\n",
        per_packet * 1e6, p.alone.goodput / p.alone.cpu / 1e6, p.attacked.goodput / rest / 1e6,
        100 * (p.attacked.goodput / rest) / (p.alone.goodput / p.alone.cpu));
    printf("memory %.1f MiB at most, cap %.0f MiB; %" PRIu64 " connections begun, %" PRIu64
           " Retry packets, %" PRIu64 " time(s) under load\n",
           static_cast<double>(last.server.mem_peak_bytes) / (1 << 20),
           static_cast<double>(kMemCap) / (1 << 20), last.server.conns_opened,
           last.server.sent_retry, last.server.load_episodes);
}

/* Every request was answered, and the server kept within its bounds. */
bool holds(const Phases &p, const Picture &last)
{
    const bool all = wait_for([] { return clients.answered == clients.asked; });
    return all && clients.closed == 0 && last.server.mem_peak_bytes <= kMemCap &&
           last.server.load_episodes > 0 && last.server.sent_retry > 0 &&
           last.server.conns_opened <= kConns + 2048 && p.attacked.answered > 0;
}

} // namespace

int main(int argc, char **argv)
{
    Arguments args;
    if (!parse(&args, argc, argv)) {
        fputs("usage: initial_flood [--seconds S] [--ratio N] [--check]\n", stderr);
        return 2;
    }
    World world;
    Flood flood(clients.options.remote.port, capture(clients.options));
    pause_ns(500 * kMs);
    Phases phases;
    for (uint32_t i = 0; i < kRounds; i++) { /* in turns: machines have moods */
        const double seconds = args.seconds / kRounds;
        add(&phases.alone, run(world.server(), &flood, seconds, true, 0));
        const double flood_per_s = phases.alone.packets / (i + 1) * kRounds * args.ratio;
        add(&phases.attacked, run(world.server(), &flood, seconds, true, flood_per_s));
        add(&phases.idle, run(world.server(), &flood, seconds, false, flood_per_s));
    }
    const Picture last = look(world.server(), flood);
    print(phases, last);
    if (args.check && !holds(phases, last)) {
        fprintf(stderr, "initial_flood: %" PRIu64 " of %" PRIu64 " requests answered, %u cut off\n",
                clients.answered.load(), clients.asked.load(), clients.closed.load());
        return 1;
    }
    return 0;
}
