// A gateway with one uplink, `up`, and a platform that takes what it is offered.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "session/uplinks.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {

using session::UplinkPlan;
using session::UplinkRank;
using session::UplinkState;
using Payloads = std::vector<std::string>;

// Has what it was offered done at the end of each turn, unless it is slow.
class Platform final : public session::UplinkSink {
 public:
  struct Offer {
    std::size_t uplink = 0;
    std::uint32_t generation = 0;
    std::uint64_t seq = 0;
    std::string payload;
  };
  bool offer(const session::UplinkOffer& o, const session::MessageView& m) override {
    if (m.payload == "unsendable") return false;
    offers.push_back({o.uplink, o.generation, o.seq, std::string(m.payload)});
    all.push_back(std::string(m.payload));
    ids.push_back(o.seq);
    if (o.replay) replayed.push_back(std::string(m.payload));
    return true;
  }
  void finish(session::Broker& b, base::Instant now) {
    for (const Offer& o : std::exchange(offers, {})) {
      if (refuses.contains(o.payload)) {
        b.uplinks().refused(o.uplink, o.generation,
                            {.seq = o.seq, .why = "no", .topic = "t", .bytes = o.payload.size()},
                            now);
      } else {
        b.uplinks().done(o.uplink, o.generation, o.seq);
      }
    }
    b.uplinks().finish();
  }
  // In the order in which they came first.
  Payloads firsts() const {
    Payloads out;
    std::set<std::string> seen;
    for (const std::string& p : all) {
      if (seen.insert(p).second) out.push_back(p);
    }
    return out;
  }
  std::vector<Offer> offers;  // not done
  Payloads all;
  Payloads replayed;
  std::vector<std::uint64_t> ids;
  std::set<std::string> refuses;
};

class Place {
 public:
  explicit Place(int crash_at = -1, UplinkPlan plan = {.name = "up", .filters = {"#"}})
      : w({}, crash_at), plan_(std::move(plan)) {
    w.before_serving([this] { begin(); });
    w.each_turn([this] {
      if (!slow) up.finish(w.broker(), w.now());
    });
    begin();
  }
  void begin() {
    up.offers.clear();  // the sink ends with its engine
    w.broker().uplinks().plan({plan_}, &up);
    w.broker().uplinks().use(0, ready);
  }
  session::UplinkQueue& queue() { return *w.broker().uplinks().find("up"); }
  // One message each.
  void say(int c, const Payloads& all) {
    for (const std::string& m : all) w.feed(c, publish("t", m, 1, ++packet_id_));
    w.run();
  }
  UplinkState state() { return w.broker().uplinks().states(w.now()).at(0); }

  World w;
  Platform up;
  bool slow = false;
  bool ready = true;

 private:
  std::uint16_t packet_id_ = 0;
  UplinkPlan plan_;
};

}  // namespace berth::test
