// Presence over a store that commits when the test says so, and an engine that dies when it says
// so, on a manual clock.
#include "platform/presence.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <numeric>
#include <optional>

#include "session/scope.h"

namespace berth::platform {
namespace {

class PresenceBox final : public Records, public PresencePorts {
 public:
  PresenceBox() { begin(); }
  // The engine dies: what was not committed is lost. Connections are attached again before the next
  // engine serves.
  void crash(bool edges_too = false) {
    puts_.clear();
    pending_.clear();
    if (edges_too) here_.clear();
    begin();
  }
  void commit() {
    for (auto& [key, value] : puts_) {
      if (value) store_[key] = *value;
      if (!value) store_.erase(key);
    }
    puts_.clear();
    for (auto& e : std::exchange(pending_, {})) told.push_back(e);
  }
  void connect(const std::string& device, std::uint64_t epoch, const std::string& client = "c") {
    Visit v = visit(device, epoch, client);
    const auto id = id_of(device);
    here_[{device, client}] = epoch;
    if (presence->begins(id, epoch)) presence->came(id, v, at());
  }
  void disconnect(const std::string& device, std::uint64_t epoch, Cause cause = Cause::goodbye,
                  const std::string& client = "c") {
    here_.erase({device, client});
    presence->ends(id_of(device));
    presence->left(id_of(device), visit(device, epoch, client), cause, at());
  }
  void pass_s(int s) {
    for (int i = 0; i < s; ++i) {
      clock += 1000;
      while (presence->tell_due(at())) {
      }
    }
    commit();
  }
  At at() const { return {{clock}, 1'700'000'000'000 + clock}; }
  std::vector<std::string> take() { return std::exchange(told, {}); }
  Presence::Id id_of(const std::string& device) const {
    return presence->id_of(session::Principal{"acme", session::Role::device, device}.key());
  }

  std::unique_ptr<Board> board;
  std::unique_ptr<Presence> presence;
  std::vector<std::string> told;
  std::int64_t clock = 1'000'000;
  bool registered = true;
  std::size_t puts = 0;

  std::string site = "north";
  Visit visit(const std::string& device, std::uint64_t epoch, const std::string& client) const {
    Visit v;
    v.tenant = "acme";
    v.site = site;
    v.device = device;
    v.client_id = client;
    v.epoch = epoch;
    return v;
  }

 private:
  void begin() {
    presence.reset();
    board = std::make_unique<Board>(*this);
    presence = std::make_unique<Presence>(PresenceOptions{30, 60}, *this, *this, *board);
    for (const auto& [key, value] : store_) presence->restored(key, value);
    for (const auto& [who, epoch] : here_) {
      const auto id = id_of(who.first);
      if (presence->begins(id, epoch)) late_.push_back({id, visit(who.first, epoch, who.second)});
    }
    presence->attached_all(at());
    for (auto& [id, v] : std::exchange(late_, {})) presence->came(id, v, at());
  }
  void put(std::string_view key, std::string_view value) override {
    ++puts;
    puts_[std::string(key)] = std::string(value);
  }
  void remove(std::string_view key) override { puts_[std::string(key)] = std::nullopt; }
  void when_durable(std::function<void()>) override {}
  base::Instant now() const override { return {clock}; }
  void read(session::RecordRange range, session::Store::RecordsDone done) override {
    std::vector<session::StoredRecord> found;
    if (const auto it = store_.find(range.from); it != store_.end())
      found.push_back({it->first, it->second});
    done(std::move(found));
  }
  void publish(const PresenceEvent& e, std::function<void()> staged) override {
    pending_.push_back(e.visit.device + (e.online ? " online" : " offline ") + name_of(e.cause));
    staged();
  }
  bool is_registered(const Visit&) const override { return registered; }

