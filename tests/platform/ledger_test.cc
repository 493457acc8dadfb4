// The ledger of commands over a store that commits when the test says so, and dies when it says so.
#include "platform/ledger.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "platform/platform.pb.h"
#include "platform/result_router.h"

namespace berth::platform {
namespace {

using session::RecordRange;
using session::StoredRecord;

// The store, the engines and the devices of a ledger, which may die between any two calls.
class Box final : public Records, public LedgerPorts {
 public:
  explicit Box(LedgerOptions options = {}) : options_(options) { begin(); }
  // What was not committed is lost, and so is what nobody has heard of yet.
  void crash() {
    puts_.clear();
    durable_.clear();
    reads_.clear();
    flying_.clear();
    begin();
    ledger->want_again();
    tell_wanted();
  }
  void commit() {
    for (const auto& [key, value] : puts_) {
      if (value) store_[key] = *value;
      if (!value) store_.erase(key);
    }
    puts_.clear();
    for (const auto& [key, outcome] : ending_) outcomes[key].push_back(outcome);
    ending_.clear();
    const auto calls = std::exchange(durable_, {});
    for (const auto& f : calls) f();
    for (const std::string& d : std::exchange(flying_, {})) handed.push_back(d);
  }
  void run_reads() {
    for (const auto& f : std::exchange(reads_, {})) f();
  }
  std::size_t reads_waiting() const { return reads_.size(); }
  void turn() {
    run_reads();
    commit();
  }
  At at() const { return {{time}, 1'700'000'000'000 + time}; }
  void device_online(const std::string& device, std::uint32_t partition = 0) {
    online_[Ledger::device_key("acme", device)] = partition;
    tell_wanted();
  }
  // Its home hears of it later.
  void comes_untold(const std::string& device) { online_[Ledger::device_key("acme", device)] = 0; }
  void device_offline(const std::string& device) {
    const std::string key = Ledger::device_key("acme", device);
    online_.erase(key);
    if (wanted_.contains(key)) ledger->offline(key, 0);
  }

  struct Said {
    Refusal refusal;
    std::optional<Entry> entry;
    bool before = false;
  };
  // The answer comes with a turn().
  std::shared_ptr<std::vector<Said>> submit(std::string id, Terms terms,
                                            std::string device = "gate",
                                            std::string content = "open", std::string slot = "") {
    auto said = std::make_shared<std::vector<Said>>();
    Asked a{.tenant = "acme", .id = std::move(id), .device = std::move(device)};
    a.type = "open";
    a.content = std::move(content);
    a.slot = std::move(slot);
    ledger->submit(
        a,
        [terms](const Asked&, Terms& out) {
          out = terms;
          return Refusal{};
        },
        at(),
        [said](const Ledger::Answer& answer) {
          said->push_back({answer.refusal,
                           answer.entry != nullptr ? std::optional(*answer.entry) : std::nullopt,
                           answer.before});
        });
    return said;
  }
  Said ask(const std::string& id, Terms terms, const std::string& device = "gate") {
    const auto said = submit(id, terms, device);
    turn();
    EXPECT_EQ(said->size(), 1u);
    return said->empty() ? Said{} : said->front();
  }
  std::optional<Entry> find(const std::string& id) {
    std::optional<Entry> out;
    ledger->find("acme", id, [&](const Entry* e, bool unknown) {
      EXPECT_EQ(unknown, store_fails);
      if (e != nullptr) out = *e;
    });
    run_reads();
    return out;
  }

