/* Threads that wait for answers in a sleeping worker's place: quring_attend, quring_recall. */
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"
#include "tests/api/visitor.h"

namespace
{

using quring_test::Addr;
using quring_test::Bytes;
using quring_test::kBackends;
using quring_test::kPatience;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::SettingName;
using quring_test::Visitor;

class Attend : public Visitor
{
  protected:
    /* Waits for a fact, whoever brings it about. */
    static bool Until(const Runtime &runtime, std::function<bool()> fact)
    {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (std::chrono::steady_clock::now() < end) {
            const quring_status status =
                quring_attend(runtime.rt(), 0, quring_now_ns() + 1000000, Ask, &fact);
            if (status == QURING_OK || fact()) {
                return true;
            }
        }
        return false;
    }

    /* A stream that comes back: asked by a visit or a post, awaited by attendance. */
    void Exchange(quring_conn conn, const Bytes &data)
    {
        std::atomic<uint64_t> id{UINT64_MAX};
        ASSERT_TRUE(Do(*client_rt_, [&] {
            uint64_t sent = UINT64_MAX;
            EXPECT_EQ(client_.Send(&sent, conn, data), QURING_OK);
            id = sent;
        }));
        ASSERT_TRUE(Until(*client_rt_, [&] { return client_.Facts(conn, id).in_fin; }));
        EXPECT_TRUE(client_.Facts(conn, id).in == data);
    }
};

TEST_P(Attend, AnswersComeToWhoAsked)
{
    QURING_START();
    const quring_conn conn = Connect();
    const uint64_t before = Visits(*client_rt_);
    for (uint32_t i = 0; i < 200; i++) {
        Exchange(conn, Pattern(1 + i * 7, i));
    }
    EXPECT_GT(Visits(*client_rt_), before);
    EXPECT_EQ(quring_worker_self(), -1);
}

TEST_P(Attend, LongAnswersToo)
{
    QURING_START();
    const quring_conn conn = Connect();
    for (uint32_t i = 0; i < 4; i++) {
        Exchange(conn, Pattern(300000 + i * 200000, i));
    }
}

/* New connections, requests, closes: all of a server's life on a thread that is not the worker's. */
TEST_P(Attend, AServerLivesOnItsAttendant)
{
    std::atomic<uint64_t> in_turn{0};
    server_.hook = [&](const quring_event &) { in_turn += quring_worker_self() == 0; };
    QURING_START();
    std::atomic<bool> over{false};
    std::thread attendant([&] {
        std::function<bool()> ask = [&] { return over.load(); };
        while (!over) {
            EXPECT_NE(quring_attend(server_rt_->rt(), 0, quring_now_ns() + 1000000, Ask, &ask),
                      QURING_E_STATE);
        }
    });
    for (uint32_t i = 0; i < 10; i++) {
        const quring_conn conn = Connect();
        for (uint32_t n = 0; n < 5; n++) {
            ExpectEcho(conn, 1 + n * 3000, n);
        }
        ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 7, "bye"), QURING_OK); }));
        ASSERT_TRUE(client_.WaitClosed(conn));
    }
    EXPECT_TRUE(server_.Wait([&] {
        uint32_t closed = 0;
        for (const auto &entry : server_.conns()) {
            closed += entry.second->closed;
        }
        return closed == 10;
    }));
    over = true;
    attendant.join();
    EXPECT_GT(Visits(*server_rt_), 0u);
    EXPECT_GT(in_turn, 0u);
}

TEST_P(Attend, AMoveToThePreferredAddress)
{
    preferred_v4_ = Addr("127.0.0.2");
    preferred_v4_.port = 0; /* that of the listener */
    listen_ = "0.0.0.0:0";
    QURING_START();
    for (uint32_t i = 0; i < 5; i++) {
        quring_conn conn = Begin();
        ASSERT_TRUE(Until(*client_rt_, [&] { return client_.Facts(conn).connected; }));
        quring_conn_info info = {};
        for (uint32_t n = 0; n < 1000 && !info.at_preferred_address; n++) {
            Exchange(conn, Pattern(100, n));
            ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
        }
        EXPECT_TRUE(info.at_preferred_address);
        for (uint32_t n = 0; n < 20; n++) {
            Exchange(conn, Pattern(1000, n));
        }
        ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 0, ""), QURING_OK); }));
        ASSERT_TRUE(client_.WaitClosed(conn));
    }
}

TEST_P(Attend, ThreadsAttendOrWait)
{
    QURING_START();
    const quring_conn conn = Connect();
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            for (uint32_t i = 0; i < 30; i++) {
                Exchange(conn, Pattern(100 + i, t * 30 + i));
                if (i % 5 == t) {
                    EXPECT_EQ(quring_recall(client_rt_->rt(), 0), QURING_OK);
                }
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST_P(Attend, WhatIsRefused)
{
    QURING_START();
    const auto yes = [](void *) { return true; };
    const uint64_t soon = quring_now_ns() + 1000000;
    quring_runtime *rt = client_rt_->rt();
    EXPECT_EQ(quring_attend(nullptr, 0, soon, yes, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_attend(rt, 1, soon, yes, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_attend(rt, 0, soon, nullptr, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_recall(nullptr, 0), QURING_E_INVAL);
    EXPECT_EQ(quring_recall(rt, 1), QURING_E_INVAL);
    ASSERT_TRUE(
        OnClient([&] { EXPECT_EQ(quring_attend(rt, 0, soon, yes, nullptr), QURING_E_THREAD); }));
    quring_runtime_stop(rt, 0, 0);
    EXPECT_EQ(quring_attend(rt, 0, soon, yes, nullptr), QURING_E_STATE);
    EXPECT_EQ(quring_recall(rt, 0), QURING_E_STATE);
}

TEST_P(Attend, HasToBeConfigured)
{
    client_config_.visits = false;
    QURING_START();
    const auto never = [](void *) {
        ADD_FAILURE();
        return true;
    };
    EXPECT_EQ(quring_attend(client_rt_->rt(), 0, quring_now_ns() + 1000000, never, nullptr),
              QURING_E_STATE);
    EXPECT_EQ(quring_recall(client_rt_->rt(), 0), QURING_E_STATE);
}

INSTANTIATE_TEST_SUITE_P(Backends, Attend, testing::ValuesIn(kBackends), SettingName);

} // namespace
