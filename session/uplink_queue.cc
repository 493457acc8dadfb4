#include "session/uplink_queue.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "session/entry_codec.h"

namespace berth::session {
namespace {

constexpr std::size_t kUplinkReadMessages = 2048;
constexpr std::size_t kUplinkReadBytes = 1 << 20;
constexpr std::size_t kLagMarks = 1024;
constexpr std::int64_t kLagMarkEvery_ms = 1000;
constexpr std::int64_t kKeptMarkEvery_ms = 60'000;  // at least
constexpr std::int64_t kKeptMarksWanted = 1440;
constexpr std::int64_t kLongAgo_ms = 1;
// Messages a tick: in one write, and, with dead letters between them, each by its own.
constexpr std::uint64_t kTrimAtOnce = 100'000;
constexpr std::uint64_t kTrimEach = 20'000;

// Of a queue's limit, in tenths.
constexpr std::array<std::uint64_t, kUplinkRanks> kUplinkShare{5, 9, 10};

// Every second one is enough.
void halve(std::deque<UplinkMark>& marks) {
  std::deque<UplinkMark> fewer;
  for (std::size_t i = 0; i < marks.size(); i += 2) fewer.push_back(marks[i]);
  marks = std::move(fewer);
}

}  // namespace

UplinkRank rank_of(std::string_view topic) {
  if (topic.find("/telemetry/") != std::string_view::npos) return UplinkRank::telemetry;
  const bool plate = topic.ends_with("/event/plate");
  const bool result =
      (topic.ends_with("/res") && topic.find("/cmd/") != std::string_view::npos) ||
      (topic.ends_with("/result") && topic.find("/command/") != std::string_view::npos);
  return plate || result ? UplinkRank::last : UplinkRank::event;
}

UplinkQueue::UplinkQueue(Context& cx, Rooms rooms, Session& session, UplinkStored stored)
    : Room(cx),
      commits_(rooms.commits),
      sessions_(rooms.sessions),
      queues_(rooms.queues),
      sink_(rooms.sink),
      session_(session) {
  counts_.name = session.client_id.substr(kUplinkClient.size());
  adopt(stored);
  marks_ = std::move(stored.marks);
  dead_ = std::move(stored.dead);
  replay_.begin(std::max<std::uint64_t>(stored.replay_next, 1));
  replay_through_ = stored.replay_next == 0 ? 0 : stored.replay_through;
}

// What the store has of the queue begins with what is kept and with dead letters: these wait for
// nothing.
void UplinkQueue::adopt(const UplinkStored& stored) {
  Flow& q = session_.own_flow();
  kept_from_ = q.first_seq;
  if (stored.done_through == 0) return;  // of a release that had no cursor
  const std::uint64_t through = stored.done_through;
  const std::uint64_t before = q.queued;
  if (q.queued != 0 && through >= q.first_seq)
    q.queued -= static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::min(through, q.last_seq) - q.first_seq + 1, q.queued));
  sessions_.count_entries(static_cast<std::int64_t>(q.queued) - static_cast<std::int64_t>(before));
  const std::uint64_t above =
      q.cumulative_bytes - std::min(stored.done_cumulative, q.cumulative_bytes);
  const std::uint64_t bytes = q.queued == 0 ? 0 : std::min(above, q.queued_bytes);
  sessions_.count_queue(
      session_, static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(q.queued_bytes));
  q.queued_bytes = bytes;
  q.cumulative_bytes = std::max(q.cumulative_bytes, stored.done_cumulative);
  q.first_seq = std::max(q.first_seq, through + 1);
  q.last_seq = std::max(q.last_seq, through);
  q.durable_seq = std::max(q.durable_seq, through);
  kept_from_ = std::min(stored.kept_from, q.first_seq);
  done_cumulative_ = stored.done_cumulative;
}

void UplinkQueue::begin(UplinkPlan plan, std::uint32_t generation) {
  plan_ = std::move(plan);
  generation_ = generation;
  ready_ = false;
  live_.begin(session_.flow().first_seq);
  replay_.begin(replay_.first);
  refused_.clear();
  again_seq_ = again_ticket_ = 0;
  if (plan_.keep_ms == 0 || !marks_.empty()) return;
  // Nothing is kept yet. What came before this mark has no time.
  marks_.push_back({session_.flow().first_seq - 1,
                    latest_.ms == 0 ? kLongAgo_ms : clocks_.wall_at(latest_).ms, done_cumulative_});
  put_marks();
}

void UplinkQueue::use(bool ready) {
  ready_ = ready;
  go_on();
}

