#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/report.h"

namespace
{

class Report : public testing::Test
{
  protected:
    Report()
    {
        r_.mode = "rr";
        r_.api = "native";
        r_.cpu_remote_s = QP_UNKNOWN_S;
        r_.seconds = 2;
    }

    ~Report() override
    {
        qp_result_deinit(&r_);
    }

    /* What `print` writes. */
    template <typename Print> static std::string Text(Print print, bool quiet = false)
    {
        char *text = nullptr;
        size_t len = 0;
        qp_out out = {};
        out.text = open_memstream(&text, &len);
        out.quiet = quiet;
        print(&out);
        (void)fclose(out.text);
        std::string all(text, len);
        free(text);
        return all;
    }

    std::string Final(bool quiet = false)
    {
        return Text([this](qp_out *out) { qp_report_final(out, &r_); }, quiet);
    }

    std::string Line(const qp_interval &interval)
    {
        return Text([&](qp_out *out) { qp_report_interval(out, &r_, &interval); });
    }

    std::string Json()
    {
        qp_json json;
        qp_json_init(&json);
        json.compact = true;
        qp_json_object_begin(&json, nullptr);
        qp_report_json(&json, &r_);
        qp_json_object_end(&json);
        EXPECT_TRUE(qp_json_is_complete(&json));
        std::string all(json.text, json.len);
        qp_json_deinit(&json);
        return all;
    }

    void MakeLatency()
    {
        r_.latency = static_cast<qp_hist *>(malloc(sizeof(*r_.latency)));
        qp_hist_init(r_.latency);
    }

    static void Has(const std::string &text, const std::string &part)
    {
        EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
    }

    static void Lacks(const std::string &text, const std::string &part)
    {
        EXPECT_EQ(text.find(part), std::string::npos) << part << " is in " << text;
    }

