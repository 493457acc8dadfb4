#include "platform/dispatcher.h"

#include <algorithm>

#include "base/bytes.h"
#include "platform/platform.pb.h"
#include "session/principal_key.h"

namespace berth::platform {

using protocol::link::Deadline;
using session::Finished;
using session::Session;

namespace {

constexpr std::string_view kQueuedKey{"!q\0", 3};
constexpr std::string_view kGivenKey{"!g\0", 3};
constexpr std::int64_t kFateWaitMs =
    60'000;  // after the deadline; its command has its outcome then

std::string key_of(std::uint64_t session, std::uint64_t seq) {
  return std::string(kQueuedKey) + big_endian(static_cast<std::int64_t>(session)) +
         big_endian(static_cast<std::int64_t>(seq));
}

std::string given_key(std::uint64_t tag) {
  return std::string(kGivenKey) + big_endian(static_cast<std::int64_t>(tag));
}

std::uint64_t number_at(std::string_view bytes) {
  std::uint64_t n = 0;
  for (int i = 0; i < 8; ++i) n = (n << 8) | static_cast<unsigned char>(bytes[i]);
  return n;
}

std::string principal_of(std::string_view tenant, std::string_view device) {
  return session::Principal{std::string(tenant), session::Role::device, std::string(device)}.key();
}

bool is_open(const Session& s) {
  return s.channel != nullptr && s.channel->live() && !s.channel->gone && s.channel->connack_sent;
}

// Or will be: its CONNACK waits for a commit, as that of each stored session does.
bool is_coming(const Session& s) {
  return s.channel != nullptr && !s.channel->gone && !s.channel->closed &&
         s.channel->state != session::Channel::State::closing;
}

const char* code_of(Finished how) {
  switch (how) {
    case Finished::acknowledged:
      return "";
    case Finished::refused:
      return "refused_by_device";
    case Finished::dropped:
      return "queue_full";
    case Finished::replaced:
      return "replaced";
    case Finished::denied:
      return "not_authorized";
    case Finished::expired:
      return "expired";
    case Finished::unsendable:
      return "unsendable";
  }
  return "";
}

}  // namespace

// -- restored

bool Dispatcher::is_key(std::string_view key) {
  return key.starts_with(kQueuedKey) || key.starts_with(kGivenKey);
}

void Dispatcher::restored(std::string_view key, std::string_view value) {
  const bool given = key.starts_with(kGivenKey);
  key.remove_prefix(kQueuedKey.size());
  if (given) {
    pb::Given g;
    if (key.size() != 8 || !g.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
    given_[number_at(key)] = {g.edge(), g.connection(), base::Instant{g.until_ms()}, true};
  } else if (key.size() == 16 && value.size() == 8) {
    queued_[number_at(key)][number_at(key.substr(8))] = number_at(value);
  }
}

void Dispatcher::forget(std::string_view key) {
  const bool given = key.starts_with(kGivenKey);
  key.remove_prefix(kQueuedKey.size());
  if (given && key.size() == 8) given_.erase(number_at(key));
  if (given || key.size() != 16) return;
  const auto it = queued_.find(number_at(key));
  if (it == queued_.end()) return;
  it->second.erase(number_at(key.substr(8)));
  if (it->second.empty()) queued_.erase(it);
}

// -- from homes

void Dispatcher::say(std::uint64_t tag, Fate fate, std::string_view code) {
  pb::Note note;
  pb::Word& word = *note.mutable_word();
  word.set_tag(tag);
  word.set_fate(static_cast<std::uint32_t>(fate));
  word.set_code(std::string(code));
  notes_.tell(home_of_tag(tag), note);
}

void Dispatcher::dispatch(std::uint64_t tag, const Entry& e, base::Instant now) {
  if (e.command.delivery == Delivery::immediate) return give(tag, e, now);
  put_into_queue(tag, e, now);
}

bool Dispatcher::render(const Entry& e, base::Instant now, Rendered& out) const {
  if (ways_ == nullptr) return false;
  const base::Instant deadline = e.command.deadline;
  const std::int64_t wall = clocks_.wall_at(now).ms;
  if (deadline == base::kNever) return ways_->render(e, wall, 0, 0, out);
  const std::int64_t left = deadline.ms - messages_at(now).ms;
  return ways_->render(e, wall, wall + left, left, out);
}

Session* Dispatcher::receiver(const Entry& e, std::string_view topic, bool live, const char*& why) {
  const std::string principal = principal_of(e.asked.tenant, addressee(e.asked));
  const auto& targets = core_.distributor.match(topic).targets;
  Session* best = nullptr;
  bool any = false;
  core_.sessions.each_of(principal, [&](Session& s) {
    const bool open = is_open(s);
    if ((live && !open) || core_.estates.has(s.id)) return;
    any = true;
    const bool subscribed = std::any_of(targets.begin(), targets.end(),
                                        [&s](const auto& t) { return t.session == &s; });
    if (!subscribed) return;
    const bool better = best == nullptr || (open && !is_open(*best)) ||
                        (open == is_open(*best) && s.epoch > best->epoch);
    if (better) best = &s;
  });
  if (best == nullptr) why = any ? "not_subscribed" : "device_offline";
  return best;
}

// Chooses the connection. Where the command goes is durable before it goes.
void Dispatcher::give(std::uint64_t tag, const Entry& e, base::Instant now) {
  if (messages_at(now) >= e.command.deadline) return say(tag, Fate::dropped, "expired");
  Rendered r;
  if (!render(e, now, r)) return say(tag, Fate::dropped, "no_way");
  const char* why = "";
  const Session* const s = receiver(e, r.topic, true, why);
  if (s == nullptr) return say(tag, Fate::dropped, why);
  const base::ConnId conn = s->channel->conn;
  if (!effects_.watches(conn)) return say(tag, Fate::dropped, "edge_too_old");
  const Given g{core_.connections.edge_of(conn), conn.local().packed(),
                e.command.deadline.plus_ms(kFateWaitMs), false};
  pb::Given record;
  record.set_edge(g.edge);
  record.set_connection(g.connection);
  record.set_until_ms(g.until.ms);
  given_[tag] = g;
  records_.put(given_key(tag), record.SerializeAsString());
  records_.when_durable([this, tag, e] { send(tag, e, records_.now()); });
}

void Dispatcher::send(std::uint64_t tag, const Entry& e, base::Instant now) {
  const auto drop = [&](const char* why) {
    forget_given(tag);
    say(tag, Fate::dropped, why);
  };
  const auto it = given_.find(tag);
  if (it == given_.end()) return;  // its edge has gone meanwhile
  const Given g = it->second;
  const base::Instant deadline = e.command.deadline;
  if (messages_at(now) >= deadline) return drop("expired");
  session::Channel* const ch =
      core_.connections.find(core_.connections.conn_of(g.edge, g.connection));
  if (ch == nullptr || ch->session == nullptr || !is_open(*ch->session))
    return drop("device_offline");
  const session::WorksFor scope = works_for(ch->conn);
  if (ch->waiting_room || !effects_.writable(ch->conn)) return drop("busy");
  Rendered r;
  if (!render(e, now, r)) return drop("no_way");
  const bool park = ch->park != nullptr;
  const session::MessageView m{.topic = r.topic,
                               .payload = park ? r.park_payload : r.payload,
                               .forwarded = r.properties,
                               .expires_at = deadline};
  // In the millisecond of the deadline it is too late.
  const Deadline until{.not_after = deadline.plus_ms(-1), .tag = tag, .watch = true, .fresh = true};
  new_message();
  it->second.in_doubt = false;  // what a list of an earlier turn does not have goes out now
  if (!ch->port->deliver_until(*ch, m, until, now)) drop("unsendable");
}

void Dispatcher::put_into_queue(std::uint64_t tag, const Entry& e, base::Instant now) {
  const base::Instant deadline = e.command.deadline;
  if (deadline != base::kNever && messages_at(now) >= deadline)
    return say(tag, Fate::dropped, "expired");
  Rendered r;
  if (!render(e, now, r)) return say(tag, Fate::dropped, "no_way");
  const char* why = "";
  Session* const s = receiver(e, r.topic, false, why);
  if (s == nullptr) return say(tag, Fate::dropped, why);
  const bool park = s->channel != nullptr && s->channel->park != nullptr;
  const session::MessageView m{.topic = r.topic,
                               .payload = park ? r.park_payload : r.payload,
                               .forwarded = r.properties,
                               .expires_at = deadline,
                               .qos = 1};
  const std::uint64_t seq = core_.put_into_queue(s->id, m, {});
  if (seq == 0) return say(tag, Fate::dropped, "queue_full");
  queued_[s->id.value][seq] = tag;
  records_.put(key_of(s->id.value, seq), big_endian(static_cast<std::int64_t>(tag)));
}

// -- who is where

bool Dispatcher::is_online(std::string_view tenant, std::string_view device) const {
  bool online = false;
  core_.sessions.each_of(principal_of(tenant, device),
                         [&online](const Session& s) { online = online || is_coming(s); });
  return online;
}

void Dispatcher::wants(std::uint32_t home, std::string_view tenant, std::string_view device,
                       bool no_more) {
  const std::string key = Ledger::device_key(tenant, device);
  if (no_more) {
    const auto it = wanted_.find(key);
    if (it == wanted_.end()) return;
    it->second.erase(home);
    if (!it->second.empty()) return;
    wanted_.erase(it);
    unready_.erase({std::string(tenant), std::string(device)});
    return;
  }
  if (wanted_.size() >= kWantedMax && !wanted_.contains(key)) {
    ++probe_.command_wants_refused;
    return;
  }
  wanted_[key].insert(home);
  if (!is_online(tenant, device)) return;
  unready_.erase({std::string(tenant), std::string(device)});  // this home has not heard it
  whereabouts(tenant, device);
}

// Connected, and has subscribed to something.
bool Dispatcher::is_ready(std::string_view tenant, std::string_view device) const {
  bool ready = false;
  core_.sessions.each_of(principal_of(tenant, device), [&ready](const Session& s) {
    ready = ready || (is_open(s) && !s.subscriptions.empty());
  });
  return ready;
}

void Dispatcher::whereabouts(std::string_view tenant, std::string_view device) {
  const auto it = wanted_.find(Ledger::device_key(tenant, device));
  if (it == wanted_.end()) return;
  const bool ready = is_ready(tenant, device);
  pb::Note note;
  pb::Whereabouts& w = *note.mutable_whereabouts();
  w.set_tenant(std::string(tenant));
  w.set_device(std::string(device));
  w.set_online(ready);
  w.set_coming(!ready && is_online(tenant, device));
  if (w.coming()) {
    if (!unready_.emplace(tenant, device).second) return;  // has been said
  } else {
    unready_.erase({std::string(tenant), std::string(device)});
  }
  for (const std::uint32_t home : it->second) notes_.tell(home, note);
}

// -- what became of them

void Dispatcher::unqueue(std::uint64_t session, std::uint64_t seq, Fate fate,
                         std::string_view code) {
  const auto it = queued_.find(session);
  if (it == queued_.end()) return;
  const auto entry = it->second.find(seq);
  if (entry == it->second.end()) return;
  say(entry->second, fate, code);
  it->second.erase(entry);
  if (it->second.empty()) queued_.erase(it);
  records_.remove(key_of(session, seq));
}

void Dispatcher::finished(base::SessionId session, std::uint64_t seq, Finished how, bool sent) {
  const Fate fate = how == Finished::acknowledged ? Fate::received
                    : how == Finished::refused    ? Fate::refused
                    : sent                        ? Fate::cut_off
                                                  : Fate::dropped;
  unqueue(session.value, seq, fate, code_of(how));
}

void Dispatcher::ended(base::SessionId session, std::uint64_t sent) {
  const auto it = queued_.find(session.value);
  if (it == queued_.end()) return;
  const Queued entries = it->second;
  for (const auto& [seq, tag] : entries)
    unqueue(session.value, seq, seq <= sent ? Fate::cut_off : Fate::dropped, "session_ended");
}

// -- words of edges

void Dispatcher::forget_given(std::uint64_t tag) {
  if (given_.erase(tag) != 0) records_.remove(given_key(tag));
}

void Dispatcher::told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) {
  using F = protocol::link::Fate;
  if (fate == F::written) return told_written(conn, tag);
  forget_given(tag);
  switch (fate) {
    case F::dropped:
      say(tag, Fate::dropped, "not_written");
      break;
    case F::stale:
      say(tag, Fate::dropped, "device_stale");
      break;
    default:
      say(tag, Fate::cut_off, "cut_off");
  }
  records_.when_durable([this, conn, tag, fate] { core_.edge_words.taken(conn, tag, fate); });
}

// The usual case, and no caller waits for this word: a commit of its own would stand before that of
// the device's answer, which comes soon. The edge keeps the word until it is durable here.
void Dispatcher::told_written(base::ConnId conn, std::uint64_t tag) {
  records_.unhurried([&] {
    forget_given(tag);
    say(tag, Fate::sent, "");
    records_.when_durable(
        [this, conn, tag] { core_.edge_words.taken(conn, tag, protocol::link::Fate::written); });
  });
}

void Dispatcher::pending(std::uint64_t tag) {
  const auto it = given_.find(tag);
  if (it != given_.end()) it->second.in_doubt = false;
}

// The edge has spoken of all that has reached it: it keeps a connection that has ended until the
// fates of its packets are taken.
void Dispatcher::listed(std::uint64_t edge) {
  std::vector<std::uint64_t> never;
  for (const auto& [tag, g] : given_) {
    if (g.in_doubt && g.edge == edge) never.push_back(tag);
  }
  for (const std::uint64_t tag : never) {
    // An edge that has given up a connection (engines have died of it) says nothing of it.
    const Given g = given_.at(tag);
    const auto conn = core_.connections.conn_of(g.edge, g.connection);
    const bool attached = core_.connections.find(conn) != nullptr;
    forget_given(tag);
    if (attached) {
      say(tag, Fate::dropped, "not_reached");
    } else {
      say(tag, Fate::cut_off, "connection_gone");
    }
  }
}

void Dispatcher::lost(std::uint64_t edge) {
  for (auto& [tag, g] : given_) g.in_doubt = g.in_doubt || g.edge == edge;
}

void Dispatcher::gone(std::uint64_t edge) {
  std::vector<std::uint64_t> theirs;
  for (const auto& [tag, g] : given_) {
    if (g.edge == edge) theirs.push_back(tag);
  }
  for (const std::uint64_t tag : theirs) {
    forget_given(tag);
    say(tag, Fate::cut_off, "edge_gone");
  }
}

void Dispatcher::tick(base::Instant now) {
  std::vector<std::uint64_t> late;
  for (const auto& [tag, g] : given_) {
    if (g.until <= messages_at(now)) late.push_back(tag);
  }
  for (const std::uint64_t tag : late) forget_given(tag);
  const auto unready = unready_;
  for (const auto& [tenant, device] : unready) whereabouts(tenant, device);
}

}  // namespace berth::platform
