// The history of devices over a store in memory.
#include "platform/history.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>

#include "platform/history.pb.h"

namespace berth::platform {
namespace {

class HistoryBox final : public Records {
 public:
  explicit HistoryBox(std::int64_t max_bytes = 1 << 30) : options_{max_bytes} { begin(); }
  void begin() {
    history = std::make_unique<History>(options_, *this);
    const auto it = store.find("!hb");
    if (it != store.end()) history->restored(it->second);
  }
  At at() const { return {{clock}, 1'700'000'000'000 + clock}; }
  void add(const std::string& device, const std::string& detail,
           HistoryKind kind = HistoryKind::connected, const std::string& site = "north") {
    history->add(std::hash<std::string>{}(device),
                 {.kind = kind, .tenant = "acme", .site = site, .device = device, .detail = detail},
                 at());
  }
  // "detail detail": the newest first.
  std::string ask(pb::HistoryQuestion q, pb::HistoryAnswer* whole = nullptr) {
    q.set_tenant("acme");
    if (q.limit() == 0) q.set_limit(100);
    pb::HistoryAnswer a;
    // What is in brackets stands for display names.
    const auto is_called = [](std::string_view tenant, std::string_view device,
                              std::string_view text) {
      return tenant == "acme" && ("[" + std::string(device) + "]").find(text) != std::string::npos;
    };
    history->ask(
        q.SerializeAsString(), [&](std::string bytes) { a.ParseFromString(bytes); }, is_called);
    run_reads();
    std::string all;
    for (const auto& e : a.events()) all += (all.empty() ? "" : " ") + e.detail();
    if (whole != nullptr) *whole = a;
    return all;
  }
  std::string of_device(const std::string& device) {
    pb::HistoryQuestion q;
    q.set_device(device);
    return ask(q);
  }
  void run_reads() {
    while (!reads_.empty()) {
      auto f = std::move(reads_.front());
      reads_.pop_front();
      f();
    }
  }
  // As a shell does it each second.
  void tick(int times = 1) {
    for (int i = 0; i < times; ++i) {
      clock += 1000;
      history->tick(at());
      run_reads();
    }
  }
  std::size_t events(const std::string& table) const {
    const auto range = all_of(table + std::string(1, '\0'));
    return static_cast<std::size_t>(
        std::distance(store.lower_bound(range.from), store.lower_bound(range.to)));
  }

  std::unique_ptr<History> history;
  std::map<std::string, std::string> store;
  std::int64_t clock = 1'000'000;

 private:
  void put(std::string_view key, std::string_view value) override {
    store[std::string(key)] = std::string(value);
  }
  void remove(std::string_view key) override { store.erase(std::string(key)); }
  void when_durable(std::function<void()>) override {}
  base::Instant now() const override { return {clock}; }
  void read(session::RecordRange r, session::Store::RecordsDone done) override {
    reads_.push_back([this, r = std::move(r), done = std::move(done)] {
      std::vector<session::StoredRecord> found;
      auto from = store.lower_bound(r.from);
      auto to = store.lower_bound(r.to);
      while (from != to && found.size() < r.count) {
        const auto it = r.newest_first ? --to : from++;
        found.push_back({it->first, it->second});
      }
      done(std::move(found));
    });
  }

