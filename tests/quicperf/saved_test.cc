#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tools/quicperf/plot.h"
#include "tools/quicperf/saved.h"

namespace
{

class Saved : public testing::Test
{
  protected:
    ~Saved() override
    {
        qp_saved_free(&saved_);
    }

    bool Add(const std::string &text, const std::string &name = "saved_")
    {
        std::string path = testing::TempDir() + name + std::to_string(getpid()) + ".json";
        std::ofstream(path) << text;
        bool ok = qp_saved_add(&saved_, path.c_str(), why_, sizeof(why_));
        (void)remove(path.c_str());
        return ok;
    }

    static std::string Run(const std::string &mode, const std::string &direction, double value)
    {
        return "{\"mode\": \"" + mode +
               "\", \"direction\": " + (direction.empty() ? "null" : "\"" + direction + "\"") +
               ", \"api\": \"native\", \"summary\": {\"goodput_bps\": " + std::to_string(value) +
               ", \"requests_per_s\": " + std::to_string(value) +
               ", \"handshakes_per_s\": 3, \"seconds\": 2}, \"intervals\": [{\"t0\": 0, \"t1\": 2, "
               "\"goodput_bps\": 5, \"requests\": 8}]}";
    }

    qp_saved saved_{};
    char why_[512] = "";
};

TEST_F(Saved, RowsOfAllKindsOfDocuments)
{
    ASSERT_TRUE(Add(Run("tput", "down", 100))) << why_;
    ASSERT_TRUE(Add("{\"runs\": {\"down\": " + Run("tput", "down", 300) +
                    ", \"up\": null, \"rr\": " + Run("rr", "", 7) + "}}"));
    ASSERT_TRUE(Add("{\"runs\": [" + Run("hps", "", 1) + "," + Run("tput", "down", 200) + "]}"));
    ASSERT_TRUE(Add("{\"down\": {\"quic\": {\"last\": " + Run("tput", "down", 150) + "}}}"));
    ASSERT_EQ(saved_.count, 6u);
    EXPECT_FALSE(saved_.rows[0].is_rate);
    EXPECT_TRUE(saved_.rows[2].is_rate);
    EXPECT_EQ(saved_.rows[2].value, 7);
    EXPECT_EQ(saved_.rows[3].value, 3); /* hps: handshakes */
    EXPECT_NE(std::string(saved_.rows[5].name).find(":down/quic"), std::string::npos);
    const char *kind = qp_saved_next_kind(&saved_, nullptr);
    EXPECT_STREQ(kind, "tput down, native");
    double values[8];
    ASSERT_EQ(qp_saved_of(&saved_, kind, values, 8), 4u);
    EXPECT_EQ(values[0], 100);
    EXPECT_EQ(values[3], 300);
    EXPECT_EQ(qp_saved_of(&saved_, kind, values, 2), 2u);
    kind = qp_saved_next_kind(&saved_, kind);
    EXPECT_STREQ(kind, "rr, native");
    kind = qp_saved_next_kind(&saved_, kind);
    EXPECT_STREQ(kind, "hps, native");
    EXPECT_EQ(qp_saved_next_kind(&saved_, kind), nullptr);
}

/* A run that failed says nothing about the others of its kind. */
TEST_F(Saved, MediansWithoutWhatFailed)
{
    std::string failed = Run("rr", "", 0);
    failed.insert(1, "\"error\": \"no answer\", ");
    ASSERT_TRUE(
        Add("{\"runs\": [" + Run("rr", "", 7) + "," + failed + "," + Run("rr", "", 9) + "]}"));
    ASSERT_EQ(saved_.count, 3u);
    EXPECT_TRUE(saved_.rows[1].has_failed);
    double values[4];
    ASSERT_EQ(qp_saved_of(&saved_, "rr, native", values, 4), 2u);
    EXPECT_EQ(values[0], 7);
    EXPECT_EQ(values[1], 9);
}

/* Figures of some of them only would not be those of all. */
TEST_F(Saved, MoreRunsThanItTakesAreSaid)
{
    std::string all = "{\"runs\": [" + Run("rr", "", 7);
    for (unsigned i = 1; i < QP_SAVED_ROWS_MAX; i++) {
        all += "," + Run("rr", "", 7);
    }
    EXPECT_TRUE(Add(all + "]}")) << why_;
    EXPECT_EQ(saved_.count, QP_SAVED_ROWS_MAX);
    EXPECT_FALSE(Add(Run("rr", "", 7)));
    EXPECT_NE(std::string(why_).find("more than 4096 runs"), std::string::npos) << why_;
}

TEST_F(Saved, SaysWhatIsWrong)
{
    EXPECT_FALSE(Add("{\"summary\": {}}"));
    EXPECT_NE(std::string(why_).find("no run"), std::string::npos);
    EXPECT_FALSE(Add("[1"));
    EXPECT_NE(std::string(why_).find("line 1"), std::string::npos);
    EXPECT_FALSE(qp_saved_add(&saved_, "/no/such/file", why_, sizeof(why_)));
    EXPECT_FALSE(qp_saved_add(&saved_, "/", why_, sizeof(why_)));
    EXPECT_EQ(saved_.count, 0u);
    EXPECT_EQ(qp_saved_next_kind(&saved_, nullptr), nullptr);
}

TEST_F(Saved, DrawsEachRunOnce)
{
    ASSERT_TRUE(Add(Run("tput", "up", 100)));
    ASSERT_TRUE(Add(Run("rr", "", 9)));
    char *text = nullptr;
    size_t len = 0;
    ASSERT_TRUE(qp_plot(&text, &len, &saved_));
    std::string svg(text, len);
    free(text);
    size_t lines = 0;
    for (size_t at = svg.find("<polyline"); at != std::string::npos;
         at = svg.find("<polyline", at + 1)) {
        lines++;
    }
    EXPECT_EQ(lines, 2u);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.compare(0, 4, "<svg"), 0);
    EXPECT_NE(svg.find(" height=\"664\""),
              std::string::npos); /* two panels, and below each a line and a margin */
    EXPECT_NE(svg.find("points=\"80.0,"), std::string::npos) << svg;
    EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
}

/* A name that is cut within a letter, or was no UTF-8 to begin with, would make it no XML. */
TEST_F(Saved, NamesAreTextWhateverTheyAre)
{
    ASSERT_TRUE(
        Add(Run("rr", "", 9), "a<\xff\xc3\xbc&\x01_\xef\xbf\xbd|\xef\xbf\xbe|\xef\xbf\xbf|"));
    char *text = nullptr;
    size_t len = 0;
    ASSERT_TRUE(qp_plot(&text, &len, &saved_));
    std::string svg(text, len);
    free(text);
    EXPECT_NE(svg.find(">a&#60;&#65533;\xc3\xbc&#38;&#32;_\xef\xbf\xbd|&#65533;|&#65533;|"),
              std::string::npos)
        << svg;
}

} // namespace
