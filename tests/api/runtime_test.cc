#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::ClientTls;
using quring_test::Config;
using quring_test::kMs;
using quring_test::kSecond;
using quring_test::Listener;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::Tls;

struct LogLines {
    std::mutex mutex;
    std::vector<std::pair<int, std::string>> lines;

    static void Add(void *ctx, int level, const char *line)
    {
        LogLines *self = static_cast<LogLines *>(ctx);
        std::lock_guard<std::mutex> guard(self->mutex);
        self->lines.emplace_back(level, line);
    }
};

class RuntimeOn : public testing::TestWithParam<quring_io_backend>
{
  protected:
    void SetUp() override
    {
        Runtime probe(Config(GetParam()));
        if (probe.rt() == nullptr && probe.error().status == QURING_E_NOT_SUPPORTED) {
            GTEST_SKIP() << probe.error().message;
        }
    }
};

TEST_P(RuntimeOn, StartsTellsAndEnds)
{
    LogLines log;
    quring_config config = Config(GetParam(), 3);
    config.log = LogLines::Add;
    config.log_ctx = &log;
    Runtime runtime(config);
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    quring_runtime_info info;
    quring_runtime_get_info(runtime.rt(), &info);
    EXPECT_STREQ(info.backend, GetParam() == QURING_IO_URING ? "io_uring" : "epoll");
    EXPECT_STREQ(info.backend_why, "asked for");
    EXPECT_EQ(info.workers, 3u);
    EXPECT_TRUE(std::string(info.aead) == "boringssl" || std::string(info.aead) == "ipsec-mb");
    runtime.Destroy();
    ASSERT_EQ(log.lines.size(), 1u);
    EXPECT_NE(log.lines[0].second.find("3 workers"), std::string::npos) << log.lines[0].second;
    EXPECT_NE(log.lines[0].second.find("asked for"), std::string::npos) << log.lines[0].second;
}

