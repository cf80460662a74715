/* Packets that are recorded together are recorded as one by one: what was sent, and what came. */
#include <algorithm>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/recovery/ack_tracker.h"
#include "quic/recovery/loss.h"
#include "tests/quic/base/test_mem.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;

class SentRun : public testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&mem_);
        quic_recovery_init(&one_, &mem_.mem, 4096, 333 * kMs, false);
        quic_recovery_init(&run_, &mem_.mem, 4096, 333 * kMs, false);
    }
    void TearDown() override
    {
        quic_recovery_deinit(&one_);
        quic_recovery_deinit(&run_);
    }
    static void Send(quic_recovery *rec, const quic_sent_frame &frame, uint32_t bytes,
                     uint32_t flags, quic_ns now)
    {
        quic_sent_map *map = quic_recovery_map(rec, QUIC_SPACE_APP);
        quic_sent_packet *packet = quic_sent_map_add(map, quic_sent_map_next_pn(map));
        ASSERT_NE(nullptr, packet);
        ASSERT_EQ(QUIC_OK, quic_sent_packet_add_frame(map, packet, &frame));
        quic_recovery_on_sent(rec, QUIC_SPACE_APP, packet, bytes, flags, now);
    }
    void Same()
    {
        const quic_sent_map *a = quic_recovery_map(&one_, QUIC_SPACE_APP);
        const quic_sent_map *b = quic_recovery_map(&run_, QUIC_SPACE_APP);
        quic_sent_map_check(a);
        quic_sent_map_check(b);
        ASSERT_EQ(a->next_pn, b->next_pn);
        EXPECT_EQ(a->in_flight_bytes, b->in_flight_bytes);
        EXPECT_EQ(a->in_flight_count, b->in_flight_count);
        EXPECT_EQ(a->eliciting_count, b->eliciting_count);
        EXPECT_EQ(one_.in_flight_bytes, run_.in_flight_bytes);
        EXPECT_EQ(one_.timer_base_ns, run_.timer_base_ns);
        EXPECT_EQ(one_.delivered_ns, run_.delivered_ns);
        EXPECT_EQ(one_.first_sent_ns, run_.first_sent_ns);
        EXPECT_EQ(one_.spaces[QUIC_SPACE_APP].last_eliciting_sent_ns,
                  run_.spaces[QUIC_SPACE_APP].last_eliciting_sent_ns);
        for (uint64_t pn = a->base_pn; pn < a->next_pn; pn++) {
            const quic_sent_packet *x = quic_sent_map_find(a, pn);
            const quic_sent_packet *y = quic_sent_map_find(b, pn);
            ASSERT_NE(nullptr, x);
            ASSERT_NE(nullptr, y);
            EXPECT_EQ(0, memcmp(x, y, sizeof(*x))) << pn;
        }
    }

    test_mem mem_;
    quic_recovery one_;
    quic_recovery run_;
};

TEST_F(SentRun, IsWhatIsSentOneByOne)
{
    quic_rng_seeded_state state{3};
    quic_rng rng = quic_rng_seeded(&state);
    uint64_t off = 0;
    for (quic_ns now = 1 * kMs; now < 20 * kMs; now += kMs) {
        const uint32_t len = 1000 + static_cast<uint32_t>(quic_rng_u64(&rng) % 400);
        const uint32_t flags = QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT |
                               (quic_rng_u64(&rng) % 2 != 0 ? 1u * QUIC_SENT_ECT0 : 0u);
        quic_sent_frame frame{};
        frame.kind = 1;
        frame.len = len;
        frame.id = 4;
        frame.off = off;
        /* The first makes room in the ring, in both. */
        Send(&one_, frame, len + 30, flags, now);
        Send(&run_, frame, len + 30, flags, now);
        frame.off += len;
        const uint64_t room = quic_sent_map_room(quic_recovery_map(&run_, QUIC_SPACE_APP));
        if (room == 0) {
            continue;
        }
        const uint32_t count = 1 + static_cast<uint32_t>(quic_rng_u64(&rng) % room);
        quic_recovery_on_sent_run(&run_, QUIC_SPACE_APP, &frame, count, len + 30, flags, now);
        for (uint32_t i = 0; i < count; i++) {
            Send(&one_, frame, len + 30, flags, now);
            frame.off += len;
        }
        off = frame.off;
        Same();
    }
    EXPECT_GT(run_.in_flight_bytes, 500000u);
}

/* Acknowledges lo..hi of each range, highest first. `arrived` gets the place of every hundredth byte that the packets
 * carried, *in_runs how many of these came in runs. */
