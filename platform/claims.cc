#include "platform/claims.h"

#include <algorithm>
#include <utility>

#include "platform/platform.pb.h"

namespace berth::platform {

namespace {

constexpr std::string_view kClaim{"k\0", 2};
constexpr std::string_view kClaimByTime{"kz\0", 3};
constexpr std::string_view kClaimCount{"!k\0", 3};
const Refusal kBusy{503, "busy_store", "too many commands are being looked up"};

// Of both its records. `name`: tenant and id; the value is counted as the digest that it is.
std::uint64_t bytes_of(std::string_view name) {
  return kClaim.size() + kClaimByTime.size() + 8 + 2 * name.size() + 32;
}

}  // namespace

bool Claims::is_key(std::string_view key) {
  return key == kClaimCount;
}

void Claims::restored(std::string_view value) {
  pb::Kept kept;
  if (!kept.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  bytes_ = bytes_stored_ = kept.bytes();
}

void Claims::keep_count() {
  if (bytes_ == bytes_stored_) return;
  pb::Kept kept;
  kept.set_bytes(bytes_stored_ = bytes_);
  records_.put(kClaimCount, kept.SerializeAsString());
}

void Claims::answer(const std::string& claimed, const std::string& content,
                    const Answered& answered) {
  if (claimed == content) return answered({});
  answered({409, "idempotency_conflict", "this id was used for another command"});
}

void Claims::claim(std::string_view tenant, std::string_view id, std::string content,
                   std::int64_t wall_ms, Answered answered) {
  if (content.size() > kContentMax) return answered({422, "invalid", "the content is no digest"});
  const std::string key = std::string(kClaim) + joined(tenant, id);
  if (const auto it = writing_.find(key); it != writing_.end()) {
    records_.when_durable([claimed = it->second, content = std::move(content),
                           answered = std::move(answered)] { answer(claimed, content, answered); });
    return;
  }
  const auto it = asking_.find(key);
  if (it != asking_.end()) {
    if (it->second.line.size() >= kLineMax) return answered(kBusy);
    it->second.line.emplace_back(std::move(content), std::move(answered));
    return;
  }
  const bool no_room = bytes_ > bytes_max_ + bytes_max_ / 8;  // the sweep does not keep up
  if (asking_.size() >= kAskingMax || writing_.size() >= kWritingMax || no_room)
    return answered(kBusy);
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
    for (const auto& [content, answered] : asking.line) answered(kUnreadable);
    return;
  }
  std::string claimed = asking.content;
  if (!found->empty()) {
    claimed = found->front().value;
  } else {
    put(key, claimed, asking.wall_ms);
    writing_.insert_or_assign(key, claimed);
    records_.when_durable([this, key] { writing_.erase(key); });
  }
  records_.when_durable([claimed, line = std::move(asking.line)] {
    for (const auto& [content, answered] : line) answer(claimed, content, answered);
  });
}

void Claims::put(const std::string& key, const std::string& content, std::int64_t wall_ms) {
  const std::string name = key.substr(kClaim.size());
  records_.put(key, content);
  records_.put(std::string(kClaimByTime) + big_endian(wall_ms) + name, {});
  bytes_ += bytes_of(name);
}

void Claims::sweep(std::int64_t before_ms) {
  keep_count();
  const bool too_much = bytes_ > bytes_max_;
  if ((before_ms <= 0 && !too_much) || std::exchange(sweeping_, true)) return;
  session::RecordRange range = all_of(std::string(kClaimByTime));
  if (!too_much) range.to = std::string(kClaimByTime) + big_endian(before_ms);
  range.count = kSweepMax;
  records_.read(std::move(range), [this, before_ms](auto found) {
    sweeping_ = false;
    if (found) swept(*found, before_ms);
  });
}

// The oldest first.
void Claims::swept(const std::vector<session::StoredRecord>& found, std::int64_t before_ms) {
  const std::string old = big_endian(std::max<std::int64_t>(before_ms, 0));
  for (const session::StoredRecord& r : found) {
    const std::size_t head = kClaimByTime.size() + 8;
    if (r.key.size() < head) continue;
    const bool too_old = std::string_view(r.key).substr(kClaimByTime.size(), 8) < old;
    if (!too_old && bytes_ <= bytes_max_) return;
    const std::string name = r.key.substr(head);
    records_.remove(r.key);
    records_.remove(std::string(kClaim) + name);
    bytes_ -= std::min(bytes_, bytes_of(name));
    ++swept_;
  }
}

}  // namespace berth::platform
