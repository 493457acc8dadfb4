#include "gateway/engine/session_questions.h"

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "session/principal_key.h"
#include "session/quota.h"

namespace berth::gateway::engine {

namespace json = boost::json;
using session::Session;

namespace {

std::string text_of(const json::object& q, const char* name) {
  const json::value* const v = q.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::uint64_t number_of(const json::object& q, const char* name) {
  const json::value* const v = q.if_contains(name);
  if (v != nullptr && v->is_uint64()) return v->get_uint64();
  const bool good = v != nullptr && v->is_int64() && v->get_int64() >= 0;
  return good ? static_cast<std::uint64_t>(v->get_int64()) : 0;
}

const char* protocol_of(const session::Channel& ch) {
  if (ch.park) return "park";
  return ch.v5() ? "mqtt5" : "mqtt311";
}

void put_who(json::object& o, const Session& s) {
  const std::string_view principal = session::principal_of(s.client_id);
  if (session::is_registered(principal)) {
    const session::Principal who = session::principal_from(principal);
    o["tenant"] = who.tenant;
    if (s.account != nullptr && !s.account->site().empty()) o["site"] = s.account->site();
    o[who.role == session::Role::device ? "device" : "account"] = who.name;
  } else if (const auto user = session::proven_user_of(principal); !user.empty()) {
    o["user"] = user;
  }
}

// As its client calls it, but for a device's own topics, which stand behind v1/SITE/DEVICE/.
std::string_view outside(std::string_view filter) {
  if (!filter.starts_with(session::kTenantRoot)) return filter;
  filter.remove_prefix(session::kTenantRoot.size());
  return filter.substr(std::min(filter.find('/'), filter.size() - 1) + 1);
}

class Wanted {
 public:
  explicit Wanted(const json::object& q)
      : tenant_(text_of(q, "tenant")),
        text_(text_of(q, "q")),
        client_id_(text_of(q, "client_id")),
        after_(number_of(q, "after")) {
    if (const json::value* const v = q.if_contains("online"); v != nullptr && v->is_bool())
      state_ = v->get_bool() ? State::online : State::offline;
  }
  const std::string& tenant() const { return tenant_; }
  bool operator()(const Session& s) const {
    if (s.id.value <= after_ || s.internal()) return false;
    const bool online = s.channel != nullptr;
    if (state_ != State::any && online != (state_ == State::online)) return false;
    const std::string_view id = session::client_id_of(s.client_id);
    if (!client_id_.empty() && id != client_id_) return false;
    if (text_.empty() || id.find(text_) != std::string_view::npos) return true;
    const std::string_view principal = session::principal_of(s.client_id);
    return session::is_registered(principal) && principal.find(text_) != std::string_view::npos;
  }

 private:
  enum class State { any, online, offline };
  std::string tenant_, text_, client_id_;
  std::uint64_t after_;
  State state_ = State::any;
};

// The sessions with the lowest numbers, in order.
class Lowest {
 public:
  explicit Lowest(std::size_t limit) : limit_(limit) {}
  void add(const Session& s) {
    found_.push_back(&s);
    std::push_heap(found_.begin(), found_.end(), is_before);
    if (found_.size() <= limit_) return;
    std::pop_heap(found_.begin(), found_.end(), is_before);
    found_.pop_back();
    more_ = true;
  }
  std::vector<const Session*> take() {
    std::sort_heap(found_.begin(), found_.end(), is_before);
    return std::move(found_);
  }
  bool more() const { return more_; }

 private:
  static bool is_before(const Session* a, const Session* b) { return a->id.value < b->id.value; }
  std::size_t limit_;
  std::vector<const Session*> found_;  // a heap, the highest first
  bool more_ = false;
};

}  // namespace

json::object SessionQuestions::brief(const Session& s) const {
  json::object o{{"number", s.id.value}, {"client_id", session::client_id_of(s.client_id)}};
  put_who(o, s);
  o["state"] = s.channel != nullptr ? "online" : s.limbo ? "unreachable" : "offline";
  if (const session::Channel* const ch = s.channel; ch != nullptr) {
    o["protocol"] = protocol_of(*ch);
    if (ch->address != base::Address{}) o["address"] = ch->address.with_port(ch->peer_port);
    o["keep_alive_s"] = ch->keep_alive_s;
  }
  o["expiry_s"] = s.asked_expiry_s();
  if (s.channel == nullptr && s.expires_at != base::kNever)
    o["expires_at_ms"] = broker_.context().clocks.wall_at(s.expires_at).ms;
  o["subscriptions"] = s.subscriptions.size();
  o["queued"] = s.flow().queued;
  o["queued_bytes"] = s.flow().queued_bytes;
  o["inflight"] = s.outbox ? s.outbox->inflight : 0;
  return o;
}

json::object SessionQuestions::whole(const Session& s) const {
  json::object o = brief(s);
  o["epoch"] = std::to_string(s.epoch);
  o["stored"] = s.stored;
  json::array filters;
  for (const session::Subscription& sub : s.subscriptions) {
    if (filters.size() == kFiltersShown) break;
    const std::string filter = broker_.core().router.filter(sub.filter);
    json::object f{{"filter", outside(filter)}, {"qos", sub.options.qos()}};
    if (sub.shared) f["group"] = sub.group();
    filters.push_back(std::move(f));
  }
  o["filters"] = std::move(filters);
  if (s.will) {
    const session::MessageView m = s.will->message->view();
    o["will"] = {{"topic", outside(m.topic)},
                 {"qos", m.qos},
                 {"retain", m.retain},
                 {"delay_s", s.will->delay_s}};
  }
  return o;
}

json::object SessionQuestions::list(const json::object& q) const {
  const Wanted wanted(q);
  Lowest lowest(std::clamp<std::uint64_t>(number_of(q, "limit"), 1, 500));
  std::size_t looked = 0;
  const auto look = [&](const Session& s) {
    if (++looked <= kLookedMax && wanted(s)) lowest.add(s);
  };
  const session::SessionTable& sessions = broker_.core().sessions;
  if (!wanted.tenant().empty()) {
    sessions.each_of_tenant(wanted.tenant(), look);
  } else {
    for (const Session* s : sessions.all()) {
      look(*s);
      if (looked > kLookedMax) break;
    }
  }
  json::array items;
  bool more = lowest.more();
  std::size_t bytes = 0;
  for (const Session* s : lowest.take()) {
    json::object item = brief(*s);
    bytes += json::serialize(item).size();
    more = more || (bytes > kListBytes && !items.empty());
    if (bytes > kListBytes && !items.empty()) break;
    items.push_back(std::move(item));
  }
  return {{"items", std::move(items)}, {"more", more}, {"incomplete", looked > kLookedMax}};
}

SessionQuestions::Said SessionQuestions::ask(std::string_view question, base::Instant now,
                                             bool may_change) {
  boost::system::error_code ec;
  const json::value v = json::parse(question, ec);
  if (ec || !v.is_object()) return {"{}"};
  const json::object& q = v.get_object();
  const std::string what = text_of(q, "do");
  if (what == "list") return {json::serialize(list(q))};
  const base::SessionId id{number_of(q, "id")};
  const Session* const s = broker_.core().sessions.by_id(id);
  if (s == nullptr || s->internal()) return {"{}"};
  if (what != "show" && !may_change) return {.refused = true};
  json::object answer{{"session", whole(*s)}};
  if (what == "disconnect") broker_.disconnect(id);
  if (what == "remove") broker_.remove_session(id, now);
  return {.answer = json::serialize(answer), .changed = what != "show"};
}

}  // namespace berth::gateway::engine
