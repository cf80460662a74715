/* Runs of the client against quicperf's servers, in one process: what was asked for is what is reported. */
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <netinet/in.h>
#include <sstream>
#include <string>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tools/quicperf/commands.h"
#include "tools/quicperf/json_read.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/server.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/tcp/server.h"

/* How many TCP sockets do not get the port they want. */
static int ports_taken;

extern "C" int bind(int fd, const sockaddr *addr, socklen_t len) noexcept
{
    int type = 0;
    socklen_t size = sizeof(type);
    if (ports_taken > 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
        type == SOCK_STREAM) {
        ports_taken--;
        errno = EADDRINUSE;
        return -1;
    }
    return static_cast<int>(syscall(SYS_bind, fd, addr, len));
}

namespace
{

/* A command line, taken apart. */
struct Line {
    explicit Line(std::vector<std::string> given) : words(std::move(given))
    {
        words.insert(words.begin(), "quicperf");
        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        char message[640] = "";
        EXPECT_TRUE(qp_options_parse(&options, message, sizeof(message),
                                     static_cast<int>(words.size()), argv.data()))
            << message;
    }

    std::vector<std::string> words;
    std::vector<char *> argv;
    qp_options options;
};

class Run : public testing::Test
{
  protected:
    void SetUp() override
    {
        char why[256] = "";
        quring_config config;
        quring_error err = {};
        qp_config_from(&config, &served_.options);
        for (int left = 5; tcp_ == nullptr && left > 0;
             left--) { /* TCP's port of that number may be taken */
            qp_server_close(server_);
            ASSERT_EQ(qp_server_open(&server_, &port_, &served_.options, &config, -1, &err),
                      QURING_OK)
                << err.message;
            tcp_ = qp_tcp_server_open(&served_.options, port_, -1, why, sizeof(why));
        }
        ASSERT_NE(tcp_, nullptr) << why;
        ASSERT_EQ(pipe(signals_), 0);
    }

    void TearDown() override
    {
        qp_result_deinit(&r_);
        qp_tcp_server_close(tcp_);
        qp_server_close(server_);
        (void)close(signals_[0]);
        (void)close(signals_[1]);
    }

    std::vector<std::string> Words(const std::vector<std::string> &args) const
    {
        std::vector<std::string> words = {"client", host_ + ":" + std::to_string(port_)};
        words.insert(words.end(), args.begin(), args.end());
        return words;
    }

    /* The exit status of a run; r_ is its result, text_ what was printed. */
    int Measure(const std::vector<std::string> &args)
    {
        Line line(Words(args));
        char *text = nullptr;
        size_t len = 0;
        qp_out out = {};
        out.text = open_memstream(&text, &len);
        qp_result_deinit(&r_);
        int rc = qp_client_once(&r_, &line.options, &out, signals_[0]);
        (void)fclose(out.text);
        text_.assign(text, len);
        free(text);
        return rc;
    }

    void Signal() const
    {
        signalfd_siginfo info = {};
        info.ssi_signo = SIGINT;
        EXPECT_EQ(write(signals_[1], &info, sizeof(info)), static_cast<ssize_t>(sizeof(info)));
    }

    /* A signal as soon as the server has answered something. */
    std::thread SignalSoon()
    {
        return std::thread([this] {
            qp_server_totals before;
            qp_server_totals now;
            qp_server_totals_get(server_, &before);
            do {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                qp_server_totals_get(server_, &now);
            } while (now.requests < before.requests + 10);
            Signal();
        });
    }