  void put(std::string_view key, std::string_view value) override {
    puts_.emplace_back(key, std::string(value));
  }
  void remove(std::string_view key) override { puts_.emplace_back(key, std::nullopt); }
  void when_durable(std::function<void()> f) override { durable_.push_back(std::move(f)); }
  void read(RecordRange range, session::Store::RecordsDone done) override {
    reads_.push_back([this, range = std::move(range), done = std::move(done)] {
      std::vector<StoredRecord> out;
      for (auto it = store_.lower_bound(range.from);
           it != store_.end() && it->first < range.to && out.size() < range.count; ++it)
        out.push_back({it->first, it->second});
      if (store_fails) return done(make_error_code(boost::system::errc::io_error));
      done(std::move(out));
    });
  }
  base::Instant now() const override { return {time}; }
  void accepted(const Entry&) override {}
  std::uint32_t locate(std::string_view tenant, std::string_view device) override {
    const auto it = online_.find(Ledger::device_key(tenant, device));
    return it == online_.end() ? 0 : it->second + 1;
  }
  void wants(std::string_view tenant, std::string_view device, bool no_more) override {
    const std::string key = Ledger::device_key(tenant, device);
    if (no_more) {
      wanted_.erase(key);
    } else {
      wanted_.insert(key);
    }
  }
  // What the partition of the session says of devices that are wanted.
  void tell_wanted() {
    const std::set<std::string> wanted = wanted_;
    for (const std::string& key : wanted) {
      if (online_.contains(key)) ledger->online(key, online_[key], at());
    }
  }
  void word(const std::string& id, std::uint32_t attempt, Fate fate, const char* code = "") {
    ledger->word(serials_[id], attempt, fate, code, at());
  }
  void dispatch(const Dispatch& d) override {
    serials_[d.entry->asked.id] = d.entry->serial;
    flying_.push_back(d.entry->asked.id + "#" + std::to_string(d.attempt));
  }
  void finished(const Entry& e) override { ending_.emplace_back(e.asked.id, e.command.outcome); }
  void late_result(const Entry&, const Result&) override { ++late; }

  std::int64_t time = 1000;
  std::unique_ptr<Ledger> ledger;
  std::vector<std::string> handed;  // "id#attempt", durable
  std::map<std::string, std::vector<Outcome>> outcomes;
  void stray_result() override { ++stray; }
  int late = 0;
  int stray = 0;
  bool store_fails = false;

 private:
  void begin() {
    ending_.clear();
    wanted_.clear();
    ledger = std::make_unique<Ledger>(options_, *this, *this);
    for (const auto& [k, v] : store_) {
      if (Ledger::is_key(k)) ledger->restored(k, v);
    }
  }
  LedgerOptions options_;
  std::map<std::string, std::string> store_;
  std::vector<std::pair<std::string, std::optional<std::string>>> puts_;
  std::vector<std::function<void()>> durable_;
  std::vector<std::function<void()>> reads_;
  std::vector<std::string> flying_;
  std::vector<std::pair<std::string, Outcome>> ending_;
  std::map<std::string, std::uint32_t> online_;  // partitions
  std::set<std::string> wanted_;
  std::map<std::string, std::uint64_t> serials_;
};

constexpr Terms kImmediate{.delivery = Delivery::immediate, .ttl_ms = 2000, .result_ms = 0};
constexpr Terms kQueued{.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
constexpr Terms kLatest{.delivery = Delivery::latest, .ttl_ms = 30'000, .result_ms = 10'000};

Result good() {
  return {.outcome = Outcome::succeeded, .code = "200"};
}

using Handed = std::vector<std::string>;

TEST(Ledger, AnImmediateCommandGoesOutWhenItIsDurableAndEndsWithItsResult) {
  Box b;
  b.device_online("gate");
  const auto said = b.submit("1", kImmediate);
  b.run_reads();
  EXPECT_TRUE(b.handed.empty() && said->empty()) << "nothing before the commit";
  b.commit();
  ASSERT_EQ(said->size(), 1u);
  EXPECT_EQ(said->front().refusal.status, 0);
  EXPECT_EQ(b.handed, Handed{"1#1"});
  b.word("1", 1, Fate::sent);
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::succeeded});
  EXPECT_EQ(b.ledger->open(), 0u);
  EXPECT_EQ(b.find("1")->command.outcome, Outcome::succeeded);
}

TEST(Ledger, D1_AnImmediateCommandIsRefusedWhileItsDeviceIsAway) {
  Box b;
  const Box::Said said = b.ask("1", kImmediate);
  EXPECT_EQ(said.refusal.status, 409);
  EXPECT_STREQ(said.refusal.code, "device_offline");
  b.device_online("gate");
  b.turn();
  EXPECT_TRUE(b.handed.empty());
  EXPECT_EQ(b.ask("1", kImmediate).refusal.status, 0) << "nothing had happened under this id";
}

TEST(Ledger, D4_TheSameIdIsTheSameCommandAndItsAnswer) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const Box::Said again = b.ask("1", kImmediate);
  EXPECT_TRUE(again.before);
  EXPECT_EQ(again.entry->command.state, State::handed);
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  const Box::Said after = b.ask("1", kImmediate);
  EXPECT_TRUE(after.before);
  EXPECT_EQ(after.entry->command.outcome, Outcome::succeeded);
  EXPECT_EQ(b.handed, Handed{"1#1"});
}

