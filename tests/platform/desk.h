// Commands of a platform in a World: questions in, devices and services of a tenant around the
// Broker.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "platform/commands.h"
#include "platform/platform.pb.h"
#include "tests/support/place.h"

namespace berth::test {

using platform::Delivery;
using platform::Outcome;
namespace pb = platform::pb;

inline const std::string kTopic = "v1/north/gate/command/";

class Desk : private platform::CommandWays, public Place {
 public:
  explicit Desk(session::BrokerOptions options = {}, int crash_at = -1,
                platform::Traces* traces = nullptr)
      : Place(crash_at, options, this, traces) {}
  platform::Commands& commands() { return platform->commands(); }
  platform::CommandQuestions& questions() { return commands().questions(); }
  void pass_s(int s) {
    for (int i = 0; i < s; ++i) {
      w.advance_s(1);
      platform->tick(w.now());
      w.run();
    }
  }

  // -- questions; an answer that has not come has the status 0
  using Answer = std::shared_ptr<pb::CommandAnswer>;
  static std::function<void(std::string)> into(const Answer& a) {
    return [a](const std::string& bytes) { EXPECT_TRUE(a->ParseFromString(bytes)); };
  }
  Answer submit(const std::string& id, const std::function<void(pb::SubmitQuestion&)>& f = {}) {
    pb::SubmitQuestion q;
    q.mutable_command()->set_tenant("acme");
    q.mutable_command()->set_device("gate");
    q.mutable_command()->set_type("open");
    q.mutable_command()->set_id(id);
    q.mutable_command()->set_content(std::string(32, 'c'));
    q.mutable_command()->set_caller("platform");
    if (f) f(q);
    auto a = std::make_shared<pb::CommandAnswer>();
    platform->begin(w.now());
    questions().submit(q.SerializeAsString(), into(a));
    w.run();
    return a;
  }
  using Questions = platform::CommandQuestions;
  Answer ask(void (Questions::*what)(std::string_view, Questions::Answered), const std::string& id,
             const std::string& site = {}, std::uint32_t wait_ms = 0) {
    pb::CommandKey q;
    q.set_tenant("acme");
    q.set_id(id);
    q.set_wait_ms(wait_ms);
    if (!site.empty()) q.add_caller_sites(site);
    auto a = std::make_shared<pb::CommandAnswer>();
    platform->begin(w.now());
    (questions().*what)(q.SerializeAsString(), into(a));
    w.run();
    return a;
  }
  Answer find(const std::string& id, const std::string& site = {}, std::uint32_t wait_ms = 0) {
    return ask(&Questions::find, id, site, wait_ms);
  }
  Answer cancel(const std::string& id, const std::string& site = {}) {
    return ask(&Questions::cancel, id, site);
  }
  std::size_t listed(const std::string& site, const std::string& state = {},
                     const std::string& text = {}) {
    pb::ListQuestion q;
    q.set_tenant("acme");
    q.set_device("gate");
    q.set_count(50);
    q.set_state(state);
    q.set_q(text);
    if (!site.empty()) q.add_caller_sites(site);
    pb::ListAnswer a;
    questions().list(q.SerializeAsString(), [&](const std::string& b) { a.ParseFromString(b); });
    w.run();
    EXPECT_EQ(a.error(), "");
    return static_cast<std::size_t>(a.commands_size());
  }
  // "SUCCEEDED 200", "HANDED " of the command as it stands.
  static std::string state(const Answer& a) {
    const pb::CommandRecord& c = a->command();
    const auto outcome = static_cast<Outcome>(c.outcome());
    return std::string(outcome != Outcome::none
                           ? platform::name_of(outcome)
                           : platform::name_of(static_cast<platform::State>(c.state()))) +
           " " + c.code();
  }
  std::string state(const std::string& id) { return state(find(id)); }

  // -- devices and services
  int gate(const std::string& device = "gate", ConnectOptions o = {}) {
    const int c = come("acme/d/" + device, device, std::move(o));
    w.feed(c, subscribe(1, "v1/cmd/#", 1));
    w.take_bytes(c);
    return c;
  }
  void says(int c, const std::string& id, const std::string& outcome = "EXECUTED") {
    w.feed(c, publish("v1/cmd/" + id + "/res", R"({"outcome":")" + outcome + R"("})", 0));
  }
  int service() {
    const int c = come("acme/s/x", "x", {.clean = false, .properties = expiry(600)});
    w.feed(c, subscribe(1, kTopic + "+/result", 1));
    w.take_bytes(c);
    return c;
  }
  // "ID SUCCEEDED" of each event.
  Texts heard(int c) {
    Texts all;
    for (const std::string& text : got(w, c)) {
      const std::string key = "\"outcome\":\"";
      const std::size_t at = text.find(key) + key.size();
      all.push_back(text.substr(kTopic.size(), text.find('/', kTopic.size()) - kTopic.size()) +
                    " " + text.substr(at, text.find('"', at) - at));
    }
    return all;
  }

  platform::Terms bounds{.delivery = Delivery::immediate, .ttl_ms = 2000, .result_ms = 1000};

 private:
  platform::Refusal terms(const platform::Asked& a, platform::Terms& out) const override {
    if (a.type == "explode") return {422, "unknown_type", "no such type"};
    out = bounds;
    out.site = out.executor_site = "north";
    if (a.ttl_ms != 0) out.ttl_ms = a.ttl_ms;
    return {};
  }
  platform::Part part_of(std::string_view, std::string_view d) const override {
    return {d.starts_with("barrier") ? "gate" : std::string(d), {}};
  }
  void each_target(std::string_view, std::string_view d,
                   const std::function<bool(std::string_view)>& f) const override {
    for (const char* barrier : {"barrier-a", "barrier-b", "barrier-c", "barrier-d"}) {
      if (d == "gate" && !f(barrier)) return;
    }
    f(d);
  }
  std::string read_request(std::string_view, std::int64_t, platform::Asked&) const override {
    return {};
  }
  bool render(const platform::Entry& e, std::int64_t, std::int64_t, std::int64_t,
              platform::Rendered& out) const override {
    out.topic = "$tenant/acme/v1/north/" + platform::addressee(e.asked) + "/cmd/" + e.asked.id +
                "/req/" + e.asked.type;
    out.payload = "{}";
    return true;
  }
};

inline const auto kAdmin = [](pb::SubmitQuestion& q) { q.mutable_command()->set_is_admin(true); };

}  // namespace berth::test