    Line served_{{"server", "-p", "0", "-q", "-w", "2", "--0rtt"}};
    qp_server *server_ = nullptr;
    qp_tcp_server *tcp_ = nullptr;
    std::string host_ = "127.0.0.1";
    uint16_t port_ = 0;
    int signals_[2] = {-1, -1};
    qp_result r_ = {};
    std::string text_;
};

TEST_F(Run, TransfersOfAsMuchAsWasSaid)
{
    for (const char *way : {"down", "up"}) {
        ASSERT_EQ(
            Measure({"-d", way, "-n", "1000003", "-c", "3", "-s", "2", "-w", "2", "-i", "1ms"}),
            QP_EXIT_OK)
            << r_.error;
        EXPECT_EQ(r_.bytes, 1000003u);
        EXPECT_EQ(r_.connections, 3u);
        EXPECT_EQ(r_.errors, 0u);
        EXPECT_EQ(r_.requests, 0u);
        EXPECT_EQ(r_.latency, nullptr);
        EXPECT_GT(r_.seconds, 0);
        EXPECT_GT(r_.handshakes_per_s, 0);
        EXPECT_GT(r_.cpu_local_s, 0);
        EXPECT_EQ(r_.cpu_remote_s, QP_UNKNOWN_S);
        EXPECT_GT(r_.rtt_ns, 0u);
        EXPECT_GT(r_.min_rtt_ns, 0u);
        EXPECT_GT(r_.cwnd_bytes, 0u);
        EXPECT_GE(r_.payload_bytes, 1200u);
        EXPECT_EQ(r_.version, 1u);
        EXPECT_STREQ(r_.direction, way);
        EXPECT_NE(std::string(r_.cipher).find("TLS_"), std::string::npos);
        EXPECT_STREQ(r_.cc, "cubic");
        EXPECT_EQ(r_.workers, 2u);
        EXPECT_FALSE(r_.interrupted);
        EXPECT_FALSE(r_.proxied);
        EXPECT_NE(text_.find(std::string("  ") + way + "  1000003 bytes  "), std::string::npos)
            << text_;
        uint64_t bytes = 0;
        for (size_t i = 0; i < r_.interval_count; i++) {
            bytes += r_.intervals[i].bytes;
        }
        EXPECT_EQ(bytes, r_.bytes);
        ASSERT_GT(r_.interval_count, 0u);
        EXPECT_GT(r_.intervals[r_.interval_count - 1].rtt_ns, 0u);
        EXPECT_GT(r_.intervals[r_.interval_count - 1].cwnd_bytes, 0u);
    }
}

/* Streams that are open when their connection ends have had their bytes. */
TEST_F(Run, ServersCountWhatOpenStreamsHad)
{
    ASSERT_EQ(Measure({"-s", "8", "-t", "200ms"}), QP_EXIT_OK) << r_.error;
    qp_server_totals totals;
    do {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        qp_server_totals_get(server_, &totals);
    } while (totals.ended == 0);
    EXPECT_GT(totals.bytes_out, r_.bytes / 2); /* the last may not be acknowledged */
    EXPECT_EQ(totals.connections, 1u);
    EXPECT_EQ(totals.requests, 8u);
    EXPECT_EQ(totals.bytes_in, 0u);
}

/* A worker without a connection is none that could have no time left. */
TEST_F(Run, WorkersThatHaveSomethingToDo)
{
    ASSERT_EQ(Measure({"-n", "1", "-w", "3", "-c", "2"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.workers, 2u);
    EXPECT_EQ(r_.bytes, 1u);
    ASSERT_EQ(Measure({"-n", "1", "-w", "3"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.workers, 1u);
}

/* Two handshakes of each of 64 connections took far longer than the run, and are none of it. */
TEST_F(Run, CpuTimeOfTheRunOnly)
{
    ASSERT_EQ(Measure({"rr", "-n", "1", "-c", "64", "--resume", "-i", "1ms"}), QP_EXIT_OK)
        << r_.error;
    EXPECT_LT(r_.cpu_local_s, r_.seconds + 0.01);
    double lines = 0;
    for (size_t i = 0; i < r_.interval_count; i++) {
        lines += r_.intervals[i].cpu_local_s;
    }
    EXPECT_NEAR(lines, r_.cpu_local_s, 1e-9);
}

TEST_F(Run, AsManyRequestsAsWereSaid)
{
    for (const std::vector<std::string> &more : std::vector<std::vector<std::string>>{
             {"rr", "-n", "7", "-c", "2", "-w", "2"},
             {"rr", "-n", "7", "-c", "5", "-w", "3", "-s", "3", "--req", "300K"},
             {"rr", "-n", "2", "-c", "5", "-w", "3"},
             {"crr", "-n", "7", "-c", "3", "-w", "2"},
             {"crr", "-n", "1", "-c", "3"},
             {"latency", "-R", "20000", "-n", "7", "-c", "3", "-w", "2", "-s", "2"}}) {
        SCOPED_TRACE(more[0] + " " + more[2]);
        uint64_t n = std::stoull(*(std::find(more.begin(), more.end(), "-n") + 1));
        ASSERT_EQ(Measure(more), QP_EXIT_OK) << r_.error;
        EXPECT_EQ(r_.requests, n);
        EXPECT_EQ(r_.bytes, 1024 * n);
        EXPECT_EQ(r_.errors, 0u);
        ASSERT_NE(r_.latency, nullptr);
        EXPECT_EQ(r_.latency->count, n);
        EXPECT_GT(r_.latency->min, 0u);
        EXPECT_LE(static_cast<double>(r_.latency->max) / 1e9, r_.seconds + 0.001);
        EXPECT_EQ(r_.unsent, 0u);
        EXPECT_EQ(r_.unanswered, 0u);
        EXPECT_EQ(r_.direction, nullptr);
        EXPECT_GT(r_.cpu_local_s, 0);
        if (more[0] == "crr") {
            EXPECT_EQ(r_.connections, n);
            EXPECT_DOUBLE_EQ(r_.handshakes_per_s, static_cast<double>(n) / r_.seconds);
        }
    }
}

TEST_F(Run, AsManyHandshakesAsWereSaid)
{
    for (uint64_t n : {1u, 9u}) {
        for (const char *more : {"-w", "--resume"}) {
            std::vector<std::string> words = {"hps", "-n", std::to_string(n), "-c", "3", more};
            if (more[1] == 'w') {
                words.emplace_back("2");
            }
            ASSERT_EQ(Measure(words), QP_EXIT_OK) << r_.error;
            EXPECT_EQ(r_.connections, n) << more;
            EXPECT_EQ(r_.requests, 0u);
            ASSERT_NE(r_.latency, nullptr);
            EXPECT_EQ(r_.latency->count, n) << more;
            EXPECT_EQ(r_.resumed_count, more[1] == 'w' ? 0 : n);
            EXPECT_EQ(r_.resumed, more[1] != 'w');
            EXPECT_DOUBLE_EQ(r_.handshakes_per_s, static_cast<double>(n) / r_.seconds);
        }
    }
}

TEST_F(Run, WhatConnectionsDidBeside)
{
    ASSERT_EQ(Measure({"rr", "-n", "4", "-c", "2", "--0rtt", "--resume"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.zero_rtt_count, 2u);
    EXPECT_GT(r_.zero_rtt_bytes, 0u);
    ASSERT_EQ(Measure({"rr", "-n", "9", "--bulk", "1", "--urgent", "2K", "--version", "2"}),
              QP_EXIT_OK)
        << r_.error;
    EXPECT_EQ(r_.bytes, 9 * 1024u);
    EXPECT_GT(r_.bulk_bytes, 0u);
    EXPECT_GE(r_.urgent_streams, 9u);
    EXPECT_EQ(r_.version, 2u);
    EXPECT_EQ(r_.version_count, 1u);
    ASSERT_EQ(Measure({"-n", "100K", "--delay", "1ms"}), QP_EXIT_OK) << r_.error;
    EXPECT_TRUE(r_.proxied);
    EXPECT_GT(r_.proxy.received[0], 0u);
    EXPECT_GE(r_.min_rtt_ns, 2000000u);
    ASSERT_EQ(Measure({"fair", "-c", "3", "-t", "100ms"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.shares.count, 3u);
    EXPECT_EQ(static_cast<uint64_t>(r_.shares.sum), r_.bytes);
    ASSERT_EQ(Measure({"idle", "-c", "3", "-w", "2", "-t", "20ms"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.connections, 3u);
    EXPECT_GE(r_.seconds, 0.02);
    EXPECT_NE(text_.find("holding 3 connections\n"), std::string::npos);
}

TEST_F(Run, DatagramsOfTheSizeThatWasSaid)
{
    for (const char *way : {"down", "up"}) {
        ASSERT_EQ(Measure({"dgram", "-d", way, "-t", "200ms", "--dgram-size", "100", "--dgram-rate",
                           "2000"}),
                  QP_EXIT_OK)
            << r_.error;
        EXPECT_GT(r_.datagrams, 0u);
        EXPECT_EQ(r_.bytes, 100 * r_.datagrams);
    }
    ASSERT_EQ(Measure({"dgram", "-t", "200ms", "--dgram-size", "100", "--dgram-rate", "2000",
                       "--loss", "30%"}),
              QP_EXIT_OK)
        << r_.error;
    EXPECT_GT(r_.datagrams_lost, 0u);
}

TEST_F(Run, ASignalEndsIt)
{
    for (const char *mode : {"rr", "crr"}) {
        std::thread signal = SignalSoon();
        EXPECT_EQ(Measure({mode, "-t", "1h", "-i", "10ms"}), QP_EXIT_INTERRUPTED) << r_.error;
        signal.join();
        EXPECT_TRUE(r_.interrupted);
        EXPECT_GT(r_.requests, 0u);
        EXPECT_GT(r_.seconds, 0);
        EXPECT_STREQ(r_.error, "");
        EXPECT_NE(text_.find("  (interrupted)\n"), std::string::npos);
    }
    /* What was not due yet was not left out. */
    std::thread signal = SignalSoon();
    EXPECT_EQ(Measure({"latency", "-R", "500", "-n", "100000"}), QP_EXIT_INTERRUPTED) << r_.error;
    signal.join();
    EXPECT_LT(r_.requests + r_.unsent + r_.unanswered, 50000u);
    Signal(); /* before it has begun */
    testing::internal::CaptureStderr();
    EXPECT_EQ(Measure({"-t", "1h"}), QP_EXIT_INTERRUPTED);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "quicperf: interrupted before anything was measured\n");
    EXPECT_TRUE(r_.interrupted);
    EXPECT_EQ(r_.seconds, 0);
    EXPECT_EQ(text_, "");
}

TEST_F(Run, OverTcp)
{
    for (const char *way : {"down", "up"}) {
        ASSERT_EQ(Measure({"--tcp", "-d", way, "-t", "200ms", "-c", "3", "-w", "2"}), QP_EXIT_OK)
            << r_.error;
        EXPECT_GT(r_.bytes, 0u);
        EXPECT_GT(r_.rtt_ns, 0u);
        EXPECT_GT(r_.cwnd_bytes, 0u);
        EXPECT_EQ(r_.latency, nullptr);
        EXPECT_EQ(r_.connections, 3u);
        EXPECT_GT(r_.handshakes_per_s, 0);
        EXPECT_GT(r_.cpu_local_s, 0);
        EXPECT_STREQ(r_.api, "tcp");
        EXPECT_NE(r_.cc[0], '\0');
    }
    for (int again = 0; again < 2; again++) { /* none has anything of one before */
        ASSERT_EQ(Measure({"--tcp", "rr", "-t", "200ms", "-c", "3", "-w", "2", "--req", "300K"}),
                  QP_EXIT_OK)
            << r_.error;
        EXPECT_GT(r_.requests, 0u);
        EXPECT_GE(r_.bytes, 1024 * r_.requests);
        ASSERT_NE(r_.latency, nullptr);
        EXPECT_GE(r_.latency->count, r_.requests);
        EXPECT_LE(r_.latency->count, r_.requests + r_.requests / 8 + 64); /* some while it ends */
    }
    EXPECT_LE(r_.latency->min, r_.latency->max);
    EXPECT_GT(r_.latency->min, 0u);
    EXPECT_NE(std::string(r_.cipher).find("TLS_"), std::string::npos);
    qp_tcp_server_totals totals;
    qp_tcp_server_totals_get(tcp_, &totals);
    EXPECT_EQ(totals.connections, 12u);
    EXPECT_GE(totals.requests, r_.requests);
    EXPECT_GT(totals.bytes_in, 0u);
    EXPECT_GT(totals.bytes_out, 0u);
    EXPECT_GT(qp_tcp_server_cpu_s(tcp_), 0);
}

TEST_F(Run, WhatCannotBeIsSaidBeforeItBegins)
{
    Line line(Words({"-n", "1"}));
    line.options.workers = QURING_WORKERS_MAX + 1;
    qp_out out = {};
    out.text = stdout;
    EXPECT_EQ(qp_client_once(&r_, &line.options, &out, signals_[0]), QP_EXIT_USAGE);
    EXPECT_NE(r_.error[0], '\0');
    qp_result_deinit(&r_);
    line.options.workers = 1;
    line.options.qlog = "/no/such/folder";
    EXPECT_EQ(qp_client_once(&r_, &line.options, &out, signals_[0]), QP_EXIT_FAILED);
    EXPECT_NE(std::string(r_.error).find("/no/such/folder"), std::string::npos);
}

/* Both are served, where there are both. */
TEST_F(Run, TheOtherLoopbackAddress)
{
    sockaddr_in6 one = {};
    one.sin6_family = AF_INET6;
    one.sin6_addr = in6addr_loopback;
    int probe = socket(AF_INET6, SOCK_DGRAM, 0);
    bool there = probe >= 0 && bind(probe, reinterpret_cast<sockaddr *>(&one), sizeof(one)) == 0;
    (void)close(probe);
    if (!there) {
        GTEST_SKIP() << "no IPv6 here";
    }
    host_ = "[::1]";
    ASSERT_EQ(Measure({"rr", "-n", "3"}), QP_EXIT_OK) << r_.error;
    EXPECT_EQ(r_.requests, 3u);
    ASSERT_EQ(Measure({"rr", "-t", "200ms", "--tcp", "-c", "4"}), QP_EXIT_OK) << r_.error;
    EXPECT_GT(r_.requests, 0u);
}

/* ---- files --------------------------------------------------------------------------------------- */

class Files : public Run
{
  protected:
    ~Files() override
    {
        for (const std::string &path : made_) {
            (void)remove(path.c_str());
        }
    }

    std::string Path(const std::string &name)
    {
        made_.push_back(testing::TempDir() + "run_" + std::to_string(getpid()) + name);
        return made_.back();
    }

    static std::string Read(const std::string &path)
    {
        std::ostringstream all;
        all << std::ifstream(path).rdbuf();
        return all.str();
    }

    static size_t Count(const std::string &text, const std::string &part)
    {
        size_t count = 0;
        for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
            count++;
        }
        return count;
    }

    /* What is printed on the way, too. */
    static std::string Output(int (*command)(const qp_options *), const Line &line, int status)
    {
        testing::internal::CaptureStdout();
        EXPECT_EQ(command(&line.options), status);
        (void)fflush(stdout);
        return testing::internal::GetCapturedStdout();
    }

  private:
    std::vector<std::string> made_;
};

TEST_F(Files, OfARun)
{
    std::string json = Path(".json");
    std::string lines = Path(".jsonl");
    std::string hdr = Path(".hgrm");
    /* So many that no interval has all of them. */
    Line line(
        Words({"rr", "-n", "2000", "-i", "1ms", "--json", json, "--jsonl", lines, "--hdr", hdr}));
    EXPECT_NE(Output(qp_run_client, line, QP_EXIT_OK).find("done: "), std::string::npos);
    EXPECT_EQ(Count(Read(json), "\"requests\": 2000,"), 1u);
    std::string all = Read(lines);
    EXPECT_EQ(Count(all, "{\"type\": \"summary\",\"mode\": \"rr\""), 1u);
    EXPECT_EQ(Count(all, "\n"), Count(all, "{\"type\": \"interval\"") + 1);
    EXPECT_NE(Read(hdr).find("Total count    =         2000]"), std::string::npos);

    /* A run that cannot be leaves the histogram of another. */
    std::string before = Read(hdr);
    Line wrong(Words({"rr", "-n", "1", "--hdr", hdr}));
    wrong.options.target = "no address";
    testing::internal::CaptureStderr();
    EXPECT_EQ(qp_run_client(&wrong.options), QP_EXIT_FAILED);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("no address"), std::string::npos);
    EXPECT_EQ(Read(hdr), before);
}

/* Each record is a separator, JSON and a line feed (RFC 7464). */
TEST_F(Files, AQlog)
{
    std::string folder = Path(".qlog");
    ASSERT_EQ(Measure({"-n", "2M", "-s", "2", "--key-update", "512K", "--qlog", folder}),
              QP_EXIT_OK)
        << r_.error;
    std::string path = folder + "/" + std::to_string(getpid()) + "-0_client.sqlog";
    std::istringstream records(Read(path));
    std::map<std::string, unsigned> names;
    std::map<std::string, unsigned> secrets;
    double last = 0;
    std::string record;
    EXPECT_EQ(records.get(), 0x1e);
    ASSERT_TRUE(std::getline(records, record));
    EXPECT_EQ(Count(record, "\"application/qlog+json-seq\""), 1u);
    EXPECT_EQ(Count(record, "\"vantage_point\": {\"name\": \"quicperf\",\"type\": \"client\"}"), 1u)
        << record;
    while (records.get() == 0x1e && std::getline(records, record)) {
        char why[96] = "";
        qp_json_value *event = qp_json_read(record.data(), record.size(), why, sizeof(why));
        ASSERT_NE(event, nullptr) << why << record;
        EXPECT_GE(qp_json_number(event, "time", -1), last);
        last = qp_json_number(event, "time", -1);
        names[qp_json_text(event, "name", "")]++;
        secrets[qp_json_text(event, "data.key_type", "")]++;
        qp_json_free(event);
    }
    EXPECT_TRUE(records.eof());
    EXPECT_EQ(names["quic:connection_started"], 1u);
    EXPECT_EQ(names["quic:version_information"], 1u);
    EXPECT_EQ(names["quic:alpn_information"], 1u);
    EXPECT_EQ(names["quic:connection_closed"], 1u);
    EXPECT_EQ(names["quic:connection_state_updated"], 3u);
    EXPECT_GE(names["quic:stream_state_updated"], 2u);
    EXPECT_GT(names["quic:recovery_metrics_updated"], 0u);
    EXPECT_GT(names["quic:packet_sent"], 0u);
    EXPECT_GT(names["quic:packet_received"], 100u);
    /* The peer's answer to the last one may not have come when the run was over (RFC 9001 6.2). */
    const unsigned told = secrets["client_1rtt_secret"];
    EXPECT_LE(told, r_.key_updates);
    EXPECT_GE(told + 1, r_.key_updates);
    EXPECT_EQ(secrets["server_1rtt_secret"], told);
    EXPECT_EQ(names["quic:key_updated"], 2 * told);
    char why[256] = "";
    EXPECT_TRUE(qp_qlog_is_whole(why, sizeof(why))) << why;
    (void)remove(path.c_str());
}

TEST_F(Files, AScript)
{
    std::string script = Path(".txt");
    std::string json = Path(".json");
    std::ofstream(script) << "rr -n 3\ntput -n 100\n";
    Line line(Words({"script", script, "--json", json, "-i", "0"}));
    std::string text = Output(qp_run_script, line, QP_EXIT_OK);
    EXPECT_EQ(Count(text, "done: "), 2u);
    EXPECT_NE(text.find("line 2: tput -n 100\n"), std::string::npos);
    EXPECT_EQ(Count(Read(json), "\"line\": "), 2u);
}

TEST_F(Files, AReport)
{
    std::vector<std::string> words = {"report", "--plot", Path(".svg")};
    for (const char *rate : {"3", "1", "2", "4"}) {
        words.push_back(Path(rate));
        std::ofstream(words.back())
            << "{\"mode\": \"rr\", \"summary\": {\"goodput_bps\": 0, \"requests_per_s\": " << rate
            << ", \"lost_packets\": 7}, \"latency_us\": {\"p50\": 5.25}}";
        if (words.size() == 4 || words.size() == 5) { /* of one run, of two */
            std::string text = Output(qp_run_report, Line(words), QP_EXIT_OK);
            EXPECT_EQ(Count(text, " runs, "), words.size() - 4) << text;
        }
    }
    std::string text = Output(qp_run_report, Line(words), QP_EXIT_OK);
    EXPECT_NE(text.find("rr, native: 4 runs, median 2/s, least 1/s, most 4/s\n"), std::string::npos)
        << text;
    EXPECT_NE(text.find("3/s"), std::string::npos);
    EXPECT_EQ(Count(text, " 5.2 "), 4u) << text;
    for (size_t i = 3; i < words.size(); i++) {
        EXPECT_EQ(Count(text, words[i].substr(words[i].rfind('/') + 1) + "  rr, native  "), 1u)
            << text;
    }
    EXPECT_EQ(Count(Read(words[2]), "<polyline"), 4u);
    words.emplace_back("--md");
    text = Output(qp_run_report, Line(words), QP_EXIT_OK);
    EXPECT_NE(text.find("| rr, native | 4 | 2/s | 1/s | 4/s |\n"), std::string::npos) << text;
}

TEST_F(Files, ALimit)
{
    std::string json = Path(".json");
    Line line({"limit", "-t", "20ms", "--json", json, "--payload", "1400"});
    EXPECT_NE(Output(qp_run_limit, line, QP_EXIT_OK).find("payload 1400, "), std::string::npos);
    EXPECT_EQ(Count(Read(json), "\"payload_bytes\": 1400"), 1u);
    EXPECT_EQ(Count(Read(json), "\"limit_bps\": null"), 0u);
    EXPECT_NE(
        Output(qp_run_limit, Line({"limit", "-t", "20ms"}), QP_EXIT_OK).find("payload 1452, "),
        std::string::npos);
    std::string text = Output(
        qp_run_limit, Line({"limit", "-t", "20ms", "--pingpong", "--json", json}), QP_EXIT_OK);
    EXPECT_NE(text.find("round trips per second"), std::string::npos);
    EXPECT_EQ(Count(Read(json), "\"mode\": \"limit\""), 1u);
}

TEST_F(Files, ADemo)
{
    std::string json = Path(".json");
    std::string text =
        Output(qp_run_demo, Line({"demo", "-t", "50ms", "-i", "0", "--json", json}), QP_EXIT_OK);
    for (const char *run : {"\nlimit ", "\ndown ", "\nup ", "\nrr "}) {
        EXPECT_EQ(Count(text, run), 1u) << text;
    }
    EXPECT_EQ(Count(text, "CPU -1"), 0u);
    text = Read(json);
    EXPECT_EQ(Count(text, "\"payload_bytes\": 1452"), 4u);
    EXPECT_EQ(Count(text, "\"mode\": \"tput\""), 2u);
    EXPECT_EQ(Count(text, "\"mode\": \"rr\""), 1u);
    EXPECT_EQ(Count(text, "\"cpu_remote_s\": null"), 0u);
}

/* The port that the kernel picks for UDP may be taken over TCP: then it picks again. */
TEST_F(Files, AComparison)
{
    std::string json = Path(".json");
    ports_taken = 2;
    std::string text = Output(
        qp_run_compare,
        Line({"compare", "-t", "200ms", "-i", "0", "--rounds", "1", "--json", json}), QP_EXIT_OK);
    EXPECT_EQ(ports_taken, 0);
    EXPECT_EQ(Count(text, " of TCP and TLS ("), 3u) << text;
    text = Read(json);
    EXPECT_EQ(Count(text, "\"api\": \"tcp\""), 3u);
    EXPECT_EQ(Count(text, "\"api\": \"native\""), 3u);
    EXPECT_EQ(Count(text, "\"rounds\": 1"), 1u);
}

/* One that ends with its first connection; where it is it says on standard output. */
TEST_F(Files, AServer)
{
    std::string json = Path(".json");
    Line line({"server", "-p", "0", "-1", "--tcp", "-i", "1ms", "--json", json});
    int said[2];
    ASSERT_EQ(pipe(said), 0);
    int before = dup(1);
    (void)fflush(stdout);
    ASSERT_EQ(dup2(said[1], 1), 1);
    (void)close(said[1]);
    int rc = -1;
    std::thread server([&] {
        rc = qp_run_server(&line.options);
        (void)fflush(stdout);
        (void)dup2(before, 1); /* nobody writes there any more: the text has an end */
    });
    std::string text;
    auto more = [&] {
        char some[512];
        ssize_t len = read(said[0], some, sizeof(some));
        text.append(some, len > 0 ? static_cast<size_t>(len) : 0);
        return len > 0;
    };
    while (text.find('\n') == std::string::npos && more()) {
    }
    size_t at = text.find(" port ");
    ASSERT_NE(at, std::string::npos) << text;
    port_ = static_cast<uint16_t>(std::stoul(text.substr(at + 6)));
    EXPECT_EQ(Measure({"rr", "-n", "5", "--req", "1M"}), QP_EXIT_OK) << r_.error;
    while (more()) {
    }
    server.join();
    (void)close(said[0]);
    (void)close(before);
    EXPECT_EQ(rc, QP_EXIT_OK);
    EXPECT_NE(text.find("done: "), std::string::npos) << text;
    EXPECT_NE(text.find("connections 1  requests 5  "), std::string::npos) << text;
    text = Read(json);
    EXPECT_EQ(Count(text, "\"requests\": 5,"), 1u) << text;
    EXPECT_EQ(Count(text, "\"connections\": 1,"), 1u);
    EXPECT_EQ(Count(text, "\"cpu_local_s\": 0,"), 0u);
    EXPECT_EQ(Count(text, "\"cc\": \"cubic\""), 1u);
}

} // namespace
