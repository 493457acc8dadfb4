// What the console's pages ask: sessions in cookies, boards of several partitions, profiles on one
// message.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "gateway/admin/guard.h"
#include "gateway/edge/passages.h"
#include "gateway/rest/board_sum.h"
#include "gateway/rest/console_sessions.h"
#include "gateway/rest/ended_sessions.h"
#include "gateway/rest/passages_api.h"
#include "gateway/rest/profiles_api.h"
#include "gateway/rest/report_feed.h"
#include "platform/causes.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::gateway::rest {
namespace {

namespace json = boost::json;
namespace pb = platform::pb;

TEST(ConsoleSessions, ACookieIsGoodForTwelveHoursAndAtEachProcess) {
  using admin::SessionState;
  const Seal seal(std::string(32, 'k'));
  const auto made = [](const std::string& authorization, const std::string& csrf) {
    admin::OpenedSession s;
    s.authorization = authorization;
    s.csrf = csrf;
    return s;
  };
  const std::string cookie = ConsoleSessions::close(seal, made("Bearer a@b:c d", "csrf"), 1000);
  EXPECT_EQ(cookie.find_first_of("; ,\""), std::string::npos);
  EXPECT_EQ(cookie.find("Bearer"), std::string::npos);
  const auto a = ConsoleSessions::open(Seal(std::string(32, 'k')), cookie, 1000 + 3600);
  ASSERT_EQ(a.state, SessionState::good);
  EXPECT_EQ(a.session.authorization, "Bearer a@b:c d");
  EXPECT_EQ(a.session.csrf, "csrf");
  EXPECT_EQ(a.session.account, "a@b");
  EXPECT_EQ(a.session.issued_s, 1000);
  EXPECT_EQ(a.session.id.size(), platform::EndedSessions::kIdBytes);
  const auto state = [](const Seal& by, const std::string& of, std::int64_t at_s) {
    return ConsoleSessions::open(by, of, at_s).state;
  };
  EXPECT_EQ(state(seal, cookie, 1000 + kSessionLasts_s), SessionState::ended);
  EXPECT_EQ(state(seal, cookie, 900), SessionState::ended) << "of the future";
  EXPECT_EQ(state(Seal(std::string(32, 'x')), cookie, 1000), SessionState::none);
  EXPECT_EQ(state(seal, cookie.substr(1), 1000), SessionState::none);
  EXPECT_EQ(state(seal, seal.close(lists::kDevices, "", "1000 c Bearer x"), 1000),
            SessionState::none)
      << "what was sealed for something else";
  const std::string other = ConsoleSessions::close(seal, made("Bearer token", "other"), 1000);
  EXPECT_EQ(ConsoleSessions::open(seal, other, 1000).session.account, "admin");
  EXPECT_NE(ConsoleSessions::open(seal, other, 1000).session.id, a.session.id);
}

TEST(ConsoleSessions, OneThatWasLoggedOutIsEndedWhereverTheListIsRead) {
  using admin::SessionState;
  const link::Asker nobody(1, [](std::uint32_t) -> link::EnginePort* { return nullptr; });
  EndedSessions ended(nobody, 1000);
  admin::OpenedSession s;
  s.id = std::string(16, 'a');
  s.account = "guard@demo";
  s.issued_s = 2000;
  bool asked = false;
  ended.refresh([&asked] { asked = true; });
  EXPECT_TRUE(asked);
  EXPECT_EQ(ended.state_of(s), SessionState::good) << "begun since this process runs";
  s.issued_s = 500;
  EXPECT_EQ(ended.state_of(s), SessionState::unknown);
  platform::pb::EndedSessionsAnswer list;
  list.set_version(1);
  ended.take(list.SerializeAsString());
  EXPECT_EQ(ended.state_of(s), SessionState::good);
  list.add_sessions()->set_id(s.id);
  ended.take(list.SerializeAsString());
  EXPECT_EQ(ended.state_of(s), SessionState::ended);
  s.id = std::string(16, 'b');
  EXPECT_EQ(ended.state_of(s), SessionState::good);
  platform::pb::EndedSession& before = *list.add_sessions();
  before.set_account(s.account);
  before.set_issued_s(600);
  ended.take(list.SerializeAsString());
  EXPECT_EQ(ended.state_of(s), SessionState::ended) << "there was no room for single ones";
  s.issued_s = 601;
  EXPECT_EQ(ended.state_of(s), SessionState::good);
  platform::pb::EndedSessionsAnswer same;
  same.set_version(1);
  same.set_same(true);
  ended.take(same.SerializeAsString());
  s.id = std::string(16, 'a');
  EXPECT_EQ(ended.state_of(s), SessionState::ended);
  s.id = std::string(16, 'c');
  bool stored = true;
  ended.end(s, [&stored](bool is) { stored = is; });
  EXPECT_FALSE(stored);
  EXPECT_EQ(ended.state_of(s), SessionState::ended) << "here, at least";
}

TEST(ConsoleSessions, ACookieThatIsThereTwiceIsNone) {
  using admin::session_cookie_in;
  EXPECT_EQ(session_cookie_in("a=b; berth-session=x"), "x");
  EXPECT_EQ(session_cookie_in("berth-session=x;c=d"), "x");
  EXPECT_EQ(session_cookie_in("berth-session=x; berth-session=y"), "");
  EXPECT_EQ(session_cookie_in("not-berth-session=x"), "");
  EXPECT_EQ(session_cookie_in(";;; ="), "");
}

TEST(ConsolePages, AreForEverybodyAndTheApiIsNot) {
  admin::Guard guard({.listen_host = "127.0.0.1", .allowed_hosts = {}, .token = [] {
                        return std::string("secret");
                      }});
  const admin::Peer peer{.loopback = true, .came_to = "127.0.0.1"};
  const auto status = [&](const std::string& method, const std::string& path,
                          const std::string& site = "") {
    admin::AskedFor a{.method = method, .path = path, .host = "127.0.0.1:9180"};
    if (!site.empty()) a.fetch_site = site;
    return guard.judge(peer, a).status;
  };
  EXPECT_EQ(status("GET", "/"), 0);
  EXPECT_EQ(status("GET", "/", "cross-site"), 0) << "a link in a wiki";
  EXPECT_EQ(status("GET", "/console/index.js"), 0);
  EXPECT_EQ(status("POST", "/"), 401);
  EXPECT_EQ(status("GET", "/consolex"), 401);
  EXPECT_EQ(status("GET", "/api/v1/board"), 401);
  EXPECT_EQ(status("GET", "/api/v1/board", "cross-site"), 403);
}

pb::BoardAnswer answer(bool whole, std::uint64_t version, std::uint32_t online,
                       std::uint32_t offline, std::int64_t reported_ms,
                       v1::BarrierPosition position) {
  pb::BoardAnswer a;
  a.set_whole(whole);
  a.set_version(version);
  a.set_of(7);
  auto& s = *a.add_sites();
  s.set_tenant("acme");
  s.set_site("north");
  s.set_registered(10);
  s.set_online(online);
  s.set_leaving(1);
  for (unsigned c = 0; c < platform::kCauses; ++c)
    s.add_offline(c == static_cast<unsigned>(platform::Cause::keep_alive) ? offline : 0);
  auto& lane = *s.add_lanes();
  lane.set_device("gate");
  lane.set_reports(true);
  lane.set_position(static_cast<std::uint32_t>(position));
  lane.set_reported_ms(reported_ms);
  return a;
}

TEST(BoardSum, AddsUpPartitionsAndTellsChangesOnly) {
  BoardSum sum(2);
  EXPECT_FALSE(sum.take(0, answer(true, 5, 3, 1, 100, v1::OPEN)));
  EXPECT_FALSE(sum.take(1, answer(true, 9, 2, 2, 200, v1::CLOSED)));
  auto c = sum.changes();
  EXPECT_TRUE(c.whole);
  ASSERT_EQ(c.sites.size(), 1u);
  EXPECT_EQ(c.sites[0].at("online").to_number<int>(), 5);
  EXPECT_EQ(c.sites[0].at("leaving").to_number<int>(), 2);
  EXPECT_EQ(c.sites[0].at("offline").to_number<int>(), 3);
  EXPECT_EQ(c.sites[0].at("registered").to_number<int>(), 10);
  EXPECT_EQ(c.sites[0].at("lanes").at(0).at("position"), "CLOSED") << "the newer report";
  EXPECT_TRUE(sum.changes().sites.empty());
  EXPECT_EQ(sum.question(1, {}).since(), 9u);
  EXPECT_FALSE(sum.take(1, answer(false, 10, 9, 9, 300, v1::OPEN)));
  c = sum.changes();
  EXPECT_FALSE(c.whole);
  ASSERT_EQ(c.sites.size(), 1u);
  EXPECT_EQ(c.sites[0].at("online").to_number<int>(), 10) << "known in two partitions, there once";
  EXPECT_EQ(c.sites[0].at("offline").to_number<int>(), 0);
}

TEST(BoardSum, AWholeAnswerInPartsTakesThePlaceOfTheOneBefore) {
  BoardSum sum(1);
  sum.take(0, answer(true, 5, 3, 1, 100, v1::OPEN));
  (void)sum.changes();
  auto part = answer(true, 8, 4, 0, 100, v1::OPEN);
  part.mutable_sites(0)->set_site("a");
  part.set_more_after("s/acme/a");
  EXPECT_TRUE(sum.take(0, part));
  EXPECT_EQ(sum.question(0, {}).after(), "s/acme/a");
  EXPECT_TRUE(sum.changes().sites.empty()) << "not before it is complete";
  auto rest = answer(true, 9, 4, 0, 100, v1::OPEN);
  rest.mutable_sites(0)->set_site("b");
  EXPECT_FALSE(sum.take(0, rest));
  const auto c = sum.changes();
  ASSERT_EQ(c.sites.size(), 2u);
  EXPECT_EQ(c.sites[0].at("site"), "a");
  EXPECT_EQ(sum.question(0, {}).since(), 8u) << "what has changed meanwhile is asked for again";
}

TEST(Passages, ShardsOfOneProcessTellOneEvent) {
  using edge::Passages;
  constexpr std::int64_t kMs = 1'000'000;
  Passages p;
  const auto told = [&p](std::int64_t at_ms, std::uint64_t gap_ms, std::uint64_t held,
                         std::uint64_t dropped = 0, edge::EngineEnd how = {}) {
    p.tell({.ended_ns = at_ms * kMs,
            .how = how,
            .of = {"engine 1", 1},
            .gap_ms = gap_ms,
            .held = held,
            .dropped = dropped,
            .gaps = {{gap_ms, held}}});
  };
  told(1000, 5, 10, 0, edge::EngineEnd::unproven);
  told(1010, 9, 7, 1, edge::EngineEnd::unproven);
  told(9000, 1, 3);
  EXPECT_TRUE(p.take(2000 * kMs).empty()) << "a shard may have more to say";
  const auto first = p.take(4000 * kMs);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].held, 17u);
  EXPECT_EQ(first[0].gap_ms, 9u);
  EXPECT_EQ(first[0].dropped, 1u);
  EXPECT_EQ(first[0].gaps.size(), 2u);
  for (int i = 0; i < 500; ++i) told(100'000 + i * 10'000, 1, 1);
  EXPECT_EQ(p.take(10'000'000 * kMs).size(), Passages::kWaiting);
  p.tell({.ended_ns = 5 * kMs, .what = Passages::What::edge_drain, .dropped = 4});
  EXPECT_EQ(p.take(5 * kMs).size(), 1u) << "its process ends soon";
}