TEST_P(RuntimeOn, PostRunsOnTheNamedWorkerInOrder)
{
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    EXPECT_EQ(quring_worker_self(), -1);
    for (uint32_t worker = 0; worker < 2; worker++) {
        int self = -2;
        ASSERT_TRUE(runtime.On(worker, [&self] { self = quring_worker_self(); }));
        EXPECT_EQ(self, static_cast<int>(worker));
    }
    EXPECT_EQ(quring_post(
                  runtime.rt(), 2, [](void *) {}, nullptr),
              QURING_E_INVAL);
    EXPECT_EQ(quring_post(runtime.rt(), 0, nullptr, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_post(
                  nullptr, 0, [](void *) {}, nullptr),
              QURING_E_INVAL);
}

struct Ticket {
    std::vector<uint32_t> *last; /* by thread; touched on the worker only */
    uint32_t thread;
    uint32_t number;
    std::atomic<uint32_t> *wrong;
};

void Punch(void *ctx)
{
    Ticket *ticket = static_cast<Ticket *>(ctx);
    uint32_t &last = (*ticket->last)[ticket->thread];
    if (ticket->number != last + 1) {
        ticket->wrong->fetch_add(1);
    }
    last = ticket->number;
    delete ticket;
}

TEST_P(RuntimeOn, PostsFromManyThreadsKeepTheirOrder)
{
    constexpr uint32_t kThreads = 4;
    constexpr uint32_t kPosts = 3000;
    Runtime runtime(Config(GetParam()));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    std::vector<uint32_t> last(kThreads, 0);
    std::atomic<uint32_t> wrong(0);
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            for (uint32_t i = 1; i <= kPosts; i++) {
                Ticket *ticket = new Ticket{&last, t, i, &wrong};
                quring_status status = quring_post(runtime.rt(), 0, Punch, ticket);
                while (status == QURING_E_AGAIN) { /* the mailbox is full */
                    std::this_thread::yield();
                    status = quring_post(runtime.rt(), 0, Punch, ticket);
                }
                EXPECT_EQ(status, QURING_OK);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    std::vector<uint32_t> seen;
    ASSERT_TRUE(runtime.On(0, [&] { seen = last; }));
    EXPECT_EQ(seen, std::vector<uint32_t>(kThreads, kPosts));
    EXPECT_EQ(wrong.load(), 0u);
}

struct Alarm {
    std::vector<int> *rang;
    int number;
    std::atomic<int> *count;
};

void Ring(void *ctx)
{
    Alarm *alarm = static_cast<Alarm *>(ctx);
    alarm->rang->push_back(alarm->number);
    alarm->count->fetch_add(1);
}

TEST_P(RuntimeOn, TimersFireInOrderAndCanBeCancelled)
{
    Runtime runtime(Config(GetParam()));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    std::vector<int> rang;
    std::atomic<int> count(0);
    Alarm alarms[4] = {
        {&rang, 0, &count}, {&rang, 1, &count}, {&rang, 2, &count}, {&rang, 3, &count}};
    uint64_t first = 0;
    ASSERT_TRUE(runtime.On(0, [&] {
        const uint64_t now = quring_now_ns();
        uint64_t cancelled = 0;
        EXPECT_EQ(quring_timer(nullptr, now + 20 * kMs, Ring, &alarms[2]), QURING_OK);
        EXPECT_EQ(quring_timer(&cancelled, now + 10 * kMs, Ring, &alarms[3]), QURING_OK);
        EXPECT_EQ(quring_timer(nullptr, now + 5 * kMs, Ring, &alarms[1]), QURING_OK);
        EXPECT_EQ(quring_timer(&first, 0, Ring, &alarms[0]), QURING_OK); /* long past */
        EXPECT_EQ(quring_timer_cancel(cancelled), QURING_OK);
        EXPECT_EQ(quring_timer_cancel(cancelled), QURING_E_STATE);
        EXPECT_EQ(quring_timer(nullptr, now, nullptr, nullptr), QURING_E_INVAL);
    }));
    const uint64_t begun = quring_now_ns();
    while (count.load() < 3 && quring_now_ns() - begun < 60 * kSecond) {
        usleep(1000);
    }
    ASSERT_TRUE(runtime.On(0, [&] { EXPECT_EQ(quring_timer_cancel(first), QURING_E_STATE); }));
    EXPECT_EQ(rang, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(quring_timer(nullptr, 0, Ring, &alarms[0]), QURING_E_THREAD);
    EXPECT_EQ(quring_timer_cancel(1), QURING_E_THREAD);
}

TEST_P(RuntimeOn, NoOtherWorkersTimerIsCancelled)
{
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    const auto nothing = [](void *) {};
    uint64_t ids[2] = {0, 0};
    for (uint32_t worker = 0; worker < 2; worker++) {
        ASSERT_TRUE(runtime.On(worker, [&] {
            EXPECT_EQ(quring_timer(&ids[worker], UINT64_MAX, nothing, nullptr), QURING_OK);
        }));
    }
    EXPECT_NE(ids[0], ids[1]);
    ASSERT_TRUE(runtime.On(1, [&] {
        EXPECT_EQ(quring_timer_cancel(ids[0]), QURING_E_THREAD);
        EXPECT_EQ(quring_timer_cancel(0), QURING_E_STATE);
        EXPECT_EQ(quring_timer_cancel(ids[1]), QURING_OK);
        EXPECT_EQ(quring_timer_cancel(ids[1]), QURING_E_STATE);
    }));
    ASSERT_TRUE(runtime.On(0, [&] { EXPECT_EQ(quring_timer_cancel(ids[0]), QURING_OK); }));
}

TEST_P(RuntimeOn, AfterStopNothingIsTaken)
{
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    Peer peer;
    const Tls tls = ServerTls();
    Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), tls.get());
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    const uint64_t begun = quring_now_ns();
    quring_runtime_stop(runtime.rt(), 7, 10 * kSecond);
    quring_runtime_stop(runtime.rt(), 8, 10 * kSecond);
    EXPECT_LT(quring_now_ns() - begun, 5 * kSecond) << "there was nothing to wait for";
    EXPECT_EQ(quring_post(
                  runtime.rt(), 0, [](void *) {}, nullptr),
              QURING_E_STATE);
    Listener late(&runtime, &peer, Addr("127.0.0.1:0"), tls.get());
    EXPECT_EQ(late.error().status, QURING_E_STATE);
    quring_stats stats;
    EXPECT_EQ(quring_stats_get(runtime.rt(), -1, &stats), QURING_OK);
    quring_runtime_drain(runtime.rt());
    listener.Close(); /* works as long as the runtime is there */
}

TEST_P(RuntimeOn, EndingCallsOnAWorkerDoNothing)
{
    Runtime runtime(Config(GetParam()));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    ASSERT_TRUE(runtime.On(0, [&] {
        quring_runtime_drain(runtime.rt());
        quring_runtime_stop(runtime.rt(), 0, 0);
        quring_runtime_destroy(runtime.rt());
        Peer peer;
        Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), nullptr);
        EXPECT_EQ(listener.error().status, QURING_E_THREAD);
    }));
    EXPECT_TRUE(runtime.On(0, [] {}));
}

