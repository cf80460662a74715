#include <gtest/gtest.h>

#include "quic/path/cid_peer.h"

namespace
{

quic_cid Cid(uint8_t tag, uint8_t len = 8)
{
    quic_cid cid = {};
    cid.len = len;
    memset(cid.bytes, tag, len);
    return cid;
}

class CidPeerTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_cid first = Cid(0xa0);
        quic_cid_peer_init(&set, &first, 4);
    }

    /* NEW_CONNECTION_ID with the CID and token that belong to `seq`. */
    quic_rc New(uint64_t seq, uint64_t retire_prior_to = 0)
    {
        return NewWith(seq, retire_prior_to, static_cast<uint8_t>(0xa0 + seq),
                       static_cast<uint8_t>(seq));
    }

    quic_rc NewWith(uint64_t seq, uint64_t retire_prior_to, uint8_t cid_tag, uint8_t token_tag)
    {
        quic_cid cid = Cid(cid_tag);
        uint8_t token[QUIC_RESET_TOKEN_LEN];
        memset(token, token_tag, sizeof(token));
        return quic_cid_peer_on_new(&set, &change, seq, retire_prior_to, &cid, token);
    }

    uint8_t Current()
    {
        return quic_cid_peer_current(&set)->bytes[0];
    }

    quic_cid_peer set;
    quic_cid_peer_change change = {};
};

TEST_F(CidPeerTest, StartsWithTheHandshakes)
{
    EXPECT_EQ(Current(), 0xa0);
    quic_cid other = Cid(0xb0);
    quic_cid_peer_set_initial(&set, &other);
    EXPECT_EQ(Current(), 0xb0);
    other = Cid(0xc0, 1); /* short, but an ID */
    quic_cid_peer_set_initial(&set, &other);
    EXPECT_EQ(New(1), QUIC_OK);
    uint64_t seq = 0;
    EXPECT_FALSE(quic_cid_peer_next_retire(&set, &seq));
}

TEST_F(CidPeerTest, AddsAndToleratesRetransmissions)
{
    ASSERT_EQ(New(1), QUIC_OK);
    EXPECT_TRUE(change.added);
    EXPECT_FALSE(change.current_changed);
    EXPECT_EQ(change.added_token[0], 1);
    ASSERT_EQ(New(1), QUIC_OK);
    EXPECT_FALSE(change.added);
    EXPECT_EQ(Current(), 0xa0);
}

/* RFC 9000 19.15 */
TEST_F(CidPeerTest, Contradictions)
{
    ASSERT_EQ(New(1), QUIC_OK);
    EXPECT_EQ(NewWith(1, 0, 0xee, 1), QUIC_V_PROTOCOL_VIOLATION) << "same number, other CID";
    EXPECT_EQ(NewWith(1, 0, 0xa1, 9), QUIC_V_PROTOCOL_VIOLATION) << "same number, other token";
    EXPECT_EQ(NewWith(2, 0, 0xa1, 1), QUIC_V_PROTOCOL_VIOLATION) << "same CID, other number";
    EXPECT_EQ(NewWith(0, 0, 0xee, 0), QUIC_V_PROTOCOL_VIOLATION) << "the first one replaced";
}

TEST_F(CidPeerTest, PeerWithEmptyCidMayNotIssue)
{
    quic_cid none = {};
    quic_cid_peer_init(&set, &none, 4);
    EXPECT_EQ(New(1), QUIC_V_PROTOCOL_VIOLATION);
}

/* RFC 9000 5.1.1 */
TEST_F(CidPeerTest, ActiveLimit)
{
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_EQ(New(3), QUIC_OK);
    EXPECT_EQ(New(4), QUIC_V_CONNECTION_ID_LIMIT);
    SetUp();
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_EQ(New(3), QUIC_OK);
    EXPECT_EQ(New(4, 1), QUIC_OK) << "retirement comes before the count";
}

/* RFC 9000 5.1.2 */
TEST_F(CidPeerTest, RetirePriorToMovesOn)
{
    const uint8_t token[QUIC_RESET_TOKEN_LEN] = {0x77};
    quic_cid_peer_set_token(&set, token);
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_EQ(New(3, 2), QUIC_OK);
    EXPECT_TRUE(change.current_changed);
    ASSERT_EQ(change.dropped_count, 2);
    EXPECT_EQ(change.dropped_tokens[0][0], 0x77);
    EXPECT_EQ(change.dropped_tokens[1][0], 1);
    EXPECT_TRUE(Current() == 0xa2 || Current() == 0xa3);
    uint64_t a = 9;
    uint64_t b = 9;
    uint64_t c = 9;
    ASSERT_TRUE(quic_cid_peer_next_retire(&set, &a));
    ASSERT_TRUE(quic_cid_peer_next_retire(&set, &b));
    EXPECT_EQ(a + b, 1u);
    EXPECT_FALSE(quic_cid_peer_next_retire(&set, &c));
    quic_cid_peer_retire_lost(&set, a);
    quic_cid_peer_retire_lost(&set, a);
    ASSERT_TRUE(quic_cid_peer_next_retire(&set, &c));
    EXPECT_EQ(c, a);
    quic_cid_peer_retire_acked(&set, a);
    quic_cid_peer_retire_lost(&set, a);
    quic_cid_peer_retire_acked(&set, b);
    EXPECT_FALSE(quic_cid_peer_next_retire(&set, &c));
    EXPECT_EQ(set.to_send_count, 0);
}

