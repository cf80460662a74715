#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/options.h"

namespace
{

struct Parsed {
    qp_options options;
    bool ok;
    std::string message;
    std::vector<std::string> words; /* options point into these */
};

std::unique_ptr<Parsed> Parse(const std::string &line)
{
    auto p = std::make_unique<Parsed>();
    std::istringstream in("quicperf " + line);
    for (std::string word; in >> word;) {
        p->words.push_back(word);
    }
    std::vector<char *> argv;
    for (std::string &word : p->words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    char message[640] = "";
    p->ok = qp_options_parse(&p->options, message, sizeof(message),
                             static_cast<int>(p->words.size()), argv.data());
    p->message = message;
    return p;
}

TEST(Options, HasDefaults)
{
    auto p = Parse("client localhost:4433");
    ASSERT_TRUE(p->ok) << p->message;
    const qp_options &o = p->options;
    EXPECT_EQ(o.command, QP_CMD_CLIENT);
    EXPECT_STREQ(o.target, "localhost:4433");
    EXPECT_EQ(o.mode, QP_MODE_TPUT);
    EXPECT_EQ(o.direction, QP_DOWN);
    EXPECT_EQ(o.duration_ns, 10000000000u);
    EXPECT_EQ(o.interval_ns, 1000000000u);
    EXPECT_EQ(o.conns, 1u);
    EXPECT_EQ(o.streams, 1u);
    EXPECT_EQ(o.workers, 1u);
    EXPECT_EQ(o.timeout_ns, 10000000000u);
    EXPECT_EQ(o.port, 4433u);
    EXPECT_EQ(Parse("server")->options.interval_ns, 0u);
    EXPECT_EQ(Parse("demo")->options.duration_ns, 3000000000u);
}

/* What a program of sockets cannot do is refused, not forgotten. */
TEST(Options, SocketsTakeLess)
{
    auto p = Parse("client h rr -c 3 -s 2 --cc bbr --api sockets --quic-lib x.so");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_EQ(p->options.api, static_cast<uint32_t>(QP_API_SOCKETS));
    EXPECT_STREQ(p->options.quic_lib, "x.so");
    for (const char *line :
         {"client h --api sockets --resume", "client h --api sockets --mtu-probe 1400",
          "client h --api sockets latency -R 5", "server --api sockets --client-cert none",
          "client h --api sockets --cipher auto", "client h --quic-lib x.so"}) {
        EXPECT_FALSE(Parse(line)->ok) << line;
        EXPECT_NE(std::string::npos, Parse(line)->message.find("--api sockets")) << line;
    }
    EXPECT_TRUE(Parse("server --api sockets --cipher aes128gcm --retry -1")->ok);
}

/* What a mode has no use for is refused, not forgotten. */
TEST(Options, ModesTakeWhatTheyUse)
{
    const struct {
        const char *line;
        const char *message;
    } bad[] = {
        {"client h crr -s 2", "-s is for tput, rr, latency and fair, not crr"},
        {"client h hps --streams=2", "-s is for tput, rr, latency and fair, not hps"},
        {"client h idle -s 1", "-s is for tput, rr, latency and fair, not idle"},
        {"client h dgram -s 3 --api sockets", "-s is for tput, rr, latency and fair, not dgram"},
        {"client h --req 5", "--req is for rr, crr and latency, not tput"},
        {"client h hps --resp 5", "--resp is for rr, crr and latency, not hps"},
        {"client h rr -d up", "-d is for tput, dgram and fair, not rr"},
        {"client h idle -d down", "-d is for tput, dgram and fair, not idle"},
        {"client h --dgram-size 50", "--dgram-size is for dgram, not tput"},
        {"client h rr --dgram-rate 50", "--dgram-rate is for dgram, not rr"},
        {"client h fair --hdr x", "--hdr is for rr, crr, hps and latency, not fair"},
        {"client h tput --bulk 1", "--bulk is for rr and latency, not tput"},
        {"client h idle --urgent 5", "--urgent is for tput, rr, crr, latency and fair, not idle"},
        {"client h hps --key-update 5",
         "--key-update is for tput, rr, crr, dgram, latency and fair, not hps"},
        {"client h crr --migrate 5s",
         "--migrate is for tput, rr, idle, dgram, latency and fair, not crr"},
        {"client h script x --hdr y", "--hdr is for rr, crr, hps and latency, not script"},
        {"client [::1]:4 -p 5", "-p 5 and [::1]:4 contradict each other: allowed is one of them"},
        {"client h:4 rr -p 44", "-p 44 and h:4 contradict each other: allowed is one of them"},
        {"limit --req 100", "--req goes with --pingpong"},
        {"limit --spin auto", "--spin goes with --pingpong"},
        {"limit --pingpong --payload 1300", "--pingpong does not take --payload"},
        {"limit --pingpong --window 1M", "--pingpong does not take --window"},
        {"limit --pingpong --aead boringssl", "--pingpong takes --aead with --sealed"},
    };
    for (const auto &b : bad) {
        auto p = Parse(b.line);
        EXPECT_FALSE(p->ok) << b.line;
        EXPECT_EQ(p->message, b.message);
    }
    for (const char *good :
         {"client h rr --bulk 1 -d up", "client h latency -R 5 --bulk 2 -d down -s 3",
          "client h script x -s 3 -d up --req 5 --bulk 2", "client h:4 -p 4", "client ::1 -p 5",
          "client h crr --req 5 --resp 9", "client h idle --migrate 1s", "server --urgent 5",
          "limit --pingpong --sealed --aead auto"}) {
        auto p = Parse(good);
        EXPECT_TRUE(p->ok) << good << ": " << p->message;
    }
    EXPECT_FALSE(Parse("limit -i 1s")->ok);
}

/* One name, for each side what it can mean there. */
TEST(Options, VersionsDependOnTheCommand)
{
    EXPECT_EQ(Parse("client h")->options.version, QP_VERSION_ANY);
    EXPECT_EQ(Parse("client h --version 2")->options.version, QP_VERSION_2);
    EXPECT_EQ(Parse("client h --version upgrade")->options.version, QP_VERSION_UPGRADE);
    EXPECT_EQ(Parse("server --version 1")->options.version, QP_VERSION_1);
    EXPECT_EQ(Parse("server --version both")->options.version, QP_VERSION_ANY);
    EXPECT_FALSE(Parse("server --version upgrade")->ok);
    EXPECT_FALSE(Parse("client h --version both")->ok);
    EXPECT_TRUE(Parse("server --disable-encryption")->options.disable_encryption);
}

TEST(Options, Spin)
{
    EXPECT_EQ(Parse("server")->options.spin_us, 0u);
    EXPECT_EQ(Parse("server --spin off")->options.spin_us, 0u);
    EXPECT_EQ(Parse("client h --spin auto")->options.spin_us, QP_SPIN_AUTO);
    EXPECT_EQ(Parse("limit --pingpong --spin 20")->options.spin_us, 20u);
    for (const char *bad :
         {"client h --spin 1000001", "client h --spin on", "client h --spin -1"}) {
        auto p = Parse(bad);
        EXPECT_FALSE(p->ok) << bad;
        EXPECT_NE(std::string(p->message).find("off, auto"), std::string::npos) << p->message;
    }
    EXPECT_FALSE(Parse("limit --pingpong --req 0")->ok);
    EXPECT_FALSE(Parse("limit --pingpong --req 64K")->ok);
    EXPECT_TRUE(Parse("limit --pingpong --req 1")->ok);
    EXPECT_TRUE(Parse("limit --pingpong --sealed")->options.sealed);
    EXPECT_FALSE(Parse("limit --pingpong --sealed --req 7")->ok);
    EXPECT_FALSE(Parse("limit --sealed")->ok);
}

TEST(Options, Priorities)
{
    auto p = Parse("client h latency -R 5 --bulk 4 --urgent 64K -d up");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_EQ(p->options.bulk, 4u);
    EXPECT_EQ(p->options.urgent_bytes, 65536u);
    EXPECT_TRUE(Parse("client h rr --bulk 1")->ok);
    EXPECT_TRUE(Parse("server --urgent 1M")->ok);
    for (const char *bad : {"client h tput --bulk 1", "client h rr --bulk 0", "server --bulk 1",
                            "client h rr --tcp -t 1s --bulk 1", "client h rr --urgent 0",
                            "client h rr --api sockets --urgent 1"}) {
        EXPECT_FALSE(Parse(bad)->ok) << bad;
    }
}

TEST(Options, TakesAllOfThem)
{
    auto p =
        Parse("client [::1]:4433 rr -B 127.0.0.1 --ca ca.pem -w 3 --cpu 1,0 --io epoll "
              "--aead boringssl --payload=1452 -d up --bulk 2 -n 1G -c 7 -s 9 --req 1K --resp 2M "
              "--cc reno --no-pacing --no-gso --no-gro --json - -i 500ms -q --spin 50 "
              "--timeout 1s --idle-timeout 2m --window 8M");
    ASSERT_TRUE(p->ok) << p->message;
    const qp_options &o = p->options;
    EXPECT_EQ(o.mode, QP_MODE_RR);
    EXPECT_STREQ(o.bind, "127.0.0.1");
    EXPECT_STREQ(o.ca, "ca.pem");
    EXPECT_EQ(o.workers, 3u);
    ASSERT_EQ(o.cpu_count, 2u);
    EXPECT_EQ(o.cpus[0], 1);
    EXPECT_EQ(o.cpus[1], 0);
    EXPECT_EQ(o.io, static_cast<uint32_t>(QURING_IO_EPOLL));
    EXPECT_EQ(o.aead, static_cast<uint32_t>(QURING_AEAD_BORINGSSL));
    EXPECT_EQ(o.cc, static_cast<uint32_t>(QURING_CC_NEWRENO));
    EXPECT_EQ(o.payload, 1452u);
    EXPECT_EQ(o.direction, QP_UP);
    EXPECT_EQ(o.amount, 1u << 30);
    EXPECT_EQ(o.conns, 7u);
    EXPECT_EQ(o.streams, 9u);
    EXPECT_EQ(o.request_bytes, 1024u);
    EXPECT_EQ(o.response_bytes, 2u << 20);
    EXPECT_TRUE(o.no_pacing && o.no_gso && o.no_gro && o.quiet);
    EXPECT_STREQ(o.json, "-");
    EXPECT_EQ(o.interval_ns, 500000000u);
    EXPECT_EQ(o.spin_us, 50u);
    EXPECT_EQ(o.timeout_ns, 1000000000u);
    EXPECT_EQ(o.idle_timeout_ns, 120000000000u);
    EXPECT_EQ(o.window_bytes, 8u << 20);
    p = Parse("server --preferred 127.0.0.2:4434");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_STREQ(p->options.preferred, "127.0.0.2:4434");
    p = Parse("client h --migrate 250ms");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_EQ(p->options.migrate_ns, 250000000u);
    p = Parse("server -1 -p 0 --cert c --key k --retry --max-streams 5 --io uring");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_TRUE(p->options.one && p->options.retry);
    EXPECT_EQ(p->options.port, 0u);
    EXPECT_EQ(p->options.max_streams, 5u);
    EXPECT_EQ(p->options.io, static_cast<uint32_t>(QURING_IO_URING));
}

TEST(Options, CountsAWorkerForEachCpu)
{
    EXPECT_EQ(Parse("server --cpu 0-3")->options.workers, 4u);
    EXPECT_EQ(Parse("server --cpu 0-3 -w 2")->options.workers, 2u);
}

TEST(Options, SaysWhatIsWrongAndWhatIsAllowed)
{
    const struct {
        const char *line;
        const char *wrong;
        const char *allowed;
    } rows[] = {
        {"", "command", "server, client, demo, compare, report, limit"},
        {"serve", "serve", "server, client, demo, compare, report, limit"},
        {"server --frob", "--frob", "--cert"},
        {"server -d up", "-d", "-p"},
        {"client", "host", "HOST:PORT"},
        {"client h tputt", "tputt", "tput|rr|crr"},
        {"client h rr extra", "extra", "tput|rr|crr"},
        {"server extra", "extra", "options"},
        {"client h --payload 1199", "1199", "1200..65507"},
        {"client h --payload 65508", "65508", "1200..65507"},
        {"client h --payload big", "big", "1200..65507"},
        {"client h --payload", "--payload", "1200..65507"},
        {"client h -t 0", "-t", "1ms..24h"},
        {"client h -t abc", "abc", "1ms..24h"},
        {"client h -n 0", "-n", "1..1024T"},
        {"client h -n 1X", "1X", "1..1024T"},
        {"client h -c 0", "-c 0", "1..1000000"},
        {"client h -c -3", "-3", "1..1000000"},
        {"client h -s 99999999999999999999", "-s", "1..65536"},
        {"client h -n 1G -t 1s", "-n and -t", "one of them"},
        {"client h idle -n 5", "-n", "-t"},
        {"client h -d sideways", "sideways", "down|up"},
        {"client h --io windows", "windows", "auto|uring|epoll"},
        {"client h --aead rot13", "rot13", "auto|boringssl|ipsec-mb"},
        {"client h --cc vegas", "vegas", "cubic|reno|bbr"},
        {"client h --ca f --insecure", "--ca and --insecure", "one of them"},
        {"client h -p 0", "-p 0", "1..65535"},
        {"server -p 65536", "65536", "0..65535"},
        {"server --cert c", "--cert needs --key", "both or neither"},
        {"server --key k", "--key needs --cert", "both or neither"},
        {"server -w 0", "-w 0", "1..64"},
        {"server -w 65", "-w 65", "1..64"},
        {"server --cpu 1-", "1-", "0,2-3"},
        {"server --json", "--json", "file"},
        {"server --json=", "--json", "not empty"},
        {"server -q=1", "-q=1", "--cert"},
        {"server --quiet=1", "-q takes no value", "\"1\""},
        {"demo --cpu 0-2", "--cpu", "one or two"},
        {"limit --cc reno", "--cc", "--payload"},
        {"limit -t 99h", "99h", "1ms..24h"},
    };
    for (const auto &row : rows) {
        auto p = Parse(row.line);
        EXPECT_FALSE(p->ok) << row.line;
        EXPECT_NE(p->message.find(row.wrong), std::string::npos) << row.line << ": " << p->message;
        EXPECT_NE(p->message.find(row.allowed), std::string::npos)
            << row.line << ": " << p->message;
        EXPECT_EQ(p->message.find('\n'), std::string::npos) << row.line;
    }
}

TEST(Options, LeavesTheRestToOperandsAfterTwoDashes)
{
    auto p = Parse("client -q -- -odd-host");
    ASSERT_TRUE(p->ok) << p->message;
    EXPECT_STREQ(p->options.target, "-odd-host");
}

TEST(Options, FindsHelpAnywhere)
{
    for (const char *line : {"--help", "-h", "help", "server --help", "client h -h"}) {
        auto p = Parse(line);
        EXPECT_TRUE(p->ok) << line;
        EXPECT_EQ(p->options.command, QP_CMD_HELP) << line;
    }
    EXPECT_EQ(Parse("--version")->options.command, QP_CMD_VERSION);
}

TEST(Options, ExplainsEachOption)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    qp_options_usage(file, 0);
    fclose(file);
    for (const char *word :
         {"--payload", "--json", "-1", "quicperf demo", "powers of 1024", "130"}) {
        EXPECT_NE(strstr(text, word), nullptr) << word;
    }
    free(text);
}

} // namespace
