#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/tickets.h"

namespace
{

class Tickets : public testing::Test
{
  protected:
    ~Tickets() override
    {
        qp_tickets_deinit(&t_);
        EXPECT_EQ(t_.list, nullptr);
        EXPECT_EQ(t_.count + t_.cap + t_.last.len, 0u);
    }

    void Push(const std::string &text)
    {
        qp_tickets_push(&t_, {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
    }

    std::string Take()
    {
        quring_bytes one = qp_tickets_take(&t_);
        return one.len == 0 ? "" : std::string(reinterpret_cast<const char *>(one.data), one.len);
    }

    qp_tickets t_ = {};
};

TEST_F(Tickets, TheNewestFirstAndTheLastAgain)
{
    EXPECT_EQ(Take(), "");
    Push("one");
    Push("two");
    Push("");
    EXPECT_EQ(Take(), "two");
    Push("three");
    EXPECT_EQ(Take(), "three");
    EXPECT_EQ(Take(), "one");
    EXPECT_EQ(Take(), "one");
}

TEST_F(Tickets, SoManyAndNoMore)
{
    for (unsigned i = 0; i <= QP_TICKETS_MAX; i++) {
        Push(std::to_string(i));
    }
    EXPECT_EQ(t_.count, QP_TICKETS_MAX);
    EXPECT_EQ(Take(), std::to_string(QP_TICKETS_MAX - 1));
    Push("more");
    EXPECT_EQ(Take(), "more");
}

} // namespace
