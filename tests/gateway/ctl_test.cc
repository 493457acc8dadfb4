// What the verbs of berth ctl make of answers of the API: sentences and tables for people.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/config.h"
#include "gateway/ctl/top.h"
#include "gateway/ctl/why.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {
namespace {

namespace json = boost::json;

json::object parsed(const std::string& text) {
  return json::parse(text).as_object();
}

constexpr std::int64_t kNow = 1'795'953'600;  // 2026-11-29T12:00:00Z

TEST(CtlWords, TimesHaveAnAgeInTheTwoLargestUnits) {
  EXPECT_EQ(seconds_of("2026-11-29T12:00:00.250Z"), kNow);
  EXPECT_EQ(seconds_of("yesterday"), std::nullopt);
  EXPECT_EQ(seconds_of(""), std::nullopt);
  EXPECT_EQ(duration_of(0), "0 s");
  EXPECT_EQ(duration_of(59), "59 s");
  EXPECT_EQ(duration_of(3600), "1 h");
  EXPECT_EQ(duration_of(3 * 3600 + 12 * 60 + 5), "3 h 12 min");
  EXPECT_EQ(duration_of(86'400 + 7200), "1 day 2 h");
  EXPECT_EQ(duration_of(3 * 86'400 + 59), "3 days");
  EXPECT_EQ(with_age("2026-11-29T11:59:00.000Z", kNow), "2026-11-29 11:59:00 UTC, 1 min ago");
  EXPECT_EQ(with_age("2026-11-29T12:00:01Z", kNow), "2026-11-29 12:00:01 UTC") << "clocks differ";
  EXPECT_EQ(with_age("never", kNow), "never");
}

// A word of a newer gateway is shown as it is.
TEST(CtlWords, EachCauseAndEachReasonOfAnEndHasWords) {
  for (const char* cause :
       {"goodbye", "keep_alive", "connection_lost", "protocol_error", "slow_consumer", "taken_over",
        "disabled", "policy", "gateway", "parent"})
    EXPECT_GT(meaning_of_cause(cause).size(), 20u) << cause;
  for (const char* seen :
       {"client", "peer_closed", "peer_reset", "keepalive_timeout", "protocol_error", "taken_over",
        "drained", "frame_too_large", "slow_consumer", "policy", "engine_absent", "session_lost",
        "poison", "tls_failed", "cut_off"})
    EXPECT_GT(meaning_of_evidence(seen, "").size(), 9u) << seen;
  EXPECT_EQ(meaning_of_cause("eclipse"), "eclipse");
  EXPECT_EQ(meaning_of_evidence("eclipse", ""), "eclipse");
  EXPECT_NE(meaning_of_evidence("client", "goodbye").find("DISCONNECT or BYE"), std::string::npos);
  EXPECT_NE(meaning_of_evidence("client", "connection_lost").find("without"), std::string::npos);
  EXPECT_EQ(advice_for_cause("eclipse"), "");
}

TEST(CtlWords, ColumnsAreAlignedByWhatATerminalShows) {
  EXPECT_EQ(aligned({{"a", "b"}, {"车道1", "x"}, {"gate-1", "y"}}),
            "  a       b\n  车道1   x\n  gate-1  y\n");
  EXPECT_EQ(aligned({{"é", "x"}, {"ab", "y"}}), "  é   x\n  ab  y\n");
  EXPECT_FALSE(aligned({{"\xe8\xbd", "x"}, {"\xff", "y"}}).empty()) << "cut characters";
}

TEST(CtlWhy, ADeviceThatHasGoneIsExplained) {
  json::object found = parsed(R"({"tenant":"acme","device":"cam","known":true,
    "presence":{"site":"north","state":"offline","since":"2026-11-29T11:00:00.000Z",
      "cause":"keep_alive","address":"192.0.2.7:40112","protocol":"mqtt5","client_id":"cam",
      "firmware":"2.1"},
    "ends":[{"at":"2026-11-29T11:00:00.000Z","type":"ended","cause":"keep_alive",
             "detail":"keepalive_timeout","address":"192.0.2.7:40112"},
            {"at":"2026-11-29T10:00:00.000Z","type":"taken_over","cause":"taken_over",
             "detail":"taken_over"}],
    "refused":[{"at":"2026-11-29T09:00:00.000Z","type":"refused",
                "detail":"bad user name or password","address":"192.0.2.9:1"}],
    "flapping":[{"ends":14,"cause":"keep_alive"}],
    "shared_ids":[{"client_id":"cam","take_overs":3,"addresses":["192.0.2.7","192.0.2.8"]}],
    "slow":[{"queue":1200,"dropped":7}],
    "commands_uncertain":[{"id":"c-1","type":"open","accepted_at":"2026-11-29T10:59:00.000Z"}]})");
  json::array findings;
  for (const std::string& f : findings_of(found)) findings.emplace_back(f);
  found["findings"] = findings;
  const std::string text = why_text(found, kNow);
  for (const char* part :
       {"Device cam of tenant acme, site north\n",
        "It is offline since 2026-11-29 11:00:00 UTC, 1 h ago.",
        "Why it went: The gateway heard nothing from the device within its Keep Alive.",
        "192.0.2.7:40112", "mqtt5", "2.1", "no byte came until the time had passed",
        "a newer connection with this client id logged in",
        "ended 14 times in the last hour, most often because of keep_alive.",
        "3 times in the last hour, from [\"192.0.2.7\",\"192.0.2.8\"].", "1200 messages wait",
        "1 command is uncertain", "c-1", "bad user name or password",
        "Look at the device's power and at the network"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST(CtlWhy, ADeviceThatIsThereHasNoFindingsAndNoAdvice) {
  const json::object found = parsed(R"({"tenant":"acme","device":"cam","known":true,
    "presence":{"site":"north","state":"online","since":"2026-11-29T11:00:00.000Z"},
    "ends":[],"refused":[{"at":"2026-11-29T09:00:00.000Z","detail":"not authorized"}]})");
  EXPECT_TRUE(findings_of(found).empty()) << findings_of(found)[0];
  const std::string text = why_text(found, kNow);
  EXPECT_NE(text.find("Nothing is unusual since"), std::string::npos) << text;
  EXPECT_NE(text.find("none in the history"), std::string::npos) << text;
}

TEST(CtlWhy, ARefusalWhileTheDeviceIsThereIsAFinding) {
  const json::object found = parsed(R"({"tenant":"acme","device":"cam","known":true,
    "presence":{"site":"north","state":"online","since":"2026-11-29T08:00:00.000Z"},
    "ends":[],"refused":[{"at":"2026-11-29T09:00:00.000Z","detail":"not authorized"}]})");
  ASSERT_EQ(findings_of(found).size(), 1u);
  EXPECT_NE(findings_of(found)[0].find("while it is connected"), std::string::npos);
}

TEST(CtlWhy, APartThatWasNotAnsweredIsNamed) {
  const std::string text =
      why_text(parsed(R"({"tenant":"acme","device":"cam","known":true,"presence":{"state":"never"},
               "not_answered":["history: the store is away"]})"),
               kNow);
  EXPECT_NE(text.find("It has never connected."), std::string::npos) << text;
  EXPECT_NE(text.find("Not answered\n  history: the store is away"), std::string::npos) << text;
}

// Devices choose some words: none drives the terminal.
TEST(CtlWhy, WordsOfDevicesAreShownWithoutControlCharacters) {
  json::object found = parsed(R"({"tenant":"acme","device":"cam","known":true,
    "presence":{"state":"online","client_id":"\u001b[2J","display_name":"\u009b1m"}})");
  const std::string text = why_text(found, kNow);
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos) << text;
}

TEST(CtlWhy, AnUnknownDeviceHasNeighboursAndPlacesToLook) {
  const std::string text =
      why_text(parsed(R"({"tenant":"acme","device":"cam-9","known":false,"near_text":"cam",
               "near":[{"device":"cam-1","site":"north","state":"online"}],
               "refused":[{"name":"cam-9","reason":"bad user name or password","count":3}]})"),
               kNow);
  for (const char* part : {"There is no device cam-9 in tenant acme.", "cam-1", "with 'cam' in",
                           "bad user name or password", "--tenant acme --q"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  const std::string two =
      why_text(parsed(R"({"device":"cam","known":false,"tenants":["acme","other"]})"), kNow);
  EXPECT_NE(two.find("say whose with --tenant"), std::string::npos) << two;
}

TEST(CtlWhy, AClientWithoutARecordHasItsLastEnds) {
  const std::string text = why_text(
      parsed(
          R"({"device":"probe","known":false,"no_registry":true,"since":"2026-11-29T06:00:00.000Z",
        "ends":[{"at":"2026-11-29T11:00:00.000Z","cause":"keep_alive","detail":"keepalive_timeout",
                 "address":"192.0.2.7:40112"}]})"),
      kNow);
  for (const char* part :
       {"Client probe: there is no registry here.", "keep_alive", "192.0.2.7:40112",
        "no byte came until the time had passed", "The last one: The gateway heard nothing",
        "Look at the device's power", "begins at 2026-11-29 06:00:00 UTC, 6 h ago"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("registry export"), std::string::npos) << "there is none";
}

TEST(CtlWhy, PartsOfANameGetShorter) {
  EXPECT_EQ(parts_of_name("cam-17"), (std::vector<std::string>{"cam-17", "cam-1", "cam", "17"}));
  EXPECT_EQ(parts_of_name("x"), std::vector<std::string>{"x"});
  EXPECT_EQ(parts_of_name("-"), std::vector<std::string>{"-"});
  EXPECT_EQ(parts_of_name("车道1"), (std::vector<std::string>{"车道1", "车道", "车"}));
}

TEST(CtlTop, ListsHaveTheirHeadingsAndWhoIsMeant) {
  const std::string text = top_text(parsed(R"({"since":"2026-11-29T11:00:00.000Z","lists":{
    "connections":[{"tenant":"acme","connections":7,"messages_per_s":3}],
    "traffic":[{"tenant":"acme","site":"north","device":"cam","bytes_per_s":900},
               {"tenant":"acme","account":"platform","bytes_per_s":5},
               {"client_id":"stranger","bytes_per_s":1}],
    "flapping":[{"tenant":"acme","site":"north","device":"cam","ends":14,"cause":"keep_alive"}],
    "refused":[],
    "shared":[{"client_id":"cam","take_overs":3,"addresses":["192.0.2.7","192.0.2.8"]}]},
    "not_answered":["slow: no engine serves"]})"),
                                    kNow);
  for (const char* part :
       {"Most connections\n", "account platform", "client stranger", "14", "keep_alive", "none\n",
        "192.0.2.7, 192.0.2.8", "next: berth ctl why DEVICE --tenant TENANT",
        "Counts begin at 2026-11-29 11:00:00 UTC, 1 h ago.",
        "Not answered\n  slow: no engine serves"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("Slow consumers"), std::string::npos) << "a list that was not asked for";
}

TEST(CtlConfig, PeopleSeeTimesAndThatNothingDiffers) {
  const std::string same = config_text(R"({"process":"edge","beaten":[{"key":"log.level",
      "files":"debug"}],"settings":[],"files":[{"path":"a","state":"same"}],"wrong":[]})");
  EXPECT_NE(same.find("no difference"), std::string::npos) << same;
  EXPECT_NE(same.find("a flag or a variable"), std::string::npos) << same;
  EXPECT_NE(same.find("log.level"), std::string::npos) << same;
  const std::string differs = config_text(R"({"process":"edge","beaten":[],"settings":[
      {"key":"log.level","in_force":"info","files":"debug","applies":"reload"}],"wrong":[]})");
  EXPECT_EQ(differs.find("no difference"), std::string::npos) << differs;
  const std::string shown =
      config_text(R"({"process":"edge","hash":"ab","in_force_since_s":1795953600,
      "last_good_look_s":0,"settings":{},"files":[]})");
  EXPECT_NE(shown.find("2026-11-29 12:00:00 UTC"), std::string::npos) << shown;
  EXPECT_NE(shown.find("never"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("1795953600"), std::string::npos) << shown;
}

TEST(CtlTop, SitesAreRankedByConnections) {
  const json::array all =
      ranked_sites(parsed(R"({"tenant":"acme","sites":{"a":{"connections":1},"b":{"connections":3},
               "c":{"connections":2}}})"),
                   2);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(text_in(all[0].as_object(), "site"), "b");
  EXPECT_EQ(text_in(all[1].as_object(), "site"), "c");
  EXPECT_EQ(text_in(all[0].as_object(), "tenant"), "acme");
}

}  // namespace
}  // namespace berth::gateway