bool UplinkQueue::has_room(UplinkRank rank, std::size_t bytes) const {
  const Flow& q = session_.flow();
  const std::uint64_t tenths = kUplinkShare[static_cast<std::size_t>(rank)];
  return q.queued < plan_.queue_messages * tenths / 10 &&
         q.queued_bytes + bytes <= plan_.queue_bytes / 10 * tenths;
}

// -- to the sink

void UplinkQueue::go_on() {
  if (sink_ == nullptr || !ready_) return;
  read(live_, session_.flow().durable_seq, plan_.window_messages, plan_.window_bytes);
  if (replays())
    read(replay_, replay_through_, std::max(plan_.window_messages / 8, 1u), plan_.window_bytes / 8);
  read_again();
}

// A read costs the same for one message as for many: so it waits until a quarter of the window is
// free.
void UplinkQueue::read(Lane& l, std::uint64_t end, std::size_t messages, std::size_t bytes) {
  const std::size_t room = messages - std::min(messages, l.with.size());
  if (l.ticket != 0 || l.next > end) return;
  if (room == 0 || room < messages / 4 || l.bytes > bytes / 4 * 3) return;
  l.ticket = queues_.next_ticket();
  l.through = end;
  effects_.load_queue(session_.id, l.next, std::min(room, kUplinkReadMessages), kUplinkReadBytes,
                      l.ticket);
}

void UplinkQueue::loaded(std::uint64_t ticket,
                         const base::result<std::vector<StoredEntry>>& entries, base::Instant now) {
  if (ticket == again_ticket_) return loaded_again(entries, now);
  const Kind kind = ticket == live_.ticket ? Kind::live : Kind::replay;
  Lane& l = kind == Kind::live ? live_ : replay_;
  if (ticket != l.ticket) return;
  l.ticket = 0;
  if (!entries || sink_ == nullptr) return;  // again at tick()
  take(l, kind, *entries, now);
  kind == Kind::live ? finish_live() : finish_replay();
  go_on();
}

void UplinkQueue::take(Lane& l, Kind kind, const std::vector<StoredEntry>& entries,
                       base::Instant now) {
  for (const StoredEntry& e : entries) {
    if (e.seq > l.through) break;
    offer(l, kind, e, now);
  }
  // There is nothing where something was: it counts as taken.
  if (!entries.empty() && entries.back().seq < l.through) return;
  while (l.next <= l.through) push(l, {.fate = Fate::done});
}

void UplinkQueue::offer(Lane& l, Kind kind, const StoredEntry& e, base::Instant now) {
  while (l.next < e.seq) push(l, {.fate = Fate::done});
  const auto entry = decode_entry(e.value);
  const bool good = entry && !entry->released;
  With w{.bytes =
             static_cast<std::uint32_t>(good ? bytes_of_entry(entry->message, 0) : e.value.size()),
         .fate = Fate::done,
         .cumulative = entry ? entry->cumulative : 0};
  const bool expired = good && entry->message.expires_at <= messages_at(now);
  const bool dead = kind == Kind::replay && dead_.contains(e.seq);
  if (expired && kind == Kind::live) ++counts_.expired;
  if (good && !expired && !dead) {
    const UplinkOffer o{static_cast<std::size_t>(session_.uplink - 1), generation(kind), e.seq,
                        kind == Kind::replay, kind == Kind::replay};
    if (sink_->offer(o, entry->message)) {
      w.fate = Fate::with_sink;
    } else if (kind == Kind::live) {
      ++counts_.unsendable;
      w.fate = Fate::dead;
      refused_.insert_or_assign(e.seq, DeadLetter{.seq = e.seq,
                                                  .at_ms = clocks_.wall_at(now).ms,
                                                  .why = "it can't be sent with this topic",
                                                  .topic = std::string(entry->message.topic),
                                                  .bytes = entry->message.payload.size()});
    }
  }
  push(l, w);
}

void UplinkQueue::push(Lane& l, With w) {
  ++l.next;
  l.with.push_back(w);
  l.bytes += w.bytes;
}

void UplinkQueue::done(std::uint32_t g, std::uint64_t seq) {
  if (g / 4 != generation_) return;
  const auto kind = static_cast<Kind>(g % 4);
  if (kind == Kind::again) {
    if (seq != again_seq_ || again_ticket_ != 0) return;
    ++counts_.done;
    drop_dead(seq, plan_.keep_ms != 0 && seq >= kept_from_);
    again_seq_ = 0;
    return go_on();
  }
  if (settle(kind, seq, Fate::done)) ++(kind == Kind::live ? counts_.done : counts_.replayed);
}

