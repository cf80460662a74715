#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/tls_heads.h"

namespace
{

using Bytes = std::vector<uint8_t>;

constexpr quic_rc kUnexpected = QUIC_V_CRYPTO_BASE + 10;

Bytes message(uint8_t type, size_t len, uint8_t fill = 24)
{
    Bytes out = {type, static_cast<uint8_t>(len >> 16), static_cast<uint8_t>(len >> 8),
                 static_cast<uint8_t>(len)};
    out.resize(4 + len, fill);
    return out;
}

/* In pieces of `step` bytes; how many are taken goes to *out_at. */
quic_rc check(quic_role role, quic_level level, const Bytes &said, size_t step, size_t *out_at)
{
    quic_tls_heads heads = {};
    for (*out_at = 0; *out_at < said.size(); *out_at += step) {
        const size_t len = std::min(step, said.size() - *out_at);
        const quic_rc rc = quic_tls_heads_check(&heads, role, level, said.data() + *out_at, len);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    return QUIC_OK;
}

struct Row {
    uint8_t type;
    quic_rc client;
    quic_rc server;
};

void expect_rows(quic_level level, const std::vector<Row> &rows)
{
    for (const Row &row : rows) {
        size_t at = 0;
        const Bytes said = message(row.type, 8);
        EXPECT_EQ(check(QUIC_CLIENT, level, said, said.size(), &at), row.client) << +row.type;
        EXPECT_EQ(check(QUIC_SERVER, level, said, said.size(), &at), row.server) << +row.type;
    }
}

} // namespace

/* RFC 9001 4.4, 6; RFC 8446 4.6 */
TEST(TlsHeads, BehindTheHandshakeAClientTakesTicketsOnly)
{
    expect_rows(QUIC_LEVEL_APP, {{0, kUnexpected, kUnexpected},
                                 {1, kUnexpected, kUnexpected},
                                 {4, QUIC_OK, kUnexpected},
                                 {5, kUnexpected, kUnexpected},
                                 {11, kUnexpected, kUnexpected},
                                 {13, QUIC_V_PROTOCOL_VIOLATION, kUnexpected},
                                 {20, kUnexpected, kUnexpected},
                                 {24, kUnexpected, kUnexpected},
                                 {255, kUnexpected, kUnexpected}});
}

/* RFC 9001 6, 8.3: the others are TLS's to judge. */
TEST(TlsHeads, BeforeThatOnlyWhatQuicHasNot)
{
    for (quic_level level : {QUIC_LEVEL_INITIAL, QUIC_LEVEL_HANDSHAKE}) {
        expect_rows(level, {{1, QUIC_OK, QUIC_OK},
                            {4, QUIC_OK, QUIC_OK},
                            {5, kUnexpected, kUnexpected},
                            {13, QUIC_OK, QUIC_OK},
                            {20, QUIC_OK, QUIC_OK},
                            {24, kUnexpected, kUnexpected},
                            {255, QUIC_OK, QUIC_OK}});
    }
}

TEST(TlsHeads, PiecesAndSeveralAtOnce)
{
    for (size_t step : {1, 2, 3, 4, 5, 7, 300, 100000}) {
        for (size_t len : {0, 1, 255, 256, 65536}) {
            Bytes said = message(4, len);
            for (const Bytes &next : {message(4, 0), message(4, 3, 13)}) {
                said.insert(said.end(), next.begin(), next.end());
            }
            size_t at = 0;
            EXPECT_EQ(check(QUIC_CLIENT, QUIC_LEVEL_APP, said, step, &at), QUIC_OK);
            said.push_back(13); /* the type is enough */
            EXPECT_EQ(check(QUIC_CLIENT, QUIC_LEVEL_APP, said, step, &at),
                      QUIC_V_PROTOCOL_VIOLATION);
            EXPECT_LE(at, said.size() - 1);
            EXPECT_GT(at + step, said.size() - 1);
        }
    }
}

/* The longest there can be: 2^24 - 1 bytes. */
TEST(TlsHeads, TheLongestMessage)
{
    Bytes said = message(4, (1u << 24) - 1);
    said.push_back(24);
    size_t at = 0;
    EXPECT_EQ(check(QUIC_CLIENT, QUIC_LEVEL_APP, said, 16384, &at), kUnexpected);
    EXPECT_GT(at + 16384, said.size() - 1);
}
