// The index from principals to their sessions: what it finds while sessions come and go, and what
// it costs.
#include "session/session_table.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "session/core.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using session::Concerned;
using Ids = std::set<std::uint64_t>;

std::string key_of(const std::string& tenant, session::Role role, const std::string& name) {
  return session::Principal{tenant, role, name}.key();
}

// Devices and services of two tenants, each with up to three client ids.
class Population {
 public:
  struct Member {
    std::string tenant;
    std::string user;
    std::string key;
  };
  Population() : s_(-1, options()) {
    for (const std::string tenant : {"acme", "other"}) {
      for (const std::string name : {"a", "b", "c"}) {
        all_.push_back(
            {tenant, tenant + "/d/" + name, key_of(tenant, session::Role::device, name)});
        all_.push_back(
            {tenant, tenant + "/s/" + name, key_of(tenant, session::Role::service, name)});
      }
    }
  }
  void step(std::mt19937& random) {
    const Member& m = all_[random() % all_.size()];
    const std::string client = std::string(1, static_cast<char>('x' + random() % 3));
    const bool kept = random() % 3 != 0;
    const int c = s_.come(
        m.user, client,
        kept ? ConnectOptions{.clean = false, .properties = expiry(600)} : ConnectOptions{});
    if (random() % 2 == 0) s_.w.close(c);
    if (random() % 16 == 0) s_.come("", client, {.clean = false, .properties = expiry(600)});
    if (random() % 32 == 0) s_.w.crash();
  }
  // By looking at each session that there may be.
  template <class F>
  Ids expected(F&& which) {
    Ids out;
    for (const Member& m : all_) {
      for (const char* client : {"x", "y", "z"}) {
        const session::Session* s = s_.w.broker().find_session(m.key + client);
        if (s != nullptr && which(m)) out.insert(s->id.value);
      }
    }
    return out;
  }
  Ids found(const Concerned& who) {
    std::vector<base::SessionId> removed;
    const auto list = s_.w.broker().concerned(who, removed);
    EXPECT_TRUE(removed.empty());
    Ids out;
    for (const base::SessionId id : list)
      EXPECT_TRUE(out.insert(id.value).second) << "a session comes twice";
    return out;
  }
  void check() {
    for (const Member& m : all_) {
      EXPECT_EQ(found({.principals = {m.key}}),
                expected([&m](const Member& x) { return x.key == m.key; }));
    }
    const auto of_acme = [](const Member& x) { return x.tenant == "acme"; };
    EXPECT_EQ(found({.tenants = {"acme"}}), expected(of_acme));
    EXPECT_EQ(found({.tenants = {"acme"}, .principals = {all_[0].key}}), expected(of_acme));
    EXPECT_EQ(found({.everybody = true}), expected([](const Member&) { return true; }));
    EXPECT_EQ(found({.principals = {key_of("acme", session::Role::device, "nobody")}}), Ids{});
    std::size_t anonymous = 0;
    for (const char* client : {"x", "y", "z"})
      anonymous += s_.w.broker().find_session(client) != nullptr ? 1 : 0;
    EXPECT_EQ(s_.w.broker().under_access().size(), anonymous);
  }

 private:
  static session::BrokerOptions options() {
    session::BrokerOptions o;
    o.holdings.per_device = 2;
    return o;
  }
  Site s_;
  std::vector<Member> all_;
};

TEST(SessionTable, FindsTheSessionsOfAPrincipalWhileTheyComeAndGo) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Population p;
    for (int i = 0; i < 60; ++i) {
      p.step(random);
      p.check();
    }
  }
}

// What an ended member of a shared subscription has left goes with its service.
TEST(SessionTable, FindsWhatIsLeftOfAnEndedSession) {
  session::BrokerOptions o;
  o.holdings.per_account = 1;
  Site s(-1, o);
  const int a = s.come("acme/s/p", "a", {.clean = false, .properties = expiry(600)});
  s.w.feed(a, subscribe(1, "$share/g/v1/#", 1));
  s.w.close(a);
  const int cam = s.come("acme/d/cam", "cam");
  s.w.feed(cam, publish("v1/event/x", "1", 1, 1));
  s.w.close(cam);
  s.w.hold_commits(true);
  s.w.advance_s(601);
  ASSERT_EQ(s.w.broker().session_count(), 1u) << "its message waits for another member";
  std::vector<base::SessionId> removed;
  const std::string key = key_of("acme", session::Role::service, "p");
  EXPECT_EQ(s.w.broker().concerned({.principals = {key}}, removed).size(), 1u);
  EXPECT_FALSE(s.w.ended(s.come("acme/s/p", "b"))) << "it does not count as a session any more";
  s.w.hold_commits(false);
  s.book.gone.insert(key);
  s.review({.principals = {key}, .removed_principals = {key}});
  EXPECT_EQ(s.w.broker().session_count(), 0u);
}

// -- what it costs

double cpu_s() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

template <class F>
double least_cpu_s(F&& f) {
  double least = 1e9;
  for (int i = 0; i < 20; ++i) {
    const double from = cpu_s();
    f();
    least = std::min(least, cpu_s() - from);
  }
  return least;
}

// Ten questions about one device of 20,000 cost less than one look at all sessions.
TEST(SessionTable, LooksAtNoSessionOfAnotherPrincipal) {
  constexpr int kDevices = 20'000;
  World effects;
  metrics::EngineProbe probe;
  session::Context cx({}, effects, probe);
  session::TenantUsage usage(cx);
  session::Holdings holdings({});
  session::SessionTable table(cx, usage, holdings);
  const auto device = [](int i) {
    return key_of("acme", session::Role::device, "cam-" + std::to_string(i));
  };
  for (int i = 0; i < kDevices; ++i) {
    const std::string key = device(i);
    table.hold(table.make_new(key + "c"), key);
  }
  const std::string one = device(77);
  int looked = 0;
  table.each_of(one, [&](const session::Session& s) {
    ++looked;
    EXPECT_EQ(s.client_id, one + "c");
  });
  EXPECT_EQ(looked, 1);
  const double own = least_cpu_s([&] {
    for (int i = 0; i < 10; ++i) table.each_of(one, [&](const session::Session&) { ++looked; });
  });
  const double all = least_cpu_s([&] {
    for (const session::Session* s : table.all()) looked += s->peer == 0 ? 1 : 0;
  });
  EXPECT_LT(own, all);
  EXPECT_GT(looked, kDevices);
}

}  // namespace
}  // namespace berth::test