TEST_F(CidPeerTest, ArrivesAlreadyRetired)
{
    ASSERT_EQ(New(3, 3), QUIC_OK);
    ASSERT_EQ(New(1), QUIC_OK); /* reordered behind the one that retires it */
    EXPECT_FALSE(change.added);
    int retired = 0;
    uint64_t seq = 0;
    while (quic_cid_peer_next_retire(&set, &seq)) {
        EXPECT_TRUE(seq == 0 || seq == 1);
        retired++;
    }
    EXPECT_EQ(retired, 2);
    EXPECT_EQ(Current(), 0xa3);
}

/* RFC 9000 9.5: another path takes the lowest that nobody uses. */
TEST_F(CidPeerTest, OtherPathsHaveTheirOwn)
{
    EXPECT_EQ(quic_cid_peer_spare(&set), nullptr);
    EXPECT_EQ(quic_cid_peer_reserve(&set), nullptr);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_NE(quic_cid_peer_reserve(&set), nullptr);
    EXPECT_TRUE(quic_cid_peer_find(&set, 1)->reserved);
    EXPECT_EQ(quic_cid_peer_spare(&set)->seq, 2u);
    EXPECT_EQ(Current(), 0xa0);

    ASSERT_TRUE(quic_cid_peer_use(&set, 1));
    EXPECT_EQ(Current(), 0xa1);
    EXPECT_EQ(quic_cid_peer_current_seq(&set), 1u);
    EXPECT_TRUE(quic_cid_peer_find(&set, 0)->reserved)
        << "the path it was used on may still be known";
    EXPECT_FALSE(quic_cid_peer_use(&set, 7));
    EXPECT_EQ(Current(), 0xa1);

    quic_cid_peer_entry gone;
    EXPECT_FALSE(quic_cid_peer_give_back(&set, 1, &gone)) << "in use";
    EXPECT_FALSE(quic_cid_peer_give_back(&set, 7, &gone)) << "not there";
    ASSERT_TRUE(quic_cid_peer_give_back(&set, 0, &gone));
    EXPECT_EQ(gone.cid.bytes[0], 0xa0);
    EXPECT_EQ(quic_cid_peer_find(&set, 0), nullptr);
    uint64_t seq = 99;
    ASSERT_TRUE(quic_cid_peer_next_retire(&set, &seq));
    EXPECT_EQ(seq, 0u);
}

TEST_F(CidPeerTest, ARetiredOneIsReplacedByOneThatNoPathUses)
{
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_EQ(quic_cid_peer_reserve(&set)->seq, 1u);
    ASSERT_EQ(New(3, 1), QUIC_OK);
    EXPECT_EQ(Current(), 0xa2);
    ASSERT_EQ(New(4, 4), QUIC_OK); /* all but the newest */
    EXPECT_EQ(Current(), 0xa4);
    EXPECT_EQ(quic_cid_peer_find(&set, 1), nullptr);
}

/* A frame that was thought lost arrives after its connection ID was used up. */
TEST_F(CidPeerTest, WhatWasGivenBackDoesNotComeAgain)
{
    quic_cid_peer_entry gone;
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_EQ(New(3), QUIC_OK);
    ASSERT_TRUE(quic_cid_peer_give_back(&set, 1, &gone));
    ASSERT_EQ(New(1), QUIC_OK);
    EXPECT_FALSE(change.added);
    EXPECT_EQ(quic_cid_peer_find(&set, 1), nullptr);
    ASSERT_EQ(New(2), QUIC_OK) << "late, but new";
    EXPECT_TRUE(change.added);
    ASSERT_TRUE(quic_cid_peer_give_back(&set, 2, &gone));
    ASSERT_EQ(New(200), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    EXPECT_FALSE(change.added);
    ASSERT_EQ(New(199), QUIC_OK);
    EXPECT_TRUE(change.added);
}

TEST_F(CidPeerTest, RemembersSixtyFourNumbers)
{
    ASSERT_EQ(New(63), QUIC_OK);
    ASSERT_EQ(New(66), QUIC_OK);
    ASSERT_EQ(New(2), QUIC_OK);
    EXPECT_FALSE(change.added) << "too old to tell";
    ASSERT_EQ(New(3), QUIC_OK);
    EXPECT_TRUE(change.added);
}

TEST_F(CidPeerTest, TheFirstPlaceIsAPlaceLikeOthers)
{
    quic_cid_peer_entry gone;
    ASSERT_EQ(New(1), QUIC_OK);
    ASSERT_TRUE(quic_cid_peer_use(&set, 1));
    ASSERT_TRUE(quic_cid_peer_give_back(&set, 0, &gone));
    EXPECT_EQ(quic_cid_peer_spare(&set), nullptr);
    ASSERT_EQ(New(2), QUIC_OK);
    ASSERT_NE(quic_cid_peer_spare(&set), nullptr);
    EXPECT_EQ(quic_cid_peer_spare(&set)->seq, 2u);
}

TEST_F(CidPeerTest, WithoutAnyIdThereIsNoneToSpare)
{
    quic_cid empty = {};
    quic_cid_peer_init(&set, &empty, 4);
    EXPECT_EQ(quic_cid_peer_spare(&set), nullptr);
}

/* A peer that makes us retire without end and never acknowledges. */
TEST_F(CidPeerTest, PendingRetirementsAreBounded)
{
    quic_rc rc = QUIC_OK;
    uint64_t seq = 1;
    while (rc == QUIC_OK && seq < 100) {
        rc = New(seq, seq);
        seq++;
    }
    EXPECT_EQ(rc, QUIC_V_CONNECTION_ID_LIMIT);
    EXPECT_EQ(seq, 10u); /* 1..8 retire one each: twice the active ones */
}

} // namespace
