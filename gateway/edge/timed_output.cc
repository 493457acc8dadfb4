#include "gateway/edge/timed_output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace berth::gateway::edge {

namespace {

constexpr std::uint8_t kWatch = 1;
constexpr std::uint8_t kFresh = 2;

std::uint8_t flags_of(const protocol::link::Deadline& d) {
  return static_cast<std::uint8_t>((d.watch ? kWatch : 0) | (d.fresh ? kFresh : 0));
}

void put_instant(std::string& out, base::Instant at, std::int64_t ahead_ms) {
  base::put_varint(out, static_cast<std::uint64_t>(std::max<std::int64_t>(at.ms - ahead_ms, 0)));
}

base::Instant get_instant(base::RecordReader& r, std::int64_t ahead_ms) {
  return {static_cast<std::int64_t>(r.varint() & (INT64_MAX >> 1)) + ahead_ms};
}

}  // namespace

TimedOutput::Taken TimedOutput::take(std::size_t unsent, std::size_t size, const Deadline& d,
                                     base::Instant now) {
  BERTH_ASSERT(unsent >= spanned_);
  if (d.watch && fates_.size() >= kFatesMax) return Taken::no_room;
  const bool late = now > d.not_after;
  const std::size_t all = packets_.size() + begun_.size() + written_.size();
  if (late || all >= kPacketsMax || (d.watch && watched() >= kWatchedMax)) {
    dropped(d.tag, Fate::dropped);
    return late ? Taken::late : Taken::no_room;
  }
  packets_.push_back({unsent - spanned_, size, d});
  if (d.fresh) ++fresh_;
  spanned_ = unsent + size;
  return Taken::yes;
}

void TimedOutput::dropped(std::uint64_t tag, Fate fate) {
  if (protocol::link::is_command(tag)) return decide(tag, fate);
  if (tag != 0) notices_.push_back(tag);
}

void TimedOutput::decide(std::uint64_t tag, Fate fate) {
  fates_.push_back({tag, fate});
  ++counts_[static_cast<std::size_t>(fate)];
}

std::size_t TimedOutput::watched() const {
  const auto in = [](const auto& list) {
    return std::count_if(list.begin(), list.end(), [](const auto& p) { return p.deadline.watch; });
  };
  return static_cast<std::size_t>(in(packets_) + in(begun_) + in(written_));
}

std::size_t TimedOutput::next() const {
  if (packets_.empty()) return 0;
  return packets_.front().gap != 0 ? packets_.front().gap : packets_.front().size;
}

void TimedOutput::begun(std::size_t n) {
  std::size_t before = 0;  // of what was a packet or stood in front of it
  while (!packets_.empty() && before + packets_.front().gap < n) {
    const Packet& p = packets_.front();
    before += p.gap + p.size;
    if (p.deadline.watch || p.deadline.resets()) begun_.push_back({before, p.deadline});
    if (p.deadline.fresh) --fresh_;
    packets_.pop_front();
  }
  if (packets_.empty()) {
    spanned_ = 0;
  } else {
    packets_.front().gap += before;
  }
}

void TimedOutput::written(std::size_t n) {
  begun(n);
  for (Begun& b : begun_) {
    const std::size_t of_it = std::min(b.left, n);
    b.left -= of_it;
    b.behind += n - of_it;
  }
  if (packets_.empty()) return;
  packets_.front().gap -= n;
  spanned_ -= n;
}

void TimedOutput::kernel_has_all(std::uint64_t handed) {
  for (; !begun_.empty() && begun_.front().left == 0; begun_.pop_front()) {
    const Deadline& d = begun_.front().deadline;
    if (d.watch) decide(d.tag, Fate::written);
    // Of a TLS record or a WebSocket frame `behind` is less than what was handed on: later, if at
    // all.
    if (d.resets()) written_.push_back({handed - begun_.front().behind, d});
  }
}

std::size_t TimedOutput::drop_late(std::string& out, std::size_t at, base::Instant now) {
  return cut(
      out, at, [now](const Deadline& d) { return now > d.not_after; }, Fate::dropped);
}

void TimedOutput::drop_stale(std::string& out, std::size_t at) {
  cut(
      out, at, [](const Deadline& d) { return d.fresh; }, Fate::stale);
}

