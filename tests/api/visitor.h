/* tests/api/visitor.h: a server and a client whose workers may be visited, and what tests of that share. */
#ifndef TESTS_API_VISITOR_H
#define TESTS_API_VISITOR_H

#include <cstdint>
#include <functional>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace quring_test
{

class Visitor : public EndToEnd
{
  protected:
    Visitor()
    {
        server_config_.visits = true;
        client_config_.visits = true;
    }

    /* A std::function as a task, and as a question. */
    static void Call(void *fn)
    {
        (*static_cast<std::function<void()> *>(fn))();
    }
    static bool Ask(void *fn)
    {
        return (*static_cast<std::function<bool()> *>(fn))();
    }

    /* By a visit where that is possible, otherwise on the worker's own thread. */
    static bool Do(Runtime &runtime, std::function<void()> fn)
    {
        return quring_visit(runtime.rt(), 0, Call, &fn) == QURING_OK || runtime.On(0, fn);
    }

    static uint64_t Visits(const Runtime &runtime)
    {
        quring_stats stats = {};
        EXPECT_EQ(quring_stats_get(runtime.rt(), -1, &stats), QURING_OK);
        return stats.visits;
    }
};

} // namespace quring_test

#endif /* TESTS_API_VISITOR_H */
