// What a device hears of a state that it is to keep, and what its platform is told when the state
// is taken back meanwhile: NOT_DELIVERED only if the device has not heard of it and will not.
#include <gtest/gtest.h>

#include "tests/platform/desk.h"

namespace berth::test {
namespace {

struct Holding : Desk {
  explicit Holding(int crash_at = -1) : Desk({}, crash_at) {
    bounds = {.delivery = Delivery::desired, .ttl_ms = 60'000, .result_ms = 10'000};
  }
  // An engine that dies gives no answer: the platform asks again.
  static Answer again(const std::function<Answer()>& ask) {
    Answer a = ask();
    return a->status() == 0 ? ask() : a;
  }
  void hold(const std::string& id, const std::string& mode) {
    const std::string payload = R"({"mode":")" + mode + R"("})";
    EXPECT_EQ(again([&] {
                return submit(id, [&](auto& q) {
                  q.mutable_command()->set_type("hold");
                  q.mutable_command()->set_payload(payload);
                });
              })->status() /
                  100,
              2u);
  }
  int come() {
    return Desk::come("acme/d/gate", "gate", {.clean = false, .properties = expiry(600)});
  }
  // The ids of commands in the documents that it has got, one text a document.
  Texts heard_states(int c) {
    Texts all;
    for (const std::string& text : got(w, c)) {
      std::string ids;
      const std::string key = "\"command_id\":\"";
      for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos;) {
        at += key.size();
        ids += text.substr(at, text.find('"', at) - at) + " ";
      }
      all.push_back(ids);
    }
    return all;
  }
};

void subscribe_to_state(Holding& d, int gate) {
  d.w.feed(gate, subscribe(1, "v1/desired", 1));
}

TEST(DesiredDelivery, WhatIsTakenBackIsNotHeardLater) {
  for (int crash_at = -1; crash_at < 40; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Holding d(crash_at);
    const int gate = d.come();
    subscribe_to_state(d, gate);
    d.w.close(gate);
    d.hold("1", "HOLD_OPEN");
    EXPECT_EQ(d.state(Holding::again([&] { return d.cancel("1"); })), "NOT_DELIVERED cancelled");
    d.hold("2", "HOLD_OPEN");
    d.hold("3", "AUTO");
    EXPECT_EQ(d.state("2"), "NOT_DELIVERED replaced");
    EXPECT_EQ(d.heard_states(d.come()), Texts{"3 "}) << "the newest document, and no older one";
  }
}

// Between its CONNECT and its SUBSCRIBE nobody says that it is there.
TEST(DesiredDelivery, ADeviceThatIsComingMayHaveHeardOfIt) {
  for (const bool goes : {false, true}) {
    SCOPED_TRACE(goes);
    Holding d;
    d.hold("1", "HOLD_OPEN");
    const int gate = d.come();
    subscribe_to_state(d, gate);
    EXPECT_EQ(d.heard_states(gate), Texts{"1 "});
    if (goes) d.w.close(gate);
    EXPECT_EQ(d.state(d.cancel("1")), "UNCERTAIN cancelled");
  }
  Holding there;
  there.come();
  there.hold("1", "HOLD_OPEN");
  EXPECT_EQ(there.state(there.cancel("1")), "UNCERTAIN cancelled") << "it may subscribe meanwhile";
}

TEST(DesiredDelivery, ADevicesCodeIsNotACallersWord) {
  Holding d;
  const int gate = d.gate();
  subscribe_to_state(d, gate);
  d.hold("1", "HOLD_OPEN");
  d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED","code":"cancelled"})", 0));
  EXPECT_EQ(d.state("1"), "SUCCEEDED cancelled");
  EXPECT_EQ(d.cancel("1")->code(), "finished");
  d.w.take_bytes(gate);
  subscribe_to_state(d, gate);
  EXPECT_EQ(d.heard_states(gate), Texts{"1 "}) << "its state is still to be kept";
}

TEST(DesiredDelivery, AStateThatIsReachedLateIsInStep) {
  Holding d;
  const int gate = d.gate();
  d.hold("1", "HOLD_OPEN");
  d.says(gate, "1", "FAILED");
  EXPECT_EQ(d.commands().desired_states().not_in_step(), 1u);
  d.says(gate, "1", "EXECUTED");
  EXPECT_EQ(d.state("1"), "FAILED ");
  EXPECT_EQ(d.commands().desired_states().not_in_step(), 0u);
}

}  // namespace
}  // namespace berth::test