template <typename Doomed>
std::size_t TimedOutput::cut(std::string& out, std::size_t at, const Doomed& doomed, Fate fate) {
  const auto is_doomed = [&doomed](const Packet& p) { return doomed(p.deadline); };
  if (std::none_of(packets_.begin(), packets_.end(), is_doomed)) return 0;
  const std::size_t count = packets_.size();
  std::deque<Packet> kept;
  std::size_t gap = 0;  // in front of the next one that is kept
  std::size_t to = at;  // where the next byte that is kept goes
  const auto keep = [&](std::size_t n) {
    std::memmove(out.data() + to, out.data() + at, n);
    to += n;
    at += n;
  };
  for (const Packet& p : packets_) {
    keep(p.gap);
    gap += p.gap;
    if (is_doomed(p)) {
      at += p.size;
      if (p.deadline.fresh) --fresh_;
      dropped(p.deadline.tag, fate);
    } else {
      keep(p.size);
      kept.push_back({std::exchange(gap, 0), p.size, p.deadline});
    }
  }
  spanned_ -= (at - to) + gap;  // `gap` is behind the last one that is kept
  keep(out.size() - at);
  out.resize(to);
  packets_ = std::move(kept);
  return count - packets_.size();
}

void TimedOutput::forget_packets() {
  for (const Begun& b : begun_) {
    if (b.deadline.watch) decide(b.deadline.tag, Fate::cut_off);
  }
  for (const Packet& p : packets_) {
    if (p.deadline.watch) decide(p.deadline.tag, Fate::dropped);
  }
  begun_.clear();
  written_.clear();
  packets_.clear();
  spanned_ = fresh_ = 0;
}

std::optional<base::Instant> TimedOutput::look_at() const {
  base::Instant first = base::kNever;
  for (const Packet& p : packets_) first = std::min(first, p.deadline.not_after);
  for (const Begun& b : begun_) {
    if (b.deadline.resets()) first = std::min(first, b.deadline.not_after);
  }
  for (const Written& w : written_) first = std::min(first, w.deadline.not_after);
  return first == base::kNever ? std::nullopt : std::optional(first);
}

bool TimedOutput::holds_up() const {
  return !written_.empty() || std::any_of(begun_.begin(), begun_.end(),
                                          [](const Begun& b) { return b.deadline.resets(); });
}

bool TimedOutput::may_cut_off(base::Instant now) const {
  const auto due = [now](const auto& p) {
    return p.deadline.resets() && now > p.deadline.not_after;
  };
  return std::any_of(begun_.begin(), begun_.end(), due) ||
         std::any_of(written_.begin(), written_.end(), due);
}

void TimedOutput::acknowledged(std::uint64_t bytes) {
  std::erase_if(written_, [bytes](const Written& w) { return !w.is_open(bytes); });
}

// Of one whose deadline is to come too: the reset takes its bytes as well. What is in begun_ gets
// its fate from forget_packets().
bool TimedOutput::cut_off(base::Instant now, std::uint64_t bytes) {
  acknowledged(bytes);
  if (!may_cut_off(now)) return false;
  for (const Written& w : written_) {
    if (w.deadline.watch) decide(w.deadline.tag, Fate::cut_off);
  }
  written_.clear();
  return true;
}

std::vector<std::uint64_t> TimedOutput::tell() {
  std::vector<std::uint64_t> untold(notices_.begin() + static_cast<std::ptrdiff_t>(told_),
                                    notices_.end());
  told_ = notices_.size();
  return untold;
}

std::vector<TimedOutput::Told> TimedOutput::tell_fates() {
  std::vector<Told> untold(fates_.begin() + static_cast<std::ptrdiff_t>(fates_told_), fates_.end());
  fates_told_ = fates_.size();
  return untold;
}

void TimedOutput::taken(std::uint64_t tag, Fate fate) {
  const auto erase = [](auto& list, std::size_t& told, const auto& is) {
    const auto it = std::find_if(list.begin(), list.end(), is);
    if (it == list.end()) return;
    if (static_cast<std::size_t>(it - list.begin()) < told) --told;
    list.erase(it);
  };
  if (protocol::link::is_command(tag)) {
    erase(fates_, fates_told_, [&](const Told& t) { return t.tag == tag && t.fate == fate; });
  } else {
    erase(notices_, told_, [tag](std::uint64_t t) { return t == tag; });
  }
}

std::vector<std::uint64_t> TimedOutput::undecided() const {
  std::vector<std::uint64_t> tags;
  for (const Begun& b : begun_) {
    if (b.deadline.watch) tags.push_back(b.deadline.tag);
  }
  for (const Packet& p : packets_) {
    if (p.deadline.watch) tags.push_back(p.deadline.tag);
  }
  return tags;
}