TEST_P(RuntimeOn, CpuTimeAndStatsArePerWorker)
{
    Runtime runtime(Config(GetParam(), 2));
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    ASSERT_TRUE(runtime.On(1, [] { /* its own time: others may have the CPU meanwhile */
                                   timespec spent = {};
                                   while (spent.tv_sec == 0 && spent.tv_nsec < 2000000) {
                                       ASSERT_EQ(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent), 0);
                                   }
    }));
    EXPECT_GT(quring_worker_cpu_ns(runtime.rt(), 1), 1 * kMs);
    EXPECT_EQ(quring_worker_cpu_ns(runtime.rt(), 2), 0u);
    EXPECT_EQ(quring_worker_cpu_ns(nullptr, 0), 0u);
    quring_stats stats;
    EXPECT_EQ(quring_stats_get(runtime.rt(), 2, &stats), QURING_E_INVAL);
    EXPECT_EQ(quring_stats_get(nullptr, 0, &stats), QURING_E_INVAL);
    EXPECT_EQ(quring_stats_get(runtime.rt(), 0, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_stats_get(runtime.rt(), 1, &stats), QURING_OK);
}

INSTANTIATE_TEST_SUITE_P(Backends, RuntimeOn, testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param_info) {
                             return param_info.param == QURING_IO_URING ? "uring" : "epoll";
                         });

TEST(Runtime, H110_ABadConfigurationNamesItsField)
{
    quring_config config = Config();
    config.workers = 0;
    Runtime none(config);
    EXPECT_EQ(none.rt(), nullptr);
    EXPECT_EQ(none.error().status, QURING_E_INVAL);
    EXPECT_NE(strstr(none.error().message, "workers"), nullptr) << none.error().message;

    config = Config();
    config.cpus[0] = 1023;
    Runtime unpinnable(config);
    EXPECT_EQ(unpinnable.rt(), nullptr);
    EXPECT_EQ(unpinnable.error().status, QURING_E_INVAL);
    EXPECT_NE(strstr(unpinnable.error().message, "cpus[0]"), nullptr) << unpinnable.error().message;

    config = Config();
    quring_error err = {};
    EXPECT_EQ(quring_runtime_create(nullptr, &config, &err), QURING_E_INVAL);
    quring_runtime *rt = nullptr;
    EXPECT_EQ(quring_runtime_create(&rt, nullptr, &err), QURING_E_INVAL);
    quring_runtime_destroy(nullptr);
    quring_runtime_stop(nullptr, 0, 0);
    quring_runtime_drain(nullptr);
}

