// Packet traces: what passes between a client and this engine, a line for each packet, for people
// who look for the fault of a device (docs/operations.md, "A trace of one client"). AskKind::trace,
// questions and answers in JSON:
//
//   {"do": "begin", "trace": ID, "client": TEXT, "tenant": TEXT, "for_ms": N}
//     -> {"connections": N}, {"refused": TEXT}; a trace that there is stays as it is
//   {"do": "read", "trace": ID, "after": N}
//     -> {"lines": [{"number", "at_ms", "text"}…], "missed": N, "ends_in_ms": N}, {"unknown": true}
//   {"do": "end", "trace": ID} -> {}
//
// TEXT is a client id, or the name of a device or account. No payload, password or property is
// kept, and what the edge answers itself (PINGREQ) does not come here. The engine's death ends a
// trace.
//
// Limits: kTracesMax traces at a time, of kLongest_ms each; of each the last kLinesMax lines of
// kLineMax bytes, and kReadMax of them in an answer; older ones are `missed`. One thread.
#pragma once

#include <boost/json/object.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "front/broker.h"
#include "gateway/engine/packet_words.h"

namespace berth::gateway::engine {

class PacketTraces {
 public:
  static constexpr std::size_t kTracesMax = 8;
  static constexpr std::int64_t kLongest_ms = 3'600'000;
  static constexpr std::size_t kLinesMax = 2000;
  static constexpr std::size_t kLineMax = 400;
  static constexpr std::size_t kReadMax = 500;
  // The Broker outlives it.
  explicit PacketTraces(session::Broker& broker) : broker_(broker) {}

  std::string ask(std::string_view question, base::Instant now);

  // No connection is traced: the calls below need not be made, but for connected() and tick().
  bool idle() const { return open_.empty(); }
  // A client has logged in.
  void connected(base::ConnId conn, base::Instant now);
  // Around the work on input: what it sends stands behind the packets that have caused it.
  void input_begins() { holding_ = true; }
  void in(base::ConnId conn, base::ByteView taken, base::Instant now);
  void out(base::ConnId conn, std::string_view head, std::string_view tail, base::Instant now);
  void closed(base::ConnId conn, protocol::link::CloseReason cause, base::Instant now);
  void tick(base::Instant now);

 private:
  struct Line {
    std::uint64_t number = 0;
    std::int64_t at_ms = 0;
    std::string text;
  };
  struct Trace {
    std::string id, client, tenant;
    base::Instant until;
    std::deque<Line> lines;
    std::uint64_t last = 0;
  };
  struct Open {
    std::vector<std::shared_ptr<Trace>> traces;
    std::string who;
    PacketCutter in, out;
  };
  Trace* find(std::string_view id);
  static bool is_of(const Trace& t, const session::Session& s);
  boost::json::object begin(const boost::json::object& q, base::Instant now);
  boost::json::object read(const boost::json::object& q, base::Instant now);
  void end(std::string_view id);
  void open(base::ConnId conn, const std::shared_ptr<Trace>& t);
  void say(Open& o, const std::string& text, base::Instant now);
  void say_held(base::Instant now);

  session::Broker& broker_;
  std::vector<std::shared_ptr<Trace>> traces_;
  boost::unordered_flat_map<std::uint64_t, Open> open_;  // by connection
  bool holding_ = false;
  std::vector<std::pair<std::uint64_t, std::string>> held_;  // of a connection; of one call
};

}  // namespace berth::gateway::engine