  HistoryOptions options_;
  std::deque<std::function<void()>> reads_;
};

TEST(History, TheNewestComesFirstByDeviceAndBySite) {
  HistoryBox b;
  for (const char* d : {"1", "2", "3"}) {
    b.clock += 10;
    b.add("cam", d);
    b.add("lane", std::string("l") + d);
    b.add("far", "f", HistoryKind::connected, "south");
  }
  EXPECT_EQ(b.of_device("cam"), "3 2 1");
  EXPECT_EQ(b.of_device("ca"), "");
  pb::HistoryQuestion q;
  q.set_site("north");
  EXPECT_EQ(b.ask(q), "l3 3 l2 2 l1 1");
  q.set_q("[lan");
  EXPECT_EQ(b.ask(q), "l3 l2 l1") << "by what people call the device";
}

TEST(History, PagesTimesAndTypes) {
  HistoryBox b;
  for (int i = 0; i < 50; ++i) {
    b.clock += 60'000;
    b.add("cam", std::to_string(i), i % 2 == 0 ? HistoryKind::connected : HistoryKind::ended);
  }
  std::vector<std::string> pages;
  pb::HistoryQuestion q;
  q.set_device("cam");
  q.set_limit(7);
  q.add_kinds(static_cast<std::uint32_t>(HistoryKind::ended));
  std::string all;
  for (int n = 0; n < 10; ++n) {
    pb::HistoryAnswer a;
    all += b.ask(q, &a) + " ";
    if (!a.more()) break;
    q.set_to_ms(a.looked_ms());
    q.set_to_number(a.looked_number());
  }
  std::string wanted;
  for (int i = 49; i > 0; i -= 2) wanted += std::to_string(i) + " ";
  EXPECT_EQ(all.substr(0, wanted.size()), wanted);
  pb::HistoryQuestion some;
  some.set_device("cam");
  some.set_from_ms(b.at().wall_ms - 60'000);
  EXPECT_EQ(b.ask(some), "49 48");
}

// An account of some sites is told nothing of events that a device had elsewhere: neither the
// events nor that they are there.
TEST(History, EventsOfOtherSitesAreNotCounted) {
  HistoryBox b;
  b.add("cam", "there", HistoryKind::connected, "south");
  for (const char* detail : {"1", "2"}) b.add("cam", detail);
  b.add("cam", "and there", HistoryKind::connected, "south");
  pb::HistoryQuestion q;
  q.set_device("cam");
  q.add_sites("north");
  q.set_limit(3);
  pb::HistoryAnswer a;
  EXPECT_EQ(b.ask(q, &a), "2 1");
  EXPECT_FALSE(a.more());
}

TEST(History, ADeviceHas500Events) {
  HistoryBox b;
  for (int i = 0; i < 650; ++i) {
    b.clock += 60'000;
    b.add("cam", std::to_string(i));
  }
  EXPECT_EQ(b.events("h"), 650u);
  b.history->trim("acme", "cam");
  b.run_reads();
  EXPECT_EQ(b.events("h"), 500u);
  EXPECT_EQ(b.events("hs"), 500u);
  EXPECT_TRUE(b.of_device("cam").starts_with("649 648 "));
}

TEST(History, WhatIsOldGoesFromAllSites) {
  HistoryBox b;
  for (int i = 0; i < 30; ++i)
    b.add("d" + std::to_string(i), "old", HistoryKind::ended, "s" + std::to_string(i % 7));
  b.clock += History::kKeepMs + 1000;
  for (int i = 0; i < 30; ++i)
    b.add("d" + std::to_string(i), "new", HistoryKind::ended, "s" + std::to_string(i % 7));
  b.tick(200);
  EXPECT_EQ(b.events("h"), 30u);
  EXPECT_EQ(b.events("hs"), 30u);
  EXPECT_EQ(b.of_device("d3"), "new");
}

// Bytes are counted over the death of an engine; above the limit the oldest half of the time goes.
TEST(History, ItStaysWithinItsBytes) {
  HistoryBox b(100'000);
  for (int i = 0; i < 2000; ++i) {
    b.clock += 120'000;
    b.add("d" + std::to_string(i % 100), "event " + std::to_string(i));
    if (i == 1000) {
      b.tick();
      b.begin();
    }
  }
  EXPECT_GT(b.history->bytes(), 200'000);
  b.tick(400);
  EXPECT_LE(b.history->bytes(), 100'000);
  EXPECT_NE(b.events("h"), 0u);
  EXPECT_EQ(b.events("h"), b.events("hs"));
  std::size_t stored = 0;
  for (const auto& [key, value] : b.store)
    if (key[0] == 'h') stored += key.size() + value.size();
  EXPECT_EQ(b.history->bytes(), static_cast<std::int64_t>(stored));
}

TEST(History, ADeviceThatFlapsWritesSomeAndSaysHowManyAreMissing) {
  HistoryBox b;
  b.clock = 60'000;
  for (int i = 0; i < 1000; ++i) b.add("cam", "flap");
  b.add("other", "quiet");
  EXPECT_EQ(b.events("h"), History::kPerMinute + 1);
  b.clock += 60'000;
  b.add("cam", "later");
  pb::HistoryQuestion q;
  q.set_device("cam");
  pb::HistoryAnswer a;
  b.ask(q, &a);
  EXPECT_EQ(a.events(0).left_out(), 1000 - History::kPerMinute);
  EXPECT_EQ(b.of_device("other"), "quiet");
}

TEST(History, AnEventIsSmallWhateverTheDeviceIsCalled) {
  HistoryBox b;
  const std::string name(64, 'x');
  const std::string long_text = std::string(47, 'a') + "\xe8\xbd\xa6\xe9\x81\x93";
  b.history->add(1,
                 {.kind = HistoryKind::ended,
                  .tenant = "acme",
                  .site = "s",
                  .device = "d",
                  .epoch = 1'764'400'000'000,
                  .cause = "connection_lost",
                  .detail = long_text,
                  .client_id = name,
                  .address = "[2001:db8:1:2:3:4:5:6]:65535",
                  .protocol = "mqtt3.1.1"},
                 b.at());
  for (const auto& [key, value] : b.store) EXPECT_LE(value.size(), 200u);
  EXPECT_EQ(b.of_device("d"), std::string(47, 'a')) << "cut between two characters";
}

}  // namespace
}  // namespace berth::platform
