// The rooms of the core with nothing around them: what they ask of the shell and say to clients is
// noted, commits are done when the test says so. For tests of single rooms; World has the rest.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/probe.h"
#include "session/client_port.h"
#include "session/context.h"
#include "session/core.h"
#include "session/effects.h"

namespace berth::test {

using Strings = std::vector<std::string>;

class NotedEffects final : public session::Effects {
 public:
  struct Cookie {
    base::ConnId conn;
    protocol::link::CookieSlot slot;
    std::string bytes;
  };
  struct Load {
    base::SessionId session;
    std::uint64_t from = 0;
    std::uint64_t ticket = 0;
  };
  std::vector<base::ConnId> resumed;
  std::vector<std::pair<base::ConnId, protocol::link::CloseReason>> closed;
  struct Taken {
    base::ConnId conn;
    std::uint64_t tag = 0;
    protocol::link::Fate fate{};
  };
  std::vector<Taken> taken;
  std::vector<base::ConnId> released;
  std::vector<Cookie> cookies;
  std::vector<Load> loads;
  std::string sent;
  std::uint64_t turn = 1;
  bool takes_output = true;
  bool takes_timed = true;  // send_until()
  bool watches_all = true;
  bool has_all_slots = true;

  void send(base::ConnId, std::string_view head, std::string_view tail) override {
    sent.append(head).append(tail);
  }
  bool send_until(base::ConnId c, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline&) override {
    if (!takes_timed) return false;
    send(c, head, tail);
    return true;
  }
  void told_taken(base::ConnId c, std::uint64_t tag, protocol::link::Fate fate) override {
    taken.push_back({c, tag, fate});
  }
  bool watches(base::ConnId) override { return watches_all; }
  std::uint64_t turn_of(base::ConnId) override { return turn; }
  void acknowledge(base::ConnId, std::uint64_t) override {}
  void cookie(base::ConnId c, protocol::link::CookieSlot s, std::string bytes) override {
    cookies.push_back({c, s, std::move(bytes)});
  }
  bool keeps(base::ConnId, protocol::link::CookieSlot s) override {
    return has_all_slots || s != protocol::link::CookieSlot::subscriptions;
  }
  void connected(base::ConnId, const protocol::link::EdgeSettings&) override {}
  void close(base::ConnId c, protocol::link::CloseReason why) override {
    closed.emplace_back(c, why);
  }
  void release(base::ConnId c) override { released.push_back(c); }
  void resume(base::ConnId c) override { resumed.push_back(c); }
  bool writable(base::ConnId) override { return takes_output; }
  void authenticate(base::ConnId, session::AuthRequest) override {}
  void load_queue(base::SessionId s, std::uint64_t from, std::size_t, std::size_t,
                  std::uint64_t ticket) override {
    loads.push_back({s, from, ticket});
  }
};

// What clients are told, a line each: "deliver t m q1 #1 dup", "ack puback #7 0", "farewell 97".
class NotedClients final : public session::ClientPort {
 public:
  Strings said;
  bool takes = true;  // false: deliver() says that the client can't take it

  Strings take() { return std::exchange(said, {}); }
  void restore(session::Channel&, std::uint8_t, std::uint8_t, std::string_view) override {}
  std::uint8_t level(const session::Channel&) const override { return 5; }
  void refuse(session::Channel&, protocol::mqtt::Version, protocol::mqtt::Reason reason,
              session::Quota, std::string_view, session::ComeBack) override {
    said.push_back("refuse " + hex(reason));
  }
  void bound(session::Channel&, session::Session&, bool, base::Instant) override {}
  bool accept(session::Channel&, bool present, base::Instant) override {
    said.push_back(present ? "accept present" : "accept");
    return true;
  }
  void acknowledge(session::Channel&, protocol::mqtt::PacketType type, std::uint32_t id,
                   protocol::mqtt::Reason reason, session::Quota, const char* text) override {
    said.push_back("ack " + std::to_string(static_cast<int>(type)) + " #" + std::to_string(id) +
                   " " + hex(reason) + (text != nullptr ? std::string(" ") + text : ""));
  }
  void farewell(session::Channel&, protocol::mqtt::Reason reason, std::string_view text) override {
    said.push_back("farewell " + hex(reason) + (text.empty() ? "" : " " + std::string(text)));
  }
  bool deliver(session::Channel&, const session::MessageView& m, std::uint8_t qos, bool retain,
               bool dup, std::uint16_t packet_id, const std::vector<std::uint32_t>*,
               base::Instant) override {
    if (!takes) return false;
    said.push_back("deliver " + std::string(m.topic) + " " + std::string(m.payload) + " q" +
                   std::to_string(qos) + (qos != 0 ? " #" + std::to_string(packet_id) : "") +
                   (retain ? " retained" : "") + (dup ? " dup" : ""));
    return true;
  }
  bool deliver_until(session::Channel&, const session::MessageView& m,
                     const protocol::link::Deadline& d, base::Instant) override {
    if (!takes) return false;
    said.push_back("deliver " + std::string(m.topic) + " " + std::string(m.payload) + " until " +
                   std::to_string(d.not_after.ms));
    return true;
  }

