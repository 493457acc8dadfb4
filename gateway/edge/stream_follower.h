// What an edge knows of a device protocol. A protocol is one class with the functions below (as
// MqttFollower and ParkFollower) and one line in `All` and in the constructor; no other file of the
// edge asks which protocol a connection speaks. A variant in place of an interface: a Connection
// holds its follower by value, and a step of a packet's way costs no virtual call. Part of a
// Connection; the shard's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "gateway/edge/follower_types.h"
#include "gateway/edge/listener.h"
#include "gateway/edge/mqtt_follower.h"
#include "gateway/edge/park_follower.h"

namespace berth::gateway::edge {

class StreamFollower {
 public:
  StreamFollower() = default;  // MQTT
  explicit StreamFollower(Transport t) {
    if (speaks_park(t)) of_.emplace<ParkFollower>();
  }

  // -- boundaries of packets
  // Follows the next bytes of the stream; `first`: they are its first. Calls
  // answer(std::string_view) with the answer to each whole heartbeat. False: this is not the
  // protocol. REQUIRES: `in` is not empty.
  template <class Answer>
  bool walk(base::ByteView in, bool first, const StreamFacts& s, Answer&& answer) {
    return std::visit([&](auto& f) { return f.walk(in, first, s, answer); }, of_);
  }
  bool at_boundary() const {
    return std::visit([](const auto& f) { return f.at_boundary(); }, of_);
  }
  // Bytes of a packet that has not come whole, and all it will have (0: none, or not known yet).
  std::size_t unfinished() const {
    return std::visit([](const auto& f) { return f.unfinished(); }, of_);
  }
  std::size_t packet_size() const {
    return std::visit([](const auto& f) { return f.packet_size(); }, of_);
  }
  // REQUIRES: walk() was false for these.
  StreamFault fault(base::ByteView in, bool first) const {
    return std::visit([&](const auto& f) { return f.fault(in, first); }, of_);
  }
  // Half Keep Alives after which a silent device has gone.
  std::uint32_t keep_alive_halves() const {
    return std::visit([](const auto& f) { return std::uint32_t{f.kKeepAliveHalves}; }, of_);
  }

  // -- words; empty: the protocol has none
  // What the edge says first. It stands in front of the device's input too, so whichever engine
  // reads the log-in, now or after a crash, knows what the device was asked.
  std::string greeting(const StreamFacts& s) const {
    return std::visit([&](const auto& f) { return f.greeting(s); }, of_);
  }
  // What a device is told before its connection is ended.
  std::string farewell(const Farewell& w, const StreamFacts& s) const {
    return std::visit([&](const auto& f) { return f.farewell(w, s); }, of_);
  }
  // What a device is told that has not logged in, and must not. `first`: what it has said.
  std::string refusal(const Farewell& w, const StreamFacts& s, base::ByteView first) const {
    return std::visit([&](const auto& f) { return f.refusal(w, s, first); }, of_);
  }

  // -- input that is kept, which begins where a packet does
  // A log-in of fair size that is known to be incomplete, by its first byte and the bytes so far.
  bool waits_for_more(std::uint8_t first_byte, std::uint64_t in_off) const {
    return std::visit([&](const auto& f) { return f.waits_for_more(first_byte, in_off); }, of_);
  }
  // REQUIRES, these two: `in` is not empty.
  First peek(base::ByteView in, std::string& client_id) const {
    return std::visit([&](const auto& f) { return f.peek(in, client_id); }, of_);
  }
  // Appends the answer to a log-in that is too large. False: it takes more bytes to know it.
  bool refuse_large(base::ByteView in, std::string& out) const {
    return std::visit([&](const auto& f) { return f.refuse_large(in, out); }, of_);
  }
  bool has_whole_packet(base::ByteView in) const {
    return std::visit([&](const auto& f) { return f.has_whole_packet(in); }, of_);
  }
  // A whole DISCONNECT or BYE.
  bool has_goodbye(base::ByteView in) const {
    return std::visit([&](const auto& f) { return f.has_goodbye(in); }, of_);
  }

  // -- to another process on this host. False: malformed.
  FollowerPlace save() const {
    return std::visit([](const auto& f) { return f.save(); }, of_);
  }
  bool go_on_from(const FollowerPlace& p) {
    return std::visit([&](auto& f) { return f.go_on_from(p); }, of_);
  }

 private:
  using All = std::variant<MqttFollower, ParkFollower>;
  All of_;
};

}  // namespace berth::gateway::edge
