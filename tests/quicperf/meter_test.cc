#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "quring/runtime.h"

#include "tools/quicperf/meter.h"

namespace
{

/* Work that is over after so many readings. */
class Meter : public testing::Test
{
  protected:
    Meter()
    {
        options_.interval_ns = 1; /* a line for each reading */
        options_.amount = 1;
        options_.quiet = true;
        out_.quiet = true;
        out_.text = stderr;
        meter_.options = &options_;
        meter_.result = &result_;
        meter_.out = &out_;
        meter_.signal_fd = eventfd(0, EFD_NONBLOCK);
        meter_.ctx = this;
        meter_.read = [](void *ctx, qp_reading *out) { *out = static_cast<Meter *>(ctx)->Read(); };
        meter_.is_over = [](void *ctx) {
            const Meter *m = static_cast<Meter *>(ctx);
            return m->gone_ && m->readings_ >= m->until_;
        };
        meter_.go = [](void *ctx) { static_cast<Meter *>(ctx)->gone_ = true; };
        EXPECT_TRUE(qp_meter_open(&meter_));
    }

    ~Meter() override
    {
        qp_meter_close(&meter_);
        EXPECT_EQ(meter_.wake_fd, -1);
        (void)close(meter_.signal_fd);
        qp_result_deinit(&result_);
    }

    qp_reading Read()
    {
        uint64_t n = readings_++;
        return {100 * n, 10 * n, 7 + 2 * n, 1000 + n, 5000 + n, 1.0 + static_cast<double>(n) / 4};
    }

    uint64_t readings_ = 0;
    uint64_t until_ = 4;
    bool gone_ = false;
    qp_options options_ = {};
    qp_result result_ = {};
    qp_out out_ = {};
    qp_meter meter_ = {};
};

TEST_F(Meter, TheLinesAddUpToTheSummary)
{
    qp_meter_run(&meter_);
    uint64_t last = readings_ - 1;
    EXPECT_GE(last, 3u);
    EXPECT_EQ(result_.bytes, 100 * last);
    EXPECT_EQ(result_.requests, 10 * last);
    EXPECT_EQ(result_.lost_packets, 2 * last);
    EXPECT_DOUBLE_EQ(result_.cpu_local_s, static_cast<double>(last) / 4);
    ASSERT_GT(result_.interval_count, 0u);
    qp_interval sum = {};
    for (size_t i = 0; i < result_.interval_count; i++) {
        const qp_interval &line = result_.intervals[i];
        EXPECT_EQ(line.t0_s, sum.t1_s);
        EXPECT_GT(line.t1_s, line.t0_s);
        sum.t1_s = line.t1_s;
        sum.bytes += line.bytes;
        sum.requests += line.requests;
        sum.lost_packets += line.lost_packets;
        sum.cpu_local_s += line.cpu_local_s;
    }
    EXPECT_EQ(sum.t1_s, result_.seconds);
    EXPECT_EQ(sum.bytes, result_.bytes);
    EXPECT_EQ(sum.requests, result_.requests);
    EXPECT_EQ(sum.lost_packets, result_.lost_packets);
    EXPECT_DOUBLE_EQ(sum.cpu_local_s, result_.cpu_local_s);
    const qp_interval &end = result_.intervals[result_.interval_count - 1];
    EXPECT_EQ(end.rtt_ns, 1000 + last);
    EXPECT_EQ(end.cwnd_bytes, 5000 + last);
}

TEST_F(Meter, LastsAsLongAsWasSaid)
{
    until_ = UINT64_MAX;
    options_.amount = 0;
    options_.duration_ns = 5000000;
    options_.interval_ns = 0;
    uint64_t began = quring_now_ns();
    qp_meter_run(&meter_);
    EXPECT_GE(quring_now_ns() - began, options_.duration_ns);
    EXPECT_GE(result_.seconds, 0.005);
    EXPECT_EQ(result_.interval_count, 0u);
    EXPECT_FALSE(meter_.interrupted);
}

/* Who reads the lines has gone: that ends a run as a signal does. */
TEST_F(Meter, EndsWithItsReader)
{
    until_ = UINT64_MAX;
    out_.gone = true;
    qp_meter_run(&meter_);
    EXPECT_TRUE(meter_.interrupted);
    EXPECT_EQ(result_.interval_count, 1u);
}

TEST_F(Meter, WaitsUntilItIsReadyOrWoken)
{
    gone_ = true;
    until_ = 0;
    qp_meter_wait(&meter_, nullptr, UINT64_MAX); /* it is over */
    until_ = UINT64_MAX;
    uint64_t until = quring_now_ns() + 2000000;
    qp_meter_wait(&meter_, nullptr, until);
    EXPECT_GE(quring_now_ns(), until);
    static int looks;
    looks = 0;
    qp_meter_wake(&meter_);
    qp_meter_wait(
        &meter_, [](void *) { return ++looks == 2; }, UINT64_MAX);
    EXPECT_EQ(looks, 2);
    uint64_t woken;
    EXPECT_LT(read(meter_.wake_fd, &woken, sizeof(woken)), 0); /* once */
}

TEST_F(Meter, LinesThatWereNotMadeInTimeAreLeftOut)
{
    uint64_t now = quring_now_ns();
    uint64_t hour = 3600000000000u;
    EXPECT_EQ(qp_meter_next(now, hour), now + hour);
    for (uint64_t late : {1000000u, 7000000u, 1000000000u}) {
        now = quring_now_ns();
        uint64_t next = qp_meter_next(now - late, 3000);
        EXPECT_GT(next, now);
        EXPECT_EQ((next - (now - late)) % 3000, 0u);
        EXPECT_LE(next, quring_now_ns() + 3000);
    }
}

} // namespace
