#include <memory>

#include <gtest/gtest.h>

#include "quic/crypto/client_hello.h"
#include "tests/quic/crypto/crypto_test_util.h"
#include "tests/quic/crypto/rfc9001_vectors.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Hex;
using crypto_test::Unhex;

constexpr quic_rc kUnexpected = QUIC_V_CRYPTO_BASE + 10;
constexpr quic_rc kIllegal = QUIC_V_CRYPTO_BASE + 47;
constexpr quic_rc kDecode = QUIC_V_CRYPTO_BASE + 50;

std::string Text(quring_bytes v)
{
    return std::string(v.data, v.data + v.len);
}

/* The ClientHello inside RFC 9001 A.2's CRYPTO frame (its header is 4 bytes). */
Bytes RfcHello()
{
    const Bytes frame = Unhex(rfc9001::kClientInitialFrame);
    return Bytes(frame.begin() + 4, frame.end());
}

/* Parses from an allocation of exactly this size, so that a sanitizer sees any step outside. */
quic_rc Parse(quic_client_hello *out, const Bytes &bytes, std::unique_ptr<uint8_t[]> *keep)
{
    keep->reset(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), keep->get());
    return quic_client_hello_parse(out, keep->get(), bytes.size());
}

/* A ClientHello around one extension list. */
Bytes Hello(const std::string &extensions_hex)
{
    const Bytes ext = Unhex(extensions_hex.c_str());
    Bytes msg(4 + 34, 3);
    for (size_t byte : {size_t{0}, size_t{0}, size_t{2}, size_t{0x13}, size_t{1}, size_t{1},
                        size_t{0}, ext.size() >> 8, ext.size()}) {
        msg.push_back(static_cast<uint8_t>(byte));
    }
    for (uint8_t byte : ext) {
        msg.push_back(byte);
    }
    msg[0] = 1;
    msg[1] = 0;
    msg[2] = static_cast<uint8_t>((msg.size() - 4) >> 8);
    msg[3] = static_cast<uint8_t>(msg.size() - 4);
    return msg;
}

TEST(ClientHello, ReadsTheOneOfRfc9001)
{
    const Bytes msg = RfcHello();
    std::unique_ptr<uint8_t[]> keep;
    quic_client_hello hello;
    ASSERT_EQ(Parse(&hello, msg, &keep), QUIC_OK);
    EXPECT_EQ(hello.message.len, msg.size());
    EXPECT_EQ(Text(hello.server_name), "example.com");
    EXPECT_EQ(Hex(hello.random.data, 4), "ebf8fa56");
    EXPECT_EQ(hello.random.len, 32u);
    quring_bytes name;
    ASSERT_TRUE(quic_client_hello_next_alpn(&hello.alpn, &name));
    EXPECT_EQ(Text(name), "alpn");
    EXPECT_FALSE(quic_client_hello_next_alpn(&hello.alpn, &name));
    ASSERT_TRUE(hello.has_transport_params);
    EXPECT_EQ(hello.transport_params.len, 0x32u);
    EXPECT_EQ(Hex(hello.transport_params.data, 4), "0408ffff");
}

TEST(ClientHello, EveryTruncationAsksForMore)
{
    const Bytes msg = RfcHello();
    std::unique_ptr<uint8_t[]> keep;
    for (size_t len = 0; len < msg.size(); len++) {
        quic_client_hello hello;
        const Bytes part(msg.begin(), msg.begin() + static_cast<long>(len));
        EXPECT_EQ(Parse(&hello, part, &keep), QUIC_E_AGAIN) << len;
        size_t total = 0;
        EXPECT_EQ(quic_client_hello_length(&total, part.data(), len),
                  len < 4 ? QUIC_E_AGAIN : QUIC_OK);
        EXPECT_EQ(total, len < 4 ? 0 : msg.size());
    }
}