platform::pb::PassageRecord recorded(std::uint64_t process, std::int64_t end_ms,
                                     std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps) {
  platform::pb::PassageRecord r;
  r.set_what(1);
  r.set_of("engine x");
  r.set_process(process);
  r.set_begin_ms(end_ms - 200);
  r.set_end_ms(end_ms);
  auto& part = *r.add_parts();
  part.set_edge(1);
  part.set_late(2);
  for (const auto& [ms, connections] : gaps) {
    auto& g = *part.add_gaps();
    g.set_ms(ms);
    g.set_connections(connections);
    part.set_held(part.held() + connections);
  }
  return r;
}

TEST(Passages, AnEngineOfSeveralPartitionsWentOnce) {
  const json::array all = merged_passages({{0, recorded(7, 100'000, {{100, 990}})},
                                           {1, recorded(7, 100'900, {{4000, 10}})},
                                           {1, recorded(7, 900'000, {{5, 1}})},
                                           {2, recorded(8, 100'500, {})}});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].at("end"), "1970-01-01T00:15:00.000Z") << "another one, later";
  const json::value& both = all[1];
  EXPECT_EQ(both.at("held"), 1000);
  EXPECT_EQ(both.at("partitions"), (json::array{0, 1}));
  EXPECT_EQ(both.at("gap_p99_ms"), 100) << "of 990 of 1000";
  EXPECT_EQ(both.at("gap_max_ms"), 4000);
  EXPECT_EQ(both.at("late_commands"), 2) << "of the whole gateway: not added";
  EXPECT_EQ(both.at("end"), "1970-01-01T00:01:40.900Z");
  EXPECT_EQ(both.at("begin"), "1970-01-01T00:01:39.800Z");
  EXPECT_EQ(all[2].at("gap_p99_ms"), 0);
}

platform::pb::ReportsAnswer with_plate(std::uint64_t engine, const std::string& site) {
  platform::pb::ReportsAnswer a;
  a.set_engine(engine);
  a.set_through(4);
  auto& r = *a.add_reports();
  r.set_at_ms(1000);
  r.set_site(site);
  r.set_type("plate");
  r.set_plate("粤B12345");
  r.set_body(R"({"lane":"E1","direction":"IN"})");
  return a;
}

TEST(ReportFeed, ShowsPlatesToWhoMaySeeThemAndSitesOfItsOwn) {
  for (const bool may : {true, false}) {
    ReportFeed feed("acme", "cam", {"north"}, may, 2);
    EXPECT_TRUE(feed.take(1, with_plate(9, "south").SerializeAsString()).empty());
    const auto said = feed.take(1, with_plate(9, "north").SerializeAsString());
    ASSERT_EQ(said.size(), 1u);
    const json::object o = json::parse(said[0]).as_object();
    EXPECT_EQ(o.at("plate").as_string(), may ? "粤B12345" : "粤…");
    EXPECT_EQ(o.contains("plate_hidden"), !may);
    EXPECT_EQ(said[0].find("12345") != std::string::npos, may);
    EXPECT_EQ(o.at("body").at("lane").as_string(), "E1");
    platform::pb::ReportsQuestion q;
    ASSERT_TRUE(q.ParseFromString(feed.question(1)));
    EXPECT_EQ(q.engine(), 9u);
    EXPECT_EQ(q.after(), 4u);
    ASSERT_TRUE(q.ParseFromString(feed.question(0)));
    EXPECT_EQ(q.engine(), 0u) << "of another partition";
  }
  EXPECT_EQ(hidden_plate(""), "");
}

json::object tried(const std::string& body, int status = 200) {
  const admin::Response r = try_profile(body);
  EXPECT_EQ(r.status, status) << r.body;
  boost::system::error_code ec;
  const json::value v = json::parse(r.body, ec);
  return v.is_object() ? v.get_object() : json::object();
}

TEST(ProfileTrial, SaysWhichRuleReadsAMessage) {
  const std::string product =
      "name: p\nmessages:\n  - {topic: a/%d, report: event, fields: {plate.plate.number: {from: "
      "/no}}}\n  - {topic: b, report: state, fields: {barrier.lane: {from: /lane, required: "
      "true}}}\n";
  const auto body = [&](const char* topic, const char* key, const std::string& payload) {
    return json::serialize(
        json::object{{"product", product}, {"topic", topic}, {"device", "cam"}, {key, payload}});
  };
  json::object o = tried(body("a/cam", "payload", R"({"no":"A1"})"));
  EXPECT_EQ(o.at("result"), "envelope");
  EXPECT_EQ(o.at("envelope").at("plate").at("plate").at("number"), "A1");
  EXPECT_EQ(o.at("rules").at(0).at("used"), true);
  EXPECT_EQ(o.at("rules").at(1).at("matches"), false);
  EXPECT_EQ(tried(body("a/cam", "payload_hex", "7b 22 6e6f223a224131227d")).at("result"),
            "envelope");
  o = tried(body("b", "payload", "{}"));
  EXPECT_EQ(o.at("result"), "raw");
  EXPECT_FALSE(o.at("why").as_string().empty());
  EXPECT_EQ(tried(body("c", "payload", "{}")).at("result"), "as_is");
}

TEST(ProfileTrial, WhatIsNoneIsRefused) {
  tried("[]", 422);
  tried("{", 422);
  tried(R"({"product":"name: p","topic":""})", 422);
  tried(R"({"product":"name: p","topic":"a","payload_hex":"0"})", 422);
  tried(R"({"product":"&a [*a, *a]","topic":"a"})", 422);
  tried(R"({"product":"name: p\nmessages: [{topic: a, report: nothing}]","topic":"a"})", 422);
  tried(R"({"product":"name: p","topic":"a","else":1})", 422);
}

}  // namespace
}  // namespace berth::gateway::rest
