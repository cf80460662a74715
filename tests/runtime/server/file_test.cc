#include <cerrno>
#include <cstdio>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "runtime/server/file.h"
#include "runtime/server/trust.h"

namespace
{

class Dir
{
  public:
    Dir()
    {
        path_ = testing::TempDir() + "/quring_file_XXXXXX";
        EXPECT_NE(mkdtemp(&path_[0]), nullptr);
    }
    ~Dir()
    {
        for (const char *name : {"a", "b"}) {
            unlink((path_ + "/" + name).c_str());
        }
        rmdir(path_.c_str());
    }
    std::string Write(const std::string &name, const std::string &text)
    {
        const std::string path = path_ + "/" + name;
        FILE *f = fopen(path.c_str(), "w");
        EXPECT_NE(f, nullptr);
        EXPECT_EQ(fwrite(text.data(), 1, text.size(), f), text.size());
        fclose(f);
        return path;
    }
    const std::string &path() const
    {
        return path_;
    }

  private:
    std::string path_;
};

std::string Text(const rt_file &file)
{
    return std::string(reinterpret_cast<const char *>(file.data), file.len);
}

TEST(File, ReadAppends)
{
    Dir dir;
    const std::string big(100000, 'x');
    const std::string a = dir.Write("a", big);
    const std::string b = dir.Write("b", "tail");
    rt_file file = {};
    ASSERT_EQ(rt_file_read(&file, a.c_str()), 0);
    ASSERT_EQ(rt_file_read(&file, b.c_str()), 0);
    ASSERT_EQ(rt_file_append(&file, "!", 1), 0);
    EXPECT_EQ(Text(file), big + "tail!");
    rt_file_wipe(&file);
    EXPECT_EQ(file.data, nullptr);
    EXPECT_EQ(file.len, 0u);
    rt_file_wipe(&file);
}

TEST(File, FailuresKeepWhatWasThere)
{
    Dir dir;
    rt_file file = {};
    ASSERT_EQ(rt_file_append(&file, "kept", 4), 0);
    EXPECT_EQ(rt_file_read(&file, (dir.path() + "/a").c_str()), -ENOENT);
    EXPECT_EQ(rt_file_read(&file, dir.path().c_str()), -EISDIR);
    EXPECT_EQ(Text(file), "kept");
    /* Endless: the bound ends it. */
    EXPECT_EQ(rt_file_read(&file, "/dev/zero"), -EFBIG);
    EXPECT_EQ(Text(file), "kept");
    rt_file_wipe(&file);
}

/* Sets the two variables for one test and puts back what was there. */
class TrustEnv
{
  public:
    TrustEnv(const char *file, const char *dir)
    {
        Save("SSL_CERT_FILE", &old_file_, &had_file_, file);
        Save("SSL_CERT_DIR", &old_dir_, &had_dir_, dir);
    }
    ~TrustEnv()
    {
        Restore("SSL_CERT_FILE", old_file_, had_file_);
        Restore("SSL_CERT_DIR", old_dir_, had_dir_);
    }

  private:
    static void Save(const char *name, std::string *old, bool *had, const char *value)
    {
        const char *now = getenv(name);
        *had = now != nullptr;
        *old = *had ? now : "";
        if (value != nullptr) {
            setenv(name, value, 1);
        } else {
            unsetenv(name);
        }
    }
    static void Restore(const char *name, const std::string &old, bool had)
    {
        if (had) {
            setenv(name, old.c_str(), 1);
        } else {
            unsetenv(name);
        }
    }
    std::string old_file_;
    std::string old_dir_;
    bool had_file_ = false;
    bool had_dir_ = false;
};

TEST(Trust, TheFileDecidesFirst)
{
    Dir dir;
    const std::string a = dir.Write("a", "file");
    const TrustEnv env(a.c_str(), "/nonexistent");
    rt_file out = {};
    quring_error err;
    ASSERT_EQ(rt_trust_load(&out, &err), QURING_OK) << err.message;
    EXPECT_EQ(Text(out), "file");
    rt_file_wipe(&out);
}

TEST(Trust, DirectoriesAreReadWhole)
{
    Dir one;
    Dir two;
    one.Write("a", "A");
    two.Write("b", "B");
    const std::string list = one.path() + "::" + two.path();
    const TrustEnv env(nullptr, list.c_str());
    rt_file out = {};
    quring_error err;
    ASSERT_EQ(rt_trust_load(&out, &err), QURING_OK) << err.message;
    EXPECT_EQ(Text(out), "A\nB\n");
    rt_file_wipe(&out);
}

TEST(Trust, FailuresNameThePlace)
{
    rt_file out = {};
    quring_error err;
    {
        const TrustEnv env("/nonexistent/ca.pem", nullptr);
        EXPECT_EQ(rt_trust_load(&out, &err), QURING_E_TLS);
        EXPECT_NE(std::string(err.message).find("/nonexistent/ca.pem"), std::string::npos);
        EXPECT_EQ(err.os_errno, ENOENT);
    }
    {
        const TrustEnv env(nullptr, "/nonexistent");
        EXPECT_EQ(rt_trust_load(&out, &err), QURING_E_TLS);
        EXPECT_NE(std::string(err.message).find("/nonexistent"), std::string::npos);
    }
    {
        Dir empty;
        const TrustEnv env(nullptr, empty.path().c_str());
        EXPECT_EQ(rt_trust_load(&out, &err), QURING_E_TLS);
        EXPECT_NE(std::string(err.message).find("no certificates"), std::string::npos);
    }
    rt_file_wipe(&out);
}

} // namespace
