/* tests/quic/recovery/loss_fixture.h: loss detection over a counted memory, with sends and ACKs in one line each. */
#ifndef TESTS_QUIC_RECOVERY_LOSS_FIXTURE_H
#define TESTS_QUIC_RECOVERY_LOSS_FIXTURE_H

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "quic/recovery/loss.h"
#include "tests/quic/base/test_mem.h"

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kData = QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT;
using Range = std::pair<uint64_t, uint64_t>;
using Pns = std::vector<uint64_t>;

class Loss : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        Init(false);
    }
    void TearDown() override
    {
        quic_recovery_check(&rec);
        quic_recovery_deinit(&rec);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }
    void Init(bool client)
    {
        quic_recovery_init(&rec, &tm.mem, 1024, QUIC_INITIAL_RTT_NS, client);
        rec.facts.handshake_confirmed = !client;
        rec.facts.has_handshake_keys = !client;
    }
    uint64_t Send(quic_ns now, quic_space space = QUIC_SPACE_APP, uint32_t flags = kData,
                  uint32_t bytes = 1000)
    {
        quic_sent_map *map = quic_recovery_map(&rec, space);
        uint64_t pn = quic_sent_map_next_pn(map);
        quic_sent_packet *p = quic_sent_map_add(map, pn);
        EXPECT_NE(p, nullptr);
        quic_sent_frame f = {1, 0, 0, 1, pn, 0};
        EXPECT_EQ(quic_sent_packet_add_frame(map, p, &f), QUIC_OK);
        quic_recovery_on_sent(&rec, space, p, bytes, flags, now);
        return pn;
    }
    quic_rc Ack(std::vector<Range> ranges, quic_ns now, quic_ns delay = 0,
                quic_space space = QUIC_SPACE_APP)
    {
        acked.clear();
        quic_recovery_ack ack;
        quic_rc rc = quic_recovery_ack_begin(&rec, &ack, space, ranges.front().second, delay, now);
        for (const Range &r : ranges) {
            if (rc != QUIC_OK) {
                return rc;
            }
            rc = quic_recovery_ack_range(&ack, r.first, r.second);
            for (quic_sent_packet *p; rc == QUIC_OK && (p = quic_recovery_ack_next(&ack));) {
                quic_sent_frame_iter it = {};
                EXPECT_EQ(quic_sent_frame_next(quic_recovery_map(&rec, space), p, &it)->id, p->pn);
                acked.push_back(p->pn);
            }
        }
        if (rc == QUIC_OK) {
            quic_recovery_ack_end(&ack, &out);
            DrainLost(space);
        }
        return rc;
    }
    void DrainLost(quic_space space = QUIC_SPACE_APP)
    {
        lost.clear();
        while (quic_sent_packet *p = quic_recovery_next_lost(&rec, space)) {
            lost.push_back(p->pn);
        }
        quic_recovery_check(&rec);
    }
    /* One packet there and back in `rtt`, so that there is an estimate. */
    void Prime(quic_ns now, quic_ns rtt)
    {
        uint64_t pn = Send(now);
        ASSERT_EQ(Ack({{pn, pn}}, now + rtt), QUIC_OK);
    }
    test_mem tm;
    quic_recovery rec;
    quic_ack_result out;
    Pns acked, lost;
};

#endif // TESTS_QUIC_RECOVERY_LOSS_FIXTURE_H
