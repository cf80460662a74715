#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/session_ticket.h"

namespace
{

class SessionTicket : public testing::Test
{
  protected:
    SessionTicket() : rng_(quic_rng_seeded(&state_))
    {
        root_[0] = 1;
        quic_ticket_keys_derive(&keys_, root_);
    }

    std::vector<uint8_t> Seal(const std::vector<uint8_t> &session)
    {
        std::vector<uint8_t> out(session.size() + QUIC_TICKET_OVERHEAD);
        size_t len = 0;
        const quic_ticket_stamp stamp = {7, 12345, 0x6b3343cf};
        EXPECT_EQ(quic_ticket_seal(&keys_, out.data(), &len, out.size(), &stamp, session.data(),
                                   session.size(), &rng_),
                  QUIC_OK);
        EXPECT_EQ(len, out.size());
        return out;
    }

    quic_rc Open(const quic_ticket_keys &keys, const std::vector<uint8_t> &ticket)
    {
        size_t len = 0;
        opened_.assign(ticket.size() + 1, 0);
        const quic_rc rc = quic_ticket_open(&keys, opened_.data(), &len, opened_.size(), &stamp_,
                                            ticket.data(), ticket.size());
        opened_.resize(len);
        return rc;
    }

    quic_rng_seeded_state state_{5};
    quic_rng rng_;
    uint8_t root_[32] = {};
    quic_ticket_keys keys_{};
    quic_ticket_stamp stamp_{};
    std::vector<uint8_t> opened_;
};

TEST_F(SessionTicket, OpensWhereTheSecretIsTheSame)
{
    const std::vector<uint8_t> session = {1, 2, 3, 4, 5};
    const std::vector<uint8_t> ticket = Seal(session);
    quic_ticket_keys other;
    quic_ticket_keys_derive(&other, root_);
    ASSERT_EQ(Open(other, ticket), QUIC_OK);
    EXPECT_EQ(opened_, session);
    EXPECT_EQ(stamp_.register_id, 7u);
    EXPECT_EQ(stamp_.issued, 12345u);
    EXPECT_EQ(stamp_.version, 0x6b3343cfu); /* RFC 9369 5 */
    EXPECT_NE(Seal(session), ticket);       /* each has its own nonce */
}

TEST_F(SessionTicket, RefusesEveryChange)
{
    const std::vector<uint8_t> ticket = Seal({1, 2, 3});
    for (size_t i = 0; i < ticket.size(); i++) {
        std::vector<uint8_t> bad = ticket;
        bad[i] ^= 1;
        EXPECT_EQ(Open(keys_, bad), QUIC_E_DROP) << i;
        bad.assign(ticket.begin(), ticket.begin() + static_cast<long>(i));
        EXPECT_EQ(Open(keys_, bad), QUIC_E_DROP) << i;
    }
}

TEST_F(SessionTicket, ThePreviousSecretStillOpens)
{
    const std::vector<uint8_t> ticket = Seal({9});
    root_[0] = 2;
    quic_ticket_keys_rotate(&keys_, root_);
    EXPECT_EQ(Open(keys_, ticket), QUIC_OK);
    root_[0] = 3;
    quic_ticket_keys_rotate(&keys_, root_);
    EXPECT_EQ(Open(keys_, ticket), QUIC_E_DROP);
}

TEST_F(SessionTicket, DoesNotOutgrowItsRoom)
{
    uint8_t out[QUIC_TICKET_OVERHEAD + 2];
    size_t len = 0;
    const quic_ticket_stamp stamp = {0, 0};
    const uint8_t session[3] = {1, 2, 3};
    EXPECT_EQ(quic_ticket_seal(&keys_, out, &len, sizeof(out), &stamp, session, 3, &rng_),
              QUIC_E_LIMIT);
}

} // namespace