void UplinkQueue::refused(std::uint32_t g, DeadLetter letter) {
  if (g / 4 != generation_) return;
  const auto kind = static_cast<Kind>(g % 4);
  const std::uint64_t seq = letter.seq;
  if (kind == Kind::live) refused_.insert_or_assign(seq, std::move(letter));
  if (kind != Kind::again)
    return (void)settle(kind, seq, kind == Kind::live ? Fate::dead : Fate::done);
  if (seq != again_seq_ || again_ticket_ != 0) return;
  put_dead(letter);
  again_seq_ = 0;
  go_on();
}

// False: it was settled before, or never was with the sink.
bool UplinkQueue::settle(Kind kind, std::uint64_t seq, Fate fate) {
  Lane& l = kind == Kind::live ? live_ : replay_;
  if (seq < l.first || seq - l.first >= l.with.size()) return false;
  Fate& now = l.with[seq - l.first].fate;
  if (now != Fate::with_sink) return false;
  now = fate;
  settled_ = true;
  return true;
}

void UplinkQueue::finish() {
  if (!std::exchange(settled_, false)) return;
  finish_live();
  finish_replay();
  go_on();
}

// In order; by itself it asks for no commit.
void UplinkQueue::finish_live() {
  if (live_.with.empty() || live_.with.front().fate == Fate::with_sink) return;
  commits_.unhurried([&] {
    Flow& q = session_.own_flow();
    while (!live_.with.empty() && live_.with.front().fate != Fate::with_sink) {
      const With w = live_.with.front();
      live_.with.pop_front();
      live_.bytes -= w.bytes;
      done_cumulative_ = std::max(done_cumulative_, w.cumulative);
      keep_or_remove(q.first_seq, w.fate);
      live_.first = ++q.first_seq;
      queues_.count_removed(session_, w.bytes);
    }
    put_cursor();
  });
}

void UplinkQueue::keep_or_remove(std::uint64_t seq, Fate fate) {
  if (fate == Fate::dead && plan_.dead_max == 0) {
    ++counts_.dead_lost;
    refused_.erase(seq);
  }
  if (fate == Fate::dead && plan_.dead_max != 0) {
    const auto letter = refused_.find(seq);
    put_dead(letter == refused_.end() ? DeadLetter{.seq = seq} : std::move(letter->second));
    refused_.erase(seq);
  } else if (plan_.keep_ms == 0) {
    commits_.write({.kind = WriteKind::remove, .session = session_.id, .seq = seq});
  }
  if (plan_.keep_ms == 0 && kept_from_ == seq) ++kept_from_;
}

void UplinkQueue::finish_replay() {
  if (replay_.with.empty() || replay_.with.front().fate == Fate::with_sink) return;
  while (!replay_.with.empty() && replay_.with.front().fate != Fate::with_sink) {
    replay_.bytes -= replay_.with.front().bytes;
    replay_.with.pop_front();
    ++replay_.first;
  }
  commits_.unhurried([&] { put_cursor(); });
}

// Beside the removals that it speaks of.
void UplinkQueue::put_cursor() {
  const Flow& q = session_.flow();
  const std::string k = key(UplinkTable::cursor);
  const std::string value = encode_cursor({.done_through = q.first_seq - 1,
                                           .done_cumulative = done_cumulative_,
                                           .kept_from = kept_from_,
                                           .replay_next = replays() ? replay_.first : 0,
                                           .replay_through = replay_through_,
                                           .marks = {},
                                           .dead = {}});
  commits_.write({.kind = WriteKind::put_record, .key = k, .value = value});
}

std::string UplinkQueue::key(UplinkTable table) const {
  return uplink_key(counts_.name, table);
}

// -- once more

// What has come by `ms`, as far as marks tell: up to a grain more, never less.
std::uint64_t UplinkQueue::replay(std::int64_t from_ms, std::int64_t to_ms) {
  std::uint64_t from = kept_from_, through = session_.flow().first_seq - 1;
  for (const UplinkMark& m : marks_) {
    if (m.at_ms < from_ms) from = std::max(from, m.seq + 1);
    if (m.at_ms >= to_ms) {
      through = std::min(through, m.seq);
      break;
    }
  }
  if (from > through || plan_.keep_ms == 0 || from_ms > clocks_.wall_at(latest_).ms) return 0;
  replay_.begin(from);
  replay_through_ = through;
  put_cursor();
  go_on();
  return through - from + 1;
}

void UplinkQueue::stop_replay() {
  if (!replays()) return;
  replay_through_ = 0;
  replay_.begin(1);
  put_cursor();
}

// -- dead letters

