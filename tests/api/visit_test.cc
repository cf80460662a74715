/* Threads that do a sleeping worker's work: quring_visit, and quring_defer beside it. */
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

using quring_test::Bytes;
using quring_test::kBackends;
using quring_test::kPatience;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::SettingName;
using quring_test::Visitor;

class Visit : public Visitor
{
  protected:
    /* Visits worker 0 as soon as it sleeps. */
    static bool In(const Runtime &runtime, std::function<void()> fn)
    {
        quring_status status = QURING_E_AGAIN;
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (status == QURING_E_AGAIN && std::chrono::steady_clock::now() < end) {
            status = quring_visit(runtime.rt(), 0, Call, &fn);
            if (status == QURING_E_AGAIN) {
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
        }
        return status == QURING_OK;
    }
};

TEST_P(Visit, WhatItQueuesIsSentAndAnswered)
{
    QURING_START();
    const quring_conn conn = Connect();
    for (uint32_t i = 0; i < 50; i++) {
        const Bytes data = Pattern(64 + i * 200, i);
        uint64_t id = 0;
        ASSERT_TRUE(In(*client_rt_, [&] {
            EXPECT_EQ(quring_worker_self(), 0);
            EXPECT_EQ(client_.Send(&id, conn, data), QURING_OK);
        }));
        EXPECT_EQ(quring_worker_self(), -1);
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; })) << i;
        EXPECT_TRUE(client_.Facts(conn, id).in == data) << i;
    }
    EXPECT_GE(Visits(*client_rt_), 50u);
}

TEST_P(Visit, BothEndsAndACloseByAVisit)
{
    QURING_START(Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    const Bytes data = Pattern(1000, 7);
    uint64_t id = 0;
    ASSERT_TRUE(In(*server_rt_, [&] {
        EXPECT_EQ(server_.Send(&id, server_conn, data, QURING_STREAM_UNI), QURING_OK);
    }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
    EXPECT_TRUE(client_.Facts(conn, id).in == data);
    ASSERT_TRUE(
        In(*client_rt_, [&] { EXPECT_EQ(quring_conn_close(conn, 42, "done"), QURING_OK); }));
    ASSERT_TRUE(server_.WaitClosed(server_conn));
    EXPECT_EQ(server_.Facts(server_conn).close.code, 42u);
    ASSERT_TRUE(client_.WaitClosed(conn)); /* told by the worker */
}

TEST_P(Visit, ThreadsVisitOrPost)
{
    QURING_START();
    const quring_conn conn = Connect();
    constexpr uint32_t kThreads = 4;
    constexpr uint32_t kStreams = 20;
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < kThreads; t++) {
        threads.emplace_back([&, t] {
            for (uint32_t i = 0; i < kStreams; i++) {
                const Bytes data = Pattern(100 + i, t * kStreams + i);
                uint64_t id = 0;
                EXPECT_TRUE(
                    Do(*client_rt_, [&] { EXPECT_EQ(client_.Send(&id, conn, data), QURING_OK); }));
                EXPECT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
                EXPECT_TRUE(client_.Facts(conn, id).in == data);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

TEST_P(Visit, WhatBelongsToTheWorkersThreadIsRefused)
{
    QURING_START();
    const quring_conn conn = Connect();
    const auto nothing = [](void *) {};
    ASSERT_TRUE(In(*client_rt_, [&] {
        quring_connect_options options = {};
        quring_conn other = {0};
        quring_error err = {};
        EXPECT_EQ(quring_connect(&other, &options, &err), QURING_E_THREAD);
        EXPECT_EQ(quring_conn_migrate(conn, nullptr), QURING_E_THREAD);
        EXPECT_EQ(quring_visit(client_rt_->rt(), 0, nothing, nullptr), QURING_E_THREAD);
        EXPECT_EQ(quring_visit(server_rt_->rt(), 0, nothing, nullptr), QURING_E_THREAD);
        EXPECT_EQ(quring_defer(nothing, nullptr), QURING_E_THREAD);
    }));
    ASSERT_TRUE(OnClient(
        [&] { EXPECT_EQ(quring_visit(client_rt_->rt(), 0, nothing, nullptr), QURING_E_THREAD); }));
    EXPECT_EQ(quring_visit(client_rt_->rt(), 1, nothing, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_visit(client_rt_->rt(), 0, nullptr, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_visit(nullptr, 0, nothing, nullptr), QURING_E_INVAL);
}

TEST_P(Visit, HasToBeConfiguredAndTheRuntimeToRun)
{
    client_config_.visits = false;
    QURING_START();
    const auto never = [](void *) { ADD_FAILURE(); };
    EXPECT_EQ(quring_visit(client_rt_->rt(), 0, never, nullptr), QURING_E_STATE);
    quring_runtime_stop(server_rt_->rt(), 0, 0);
    EXPECT_EQ(quring_visit(server_rt_->rt(), 0, never, nullptr), QURING_E_STATE);
}

/* The answer wakes a thread which sends the next request: that finds the worker asleep. */
TEST_P(Visit, WhoIsWokenByWhatWasDeferredCanVisit)
{
    std::atomic<uint32_t> answers{0};
    std::function<void()> tell = [&] { answers++; };
    client_.hook = [&](const quring_event &ev) {
        if (ev.type == QURING_EV_STREAM_READABLE && quring_defer(Call, &tell) != QURING_OK) {
            tell();
        }
    };
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_EQ(quring_defer(Call, &tell), QURING_E_THREAD);
    ASSERT_TRUE(OnClient([] { EXPECT_EQ(quring_defer(nullptr, nullptr), QURING_E_INVAL); }));
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t id = 0;
        ASSERT_TRUE(In(*client_rt_,
                       [&] { EXPECT_EQ(client_.Send(&id, conn, Pattern(64, i)), QURING_OK); }));
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (answers <= i && std::chrono::steady_clock::now() < end) {
            std::this_thread::yield();
        }
        ASSERT_GT(answers, i);
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, Visit, testing::ValuesIn(kBackends), SettingName);

} // namespace