TEST(Ledger, TheSameIdWithOtherContentIsAConflict) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const auto open = b.submit("1", kImmediate, "gate", "close");
  b.turn();
  EXPECT_STREQ(open->front().refusal.code, "idempotency_conflict");
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.commit();
  const auto closed = b.submit("1", kImmediate, "gate", "close");
  b.turn();
  EXPECT_STREQ(closed->front().refusal.code, "idempotency_conflict");
}

TEST(Ledger, TwoQuestionsWithOneIdAtOnceAreOneCommand) {
  Box b;
  b.device_online("gate");
  const auto one = b.submit("1", kImmediate);
  const auto two = b.submit("1", kImmediate);
  b.turn();
  EXPECT_FALSE(one->front().before);
  EXPECT_TRUE(two->front().before);
  EXPECT_EQ(b.handed, Handed{"1#1"});
}

TEST(Ledger, D5_TheSecondOfTwoQuestionsFindsACommandThatEndedAtOnce) {
  Box b;
  b.device_online("gate");
  b.time = 50'000;
  std::vector<bool> before;
  for (int i = 0; i < 2; ++i) {
    Asked a{.tenant = "acme", .id = "1", .device = "gate"};
    a.since_ms = 1000;
    b.ledger->submit(
        a,
        [](const Asked&, Terms& t) {
          t = kImmediate;
          return Refusal{};
        },
        b.at(), [&before](const Ledger::Answer& r) { before.push_back(r.before); });
  }
  b.turn();
  b.turn();
  EXPECT_EQ(before, (std::vector<bool>{true, false}));
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::expired});
}

// A device that was not where its home believed: the home hears of it when it comes again.
TEST(Ledger, ACommandThatFoundNobodyWaitsUntilItsDeviceComes) {
  Box b;
  b.device_online("gate");
  b.ask("1", kQueued);
  b.word("1", 1, Fate::dropped, "device_offline");
  b.turn();
  b.time += Ledger::kAgainMs;
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(b.handed, Handed{"1#1"}) << "nobody has come";
  b.device_online("gate");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"1#1", "1#2"}));
}

TEST(Ledger, OneImmediateCommandABarrierAtATime) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  EXPECT_STREQ(b.ask("2", kImmediate).refusal.code, "device_busy");
  b.ledger->result("acme", "1", "gate", good(), b.at());
  EXPECT_EQ(b.ask("2", kImmediate).refusal.status, 0);
}

TEST(Ledger, QueuedCommandsWaitForTheirDeviceAndGoOutInOrder) {
  Box b;
  for (const char* id : {"c", "a", "b"}) {
    EXPECT_EQ(b.ask(id, kQueued).entry->command.state, State::waiting);
    ++b.time;
  }
  b.crash();
  b.device_online("gate");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"c#1", "a#1", "b#1"}));
}

TEST(Ledger, ADeviceGetsNoMoreAtATimeThanItsWindow) {
  Box b;
  b.device_online("gate");
  for (int i = 0; i < 20; ++i) b.ask("q" + std::to_string(i), kQueued);
  EXPECT_EQ(b.handed.size(), 16u);
  b.ledger->result("acme", "q3", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.handed.size(), 17u);
  EXPECT_EQ(b.handed.back(), "q16#1");
}

TEST(Ledger, TheNewestOfASlotReplacesWhatHasNotGoneOut) {
  Box b;
  b.submit("1", kLatest, "display", "a", "line1");
  b.turn();
  b.submit("2", kLatest, "display", "b", "line2");
  b.turn();
  b.submit("3", kLatest, "display", "c", "line1");
  b.turn();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::not_delivered});
  EXPECT_EQ(b.find("1")->command.code, "replaced");
  b.device_online("display");
  b.turn();
  EXPECT_EQ(b.handed, (Handed{"2#1", "3#1"}));
}

TEST(Ledger, TheOnlyCommandOfADeviceIsReplacedByTheNewestOfItsSlot) {
  Box b;
  b.submit("1", kLatest, "display", "a", "line");
  b.turn();
  b.submit("2", kLatest, "display", "b", "line");
  b.turn();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::not_delivered});
  b.device_online("display");
  b.turn();
  EXPECT_EQ(b.handed, Handed{"2#1"});
  b.ledger->result("acme", "2", "display", good(), b.at());
  b.turn();
  EXPECT_EQ(b.outcomes["2"], std::vector{Outcome::succeeded});
}

