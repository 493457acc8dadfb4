// What a Broker needs around it to be measured alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "front/broker.h"

namespace berth::bench {

// Swallows what the Broker asks for.
class NoEdge : public session::Effects {
 public:
  void send(base::ConnId, std::string_view head, std::string_view tail) override {
    bytes += head.size() + tail.size();
  }
  bool send_until(base::ConnId c, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline&) override {
    send(c, head, tail);
    return true;
  }
  void told_taken(base::ConnId, std::uint64_t, protocol::link::Fate) override {}
  std::uint64_t turn_of(base::ConnId) override { return 0; }
  void acknowledge(base::ConnId, std::uint64_t) override {}
  void cookie(base::ConnId, protocol::link::CookieSlot, std::string) override {}
  void connected(base::ConnId, const protocol::link::EdgeSettings&) override {}
  void close(base::ConnId, protocol::link::CloseReason) override {}
  void release(base::ConnId) override {}
  void resume(base::ConnId c) override { broker->rested(c); }
  bool writable(base::ConnId) override { return true; }
  void authenticate(base::ConnId c, session::AuthRequest) override {
    broker->authenticated(c, {}, {1});
  }
  void load_queue(base::SessionId, std::uint64_t, std::size_t, std::size_t,
                  std::uint64_t) override {}
  session::Broker* broker = nullptr;
  std::size_t bytes = 0;
};

// A Broker that serves.
struct Serving {
  Serving() {
    edge.broker = &broker;
    broker.attached_all({1});
  }
  static session::BrokerOptions options() {
    session::BrokerOptions o;
    o.sys_interval_s = 0;
    return o;
  }
  void say(std::uint32_t slot, const std::string& bytes) {
    broker.input({slot, 1}, base::as_bytes(bytes), {1});
  }
  void come(std::uint32_t slot, const std::string& bytes) {
    broker.attach({.conn = {slot, 1}, .loopback = true}, {1});
    say(slot, bytes);
    broker.end_turn({1});
  }
  NoEdge edge;
  metrics::EngineProbe probe;
  session::Broker broker{options(), edge, nullptr, probe};
};

}  // namespace berth::bench
