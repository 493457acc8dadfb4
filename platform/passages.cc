#include "platform/passages.h"

#include <algorithm>

namespace berth::platform {

namespace {

constexpr std::string_view kPassages{"!w\0", 3};
constexpr std::size_t kAnswerBytes = 900 * 1024;

std::string key_of(const std::pair<std::int64_t, std::uint64_t>& k) {
  return std::string(kPassages) + big_endian(k.first) +
         big_endian(static_cast<std::int64_t>(k.second));
}

std::pair<std::int64_t, std::uint64_t> key_in(std::string_view key) {
  const std::string_view rest = key.substr(kPassages.size());
  return {from_big_endian(rest), static_cast<std::uint64_t>(from_big_endian(rest.substr(8)))};
}

bool is_sound(const pb::PassageTold& t) {
  return t.what() < kPassageKinds && t.of().size() <= Passages::kTextMax && t.has_part() &&
         t.ended_ago_ms() >= 0 && t.lasted_ms() >= 0 && t.ended_ago_ms() <= Passages::kAge_ms &&
         t.lasted_ms() <= Passages::kAge_ms && t.part().gaps_size() <= Passages::kGapsMax;
}

// What has no place of its own is added to the last one: sums stay true.
void fold(pb::PassagePart& into, const pb::PassagePart& one) {
  into.set_held(into.held() + one.held());
  into.set_dropped(into.dropped() + one.dropped());
  for (const pb::PassageGap& g : one.gaps()) {
    if (into.gaps_size() < Passages::kGapsMax) {
      *into.add_gaps() = g;
      continue;
    }
    pb::PassageGap& last = *into.mutable_gaps(Passages::kGapsMax - 1);
    last.set_ms(std::max(last.ms(), g.ms()));
    last.set_connections(last.connections() + g.connections());
  }
}

void add_part(pb::PassageRecord& r, const pb::PassagePart& part) {
  for (pb::PassagePart& p : *r.mutable_parts()) {
    if (p.edge() != part.edge() || p.number() != part.number()) continue;
    p = part;
    return;
  }
  if (r.parts_size() < Passages::kPartsMax) {
    *r.add_parts() = part;
  } else if (!part.has_late()) {  // once: such a part is not found again
    fold(*r.mutable_parts(Passages::kPartsMax - 1), part);
  }
}

}  // namespace

const char* name_of_passage(std::uint32_t kind) {
  constexpr const char* kNames[kPassageKinds] = {"planned", "killed", "fault",     "poison",
                                                 "link",    "edge",   "edge_drain"};
  return kind < kPassageKinds ? kNames[kind] : "";
}

bool is_worse(std::uint32_t a, std::uint32_t b) {
  constexpr int kRank[kPassageKinds] = {0, 2, 3, 4, 1, 0, 0};
  const auto rank = [&kRank](std::uint32_t kind) { return kind < kPassageKinds ? kRank[kind] : 0; };
  return rank(a) > rank(b);
}

bool Passages::is_key(std::string_view key) {
  return key.starts_with(kPassages) && key.size() == kPassages.size() + 16;
}

void Passages::restored(std::string_view key, std::string_view record) {
  pb::PassageRecord r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  const Key k = key_in(key);
  next_ = std::max(next_, k.second + 1);
  all_[k] = std::move(r);
}

void Passages::forget(std::string_view key) {
  all_.erase(key_in(key));
}

Passages::All::iterator Passages::same_as(const pb::PassageTold& t, std::int64_t end_ms) {
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) {
    const pb::PassageRecord& r = it->second;
    const auto& part = t.part();
    // Told again: whatever the time between.
    const bool again = std::any_of(r.parts().begin(), r.parts().end(), [&part](const auto& p) {
      return p.edge() == part.edge() && p.number() == part.number();
    });
    const bool same = r.process() == t.process() && r.of() == t.of() &&
                      (t.process() != 0 || r.what() == t.what()) &&
                      std::abs(it->first.first - end_ms) <= kSameWithin_ms;
    // One edge has met two: they are two.
    const bool other = std::any_of(r.parts().begin(), r.parts().end(), [&part](const auto& p) {
      return p.edge() == part.edge() && p.number() != part.number();
    });
    if (again || (same && !other)) return std::prev(it.base());
  }
  return all_.end();
}

bool Passages::told(std::string_view bytes, std::int64_t wall_ms) {
  pb::PassageTold t;
  if (!t.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !is_sound(t)) return false;
  const std::int64_t end_ms = std::max<std::int64_t>(wall_ms - t.ended_ago_ms(), 0);
  const std::int64_t begin_ms = std::max<std::int64_t>(end_ms - t.lasted_ms(), 0);
  auto it = same_as(t, end_ms);
  if (it == all_.end()) {
    pb::PassageRecord r;
    r.set_what(t.what());
    r.set_of(t.of());
    r.set_process(t.process());
    r.set_begin_ms(begin_ms);
    r.set_end_ms(end_ms);
    it = all_.emplace(Key{end_ms, next_++}, std::move(r)).first;
  }
  pb::PassageRecord& r = it->second;
  if (is_worse(t.what(), r.what())) r.set_what(t.what());  // an edge may know more than another
  r.set_begin_ms(std::min(r.begin_ms(), begin_ms));
  r.set_end_ms(std::max(r.end_ms(), end_ms));
  add_part(r, t.part());
  records_.put(key_of(it->first), r.SerializeAsString());
  while (all_.size() > kKept) remove_oldest();
  return true;
}

void Passages::remove_oldest() {
  records_.remove(key_of(all_.begin()->first));
  all_.erase(all_.begin());
}

std::string Passages::answer(std::string_view question) const {
  pb::PassagesQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  pb::PassagesAnswer a;
  std::size_t bytes = 0;
  for (auto it = all_.rbegin(); it != all_.rend() && it->second.end_ms() >= q.from_ms(); ++it) {
    bytes += it->second.ByteSizeLong();
    if (bytes > kAnswerBytes) break;
    *a.add_items() = it->second;
  }
  return a.SerializeAsString();
}

void Passages::late(std::int64_t wall_ms) {
  const std::int64_t second = wall_ms / 1000;
  if (!late_.empty() && late_.back().first >= second) {  // the clock may go back
    ++late_.back().second;
    return;
  }
  if (late_.size() == kMoments) late_.pop_front();
  late_.emplace_back(second, 1);
}

std::string Passages::answer_late(std::string_view question, std::int64_t wall_ms) const {
  pb::LateQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  const std::int64_t from = (wall_ms - q.from_ago_ms()) / 1000;
  const std::int64_t to = (wall_ms - q.to_ago_ms()) / 1000;
  pb::LateAnswer a;
  for (const auto& [second, commands] : late_) {
    if (second >= from && second <= to) a.set_commands(a.commands() + commands);
  }
  return a.SerializeAsString();
}

void Passages::tick(std::int64_t wall_ms) {
  if (all_.empty() || all_.begin()->first.first >= wall_ms - kAge_ms) return;
  records_.unhurried([&] {
    while (!all_.empty() && all_.begin()->first.first < wall_ms - kAge_ms) remove_oldest();
  });
}

}  // namespace berth::platform
