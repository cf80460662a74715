#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/server/log.h"

namespace
{

struct Line {
    int level;
    std::string text;
};

void Collect(void *ctx, int level, const char *line)
{
    static_cast<std::vector<Line> *>(ctx)->push_back({level, line});
}

TEST(Log, LinesGoToTheApplication)
{
    std::vector<Line> lines;
    const rt_log log = {Collect, &lines};
    rt_log_line(&log, RT_LOG_INFO, "%d %s", 3, "words");
    rt_log_line(&log, RT_LOG_ERROR, "%s", std::string(2000, 'x').c_str());
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].level, RT_LOG_INFO);
    EXPECT_EQ(lines[0].text, "3 words");
    EXPECT_EQ(lines[1].text.size(), 511u);
}

TEST(Log, WithoutAFunctionWarningsGoToStderrAndInformationNowhere)
{
    testing::internal::CaptureStderr();
    rt_log_line(nullptr, RT_LOG_WARNING, "careful");
    rt_log_line(nullptr, RT_LOG_INFO, "chatter");
    rt_log_line(nullptr, RT_LOG_ERROR, "broken");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "quring: warning: careful\nquring: error: broken\n");
}

} // namespace