  std::map<std::string, std::string> store_;
  std::map<std::string, std::optional<std::string>> puts_;
  std::vector<std::string> pending_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> here_;
  std::vector<std::pair<Presence::Id, Visit>> late_;
};

using Strings = std::vector<std::string>;

TEST(Presence, OnlyChangesAreTold) {
  PresenceBox b;
  b.connect("cam", 1);
  b.commit();
  EXPECT_EQ(b.take(), Strings{"cam online"});
  b.disconnect("cam", 1, Cause::keep_alive);
  b.pass_s(29);
  EXPECT_EQ(b.take(), Strings{});
  b.pass_s(1);
  EXPECT_EQ(b.take(), Strings{"cam offline keep_alive"});
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{});
  b.connect("cam", 2);
  b.commit();
  EXPECT_EQ(b.take(), Strings{"cam online"});
}

TEST(Presence, ADeviceThatComesBackInTimeHasNotBeenAway) {
  PresenceBox b;
  b.connect("cam", 1);
  b.pass_s(1);
  b.take();
  const auto since = b.presence->find(b.id_of("cam"))->since_s;
  for (std::uint64_t epoch = 1; epoch < 10; ++epoch) {
    b.disconnect("cam", epoch, Cause::connection_lost);
    b.pass_s(20);
    b.connect("cam", epoch + 1);
    b.pass_s(20);
  }
  EXPECT_EQ(b.take(), Strings{});
  EXPECT_EQ(b.presence->find(b.id_of("cam"))->since_s, since);
  EXPECT_EQ(b.presence->counts().came_back, 9u);
}

TEST(Presence, HowLongTheGatewayHasKeptDevicesAwayIsCounted) {
  PresenceBox b;
  const auto gaps = [&b] {
    const metrics::Histogram& h = b.presence->counts().gaps;
    return std::pair(std::accumulate(h.counts.begin(), h.counts.end(), std::uint64_t{0}), h.sum_us);
  };
  b.connect("cam", 1);
  b.pass_s(1);
  b.disconnect("cam", 1, Cause::connection_lost);
  b.pass_s(5);
  b.connect("cam", 2);
  EXPECT_EQ(gaps().first, 0u) << "its network's doing";
  b.disconnect("cam", 2, Cause::gateway);
  b.pass_s(4);
  b.connect("cam", 3);
  EXPECT_EQ(gaps(), std::pair(std::uint64_t{1}, std::uint64_t{4'000'000}));
  b.disconnect("cam", 3, Cause::gateway);
  b.pass_s(90);
  b.take();
  b.connect("cam", 4);
  EXPECT_EQ(gaps().first, 2u) << "its platform was told meanwhile";
  EXPECT_GE(gaps().second, 93'000'000u);
  b.connect("cam", 5, "another client");
  EXPECT_EQ(gaps().first, 2u) << "it was there";
}

TEST(Presence, TheBoardKnowsADeviceThatHasJustGone) {
  PresenceBox b;
  const auto leaving = [&b](const std::string& site) {
    const Board::Site* const s = b.board->find("acme", site);
    return s == nullptr ? 0u : s->leaving;
  };
  b.connect("cam", 1);
  b.connect("lane", 1);
  b.disconnect("cam", 1, Cause::connection_lost);
  b.disconnect("lane", 1, Cause::connection_lost);
  EXPECT_EQ(leaving("north"), 2u) << "at once, not after 30 s";
  b.connect("lane", 2);
  EXPECT_EQ(leaving("north"), 1u);
  b.presence->moved("acme", "cam", "south", nullptr);
  EXPECT_EQ(leaving("north"), 0u);
  EXPECT_EQ(leaving("south"), 1u);
  b.pass_s(30);
  EXPECT_EQ(leaving("south"), 0u) << "it is offline now";
  EXPECT_EQ(b.board->find("acme", "south")->online, 0u);
  b.disconnect("lane", 2, Cause::connection_lost);
  b.presence->removed("acme", "lane");
  EXPECT_EQ(leaving("north"), 0u);
}

// The end of a connection that has been taken over comes after the beginning of the newer one, or
// before it, on the same edge or another one.
TEST(Presence, ATakenOverConnectionEndsNothing) {
  PresenceBox b;
  b.connect("cam", 1, "old");
  b.connect("cam", 2, "new");
  b.disconnect("cam", 1, Cause::taken_over, "old");
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{"cam online"});
  b.disconnect("cam", 2, Cause::taken_over, "new");
  b.connect("cam", 3, "newest");
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{});
  b.disconnect("cam", 3, Cause::goodbye, "newest");
  b.pass_s(30);
  EXPECT_EQ(b.take(), Strings{"cam offline goodbye"});
}

TEST(Presence, ADeviceIsOnlineWhileAnySessionIs) {
  PresenceBox b;
  b.connect("cam", 1, "a");
  b.connect("cam", 2, "b");
  b.disconnect("cam", 2, Cause::goodbye, "b");
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{"cam online"});
  b.disconnect("cam", 1, Cause::connection_lost, "a");
  b.pass_s(30);
  EXPECT_EQ(b.take(), Strings{"cam offline connection_lost"});
  EXPECT_EQ(b.presence->find(b.id_of("cam"))->epoch, 2u) << "never older than what was told";
}

TEST(Presence, OurRestartIsNoEvent) {
  PresenceBox b;
  b.connect("cam", 1);
  b.pass_s(1);
  b.take();
  const std::size_t puts = b.puts;
  b.crash();
  b.pass_s(200);
  EXPECT_EQ(b.take(), Strings{});
  EXPECT_EQ(b.puts, puts) << "nothing has changed";
}

