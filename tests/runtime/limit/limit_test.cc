#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "quring/limit.h"

namespace
{

quring_limit_options Short()
{
    quring_limit_options options;
    quring_limit_options_init(&options);
    options.duration_ns = 200000000;
    return options;
}

/* Others may have the machine for all of a short run: then a longer one. */
void ExpectRuns(quring_limit_options options)
{
    quring_limit_result result;
    quring_error err;
    quring_status status = quring_limit_run(&result, &options, &err);
    while (status == QURING_OK && result.packets == 0 && options.duration_ns < 5000000000) {
        options.duration_ns *= 2;
        status = quring_limit_run(&result, &options, &err);
    }
    if (status == QURING_E_NOT_SUPPORTED) {
        GTEST_SKIP() << err.message;
    }
    ASSERT_EQ(status, QURING_OK) << err.message;
    EXPECT_GT(result.goodput_bps, 0);
    EXPECT_GT(result.packets, 0u);
    EXPECT_EQ(result.packets_bad, 0u);
    EXPECT_GE(result.seconds, 0.19);
    EXPECT_GT(result.cpu_send_s, 0);
    EXPECT_GT(result.cpu_recv_s, 0);
    double bits = static_cast<double>(result.packets) * (options.udp_payload_bytes - 27) * 8;
    EXPECT_NEAR(result.goodput_bps * result.seconds, bits, bits * 1e-6);
}

TEST(Limit, RunsWithIoUring)
{
    quring_limit_options options = Short();
    options.io = QURING_IO_URING;
    ExpectRuns(options);
}

TEST(Limit, RunsWithSystemCalls)
{
    quring_limit_options options = Short();
    options.io = QURING_IO_EPOLL;
    ExpectRuns(options);
}

bool AtTheThird(void *ctx)
{
    return ++*static_cast<int *>(ctx) == 3;
}

TEST(Limit, EndsWhenToldTo)
{
    for (quring_io_backend io : {QURING_IO_AUTO, QURING_IO_EPOLL}) {
        int asked = 0;
        quring_limit_options options = Short();
        options.duration_ns = 3600000000000;
        options.io = io;
        options.stop = AtTheThird;
        options.ctx = &asked;
        quring_limit_result result = {};
        quring_error err;
        for (int tries = 0; tries < 10 && result.packets == 0; tries++) {
            asked = 0;
            ASSERT_EQ(quring_limit_run(&result, &options, &err), QURING_OK) << err.message;
            EXPECT_EQ(asked, 3);
            EXPECT_GE(result.seconds, 0.02);
        }
        EXPECT_GT(result.packets, 0u);
    }
}

TEST(Limit, RunsWithBoringSsl)
{
    quring_limit_options options = Short();
    options.aead = QURING_AEAD_BORINGSSL;
    ExpectRuns(options);
}

TEST(Limit, RunsWithIpsecMb)
{
    quring_limit_options options = Short();
    options.aead = QURING_AEAD_IPSEC_MB;
    ExpectRuns(options);
}

TEST(Limit, RunsWithEverySize)
{
    for (uint32_t size : {1200u, 1472u, 9000u, 40000u, 65507u}) {
        quring_limit_options options = Short();
        options.udp_payload_bytes = size;
        ExpectRuns(options);
    }
}

TEST(Limit, RunsWithATinyWindow)
{
    quring_limit_options options = Short();
    options.window_bytes = 1;
    ExpectRuns(options);
}

TEST(Limit, RefusesWhatIsOutOfRange)
{
    quring_limit_result result;
    quring_error err;
    quring_limit_options options = Short();
    options.udp_payload_bytes = 1199;
    EXPECT_EQ(quring_limit_run(&result, &options, &err), QURING_E_INVAL);
    EXPECT_NE(std::string(err.message).find("1200..65507"), std::string::npos);
    options = Short();
    options.duration_ns = 0;
    EXPECT_EQ(quring_limit_run(&result, &options, &err), QURING_E_INVAL);
    options = Short();
    options.cpu_recv = 1022;
    EXPECT_EQ(quring_limit_run(&result, &options, &err), QURING_E_INVAL);
    EXPECT_NE(std::string(err.message).find("cpu_recv"), std::string::npos);
    EXPECT_EQ(quring_limit_run(nullptr, &options, nullptr), QURING_E_INVAL);
}

quring_pingpong_options ShortPingPong()
{
    quring_pingpong_options options;
    quring_pingpong_options_init(&options);
    options.duration_ns = 100000000;
    return options;
}

TEST(PingPong, TellsEachRoundWhetherItSleepsOrSpins)
{
    for (int how = 0; how < 12; how++) { // plain, io_uring, epoll; then sealed
        SCOPED_TRACE(how);
        const bool sealed = how >= 6;
        uint64_t told[2] = {0, 0};
        quring_pingpong_options options = ShortPingPong();
        options.spin = how % 2 != 0;
        options.sealed = sealed;
        options.bytes = !options.spin ? 1200 : sealed ? 8 : 1;
        options.as_worker = how % 6 >= 2;
        options.io = how % 6 < 4 ? QURING_IO_AUTO : QURING_IO_EPOLL;
        options.ctx = told;
        options.on_round = [](void *ctx, uint64_t ns) {
            uint64_t *sums = static_cast<uint64_t *>(ctx);
            sums[0]++;
            sums[1] += ns;
        };
        quring_pingpong_result result;
        quring_error err;
        int tries = 0;
        do { /* others may have the machine for a tenth of a second: nothing comes, or a round takes too long */
            told[0] = 0;
            told[1] = 0;
            ASSERT_EQ(quring_pingpong_run(&result, &options, &err), QURING_OK) << err.message;
            options.duration_ns *= result.rounds == 0 ? 2 : 1;
        } while ((result.rounds == 0 || result.lost != 0) && ++tries < 50 &&
                 options.duration_ns < 5000000000);
        EXPECT_GT(result.rounds, 0u);
        EXPECT_EQ(result.rounds, told[0]);
        EXPECT_EQ(result.lost, 0u);
        EXPECT_EQ(result.aead != nullptr, sealed);
        EXPECT_GE(result.seconds, 0.1);
        EXPECT_LE(static_cast<double>(told[1]), result.seconds * 1e9);
        EXPECT_GT(result.cpu_ask_s, 0);
        EXPECT_GT(result.cpu_answer_s, 0);
    }
}

TEST(PingPong, NamesTheBadField)
{
    quring_pingpong_result result;
    quring_error err;
    struct {
        const char *name;
        quring_pingpong_options options;
    } cases[] = {{"bytes", ShortPingPong()},       {"bytes", ShortPingPong()},
                 {"duration_ns", ShortPingPong()}, {"cpu_ask", ShortPingPong()},
                 {"cpu_answer", ShortPingPong()},  {"bytes", ShortPingPong()},
                 {"bytes", ShortPingPong()},       {"aead", ShortPingPong()}};
    cases[0].options.bytes = 0;
    cases[1].options.bytes = 65508;
    cases[2].options.duration_ns = 0;
    cases[3].options.cpu_ask = 100000;
    cases[4].options.cpu_answer = -2;
    cases[5].options.sealed = cases[6].options.sealed = true;
    cases[5].options.bytes = 7;
    cases[6].options.bytes = 65481;
    cases[7].options.aead = static_cast<quring_aead>(3);
    for (const auto &c : cases) {
        EXPECT_EQ(quring_pingpong_run(&result, &c.options, &err), QURING_E_INVAL);
        EXPECT_NE(std::string(err.message).find(c.name), std::string::npos) << err.message;
    }
    EXPECT_EQ(quring_pingpong_run(nullptr, &cases[0].options, &err), QURING_E_INVAL);
    EXPECT_EQ(quring_pingpong_run(&result, nullptr, &err), QURING_E_INVAL);
}

} // namespace
