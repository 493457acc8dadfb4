#include "session/uplinks.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "protocol/mqtt/topic.h"
#include "session/entry_codec.h"

namespace berth::session {
namespace {

constexpr std::uint8_t kUplinkOptions = 1 | 8;  // QoS 1, retain as published

std::string uplink_client_id(std::string_view name) {
  return std::string(kUplinkClient).append(name);
}

// Takes the queue of this name out of the list; null: there is none.
std::unique_ptr<UplinkQueue> taken(std::vector<std::unique_ptr<UplinkQueue>>& all,
                                   std::string_view name) {
  const auto it = std::find_if(all.begin(), all.end(), [name](const auto& u) {
    return u->session().client_id.substr(kUplinkClient.size()) == name;
  });
  if (it == all.end()) return nullptr;
  auto u = std::move(*it);
  all.erase(it);
  return u;
}

}  // namespace

// -- which there are

void Uplinks::record(std::string_view key, std::string_view value) {
  take_uplink_record(key, &value, stored_);
  if (const auto name = defined_uplink(key); !name.empty()) definitions_[std::string(name)] = value;
}

void Uplinks::forget_record(std::string_view key) {
  take_uplink_record(key, nullptr, stored_);
  if (const auto name = defined_uplink(key); !name.empty()) definitions_.erase(std::string(name));
}

void Uplinks::define(const std::string& name, const std::string* text) {
  const std::string key = uplink_key(name, UplinkTable::definition);
  if (text == nullptr) {
    definitions_.erase(name);
    commits_.write({.kind = WriteKind::remove_record, .key = key});
  } else {
    definitions_[name] = *text;
    commits_.write({.kind = WriteKind::put_record, .key = key, .value = *text});
  }
}

std::unique_ptr<UplinkQueue> Uplinks::queue_of(const std::string& client) {
  Session* s = sessions_.by_client(client);
  if (s == nullptr) {
    s = &sessions_.make_new(client);
    s->expiry_s = protocol::mqtt::kNoExpiry;
    s->epoch = 1;
    records_.put(*s);
  }
  const auto stored = stored_.extract(client.substr(kUplinkClient.size()));
  return std::make_unique<UplinkQueue>(cx_, UplinkQueue::Rooms{commits_, sessions_, queues_, sink_},
                                       *s, stored ? std::move(stored.mapped()) : UplinkStored());
}

// Before the first input: the store has given all that it has.
void Uplinks::adopt_stored() {
  if (std::exchange(adopted_, true)) return;
  for (Session* s : sessions_.uplinks()) left_.push_back(queue_of(s->client_id));
  // What is left is of queues that were forgotten: another of this name goes on behind their
  // numbers.
}

void Uplinks::plan(std::vector<UplinkPlan> plans, UplinkSink* sink) {
  BERTH_ASSERT(plans.size() <= kUplinksMax);
  adopt_stored();
  for (auto& u : uplinks_) {
    listen(*u, false);
    u->session().uplink = Session::kUnplanned;
    left_.push_back(std::move(u));
  }
  uplinks_.clear();
  sink_ = sink;
  stopped_ = nullptr;
  for (UplinkPlan& p : plans) {
    auto u = taken(left_, p.name);
    if (!u) u = queue_of(uplink_client_id(p.name));
    if (u->plan() != p) u->begin(std::move(p), ++generations_);
    u->session().uplink = static_cast<std::uint8_t>(uplinks_.size() + 1);
    uplinks_.push_back(std::move(u));
    listen(*uplinks_.back(), true);
  }
}

void Uplinks::listen(UplinkQueue& u, bool yes) {
  for (const std::string& f : u.plan().filters) {
    if (yes) {
      router_.add(router_.intern(f), &u.session(), {}, SubOptions{kUplinkOptions}, 0);
    } else {
      router_.remove(router_.intern(f), &u.session(), {});
    }
  }
}

bool Uplinks::forget(std::string_view name) {
  const auto u = taken(left_, name);
  if (!u) return false;
  Session& s = u->session();
  const std::uint64_t last = s.flow().last_seq;
  stored_[std::string(name)] = {.done_through = last, .kept_from = last + 1};
  u->remove_records();
  commits_.write({.kind = WriteKind::delete_session, .session = s.id});
  sessions_.count_entries(-static_cast<std::int64_t>(s.flow().queued));
  s.own_flow().queued = 0;
  sessions_.erase(s);
  return true;
}

UplinkQueue* Uplinks::find(std::string_view name) const {
  for (const auto* all : {&uplinks_, &left_}) {
    for (const auto& u : *all) {
      if (std::string_view(u->session().client_id).substr(kUplinkClient.size()) == name)
        return u.get();
    }
  }
  return nullptr;
}

// -- into a queue

void Uplinks::stage(Session& s, Delivery& d) {
  if (s.uplink > uplinks_.size()) return;  // it is not planned any more
  UplinkQueue& u = *uplinks_[s.uplink - 1u];
  const UplinkRank rank = rank_of(d.message.topic);
  if (!u.has_room(rank, bytes_of_entry(d.message, 0))) return u.count_refused(rank);
  static const std::vector<std::uint32_t> kNoIds;
  queues_.append(s, d, std::max<std::uint8_t>(d.message.qos, 1), d.message.retain, kNoIds);
}

// -- out of it

void Uplinks::use(std::size_t uplink, bool ready) {
  if (uplink < uplinks_.size()) uplinks_[uplink]->use(ready);
}

void Uplinks::done(std::size_t uplink, std::uint32_t generation, std::uint64_t seq) {
  if (uplink < uplinks_.size()) uplinks_[uplink]->done(generation, seq);
}

void Uplinks::refused(std::size_t uplink, std::uint32_t generation, DeadLetter letter,
                      base::Instant now) {
  letter.at_ms = clocks_.wall_at(now).ms;
  if (uplink < uplinks_.size()) uplinks_[uplink]->refused(generation, std::move(letter));
}

void Uplinks::finish() {
  for (const auto& u : uplinks_) u->finish();
}

void Uplinks::loaded(const Session& s, std::uint64_t ticket,
                     const base::result<std::vector<StoredEntry>>& entries, base::Instant now) {
  if (s.uplink <= uplinks_.size()) uplinks_[s.uplink - 1u]->loaded(ticket, entries, now);
}

void Uplinks::tick(base::Instant now) {
  for (const auto& u : uplinks_) u->tick(now);
}

void Uplinks::stop() {
  UplinkSink* const sink = std::exchange(sink_, nullptr);
  if (sink == nullptr) return;
  sink->rest();
  stopped_ = sink;
}

bool Uplinks::busy() const {
  if (stopped_ != nullptr && stopped_->rested()) return false;
  return std::any_of(uplinks_.begin(), uplinks_.end(), [](const auto& u) { return u->busy(); });
}

std::vector<UplinkState> Uplinks::states(base::Instant now) const {
  std::vector<UplinkState> out;
  for (const auto* all : {&uplinks_, &left_}) {
    for (const auto& u : *all) out.push_back(u->state(now));
  }
  return out;
}

}  // namespace berth::session
