#include "gateway/engine/packet_traces.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/log_escape.h"
#include "protocol/link/types.h"
#include "session/principal_key.h"

namespace berth::gateway::engine {

namespace json = boost::json;
using session::Session;

namespace {

constexpr std::size_t kSessionsLooked = 200'000;  // sessions, for connections that there are

std::string member(const json::object& q, const char* name) {
  const json::value* const v = q.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::int64_t whole_number(const json::object& q, const char* name) {
  const json::value* const v = q.if_contains(name);
  return v != nullptr && v->is_int64() ? std::max<std::int64_t>(v->get_int64(), 0) : 0;
}

PacketCutter::Protocol cutter_of(const session::Channel& ch) {
  using Protocol = PacketCutter::Protocol;
  if (ch.park) return Protocol::park;
  return ch.v5() ? Protocol::mqtt5 : Protocol::mqtt311;
}

}  // namespace

PacketTraces::Trace* PacketTraces::find(std::string_view id) {
  const auto it =
      std::find_if(traces_.begin(), traces_.end(), [id](const auto& t) { return t->id == id; });
  return it == traces_.end() ? nullptr : it->get();
}

bool PacketTraces::is_of(const Trace& t, const Session& s) {
  const std::string_view principal = session::principal_of(s.client_id);
  const bool registered = session::is_registered(principal);
  if (!t.tenant.empty() && (!registered || session::tenant_of(principal) != t.tenant)) return false;
  if (session::client_id_of(s.client_id) == t.client) return true;
  return registered && session::principal_from(principal).name == t.client;
}

void PacketTraces::open(base::ConnId conn, const std::shared_ptr<Trace>& t) {
  const session::Channel* const ch = broker_.core().connections.find(conn);
  if (ch == nullptr || ch->session == nullptr) return;
  Open& o = open_[conn.packed()];
  if (o.traces.empty()) {
    o.who = session::client_id_of(ch->session->client_id);
    o.in.use(cutter_of(*ch));
    o.out.use(cutter_of(*ch));
  }
  if (std::find(o.traces.begin(), o.traces.end(), t) == o.traces.end()) o.traces.push_back(t);
}

json::object PacketTraces::begin(const json::object& q, base::Instant now) {
  const std::string id = member(q, "trace");
  Trace* known = find(id);
  if (known == nullptr) {
    if (traces_.size() >= kTracesMax) return {{"refused", "8 traces are under way"}};
    auto t = std::make_shared<Trace>();
    t->id = id;
    t->client = member(q, "client");
    t->tenant = member(q, "tenant");
    t->until = now.plus_ms(std::min(whole_number(q, "for_ms"), kLongest_ms));
    traces_.push_back(t);
    known = t.get();
    std::size_t looked = 0;
    for (const Session* s : broker_.core().sessions.all()) {
      if (++looked > kSessionsLooked) break;
      if (s->channel != nullptr && s->peer == 0 && is_of(*t, *s)) open(s->channel->conn, t);
    }
  }
  const auto n = std::count_if(open_.begin(), open_.end(), [known](const auto& o) {
    const auto& all = o.second.traces;
    return std::any_of(all.begin(), all.end(), [known](const auto& t) { return t.get() == known; });
  });
  return {{"connections", n}};
}

json::object PacketTraces::read(const json::object& q, base::Instant now) {
  const Trace* const t = find(member(q, "trace"));
  if (t == nullptr) return {{"unknown", true}};
  const auto after = static_cast<std::uint64_t>(whole_number(q, "after"));
  const std::uint64_t oldest = t->lines.empty() ? t->last + 1 : t->lines.front().number;
  json::array lines;
  for (const Line& l : t->lines) {
    if (l.number <= after) continue;
    if (lines.size() == kReadMax) break;
    lines.push_back({{"number", l.number}, {"at_ms", l.at_ms}, {"text", l.text}});
  }
  return {{"lines", std::move(lines)},
          {"missed", oldest > after + 1 ? oldest - after - 1 : 0},
          {"ends_in_ms", std::max<std::int64_t>(t->until.ms - now.ms, 0)}};
}

void PacketTraces::end(std::string_view id) {
  const auto is = [id](const auto& t) { return t->id == id; };
  for (auto& [conn, o] : open_) std::erase_if(o.traces, is);
  boost::unordered::erase_if(open_, [](const auto& o) { return o.second.traces.empty(); });
  std::erase_if(traces_, is);
}

std::string PacketTraces::ask(std::string_view question, base::Instant now) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  if (ec || !v.is_object()) return "{}";
  const json::object& q = v.get_object();
  const std::string what = member(q, "do");
  if (what == "begin") return json::serialize(begin(q, now));
  if (what == "read") return json::serialize(read(q, now));
  if (what == "end") end(member(q, "trace"));
  return "{}";
}

void PacketTraces::connected(base::ConnId conn, base::Instant now) {
  if (traces_.empty()) return;
  const session::Channel* const ch = broker_.core().connections.find(conn);
  if (ch == nullptr || ch->session == nullptr) return;
  for (const auto& t : traces_) {
    if (is_of(*t, *ch->session)) open(conn, t);
  }
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return;
  std::string text = "connected";
  if (ch->address != base::Address{}) text += " address=" + ch->address.with_port(ch->peer_port);
  say(it->second, text + " keep_alive=" + std::to_string(ch->keep_alive_s), now);
}

void PacketTraces::in(base::ConnId conn, base::ByteView taken, base::Instant now) {
  holding_ = false;
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return say_held(now);
  it->second.in.feed(base::as_text(taken),
                     [&](const std::string& words) { say(it->second, "> " + words, now); });
  say_held(now);
}

void PacketTraces::say_held(base::Instant now) {
  for (const auto& [conn, text] : std::exchange(held_, {})) {
    const auto it = open_.find(conn);
    if (it != open_.end()) say(it->second, text, now);
  }
}

void PacketTraces::out(base::ConnId conn, std::string_view head, std::string_view tail,
                       base::Instant now) {
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return;
  const auto said = [&](const std::string& words) {
    if (holding_ && held_.size() < kLinesMax)
      return (void)held_.emplace_back(conn.packed(), "< " + words);
    say(it->second, "< " + words, now);
  };
  it->second.out.feed(head, said);
  it->second.out.feed(tail, said);
}

void PacketTraces::closed(base::ConnId conn, protocol::link::CloseReason cause, base::Instant now) {
  const auto it = open_.find(conn.packed());
  if (it == open_.end()) return;
  say(it->second, std::string("closed cause=") + protocol::link::name_of(cause), now);
  open_.erase(it);
}

void PacketTraces::tick(base::Instant now) {
  std::vector<std::string> over;
  for (const auto& t : traces_) {
    if (now > t->until) over.push_back(t->id);
  }
  for (const std::string& id : over) end(id);
  // Of an edge that has gone: closed() is not said.
  boost::unordered::erase_if(open_, [this](const auto& o) {
    return broker_.core().connections.find(base::ConnId::from_packed(o.first)) == nullptr;
  });
}

void PacketTraces::say(Open& o, const std::string& text, base::Instant now) {
  fmt::memory_buffer line;
  base::append_printable(line, o.who + " " + text, false);
  const std::string_view whole(line.data(), line.size());
  std::size_t size = std::min(whole.size(), kLineMax);
  while (size < whole.size() && size != 0 &&
         (static_cast<unsigned char>(whole[size]) & 0xc0) == 0x80)
    --size;  // a character
  for (const auto& t : o.traces) {
    if (t->lines.size() == kLinesMax) t->lines.pop_front();
    t->lines.push_back(
        {++t->last, broker_.context().clocks.wall_at(now).ms, std::string(whole.substr(0, size))});
  }
}

}  // namespace berth::gateway::engine
