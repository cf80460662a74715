/* The asking side, and a server that is not quicperf's: it sends back what it is sent, whatever it was asked for. */
#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/setup.h"

using namespace quring_test;

namespace
{

class Client : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_TRUE(listener_.ok()) << listener_.error().message;
    }
    void TearDown() override
    {
        listener_.Close();
    }

    /* The exit status of a run; what it says is in error, errors and requests. */
    int Run(const std::vector<std::string> &args)
    {
        std::vector<std::string> words = {"quicperf", "client",
                                          "127.0.0.1:" + std::to_string(listener_.local().port)};
        words.insert(words.end(), args.begin(), args.end());
        std::vector<char *> argv;
        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        char message[640] = "";
        qp_options options;
        if (!qp_options_parse(&options, message, sizeof(message), static_cast<int>(words.size()),
                              argv.data())) {
            ADD_FAILURE() << message;
            return -1;
        }
        char *text = nullptr;
        size_t len = 0;
        qp_result result = {};
        qp_out out = {};
        out.text = open_memstream(&text, &len);
        int rc = qp_client_once(&result, &options, &out, -1);
        (void)fclose(out.text);
        error = result.error;
        errors = result.errors;
        requests = result.requests;
        qp_result_deinit(&result);
        free(text);
        return rc;
    }

    std::string error;
    uint64_t errors = 0;
    uint64_t requests = 0;

  private:
    Peer peer_{Peer::Mode::kEcho};
    Runtime runtime_{Config()};
    const Tls tls_ = ServerTls({QP_ALPN});
    Listener listener_{&runtime_, &peer_, Addr("127.0.0.1"), tls_.get()};
};

TEST_F(Client, AnswersOfAnotherLengthAreErrors)
{
    for (const char *mode : {"rr", "crr"}) {
        EXPECT_EQ(Run({mode, "-n", "5", "--resp", "1K"}), QP_EXIT_FAILED) << mode;
        EXPECT_EQ(error, "5 of 5 answers had not the length that was asked for") << mode;
        EXPECT_EQ(errors, 5u) << mode;
        EXPECT_EQ(Run({mode, "-n", "5", "--resp", "7"}), QP_EXIT_FAILED) << mode;
        EXPECT_EQ(errors, 5u) << mode;
        EXPECT_EQ(requests, 0u) << mode;
        EXPECT_EQ(Run({mode, "-n", "5", "--req", "100", "--resp", "108"}), QP_EXIT_OK) << error;
        EXPECT_EQ(errors, 0u) << mode;
    }
    EXPECT_EQ(Run({"latency", "-R", "500", "-n", "5", "--resp", "1K"}), QP_EXIT_FAILED);
    EXPECT_EQ(errors, 5u);
}

TEST_F(Client, TransfersThatEndBeforeTheyShouldAreErrors)
{
    EXPECT_EQ(Run({"-n", "1K"}), QP_EXIT_FAILED);
    EXPECT_NE(error.find("ended a transfer after 8 bytes"), std::string::npos) << error;
    EXPECT_EQ(Run({"-n", "3"}), QP_EXIT_FAILED);
    EXPECT_NE(error.find("goes on after 8 bytes"), std::string::npos) << error;
    EXPECT_EQ(Run({"-t", "10s"}), QP_EXIT_FAILED);
    EXPECT_NE(error.find("ended a transfer after 8 bytes"), std::string::npos) << error;
    EXPECT_EQ(Run({"rr", "-t", "10s", "--req", "100", "--resp", "108", "--bulk", "2"}),
              QP_EXIT_FAILED);
    EXPECT_NE(error.find("ended a transfer after 8 bytes"), std::string::npos) << error;
    EXPECT_EQ(Run({"-n", "8"}), QP_EXIT_OK) << error;
}

} // namespace