TimedOutput::Counts TimedOutput::take_counts() {
  return std::exchange(counts_, {});
}

// timed    := n tag* m (gap size not_after:uptime tag)* [commands]
// commands := flags:u8* (of the packets: 1 watch, 2 fresh)
//             n (left not_after:uptime tag flags:u8)* (begun) n (tag fate:u8)*
//             n (bytes handed since, not_after:uptime tag)* (written)
// The commands are absent if there is none; a process of the release before does not read them.
std::string TimedOutput::save(std::int64_t ahead_ms, std::uint64_t handed) const {
  std::string out;
  base::put_varint(out, notices_.size());
  for (const std::uint64_t tag : notices_) base::put_varint(out, tag);
  base::put_varint(out, packets_.size());
  for (const Packet& p : packets_) {
    base::put_varint(out, p.gap);
    base::put_varint(out, p.size);
    put_instant(out, p.deadline.not_after, ahead_ms);
    base::put_varint(out, p.deadline.tag);
  }
  if (watched() != 0 || !begun_.empty() || !written_.empty() || !fates_.empty())
    save_commands(out, ahead_ms, handed);
  return out;
}

void TimedOutput::save_commands(std::string& out, std::int64_t ahead_ms,
                                std::uint64_t handed) const {
  for (const Packet& p : packets_) out.push_back(static_cast<char>(flags_of(p.deadline)));
  base::put_varint(out, begun_.size());
  for (const Begun& b : begun_) {
    base::put_varint(out, b.left);
    put_instant(out, b.deadline.not_after, ahead_ms);
    base::put_varint(out, b.deadline.tag);
    out.push_back(static_cast<char>(flags_of(b.deadline)));
  }
  base::put_varint(out, fates_.size());
  for (const Told& t : fates_) {
    base::put_varint(out, t.tag);
    out.push_back(static_cast<char>(t.fate));
  }
  base::put_varint(out, written_.size());
  for (const Written& w : written_) {
    base::put_varint(out, handed - w.end);
    put_instant(out, w.deadline.not_after, ahead_ms);
    base::put_varint(out, w.deadline.tag);
  }
}

bool TimedOutput::go_on_from(std::string_view in, std::size_t unsent, std::int64_t ahead_ms,
                             std::uint64_t handed) {
  base::RecordReader r(in);
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) notices_.push_back(r.varint());
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    Packet p;
    p.gap = r.varint();
    p.size = r.varint();
    p.deadline.not_after = get_instant(r, ahead_ms);
    p.deadline.tag = r.varint();
    const std::size_t room = unsent - spanned_;
    if (p.size == 0 || p.gap > room || p.size > room - p.gap) return false;
    spanned_ += p.gap + p.size;
    packets_.push_back(p);
  }
  return r.ok() && (r.done() || get_commands(r, unsent, ahead_ms, handed));
}

bool TimedOutput::get_commands(base::RecordReader& r, std::size_t unsent, std::int64_t ahead_ms,
                               std::uint64_t handed) {
  const auto use_flags = [](Deadline& d, std::uint8_t flags) {
    d.watch = (flags & kWatch) != 0 && protocol::link::is_command(d.tag);
    d.fresh = d.watch && (flags & kFresh) != 0;
  };
  for (Packet& p : packets_) {
    use_flags(p.deadline, r.byte());
    if (p.deadline.fresh) ++fresh_;
  }
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    Begun b;
    b.left = r.varint();
    b.deadline.not_after = get_instant(r, ahead_ms);
    b.deadline.tag = r.varint();
    use_flags(b.deadline, r.byte());
    if (b.left > unsent) return false;
    begun_.push_back(b);
  }
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    const std::uint64_t tag = r.varint();
    const std::uint8_t fate = r.byte();
    if (fate >= static_cast<std::uint8_t>(Fate::count)) return false;
    fates_.push_back({tag, static_cast<Fate>(fate)});
  }
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    Written w;
    w.end = handed - r.varint();
    w.deadline.not_after = get_instant(r, ahead_ms);
    w.deadline.tag = r.varint();
    w.deadline.watch = w.deadline.fresh = protocol::link::is_command(w.deadline.tag);
    written_.push_back(w);
  }
  return r.ok();
}

}  // namespace berth::gateway::edge
