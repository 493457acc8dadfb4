// A Site whose engine has a Platform beside its Broker, and a service that hears of presence.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "platform/platform.h"
#include "tests/support/tenants.h"

namespace berth::test {

struct Place : Site {
  // `ways` outlives it; null: no commands.
  explicit Place(int crash_at = -1, session::BrokerOptions options = {},
                 const platform::CommandWays* ways = nullptr, platform::Traces* traces = nullptr)
      : Site(crash_at, options) {
    w.before_serving([] {});
    w.on_engine([this] { platform->attached_all(w.now()); });
    w.each_turn([this] { platform->end_turn(w.now()); });
    w.on_broker([this, ways, traces] {
      platform.reset();
      platform = std::make_unique<platform::Platform>(
          w.broker().context(), w.broker().core(),
          [this](session::RecordRange r, session::Store::RecordsDone done) {
            w.store().read_records(std::move(r), std::move(done));
          },
          platform::PlatformOptions{.traces = traces});
      if (ways != nullptr) platform->use(*ways);
      w.broker().use_registry(book);
    });
  }
  void pass_s(int s) {
    for (int i = 0; i < s; ++i) {
      platform->tick(w.now());
      w.advance_s(1);
    }
  }
  int listen() {
    const int c = come("acme/s/back", "back", {.clean = false, .properties = expiry(600)});
    w.feed(c, subscribe(1, "v1/+/+/presence", 1));
    w.take_bytes(c);
    return c;
  }
  // "cam ONLINE", "cam OFFLINE keep_alive", of what came to `c`; acknowledges it.
  Texts heard(int c) {
    Texts all;
    for (const Packet& k : take_publishes(w, c)) {
      const std::string text = k.topic() + " " + k.payload(5);
      const auto part = [&](const std::string& name) {
        const std::string key = "\"" + name + "\":\"";
        const std::size_t at = text.find(key);
        if (at == std::string::npos) return std::string();
        const std::size_t begin = at + key.size();
        return text.substr(begin, text.find('"', begin) - begin);
      };
      std::string said = part("device") + " " + part("state");
      if (!part("cause").empty()) said += " " + part("cause");
      EXPECT_TRUE(text.starts_with("v1/north/" + part("device") + "/presence ")) << text;
      all.push_back(said);
    }
    return all;
  }
  std::unique_ptr<platform::Platform> platform;
};

}  // namespace berth::test
