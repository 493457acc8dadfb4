// The states that devices are to keep, and what becomes of them when a device is registered no
// more.
#include "platform/desired.h"

#include <gtest/gtest.h>

#include <map>

namespace berth::platform {
namespace {

struct Box final : Records {
  Box()
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
  std::map<std::string, std::string> stored;
  std::map<std::string, std::string> retained;
  Desired desired;
};

TEST(Desired, WhatARemovedDeviceWasToKeepGoesWithItsRetainedMessage) {
  Box box;
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

TEST(Desired, ADocumentIsAtOneTopicOnlyWhoeverIsToldInTheDevicesPlace) {
  Box box;
  box.hold("h1", "cam", "");
  box.hold("h2", "", "");
  ASSERT_EQ(box.retained.size(), 1u);
  EXPECT_EQ(box.retained.begin()->first, "$tenant/acme/v1/north/gate/desired");
}

}  // namespace
}  // namespace berth::platform
