/* Events that an application does not want to hear of (QURING_EVENTS_MUTABLE). */
#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::SettingName;

using Types = std::vector<quring_event_type>;

/* The types of a peer's stream events, in order. */
class Told
{
  public:
    explicit Told(Peer *peer)
    {
        peer->hook = [this](const quring_event &ev) {
            if (ev.stream.handle != 0) {
                const std::lock_guard<std::mutex> guard(mutex_);
                types_.push_back(ev.type);
            }
        };
    }
    Types types()
    {
        const std::lock_guard<std::mutex> guard(mutex_);
        return types_;
    }
    bool Has(quring_event_type type)
    {
        const Types all = types();
        return std::find(all.begin(), all.end(), type) != all.end();
    }
    /* A peer's own record, and its word that it has changed, are there a moment before its hook has run. */
    bool Await(quring_event_type type)
    {
        const auto until = std::chrono::steady_clock::now() + quring_test::kPatience;
        while (!Has(type) && std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return Has(type);
    }

  private:
    std::mutex mutex_;
    Types types_;
};

class Muted : public EndToEnd
{
  protected:
    Told server_told_{&server_};
    Told client_told_{&client_};
};

/* A small request and its answer: what it is, and its end. */
TEST_P(Muted, AnExchangeIsTwoEvents)
{
    server_.muted_events =
        QURING_EVENT_BIT(QURING_EV_STREAM_OPENED) | QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED);
    client_.muted_events = QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED);
    QURING_START();
    const quring_conn conn = Connect();
    const Bytes data = Pattern(64, 1);
    const uint64_t id = Send(conn, data);
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    EXPECT_TRUE(client_.Facts(conn, id).in == data);
    const quring_conn served = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(served, id).closed; }));
    EXPECT_TRUE(server_told_.Await(QURING_EV_STREAM_CLOSED));
    EXPECT_TRUE(client_told_.Await(QURING_EV_STREAM_CLOSED));
    const Types expected = {QURING_EV_STREAM_READABLE, QURING_EV_STREAM_CLOSED};
    EXPECT_EQ(server_told_.types(), expected);
    EXPECT_EQ(client_told_.types(), expected);
}

/* The control: the same without muting has the events that were muted above. */
TEST_P(Muted, NothingIsMutedByItself)
{
    QURING_START();
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Pattern(64, 1));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    const quring_conn served = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(served, id).closed; }));
    EXPECT_TRUE(server_told_.Await(QURING_EV_STREAM_CLOSED));
    EXPECT_TRUE(client_told_.Await(QURING_EV_STREAM_CLOSED));
    const Types expected = {QURING_EV_STREAM_OPENED, QURING_EV_STREAM_READABLE,
                            QURING_EV_STREAM_FINISHED, QURING_EV_STREAM_CLOSED};
    EXPECT_EQ(server_told_.types(), expected);
    EXPECT_TRUE(client_told_.Has(QURING_EV_STREAM_FINISHED));
}

/* With all muted a stream still ends well: by a reset, and with more than its buffer holds. */
TEST_P(Muted, StreamsEndAsEver)
{
    server_.muted_events = QURING_EVENTS_MUTABLE;
    client_.muted_events = QURING_EVENT_BIT(QURING_EV_STREAM_RESET_ACKED);
    client_config_.limits.stream_send_buf_bytes = 256 << 10; /* so that writes are cut short */
    QURING_START(Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(3 << 20, 2);
    const uint64_t whole = Send(conn, data, QURING_STREAM_UNI);
    const uint64_t broken = Send(conn, Pattern(1000, 3), QURING_STREAM_UNI, 0);
    const quring_conn served = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(served, broken).in.size() == 1000; }));
    ASSERT_TRUE(OnClient(
        [&] { EXPECT_EQ(quring_stream_reset(client_.Facts(conn, broken).stream, 7), QURING_OK); }));
    ASSERT_TRUE(server_.Wait(
        [&] { return server_.At(served, broken).closed && server_.At(served, whole).closed; }));
    EXPECT_TRUE(server_.Facts(served, whole).in == data);
    EXPECT_EQ(server_.Facts(served, broken).reset_code, 7u);
    ASSERT_TRUE(client_.Wait(
        [&] { return client_.At(conn, broken).closed && client_.At(conn, whole).closed; }));
    EXPECT_TRUE(client_told_.Has(QURING_EV_STREAM_WRITABLE)); /* which was not muted */
    for (quring_event_type type : server_told_.types()) {
        EXPECT_EQ(QURING_EVENT_BIT(type) & QURING_EVENTS_MUTABLE, 0u) << type;
    }
    EXPECT_FALSE(client_told_.Has(QURING_EV_STREAM_RESET_ACKED));
}

INSTANTIATE_TEST_SUITE_P(Backends, Muted, testing::ValuesIn(kBackends), SettingName);

} // namespace