void UplinkQueue::put_dead(const DeadLetter& letter) {
  while (dead_.size() >= plan_.dead_max && !dead_.empty() && !dead_.contains(letter.seq)) {
    const auto oldest = dead_.begin()->first;
    if (oldest == again_seq_) again_seq_ = again_ticket_ = 0;
    drop_dead(oldest);
    ++counts_.dead_lost;
  }
  DeadLetter& d = dead_[letter.seq];
  d = letter;
  d.again = false;
  if (d.why.size() > DeadLetter::kTextMax) d.why.resize(DeadLetter::kTextMax);
  if (d.topic.size() > DeadLetter::kTextMax) d.topic.resize(DeadLetter::kTextMax);
  const std::string k = dead_letter_key(counts_.name, d.seq), value = encode_dead_letter(d);
  commits_.write({.kind = WriteKind::put_record, .key = k, .value = value});
}

// `stays`: among what is kept.
void UplinkQueue::drop_dead(std::uint64_t seq, bool stays) {
  const std::string k = dead_letter_key(counts_.name, seq);
  commits_.write({.kind = WriteKind::remove_record, .key = k});
  if (!stays) commits_.write({.kind = WriteKind::remove, .session = session_.id, .seq = seq});
  dead_.erase(seq);
}

std::uint64_t UplinkQueue::send_dead_again() {
  for (auto& [seq, letter] : dead_) letter.again = true;
  go_on();
  return dead_.size();
}

std::uint64_t UplinkQueue::discard_dead() {
  const std::uint64_t n = dead_.size();
  again_seq_ = again_ticket_ = 0;
  while (!dead_.empty()) drop_dead(dead_.begin()->first);
  return n;
}

// One at a time: each may end the connection.
void UplinkQueue::read_again() {
  if (again_seq_ != 0) return;
  const auto it =
      std::find_if(dead_.begin(), dead_.end(), [](const auto& d) { return d.second.again; });
  if (it == dead_.end()) return;
  again_seq_ = it->first;
  again_ticket_ = queues_.next_ticket();
  effects_.load_queue(session_.id, again_seq_, 1, kUplinkReadBytes, again_ticket_);
}

void UplinkQueue::loaded_again(const base::result<std::vector<StoredEntry>>& entries,
                               base::Instant now) {
  again_ticket_ = 0;
  const std::uint64_t seq = again_seq_;
  if (!entries || sink_ == nullptr) {
    again_seq_ = 0;  // again at tick()
    return;
  }
  const bool there = !entries->empty() && entries->front().seq == seq;
  const auto entry = there ? decode_entry(entries->front().value) : std::nullopt;
  if (!entry || entry->released || entry->message.expires_at <= messages_at(now)) {
    counts_.expired += entry && !entry->released;
    drop_dead(seq);
    again_seq_ = 0;
    return go_on();
  }
  const UplinkOffer o{static_cast<std::size_t>(session_.uplink - 1), generation(Kind::again), seq,
                      false, true};
  if (sink_->offer(o, entry->message)) return;
  dead_[seq].again = false;
  again_seq_ = 0;
  go_on();
}

void UplinkQueue::remove_records() {
  discard_dead();
  // The numbers of its messages are not used again.
  Flow& q = session_.own_flow();
  live_.begin(q.last_seq + 1);
  stop_replay();
  kept_from_ = q.last_seq + 1;
  const std::string cursor = key(UplinkTable::cursor), marks = key(UplinkTable::marks);
  const std::string value =
      encode_cursor({.done_through = q.last_seq, .kept_from = kept_from_, .marks = {}, .dead = {}});
  commits_.write({.kind = WriteKind::put_record, .key = cursor, .value = value});
  commits_.write({.kind = WriteKind::remove_record, .key = marks});
}

// -- times

void UplinkQueue::tick(base::Instant now) {
  go_on();
  note_lag_mark(now);
  note_kept_mark(now);
  trim(now);
}

void UplinkQueue::note_lag_mark(base::Instant now) {
  const Flow& q = session_.flow();
  while (!lag_marks_.empty() && lag_marks_.front().seq < q.first_seq) lag_marks_.pop_front();
  if (!lag_marks_.empty() &&
      (lag_marks_.back().seq == q.last_seq || now.ms - lag_marks_.back().at_ms < kLagMarkEvery_ms))
    return;
  if (q.last_seq < q.first_seq) return;
  if (lag_marks_.size() >= kLagMarks) halve(lag_marks_);
  lag_marks_.push_back({q.last_seq, now.ms, q.cumulative_bytes});
}