/* The message's own length says it ends early: every cut is an error, none is read past. */
TEST(ClientHello, EveryShortenedMessageIsRefused)
{
    const Bytes msg = RfcHello();
    std::unique_ptr<uint8_t[]> keep;
    for (size_t len = 4; len < msg.size(); len++) {
        quic_client_hello hello;
        Bytes part(msg.begin(), msg.begin() + static_cast<long>(len));
        part[2] = static_cast<uint8_t>((len - 4) >> 8);
        part[3] = static_cast<uint8_t>(len - 4);
        EXPECT_EQ(Parse(&hello, part, &keep), kDecode) << len;
    }
}

TEST(ClientHello, EveryBitFlipIsSurvived)
{
    const Bytes msg = RfcHello();
    std::unique_ptr<uint8_t[]> keep;
    for (size_t bit = 0; bit < msg.size() * 8; bit++) {
        Bytes bad = msg;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
        quic_client_hello hello;
        const quic_rc rc = Parse(&hello, bad, &keep);
        EXPECT_TRUE(rc == QUIC_OK || rc == QUIC_E_AGAIN || rc > QUIC_V_CRYPTO_BASE) << bit;
    }
}

TEST(ClientHello, TrailingBytesAreTheCallers)
{
    Bytes msg = RfcHello();
    const size_t len = msg.size();
    msg.resize(len + 9, 0xff);
    quic_client_hello hello;
    ASSERT_EQ(quic_client_hello_parse(&hello, msg.data(), msg.size()), QUIC_OK);
    EXPECT_EQ(hello.message.len, len);
}

TEST(ClientHello, OtherMessagesAreUnexpected)
{
    const uint8_t server_hello[] = {2};
    size_t total = 0;
    quic_client_hello hello;
    EXPECT_EQ(quic_client_hello_length(&total, server_hello, 1), kUnexpected);
    EXPECT_EQ(quic_client_hello_parse(&hello, server_hello, 1), kUnexpected);
}

TEST(ClientHello, ChecksTheExtensionsItReads)
{
    const struct {
        const char *what;
        const char *extensions;
        quic_rc want;
    } cases[] = {
        {"none", "", QUIC_OK},
        {"unknown ones are skipped", "fefe0003010203", QUIC_OK},
        {"transport parameters may be empty", "00390000", QUIC_OK},
        {"transport parameters twice", "0039000000390000", kIllegal},
        {"two names, second of another type", "0000000900070000016101000161", kDecode},
        {"a name and another type",
         "0000000a0008000001610100"
         "0162",
         QUIC_OK},
        {"two host names", "0000000a00080000016100000162", kDecode},
        {"empty host name", "000000050003000000", kDecode},
        {"empty name list", "000000020000", kDecode},
        {"server_name without list", "00000000", kDecode},
        {"server_name twice", "0000000600040000016100000006000400000161", kIllegal},
        {"alpn", "001000050003026833", QUIC_OK},
        {"alpn twice", "001000050003026833001000050003026833", kIllegal},
        {"alpn with an empty name",
         "001000030001"
         "00",
         kDecode},
        {"alpn with an empty list", "001000020000", kDecode},
        {"alpn name past the list", "001000050003036833", kDecode},
        {"alpn with bytes after the list", "00100006000302683300", kDecode},
        {"extension past the end", "00100005000302", kDecode},
        {"half an extension header", "001000", kDecode},
    };
    for (const auto &c : cases) {
        std::unique_ptr<uint8_t[]> keep;
        quic_client_hello hello;
        EXPECT_EQ(Parse(&hello, Hello(c.extensions), &keep), c.want) << c.what;
    }
}

TEST(ClientHello, OutputIsUntouchedOnFailure)
{
    quic_client_hello hello = {};
    const Bytes msg = Hello("001000");
    EXPECT_EQ(quic_client_hello_parse(&hello, msg.data(), msg.size()), kDecode);
    EXPECT_EQ(hello.message.data, nullptr);
}

} // namespace