TEST(Runtime, HandlesOffTheirWorkerAreRefused)
{
    const quring_conn conn = {(1ull << 56) | (1ull << 32)};
    const quring_stream stream = {(1ull << 56) | (1ull << 32)};
    quring_conn_info conn_info;
    quring_stream_info stream_info;
    quring_stream opened;
    quring_bytes spans[2];
    size_t n = 0;
    bool fin = false;
    uint8_t byte = 0;
    EXPECT_EQ(quring_conn_set_ctx(conn, nullptr), QURING_E_THREAD);
    EXPECT_EQ(quring_conn_get_ctx(conn), nullptr);
    EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_E_THREAD);
    EXPECT_EQ(quring_conn_get_info(conn, &conn_info), QURING_E_THREAD);
    EXPECT_EQ(quring_conn_ping(conn), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_open(&opened, conn, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_set_ctx(stream, nullptr), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_get_ctx(stream), nullptr);
    EXPECT_EQ(quring_stream_id(stream), UINT64_MAX);
    EXPECT_EQ(quring_stream_conn(stream).handle, 0u);
    EXPECT_EQ(quring_stream_write(stream, &n, &byte, 1, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_lend(stream, &n, &byte, 1, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_peek(stream, spans, &fin), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_consume(stream, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_read(stream, &n, &fin, &byte, 1), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_reset(stream, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_stop_sending(stream, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_stream_get_info(stream, &stream_info), QURING_E_THREAD);
    EXPECT_EQ(quring_handshake_accept(conn), QURING_E_THREAD);
    EXPECT_EQ(quring_handshake_complete(conn), QURING_E_THREAD);
    quring_connect_options options = {};
    quring_conn out;
    EXPECT_EQ(quring_connect(&out, &options, nullptr), QURING_E_THREAD);
}

TEST(Runtime, DeadAndForeignHandlesOnAWorkerAreRefused)
{
    Runtime runtime(Config());
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    ASSERT_TRUE(runtime.On(0, [] {
        const quring_conn none = {0};
        EXPECT_EQ(quring_conn_ping(none), QURING_E_STATE);
        EXPECT_EQ(quring_stream_id({0}), UINT64_MAX);
        for (uint64_t tag = 1; tag < 256; tag++) {
            const quring_status status = quring_conn_ping({(tag << 56) | (77ull << 32) | 5});
            EXPECT_TRUE(status == QURING_E_STATE || status == QURING_E_THREAD) << status;
        }
        quring_stream out;
        EXPECT_EQ(quring_stream_open(nullptr, none, 0), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_open(&out, none, 0x80), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_get_info(none, nullptr), QURING_E_INVAL);
        size_t n = 0;
        bool fin = false;
        for (const size_t len : {size_t{1}, size_t{100}}) {
            EXPECT_EQ(quring_stream_read({0}, &n, &fin, nullptr, len), QURING_E_INVAL);
        }
        EXPECT_EQ(quring_handshake_send(none, static_cast<quring_level>(4), nullptr, 0),
                  QURING_E_INVAL);
    }));
}

/* RFC 9000 18.2: some are a server's alone. */
TEST(Runtime, TransportParametersAreRead)
{
    /* The second is original_destination_connection_id. */
    const uint8_t bytes[] = {0x04, 0x01, 0x07, 0x00, 0x01, 'x'};
    quring_transport_params params = {};
    EXPECT_EQ(quring_transport_params_decode(&params, bytes, sizeof(bytes), true), QURING_OK);
    EXPECT_EQ(params.initial_max_data, 7u);
    EXPECT_EQ(params.ack_delay_exponent, 3u);
    EXPECT_EQ(quring_transport_params_decode(&params, bytes, sizeof(bytes), false), QURING_E_INVAL);
    EXPECT_EQ(quring_transport_params_decode(&params, bytes, 2, true), QURING_E_INVAL);
    EXPECT_EQ(quring_transport_params_decode(&params, nullptr, 1, true), QURING_E_INVAL);
    EXPECT_EQ(quring_transport_params_decode(nullptr, bytes, 3, true), QURING_E_INVAL);
    EXPECT_EQ(quring_transport_params_decode(&params, nullptr, 0, false), QURING_OK);
}

TEST(Runtime, ConnectChecksItsOptions)
{
    Runtime runtime(Config());
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    const Tls client = ClientTls();
    const Tls server = ServerTls();
    ASSERT_TRUE(runtime.On(0, [&] {
        quring_conn conn;
        quring_error err = {};
        const auto expect_inval = [&](const quring_connect_options &options, const char *word) {
            EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_E_INVAL);
            EXPECT_NE(strstr(err.message, word), nullptr) << err.message;
        };
        quring_connect_options good = {};
        good.remote = Addr("127.0.0.1:9");
        good.tls = client.get();
        good.on_event = Peer::OnEvent;
        quring_connect_options bad = good;
        bad.muted_events = QURING_EVENTS_MUTABLE | QURING_EVENT_BIT(QURING_EV_CLOSED);
        expect_inval(bad, "muted_events");
        bad = good;
        bad.on_event = nullptr;
        expect_inval(bad, "on_event");
        bad = good;
        bad.remote.port = 0;
        expect_inval(bad, "remote");
        bad = good;
        bad.remote.family = 0;
        expect_inval(bad, "remote");
        bad = good;
        bad.local = Addr("[::1]:0");
        expect_inval(bad, "local");
        bad = good;
        bad.tls = nullptr;
        expect_inval(bad, "tls");
        bad.tls = server.get();
        expect_inval(bad, "tls");
        bad = good;
        const std::string long_name(256, 'n');
        bad.server_name = long_name.c_str();
        expect_inval(bad, "server_name");
        bad = good;
        quring_limits limits;
        quring_limits_init(&limits);
        limits.cids_active_max = 0;
        bad.limits = &limits;
        expect_inval(bad, "limits.cids_active_max");
        EXPECT_EQ(quring_connect(nullptr, &good, &err), QURING_E_INVAL);
        EXPECT_EQ(quring_connect(&conn, nullptr, &err), QURING_E_INVAL);
        bad = good;
        bad.local = Addr("192.0.2.1:0"); /* TEST-NET-1, RFC 5737: not ours */
        EXPECT_EQ(quring_connect(&conn, &bad, &err), QURING_E_OS) << err.message;
        EXPECT_NE(strstr(err.message, "192.0.2.1"), nullptr) << err.message;
    }));
}

} // namespace