// The device has just come; who wants to hear of it has not been told yet.
TEST(Ledger, D1_AnImmediateCommandGoesOutAtOnceOrNotAtAll) {
  Box b;
  b.ask("waits", kQueued);
  b.device_offline("gate");
  b.comes_untold("gate");
  const Box::Said said = b.ask("1", kImmediate);
  ASSERT_TRUE(said.entry);
  EXPECT_EQ(said.entry->command.state, State::handed);
  EXPECT_EQ(b.handed, (Handed{"waits#1", "1#1"}));
}

TEST(Ledger, TheTimeOfACommandRunsFromItsRequest) {
  Box b;
  b.device_online("gate");
  const auto terms_of = [](const Asked&, Terms& t) {
    t = kImmediate;
    return Refusal{};
  };
  const auto ask = [&](const char* id, std::int64_t since_ms) {
    Asked a{.tenant = "acme", .id = id, .device = "gate"};
    a.since_ms = since_ms;
    b.ledger->submit(a, terms_of, b.at(), [](const Ledger::Answer&) {});
    b.turn();
  };
  b.time = 50'000;
  ask("old", 48'000);  // 2 s, in a socket or in the store of an engine that died
  EXPECT_EQ(b.outcomes["old"], std::vector{Outcome::expired});
  EXPECT_TRUE(b.handed.empty());
  ask("new", 48'500);
  EXPECT_EQ(b.find("new")->command.deadline, base::Instant{50'500});
  b.ledger->result("acme", "new", "gate", good(), b.at());
  b.turn();
  ask("ahead", 90'000);
  EXPECT_EQ(b.find("ahead")->command.deadline, base::Instant{52'000}) << "no clock makes it longer";
}

TEST(Ledger, NoTenantFillsTheRoomOfOthers) {
  Box b({.open_max = 8, .open_bytes_max = 64 * 1024});
  const auto code = [&](const std::string& tenant, const std::string& id, std::size_t bytes) {
    std::string out = "none";
    Asked a{.tenant = tenant, .id = id, .device = "d" + id};
    a.payload = std::string(bytes, 'x');
    b.ledger->submit(
        a,
        [](const Asked&, Terms& t) {
          t = kQueued;
          return Refusal{};
        },
        b.at(), [&out](const Ledger::Answer& r) { out = r.refusal.code; });
    b.turn();
    return out;
  };
  for (int i = 0; i < 6; ++i) EXPECT_EQ(code("evil", std::to_string(i), 0), "");
  EXPECT_EQ(code("evil", "6", 0), "too_many_commands");
  EXPECT_EQ(code("acme", "1", 0), "");
  b.crash();
  EXPECT_EQ(code("evil", "7", 0), "too_many_commands");
  EXPECT_EQ(code("acme", "2", 0), "");
  EXPECT_EQ(code("acme", "3", 0), "too_many_commands") << "the room of all";
  b.time += 60'000;
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(code("evil", "8", 30 * 1024), "");
  EXPECT_EQ(code("evil", "9", 30 * 1024), "too_many_commands");
  EXPECT_EQ(code("acme", "4", 12 * 1024), "");
}

TEST(Ledger, ManyThatEndAtOnceEndInSeveralTurns) {
  Box b;
  for (int i = 0; i < 600; ++i) {
    b.submit(std::to_string(i), kQueued, "d" + std::to_string(i));
    b.turn();
  }
  b.time += 60'000;
  int turns = 0;
  for (; b.ledger->next_due() <= b.at().now && turns < 10; ++turns) {
    b.ledger->expire(b.at());
    b.turn();
  }
  EXPECT_EQ(b.ledger->open(), 0u);
  EXPECT_EQ(b.outcomes.size(), 600u);
  EXPECT_GT(turns, 1);
}

TEST(Ledger, ADeviceThatTakesNothingIsTriedMoreAndMoreRarely) {
  Box b;
  b.device_online("gate");
  b.ask("1", {.delivery = Delivery::queued, .ttl_ms = 86'400'000, .result_ms = 10'000});
  const std::int64_t begin = b.time;
  while (b.time < begin + 3'600'000) {
    b.word("1", static_cast<std::uint32_t>(b.handed.size()), Fate::dropped, "not_subscribed");
    b.time = b.ledger->next_due().ms;
    b.ledger->expire(b.at());
    b.turn();
  }
  EXPECT_GT(b.handed.size(), 30u);
  EXPECT_LT(b.handed.size(), 60u);
}

// A tag is known to an edge until its fate is taken, which may be after the command's outcome.
TEST(Ledger, NoIdChoosesTheTagOfAnotherCommand) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  const std::uint64_t before = b.find("1")->serial;
  Box other;
  other.device_online("gate");
  other.ask("1", kImmediate);
  EXPECT_NE(other.find("1")->serial, before);
  EXPECT_FALSE(is_refusal(*b.find("1")));
}

TEST(Ledger, ACommandThatWaitsExpires) {
  Box b;
  b.ask("1", kQueued);
  b.time += 60'000;
  EXPECT_LE(b.ledger->next_due(), base::Instant{b.time});
  b.ledger->expire(b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::expired});
  b.device_online("gate");
  b.turn();
  EXPECT_TRUE(b.handed.empty());
}

TEST(Ledger, AResultOfAnotherDeviceIsNotTaken) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.ledger->result("acme", "1", "other", good(), b.at());
  b.ledger->result("evil", "1", "gate", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty());
}

// A vendor whose answers have no id: they are those of the one command of their type.
TEST(Ledger, AnAnswerWithoutAnIdIsThatOfTheOneCommandOfItsType) {
  Box b;
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.device_online("gate");
  b.ask("q1", kQueued);
  b.ledger->result("acme", "~close", "gate", good(), b.at());
  b.ledger->result("acme", "~open", "other", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty()) << "of another type, of another device";
  b.ask("q2", kQueued);
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.commit();
  EXPECT_TRUE(b.outcomes.empty()) << "which of the two?";
  b.ledger->result("acme", "q2", "gate", good(), b.at());
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["q1"], std::vector{Outcome::succeeded});
  b.ledger->result("acme", "~open", "gate", good(), b.at());
  EXPECT_EQ(b.late, 0) << "nobody's";
}

TEST(Ledger, D6_ALateResultIsKeptBesideTheOutcomeOnce) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.time += 2000;
  b.ledger->expire(b.at());
  b.commit();
  EXPECT_EQ(b.outcomes["1"], std::vector{Outcome::uncertain});
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.late, 1);
  EXPECT_EQ(b.outcomes["1"].size(), 1u);
  const auto e = b.find("1");
  EXPECT_EQ(e->command.outcome, Outcome::uncertain);
  EXPECT_EQ(e->command.late_result.outcome, Outcome::succeeded);
}

TEST(Ledger, ALateResultIsNotLostWhileTheStoreCannotBeRead) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.time += 2000;
  b.ledger->expire(b.at());
  b.commit();
  b.store_fails = true;
  b.ledger->result("acme", "1", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.late, 0);
  b.store_fails = false;
  b.time += 999;
  EXPECT_GT(b.ledger->next_due(), b.at().now);
  b.time += 1;
  EXPECT_LE(b.ledger->next_due(), b.at().now);
  b.ledger->expire(b.at());
  b.turn();
  EXPECT_EQ(b.late, 1);
  EXPECT_EQ(b.ledger->next_due(), base::kNever);
  EXPECT_EQ(b.find("1")->command.late_result.outcome, Outcome::succeeded);
}

// Nobody says when a device goes for which no command waits.
TEST(Ledger, ADesiredStateDoesNotHideThatItsDeviceHasGone) {
  Box b;
  b.device_online("gate");
  b.ask("hold", {.delivery = Delivery::desired, .ttl_ms = 1000, .result_ms = 1000});
  b.device_offline("gate");
  b.ask("list", kQueued);
  EXPECT_TRUE(b.handed.empty());
  EXPECT_EQ(b.find("list")->command.state, State::waiting);
  b.device_online("gate");
  b.commit();
  EXPECT_EQ(b.handed, Handed{"list#1"});
}

TEST(Ledger, ACommandIsNotCalledUnknownWhileTheStoreCannotBeRead) {
  Box b;
  b.store_fails = true;
  EXPECT_FALSE(b.find("1"));
  int status = 0;
  b.ledger->cancel("acme", "1", b.at(), [&](const Ledger::Answer& a) { status = a.refusal.status; });
  b.turn();
  EXPECT_EQ(status, 503);
}

TEST(Ledger, AResultThatBelongsToNoCommandIsCountedOnceForAllPartitions) {
  Box b;
  b.device_online("gate");
  b.ask("1", kImmediate);
  b.word("1", 1, Fate::sent);
  b.ledger->result("acme", "1", "other", good(), b.at());
  EXPECT_EQ(b.stray, 1);
  b.ledger->result("acme", "2", "gate", good(), b.at());
  b.turn();
  EXPECT_EQ(b.stray, 2);
  b.ledger->result("acme", "3", "gate", good(), b.at(), true);
  b.turn();
  EXPECT_EQ(b.stray, 2) << "the command may be another partition's";
}

TEST(Ledger, ResultsThatTheStoreCannotBeAskedForAreBounded) {
  Box b({.late_max = 3});
  b.store_fails = true;
  for (int i = 0; i < 100; ++i) {
    for (int id = 0; id < 10; ++id)
      b.ledger->result("acme", "made-up" + std::to_string(id), "gate", good(), b.at());
    EXPECT_LE(b.reads_waiting(), 3u);
    b.turn();
    b.time += 1000;
    b.ledger->expire(b.at());
  }
}

TEST(Ledger, ResultsOfIdsThatADeviceMakesUpDoNotFloodTheStore) {
  Box b({.late_max = 3});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 10; ++i)
      b.ledger->result("acme", "made-up" + std::to_string(i), "gate", good(), b.at());
    EXPECT_EQ(b.reads_waiting(), 3u);
    b.turn();
  }
}

