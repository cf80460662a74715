/* Descriptors above 65,536, of a process that may have as many. */
#include <algorithm>
#include <csignal>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/compat/child.h"
#include "tests/compat/fixture.h"

using namespace compat;

namespace
{

class High : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old_));
        rlimit many = old_;
        many.rlim_cur = 70000;
        many.rlim_max = std::max<rlim_t>(many.rlim_max, many.rlim_cur);
        if (setrlimit(RLIMIT_NOFILE, &many) != 0) {
            GTEST_SKIP() << "no such many are to be had";
        }
        (void)cert_file();
        while (taken_.empty() || taken_.back() < 66000) {
            taken_.push_back(dup(STDIN_FILENO));
            ASSERT_GE(taken_.back(), 0);
        }
    }
    void TearDown() override
    {
        for (int fd : taken_) {
            close(fd);
        }
        EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old_));
    }

  private:
    rlimit old_{};
    std::vector<int> taken_;
};

} // namespace

TEST_F(High, ClosedBehindOurBack)
{
    Pair pair = make_pair();
    ASSERT_GT(pair.server.get(), 65536);
    EXPECT_TRUE(alive(pair));
    ASSERT_EQ(0, close_alone(pair.server.release()));
    EXPECT_TRUE(hears_close(pair));
}

TEST_F(High, WhoClosesAllAboveLeavesTheEngines)
{
    Pair pair = make_pair();
    const int highest = std::max(pair.server.get(), pair.client.get());
    ASSERT_EQ(0, close_range(static_cast<unsigned>(highest) + 1, ~0u, 0));
    EXPECT_TRUE(alive(pair));
}

TEST_F(High, AChild)
{
    Pair pair = make_pair();
    Child child([&] {
        pair.client.reset();
        return echo(pair.server);
    });
    pair.server.reset();
    EXPECT_TRUE(echoes(pair.client, 100000));
    pair.client.reset();
    EXPECT_EQ(0, child.wait());
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