void UplinkQueue::note_kept_mark(base::Instant now) {
  if (plan_.keep_ms == 0 && marks_.empty()) return;
  const Flow& q = session_.flow();
  const std::int64_t wall_ms = clocks_.wall_at(now).ms;
  const std::int64_t every = std::max(kKeptMarkEvery_ms, plan_.keep_ms / kKeptMarksWanted);
  if (plan_.keep_ms == 0) {
    marks_.clear();
  } else if (marks_.size() == 1 && marks_.front().at_ms == kLongAgo_ms &&
             marks_.front().seq == q.last_seq) {
    marks_.front().at_ms = wall_ms;  // nothing has come since
  } else if (wall_ms - marks_.back().at_ms < every) {
    return;
  } else if (const std::size_t n = marks_.size();
             n >= 2 && marks_[n - 2].seq == q.last_seq && marks_[n - 1].seq == q.last_seq) {
    marks_.back().at_ms = wall_ms;  // until then nothing came; stored with the next one
    return;
  } else {
    if (marks_.size() >= kUplinkMarksMax) halve(marks_);
    marks_.push_back({q.last_seq, wall_ms, q.cumulative_bytes});
  }
  commits_.unhurried([&] { put_marks(); });
}

void UplinkQueue::put_marks() {
  const std::string k = key(UplinkTable::marks), value = encode_marks(marks_);
  commits_.write({.kind = WriteKind::put_record, .key = k, .value = value});
}

// Up to where what is done is too old, or too much.
std::uint64_t UplinkQueue::trimmed_through(base::Instant now) const {
  const std::uint64_t done = session_.flow().first_seq - 1;
  if (plan_.keep_ms == 0) return done;
  const std::int64_t oldest_ms = clocks_.wall_at(now).ms - plan_.keep_ms;
  std::uint64_t through = 0, below = 0;  // bytes that came before what stays
  for (const UplinkMark& m : marks_) {
    if (m.seq > done) break;
    const bool much = done_cumulative_ - std::min(done_cumulative_, below) > plan_.keep_bytes;
    if (m.seq >= kept_from_ && m.at_ms > oldest_ms && !much) break;
    through = m.seq;
    below = m.cumulative;
  }
  return through;
}

void UplinkQueue::trim(base::Instant now) {
  std::uint64_t target = trimmed_through(now);
  if (replays()) target = std::min(target, replay_.first - 1);  // which was promised
  if (session_.uplink == Session::kUnplanned || target < kept_from_) return;
  const bool together = dead_.empty() || dead_.begin()->first > target;
  const std::uint64_t through =
      std::min(target, kept_from_ + (together ? kTrimAtOnce : kTrimEach) - 1);
  commits_.unhurried([&] {
    if (together) {
      commits_.write({.kind = WriteKind::remove_through, .session = session_.id, .seq = through});
    } else {
      for (std::uint64_t seq = kept_from_; seq <= through; ++seq) {
        if (!dead_.contains(seq))
          commits_.write({.kind = WriteKind::remove, .session = session_.id, .seq = seq});
      }
    }
    kept_from_ = through + 1;
    while (marks_.size() > 1 && marks_[1].seq < kept_from_) marks_.pop_front();
    put_cursor();
  });
}

// The oldest one came before the first mark that is not below it.
std::uint64_t UplinkQueue::lag_s(base::Instant now) const {
  const std::uint64_t first = session_.flow().first_seq;
  for (const UplinkMark& m : lag_marks_) {
    if (m.seq >= first)
      return static_cast<std::uint64_t>(std::max<std::int64_t>(now.ms - m.at_ms, 0) / 1000);
  }
  return 0;
}

UplinkState UplinkQueue::state(base::Instant now) const {
  const Flow& q = session_.flow();
  UplinkState s = counts_;
  s.planned = session_.uplink != Session::kUnplanned;
  s.queued = q.queued;
  s.queued_bytes = q.queued_bytes;
  s.lag_s = s.planned ? lag_s(now) : 0;
  s.kept = q.first_seq - std::min(kept_from_, q.first_seq);
  if (s.kept != 0 && !marks_.empty()) {
    const auto oldest = std::find_if(marks_.begin(), marks_.end(),
                                     [this](const UplinkMark& m) { return m.seq >= kept_from_; });
    s.kept_from_ms = oldest == marks_.end() ? 0 : oldest->at_ms;
    const std::uint64_t from = marks_.front().seq < kept_from_ ? marks_.front().cumulative : 0;
    s.kept_bytes = done_cumulative_ - std::min(from, done_cumulative_);
  }
  s.replay_left = replays() ? replay_through_ - replay_.first + 1 : 0;
  s.dead = dead_.size();
  return s;
}

}  // namespace berth::session
