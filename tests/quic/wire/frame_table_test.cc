#include <string>

#include <gtest/gtest.h>

#include "quic/wire/frame_table.h"

namespace
{

struct Row {
    uint8_t first;
    uint8_t last;
    const char *packets; /* as in RFC 9000 table 3: Initial, Handshake, 0-RTT, 1-RTT */
    bool elicits;
    bool probes;
};

/* RFC 9000 table 3, with RETIRE_CONNECTION_ID out of 0-RTT (12.5) and the application's
 * CONNECTION_CLOSE out of Initial and Handshake packets (19.19). */
const Row kRows[] = {
    {0x00, 0x00, "IH01", false, true},  {0x01, 0x01, "IH01", true, false},
    {0x02, 0x03, "IH_1", false, false}, {0x04, 0x05, "__01", true, false},
    {0x06, 0x06, "IH_1", true, false},  {0x07, 0x07, "___1", true, false},
    {0x08, 0x17, "__01", true, false},  {0x18, 0x18, "__01", true, true},
    {0x19, 0x19, "___1", true, false},  {0x1a, 0x1a, "__01", true, true},
    {0x1b, 0x1b, "___1", true, true},   {0x1c, 0x1c, "IH01", false, false},
    {0x1d, 0x1d, "__01", false, false}, {0x1e, 0x1e, "___1", true, false},
};

TEST(FrameTable, MatchesTable3OfRfc9000)
{
    int rows = 0;
    for (const Row &row : kRows) {
        for (uint8_t type = row.first; type <= row.last; type++) {
            const std::string packets = row.packets;
            EXPECT_EQ(quic_frame_allowed(QUIC_LEVEL_INITIAL, type), packets[0] == 'I') << +type;
            EXPECT_EQ(quic_frame_allowed(QUIC_LEVEL_HANDSHAKE, type), packets[1] == 'H') << +type;
            EXPECT_EQ(quic_frame_allowed(QUIC_LEVEL_EARLY, type), packets[2] == '0') << +type;
            EXPECT_EQ(quic_frame_allowed(QUIC_LEVEL_APP, type), packets[3] == '1') << +type;
            EXPECT_EQ(quic_frame_is_ack_eliciting(type), row.elicits) << +type;
            EXPECT_EQ(quic_frame_is_probing(type), row.probes) << +type;
            EXPECT_EQ(quic_frame_is_server_only(type), type == 0x07 || type == 0x1e) << +type;
            rows++;
        }
    }
    EXPECT_EQ(rows, QUIC_FRAME_TYPE_COUNT);
}

/* RFC 9221 4, 5; Acknowledgment Frequency 3, 4, 5; Reliable Stream Resets 3, 4. */
TEST(FrameTable, Extensions)
{
    struct {
        uint8_t type;
        uint32_t extension;
        bool early;
    } rows[] = {
        {0x30, QUIC_EXT_DATAGRAM, true},        {0x31, QUIC_EXT_DATAGRAM, true},
        {0x1f, QUIC_EXT_ACK_FREQUENCY, false},  {0xaf, QUIC_EXT_ACK_FREQUENCY, false},
        {0x24, QUIC_EXT_RESET_STREAM_AT, true},
    };
    int known = 0;
    for (const auto &row : rows) {
        EXPECT_EQ(quic_frame_extension(row.type), row.extension) << +row.type;
        EXPECT_FALSE(quic_frame_allowed(QUIC_LEVEL_INITIAL, row.type)) << +row.type;
        EXPECT_FALSE(quic_frame_allowed(QUIC_LEVEL_HANDSHAKE, row.type)) << +row.type;
        EXPECT_EQ(quic_frame_allowed(QUIC_LEVEL_EARLY, row.type), row.early) << +row.type;
        EXPECT_TRUE(quic_frame_allowed(QUIC_LEVEL_APP, row.type)) << +row.type;
        EXPECT_TRUE(quic_frame_is_ack_eliciting(row.type)) << +row.type;
        EXPECT_FALSE(quic_frame_is_probing(row.type)) << +row.type;
        EXPECT_FALSE(quic_frame_is_server_only(row.type)) << +row.type;
        known++;
    }
    for (uint64_t type = 0; type < 0x200; type++) {
        known -= quic_frame_extension(type) != QUIC_EXT_NONE;
        EXPECT_TRUE(type >= 256 || type < QUIC_FRAME_TYPE_COUNT ||
                    (quic_frame_flags[type] != 0) == (quic_frame_extension(type) != QUIC_EXT_NONE));
    }
    EXPECT_EQ(known, 0);
}

} // namespace