    qp_result r_ = {};
};

TEST_F(Report, WhatARunIsCalled)
{
    qp_options o = {};
    o.request_rate = 9;
    for (uint32_t mode : {QP_MODE_TPUT, QP_MODE_DGRAM, QP_MODE_FAIR, QP_MODE_RR}) {
        o.mode = mode;
        o.direction = QP_UP;
        qp_result_begin(&r_, &o);
        EXPECT_STREQ(r_.direction, mode == QP_MODE_RR ? nullptr : "up");
        o.direction = QP_DOWN;
        qp_result_begin(&r_, &o);
        EXPECT_STREQ(r_.direction, mode == QP_MODE_RR ? nullptr : "down");
        EXPECT_STREQ(r_.mode, qp_mode_name(mode));
        EXPECT_EQ(r_.offered_per_s, 9u);
        EXPECT_EQ(r_.cpu_remote_s, QP_UNKNOWN_S);
    }
}

/* What was before the run, connections made for their tickets say, is none of it. */
TEST_F(Report, CountersOfTheRunOnly)
{
    quring_stats first;
    quring_stats now;
    uint64_t value = 1;
    /* Every counter is another number; of the run are a thousand times as many and more. */
#define X(name, unit, help)                                                                        \
    first.name = value;                                                                            \
    now.name = first.name + 1000 * value++;
#include "quring/stats.def"
#undef X
    qp_result_take_stats(&r_, &now, &first);
    EXPECT_TRUE(r_.has_stats);
    EXPECT_EQ(r_.packets_sent, 1000 * first.packets_sent);
    EXPECT_EQ(r_.packets_recv, 1000 * first.packets_recv);
    EXPECT_EQ(r_.io_syscalls, 1000 * first.io_syscalls);
    EXPECT_EQ(r_.spins, 1000 * first.spins);
    EXPECT_EQ(r_.spin_hits, 1000 * first.spin_hits);
    EXPECT_EQ(r_.kernel_drops, 1000 * first.io_kernel_drops);
    EXPECT_EQ(r_.rx_nobufs, 1000 * first.io_rx_nobufs);
    EXPECT_EQ(r_.rx_truncated, 1000 * first.io_rx_truncated);
    EXPECT_EQ(r_.acks_sent, 1000 * first.acks_sent);
    EXPECT_EQ(r_.acks_recv, 1000 * first.acks_recv);
    EXPECT_EQ(r_.trains[0], 1000 * first.trains_1);
    EXPECT_EQ(r_.trains[5], 1000 * first.trains_32);
    EXPECT_EQ(r_.blocked_ns[0], 1000 * first.blocked_window_ns);
    EXPECT_EQ(r_.blocked_ns[4], 1000 * first.blocked_amplification_ns);
    EXPECT_EQ(r_.key_updates, now.key_updates);
    EXPECT_EQ(r_.ack_frequency, now.ack_frequency_sent + now.ack_frequency_recv);
}

TEST_F(Report, AClientWithoutTimeLeft)
{
    r_.workers = 2;
    r_.cpu_local_s = 3.81; /* of 4 */
    EXPECT_TRUE(qp_result_is_client_bound(&r_));
    Has(Final(true), "client-bound: its 2 workers had");
    r_.cpu_local_s = 3.79;
    EXPECT_FALSE(qp_result_is_client_bound(&r_));
    r_.workers = 1;
    Has(Final(), "client-bound: its 1 worker had");
    r_.spin_s = 2; /* time left that is used */
    EXPECT_FALSE(qp_result_is_client_bound(&r_));
    Lacks(Final(), "client-bound");
    r_.spin_s = 0;
    r_.workers = 0;
    EXPECT_FALSE(qp_result_is_client_bound(&r_));
    r_.workers = 1;
    r_.seconds = 0.099;
    EXPECT_FALSE(qp_result_is_client_bound(&r_));
    r_.seconds = 0.1;
    EXPECT_TRUE(qp_result_is_client_bound(&r_));
}

TEST_F(Report, TheLineOfTheRun)
{
    r_.requests = 50;
    r_.bytes = 1000000;
    r_.connections = 3;
    r_.handshakes_per_s = 7.6;
    r_.cpu_local_s = 1.5;
    r_.lost_packets = 4;
    r_.rtt_ns = 123456;
    r_.cwnd_bytes = 2048;
    EXPECT_EQ(Final(),
              "done: 2.00 s  rr  50 requests  25 req/s  4.00 Mbit/s  cpu 1.50 s  lost 4 packets  "
              "rtt 123 us  cwnd 2.0 KiB  connections 3 (8/s)  errors 0\n");
    r_.mode = "tput";
    r_.direction = "down";
    r_.cpu_remote_s = 0;
    r_.interrupted = true;
    r_.errors = 6;
    EXPECT_EQ(Final(),
              "done: 2.00 s  down  1000000 bytes  4.00 Mbit/s  cpu 1.50 s here, 0.00 s there  "
              "lost 4 packets  rtt 123 us  connections 3 (8/s)  errors 6  (interrupted)\n");
    r_.direction = "up";
    Has(Final(), "  up  1000000 bytes");
    Has(Final(), "  cwnd 2.0 KiB");
    r_.direction = nullptr;
    r_.requests = 0;
    Has(Final(), "  tput  1000000 bytes");
}

TEST_F(Report, TheLineOfAnInterval)
{
    qp_interval i = {1.5, 2, 500000, 30, 2, 2500000, 3 << 20, 0.25};
    EXPECT_EQ(Line(i),
              "[   1.50-   2.00 s] rr 8.00 Mbit/s         60 req/s  rtt 2.50 ms  cwnd 3.0 MiB  "
              "lost 2  cpu 0.50\n");
    r_.direction = "down";
    EXPECT_EQ(Line(i), "[   1.50-   2.00 s] down 8.00 Mbit/s  rtt 2.50 ms  lost 2  cpu 0.50\n");
    i.t1_s = 1.5;
    EXPECT_EQ(Line(i), "");
}

TEST_F(Report, WhatSendingWaitedFor)
{
    r_.has_stats = true;
    r_.packets_sent = 60;
    r_.packets_recv = 40;
    r_.io_syscalls = 25;
    r_.trains[0] = 1;
    r_.trains[5] = 3;
    r_.blocked_ns[1] = 500000000;
    r_.blocked_ns[2] = 19900000; /* less than a hundredth */
    r_.blocked_ns[3] = 20000000;
    std::string text = Final();
    Has(text, "\nsent in trains of  1: 25 %  32+: 75 %  syscalls 0.250/packet\n");
    Has(text, "\nsending waited for  pacing 25 %  credit of streams 1 % of the time, connections "
              "added up\n");
    Lacks(Final(true), "trains");
    r_.blocked_ns[1] = r_.blocked_ns[3] = 0;
    Lacks(Final(), "waited");
    r_.blocked_ns[0] = 2000000000;
    Has(Final(), "\nsending waited for  window 100 % of the time");
    r_.trains[0] = r_.trains[5] = 0;
    Lacks(Final(), "trains");
    r_.trains[0] = 1;
    r_.has_stats = false;
    Lacks(Final(), "trains");
}

/* Nothing was measured: no percentile is. */
TEST_F(Report, NoLatencyOfNothing)
{
    MakeLatency();
    Lacks(Final(), "latency");
    EXPECT_EQ(Text([this](qp_out *out) { qp_report_latency(out, r_.latency); }), "");
    Has(Json(), "\"latency_us\": {\"p50\": null,\"p90\": null,\"p99\": null,\"p999\": null}");
    for (uint64_t i = 1; i <= 100; i++) {
        qp_hist_record(r_.latency, i);
    }
    Has(Final(), "\nlatency:  p50 0.1 us  p90 0.1 us  p99 0.1 us  p99.9 0.1 us  max 0.1 us\n");
    Has(Json(),
        "\"latency_us\": {\"p50\": 0.05,\"p90\": 0.09,\"p99\": 0.099,\"p999\": 0.1,\"min\": 0.001,"
        "\"mean\": 0.0505,\"max\": 0.1}");
}

TEST_F(Report, OverloadIsSaid)
{
    r_.requests = 1000;
    r_.unsent = r_.unanswered = 11; /* what any end cuts off */
    Lacks(Final(), "overload");
    r_.unsent = 12;
    Has(Final(), "overload: 12 requests were due and not sent, 11 were not answered");
    r_.unsent = 0;
    r_.unanswered = 12;
    Has(Final(), "overload: 0 requests");
}

TEST_F(Report, WhatElseWasDone)
{
    std::string plain = Final();
    for (const char *part : {"resumed", "proxy", "bulk", "datagrams", "moved", "shares"}) {
        Lacks(plain, part);
    }
    r_.resumed_count = 5;
    r_.zero_rtt_count = 4;
    r_.zero_rtt_bytes = 300;
    r_.bulk_bytes = 250000;
    r_.datagrams = 8;
    r_.datagrams_lost = 2;
    r_.preferred_count = 1;
    r_.proxied = true;
    r_.proxy.received[0] = 10;
    r_.proxy.received[1] = 20;
    r_.proxy.corrupted[1] = 3;
    r_.proxy.duplicated[0] = 4;
    r_.proxy.reordered[1] = 5;
    r_.proxy.rebinds = 6;
    qp_shares_add(&r_.shares, 250000);
    qp_shares_add(&r_.shares, 500000);
    std::string text = Final();
    Has(text, "\nresumed 5 connections, 0-RTT on 4 (300 bytes)\n");
    Has(text, "\nproxy: 30 datagrams came, 0 dropped, 3 corrupted, 4 duplicated, 5 reordered, 6 "
              "rebinds\n");
    Has(text, "\nbulk beside: 1.00 Mbit/s\n");
    Has(text, "\ndatagrams 8 delivered, 2 lost\n");
    Has(text, "\nmoved 0 times, to the server's preferred address 1 connections\n");
    Has(text, "\nshares: least 1.00 Mbit/s  most 2.00 Mbit/s  Jain's index 0.9000\n");
    r_.shares = {};
    qp_shares_add(&r_.shares, 250000);
    Has(Final(), "\nshares: least 1.00 Mbit/s  most 1.00 Mbit/s  Jain's index 1.0000\n");
    r_.seconds = 0;
    text = Final();
    Lacks(text, "shares");
    Lacks(text, "bulk");
}

TEST_F(Report, QuotientsAreNullWhereThereIsNothingToDivideBy)
{
    std::string text = Json();
    Has(text, "\"goodput_bps\": 0,");
    Has(text, "\"cpu_s_per_gb\": null");
    Has(text, "\"syscalls_per_packet\": null");
    Has(text, "\"cpu_remote_s\": null");
    Has(text, "\"version\": null");
    Has(text, "\"trains\": null");
    Has(text, "\"proxy\": null");
    Has(text, "\"proxy_dropped\": null");
    Lacks(text, "offered_per_s");
    Lacks(text, "jain_index");
    r_.bytes = 2000000000;
    r_.cpu_local_s = 3;
    r_.packets_sent = 30;
    r_.packets_recv = 10;
    r_.io_syscalls = 4;
    r_.requests = 8;
    r_.offered_per_s = 5;
    r_.unsent = 1;
    r_.has_stats = true;
    r_.blocked_ns[0] = 2500000;
    r_.version = 2;
    qp_shares_add(&r_.shares, 1);
    text = Json();
    Has(text, "\"goodput_bps\": 8000000000,");
    Has(text, "\"cpu_s_per_gb\": 1.5,");
    Has(text, "\"syscalls_per_packet\": 0.1,");
    Has(text, "\"requests_per_s\": 4,");
    Has(text, "\"offered_per_s\": 5,\"requests_unsent\": 1,");
    Has(text, "\"blocked_ms\": {\"window\": 2.5,");
    Has(text, "\"version\": 2,");
    Has(text, "\"jain_index\": 1,");
    r_.cpu_local_s = QP_UNKNOWN_S;
    Has(Json(), "\"cpu_s_per_gb\": null");
    r_.seconds = 0;
    Has(Json(), "\"requests_per_s\": 0,");
}

TEST_F(Report, AllIntervalsAreKept)
{
    for (int i = 0; i < 1000; i++) {
        qp_interval one = {i / 8.0, (i + 1) / 8.0, 1000, 3, 1, 1500, 20, 0.5};
        qp_result_add_interval(&r_, &one);
    }
    ASSERT_EQ(r_.interval_count, 1000u);
    EXPECT_EQ(r_.intervals[999].t0_s, 999 / 8.0);
    Has(Json(), "\"intervals\": [{\"t0\": 0,\"t1\": 0.125,\"bytes\": 1000,\"goodput_bps\": "
                "64000,\"requests\": 3,"
                "\"lost_packets\": 1,\"rtt_us\": 1.5,\"cwnd_bytes\": 20,\"cpu_local_s\": 0.5},{");
}

TEST_F(Report, NoMoreThanAMillionIntervals)
{
    qp_interval one = {};
    for (int i = 0; i < 1100000; i++) {
        qp_result_add_interval(&r_, &one);
    }
    EXPECT_EQ(r_.interval_count, 1000000u);
}

TEST_F(Report, TheLineOfAServer)
{
    r_.connections = 2;
    r_.requests = 3;
    r_.bytes = 2048;
    r_.errors = 1;
    r_.cpu_local_s = 0.5;
    auto print = [this](qp_out *out) { qp_report_server(out, &r_); };
    EXPECT_EQ(Text(print),
              "done: 2.00 s  connections 2  requests 3  2.0 KiB moved  cpu 0.50 s  lost 0 packets  "
              "failed handshakes 1\n");
    EXPECT_EQ(Text(print, true), "");
}

} // namespace