void Ack(quic_recovery *rec, bool runs, const std::vector<std::pair<uint64_t, uint64_t>> &ranges,
         quic_ns now, std::multiset<std::pair<uint64_t, uint64_t>> *arrived, quic_ack_result *out,
         uint32_t *in_runs)
{
    quic_recovery_ack ack;
    const quic_sent_map *map = quic_recovery_map(rec, QUIC_SPACE_APP);
    ASSERT_EQ(QUIC_OK,
              quic_recovery_ack_begin(rec, &ack, QUIC_SPACE_APP, ranges[0].second, 0, now));
    auto take = [&](const quic_sent_frame &f) {
        for (uint64_t off = f.off; off < f.off + f.len; off += 100) {
            arrived->insert({f.id * 256 + f.kind * 16 + f.flags, off});
        }
    };
    for (const auto &range : ranges) {
        ASSERT_EQ(QUIC_OK, quic_recovery_ack_range(&ack, range.first, range.second));
        while (quic_sent_packet *packet = quic_recovery_ack_next(&ack)) {
            quic_sent_frame_iter it = {};
            while (const quic_sent_frame *f = quic_sent_frame_next(map, packet, &it)) {
                take(*f);
            }
            quic_acked_run run;
            while (runs && quic_recovery_ack_next_run(&ack, 1, &run)) {
                EXPECT_EQ(run.frame.kind, 1);
                take(run.frame);
                *in_runs += run.frame.len / 100;
            }
        }
    }
    quic_recovery_ack_end(&ack, out);
    while (quic_recovery_next_lost(rec, QUIC_SPACE_APP) != nullptr) {
    }
    quic_recovery_check(rec);
}

TEST_F(SentRun, IsAcknowledgedAsOneByOne)
{
    quic_rng_seeded_state state{5};
    quic_rng rng = quic_rng_seeded(&state);
    auto below = [&](uint64_t bound) { return quic_rng_u64(&rng) % bound; };
    uint32_t in_runs = 0;
    uint64_t off = 0;
    std::multiset<std::pair<uint64_t, uint64_t>> arrived[2];
    for (quic_ns now = 10 * kMs; now < 2000 * kMs; now += 10 * kMs) {
        const uint64_t first = quic_recovery_map(&one_, QUIC_SPACE_APP)->next_pn;
        const uint64_t count = 1 + below(40);
        for (uint64_t i = 0; i < count; i++) {
            quic_sent_frame frame{};
            frame.kind = below(20) == 0 ? 2 : 1;
            frame.flags = below(20) == 0 ? 1 : 0;
            frame.len = below(20) == 0 ? 500 : 1000;
            frame.id = below(20) == 0 ? 8 : 4;
            off += below(20) == 0 ? 100 : 0;
            frame.off = off;
            off += frame.len;
            uint32_t flags = below(20) == 0 ? 0u : QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT;
            flags |= below(3) == 0 ? 1u * QUIC_SENT_ECT0 : 0u;
            flags |= below(30) == 0 ? 1u * QUIC_SENT_MTU_PROBE : 0u;
            const bool two = below(20) == 0;
            for (quic_recovery *rec : {&one_, &run_}) {
                quic_sent_map *map = quic_recovery_map(rec, QUIC_SPACE_APP);
                quic_sent_packet *packet = quic_sent_map_add(map, quic_sent_map_next_pn(map));
                ASSERT_NE(nullptr, packet);
                ASSERT_EQ(QUIC_OK, quic_sent_packet_add_frame(map, packet, &frame));
                if (two) {
                    ASSERT_EQ(QUIC_OK, quic_sent_packet_add_frame(map, packet, &frame));
                }
                quic_recovery_on_sent(rec, QUIC_SPACE_APP, packet, frame.len + 30, flags, now);
            }
        }
        std::vector<std::pair<uint64_t, uint64_t>> ranges;
        for (uint64_t hi = first + count - 1; ranges.size() < 6;) {
            const uint64_t lo = hi - std::min(hi, below(60));
            ranges.emplace_back(lo, hi);
            const uint64_t gap = 2 + below(3);
            if (lo < gap) {
                break;
            }
            hi = lo - gap;
        }
        quic_ack_result out[2];
        Ack(&one_, false, ranges, now + 5 * kMs, &arrived[0], &out[0], &in_runs);
        Ack(&run_, true, ranges, now + 5 * kMs, &arrived[1], &out[1], &in_runs);
        ASSERT_EQ(arrived[0], arrived[1]);
        ASSERT_EQ(0, memcmp(&out[0], &out[1], sizeof(out[0])));
        ASSERT_EQ(one_.delivered_bytes, run_.delivered_bytes);
        ASSERT_EQ(one_.lost_bytes, run_.lost_bytes);
        ASSERT_EQ(one_.in_flight_bytes, run_.in_flight_bytes);
        const quic_sent_map *a = quic_recovery_map(&one_, QUIC_SPACE_APP);
        const quic_sent_map *b = quic_recovery_map(&run_, QUIC_SPACE_APP);
        ASSERT_EQ(a->base_pn, b->base_pn);
        ASSERT_EQ(a->scan_pn, b->scan_pn);
        ASSERT_EQ(a->eliciting_count, b->eliciting_count);
        ASSERT_EQ(a->node_free_count, b->node_free_count);
    }
    EXPECT_GT(in_runs, 10000u);
}

