#include <cstring>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tools/quicperf/json_read.h"

namespace
{

using Value = std::unique_ptr<qp_json_value, decltype(&qp_json_free)>;

Value Read(const std::string &text, std::string *why = nullptr)
{
    char message[96] = "";
    Value value(qp_json_read(text.data(), text.size(), message, sizeof(message)), qp_json_free);
    if (why != nullptr) {
        *why = message;
    }
    return value;
}

TEST(JsonRead, FindsMembers)
{
    Value v = Read("{\"a\": {\"b\": [1, 2.5e3, -0.5], \"c\": \"x\"}, \"t\": true, \"f\": false, "
                   "\"n\": null, \"e\": {}, \"l\": []}");
    ASSERT_TRUE(v);
    EXPECT_STREQ(qp_json_text(v.get(), "a.c", "?"), "x");
    EXPECT_STREQ(qp_json_text(v.get(), "a.b", "?"), "?");
    EXPECT_STREQ(qp_json_text(v.get(), "a.c.d", "?"), "?");
    EXPECT_EQ(qp_json_number(v.get(), "a.c", 7), 7);
    const qp_json_value *b = qp_json_at(v.get(), "a.b");
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(b->first->number, 1);
    EXPECT_EQ(b->first->next->number, 2500);
    EXPECT_EQ(b->first->next->next->number, -0.5);
    EXPECT_EQ(b->first->next->next->next, nullptr);
    EXPECT_EQ(qp_json_at(v.get(), "t")->number, 1);
    EXPECT_EQ(qp_json_at(v.get(), "f")->number, 0);
    EXPECT_EQ(qp_json_at(v.get(), "f")->type, QP_JSON_BOOL);
    EXPECT_EQ(qp_json_at(v.get(), "n")->type, QP_JSON_NULL);
    EXPECT_EQ(qp_json_at(v.get(), "e")->first, nullptr);
    EXPECT_EQ(qp_json_at(v.get(), "l")->type, QP_JSON_ARRAY);
    EXPECT_EQ(qp_json_at(v.get(), "nothing"), nullptr);
    EXPECT_EQ(qp_json_at(nullptr, "a"), nullptr);
}

TEST(JsonRead, Strings)
{
    Value v =
        Read("[\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\", \"\\ud83d\", \"\\\"\\\\\\/\\n\\t\", \"\"]");
    ASSERT_TRUE(v);
    const qp_json_value *s = v->first;
    EXPECT_STREQ(s->text, "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    s = s->next;
    EXPECT_STREQ(s->text, "\xef\xbf\xbd");
    s = s->next;
    EXPECT_STREQ(s->text, "\"\\/\n\t");
    EXPECT_STREQ(s->next->text, "");
}

TEST(JsonRead, RefusesWhatIsNoDocument)
{
    for (const char *text :
         {"",         " ",     "{",          "[",   "[1",   "[1,]",    "[1 2]",     "{\"a\"}",
          "{\"a\":}", "{a:1}", "{\"a\":1,}", "nul", "tru",  "01",      "-",         "1.",
          "1e",       "+1",    ".5",         "\"",  "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
          "\"a\nb\"", "1 2",   "{} {}",      "]",   "NaN",  "0x10"}) {
        std::string why;
        EXPECT_FALSE(Read(text, &why)) << text;
        EXPECT_NE(why, "") << text;
    }
    std::string why;
    EXPECT_FALSE(Read("{\n\"a\":\n!}", &why));
    EXPECT_EQ(why.find("line 3: "), 0u) << why;
}

TEST(JsonRead, IsBounded)
{
    std::string deep(QP_READ_DEPTH_MAX, '[');
    std::string close(QP_READ_DEPTH_MAX, ']');
    EXPECT_TRUE(Read(deep + close));
    std::string why;
    EXPECT_FALSE(Read("[" + deep + close + "]", &why));
    EXPECT_NE(why.find("levels"), std::string::npos);
    EXPECT_FALSE(Read(std::string(100, '1')));
    EXPECT_FALSE(Read(std::string(1 << 20, '[')));
}

} // namespace
