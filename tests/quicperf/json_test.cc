#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/json.h"

namespace
{

/* A strict reader of RFC 8259, for the sake of saying no. */
class Checker
{
  public:
    explicit Checker(const char *text) : at_(text)
    {
    }
    bool Document()
    {
        bool ok = Value(0);
        Space();
        return ok && *at_ == '\0';
    }

  private:
    const char *at_;

    void Space()
    {
        at_ += std::strspn(at_, " \t\r\n");
    }
    bool Take(const char *word)
    {
        size_t len = std::strlen(word);
        bool ok = std::strncmp(at_, word, len) == 0;
        at_ += ok ? len : 0;
        return ok;
    }
    bool String()
    {
        if (!Take("\"")) {
            return false;
        }
        for (; *at_ != '"'; at_++) {
            if (static_cast<unsigned char>(*at_) < 0x20) {
                return false;
            }
            if (*at_ == '\\') {
                at_++;
                if (*at_ == 'u') {
                    for (int i = 0; i < 4; i++) {
                        if (!std::isxdigit(static_cast<unsigned char>(*++at_))) {
                            return false;
                        }
                    }
                } else if (*at_ == '\0' || std::strchr("\"\\/bfnrt", *at_) == nullptr) {
                    return false;
                }
            }
        }
        at_++;
        return true;
    }
    bool Digits()
    {
        size_t count = std::strspn(at_, "0123456789");
        at_ += count;
        return count > 0;
    }
    bool Number()
    {
        Take("-");
        if (*at_ == '0' && std::isdigit(static_cast<unsigned char>(at_[1]))) {
            return false;
        }
        if (!Digits() || (Take(".") && !Digits())) {
            return false;
        }
        if (Take("e") || Take("E")) {
            Take("+") || Take("-");
            return Digits();
        }
        return true;
    }
    bool Members(char close, bool keys, int depth)
    {
        Space();
        if (*at_ == close) {
            at_++;
            return true;
        }
        do {
            Space();
            if (keys && !(String() && (Space(), Take(":")))) {
                return false;
            }
            if (!Value(depth)) {
                return false;
            }
            Space();
        } while (Take(","));
        return *at_ == close && at_++ != nullptr;
    }
    bool Value(int depth)
    {
        Space();
        if (depth > 100) {
            return false;
        }
        if (Take("{")) {
            return Members('}', true, depth + 1);
        }
        if (Take("[")) {
            return Members(']', false, depth + 1);
        }
        if (*at_ == '"') {
            return String();
        }
        return Take("true") || Take("false") || Take("null") || Number();
    }
};

struct Json {
    qp_json json;
    Json()
    {
        qp_json_init(&json);
    }
    ~Json()
    {
        qp_json_deinit(&json);
    }
};

TEST(Json, WritesAValidDocument)
{
    Json j;
    qp_json_object_begin(&j.json, nullptr);
    qp_json_u64(&j.json, "max", UINT64_MAX);
    qp_json_double(&j.json, "rate", 1.25e10);
    qp_json_double(&j.json, "small", -1.5e-9);
    qp_json_bool(&j.json, "yes", true);
    qp_json_bool(&j.json, "no", false);
    qp_json_null(&j.json, "nothing");
    qp_json_string(&j.json, "missing", nullptr);
    qp_json_array_begin(&j.json, "empty");
    qp_json_array_end(&j.json);
    qp_json_object_begin(&j.json, "hollow");
    qp_json_object_end(&j.json);
    qp_json_array_begin(&j.json, "list");
    qp_json_u64(&j.json, nullptr, 1);
    qp_json_object_begin(&j.json, nullptr);
    qp_json_string(&j.json, "a", "b");
    qp_json_object_end(&j.json);
    qp_json_array_end(&j.json);
    qp_json_object_end(&j.json);
    ASSERT_TRUE(qp_json_is_complete(&j.json));
    EXPECT_TRUE(Checker(j.json.text).Document()) << j.json.text;
    std::string text = j.json.text;
    EXPECT_NE(text.find("\"max\": 18446744073709551615"), std::string::npos);
    EXPECT_NE(text.find("\"rate\": 12500000000"), std::string::npos);
    EXPECT_NE(text.find("\"missing\": null"), std::string::npos);
    EXPECT_EQ(text.size(), j.json.len); /* no zero in it */
}

/* RFC 3629 3 and 4: the shortest form, no surrogates, nothing above U+10FFFF. */
TEST(Json, UtfSequences)
{
    const struct {
        const char *text;
        size_t len;
    } all[] = {{"\x01", 1},
               {"\x7f", 1},
               {"\x80", 0},
               {"\xbf", 0},
               {"\xc1\xbf", 0},
               {"\xc2\x80", 2},
               {"\xdf\xbf", 2},
               {"\xc2\x7f", 0},
               {"\xc2\xc0", 0},
               {"\xe0\x9f\xbf", 0},
               {"\xe0\xa0\x80", 3},
               {"\xed\x9f\xbf", 3},
               {"\xed\xa0\x80", 0},
               {"\xed\xbf\xbf", 0},
               {"\xee\x80\x80", 3},
               {"\xef\xbf\xbf", 3},
               {"\xef\xbf", 0},
               {"\xf0\x8f\xbf\xbf", 0},
               {"\xf0\x90\x80\x80", 4},
               {"\xf4\x8f\xbf\xbf", 4},
               {"\xf4\x90\x80\x80", 0},
               {"\xf8\x88\x80\x80", 0},
               {"\xff", 0}};
    for (const auto &one : all) {
        EXPECT_EQ(qp_utf8_len(reinterpret_cast<const unsigned char *>(one.text)), one.len)
            << &one - all;
    }
}

TEST(Json, EscapesWhateverComes)
{
    for (int first = 1; first < 256; first++) {
        for (int second = 0; second < 256; second += 5) {
            Json j;
            char text[] = {static_cast<char>(first), static_cast<char>(second), 'x', '\0'};
            qp_json_array_begin(&j.json, nullptr);
            qp_json_string(&j.json, nullptr, text);
            qp_json_array_end(&j.json);
            ASSERT_TRUE(qp_json_is_complete(&j.json));
            ASSERT_TRUE(Checker(j.json.text).Document()) << first << " " << second;
        }
    }
    Json j;
    qp_json_string(&j.json, nullptr, "a\"b\\c\n\x01 \xc3\xa9 \xff\xed\xa0\x80\xc0\x80");
    EXPECT_STREQ(j.json.text, "\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa9 \xef\xbf\xbd"
                              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(Json, TurnsWhatIsNotFiniteIntoNull)
{
    Json j;
    qp_json_array_begin(&j.json, nullptr);
    qp_json_double(&j.json, nullptr, std::nan(""));
    qp_json_double(&j.json, nullptr, std::numeric_limits<double>::infinity());
    qp_json_double(&j.json, nullptr, -std::numeric_limits<double>::infinity());
    qp_json_array_end(&j.json);
    EXPECT_TRUE(Checker(j.json.text).Document());
    EXPECT_EQ(std::string(j.json.text).find("inf"), std::string::npos);
}

TEST(Json, KnowsWhenItIsNotComplete)
{
    Json j;
    EXPECT_FALSE(qp_json_is_complete(&j.json));
    qp_json_object_begin(&j.json, nullptr);
    EXPECT_FALSE(qp_json_is_complete(&j.json));
    qp_json_object_end(&j.json);
    EXPECT_TRUE(qp_json_is_complete(&j.json));
    qp_json_object_end(&j.json);
    EXPECT_FALSE(qp_json_is_complete(&j.json));
    Json deep;
    for (int i = 0; i <= QP_JSON_DEPTH_MAX; i++) {
        qp_json_array_begin(&deep.json, nullptr);
    }
    EXPECT_FALSE(qp_json_is_complete(&deep.json));
}

TEST(Json, CompactIsOneLine)
{
    qp_json json;
    qp_json_init(&json);
    json.compact = true;
    qp_json_object_begin(&json, nullptr);
    qp_json_u64(&json, "a", 1);
    qp_json_array_begin(&json, "b");
    qp_json_bool(&json, nullptr, true);
    qp_json_object_begin(&json, nullptr);
    qp_json_object_end(&json);
    qp_json_array_end(&json);
    qp_json_object_end(&json);
    EXPECT_STREQ(json.text, "{\"a\": 1,\"b\": [true,{}]}\n");
    qp_json_deinit(&json);
}

} // namespace
