#include "platform/late_results.h"

#include <utility>

#include "platform/platform.pb.h"

namespace berth::platform {

namespace {

constexpr std::string_view kFinal{"c\0", 2};
constexpr std::string_view kLate{"!r\0", 3};

}  // namespace

std::string final_key(std::string_view tenant, std::string_view id) {
  return std::string(kFinal).append(joined(tenant, id));
}

bool LateResults::is_key(std::string_view key) {
  return key.starts_with(kLate);
}

void LateResults::restored(std::string_view key, std::string_view record) {
  pb::LateResult r;
  if (!r.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  const pb::ResultNote& said = r.said();
  const Result result{static_cast<Outcome>(said.outcome()), said.code(), said.text(),
                      said.repeated()};
  LateResult late{said.tenant(), said.command_id(),           said.device(),
                  result,        {{r.now_ms()}, r.wall_ms()}, said.elsewhere()};
  if (!waiting_.insert_or_assign(std::string(key), Waiting{std::move(late)}).second) return;
  again_.emplace_back(key);
  again_at_ = {};
}

void LateResults::forget(std::string_view key) {
  const auto it = waiting_.find(key);
  if (it != waiting_.end()) waiting_.erase(it);
}

bool LateResults::take(LateResult late) {
  const std::string key = std::string(kLate) + joined(joined(late.tenant, late.id), late.device);
  const auto it = waiting_.find(key);
  if (it == waiting_.end() && waiting_.size() >= max_) return false;
  if (it != waiting_.end()) {
    // The first one counts. Written again, so that each PUBACK waits for a commit.
    write(key, it->second.late);
    return true;
  }
  write(key, late);
  waiting_.emplace(key, Waiting{std::move(late)});
  look_up(key);
  return true;
}

void LateResults::write(const std::string& key, const LateResult& late) {
  pb::LateResult r;
  pb::ResultNote& said = *r.mutable_said();
  said.set_tenant(late.tenant);
  said.set_command_id(late.id);
  said.set_device(late.device);
  said.set_outcome(static_cast<std::uint32_t>(late.result.outcome));
  said.set_code(late.result.code);
  said.set_text(late.result.text);
  said.set_repeated(late.result.repeated);
  said.set_elsewhere(late.elsewhere);
  r.set_now_ms(late.at.now.ms);
  r.set_wall_ms(late.at.wall_ms);
  records_.put(key, r.SerializeAsString());
}

void LateResults::expire(base::Instant now) {
  if (next_due() > now) return;
  for (const std::string& key : std::exchange(again_, {})) look_up(key);
}

void LateResults::look_up(const std::string& key) {
  const auto it = waiting_.find(key);
  if (it == waiting_.end()) return;
  records_.read(exactly(final_key(it->second.late.tenant, it->second.late.id)),
                [this, key](auto found) { looked_up(key, std::move(found)); });
}

void LateResults::looked_up(const std::string& key,
                            base::result<std::vector<session::StoredRecord>> found) {
  const auto it = waiting_.find(key);
  if (it == waiting_.end()) return;
  Waiting& w = it->second;
  if (!found && --w.tries > 0) {
    if (again_.empty()) again_at_ = w.late.at.now.plus_ms(1000 * (kTries - w.tries));
    again_.push_back(key);
    return;
  }
  const LateResult late = std::move(w.late);
  waiting_.erase(it);
  records_.remove(key);
  Entry e;
  const bool there = found && !found->empty() && decode(found->front().value, e);
  decide_(late, there ? &e : nullptr);
}

}  // namespace berth::platform
