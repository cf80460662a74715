#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "quring/config.h"

namespace
{

class RootSecret : public testing::Test
{
  protected:
    RootSecret() : path_(testing::TempDir() + "/quring_secret_" + std::to_string(getpid()))
    {
    }
    ~RootSecret() override
    {
        unlink(path_.c_str());
    }

    quring_status Load(const std::string &contents, mode_t mode = 0600)
    {
        unlink(path_.c_str());
        FILE *f = fopen(path_.c_str(), "w");
        EXPECT_NE(f, nullptr);
        EXPECT_EQ(fwrite(contents.data(), 1, contents.size(), f), contents.size());
        EXPECT_EQ(fclose(f), 0);
        EXPECT_EQ(chmod(path_.c_str(), mode), 0);
        memset(out_, 0xee, sizeof(out_));
        return quring_root_secret_load(out_, path_.c_str(), &err_);
    }

    void ExpectUntouched() const
    {
        EXPECT_EQ(std::string(reinterpret_cast<const char *>(out_), 32), std::string(32, '\xee'));
    }

    std::string path_;
    uint8_t out_[32] = {};
    quring_error err_ = {};
};

TEST_F(RootSecret, Is32BytesOr64Digits)
{
    std::string raw;
    std::string hex;
    for (int i = 0; i < 32; i++) {
        char two[3];
        raw += static_cast<char>(i * 7 + 1);
        snprintf(two, sizeof(two), i % 2 == 0 ? "%02x" : "%02X", (i * 7 + 1) & 0xff);
        hex += two;
    }
    for (const std::string &text : {raw, hex, hex + "\n", hex + "\r\n"}) {
        ASSERT_EQ(Load(text), QURING_OK) << err_.message;
        EXPECT_EQ(std::string(reinterpret_cast<const char *>(out_), 32), raw);
    }
    EXPECT_EQ(Load(raw, 0400), QURING_OK) << err_.message;
}

TEST_F(RootSecret, RefusesWhatIsSomethingElse)
{
    const std::string digits(64, 'a');
    for (const std::string &text :
         {std::string(), std::string(31, 'x'), std::string(33, 'x'), std::string(63, 'a'),
          digits + "\n\n", digits + " ", digits + "aa", "g" + digits.substr(1),
          std::string(32, '\0'), std::string(64, '0'), std::string(5000, 'a')}) {
        EXPECT_EQ(Load(text), QURING_E_INVAL) << text.size();
        EXPECT_NE(std::string(err_.message).find(path_), std::string::npos) << err_.message;
        ExpectUntouched();
    }
}

TEST_F(RootSecret, RefusesAFileOthersMayUse)
{
    for (const mode_t mode : {0640, 0604, 0620, 0601, 0644, 0666}) {
        EXPECT_EQ(Load(std::string(32, 'x'), mode), QURING_E_INVAL) << mode;
        EXPECT_NE(std::string(err_.message).find("600"), std::string::npos) << err_.message;
        ExpectUntouched();
    }
}

TEST_F(RootSecret, SaysWhatTheSystemSaid)
{
    EXPECT_EQ(quring_root_secret_load(out_, "/nonexistent/secret", &err_), QURING_E_OS);
    EXPECT_EQ(err_.os_errno, ENOENT);
    EXPECT_EQ(quring_root_secret_load(out_, testing::TempDir().c_str(), &err_), QURING_E_INVAL);
    EXPECT_EQ(quring_root_secret_load(nullptr, path_.c_str(), &err_), QURING_E_INVAL);
    EXPECT_EQ(quring_root_secret_load(out_, nullptr, nullptr), QURING_E_INVAL);
}

} // namespace
