#include <cstring>
#include <deque>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "quring/runtime.h"

#include "tools/quicperf/dgram.h"
#include "tools/quicperf/proto.h"

/* A connection and a worker's timers, with a clock that stands until the test moves it. */
static struct {
    uint64_t now_ns;
    size_t max; /* of a datagram */
    quring_status max_status;
    size_t room; /* of the queue */
    std::vector<size_t> sent;
    uint64_t last_number;
    uint32_t flags;
    std::deque<std::vector<uint8_t>> came;
    uint64_t timers_made;
    std::map<uint64_t, std::pair<uint64_t, std::pair<quring_task_fn, void *>>> timers;
} fake;

uint64_t quring_now_ns(void)
{
    return fake.now_ns;
}

quring_status quring_timer(uint64_t *out_id, uint64_t at_ns, quring_task_fn fn, void *ctx)
{
    *out_id = ++fake.timers_made;
    fake.timers[*out_id] = {at_ns, {fn, ctx}};
    return QURING_OK;
}

quring_status quring_timer_cancel(uint64_t id)
{
    return fake.timers.erase(id) > 0 ? QURING_OK : QURING_E_STATE;
}

quring_status quring_datagram_max(quring_conn, size_t *out_len)
{
    *out_len = fake.max;
    return fake.max_status;
}

quring_status quring_datagram_send(quring_conn, const void *data, size_t len, uint64_t,
                                   uint32_t flags)
{
    if (fake.room == 0) {
        return QURING_E_AGAIN;
    }
    qp_header header = {};
    (void)qp_header_feed(&header, static_cast<const uint8_t *>(data), len);
    fake.last_number = qp_header_value(&header);
    fake.room--;
    fake.flags = flags;
    fake.sent.push_back(len);
    return QURING_OK;
}

quring_status quring_datagram_peek(quring_conn, quring_bytes *out)
{
    if (fake.came.empty()) {
        return QURING_E_AGAIN;
    }
    *out = {fake.came.front().data(), fake.came.front().size()};
    return QURING_OK;
}

quring_status quring_datagram_consume(quring_conn)
{
    fake.came.pop_front();
    return QURING_OK;
}

namespace
{

constexpr uint64_t kSecond = 1000000000;

class Dgram : public testing::Test
{
  protected:
    Dgram()
    {
        fake = {};
        fake.now_ns = kSecond;
        fake.max = 1200;
        fake.room = SIZE_MAX;
    }

    quring_status Start(uint32_t size, uint32_t rate)
    {
        return qp_dgram_start(&d_, quring_conn{}, size, rate);
    }

    /* Lets time pass, and the timers run when they are due. */
    static void Pass(uint64_t ns)
    {
        uint64_t end = fake.now_ns + ns;
        while (!fake.timers.empty() && fake.timers.begin()->second.first <= end) {
            auto due = fake.timers.begin()->second;
            fake.timers.erase(fake.timers.begin());
            fake.now_ns = due.first;
            due.second.first(due.second.second);
        }
        fake.now_ns = end;
    }

    static void Comes(uint64_t number, size_t len)
    {
        std::vector<uint8_t> bytes(len < QP_HEADER_LEN ? QP_HEADER_LEN : len);
        qp_header_encode(bytes.data(), number);
        bytes.resize(len);
        fake.came.push_back(bytes);
    }

