// What an operator hears of sessions, and does to them.
#include "gateway/engine/session_questions.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "tests/support/tenants.h"

namespace berth::test {
namespace {

namespace json = boost::json;

struct Asked : Site {
  json::object ask(const json::object& q, bool changes = false) {
    gateway::engine::SessionQuestions questions(w.broker());
    const auto said = questions.ask(json::serialize(q), w.now(), true);
    EXPECT_EQ(said.changed, changes);
    w.run();
    return json::parse(said.answer).as_object();
  }
  // "client state; ", " ..." if there are more.
  std::string list(json::object q = {}) {
    q["do"] = "list";
    q.insert(json::object::value_type("limit", 100));
    const json::object a = ask(q);
    std::string all;
    for (const json::value& s : a.at("items").as_array())
      all += std::string(s.at("client_id").as_string()) + " " +
             std::string(s.at("state").as_string()) + "; ";
    return all + (a.at("more").as_bool() ? "..." : "");
  }
  std::uint64_t number(const std::string& client) {
    const json::object a = ask({{"do", "list"}, {"client_id", client}, {"limit", 2}});
    return a.at("items").as_array().at(0).at("number").to_number<std::uint64_t>();
  }
  const ConnectOptions kStays{.clean = false, .properties = expiry(600)};
};

TEST(SessionQuestions, AListIsOfATenantAStateOrAText) {
  Asked a;
  const int cam = a.come("acme/d/cam-1", "c", a.kStays);
  a.come("acme/s/platform", "p");
  a.come("other/d/cam-2", "o");
  a.w.open_connected({.client_id = "nobody"});
  a.w.close(cam);
  EXPECT_EQ(a.list(), "c offline; p online; o online; nobody online; ");
  EXPECT_EQ(a.list({{"tenant", "acme"}}), "c offline; p online; ");
  EXPECT_EQ(a.list({{"tenant", "third"}}), "");
  EXPECT_EQ(a.list({{"online", false}}), "c offline; ");
  EXPECT_EQ(a.list({{"online", true}, {"tenant", "acme"}}), "p online; ");
  EXPECT_EQ(a.list({{"q", "cam"}}), "c offline; o online; ") << "in the name of the device";
  EXPECT_EQ(a.list({{"client_id", "p"}}), "p online; ");
  EXPECT_EQ(a.list({{"limit", 1}}), "c offline; ...");
  EXPECT_EQ(a.list({{"after", a.number("p")}}), "o online; nobody online; ");
}

TEST(SessionQuestions, OneHasItsFiltersQueueAndWill) {
  Asked a;
  ConnectOptions o = a.kStays;
  o.will_topic = "v1/event/alarm";
  o.will_payload = "gone";
  const int cam = a.come("acme/d/cam-1", "c", o);
  a.w.feed(cam, subscribe(1, "v1/cmd/#", 1));
  json::object s = a.ask({{"do", "show"}, {"id", a.number("c")}}).at("session").as_object();
  EXPECT_EQ(s.at("device").as_string(), "cam-1");
  EXPECT_EQ(s.at("tenant").as_string(), "acme");
  EXPECT_EQ(s.at("site").as_string(), "north");
  EXPECT_EQ(s.at("filters").as_array().at(0).at("filter").as_string(), "v1/north/cam-1/cmd/#");
  EXPECT_EQ(s.at("will").at("topic").as_string(), "v1/north/cam-1/event/alarm");
  a.w.close(cam);
  const int p = a.come("acme/s/platform", "p");
  a.w.feed(p, publish("v1/north/cam-1/cmd/1/req/x", "x", 1, 1));
  s = a.ask({{"do", "show"}, {"id", a.number("c")}}).at("session").as_object();
  EXPECT_EQ(s.at("queued").to_number<int>(), 1);
  EXPECT_EQ(s.at("state").as_string(), "offline");
  EXPECT_TRUE(s.contains("expires_at_ms"));
  EXPECT_TRUE(a.ask({{"do", "show"}, {"id", 999'999}}).empty());
}

TEST(SessionQuestions, AKickedClientMayReturnToItsSession) {
  Asked a;
  const int cam = a.come("acme/d/cam-1", "c", a.kStays);
  a.w.packets(cam);
  const std::uint64_t id = a.number("c");
  a.ask({{"do", "disconnect"}, {"id", id}}, true);
  EXPECT_EQ(answer(a.w, cam, 14, 0), 0x98u) << "DISCONNECT";
  EXPECT_TRUE(a.w.ended(cam));
  EXPECT_EQ(a.list(), "c offline; ");
  EXPECT_EQ(answer(a.w, a.come("acme/d/cam-1", "c", a.kStays), 2, 0), 1u) << "Session Present";
  a.ask({{"do", "remove"}, {"id", a.number("c")}}, true);
  EXPECT_EQ(a.list(), "");
  EXPECT_EQ(answer(a.w, a.come("acme/d/cam-1", "c", a.kStays), 2, 0), 0u);
  EXPECT_TRUE(a.ask({{"do", "remove"}, {"id", id}}).empty()) << "it is another session now";
}

// A client id may have 1 KiB, and twice as many in JSON.
TEST(SessionQuestions, AListOfLongClientIdsHasMore) {
  Asked a;
  const std::string id(1'000, '"');
  for (int i = 0; i < 480; ++i) a.w.open_connected({.client_id = id + std::to_string(i)});
  std::size_t found = 0;
  std::uint64_t after = 0;
  for (bool more = true; more;) {
    const json::object said = a.ask({{"do", "list"}, {"limit", 500}, {"after", after}});
    EXPECT_LT(json::serialize(said).size(), std::size_t{1} << 20);
    const json::array& items = said.at("items").as_array();
    ASSERT_FALSE(items.empty());
    found += items.size();
    after = items.back().at("number").to_number<std::uint64_t>();
    more = said.at("more").as_bool();
  }
  EXPECT_EQ(found, 480u);
}

TEST(SessionQuestions, NothingIsDoneWhereItCannotBeConfirmed) {
  Asked a;
  a.come("acme/d/cam-1", "c", a.kStays);
  gateway::engine::SessionQuestions questions(a.w.broker());
  const std::string id = std::to_string(a.number("c"));
  for (const char* what : {"disconnect", "remove"}) {
    const auto said =
        questions.ask(R"({"do":")" + std::string(what) + R"(","id":)" + id + "}", a.w.now(), false);
    EXPECT_TRUE(said.refused && !said.changed) << what;
  }
  a.w.run();
  EXPECT_EQ(a.list(), "c online; ");
  EXPECT_FALSE(questions.ask(R"({"do":"show","id":)" + id + "}", a.w.now(), false).refused);
}

TEST(SessionQuestions, WhatIsNoQuestionHasNoAnswer) {
  Asked a;
  gateway::engine::SessionQuestions questions(a.w.broker());
  for (const char* q : {"", "[]", "{", R"({"do":"list","limit":"x"})", R"({"do":7})",
                        R"({"do":"remove","id":-1})", R"({"do":"remove","id":1.5})"})
    EXPECT_FALSE(questions.ask(q, a.w.now(), true).changed) << q;
}

}  // namespace
}  // namespace berth::test