struct Tracked {
    explicit Tracked(uint64_t reordering, uint32_t threshold)
    {
        test_mem_init(&mem);
        quic_ack_tracker_init(&t, &mem.mem, 32, 25 * kMs);
        quic_ack_tracker_set_frequency(&t, threshold, 25 * kMs, reordering);
    }
    ~Tracked()
    {
        quic_ack_tracker_deinit(&t);
    }
    test_mem mem;
    quic_ack_tracker t;
};

/* RFC 9000 13.2.1, 13.2.2, 13.4.1; Acknowledgment Frequency 6. */
TEST(TrackedRun, IsWhatComesOneByOne)
{
    quic_rng_seeded_state state{11};
    quic_rng rng = quic_rng_seeded(&state);
    for (int round = 0; round < 600; round++) {
        const uint64_t reordering = round % 4;
        const uint32_t threshold = 1 + static_cast<uint32_t>(quic_rng_u64(&rng) % 40);
        Tracked one(reordering, threshold);
        Tracked run(reordering, threshold);
        uint64_t next = quic_rng_u64(&rng) % 3;
        quic_ns now = kMs;
        for (int step = 0; step < 30; step++, now += kMs) {
            if (quic_rng_u64(&rng) % 4 == 0) {
                next += 1 + quic_rng_u64(&rng) % 5; /* lost */
            }
            const uint32_t count = 1 + static_cast<uint32_t>(quic_rng_u64(&rng) % 20);
            const uint8_t ecn = static_cast<uint8_t>(quic_rng_u64(&rng) % 4);
            ASSERT_EQ(QUIC_OK, quic_ack_tracker_on_run(&run.t, next, count, ecn, now));
            for (uint32_t i = 0; i < count; i++) {
                ASSERT_EQ(QUIC_OK, quic_ack_tracker_on_packet(&one.t, next + i, true, ecn, now));
            }
            next += count;
            if (quic_rng_u64(&rng) % 5 == 0) { /* one that asks for nothing */
                ASSERT_EQ(QUIC_OK, quic_ack_tracker_on_packet(&run.t, next, false, 0, now));
                ASSERT_EQ(QUIC_OK, quic_ack_tracker_on_packet(&one.t, next, false, 0, now));
                next++;
            }
            const bool due = quic_ack_tracker_due(&one.t, now);
            ASSERT_EQ(due, quic_ack_tracker_due(&run.t, now)) << round << " " << step;
            ASSERT_EQ(one.t.deadline_ns, run.t.deadline_ns);
            ASSERT_EQ(one.t.pending_count, run.t.pending_count);
            ASSERT_EQ(one.t.largest_pn, run.t.largest_pn);
            ASSERT_EQ(one.t.largest_recv_ns, run.t.largest_recv_ns);
            ASSERT_EQ(one.t.largest_eliciting_pn, run.t.largest_eliciting_pn);
            ASSERT_EQ(one.t.unsent_min_pn, run.t.unsent_min_pn);
            ASSERT_EQ(one.t.last_was_ce, run.t.last_was_ce);
            ASSERT_EQ(one.t.ect0_count, run.t.ect0_count);
            ASSERT_EQ(one.t.ect1_count, run.t.ect1_count);
            ASSERT_EQ(one.t.ce_count, run.t.ce_count);
            ASSERT_EQ(one.t.ranges.count, run.t.ranges.count);
            for (uint32_t i = 0; i < one.t.ranges.count; i++) {
                ASSERT_EQ(quic_range_set_at(&one.t.ranges, i)->lo,
                          quic_range_set_at(&run.t.ranges, i)->lo);
                ASSERT_EQ(quic_range_set_at(&one.t.ranges, i)->hi,
                          quic_range_set_at(&run.t.ranges, i)->hi);
            }
            if (due) {
                (void)quic_ack_tracker_on_ack_sent(&one.t);
                (void)quic_ack_tracker_on_ack_sent(&run.t);
            }
        }
    }
}

} // namespace
