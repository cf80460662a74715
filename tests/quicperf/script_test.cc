#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/script.h"

namespace
{

class Script : public testing::Test
{
  protected:
    ~Script() override
    {
        qp_script_free(&script_);
    }

    /* quicperf client h:1 script FILE and `more`, with `text` in the file. */
    bool Load(const std::string &text, const std::vector<std::string> &more = {})
    {
        std::string path = testing::TempDir() + "script_" + std::to_string(getpid());
        std::ofstream(path) << text;
        words_ = {"quicperf", "client", "h:1", "script", path};
        words_.insert(words_.end(), more.begin(), more.end());
        argv_.clear();
        for (std::string &word : words_) {
            argv_.push_back(word.data());
        }
        argv_.push_back(nullptr);
        EXPECT_TRUE(qp_options_parse(&base_, why_, sizeof(why_), static_cast<int>(words_.size()),
                                     argv_.data()))
            << why_;
        qp_script_free(&script_);
        bool ok = qp_script_load(&script_, &base_, why_, sizeof(why_));
        (void)remove(path.c_str());
        return ok;
    }

    qp_options base_{};
    qp_script script_{};
    char why_[1024] = "";
    std::vector<std::string> words_;
    std::vector<char *> argv_;
};

TEST_F(Script, EachLineIsARun)
{
    ASSERT_TRUE(
        Load("\n# first\n  rr -c 3   # three\r\ntput\n\n-d up fair -t 1s", {"-c", "2", "-q"}))
        << why_;
    ASSERT_EQ(script_.count, 3u);
    const qp_options &rr = script_.runs[0]->options;
    EXPECT_EQ(script_.runs[0]->line, 3u);
    EXPECT_STREQ(script_.runs[0]->text, "rr -c 3");
    EXPECT_EQ(rr.mode, QP_MODE_RR);
    EXPECT_EQ(rr.conns, 3u);
    EXPECT_TRUE(rr.quiet);
    EXPECT_STREQ(rr.target, "h:1");
    EXPECT_EQ(script_.runs[1]->options.conns, 2u);
    EXPECT_EQ(script_.runs[2]->line, 6u);
    EXPECT_EQ(script_.runs[2]->options.mode, QP_MODE_FAIR);
    EXPECT_EQ(script_.runs[2]->options.direction, QP_UP);
}

TEST_F(Script, WhatBelongsToTheWhole)
{
    ASSERT_TRUE(Load("rr\n", {"--json", "x", "--jsonl", "y"}));
    EXPECT_EQ(script_.runs[0]->options.json, nullptr);
    EXPECT_EQ(script_.runs[0]->options.jsonl, nullptr);
    for (const char *line : {"rr --json x", "rr --jsonl=x", "rr --hdr x", "rr --keylog"}) {
        EXPECT_FALSE(Load(line)) << line;
        EXPECT_NE(std::string(why_).find("belongs on the command line"), std::string::npos) << why_;
    }
}

/* Each run takes of the command line what its mode has a use for. Its own words must all be of use. */
TEST_F(Script, OptionsForSomeOfItsRuns)
{
    ASSERT_TRUE(Load("tput -n 1M\ncrr -n 5\n", {"-s", "2"})) << why_;
    EXPECT_EQ(script_.runs[0]->options.streams, 2u);
    EXPECT_EQ(script_.runs[1]->options.streams, 1u);
    ASSERT_TRUE(Load("hps\nrr -d up\nidle\ntput\ncrr\ndgram\nrr --bulk 1",
                     {"--bulk", "2", "-d", "up", "--req", "9", "--urgent", "7", "--migrate", "3s",
                      "--key-update", "5"}))
        << why_;
    const auto run = [&](size_t i) -> const qp_options & { return script_.runs[i]->options; };
    for (size_t i : {0u, 2u, 3u, 4u, 5u}) {
        EXPECT_EQ(run(i).bulk, 0u) << i;
        EXPECT_EQ(run(i).direction, i == 3 || i == 5 ? QP_UP : QP_DOWN) << i;
        EXPECT_EQ(run(i).request_bytes, i == 4 ? 9u : 64u) << i;
        EXPECT_EQ(run(i).urgent_bytes, i == 3 || i == 4 ? 7u : 0u) << i;
        EXPECT_EQ(run(i).migrate_ns, i == 2 || i == 3 || i == 5 ? 3000000000u : 0u) << i;
        EXPECT_EQ(run(i).key_update_bytes, i >= 3 ? 5u : 0u) << i;
    }
    EXPECT_EQ(run(1).bulk, 2u);
    EXPECT_EQ(run(1).direction, QP_UP);
    EXPECT_EQ(run(6).bulk, 1u);
    EXPECT_TRUE(Load("crr --api sockets\nidle\n", {"--migrate", "3s"})) << why_;
    EXPECT_FALSE(Load("tput\ncrr -s 2\n", {"-s", "2"}));
    EXPECT_NE(std::string(why_).find(":2: -s is for tput, rr, latency and fair, not crr"),
              std::string::npos)
        << why_;
}

TEST_F(Script, SaysWhichLineIsWrong)
{
    EXPECT_FALSE(Load("rr\n\nrr -c none\n"));
    EXPECT_NE(std::string(why_).find(":3: -c none"), std::string::npos) << why_;
    EXPECT_FALSE(Load(""));
    EXPECT_FALSE(Load("script x"));
    EXPECT_FALSE(Load("rr " + std::string(QP_SCRIPT_LINE_MAX, ' ')));
    std::string many = "rr";
    for (unsigned i = 0; i < QP_SCRIPT_WORDS_MAX; i++) {
        many += " -q";
    }
    EXPECT_FALSE(Load(many));
    EXPECT_EQ(script_.count, 0u);
    std::string runs;
    for (unsigned i = 0; i <= QP_SCRIPT_RUNS_MAX; i++) {
        runs += "rr\n";
    }
    EXPECT_FALSE(Load(runs));
    EXPECT_NE(std::string(why_).find("too many runs"), std::string::npos) << why_;
}

} // namespace
