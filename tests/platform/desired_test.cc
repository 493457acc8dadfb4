// The states that devices are to keep, and what becomes of them when a device is registered no
// more.
#include "platform/desired.h"

#include <gtest/gtest.h>

#include <map>

#include "platform/platform.pb.h"

namespace berth::platform {
namespace {

struct DesiredBox final : Records {
  DesiredBox()
      : desired(*this, [this](const std::string& topic, const std::string& document) {
          retained[topic] = document;
          if (document.empty()) retained.erase(topic);
        }) {}
  void put(std::string_view key, std::string_view value) override {
    stored.insert_or_assign(std::string(key), std::string(value));
  }
  void remove(std::string_view key) override { stored.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {1000}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  void hold(const std::string& id, const std::string& executor, const std::string& child) {
    Entry e;
    e.asked.tenant = "acme";
    e.asked.id = id;
    e.asked.device = "gate";
    e.asked.executor = executor;
    e.asked.child = child;
    e.asked.type = "hold";
    e.site = "north";
    e.executor_site = "north";
    std::string replaced;
    desired.set(e, 1000, replaced);
  }
  static Entry state(const std::string& device, const std::string& id, const std::string& type,
                     const std::string& site = "north") {
    Entry e;
    e.asked.tenant = "acme";
    e.asked.id = id;
    e.asked.device = device;
    e.asked.type = type;
    e.site = e.executor_site = site;
    return e;
  }
  void set(const Entry& e, std::int64_t wall_ms) {
    std::string replaced;
    desired.set(e, wall_ms, replaced);
  }
  // "gate 1000 not hold; ", of the devices that are asked for; " ..." if there is more.
  std::string list(pb::DesiredQuestion q = {}, const std::string& not_wanted = {}) const {
    q.set_tenant("acme");
    if (q.limit() == 0) q.set_limit(100);
    pb::DesiredAnswer a;
    EXPECT_TRUE(a.ParseFromString(desired.list(
        q.SerializeAsString(), [&](const std::string& d) { return d != not_wanted; })));
    std::string all;
    for (const auto& d : a.devices()) {
      all += d.name() + " " + std::to_string(d.since_ms()) + (d.in_step() ? "" : " not");
      for (const std::string& name : d.open()) all += " " + name;
      all += "; ";
    }
    return all + (a.more() ? a.looked() + " ..." : "");
  }
  std::map<std::string, std::string> stored;
  std::map<std::string, std::string> retained;
  Desired desired;
};

TEST(Desired, WhatARemovedDeviceWasToKeepGoesWithItsRetainedMessage) {
  DesiredBox box;
  box.hold("h1", "cam", "relay");
  ASSERT_EQ(box.retained.size(), 1u);
  EXPECT_EQ(box.retained.begin()->first, "$tenant/acme/v1/north/cam/sub/relay/desired");
  std::string all;
  box.desired.each([&](std::string_view tenant, std::string_view device) {
    all.append(tenant).append("/").append(device);
  });
  EXPECT_EQ(all, "acme/gate");
  EXPECT_EQ(box.desired.removed("acme", "other"), std::vector<std::string>{});
  EXPECT_EQ(box.desired.removed("acme", "gate"), std::vector<std::string>{"h1"});
  EXPECT_TRUE(box.retained.empty());
  EXPECT_TRUE(box.stored.empty());
  EXPECT_EQ(box.desired.devices(), 0u);
}

TEST(Desired, DevicesThatAreNotInStepAreListed) {
  DesiredBox box;
  box.set(DesiredBox::state("b", "1", "hold"), 1000);
  box.set(DesiredBox::state("b", "2", "light"), 2000);
  box.set(DesiredBox::state("a", "3", "hold", "south"), 3000);
  box.set(DesiredBox::state("c", "4", "hold"), 4000);
  box.desired.reported(DesiredBox::state("c", "4", "hold"));
  EXPECT_EQ(box.list(), "a 3000 not hold; b 1000 not hold light; c 4000; ");
  EXPECT_EQ(box.desired.not_in_step(), 2u);
  // The newer part only: the older one is not applied yet, whatever the newest version is.
  box.desired.reported(DesiredBox::state("b", "2", "light"));
  pb::DesiredQuestion q;
  q.set_step(pb::DesiredQuestion::NOT_IN_STEP);
  EXPECT_EQ(box.list(q), "a 3000 not hold; b 1000 not hold; ");
  EXPECT_NE(box.desired.document("acme", "b", [](const std::string&) { return true; })
                .find(R"("in_step":false)"),
            std::string::npos);
  q.add_sites("north");
  EXPECT_EQ(box.list(q), "b 1000 not hold; ");
  EXPECT_EQ(box.list(q, "b"), "");
  q.clear_sites();
  q.set_from_ms(1001);
  EXPECT_EQ(box.list(q), "a 3000 not hold; ");
  q.set_from_ms(1000);
  q.set_to_ms(3000);
  EXPECT_EQ(box.list(q), "b 1000 not hold; ");
  q.Clear();
  q.set_step(pb::DesiredQuestion::IN_STEP);
  EXPECT_EQ(box.list(q), "c 4000; ");
  q.Clear();
  q.set_limit(2);
  EXPECT_EQ(box.list(q), "a 3000 not hold; b 1000 not hold; b ...");
  q.set_after("b");
  EXPECT_EQ(box.list(q), "c 4000; ");
  // What has no part any more waits for nothing.
  box.desired.clear(DesiredBox::state("a", "3", "hold"), 5000);
  box.desired.reported(DesiredBox::state("b", "1", "hold"));
  EXPECT_EQ(box.desired.not_in_step(), 0u);
  box.set(DesiredBox::state("b", "5", "hold"), 6000);
  EXPECT_EQ(box.desired.not_in_step(), 1u);
  DesiredBox next;
  for (const auto& [key, value] : box.stored) next.desired.restored(key, value);
  EXPECT_EQ(next.list(), box.list());
  EXPECT_EQ(next.desired.not_in_step(), 1u);
  next.desired.removed("acme", "b");
  EXPECT_EQ(next.desired.not_in_step(), 0u);
}

TEST(Desired, OfAnOlderReleaseTheVersionsCount) {
  DesiredBox box;
  pb::DesiredRecord r;
  r.set_version(2000);
  r.set_reported_version(1000);
  for (const char* type : {"hold", "light"}) {
    pb::DesiredPart& p = *r.add_parts();
    p.set_type(type);
    p.set_command_id(type);
    p.set_version(type == std::string("hold") ? 1000 : 2000);
  }
  box.desired.restored(std::string("!s\0acme\0gate", 12), r.SerializeAsString());
  EXPECT_EQ(box.list(), "gate 2000 not light; ");
  box.desired.reported(DesiredBox::state("gate", "light", "light"));
  EXPECT_EQ(box.list(), "gate 2000; ");
}

TEST(Desired, ADocumentIsAtOneTopicOnlyWhoeverIsToldInTheDevicesPlace) {
  DesiredBox box;
  box.hold("h1", "cam", "");
  box.hold("h2", "", "");
  ASSERT_EQ(box.retained.size(), 1u);
  EXPECT_EQ(box.retained.begin()->first, "$tenant/acme/v1/north/gate/desired");
}

// The registry as it is now: "gate" is at `place`.
struct Places final : CommandWays {
  Refusal terms(const Asked&, Terms&) const override { return {}; }
  Part part_of(std::string_view, std::string_view) const override { return place; }
  Place place_of(std::string_view, std::string_view) const override { return place; }
  void each_target(std::string_view, std::string_view,
                   const std::function<bool(std::string_view)>&) const override {}
  std::string read_request(std::string_view, std::int64_t, Asked&) const override { return {}; }
  bool render(const Entry&, std::int64_t, std::int64_t, std::int64_t, Rendered&) const override {
    return false;
  }
  Place place;
};

TEST(Desired, FollowsItsDevice) {
  DesiredBox box;
  box.hold("1", "cam", "left");
  ASSERT_EQ(box.retained.count("$tenant/acme/v1/north/cam/sub/left/desired"), 1u);
  Places ways;
  ways.place = {{"cam-2", ""}, "south", "south"};
  std::string after;
  EXPECT_FALSE(box.desired.review("other", after, ways));
  EXPECT_EQ(box.retained.size(), 1u);
  after.clear();
  EXPECT_FALSE(box.desired.review("acme", after, ways));
  EXPECT_EQ(box.retained.size(), 1u) << "not where it was";
  EXPECT_EQ(box.retained.count("$tenant/acme/v1/south/cam-2/desired"), 1u);
  ways.place.executor.clear();
  after.clear();
  EXPECT_FALSE(box.desired.review("", after, ways));
  EXPECT_EQ(box.retained.count("$tenant/acme/v1/south/cam-2/desired"), 1u) << "nobody knows better";
}

TEST(Desired, ManyAreReviewedInSteps) {
  DesiredBox box;
  for (int i = 0; i <= 2 * Desired::kReviewed; ++i) {
    std::string replaced;
    box.desired.set(DesiredBox::state("gate-" + std::to_string(i), "c", "hold"), 1, replaced);
  }
  Places ways;
  ways.place = {{"elsewhere", ""}, "north", "north"};
  std::string after;
  EXPECT_TRUE(box.desired.review("acme", after, ways));
  EXPECT_TRUE(box.desired.review("acme", after, ways));
  EXPECT_FALSE(box.desired.review("acme", after, ways));
  EXPECT_EQ(box.retained.count("$tenant/acme/v1/north/elsewhere/desired"), 1u);
}

}  // namespace
}  // namespace berth::platform
