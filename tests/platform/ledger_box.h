// A ledger over a store that commits when the test says so, and dies when it says so.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "platform/ledger.h"

namespace berth::platform {

using session::RecordRange;
using session::StoredRecord;

// The store, the engines and the devices of a ledger, which may die between any two calls.
class LedgerBox final : public Records, public LedgerPorts {
 public:
  explicit LedgerBox(LedgerOptions options = {}) : options_(options) { begin(); }
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
    const std::string key = Ledger::device_key("acme", device);
    online_[key] = partition;
    tell_wanted();
  }
  // Its home hears of it later.
  void comes_untold(const std::string& device) {
    online_[Ledger::device_key("acme", device)] = 0;
  }
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

inline constexpr Terms kImmediate{.delivery = Delivery::immediate, .ttl_ms = 2000, .result_ms = 0};
inline constexpr Terms kQueued{.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
inline constexpr Terms kLatest{.delivery = Delivery::latest, .ttl_ms = 30'000, .result_ms = 10'000};

inline Result good() {
  return {.outcome = Outcome::succeeded, .code = "200"};
}

using Handed = std::vector<std::string>;

}  // namespace berth::platform