 private:
  static std::string hex(protocol::mqtt::Reason r) {
    static constexpr char kDigits[] = "0123456789abcdef";
    const auto b = static_cast<unsigned>(r);
    return {kDigits[b >> 4], kDigits[b & 15]};
  }
};

// A write as a line: "put_session 3", "append 3 7", "put_applied KEY VALUE".
inline std::string line_of(const session::Write& w) {
  static const char* const kNames[] = {"put_session",     "delete_session", "append",
                                       "remove",          "remove_through", "put_received",
                                       "remove_received", "put_retained",   "remove_retained",
                                       "put_applied",     "remove_applied", "put_record",
                                       "remove_record"};
  std::string line = kNames[static_cast<std::size_t>(w.kind)];
  if (w.session.value != 0) line += " " + std::to_string(w.session.value);
  if (w.seq != 0) line += " " + std::to_string(w.seq);
  if (!w.key.empty()) line += " " + std::string(w.key);
  return line;
}

class CoreBox {
 public:
  explicit CoreBox(session::BrokerOptions options = {}, bool replay = true)
      : cx(with(std::move(options), replay), effects, probe), core(cx, nullptr, ports) {}

  base::Instant now{1'700'000'000'000};
  NotedEffects effects;
  metrics::EngineProbe probe;
  NotedClients clients;
  session::Ports ports{clients, clients};
  session::Context cx;
  session::Core core;

  // A connection before its CONNECT.
  session::Channel& connection(std::uint32_t slot, std::uint32_t link = 0) {
    session::Channel& ch = core.connections.make(base::ConnId{slot, 1}.on_link(link));
    ch.port = &clients;
    ch.version = protocol::mqtt::Version::v5;
    return ch;
  }
  // A connection that is live, with a session of its own. `expiry_s` 0: the session is not stored.
  session::Channel& client(const std::string& client_id, std::uint32_t expiry_s = 0,
                           std::uint32_t link = 0) {
    session::Channel& ch = connection(next_slot_++, link);
    session::Session& s = session(client_id, expiry_s);
    s.owner_edge = core.connections.edge_of(ch.conn);
    s.owner_conn = ch.conn.local().packed();
    core.sessions.online(s, ch);
    ch.state = session::Channel::State::live;
    ch.connack_sent = true;
    return ch;
  }
  // One that is offline.
  session::Session& session(const std::string& client_id, std::uint32_t expiry_s = 0) {
    session::Session& s = core.sessions.make_new(client_id);
    s.expiry_s = expiry_s;
    s.epoch = 1;
    s.stored = expiry_s != 0;
    return s;
  }
  // Lines of what stands in the batch, which is committed.
  Strings commit() {
    Strings lines;
    core.commits.hurry();
    const auto batch = core.commits.seal();
    if (!batch) return lines;
    for (std::size_t i = 0; i < batch->size(); ++i) lines.push_back(line_of((*batch)[i]));
    core.commits.committed({}, now);
    return lines;
  }

 private:
  static session::BrokerOptions with(session::BrokerOptions o, bool replay) {
    o.edge_ids = {77, 78};
    o.replay = replay;
    o.sys_interval_s = 0;
    return o;
  }
  std::uint32_t next_slot_ = 0;
};

inline session::MessageView message(std::string_view topic, std::string_view payload,
                                    std::uint8_t qos = 0) {
  return {.topic = topic, .payload = payload, .forwarded = {}, .qos = qos};
}

}  // namespace berth::test