TEST(Ledger, ACallerMayShortenTheTimeButNotLengthenIt) {
  Box b;
  b.device_online("gate");
  Asked a{.tenant = "acme", .id = "1", .device = "gate"};
  const auto terms_of = [](const Asked&, Terms& t) {
    t = kImmediate;
    return Refusal{};
  };
  a.ttl_ms = 60'000;
  b.ledger->submit(a, terms_of, b.at(),
                   [](const Ledger::Answer& r) { EXPECT_EQ(r.entry->ttl_ms, 2000u); });
  b.turn();
  b.ledger->result("acme", "1", "gate", good(), b.at());
  a.id = "2";
  a.ttl_ms = 500;
  b.ledger->submit(a, terms_of, b.at(), [&](const Ledger::Answer& r) {
    EXPECT_EQ(r.entry->command.deadline, base::Instant{b.time}.plus_ms(500));
  });
  b.turn();
}

TEST(Ledger, AStoreThatCannotBeReadIsNoAcceptance) {
  Box b;
  b.device_online("gate");
  b.store_fails = true;
  EXPECT_STREQ(b.ask("1", kImmediate).refusal.code, "store_unavailable");
  EXPECT_TRUE(b.handed.empty());
}

TEST(Ledger, ItsRecordsStayAsTheyAre) {
  Entry e;
  e.asked = {.tenant = "acme", .id = "1", .device = "gate", .executor = "cam", .child = "c"};
  e.asked.payload = std::string("\0\xff", 2);
  e.asked.slot = "s";
  e.site = "north";
  e.ttl_ms = 7;
  e.command = {.delivery = Delivery::must, .state = State::sent, .deadline = {55}};
  e.command.sent_at = {44};
  e.command.log.push_back({1, State::sent, "x"});
  e.command.has_late_result = true;
  e.command.late_result = good();
  Entry out;
  ASSERT_TRUE(decode(encode(e), out));
  EXPECT_EQ(encode(out), encode(e));
  EXPECT_FALSE(decode("nonsense", out));
}

