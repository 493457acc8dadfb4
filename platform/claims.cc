#include "platform/claims.h"

#include <utility>

namespace berth::platform {

namespace {

constexpr std::string_view kClaim{"k\0", 2};
constexpr std::string_view kByTime{"kz\0", 3};

}  // namespace

void Claims::answer(const std::string& claimed, const std::string& content,
                    const Answered& answered) {
  if (claimed == content) return answered({});
  answered({409, "idempotency_conflict", "this id was used for another command"});
}

void Claims::claim(std::string_view tenant, std::string_view id, std::string content,
                   std::int64_t wall_ms, Answered answered) {
  const std::string key = std::string(kClaim) + joined(tenant, id);
  if (const auto it = writing_.find(key); it != writing_.end()) {
    records_.when_durable([claimed = it->second, content = std::move(content),
                           answered = std::move(answered)] { answer(claimed, content, answered); });
    return;
  }
  const auto it = asking_.find(key);
  if (it != asking_.end()) {
    it->second.line.emplace_back(std::move(content), std::move(answered));
    return;
  }
  if (asking_.size() >= kAskingMax)
    return answered({503, "busy_store", "too many commands are being looked up"});
  Asking& asking = asking_[key];
  asking.content = content;
  asking.wall_ms = wall_ms;
  asking.line.emplace_back(std::move(content), std::move(answered));
  records_.read(exactly(key), [this, key](auto found) { decide(key, std::move(found)); });
}

void Claims::decide(const std::string& key,
                    base::result<std::vector<session::StoredRecord>> found) {
  const auto it = asking_.find(key);
  if (it == asking_.end()) return;
  Asking asking = std::move(it->second);
  asking_.erase(it);
  if (!found) {
    for (const auto& [content, answered] : asking.line)
      answered(kUnreadable);
    return;
  }
  std::string claimed = asking.content;
  if (!found->empty()) {
    claimed = found->front().value;
  } else {
    records_.put(key, claimed);
    records_.put(std::string(kByTime) + big_endian(asking.wall_ms) + key.substr(kClaim.size()), {});
    writing_.insert_or_assign(key, claimed);
    records_.when_durable([this, key] { writing_.erase(key); });
  }
  records_.when_durable([claimed, line = std::move(asking.line)] {
    for (const auto& [content, answered] : line) answer(claimed, content, answered);
  });
}

void Claims::sweep(std::int64_t before_ms) {
  if (before_ms <= 0 || std::exchange(sweeping_, true)) return;
  session::RecordRange range;
  range.from = std::string(kByTime);
  range.to = std::string(kByTime) + big_endian(before_ms);
  range.count = kSweepMax;
  records_.read(std::move(range), [this](auto found) {
    sweeping_ = false;
    if (!found) return;
    for (const session::StoredRecord& r : *found) {
      records_.remove(r.key);
      records_.remove(std::string(kClaim) + r.key.substr(kByTime.size() + 8));
    }
  });
}

}  // namespace berth::platform
