#include "gateway/edge/timed_output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace berth::gateway::edge {

TimedOutput::Taken TimedOutput::take(std::size_t unsent, std::size_t size, base::Instant not_after,
                                     std::uint64_t tag, base::Instant now) {
  BERTH_ASSERT(unsent >= spanned_);
  const bool late = now > not_after;
  if (late || packets_.size() >= kPacketsMax) {
    dropped(tag);
    return late ? Taken::late : Taken::no_room;
  }
  packets_.push_back({unsent - spanned_, size, not_after, tag});
  spanned_ = unsent + size;
  return Taken::yes;
}

void TimedOutput::dropped(std::uint64_t tag) {
  if (tag != 0) notices_.push_back(tag);
}

std::size_t TimedOutput::next() const {
  if (packets_.empty()) return 0;
  return packets_.front().gap != 0 ? packets_.front().gap : packets_.front().size;
}

void TimedOutput::begun(std::size_t n) {
  std::size_t before = 0;  // of what was a packet or stood in front of it
  while (!packets_.empty() && before + packets_.front().gap < n) {
    before += packets_.front().gap + packets_.front().size;
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
  if (packets_.empty()) return;
  packets_.front().gap -= n;
  spanned_ -= n;
}

std::size_t TimedOutput::drop_late(std::string& out, std::size_t at, base::Instant now) {
  const auto late = [now](const Packet& p) { return now > p.not_after; };
  if (std::none_of(packets_.begin(), packets_.end(), late)) return 0;
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
    if (late(p)) {
      at += p.size;
      dropped(p.tag);
    } else {
      keep(p.size);
      kept.push_back({std::exchange(gap, 0), p.size, p.not_after, p.tag});
    }
  }
  spanned_ -= (at - to) + gap;  // `gap` is behind the last one that is kept
  keep(out.size() - at);
  out.resize(to);
  packets_ = std::move(kept);
  return count - packets_.size();
}

void TimedOutput::forget_packets() {
  packets_.clear();
  spanned_ = 0;
}

std::vector<std::uint64_t> TimedOutput::tell() {
  std::vector<std::uint64_t> untold(notices_.begin() + static_cast<std::ptrdiff_t>(told_),
                                    notices_.end());
  told_ = notices_.size();
  return untold;
}

void TimedOutput::taken(std::uint64_t tag) {
  const auto it = std::find(notices_.begin(), notices_.end(), tag);
  if (it == notices_.end()) return;
  if (static_cast<std::size_t>(it - notices_.begin()) < told_) --told_;
  notices_.erase(it);
}

// timed := n tag* m (gap size not_after:uptime tag)*
std::string TimedOutput::save(std::int64_t ahead_ms) const {
  std::string out;
  base::put_varint(out, notices_.size());
  for (const std::uint64_t tag : notices_) base::put_varint(out, tag);
  base::put_varint(out, packets_.size());
  for (const Packet& p : packets_) {
    base::put_varint(out, p.gap);
    base::put_varint(out, p.size);
    const std::int64_t uptime = std::max<std::int64_t>(p.not_after.ms - ahead_ms, 0);
    base::put_varint(out, static_cast<std::uint64_t>(uptime));
    base::put_varint(out, p.tag);
  }
  return out;
}

bool TimedOutput::go_on_from(std::string_view in, std::size_t unsent, std::int64_t ahead_ms) {
  base::RecordReader r(in);
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) notices_.push_back(r.varint());
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    Packet p;
    p.gap = r.varint();
    p.size = r.varint();
    p.not_after.ms = static_cast<std::int64_t>(r.varint() & (INT64_MAX >> 1)) + ahead_ms;
    p.tag = r.varint();
    const std::size_t room = unsent - spanned_;
    if (p.size == 0 || p.gap > room || p.size > room - p.gap) return false;
    spanned_ += p.gap + p.size;
    packets_.push_back(p);
  }
  return r.ok();
}

}  // namespace berth::gateway::edge