// D5: the engine dies at any moment, questions are repeated with the same ids, words come late or
// twice. Each accepted command has one outcome, none goes out twice but MUST, and what the outcome
// says is safe to repeat has never been executed.
TEST(Ledger, AtAnyDeathEachCommandHasOneOutcomeAndIsNotExecutedTwice) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    Box b;
    b.device_online("gate");
    std::map<std::string, int> executed;
    std::set<std::string> answered;
    std::size_t seen = 0;
    std::vector<std::string> carried;  // by the dispatcher, which remembers across deaths
    for (int step = 0; step < 60; ++step) {
      const std::string id = std::to_string(random() % 6);
      switch (random() % 9) {
        case 0:
        case 1: {
          const Terms terms = id < "3" ? kImmediate : kQueued;
          b.submit(id, terms, "gate" + id);
          b.device_online("gate" + id);
          break;
        }
        case 2:
        case 3:
          b.turn();
          break;
        case 4:
          b.crash();
          break;
        case 5:
          b.time += random() % 900;
          b.ledger->expire(b.at());
          break;
        case 6:
          b.device_offline("gate" + id);
          break;
        default:
          if (carried.empty()) break;
          const std::string one = carried[random() % carried.size()];
          const std::string of = one.substr(0, one.find('#'));
          const auto attempt =
              static_cast<std::uint32_t>(std::stoul(one.substr(one.find('#') + 1)));
          if (executed.contains(of)) {
            b.word(of, attempt, Fate::sent);
            b.ledger->result("acme", of, "gate" + of, good(), b.at());
          } else if (random() % 2 == 0) {
            b.word(of, attempt, Fate::dropped, "device_offline");
            std::erase(carried, one);
          } else {
            ++executed[of];
            b.word(of, attempt, Fate::sent);
          }
      }
      for (; seen < b.handed.size(); ++seen) carried.push_back(b.handed[seen]);
    }
    for (int i = 0; i < 200; ++i) {
      b.time += 5000;
      b.ledger->expire(b.at());
      b.turn();
    }
    EXPECT_EQ(b.ledger->open(), 0u) << seed;
    for (const auto& [id, outcomes] : b.outcomes) {
      EXPECT_EQ(outcomes.size(), 1u) << seed << " " << id;
      EXPECT_EQ(b.find(id)->command.outcome, outcomes.front()) << seed;
    }
    std::map<std::string, int> handed;
    for (const std::string& one : b.handed) ++handed[one];
    for (const auto& [one, n] : handed) EXPECT_EQ(n, 1) << seed << " " << one;
    for (const auto& [id, n] : executed) {
      EXPECT_EQ(n, 1) << seed << " " << id;
      ASSERT_TRUE(b.find(id)) << seed;
      EXPECT_FALSE(b.find(id)->command.safe_to_repeat())
          << seed << " " << id << " " << name_of(b.find(id)->command.outcome);
    }
  }
}