TEST(Presence, ADeathOfTheEdgeIsAnEventWhenTheDeviceDoesNotComeBack) {
  PresenceBox b;
  b.connect("cam", 1);
  b.connect("lane", 1);
  b.pass_s(1);
  b.take();
  b.crash(true);
  b.pass_s(40);
  b.connect("lane", 2);
  b.pass_s(19);
  EXPECT_EQ(b.take(), Strings{}) << "within the grace for what we have done";
  b.pass_s(1);
  EXPECT_EQ(b.take(), Strings{"cam offline gateway"});
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{});
}

// At each boundary: before and after each commit. An event is told again at most once, and the last
// word is the truth.
TEST(Presence, ACrashAtEachBoundaryLosesNoEvent) {
  for (int boundary = 0; boundary < 8; ++boundary) {
    SCOPED_TRACE(boundary);
    PresenceBox b;
    int at = 0;
    const auto here = [&] {
      if (at++ == boundary) b.crash();
    };
    b.connect("cam", 1);
    here();
    b.commit();
    here();
    b.disconnect("cam", 1, Cause::keep_alive);
    here();
    b.commit();
    here();
    b.clock += 30'000;
    b.presence->tell_due(b.at());
    here();
    b.commit();
    here();
    b.pass_s(100);
    EXPECT_EQ(b.take(), (Strings{"cam online", boundary == 2 ? "cam offline gateway"
                                                             : "cam offline keep_alive"}));
    b.connect("cam", 2);
    here();
    b.commit();
    here();
    b.pass_s(100);
    EXPECT_EQ(b.take(), Strings{"cam online"});
    EXPECT_EQ(b.presence->online(), 1u);
  }
}

TEST(Presence, ARemovedDeviceIsForgottenWithoutAnEvent) {
  PresenceBox b;
  b.connect("cam", 1);
  b.pass_s(1);
  b.take();
  b.presence->removed("acme", "cam");
  b.disconnect("cam", 1, Cause::disabled);
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{});
  EXPECT_EQ(b.presence->known(), 0u);
  b.crash();
  EXPECT_EQ(b.presence->known(), 0u);
}

TEST(Presence, ADeviceThatWasRemovedWhileNoEngineWasThereIsForgotten) {
  PresenceBox b;
  b.connect("cam", 1);
  b.pass_s(1);
  b.take();
  b.registered = false;
  b.crash(true);
  b.pass_s(100);
  EXPECT_EQ(b.take(), Strings{});
  EXPECT_EQ(b.presence->known(), 0u);
}

// What a table of this shape takes of the machine's memory for each device, when it has just grown.
TEST(Presence, ADeviceThatIsMovedIsCountedAtItsNewSiteAlsoByTheNextEngine) {
  PresenceBox b;
  b.connect("cam", 1);
  b.connect("gate", 1);
  b.pass_s(1);
  b.disconnect("cam", 1, Cause::keep_alive);
  b.pass_s(40);
  const auto counted = [&b](const char* site) {
    const Board::Site* s = b.board->find("acme", site);
    std::uint32_t away = 0;
    for (const std::uint32_t n : s == nullptr ? decltype(s->offline)() : s->offline) away += n;
    return std::pair<std::uint32_t, std::uint32_t>(s == nullptr ? 0 : s->online, away);
  };
  using Counted = std::pair<std::uint32_t, std::uint32_t>;
  EXPECT_EQ(counted("north"), Counted(1, 1));
  b.presence->moved("acme", "cam", "south");
  const Visit connected = b.visit("gate", 1, "c");
  b.presence->moved("acme", "gate", "south", &connected);
  b.site = "south";  // of sessions that the next engine restores
  b.presence->moved("acme", "unknown", "south");
  b.commit();
  EXPECT_EQ(counted("north"), Counted(0, 0));
  EXPECT_EQ(counted("south"), Counted(1, 1));
  b.crash();
  EXPECT_EQ(counted("south").second, 1u) << "its record says so";
  b.disconnect("gate", 1, Cause::goodbye);  // its connection was of the site before
  b.pass_s(40);
  EXPECT_EQ(counted("south"), Counted(0, 2));
  b.crash();
  EXPECT_EQ(counted("south"), Counted(0, 2));
  EXPECT_EQ(counted("north"), Counted(0, 0));
}

TEST(Presence, ItTakesLittleMemoryForADevice) {
  boost::unordered_flat_map<Presence::Id, Presence::Known> table;
  std::size_t worst = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    table[i * 0x9e3779b97f4a7c15ULL].here = 0;
    if (i > 1000) {
      const std::size_t slots = table.bucket_count();
      worst = std::max(worst, slots * (sizeof(*table.begin()) + 2) / table.size());
    }
  }
  EXPECT_LE(worst, 64u);
}

}  // namespace
}  // namespace berth::platform
