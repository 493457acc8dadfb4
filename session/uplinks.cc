#include "session/uplinks.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "protocol/mqtt/topic.h"
#include "session/entry_codec.h"

namespace berth::session {
namespace {

constexpr std::uint8_t kUplinkOptions = 1 | 8;  // QoS 1, retain as published
constexpr std::size_t kUplinkReadMessages = 512;
constexpr std::size_t kUplinkReadBytes = 1 << 20;
constexpr std::size_t kUplinkMarks = 1024;
constexpr std::int64_t kMarkEvery_ms = 1000;

std::string uplink_client_id(std::string_view name) {
  return std::string(kUplinkClient).append(name);
}

// Of a queue's limit, in tenths.
constexpr std::array<std::uint64_t, kUplinkRanks> kUplinkShare{5, 9, 10};

}  // namespace

UplinkRank rank_of(std::string_view topic) {
  if (topic.find("/telemetry/") != std::string_view::npos) return UplinkRank::telemetry;
  const bool plate = topic.ends_with("/event/plate");
  const bool result =
      (topic.ends_with("/res") && topic.find("/cmd/") != std::string_view::npos) ||
      (topic.ends_with("/result") && topic.find("/command/") != std::string_view::npos);
  return plate || result ? UplinkRank::last : UplinkRank::event;
}

void Uplinks::plan(std::vector<UplinkPlan> plans, UplinkSink* sink) {
  BERTH_ASSERT(plans.size() <= kUplinksMax);
  for (const auto& u : uplinks_) listen(*u, false);
  auto before = std::exchange(uplinks_, {});
  sink_ = sink;
  for (Session* s : sessions_.uplinks()) s->uplink = Session::kUnplanned;
  for (UplinkPlan& p : plans) {
    const auto same = std::find_if(before.begin(), before.end(),
                                   [&p](const auto& u) { return u && u->plan.name == p.name; });
    auto u = same == before.end() ? std::make_unique<Uplink>() : std::move(*same);
    if (u->generation == 0 || !(u->plan == p)) begin(*u, std::move(p));
    u->session->uplink = static_cast<std::uint8_t>(uplinks_.size() + 1);
    uplinks_.push_back(std::move(u));
    listen(*uplinks_.back(), true);
  }
}

void Uplinks::begin(Uplink& u, UplinkPlan plan) {
  const std::string client = uplink_client_id(plan.name);
  u.session = sessions_.by_client(client);
  if (u.session == nullptr) {
    u.session = &sessions_.make_new(client);
    u.session->expiry_s = protocol::mqtt::kNoExpiry;
    u.session->epoch = 1;
    records_.put(*u.session);
  }
  u.plan = std::move(plan);
  u.counts.name = u.plan.name;
  u.generation = ++generations_;
  u.ready = false;
  begin_anew(u);
}

// What the sink has had is offered again.
void Uplinks::begin_anew(Uplink& u) {
  u.next = u.session->flow().first_seq;
  u.ticket = 0;
  u.with.clear();
  u.with_messages = u.with_bytes = 0;
}

void Uplinks::listen(const Uplink& u, bool yes) {
  for (const std::string& f : u.plan.filters) {
    if (yes) {
      router_.add(router_.intern(f), u.session, {}, SubOptions{kUplinkOptions}, 0);
    } else {
      router_.remove(router_.intern(f), u.session, {});
    }
  }
}

void Uplinks::use(std::size_t uplink, bool ready) {
  if (uplink >= uplinks_.size()) return;
  uplinks_[uplink]->ready = ready;
  if (ready) read(*uplinks_[uplink]);
}

// -- into the queue

bool Uplinks::has_room(const Uplink& u, UplinkRank rank, std::size_t bytes) const {
  const Flow& q = u.session->flow();
  const std::uint64_t tenths = kUplinkShare[static_cast<std::size_t>(rank)];
  return q.queued < u.plan.queue_messages * tenths / 10 &&
         q.queued_bytes + bytes <= u.plan.queue_bytes / 10 * tenths;
}

void Uplinks::stage(Session& s, Delivery& d) {
  if (s.uplink > uplinks_.size()) return;  // it is not planned any more
  Uplink& u = *uplinks_[s.uplink - 1u];
  const UplinkRank rank = rank_of(d.message.topic);
  if (!has_room(u, rank, bytes_of_entry(d.message, 0))) {
    ++u.counts.refused[static_cast<std::size_t>(rank)];
    return;
  }
  static const std::vector<std::uint32_t> kNoIds;
  queues_.append(s, d, std::max<std::uint8_t>(d.message.qos, 1), d.message.retain, kNoIds);
}

// -- out of it

// A read costs the same for one message as for many: so it waits until a quarter of the window is
// free.
void Uplinks::read(Uplink& u) {
  const Flow& q = u.session->flow();
  const std::size_t room =
      u.plan.window_messages - std::min<std::size_t>(u.plan.window_messages, u.with_messages);
  if (sink_ == nullptr || !u.ready || u.ticket != 0 || u.next > q.durable_seq) return;
  if (room == 0 || room < u.plan.window_messages / 4 || u.with_bytes > u.plan.window_bytes / 4 * 3)
    return;
  u.ticket = queues_.next_ticket();
  u.through = q.durable_seq;
  effects_.load_queue(u.session->id, u.next, std::min(room, kUplinkReadMessages), kUplinkReadBytes,
                      u.ticket);
}

void Uplinks::loaded(const Session& s, std::uint64_t ticket,
                     const base::result<std::vector<StoredEntry>>& entries, base::Instant now) {
  if (s.uplink > uplinks_.size()) return;
  Uplink& u = *uplinks_[s.uplink - 1u];
  if (ticket != u.ticket) return;
  u.ticket = 0;
  if (!entries || sink_ == nullptr) return;  // again at tick()
  for (const StoredEntry& e : *entries) offer(u, e, now);
  if (entries->empty()) {  // there is nothing where something was: it counts as taken
    while (u.next <= u.through) take_with(u, 0, true);
  }
  remove_done(u);
  read(u);
}

void Uplinks::offer(Uplink& u, const StoredEntry& e, base::Instant now) {
  while (u.next < e.seq) take_with(u, 0, true);
  const auto entry = decode_entry(e.value);
  const bool good = entry && !entry->released;
  const bool expired = good && entry->message.expires_at <= messages_at(now);
  u.counts.expired += expired ? 1 : 0;
  const bool goes = good && !expired;
  const bool taken = goes && sink_->offer(static_cast<std::size_t>(u.session->uplink - 1),
                                          u.generation, e.seq, entry->message);
  u.counts.unsendable += goes && !taken ? 1 : 0;
  take_with(u, good ? bytes_of_entry(entry->message, 0) : e.value.size(), !taken);
}

void Uplinks::take_with(Uplink& u, std::size_t bytes, bool done) {
  ++u.next;
  u.with.push_back({static_cast<std::uint32_t>(bytes), done});
  ++u.with_messages;
  u.with_bytes += bytes;
}

void Uplinks::done(std::size_t uplink, std::uint32_t generation, std::uint64_t seq) {
  if (uplink >= uplinks_.size()) return;
  Uplink& u = *uplinks_[uplink];
  const std::uint64_t first = u.session->flow().first_seq;
  if (generation != u.generation || seq < first || seq - first >= u.with.size()) return;
  u.with[seq - first].done = true;
  ++u.counts.done;
  remove_done(u);
  read(u);
}

// In order; by itself it asks for no commit.
void Uplinks::remove_done(Uplink& u) {
  commits_.unhurried([&] {
    while (!u.with.empty() && u.with.front().done) {
      Flow& q = u.session->own_flow();
      const std::size_t bytes = u.with.front().bytes;
      u.with.pop_front();
      --u.with_messages;
      u.with_bytes -= bytes;
      commits_.write({.kind = WriteKind::remove, .session = u.session->id, .seq = q.first_seq});
      ++q.first_seq;
      queues_.count_removed(*u.session, bytes);
    }
  });
}

bool Uplinks::forget(std::string_view name) {
  Session* const s = sessions_.by_client(uplink_client_id(name));
  if (s == nullptr || s->uplink <= uplinks_.size()) return false;
  commits_.write({.kind = WriteKind::delete_session, .session = s->id});
  sessions_.count_entries(-static_cast<std::int64_t>(s->flow().queued));
  s->own_flow().queued = 0;
  sessions_.erase(*s);
  return true;
}

bool Uplinks::busy() const {
  return std::any_of(uplinks_.begin(), uplinks_.end(),
                     [](const auto& u) { return u->with_messages != 0; });
}

// -- what it is like

void Uplinks::tick(base::Instant now) {
  for (const auto& u : uplinks_) {
    read(*u);
    const std::uint64_t newest = u->session->flow().last_seq;
    while (!u->marks.empty() && u->marks.front().seq < u->session->flow().first_seq)
      u->marks.pop_front();
    if (!u->marks.empty() &&
        (u->marks.back().seq == newest || now.ms - u->marks.back().at_ms < kMarkEvery_ms))
      continue;
    if (newest < u->session->flow().first_seq) continue;
    if (u->marks.size() >= kUplinkMarks) {  // every second one is enough
      std::deque<Mark> fewer;
      for (std::size_t i = 0; i < u->marks.size(); i += 2) fewer.push_back(u->marks[i]);
      u->marks = std::move(fewer);
    }
    u->marks.push_back({newest, now.ms});
  }
}

// The oldest one came before the first mark that is not below it.
std::uint64_t Uplinks::lag_s(const Uplink& u, base::Instant now) const {
  const std::uint64_t first = u.session->flow().first_seq;
  for (const Mark& m : u.marks) {
    if (m.seq >= first)
      return static_cast<std::uint64_t>(std::max<std::int64_t>(now.ms - m.at_ms, 0) / 1000);
  }
  return 0;
}

std::vector<UplinkState> Uplinks::states(base::Instant now) const {
  std::vector<UplinkState> out;
  for (const auto& u : uplinks_) {
    UplinkState s = u->counts;
    s.queued = u->session->flow().queued;
    s.queued_bytes = u->session->flow().queued_bytes;
    s.lag_s = lag_s(*u, now);
    out.push_back(std::move(s));
  }
  for (const Session* s : sessions_.uplinks()) {
    if (s->uplink <= uplinks_.size()) continue;
    UplinkState left;
    left.name = s->client_id.substr(kUplinkClient.size());
    left.planned = false;
    left.queued = s->flow().queued;
    left.queued_bytes = s->flow().queued_bytes;
    out.push_back(std::move(left));
  }
  return out;
}

}  // namespace berth::session
