/* A server's list of versions, and the second try that comes of it (RFC 9000 6.2; RFC 9368 2.1, 4). */
#include <atomic>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/fixture.h"
#include "tests/compat/message.h"
#include "tests/compat/relay.h"

using namespace compat;

namespace
{

constexpr uint32_t kUnknown = 123;

std::function<void(int)> speaks(uint32_t version, bool alone = false)
{
    return [=](int fd) {
        quic_transport_param p = {};
        p.version = version;
        p.disable_compatible_version = alone ? 1 : 0;
        ASSERT_EQ(0, set_option(fd, QUIC_SOCKOPT_TRANSPORT_PARAM, p));
    };
}

/* A listener to which nobody may come: accept does not wait for ever. */
std::function<void(int)> not_for_ever(const std::function<void(int)> &prepare)
{
    return [=](int fd) {
        prepare(fd);
        set_recv_timeout(fd, 10000);
    };
}

void put_version(std::string *out, uint32_t version)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        out->push_back(static_cast<char>(version >> shift));
    }
}

/* The version of a long header, 0 of a short one. */
uint32_t version_of(const std::string &datagram)
{
    uint32_t version = 0;
    for (size_t i = 1; i < 5 && (datagram[0] & 0x80) != 0; i++) {
        version = version << 8 | static_cast<uint8_t>(datagram[i]);
    }
    return version;
}

std::string dcid_of(const std::string &datagram)
{
    return datagram.substr(5, 1 + static_cast<size_t>(static_cast<uint8_t>(datagram[5])));
}

/* RFC 9000 17.2.1: the answer to an Initial, with this list. */
std::string list_for(const std::string &initial, const std::vector<uint32_t> &versions)
{
    const std::string dcid = dcid_of(initial);
    const size_t at = 5 + dcid.size();
    std::string out("\xc0\0\0\0\0", 5);
    out += initial.substr(at, 1 + static_cast<size_t>(static_cast<uint8_t>(initial[at])));
    out += dcid;
    for (uint32_t version : versions) {
        put_version(&out, version);
    }
    return out;
}

/* A client, a server, and somebody on the way who answers the client's first Initials with lists. */
class Listed : public testing::Test
{
  protected:
    void begin(const std::function<void(int)> &of_client)
    {
        listen_ = listener(16, AF_INET, not_for_ever(speaks(QUIC_VERSION_V1)));
        relay_ = std::make_unique<Relay>(name_of(listen_));
        relay_->set_filter([this](bool to_server, std::string *datagram) {
            if (!to_server || version_of(*datagram) == 0) {
                return true;
            }
            tries_.insert(dcid_of(*datagram));
            versions_.insert(version_of(*datagram));
            const auto list = lists_.find(version_of(*datagram));
            if (list == lists_.end() || lists_left_ == 0) {
                return true;
            }
            lists_left_--;
            relay_->to_client(list_for(*datagram, list->second));
            return false;
        });
        client_ = quic_socket();
        of_client(client_);
        const Address to = relay_->address();
        ASSERT_EQ(0, connect(client_, to.ptr(), to.len));
    }
    int client_alone()
    {
        cert_file();
        const int rc = quic_client_handshake(client_, nullptr, nullptr);
        relay_.reset();
        return rc;
    }

    std::map<uint32_t, std::vector<uint32_t>> lists_; /* by the Initial's version */
    std::atomic<int> lists_left_{1000};
    std::set<std::string> tries_; /* by their first connection ID, and the server's */
    std::set<uint32_t> versions_;
    Fd listen_;
    Fd client_;
    Fd server_;
    std::unique_ptr<Relay> relay_;
};

/* RFC 9368 2.1: what both speak is taken, whatever the client had begun with. */
TEST(Version, TheSecondTryIsWithOneThatTheServerSpeaks)
{
    for (uint32_t server : {uint32_t{QUIC_VERSION_V1}, uint32_t{QUIC_VERSION_V2}}) {
        for (uint32_t client : {uint32_t{QUIC_VERSION_V1}, uint32_t{QUIC_VERSION_V2}, kUnknown}) {
            PairOptions options;
            options.listener = not_for_ever(speaks(server, true));
            options.client = speaks(client);
            Pair pair = make_pair(options);
            EXPECT_EQ(server, params_of(pair.client).version) << client;
            ASSERT_NE(UINT64_MAX, send_stream(pair.client, "hello"));
            EXPECT_EQ("hello", read_bytes(pair.server, 5));
        }
    }
}

/* RFC 9368 4: a list in answer to the second try is no list, whoever sends it and however often. */
TEST_F(Listed, ASecondListIsIgnored)
{
    lists_[kUnknown] = {QUIC_VERSION_V1};
    lists_[QUIC_VERSION_V1] = {QUIC_VERSION_V2};
    lists_left_ = 3;
    begin(speaks(kUnknown));
    int of_client = -1;
    EXPECT_TRUE(handshake(listen_, client_, &server_, &of_client)) << of_client;
    EXPECT_EQ(0, lists_left_);
    EXPECT_EQ(uint32_t{QUIC_VERSION_V1}, params_of(client_).version);
    relay_.reset();
    EXPECT_EQ((std::set<uint32_t>{kUnknown, QUIC_VERSION_V1}), versions_);
}

/* RFC 9368 2.1: without one in common there is no second try. */
TEST_F(Listed, NothingInCommonEndsIt)
{
    lists_[QUIC_VERSION_V1] = {0x1a2a3a4a, 77};
    begin(speaks(QUIC_VERSION_V1));
    EXPECT_EQ(-EPROTONOSUPPORT, client_alone());
    EXPECT_EQ(1u, tries_.size());
}

TEST_F(Listed, ProgramsThatSpeakOneVersionTakeNoOther)
{
    lists_[QUIC_VERSION_V1] = {QUIC_VERSION_V2};
    begin(speaks(QUIC_VERSION_V1, true));
    EXPECT_EQ(-EPROTONOSUPPORT, client_alone());
    EXPECT_EQ(1u, tries_.size());
}

/* RFC 9368 4: the server says in its parameters that it speaks what was tried first. */
TEST_F(Listed, AForgedListIsFoundOut)
{
    lists_[QUIC_VERSION_V2] = {QUIC_VERSION_V1};
    begin(speaks(QUIC_VERSION_V2));
    int of_client = 0;
    EXPECT_FALSE(handshake(listen_, client_, &server_, &of_client));
    EXPECT_EQ(-EPROTO, of_client);
    relay_.reset();
    EXPECT_EQ((std::set<uint32_t>{QUIC_VERSION_V1, QUIC_VERSION_V2}), versions_);
}

} // namespace