// What a new engine of a partition hears again (result_router.h).
struct Heard final : Notes {
  std::uint64_t tell(std::uint32_t partition, const pb::Note& note) override {
    EXPECT_EQ(partition, 3u);
    EXPECT_EQ(note.told().number(), 7u);
    ++notes;
    last = note.told().last();
    if (notes == fails) return 0;
    for (const pb::ToldCommand& c : note.told().commands()) ids.insert(c.id());
    return 1;
  }
  int notes = 0;
  int fails = 0;  // this one
  bool last = false;
  std::set<std::string> ids;
};

TEST(Ledger, TellsANewEngineWhatDevicesThereMayStillAnswer) {
  Box b;
  b.device_online("here", 3);
  b.device_online("elsewhere", 4);
  b.ask("1", kQueued, "here");
  b.ask("answered", kQueued, "here");
  b.ask("2", kQueued, "elsewhere");
  b.ask("waits", kQueued, "nowhere");
  b.ledger->result("acme", "answered", "here", good(), b.at());
  const auto told = [&b](std::uint32_t partition) {
    std::set<std::string> ids;
    b.ledger->each_told(partition, [&](const Entry& e) { ids.insert(e.asked.id); });
    return ids;
  };
  EXPECT_EQ(told(3), std::set<std::string>{"1"});
  EXPECT_EQ(told(4), std::set<std::string>{"2"});
  b.turn();
  b.crash();
  EXPECT_EQ(told(3), (std::set<std::string>{"1", "2"})) << "where is not stored";
}

TEST(Ledger, TellsANewEngineInPartsAndAllOrNotTheLast) {
  Box b;
  constexpr int kDevices = ResultRouter::kTellAtOnce + 1;
  for (int i = 0; i < kDevices; ++i) {
    const std::string n = std::to_string(i);
    b.device_online(n, 3);
    b.ask(n, kQueued, n);
  }
  for (const int fails : {0, 1}) {
    Heard heard;
    heard.fails = fails;
    ResultRouter(heard, 0, 8).tell_again(*b.ledger, 3, 7);
    EXPECT_EQ(heard.notes, fails == 0 ? 2 : 1);
    EXPECT_EQ(heard.ids.size(), fails == 0 ? std::size_t{kDevices} : 0u);
    EXPECT_EQ(heard.last, fails == 0) << "a part that is lost leaves it unsure";
  }
}

}  // namespace
}  // namespace berth::platform