    qp_dgram d_{};
};

TEST_F(Dgram, AsManyAsTheRateSays)
{
    for (uint32_t rate : {1u, 100u, 1000u, 32000u, 64001u, 200000u, 600000u}) {
        fake.sent.clear();
        ASSERT_EQ(Start(100, rate), QURING_OK);
        Pass(kSecond);
        EXPECT_NEAR(static_cast<double>(fake.sent.size()), rate, 1 + rate / 500.0) << rate;
        EXPECT_EQ(fake.last_number + 1, fake.sent.size());
        EXPECT_EQ(fake.flags, static_cast<uint32_t>(QURING_DATAGRAM_REPLACE));
        qp_dgram_stop(&d_);
        EXPECT_EQ(fake.timers.size(), 0u);
    }
}

TEST_F(Dgram, OnesThatAreDueSeldomHaveATimerEach)
{
    ASSERT_EQ(Start(100, 10), QURING_OK);
    Pass(kSecond / 10);
    EXPECT_EQ(fake.timers_made, 1u);
    EXPECT_EQ(fake.sent.size(), 1u);
    Pass(1);
    EXPECT_EQ(fake.timers_made, 2u);
    EXPECT_EQ(fake.sent.size(), 2u);
}

/* What was due in a long pause does not come at once, and not later. */
TEST_F(Dgram, APauseIsLeftOut)
{
    ASSERT_EQ(Start(100, 1000), QURING_OK);
    Pass(kSecond / 100 - 1);
    EXPECT_EQ(fake.sent.size(), 10u);
    fake.timers.begin()->second.first += kSecond;
    Pass(kSecond);
    EXPECT_EQ(fake.sent.size(), 10u);
    Pass(2); /* a nanosecond behind the next one's time */
    EXPECT_EQ(fake.sent.size(), 74u);
    Pass(kSecond / 100);
    EXPECT_NEAR(static_cast<double>(fake.sent.size()), 84, 1);
}

TEST_F(Dgram, WithoutARateAsManyAsTheQueueTakes)
{
    fake.room = 5;
    ASSERT_EQ(Start(0, 0), QURING_OK);
    EXPECT_EQ(fake.sent, std::vector<size_t>(5, 1200));
    EXPECT_EQ(fake.flags, 0u);
    EXPECT_EQ(fake.timers_made, 0u);
    fake.room = 2;
    qp_dgram_go_on(&d_);
    EXPECT_EQ(fake.last_number, 6u);
    qp_dgram_stop(&d_);
    fake.room = 2;
    qp_dgram_go_on(&d_);
    EXPECT_EQ(fake.sent.size(), 7u);
}

TEST_F(Dgram, APathThatCarriesLess)
{
    fake.room = 1;
    ASSERT_EQ(Start(1000, 0), QURING_OK);
    fake.max = 900;
    fake.room = 1;
    qp_dgram_go_on(&d_);
    fake.max = 7;
    fake.room = 1;
    qp_dgram_go_on(&d_);
    EXPECT_EQ(fake.sent, (std::vector<size_t>{1000, 900}));
}

TEST_F(Dgram, OnesWithARateAreNotWritableAtOtherTimes)
{
    ASSERT_EQ(Start(100, 10), QURING_OK);
    qp_dgram_go_on(&d_);
    EXPECT_EQ(fake.sent.size(), 1u);
}

/* A size that is not possible is none of what was sent before. */
TEST_F(Dgram, WhatCannotStartChangesNothing)
{
    fake.room = 1;
    ASSERT_EQ(Start(1200, 0), QURING_OK);
    qp_dgram_stop(&d_);
    EXPECT_EQ(Start(1201, 0), QURING_E_TOO_LARGE);
    EXPECT_EQ(Start(7, 0), QURING_E_TOO_LARGE);
    fake.max_status = QURING_E_NOT_SUPPORTED;
    EXPECT_EQ(Start(0, 0), QURING_E_NOT_SUPPORTED);
    EXPECT_EQ(d_.size, 1200u);
    EXPECT_EQ(d_.next_number, 1u);
    fake.max_status = QURING_OK;
    fake.max = 8;
    EXPECT_EQ(Start(0, 0), QURING_OK);
    EXPECT_EQ(d_.size, 8u);
}

TEST_F(Dgram, ARequestSaysSizeAndRate)
{
    uint64_t request = qp_dgram_request(65535, UINT32_MAX);
    EXPECT_TRUE(qp_dgram_is_request(request));
    EXPECT_EQ(request, 0xfffeffffffffffffu);
    EXPECT_FALSE(qp_dgram_is_request(QP_ENDLESS));
    ASSERT_EQ(qp_dgram_request_start(&d_, quring_conn{}, qp_dgram_request(300, 50)), QURING_OK);
    EXPECT_EQ(d_.size, 300u);
    EXPECT_EQ(d_.rate, 50u);
}

TEST_F(Dgram, CountsWhatComesAndWhatIsMissing)
{
    EXPECT_EQ(qp_dgram_missing(&d_), 0u);
    for (uint64_t number : {0, 1, 4, 3}) {
        Comes(number, 100);
    }
    Comes(99, 7); /* no number is so short */
    EXPECT_EQ(qp_dgram_take(&d_, quring_conn{}), 407u);
    EXPECT_EQ(d_.received, 5u);
    EXPECT_EQ(d_.next_number, 5u);
    EXPECT_EQ(qp_dgram_missing(&d_), 0u);
    Comes(9, 8);
    EXPECT_EQ(qp_dgram_take(&d_, quring_conn{}), 8u);
    EXPECT_EQ(qp_dgram_missing(&d_), 4u);
    EXPECT_EQ(qp_dgram_take(&d_, quring_conn{}), 0u);
}

} // namespace
